"""The body of a new record, made ready: what it leaves open, and what is made before it. Pure."""

from collections.abc import Mapping
from typing import Any

from landbridge.errors import OutcomeUnknown
from landbridge.spec import First, Provider, Then, find, nested_at, patched


def overlaid(around: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes over what stands around them; None stays what it is."""
    made = dict(around)
    for name, change in changes.items():
        before = made.get(name)
        both = isinstance(before, Mapping) and isinstance(change, Mapping)
        made[name] = overlaid(before or {}, change) if both else change
    return made


def laid(body: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The body with this at the path; None: with nothing there."""
    made: dict[str, Any] = patched(body, nested_at(path, value))
    return made


def listed_alone(body: dict[str, Any], lists: Mapping[str, str]) -> dict[str, Any]:
    """The body with items that the mapping writes by themselves in the lists that they go into."""
    for place, alone in lists.items():
        item = find(body, alone)
        if item is not None:
            body = laid(laid(body, alone, None), place, [item])
    return body


def parted(body: dict[str, Any], first: First) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the record that comes first is made of, and the body without it."""
    other: dict[str, Any] = dict(find(body, first.of) or {})
    for place, same in first.shares.items():
        told = find(body, same)
        if told is not None and find(other, place) is None:
            other = laid(other, place, told)
    return other, laid(body, first.of, None)


def trailing(body: dict[str, Any], then: Then | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The body without the part that goes behind it, and the body of the call for that."""
    part = find(body, then.of) if then else None
    if then is None or not part:
        return body, {}
    return laid(body, then.of, None), nested_at(then.of, part)


def needed(provider: Provider, what: str, found: str | None) -> str:
    """What was found; OutcomeUnknown where an answer does not have what the next call needs."""
    if not found:
        raise OutcomeUnknown(
            f"{provider.name} answered {what} without what a new record needs; it is tried again"
        )
    return found
