"""Orders (checkout v2): made by the merchant, approved by the payer, captured by the merchant."""

from __future__ import annotations

import copy
from decimal import Decimal, InvalidOperation
from typing import Any

from landbridge.testing.paypal import payments
from landbridge.testing.paypal.account import Account
from landbridge.testing.paypal.wire import (
    Obj,
    amount_of,
    code_of,
    link,
    malformed,
    missing,
    stamp,
    wrong,
)

PATH = "/v2/checkout/orders"
_SITE = "https://www.sandbox.paypal.com/checkoutnow?token="
_OF_A_UNIT = frozenset(
    "reference_id amount payee payment_instruction description custom_id invoice_id"
    " soft_descriptor items shipping supplementary_data".split()
)


def create(account: Account, asked: Obj, key: str | None) -> Obj:
    """A new order, which waits for its payer. One that names how it is paid needs a key."""
    if asked.get("intent") != "CAPTURE":
        raise malformed("/intent", "Only CAPTURE is known here.")
    units = asked.get("purchase_units")
    if not isinstance(units, list) or len(units) != 1:
        raise malformed("/purchase_units", "One purchase unit is needed here.")
    source = asked.get("payment_source") or {}
    if source and not key:
        raise malformed("PayPal-Request-Id", "A required field is missing.")
    _added_up(units[0])
    ident, at = code_of(account.rng), stamp(account.now())
    shown = copy.deepcopy(units[0])
    shown.setdefault("reference_id", "default")
    made: Obj = {
        "id": ident,
        "intent": "CAPTURE",
        "status": "PAYER_ACTION_REQUIRED" if source else "CREATED",
        "purchase_units": [shown],
        "create_time": at,
        "links": [
            link(account.url, f"{PATH}/{ident}"),
            {
                "href": f"{_SITE}{ident}",
                "rel": "payer-action" if source else "approve",
                "method": "GET",
            },
        ],
    }
    if source:  # how the page looks is not shown again
        wallet = source.get("paypal") or {}
        known = {name: each for name, each in wallet.items() if name == "email_address"}
        made["payment_source"] = {"paypal": known}
    return account.put("order", "CHECKOUT.ORDER.CREATED", made, tell=False)


def _added_up(unit: Obj) -> None:
    """A `Problem` where what a unit says of its money does not come to the same."""
    for name in sorted(set(unit) - _OF_A_UNIT):
        raise malformed(f"/purchase_units/0/{name}", "This is not known.")
    whole = amount_of(unit.get("amount"), "/purchase_units/0/amount")
    if whole <= 0:
        words = "Cannot be zero or negative."
        raise wrong("/purchase_units/0/amount/value", "CANNOT_BE_ZERO_OR_NEGATIVE", words)
    if "items" not in unit:
        return
    parts = unit["amount"].get("breakdown") or {}
    if "item_total" not in parts:
        words = "Item total is required when items have a unit amount."
        raise wrong("/purchase_units/0/amount/breakdown", "ITEM_TOTAL_REQUIRED", words)
    told = Decimal(0)
    for number, each in enumerate(unit["items"]):
        where = f"/purchase_units/0/items/{number}"
        price = amount_of(each.get("unit_amount"), f"{where}/unit_amount")
        told += price * _count(each.get("quantity"), where)
    if told != amount_of(parts["item_total"], "/purchase_units/0/amount/breakdown/item_total"):
        words = "Should equal sum of (unit_amount * quantity) across all items."
        raise wrong("/purchase_units/0/amount/breakdown", "ITEM_TOTAL_MISMATCH", words)
    if told != whole:
        words = "Should equal item_total here, which knows no shipping, tax or discount."
        raise wrong("/purchase_units/0/amount/value", "AMOUNT_MISMATCH", words)


def _count(told: Any, where: str) -> int:
    try:
        number = Decimal(told)
        if number == number.to_integral_value():
            return int(number)
    except (InvalidOperation, TypeError):
        pass
    raise malformed(f"{where}/quantity", "Must be a whole number.")


def approve(account: Account, key: str, email: str) -> Obj:
    """What a payer does on PayPal's page."""
    held = _one(account, key)
    if held["status"] not in ("CREATED", "PAYER_ACTION_REQUIRED"):
        raise wrong("", "ORDER_ALREADY_APPROVED", f"The order is {held['status']}.")
    who = {"email_address": email, "payer_id": code_of(account.rng, 13)}
    made = {**held, "status": "APPROVED", "payer": who, "update_time": stamp(account.now())}
    wallet = {"email_address": email, "account_id": who["payer_id"]}
    made["payment_source"] = {"paypal": wallet}
    made["links"] = [
        held["links"][0],
        link(account.url, f"{PATH}/{key}/capture", "capture", "POST"),
    ]
    return account.put("order", "CHECKOUT.ORDER.APPROVED", made)


def capture(account: Account, key: str) -> Obj:
    """Takes the money of an order that was approved."""
    held = _one(account, key)
    if held["status"] == "COMPLETED":
        words = "Order already captured."
        raise wrong("", "ORDER_ALREADY_CAPTURED", words)
    if held["status"] != "APPROVED":
        words = "Payer has not yet approved the Order for payment."
        raise wrong("", "ORDER_NOT_APPROVED", words)
    (unit,) = copy.deepcopy(held["purchase_units"])
    amount = unit["amount"]
    made = payments.capture(
        account, Decimal(amount["value"]), amount["currency_code"], order=key, tell=False
    )
    shown = {name: made[name] for name in made if name != "supplementary_data"}
    unit["payments"] = {"captures": [shown]}
    done = {**held, "status": "COMPLETED", "purchase_units": [unit]}
    done |= {"update_time": stamp(account.now()), "links": held["links"][:1]}
    account.tell("capture", "PAYMENT.CAPTURE.COMPLETED", made)
    return account.put("order", "CHECKOUT.ORDER.COMPLETED", done)


def _one(account: Account, key: str) -> Obj:
    held = account.kept["order"].get(key)
    if held is None:
        raise missing("id")
    return held
