"""What has to be known of a record before it is read: its key, its version, whether it is gone.

Most of what a pull reads is as it was, and is known by its bytes. So a record is not parsed where
it is listed: the few paths that matter are taken out of its text, all else in it is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec

from landbridge.formats import parse_json
from landbridge.spec import Resource, find

HOLE = re.compile(r"\{([^{}]+)\}")

Look = Callable[[bytes], Mapping[str, Any]]
"""What is at each of some paths of a JSON text (None: nothing). `RecordError`: it is no JSON."""


def look_at(resource: Resource) -> Look:
    """A look at all that a listing has to know of each record of a resource."""
    keys = HOLE.findall(resource.key) if "{" in resource.key else [resource.key]
    paths = [*keys, resource.version, resource.deleted, *resource.only]
    return _look(tuple(dict.fromkeys(path for path in paths if path)))


@cache
def _look(paths: tuple[str, ...]) -> Look:
    def parsed(raw: bytes) -> dict[str, Any]:
        value = parse_json(raw)
        return {path: find(value, path) for path in paths}

    tree = _tree(paths)
    if tree is None:
        return parsed
    names: dict[str, str] = {}
    decode = msgspec.json.Decoder(_only(tree, "", "", names)).decode
    places = [(path, _follow(names[path])) for path in paths]

    def look(raw: bytes) -> dict[str, Any]:
        try:
            seen = decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # No JSON, or something on the way to a path is no object.
            return parsed(raw)
        return {path: follow(seen) for path, follow in places}

    return look


def _tree(paths: tuple[str, ...]) -> dict[str, Any] | None:
    """The paths as nested names; None where one of them leads through the end of another."""
    tree: dict[str, Any] = {}
    for path in paths:
        *way, last = path.split(".")
        place = tree
        for name in way:
            place = place.setdefault(name, {})
            if place is None:
                return None
        if place.get(last, 0) is not None and last in place:
            return None
        place[last] = None
    return tree


def _only(tree: Mapping[str, Any], path: str, way: str, names: dict[str, str]) -> Any:
    """A type that reads only what is in the tree; `names` gets the attributes for each path."""
    fields: list[tuple[str, Any, None]] = []
    rename: dict[str, str] = {}
    for number, (name, inner) in enumerate(tree.items()):
        field = f"at_{number}"
        rename[field] = name
        here, attributes = f"{path}{name}", f"{way}{field}"
        if inner is None:
            names[here] = attributes
            fields.append((field, Any, None))
        else:
            below = _only(inner, f"{here}.", f"{attributes}.", names)
            fields.append((field, below | None, None))
    return msgspec.defstruct("Look", fields, rename=rename, gc=False)


def _follow(attributes: str) -> Callable[[Any], Any]:
    """What is there by these attributes; None where one on the way is missing."""
    if "." not in attributes:
        return attrgetter(attributes)
    steps = attributes.split(".")

    def follow(seen: Any) -> Any:
        for step in steps:
            if seen is None:
                return None
            seen = getattr(seen, step)
        return seen

    return follow
