"""Lists and searches: filters, order, and pages by a token that lives for some minutes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from landbridge.testing.square.shop import CATALOGUE, Shop
from landbridge.testing.square.wire import Obj, Refused, unix_of

CURSOR_LIVES = 300.0
"""Seconds; Square does not say so itself."""
YEAR = 365 * 86_400
NAMES = {
    "/v2/locations": ("location", "locations"),
    "/v2/customers/search": ("customer", "customers"),
    "/v2/catalog/search": ("item", "objects"),
    "/v2/subscriptions/search": ("subscription", "subscriptions"),
    "/v2/orders/search": ("order", "orders"),
    "/v2/online-checkout/payment-links": ("payment_link", "payment_links"),
    "/v2/invoices": ("invoice", "invoices"),
    "/v2/payments": ("payment", "payments"),
    "/v2/refunds": ("refund", "refunds"),
    "/v2/disputes": ("dispute", "disputes"),
    "/v2/payouts": ("payout", "payouts"),
}
"""Where lists are, with the kind that they show and its name in an answer."""
_MOST = {"invoice": 200, "item": 1000, "order": 1000, "payment_link": 1000}
_SEARCHED = ("customer", "order")
_ONE_PLACE = ("payment", "payout")
_TIMED = ("payment", "refund", "payout")


def listed(shop: Shop, path: str, asked: Mapping[str, Any]) -> Obj:
    """The page that was asked for, as Square's answer has it: no list where it is empty."""
    kind, name = NAMES[path]
    size = _size(kind, asked)
    found = _in_order(shop, kind, asked, _selected(shop, kind, asked))
    after = _place(shop, path, asked)
    behind = [each for each in found if after is None or each[0] > after]
    page = behind[:size]
    answer: Obj = {name: [one for _, one in page]} if page else {}
    if len(behind) > size and kind != "location":
        answer["cursor"] = _cursor(shop, path, asked, page[-1][0])
    return answer


def _size(kind: str, asked: Mapping[str, Any]) -> int:
    most = _MOST.get(kind, 100)
    try:
        size = int(asked.get("limit", most))
    except (TypeError, ValueError):
        raise Refused(400, "EXPECTED_INTEGER", "Expected an integer.", "limit") from None
    if size < 1:
        raise Refused(400, "VALUE_TOO_LOW", "The limit must be at least 1.", "limit")
    if size > most and kind == "customer":
        raise Refused(400, "VALUE_TOO_HIGH", f"The limit must be at most {most}.", "limit")
    return min(size, most)


def _selected(shop: Shop, kind: str, asked: Mapping[str, Any]) -> list[tuple[str, Obj]]:
    """The records that the filters mean, each with its kind."""
    if kind == "item":
        return _catalogue(shop, asked)
    found = _placed(shop, kind, asked)
    ranges: list[tuple[str, object, object]] = []
    if kind in _TIMED:
        ranges.append(("created", asked.get("begin_time"), asked.get("end_time")))
        changed = asked.get("updated_at_begin_time"), asked.get("updated_at_end_time")
        ranges.append(("updated", *changed))
    if kind in _SEARCHED:
        told = (asked.get("query") or {}).get("filter") or {}
        told = _of_the_order_sorted_by(asked, told) if kind == "order" else told
        for name in ("created", "updated"):
            span = told.get(f"{name}_at") or {}
            ranges.append((name, span.get("start_at"), span.get("end_at")))
    for name, since, until in ranges:
        found = [one for one in found if _within(shop, kind, one, name, since, until)]
    return [(kind, one) for one in found]


def _placed(shop: Shop, kind: str, asked: Mapping[str, Any]) -> list[Obj]:
    """The records of the locations that are asked for."""
    found = [*shop.kept[kind].values()]
    if kind == "invoice" and not asked.get("location_id"):
        detail = "Missing required parameter."
        raise Refused(400, "MISSING_REQUIRED_PARAMETER", detail, "location_id")
    place = asked.get("location_id")
    if kind in _ONE_PLACE and not place:
        place = shop.merchant["main_location_id"]
    if place:
        found = [one for one in found if one.get("location_id") == place]
    if kind == "order":
        places = asked.get("location_ids")
        if not places or len(places) > 10:
            detail = "Missing required parameter: one to ten locations."
            raise Refused(400, "MISSING_REQUIRED_PARAMETER", detail, "location_ids")
        found = [one for one in found if one["location_id"] in places]
    return found


def _of_the_order_sorted_by(asked: Mapping[str, Any], told: Obj) -> Obj:
    """The ranges of time of a search of orders, which has to be sorted by the same times."""
    ranges: Obj = told.get("date_time_filter") or {}
    by = str(((asked.get("query") or {}).get("sort") or {}).get("sort_field", "CREATED_AT"))
    if set(ranges) - {by.lower()}:
        detail = "The sort_field must match the filter."
        raise Refused(400, "BAD_REQUEST", detail, "query.sort.sort_field")
    return ranges


def _within(shop: Shop, kind: str, one: Obj, name: str, since: object, until: object) -> bool:
    at = _at(shop, kind, one, name)
    begin = unix_of(since, f"{name}_at") if since else 0.0
    if not since and name == "created" and kind in _TIMED:
        begin = shop.now() - YEAR
    return begin <= at and (not until or at < unix_of(until, f"{name}_at"))


def _catalogue(shop: Shop, asked: Mapping[str, Any]) -> list[tuple[str, Obj]]:
    types = [str(each).lower() for each in asked.get("object_types") or ["ITEM"]]
    unknown = sorted(set(types) - CATALOGUE)
    if unknown:
        raise Refused(400, "INVALID_ENUM_VALUE", f"{unknown[0]} is none of them", "object_types")
    since = unix_of(asked["begin_time"], "begin_time") if asked.get("begin_time") else 0.0
    return [
        (kind, one)
        for kind in sorted(types)
        for one in shop.kept[kind].values()
        if shop.changed[kind, one["id"]] > since
        and (asked.get("include_deleted_objects") or not one["is_deleted"])
    ]


def _in_order(
    shop: Shop, kind: str, asked: Mapping[str, Any], found: list[tuple[str, Obj]]
) -> list[tuple[list[Any], Obj]]:
    """The records with the place of each in the order."""
    sort = (asked.get("query") or {}).get("sort") or {} if kind in _SEARCHED else asked
    by = str(sort.get("sort_field", sort.get("field", "CREATED_AT"))).removesuffix("_AT").lower()
    ordinary = "DESC" if kind in (*_TIMED, "order") else "ASC"
    down = sort.get("sort_order", sort.get("order", ordinary)) == "DESC"
    sign = -1 if down else 1
    placed = [
        ([sign * _at(shop, its, one, "updated" if by == "updated" else "created"), one["id"]], one)
        for its, one in found
    ]
    return sorted(placed, key=lambda each: each[0])


def _at(shop: Shop, kind: str, one: Obj, name: str) -> float:
    if name == "updated" or "created_at" not in one:
        return shop.changed[kind, one["id"]]
    return unix_of(one["created_at"], "created_at")


def _digest(path: str, asked: Mapping[str, Any]) -> str:
    same = {name: each for name, each in asked.items() if name not in ("cursor", "limit")}
    return hashlib.sha256(json.dumps([path, same], sort_keys=True).encode()).hexdigest()[:16]


def _cursor(shop: Shop, path: str, asked: Mapping[str, Any], after: list[Any]) -> str:
    told = json.dumps([_digest(path, asked), shop.now(), after])
    return base64.urlsafe_b64encode(told.encode()).decode()


def _place(shop: Shop, path: str, asked: Mapping[str, Any]) -> list[Any] | None:
    """Behind which place the page begins; None: it is the first."""
    if not asked.get("cursor"):
        return None
    try:
        digest, at, after = json.loads(base64.urlsafe_b64decode(str(asked["cursor"])))
    except (binascii.Error, ValueError):
        digest, at, after = "", 0.0, []
    if digest != _digest(path, asked) or at < shop.now() - CURSOR_LIVES:
        raise Refused(400, "INVALID_CURSOR", "The cursor is not valid any more.", "cursor")
    place: list[Any] = after
    return place
