"""PayPal's page against PayPal's own OpenAPI document: what it names, asks and sends."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace as changed

from landbridge.engine.connect import base_of, settings_in
from landbridge.errors import Conflict, OutcomeUnknown, Refused, SpecError, Throttled
from landbridge.formats.canonical import canonical
from landbridge.models.payments import (
    DisputeStatus,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Product,
    Refund,
)
from landbridge.oauth import addresses
from landbridge.protocols import Page, Place, fetch, find_marked, load, pull, take, write
from landbridge.providers.paypal import paypal
from landbridge.resilience import expect
from landbridge.spec import Accounts, InRanges, PageNumber, Resource, Step, Write, holes, kind_of
from landbridge.wire import Headers, Request, Response
from tests.providers.pages import answer, led, mapping
from tests.specs.documents import Document
from tests.specs.paypal import document as specs

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PLACE = Place(base=paypal.base)
RESOURCES = [pytest.param(resource, id=resource.name) for resource in paypal.resources]
NUMBERED = [
    pytest.param(one, id=one.name)
    for one in paypal.resources
    if isinstance(one.page, PageNumber) and one.one
]
LOOKS = "payment_source.paypal.experience_context"
OURS = {
    "capture",
    "unit",
    *(
        f"{path}.{name}_url"
        for path in (LOOKS, "application_context")
        for name in ("return", "cancel")
    ),
}
"""What a mapping writes into an address or for a list of one item, and what a page looks like:
PayPal's records do not have them."""
DRAFT = Invoice(
    customer="ada@example.com",
    status=InvoiceStatus.DRAFT,
    currency="USD",
    issued_on=date(2026, 11, 27),
    description="Thank you",
    lines=(
        InvoiceLine(
            description="Advice", amount=0, quantity=Decimal(2), unit_price=Decimal("99.95")
        ),
    ),
)


@pytest.fixture(scope="module")
def document() -> Document:
    return specs.paypal()


def run(
    document: Document, conversation: Generator[Any, Any, Any], answers: list[Any]
) -> tuple[list[Request], list[Page], Any]:
    """Leads a conversation; each request is held against the document before it is answered."""

    def wrong(request: Request) -> list[str]:
        path, headers = request.url.removeprefix(paypal.base), dict(request.headers.pairs())
        return document.refused(request.method, path, dict(request.query), headers, request.body)

    return led(conversation, answers, wrong=wrong)


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_path_of_a_mapping_is_in_paypals_document(
    document: Document, resource: Resource
) -> None:
    schema = document.schema(specs.SCHEMAS[resource.name])
    mapped = resource.maps.owned_paths if resource.maps else ()
    keys = re.findall(r"\{(.*?)\}", resource.key) or [resource.key]
    paths = {*keys, resource.subject, resource.marker, *mapped} - OURS
    assert [path for path in paths if path and not document.has(schema, path)] == []
    assert not document.has(schema, "no_such_field")


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_address_is_in_paypals_document(document: Document, resource: Resource) -> None:
    if resource.path:
        listed = document.answer("GET", resource.path)
        for key in re.findall(r"\{(.*?)\}", resource.key) or [resource.key]:
            assert document.has(listed, f"{resource.records}[].{key}")
        if isinstance(resource.page, PageNumber):
            assert document.has(listed, resource.page.count)
    if resource.one:
        assert document.has(document.answer("GET", resource.one.replace("{id}", "x")), resource.key)
    writes = [each for each in (resource.create, resource.update, resource.delete) if each]
    for told in (*writes, *(step.write for step in resource.steps)):
        path = told.path
        for hole in holes(path):
            path = path.replace(f"{{{hole}}}", "x")
        assert document.operation(told.method, path) is not None
    if resource.idempotency and resource.create:
        path = resource.create.path.replace("{capture}", "x")
        operation = document.operation(resource.create.method, path)
        assert operation is not None
        assert resource.idempotency in [each["name"] for each in operation["parameters"]]


@pytest.mark.parametrize("resource", NUMBERED)
def test_every_request_of_a_pull_is_one_that_paypal_takes(
    document: Document, resource: Resource
) -> None:
    def listing(*keys: str) -> dict[str, Any]:
        return {resource.records: [{resource.key: key} for key in keys], "total_pages": 2}

    made, pages, _ = run(
        document, pull(paypal, resource, PLACE, None, NOW), [listing("a"), listing("a", "b")]
    )
    assert [one.key for page in pages for one in page.records] == ["a", "b"]
    assert [dict(one.query)["total_required"] for one in made] == ["true", "true"]
    _, _, found = run(document, fetch(paypal, resource, PLACE, "a"), [{resource.key: "a"}])
    assert found.key == "a"


def test_disputes_are_listed_from_half_a_year_ago_and_read_one_by_one(document: Document) -> None:
    resource = paypal.resource("dispute")
    more = [{"rel": "next", "href": "https://x.example/v1?next_page_token=b2Zm&page_size=50"}]
    one = {"dispute_id": "PP-D-1", "disputed_transactions": [{"seller_transaction_id": "C1"}]}
    first = [{"items": [{"dispute_id": "PP-D-1"}], "links": more}, one]
    empty: dict[str, Any] = {"items": [], "links": []}  # asked for twice, as it ends the list
    made, pages, _ = run(
        document, pull(paypal, resource, PLACE, None, NOW), [*first, empty, empty, empty]
    )
    begin, later = "2026-06-01T12:00:00Z", "2026-11-26T11:00:00Z"
    asked = [dict(each.query).get("update_time_after") for each in made]
    assert asked == [begin, None, begin, begin, later]
    assert dict(made[2].query)["next_page_token"] == "b2Zm"
    (record,) = (record for page in pages for record in page.records)
    assert record.value == one
    cursor = {"since": int(NOW.timestamp()) - 60}
    made, pages, _ = run(
        document, pull(paypal, resource, PLACE, cursor, NOW), [*first, empty, empty]
    )
    assert dict(made[0].query)["update_time_after"] == "2026-11-27T10:59:00Z"
    assert pages[0].records[0].value == one


def moved(code: str, at: str) -> dict[str, Any]:
    amount = {"currency_code": "USD", "value": "10.00"}
    told = {"transaction_id": "T1", "transaction_event_code": code, "transaction_amount": amount}
    more = {"fee_amount": {**amount, "value": "-0.64"}, "transaction_initiation_date": at}
    return {"transaction_info": {**told, **more}}


def report(*found: dict[str, Any]) -> dict[str, Any]:
    return {"transaction_details": found, "total_pages": min(len(found), 1)}


def test_movements_are_read_month_by_month_and_again_with_an_overlap(document: Document) -> None:
    resource = paypal.resource("transaction")
    day = moved("T0006", "2026-11-26T10:00:00+0000")
    refunded = moved("T1107", "2026-11-26T11:00:00+0000")
    answers = [report()] * 35 + [report(day, refunded)]
    made, pages, _ = run(document, pull(paypal, resource, PLACE, None, NOW), answers)
    asked = [(dict(one.query)["start_date"], dict(one.query)["end_date"]) for one in made]
    assert (asked[0][0], asked[-1][1]) == ("2023-11-28T12:00:00Z", "2026-11-27T12:00:00Z")
    assert [end for _, end in asked[:-1]] == [begin for begin, _ in asked[1:]]
    found = [record for page in pages for record in page.records]
    assert [record.key for record in found] == ["T1.T0006", "T1.T1107"]
    assert all(page.listing is None and not page.listed_all for page in pages)
    assert resource.maps is not None
    entry = resource.maps.read(found[0].value)
    assert (entry.id, entry.amount, entry.fee, entry.net) == ("T1.T0006", 1000, 64, 936)

    cursor = pages[-1].cursor
    assert cursor == {"since": int(NOW.timestamp())}
    later = NOW + timedelta(hours=1)
    made, pages, _ = run(document, pull(paypal, resource, PLACE, cursor, later), [report()])
    assert dict(made[0].query)["start_date"] == "2026-11-27T06:00:00Z"
    # Nothing at all: it may be a swallowed error, so a day is asked for again.
    assert pages[-1].cursor == {"since": int((later - timedelta(days=1)).timestamp())}
    # A pull that ended in the middle goes on there.
    conversation = pull(paypal, resource, PLACE, None, NOW)
    next(conversation)
    page = conversation.send(answer(report()))
    assert isinstance(page, Page)
    made, pages, _ = run(document, pull(paypal, resource, PLACE, page.cursor, later), answers[1:])
    assert dict(made[0].query)["start_date"] == asked[1][0]
    assert dict(made[-1].query)["end_date"] == asked[-1][1]


def test_a_range_with_too_many_movements_is_halved(document: Document) -> None:
    resource = paypal.resource("transaction")
    cursor = {"since": int((NOW - timedelta(days=16)).timestamp())}
    conversation = pull(paypal, resource, PLACE, cursor, NOW)
    request = next(conversation)
    refusal = {"name": "RESULTSET_TOO_LARGE", "message": "Too many", "debug_id": "b"}
    assert isinstance(request, Request)
    ends = [dict(request.query)["end_date"]]
    for _ in range(2):
        request = conversation.send(answer(refusal, 400))
        assert isinstance(request, Request)
        ends.append(dict(request.query)["end_date"])
    assert ends == ["2026-11-27T12:00:00Z", "2026-11-19T09:00:00Z", "2026-11-15T07:30:00Z"]
    page = conversation.send(answer(report(moved("T0006", "2026-11-12T00:00:00+0000"))))
    assert isinstance(page, Page)
    request = next(conversation)
    assert isinstance(request, Request)
    assert dict(request.query)["start_date"] == ends[-1]
    assert dict(request.query)["end_date"] == ends[0]
    with pytest.raises(Refused):
        conversation.send(answer({**refusal, "name": "OTHER"}, 400))


def test_a_load_of_a_range_asks_for_that_range_alone(document: Document) -> None:
    resource = paypal.resource("transaction")
    begin, end = NOW - timedelta(days=40), NOW - timedelta(days=5)
    loading = load(paypal, resource, PLACE, None, NOW, since=begin, until=end)
    made, pages, _ = run(document, loading, [report(), report()])
    assert dict(made[0].query)["start_date"] == "2026-10-18T12:00:00Z"
    assert dict(made[1].query)["end_date"] == "2026-11-22T12:00:00Z"
    again = load(paypal, resource, PLACE, pages[-1].cursor, NOW, since=begin, until=end)
    assert run(document, again, [])[0] == []


@pytest.mark.parametrize(
    ("status", "outcome", "ours"),
    [
        ("WAITING_FOR_SELLER_RESPONSE", None, DisputeStatus.NEEDS_RESPONSE),
        ("OPEN", None, DisputeStatus.UNDER_REVIEW),
        ("RESOLVED", "RESOLVED_SELLER_FAVOUR", DisputeStatus.WON),
        ("RESOLVED", "ACCEPTED", DisputeStatus.LOST),
        ("RESOLVED", "RESOLVED_WITH_PAYOUT", DisputeStatus.CLOSED),
        ("RESOLVED", None, DisputeStatus.CLOSED),
    ],
)
def test_a_dispute_stands_where_its_outcome_says(
    status: str, outcome: str | None, ours: DisputeStatus
) -> None:
    record: dict[str, Any] = {
        "dispute_id": "PP-D-1",
        "status": status,
        "dispute_amount": {"currency_code": "USD", "value": "3.00"},
    }
    if outcome:
        record["dispute_outcome"] = {"outcome_code": outcome}
    mapped = mapping(paypal, "dispute")
    assert mapped.read(record).status is ours


def written(name: str, model: Any, base: Any = None) -> dict[str, Any]:
    mapped = mapping(paypal, name)
    return mapped.write(model, base=base)


def test_a_draft_is_created_and_known_by_its_link_or_by_itself(document: Document) -> None:
    resource = paypal.resource("invoice")

    def created(reply: Any) -> tuple[Request, Any]:
        made, _, found = run(
            document,
            write(paypal, resource, PLACE, "create", "", written("invoice", DRAFT), None, "int_1"),
            [reply],
        )
        return made[0], found

    link = {"rel": "self", "href": "https://api.paypal.com/v2/invoicing/invoices/INV2-1"}
    request, found = created(link)
    assert (found.key, found.raw) == ("INV2-1", None)
    assert created({"id": "INV2-2", "detail": {}})[1].key == "INV2-2"
    assert request.headers["prefer"] == "return=representation"
    body = json.loads(request.body)
    assert body["detail"]["memo"] == "int_1"
    assert body["items"][0]["unit_amount"] == {"currency_code": "USD", "value": "99.95"}
    assert body["primary_recipients"][0]["billing_info"]["email_address"] == "ada@example.com"
    with pytest.raises(OutcomeUnknown, match="tells neither it nor its address"):
        created({"rel": "self"})


def test_an_invoice_is_changed_whole_and_keeps_what_no_row_owns(document: Document) -> None:
    resource = paypal.resource("invoice")
    assert resource.maps is not None
    theirs = {
        "id": "INV2-1",
        "status": "DRAFT",
        "detail": {"currency_code": "USD", "note": "old", "memo": "the merchant's", "metadata": {}},
        "items": [
            {
                "id": "ITEM-1",
                "name": "Advice",
                "quantity": "3",
                "unit_amount": {"currency_code": "USD", "value": "0.335"},
                "tax": {"name": "VAT", "percent": "20"},
            }
        ],
        "configuration": {"allow_tip": True},
    }
    ours = resource.maps.read(theirs)
    assert ours.lines[0].amount == 101  # 1.005, half a cent up
    (line,) = ours.lines
    new = changed(ours, description="new", lines=(changed(line, quantity=Decimal(4)),))
    changes = resource.maps.write(new, base=ours)
    made, _, _ = run(
        document,
        write(paypal, resource, PLACE, "update", "INV2-1", changes, canonical(theirs), "int_2"),
        [theirs],
    )
    sent = json.loads(made[0].body)
    assert (made[0].method, dict(made[0].query)["send_to_recipient"]) == ("PUT", "false")
    assert sent["detail"]["note"] == "new"
    assert sent["detail"]["memo"] == "the merchant's"  # a marker is for creations
    assert sent["configuration"] == {"allow_tip": True}
    assert sent["items"][0]["tax"] == {"name": "VAT", "percent": "20"}
    assert sent["items"][0]["quantity"] == "4"


def test_a_step_is_one_call_and_is_not_repeated(document: Document) -> None:
    resource = paypal.resource("invoice")
    send, cancel = resource.steps

    def record(status: str) -> dict[str, Any]:
        return {"id": "INV2-1", "status": status, "detail": {"currency_code": "USD"}}

    made, _, _ = run(
        document,
        take(paypal, resource, PLACE, send, "INV2-1", "int_1"),
        [record("DRAFT"), {"rel": "self", "href": "https://x.example/INV2-1"}],
    )
    assert [one.method for one in made] == ["GET", "POST"]
    assert made[1].url.endswith("/INV2-1/send")
    made, _, _ = run(
        document, take(paypal, resource, PLACE, send, "INV2-1", "int_1"), [record("SENT")]
    )
    assert [one.method for one in made] == ["GET"]
    made, _, _ = run(
        document, take(paypal, resource, PLACE, cancel, "INV2-1", "i"), [record("SENT"), {}]
    )
    assert made[1].url.endswith("/INV2-1/cancel")
    subscription = paypal.resource("subscription")
    shown = {"id": "I-1", "status": "ACTIVE", "plan_id": "P-1", "subscriber": {"payer_id": "B"}}
    made, _, _ = run(
        document,
        take(paypal, subscription, PLACE, subscription.steps[0], "I-1", "int_9"),
        [shown, {}],
    )
    assert json.loads(made[1].body) == {"reason": "Canceled by the merchant"}


def test_a_draft_of_a_lost_answer_is_searched_for_by_its_marker(document: Document) -> None:
    resource = paypal.resource("invoice")
    listed = {
        "items": [
            {"id": "INV2-1", "detail": {"currency_code": "USD", "memo": "int_10"}},
            {"id": "INV2-2", "detail": {"currency_code": "USD", "memo": "int_1"}},
        ]
    }
    made, _, found = run(document, find_marked(paypal, resource, PLACE, "int_1"), [listed])
    assert (made[0].method, json.loads(made[0].body)) == ("POST", {"memo": "int_1"})
    assert found.key == "INV2-2"


def test_a_refund_goes_to_its_capture_with_the_intents_key(document: Document) -> None:
    resource = paypal.resource("refund")
    ours = Refund(payment="CAP/1", currency="USD", amount=250, reason="Broken")
    told = {
        "id": "R1",
        "status": "COMPLETED",
        "amount": {"currency_code": "USD", "value": "2.50"},
        "links": [
            {"rel": "self", "href": "https://api.paypal.com/v2/payments/refunds/R1"},
            {"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/CAP%2F1"},
        ],
    }
    made, _, found = run(
        document,
        write(paypal, resource, PLACE, "create", "", written("refund", ours), None, "int_1"),
        [told],
    )
    assert made[0].url.endswith("/v2/payments/captures/CAP%2F1/refund")
    assert made[0].headers["paypal-request-id"] == "int_1"
    assert json.loads(made[0].body) == {
        "amount": {"currency_code": "USD", "value": "2.50"},
        "note_to_payer": "Broken",
    }
    assert resource.maps is not None
    assert resource.maps.read(json.loads(found.raw)).payment == "CAP/1"
    nowhere = written("refund", Refund(currency="HUF", amount=1200))
    assert nowhere["amount"]["value"] == "12"  # PayPal takes no decimals of it
    with pytest.raises(Exception, match="payment: missing; give the id of the capture"):
        next(write(paypal, resource, PLACE, "create", "", nowhere, None, "int_1"))
    with pytest.raises(Exception, match="more than the 0 decimals of HUF"):
        written("refund", Refund(currency="HUF", amount=1250))


def test_a_product_is_changed_by_json_patch(document: Document) -> None:
    resource = paypal.resource("product")
    made, _, _ = run(
        document,
        write(
            paypal, resource, PLACE, "create", "", written("product", Product(name="A")), None, "i"
        ),
        [{"id": "PROD-1", "name": "A"}],
    )
    assert json.loads(made[0].body) == {"name": "A", "type": "SERVICE"}

    def patched(before: dict[str, Any], description: str | None) -> list[Any]:
        assert resource.maps is not None
        ours = resource.maps.read(before)
        changes = resource.maps.write(changed(ours, description=description), base=ours)
        asked = next(
            write(paypal, resource, PLACE, "update", "P", changes, canonical(before), "int_1")
        )
        path = asked.url.removeprefix(paypal.base)
        assert document.refused("PATCH", path, {}, {}, asked.body) == []
        operations: list[Any] = json.loads(asked.body)
        return operations

    bare = {"id": "P", "name": "A"}
    assert patched(bare, "x") == [{"op": "add", "path": "/description", "value": "x"}]
    described = {**bare, "description": "x"}
    assert patched(described, "y") == [{"op": "replace", "path": "/description", "value": "y"}]
    assert patched(described, None) == [{"op": "remove", "path": "/description"}]


@pytest.mark.parametrize(
    ("status", "name", "error"),
    [
        (422, "UNPROCESSABLE_ENTITY", Refused),
        (403, "NOT_AUTHORIZED", Refused),
        (429, "RATE_LIMIT_REACHED", Throttled),
        (409, "RESOURCE_CONFLICT", Throttled),
        (409, "OTHER_CONFLICT", Conflict),
    ],
)
def test_refusals_are_read_as_paypal_writes_them(
    document: Document, status: int, name: str, error: type[Exception]
) -> None:
    body = {
        "name": name,
        "message": "It could not be done.",
        "debug_id": "b1",
        "details": [{"field": "/amount/value", "issue": "TOO_MUCH", "description": "Too much."}],
    }
    assert document.wrong_object("notifications_webhooks.error", canonical(body)) == []
    request = Request(method="POST", url=f"{paypal.base}/v2/payments/captures/C/refund")
    with pytest.raises(error, match="Too much") as caught:
        expect(
            paypal,
            request,
            Response(
                status=status, headers=Headers({"Paypal-Debug-Id": "b1"}), body=canonical(body)
            ),
        )
    if isinstance(caught.value, Refused):
        assert "/amount/value" in caught.value.problems
        assert caught.value.request_id == "b1"


def test_facts_that_cannot_be_are_refused() -> None:
    refund, invoice = paypal.resource("refund"), paypal.resource("invoice")
    with pytest.raises(SpecError, match="has no order yet: no row"):
        replace(refund, create=Write(path="/v2/checkout/orders/{order}/refund"))
    with pytest.raises(SpecError, match="no word of 'status' leads to 'sent'"):
        replace(invoice, steps=[Step(field="status", to="sent", write=Write(path="/a/{id}"))])
    with pytest.raises(SpecError, match="no row of the mapping reads 'state'"):
        replace(invoice, steps=[Step(field="state", to="open", write=Write(path="/a/{id}"))])
    with pytest.raises(SpecError, match=r"needs the hole \{id\}"):
        replace(invoice, steps=[Step(field="status", to="open", write=Write(path="/a"))])
    with pytest.raises(SpecError, match="'name' is none of the fields"):
        replace(paypal, accounts=Accounts(field="name"))
    with pytest.raises(SpecError, match="no https address"):
        replace(paypal, sandbox={"base": "http://x"})
    with pytest.raises(SpecError, match="summary: it needs `one`"):
        replace(invoice, summary=True)
    with pytest.raises(SpecError, match="it is no key by which a record is read"):
        replace(invoice, key="{id}.{status}")
    with pytest.raises(SpecError, match="'i d' is no path"):
        replace(paypal.resource("transaction"), key="{id}.{i d}")
    hour, day = timedelta(hours=1), timedelta(days=1)
    with pytest.raises(SpecError, match="not longer than the overlap"):
        InRanges(since="a", until="b", span=day, reach=hour, overlap=hour)
    with pytest.raises(SpecError, match="ranges of an hour at least"):
        InRanges(since="a", until="b", span=hour / 2, reach=day, overlap=hour)
    with pytest.raises(SpecError, match="nothing tells whose"):
        Accounts()
    with pytest.raises(SpecError, match="name both"):
        Accounts(path="/me")


def test_every_environment_but_the_live_one_leads_to_the_sandbox() -> None:
    live, test = (settings_in(paypal, name, {"a": "b"}) for name in ("live", "test"))
    assert base_of(paypal, live) == "https://api-m.paypal.com"
    assert base_of(paypal, test) == "https://api-m.sandbox.paypal.com"
    assert addresses(paypal.auth, live).token == "https://api-m.paypal.com/v1/oauth2/token"
    assert addresses(paypal.auth, test).token == f"{base_of(paypal, test)}/v1/oauth2/token"
    assert settings_in(paypal, "test", {"base": "https://x.example"})["base"] == "https://x.example"
    assert live == {"a": "b"}


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("INVOICING.INVOICE.PAID", ""),  # perhaps a part of it
        ("PAYMENT.CAPTURE.COMPLETED", "payment.succeeded"),
        ("PAYMENT.SALE.COMPLETED", "payment.succeeded"),
        ("PAYMENT.CAPTURE.DENIED", "payment.failed"),
        ("PAYMENT.CAPTURE.REFUNDED", "payment.refunded"),
        ("BILLING.SUBSCRIPTION.ACTIVATED", "subscription.updated"),
        ("BILLING.SUBSCRIPTION.EXPIRED", "subscription.canceled"),
        ("BILLING.SUBSCRIPTION.PAYMENT.FAILED", "invoice.payment_failed"),
        ("PAYMENT.CAPTURE.PENDING", ""),
    ],
)
def test_events_are_of_the_kinds_that_all_providers_have(topic: str, kind: str) -> None:
    assert paypal.webhook is not None
    assert kind_of(paypal.webhook.kinds, topic, {"event_type": topic}) == kind
