"""Cuts what is tested against out of the vendor's files.

`python -m tests.specs.xero.trim FOLDER` writes it anew; FOLDER holds the three YAML files that
SOURCE.txt names. Kept: the operations below without their prose, the schemas that they lead to, and
their example answers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.specs.cutting import bare, keep, operation, reached, references

HERE = Path(__file__).parent
KEPT = HERE / "xero_extract.json"
NAMES = (
    "Accounts TaxRates Contacts Items Invoices CreditNotes Payments BankTransactions ManualJournals"
    " Organisation"
).split()
METHODS = ("get", "put", "post", "delete")


class Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML whose timestamps stay texts."""


Loader.yaml_implicit_resolvers = {
    letter: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


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
    wanted = [*references(paths), "Error", "WebhookEvent"]
    kept = reached(wanted, lambda name: bare(schemas[name]))
    return {
        "version": accounting["info"]["version"],
        "paths": paths,
        "components": {"schemas": kept},
        "examples": examples,
    }


if __name__ == "__main__":
    keep(KEPT, trimmed(Path(sys.argv[1])))
