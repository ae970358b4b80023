"""Intuit's schema of the accounting API: which entities it takes and answers, and their paths.

The schema has the entities. Their envelopes in JSON, the operations and their parameters are those
of Intuit's PHP SDK, and written down here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.specs.schemas import Schemas

KEPT = Path(__file__).parent / "quickbooks_extract.json"
ENTITIES = (
    "Account",
    "Bill",
    "BillPayment",
    "CreditMemo",
    "Customer",
    "Invoice",
    "Item",
    "JournalEntry",
    "Payment",
    "Preferences",
    "Purchase",
    "TaxCode",
    "TaxRate",
    "Vendor",
    "VendorCredit",
)
READ_ONLY = ("Preferences", "TaxCode", "TaxRate")
_STATEMENT = re.compile(
    r"SELECT (\*|COUNT\(\*\)) FROM (?P<kind>\w+)"
    r"( WHERE [\w.]+ (=|<|>|<=|>=|IN|LIKE) (\([^()]*\)|'[^']*'|true|false)"
    r"( AND [\w.]+ (=|<|>|<=|>=|IN|LIKE) (\([^()]*\)|'[^']*'|true|false))*)?"
    r"( ORDERBY [\w.]+( (ASC|DESC))?)?"
    r"( STARTPOSITION [1-9]\d*)?( MAXRESULTS ([1-9]\d{0,2}|1000))?"
)
_STAMP = {"type": "string", "format": "date-time"}
_GONE = {
    "type": "object",
    "required": ["Id", "status"],
    "properties": {"status": {"enum": ["Deleted"]}},
}


class Document:
    """The schema as the receiver of requests and the sender of answers. Both are held to it
    strictly: nothing that it does not name, but for null, which clears a field."""

    def __init__(self, document: Mapping[str, Any]):
        self.schemas: Mapping[str, Any] = document["components"]["schemas"]
        self._strict, self._sent = (
            Schemas({name: _strict(each, nulls=nulls) for name, each in self.schemas.items()})
            for nulls in (False, True)
        )

    def has(self, kind: str, path: str) -> bool:
        """Whether an entity has a dotted path (`[]` behind a list)."""
        schema: Any = {"$ref": f"#/components/schemas/{kind}"}
        for step in path.split("."):
            if "$ref" in schema:
                schema = self.schemas[schema["$ref"].rpartition("/")[2]]
            name = step.removesuffix("[]")
            schema = schema.get("properties", {}).get(name)
            if schema is None or (step != name) != (schema.get("type") == "array"):
                return False
            schema = schema["items"] if step != name else schema
        return True

    def wrong_object(self, kind: str, value: Any) -> list[str]:
        """Everything wrong with an entity."""
        return self._strict.wrong({"$ref": f"#/components/schemas/{kind}"}, value)

    def refused(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> list[str]:
        """Everything in a request that is not allowed; `path` begins behind the company's id."""
        name, _, key = path.removeprefix("/").partition("/")
        kinds = {each.lower(): each for each in ENTITIES}
        if (method, name) == ("GET", "query"):
            form = _STATEMENT.fullmatch(query.get("query", ""))
            known = form is not None and form["kind"] in ENTITIES and set(query) == {"query"}
            return [] if known else [f"no query: {query}"]
        if (method, name) == ("GET", "cdc"):
            known = set(query) == {"entities", "changedSince"} and (
                set(query["entities"].split(",")) <= set(ENTITIES) - set(READ_ONLY)
            )
            return [] if known else [f"no question for changes: {query}"]
        if (method, name) == ("GET", "companyinfo") or (method == "GET" and name in kinds and key):
            return [f"parameters: {query}"] if query else []
        if method != "POST" or name not in kinds or key or kinds[name] in READ_ONLY:
            return [f"{method} {path}: no such operation"]
        return self._misdirected(query) + self._unfit(kinds[name], query, body)

    def misanswered(self, path: str, status: int, body: bytes) -> list[str]:
        """Everything wrong with an answer to a request of this path."""
        value = json.loads(body)
        name, _, _ = path.removeprefix("/").partition("/")
        if "Fault" in value:
            schema = _envelope({"Fault": {"$ref": "#/components/schemas/Fault"}}, "Fault")
        elif status != 200:
            return [f"status {status} without a Fault"]
        elif name == "query":
            schema = _envelope({"QueryResponse": self._listed()}, "QueryResponse")
        elif name == "cdc":
            part = {"type": "array", "items": self._listed()}
            inner = _envelope({"QueryResponse": part}, "QueryResponse", time=False)
            answers = {"type": "array", "items": inner, "minItems": 1, "maxItems": 1}
            schema = _envelope({"CDCResponse": answers}, "CDCResponse")
        else:
            kinds = {each.lower(): each for each in (*ENTITIES, "CompanyInfo")}
            kind = kinds[name]
            one = {"anyOf": [{"$ref": f"#/components/schemas/{kind}"}, _GONE]}
            schema = _envelope({kind: one}, kind)
        return self._strict.wrong(schema, value)

    def _listed(self) -> dict[str, Any]:
        lists = {
            kind: {
                "type": "array",
                "minItems": 1,
                "items": {"$ref": f"#/components/schemas/{kind}"},
            }
            for kind in ENTITIES
        }
        names = ("startPosition", "maxResults", "totalCount")
        counts: dict[str, Any] = {name: {"type": "integer"} for name in names}
        return {"type": "object", "properties": lists | counts, "additionalProperties": False}

    def _misdirected(self, query: Mapping[str, str]) -> list[str]:
        problems = [f"query {name}" for name in query if name not in ("requestid", "operation")]
        if len(query.get("requestid", "")) > 50:
            problems.append("requestid is longer than 50 characters")
        if query.get("operation", "delete") not in ("update", "delete", "void"):
            problems.append(f"operation: {query['operation']}")
        return problems

    def _unfit(self, kind: str, query: Mapping[str, str], body: bytes) -> list[str]:
        value = json.loads(body)
        problems = self._sent.wrong({"$ref": f"#/components/schemas/{kind}"}, value)
        if ("Id" in value or "operation" in query) and not {"Id", "SyncToken"} <= set(value):
            problems.append("a change needs Id and SyncToken")
        sums = [
            one for one in value.get("Line") or () if one.get("DetailType", "").startswith("Sub")
        ]
        return problems + ["a sum of the lines is sent back" for _ in sums]


def _envelope(properties: dict[str, Any], name: str, *, time: bool = True) -> dict[str, Any]:
    more = {"time": _STAMP} if time else {}
    required = [name, *more]
    whole = {"properties": properties | more, "required": required, "additionalProperties": False}
    return {"type": "object", **whole}


def _strict(schema: Mapping[str, Any], *, nulls: bool) -> dict[str, Any]:
    """The schema of an entity that has the named fields only."""
    if "properties" not in schema:
        return dict(schema)
    properties = schema["properties"]
    if nulls:
        cleared = {"type": "null"}
        properties = {name: {"anyOf": [each, cleared]} for name, each in properties.items()}
    return {**schema, "properties": properties, "additionalProperties": False}


@cache
def quickbooks() -> Document:
    """Intuit's schema."""
    return Document(json.loads(KEPT.read_bytes()))
