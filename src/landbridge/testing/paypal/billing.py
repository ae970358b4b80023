"""Products, plans and subscriptions (catalogue v1, billing v1)."""

from __future__ import annotations

from typing import Any

from landbridge.testing.paypal.account import Account
from landbridge.testing.paypal.wire import (
    Obj,
    Problem,
    code_of,
    link,
    malformed,
    missing,
    stamp,
    wrong,
)

_PATCHED = ("description", "category", "image_url", "home_url")
_SITE = "https://www.sandbox.paypal.com/webapps/billing/subscriptions?ba_token=BA-"
_PROPOSED = frozenset(
    "plan_id start_time quantity shipping_amount subscriber auto_renewal application_context"
    " custom_id plan".split()
)
_MOVES = {"cancel": "CANCELLED", "suspend": "SUSPENDED", "activate": "ACTIVE"}
_EVENTS = {"CANCELLED": "CANCELLED", "SUSPENDED": "SUSPENDED", "ACTIVE": "ACTIVATED"}


def create_product(account: Account, asked: Obj, *, tell: bool = True) -> Obj:
    """A new product of the catalogue."""
    for name in ("name", "type"):
        if not asked.get(name):
            raise malformed(f"/{name}", "A required field is missing.")
    ident, at = asked.get("id") or f"PROD-{code_of(account.rng)}", stamp(account.now())
    times = {"create_time": at, "update_time": at}
    links = [link(account.url, f"/v1/catalogs/products/{ident}")]
    made = {**asked, "id": ident, **times, "links": links}
    return account.put("product", "CATALOG.PRODUCT.CREATED", made, tell=tell)


def patch_product(account: Account, key: str, operations: Any) -> None:
    """Changes a product by JSON Patch, as far as PayPal lets it be changed."""
    held = account.kept["product"].get(key)
    if held is None:
        raise missing("product_id")
    made = dict(held)
    if not isinstance(operations, list) or not operations:
        raise malformed("", "A list of operations is needed.")
    for each in operations:
        name = str(each.get("path", "")).removeprefix("/")
        if name not in _PATCHED:
            raise wrong(f"/{name}", "INVALID_PATCH_PATH", "This cannot be patched.")
        match each.get("op"):
            case "add":
                made[name] = each["value"]
            case "replace" if name in made:
                made[name] = each["value"]
            case "remove" if name in made:
                del made[name]
            case _:
                raise wrong(f"/{name}", "INVALID_PATCH_OPERATION", "This cannot be done here.")
    made["update_time"] = stamp(account.now())
    account.put("product", "CATALOG.PRODUCT.UPDATED", made)


def create_plan(account: Account, product: str, name: str, price: Obj, unit: str) -> Obj:
    """A new active plan with one regular price; no webhook tells of it."""
    ident, at = f"P-{code_of(account.rng, 24)}", stamp(account.now())
    cycle = {
        "pricing_scheme": {
            "version": 1,
            "fixed_price": price,
            "create_time": at,
            "update_time": at,
        },
        "frequency": {"interval_unit": unit, "interval_count": 1},
        "tenure_type": "REGULAR",
        "sequence": 1,
        "total_cycles": 0,
    }
    made = {
        "id": ident,
        "product_id": product,
        "name": name,
        "status": "ACTIVE",
        "billing_cycles": [cycle],
        "taxes": {"percentage": "10", "inclusive": False},
        "quantity_supported": False,
        "create_time": at,
        "update_time": at,
        "links": [link(account.url, f"/v1/billing/plans/{ident}")],
    }
    return account.put("plan", "BILLING.PLAN.CREATED", made, tell=False)


def create_subscription(account: Account, asked: Obj, *, tell: bool = True) -> Obj:
    """A subscription that the merchant proposes: it waits for its subscriber's approval."""
    held = account.kept["plan"].get(str(asked.get("plan_id")))
    if held is None:
        words = "The specified resource does not exist."
        raise Problem(404, "RESOURCE_NOT_FOUND", words, ("/plan_id", "INVALID_RESOURCE_ID", words))
    for name in sorted(set(asked) - _PROPOSED):
        raise malformed(f"/{name}", "This is not known.")
    around = asked.get("application_context", {"return_url": "-", "cancel_url": "-"})
    for name in ("return_url", "cancel_url"):
        if not around.get(name):
            raise malformed(f"/application_context/{name}", "A required field is missing.")
    count = str(asked.get("quantity", "1"))
    if count != "1" and not held["quantity_supported"]:
        raise wrong("/quantity", "SUBSCRIPTION_CANNOT_HAVE_QUANTITY", "The plan is for one.")
    ident, at = f"I-{code_of(account.rng, 12)}", stamp(account.now())
    made: Obj = {
        "id": ident,
        "plan_id": held["id"],
        "status": "APPROVAL_PENDING",
        "status_update_time": at,
        "start_time": asked.get("start_time", at),
        "quantity": count,
        "subscriber": dict(asked.get("subscriber") or {}),
        "create_time": at,
        "links": [
            {"href": f"{_SITE}{code_of(account.rng)}", "rel": "approve", "method": "GET"},
            link(account.url, f"/v1/billing/subscriptions/{ident}"),
        ],
    }
    if asked.get("custom_id"):
        made["custom_id"] = asked["custom_id"]
    return account.put("subscription", "BILLING.SUBSCRIPTION.CREATED", made, tell=tell)


def approve(account: Account, key: str, email: str, *, tell: bool = True) -> Obj:
    """What a customer does on PayPal's page: agrees to a subscription."""
    held = account.kept["subscription"].get(key)
    if held is None:
        raise missing("id")
    if held["status"] != "APPROVAL_PENDING":
        words = "Invalid subscription status for this action."
        raise wrong("", "SUBSCRIPTION_STATUS_INVALID", words)
    cycle = account.kept["plan"][held["plan_id"]]["billing_cycles"][0]
    price, at = cycle["pricing_scheme"]["fixed_price"], stamp(account.now())
    made = {
        **held,
        "status": "ACTIVE",
        "status_update_time": at,
        "subscriber": {"email_address": email, "payer_id": code_of(account.rng, 13)},
        "billing_info": {
            "outstanding_balance": {**price, "value": "0.00"},
            "failed_payments_count": 0,
            "next_billing_time": stamp(account.now() + 30 * 86_400),
        },
        "update_time": at,
        "links": held["links"][1:],
    }
    return account.put("subscription", "BILLING.SUBSCRIPTION.ACTIVATED", made, tell=tell)


def subscribe(account: Account, plan: str, email: str, *, tell: bool = True) -> Obj:
    """What a customer does on the merchant's site and PayPal's: subscribes to a plan."""
    made = create_subscription(account, {"plan_id": plan}, tell=tell)
    return approve(account, made["id"], email, tell=tell)


def bill(account: Account, key: str, *, fails: bool = False) -> Obj:
    """What PayPal does once a period: takes the price of a subscription, or tries to; what it told
    of. A payment of a subscription is a sale, of the older API."""
    held = account.kept["subscription"].get(key)
    if held is None:
        raise missing("id")
    if held["status"] != "ACTIVE":
        raise wrong("", "SUBSCRIPTION_STATUS_INVALID", "Only an active one is billed.")
    told, at = dict(held["billing_info"]), stamp(account.now())
    cycle = account.kept["plan"][held["plan_id"]]["billing_cycles"][0]
    price = cycle["pricing_scheme"]["fixed_price"]
    if fails:
        told["failed_payments_count"] += 1
        told["outstanding_balance"] = price
        made = {**held, "billing_info": told, "update_time": at}
        return account.put("subscription", "BILLING.SUBSCRIPTION.PAYMENT.FAILED", made)
    told |= {"failed_payments_count": 0, "outstanding_balance": {**price, "value": "0.00"}}
    told["last_payment"] = {"amount": price, "time": at}
    account.kept["subscription"][key] = {**held, "billing_info": told, "update_time": at}
    ident = code_of(account.rng)
    sale: Obj = {
        "id": ident,
        "billing_agreement_id": key,
        "amount": {"total": price["value"], "currency": price["currency_code"]},
        "state": "completed",
        "create_time": at,
        "update_time": at,
    }
    account.moved("T0002", ident, price, None)
    account.tell("sale", "PAYMENT.SALE.COMPLETED", sale)
    return sale


def move(account: Account, key: str, how: str, asked: Obj) -> Obj:
    """Cancels, suspends or activates a subscription."""
    held = account.kept["subscription"].get(key)
    if held is None:
        raise missing("id")
    if how in ("cancel", "suspend") and not asked.get("reason"):
        raise malformed("/reason", "A required field is missing.")
    if held["status"] in ("CANCELLED", "EXPIRED", _MOVES[how]):
        words = "Invalid subscription status for this action."
        raise wrong("", "SUBSCRIPTION_STATUS_INVALID", words)
    at, status = stamp(account.now()), _MOVES[how]
    made = {**held, "status": status, "status_update_time": at, "update_time": at}
    if status == "CANCELLED":
        bill = held.get("billing_info", {})
        made["billing_info"] = {k: v for k, v in bill.items() if k != "next_billing_time"}
    return account.put("subscription", f"BILLING.SUBSCRIPTION.{_EVENTS[status]}", made)
