"""The checks on a mapping when it is imported: each row against the field that it fills."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

import msgspec

from landbridge.errors import SpecError, did_you_mean
from landbridge.spec._paths import within
from landbridge.spec._scope import shape
from landbridge.spec.rows import Access, Row


class Tie(NamedTuple):
    """One field of the model with its row."""

    name: str
    row: Row
    required: bool


_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "integer, minor or major",
    Decimal: "decimal or minor_price",
    bool: "flag",
    date: "date",
    datetime: "instant",
    tuple: "many or texts",
    dict: "entries",
}


def ties(model: type[msgspec.Struct], rows: Mapping[str, Row]) -> tuple[Tie, ...]:
    """The fields of the model that have a row, in the rows' order; `SpecError` on any mistake."""
    fields = {one.name: one for one in msgspec.structs.fields(model)}
    for name, row in rows.items():
        where = f"{model.__name__}.{name}"
        if name not in fields:
            raise SpecError(f"{model.__name__} has no field {name!r}.{did_you_mean(name, fields)}")
        if not isinstance(row, Row):
            raise SpecError(f"{where}: expected a row such as text(...), found {shape(row)}")
        _fits(where, row, fields[name].type)
        for word, other in (("unless", row.unless), ("alongside", row.given)):
            if other and other not in rows:
                raise SpecError(f"{where}: {word}: no row for {other!r}")
        if row.unreached:
            missing = ", ".join(str(getattr(one, "name", one)) for one in row.unreached)
            raise SpecError(
                f"{where}: no word leads to {missing}; list one, or name it in never=[...]"
            )
    for name, one in fields.items():
        needed = one.required and (name not in rows or rows[name].access is Access.WRITE)
        if needed:
            raise SpecError(f"{model.__name__}.{name} is required and has no row that reads it")
    _distinct(model.__name__, rows)
    for name, row in rows.items():
        _has_currency(f"{model.__name__}.{name}", row, rows)
    return tuple(Tie(name, row, fields[name].required) for name, row in rows.items())


def writes(row: Row) -> bool:
    """Whether the row ever writes."""
    if row.part is not None and not row.part.written:
        return False
    return row.access is not Access.READ and (row.write is not None or row.part is not None)


def written(rows: Mapping[str, Row]) -> Iterator[tuple[str, str]]:
    """Every path that is written, with our field; a list counts as one."""
    for name, row in rows.items():
        if not writes(row):
            continue
        if row.word in ("nested", "spread", "itself"):
            for path in row.part.written:
                yield name, within(row.at or row.path, path)
        else:
            for path in row.sends:
                yield name, path


def _fits(where: str, row: Row, annotation: Any) -> None:
    kind = _plain(annotation)
    base = get_origin(kind) or kind
    if not row.ours or base in row.ours:
        inside = get_args(kind)[0] if base is tuple else base
        inner = row.part and row.part.model
        expected = {"many": inner, "itself": inner, "texts": str}.get(row.word)
        if expected is not None and expected is not inside:
            raise SpecError(
                f"{where} holds {inside.__name__}, but the row gives {expected.__name__}"
            )
        return
    better = _WORDS.get(base, "")
    if isinstance(base, type) and issubclass(base, Enum):
        better = "one_of"
    elif isinstance(base, type) and issubclass(base, msgspec.Struct):
        better = "nested"
    gives = " or ".join(one.__name__ for one in row.ours)
    raise SpecError(
        f"{where} holds {base.__name__}, but {row.word} gives {gives}: use {better or 'via'}"
    )


def _plain(annotation: Any) -> Any:
    """The type without None."""
    if get_origin(annotation) in (Union, UnionType):
        options = [one for one in get_args(annotation) if one is not NoneType]
        return options[0]
    return annotation


def _distinct(model: str, rows: Mapping[str, Row]) -> None:
    """No place may be written by two rows, unless at most one of them ever has a value."""
    seen: list[tuple[str, str]] = []
    for name, path in written(rows):
        for other, taken in seen:
            if path == taken and _apart(rows[name], rows[other]):
                continue
            if path == taken or path.startswith(f"{taken}.") or taken.startswith(f"{path}."):
                raise SpecError(
                    f"{model}: {other} and {name} both write {path}; make one of them read_only"
                )
        seen.append((name, path))


def _apart(one: Row, other: Row) -> bool:
    """Whether two rows are of different words at one path (`when`), and neither is changed."""
    if one.when is None or other.when is None:
        return False
    (path, word), (there, another) = one.when, other.when
    made = one.access is Access.CREATE and other.access is Access.CREATE
    return made and path == there and word != another


def _has_currency(where: str, row: Row, rows: Mapping[str, Row]) -> None:
    """An amount that is written needs to know its currency from the same model."""
    if not row.currency or row.currency.startswith("^") or not writes(row):
        return
    owners = [one.path for one in rows.values() if one.word in ("currency", "text")]
    if row.currency not in owners:
        raise SpecError(
            f"{where}: no row reads the currency at {row.currency}"
            f".{did_you_mean(row.currency, owners)}"
        )
