"""Orders, and what is made of them: payment links, invoices; and subscriptions to a plan.

The rules are those that Square's OpenAPI file states in its prose.
"""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from landbridge.testing.square.shop import Shop
from landbridge.testing.square.wire import Obj, Refused

_DAY = 86_400
_OF_A_LINK = ("description", "checkout_options", "pre_populated_data", "payment_note")
_OF_AN_INVOICE = frozenset(
    "order_id location_id primary_recipient payment_requests delivery_method invoice_number title"
    " description scheduled_at accepted_payment_methods custom_fields sale_or_service_date"
    " payment_conditions store_payment_method_enabled".split()
)
_OF_A_SUBSCRIPTION = frozenset(
    "idempotency_key location_id plan_variation_id customer_id start_date canceled_date"
    " tax_percentage price_override_money card_id timezone source monthly_billing_anchor_date"
    " phases".split()
)


def demanded(sent: Obj, name: str, where: str = "") -> Any:
    """What has to be there; `Refused` names it."""
    if not sent.get(name):
        detail = "Missing required parameter."
        raise Refused(400, "MISSING_REQUIRED_PARAMETER", detail, f"{where}{name}")
    return sent[name]


def create_order(shop: Shop, sent: Obj, *, state: str = "OPEN", event: str = "") -> Obj:
    """A new order with its lines priced; taxes and discounts are not reckoned here."""
    location = shop.one("location", str(demanded(sent, "location_id", "order.")))
    if sent.get("customer_id"):
        shop.one("customer", sent["customer_id"])
    lines = [
        _line(shop, each, f"order.line_items[{number}].")
        for number, each in enumerate(sent.get("line_items") or ())
    ]
    code = location["currency"]
    for number, each in enumerate(lines):
        if each["base_price_money"]["currency"] != code:
            field = f"order.line_items[{number}].base_price_money.currency"
            raise Refused(400, "INVALID_VALUE", f"The location sells in {code}.", field)
    total = {"amount": sum(each["total_money"]["amount"] for each in lines), "currency": code}
    told = {name: sent[name] for name in ("customer_id", "reference_id") if sent.get(name)}
    made = {"id": shop.new_id(29), "location_id": location["id"], **told, "state": state}
    made |= {"line_items": lines, "total_money": total, "net_amount_due_money": dict(total)}
    return shop.put("order", {**made, "source": {"name": "Landbridge"}}, event=event)


def _line(shop: Shop, sent: Obj, where: str) -> Obj:
    try:
        quantity = Decimal(demanded(sent, "quantity", where))
    except InvalidOperation:
        raise Refused(400, "INVALID_VALUE", "It is no number.", f"{where}quantity") from None
    told = {name: sent[name] for name in ("name", "note", "catalog_object_id") if sent.get(name)}
    price = sent.get("base_price_money")
    if price is None and sent.get("catalog_object_id"):
        found = shop.one("item_variation", sent["catalog_object_id"])["item_variation_data"]
        price, told = found.get("price_money"), {"name": found["name"], **told}
    if price is None or not told.get("name"):
        needed = "base_price_money" if price is None else "name"
        demanded({}, needed, where)
    assert price is not None
    whole = (price["amount"] * quantity).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    money = {"amount": int(whole), "currency": price["currency"]}
    sums = {name: dict(money) for name in ("gross_sales_money", "total_money")}
    same = {"uid": shop.new_id(22), "quantity": sent["quantity"], "item_type": "ITEM"}
    return {**same, **told, "base_price_money": dict(price), **sums}


def create_link(shop: Shop, sent: Obj) -> Obj:
    """A page on which a customer pays for an order that is made with it."""
    quick, order = sent.get("quick_pay"), sent.get("order")
    if bool(quick) == bool(order):
        raise Refused(400, "BAD_REQUEST", "Exactly one of quick_pay and order is needed.")
    if quick:
        price = demanded(quick, "price_money", "quick_pay.")
        item = {"name": demanded(quick, "name", "quick_pay."), "quantity": "1"}
        place = demanded(quick, "location_id", "quick_pay.")
        order = {"location_id": place, "line_items": [{**item, "base_price_money": price}]}
    made = create_order(shop, order or {}, state="DRAFT", event="-")
    code = shop.new_id(8)
    named = {"id": shop.new_id(16), "order_id": made["id"], "url": f"https://square.link/u/{code}"}
    told = {name: copy.deepcopy(sent[name]) for name in _OF_A_LINK if sent.get(name)}
    return shop.put("payment_link", {**named, **told}, event="-")


def delete_link(shop: Shop, key: str) -> Obj:
    """Takes a page away, and calls its order off."""
    link = shop.one("payment_link", key)
    del shop.kept["payment_link"][key]
    order = shop.one("order", link["order_id"])
    if order["state"] == "DRAFT":
        shop.put("order", {**order, "state": "CANCELED"})
    return {"id": key, "cancelled_order_id": order["id"]}


def pay_link(shop: Shop, key: str, payment: Obj) -> Obj:
    """What a customer does on such a page: a payment like the one that is given."""
    order = shop.one("order", shop.one("payment_link", key)["order_id"])
    if order["state"] != "DRAFT":
        raise Refused(400, "BAD_REQUEST", f"The order is {order['state']}.")
    total = dict(order["total_money"])
    money = {"amount_money": total, "total_money": dict(total)}
    place = {"order_id": order["id"], "location_id": order["location_id"], "status": "COMPLETED"}
    made = shop.put("payment", {**payment, **money, **place})
    due = {"net_amount_due_money": {**total, "amount": 0}}
    shop.put("order", {**order, **due, "state": "OPEN"})  # to be fulfilled
    return made


def create_invoice(shop: Shop, sent: Obj) -> Obj:
    """A draft for an order that is open."""
    told = demanded(sent, "invoice")
    for name in sorted(set(told) - _OF_AN_INVOICE):
        raise Refused(400, "BAD_REQUEST", f"{name} cannot be set", f"invoice.{name}")
    order = shop.one("order", str(demanded(told, "order_id", "invoice.")))
    if order["state"] != "OPEN":
        detail = "The order must be OPEN."
        raise Refused(400, "BAD_REQUEST", detail, "invoice.order_id")
    if told.get("location_id", order["location_id"]) != order["location_id"]:
        detail = "The location must be that of the order."
        raise Refused(400, "BAD_REQUEST", detail, "invoice.location_id")
    if any(one["order_id"] == order["id"] for one in shop.kept["invoice"].values()):
        raise Refused(400, "BAD_REQUEST", "The order has an invoice.", "invoice.order_id")
    demanded(told, "delivery_method", "invoice.")
    if not any(demanded(told, "accepted_payment_methods", "invoice.").values()):
        raise Refused(400, "BAD_REQUEST", "Accept one.", "invoice.accepted_payment_methods")
    made = {**copy.deepcopy(told), "location_id": order["location_id"], "status": "DRAFT"}
    made["payment_requests"] = [_balance(shop, told, order)]
    made["next_payment_amount_money"] = dict(order["total_money"])
    if told.get("primary_recipient"):
        made["primary_recipient"] = _recipient(shop, told["primary_recipient"])
    made.setdefault("invoice_number", f"{len(shop.kept['invoice']) + 1:06}")
    numbers = {one["invoice_number"] for one in shop.kept["invoice"].values()}
    if made["invoice_number"] in numbers:
        detail = "The number was given to another invoice."
        raise Refused(400, "BAD_REQUEST", detail, "invoice.invoice_number")
    return shop.put("invoice", {"id": f"inv:0-{shop.new_id(24)}", **made})


def _balance(shop: Shop, told: Obj, order: Obj) -> Obj:
    """The one request for payment, which asks for all of it; Square knows of more kinds."""
    where = "invoice.payment_requests"
    asked = demanded(told, "payment_requests", "invoice.")
    if len(asked) != 1 or demanded(asked[0], "request_type", f"{where}[0].") != "BALANCE":
        raise Refused(400, "BAD_REQUEST", "Only one BALANCE is known here.", where)
    demanded(asked[0], "due_date", f"{where}[0].")
    total = order["total_money"]
    made = {"uid": shop.new_uuid(), "automatic_payment_source": "NONE", **asked[0]}
    sums = {"computed_amount_money": dict(total)}
    return {**made, **sums, "total_completed_amount_money": {**total, "amount": 0}}


def _recipient(shop: Shop, told: Obj) -> Obj:
    customer = shop.one("customer", str(told.get("customer_id")))
    shown = ("given_name", "family_name", "email_address", "phone_number", "company_name")
    return {"customer_id": customer["id"]} | {
        name: customer[name] for name in shown if name in customer
    }


def subscribe(shop: Shop, sent: Obj) -> Obj:
    """A customer's subscription to a variation of a plan; it begins today or later."""
    for name in sorted(set(sent) - _OF_A_SUBSCRIPTION):
        raise Refused(400, "BAD_REQUEST", f"{name} is not known", name)
    location = shop.one("location", str(demanded(sent, "location_id")))
    shop.one("customer", str(demanded(sent, "customer_id")))
    variation = str(demanded(sent, "plan_variation_id"))
    shop.one("subscription_plan_variation", variation)
    today = _day(shop.now())
    made: Obj = {name: each for name, each in sent.items() if name != "idempotency_key"}
    made |= {"timezone": location.get("timezone", "UTC"), "source": {"name": "Landbridge"}}
    made.setdefault("start_date", today)
    made["status"] = "PENDING" if made["start_date"] > today else "ACTIVE"
    return shop.put("subscription", {"id": shop.new_uuid(), **made})


def cancel_subscription(shop: Shop, key: str) -> Obj:
    """Orders the end of a subscription, with the period that is paid for."""
    held = shop.one("subscription", key)
    if held["status"] not in ("ACTIVE", "PENDING") or held.get("canceled_date"):
        raise Refused(400, "BAD_REQUEST", "The subscription is canceled already, or not active.")
    end = held.get("charged_through_date") or _day(shop.now() + 30 * _DAY)
    return shop.put("subscription", {**held, "canceled_date": max(end, _day(shop.now()))})


def end_subscription(shop: Shop, key: str) -> Obj:
    """What Square does on the day of the end."""
    held = shop.one("subscription", key)
    return shop.put("subscription", {**held, "status": "CANCELED"})


def plan(shop: Shop, name: str, cadence: str, price: Obj, *, at: float, trial: bool) -> Obj:
    """A plan with one variation, which may begin with a free period; the variation."""
    common = {"is_deleted": False, "present_at_all_locations": True}
    told = {"type": "SUBSCRIPTION_PLAN", "subscription_plan_data": {"name": name}}
    whole = shop.put("subscription_plan", {**common, **told}, at=at, event="-")
    free = {"uid": shop.new_id(22), "cadence": cadence, "periods": 1}
    nothing = {**price, "amount": 0}
    paid = {"uid": shop.new_id(22), "cadence": cadence}
    phases = [{**free, "pricing": {"type": "STATIC", "price_money": nothing}}] if trial else []
    phases.append({**paid, "pricing": {"type": "STATIC", "price_money": price}})
    data: Obj = {"name": f"{name}, {cadence.lower()}", "subscription_plan_id": whole["id"]}
    data["phases"] = [{**each, "ordinal": number} for number, each in enumerate(phases)]
    told = {"type": "SUBSCRIPTION_PLAN_VARIATION", "subscription_plan_variation_data": data}
    return shop.put("subscription_plan_variation", {**common, **told}, at=at, event="-")


def _day(unix: float) -> str:
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%d}"
