"""Checks what we send, and what a page names, against a vendor's own OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from landbridge.formats import form
from landbridge.wire import Request
from tests.specs import openapi


class Requests:
    """A vendor's document, as the receiver of requests and the owner of paths."""

    def __init__(self, document: Mapping[str, Any]):
        self._paths: Mapping[str, Any] = document["paths"]
        self._schemas: Mapping[str, Any] = document["components"]["schemas"]

    def wrong(self, request: Request) -> list[str]:
        """Everything in a request that the document does not allow; empty if nothing is."""
        operation = self.operation(request.method, unquote(urlsplit(request.url).path))
        if operation is None:
            return [f"{request.method} {request.url}: no such operation"]
        asked = form.decode("&".join(f"{key}={value}" for key, value in request.query))
        taken = {each["name"]: each["schema"] for each in operation.get("parameters", ())}
        problems = [
            f"query {name}: {problem}"
            for name, value in asked.items()
            for problem in self._against(taken.get(name), value)
        ]
        if request.body:
            content = operation.get("requestBody", {}).get("content", {})
            if form.CONTENT_TYPE not in content:
                return [*problems, f"{request.method} {request.url}: takes no form"]
            schema = content[form.CONTENT_TYPE]["schema"]
            problems += [
                f"body {each}" for each in self._against(schema, form.decode(request.body))
            ]
        return problems

    def operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        """The operation with the fewest holes that a path, or a template, matches."""
        return openapi.operation(self._paths, method, path)

    def answer(self, method: str, path: str) -> Mapping[str, Any]:
        """The schema of the answer 200 of an operation."""
        operation = self.operation(method, path)
        assert operation is not None, f"{method} {path}: no such operation"
        schema: Mapping[str, Any] = operation["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        return schema

    def body(self, method: str, path: str) -> Mapping[str, Any]:
        """The schema of the form that an operation takes."""
        operation = self.operation(method, path)
        assert operation is not None, f"{method} {path}: no such operation"
        schema: Mapping[str, Any] = operation["requestBody"]["content"][form.CONTENT_TYPE]["schema"]
        return schema

    def schema(self, name: str) -> Mapping[str, Any]:
        """The component schema of this name."""
        found: Mapping[str, Any] = self._schemas[name]
        return found

    def has(self, schema: Mapping[str, Any], path: str) -> bool:
        """Whether a path (with `[]` behind lists) leads to something in the schema."""
        steps = [step for step in path.split(".") if step]
        return not steps or any(
            self.has(inner, ".".join(steps[1:])) for inner in self._step(schema, steps[0])
        )

    def _step(self, schema: Mapping[str, Any], step: str) -> Iterator[Mapping[str, Any]]:
        for option in self._options(schema):
            name = step.removesuffix("[]")
            more = option.get("additionalProperties")
            inner = option.get("properties", {}).get(name)
            if inner is None and isinstance(more, dict):
                inner = more
            if inner is None:
                continue
            for found in self._options(inner):
                if not step.endswith("[]"):
                    yield found
                elif found.get("type") == "array":
                    yield found["items"]

    def _options(self, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The schemas that a value may follow: references and alternatives taken apart."""
        if "$ref" in schema:
            yield from self._options(self._schemas[schema["$ref"].rpartition("/")[2]])
        elif "anyOf" in schema:
            for option in schema["anyOf"]:
                yield from self._options(option)
        else:
            yield schema

    def _against(self, schema: Mapping[str, Any] | None, value: Any) -> list[str]:
        """Why no alternative of the schema takes a value that a form carried."""
        if schema is None:
            return ["not known"]
        problems = [self._plainly(option, value) for option in self._options(schema)]
        return min(problems, key=len)

    def _plainly(self, schema: Mapping[str, Any], value: Any) -> list[str]:
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema, value)
        if kind == "array":
            if not isinstance(value, list):
                return [f"{value!r} is no list"]
            return [problem for item in value for problem in self._against(schema["items"], item)]
        if not isinstance(value, str):
            return [f"{value!r} is no {kind}"]
        if "enum" in schema and value not in schema["enum"]:
            return [f"{value!r} is none of {schema['enum']}"]
        if kind == "integer" and not re.fullmatch(r"-?\d+", value):
            return [f"{value!r} is no integer"]
        if kind == "boolean" and value not in ("true", "false"):
            return [f"{value!r} is no boolean"]
        longest = schema.get("maxLength", 10**9)
        return [f"longer than {longest}"] if len(value) > longest else []

    def _object(self, schema: Mapping[str, Any], value: Any) -> list[str]:
        if not isinstance(value, dict):
            return [f"{value!r} is no object"]
        known = schema.get("properties", {})
        more = schema.get("additionalProperties")
        problems = [f"{name}: missing" for name in schema.get("required", ()) if name not in value]
        for name, item in value.items():
            inner = known.get(name, more if isinstance(more, dict) else None)
            problems += [f"{name}: {problem}" for problem in self._against(inner, item)]
        return problems


@cache
def stripe() -> Requests:
    """Stripe's document."""
    return Requests(json.loads(openapi.STRIPE.read_bytes()))
