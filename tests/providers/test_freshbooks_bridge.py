"""FreshBooks through the bridge, against its simulator: consent, pull, deletions, writes."""

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
from landbridge.engine.codes import theirs
from landbridge.errors import ReconnectRequired
from landbridge.models.accounting import (
    Bill,
    Contact,
    CreditNote,
    DocumentStatus,
    Expense,
    Invoice,
    Item,
    Line,
    Payment,
    TaxRate,
)
from landbridge.providers.freshbooks import freshbooks as page
from landbridge.store.connections import Connection
from landbridge.testing import freshbooks
from landbridge.testing.freshbooks.webhooks import sign
from landbridge.testing.pytest_plugin import FreshBooksSimulator
from tests.plain import PLAIN
from tests.providers.through import connected, held, pushed, until, working
from tests.web.serving import serving

WRITES = "client invoice payment expense item tax credit_note bill bill_vendor bill_payment".split()
LISTS = {"client": "clients", "invoice": "invoices", "payment": "payments", "expense": "expenses"}


@pytest.fixture
def freshbooks_settings() -> freshbooks.Settings:
    """More invoices than a page holds."""
    return freshbooks.Settings(amounts=freshbooks.Amounts(invoices=103, payments=9, clients=7))


def remote(sim: FreshBooksSimulator, resource: str, account: str) -> dict[str, Any]:
    """What is not deleted there, by its id."""
    kind = {"tax": "taxes"}.get(resource, f"{resource}s")
    found = sim.control.objects(kind, account=account)
    return {key: one for key, one in found.items() if one.get("vis_state") != 1}


async def test_everything_through_the_bridge(
    database_url: str, freshbooks_simulator: FreshBooksSimulator
) -> None:
    sim = freshbooks_simulator
    async with serving(database_url, None) as (bridge, url):
        found = await connected(bridge, "freshbooks", sim, writes=WRITES)
        assert set(found) == {"Commonwealth of Independent Systems", "Bayern Corporation"}
        books = found["Commonwealth of Independent Systems"]
        assert books.account in sim.simulator.books

        archived = next(iter(remote(sim, "client", books.account)))
        await patched(sim, "clients", archived, books, vis_state=2)
        totals = await bridge.pull(books)
        assert {name: one.parked for name, one in totals.items() if one.parked} == {}
        assert totals["invoice"].changed == 103
        for resource in LISTS:
            mine = await held(bridge, books, resource)
            assert set(mine) == set(remote(sim, resource, books.account)), resource
        assert "false" in str((await held(bridge, books, "client"))[archived].unified).lower()

        taxes = await theirs(bridge.db, page, books, "tax_rates")
        assert [one.code for one in taxes] == ["HST 13", "GST 5", "PST 7"]
        rent = await theirs(bridge.db, page, books, "accounts")
        assert "Rent" in [one.name for one in rent]

        # What changes is asked for by the day; an access token that is over is refreshed.
        sim.control.post("tokens/expire")
        sim.control.post("churn", count=25, seed=5, account=books.account)
        gone = next(iter(remote(sim, "payment", books.account)))
        await patched(sim, "payments", gone, books, vis_state=1)
        before = len(sim.control.journal())
        again = await bridge.pull(books, [*LISTS, "item"])
        assert sum(one.changed for one in again.values()) > 0
        assert sim.control.get("grants")["exchanges"] == 2
        listed = sim.control.journal(after=before, path="*/invoices/invoices")
        assert all("updated_min" in one["query"] for one in listed if one["status"] == 200)
        # The list of items refuses to be asked so, and is read whole.
        items = sim.control.journal(after=before, path="*/items/items")
        assert [one["status"] for one in items] == [422, 200]
        for resource in LISTS:
            mine = await held(bridge, books, resource)
            assert set(mine) == set(remote(sim, resource, books.account)), resource
        assert gone not in await held(bridge, books, "payment")

        await webhooks_are_told(bridge, sim, books, url)
        await writes_have_one_effect(bridge, sim, books)
        await what_is_bought_is_written(bridge, sim, books)
        for grant in sim.simulator.identity.grants:
            grant.dead = True
        with pytest.raises(ReconnectRequired):
            await bridge.pull(books, ["client"])


async def patched(
    sim: FreshBooksSimulator, kind: str, key: str, books: Connection, **fields: Any
) -> None:
    """A change by the other side."""
    async with httpx2.AsyncClient(base_url=sim.url, trust_env=False, verify=PLAIN) as http:
        path = f"/_sim/objects/{kind}/{key}?account={books.account}"
        assert (await http.patch(path, json={"set": fields})).status_code == 200


async def webhooks_are_told(
    bridge: Landbridge, sim: FreshBooksSimulator, books: Connection, url: str
) -> None:
    """FreshBooks is told of every event, its codes are sent back, and then sign what it posts."""
    address = await bridge.intake_url(books)
    assert address.startswith(url)
    async with working(bridge):
        made = await bridge.subscribe(books)
        assert {one.event for one in made} >= {"invoice.create", "client.update", "bill.delete"}
        assert {one.state for one in made} == {"made"}

        async def verified() -> bool:
            told = (await asyncio.to_thread(sim.control.get, "webhooks"))["callbacks"]
            return len(told) == len(made) and all(one["verified"] for one in told)

        await until(verified)
        assert {one.state for one in await bridge.subscribe(books)} == {"there"}
        key = next(iter(remote(sim, "client", books.account)))

        async def told() -> bool:
            await patched(sim, "clients", key, books, fname="Told by a webhook")
            await asyncio.sleep(0.2)
            return "Told by a webhook" in str((await held(bridge, books, "client"))[key].unified)

        await until(told)
        await patched(sim, "clients", key, books, vis_state=1)

        async def gone() -> bool:
            return key not in await held(bridge, books, "client")

        await until(gone)
        sent = [one for one in sim.control.journal() if one["kind"] == "webhook"]
        assert sent[-1]["status"] == 200
        # A code that is not FreshBooks's is sent back, refused, and signs nothing.
        forged = {"name": "callback.verify", "object_id": str(7000), "verifier": "mine"}
        async with httpx2.AsyncClient(trust_env=False, verify=PLAIN) as http:
            assert (await http.post(address, data=forged)).status_code == 200

            async def refused() -> bool:
                asked = await asyncio.to_thread(sim.control.journal, path="*/callbacks/7000")
                return any(one["status"] == 422 for one in asked)

            await until(refused)
            fields = {"name": "client.update", "object_id": key}
            head = {"X-FreshBooks-Hmac-SHA256": sign(fields, "mine")}
            assert (await http.post(address, data=fields, headers=head)).status_code == 400
            nobody = address.rpartition("/")[0]
            assert (await http.post(nobody, data=forged)).status_code == 400
            broken = {"object_id": "7000", "verifier": "two words"}
            assert (await http.post(address, data=broken)).status_code == 400


async def writes_have_one_effect(
    bridge: Landbridge, sim: FreshBooksSimulator, books: Connection
) -> None:
    """A client, an invoice to it and its payment are written once, whatever becomes of answers."""
    async with working(bridge):
        write = partial(pushed, bridge, books)
        contact = await write(Contact(name="Written by us", email="us@example.com"), "client")
        noted = remote(sim, "client", books.account)[contact]["note"]
        assert noted.startswith("int_")
        line = Line(item="Advice", quantity=Decimal(2), unit_price=Decimal("99.995"), tax="HST 13")
        ours = Invoice(
            contact=contact,
            status=DocumentStatus.OPEN,
            number="LB-1",
            currency="CAD",
            issued_on=date(2026, 11, 22),
            due_on=date(2026, 12, 22),
            lines=(line,),
        )
        # It is made, and nobody says so: the marker finds it before it is sent again.
        sim.control.fault(
            "status", status=503, path="*/invoices/invoices", method="POST", after=True
        )
        count = len(remote(sim, "invoice", books.account))
        invoice = await write(ours, "invoice")
        assert len(remote(sim, "invoice", books.account)) == count + 1
        theirs = remote(sim, "invoice", books.account)[invoice]
        assert (theirs["amount"]["amount"], theirs["due_date"]) == ("225.99", "2026-12-22")
        assert theirs["v3_status"] == "sent"
        posted = sim.control.journal(method="POST", path="*/invoices/invoices")
        assert [one["status"] for one in posted] == [503]
        paid = Payment(invoice=invoice, currency="CAD", amount=22_599, paid_on=date(2026, 11, 23))
        await write(paid, "payment")
        assert remote(sim, "invoice", books.account)[invoice]["v3_status"] == "paid"


async def what_is_bought_is_written(
    bridge: Landbridge, sim: FreshBooksSimulator, books: Connection
) -> None:
    """A vendor's bill with its payment, an expense, an item, a tax and a credit note."""

    def there(resource: str, key: str) -> dict[str, Any]:
        found: dict[str, Any] = remote(sim, resource, books.account)[key]
        return found

    category = next(iter(sim.control.objects("categories", account=books.account)))
    client = next(iter(remote(sim, "client", books.account)))
    async with working(bridge):
        write = partial(pushed, bridge, books)
        vendor = await write(Contact(name="Paper & Sons", is_supplier=True), "bill_vendor")
        assert there("bill_vendor", vendor)["note"].startswith("int_")
        line = Line(
            description="Paper",
            quantity=Decimal(2),
            unit_price=Decimal("20.00"),
            account=category,
            tax="HST 13",
        )
        demanded = Bill(
            contact=vendor,
            number="B-77",
            status=DocumentStatus.OPEN,
            currency="CAD",
            issued_on=date(2026, 11, 22),
            due_on=date(2026, 12, 22),
            lines=(line,),
        )
        bill = await write(demanded, "bill")
        assert there("bill", bill)["total_amount"] == {"amount": "45.20", "code": "CAD"}
        paid = Payment(bill=bill, currency="CAD", amount=4520, paid_on=date(2026, 11, 23))
        await write(paid, "bill_payment")
        assert there("bill", bill)["status"] == "paid"

        # It is made, and nobody says so: the marker finds it before it is sent again.
        sim.control.fault("status", status=503, path="*/expenses", method="POST", after=True)
        spent = Expense(
            currency="CAD",
            spent_on=date(2026, 11, 24),
            reference="Staples",
            lines=(Line(amount=1130, account=category, tax="HST 13"),),
        )
        count = len(remote(sim, "expense", books.account))
        expense = await write(spent, "expense")
        assert len(remote(sim, "expense", books.account)) == count + 1
        made = there("expense", expense)
        assert (made["taxAmount1"]["amount"], made["vendor"]) == ("1.30", "Staples")

        item = await write(Item(code="Advice", sale_price=Decimal("99.995")), "item")
        assert there("item", item)["unit_cost"] == {"amount": "99.995", "code": "CAD"}
        tax = await write(TaxRate(name="QST", percentage=Decimal("9.975")), "tax")
        assert there("tax", tax)["amount"] == "9.975"
        returned = Line(
            item="Advice", quantity=Decimal(1), unit_price=Decimal("100.00"), tax="QST 9.975"
        )
        note = await write(
            CreditNote(
                contact=client,
                status=DocumentStatus.OPEN,
                currency="CAD",
                issued_on=date(2026, 11, 25),
                lines=(returned,),
            ),
            "credit_note",
        )
        assert there("credit_note", note)["amount"] == {"amount": "109.98", "code": "CAD"}
    api = bridge.api(books)
    await api.delete(msgspec.structs.replace(demanded, id=bill))
    assert bill not in remote(sim, "bill", books.account)
    await api.delete(TaxRate(name="QST", id=tax))
    assert tax not in remote(sim, "tax", books.account)
