"""Lists with cursors and filters, and the expansion of ids into objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from landbridge.testing.stripe.problems import Problem, no_such, not_simulated
from landbridge.testing.stripe.world import EVENT_DAYS, KINDS, Obj, World, copied

_INCLUDED = 10
_PAGING = {"limit", "starting_after", "ending_before", "expand"}
_EXPANDABLE = set(
    "balance_transaction charge customer default_price invoice latest_charge latest_invoice"
    " payment_intent price product source subscription tax_rate".split()
)
_LISTS = {
    ("customer", "subscriptions"): ("subscriptions", "customer"),
    ("charge", "refunds"): ("refunds", "charge"),
    ("invoice", "payments"): ("invoice_payments", "invoice"),
}
"""Lists that an object shows only when they are expanded: their collection and its filter."""

Test = Callable[[Obj, Any], bool]


def _same(field: str) -> Test:
    return lambda obj, wanted: bool(obj.get(field) == wanted)


def _between(field: str) -> Test:
    return lambda obj, wanted: obj.get(field) is not None and in_range(obj[field], wanted)


def _subscription_status(obj: Obj, wanted: str) -> bool:
    if wanted == "ended":
        return obj["status"] in {"canceled", "incomplete_expired"}
    return wanted == "all" or bool(obj["status"] == wanted)


def _item_period(field: str) -> Test:
    return lambda obj, wanted: any(in_range(each[field], wanted) for each in obj["items"]["data"])


def _recurring(obj: Obj, wanted: dict[str, Any]) -> bool:
    own = obj["recurring"]
    return own is not None and all(own[key] == value for key, value in wanted.items())


_PLAIN = {
    "balance_transactions": "currency payout source type",
    "charges": "customer payment_intent transfer_group",
    "checkout_sessions": "customer payment_intent status subscription",
    "customers": "email",
    "disputes": "charge payment_intent",
    "events": "",
    "invoice_payments": "invoice status",
    "invoiceitems": "customer invoice",
    "invoices": "customer status collection_method",
    "payment_intents": "customer",
    "payouts": "destination status",
    "prices": "active currency product type",
    "products": "active shippable url",
    "refunds": "charge payment_intent",
    "subscriptions": "customer collection_method",
    "tax_rates": "active inclusive",
    "webhook_endpoints": "",
}
_SPECIAL: dict[str, dict[str, Test]] = {
    "events": {
        "type": lambda obj, wanted: fnmatchcase(obj["type"], wanted),
        "types": lambda obj, wanted: obj["type"] in wanted,
        "delivery_success": lambda obj, wanted: (obj["pending_webhooks"] == 0) == wanted,
    },
    "invoice_payments": {
        "payment": lambda obj, wanted: all(
            obj["payment"].get(key) == value for key, value in wanted.items()
        )
    },
    "invoiceitems": {"pending": lambda obj, wanted: (obj["invoice"] is None) == wanted},
    "invoices": {
        "due_date": _between("due_date"),
        "subscription": lambda obj, wanted: subscription_of(obj) == wanted,
    },
    "prices": {
        "lookup_keys": lambda obj, wanted: obj["lookup_key"] in wanted,
        "recurring": _recurring,
    },
    "products": {"ids": lambda obj, wanted: obj["id"] in wanted},
    "subscriptions": {
        "status": _subscription_status,
        "price": lambda obj, wanted: any(
            each["price"]["id"] == wanted for each in obj["items"]["data"]
        ),
        "current_period_start": _item_period("current_period_start"),
        "current_period_end": _item_period("current_period_end"),
    },
}


def subscription_of(invoice: Obj) -> str | None:
    """The subscription that an invoice belongs to."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found


def in_range(stamp: int, wanted: int | dict[str, int]) -> bool:
    """Whether a unix time is the wanted one or within `gt`, `gte`, `lt`, `lte`."""
    if isinstance(wanted, int):
        return stamp == wanted
    return (
        stamp > wanted.get("gt", stamp - 1)
        and stamp >= wanted.get("gte", stamp)
        and stamp < wanted.get("lt", stamp + 1)
        and stamp <= wanted.get("lte", stamp)
    )


def listed(world: World, name: str, params: dict[str, Any]) -> Obj:
    """One page of a collection, newest first."""
    collection = world.collections[name]
    for param in ("starting_after", "ending_before"):
        cursor = params.get(param)
        if cursor is not None and not collection.knows(cursor):
            raise no_such(KINDS[name].object, cursor, param, status=400)
    before = params.get("ending_before")
    walk = collection.newest_first(after=params.get("starting_after"), before=before)
    limit = _limit(params)
    found = _taken(walk, _tests(world, name, params), limit + 1)
    data = found[:limit]
    if before is not None:
        data.reverse()
    return {
        "object": "list",
        "data": [presented(each) for each in data],
        "has_more": len(found) > limit,
        "url": f"/v1/{KINDS[name].path or name}",
    }


def listed_items(world: World, session: Obj, params: dict[str, Any]) -> Obj:
    """One page of what is bought on a checkout session."""
    items = world.items_of[session["id"]]
    ids, limit, start = [each["id"] for each in items], _limit(params), 0
    if (cursor := params.get("starting_after")) is not None:
        start = _index(ids, cursor, "starting_after") + 1
    url = f"/v1/checkout/sessions/{session['id']}/line_items"
    return _as_list(items[start : start + limit], url, more=len(items) > start + limit)


def listed_lines(invoice: Obj, params: dict[str, Any]) -> Obj:
    """One page of an invoice's lines, in the invoice's order."""
    lines = invoice["lines"]["data"]
    ids = [line["id"] for line in lines]
    limit, start = _limit(params), 0
    if (cursor := params.get("starting_after")) is not None:
        start = _index(ids, cursor, "starting_after") + 1
    if (cursor := params.get("ending_before")) is not None:
        end = _index(ids, cursor, "ending_before")
        start = max(0, end - limit)
        return _as_list(lines[start:end], invoice["lines"]["url"], more=start > 0)
    data = lines[start : start + limit]
    return _as_list(data, invoice["lines"]["url"], more=len(lines) > start + limit)


def _index(ids: list[str], cursor: str, param: str) -> int:
    if cursor not in ids:
        raise no_such("line item", cursor, param, status=400)
    return ids.index(cursor)


def _limit(params: dict[str, Any]) -> int:
    limit: int = params.get("limit", 10)
    if not 1 <= limit <= 100:
        message = f"Invalid integer: limit must be between 1 and 100, got {limit}"
        raise Problem(message, code="parameter_invalid_integer", param="limit")
    return limit


def _tests(world: World, name: str, params: dict[str, Any]) -> list[Callable[[Obj], bool]]:
    known: dict[str, Test] = {field: _same(field) for field in _PLAIN[name].split()}
    known |= {"created": _between("date" if name == "invoiceitems" else "created")}
    known |= _SPECIAL.get(name, {})
    tests: list[Callable[[Obj], bool]] = []
    for param, wanted in params.items():
        if param in _PAGING or wanted is None:
            continue
        if param not in known:
            raise not_simulated(param)
        tests.append(lambda obj, test=known[param], value=wanted: test(obj, value))  # type: ignore[misc]
    if name == "subscriptions" and params.get("status") is None:
        tests.append(lambda obj: obj["status"] != "canceled")
    if name == "events":
        oldest = world.now() - EVENT_DAYS * 86_400
        tests.append(lambda obj: obj["created"] >= oldest)
    return tests


def _taken(walk: Iterable[Obj], tests: list[Callable[[Obj], bool]], count: int) -> list[Obj]:
    found: list[Obj] = []
    for obj in walk:
        if all(test(obj) for test in tests):
            found.append(obj)
            if len(found) == count:
                break
    return found


def presented(obj: Obj) -> Obj:
    """The object as it is shown: of an invoice's lines the first ten."""
    if obj["object"] != "invoice" or len(obj["lines"]["data"]) <= _INCLUDED:
        return obj
    lines = obj["lines"]
    return obj | {"lines": lines | {"data": lines["data"][:_INCLUDED], "has_more": True}}


def expanded(world: World, obj: Obj, paths: Iterable[str]) -> Obj:
    """A copy with the ids at these paths replaced by what they name."""
    copy = copied(obj)
    for path in paths:
        steps = path.split(".")
        if len(steps) - (steps[0] == "data") > 4:
            raise Problem(f"You cannot expand more than 4 levels ({path}).", param="expand")
        _expand(world, copy, steps, path)
    return copy


def _expand(world: World, here: Any, steps: list[str], path: str) -> None:
    if here is None or not steps:
        return
    if isinstance(here, list):
        for each in here:
            _expand(world, each, steps, path)
        return
    step, rest = steps[0], steps[1:]
    if (here.get("object"), step) == ("checkout.session", "line_items") and step not in here:
        here[step] = copied(listed_items(world, here, {}))
    included = _LISTS.get((here.get("object", ""), step))
    if included is not None and step not in here:
        name, field = included
        below = listed(world, name, {field: here["id"]})
        here[step] = copied(below) | {"url": f"{below['url']}?{field}={here['id']}"}
    elif step not in here or (step not in _EXPANDABLE and not isinstance(here[step], dict | list)):
        raise Problem(f"This property cannot be expanded ({path}).", param="expand")
    elif isinstance(here[step], str):
        found = world.find(here[step])
        here[step] = here[step] if found is None else copied(presented(found))
    if not isinstance(here[step], str):
        _expand(world, here[step], rest, path)


def _as_list(data: list[Obj], url: str, *, more: bool) -> Obj:
    return {"object": "list", "data": data, "has_more": more, "url": url}
