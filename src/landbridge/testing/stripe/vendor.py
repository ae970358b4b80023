"""The vendor's own example objects and parameter shapes, as shipped in vendor.json (SOURCE.txt)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

_PLACEHOLDERS: dict[str, dict[str, Any]] = {
    "account": {"external_accounts": None},
    "balance": {},
    "balance_transaction": {},
    "charge": {
        "source": None,
        "transfer_data": None,
        "shipping": None,
        "refunds": None,
        "receipt_url": None,
        "balance_transaction": None,
        "payment_method": None,
    },
    "checkout.session": {
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "automatic_tax": {"enabled": False, "liability": None, "status": None, "provider": None},
        "cancel_url": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "currency_conversion": None,
        "customer_details": None,
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "invoice_creation": None,
        "managed_payments": None,
        "payment_intent": None,
        "payment_method_configuration_details": None,
        "permissions": None,
        "saved_payment_method_options": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "wallet_options": None,
    },
    "customer": {"discount": None, "address": None, "shipping": None},
    "dispute": {},
    "event": {},
    "invoice": {
        "automatic_tax": {
            "enabled": False,
            "liability": None,
            "status": None,
            "disabled_reason": None,
            "provider": None,
        },
        "amount_overpaid": 0,
        "customer_address": None,
        "customer_shipping": None,
        "due_date": None,
        "effective_at": None,
        "from_invoice": None,
        "last_finalization_error": None,
        "next_payment_attempt": None,
        "parent": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "subscription": None,
        "total_taxes": [],
        "total_pretax_credit_amounts": [],
        "webhooks_delivered_at": None,
    },
    "invoice_payment": {},
    "invoiceitem": {"parent": None},
    "line_item": {"parent": None, "taxes": []},
    "payment_intent": {
        "automatic_payment_methods": None,
        "canceled_at": None,
        "last_payment_error": None,
        "managed_payments": None,
        "next_action": None,
        "payment_method_configuration_details": None,
        "processing": None,
        "shipping": None,
        "source": None,
        "transfer_data": None,
    },
    "item": {},
    "payout": {"trace_id": None},
    "price": {"custom_unit_amount": None, "transform_quantity": None, "recurring": None},
    "product": {"package_dimensions": None, "default_price": None, "type": None},
    "refund": {},
    "subscription": {
        "automatic_tax": {"enabled": False, "liability": None, "disabled_reason": None},
        "billing_cycle_anchor_config": None,
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "canceled_at": None,
        "cancel_at_period_end": False,
        "ended_at": None,
        "managed_payments": None,
        "next_pending_invoice_item_invoice": None,
        "pause_collection": None,
        "pending_invoice_item_interval": None,
        "pending_update": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_start": None,
    },
    "tax_rate": {},
    "webhook_endpoint": {},
}
"""Fields that the examples fill with made-up values, and what an ordinary object has there."""

_GONE = {
    "charge": ["source", "refunds"],
    "invoice": ["subscription"],
    "payment_intent": ["source"],
    "product": ["type"],
    "account": ["external_accounts"],
}
"""Fields of the examples that the vendor's schema of the same version does not have, or leaves
out unless they are expanded."""


@cache
def _file() -> dict[str, Any]:
    read: dict[str, Any] = msgspec.json.decode(
        files(__package__).joinpath("vendor.json").read_bytes()
    )
    return read


@cache
def _plain(kind: str) -> bytes:
    plain = {**_file()["objects"][kind], **_PLACEHOLDERS[kind]}
    for name in _GONE.get(kind, []):
        del plain[name]
    return msgspec.json.encode(plain)


def api_version() -> str:
    """The version of the vendor's files, the simulator's default: `2026-05-27.dahlia`."""
    return str(_file()["version"])


def operations() -> dict[str, dict[str, Any]]:
    """Parameter shapes by `METHOD /path/{name}`."""
    found: dict[str, dict[str, Any]] = _file()["operations"]
    return found


def plain(kind: str) -> dict[str, Any]:
    """A fresh copy of the vendor's example object, without its made-up values."""
    copy: dict[str, Any] = msgspec.json.decode(_plain(kind))
    return copy
