"""Cuts what is tested against out of the vendor's files.

`python -m tests.specs.xero.trim FOLDER` writes it anew; FOLDER holds the three YAML files that
SOURCE.txt names. Kept: the operations below without their prose, the schemas that they lead to, and
their example answers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

HERE = Path(__file__).parent
KEPT = HERE / "xero_extract.json"
NAMES = (
    "Accounts TaxRates Contacts Items Invoices CreditNotes Payments BankTransactions ManualJournals"
    " Organisation"
).split()
METHODS = ("get", "put", "post", "delete")
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


class Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML whose timestamps stay texts."""


Loader.yaml_implicit_resolvers = {
    letter: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def bare(value: Any, *, names: bool = False) -> Any:
    """The value without prose, examples and the vendor's own marks; `names`: keys are fields."""
    if isinstance(value, list):
        return [bare(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: bare(each, names=key in ("properties", "schemas"))
        for key, each in value.items()
        if names or not (key in PROSE or key.startswith(("x-", "example")))
    }


def references(value: Any) -> Iterator[str]:
    """The names of all schemas that a value leads to."""
    if isinstance(value, list):
        for each in value:
            yield from references(each)
    elif isinstance(value, dict):
        if str(value.get("$ref", "")).startswith("#/components/schemas/"):
            yield value["$ref"].rpartition("/")[2]
        for each in value.values():
            yield from references(each)


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """A parameter or an answer, where it is only referred to."""
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


def trimmed(folder: Path) -> dict[str, Any]:
    """The kept parts of the three files, as one document."""
    accounting, identity, hooks = (
        yaml.load((folder / name).read_text(encoding="utf-8"), Loader)  # noqa: S506 - a safe one
        for name in ("xero_accounting.yaml", "xero-identity.yaml", "xero-webhooks.yaml")
    )
    paths: dict[str, Any] = {}
    examples: dict[str, Any] = {}
    for path in accounting["paths"]:
        _, first, *rest = path.split("/")
        if first in NAMES and (not rest or (len(rest) == 1 and rest[0].startswith("{"))):
            here = [method for method in METHODS if method in accounting["paths"][path]]
            paths[path] = {method: operation(accounting, path, method) for method in here}
            content = accounting["paths"][path]["get"]["responses"]["200"]["content"]
            shown = content["application/json"].get("example")
            if not rest and isinstance(shown, dict):
                examples[first] = shown[first + "s" * (first == "Organisation")]
    for path, methods in identity["paths"].items():
        here = [method for method in METHODS if method in methods]
        paths[path.lower()] = {method: operation(identity, path, method) for method in here}
    schemas = {**identity["components"]["schemas"], **accounting["components"]["schemas"]}
    schemas["WebhookEvent"] = hooks["components"]["schemas"]["WebhookEvent"]
    wanted, kept = [*references(paths), "Error", "WebhookEvent"], dict[str, Any]()
    while wanted:
        name = wanted.pop()
        if name not in kept:
            kept[name] = bare(schemas[name])
            wanted += references(kept[name])
    return {
        "version": accounting["info"]["version"],
        "paths": paths,
        "components": {"schemas": dict(sorted(kept.items()))},
        "examples": examples,
    }


if __name__ == "__main__":
    text = json.dumps(trimmed(Path(sys.argv[1])), separators=(",", ":"), sort_keys=True)
    KEPT.write_text(text + "\n", encoding="utf-8")
