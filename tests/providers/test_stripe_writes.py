"""What Stripe's page writes in calls of their own kinds, each held against Stripe's own document:
pages to pay on, subscriptions, and steps of invoices."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from landbridge.engine.made_up import laid_on
from landbridge.formats import form
from landbridge.models.payments import (
    Checkout,
    CheckoutLine,
    CheckoutPayment,
    CheckoutStatus,
    DisputeStatus,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
)
from landbridge.protocols import Place, take, write
from landbridge.providers.stripe import blank, stripe
from landbridge.spec import Step, kind_of
from tests.providers.pages import answer, led, mapping
from tests.specs import openapi, requests

PLACE = Place(base=stripe.base)
SUBSCRIPTION = {
    **blank.SUBSCRIPTION,
    "id": "sub_1",
    "customer": "cus_1",
    "status": "active",
    "items": {
        "object": "list",
        "data": [
            {"id": "si_1", "price": {"id": "price_1"}, "quantity": 2},
            {"id": "si_2", "price": {"id": "price_2"}, "quantity": 1},
        ],
        "has_more": False,
        "url": "/v1/subscription_items",
    },
}


def sent(name: str, action: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The form that a write sends, without our mark."""
    conversation = write(stripe, stripe.resource(name), PLACE, action, "x_1", changes, None, "int")
    (request,), _, _ = led(conversation, [{"id": "x_1"}], wrong=requests.stripe().wrong)
    told = form.decode(request.body)
    assert told.pop("metadata") == {"landbridge": "int"}
    return told


def step(name: str, to: str, **when: str) -> Step:
    found = [each for each in stripe.resource(name).steps if (each.to, each.when) == (to, when)]
    return found[0]


def taken(name: str, step: Step, record: dict[str, Any]) -> list[str]:
    """The calls that a step makes on a record, after it was read."""
    conversation = take(stripe, stripe.resource(name), PLACE, step, "x_1", "int")
    made = [next(conversation)]
    for shown in (record, {"id": "x_1"}):
        assert requests.stripe().wrong(made[-1]) == []
        try:
            made.append(conversation.send(answer(shown)))
        except StopIteration:
            break
    read, *calls = made
    assert read.method == "GET"
    return [f"{each.method} {each.url.removeprefix(stripe.base)}" for each in calls]


def test_a_page_to_pay_on_is_made_of_prices_and_of_what_has_one_for_this_once() -> None:
    page = Checkout(
        currency="JPY",
        reference="order-7",
        success_url="https://shop.example/thanks",
        cancel_url="https://shop.example/cart",
        email="ann@example.com",
        expires_at=datetime(2026, 11, 28, tzinfo=UTC),
        lines=(
            CheckoutLine(name="Mug", unit_price=Decimal(1200), quantity=Decimal(2)),
            CheckoutLine(price="price_1", quantity=Decimal(1)),
        ),
        extra={"cart": "9"},
    )
    changes = mapping(stripe, "checkout.session").write(page)
    assert changes.pop("metadata") == {"cart": "9"}
    assert sent("checkout.session", "create", changes) == {
        "mode": "payment",
        "client_reference_id": "order-7",
        "success_url": "https://shop.example/thanks",
        "cancel_url": "https://shop.example/cart",
        "customer_email": "ann@example.com",
        "expires_at": "1795824000",
        "line_items": [
            {
                "price_data": {
                    "product_data": {"name": "Mug"},
                    "unit_amount_decimal": "1200",
                    "currency": "jpy",
                },
                "quantity": "2",
            },
            {"price": "price_1", "quantity": "1"},
        ],
    }


def test_the_lines_of_a_new_invoice_go_behind_it_each_by_its_price_or_its_amount() -> None:
    invoice = Invoice(
        customer="cus_1",
        currency="EUR",
        status=InvoiceStatus.DRAFT,
        lines=(
            InvoiceLine(description="Tea", amount=-250, quantity=Decimal(3)),
            InvoiceLine(price="price_1", quantity=Decimal("2.5"), amount=7),
        ),
    )
    talk = partial(write, stripe, stripe.resource("invoice"), PLACE, "create", "")
    body = mapping(stripe, "invoice").write(invoice)
    shown = {"id": "in_1", "metadata": {}}
    made, _, done = led(talk(body, None, "int"), [shown] * 2, wrong=requests.stripe().wrong)
    assert [
        (
            each.url.removeprefix(stripe.base),
            each.headers["Idempotency-Key"],
            form.decode(each.body),
        )
        for each in made
    ] == [
        (
            "/v1/invoices",
            "int",
            {"customer": "cus_1", "currency": "eur", "metadata": {"landbridge": "int"}},
        ),
        (
            "/v1/invoices/in_1/add_lines",
            "int.lines",
            {
                "lines": [
                    {"description": "Tea", "amount": "-250"},
                    {"pricing": {"price": "price_1"}, "quantity_decimal": "2.5"},
                ]
            },
        ),
    ]
    assert done.key == "in_1"
    body = mapping(stripe, "invoice").write(replace(invoice, lines=()))
    led(talk(body, None, "int"), [shown], wrong=requests.stripe().wrong)


def test_the_items_of_a_subscription_are_changed_added_and_taken_away() -> None:
    maps = mapping(stripe, "subscription")
    before = maps.read(SUBSCRIPTION)
    first, _ = before.items
    new = replace(first, id=None, price="price_3", quantity=None)
    wanted = replace(
        before, items=(replace(first, quantity=Decimal(5)), new), cancels_at_period_end=True
    )
    assert sent("subscription", "update", maps.write(wanted, base=before)) == {
        "items": [
            {"id": "si_1", "price": "price_1", "quantity": "5"},
            {"price": "price_3"},
            {"id": "si_2", "deleted": "true"},
        ],
        "cancel_at_period_end": "true",
    }


def test_a_subscription_ends_at_once_by_a_call_of_its_own() -> None:
    ending = step("subscription", "canceled")
    assert taken("subscription", ending, SUBSCRIPTION) == ["DELETE /v1/subscriptions/x_1"]
    assert taken("subscription", ending, {**SUBSCRIPTION, "status": "canceled"}) == []


@pytest.mark.parametrize(
    ("collection", "call"),
    [("charge_automatically", "finalize"), ("send_invoice", "send")],
)
def test_an_invoice_is_sent_if_it_is_to_be_sent_and_else_made_final(
    collection: str, call: str
) -> None:
    draft = {**blank.INVOICE, "id": "x_1", "collection_method": collection}
    steps = [each for each in stripe.resource("invoice").steps if each.to == "open"]
    made = [taken("invoice", each, draft) for each in steps]
    assert sorted(made) == [[], [f"POST /v1/invoices/x_1/{call}"]]
    assert [taken("invoice", each, {**draft, "status": "open"}) for each in steps] == [[], []]


@pytest.mark.parametrize(
    ("name", "to", "call"),
    [
        ("invoice", "void", "POST /v1/invoices/x_1/void"),
        ("invoice", "uncollectible", "POST /v1/invoices/x_1/mark_uncollectible"),
        ("checkout.session", "expired", "POST /v1/checkout/sessions/x_1/expire"),
    ],
)
def test_a_step_is_a_call_that_stripe_has(name: str, to: str, call: str) -> None:
    shown = {**dict(stripe.resource(name).blank), "status": "open"}
    assert taken(name, step(name, to), shown) == [call]


@pytest.mark.parametrize(
    ("topic", "paid", "kind"),
    [
        ("completed", "paid", "checkout.completed"),
        ("completed", "no_payment_required", "checkout.completed"),
        ("completed", "unpaid", ""),
        ("async_payment_succeeded", "paid", "checkout.completed"),
        ("async_payment_failed", "unpaid", ""),
        ("expired", "unpaid", ""),
    ],
)
def test_a_page_counts_as_complete_when_its_money_has_come(
    topic: str, paid: str, kind: str
) -> None:
    assert stripe.webhook is not None
    event = {"data": {"object": {"payment_status": paid}}}
    assert kind_of(stripe.webhook.kinds, f"checkout.session.{topic}", event) == kind


def test_a_page_that_is_complete_and_not_paid_says_so() -> None:
    shown = {**blank.CHECKOUT_SESSION, "status": "complete", "line_items": None}
    page = mapping(stripe, "checkout.session").read(shown)
    assert (page.status, page.paid) == (CheckoutStatus.COMPLETE, CheckoutPayment.UNPAID)
    assert page.lines == ()


def test_a_dispute_names_its_payment_also_where_there_is_only_a_charge() -> None:
    maps = mapping(stripe, "dispute")
    told = {"id": "dp_1", "amount": 5, "currency": "usd", "charge": "ch_1", "status": "prevented"}
    assert maps.read(told).payment == "ch_1"
    found = maps.read({**told, "payment_intent": "pi_1", "evidence_details": {"due_by": 60}})
    assert (found.payment, found.status) == ("pi_1", DisputeStatus.CLOSED)
    assert found.respond_by == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)


def test_a_shadow_shows_what_is_sent_elsewhere_where_stripe_shows_it() -> None:
    resource = stripe.resource("subscription")
    told = {"customer": "cus_1", "items": [{"price": "price_1", "quantity": "2"}]}
    made = laid_on(stripe, resource, resource.blank, told)
    (item,) = mapping(stripe, "subscription").read(made).items
    assert (item.price, item.quantity) == ("price_1", 2)
    assert made["items"]["url"] == resource.blank["items"]["url"]


@pytest.mark.parametrize("name", [one.name for one in stripe.resources if one.blank])
def test_a_blank_is_what_stripe_could_answer(name: str) -> None:
    assert openapi.stripe().check_object(name, dict(stripe.resource(name).blank)) == []
