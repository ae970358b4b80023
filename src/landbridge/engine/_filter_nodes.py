"""What a filter consists of, once it is read."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Scalar = str | int | float | bool | None
ORDERS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(frozen=True, kw_only=True)
class At:
    """One value at the path passes all of these tests; no test: something is there."""

    path: tuple[str, ...]
    tests: tuple[tuple[str, tuple[Scalar, ...]], ...] = ()


@dataclass(frozen=True, kw_only=True)
class All:
    """Every part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True)
class Some:
    """At least one part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True)
class Not:
    """The part does not hold."""

    part: Node


Node = At | All | Some | Not


def kind(value: Any) -> str:
    """null, boolean, number, text or other; only values of one kind are compared."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float() | Decimal():
            return "number"
        case str():
            return "text"
    return "other"


def text_problem(text: str) -> str:
    """Why jsonb does not take this text; empty if it does."""
    if "\x00" in text:
        return "it holds the character NUL"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return "it holds half of a surrogate pair"
    return ""
