"""Cuts what is tested against out of the JSON form of Intuit's XML schema.

`python -m tests.specs.quickbooks.trim FILE` writes it anew; FILE is the one that SOURCE.txt names.
Kept: the entities below and what they refer to, as JSON schemas without prose.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.specs.cutting import reached

HERE = Path(__file__).parent
KEPT = HERE / "quickbooks_extract.json"
NAMES = (
    "Account Bill BillPayment CompanyInfo CreditMemo Customer Fault Invoice Item JournalEntry"
    " Payment Preferences Purchase TaxCode TaxRate Vendor VendorCredit"
).split()
_PLAIN: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "id": {"type": "string"},
    "anyURI": {"type": "string"},
    "decimal": {"type": "number"},
    "boolean": {"type": "boolean"},
    "int": {"type": "integer"},
    "positiveInteger": {"type": "integer"},
    "date": {"type": "string", "format": "date", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    "dateTime": {
        "type": "string",
        "format": "date-time",
        "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?([+-]\d{2}:\d{2}|Z)$",
    },
}


def main(source: Path) -> None:
    """Writes the extract."""
    told: dict[str, Any] = json.loads(source.read_bytes())
    body = {"components": {"schemas": reached(NAMES, lambda name: _schema(told, name))}}
    KEPT.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n")


def _schema(told: dict[str, Any], name: str) -> dict[str, Any]:
    """An entity with what it inherits; a reference has its id as `value` in JSON."""
    if name in told["enums"]:
        return {"type": "string", "enum": told["enums"][name]}
    properties: dict[str, Any] = {}
    required: list[str] = []
    kind: str | None = name
    while kind in told["types"]:
        found = told["types"][kind]
        for each in found["fields"]:
            if each["type"] == "IntuitAnyType":
                continue
            inner = _PLAIN.get(each["type"]) or {"$ref": f"#/components/schemas/{each['type']}"}
            properties[each["name"]] = (
                {"type": "array", "items": inner} if each.get("array") else inner
            )
            if not each.get("optional") and not each.get("choice"):
                required.append(each["name"])
        kind = found["extends"]
    if kind in _PLAIN:
        properties = {"value": _PLAIN[kind], **properties}
        required.append("value")
    more = {"required": sorted(required)} if required else {}
    return {"type": "object", "properties": properties, **more}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
