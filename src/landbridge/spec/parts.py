"""Rows for what is more than one value: parts, lists of parts, custom fields, references, codes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit

from landbridge.errors import SpecError, UnmappedCode
from landbridge.spec._paths import check_path, getter, has_words, keys_of, within
from landbridge.spec._scope import Fault, Scope, shape
from landbridge.spec.mapping import Mapped
from landbridge.spec.rows import Access, Row, as_decimal, plain, scalar, text

__all__ = [
    "alongside",
    "copied",
    "entries",
    "itself",
    "linked",
    "lone",
    "lookup",
    "many",
    "nested",
    "picked",
    "ref",
    "sent",
    "spread",
    "when",
]

_ALL: Mapping[str, Sequence[str]] = {}
_NOTHING: Mapping[str, Any] = {}


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


def spread(part: Mapped[Any]) -> Row:
    """A part of ours whose fields lie in the record itself (`p_street`, `p_city`); none of them:
    None."""
    row = scalar("spread", "spread", (part.model,), lambda found: found)
    nothing = part.model()

    def read(record: Any, scope: Scope) -> Any:
        found = part.take(record, scope)
        return None if found == nothing else found

    return replace(row, path="", read=read, part=part)


def itself(part: Mapped[Any], *, changes: bool = False) -> Row:
    """A list of one part, which the record itself is (an expense without lines).

    Written with more or fewer, it is a `RecordError`. Without `changes` it is written only when the
    record is made.
    """
    row = scalar("itself", "itself", (tuple,), lambda found: found)
    return replace(
        row,
        path="",
        read=lambda record, scope: (part.take(record, scope),),
        write=None,
        part=part,
        access=Access.BOTH if changes else Access.CREATE,
    )


def many(
    path: str,
    part: Mapped[Any],
    *,
    key: str = "",
    where: Mapping[str, Sequence[str]] = _ALL,
    drops: Mapping[str, Sequence[str]] = _ALL,
) -> Row:
    """A list of parts, written whole whenever one of them differs.

    `key` is the path, within an item, by which the provider recognises it; it goes along when the
    list is written. Without a key items are the same when they stand in the same place.

    `where` holds words by their paths: only items that have one of them are read
    (`{"DetailType": ["Sale"]}`), a new item is written with the first of them, and other items stay
    as they are, behind ours. Of those, items with the words in `drops` are the provider's own (a
    sum, say) and go when the list is written.
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
            if where and not has_words(item, where):
                continue
            try:
                items.append(part.take(item, scope))
            except Fault as fault:
                raise fault.in_part(path, len(items)) from None
        return tuple(items)

    _check_words(path, where, drops)
    return replace(row, read=read, part=part, key=key, where=where, drops=drops)


def _check_words(
    path: str, where: Mapping[str, Sequence[str]], drops: Mapping[str, Sequence[str]]
) -> None:
    for each, words in (*where.items(), *drops.items()):
        problem = check_path(each) or ("" if words else f"{each} has no word")
        if problem:
            raise SpecError(f"many({path!r}): where and drops: {problem}")
    if drops and not where:
        raise SpecError(f"many({path!r}): drops: without `where` all items are ours")


def sent(row: Row, *, at: str, gone: Mapping[str, Any] = _NOTHING, unless: str = "") -> Row:
    """The row, read at its own path and written at another one.

    `sent(ref("price.id", to="price"), at="price")`. `gone`, of a list with a key: the provider
    leaves items alone that are not named again; those that are to go are sent with this. `unless`:
    a field of ours that says it too, so it is not written where that one is set.
    """
    problem = check_path(at) or ("" if row.path else f"{row.word} has no path of its own")
    if gone and not row.key:
        problem = problem or "gone: only items with a key can be named again"
    if problem:
        raise SpecError(f"sent({row.path!r}): {problem}")
    return replace(row, at=at, gone=gone, unless=unless)


def alongside(row: Row, other: str) -> Row:
    """The row, written only where that other field of ours is set: a quantity of a price."""
    return replace(row, given=other)


def picked(
    path: str, where: Mapping[str, str], what: Row | Mapped[Any], *, last: bool = False
) -> Row:
    """A row, or a part, of the first item of the list at `path` that has these words; read only.

    `picked("Phones", {"PhoneType": "MOBILE"}, text("PhoneNumber"))`. No such item: nothing. `last`:
    of the last such item.
    """
    listed = scalar("picked", path, (), lambda found: found)
    take = what.take if isinstance(what, Mapped) else what.read
    owned = what.owned_paths if isinstance(what, Mapped) else what.paths or (what.path,)

    def read(record: Any, scope: Scope) -> Any:
        items = [*enumerate(listed.read(record, scope) or ())]
        for place, item in reversed(items) if last else items:
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


def lone(path: str, part: Mapped[Any]) -> Row:
    """A list of the one part that is at `path`; read only."""
    row = scalar("lone", path, (tuple,), lambda found: found)
    only = nested(path, part)

    def read(record: Any, scope: Scope) -> Any:
        found = only.read(record, scope)
        return None if found is None else (found,)

    return replace(
        row,
        path="",
        paths=tuple(within(path, each) for each in part.owned_paths),
        read=read,
        write=None,
        access=Access.READ,
    )


def linked(path: str, *, rel: str, to: str, hole: str) -> Row:
    """The id of another record, the last part of the address in a list of links (HATEOAS).

    Read from the `href` of the link whose `rel` it is, in the list at `path`. Written only when the
    record is made, as the `hole` of the address where that is done (`Write.path`); as `ref` it goes
    through the link table of the resource `to`.
    """
    link = picked(path, {"rel": rel}, text("href"))
    through = ref(hole, to=to)

    def read(record: Any, scope: Scope) -> Any:
        address = link.read(record, scope)
        key = unquote(urlsplit(address).path.rpartition("/")[2]) if address else ""
        return through.read({keys_of(hole)[0]: key}, scope) if key else None

    return replace(through, word="linked", read=read, access=Access.CREATE)


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


def ref(path: str, *, to: str, number: bool = False) -> Row:
    """The id of another record, of the resource `to`; goes through the link table if one is given.

    Read: an id without a link stays the provider's. Written: it is a `RecordError`. `number`: the
    provider has a whole number there, as in `text`.
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

    row = text(path, number=number)
    back = row.write
    assert back is not None
    return replace(
        row,
        word="ref",
        read=lambda record, scope: read_link(row.read(record, scope), scope),
        write=lambda ours, code, scope: back(write_link(ours, scope), code, scope),
        to=to,
    )


def when(path: str, word: str, row: Row) -> Row:
    """The row, read only where the provider's word at `path` is this one.

    Rows of one mapping with different words there may share a place (the document that a payment
    settles, which is an invoice or a bill), if they are written only when the record is made.
    Whoever sets two of them is told so (a `RecordError`).
    """
    problem = check_path(path)
    if problem:
        raise SpecError(f"when: {problem}")
    told = getter(path)
    return replace(
        row,
        read=lambda record, scope: row.read(record, scope) if told(record) == word else None,
        when=(path, word),
    )


def lookup(path: str, *, table: str, number: bool = False) -> Row:
    """A code, through the tenant's code table of this name; `UnmappedCode` where it has no line.

    A tenant without that table uses the provider's own codes, but a word of ours (`Context.own`) is
    never written as one. `number`: the provider has a whole
    number there, as in `text`.
    """
    row = text(path, number=number)
    return _through(row, table)


def copied(name: str, percent: str, *, table: str = "") -> Row:
    """A tax that a provider's lines copy instead of naming it: its code is `HST 13`, made of the
    name and the percentage; through the code table, where one is named. No name: no tax."""
    named, rated = text(name, blank=True), scalar("decimal", percent, (Decimal,), as_decimal)

    def read(record: Any, scope: Scope) -> str | None:
        told, rate = named.read(record, scope), rated.read(record, scope)
        return None if told is None else f"{told} {plain((rate or Decimal(0)).normalize())}"

    def write(ours: Any, _code: Any, _scope: Scope) -> Any:
        if ours is None:
            return {name: None, percent: None}
        told, _, rate = ours.rpartition(" ")
        try:
            return {name: told, percent: plain(as_decimal(rate))}
        except Fault:
            raise Fault(f"{ours!r} is no tax like 'HST 13', a name and a percentage") from None

    row = replace(
        scalar("copied", name, (str,), lambda found: found),
        path="",
        paths=(name, percent),
        read=read,
        write=write,
    )
    return _through(row, table) if table else row


def _through(row: Row, table: str) -> Row:
    """The row, whose value goes through the tenant's code table."""

    def through(tables: Mapping[str, Mapping[str, str]], code: Any, whose: str) -> Any:
        pairs = tables.get(table)
        if pairs is None or code is None:
            return code
        if code not in pairs:
            raise unmapped(code, whose)
        return pairs[code]

    def unmapped(code: str, whose: str) -> UnmappedCode:
        return UnmappedCode(
            f"{whose} code {code!r} has no counterpart in the code table {table!r}: add a line"
            f" (landbridge codes set CONNECTION {table} THEIRS=OURS)",
            table=table,
            code=code,
        )

    def through_back(ours: Any, scope: Scope) -> Any:
        if table not in scope.context.codes and ours in scope.context.own.get(table, ()):
            raise unmapped(ours, "our")
        return through(scope.context.codes_back, ours, "our")

    back = row.write
    assert back is not None
    return replace(
        row,
        word="lookup",
        read=lambda record, scope: through(
            scope.context.codes, row.read(record, scope), "the provider's"
        ),
        write=lambda ours, code, scope: back(through_back(ours, scope), code, scope),
        table=table,
    )
