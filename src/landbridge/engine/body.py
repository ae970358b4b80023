"""The body of an event as every delivery sends it: rendered once, in JSON that says the truth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from landbridge.errors import InvalidInput


class _Body(msgspec.Struct):
    """The payload as Standard Webhooks suggests it."""

    type: str
    timestamp: datetime
    data: Any


def render(event_type: str, at: datetime, data: object) -> bytes:
    """`{"type": ..., "timestamp": ..., "data": ...}` with the keys of `data` sorted.

    InvalidInput names by its path what JSON cannot say, such as `data.lines[2].amount`.
    """
    body = _Body(type=event_type, timestamp=at, data=data)
    try:
        payload = msgspec.json.encode(body, enc_hook=encoded, order="deterministic")
    except RecursionError:
        raise too_deep() from None
    except (TypeError, ValueError) as error:
        place, problem = fault(data) or ("", str(error))
        raise _unsaid(place, problem) from None
    # A float that is no number renders as null; NUL breaks receivers that keep text in Postgres.
    suspect = (
        b"null" in payload or b"\\u0000" in payload or b"NaN" in payload or b"Infinity" in payload
    )
    if suspect and (found := fault(data)):
        raise _unsaid(*found)
    return payload


def is_document(data: object) -> bool:
    """Whether it can be the data of an event: something with parts, not a bare text or number."""
    return (
        type(data) is dict  # the usual one, asked without going through abstract classes
        or isinstance(data, Mapping | list | tuple | msgspec.Struct)
        or (is_dataclass(data) and not isinstance(data, type))
        or hasattr(data, "model_dump")
    )


def encoded(value: Any) -> Any:
    """What msgspec does not know by itself: pydantic models, and mappings that are no dict."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def fault(value: Any) -> tuple[str, str] | None:
    """Where in the value something cannot be rendered truly (`.lines[3].amount`), and why."""
    if isinstance(value, str):
        problem = text_problem(value)
        return ("", problem) if problem else None
    if value is None or isinstance(value, int):
        return None
    if isinstance(value, float | Decimal):
        return None if math.isfinite(value) else ("", f"{value} is no number")
    parts = _parts(value)
    if parts is None:
        return _leaf_fault(value)
    named = isinstance(value, Mapping)
    for key, inner in parts:
        if named and not isinstance(key, str):
            return "", f"a key of it is {type(key).__name__}, text is needed"
        if named and (problem := text_problem(key)):
            return "", f"a key of it: {problem}"
        found = fault(inner)
        if found is not None:
            return step(key) + found[0], found[1]
    return None


def step(key: str | int) -> str:
    """One step of a path: `.name` or `[3]`."""
    return f"[{key}]" if isinstance(key, int) else f".{key}"


def text_problem(text: str) -> str:
    """Why Postgres or JSON would not take this text; empty where they do."""
    if "\x00" in text:
        return "it holds a NUL character"
    if text.isascii():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair"
    return ""


def too_deep() -> InvalidInput:
    """The error about data that no end is found of."""
    return InvalidInput("data: it is nested too deep, or it holds itself")


def _unsaid(place: str, problem: str) -> InvalidInput:
    return InvalidInput(f"data{place}: {problem}; event data is what JSON can say")


def _parts(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """What a value is made of, by name or place; None: it has no parts."""
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list | tuple | set | frozenset):
        return enumerate(value)
    if isinstance(value, msgspec.Struct):
        return ((name, getattr(value, name)) for name in value.__struct_fields__)
    if is_dataclass(value) and not isinstance(value, type):
        return ((each.name, getattr(value, each.name)) for each in fields(value))
    if hasattr(value, "model_dump"):
        dumped: dict[str, Any] = value.model_dump(mode="json")
        return dumped.items()
    return None


def _leaf_fault(value: Any) -> tuple[str, str] | None:
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError):
        return "", f"{type(value).__name__} has no form in JSON"
    return None
