"""Rows for what is more than one value: parts, lists of parts, custom fields, references, codes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from landbridge.errors import SpecError, UnmappedCode
from landbridge.spec._paths import check_path, getter
from landbridge.spec._scope import Fault, Scope, shape
from landbridge.spec.mapping import Mapped
from landbridge.spec.rows import Access, Row, scalar, text

__all__ = [
    "entries",
    "lookup",
    "many",
    "nested",
    "picked",
    "ref",
]


def nested(path: str, part: Mapped[Any]) -> Row:
    """A part of ours in one object of theirs; null or absent: None."""
    row = scalar("nested", path, (part.model,), lambda found: found)
    follow = getter(path)

    def read(record: Any, scope: Scope) -> Any:
        found = follow(record)
        if found is None:
            return None
        try:
            return part.take(found, scope)
        except Fault as fault:
            raise fault.in_part(path) from None

    return replace(row, read=read, part=part)


def many(path: str, part: Mapped[Any], *, key: str = "") -> Row:
    """A list of parts, written whole whenever one of them differs.

    `key` is the path, within an item, by which the provider recognises it; it goes along when the
    list is written. Without a key items are the same when they stand in the same place.
    """
    row = scalar("many", path, (tuple,), lambda found: found)
    problem = check_path(key) if key else ""
    if problem:
        raise SpecError(f"many({path!r}): key: {problem}")
    follow = getter(path)

    def read(record: Any, scope: Scope) -> Any:
        found = follow(record)
        if found is None:
            return None
        if type(found) is not list:
            raise Fault(f"expected a list at {{path}}, found {shape(found)}")
        items = []
        for item in found:
            try:
                items.append(part.take(item, scope))
            except Fault as fault:
                raise fault.in_part(path, len(items)) from None
        return tuple(items)

    return replace(row, read=read, part=part, key=key)


def picked(path: str, where: Mapping[str, str], what: Row | Mapped[Any]) -> Row:
    """A row, or a part, of the first item of the list at `path` that has these words; read only.

    `picked("Phones", {"PhoneType": "MOBILE"}, text("PhoneNumber"))`. No such item: nothing.
    """
    listed = scalar("picked", path, (), lambda found: found)
    take = what.take if isinstance(what, Mapped) else what.read
    owned = what.owned_paths if isinstance(what, Mapped) else what.paths or (what.path,)

    def read(record: Any, scope: Scope) -> Any:
        for place, item in enumerate(listed.read(record, scope) or ()):
            if all(item.get(name) == word for name, word in where.items()):
                try:
                    return take(item, scope)
                except Fault as fault:
                    raise fault.in_part(path, place) from None
        return None

    return replace(
        listed,
        path="",
        paths=tuple(f"{path}[].{each}" for each in (*where, *owned)),
        ours=(what.model,) if isinstance(what, Mapped) else what.ours,
        read=read,
        write=None,
        access=Access.READ,
    )


def entries(path: str, *, without: Sequence[str] = ()) -> Row:
    """An object of free keys, such as metadata; `without` names keys that are none of the user's.

    Written key by key: only those that differ, and null for those that are gone.
    """
    hidden = frozenset(without)

    def into(found: Any) -> dict[str, Any]:
        if type(found) is not dict:
            raise Fault(f"expected an object at {{path}}, found {shape(found)}")
        return {
            name: value for name, value in found.items() if value is not None and name not in hidden
        }

    def back(ours: Mapping[str, Any]) -> dict[str, Any]:
        taken = sorted(hidden & set(ours))
        if taken:
            raise Fault(f"the name {taken[0]!r} is taken at {{path}}: use another")
        return dict(ours)

    return scalar("entries", path, (dict,), into, back)


def ref(path: str, *, to: str) -> Row:
    """The id of another record, of the resource `to`; goes through the link table if one is given.

    Read: an id without a link stays the provider's. Written: it is a `RecordError`.
    """

    def read_link(ours: Any, scope: Scope) -> Any:
        links = scope.context.links.get(to)
        return ours if links is None or ours is None else links.get(ours, ours)

    def write_link(ours: Any, scope: Scope) -> Any:
        links = scope.context.links_back.get(to)
        if links is None or ours is None:
            return ours
        if ours not in links:
            raise Fault(f"{ours!r} is linked to no {to}: push or link that one first")
        return links[ours]

    row = text(path)
    return replace(
        row,
        word="ref",
        read=lambda record, scope: read_link(row.read(record, scope), scope),
        write=lambda ours, _code, scope: write_link(ours, scope),
        to=to,
    )


def lookup(path: str, *, table: str) -> Row:
    """A code, through the tenant's code table of this name; `UnmappedCode` where it has no line.

    A tenant without that table uses the provider's own codes.
    """

    def through(tables: Mapping[str, Mapping[str, str]], code: Any, whose: str) -> Any:
        pairs = tables.get(table)
        if pairs is None or code is None:
            return code
        if code not in pairs:
            raise UnmappedCode(
                f"{whose} code {code!r} has no counterpart in the code table {table!r}: add a line",
                table=table,
                code=code,
            )
        return pairs[code]

    row = text(path)
    return replace(
        row,
        word="lookup",
        read=lambda record, scope: through(
            scope.context.codes, row.read(record, scope), "the provider's"
        ),
        write=lambda ours, _code, scope: through(scope.context.codes_back, ours, "our"),
        table=table,
    )
