"""Dotted paths into JSON-like documents: checked, read and written."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

__all__ = [
    "find",
    "gathered",
    "nested_at",
    "patched",
]

_PATH = re.compile(r"[^.\s\[\]{}^]+(\.[^.\s\[\]{}^]+)*")


def check_path(path: str) -> str:
    """Why a text is no path; empty if it is one."""
    if _PATH.fullmatch(path):
        return ""
    return f"{path!r} is no path: write keys parted by single dots, such as data.object.id"


@lru_cache(maxsize=4096)
def keys_of(path: str) -> tuple[str, ...]:
    """The keys of a path; none for the empty path."""
    return tuple(path.split(".")) if path else ()


def getter(path: str) -> Callable[[Any], Any]:
    """A function that follows the path; None where a key is missing or null on the way.

    It raises AttributeError where something on the way is no object.
    """
    keys = keys_of(path)
    if not keys:
        return lambda record: record
    if len(keys) == 1:
        (only,) = keys
        return lambda record: record.get(only)
    *way, last = keys

    def follow(record: Any) -> Any:
        for key in way:
            record = record.get(key)
            if record is None:
                return None
        return record.get(last)

    return follow


def find(record: Any, path: str) -> Any:
    """What is at the path, None if there is nothing or something on the way is no object."""
    for key in keys_of(path):
        if type(record) is not dict and not isinstance(record, Mapping):
            return None
        record = record.get(key)
    return record


def gathered(record: Any, path: str) -> list[str]:
    """Every text at a path whose `[]` stands for each item of a list: `errors[].text`."""
    found = [record]
    for step in path.split("."):
        name = step.removesuffix("[]")
        found = [each.get(name) for each in found if isinstance(each, Mapping)]
        if step != name:
            found = [item for each in found if isinstance(each, list) for item in each]
    return [each for each in found if isinstance(each, str) and each]


def has_words(record: Any, words: Mapping[str, Sequence[str]]) -> bool:
    """Whether there is at each of the paths one of its words."""
    return all(find(record, path) in among for path, among in words.items())


def put(changes: dict[str, Any], path: str, value: Any) -> None:
    """Sets what is at the path and makes the objects on the way."""
    *way, last = keys_of(path)
    for key in way:
        changes = changes.setdefault(key, {})
    changes[last] = value


def nested_at(path: str, value: Any) -> dict[str, Any]:
    """The value inside nested objects, at the path."""
    changes: dict[str, Any] = {}
    put(changes, path, value)
    return changes


def patched(value: Any, changes: Any) -> Any:
    """The value with the changes merged in (RFC 7396): None removes a key, lists are replaced."""
    if not isinstance(changes, Mapping):
        return changes
    merged = dict(value) if isinstance(value, Mapping) else {}
    for key, change in changes.items():
        if change is None:
            merged.pop(key, None)
        else:
            merged[key] = patched(merged.get(key), change)
    return merged


def without(value: Mapping[str, Any], path: str) -> tuple[dict[str, Any], list[Any]]:
    """A copy without what is at the path, and without objects that held nothing else; and that."""
    head, _, rest = path.partition(".")
    left = dict(value)
    if head not in left:
        return left, []
    if not rest:
        return left, [left.pop(head)]
    if not isinstance(left[head], Mapping):
        return left, []
    left[head], found = without(left[head], rest)
    if found and not left[head]:
        del left[head]
    return left, found


def patched_at(value: Mapping[str, Any], path: str, told: Any) -> dict[str, Any]:
    """A copy in which this is at the path, also where it is None."""
    head, _, rest = path.partition(".")
    inner = value.get(head)
    below = inner if isinstance(inner, Mapping) else {}
    return {**value, head: patched_at(below, rest, told) if rest else told}


def within(outer: str, inner: str) -> str:
    """A path below another one; either may be empty."""
    return f"{outer}.{inner}" if outer and inner else outer or inner
