"""Everything with Square through the bridge, against its simulator: consent, pull, webhook, write.

Whatever is sent, and whatever the simulator answers, is held against Square's own document.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import pytest
from msgspec.structs import replace

from landbridge import Landbridge
from landbridge.engine.receive import set_app_secrets
from landbridge.errors import Conflict, ReconnectRequired, Refused
from landbridge.models.payments import Customer, Invoice, InvoiceStatus, Refund
from landbridge.store import apps, arrivals
from landbridge.store.connections import Connection
from landbridge.testing import square
from landbridge.testing.asgi import App, Receive, Scope, Send
from landbridge.testing.control import Control
from landbridge.testing.pytest_plugin import SquareSimulator
from landbridge.testing.running import in_thread
from tests.providers.through import connected, consented, held, pushed, until, working
from tests.specs.square.document import square as document
from tests.web.serving import serving

KEY = "the-signature-key"
AMOUNTS = square.Amounts(customers=130, invoices=110, payments=230)


@dataclass
class Watch:
    """An app between a caller and the simulator, which keeps what document and call differ in."""

    inner: App
    calls: int = 0
    wrong: list[str] = field(default_factory=list)

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path.startswith("/_sim") or path == "/oauth2/authorize":
            await self.inner(scope, receive, send)
            return
        asked, told, status = bytearray(), bytearray(), 0

        async def reading() -> Any:
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def sending(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            told.extend(message.get("body", b""))
            await send(message)

        await self.inner(scope, reading, sending)
        self.calls += 1
        method, query = scope["method"], dict(parse_qsl(scope["query_string"].decode()))
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.wrong += document().refused(method, path, query, headers, bytes(asked))
        if status:  # else the connection was dropped
            self.wrong += document().misanswered(method, path, status, bytes(told))


@pytest.fixture
def sim() -> Iterator[SquareSimulator]:
    simulator = square.Simulator(square.Settings(amounts=AMOUNTS))
    watch = Watch(simulator.app)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await watch.pass_on(scope, receive, send)

    with in_thread(app) as url, Control(url) as control:
        yield SquareSimulator(
            url=url,
            client_id=square.APPLICATION,
            client_secret=square.SECRET,
            control=control,
            simulator=simulator,
        )
    simulator.stage.journal.close()
    assert watch.calls > 10
    assert watch.wrong == []


async def alike(
    bridge: Landbridge, sim: SquareSimulator, connection: Connection, *left: str
) -> None:
    """What is held is what there is, but for customers who left without a webhook."""
    for kind in (
        "customer",
        "item",
        "subscription",
        "invoice",
        "payment",
        "refund",
        "dispute",
        "payout",
    ):
        theirs = {
            key for key, one in sim.control.objects(kind).items() if not one.get("is_deleted")
        }
        assert set(await held(bridge, connection, kind)) - set(left) == theirs, kind


async def test_everything_through_the_bridge(database_url: str, sim: SquareSimulator) -> None:
    async with serving(database_url, None) as (bridge, url):
        writes = ["customer", "invoice", "refund"]
        (connection,) = (await connected(bridge, "square", sim, writes=writes)).values()
        merchant = sim.control.get("merchant")
        assert (connection.account, connection.account_name) == (merchant["id"], "Apple A Day")

        totals = await bridge.pull(connection)
        assert {name: one.parked for name, one in totals.items() if one.parked} == {}
        assert totals["payment"].changed == AMOUNTS.payments  # of both locations, and of all years
        assert totals["payment"].pages >= 4
        await alike(bridge, sim, connection)

        sim.control.post("tokens/expire")
        done = [one.split() for one in sim.control.post("churn", count=40, seed=5)["done"]]
        before = len(sim.control.journal())
        again = await bridge.pull(connection)
        assert sim.control.get("grants")["exchanges"] == 2
        await alike(bridge, sim, connection, *(key for what, key in done if what == "leave"))
        asked = sim.control.journal(after=before, path="/v2/payments")
        assert all("updated_at_begin_time" in one["query"] for one in asked if one["status"] == 200)
        assert 0 < again["payment"].changed < 40
        (variations,) = {
            one.kind for one in (await held(bridge, connection, "item_variation")).values()
        }
        assert not variations  # raw

        await webhooks_are_told(bridge, sim, connection, url)
        await writes_come_back(bridge, sim, connection)
        await an_invoice_goes_its_way(bridge, sim, connection)
        await what_ends_is_said(bridge, sim, connection)


async def webhooks_are_told(
    bridge: Landbridge, sim: SquareSimulator, connection: Connection, url: str
) -> None:
    """An event is believed by its signature, is of a kind, and leads to its record."""
    app = await apps.ensure(bridge.db, environment="test", provider="square")
    await set_app_secrets(bridge.db, bridge.vault, app, [KEY])
    control = sim.control
    await asyncio.to_thread(control.post, "webhooks/register", url=f"{url}/in/{app.token}", key=KEY)
    async with working(bridge):
        unpaid = next(
            key for key, one in control.objects("invoice").items() if one["status"] == "UNPAID"
        )
        gone = next(iter(control.objects("customer")))
        await asyncio.to_thread(control.post, f"invoices/{unpaid}/pay")
        await asyncio.to_thread(control.delete, f"objects/customer/{gone}")
        held_back = next(
            key for key, one in control.objects("payment").items() if one["status"] == "APPROVED"
        )
        done = {"status": "COMPLETED"}
        await asyncio.to_thread(control.patch, f"objects/payment/{held_back}", set=done)
        assert (await asyncio.to_thread(control.post, "webhooks/forge"))["status"] == 400

        async def seen() -> bool:
            paid = (await held(bridge, connection, "invoice"))[unpaid].unified["status"] == "paid"
            taken = (await held(bridge, connection, "payment"))[held_back].unified["status"]
            left = gone not in await held(bridge, connection, "customer")
            return bool(paid and left and taken == "succeeded")

        await until(seen)
        filed = await arrivals.events(bridge.db, environment="test")
        kinds = {(one.topic, one.key): one.kind for one in filed}
        assert kinds["invoice.payment_made", unpaid] == "invoice.paid"
        assert kinds["payment.updated", held_back] == "payment.succeeded"
        assert kinds["customer.deleted", gone] == ""


async def writes_come_back(
    bridge: Landbridge, sim: SquareSimulator, connection: Connection
) -> None:
    """A customer and a refund are written once, also where an answer was lost."""
    async with working(bridge):
        write = partial(pushed, bridge, connection)
        control = sim.control
        control.fault("status", path="/v2/customers", method="POST", status=503, after=True)
        count = len(control.objects("customer"))
        made = await write(Customer(name="Ada King Lovelace", email="ada@example.com"), "customer")
        customers = control.objects("customer")
        assert len(customers) == count + 1
        assert (customers[made]["given_name"], customers[made]["family_name"]) == (
            "Ada King",
            "Lovelace",
        )

        payments = control.objects("payment")
        payment = next(
            key
            for key, one in payments.items()
            if one["status"] == "COMPLETED" and "refunded_money" not in one
        )
        control.fault("drop", path="/v2/refunds", method="POST", after=True)
        control.fault("status", path="/v2/refunds", method="POST", status=429)
        back = Refund(payment=payment, currency="USD", amount=100, reason="broken")
        refund = await write(back, "refund")
        assert control.objects("payment")[payment]["refunded_money"] == {
            "amount": 100,
            "currency": "USD",
        }

        async def tried() -> list[Any]:
            tries = control.journal(path="/v2/refunds", method="POST")
            return tries if len(tries) == 3 else []

        assert len({one["idempotency_key"] for one in await until(tried)}) == 1
        assert (
            len([one for one in control.objects("refund").values() if one["payment_id"] == payment])
            == 1
        )

        await asyncio.to_thread(control.post, "refunds/settle")

        async def given_back() -> bool:
            status = (await held(bridge, connection, "refund"))[refund].unified["status"]
            return bool(status == "succeeded")

        await until(given_back)

        async def told() -> bool:
            filed = await arrivals.events(bridge.db, environment="test")
            return "payment.refunded" in {one.kind for one in filed if one.key == refund}

        await until(told)

    api = bridge.api(connection)
    same = {"payment_id": payment, "amount_money": {"amount": 1, "currency": "USD"}}
    by_hand = [await api.post("/v2/refunds", json=same, key="ours") for _ in range(2)]
    assert by_hand[0].json() == by_hand[1].json()
    (stored,) = [one async for one in api.records(Customer) if one.id == made]
    changed = await api.update(replace(stored, phone="+13475550100"))
    assert changed.phone == "+13475550100"
    assert control.objects("customer")[made]["version"] == 2


async def an_invoice_goes_its_way(
    bridge: Landbridge, sim: SquareSimulator, connection: Connection
) -> None:
    """A draft is changed and published in one write; then it is called off; another one goes."""
    drafts = [
        key for key, one in sim.control.objects("invoice").items() if one["status"] == "DRAFT"
    ]
    api = bridge.api(connection)

    async def invoice(key: str) -> Invoice:
        (found,) = [one async for one in api.records(Invoice) if one.id == key]
        return found

    draft = await invoice(drafts[0])
    sent = await api.update(replace(draft, description="Thank you", status=InvoiceStatus.OPEN))
    assert (sent.status, sent.description) == (InvoiceStatus.OPEN, "Thank you")
    theirs = sim.control.objects("invoice")[drafts[0]]
    assert (theirs["status"], theirs["description"]) == ("UNPAID", "Thank you")
    void = await api.update(replace(sent, status=InvoiceStatus.VOID))
    assert (void.status, void.amount_remaining) == (InvoiceStatus.VOID, 0)
    await api.delete(await invoice(drafts[1]))
    assert drafts[1] not in sim.control.objects("invoice")
    with pytest.raises(Refused, match="Only drafts can be deleted"):
        await api.delete(void)
    stale = await invoice(drafts[2])
    sim.control.patch(f"objects/invoice/{drafts[2]}", set={"title": "Another"})
    with pytest.raises(Conflict):
        await api.update(replace(stale, description="Late"))
    assert sim.control.objects("invoice")[drafts[2]].get("description") != "Late"


async def what_ends_is_said(
    bridge: Landbridge, sim: SquareSimulator, connection: Connection
) -> None:
    """The seller takes the access back; a disconnection ends it there."""
    sim.control.post("tokens/revoke")
    with pytest.raises(ReconnectRequired):
        await bridge.pull(connection, ["customer"])
    dead = await bridge.connection(connection.id)
    assert dead.state == "needs_reauth"
    found = await consented(bridge, "square", sim.settings, connection=dead)
    (again,) = found.values()
    assert again.id == connection.id
    await bridge.pull(again, ["customer"])
    await bridge.disconnect(again)
    assert all(one["revoked"] for one in sim.control.get("grants")["grants"])
