"""PayPal's OpenAPI document: what it takes, what it answers, and which paths its schemas have."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from tests.specs.documents import Document

KEPT = Path(__file__).parent / "paypal_extract.json"
SCHEMAS = {
    "invoice": "invoicing.invoice",
    "product": "catalogs_products.product_collection_element",
    "plan": "billing_subscriptions.plan",
    "subscription": "billing_subscriptions.subscription",
    "order": "checkout_orders.order",
    "capture": "payments_payment.capture-2",
    "refund": "payments_payment.refund",
    "dispute": "customer_disputes.dispute",
    "transaction": "reporting_transactions.transaction_detail",
    "payout": "payments_payouts_batch.payout_batch",
}
"""The schema of each resource's records; of a product as the list shows it."""


@cache
def paypal() -> Document:
    """PayPal's document."""
    return Document(json.loads(KEPT.read_bytes()))
