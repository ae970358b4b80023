"""Cuts what is tested against out of Square's OpenAPI file.

`python -m tests.specs.square.trim FILE` writes it anew; FILE is `api.json`, which SOURCE.txt names.
Kept: the operations below without their prose, the schemas that they lead to, and example objects
of what is read and told of. These, unchanged, are also what the simulator is seeded from.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.specs.cutting import bare, keep, operation, reached, references

HERE = Path(__file__).parent
KEPT = HERE / "square_extract.json"
VENDOR = HERE.parents[2] / "src/landbridge/testing/square/vendor.json"
OPERATIONS = {
    "/oauth2/token": ["post"],
    "/oauth2/revoke": ["post"],
    "/v2/merchants/{merchant_id}": ["get"],
    "/v2/locations": ["get"],
    "/v2/customers": ["post"],
    "/v2/customers/search": ["post"],
    "/v2/customers/{customer_id}": ["get", "put", "delete"],
    "/v2/catalog/search": ["post"],
    "/v2/catalog/object/{object_id}": ["get"],
    "/v2/subscriptions/search": ["post"],
    "/v2/subscriptions": ["post"],
    "/v2/subscriptions/{subscription_id}": ["get"],
    "/v2/subscriptions/{subscription_id}/cancel": ["post"],
    "/v2/orders": ["post"],
    "/v2/orders/search": ["post"],
    "/v2/orders/{order_id}": ["get"],
    "/v2/online-checkout/payment-links": ["get", "post"],
    "/v2/online-checkout/payment-links/{id}": ["get", "delete"],
    "/v2/invoices": ["get", "post"],
    "/v2/invoices/{invoice_id}": ["get", "put", "delete"],
    "/v2/invoices/{invoice_id}/publish": ["post"],
    "/v2/invoices/{invoice_id}/cancel": ["post"],
    "/v2/payments": ["get"],
    "/v2/payments/{payment_id}": ["get"],
    "/v2/refunds": ["get", "post"],
    "/v2/refunds/{refund_id}": ["get"],
    "/v2/disputes": ["get"],
    "/v2/disputes/{dispute_id}": ["get"],
    "/v2/payouts": ["get"],
    "/v2/payouts/{payout_id}": ["get"],
}
EXAMPLES = {
    "merchant": ("RetrieveMerchantResponse", "merchant"),
    "location": ("ListLocationsResponse", "locations"),
    "customer": ("RetrieveCustomerResponse", "customer"),
    "item": ("RetrieveCatalogObjectResponse", "object"),
    "subscription": ("RetrieveSubscriptionResponse", "subscription"),
    "invoice": ("GetInvoiceResponse", "invoice"),
    "payment_link": ("CreatePaymentLinkResponse", "payment_link"),
    "payment": ("GetPaymentResponse", "payment"),
    "refund": ("GetPaymentRefundResponse", "refund"),
    "dispute": ("RetrieveDisputeResponse", "dispute"),
    "payout": ("GetPayoutResponse", "payout"),
    "token": ("ObtainTokenResponse", ""),
}
EVENTS = (
    "CustomerUpdatedEvent CustomerDeletedEvent InvoicePaymentMadeEvent PaymentUpdatedEvent"
    " RefundUpdatedEvent SubscriptionCreatedEvent SubscriptionUpdatedEvent DisputeCreatedEvent"
    " OrderUpdatedEvent"
).split()


def trimmed(document: dict[str, Any]) -> dict[str, Any]:
    """The kept parts of the file."""
    schemas = document["components"]["schemas"]
    paths = {
        path: {method: operation(document, path, method) for method in methods}
        for path, methods in OPERATIONS.items()
    }
    # One is referred to and missing.
    kept = reached([*references(paths), *EVENTS], lambda name: bare(schemas.get(name, {})))
    return {
        "version": document["info"]["version"],
        "paths": paths,
        "components": {"schemas": kept},
        "examples": _examples(schemas),
        "events": {schemas[name]["example"]["type"]: schemas[name]["example"] for name in EVENTS},
    }


def _examples(schemas: dict[str, Any]) -> dict[str, Any]:
    shown = {name: schemas[schema]["example"] for name, (schema, _) in EXAMPLES.items()}
    return {name: shown[name][at] if at else shown[name] for name, (_, at) in EXAMPLES.items()}


if __name__ == "__main__":
    made = trimmed(json.loads(Path(sys.argv[1]).read_bytes()))
    keep(KEPT, made)
    keep(VENDOR, made["examples"])
