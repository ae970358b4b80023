"""Cuts what the Stripe simulator ships out of the vendor's files.

`python -m tests.specs.stripe.trim` writes it anew. Kept: the example objects of the resources it
serves, unchanged, and the parameters of the operations it serves, without their prose.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHIPPED = HERE.parents[2] / "src/landbridge/testing/stripe/vendor.json"

OBJECTS = (
    "account balance balance_transaction charge checkout.session customer dispute event invoice"
    " invoice_payment invoiceitem item line_item payment_intent payout price product refund"
    " subscription tax_rate webhook_endpoint"
).split()

OPERATIONS = """
get /v1/account                         get /v1/balance
get /v1/balance_transactions            get /v1/balance_transactions/{id}
get /v1/charges                         get /v1/charges/{charge}
get /v1/checkout/sessions               get /v1/checkout/sessions/{session}
post /v1/checkout/sessions              post /v1/checkout/sessions/{session}
post /v1/checkout/sessions/{session}/expire
get /v1/checkout/sessions/{session}/line_items
get /v1/customers                       get /v1/customers/{customer}
post /v1/customers                      post /v1/customers/{customer}
delete /v1/customers/{customer}
get /v1/disputes                        get /v1/disputes/{dispute}
get /v1/events                          get /v1/events/{id}
get /v1/invoice_payments                get /v1/invoice_payments/{invoice_payment}
get /v1/invoiceitems                    get /v1/invoiceitems/{invoiceitem}
post /v1/invoiceitems                   delete /v1/invoiceitems/{invoiceitem}
get /v1/invoices                        get /v1/invoices/{invoice}
post /v1/invoices                       post /v1/invoices/{invoice}
delete /v1/invoices/{invoice}           get /v1/invoices/{invoice}/lines
post /v1/invoices/{invoice}/add_lines   post /v1/invoices/{invoice}/finalize
post /v1/invoices/{invoice}/pay         post /v1/invoices/{invoice}/send
post /v1/invoices/{invoice}/void        post /v1/invoices/{invoice}/mark_uncollectible
get /v1/payment_intents                 get /v1/payment_intents/{intent}
get /v1/payouts                         get /v1/payouts/{payout}
get /v1/prices                          get /v1/prices/{price}
post /v1/prices                         post /v1/prices/{price}
get /v1/products                        get /v1/products/{id}
post /v1/products                       post /v1/products/{id}
delete /v1/products/{id}
get /v1/refunds                         get /v1/refunds/{refund}
post /v1/refunds                        post /v1/refunds/{refund}
get /v1/subscriptions                   get /v1/subscriptions/{subscription_exposed_id}
post /v1/subscriptions                  post /v1/subscriptions/{subscription_exposed_id}
delete /v1/subscriptions/{subscription_exposed_id}
get /v1/tax_rates                       get /v1/tax_rates/{tax_rate}
post /v1/tax_rates
get /v1/webhook_endpoints               get /v1/webhook_endpoints/{webhook_endpoint}
post /v1/webhook_endpoints              delete /v1/webhook_endpoints/{webhook_endpoint}
""".split()

KEPT = ("type", "properties", "required", "items", "anyOf", "enum", "maxLength", "format")


def shape(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without prose, and without lengths that bind nothing."""
    kept = {key: schema[key] for key in KEPT if key in schema}
    if kept.get("maxLength") == 5000:
        del kept["maxLength"]
    if "properties" in kept:
        kept["properties"] = {name: shape(each) for name, each in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = shape(kept["items"])
    if "anyOf" in kept:
        kept["anyOf"] = [shape(each) for each in kept["anyOf"]]
    if isinstance(schema.get("additionalProperties"), dict):
        kept["values"] = shape(schema["additionalProperties"])
    return kept


def parameters(operation: dict[str, Any]) -> dict[str, Any]:
    """One object shape for an operation's query and form parameters."""
    queries = [each for each in operation.get("parameters", []) if each["in"] == "query"]
    body = operation.get("requestBody", {}).get("content", {})
    form = shape(body.get("application/x-www-form-urlencoded", {}).get("schema", {}))
    properties = {each["name"]: shape(each["schema"]) for each in queries}
    required = [each["name"] for each in queries if each.get("required")]
    return {
        "type": "object",
        "properties": properties | form.get("properties", {}),
        "required": required + form.get("required", []),
    }


def trimmed() -> str:
    """The text of the shipped file."""
    spec = json.loads((HERE / "stripe_openapi_extract.json").read_bytes())
    examples = json.loads((HERE / "fixtures3.json").read_bytes())["resources"]
    operations = {}
    for method, path in zip(OPERATIONS[::2], OPERATIONS[1::2], strict=True):
        operations[f"{method.upper()} {path}"] = parameters(spec["paths"][path][method])
    kept = {
        "version": spec["info"]["version"],
        "objects": {name: examples[name] for name in OBJECTS},
        "operations": operations,
    }
    return json.dumps(kept, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    SHIPPED.write_text(trimmed(), encoding="utf-8")
