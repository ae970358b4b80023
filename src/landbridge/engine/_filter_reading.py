"""Reads the JSON of a filter, and says where in it something is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from landbridge.engine._filter_nodes import (
    ORDERS,
    All,
    At,
    Node,
    Not,
    Scalar,
    Some,
    kind,
    text_problem,
)
from landbridge.errors import InvalidInput, did_you_mean

MOST_BYTES = 8192
_MOST_CONDITIONS = 100
_MOST_VALUES = 100
_DEEPEST = 8
_LONGEST_PATH = 16
_MOST_DIGITS = 309  # as many as the largest double has
_WORDS = ("eq", "ne", "in", "not_in", *ORDERS, "prefix", "exists")
_GROUPS = ("any", "all", "not")
_SEGMENT = re.compile(r'"(?:[^"\\]|\\.)*"|[^."\\]+', re.DOTALL)


class Reader:
    """Reads one filter, and counts its conditions."""

    def __init__(self) -> None:
        self._conditions = 0

    def group(self, given: Any, place: str, depth: int) -> Node:
        """All entries of an object."""
        if not isinstance(given, Mapping):
            raise InvalidInput(
                f"{place}: it is {_called(given)}, an object such as"
                ' {"data.status": "paid"} is needed'
            )
        if not given:
            raise InvalidInput(f"{place}: it is empty; give a condition, or no filter at all")
        if depth > _DEEPEST:
            raise InvalidInput(f"{place}: it is nested more than {_DEEPEST} deep; make it flatter")
        parts = [self._entry(name, given[name], place, depth) for name in given]
        return parts[0] if len(parts) == 1 else All(parts=tuple(parts))

    def _entry(self, name: Any, given: Any, place: str, depth: int) -> Node:
        here = f"{place}.{name}"
        if name == "not":
            return Not(part=self.group(given, here, depth + 1))
        if name in _GROUPS:
            if not isinstance(given, list | tuple) or not given:
                raise InvalidInput(f"{here}: a list of filters is needed, such as [{{...}}, ...]")
            parts = tuple(
                self.group(each, f"{here}[{number}]", depth + 1)
                for number, each in enumerate(given)
            )
            return Some(parts=parts) if name == "any" else All(parts=parts)
        return self._condition(_path(name, here), given, here)

    def _condition(self, path: tuple[str, ...], given: Any, here: str) -> Node:
        self._conditions += 1
        if self._conditions > _MOST_CONDITIONS:
            raise InvalidInput(f"{here}: more than {_MOST_CONDITIONS} conditions; use fewer")
        if not isinstance(given, Mapping):
            word = "in" if isinstance(given, list | tuple) else "eq"
            return At(path=path, tests=(_read_test(word, given, here),))
        if not given:
            raise InvalidInput(f"{here}: it is empty; give a comparison such as {{'gte': 10}}")
        tests: list[tuple[str, tuple[Scalar, ...]]] = []
        parts: list[Node] = []
        for word, value in given.items():
            at = f"{here}.{word}"
            if word in ("ne", "not_in"):
                no = _read_test("eq" if word == "ne" else "in", value, at)
                parts.append(Not(part=At(path=path, tests=(no,))))
            elif word == "exists":
                parts.append(_read_exists(path, value, at))
            else:
                tests.append(_read_test(word, value, at))
        if tests:
            parts.insert(0, At(path=path, tests=tuple(tests)))
        return parts[0] if len(parts) == 1 else All(parts=tuple(parts))


def _read_exists(path: tuple[str, ...], value: Any, at: str) -> Node:
    if not isinstance(value, bool):
        raise InvalidInput(f"{at}: it is {_called(value)}, true or false is needed")
    return At(path=path) if value else Not(part=At(path=path))


def _read_test(word: str, value: Any, at: str) -> tuple[str, tuple[Scalar, ...]]:
    if word not in _WORDS:
        raise InvalidInput(
            f"{at}: {word!r} is none of {', '.join(_WORDS)}.{did_you_mean(str(word), _WORDS)}"
        )
    if word == "eq":
        return "in", (_scalar(value, at),)
    if word == "in" or (word == "prefix" and isinstance(value, list | tuple)):
        return word, _several(value, at, _prefix if word == "prefix" else _scalar)
    if word == "prefix":
        return word, (_prefix(value, at),)
    found = _scalar(value, at)
    if kind(found) not in ("number", "text"):
        raise InvalidInput(f"{at}: it is {_called(value)}, a number or text is needed")
    return word, (found,)


def _several(value: Any, at: str, read: Callable[[Any, str], Scalar]) -> tuple[Scalar, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= _MOST_VALUES:
        raise InvalidInput(f"{at}: a list of 1 to {_MOST_VALUES} values is needed")
    return tuple(read(each, f"{at}[{number}]") for number, each in enumerate(value))


def _prefix(value: Any, at: str) -> str:
    found = _scalar(value, at)
    if not isinstance(found, str) or not found:
        raise InvalidInput(f"{at}: it is {_called(value)}, text of at least a letter is needed")
    return found


def _scalar(value: Any, at: str) -> Scalar:
    if isinstance(value, str):
        if problem := text_problem(value):
            raise InvalidInput(f"{at}: {problem}, which no event's body can have; leave it out")
        return value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return _plain_number(value, at)
    raise InvalidInput(
        f"{at}: it is {_called(value)}; text, a number, true, false or null is needed"
    )


def _plain_number(value: float | Decimal, at: str) -> int | float:
    """The number as JSON writes it everywhere alike: whole, or with as many digits as a double."""
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise InvalidInput(f"{at}: it is not a finite number, which JSON does not have")
    whole = number == number.to_integral_value()
    if number.adjusted() >= _MOST_DIGITS:
        raise InvalidInput(f"{at}: it has more than {_MOST_DIGITS} digits; give it as text")
    if isinstance(value, float):
        return value
    if whole:
        return int(number)
    if Decimal(repr(float(number))) != number:
        raise InvalidInput(f"{at}: it has more digits than a number in JSON keeps; round it to 15")
    return float(number)


def _path(name: Any, here: str) -> tuple[str, ...]:
    """The keys of a path, one after the other."""
    hint = 'write keys with dots between, and a key that holds a dot as "data.\\"a.b\\""'
    if not isinstance(name, str):
        raise InvalidInput(f"{here}: a place is text; {hint}")
    keys, at = [], 0
    while True:
        found = _SEGMENT.match(name, at)
        if found is None or (found.end() < len(name) and name[found.end()] != "."):
            raise InvalidInput(f"{here}: this place cannot be read; {hint}")
        keys.append(_key(found.group(), here))
        if found.end() == len(name):
            break
        at = found.end() + 1
    if len(keys) > _LONGEST_PATH:
        raise InvalidInput(f"{here}: it has {len(keys)} keys, {_LONGEST_PATH} are the most")
    return tuple(keys)


def _key(text: str, here: str) -> str:
    key = text
    if text.startswith('"'):
        try:
            key = json.loads(text)
        except ValueError:
            raise InvalidInput(f"{here}: {text} is not a JSON string") from None
    if problem := text_problem(key):
        raise InvalidInput(f"{here}: {problem}, which no key can have; leave it out")
    return key


def loaded(text: str) -> Any:
    """The JSON of a filter's text; a name twice in one object is refused."""
    if len(text.encode()) > 2 * MOST_BYTES:
        raise InvalidInput(f"filter: it is larger than {MOST_BYTES} bytes; make it shorter")
    try:
        return json.loads(text, parse_float=Decimal, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "") or "it cannot be read"
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidInput(f"filter: it is not JSON ({reason}{where})") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"filter: {twice!r} stands twice in one object; join the two")
    return found


def plain(value: Any) -> Any:
    """The same in what `json` writes; everything in it has been read before."""
    match value:
        case Mapping():
            return {name: plain(each) for name, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case Decimal():
            return _plain_number(value, "filter")
    return value


def _called(value: Any) -> str:
    match value:
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
        case "":
            return "empty text"
    names = {"null": "null", "boolean": "true or false", "number": "a number", "text": "text"}
    return names.get(kind(value), type(value).__name__)
