"""Square's simulator by itself: what it answers is Square's, and its rules are those of the vendor.

Whoever calls here is not our page: the requests are written out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from landbridge.testing import square
from landbridge.testing.pytest_plugin import SquareSimulator
from landbridge.testing.square.seed import vendor
from landbridge.testing.square.webhooks import sign
from tests.plain import PLAIN
from tests.specs.square.document import square as document

ALL = (
    "CUSTOMERS_READ CUSTOMERS_WRITE PAYMENTS_READ PAYMENTS_WRITE INVOICES_READ ITEMS_READ"
    " ORDERS_READ ORDERS_WRITE INVOICES_WRITE SUBSCRIPTIONS_READ SUBSCRIPTIONS_WRITE"
)
BACK = "https://app.example/back"


@pytest.fixture
def square_settings() -> square.Settings:
    """Time stands still at 2026-11-27T13:00Z."""
    amounts = square.Amounts(customers=7, invoices=8, payments=150, items=5)
    return square.Settings(amounts=amounts, base=lambda: 1_795_784_400.0)


class Caller:
    """An app that calls, and holds each answer against the document."""

    def __init__(self, sim: SquareSimulator):
        self.sim = sim
        self.http = httpx2.Client(base_url=sim.url, trust_env=False, verify=PLAIN)
        self.tokens: dict[str, Any] = {}

    def token(self, **more: Any) -> httpx2.Response:
        client = {"client_id": square.APPLICATION, "client_secret": square.SECRET}
        return self.asked("POST", "/oauth2/token", json={**client, **more})

    def code(self, scope: str = ALL) -> dict[str, str]:
        asked = {
            "client_id": square.APPLICATION,
            "scope": scope,
            "state": "s",
            "redirect_uri": BACK,
        }
        answer = self.http.get("/oauth2/authorize", params=asked)
        assert answer.status_code == 302
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    def connect(self, scope: str = ALL) -> None:
        code = self.code(scope)["code"]
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
        self.tokens = self.token(**grant).json()

    def asked(self, method: str, path: str, **more: Any) -> httpx2.Response:
        answer = self.http.request(method, path, **more)
        assert document().misanswered(method, path, answer.status_code, answer.content) == []
        return answer

    def call(self, method: str, path: str, **more: Any) -> Any:
        bearer = {"Authorization": f"Bearer {self.tokens.get('access_token', 'none')}"}
        return self.asked(method, path, headers=bearer, **more).json()

    def code_of(self, method: str, path: str, **more: Any) -> str:
        """The code by which a call is refused."""
        return str(self.call(method, path, **more)["errors"][0]["code"])

    def location(self) -> str:
        return str(self.sim.control.get("merchant")["main_location_id"])


@pytest.fixture
def caller(square_simulator: SquareSimulator) -> Iterator[Caller]:
    made = Caller(square_simulator)
    with made.http:
        yield made


def test_the_seed_is_the_vendors_own_and_the_same_each_time(caller: Caller) -> None:
    assert vendor() == document().examples
    same = square.Simulator(caller.sim.simulator.settings)
    for kind, kept in caller.sim.simulator.shop.kept.items():
        assert kept == same.shop.kept[kind]


def test_a_code_counts_once_and_a_refresh_token_stays(caller: Caller) -> None:
    caller.connect()
    first = caller.tokens
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    for _ in range(2):
        again = caller.token(**refresh).json()
        assert again["refresh_token"] == first["refresh_token"]
        assert again["access_token"] != first["access_token"]
    assert first["expires_at"] == "2026-12-27T13:00:00.000Z"
    code = caller.code()["code"]
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
    assert caller.token(**{**grant, "redirect_uri": "https://other.example"}).status_code == 401
    assert [caller.token(**grant).status_code for _ in range(2)] == [200, 401]
    late = caller.code()["code"]
    caller.sim.control.advance(301)
    assert caller.token(**{**grant, "code": late}).status_code == 401
    caller.sim.control.post("consent", mode="deny")
    assert caller.code()["error"] == "access_denied"


def test_tokens_end_and_open_only_what_was_granted(caller: Caller) -> None:
    assert caller.code_of("GET", "/v2/payments") == "UNAUTHORIZED"
    caller.connect("CUSTOMERS_READ")
    assert caller.code_of("GET", "/v2/payments") == "INSUFFICIENT_SCOPES"
    assert caller.code_of("POST", "/v2/customers", json={}) == "INSUFFICIENT_SCOPES"
    caller.sim.control.post("tokens/expire")
    assert caller.code_of("POST", "/v2/customers/search", json={}) == "ACCESS_TOKEN_EXPIRED"
    caller.connect()
    asked = {"client_id": square.APPLICATION, "access_token": caller.tokens["access_token"]}
    assert caller.asked("POST", "/oauth2/revoke", json=asked).status_code == 401
    shown = {"Authorization": f"Client {square.SECRET}"}
    assert caller.asked("POST", "/oauth2/revoke", json=asked, headers=shown).json()["success"]
    assert caller.code_of("GET", "/v2/payments") == "ACCESS_TOKEN_REVOKED"


def test_a_list_is_of_one_place_and_one_year_unless_more_is_asked(caller: Caller) -> None:
    caller.connect()
    kept = caller.sim.control.objects("payment").values()
    here = [one for one in kept if one["location_id"] == caller.location()]
    shown = caller.call("GET", "/v2/payments")["payments"]
    assert 0 < len(shown) < len(here)
    all_times = {"begin_time": "2009-01-01T00:00:00Z", "limit": "50", "sort_order": "ASC"}
    page = caller.call("GET", "/v2/payments", params=all_times)
    assert len(page["payments"]) == 50
    rest = caller.call("GET", "/v2/payments", params={**all_times, "cursor": page["cursor"]})
    assert "cursor" not in rest
    assert len({one["id"] for one in [*page["payments"], *rest["payments"]]}) == len(here)
    assert caller.code_of("GET", "/v2/invoices") == "MISSING_REQUIRED_PARAMETER"
    other = {**all_times, "sort_order": "DESC", "cursor": page["cursor"]}
    assert caller.code_of("GET", "/v2/payments", params=other) == "INVALID_CURSOR"
    caller.sim.control.advance(301)
    late = {**all_times, "cursor": page["cursor"]}
    assert caller.code_of("GET", "/v2/payments", params=late) == "INVALID_CURSOR"


def test_what_changed_since_is_searched_for(caller: Caller) -> None:
    caller.connect()
    key = next(iter(caller.sim.control.objects("customer")))
    caller.call("PUT", f"/v2/customers/{key}", json={"note": "changed"})
    since = {"start_at": "2026-11-27T12:59:00Z"}
    asked = {"query": {"filter": {"updated_at": since}}, "limit": 100}
    found = caller.call("POST", "/v2/customers/search", json=asked)["customers"]
    assert [one["id"] for one in found] == [key]
    too_many = {"limit": 101}
    assert caller.code_of("POST", "/v2/customers/search", json=too_many) == "VALUE_TOO_HIGH"
    item = next(iter(caller.sim.control.objects("item")))
    caller.sim.control.delete(f"objects/item/{item}")
    changed = {"begin_time": "2026-11-27T12:59:00Z", "object_types": ["ITEM"]}
    assert caller.call("POST", "/v2/catalog/search", json=changed) == {}
    both = {**changed, "include_deleted_objects": True}
    (marked,) = caller.call("POST", "/v2/catalog/search", json=both)["objects"]
    assert (marked["id"], marked["is_deleted"]) == (item, True)
    assert caller.code_of("GET", f"/v2/catalog/object/{item}") == "NOT_FOUND"


def test_a_customer_is_changed_in_part_and_in_its_version_alone(caller: Caller) -> None:
    caller.connect()
    assert caller.code_of("POST", "/v2/customers", json={"note": "nobody"}) == "BAD_REQUEST"
    sent = {"given_name": "Ada", "idempotency_key": "one", "address": {"locality": "London"}}
    made = caller.call("POST", "/v2/customers", json=sent)["customer"]
    assert caller.call("POST", "/v2/customers", json=sent)["customer"] == made
    other = {**sent, "given_name": "Grace"}
    assert caller.code_of("POST", "/v2/customers", json=other) == "IDEMPOTENCY_KEY_REUSED"
    path = f"/v2/customers/{made['id']}"
    change = {"note": "n", "address": {"country": "GB"}, "version": 1}
    after = caller.call("PUT", path, json=change)["customer"]
    assert (after["version"], after["address"]) == (2, {"locality": "London", "country": "GB"})
    assert caller.code_of("PUT", path, json=change) == "CONFLICT"
    assert "note" not in caller.call("PUT", path, json={"note": None})["customer"]
    assert caller.call("DELETE", path) == {}
    assert caller.code_of("GET", path) == "NOT_FOUND"


def test_a_refund_keeps_to_what_was_paid(caller: Caller) -> None:
    caller.connect()
    payments = caller.sim.control.objects("payment").values()
    paid = next(
        one for one in payments if one["status"] == "COMPLETED" and "refunded_money" not in one
    )
    total = paid["total_money"]["amount"]
    sent = {"idempotency_key": "r", "payment_id": paid["id"]}
    sent |= {"amount_money": {"amount": total, "currency": "USD"}}
    for wrong, code in (
        ({"idempotency_key": ""}, "MISSING_REQUIRED_PARAMETER"),
        ({"idempotency_key": "k" * 46}, "VALUE_TOO_LONG"),
        ({"payment_id": "none"}, "NOT_FOUND"),
        ({"payment_id": None}, "MISSING_REQUIRED_PARAMETER"),
        ({"amount_money": {"amount": total + 1, "currency": "USD"}}, "REFUND_AMOUNT_INVALID"),
        ({"amount_money": {"amount": total, "currency": "EUR"}}, "CURRENCY_MISMATCH"),
    ):
        assert caller.code_of("POST", "/v2/refunds", json={**sent, **wrong}) == code
    made = caller.call("POST", "/v2/refunds", json=sent)["refund"]
    assert made["status"] == "PENDING"
    again = {**sent, "idempotency_key": "another"}
    assert caller.code_of("POST", "/v2/refunds", json=again) == "REFUND_AMOUNT_INVALID"
    caller.sim.control.post("refunds/settle")
    assert caller.call("GET", f"/v2/refunds/{made['id']}")["refund"]["status"] == "COMPLETED"


def test_an_invoice_is_for_one_open_order(caller: Caller) -> None:
    caller.connect()
    dollars = {"amount": 1250, "currency": "USD"}
    line = {"name": "Tea", "quantity": "1.5", "base_price_money": dollars}
    here = {"location_id": caller.location()}
    for wrong, code in (
        ({}, "MISSING_REQUIRED_PARAMETER"),
        ({"location_id": "NOWHERE"}, "NOT_FOUND"),
        ({**here, "line_items": [{**line, "quantity": "many"}]}, "INVALID_VALUE"),
        ({**here, "line_items": [{"quantity": "1"}]}, "MISSING_REQUIRED_PARAMETER"),
        (
            {**here, "line_items": [{**line, "base_price_money": {**dollars, "currency": "EUR"}}]},
            "INVALID_VALUE",
        ),
    ):
        assert caller.code_of("POST", "/v2/orders", json={"order": wrong}) == code
    variation = next(
        key
        for key, one in caller.sim.control.objects("item_variation").items()
        if "price_money" in one["item_variation_data"]
    )
    lines = [line, {"quantity": "2", "catalog_object_id": variation}]
    asked = {"order": {**here, "line_items": lines}, "idempotency_key": "o"}
    order = caller.call("POST", "/v2/orders", json=asked)["order"]
    assert caller.call("POST", "/v2/orders", json=asked)["order"] == order
    assert order["line_items"][0]["total_money"]["amount"] == 1875
    due = {"request_type": "BALANCE", "due_date": "2030-01-24"}
    told: dict[str, Any] = {"order_id": order["id"], "payment_requests": [due]}
    told |= {"delivery_method": "EMAIL", "accepted_payment_methods": {"card": True}}
    for without in ("order_id", "payment_requests", "delivery_method", "accepted_payment_methods"):
        less = {name: each for name, each in told.items() if name != without}
        code = caller.code_of("POST", "/v2/invoices", json={"invoice": less})
        assert code == "MISSING_REQUIRED_PARAMETER"
    made = caller.call("POST", "/v2/invoices", json={"invoice": told})["invoice"]
    (request,) = made["payment_requests"]
    assert request["computed_amount_money"] == order["total_money"]
    assert caller.code_of("POST", "/v2/invoices", json={"invoice": told}) == "BAD_REQUEST"


def test_orders_are_searched_by_place_and_by_the_time_that_they_are_sorted_by(
    caller: Caller,
) -> None:
    caller.connect()
    path, places = "/v2/orders/search", {"location_ids": [caller.location()]}
    assert caller.code_of("POST", path, json={}) == "MISSING_REQUIRED_PARAMETER"
    since = {"date_time_filter": {"updated_at": {"start_at": "2026-11-27T12:59:00Z"}}}
    unsorted = {**places, "query": {"filter": since}}
    assert caller.code_of("POST", path, json=unsorted) == "BAD_REQUEST"
    asked: dict[str, Any] = {**places}
    asked["query"] = {"filter": since, "sort": {"sort_field": "UPDATED_AT"}}
    caller.sim.control.advance(120)
    link = next(iter(caller.sim.control.objects("payment_link").values()))
    found = caller.call("POST", path, json=asked)["orders"]
    assert {one["location_id"] for one in found} == set(places["location_ids"])
    assert link["order_id"] in {one["id"] for one in found}
    later = {"date_time_filter": {"updated_at": {"start_at": "2026-11-27T13:01:00Z"}}}
    asked["query"]["filter"] = later
    assert caller.call("POST", path, json=asked) == {}
    caller.sim.control.post(f"payment_links/{link['id']}/pay")
    (paid,) = caller.call("POST", path, json=asked)["orders"]
    assert (paid["id"], paid["state"]) == (link["order_id"], "OPEN")


def test_a_payment_link_is_for_a_price_or_an_order_and_goes_with_it(caller: Caller) -> None:
    caller.connect()
    path, here = "/v2/online-checkout/payment-links", {"location_id": caller.location()}
    quick = {"name": "Cake", "price_money": {"amount": 900, "currency": "USD"}, **here}
    both = {"quick_pay": quick, "order": here}
    for wrong in ({}, both):
        assert caller.code_of("POST", path, json=wrong) == "BAD_REQUEST"
    made = caller.call("POST", path, json={"quick_pay": quick})["payment_link"]
    assert made in caller.call("GET", path)["payment_links"]
    gone = caller.call("DELETE", f"{path}/{made['id']}")
    assert gone == {"id": made["id"], "cancelled_order_id": made["order_id"]}
    assert caller.call("GET", f"/v2/orders/{made['order_id']}")["order"]["state"] == "CANCELED"
    assert caller.code_of("GET", f"{path}/{made['id']}") == "NOT_FOUND"
    caller.connect("ORDERS_READ ORDERS_WRITE")
    assert caller.code_of("POST", path, json={"quick_pay": quick}) == "INSUFFICIENT_SCOPES"


def test_faults_are_committed_and_what_was_done_stays_done(caller: Caller) -> None:
    caller.connect()
    sent = {"given_name": "Ada", "idempotency_key": "lost"}
    caller.sim.control.fault("status", path="/v2/customers", status=503, after=True)
    assert caller.code_of("POST", "/v2/customers", json=sent) == "SERVICE_UNAVAILABLE"
    there = len(caller.sim.control.objects("customer"))
    caller.call("POST", "/v2/customers", json=sent)
    assert len(caller.sim.control.objects("customer")) == there
    caller.sim.control.fault("status", path="/v2/payments", status=429)
    assert caller.code_of("GET", "/v2/payments") == "RATE_LIMITED"
    caller.sim.control.fault("empty", path="/v2/payments")
    assert caller.call("GET", "/v2/payments") == {}


def test_a_signature_is_over_the_address_and_the_bytes() -> None:
    # The vector that Square's SDKs are tested with.
    assert sign("https://example.com/webhook", b'{"hello":"world"}', "asdf1234") == (
        "2kRE5qRU2tR+tBGlDwMEw2avJ7QM4ikPYD/PJ3bd9Og="
    )


def test_events_look_like_the_vendors(caller: Caller) -> None:
    sent: list[dict[str, Any]] = []
    shop = caller.sim.simulator.shop
    shop.on_event = sent.append
    shop.pay(next(key for key, one in shop.kept["invoice"].items() if one["status"] == "UNPAID"))
    shop.delete("customer", next(iter(shop.kept["customer"])))
    shop.settle()
    payment = next(iter(shop.kept["payment"].values()))
    shop.put("payment", {**payment})
    for event in sent:
        example = document().events[event["type"]]
        assert set(event) >= set(example) - {"location_id"}
        assert set(event["data"]) >= set(example["data"]) - {"deleted"}
        (kind,) = example["data"]["object"]
        assert event["data"]["object"][kind]["id"] == event["data"]["id"]
        schema = {"invoice": "Invoice", "payment": "Payment", "customer": "Customer"}[kind]
        body = json.dumps(event["data"]["object"][kind]).encode()
        assert document().wrong_object(schema, body) == []
    assert [event["type"] for event in sent] == [
        "invoice.payment_made",
        "customer.deleted",
        "payment.updated",
    ]
