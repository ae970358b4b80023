"""FreshBooks's saved type descriptions: what it takes, what it answers, which paths there are.

There is no OpenAPI file. Fields and types are those of its official SDK; addresses, envelopes and
parameters those of its collection. An id is a number in one object and text in another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.specs.schemas import Schemas

KEPT = Path(__file__).parent / "freshbooks_extract.json"
# The list's address, the word around one record, and the model, by the word around the list.
ADDRESSES: Mapping[str, tuple[str, str, str]] = {
    "clients": ("/users/clients", "client", "Client"),
    "invoices": ("/invoices/invoices", "invoice", "Invoice"),
    "payments": ("/payments/payments", "payment", "Payment"),
    "expenses": ("/expenses/expenses", "expense", "Expense"),
    "categories": ("/expenses/categories", "category", "ExpenseCategory"),
    "taxes": ("/taxes/taxes", "tax", "Tax"),
    "items": ("/items/items", "item", "Item"),
    "credit_notes": ("/credit_notes/credit_notes", "credit_notes", "CreditNote"),
    "bills": ("/bills/bills", "bill", "Bills"),
    "bill_vendors": ("/bill_vendors/bill_vendors", "bill_vendor", "BillVendors"),
    "bill_payments": ("/bill_payments/bill_payments", "bill_payment", "BillPayments"),
    "journal_entry_accounts": (
        "/journal_entry_accounts/journal_entry_accounts",
        "",
        "JournalEntryAccount",
    ),
    "journal_entry_details": ("/journal_entries/journal_entry_details", "", "JournalEntryDetail"),
}
PARAMETERS = frozenset(
    ["page", "per_page", "include[]", "sort", "search[updated_min]", "search[vis_state]"]
)
# What the SDK leaves out and other people's fixtures have.
MORE: Mapping[str, Mapping[str, str]] = {
    "Tax": {"id": "number", "taxid": "number", "updated": "Date", "compound": "boolean"}
}
_NUMBERS = frozenset(["VisState", "LineType", "ExpenseStatus", "InvoiceStatus"])
_NUMBER = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}


class Document:
    """Models as schemas. Answers may say more than they name; requests may not."""

    def __init__(self, kept: Mapping[str, Any]):
        self.models: Mapping[str, Mapping[str, str]] = {
            name: {**fields, **MORE.get(name, {})} for name, fields in kept["models"].items()
        }
        self.enums: Mapping[str, Mapping[str, str]] = kept["enums"]
        self.examples: Mapping[str, Any] = kept["examples"]
        self._held = {
            strict: Schemas({name: self._object(name, strict) for name in self.models})
            for strict in (True, False)
        }

    def has(self, model: str, path: str) -> bool:
        """Whether a model has a path; `[]` behind a list."""
        name, _, rest = path.partition(".")
        told = self.models.get(model, {}).get(name.removesuffix("[]"), "")
        told = told.removeprefix("Nullable<").removesuffix(">")
        listed = told.endswith("[]") or told.startswith("Array<")
        if not told or listed != name.endswith("[]"):
            return False
        inner = told.removesuffix("[]").removeprefix("Array<").removesuffix(">")
        if not rest:
            return True
        return rest in ("amount", "code") if inner == "Money" else self.has(inner, rest)

    def refused(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> list[str]:
        """Everything in a request below an account's address that nobody describes."""
        found = [each for each in ADDRESSES.values() if re.fullmatch(rf"{each[0]}(/\d+)?", path)]
        if not found:
            return [f"{path}: no such address"]
        ((at, one, model),) = found
        problems = [f"query {name}: not known" for name in query if name not in PARAMETERS]
        if (method, path == at) not in {
            ("GET", True),
            ("GET", False),
            ("POST", True),
            ("PUT", False),
        }:
            problems.append(f"{method} {path}: no such call")
        if (method, model, path == at) == ("DELETE", "Tax", False):
            return problems[:-1]
        if method == "GET":
            return problems + (["a body where there is none"] if body else [])
        read = json.loads(body)
        if list(read) != [one]:
            return [*problems, f"the body has {list(read)}, not {one}"]
        return problems + self.wrong(model, read[one], strict=True)

    def misanswered(self, path: str, body: bytes) -> list[str]:
        """Everything in an answer of success that nobody describes."""
        read = json.loads(body)["response"]["result"]
        for name, (at, one, model) in ADDRESSES.items():
            if path == at:
                counts = {"page", "pages", "per_page", "total"}
                wrong = [] if set(read) in (counts | {name}, {one}) else [f"{path}: {list(read)}"]
                told = read[one if one in read else name]
                found = told if isinstance(told, list) else [told]
            elif path.startswith(f"{at}/"):
                wrong, found = [], [read[one]]
            else:
                continue
            return wrong + [each for record in found for each in self.wrong(model, record)]
        return [f"{path}: no such address"]

    def wrong(self, model: str, value: Any, *, strict: bool = False) -> list[str]:
        """Everything in a record that its model does not allow."""
        wrong = self._held[strict].wrong({"$ref": f"#/components/schemas/{model}"}, value)
        return [f"{model} {each}" for each in wrong]

    def _object(self, model: str, strict: bool) -> dict[str, Any]:
        fields = {name: self._type(model, name, told) for name, told in self.models[model].items()}
        if strict:
            fields = {name: {"anyOf": [each, {"type": "null"}]} for name, each in fields.items()}
            return {"type": "object", "properties": fields, "additionalProperties": False}
        return {"type": "object", "properties": fields}

    def _type(self, model: str, name: str, told: str) -> dict[str, Any]:
        if told.startswith("Nullable<"):
            inner = self._type(model, name, told.removeprefix("Nullable<").removesuffix(">"))
            return {"anyOf": [inner, {"type": "null"}]}
        if told.endswith("[]") or told.startswith("Array<"):
            inner_name = told.removesuffix("[]").removeprefix("Array<").removesuffix(">")
            return {"type": "array", "items": self._type(model, name, inner_name)}
        if told in self.models:
            return {"$ref": f"#/components/schemas/{told}"}
        if told == "number" or (told == "string" and name.endswith("id")):
            return {"anyOf": [{"type": "number"}, _NUMBER, *_text(told)]}
        if told == "Money":
            amount = {"anyOf": [{"type": "number"}, _NUMBER, {"type": "null"}]}
            return {"type": "object", "properties": {"amount": amount, "code": {"type": "string"}}}
        if told in _NUMBERS:
            return {"type": "integer", "minimum": 0, "maximum": 8}
        words = next((pairs for full, pairs in self.enums.items() if full.endswith(f".{told}")), {})
        if words:
            return {"enum": [*words.values(), ""]}
        return {"type": told if told in ("boolean", "object") else "string"}

    def schemas(self) -> dict[str, Any]:
        """The models as an OpenAPI document has them, from which records are made."""
        made = {
            name: {"type": "object", "properties": {f: self._made(f, t) for f, t in fields.items()}}
            for name, fields in self.models.items()
        }
        money = {"amount": {"type": "string", "format": "money"}, "code": {"type": "string"}}
        made["Money"] = {"type": "object", "properties": money, "required": ["amount", "code"]}
        return {"components": {"schemas": made}}

    def _made(self, name: str, told: str) -> dict[str, Any]:
        if told.startswith("Nullable<"):
            inner = self._made(name, told.removeprefix("Nullable<").removesuffix(">"))
            return inner if "$ref" in inner else {**inner, "nullable": True}
        if told.endswith("[]") or told.startswith("Array<"):
            inner_name = told.removesuffix("[]").removeprefix("Array<").removesuffix(">")
            return {"type": "array", "items": self._made(name, inner_name)}
        if told in self.models or told == "Money":
            return {"$ref": f"#/components/schemas/{told}"}
        if told in ("number", *_NUMBERS):
            whole = name.endswith("id") or name in ("tax1", "tax2")
            return {"type": "integer" if whole else "number"}
        words = next((pairs for full, pairs in self.enums.items() if full.endswith(f".{told}")), {})
        if words:
            return {"type": "string", "enum": [*words.values()]}
        if told in ("boolean", "object"):
            return {"type": told}
        return {"type": "string", "format": told}


def _text(told: str) -> list[dict[str, Any]]:
    return [{"type": "string"}] if told == "string" else []


@cache
def freshbooks() -> Document:
    """FreshBooks's descriptions."""
    return Document(json.loads(KEPT.read_bytes()))
