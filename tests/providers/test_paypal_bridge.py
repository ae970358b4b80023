"""Everything with PayPal through the bridge, against its simulator: pull, webhook, write."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import pytest
from msgspec.structs import replace as changed

from landbridge import Landbridge, ids
from landbridge.errors import OutcomeUnknown, ReconnectRequired, Refused
from landbridge.models import read_json
from landbridge.models.payments import (
    Dispute,
    DisputeStatus,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Payment,
    Product,
    Refund,
    Subscription,
    SubscriptionStatus,
)
from landbridge.store.connections import Connection
from landbridge.testing.paypal.webhooks import CERTS
from landbridge.testing.pytest_plugin import PayPalSimulator
from tests.plain import PLAIN
from tests.providers.through import another, held, working
from tests.specs.paypal import document
from tests.web.serving import serving

LINE = InvoiceLine(description="Advice", amount=0, quantity=Decimal(2), unit_price=Decimal("99.95"))
DRAFT = Invoice(
    customer="ada@example.com",
    status=InvoiceStatus.DRAFT,
    currency="USD",
    issued_on=date(2026, 1, 2),
    lines=(LINE,),
)


async def connected(bridge: Landbridge, sim: PayPalSimulator, **more: Any) -> Connection:
    made = await bridge.connect(
        "paypal",
        tenant="acme",
        credentials={"client_id": sim.client_id, "client_secret": sim.client_secret},
        settings=sim.settings,
        every=None,
        **more,
    )
    return made.connection


def remote(sim: PayPalSimulator, kind: str) -> dict[str, Any]:
    found = sim.control.get(f"objects/{kind}")["objects"]
    return {one["dispute_id" if kind == "dispute" else "id"]: one for one in found}


def misspoken(sim: PayPalSimulator) -> list[str]:
    """What PayPal's document says against our requests, and the simulator's answers and events."""
    wrong: list[str] = []
    told = document.paypal()
    for one in sim.control.journal():
        if one["kind"] == "webhook":
            wrong += told.wrong_object("notifications_webhooks.event", one["body"].encode())
        elif not one["path"].startswith(("/v1/oauth2", CERTS)):
            place, asked = (one["method"], one["path"]), dict(parse_qsl(one["query"]))
            keyed = {"PayPal-Request-Id": one["idempotency_key"] or ""}
            wrong += told.refused(*place, asked, keyed, one["body"].encode())
            answer = (one["answer"] or "").encode()
            if one["status"] is not None and one["status"] >= 400:
                wrong += told.wrong_object("notifications_webhooks.error", answer)
            elif one["status"] is not None and not one["fault"]:
                wrong += told.misanswered(*place, one["status"], answer)
    return wrong


async def test_everything_through_the_bridge(
    database_url: str, paypal_simulator: PayPalSimulator
) -> None:
    sim = paypal_simulator
    async with serving(database_url, None) as (bridge, _):
        wrong = {"client_id": sim.client_id, "client_secret": "another"}
        with pytest.raises(ReconnectRequired, match="does not accept these credentials"):
            await bridge.connect(
                "paypal", tenant="acme", credentials=wrong, settings=sim.settings, every=None
            )
        connection = await connected(bridge, sim)
        assert connection.account == sim.client_id

        totals = await bridge.pull(connection)
        assert set(totals) == {"invoice", "product", "plan", "dispute", "transaction"}
        assert {name: one.parked for name, one in totals.items() if one.parked} == {}
        moves = await held(bridge, connection, "transaction")
        assert len(moves) == len(sim.simulator.account.report) > 60
        assert len({key.partition(".")[0] for key in moves}) < len(moves)
        for kind in set(totals) - {"transaction"}:
            assert set(await held(bridge, connection, kind)) == set(remote(sim, kind)), kind
        assert totals["product"].pages >= 2

        dispute = next(iter((await held(bridge, connection, "dispute")).values()))
        assert read_json(Dispute, dispute.unified).payment in remote(sim, "capture")
        path = f"disputes/{dispute.key}/resolve"
        await asyncio.to_thread(sim.control.post, path, outcome="ACCEPTED")
        await bridge.pull(connection, ["dispute"])
        dispute = (await held(bridge, connection, "dispute"))[dispute.key]
        assert read_json(Dispute, dispute.unified).status is DisputeStatus.LOST

        # Without a change there is none; then paid, canceled and deleted ones are seen.
        again = await bridge.pull(connection)
        assert sum(one.changed for one in again.values()) == 0
        sim.control.post("tokens/expire")
        sim.control.post("churn", count=30, seed=4)
        await bridge.pull(connection, ["transaction"])
        moves = await held(bridge, connection, "transaction")
        assert len(moves) == len(sim.simulator.account.report)
        draft = next(key for key, one in remote(sim, "invoice").items() if one["status"] == "DRAFT")
        del sim.simulator.account.kept["invoice"][draft]
        await bridge.pull(connection, ["invoice"])
        mine, theirs = await held(bridge, connection, "invoice"), remote(sim, "invoice")
        assert set(mine) == set(theirs)
        paid = next(key for key, one in theirs.items() if one["status"] == "PAID")
        invoice = read_json(Invoice, mine[paid].unified)
        assert invoice.status is InvoiceStatus.PAID
        assert (invoice.amount_remaining, invoice.amount_paid) == (0, invoice.total)
        await writes_have_one_effect(bridge, sim, connection)
    assert misspoken(sim) == []


async def writes_have_one_effect(
    bridge: Landbridge, sim: PayPalSimulator, connection: Connection
) -> None:
    api = bridge.api(connection)
    # The answers of the first tries are lost, after the commit: with a key, and without one.
    sim.control.fault("status", status=503, path="/v1/catalogs/products", method="POST", after=True)
    known = len(remote(sim, "product"))
    product = await api.create(Product(name="Once", description="Only"))
    assert len(remote(sim, "product")) == known + 1
    renamed = await api.update(changed(product, description=None))
    assert renamed.description is None
    assert "description" not in remote(sim, "product")[str(product.id)]

    drafts = len(remote(sim, "invoice"))
    invoice = await api.create(changed(DRAFT, number="A-1"))
    assert (invoice.status, invoice.total) == (InvoiceStatus.DRAFT, 19_990)
    with pytest.raises(Refused, match="already exists") as caught:
        await api.create(changed(DRAFT, number="A-1"))
    assert "/detail/invoice_number" in caught.value.problems
    line = changed(invoice.lines[0], quantity=Decimal(3))
    more = await api.update(changed(invoice, lines=(line,)))
    assert more.total == 29_985
    sent = await api.update(changed(more, status=InvoiceStatus.OPEN))
    assert (sent.status, sent.finalized_at is None) == (InvoiceStatus.OPEN, False)
    void = await api.update(changed(sent, status=InvoiceStatus.VOID))
    assert remote(sim, "invoice")[str(void.id)]["status"] == "CANCELLED"
    at_once = await api.create(changed(DRAFT, status=InvoiceStatus.OPEN))
    assert remote(sim, "invoice")[str(at_once.id)]["status"] == "SENT"
    assert len(remote(sim, "invoice")) == drafts + 2
    # Invoices take no key: one whose answer was lost is found by the intent's mark.
    sim.control.fault("drop", path="/v2/invoicing/invoices", method="POST", after=True)
    intent = ids.new("int")
    with pytest.raises(OutcomeUnknown):
        await api.create(DRAFT, intent=intent)
    found = await api.create(DRAFT, intent=intent)
    assert remote(sim, "invoice")[str(found.id)]["detail"]["memo"] == intent
    assert len(remote(sim, "invoice")) == drafts + 3

    capture = (await asyncio.to_thread(sim.control.post, "objects/capture", amount="30.00"))["id"]
    sim.control.fault("drop", path=f"/v2/payments/captures/{capture}/refund", after=True)
    given = await api.create(Refund(payment=capture, currency="USD", amount=1_000))
    assert given.payment == capture
    theirs = [one for one in remote(sim, "refund").values() if one["id"] == given.id]
    assert theirs[0]["amount"] == {"currency_code": "USD", "value": "10.00"}
    assert remote(sim, "capture")[capture]["status"] == "PARTIALLY_REFUNDED"
    tries = sim.control.journal(path=f"/v2/payments/captures/{capture}/refund")
    assert len({one["idempotency_key"] for one in tries}) == 1 < len(tries)
    with pytest.raises(Refused, match="less than or equal"):
        await api.create(Refund(payment=capture, currency="USD", amount=9_000))


async def test_webhooks_are_verified_and_lead_to_their_records(
    database_url: str, paypal_simulator: PayPalSimulator
) -> None:
    """By the certificate that they name; records are read by themselves, also unlisted ones."""
    sim = paypal_simulator
    async with serving(database_url, None) as (bridge, _):
        connection = await connected(bridge, sim)
        address = await bridge.intake_url(connection)
        hook = await asyncio.to_thread(sim.control.post, "webhooks/register", url=address)
        await bridge.set_webhook_secrets(connection, [hook["id"]])
        async with working(bridge):

            async def told(path: str, resource: str, **asked: Any) -> Any:
                known = await held(bridge, connection, resource)
                await asyncio.to_thread(sim.control.post, path, **asked)
                key = await another(bridge, connection, resource, known)
                return (await held(bridge, connection, resource))[key]

            captured = await told("objects/capture", "capture", amount="12.00", currency="JPY")
            assert read_json(Payment, captured.unified).amount == 12
            refunded = await told(f"captures/{captured.key}/refund", "refund")
            assert read_json(Refund, refunded.unified).payment == captured.key
            invoice = await told("objects/invoice", "invoice", **_asked())
            assert read_json(Invoice, invoice.unified).lines[0].amount == 500
            disputed = await told("objects/dispute", "dispute", capture=captured.key)
            assert read_json(Dispute, disputed.unified).payment == captured.key
            paid = await told("objects/payout", "payout")
            assert b"SUCCESS" in bytes(paid.raw)
            subscribed = await told("objects/subscription", "subscription")
            subscription = read_json(Subscription, subscribed.unified)
            assert subscription.status is SubscriptionStatus.ACTIVE
            ended = changed(subscription, status=SubscriptionStatus.CANCELED)
            after = await bridge.api(connection).update(ended)
            assert after.status is SubscriptionStatus.CANCELED
            sent = [one for one in sim.control.journal() if one["kind"] == "webhook"]
            assert {one["status"] for one in sent} == {200}
            assert len(sim.control.journal(path="/v1/notifications/certs/*")) == 1
            await forged_ones_are_refused(sim, hook["id"], address)
    assert misspoken(sim) == []


def _asked() -> dict[str, Any]:
    unit = {"currency_code": "EUR", "value": "2.50"}
    item = {"name": "Tea", "quantity": "2", "unit_amount": unit}
    return {"detail": {"currency_code": "EUR"}, "items": [item]}


async def forged_ones_are_refused(sim: PayPalSimulator, hook: str, address: str) -> None:
    body = b'{"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "C"}}'
    signed = sim.simulator.dispatcher.headers(hook, body)
    other = sim.simulator.dispatcher.headers("ANOTHER-HOOK", body)
    elsewhere = {**signed, "PAYPAL-CERT-URL": "https://evil.example/v1/notifications/certs/C"}
    beside = {**signed, "PAYPAL-CERT-URL": "http://127.0.0.1:9/v1/notifications/certs/C"}
    async with httpx2.AsyncClient(trust_env=False, verify=PLAIN) as http:
        for headers, sent, status in (
            (signed, body + b" ", 400),
            (other, body, 400),
            (elsewhere, body, 400),
            (beside, body, 400),
            (signed, body, 200),
        ):
            answer = await http.post(address, content=sent, headers=headers)
            assert answer.status_code == status
