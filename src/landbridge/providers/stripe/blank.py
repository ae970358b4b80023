"""What Stripe's new objects look like before anything is written into them.

A shadow answers a creation with these. They hold what Stripe's OpenAPI file requires and what the
mappings read, and are checked against it; amounts are nothing, since nothing is on them yet.
"""

from typing import Any, Final

_LIVE: Final = {"created": 0, "livemode": False, "metadata": {}}

CUSTOMER: Final[dict[str, Any]] = {
    **_LIVE,
    "id": "cus_0",
    "object": "customer",
    "address": None,
    "balance": 0,
    "currency": None,
    "default_source": None,
    "delinquent": False,
    "description": None,
    "discount": None,
    "email": None,
    "invoice_prefix": None,
    "name": None,
    "phone": None,
    "preferred_locales": [],
    "shipping": None,
    "tax_exempt": "none",
}

INVOICE: Final[dict[str, Any]] = {
    **_LIVE,
    "id": "in_0",
    "object": "invoice",
    "amount_due": 0,
    "amount_overpaid": 0,
    "amount_paid": 0,
    "amount_paid_off_stripe": 0,
    "amount_remaining": 0,
    "amount_shipping": 0,
    "attempt_count": 0,
    "attempted": False,
    "auto_advance": False,
    "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
    "collection_method": "charge_automatically",
    "currency": "usd",
    "customer": "",
    "default_tax_rates": [],
    "description": None,
    "discounts": [],
    "due_date": None,
    "effective_at": None,
    "ending_balance": None,
    "footer": None,
    "issuer": {"type": "self"},
    "lines": {"object": "list", "data": [], "has_more": False, "url": "/v1/invoices/in_0/lines"},
    "number": None,
    "parent": None,
    "payment_settings": {
        "default_mandate": None,
        "payment_method_options": None,
        "payment_method_types": None,
    },
    "period_end": 0,
    "period_start": 0,
    "post_payment_credit_notes_amount": 0,
    "pre_payment_credit_notes_amount": 0,
    "starting_balance": 0,
    "status": "draft",
    "status_transitions": {
        "finalized_at": None,
        "marked_uncollectible_at": None,
        "paid_at": None,
        "voided_at": None,
    },
    "subtotal": 0,
    "total": 0,
    "total_taxes": [],
}

REFUND: Final[dict[str, Any]] = {
    "id": "re_0",
    "object": "refund",
    "amount": 0,
    "balance_transaction": None,
    "charge": None,
    "created": 0,
    "currency": "usd",
    "metadata": {},
    "payment_intent": None,
    "reason": None,
    "receipt_number": None,
    "source_transfer_reversal": None,
    "status": "succeeded",
    "transfer_reversal": None,
}
