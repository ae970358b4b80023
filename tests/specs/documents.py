"""Checks what we send and what a simulator answers, in JSON, against a vendor's own document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.specs.requests import Requests
from tests.specs.schemas import Schemas


class Document(Requests):
    """The document as the receiver of requests, the sender of answers and the owner of paths.

    Requests are held to it strictly: nothing that it does not name. Answers may say more, as the
    vendor's own examples do (`DateString`).
    """

    def __init__(self, document: Mapping[str, Any]):
        super().__init__(document)
        self.examples: Mapping[str, Any] = document["examples"]
        self._held = {
            strict: Schemas(
                {name: plain(each, strict=strict) for name, each in self._schemas.items()}
            )
            for strict in (True, False)
        }

    def refused(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> list[str]:
        """Everything in a request that the document does not allow; `path` has no base."""
        operation = self.operation(method, path)
        if operation is None:
            return [f"{method} {path}: no such operation"]
        given = {name.lower() for name in headers}
        known = {each["name"]: each for each in operation["parameters"]}
        problems = [f"query {name}: not known" for name in query if name not in known]
        problems += [
            f"header {name}: missing"
            for name, each in known.items()
            if each["in"] == "header" and each.get("required") and name.lower() not in given
        ]
        if body:
            told = operation.get("requestBody")
            if told is None:
                return [*problems, f"{method} {path}: takes no body"]
            schema = told["content"]["application/json"]["schema"]
            problems += self._wrong(schema, body, strict=True)
        return problems

    def misanswered(self, method: str, path: str, status: int, body: bytes) -> list[str]:
        """Everything in an answer that the document does not declare."""
        operation = self.operation(method, path)
        if operation is None:
            return [f"{method} {path}: no such operation"]
        declared = operation["responses"].get(str(status))
        if declared is None:
            return [f"{method} {path}: status {status} is not declared"]
        content = declared.get("content")
        if content is None:
            return [f"{method} {path}: a body where there is none"] if body else []
        wrong = self._wrong(content["application/json"]["schema"], body, strict=False)
        return [f"{method} {path} {status}: {each}" for each in wrong]

    def wrong_object(self, name: str, body: bytes) -> list[str]:
        """Everything wrong with JSON that should be the component schema of this name."""
        return self._wrong({"$ref": f"#/components/schemas/{name}"}, body, strict=False)

    def _wrong(self, schema: dict[str, Any], body: bytes, *, strict: bool) -> list[str]:
        try:
            value = json.loads(body)
        except ValueError as error:
            return [f"the body is not JSON: {error}"]
        return self._held[strict].wrong(plain(schema, strict=strict), value)


def plain(schema: Any, *, strict: bool) -> Any:
    """OpenAPI 3.0's dialect as JSON Schema; `strict`: objects have the named fields only."""
    if isinstance(schema, list):
        return [plain(each, strict=strict) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: {name: plain(each, strict=strict) for name, each in value.items()}
        if key == "properties"
        else plain(value, strict=strict)
        for key, value in schema.items()
        if key not in {"nullable", "format", "readOnly"}
    }
    if strict and made.get("properties"):
        made["additionalProperties"] = False
        # A null clears a field; the document does not say which fields may be null.
        made["properties"] = {
            name: {"anyOf": [each, {"type": "null"}]} for name, each in made["properties"].items()
        }
    return made
