"""Stripe's page against Stripe's own OpenAPI document: what it names, and what it sends."""

from collections.abc import Generator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
import stripe as sdk
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.formats import form
from landbridge.models.payments import (
    Customer,
    InvoiceStatus,
    Payment,
    PaymentStatus,
    Price,
    Refund,
)
from landbridge.protocols import Page, Place, fetch, identify, load, pull, write
from landbridge.providers.stripe import stripe
from landbridge.providers.stripe.mapping import EXPONENTS, MARKER, charge_status
from landbridge.spec import EventFeed, Resource
from landbridge.spec._ties import written
from landbridge.wire import Request, Response
from tests.providers.pages import answer, edited, led, mapping
from tests.providers.records import records
from tests.specs import requests
from tests.specs.requests import Requests

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLACE = Place(base=stripe.base)
RESOURCES = [pytest.param(resource, id=resource.name) for resource in stripe.resources]
WRITTEN = [one for one in stripe.resources if one.create or one.update]


@pytest.fixture(scope="module")
def document() -> Requests:
    return requests.stripe()


def wrong(document: Requests, request: Request) -> list[str]:
    """What Stripe's document says against a request of ours, which names its version."""
    assert request.headers["Stripe-Version"] == "2026-05-27.dahlia"
    return document.wrong(request)


def run(
    document: Requests, conversation: Generator[Any, Any, Any], answers: list[Any]
) -> tuple[list[Request], list[Page], Any]:
    """Leads a conversation; each request is held against the document before it is answered."""
    return led(conversation, answers, wrong=partial(wrong, document))


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_path_of_a_mapping_is_in_stripes_document(
    document: Requests, resource: Resource
) -> None:
    schema = document.schema(resource.name)
    paths = [resource.key, resource.subject, resource.marker]
    paths += resource.maps.owned_paths if resource.maps else []
    for inner in resource.continued:
        paths += [f"{inner.path}[].{inner.key}", inner.more]
    assert [path for path in paths if not document.has(schema, path)] == []
    assert not document.has(schema, "no_such_field")


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_address_of_a_resource_is_in_stripes_document(
    document: Requests, resource: Resource
) -> None:
    listed = document.answer("GET", resource.path)
    assert document.has(listed, f"{resource.records}[].{resource.key}")
    assert document.has(listed, resource.page.more)  # type: ignore[union-attr]
    assert document.has(document.answer("GET", resource.one), resource.key)
    for step in (resource.create, resource.update, resource.delete):
        assert step is None or document.operation(step.method, step.path)
    for inner in resource.continued:
        assert document.has(document.answer("GET", inner.at), f"{inner.records}[].{inner.key}")
        assert document.has(document.answer("GET", inner.at), inner.page.more)
    if resource.deleted:
        assert document.has(document.answer("GET", resource.one), resource.deleted)


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_topic_is_one_that_stripe_sends(document: Requests, resource: Resource) -> None:
    hooks = document.body("POST", "/v1/webhook_endpoints")
    known = hooks["properties"]["enabled_events"]["items"]["enum"]
    assert [topic for topic in (*resource.topics, *resource.deletes) if topic not in known] == []
    assert len(resource.topics) + len(resource.deletes) <= 20


@pytest.mark.parametrize("resource", WRITTEN, ids=lambda resource: resource.name)
def test_every_path_that_is_written_is_a_parameter(document: Requests, resource: Resource) -> None:
    assert resource.maps is not None
    if resource.create:
        form_of, then = document.body("POST", resource.create.path), resource.create.then
        behind = [path for path in resource.maps.written if then and path.startswith(then.of)]
        with_it = [path for path in resource.maps.written if path not in behind]
        assert [path for path in with_it if not document.has(form_of, path)] == []
        if then:
            form_of_part = document.body("POST", then.path)
            assert [path for path in behind if not document.has(form_of_part, path)] == []
            assert behind
        assert document.has(form_of, resource.marker)
    if resource.update:
        form_of = document.body(resource.update.method, resource.update.path)
        rows = {name: row for name, row in resource.maps.rows.items() if row.access == "both"}
        both = [path for _, path in written(rows)]
        assert [path for path in both if not document.has(form_of, path)] == []
        assert document.has(form_of, resource.marker)


def test_the_other_paths_are_in_stripes_document(document: Requests) -> None:
    event = document.schema("event")
    hook, error, accounts = stripe.webhook, stripe.errors, stripe.accounts
    assert hook is not None
    assert accounts is not None
    for path in (hook.id, hook.topic, hook.account, hook.stamp, hook.object):
        assert document.has(event, path), path
    for resource in stripe.resources:
        if isinstance(resource.since, EventFeed):
            for path in (resource.since.key, resource.since.stamp, resource.since.topic):
                assert document.has(event, path), path
        elif resource.since:
            assert document.has(document.schema(resource.name), resource.since.stamp)  # type: ignore[union-attr]
    for path in (error.message, error.code, error.field):
        assert document.has(document.schema("error"), path), path
    account = document.answer("GET", accounts.path)
    assert document.has(account, accounts.id)
    assert document.has(account, accounts.name)
    assert document.has(document.answer("GET", accounts.live_path), accounts.live)


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_request_of_a_pull_is_one_that_stripe_takes(
    document: Requests, resource: Resource
) -> None:
    record = {"id": "x_1", "created": 5}
    listing = pull(stripe, resource, PLACE, None, NOW)
    first = {"data": [record], "has_more": True}
    last = {"data": [{"id": "x_2", "created": 4}], "has_more": False}
    follow = {"data": [], "has_more": False}
    made, pages, _ = run(document, listing, [first, last, follow])
    assert [dict(request.query).get("starting_after") for request in made] == [None, "x_1", None]
    cursor = pages[-1].cursor
    topics = (*resource.topics, *resource.deletes)
    event = {
        "id": "evt_1",
        "created": cursor["since"] + 1,
        "type": topics[0] if topics else "",
        "data": {"object": record},
    }
    answers: list[Any] = [{"data": [event], "has_more": False}]
    if topics:
        answers.append(record)
    made, pages, _ = run(document, pull(stripe, resource, PLACE, cursor, NOW), answers)
    assert dict(made[0].query)["created[gte]"].isdigit()
    assert [value for key, value in made[0].query if key == "types[]"] == list(topics)
    assert pages[-1].records[0].key == ("x_1" if topics else "evt_1")


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_load_of_a_range_asks_for_it_goes_on_and_tells_nothing_of_the_rest(
    document: Requests, resource: Resource
) -> None:
    since, until = datetime.fromtimestamp(100, UTC), datetime.fromtimestamp(200, UTC)
    first = {"data": [{"id": "x_1", "created": 150}], "has_more": True}
    last = {"data": [{"id": "x_2", "created": 120}], "has_more": False}

    def loading(cursor: dict[str, Any] | None) -> Generator[Any, Any, Any]:
        return load(stripe, resource, PLACE, cursor, NOW, since=since, until=until)

    made, pages, _ = run(document, loading(None), [first, last])
    for request in made:
        query = dict(request.query)
        assert (query["created[gte]"], query["created[lt]"]) == ("100", "200")
    assert [(page.listing, page.listed_all) for page in pages] == [(None, False)] * 2
    made, again, _ = run(document, loading(pages[0].cursor), [last])
    assert dict(made[0].query)["starting_after"] == "x_1"
    assert run(document, loading(again[-1].cursor), [])[0] == []


@pytest.mark.parametrize("resource", WRITTEN, ids=lambda resource: resource.name)
@settings(max_examples=80)
@given(data=st.data())
def test_every_write_is_one_that_stripe_takes(resource: Resource, data: st.DataObject) -> None:
    document = requests.stripe()
    mapped = resource.maps
    assert mapped is not None
    model = mapped.read(data.draw(records(stripe, resource)))
    other = mapped.read(data.draw(records(stripe, resource)))
    made = mapped.write(model)
    if isinstance(model, Refund):
        made["reason"] = "duplicate"  # what Stripe reports is more than what it takes
    changed = mapped.write(edited(mapped, model, other), base=model)
    shown = answer({"id": "x_9", "metadata": {}})
    for action, changes in (("create", made), ("update", changed)):
        conversation = write(stripe, resource, PLACE, action, "x_9", changes, None, "int_7")
        step = resource.create if action == "create" else None
        behind = bool(step and step.then and changes.get(step.then.of))
        (request, *more), _, left = run(document, conversation, [shown] * (1 + behind))
        assert request.headers["Idempotency-Key"] == "int_7"
        assert [each.headers["Idempotency-Key"] for each in more] == ["int_7.lines"] * behind
        assert form.decode(request.body)["metadata"][MARKER] == "int_7"
        assert (left.key, left.raw) == ("x_9", shown.body)


@pytest.mark.parametrize("name", ["customer", "invoice"])
def test_a_deletion_is_one_that_stripe_takes(document: Requests, name: str) -> None:
    resource = stripe.resource(name)
    conversation = write(stripe, resource, PLACE, "delete", "x_9", {}, None, "int_7")
    (request,), _, left = run(document, conversation, [{"id": "x_9", "deleted": True}])
    assert (request.method, request.body, left.raw) == ("DELETE", b"", None)


def test_the_account_and_its_mode_are_known(document: Requests) -> None:
    told = {"id": "acct_1", "settings": {"dashboard": {"display_name": "Acme"}}}
    _, _, account = run(document, identify(stripe, PLACE), [told, {"livemode": False}])
    assert (account.id, account.name, account.live) == ("acct_1", "Acme", False)


def test_a_key_that_may_not_see_the_balance_still_connects(document: Requests) -> None:
    refused = Response(status=403, body=b'{"error": {"message": "no"}}')
    _, _, account = run(document, identify(stripe, PLACE), [{"id": "acct_1"}, refused])
    assert (account.name, account.live) == ("acct_1", None)


def test_the_lines_of_a_long_invoice_are_read_to_their_end(document: Requests) -> None:
    invoice = {"id": "in_1", "lines": {"data": [{"id": "l1"}], "has_more": True, "url": "/x"}}
    more = {"data": [{"id": "l2"}], "has_more": True}
    last = {"data": [{"id": "l3", "rate": 0.10}], "has_more": False}
    made, _, found = run(
        document, fetch(stripe, stripe.resource("invoice"), PLACE, "in_1"), [invoice, more, last]
    )
    assert [dict(request.query).get("starting_after") for request in made] == [None, "l1", "l2"]
    assert made[1].url.endswith("/v1/invoices/in_1/lines")
    assert [line["id"] for line in found.value["lines"]["data"]] == ["l1", "l2", "l3"]
    assert found.value["lines"]["has_more"] is False
    assert msgspec.json.decode(found.raw)["lines"]["url"] == "/x"


def test_a_form_is_written_as_stripes_own_sdk_writes_it() -> None:
    value: dict[str, Any] = {
        "metadata": {"order id": "6735 &=", "café": ""},
        "expand": ["customer", "lines"],
        "items": [{"price": "p", "quantity": 2}, {"price": "q"}],
        "auto_advance": True,
        "empty": {},
    }
    theirs = [
        (key, "true" if item is True else str(item)) for key, item in sdk._encode._api_encode(value)
    ]
    assert parse_qsl(form.encode(value).decode(), keep_blank_values=True) == theirs


def test_money_is_in_iso_4217s_units_also_where_stripe_makes_up_cents() -> None:
    mapped = mapping(stripe, "payment_intent")
    record = {"status": "succeeded", "amount": 500}
    amounts = {
        code: mapped.read(record | {"currency": code}).amount
        for code in ("usd", "jpy", "isk", "mga", "ugx", "kwd")
    }
    assert amounts == {"usd": 500, "jpy": 500, "isk": 5, "mga": 50_000, "ugx": 5, "kwd": 500}
    assert stripe.currency_exponents == EXPONENTS


def test_prices_are_decimals_of_major_units() -> None:
    mapped = mapping(stripe, "price")
    price = mapped.read({"product": "p", "currency": "usd", "unit_amount_decimal": "0.5"})
    assert isinstance(price, Price)
    assert str(price.unit_price) == "0.005"


def test_only_captured_money_counts_as_taken() -> None:
    for status, captured, expected in (
        ("succeeded", True, PaymentStatus.SUCCEEDED),
        ("succeeded", False, PaymentStatus.AUTHORIZED),
        ("failed", False, PaymentStatus.FAILED),
        ("pending", False, PaymentStatus.PROCESSING),
    ):
        assert charge_status({"status": status, "captured": captured}) is expected
    mapped = mapping(stripe, "charge")
    attempt = mapped.read(
        {
            "status": "failed",
            "captured": False,
            "currency": "usd",
            "amount": 1,
            "payment_intent": "pi",
        }
    )
    assert isinstance(attempt, Payment)
    assert attempt.attempt_of == "pi"


def test_our_mark_is_never_the_tenants_field() -> None:
    mapped = mapping(stripe, "customer")
    customer = mapped.read({"id": "c", "metadata": {"a": "1", MARKER: "int_1"}})
    assert isinstance(customer, Customer)
    assert customer.extra == {"a": "1"}
    emptied = msgspec.structs.replace(customer, extra={})
    assert mapped.write(emptied, base=customer) == {"metadata": {"a": None}}


def test_a_due_date_is_kept_until_its_last_second() -> None:
    mapped = mapping(stripe, "invoice")
    base = mapped.read({"status": "draft", "currency": "usd", "due_date": 1_775_000_000})
    assert base.status is InvoiceStatus.DRAFT
    moved = msgspec.structs.replace(base, due_on=datetime(2026, 4, 1, tzinfo=UTC).date())
    assert mapped.write(moved, base=base) == {"due_date": 1_775_087_999}
