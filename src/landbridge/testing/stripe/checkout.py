"""Checkout sessions: pages on which a customer pays once or subscribes.

A session's `url` leads to a page of the simulator (`checkout_page`). Who pays there by card has
paid at once; by a bank, the session is complete and unpaid until the bank has decided.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from landbridge.testing.asgi import BadCall
from landbridge.testing.stripe.catalog import create_customer, create_price, put
from landbridge.testing.stripe.payments import DECLINED, capture, new_intent, rounded
from landbridge.testing.stripe.problems import Problem, conflict, missing
from landbridge.testing.stripe.subscriptions import subscribe
from landbridge.testing.stripe.vendor import plain
from landbridge.testing.stripe.world import Obj, World, copied

WAYS = ("card", "declined", "bank")
"""How a customer pays: by a card, by one that is declined, by a bank that takes its time."""

_CARD = "pm_card_visa"
_SOONEST, _LATEST = 30 * 60, 24 * 3600
_PAYER: dict[str, Any] = {
    **dict.fromkeys(("business_name", "individual_name", "name", "phone")),
    "address": None,
    "tax_exempt": "none",
    "tax_ids": [],
}
_OWN_RULES = {"customer", "expires_at", "line_items", "mode", "payment_intent_data", "ui_mode"}


def create_session(world: World, params: dict[str, Any]) -> Obj:
    """POST /v1/checkout/sessions, of a page of Stripe's own."""
    mode = params.get("mode")
    for param in ("mode", "success_url", "line_items"):
        if not params.get(param):
            raise missing(param)
    if mode == "setup" or params.get("ui_mode") not in (None, "hosted", "hosted_page"):
        raise Problem("The simulator has no such page.", status=501, type="api_error", param="mode")
    if params.get("customer") and params.get("customer_email"):
        message = "You may only specify one of these parameters: customer, customer_email."
        raise Problem(message, param="customer")
    if params.get("customer"):
        world.get("customers", params["customer"], "customer", status=400)
    items = [_item(world, each, place) for place, each in enumerate(params["line_items"])]
    _check_mode(mode, items)
    session = new_session(world, items, mode=str(mode), created=world.now())
    session |= {
        "customer": params.get("customer"),
        "expires_at": _expiry(world, params.get("expires_at")),
    }
    put(session, {key: value for key, value in params.items() if key not in _OWN_RULES})
    world.collections["checkout_sessions"].add(session)
    return session


def new_session(world: World, items: list[Obj], *, mode: str, created: int) -> Obj:
    """An open session over these items, not yet added."""
    total = sum(each["amount_total"] for each in items)
    session = world.fresh(
        "checkout_sessions",
        amount_subtotal=total,
        amount_total=total,
        created=created,
        currency=items[0]["currency"],
        expires_at=created + _LATEST,
        mode=mode,
        total_details={"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
    )
    session["url"] = f"{world.address}/_sim/checkout/{session['id']}"
    world.items_of[session["id"]] = items
    return session


def new_item(world: World, price: Obj, quantity: int, name: str) -> Obj:
    """So many of a price, as a session lists it."""
    amount = rounded(Decimal(price["unit_amount_decimal"]) * quantity, price["currency"])
    return plain("item") | {
        "id": world.new_id("li"),
        "amount_subtotal": amount,
        "amount_total": amount,
        "currency": price["currency"],
        "description": name,
        "price": copied(price),
        "quantity": quantity,
    }


def _item(world: World, asked: dict[str, Any], place: int) -> Obj:
    known, made = asked.get("price"), asked.get("price_data")
    if (known is None) == (made is None):
        message = "You must specify either `price` or `price_data`, and not both."
        raise Problem(message, param=f"line_items[{place}]")
    if made is not None:
        price = create_price(world, made)
    else:
        price = world.get("prices", str(known), f"line_items[{place}][price]", status=400)
    name = world.collections["products"].items.get(price["product"], {}).get("name", "")
    if asked.get("quantity") is None:
        raise missing(f"line_items[{place}][quantity]")
    return new_item(world, price, asked["quantity"], name)


def _check_mode(mode: str | None, items: list[Obj]) -> None:
    recurring = [each["price"]["recurring"] is not None for each in items]
    if mode == "payment" and any(recurring):
        message = (
            "You specified `payment` mode but passed a recurring price. Either switch to"
            " `subscription` mode or use only one-time prices."
        )
        raise Problem(message, param="mode")
    if mode == "subscription" and not all(recurring):
        raise Problem("The simulator subscribes to recurring prices only.", param="line_items")
    if len({each["currency"] for each in items}) > 1:
        raise Problem("All prices on a Checkout Session must use the same currency.")


def _expiry(world: World, asked: int | None) -> int:
    now = world.now()
    if asked is None:
        return now + _LATEST
    if not now + _SOONEST <= asked <= now + _LATEST:
        message = (
            "The `expires_at` timestamp must be at least 30 minutes and less than 24 hours from"
            " Checkout Session creation."
        )
        raise Problem(message, param="expires_at")
    return asked


def update_session(world: World, session_id: str, params: dict[str, Any]) -> Obj:
    """POST /v1/checkout/sessions/{session}: its metadata."""
    session = world.get("checkout_sessions", session_id)
    put(session, params)
    return session


def expire(world: World, session_id: str) -> Obj:
    """POST /v1/checkout/sessions/{session}/expire of an open one."""
    session = world.get("checkout_sessions", session_id)
    if session["status"] != "open":
        message = (
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout'
            f" Session has a status of {session['status']}."
        )
        raise conflict(message)
    with world.changing(session, "checkout.session.expired"):
        session |= {"status": "expired", "url": None}
    return session


def pay(world: World, session_id: str, way: str, email: str) -> Obj:
    """What the page does when the customer pays."""
    session = opened(world, session_id)
    if session["mode"] == "subscription":
        _subscribe(world, session, way, email)
        return session
    intent = _intent(world, session)
    if way != "bank":
        capture(world, intent, DECLINED if way == "declined" else _CARD)
    else:
        with world.changing(intent, "payment_intent.processing"):
            intent["status"] = "processing"
    if way != "declined":
        _complete(world, session, email, paid=way == "card")
    return session


def settle(world: World, session_id: str, *, succeeds: bool) -> Obj:
    """What becomes of a payment that the bank took its time for."""
    session = world.get("checkout_sessions", session_id)
    if (session["status"], session["payment_status"]) != ("complete", "unpaid"):
        raise BadCall(f"checkout: {session_id} waits for no bank")
    intent = world.get("payment_intents", session["payment_intent"])
    with world.changing(intent):
        intent["status"] = "requires_payment_method"
    capture(world, intent, _CARD if succeeds else DECLINED)
    word = "succeeded" if succeeds else "failed"
    if succeeds:
        session["payment_status"] = "paid"
    world.event(f"checkout.session.async_payment_{word}", session)
    return session


def opened(world: World, session_id: str) -> Obj:
    """An open session; one whose time is over is expired."""
    session = world.get("checkout_sessions", session_id)
    if session["status"] == "open" and session["expires_at"] <= world.now():
        expire(world, session_id)
    if session["status"] != "open":
        raise BadCall(f"checkout: {session_id} is {session['status']}")
    return session


def _intent(world: World, session: Obj) -> Obj:
    """The payment that the page is for: made at the first try, tried again by the next one."""
    if session["payment_intent"] is not None:
        return world.get("payment_intents", session["payment_intent"])
    intent = new_intent(
        world,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        created=world.now(),
        description=None,
    )
    session["payment_intent"] = intent["id"]
    return world.add("payment_intents", intent)


def _subscribe(world: World, session: Obj, way: str, email: str) -> None:
    if way != "card":
        raise BadCall("pays: the simulator subscribes by card only")
    if session["customer"] is None:
        session["customer"] = create_customer(world, {"email": email})["id"]
    customer = world.get("customers", session["customer"])
    items = [(each["price"], each["quantity"]) for each in world.items_of[session["id"]]]
    made = subscribe(world, customer, items, {"default_payment_method": _CARD})
    session |= {"subscription": made["id"], "invoice": made["latest_invoice"]}
    _complete(world, session, email, paid=True)


def _complete(world: World, session: Obj, email: str, *, paid: bool) -> None:
    session |= {
        "customer_details": _PAYER | {"email": session["customer_email"] or email},
        "payment_status": "paid" if paid else "unpaid",
        "status": "complete",
        "url": None,
    }
    world.event("checkout.session.completed", session)
