"""JSON Patch (RFC 6902): what a mapping writes, as operations on the record that is there."""

from collections.abc import Iterator, Mapping
from typing import Any

from landbridge.formats.canonical import canonical


def json_patch(changes: Mapping[str, Any], before: Any) -> bytes:
    """The operations that lay nested changes on a record: add, replace, and remove for null.

    What is not there is not removed. Lists are replaced whole.
    """
    return canonical([*_operations(changes, before, "")])


def _operations(changes: Mapping[str, Any], before: Any, at: str) -> Iterator[dict[str, Any]]:
    known = before if isinstance(before, Mapping) else {}
    for name, value in changes.items():
        path = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
        held = known.get(name)
        if isinstance(value, Mapping) and isinstance(held, Mapping):
            yield from _operations(value, held, path)
        elif value is not None:
            yield {"op": "add" if held is None else "replace", "path": path, "value": value}
        elif held is not None:
            yield {"op": "remove", "path": path}
