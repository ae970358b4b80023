"""What is sold through the bridge at Square: invoices of an order, and subscriptions.

Whatever is sent, and whatever the simulator answers, is held against Square's own document.
"""

from __future__ import annotations

import asyncio
import json
from datetime import date
from decimal import Decimal

import pytest
from msgspec.structs import replace

from landbridge import Landbridge, ids
from landbridge.engine.receive import set_app_secrets
from landbridge.errors import OutcomeUnknown, Refused
from landbridge.models.payments import (
    Checkout,
    CheckoutLine,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Price,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
    Tax,
)
from landbridge.store import apps, arrivals
from landbridge.store.connections import Connection
from landbridge.testing.pytest_plugin import SquareSimulator
from tests.providers.test_square_bridge import sim
from tests.providers.through import connected, held, until, working
from tests.web.serving import serving

__all__ = ["sim"]

ADVICE = InvoiceLine(
    description="Advice", amount=0, quantity=Decimal("1.5"), unit_price=Decimal("99.90")
)


async def test_what_is_sold_is_made_once(database_url: str, sim: SquareSimulator) -> None:
    async with serving(database_url, None) as (bridge, url):
        writes = ["invoice", "subscription", "payment_link"]
        (connection,) = (await connected(bridge, "square", sim, writes=writes)).values()
        read = ["customer", "subscription_plan_variation", "order", "payment_link"]
        await bridge.pull(connection, read)
        for kind in read:
            assert set(await held(bridge, connection, kind)) == set(sim.control.objects(kind)), kind
        await an_invoice_is_made_of_an_order(bridge, sim, connection)
        await a_customer_subscribes_and_goes(bridge, sim, connection)
        await a_page_is_paid_on(bridge, sim, connection, url)


async def an_invoice_is_made_of_an_order(
    bridge: Landbridge, sim: SquareSimulator, connection: Connection
) -> None:
    control, api = sim.control, bridge.api(connection)
    customer = next(iter(control.objects("customer")))
    draft = Invoice(
        customer=customer,
        status=InvoiceStatus.DRAFT,
        currency="USD",
        due_on=date(2030, 1, 24),
        description="Thank you",
        lines=(ADVICE,),
    )
    before = {kind: set(control.objects(kind)) for kind in ("order", "invoice")}
    # The answers of both are lost, after the commit.
    control.fault("drop", path="/v2/orders", method="POST", after=True)
    control.fault("drop", path="/v2/invoices", method="POST", after=True)
    intent = ids.new("int")
    made = await api.create(draft, intent=intent)
    assert await api.create(draft, intent=intent) == made
    (order,) = set(control.objects("order")) - before["order"]
    assert set(control.objects("invoice")) - before["invoice"] == {made.id}
    theirs = control.objects("invoice")[str(made.id)]
    assert (theirs["order_id"], theirs["status"]) == (order, "DRAFT")
    assert (made.total, made.amount_remaining, made.due_on) == (14_985, 14_985, draft.due_on)
    assert (made.customer, made.currency) == (customer, "USD")
    found = control.objects("order")[order]
    assert found["customer_id"] == customer
    assert found["location_id"] == control.get("merchant")["main_location_id"]
    (line,) = found["line_items"]
    assert line["base_price_money"] == {"amount": 9990, "currency": "USD"}
    assert (line["name"], line["quantity"]) == ("Advice", "1.5")
    tries = control.journal(path="/v2/orders", method="POST")
    assert {one["idempotency_key"] for one in tries} == {f"{intent}.order"}
    assert len(tries) == 2

    preview = await api.preview(draft)
    assert preview.body["order"]["line_items"][0]["name"] == "Advice"
    at_once = await api.create(replace(draft, status=InvoiceStatus.OPEN))
    assert at_once.status is InvoiceStatus.OPEN
    control.post(f"invoices/{at_once.id}/pay")
    paid = control.objects("invoice")[str(at_once.id)]
    assert control.objects("order")[paid["order_id"]]["state"] == "COMPLETED"
    with pytest.raises(Refused, match="Missing required parameter") as caught:
        await api.create(replace(draft, due_on=None))
    assert "invoice.payment_requests" in caught.value.problems
    taxed = replace(ADVICE, taxes=(Tax(amount=1_000),))
    with pytest.raises(Refused, match="leave them out"):
        await api.create(replace(draft, lines=(taxed,)))
    too_fine = replace(ADVICE, unit_price=Decimal("0.005"))
    with pytest.raises(Refused, match=r"Invoice\.lines\.unit_price: .* 2 decimals"):
        await api.create(replace(draft, lines=(too_fine,)))


async def a_customer_subscribes_and_goes(
    bridge: Landbridge, sim: SquareSimulator, connection: Connection
) -> None:
    control, api = sim.control, bridge.api(connection)
    prices = [one async for one in api.records(Price)]
    price = next(one for one in prices if one.recurrence and one.recurrence.interval == "year")
    assert price.unit_price == Decimal("15.01")  # of the phase that goes on, not of the trial
    customer = next(iter(control.objects("customer")))
    item = SubscriptionItem(price=str(price.id))
    asked = Subscription(customer=customer, status=SubscriptionStatus.ACTIVE, items=(item,))
    there = set(control.objects("subscription"))
    control.fault("status", path="/v2/subscriptions", method="POST", status=503, after=True)
    made = await api.create(asked)
    assert set(control.objects("subscription")) - there == {made.id}
    assert (made.status, made.items) == (SubscriptionStatus.ACTIVE, (item,))
    with pytest.raises(Refused, match="the provider takes one, and these are 2"):
        await api.create(replace(asked, items=(item, item)))

    path = f"/v2/subscriptions/{made.id}/cancel"
    control.fault("drop", path=path, method="POST", after=True)
    going = replace(made, cancels_at_period_end=True)
    intent = ids.new("int")
    with pytest.raises(OutcomeUnknown):  # it takes no key: nothing is sent again by itself
        await api.update(going, intent=intent)
    gone = await api.update(going, intent=intent)
    assert (gone.status, gone.cancels_at_period_end) == (SubscriptionStatus.ACTIVE, True)
    assert len(control.journal(path=path, method="POST")) == 1
    control.post(f"subscriptions/{made.id}/end")
    await bridge.pull(connection, ["subscription"])
    (ended,) = [one async for one in api.records(Subscription) if one.id == made.id]
    assert ended.status is SubscriptionStatus.CANCELED


async def a_page_is_paid_on(
    bridge: Landbridge, sim: SquareSimulator, connection: Connection, url: str
) -> None:
    control, api = sim.control, bridge.api(connection)
    there = {kind: set(control.objects(kind)) for kind in ("payment_link", "order")}
    cake = CheckoutLine(name="Cake", quantity=Decimal(2), unit_price=Decimal("12.50"))
    page = Checkout(currency="USD", lines=(cake,), success_url="https://shop.example/thanks")
    control.fault("drop", path="/v2/online-checkout/payment-links", method="POST", after=True)
    made = await api.create(page)
    assert set(control.objects("payment_link")) - there["payment_link"] == {made.id}
    (order,) = set(control.objects("order")) - there["order"]
    assert made.url == control.objects("payment_link")[str(made.id)]["url"]
    assert (made.success_url, made.order) == (page.success_url, order)
    app = await apps.ensure(bridge.db, environment="test", provider="square")
    await set_app_secrets(bridge.db, bridge.vault, app, ["its key"])
    hook = {"url": f"{url}/in/{app.token}", "key": "its key"}
    await asyncio.to_thread(control.post, "webhooks/register", **hook)
    async with working(bridge):
        held_back = next(
            key for key, one in control.objects("payment").items() if one["status"] == "APPROVED"
        )
        done = {"status": "COMPLETED"}
        await asyncio.to_thread(control.patch, f"objects/payment/{held_back}", set=done)
        paid = await asyncio.to_thread(control.post, f"payment_links/{made.id}/pay")

        async def told() -> list[tuple[str, str, str]]:
            filed = await arrivals.events(bridge.db, environment="test")
            found = [(one.kind, one.resource, one.key) for one in filed if one.kind]
            return found if ("payment.succeeded", "payment", paid["id"]) in found else []

        kinds = await until(told)
        assert ("checkout.completed", "payment_link", made.id) in kinds
        assert [key for kind, _, key in kinds if kind == "checkout.completed"] == [made.id]
    assert (paid["order_id"], paid["total_money"]["amount"]) == (order, 2500)
    # Whether a page was paid on, its order says.
    await bridge.pull(connection, ["order"])
    raw = json.loads((await held(bridge, connection, "order"))[order].raw)
    assert raw["net_amount_due_money"]["amount"] == 0
    other = await api.create(page)
    await api.delete(other)
    assert other.id not in control.objects("payment_link")
    assert sum(one["state"] == "CANCELED" for one in control.objects("order").values()) == 1
