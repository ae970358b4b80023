"""Cuts what is tested against out of the vendor's files.

`python -m tests.specs.paypal.trim FOLDER` writes it anew; FOLDER holds the files that SOURCE.txt
names. Schemas get the name of their file before them; what `allOf` takes together is one schema.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.specs.cutting import SCHEMAS, is_prose, keep, reached, references, resolved

HERE = Path(__file__).parent
KEPT = HERE / "paypal_extract.json"
FILES = {
    "invoicing_v2": "/v2/invoicing/invoices /v2/invoicing/invoices/{invoice_id}"
    " /v2/invoicing/invoices/{invoice_id}/send /v2/invoicing/invoices/{invoice_id}/cancel"
    " /v2/invoicing/search-invoices",
    "payments_payment_v2": "/v2/payments/captures/{capture_id}"
    " /v2/payments/captures/{capture_id}/refund /v2/payments/refunds/{refund_id}",
    "catalogs_products_v1": "/v1/catalogs/products /v1/catalogs/products/{product_id}",
    "billing_subscriptions_v1": "/v1/billing/plans /v1/billing/plans/{id}"
    " /v1/billing/subscriptions /v1/billing/subscriptions/{id}"
    " /v1/billing/subscriptions/{id}/cancel /v1/billing/subscriptions/{id}/suspend"
    " /v1/billing/subscriptions/{id}/activate",
    "checkout_orders_v2": "/v2/checkout/orders /v2/checkout/orders/{id}"
    " /v2/checkout/orders/{id}/capture",
    "customer_disputes_v1": "/v1/customer/disputes /v1/customer/disputes/{id}",
    "payments_payouts_batch_v1": "/v1/payments/payouts/{id}",
    "reporting_transactions_v1": "/v1/reporting/transactions",
    "notifications_webhooks_v1": "/v1/notifications/webhooks /v1/notifications/webhooks-events",
}
METHODS = ("get", "put", "post", "patch", "delete")
FIELDS = ("properties", "schemas")
MEDIA = "application/json"
REFUSAL = "notifications_webhooks.error"
EVENT = "notifications_webhooks.event"


class Cut:
    """What is kept of one file."""

    def __init__(self, name: str, document: dict[str, Any]):
        self._name = name
        self._document = document
        self.examples: dict[str, Any] = {}

    def operations(self, path: str) -> dict[str, Any]:
        """The operations of a path, with parameters and answers written out."""
        return {
            method: self._operation(f"{method} {path}", told)
            for method, told in self._document["paths"][path].items()
            if method in METHODS
        }

    def schemas(self, wanted: set[str]) -> dict[str, Any]:
        """The schemas of these names, and those that they lead to."""
        mark = f"{self._name}."
        schemas = self._document["components"]["schemas"]
        return reached(
            (name for name in wanted if name.startswith(mark)),
            lambda name: self._bare(schemas[name.removeprefix(mark)]),
        )

    def _operation(self, what: str, told: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {
            "parameters": [
                self._bare(resolved(self._document, each)) for each in told.get("parameters", ())
            ],
            "responses": {},
        }
        for status, answer in told["responses"].items():
            content = resolved(self._document, answer).get("content", {}).get(MEDIA)
            made["responses"][status] = {}
            if content is None:
                continue
            schema = self._bare(content["schema"])
            if status == "default" or int(status) >= 400:
                schema = {"$ref": f"{SCHEMAS}{REFUSAL}"}
            elif status in ("200", "201"):
                self._note(what, content)
            made["responses"][status] = {"content": {MEDIA: {"schema": schema}}}
        if "requestBody" in told:
            schema = resolved(self._document, told["requestBody"])["content"][MEDIA]["schema"]
            made["requestBody"] = {"content": {MEDIA: {"schema": self._bare(schema)}}}
        return made

    def _note(self, what: str, content: dict[str, Any]) -> None:
        for each in content.get("examples", {}).values():
            value = resolved(self._document, each).get("value")
            if isinstance(value, dict):
                self.examples.setdefault(what, []).append(value)

    def _bare(self, value: Any, *, names: bool = False) -> Any:
        """The value without prose, examples and vendor's marks; `names`: keys are fields."""
        if isinstance(value, list):
            return [self._bare(each) for each in value]
        if not isinstance(value, dict):
            return value
        if not names and "allOf" in value:
            value = self._together(value)
        if not names and str(value.get("$ref", "")).startswith(SCHEMAS):
            return {"$ref": f"{SCHEMAS}{self._name}.{value['$ref'].removeprefix(SCHEMAS)}"}
        return {
            key: self._bare(each, names=key in FIELDS and not names)
            for key, each in value.items()
            if names or not is_prose(key)
        }

    def _together(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema with all that `allOf` says taken into it."""
        made: dict[str, Any] = {key: each for key, each in schema.items() if key != "allOf"}
        for part in schema.get("allOf", ()):
            inner = self._together(resolved(self._document, part))
            for key, each in inner.items():
                if key == "properties":
                    made[key] = {**each, **made.get(key, {})}
                elif key == "required":
                    made[key] = [*made.get(key, ()), *each]
                else:
                    made.setdefault(key, each)
        return made


def trimmed(folder: Path) -> dict[str, Any]:
    """The kept parts of the files, as one document."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    examples: dict[str, Any] = {}
    for name, wanted in FILES.items():
        cut = Cut(name.rpartition("_")[0], json.loads((folder / f"{name}.json").read_bytes()))
        found = {path: cut.operations(path) for path in wanted.split()}
        paths |= found
        schemas |= cut.schemas({*references(found), REFUSAL, EVENT})
        examples |= cut.examples
    return {
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
        "examples": examples,
    }


if __name__ == "__main__":
    keep(KEPT, trimmed(Path(sys.argv[1])))
