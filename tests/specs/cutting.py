"""What the programs share that cut vendors' OpenAPI files down to what is tested against."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

SCHEMAS = "#/components/schemas/"
PROSE = (
    "description",
    "summary",
    "externalDocs",
    "title",
    "xml",
    "tags",
    "security",
    "operationId",
)


def is_prose(key: str) -> bool:
    """Whether this is a place of prose, of examples or of the vendor's own marks."""
    return key in PROSE or key.startswith(("x-", "example"))


def bare(value: Any, *, names: bool = False) -> Any:
    """The value without prose, examples and the vendor's own marks; `names`: keys are fields."""
    if isinstance(value, list):
        return [bare(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: bare(each, names=key in ("properties", "schemas"))
        for key, each in value.items()
        if names or not is_prose(key)
    }


def references(value: Any) -> Iterator[str]:
    """The names of all schemas that a value leads to."""
    if isinstance(value, list):
        for each in value:
            yield from references(each)
    elif isinstance(value, dict):
        if str(value.get("$ref", "")).startswith(SCHEMAS):
            yield value["$ref"].removeprefix(SCHEMAS)
        for each in value.values():
            yield from references(each)


def reached(names: Iterable[str], schema: Callable[[str], Any]) -> dict[str, Any]:
    """The schemas of these names and of all that they lead to, in order; `schema` gives one."""
    wanted, kept = list(names), dict[str, Any]()
    while wanted:
        name = wanted.pop()
        if name not in kept:
            kept[name] = schema(name)
            wanted += references(kept[name])
    return dict(sorted(kept.items()))


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """A parameter, an answer or a schema, where it is only referred to."""
    if "$ref" not in value:
        return value
    _, _, kind, name = value["$ref"].split("/")
    found: dict[str, Any] = document["components"][kind][name]
    return found


def operation(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    """An operation with its parameters and answers written out."""
    place = document["paths"][path]
    told = place[method]
    given = [*place.get("parameters", []), *told.get("parameters", [])]
    answers = {
        status: bare(resolved(document, answer)) for status, answer in told["responses"].items()
    }
    made = {"parameters": [bare(resolved(document, each)) for each in given], "responses": answers}
    if "requestBody" in told:
        made["requestBody"] = bare(told["requestBody"])
    return made


def keep(place: Path, value: Any) -> None:
    """Writes an extract: one line, the same for the same value."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True)
    place.write_text(text + "\n", encoding="utf-8")
