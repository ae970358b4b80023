"""Checks responses against a vendor's own OpenAPI 3.0 document.

A check that cannot fail proves nothing, so these are failures too: a path that the document does
not have, a status that it does not declare for the operation, an empty body, and a schema that
demands nothing. With `strict`, fields that the document does not know are failures as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.specs.schemas import Schemas

STRIPE = Path(__file__).parent / "stripe" / "stripe_openapi_extract.json"


class OpenApi:
    """A vendor's document. `check` returns what is wrong with a response, empty if nothing is."""

    def __init__(self, document: dict[str, Any], *, strict: bool = True):
        self._paths: dict[str, Any] = document["paths"]
        self._strict = strict
        self._defs = {
            name: self._json_schema(schema)
            for name, schema in document["components"]["schemas"].items()
        }
        self._schemas = Schemas(self._defs)

    def check(self, method: str, path: str, status: int, body: bytes) -> list[str]:
        """Everything wrong with the body of a response to `METHOD path`, path without query."""
        found = operation(self._paths, method, path)
        if found is None:
            return [f"{method} {path}: the vendor's document has no such operation"]
        declared = found["responses"].get(str(status))
        if declared is None and status >= 400:
            declared = found["responses"].get("default")
        if declared is None:
            return [f"{method} {path}: status {status} is not declared"]
        schema = declared.get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            return [f"{method} {path}: no JSON schema is declared for status {status}"]
        return [f"{method} {path} {status}: {each}" for each in self._wrong(schema, body)]

    def check_object(self, name: str, obj: object) -> list[str]:
        """Everything wrong with a value that should be the component schema `name`."""
        schema = {"$ref": f"#/components/schemas/{name}"}
        return self._wrong(schema, json.dumps(obj).encode())

    def _wrong(self, schema: dict[str, Any], body: bytes) -> list[str]:
        if not body.strip():
            return ["the body is empty"]
        if not self._demanding(schema):
            return ["the schema demands nothing: it has no required fields"]
        try:
            value = json.loads(body)
        except ValueError as error:
            return [f"the body is not JSON: {error}"]
        return self._schemas.wrong(self._json_schema(schema), value)

    def _demanding(self, schema: dict[str, Any], seen: frozenset[str] = frozenset()) -> bool:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return name not in seen and self._demanding(self._defs[name], seen | {name})
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if alternatives:
            return all(self._demanding(each, seen) for each in alternatives)
        if any(self._demanding(each, seen) for each in schema.get("allOf", [])):
            return True
        if schema.get("type") == "array":
            return self._demanding(schema.get("items", {}), seen)
        return bool(schema.get("required"))

    def _json_schema(self, schema: Any) -> Any:
        """OpenAPI 3.0's dialect as JSON Schema: `nullable` becomes an alternative."""
        if isinstance(schema, list):
            return [self._json_schema(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        plain = {
            key: {name: self._json_schema(each) for name, each in value.items()}
            if key == "properties"
            else self._json_schema(value)
            for key, value in schema.items()
            if key not in {"nullable", "format", "example", "discriminator", "xml"}
            and not key.startswith("x-")
        }
        if self._strict and plain.get("properties") and "additionalProperties" not in plain:
            plain["additionalProperties"] = False
        if schema.get("nullable") is True:
            return {"anyOf": [plain, {"type": "null"}]}
        return plain


def operation(paths: Mapping[str, Any], method: str, path: str) -> Mapping[str, Any] | None:
    """The operation with the fewest holes that a path, or a template, matches."""
    found = [
        (pattern.count("{"), methods[method.lower()])
        for pattern, methods in paths.items()
        if method.lower() in methods and _compiled(pattern).fullmatch(path)
    ]
    return min(found, key=lambda each: each[0])[1] if found else None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(pattern)))


@cache
def stripe() -> OpenApi:
    """Stripe's document, strict."""
    return OpenApi(json.loads(STRIPE.read_bytes()))
