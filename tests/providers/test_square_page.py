"""Square's page against Square's own document: what it names, reads, writes and is told."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from landbridge.engine.connect import base_of, settings_in
from landbridge.engine.sort import notices, resource_of, subject_of
from landbridge.errors import Conflict, OutcomeUnknown, RecordError, Refused, Throttled
from landbridge.models.base import Address
from landbridge.models.payments import (
    Checkout,
    CheckoutLine,
    Collection,
    Customer,
    DisputeStatus,
    Interval,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    PaymentStatus,
    Recurrence,
    Refund,
    RefundStatus,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from landbridge.oauth import addresses
from landbridge.protocols import Place, take, write
from landbridge.providers.square import square
from landbridge.resilience import Gone, Refresh, classify, expect
from landbridge.spec import Resource
from landbridge.wire import Request, Response
from tests.providers.pages import led, mapping
from tests.providers.records import SQUARE_SCHEMAS
from tests.specs.square.document import square as document

PLACE = Place(base=square.base)
OURS = {"payment_request", "quantity"}
"""What a mapping writes for a list of one item, and what it refuses: Square's schemas do not have
them."""
SHOWN = document().examples


def read(name: str, **more: Any) -> Any:
    """The vendor's example, with some fields of our own, as our model."""
    mapped = mapping(square, name)
    return mapped.read({**SHOWN[name], **more})


def written(
    name: str, action: str, changes: dict[str, Any], *, key: str = "", intent: str = "int_1"
) -> Request:
    """The request of a write, which is held against the document."""
    resource = square.resource(name)
    base = json.dumps(SHOWN[name]).encode() if key else None
    made: Request = next(write(square, resource, PLACE, action, key, changes, base, intent))
    path = made.url.removeprefix(square.base)
    assert document().refused(made.method, path, {}, dict(made.headers.pairs()), made.body) == []
    return made


@pytest.mark.parametrize("resource", square.resources, ids=lambda one: one.name)
def test_what_a_resource_names_is_in_the_document(resource: Resource) -> None:
    method = "POST" if resource.path.endswith("search") else "GET"
    listing = document().answer(method, resource.path)
    assert document().has(listing, f"{resource.records}[].{resource.key}")
    one = document().answer("GET", resource.one)
    for path in (resource.key, resource.version, resource.deleted):
        assert document().has(one, f"{resource.envelope}.{path}".rstrip("."))
    if resource.across:
        place = resource.across
        found = document().answer("GET", place.path)
        assert document().has(found, f"{place.records}[].{place.key}")


@pytest.mark.parametrize("name", SQUARE_SCHEMAS)
def test_what_a_mapping_reads_is_in_the_document(name: str) -> None:
    mapped = mapping(square, name)
    schema = document().schema(SQUARE_SCHEMAS[name])
    lost = {path for path in mapped.owned_paths if not document().has(schema, path)}
    made_with = document().schema("CreateOrderRequest")
    assert {path for path in lost if not document().has(made_with, path)} <= OURS
    assert bool(lost) == (name in ("invoice", "payment_link", "subscription"))


def test_a_customer_is_read_and_its_name_is_written_in_two_parts() -> None:
    found = read("customer")
    assert (found.name, found.email) == ("Amelia Earhart", "Amelia.Earhart@example.com")
    assert found.address == Address(
        line1="500 Electric Ave",
        line2="Suite 600",
        city="New York",
        region="NY",
        postal_code="10003",
        country="US",
    )
    assert read("customer", given_name=None, family_name=None, company_name="A Ltd").name == "A Ltd"
    mapped = mapping(square, "customer")
    for name, given, family in (
        ("Ada King Lovelace", "Ada King", "Lovelace"),
        ("Acme", "Acme", None),
        ("Acme ", "Acme ", None),
    ):
        sent = mapped.write(Customer(name=name))
        assert (sent["given_name"], sent.get("family_name")) == (given, family)
    with pytest.raises(RecordError, match=r"Customer\.name"):
        mapped.write(msgspec.structs.replace(found, name="Other"), base=found)


def test_a_payment_is_taken_reserved_or_failed() -> None:
    states = {
        "PENDING": PaymentStatus.PROCESSING,
        "APPROVED": PaymentStatus.AUTHORIZED,
        "COMPLETED": PaymentStatus.SUCCEEDED,
        "CANCELED": PaymentStatus.CANCELED,
        "FAILED": PaymentStatus.FAILED,
    }
    assert {word: read("payment", status=word).status for word in states} == states
    declined = {"code": "GENERIC_DECLINE", "category": "PAYMENT_METHOD_ERROR", "detail": "No."}
    found = read(
        "payment",
        card_details={"errors": [declined]},
        total_money={"amount": 1000, "currency": "JPY"},
        refunded_money={"amount": 5, "currency": "JPY"},
    )
    assert (found.amount, found.currency, found.amount_refunded) == (1000, "JPY", 5)
    assert (found.failure_code, found.failure_message) == ("GENERIC_DECLINE", "No.")


def test_an_invoice_is_the_sum_of_its_payment_requests() -> None:
    def asked(amount: int, paid: int, due: str, source: str = "NONE") -> dict[str, Any]:
        return {
            "due_date": due,
            "automatic_payment_source": source,
            "computed_amount_money": {"amount": amount, "currency": "USD"},
            "total_completed_amount_money": {"amount": paid, "currency": "USD"},
        }

    two = [asked(3000, 3000, "2026-11-01"), asked(7000, 500, "2026-12-01", "CARD_ON_FILE")]
    found = read("invoice", payment_requests=two, status="PARTIALLY_PAID")
    assert (found.total, found.amount_paid, found.amount_remaining) == (10_000, 3500, 6500)
    assert (found.due_on, found.currency) == (date(2026, 12, 1), "USD")
    assert (found.status, found.collection) == (InvoiceStatus.OPEN, Collection.AUTOMATIC)
    off = read("invoice", payment_requests=two, status="CANCELED")
    assert (off.status, off.amount_remaining) == (InvoiceStatus.VOID, 0)
    assert read("invoice").collection is Collection.SENT
    bare = {"payment_requests": [{}], "next_payment_amount_money": {"amount": 1, "currency": "EUR"}}
    assert (read("invoice", **bare).currency, read("invoice", **bare).total) == ("EUR", None)
    with pytest.raises(RecordError, match=r"Invoice\.currency"):
        read("invoice", payment_requests=[])


def test_what_is_sold_and_ordered_is_read() -> None:
    tea = read("item")
    assert (tea.name, tea.description, tea.active) == ("Tea", "Hot Leaf Juice", True)
    archived = {**SHOWN["item"]["item_data"], "is_archived": True}
    assert not read("item", item_data=archived).active
    order = read("subscription")
    assert [each.price for each in order.items] == ["6JHXF3B2CW3YKHDV4XEM674H"]
    assert read("subscription", status="DEACTIVATED").status is SubscriptionStatus.UNPAID
    assert read("refund", status="REJECTED").status is RefundStatus.FAILED


def test_disputes_and_payouts_are_read() -> None:
    found = read("dispute")
    assert (found.payment, found.amount) == ("zhyh1ch64kRBrrlfVhwjCEjZWzNZY", 2500)
    assert (found.status, found.respond_by) == (
        DisputeStatus.LOST,
        datetime(2022, 7, 13, tzinfo=UTC),
    )
    words = document().schema("DisputeState")["enum"]
    assert {read("dispute", state=word).status for word in words} == set(DisputeStatus)
    fee = [{"amount_money": {"amount": 25, "currency": "USD"}}]
    out = read("payout", amount_money={"amount": 1000, "currency": "USD"}, payout_fee=fee)
    assert (out.type, out.amount, out.fee, out.net) == ("payout", -1000, 25, -1025)


def test_what_is_sent_is_what_the_document_takes() -> None:
    mapped = mapping(square, "customer")
    new = Customer(name="Ada Lovelace", address=Address(city="London", country="GB"))
    made = written("customer", "create", mapped.write(new))
    assert json.loads(made.body) == {
        "given_name": "Ada",
        "family_name": "Lovelace",
        "address": {"locality": "London", "country": "GB"},
        "idempotency_key": "int_1",
    }
    before = mapped.read(SHOWN["customer"])
    moved = msgspec.structs.replace(before, phone=None, address=Address(city="Paris", country="FR"))
    key = SHOWN["customer"]["id"]
    made = written("customer", "update", mapped.write(moved, base=before), key=key)
    sent = json.loads(made.body)
    assert made.method == "PUT"
    assert (sent["version"], sent["phone_number"]) == (1, None)
    assert set(sent) == {"version", "phone_number", "address"}
    assert sent["address"]["locality"] == "Paris"
    assert written("customer", "delete", {}, key=key).method == "DELETE"
    refunds = mapping(square, "refund")
    back = refunds.write(Refund(payment="p", currency="KWD", amount=1500, reason="broken"))
    made = written("refund", "create", back)
    assert json.loads(made.body) == {
        "payment_id": "p",
        "amount_money": {"amount": 1500, "currency": "KWD"},
        "reason": "broken",
        "idempotency_key": "int_1",
    }


def test_an_invoice_comes_after_its_order_and_each_has_its_key() -> None:
    line = InvoiceLine(description="Tea", amount=0, quantity=Decimal(2), unit_price=Decimal("1.5"))
    new = Invoice(
        customer="CUST",
        status=InvoiceStatus.DRAFT,
        currency="KWD",
        due_on=date(2030, 1, 24),
        lines=(line, InvoiceLine(amount=0, quantity=Decimal(1), price="VARIATION")),
    )
    body = mapping(square, "invoice").write(new)
    answers = [
        {"merchant": {"id": "M", "main_location_id": "HERE"}},
        {"order": {"id": "ORDER"}},
        {"invoice": {"id": "inv:0-1", "version": 0}},
    ]

    def made() -> list[Request]:
        resource = square.resource("invoice")
        talk = write(square, resource, PLACE, "create", "", body, None, "int_1")
        asked, _, done = led(talk, answers, wrong=misspoken)
        assert done.key == "inv:0-1"
        return asked

    merchant, order, invoice = made()
    assert merchant.url.endswith("/v2/merchants/me")
    assert json.loads(order.body) == {
        "order": {
            "location_id": "HERE",
            "customer_id": "CUST",
            "line_items": [
                {
                    "name": "Tea",
                    "quantity": "2",
                    "base_price_money": {"amount": 1500, "currency": "KWD"},
                },
                {"quantity": "1", "catalog_object_id": "VARIATION"},
            ],
        },
        "idempotency_key": "int_1.order",
    }
    request = {"request_type": "BALANCE", "due_date": "2030-01-24"}
    assert json.loads(invoice.body) == {
        "invoice": {
            "order_id": "ORDER",
            "primary_recipient": {"customer_id": "CUST"},
            "payment_requests": [{**request, "automatic_payment_source": "NONE"}],
            "delivery_method": "EMAIL",
            "accepted_payment_methods": {"card": True},
        },
        "idempotency_key": "int_1",
    }
    # Whoever goes on after a crash says the same, so that nothing is made twice.
    assert [each.body for each in made()] == [b"", order.body, invoice.body]
    silent = [answers[0], {"order": {}}]
    talk = write(square, square.resource("invoice"), PLACE, "create", "", body, None, "int_1")
    with pytest.raises(OutcomeUnknown, match="took a new order, and its answer does not say"):
        led(talk, silent, wrong=misspoken)


def misspoken(request: Request) -> list[str]:
    """What the document says against a request."""
    path, headers = request.url.removeprefix(square.base), dict(request.headers.pairs())
    return document().refused(request.method, path, dict(request.query), headers, request.body)


def test_a_payment_link_is_made_with_its_order() -> None:
    resource = square.resource("payment_link")
    cake = CheckoutLine(name="Cake", quantity=Decimal(2), unit_price=Decimal("12.50"))
    new = Checkout(
        currency="USD",
        lines=(cake, CheckoutLine(price="VARIATION", quantity=Decimal(1))),
        customer="CUST",
        reference="order-7",
        email="ada@example.com",
        success_url="https://shop.example/thanks",
    )
    body = mapping(square, "payment_link").write(new)
    talk = write(square, resource, PLACE, "create", "", body, None, "int_1")
    answers = [
        {"merchant": {"main_location_id": "HERE"}},
        {"payment_link": SHOWN["payment_link"]},
    ]
    asked, _, done = led(talk, answers, wrong=misspoken)
    assert done.key == SHOWN["payment_link"]["id"]
    assert json.loads(asked[1].body) == {
        "order": {
            "location_id": "HERE",
            "customer_id": "CUST",
            "reference_id": "order-7",
            "line_items": [
                {
                    "name": "Cake",
                    "quantity": "2",
                    "base_price_money": {"amount": 1250, "currency": "USD"},
                },
                {"catalog_object_id": "VARIATION", "quantity": "1"},
            ],
        },
        "checkout_options": {"redirect_url": "https://shop.example/thanks"},
        "pre_populated_data": {"buyer_email": "ada@example.com"},
        "idempotency_key": "int_1",
    }
    elsewhere = msgspec.structs.replace(new, location="THERE")
    told = mapping(square, "payment_link").write(elsewhere)
    talk = write(square, resource, PLACE, "create", "", told, None, "int_1")
    asked, _, _ = led(talk, answers[1:], wrong=misspoken)
    assert json.loads(asked[0].body)["order"]["location_id"] == "THERE"
    found = read("payment_link", checkout_options={"subscription_plan_id": "PLAN"})
    assert (found.url, found.mode) == ("https://square.link/u/EXAMPLE", "subscription")
    assert (found.paid, found.status) == (None, None)  # it does not say so
    assert read("payment_link").mode == "payment"


def test_the_price_of_a_plan_is_that_of_the_phase_that_goes_on() -> None:
    def phase(amount: int, cadence: str, ordinal: int, **more: Any) -> dict[str, Any]:
        pricing = {"type": "STATIC", "price_money": {"amount": amount, "currency": "JPY"}}
        return {"cadence": cadence, "ordinal": ordinal, "pricing": pricing, **more}

    phases = [phase(0, "DAILY", 0, periods=14), phase(1500, "EVERY_SIX_MONTHS", 1)]
    record = {
        "type": "SUBSCRIPTION_PLAN_VARIATION",
        "id": "V",
        "subscription_plan_variation_data": {
            "name": "Half-yearly",
            "subscription_plan_id": "P",
            "phases": phases,
        },
    }
    assert document().wrong_object("CatalogObject", json.dumps(record).encode()) == []
    found = mapping(square, "subscription_plan_variation").read(record)
    assert (found.product, found.unit_price, found.currency) == ("P", Decimal(1500), "JPY")
    assert found.recurrence == Recurrence(interval=Interval.MONTH, count=6)
    words = set(document().schema("SubscriptionCadence")["enum"])
    for word in words:
        phases[1]["cadence"] = word
        assert mapping(square, "subscription_plan_variation").read(record).recurrence
    # A discount on what is ordered is no price.
    phases[1]["pricing"] = {"type": "RELATIVE", "discount_ids": ["D"]}
    with pytest.raises(RecordError, match=r"Price\.currency"):
        mapping(square, "subscription_plan_variation").read(record)


def test_a_subscription_is_made_and_its_end_is_ordered() -> None:
    mapped = mapping(square, "subscription")
    order = read("subscription", canceled_date="2026-12-31")
    assert order.cancels_at_period_end
    assert not read("subscription").cancels_at_period_end
    new = Subscription(
        customer="CUST",
        status=SubscriptionStatus.ACTIVE,
        items=(SubscriptionItem(price="VARIATION"),),
    )
    resource = square.resource("subscription")
    talk = write(square, resource, PLACE, "create", "", mapped.write(new), None, "int_1")
    answers = [{"merchant": {"main_location_id": "HERE"}}, {"subscription": {"id": "S"}}]
    asked, _, done = led(talk, answers, wrong=misspoken)
    assert done.key == "S"
    assert json.loads(asked[1].body) == {
        "customer_id": "CUST",
        "plan_variation_id": "VARIATION",
        "location_id": "HERE",
        "idempotency_key": "int_1",
    }
    (step,) = resource.steps
    running, going = ({**SHOWN["subscription"], **more} for more in ({}, {"canceled_date": "d"}))
    talk = take(square, resource, PLACE, step, "S", "int_1")
    answers = [{"subscription": running}, {"subscription": going}]
    asked, _, _ = led(talk, answers, wrong=misspoken)
    assert [each.method for each in asked] == ["GET", "POST"]
    assert (asked[1].body, asked[1].headers.get("content-type")) == (b"", None)
    talk = take(square, resource, PLACE, step, "S", "int_1")
    asked, _, _ = led(talk, [{"subscription": going}], wrong=misspoken)


@pytest.mark.parametrize(
    ("topic", "more", "kind", "resource"),
    [
        ("invoice.payment_made", {}, "invoice.paid", "invoice"),
        ("invoice.payment_made", {"status": "PARTIALLY_PAID"}, "", "invoice"),
        ("payment.updated", {"status": "COMPLETED"}, "payment.succeeded", "payment"),
        ("payment.updated", {"status": "APPROVED"}, "", "payment"),
        ("payment.updated", {"status": "FAILED"}, "payment.failed", "payment"),
        ("refund.updated", {}, "payment.refunded", "refund"),
        ("refund.updated", {"status": "PENDING"}, "", "refund"),
        ("subscription.created", {}, "subscription.created", "subscription"),
        ("subscription.updated", {}, "subscription.updated", "subscription"),
        ("subscription.updated", {"status": "CANCELED"}, "subscription.canceled", "subscription"),
        ("dispute.created", {}, "dispute.opened", "dispute"),
        # It does not say whether it is that of a payment link.
        ("order.updated", {}, "", "order"),
        ("customer.updated", {}, "", "customer"),
        ("customer.deleted", {}, "", "customer"),
    ],
)
def test_an_event_of_the_vendors_is_sorted(
    topic: str, more: dict[str, Any], kind: str, resource: str
) -> None:
    event = json.loads(json.dumps(document().events[topic]))
    (told,) = event["data"]["object"].values()
    told.update(more)
    assert square.webhook is not None
    notice, *beside = notices(square.webhook, json.dumps(event).encode())
    # A payment may be that of a payment link: who has the links knows it.
    of_links = [(one.kind, one.of, one.by, one.key) for one in beside]
    paid = [("checkout.completed", "payment_link", "order", told.get("order_id"))]
    assert of_links == (paid if kind == "payment.succeeded" else [])
    assert (notice.kind, notice.account) == (kind, event["merchant_id"])
    assert notice.key == told.get("id", told.get("order_id"))
    assert notice.occurred_at is not None
    assert notice.object == told, "the copy that handlers get"
    found, outcome = resource_of(square, notice.topic)
    assert found is not None
    if kind.startswith("invoice"):
        assert subject_of(found, notice) == told["primary_recipient"]["customer_id"]
    assert (found.name, outcome) == (resource, "delete" if topic.endswith("deleted") else "pull")


def test_every_environment_but_the_live_one_is_the_sandbox() -> None:
    test = settings_in(square, "test", {})
    assert base_of(square, test) == "https://connect.squareupsandbox.com"
    assert addresses(square.auth, test).token == "https://connect.squareupsandbox.com/oauth2/token"
    assert base_of(square, settings_in(square, "live", {})) == "https://connect.squareup.com"


def test_refusals_are_read_as_the_document_writes_them() -> None:
    request = Request(method="PUT", url=f"{square.base}/v2/customers/c")

    def refusal(status: int, code: str) -> Response:
        told = {"category": "INVALID_REQUEST_ERROR", "code": code, "detail": "No.", "field": "note"}
        return Response(status=status, body=json.dumps({"errors": [told]}).encode())

    known = document().schema("ErrorCode")["enum"]
    for word in (*square.errors.dead, *square.errors.throttled, "CONFLICT"):
        assert word in known
    for status, code, error in (
        (409, "CONFLICT", Conflict),
        (400, "VERSION_MISMATCH", Conflict),
        (429, "RATE_LIMITED", Throttled),
        (400, "INVALID_VALUE", Refused),
        (403, "INSUFFICIENT_SCOPES", Refused),
    ):
        with pytest.raises(error) as caught:
            expect(square, request, refusal(status, code), datetime(2026, 11, 27, tzinfo=UTC))
        assert "No." in str(caught.value)
    ended = classify(square.errors, request, refusal(401, "ACCESS_TOKEN_REVOKED"), None)
    assert isinstance(ended, Refresh)
    assert isinstance(classify(square.errors, request, refusal(404, "NOT_FOUND"), None), Gone)
