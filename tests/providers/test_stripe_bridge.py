"""Stripe through the bridge, against its simulator: pages to pay on, subscriptions, invoices.

Whatever the simulator answers is held against Stripe's own document.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from landbridge import Landbridge
from landbridge.formats import parse_json
from landbridge.models.payments import (
    Checkout,
    CheckoutLine,
    CheckoutMode,
    CheckoutPayment,
    CheckoutStatus,
    Collection,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Price,
    Product,
    Recurrence,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from landbridge.models.payments import Interval as Every
from landbridge.providers.stripe import stripe as page
from landbridge.store import inbox
from landbridge.store.connections import Connection
from landbridge.testing import stripe
from landbridge.testing.asgi import App, Receive, Scope, Send
from landbridge.testing.control import Control
from landbridge.testing.pytest_plugin import StripeSimulator
from landbridge.testing.running import in_thread
from tests.providers.pages import mapping
from tests.providers.through import held, pushed, until, working
from tests.specs import openapi
from tests.web.serving import serving

AMOUNTS = stripe.Amounts(customers=6, subscriptions=0, invoices=8, refunds=0, payment_intents=0)
TEE = CheckoutLine(name="Tee", unit_price=Decimal("12.50"), quantity=Decimal(2))
ORDER = Checkout(
    currency="EUR",
    reference="order-7",
    success_url="https://shop.example/thanks?page={CHECKOUT_SESSION_ID}",
    cancel_url="https://shop.example/cart",
    lines=(TEE,),
)


@dataclass
class Watch:
    """An app before the simulator, which keeps what document and answers differ in."""

    inner: App
    calls: int = 0
    wrong: list[str] = field(default_factory=list)

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        told, status = bytearray(), 0

        async def sending(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            told.extend(message.get("body", b""))
            await send(message)

        await self.inner(scope, receive, sending)
        if status and scope["path"].startswith("/v1/"):
            self.calls += 1
            method, path = scope["method"], scope["path"]
            self.wrong += openapi.stripe().check(method, path, status, bytes(told))


@pytest.fixture
def sim() -> Iterator[StripeSimulator]:
    simulator = stripe.Simulator(stripe.Settings(amounts=AMOUNTS))
    watch = Watch(simulator.app)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await watch.pass_on(scope, receive, send)

    with in_thread(app) as url, Control(url) as control:
        yield StripeSimulator(url=url, key=stripe.KEY, control=control, simulator=simulator)
    simulator.stage.journal.close()
    assert watch.calls > 30
    assert watch.wrong == []


async def test_what_stripe_is_asked_to_do_is_done(database_url: str, sim: StripeSimulator) -> None:
    async with serving(database_url, None) as (bridge, _):
        made = await bridge.connect(
            "stripe",
            tenant="acme",
            credentials={"key": sim.key},
            settings={"base": sim.url},
            every=None,
        )
        connection = made.connection
        hook = {"url": await bridge.intake_url(connection), "enabled_events": ["*"]}
        endpoint = sim.control.post("objects/webhook_endpoints", **hook)
        await bridge.set_webhook_secrets(connection, [endpoint["secret"]])
        totals = await bridge.pull(connection)
        assert {name: one.parked for name, one in totals.items() if one.parked} == {}
        payments = await held(bridge, connection, "payment_intent")
        disputes = [
            await model(bridge, connection, "dispute", key)
            for key in await held(bridge, connection, "dispute")
        ]
        assert len(disputes) == 3
        assert {one.payment for one in disputes} <= set(payments)

        async with working(bridge):
            await pages_are_paid_once(bridge, sim, connection)
            await a_page_may_be_complete_before_it_is_paid(bridge, sim, connection)
            price = await things_are_sold(bridge, sim, connection)
            await subscriptions_begin_change_and_end(bridge, sim, connection, price)
            await invoices_go_their_way(bridge, sim, connection)


async def model(bridge: Landbridge, connection: Connection, name: str, key: str) -> Any:
    """The record that the bridge has under this key, in our words."""
    one = (await held(bridge, connection, name)).get(key)
    return mapping(page, name).read(parse_json(one.raw)) if one else None


async def write(bridge: Landbridge, to: Connection, record: Any, name: str) -> Any:
    """What a record is once a change was written to it."""
    before = await model(bridge, to, name, record.id)
    async with bridge.transaction() as tx:
        await bridge.push(tx, record, to=to, resource=name)

    async def changed() -> Any:
        now = await model(bridge, to, name, record.id)
        return now if now != before else None

    return await until(changed)


async def kinds(bridge: Landbridge, connection: Connection, key: str) -> list[str]:
    """The kinds of the webhooks that came about a record."""
    wanted = inbox.Selection(environment=connection.environment, kinds=["checkout.completed"])
    return [one.kind for one in await inbox.page(bridge.db, wanted, most=50) if one.key == key]


async def pages_are_paid_once(
    bridge: Landbridge, sim: StripeSimulator, connection: Connection
) -> None:
    sim.control.fault("drop", path="/v1/checkout/sessions", method="POST", after=True)
    key = await pushed(bridge, connection, ORDER, "checkout.session")
    ours = [
        one
        for one in sim.control.objects("checkout_sessions").values()
        if one["client_reference_id"] == "order-7"
    ]
    assert [one["id"] for one in ours] == [key]  # though it was asked for twice
    shown = await model(bridge, connection, "checkout.session", key)
    assert (shown.total, shown.currency, shown.status) == (2500, "EUR", CheckoutStatus.OPEN)
    (line,) = shown.lines
    assert (line.name, line.unit_price, line.amount) == ("Tee", TEE.unit_price, 2500)

    async with httpx2.AsyncClient(trust_env=False) as payer:
        assert "2 &times; Tee" in (await payer.get(shown.url)).text
        refused = await payer.post(shown.url, data={"pays": "declined"})
        assert refused.status_code == 402
        answer = await payer.post(shown.url, data={"pays": "card"})
        assert answer.headers["location"] == f"https://shop.example/thanks?page={key}"
        assert (await payer.post(shown.url, data={"pays": "card"})).status_code == 400

    async def paid() -> Any:
        now = await model(bridge, connection, "checkout.session", key)
        return now if now.status is CheckoutStatus.COMPLETE else None

    done = await until(paid)
    assert (done.paid, done.url) == (CheckoutPayment.PAID, None)
    assert done.payment in await held(bridge, connection, "payment_intent")
    assert await until(lambda: kinds(bridge, connection, key)) == ["checkout.completed"]


async def a_page_may_be_complete_before_it_is_paid(
    bridge: Landbridge, sim: StripeSimulator, connection: Connection
) -> None:
    key = await pushed(bridge, connection, ORDER, "checkout.session")
    sim.control.post(f"checkout/{key}", pays="bank")

    async def complete() -> Any:
        now = await model(bridge, connection, "checkout.session", key)
        return now if now.status is CheckoutStatus.COMPLETE else None

    assert (await until(complete)).paid is CheckoutPayment.UNPAID
    assert await kinds(bridge, connection, key) == []
    sim.control.post(f"checkout/{key}/settle", succeeds=True)
    assert await until(lambda: kinds(bridge, connection, key)) == ["checkout.completed"]

    left = await pushed(bridge, connection, ORDER, "checkout.session")
    gone = await model(bridge, connection, "checkout.session", left)
    gone = replace(gone, status=CheckoutStatus.EXPIRED)
    over = await write(bridge, connection, gone, "checkout.session")
    assert (over.status, over.url) == (CheckoutStatus.EXPIRED, None)


async def things_are_sold(bridge: Landbridge, sim: StripeSimulator, connection: Connection) -> str:
    product = await pushed(bridge, connection, Product(name="Seat"), "product")
    price = Price(
        product=product,
        currency="EUR",
        unit_price=Decimal("9.90"),
        recurrence=Recurrence(interval=Every.MONTH),
    )
    key = await pushed(bridge, connection, price, "price")
    theirs = sim.control.objects("prices")[key]
    assert (theirs["unit_amount"], theirs["recurring"]["interval"]) == (990, "month")
    stored = await model(bridge, connection, "price", key)
    named = await write(bridge, connection, replace(stored, name="By month"), "price")
    assert sim.control.objects("prices")[key]["nickname"] == named.name
    return key


async def subscriptions_begin_change_and_end(
    bridge: Landbridge, sim: StripeSimulator, connection: Connection, price: str
) -> None:
    customer = next(iter(await held(bridge, connection, "customer")))
    wanted = Subscription(
        customer=customer,
        status=SubscriptionStatus.PENDING,
        collection=Collection.SENT,
        due_days=14,
        items=(SubscriptionItem(price=price, quantity=Decimal(3)),),
    )
    key = await pushed(bridge, connection, wanted, "subscription")
    begun = await model(bridge, connection, "subscription", key)
    assert begun.status is SubscriptionStatus.ACTIVE
    await until(lambda: model(bridge, connection, "invoice", begun.latest_invoice))

    (item,) = begun.items
    more = replace(begun, items=(replace(item, quantity=Decimal(5)),), cancels_at_period_end=True)
    changed = await write(bridge, connection, more, "subscription")
    assert changed.items[0].id == item.id
    assert (changed.items[0].quantity, changed.cancel_at) == (5, item.period_end)
    ended = await write(
        bridge, connection, replace(changed, status=SubscriptionStatus.CANCELED), "subscription"
    )
    assert ended.ended_at is not None

    subscribing = replace(
        ORDER,
        mode=CheckoutMode.SUBSCRIPTION,
        lines=(CheckoutLine(price=price, quantity=TEE.quantity),),
    )
    opened = await pushed(bridge, connection, subscribing, "checkout.session")
    sim.control.post(f"checkout/{opened}", pays="card")

    async def subscribed() -> Any:
        return (await model(bridge, connection, "checkout.session", opened)).subscription

    made = sim.control.objects("subscriptions")[await until(subscribed)]
    assert made["status"] == "active"
    await until(lambda: model(bridge, connection, "invoice", made["latest_invoice"]))


async def billed(bridge: Landbridge, connection: Connection, key: str) -> Any:
    """The invoice, once its lines are on it."""
    now = await model(bridge, connection, "invoice", key)
    return now if now.lines else None


async def invoices_go_their_way(
    bridge: Landbridge, sim: StripeSimulator, connection: Connection
) -> None:
    customer = next(iter(await held(bridge, connection, "customer")))
    for collection, event in ((Collection.SENT, 1), (Collection.AUTOMATIC, 0)):
        line = InvoiceLine(description="Tea", amount=1200)
        draft = Invoice(
            customer=customer,
            currency="EUR",
            status=InvoiceStatus.DRAFT,
            collection=collection,
            lines=(line,),
        )
        lost = ("/v1/invoices", "/v1/invoices/*/add_lines") if event else ()
        for path in lost:  # made, and not answered
            sim.control.fault("drop", path=path, method="POST", after=True)
        key = await pushed(bridge, connection, draft, "invoice")
        stored = await until(partial(billed, bridge, connection, key))
        assert [(one.description, one.amount) for one in stored.lines] == [("Tea", 1200)]
        assert stored.total == 1200
        opened = await write(
            bridge, connection, replace(stored, status=InvoiceStatus.OPEN), "invoice"
        )
        assert opened.number
        sent = [
            one
            for one in sim.control.objects("events").values()
            if one["type"] == "invoice.sent" and one["data"]["object"]["id"] == key
        ]
        assert len(sent) == event
        void = await write(
            bridge, connection, replace(opened, status=InvoiceStatus.VOID), "invoice"
        )
        assert void.voided_at
