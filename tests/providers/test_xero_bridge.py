"""Everything with Xero through the bridge, against its simulator: consent, pull, webhook, write."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import httpx2
import msgspec
import pytest

from landbridge import Landbridge
from landbridge.engine.receive import set_app_secrets
from landbridge.errors import ReconnectRequired, Refused
from landbridge.models.accounting import (
    Bill,
    Contact,
    CreditNote,
    Direction,
    DocumentStatus,
    EntryStatus,
    Expense,
    Invoice,
    Item,
    JournalEntry,
    JournalLine,
    LedgerAccount,
    Line,
    Organisation,
    Payment,
    TaxComponent,
    TaxRate,
)
from landbridge.store import apps
from landbridge.store.connections import Connection
from landbridge.testing import xero
from landbridge.testing.pytest_plugin import XeroSimulator
from tests.plain import PLAIN
from tests.providers.through import connected, consented, held, pushed, until, working
from tests.specs.xero import document
from tests.web.serving import serving

WRITES = (
    "Accounts Bills Contacts CreditNotes Invoices Items ManualJournals Payments SpendMoney TaxRates"
).split()


@pytest.fixture
def xero_settings() -> xero.Settings:
    """Enough calls for a hurried test."""
    return xero.Settings(limits=xero.Limits(minute=2_000))


async def test_everything_through_the_bridge(
    database_url: str, xero_simulator: XeroSimulator
) -> None:
    sim = xero_simulator
    async with serving(database_url, None) as (bridge, url):
        found = await connected(bridge, "xero", sim, writes=WRITES)
        assert set(found) == {"Demo Company (NZ)", "Kiwi Coffee"}
        demo, coffee = found["Demo Company (NZ)"], found["Kiwi Coffee"]
        assert demo.access_grant == coffee.access_grant

        totals = await bridge.pull(demo)
        assert (totals["Invoices"].changed, totals["Invoices"].pages >= 2) == (104, True)
        assert (totals["Bills"].changed, totals["SpendMoney"].changed) == (26, 8)
        assert {name: one.parked for name, one in totals.items() if one.parked} == {}
        (organisation,) = (await held(bridge, demo, "Organisation")).values()
        assert organisation.kind == Organisation.kind
        await bridge.pull(coffee, ["Contacts"])
        asked = sim.control.journal(path="/api.xro/2.0/*")
        assert {one["tenant"] for one in asked} == {demo.account, coffee.account}

        # What changes is followed by the header, and an access token that is over is refreshed.
        sim.control.post("tokens/expire")
        sim.control.post("churn", count=25, seed=5, tenant=demo.account)
        before = len(sim.control.journal())
        again = await bridge.pull(demo, ["Contacts", "Invoices", "Payments"])
        assert sum(one.changed for one in again.values()) > 0
        assert sim.control.get("grants")["exchanges"] == 2
        listed = sim.control.journal(after=before, path="/api.xro/2.0/Invoices")
        assert all(one["since"] for one in listed if one["status"] == 200)
        for kind in ("Contacts", "Payments"):
            mine = await held(bridge, demo, kind)
            theirs = sim.control.objects(kind, tenant=demo.account)
            live = {key for key, one in theirs.items() if one.get("Status") != "DELETED"}
            assert set(mine) == live, kind
        for kind, word in (("Invoices", "ACCREC"), ("Bills", "ACCPAY")):
            mine = await held(bridge, demo, kind)
            theirs = sim.control.objects("Invoices", tenant=demo.account)
            assert set(mine) == {key for key, one in theirs.items() if one["Type"] == word}, kind

        await webhooks_are_told(bridge, sim, demo, coffee, url)
        await writes_come_back(bridge, sim, demo)
        await purchases_come_back(bridge, sim, coffee)
        await a_dead_grant_is_connected_again(bridge, sim, demo)


async def webhooks_are_told(
    bridge: Landbridge, sim: XeroSimulator, demo: Connection, coffee: Connection, url: str
) -> None:
    """An event leads to its record, of its organisation; the intent to receive is answered."""
    app = await apps.ensure(bridge.db, environment="test", provider="xero")
    await set_app_secrets(bridge.db, bridge.vault, app, ["the-signing-key"])
    address = f"{url}/in/{app.token}"
    told = await asyncio.to_thread(
        sim.control.post, "webhooks/register", url=address, key="the-signing-key"
    )
    assert told["active"], told
    async with working(bridge):
        key = next(iter(sim.control.objects("Contacts", tenant=coffee.account)))
        name = {"set": {"FirstName": "Told by a webhook"}}
        async with httpx2.AsyncClient(base_url=sim.url, trust_env=False, verify=PLAIN) as http:
            path = f"/_sim/objects/Contacts/{key}?tenant={coffee.account}"
            assert (await http.patch(path, json=name)).status_code == 200

        async def seen() -> bool:
            unified = (await held(bridge, coffee, "Contacts"))[key].unified
            return "Told by a webhook" in str(unified)

        await until(seen)
        assert key not in await held(bridge, demo, "Contacts")
        # An event of an invoice that is a bill is read once, and is no invoice here.
        await bridge.pull(coffee, ["Invoices", "Bills"])
        invoices = set(await held(bridge, coffee, "Invoices"))
        bill = next(iter(await held(bridge, coffee, "Bills")))
        before = len(sim.control.journal())
        async with httpx2.AsyncClient(base_url=sim.url, trust_env=False) as http:
            path = f"/_sim/objects/Invoices/{bill}?tenant={coffee.account}"
            number = {"set": {"InvoiceNumber": "Told too"}}
            assert (await http.patch(path, json=number)).status_code == 200

        async def numbered() -> bool:
            return "Told too" in str((await held(bridge, coffee, "Bills"))[bill].unified)

        await until(numbered)
        assert set(await held(bridge, coffee, "Invoices")) == invoices
        read = sim.control.journal(after=before, path=f"/api.xro/2.0/Invoices/{bill}")
        assert len(read) == 1
        sent = [one for one in sim.control.journal() if one["kind"] == "webhook"]
        assert {one["status"] for one in sent if one["what"] == "event"} == {200}
        body = sent[-1]["body"].encode()
        assert document.xero().wrong_object("WebhookEvent", body) == []


async def writes_come_back(bridge: Landbridge, sim: XeroSimulator, demo: Connection) -> None:
    """A contact, an invoice to it, and its payment are written once and read back."""
    async with working(bridge):
        write = partial(pushed, bridge, demo)
        contact = await write(Contact(name="Written by us", email="us@example.com"), "Contacts")
        line = Line(
            description="Advice",
            quantity=Decimal(2),
            unit_price=Decimal("99.9950"),
            account="200",
            tax="OUTPUT2",
        )
        document_of_ours = Invoice(
            contact=contact,
            direction=Direction.SALE,
            status=DocumentStatus.OPEN,
            currency="NZD",
            issued_on=date(2026, 11, 22),
            due_on=date(2026, 12, 22),
            lines=(line,),
        )
        invoice = await write(document_of_ours, "Invoices")
        theirs = sim.control.objects("Invoices", tenant=demo.account)[invoice]
        assert (theirs["Status"], theirs["Total"]) == ("AUTHORISED", 229.99)
        bank = next(
            one
            for one in sim.control.objects("Accounts", tenant=demo.account).values()
            if one["Type"] == "BANK"
        )
        paid = Payment(
            invoice=invoice,
            account=bank["AccountID"],
            currency="NZD",
            amount=22_999,
            paid_on=date(2026, 11, 23),
        )
        await write(paid, "Payments")
        assert sim.control.objects("Invoices", tenant=demo.account)[invoice]["Status"] == "PAID"

        async def settled() -> bool:
            unified = (await held(bridge, demo, "Invoices"))[invoice].unified
            return "paid" in str(unified)

        await until(settled)  # told by the invoice's own webhook
        item = Item(code="LB-1", name="Advice", sale_price=Decimal("99.995"), sale_account="200")
        made = await write(item, "Items")
        assert (
            sim.control.objects("Items", tenant=demo.account)[made]["SalesDetails"]["UnitPrice"]
            == 99.995
        )
        account = LedgerAccount(code="LB1", name="Made by us", type="EXPENSE")
        made = await write(account, "Accounts")
        assert sim.control.objects("Accounts", tenant=demo.account)[made]["Class"] == "EXPENSE"
        credit = CreditNote(
            contact=contact,
            status=DocumentStatus.OPEN,
            currency="NZD",
            issued_on=date(2026, 11, 22),
            lines=(msgspec.structs.replace(line, unit_price=Decimal("50.00")),),
        )
        made = await write(credit, "CreditNotes")
        assert (
            sim.control.objects("CreditNotes", tenant=demo.account)[made]["RemainingCredit"]
            == 115.0
        )
        sides = tuple(
            JournalLine(account=code, amount=amount)
            for code, amount in (("LB1", 1050), ("200", -1050))
        )
        entry = JournalEntry(
            narration="Accrual",
            status=EntryStatus.POSTED,
            posted_on=date(2026, 11, 30),
            lines=sides,
        )
        made = await write(entry, "ManualJournals")
        assert (
            sim.control.objects("ManualJournals", tenant=demo.account)[made]["Status"] == "POSTED"
        )
        rate = TaxRate(name="VAT 7", components=(TaxComponent(name="VAT", percentage=Decimal(7)),))
        made = await write(rate, "TaxRates")
        assert sim.control.objects("TaxRates", tenant=demo.account)[made]["EffectiveRate"] == 7
        written = [
            one for one in sim.control.journal(method="PUT") if one["tenant"] == demo.account
        ]
        assert [one["status"] for one in written] == [200] * 8
        assert all(one["idempotency_key"] for one in written)


async def purchases_come_back(bridge: Landbridge, sim: XeroSimulator, to: Connection) -> None:
    """A bill with its payment, and an expense that is taken back."""

    def theirs(kind: str) -> dict[str, dict[str, Any]]:
        return sim.control.objects(kind, tenant=to.account)

    await bridge.pull(to, ["TaxRates", "Organisation"])
    contact = next(iter(theirs("Contacts")))
    bank = next(key for key, one in theirs("Accounts").items() if one["Type"] == "BANK")
    line = Line(description="Paper", unit_price=Decimal("20.00"), account="400", tax="INPUT2")
    demanded = Bill(
        contact=contact,
        number="B-77",
        status=DocumentStatus.OPEN,
        currency="NZD",
        issued_on=date(2026, 11, 22),
        due_on=date(2026, 12, 22),
        lines=(line,),
        total=2300,
    )
    with pytest.raises(Refused, match=r"the document says 24\.00 NZD, Xero would post 23\.00"):
        await bridge.api(to).create(msgspec.structs.replace(demanded, total=2400))
    purchase = Invoice(
        contact=contact,
        direction=Direction.PURCHASE,
        status=DocumentStatus.OPEN,
        currency="NZD",
        issued_on=date(2026, 11, 22),
    )
    with pytest.raises(Refused, match="no word for 'purchase' at Type"):
        await bridge.api(to).create(purchase)
    async with working(bridge):
        write = partial(pushed, bridge, to)
        bill = await write(demanded, "Bills")
        there = theirs("Invoices")[bill]
        assert (there["Type"], there["InvoiceNumber"], there["Total"]) == ("ACCPAY", "B-77", 23)
        paid = Payment(
            bill=bill, account=bank, currency="NZD", amount=2300, paid_on=date(2026, 11, 23)
        )
        made = await write(paid, "Payments")
        unified = (await held(bridge, to, "Payments"))[made].unified
        assert (unified["bill"], unified.get("invoice")) == (bill, None)
        spent = Expense(
            contact=contact,
            account=bank,
            currency="NZD",
            spent_on=date(2026, 11, 24),
            reference="Receipt 9",
            lines=(line,),
        )
        expense = await write(spent, "SpendMoney")
        there = theirs("BankTransactions")[expense]
        assert [there[name] for name in ("Type", "Total", "Status")] == ["SPEND", 23, "AUTHORISED"]
    await bridge.api(to).delete(msgspec.structs.replace(spent, id=expense))
    assert theirs("BankTransactions")[expense]["Status"] == "DELETED"


async def a_dead_grant_is_connected_again(
    bridge: Landbridge, sim: XeroSimulator, demo: Connection
) -> None:
    """The person takes the access back: the connection says so, and goes on after a reconnect."""
    for grant in sim.simulator.identity.grants:
        grant.dead = True
    with pytest.raises(ReconnectRequired):
        await bridge.pull(demo, ["Contacts"])
    dead = await bridge.connection(demo.id)
    assert dead.state == "needs_reauth"
    sim.control.post("churn", count=5, seed=9, tenant=demo.account)
    found = await consented(bridge, "xero", sim.settings, connection=dead)
    assert found["Demo Company (NZ)"].id == demo.id
    before = len(sim.control.journal())
    await bridge.pull(await bridge.connection(demo.id), ["Contacts", "Invoices"])
    listed = sim.control.journal(after=before, path="/api.xro/2.0/Invoices")
    assert listed
    assert all(one["since"] for one in listed)  # its cursor was kept
    mine, theirs = (
        await held(bridge, demo, "Contacts"),
        sim.control.objects("Contacts", tenant=demo.account),
    )
    assert set(mine) == set(theirs)
    assert msgspec.json.encode(sorted(mine)) == msgspec.json.encode(sorted(theirs))
