"""Subscriptions: made, changed and canceled. Changes are not prorated, and periods do not end by
themselves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from landbridge.testing.stripe import invoices
from landbridge.testing.stripe.catalog import cancel_subscription, put
from landbridge.testing.stripe.lines import new_line, retotal
from landbridge.testing.stripe.payments import rounded
from landbridge.testing.stripe.problems import Problem, conflict, missing, no_such, not_simulated
from landbridge.testing.stripe.vendor import plain
from landbridge.testing.stripe.world import Obj, World, copied

_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_DAY = 86_400
_OWN_RULES = {"customer", "items", "currency", "cancel_at", "cancel_at_period_end", "trial_end"}


def create_subscription(world: World, params: dict[str, Any]) -> Obj:
    """POST /v1/subscriptions, of a customer to recurring prices."""
    for param in ("customer", "items"):
        if not params.get(param):
            raise missing(param)
    customer = world.get("customers", params["customer"], "customer", status=400)
    items = []
    for place, asked in enumerate(params["items"]):
        price = _price(world, asked, place)
        items.append((price, asked.get("quantity", 1)))
    asked = {key: value for key, value in params.items() if key not in {"customer", "items"}}
    return subscribe(world, customer, items, asked)


def subscribe(
    world: World, customer: Obj, items: list[tuple[Obj, int]], params: dict[str, Any]
) -> Obj:
    """A new subscription with its first invoice, unless a trial comes first."""
    now = world.now()
    currency = items[0][0]["currency"]
    if params.get("currency") not in (None, currency):
        message = f"The price specified only supports `{currency}`."
        raise Problem(message, param="currency")
    subscription = world.fresh(
        "subscriptions",
        billing_cycle_anchor=now,
        created=now,
        currency=currency,
        customer=customer["id"],
        start_date=now,
    )
    template = subscription["items"]["data"][0]
    subscription["items"] |= {
        "data": [_item(world, template, subscription, *each) for each in items],
        "url": f"/v1/subscription_items?subscription={subscription['id']}",
    }
    subscription["payment_settings"]["payment_method_options"] = None
    _put(world, subscription, params)
    sends = subscription["collection_method"] == "send_invoice"
    if sends and subscription["days_until_due"] is None:
        raise missing("days_until_due")
    method = (
        subscription["default_payment_method"]
        or customer["invoice_settings"]["default_payment_method"]
    )
    trial = subscription["trial_end"] is not None
    if method is None and not sends and not trial:
        message = (
            "This customer has no attached payment source or default payment method. Please"
            " consider adding a default payment method."
        )
        raise conflict(message, "resource_missing")
    subscription["status"] = "trialing" if trial else "active"
    world.add("subscriptions", subscription, "customer.subscription.created")
    if not trial:
        _bill(world, subscription, customer, None if sends else method)
    return subscription


def _price(world: World, asked: dict[str, Any], place: int) -> Obj:
    param = f"items[{place}][price]"
    if asked.get("price") is None:
        raise missing(param)
    price = world.get("prices", asked["price"], param, status=400)
    if price["recurring"] is None:
        message = "The price specified is set to `type=one_time` but this field only accepts prices"
        raise Problem(f"{message} with `type=recurring`.", param=param)
    return price


def _item(world: World, template: Obj, subscription: Obj, price: Obj, quantity: int) -> Obj:
    now = world.now()
    cycle = price["recurring"]
    item = copied(template) | {
        "id": world.new_id("si", 14),
        "billing_thresholds": None,
        "created": now,
        "current_period_start": now,
        "current_period_end": now + _DAYS[cycle["interval"]] * cycle["interval_count"] * _DAY,
        "price": copied(price),
        "quantity": quantity,
        "subscription": subscription["id"],
    }
    item.pop("plan", None)
    return item


def _bill(world: World, subscription: Obj, customer: Obj, method: str | None) -> None:
    """The first invoice; without a method it is left to be paid."""
    now = world.now()
    invoice = invoices.new_invoice(world, customer, currency=subscription["currency"], created=now)
    invoice |= {
        "billing_reason": "subscription_create",
        "parent": invoices.subscription_parent(subscription),
    }
    invoice["payment_settings"]["payment_method_options"] = None
    if method is None:
        due = now + subscription["days_until_due"] * _DAY
        invoice |= {"collection_method": "send_invoice", "due_date": due}
    for item in subscription["items"]["data"]:
        invoice["lines"]["data"].append(_line(world, invoice, item))
    retotal(invoice)
    subscription["latest_invoice"] = invoice["id"]
    world.add("invoices", invoice)
    invoices.finalize(world, invoice["id"], {})
    if method is None or invoice["status"] == "paid":
        return
    try:
        invoices.pay(world, invoice["id"], {"payment_method": method})
    except Problem:
        with world.changing(subscription, "customer.subscription.updated"):
            subscription["status"] = "incomplete"


def _line(world: World, invoice: Obj, item: Obj) -> Obj:
    price, quantity = item["price"], item["quantity"]
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": None,
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    return new_line(
        world,
        invoice,
        amount=rounded(Decimal(price["unit_amount_decimal"]) * quantity, price["currency"]),
        description=f"{quantity} of {price['id']}",
        rates=[],
        price=price,
        quantity=quantity,
        unit=price["unit_amount_decimal"],
        period={"start": item["current_period_start"], "end": item["current_period_end"]},
        parent={
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        },
    )


def update_subscription(world: World, subscription_id: str, params: dict[str, Any]) -> Obj:
    """POST /v1/subscriptions/{subscription}: items that are named, and when it ends."""
    subscription = world.get("subscriptions", subscription_id)
    if subscription["status"] == "canceled" and params.keys() - {"metadata", "expand"}:
        message = "A canceled subscription can only update its cancellation_details and metadata."
        raise conflict(message)
    tried = copied(subscription)
    for place, asked in enumerate(params.get("items") or ()):
        _change_item(world, tried, asked, place)
    if not tried["items"]["data"]:
        raise conflict("A subscription must have at least one active item.")
    _put(world, tried, params)
    with world.changing(subscription, "customer.subscription.updated"):
        subscription.update(tried)
    return subscription


def _change_item(world: World, subscription: Obj, asked: dict[str, Any], place: int) -> None:
    items: list[Obj] = subscription["items"]["data"]
    if asked.get("id") is None:
        price = _price(world, asked, place)
        template = plain("subscription")["items"]["data"][0]
        new = _item(world, template, subscription, price, asked.get("quantity", 1))
        items.append(new)
        return
    found = next((each for each in items if each["id"] == asked["id"]), None)
    if found is None:
        raise no_such("subscription item", asked["id"], f"items[{place}][id]", status=400)
    if asked.get("deleted"):
        items.remove(found)
        return
    if asked.get("price") is not None:
        found["price"] = copied(_price(world, asked, place))
    found["quantity"] = asked.get("quantity", found["quantity"])


def _put(world: World, subscription: Obj, params: dict[str, Any]) -> None:
    put(subscription, {key: value for key, value in params.items() if key not in _OWN_RULES})
    now = world.now()
    if params.get("trial_end") == "now":
        raise not_simulated("trial_end")
    if params.get("trial_end") is not None:
        subscription |= {"trial_start": now, "trial_end": params["trial_end"]}
    if params.get("cancel_at_period_end") and params.get("cancel_at") is not None:
        message = "You may only specify one of these parameters: cancel_at, cancel_at_period_end."
        raise Problem(message, param="cancel_at")
    if "cancel_at_period_end" in params:
        ends = bool(params["cancel_at_period_end"])
        if ends != subscription["cancel_at_period_end"]:
            at = max(each["current_period_end"] for each in subscription["items"]["data"])
            subscription |= {
                "cancel_at_period_end": ends,
                "cancel_at": at if ends else None,
                "canceled_at": now if ends else None,
            }
    if "cancel_at" in params:
        at = params["cancel_at"]
        subscription |= {"cancel_at": at, "canceled_at": None if at is None else now}


def cancel(world: World, subscription_id: str) -> Obj:
    """DELETE /v1/subscriptions/{subscription}: it ends now, and stays as a canceled one."""
    subscription = world.get("subscriptions", subscription_id)
    if subscription["status"] == "canceled":
        raise no_such("subscription", subscription_id)
    cancel_subscription(world, subscription)
    return subscription
