"""The words of a mapping: each row ties one field of ours to one place of the provider's.

Left is our field, right the provider's path: `due_on=date("DueDate")`. A row reads and writes
unless it is wrapped in `read_only`, `write_only` or `on_create`. Rows for amounts, codes and parts
are in `amounts`, `links` and `parts`; all are reached through `landbridge.spec`.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

from landbridge.errors import SpecError
from landbridge.spec._paths import check_path, getter, keys_of
from landbridge.spec._scope import Fault, Scope, shape
from landbridge.spec._times import as_date, as_dotnet, as_instant, as_unix, iso

__all__ = [
    "Access",
    "Row",
    "boxed",
    "constant",
    "date",
    "decimal",
    "first_of",
    "flag",
    "instant",
    "integer",
    "lasting",
    "latest",
    "on_create",
    "one_of",
    "read_only",
    "text",
    "texts",
    "via",
    "write_only",
]

Reader = Callable[[Any, Scope], Any]
"""From a record (or a part of it) to our value; None: there is nothing."""
Writer = Callable[[Any, Any, Scope], Any]
"""From our value, the currency of its amount (else None) and the scope to the provider's value."""


class Access(StrEnum):
    """Which way a row goes."""

    BOTH = "both"
    READ = "read"
    WRITE = "write"
    CREATE = "create"
    """Read always, written only when the record is made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a mapping; made by the words of this package."""

    word: str
    path: str
    ours: tuple[type, ...]
    """The types of field that it can fill; none: any."""
    read: Reader
    write: Writer | None
    access: Access = Access.BOTH
    lasting: bool = False
    """Whether it can be changed but not cleared."""
    boxed: bool = False
    """Whether it is cleared with the object around it."""
    part: Any = None
    """The mapping of what is inside (`nested`, `many`)."""
    key: str = ""
    """The path, within an item, by which the provider knows items of a list."""
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The words, by their paths, of the items of a list that count; none: all do."""
    drops: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The words of items that the provider makes, and that are not to be sent back."""
    paths: tuple[str, ...] = ()
    """What it owns when that is more than `path`."""
    to: str = ""
    """The resource that a reference leads to."""
    table: str = ""
    """The code table of a lookup."""
    currency: str = ""
    """The path of the currency that an amount is in; `^` before it: of the outermost record."""
    unreached: tuple[Any, ...] = ()
    """Enum values that nothing leads to."""
    shown: Mapping[str, Any] = field(default_factory=dict)
    """The pairs of a `one_of`, for documentation."""
    when: tuple[str, str] | None = None
    """The path and the word without which it is not read."""
    echo: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    """What the provider shows elsewhere once it has taken some changes."""
    at: str = ""
    """Where it is written, if that is not `path`."""
    gone: Mapping[str, Any] = field(default_factory=dict)
    """What marks an item that goes, in a list of which only what changes is sent."""
    unless: str = ""
    """A field of ours in whose stead this is written: not where that one is set."""
    given: str = ""
    """A field of ours without which this is not written."""
    beside: tuple[str, ...] = ()
    """Other fields of ours that it writes too."""

    @property
    def owns(self) -> tuple[str, ...]:
        """The paths where it is shown."""
        return self.paths or ((self.path,) if self.path else ())

    @property
    def sends(self) -> tuple[str, ...]:
        """The paths where it is written, in the order of `owns`."""
        if not self.at:
            return self.owns
        return tuple(self.at + path.removeprefix(self.path) for path in self.owns)


def text(path: str, *, blank: bool = False, number: bool = False) -> Row:
    """Text as it is.

    `blank`: an empty text is nothing, and nothing is written as one. `number`: the provider has a
    whole number there, now and then as text; it is written as a number.
    """
    if blank:
        row = scalar("text", path, (str,), lambda found: _text(found) or None)
        return replace(row, write=lambda ours, _code, _scope: ours or "")
    if number:
        return scalar("text", path, (str,), _number_text, as_number)
    return scalar("text", path, (str,), _text)


def texts(path: str) -> Row:
    """A list of texts."""
    return scalar("texts", path, (tuple,), _texts, list)


def integer(path: str) -> Row:
    """A whole number."""
    return scalar("integer", path, (int,), _integer)


def decimal(path: str, *, as_text: bool = False) -> Row:
    """An exact decimal number; read from a number or text, written as text if `as_text`."""
    return scalar("decimal", path, (Decimal,), as_decimal, plain if as_text else None)


def flag(path: str, *, inverted: bool = False) -> Row:
    """True or false; `inverted` where the provider asks the opposite question."""
    if not inverted:
        return scalar("flag", path, (bool,), _flag)
    return scalar("flag", path, (bool,), lambda found: not _flag(found), lambda ours: not ours)


def date(path: str, *, unix: bool = False, at_end: bool = False, dotnet: bool = False) -> Row:
    """A date, from ISO text (a time behind it is cut off).

    With `dotnet` also from `/Date(1419937200000+0000)/`: its day in UTC; written as ISO text.

    With `unix`, from an instant in unix seconds: its day in UTC; written as the first second of
    that day, or the last one if `at_end`.
    """
    if unix:
        last = 86_399 if at_end else 0

        def write(ours: dt.date) -> int:
            begin = dt.datetime(ours.year, ours.month, ours.day, tzinfo=dt.UTC)
            return int(begin.timestamp()) + last

        return scalar("date", path, (dt.date,), lambda found: as_unix(found).date(), write)
    if dotnet:

        def of_dotnet(found: Any) -> dt.date:
            moment = as_dotnet(found)
            return as_date(found) if moment is None else moment.date()

        return scalar("date", path, (dt.date,), of_dotnet, dt.date.isoformat)
    return scalar("date", path, (dt.date,), as_date, dt.date.isoformat)


def instant(
    path: str,
    *,
    unix: bool = False,
    assume_utc: bool = False,
    dotnet: bool = False,
    zone: str = "",
) -> Row:
    """An instant in UTC, from ISO 8601 text with an offset, or from whole unix seconds.

    `assume_utc` takes text without an offset for UTC, `zone` for the local time of a zone such as
    `America/New_York` (the first of the two in the hour that comes twice); it is written in UTC all
    the same, so make such a row `read_only`. Fractions of a second are lost when unix
    seconds are written. `dotnet` also reads `/Date(1419937200000+0000)/`: milliseconds since 1970
    in UTC, whatever offset stands behind them.
    """
    if unix:
        return scalar("instant", path, (dt.datetime,), as_unix, lambda ours: int(ours.timestamp()))

    local = zone or ("UTC" if assume_utc else "")

    def read(found: Any) -> dt.datetime:
        moment = as_dotnet(found) if dotnet else None
        return as_instant(found, local) if moment is None else moment

    return scalar("instant", path, (dt.datetime,), read, iso)


def one_of(
    path: str,
    pairs: Mapping[Any, Any],
    *,
    never: Sequence[Any] = (),
    sent_at: str = "",
    sent_as: Mapping[Any, Any] = MappingProxyType({}),
) -> Row:
    """One of the provider's words (or whole numbers), each standing for a value of ours.

    Where it is shown at one path and set at another, `sent_at` is that path, and `sent_as` is what
    goes there for each value of ours that can be set; the others are a `RecordError`.

    Several words may stand for one value: the first of them is written back. Every value of our
    enum must be reached, or be named in `never`: the provider does not know it, and writing it is
    a `RecordError`. A word that is not listed is a `RecordError` too.
    """
    values = list(pairs.values())
    kinds = {type(value) for value in values}
    if len(kinds) != 1:
        raise SpecError(f"one_of({path!r}): list at least one word, all values of the same type")
    (kind,) = kinds
    known = list(kind) if issubclass(kind, Enum) else [True, False] if kind is bool else values
    unreached = tuple(value for value in known if value not in values and value not in never)
    back: dict[Any, Any] = {}
    for word, value in pairs.items():
        back.setdefault(value, word)

    def read(found: Any) -> Any:
        try:
            return pairs[found]
        except (KeyError, TypeError):
            seen = repr(found)[:40] if isinstance(found, str) else shape(found)
            raise Fault(f"{seen} at {{path}} is none of {', '.join(map(str, pairs))}") from None

    def write(ours: Any) -> Any:
        if ours not in back:
            raise Fault(f"the provider has no word for {str(ours)!r} at {{path}}")
        return back[ours]

    row = scalar("one_of", path, (kind,), read, write)
    row = replace(row, unreached=unreached, shown={str(word): pairs[word] for word in pairs})
    return _sent_elsewhere(row, sent_at, sent_as, back) if sent_at else row


def _sent_elsewhere(row: Row, at: str, sent: Mapping[Any, Any], back: Mapping[Any, Any]) -> Row:
    """The row, written at another path; what it shows then is what is read."""
    _demand(at)
    there = getter(at)
    shown = {each: back[ours] for ours, each in sent.items()}

    def write(ours: Any, _code: Any, _scope: Scope) -> Any:
        if ours not in sent:
            raise Fault(f"the provider has no word for {str(ours)!r} at {at}")
        return {at: sent[ours]}

    def echo(changes: Mapping[str, Any]) -> Mapping[str, Any]:
        told = there(changes)
        return {row.path: shown[told]} if told in shown else {}

    return replace(row, path="", paths=(row.path, at), write=write, echo=echo)


def first_of(*rows: Row) -> Row:
    """What the first of these rows has that has anything; never written."""

    def read(record: Any, scope: Scope) -> Any:
        return next((found for row in rows if (found := row.read(record, scope)) is not None), None)

    if not rows:
        raise SpecError("first_of(): name at least one row")
    return Row(
        word="first_of",
        path=rows[0].path,
        ours=rows[0].ours,
        read=read,
        write=None,
        access=Access.READ,
        paths=tuple(path for row in rows for path in row.paths or (row.path,) if path),
    )


def latest(*rows: Row) -> Row:
    """The greatest of what these rows have, such as the later of two days; never written."""
    first = first_of(*rows)

    def read(record: Any, scope: Scope) -> Any:
        every = [found for row in rows if (found := row.read(record, scope)) is not None]
        return max(every, default=None)

    return replace(first, word="latest", read=read)


def constant(value: Any) -> Row:
    """Always this value: the provider does not say it, because it is never anything else."""
    return Row(
        word="constant",
        path="",
        ours=(type(value),),
        read=lambda _record, _scope: value,
        write=None,
        access=Access.READ,
    )


_NOBODY: Mapping[str, Row] = {}


def via(
    *,
    read: Callable[[Any], Any],
    write: Callable[..., Mapping[str, Any]] | None = None,
    paths: Sequence[str],
    beside: Mapping[str, Row] = _NOBODY,
) -> Row:
    """A last resort: two functions, and the paths that they own.

    `read` gets the record and gives our value or None; `write` gets our value (None: cleared) and
    gives the provider's fields as nested objects. Whatever `read` raises parks the record.

    `beside` names other fields of the outermost model, each with the row that writes it: `write`
    gets them too, by their names, as the provider has them (an amount that stands in two places).
    """
    for path in paths:
        _demand(path)

    def back(ours: Any, _code: Any, scope: Scope) -> Any:
        assert write is not None
        told = {name: _beside(row, name, scope) for name, row in beside.items()}
        return write(ours, **told)

    return Row(
        word="via",
        path="",
        ours=(),
        read=lambda record, _scope: read(record),
        write=None if write is None else back,
        access=Access.READ if write is None else Access.BOTH,
        paths=tuple(paths),
        beside=tuple(beside),
    )


def _beside(row: Row, name: str, scope: Scope) -> Any:
    """What another row of the outermost model writes."""
    assert row.write is not None
    code = scope.codes.get(row.currency.removeprefix("^")) if row.currency else None
    return row.write(getattr(scope.around, name), code, scope)


def read_only(row: Row) -> Row:
    """The row, never written: the provider decides."""
    return replace(row, access=Access.READ)


def write_only(row: Row) -> Row:
    """The row, never read: the provider takes it and does not show it again."""
    return replace(row, access=Access.WRITE)


def on_create(row: Row) -> Row:
    """The row, written only when the record is made; changing it later is a `RecordError`."""
    return replace(row, access=Access.CREATE)


def boxed(row: Row) -> Row:
    """The row, cleared with the object around it: `boxed(text("TaxCodeRef.value"))` where a
    reference without a value is none."""
    around = row.path.rpartition(".")[0]
    if not around:
        raise SpecError(f"boxed: there is no object around {row.path!r}")
    return replace(row, boxed=True, paths=(around,))


def lasting(row: Row) -> Row:
    """The row, never cleared: once set it can be changed, not taken away (a `RecordError`)."""
    return replace(row, lasting=True)


@dataclass(frozen=True, slots=True)
class Scalar:
    """Reads one value that needs nothing but itself. Mappings read most of them without a call:
    what is at `name`, when it is of the type `kind` already."""

    follow: Callable[[Any], Any]
    into: Callable[[Any], Any]
    name: str
    """The path, if it is a single key."""
    kind: type | None
    """The type that `into` gives back as it is."""

    def __call__(self, record: Any, _scope: Scope) -> Any:
        """Our value; None: there is nothing."""
        found = self.follow(record)
        return None if found is None else self.into(found)


def scalar(
    word: str,
    path: str,
    ours: tuple[type, ...],
    into: Callable[[Any], Any],
    back: Callable[[Any], Any] | None = None,
) -> Row:
    """A row for one value that needs nothing but itself; `back` None: written as it is."""
    _demand(path)

    def write(value: Any, _code: Any, _scope: Scope) -> Any:
        return value if value is None or back is None else back(value)

    read = Scalar(
        follow=getter(path),
        into=into,
        name=path if len(keys_of(path)) == 1 else "",
        kind=_AS_THEY_ARE.get(into),
    )
    return Row(word=word, path=path, ours=ours, read=read, write=write)


def _demand(path: str) -> None:
    problem = check_path(path)
    if problem:
        raise SpecError(problem)


def _text(found: Any) -> str:
    if type(found) is str:
        return found
    raise Fault(f"expected text at {{path}}, found {shape(found)}")


def _number_text(found: Any) -> str | None:
    if type(found) is int:
        return str(found)
    return _text(found) or None


def as_number(ours: str) -> int | str:
    """The whole number that a text is in digits; any other text as it is."""
    return int(ours) if ours.isascii() and ours.isdecimal() and str(int(ours)) == ours else ours


def _texts(found: Any) -> tuple[str, ...]:
    if type(found) is not list:
        raise Fault(f"expected a list of texts at {{path}}, found {shape(found)}")
    return tuple([_text(item) for item in found])


def _integer(found: Any) -> int:
    if type(found) is int:
        return found
    raise Fault(f"expected a whole number at {{path}}, found {shape(found)}")


def _flag(found: Any) -> bool:
    if type(found) is bool:
        return found
    raise Fault(f"expected true or false at {{path}}, found {shape(found)}")


_AS_THEY_ARE: Mapping[Callable[[Any], Any], type] = {_text: str, _integer: int, _flag: bool}


def as_decimal(found: Any) -> Decimal:
    """An exact number from JSON's number or text."""
    kind = type(found)
    try:
        if kind is Decimal or kind is int or kind is str:
            number = Decimal(found)
            if number.is_finite():
                return number
        elif kind is float:
            return Decimal(str(found))
    except InvalidOperation:
        pass
    raise Fault(f"expected a decimal number at {{path}}, found {shape(found)}")


def plain(number: Decimal) -> str:
    """The number in digits, without an exponent."""
    return format(number, "f")
