"""What a merchant has at the start, from the vendor's examples: the same seed, the same shop."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from landbridge.testing.square import selling
from landbridge.testing.square.shop import Shop
from landbridge.testing.square.wire import Obj

_DAY = 86_400
_GIVEN = ("Amelia", "Ada", "Grace", "Mary", "Hedy", "Katherine")
_FAMILY = ("Earhart", "Lovelace", "Hopper", "Somerville", "Lamarr", "Johnson", "Ohm")
_STATUS = ("COMPLETED", "COMPLETED", "COMPLETED", "APPROVED", "FAILED", "CANCELED")
_INVOICES = ("DRAFT", "UNPAID", "PAID", "PARTIALLY_PAID", "CANCELED", "SCHEDULED")


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much of everything there is; payments, invoices and payouts are spread over locations."""

    customers: int = 130
    items: int = 12
    subscriptions: int = 6
    invoices: int = 120
    payments: int = 230
    refunds: int = 12
    disputes: int = 3
    payouts: int = 5
    plans: int = 3
    links: int = 4


@cache
def vendor() -> dict[str, Any]:
    """The example objects of Square's document."""
    found: dict[str, Any] = msgspec.json.decode((files(__package__) / "vendor.json").read_bytes())
    return found


def example(kind: str) -> Obj:
    """A copy of the vendor's example, without what makes it that one record."""
    found: Obj = copy.deepcopy(vendor()[kind])
    for name in ("id", "created_at", "updated_at", "version", "location_id", "customer_id"):
        found.pop(name, None)
    return found


def fill(shop: Shop, amounts: Amounts) -> None:
    """Fills the shop with records of the last two years; no webhook tells of it."""
    for location in vendor()["location"]:
        told = {**copy.deepcopy(location), "merchant_id": shop.merchant["id"]}
        shop.put("location", told, event="-")
    shop.merchant["main_location_id"] = next(iter(shop.kept["location"]))
    now = shop.now()
    for number in range(amounts.customers):
        made = {
            **example("customer"),
            "given_name": _GIVEN[number % len(_GIVEN)],
            "family_name": f"{_FAMILY[number % len(_FAMILY)]} {number}",
            "email_address": f"customer.{number}@example.com",
        }
        shop.put("customer", made, at=now - (900 - number) * _DAY / 2, event="-")
    for number in range(amounts.items):
        _item(shop, number, now - (100 - number) * _DAY)
    for number in range(amounts.subscriptions):
        made = {**example("subscription"), **_whose(shop, number)}
        shop.put("subscription", made, at=now - (90 - number) * _DAY, event="-")
    for number in range(amounts.invoices):
        _invoice(shop, number, now - (600 - number) * _DAY)
    for number in range(amounts.payments):
        _payment(shop, number, now - (700 - number * 3) * _DAY)
    _money_back(shop, amounts, now)
    _plans_and_links(shop, amounts, now)


def _whose(shop: Shop, number: int) -> Obj:
    customers, locations = list(shop.kept["customer"]), list(shop.kept["location"])
    whose = {"location_id": locations[number % len(locations)]}
    return {**whose, "customer_id": customers[number % len(customers)]} if customers else whose


def _item(shop: Shop, number: int, at: float) -> None:
    made = example("item")
    made["item_data"] = {**made["item_data"], "name": f"Tea {number}"}
    item = shop.put("item", {**made, "is_deleted": False}, at=at, event="-")
    (variation,) = made["item_data"]["variations"]
    told = {**variation["item_variation_data"], "item_id": item["id"]}
    if number % 4 == 3:
        del told["price_money"]
        told["pricing_type"] = "VARIABLE_PRICING"
    same = {"id": shop.new_id(22), "is_deleted": False, "present_at_all_locations": True}
    whole = {**same, "type": "ITEM_VARIATION", "item_variation_data": told}
    shop.put("item_variation", whole, at=at, event="-")


def _invoice(shop: Shop, number: int, at: float) -> None:
    made, whose = example("invoice"), _whose(shop, number)
    status = _INVOICES[number % len(_INVOICES)]
    (request,) = made["payment_requests"]
    asked = 1_000 + number * 10
    paid = {"PAID": asked, "PARTIALLY_PAID": asked // 2}.get(status, 0)
    request["computed_amount_money"] = {"amount": asked, "currency": "USD"}
    request["total_completed_amount_money"] = {"amount": paid, "currency": "USD"}
    made["primary_recipient"] = {
        **made["primary_recipient"],
        "customer_id": whose.get("customer_id", ""),
    }
    named = {"id": f"inv:0-{shop.new_id(24)}", "invoice_number": f"inv-{number:04}"}
    told = {**made, **named, "status": status, "location_id": whose["location_id"]}
    shop.put("invoice", told, at=at, event="-")


def _payment(shop: Shop, number: int, at: float) -> None:
    made, status = example("payment"), _STATUS[number % len(_STATUS)]
    amount, tip = 555 + number, number % 3 * 50
    made["amount_money"] = {"amount": amount, "currency": "USD"}
    made["total_money"] = {"amount": amount + tip, "currency": "USD"}
    if tip:
        made["tip_money"] = {"amount": tip, "currency": "USD"}
    if status == "FAILED":
        problem = {"category": "PAYMENT_METHOD_ERROR", "code": "GENERIC_DECLINE"}
        made["card_details"] = {**made["card_details"], "status": "FAILED", "errors": [problem]}
        del made["processing_fee"]
    shop.put("payment", {**made, **_whose(shop, number), "status": status}, at=at, event="-")


def _money_back(shop: Shop, amounts: Amounts, now: float) -> None:
    done = [one for one in shop.kept["payment"].values() if one["status"] == "COMPLETED"]
    for number, payment in enumerate(done[: amounts.refunds]):
        money = {"amount": 100 + number, "currency": "USD"}
        made = {**example("refund"), "id": f"{payment['id']}_{number}", "amount_money": money}
        made |= {"payment_id": payment["id"], "location_id": payment["location_id"]}
        shop.put("refund", made, at=now - (80 - number) * _DAY, event="-")
        payment["refunded_money"] = dict(money)
    for number, payment in enumerate(done[-amounts.disputes :] if amounts.disputes else []):
        made = {**example("dispute"), "disputed_payment": {"payment_id": payment["id"]}}
        made |= {"state": "EVIDENCE_REQUIRED", "location_id": payment["location_id"]}
        shop.put("dispute", made, at=now - (40 - number) * _DAY, event="-")
    for number in range(amounts.payouts):
        made = {**example("payout"), "id": f"po_{shop.new_uuid()}", **_whose(shop, number)}
        made.pop("customer_id", None)
        made["amount_money"] = {"amount": 10_000 + number, "currency": "USD"}
        shop.put("payout", made, at=now - (500 - 90 * number) * _DAY, event="-")


def _plans_and_links(shop: Shop, amounts: Amounts, now: float) -> None:
    cadences = ("MONTHLY", "ANNUAL", "EVERY_TWO_WEEKS")
    for number in range(amounts.plans):
        price = {"amount": 1_500 + number, "currency": "USD"}
        cadence, at = cadences[number % 3], now - (50 - number) * _DAY
        selling.plan(shop, f"Plan {number}", cadence, price, at=at, trial=number % 2 == 1)
    variations = list(shop.kept["subscription_plan_variation"])
    for number, one in enumerate(shop.kept["subscription"].values() if variations else ()):
        one["plan_variation_id"] = variations[number % len(variations)]
    for number in range(amounts.links):
        money = {"amount": 900 + number, "currency": "USD"}
        place = {"location_id": _whose(shop, number)["location_id"]}
        asked = {"quick_pay": {"name": f"Cake {number}", "price_money": money, **place}}
        selling.create_link(shop, asked)
