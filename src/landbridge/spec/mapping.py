"""Mappings: one table of rows that reads a provider's record into a model and writes it back."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from landbridge.errors import InvalidInput, RecordError
from landbridge.spec._fingerprint import fingerprint
from landbridge.spec._paths import (
    find,
    has_words,
    nested_at,
    patched,
    patched_at,
    put,
    within,
    without,
)
from landbridge.spec._scope import Context, Fault, Scope
from landbridge.spec._ties import Tie, ties, writes, written
from landbridge.spec.rows import Access, Row, Scalar

__all__ = [
    "Correspondence",
    "Mapped",
    "map_from",
    "map_to",
]

M = TypeVar("M", bound=msgspec.Struct)
_NO_TABLES = Context()


class Correspondence(NamedTuple):
    """One line of a mapping's table, for documentation."""

    ours: str
    theirs: str
    word: str
    access: Access
    note: str
    """What else there is to say: the words of a `one_of`, the resource of a `ref`."""


class Mapped(Generic[M]):
    """A two-way table between a model and a provider's record; made by `map_to` or `map_from`."""

    def __init__(self, model: type[M], rows: Mapping[str, Row]):
        self.model = model
        self.rows = rows
        self._ties = ties(model, rows)
        self.written = tuple(path for _, path in written(rows))
        """The provider's paths that are written; a list counts as one path."""
        self._readers = [_reader(tie) for tie in self._ties if tie.row.access is not Access.WRITE]
        self._writers = [tie for tie in self._ties if writes(tie.row)]
        self._currencies = {
            tie.row.path: tie.name for tie in self._ties if tie.row.word in ("currency", "text")
        }

    def __repr__(self) -> str:
        return f"Mapped({self.model.__name__}, {len(self.rows)} rows)"

    def read(self, value: Any, context: Context | None = None) -> M:
        """The model that a provider's record stands for.

        `RecordError` names our field and the provider's path: a required field without a value, a
        value of the wrong shape, an unknown word. `UnmappedCode`: the tenant's table lacks a code.
        """
        try:
            return self.take(value, Scope(value, context or _NO_TABLES))
        except Fault as fault:
            raise self._error(fault) from None

    def write(
        self, model: M, base: M | None = None, context: Context | None = None
    ) -> dict[str, Any]:
        """The provider's fields that make its record say what the model says, as nested objects.

        Only fields that differ from `base`, the last state both sides agreed on; None stands for
        "clear it". Without a base: every field that is set, to make a new record.
        """
        if not isinstance(model, self.model):
            raise InvalidInput(
                f"expected {self.model.__name__}, found {type(model).__name__}: this resource"
                f" is written from {self.model.__name__}"
            )
        codes = {path: getattr(model, name) for path, name in self._currencies.items()}
        codes[""] = getattr(model, "currency", None)
        try:
            return self.emit(model, base, Scope(model, context or _NO_TABLES, codes))
        except Fault as fault:
            raise self._error(fault) from None

    def apply(self, value: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The provider's record with changes from `write` in it; everything else stays as it was.

        Null removes a key (RFC 7396). An item of a list keeps what no row owns if it is recognised
        by its key (or, without one, by its place); items that are not named again are gone.
        """
        changes = self._shown(changes)
        merged: dict[str, Any] = patched(value, changes)
        for tie in self._ties:
            row, change = tie.row, find(changes, tie.row.path)
            for path, shown in row.echo(changes).items() if row.echo else ():
                put(merged, path, shown)
            if row.part is None or change is None or not row.path:
                continue
            before = find(value, row.path)
            if row.word == "nested":
                put(merged, row.path, row.part.apply(before or {}, change))
            else:
                ours = [item for item in before or [] if has_words(item, row.where)]
                olds = _by_key(ours, partial(find, path=row.key), row.key)
                items = [
                    row.part.apply(olds(find(item, row.key), place) or {}, item)
                    for place, item in enumerate(change)
                    if not _is_gone(item, row)
                ]
                put(merged, row.path, items + _others(before or [], row))
        return merged

    def shown(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The changes where the provider shows them: also in lists, what is sent elsewhere."""
        told = self._shown(changes)
        for tie in self._ties:
            row, items = tie.row, find(told, tie.row.path)
            if row.word == "many" and row.part and isinstance(items, list):
                left = [row.part.shown(item) for item in items if not _is_gone(item, row)]
                put(told, row.path, left)
        return told

    def _shown(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The changes, of which what is sent elsewhere (`sent`) is moved to where it is shown."""
        kept = dict(changes)
        moved: list[tuple[str, Any]] = []
        for tie in self._ties:
            if tie.row.at:
                for there, here in zip(tie.row.sends, tie.row.owns, strict=True):
                    kept, found = without(kept, there)
                    moved += [(here, told) for told in found]
        for path, told in moved:
            kept = patched_at(kept, path, told)
        return kept

    def chosen(self, model: Any) -> "Mapped[M]":  # noqa: ARG002  # of one kind all are alike
        """The mapping that a part is written by, where there are several kinds of it."""
        return self

    @property
    def sent(self) -> frozenset[str]:
        """The fields of ours that are written."""
        return frozenset(tie.name for tie in self._writers)

    @property
    def constants(self) -> dict[str, Any]:
        """What all records are alike in, by our fields."""
        nothing = Scope({}, _NO_TABLES)
        same = [tie for tie in self._ties if tie.row.word == "constant"]
        return {tie.name: tie.row.read({}, nothing) for tie in same}

    @property
    def readings(self) -> tuple[Any, ...]:
        """All that `read` depends on beside the record."""
        return (self.model, *self._readers)

    @cached_property
    def fingerprint(self) -> str:
        """24 letters, other ones when `read` would do something else."""
        return fingerprint(self)

    @property
    def owned_paths(self) -> tuple[str, ...]:
        """Every path of the provider that a row reads or writes; `[]` marks a list."""
        owned: list[str] = []
        for tie in self._ties:
            row = tie.row
            owned.extend(row.when[:1] if row.when else ())
            if row.part is None:
                owned.extend(row.paths or ((row.path,) if row.path else ()))
            else:
                mark = "[]" if row.word == "many" else ""
                inner = (*row.part.owned_paths, *row.where)
                owned.extend(within(row.path + mark, path) for path in inner)
        return tuple(dict.fromkeys(owned))

    @property
    def needed_paths(self) -> tuple[str, ...]:
        """The paths without which a record, or an item of a list in it, cannot be read."""
        needed: list[str] = []
        for tie in self._ties:
            row = tie.row
            if tie.required:
                needed.extend(row.paths or ((row.path,) if row.path else ()))
            if row.part is not None:
                mark = "[]" if row.word == "many" else ""
                inner = (*row.part.needed_paths, *row.where)
                needed.extend(within(row.path + mark, path) for path in inner)
        return tuple(dict.fromkeys(needed))

    @property
    def references(self) -> tuple[str, ...]:
        """The resources that its rows lead to."""
        inner = [to for tie in self._ties if tie.row.part for to in tie.row.part.references]
        own = [tie.row.to for tie in self._ties if tie.row.to]
        return tuple(dict.fromkeys(own + inner))

    @property
    def tables(self) -> frozenset[str]:
        """The code tables that its rows go through."""
        inner = [to for tie in self._ties if tie.row.part for to in tie.row.part.tables]
        return frozenset([tie.row.table for tie in self._ties if tie.row.table] + inner)

    @property
    def outer_currencies(self) -> tuple[str, ...]:
        """The currencies that written amounts inside expect in the outermost record."""
        inner = [
            path for tie in self._writers if tie.row.part for path in tie.row.part.outer_currencies
        ]
        own = [tie.row.currency[1:] for tie in self._writers if tie.row.currency.startswith("^")]
        return tuple(path for path in own + inner if path)

    @property
    def fields(self) -> tuple[Correspondence, ...]:
        """The table, line by line, for documentation."""
        table: list[Correspondence] = []
        for tie in self._ties:
            row = tie.row
            if row.part is None:
                access = row.access if writes(row) else Access.READ
                theirs = ", ".join(row.paths) or row.path
                table.append(Correspondence(tie.name, theirs, row.word, access, _note(row)))
                continue
            mark = "[]" if row.word == "many" else ""
            table.extend(
                line._replace(
                    ours=f"{tie.name}{mark}.{line.ours}",
                    theirs=within(row.path + mark, line.theirs),
                    access=_access_in(row, line.access),
                )
                for line in row.part.fields
            )
        return tuple(table)

    def take(self, record: Any, scope: Scope) -> M:
        """Reads within a larger reading; for the rows of this package."""
        values: dict[str, Any] = {}
        name = path = ""
        try:
            for name, required, path, key, kind, read in self._readers:  # noqa: B007  # in faults
                if key:
                    found = record.get(key)
                    if type(found) is not kind and found is not None:
                        found = read(found)
                else:
                    found = read(record, scope)
                if found is not None:
                    values[name] = found
                elif required:
                    raise Fault("nothing at {path}")
            return self.model(**values)
        except Fault as fault:
            fault.in_field(name, path)
            raise
        except AttributeError:
            raise Fault("no object on the way to {path}").in_field(name, path) from None
        except InvalidInput as error:
            raise Fault(str(error)).in_field(name, path) from None
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            reason = f"cannot be read ({type(error).__name__})"
            raise Fault(reason).in_field(name, path) from None

    def emit(
        self, model: Any, base: Any, scope: Scope, *, whole: bool = False, key: str = ""
    ) -> dict[str, Any]:
        """Writes within a larger writing; `whole` sends equal fields too, as lists need it."""
        changes: dict[str, Any] = {}
        taken: dict[str, str] = {}
        for tie in self._writers:
            ours = getattr(model, tie.name)
            before = None if base is None else getattr(base, tie.name)
            if _is_empty(ours) and (base is None or _is_empty(before)):
                continue
            if tie.row.unless and getattr(model, tie.row.unless) is not None:
                continue
            if tie.row.given and getattr(model, tie.row.given) is None:
                continue
            if tie.row.when and (first := taken.setdefault(tie.row.path, tie.name)) != tie.name:
                raise Fault(f"{first} goes to {{path}} too: set one of them").in_field(
                    tie.name, tie.row.path
                )
            if base is not None and not whole:
                if ours == before:
                    continue
                _allowed(tie, ours)
            try:
                self._emit_one(changes, tie, (ours, before, model), scope, whole=whole)
            except Fault as fault:
                fault.in_field(tie.name, tie.row.path)
                raise
        if key:
            self._emit_key(changes, model, key)
        return changes

    def _emit_one(
        self,
        changes: dict[str, Any],
        tie: Tie,
        values: tuple[Any, Any, Any],
        scope: Scope,
        *,
        whole: bool,
    ) -> None:
        """Puts what one row has to say into `changes`."""
        row = tie.row
        ours, before, model = values
        if row.word == "itself":
            ours, before = _only(ours), _only(before) if before else None
        if row.word in ("nested", "spread", "itself"):
            inner = None
            if ours is None and not row.path:
                ours = row.part.model()
            if ours is not None:
                inner = row.part.emit(ours, before, scope, whole=whole)
                if not inner and before is not None:
                    return
            blend(changes, row.at or row.path, inner)
        elif row.word == "many":
            put(changes, row.at or row.path, self._emit_items(row, ours, before, scope))
        elif row.write is not None:
            told = row.write(ours, self._code(row, model, scope), scope)
            if row.word == "entries":
                told = _differing(told, before or {}, whole=whole)
            _place(changes, row, told)

    @staticmethod
    def _emit_items(row: Row, ours: Any, before: Any, scope: Scope) -> list[dict[str, Any]]:
        """The items of a list, each whole; a new one with the words by which it is known."""
        identify = row.part.key_of(row.key)
        olds = _by_key(before or (), identify, row.key)
        items = []
        for place, item in enumerate(ours or ()):
            old = olds(identify(item), place)
            # By its key an item of a record that is there is named again.
            key = row.key if before is not None or not row.gone else ""
            items.append(row.part.emit(item, old, scope, whole=True, key=key))
            for path, words in row.where.items() if old is None else ():
                if find(items[-1], path) is None:
                    put(items[-1], path, words[0])
        if row.gone:
            kept = {identify(item) for item in ours or ()}
            left = [key for key in map(identify, before or ()) if key not in kept]
            items += [{**nested_at(row.key, key), **row.gone} for key in left if key is not None]
        return items

    def _emit_key(self, changes: dict[str, Any], item: Any, key: str) -> None:
        value = self.key_of(key)(item)
        if value is not None and find(changes, key) is None:
            put(changes, key, value)

    def key_of(self, path: str) -> Callable[[Any], Any]:
        """A function from a part to the value by which the provider knows it; for lists."""
        names = [tie.name for tie in self._ties if path and tie.row.path == path]
        return (lambda item: getattr(item, names[0])) if names else (lambda _item: None)

    def _code(self, row: Row, model: Any, scope: Scope) -> Any:
        if not row.currency:
            return None
        if row.currency.startswith("^"):
            return scope.codes.get(row.currency[1:])
        return getattr(model, self._currencies[row.currency])

    def _error(self, fault: Fault) -> RecordError:
        where = f"{self.model.__name__}.{fault.ours}" if fault.ours else self.model.__name__
        return RecordError(f"{where}: {fault.sentence()}", field=fault.ours or None)


def _reader(tie: Tie) -> tuple[str, bool, str, str, type | None, Callable[..., Any]]:
    """A field, whether it is required, its path, and how it is read: from what is at a key, unless
    that is of a type already, or (no key) from the record and the scope."""
    read = tie.row.read
    if isinstance(read, Scalar) and read.name:
        return tie.name, tie.required, tie.row.path, read.name, read.kind, read.into
    return tie.name, tie.required, tie.row.path, "", None, read


def map_to(model: type[M], /, **rows: Row) -> Mapped[M]:
    """A two-way mapping: our fields on the left, the provider's places on the right.

    Checked here and now: `SpecError` names an unknown or missing field (with the nearest one), a
    row that gives another type than the field holds, an enum value that no word leads to, a place
    that two rows write, an amount without a currency.
    """
    return Mapped(model, rows)


def map_from(model: type[M], /, **rows: Row) -> Mapped[M]:
    """A one-way mapping: it reads, and every row of it is `read_only`."""
    return Mapped(model, {name: _closed(row) for name, row in rows.items()})


def _closed(row: Any) -> Any:
    return replace(row, access=Access.READ) if isinstance(row, Row) else row


def _allowed(tie: Tie, ours: Any) -> None:
    """Raises what forbids a change to a record that is there."""
    reason = ""
    if tie.row.access is Access.CREATE:
        reason = "the provider takes it only when the record is made; make a new one"
    elif tie.row.lasting and _is_empty(ours):
        reason = "the provider does not let it be cleared; give another value"
    if reason:
        raise Fault(reason).in_field(tie.name, tie.row.path)


def _access_in(row: Row, inner: Access) -> Access:
    """Which way a line of a part goes, in the row that holds the part."""
    if not writes(row):
        return Access.READ
    return Access.CREATE if row.access is Access.CREATE and inner is Access.BOTH else inner


def _only(parts: Any) -> Any:
    """The one part that a record can be."""
    if len(parts) != 1:
        raise Fault(f"the provider takes one, and these are {len(parts)}")
    return parts[0]


def _is_gone(item: Any, row: Row) -> bool:
    """Whether an item of a list that is sent is one that is to go."""
    return bool(row.gone) and all(item.get(name) == told for name, told in row.gone.items())


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, tuple | dict) and not value)


def _by_key(items: Any, identify: Callable[[Any], Any], key: str) -> Callable[[Any, int], Any]:
    """A function that finds the old item for a new one: by its key, else by its place."""
    if not key:
        return lambda _value, place: items[place] if place < len(items) else None
    known = {identify(item): item for item in items}
    return lambda value, _place: None if value is None else known.get(value)


def _others(items: Any, row: Row) -> list[Any]:
    """The items of a list that are none of ours and stay."""
    dropped = [item for item in items if row.drops and has_words(item, row.drops)]
    return [item for item in items if not has_words(item, row.where) and item not in dropped]


def _differing(
    told: Mapping[str, Any], before: Mapping[str, Any], *, whole: bool
) -> dict[str, Any]:
    """The entries that are new or changed, and null for those that are gone."""
    changed = {name: told[name] for name in told if whole or before.get(name) != told[name]}
    return changed | {name: None for name in before if name not in told}


def _place(changes: dict[str, Any], row: Row, told: Any) -> None:
    """Puts what a row writes where it belongs: at its path, or at the several that it names."""
    if row.boxed and told is None:
        blend(changes, row.paths[0], None)
    elif row.path:
        blend(changes, row.at or row.path, told)
    else:
        for path, value in told.items():
            blend(changes, path, value)


def blend(changes: dict[str, Any], path: str, value: Any) -> None:
    """Puts a value at a path, into an object that another row has begun there."""
    begun = find(changes, path)
    if isinstance(begun, dict) and isinstance(value, Mapping):
        for key, inner in value.items():
            blend(begun, key, inner)
    else:
        put(changes, path, value)


def _note(row: Row) -> str:
    told = ", ".join(f"{theirs} = {ours}" for theirs, ours in row.shown.items())
    if row.to:
        told = f"-> {row.to}"
        told += f", where {row.when[0]} is {row.when[1]}" if row.when else ""
    elif row.table:
        told = f"table {row.table}"
    place = f"written at {', '.join(row.sends)}" if row.at else ""
    return "; ".join(each for each in (told, place) if each)
