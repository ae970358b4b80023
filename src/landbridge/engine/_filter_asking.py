"""Asks a filter of a body in Python, with the answers that Postgres's jsonpath gives (lax mode).

Where a path meets an array its elements are looked at; the filter does so once more at the end of
the path, and each comparison once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from landbridge.engine._filter_nodes import All, At, Node, Not, Scalar, Some, kind, text_problem

_NUMERIC = (131_071, -16_383)  # the highest and the lowest place of a digit in Postgres's numeric


class Unaskable(Exception):
    """The body is nothing that jsonb takes."""


def holds(node: Node, body: Any) -> bool:
    """Whether the filter holds for a body of `read_body`."""
    match node:
        case At(path=path, tests=tests):
            found = _found(path, body)
            if not tests:
                return bool(found)
            return any(
                all(_fits(word, values, each) for word, values in tests)
                for each in _unwrapped(found)
            )
        case All(parts=parts):
            return all(holds(each, body) for each in parts)
        case Some(parts=parts):
            return any(holds(each, body) for each in parts)
        case Not(part=part):
            return not holds(part, body)


def _found(path: Sequence[str], body: Any) -> list[Any]:
    items = [body]
    for key in path:
        owners = (each for each in _unwrapped(items) if isinstance(each, dict))
        items = [each[key] for each in owners if key in each]
    return items


def _unwrapped(items: Iterable[Any]) -> Iterator[Any]:
    for each in items:
        if isinstance(each, list):
            yield from each
        else:
            yield each


def _fits(word: str, values: Sequence[Scalar], item: Any) -> bool:
    there = list(_unwrapped([item]))
    return any(_compare(word, each, value) for each in there for value in values)


def _compare(word: str, there: Any, value: Scalar) -> bool:
    if kind(there) != kind(value):
        return False
    if word == "in":
        return bool(_exact(there) == _exact(value))
    if word == "prefix":
        return bool(there.startswith(value))
    left, right = _exact(there), _exact(value)
    match word:
        case "gt":
            return bool(left > right)
        case "gte":
            return bool(left >= right)
        case "lt":
            return bool(left < right)
        case _:
            return bool(left <= right)


def _exact(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


def read_body(body: bytes) -> Any:
    """The body as jsonb would hold it; `Unaskable` if it would not, or if it only says where the
    body is fetched."""
    try:
        read = _takes(
            json.loads(
                body.decode(),
                parse_float=_number,
                parse_int=_number,
                parse_constant=_refused,
                object_pairs_hook=_members,
            )
        )
    except (ValueError, RecursionError, ArithmeticError):
        raise Unaskable from None
    data = read.get("data") if isinstance(read, dict) else None
    if isinstance(data, dict) and data.keys() >= {"$ref", "sha256"}:
        raise Unaskable
    return read


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, value in pairs:
        _takes(key)
        _takes(value)
    return dict(pairs)


def _takes(value: Any) -> Any:
    """The value, if jsonb takes its text; objects have been looked at before."""
    if isinstance(value, str) and text_problem(value):
        raise Unaskable
    if isinstance(value, list):
        for each in value:
            _takes(each)
    return value


def _number(text: str) -> Decimal:
    number = Decimal(text)
    highest, lowest = _NUMERIC
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or number.adjusted() > highest or exponent < lowest:
        raise Unaskable
    return number


def _refused(_: str) -> Any:
    raise Unaskable
