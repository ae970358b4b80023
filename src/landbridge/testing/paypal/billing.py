"""Products, plans and subscriptions (catalogue v1, billing v1)."""

from __future__ import annotations

from typing import Any

from landbridge.testing.paypal.account import Account
from landbridge.testing.paypal.wire import Obj, code_of, link, malformed, missing, stamp, wrong

_PATCHED = ("description", "category", "image_url", "home_url")
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


def subscribe(account: Account, plan: str, email: str, *, tell: bool = True) -> Obj:
    """What a customer does: subscribes to a plan."""
    held = account.kept["plan"].get(plan)
    if held is None:
        raise missing("plan_id")
    price = held["billing_cycles"][0]["pricing_scheme"]["fixed_price"]
    ident, at = f"I-{code_of(account.rng, 12)}", stamp(account.now())
    made = {
        "id": ident,
        "plan_id": plan,
        "status": "ACTIVE",
        "status_update_time": at,
        "start_time": at,
        "quantity": "1",
        "subscriber": {"email_address": email, "payer_id": code_of(account.rng, 13)},
        "billing_info": {
            "outstanding_balance": {**price, "value": "0.00"},
            "failed_payments_count": 0,
            "next_billing_time": stamp(account.now() + 30 * 86_400),
        },
        "create_time": at,
        "update_time": at,
        "links": [link(account.url, f"/v1/billing/subscriptions/{ident}")],
    }
    account.put("subscription", "BILLING.SUBSCRIPTION.CREATED", made, tell=tell)
    if tell:
        account.tell("subscription", "BILLING.SUBSCRIPTION.ACTIVATED", made)
    return made


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
        bill = {k: v for k, v in held["billing_info"].items() if k != "next_billing_time"}
        made["billing_info"] = bill
    return account.put("subscription", f"BILLING.SUBSCRIPTION.{_EVENTS[status]}", made)
