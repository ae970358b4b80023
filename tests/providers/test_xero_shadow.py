"""A shadow of Xero: nothing is written there, and the answers are ones that Xero could give."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from landbridge import Landbridge
from landbridge.engine.made_up import wrapped
from landbridge.models.accounting import (
    Contact,
    Direction,
    DocumentStatus,
    Invoice,
    Line,
    Payment,
    PaymentStatus,
)
from landbridge.providers import get
from landbridge.store import shadow_calls
from landbridge.testing.pytest_plugin import XeroSimulator
from tests.engine.shading import Counted, Shop
from tests.providers.records import XERO_SCHEMAS
from tests.providers.test_xero_bridge import WRITES, xero_settings
from tests.providers.through import connected
from tests.specs.xero import document
from tests.web.serving import serving

__all__ = ["xero_settings"]


@pytest.mark.parametrize("name", WRITES)
def test_a_blank_is_what_xero_could_answer(name: str) -> None:
    resource = get("xero").resource(name)
    assert resource.blank
    assert (
        document.xero().wrong_object(XERO_SCHEMAS[name], msgspec.json.encode(resource.blank)) == []
    )
    assert document.xero().wrong_object(resource.records, wrapped(resource, resource.blank)) == []


async def test_writes_to_xero_are_answered_and_sent_later(
    database_url: str, xero_simulator: XeroSimulator
) -> None:
    sim = xero_simulator
    async with serving(database_url, None) as (bridge, _):
        demo = (await connected(bridge, "xero", sim, writes=WRITES))["Demo Company (NZ)"]
        shop = Shop(bridge=bridge, connection=demo, door=Counted(sim.simulator.app))
        shadow = await bridge.shadow(demo)
        written = _written(sim)
        contact, _ = await shop.push(Contact(name="Shadowed Ltd", email="a@shadowed.example"))
        assert contact.state == "shadowed", contact.reason
        line = Line(
            description="Advice",
            quantity=Decimal(2),
            unit_price=Decimal("99.9950"),
            account="200",
            tax="OUTPUT2",
        )
        made = Invoice(
            contact=contact.key or "",
            direction=Direction.SALE,
            status=DocumentStatus.OPEN,
            currency="NZD",
            issued_on=date(2026, 11, 22),
            due_on=date(2026, 12, 22),
            lines=(line,),
        )
        invoice, _ = await shop.push(made)
        assert invoice.state == "shadowed", invoice.reason
        seen = await shop.call("GET", f"/Invoices/{invoice.key}")
        assert document.xero().misanswered("GET", "/Invoices/{InvoiceID}", 200, seen.body) == []
        assert seen.json()["Invoices"][0]["Contact"]["ContactID"] == contact.key
        bank = next(
            key
            for key, one in sim.control.objects("Accounts", tenant=demo.account).items()
            if one["Type"] == "BANK"
        )
        paid = Payment(
            invoice=invoice.key or "",
            account=bank,
            status=PaymentStatus.ACTIVE,
            currency="NZD",
            amount=10000,
            paid_on=date(2026, 11, 23),
        )
        payment, _ = await shop.push(paid)
        assert payment.state == "shadowed", payment.reason
        seen = await shop.call("GET", f"/Payments/{payment.key}")
        assert document.xero().misanswered("GET", "/Payments/{PaymentID}", 200, seen.body) == []
        assert _written(sim) == written

        kept = await shadow_calls.page(bridge.db, environment="test", shadow=shadow.id)
        assert [each.resource for each in kept] == ["Contacts", "Invoices", "Payments"]
        await _sent(bridge, sim, shadow.id, demo.account)


async def _sent(bridge: Landbridge, sim: XeroSimulator, shadow: str, tenant: str) -> None:
    await bridge.shadows.promote(shadow)
    replayed = await bridge.shadows.replay(shadow)
    assert (replayed.sent, replayed.refused, replayed.unknown) == (3, 0, 0)
    (theirs,) = (
        one
        for one in sim.control.objects("Contacts", tenant=tenant).values()
        if one["Name"] == "Shadowed Ltd"
    )
    (bill,) = (
        one
        for one in sim.control.objects("Invoices", tenant=tenant).values()
        if one["Contact"]["ContactID"] == theirs["ContactID"]
    )
    assert (bill["Total"], bill["AmountPaid"]) == (229.99, 100)
    told = {each.resource: each.real for each in await bridge.shadows.real_ids(shadow)}
    assert told["Contacts"] == theirs["ContactID"]
    assert told["Invoices"] == bill["InvoiceID"]
    assert told["Payments"] in sim.control.objects("Payments", tenant=tenant)


def _written(sim: XeroSimulator) -> int:
    calls = sim.control.journal(path="/api.xro/2.0/*")
    return sum(one["method"] != "GET" for one in calls)
