"""What is sold through PayPal: orders that a payer approves, and subscriptions.

Whatever is sent, and whatever the simulator answers, is held against PayPal's own documents.
"""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace as changed

from landbridge.engine.sort import Notice, notices, resource_of
from landbridge.errors import RecordError, Refused
from landbridge.models.payments import (
    Checkout,
    CheckoutLine,
    CheckoutPayment,
    CheckoutStatus,
    Price,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from landbridge.protocols import take, write
from landbridge.providers.paypal import paypal
from landbridge.testing.paypal import Amounts, Settings, Simulator, billing, invoices, orders
from landbridge.testing.paypal.wire import Problem
from landbridge.testing.pytest_plugin import PayPalSimulator
from tests.providers.test_paypal_bridge import connected, misspoken, remote
from tests.providers.test_paypal_page import PLACE, document, run
from tests.specs.documents import Document
from tests.web.serving import serving

__all__ = ["document"]

TEA = CheckoutLine(name="Tea", quantity=Decimal(2), unit_price=Decimal("4.75"))
PAGE = Checkout(
    currency="USD",
    lines=(TEA, CheckoutLine(name="Cake", unit_price=Decimal("3.5"))),
    reference="order-7",
    email="ada@example.com",
    success_url="https://shop.example/thanks",
    cancel_url="https://shop.example/back",
)


def test_an_order_is_made_of_one_unit_whose_items_add_up(document: Document) -> None:
    resource = paypal.resource("order")
    assert resource.maps is not None
    body = resource.maps.write(PAGE)
    talk = write(paypal, resource, PLACE, "create", "", body, None, "int_1")
    (made,), _, done = run(document, talk, [{"id": "O1", "status": "PAYER_ACTION_REQUIRED"}])
    assert (done.key, made.headers["PayPal-Request-Id"]) == ("O1", "int_1")

    def usd(value: str) -> dict[str, str]:
        return {"currency_code": "USD", "value": value}

    looks = {"return_url": PAGE.success_url, "cancel_url": PAGE.cancel_url}
    assert json.loads(made.body) == {
        "intent": "CAPTURE",
        "purchase_units": [
            {
                "custom_id": "order-7",
                "items": [
                    {"name": "Tea", "quantity": "2", "unit_amount": usd("4.75")},
                    {"name": "Cake", "quantity": "1", "unit_amount": usd("3.5")},
                ],
                "amount": {**usd("13.00"), "breakdown": {"item_total": usd("13.00")}},
            }
        ],
        "payment_source": {
            "paypal": {
                "email_address": "ada@example.com",
                "experience_context": {**looks, "user_action": "PAY_NOW"},
            }
        },
    }
    # Only a total, in a currency of which PayPal takes no decimals.
    plain = resource.maps.write(Checkout(currency="HUF", total=50_000))
    assert plain["unit"] == {"amount": {"currency_code": "HUF", "value": "500"}}
    with pytest.raises(RecordError, match=r"Checkout\.currency"):
        resource.maps.write(Checkout(currency="HUF", total=50_001))


def test_an_order_is_approved_and_then_captured(document: Document) -> None:
    resource = paypal.resource("order")
    assert resource.maps is not None
    money = {"currency_code": "USD", "value": "13.00"}
    unit: dict[str, Any] = {"amount": money, "custom_id": "order-7"}
    page = {"href": "https://www.paypal.com/checkoutnow?token=O1"}
    fresh = {"id": "O1", "status": "PAYER_ACTION_REQUIRED", "purchase_units": [unit]}
    for rel in ("payer-action", "approve"):
        found = resource.maps.read({**fresh, "links": [{"rel": "self"}, {**page, "rel": rel}]})
        assert (found.url, found.status, found.paid) == (page["href"], "open", "unpaid")
        assert (found.total, found.currency, found.reference) == (1300, "USD", "order-7")
    approved = {**fresh, "status": "APPROVED"}
    found = resource.maps.read(approved)
    assert (found.status, found.paid) == ("complete", "unpaid")

    def captured(status: str) -> dict[str, Any]:
        payments = {"captures": [{"id": "C1", "status": status}]}
        return {
            **approved,
            "status": "COMPLETED",
            "purchase_units": [{**unit, "payments": payments}],
        }

    assert resource.maps.read(captured("PENDING")).paid == "unpaid"
    done = resource.maps.read(captured("COMPLETED"))
    assert (done.paid, done.payment) == ("paid", "C1")
    assert resource.maps.read({**fresh, "status": "VOIDED"}).status == "expired"
    (step,) = resource.steps
    talk = take(paypal, resource, PLACE, step, "O1", "int_1")
    made, _, _ = run(document, talk, [approved, captured("COMPLETED")])
    assert made[1].url.endswith("/v2/checkout/orders/O1/capture")
    assert made[1].headers["PayPal-Request-Id"] == "int_1.paid"
    run(document, take(paypal, resource, PLACE, step, "O1", "int_1"), [captured("COMPLETED")])


def test_a_subscription_is_proposed_to_an_address(document: Document) -> None:
    resource = paypal.resource("subscription")
    assert resource.maps is not None
    new = Subscription(
        customer="ada@example.com",
        status=SubscriptionStatus.PENDING,
        items=(SubscriptionItem(price="P-1", quantity=Decimal(3)),),
        description="seats",
        success_url="https://shop.example/thanks",
        cancel_url="https://shop.example/back",
    )
    talk = write(paypal, resource, PLACE, "create", "", resource.maps.write(new), None, "int_1")
    shown = document.examples["post /v1/billing/subscriptions"][0]
    (made,), _, done = run(document, talk, [shown])
    assert (done.key, made.headers["PayPal-Request-Id"]) == (shown["id"], "int_1")
    assert json.loads(made.body) == {
        "plan_id": "P-1",
        "quantity": "3",
        "custom_id": "seats",
        "subscriber": {"email_address": "ada@example.com"},
        "application_context": {
            "return_url": "https://shop.example/thanks",
            "cancel_url": "https://shop.example/back",
        },
    }
    found = resource.maps.read(shown)
    assert (found.status, found.customer) == ("pending", "2J6QB8YJQSJRJ")
    assert str(found.url).startswith("https://www.paypal.com/webapps/billing/subscriptions?ba_")
    for step, now in zip(resource.steps, ("ACTIVE", "ACTIVE", "SUSPENDED"), strict=True):
        talk = take(paypal, resource, PLACE, step, "I-1", "int_2")
        asked, _, _ = run(document, talk, [{**shown, "status": now}, None])
        assert json.loads(asked[1].body)["reason"]
    # What waits for its subscriber is not activated by the merchant.
    talk = take(paypal, resource, PLACE, resource.steps[2], "I-1", "int_2")
    run(document, talk, [shown])


def test_what_happens_to_an_order_leads_to_it() -> None:
    simulator = Simulator(Settings(amounts=Amounts(invoices=0, captures=0, refunds=0, disputes=0)))
    account = simulator.account
    unit = {"amount": {"currency_code": "USD", "value": "9.00"}}
    asked = {"intent": "CAPTURE", "purchase_units": [unit]}
    key = orders.create(account, asked, None)["id"]
    with pytest.raises(Problem, match="could not be performed") as caught:
        orders.capture(account, key)
    assert caught.value.details[0][1] == "ORDER_NOT_APPROVED"
    orders.approve(account, key, "ada@example.com")
    orders.capture(account, key)
    with pytest.raises(Problem) as caught:
        orders.capture(account, key)
    assert caught.value.details[0][1] == "ORDER_ALREADY_CAPTURED"
    assert paypal.webhook is not None
    told = {}
    for event in account.events:
        found = notices(paypal.webhook, json.dumps(event).encode())
        told[found[0].topic] = [(named(one), one.kind) for one in found]
        assert all(one.key in account.kept[named(one)] for one in found)
    assert told == {
        "CHECKOUT.ORDER.APPROVED": [("order", "")],
        "PAYMENT.CAPTURE.COMPLETED": [
            ("capture", "payment.succeeded"),
            ("order", "checkout.completed"),
        ],
        "CHECKOUT.ORDER.COMPLETED": [("order", "checkout.completed")],
    }
    # The bank may hold the money of an order that is completed.
    held = json.loads(json.dumps(account.events[-1]))
    held["resource"]["purchase_units"][0]["payments"]["captures"][0]["status"] = "PENDING"
    assert [one.kind for one in notices(paypal.webhook, json.dumps(held).encode())] == [""]


def test_an_approval_that_is_reversed_has_its_order_read_again() -> None:
    assert paypal.webhook is not None
    body = {
        "id": "WH-1",
        "event_type": "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
        "resource": {"order_id": "5O190127TN364715T"},
    }
    (found,) = notices(paypal.webhook, json.dumps(body).encode())
    assert (named(found), found.key, found.kind) == ("order", "5O190127TN364715T", "")


@pytest.mark.parametrize("wrapped", [True, False])
def test_an_invoice_is_paid_once_all_of_it_is(wrapped: bool) -> None:
    simulator = Simulator(Settings(amounts=Amounts(invoices=0, captures=0, refunds=0, disputes=0)))
    account = simulator.account
    account.wrapped = wrapped
    line = {
        "name": "Tea",
        "quantity": "1",
        "unit_amount": {"currency_code": "USD", "value": "9.00"},
    }
    asked = {
        "detail": {"currency_code": "USD"},
        "items": [line],
        "primary_recipients": [{"billing_info": {"email_address": "ada@example.com"}}],
    }
    key = invoices.create(account, asked)["id"]
    invoices.send(account, key)
    invoices.pay(account, key, Decimal(4))
    invoices.pay(account, key)
    assert paypal.webhook is not None
    told = [
        (found.topic, found.kind, found.key)
        for event in account.events[-2:]
        for found in notices(paypal.webhook, json.dumps(event).encode())
    ]
    paid = "INVOICING.INVOICE.PAID"
    assert told == [(paid, "", key), (paid, "invoice.paid", key)]


def named(notice: Notice) -> str:
    """The resource that an event is about."""
    resource, _ = resource_of(paypal, notice.topic)
    return notice.of or (resource.name if resource else "")


def test_a_renewal_pays_the_bill_of_its_subscription() -> None:
    simulator = Simulator(Settings(amounts=Amounts(invoices=0, captures=0, refunds=0, disputes=0)))
    account = simulator.account
    ours = billing.subscribe(account, next(iter(account.kept["plan"])), "ada@example.com")["id"]
    before = len(account.events)
    billing.bill(account, ours, fails=True)
    assert account.kept["subscription"][ours]["billing_info"]["failed_payments_count"] == 1
    sale = billing.bill(account, ours)["id"]
    assert account.kept["subscription"][ours]["billing_info"]["failed_payments_count"] == 0
    assert paypal.webhook is not None
    told = [
        (one.kind, named(one), one.key)
        for event in account.events[before:]
        for one in notices(paypal.webhook, json.dumps(event).encode())
    ]
    assert told == [
        ("invoice.payment_failed", "subscription", ours),
        ("payment.succeeded", "", sale),
        ("invoice.paid", "subscription", ours),
    ]


@pytest.mark.parametrize(
    ("unit", "issue"),
    [
        ({"amount": {"currency_code": "USD", "value": "0"}}, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ({"items": [], "amount": {"currency_code": "USD", "value": "1"}}, "ITEM_TOTAL_REQUIRED"),
        (
            {
                "items": [],
                "amount": {
                    "currency_code": "USD",
                    "value": "1",
                    "breakdown": {"item_total": {"currency_code": "USD", "value": "1"}},
                },
            },
            "ITEM_TOTAL_MISMATCH",
        ),
        ({"amount": {"currency_code": "JPY", "value": "1.5"}}, "DECIMALS_NOT_SUPPORTED"),
        ({"colour": "red"}, "INVALID_PARAMETER_SYNTAX"),
    ],
)
def test_an_order_that_does_not_add_up_is_refused(unit: dict[str, Any], issue: str) -> None:
    simulator = Simulator(Settings(amounts=Amounts(invoices=0, captures=0, refunds=0, disputes=0)))
    with pytest.raises(Problem) as caught:
        orders.create(simulator.account, {"intent": "CAPTURE", "purchase_units": [unit]}, None)
    assert caught.value.details[0][1] == issue


async def test_what_is_sold_is_made_once(
    database_url: str, paypal_simulator: PayPalSimulator
) -> None:
    sim = paypal_simulator
    async with serving(database_url, None) as (bridge, _):
        connection = await connected(bridge, sim)
        api = bridge.api(connection)
        # The answers of the first tries are lost, after the commit.
        sim.control.fault("drop", path="/v2/checkout/orders", method="POST", after=True)
        page = await api.create(PAGE)
        assert (page.status, page.paid, page.total) == ("open", "unpaid", 1300)
        assert len(remote(sim, "order")) == 1
        assert str(page.url).endswith(str(page.id))
        taken = changed(page, paid=CheckoutPayment.PAID)
        with pytest.raises(Refused, match="not yet approved"):
            await api.update(taken)
        await asyncio.to_thread(sim.control.post, f"orders/{page.id}/approve")
        path = f"/v2/checkout/orders/{page.id}/capture"
        sim.control.fault("status", status=503, path=path, method="POST", after=True)
        done = await api.update(taken)
        assert (done.status, done.paid) == (CheckoutStatus.COMPLETE, CheckoutPayment.PAID)
        theirs = remote(sim, "capture")[str(done.payment)]
        assert theirs["supplementary_data"]["related_ids"]["order_id"] == page.id
        paid = [one for one in remote(sim, "capture").values() if one["amount"]["value"] == "13.00"]
        assert len(paid) == 1
        with pytest.raises(Refused, match="Should equal item_total") as caught:
            await api.create(changed(PAGE, total=1_299))
        assert list(caught.value.problems) == ["/purchase_units/0/amount/value"]

        await bridge.pull(connection, ["plan"])
        plan = await anext(api.records(Price))
        known = len(remote(sim, "subscription"))
        sim.control.fault("drop", path="/v1/billing/subscriptions", method="POST", after=True)
        asked = Subscription(
            customer="ada@example.com",
            status=SubscriptionStatus.PENDING,
            items=(SubscriptionItem(price=str(plan.id)),),
            success_url="https://shop.example/thanks",
            cancel_url="https://shop.example/back",
        )
        made = await api.create(asked)
        assert len(remote(sim, "subscription")) == known + 1
        assert (made.status, made.customer) == (SubscriptionStatus.PENDING, "ada@example.com")
        assert "ba_token" in str(made.url)
        await asyncio.to_thread(sim.control.post, f"subscriptions/{made.id}/approve")
        paused = await api.update(changed(made, status=SubscriptionStatus.PAUSED))
        assert (paused.status, paused.url) == (SubscriptionStatus.PAUSED, None)
        resumed = await api.update(changed(paused, status=SubscriptionStatus.ACTIVE))
        assert resumed.status is SubscriptionStatus.ACTIVE
        ended = await api.update(changed(resumed, status=SubscriptionStatus.CANCELED))
        assert ended.status is SubscriptionStatus.CANCELED
    assert misspoken(sim) == []
