"""A mapping of parts of two kinds that stand in one list, told apart by a word."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from landbridge.errors import SpecError
from landbridge.spec._paths import check_path, find, put
from landbridge.spec._scope import Fault, Scope
from landbridge.spec.mapping import Correspondence, Mapped

__all__ = [
    "map_either",
]

M = TypeVar("M", bound=msgspec.Struct)


def map_either(
    path: str, *, by: str, given: Mapping[str, Mapped[M]], otherwise: Mapping[str, Mapped[M]]
) -> Mapped[M]:
    """A mapping of one model to parts of two kinds; the word at `path` says which kind one is.

    `map_either("Type", by="item", given={"Item": item_line}, otherwise={"Account": account_line})`:
    a part that has our field `by` is written as the first kind, another one as the second, with its
    word. What a kind does not write, of that nothing is sent.
    """
    problem = check_path(path)
    if not problem and (len(given), len(otherwise)) != (1, 1):
        problem = "given and otherwise: name one word each, with its mapping"
    kinds = {**given, **otherwise}
    if not problem and (len(kinds) != 2 or len({one.model for one in kinds.values()}) != 1):
        problem = "the two kinds have two words and one model"
    first, _ = kinds.values() if not problem else (None, None)
    if first is not None and by not in first.rows:
        problem = f"by: the mapping that is given it has no row for {by!r}"
    if problem:
        raise SpecError(f"map_either({path!r}): {problem}")
    return _Either(path, by, kinds)


class _Either(Mapped[M]):
    """Of two kinds; in the order that the one by our field comes first."""

    def __init__(self, path: str, by: str, kinds: Mapping[str, Mapped[M]]):
        (self._given, one), (self._otherwise, other) = kinds.items()
        super().__init__(one.model, {**other.rows, **one.rows})
        self._path, self._by, self._kinds = path, by, kinds
        self._both = (one, other)
        self.written = tuple(dict.fromkeys((path, *one.written, *other.written)))

    def _word(self, model: Any) -> str:
        return self._otherwise if getattr(model, self._by) is None else self._given

    def chosen(self, model: Any) -> Mapped[M]:
        """The mapping of the kind that a part is written as."""
        return self._kinds[self._word(model)]

    def apply(self, value: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The part with changes from `write` in it, as what it is by them."""
        word = find(changes, self._path) or find(value, self._path)
        return self._kinds.get(word, self._both[1]).apply(value, changes)

    def shown(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The changes where the provider shows them."""
        return self._kinds.get(find(changes, self._path), self._both[1]).shown(changes)

    @property
    def readings(self) -> tuple[Any, ...]:
        """All that reading depends on beside the part."""
        return (self.model, self._path, *self._kinds, *self._both)

    @property
    def owned_paths(self) -> tuple[str, ...]:
        """Every path that a row of either kind reads or writes, and that of the word."""
        owned = [path for one in self._both for path in one.owned_paths]
        return tuple(dict.fromkeys([self._path, *owned]))

    @property
    def needed_paths(self) -> tuple[str, ...]:
        """The paths without which a part of either kind cannot be read."""
        needed = [path for one in self._both for path in one.needed_paths]
        return tuple(dict.fromkeys([self._path, *needed]))

    @property
    def references(self) -> tuple[str, ...]:
        """The resources that rows of either kind lead to."""
        return tuple(dict.fromkeys(to for one in self._both for to in one.references))

    @property
    def tables(self) -> frozenset[str]:
        """The code tables that rows of either kind go through."""
        return self._both[0].tables | self._both[1].tables

    @property
    def outer_currencies(self) -> tuple[str, ...]:
        """The currencies that written amounts expect in the outermost record."""
        return tuple(dict.fromkeys(path for one in self._both for path in one.outer_currencies))

    @property
    def fields(self) -> tuple[Correspondence, ...]:
        """The table of both kinds, line by line; what both have is there once."""
        return tuple(dict.fromkeys(line for one in self._both for line in one.fields))

    def take(self, record: Any, scope: Scope) -> M:
        """Reads within a larger reading."""
        word = find(record, self._path)
        if word not in self._kinds:
            raise Fault(f"the word at {self._path} is none of {', '.join(self._kinds)}")
        return self._kinds[word].take(record, scope)

    def emit(
        self, model: Any, base: Any, scope: Scope, *, whole: bool = False, key: str = ""
    ) -> dict[str, Any]:
        """Writes within a larger writing, with the word; one of another kind than before, anew."""
        word = self._word(model)
        old = base if base is not None and self._word(base) == word else None
        told = self._kinds[word].emit(model, old, scope, whole=whole, key=key)
        if told or old is None:
            put(told, self._path, word)
        return told

    def key_of(self, path: str) -> Callable[[Any], Any]:
        """A function from a part to the value by which the provider knows it."""
        return self._both[0].key_of(path)
