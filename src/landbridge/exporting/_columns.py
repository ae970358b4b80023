"""The columns of a model, and a stored record as a row of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from landbridge.errors import RecordError
from landbridge.models.calendar import Moment
from landbridge.spec import CustomField, Overlaid, Resource
from landbridge.store.records import Stored


@dataclass(frozen=True, kw_only=True)
class Column:
    """One field. `word` is text, integer, flag, decimal, date, instant, json, part (its `inner`
    columns) or list (of its only inner one)."""

    name: str
    word: str
    inner: tuple[Column, ...] = ()
    default: Any = None


OWN = (
    Column(name="_connection", word="text"),
    Column(name="_key", word="text"),
    Column(name="_changed_at", word="instant"),
    Column(name="_deleted_at", word="instant"),
)
"""What every row begins with. `_key` is the record's key within its connection and resource;
`_deleted_at` is set when it is deleted, and the other columns say how it was last."""

RAW = Column(name="_raw", word="text")
"""The record as its provider sent it."""

_EXTRA = "extra__"
_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "integer",
    bool: "flag",
    Decimal: "decimal",
    date: "date",
    datetime: "instant",
    dict: "json",
}
_READ: Mapping[str, Callable[[Any], Any]] = {
    "decimal": Decimal,
    "date": date.fromisoformat,
    "instant": datetime.fromisoformat,
}


def columns_of(resource: Resource, *, raw: bool = False) -> tuple[Column, ...]:
    """The columns of an export of a resource, as its connection's page has it.

    Each custom field that is set has one beside `extra`, called `extra__` and its name. Without a
    model, or with `raw`, the last one is `RAW`.
    """
    maps = resource.maps
    if maps is None:
        return (*OWN, RAW)
    custom = [_custom(field) for field in maps.own] if isinstance(maps, Overlaid) else []
    every = (*OWN, *_of_struct(maps.model), *custom)
    return (*every, RAW) if raw else every


def row_of(columns: Sequence[Column], record: Stored) -> dict[str, Any]:
    """A record's values by column: text, int, bool, Decimal, date, datetime, dicts and lists.

    RecordError: it was stored by another mapping than that of the columns, and is not read again
    yet.
    """
    told = record.unified or {}
    extra = {f"{_EXTRA}{name}": value for name, value in told.get("extra", {}).items()}
    try:
        row = _values(columns, {**told, **extra})
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        raise RecordError(
            f"{record.resource} {record.key} does not fit its columns: it is not read by the"
            f" present mapping yet; do that by: landbridge remap {record.connection}"
        ) from None
    row["_connection"] = record.connection
    row["_key"] = record.key
    row["_changed_at"] = record.changed_at
    row["_deleted_at"] = record.deleted_at
    if RAW in columns:
        row["_raw"] = record.raw.decode(errors="replace")
    return row


def _custom(field: CustomField) -> Column:
    name = f"{_EXTRA}{field.name}"
    if field.word == "texts":
        return Column(name=name, word="list", inner=(Column(name="item", word="text"),))
    return Column(name=name, word="instant" if field.word == "unix" else field.word)


def _of_struct(model: type[msgspec.Struct]) -> tuple[Column, ...]:
    found = []
    for field in msgspec.structs.fields(model):
        default = field.default
        if default is msgspec.NODEFAULT:
            make = field.default_factory
            default = None if make is msgspec.NODEFAULT else make()
        made = _column(field.encode_name, field.type, msgspec.to_builtins(default))
        # A time on the wall is no instant: as one it would get an offset that nobody gave.
        wall = model is Moment and field.name == "local"
        found.append(Column(name=made.name, word="text") if wall else made)
    return tuple(found)


def _column(name: str, annotation: Any, default: Any = None) -> Column:
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (each for each in get_args(annotation) if each is not NoneType)
    base = get_origin(annotation) or annotation
    if base is tuple:
        inner = _column("item", get_args(annotation)[0])
        return Column(name=name, word="list", inner=(inner,), default=default or [])
    if issubclass(base, msgspec.Struct):
        return Column(name=name, word="part", inner=_of_struct(base))
    word = "text" if issubclass(base, Enum) else _WORDS.get(base, "text")
    return Column(name=name, word=word, default=default)


def _values(columns: Sequence[Column], told: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: _value(each, told.get(each.name, each.default)) for each in columns}


def _value(column: Column, told: Any) -> Any:
    if told is None:
        return None
    if column.word == "part":
        return _values(column.inner, told)
    if column.word == "list":
        return [_value(column.inner[0], item) for item in told]
    read = _READ.get(column.word)
    return told if read is None else read(told)
