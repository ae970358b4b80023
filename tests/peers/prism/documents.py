"""Vendors' documents as Prism can read them.

Prism writes a schema out wherever it is named, and takes minutes for one that leads back to itself
by many ways: here they are written out already, only not so deep, and for some operations only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from landbridge.formats import form

_METHODS = ("get", "put", "post", "patch", "delete")
_HOLE = re.compile(r"\{.*?\}")
_ESCAPED = re.compile(r"\\[^dDwWsSbB^$\\.*+?()\[\]{}|/]")
"""In a pattern, what Prism does not read: it leaves the whole schema out then, and says nothing."""
_LAST_PAGE = {"has_more": {"type": "boolean", "enum": [False]}}
"""Else every page that Prism makes up has one behind it."""


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How many schemas within schemas are kept of requests and of answers; behind that, any value
    will do."""

    asked: int = 4
    told: int = 2


def written_out(
    document: Mapping[str, Any], paths: Collection[str], depth: Depth, *, mock: bool
) -> dict[str, Any]:
    """The operations of these paths (what fills a hole may be told) as OpenAPI 3.0 without a
    reference; `mock`: so that what is made up from it can be read by a client."""
    schemas, named = document["components"]["schemas"], [_HOLE.sub("x", each) for each in paths]
    found = {
        path: {
            method: _operation(told, schemas, depth, _LAST_PAGE if mock else {})
            for method, told in methods.items()
            if method in _METHODS
        }
        for path, methods in document["paths"].items()
        if any(re.fullmatch(_HOLE.sub("[^/]+", path), each) for each in named)
    }
    return {"openapi": "3.0.3", "info": {"title": "Cut", "version": "1"}, "paths": found}


def _operation(
    told: Mapping[str, Any], schemas: Mapping[str, Any], depth: Depth, instead: Mapping[str, Any]
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "parameters": [
            _parameter(_inlined(each, schemas, depth.asked)) for each in told.get("parameters", ())
        ],
        "responses": {
            status: {"description": "", **_inlined(answer, schemas, depth.told, instead)}
            for status, answer in told["responses"].items()
        },
    }
    if "requestBody" in told:
        content = _inlined(told["requestBody"]["content"], schemas, depth.asked)
        made["requestBody"] = {
            "content": {
                kind: _form(each) if kind == form.CONTENT_TYPE else _json(each)
                for kind, each in content.items()
            }
        }
    return made


def _parameter(told: dict[str, Any]) -> dict[str, Any]:
    deep = told.get("style") == "deepObject"
    return {**told, "schema": _lax(told["schema"])} if deep else told


def _form(content: dict[str, Any]) -> dict[str, Any]:
    """Lists of objects are left out: Prism takes them as JSON alone, not as forms carry them."""
    schema = content["schema"]
    fields = schema.get("properties", {})
    kept = {
        name: _lax(each)
        for name, each in fields.items()
        if each.get("items", {}).get("type") != "object"
    }
    needed = [name for name in schema.get("required", ()) if name in kept]
    # Prism takes the + that stands for a space for a character that has to be escaped.
    spaced = {
        name: {**one, "allowReserved": True}
        for name, one in content.get("encoding", {}).items()
        if name in kept
    }
    told = {key: each for key, each in schema.items() if key != "required"}
    told |= {"properties": kept} | ({"required": needed} if needed else {})
    return {"schema": told, "encoding": spaced}


def _json(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "schema": _nullable(content["schema"])}


def _lax(schema: Any) -> Any:
    """Without the demand for fields: Prism sees in a form an empty object wherever one may be."""
    if isinstance(schema, list):
        return [_lax(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _lax(each) for key, each in schema.items() if key != "required"}


def _nullable(schema: Any) -> Any:
    """With null for every field: it clears one, and the documents do not say which may be null."""
    if isinstance(schema, list):
        return [_nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _nullable(each) for key, each in schema.items()}
    if "properties" in made:
        made["properties"] = {name: _or_null(each) for name, each in made["properties"].items()}
    return made


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Prism leaves out, and says nothing, what has `nullable` without a type beside it."""
    return {"anyOf": [schema, {"enum": [None]}]}


def _inlined(
    value: Any, schemas: Mapping[str, Any], deep: int, instead: Mapping[str, Any] | None = None
) -> Any:
    """The value with the schemas in it that it refers to; behind `deep` of them, any value."""
    if isinstance(value, list):
        return [_inlined(each, schemas, deep, instead) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        if deep == 0:
            return {}
        return _inlined(schemas[value["$ref"].rpartition("/")[2]], schemas, deep - 1, instead)
    inner = {key: _inlined(each, schemas, deep, instead) for key, each in value.items()}
    made = {key: (instead or {}).get(key, each) for key, each in inner.items()}
    if _ESCAPED.search(str(made.get("pattern", ""))):
        del made["pattern"]
    if "properties" in made:  # Square's document does not say that it is an object then
        made = {"type": "object", **made}
    if made.get("nullable") is not True:
        return made
    return _or_null({key: each for key, each in made.items() if key != "nullable"})
