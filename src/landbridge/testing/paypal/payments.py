"""Captures and their refunds (payments v2), as they come about and as they are given back."""

from __future__ import annotations

from decimal import Decimal

from landbridge.testing.paypal.account import Account
from landbridge.testing.paypal.wire import (
    Obj,
    amount_of,
    code_of,
    link,
    missing,
    money,
    stamp,
    wrong,
)

_FEE = Decimal("0.0349")


def capture(
    account: Account, amount: Decimal, code: str, *, order: str = "", tell: bool = True
) -> Obj:
    """A payment that a customer made at a checkout; of an order, if one is named."""
    fee = (amount * _FEE).quantize(Decimal("0.01"))
    at, ident = stamp(account.now()), code_of(account.rng)
    gross = money(amount, code)
    made = {
        "id": ident,
        "status": "COMPLETED",
        "amount": gross,
        "final_capture": True,
        "seller_protection": {"status": "ELIGIBLE"},
        "seller_receivable_breakdown": {
            "gross_amount": gross,
            "paypal_fee": money(fee, code),
            "net_amount": money(amount - fee, code),
        },
        "supplementary_data": {"related_ids": {"order_id": order or code_of(account.rng)}},
        "create_time": at,
        "update_time": at,
        "links": [
            link(account.url, f"/v2/payments/captures/{ident}"),
            link(account.url, f"/v2/payments/captures/{ident}/refund", "refund", "POST"),
        ],
    }
    account.moved("T0006", ident, gross, money(-fee, code))
    return account.put("capture", "PAYMENT.CAPTURE.COMPLETED", made, tell=tell)


def refund(account: Account, key: str, asked: Obj, *, tell: bool = True) -> Obj:
    """Gives back all that is left of a capture, or a part of it."""
    held = account.kept["capture"].get(key)
    if held is None:
        raise missing("capture_id")
    code = held["amount"]["currency_code"]
    whole, given = Decimal(held["amount"]["value"]), refunded(account, key)
    left = whole - given
    part = amount_of(asked["amount"], "/amount") if asked.get("amount") else left
    if asked.get("amount") and asked["amount"].get("currency_code") != code:
        words = "The currency of the refund is that of the capture."
        raise wrong("/amount/currency_code", "CURRENCY_MISMATCH", words)
    if left <= 0:
        words = "The capture has already been fully refunded."
        raise wrong("", "CAPTURE_FULLY_REFUNDED", words)
    if not 0 < part <= left:
        words = "The refund amount must be less than or equal to what is left of the capture."
        raise wrong("/amount/value", "REFUND_AMOUNT_EXCEEDED", words)
    at, ident = stamp(account.now()), code_of(account.rng)
    told: Obj = {name: asked[name] for name in ("note_to_payer", "custom_id") if name in asked}
    made: Obj = {
        "id": ident,
        "status": "COMPLETED",
        "amount": money(part, code),
        **told,
        "create_time": at,
        "update_time": at,
        "links": [
            link(account.url, f"/v2/payments/refunds/{ident}"),
            link(account.url, f"/v2/payments/captures/{key}", "up"),
        ],
    }
    account.moved("T1107", ident, money(-part, code), None, key)
    status = "REFUNDED" if part == left else "PARTIALLY_REFUNDED"
    account.kept["capture"][key] = {**held, "status": status, "update_time": at}
    return account.put("refund", "PAYMENT.CAPTURE.REFUNDED", made, tell=tell)


def refunded(account: Account, key: str) -> Decimal:
    """What was given back of a capture."""
    up = f"{account.url}/v2/payments/captures/{key}"
    return sum(
        (
            Decimal(each["amount"]["value"])
            for each in account.kept["refund"].values()
            if each["links"][1]["href"] == up
        ),
        Decimal(0),
    )
