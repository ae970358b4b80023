"""Documents of which a code has no line: held with the code named, sent once when it has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from landbridge import Code, Landbridge
from landbridge.engine.replay import discard
from landbridge.errors import NotFound, UnmappedCode
from landbridge.models.accounting import Direction, DocumentStatus, Invoice, Line
from landbridge.store import intents, parked
from landbridge.store.connections import Connection
from landbridge.store.database import Tx
from landbridge.store.intents import Intent
from landbridge.store.parked import Parked
from landbridge.testing import xero
from landbridge.testing.pytest_plugin import XeroSimulator
from landbridge.vault import new_key
from tests.engine.conftest import free
from tests.providers.through import connected, until, working

NONE = xero.Amounts(
    contacts=1,
    items=0,
    invoices=0,
    payments=0,
    credit_notes=0,
    bank_transactions=0,
    manual_journals=0,
)


@pytest.fixture
def xero_settings() -> xero.Settings:
    return xero.Settings(amounts=NONE, limits=xero.Limits(minute=2_000))


@dataclass(frozen=True, kw_only=True)
class Books:
    """A connection to books, and the bridge that declares our codes."""

    bridge: Landbridge
    to: Connection
    sim: XeroSimulator

    async def push(self, **codes: str) -> Intent:
        """The promise of an invoice with one line."""
        async with self.bridge.transaction() as tx:
            made = await self.bridge.push(tx, self.invoice(**codes), to=self.to)
        return await self.intent(made)

    def invoice(self, *, account: str = "sales", tax: str = "gst") -> Invoice:
        contact = next(iter(self.sim.control.objects("Contacts", tenant=self.to.account)))
        line = Line(quantity=Decimal(1), unit_price=Decimal(100), account=account, tax=tax)
        return Invoice(
            contact=contact,
            direction=Direction.SALE,
            status=DocumentStatus.OPEN,
            currency="NZD",
            issued_on=date(2026, 11, 27),
            due_on=date(2026, 12, 27),
            lines=(line,),
        )

    async def intent(self, id: str) -> Intent:
        found = await intents.one(self.bridge.db, environment="test", tenant="acme", id=id)
        assert found is not None
        return found

    async def held(self) -> list[Parked]:
        return await parked.every(self.bridge.db, environment="test", what="push")

    def written(self) -> list[dict[str, Any]]:
        return self.sim.control.journal(method="PUT")

    def lines(self) -> list[tuple[str, str]]:
        theirs = self.sim.control.objects("Invoices", tenant=self.to.account).values()
        return [
            (one["AccountCode"], one["TaxType"]) for each in theirs for one in each["LineItems"]
        ]


@pytest.fixture
async def books(database_url: str, xero_simulator: XeroSimulator) -> AsyncIterator[Books]:
    bridge = Landbridge.from_env(
        database_url=database_url, key=new_key(), allow_networks="127.0.0.0/8"
    )
    bridge.codes("accounts", [Code(code="sales"), Code(code="rent")])
    bridge.codes("tax_rates", [Code(code="gst")])
    sim = xero_simulator
    async with bridge:
        to = (await connected(bridge, "xero", sim, writes=["Invoices"]))["Demo Company (NZ)"]
        yield Books(bridge=bridge, to=to, sim=sim)


async def test_a_document_is_held_with_all_codes_that_it_lacks_and_goes_out_once_they_are_set(
    books: Books,
) -> None:
    bridge, custom = books.bridge, books.bridge.custom
    async with working(bridge):
        intent = await books.push()
        assert intent.subject == books.invoice().contact, "a held one is erased with its person"
        (stopped,) = await until(books.held)
        assert "no line in the code tables for accounts 'sales', tax_rates 'gst'" in stopped.reason
        assert f"landbridge codes set {books.to.id} accounts THEIRS=sales" in stopped.reason
        assert (await books.intent(intent.id)).state == "waiting"
        lacks = {(one.table, one.code): one.documents for one in await custom.check_codes(books.to)}
        assert lacks == {("accounts", "rent"): 0, ("accounts", "sales"): 1, ("tax_rates", "gst"): 1}

        await custom.set_codes(books.to, "accounts", {"200": "sales"})

        async def less() -> bool:
            (one,) = await books.held()
            return "'sales'" not in one.reason and "tax_rates 'gst'" in one.reason

        await until(less)
        assert books.written() == [], "it is never guessed"
        await custom.set_codes(books.to, "tax_rates", {"OUTPUT2": "gst"}, whole=True)

        async def sent() -> bool:
            return (await books.intent(intent.id)).state == "done"

        await until(sent)
        assert books.lines() == [("200", "OUTPUT2")]
        assert len(books.written()) == 1
        assert await books.held() == []
        assert [one.code for one in await custom.check_codes(books.to)] == ["rent"]


async def test_a_line_that_is_set_while_it_is_tried_is_not_missed(books: Books) -> None:
    intent = await books.push(tax="OUTPUT2")

    async def meanwhile(_tx: Tx) -> None:
        await books.bridge.custom.set_codes(books.to, "accounts", {"200": "sales"})

    done = await books.bridge._open.pusher.run(intent, hold=meanwhile)
    assert done.state == "done"
    assert books.lines() == [("200", "OUTPUT2")]
    assert await books.held() == []


async def test_codes_that_nobody_declared_are_the_providers_own(books: Books) -> None:
    made = await books.bridge.api(books.to).create(books.invoice(account="200", tax="OUTPUT2"))
    assert made.id
    assert books.lines() == [("200", "OUTPUT2")]


async def test_a_held_document_can_be_given_up_and_ends_with_its_connection(books: Books) -> None:
    api = books.bridge.api(books.to)
    with pytest.raises(UnmappedCode, match="accounts 'rent'"):
        await api.create(books.invoice(account="rent", tax="OUTPUT2"))
    (stopped,) = await books.held()
    told = await books.bridge.replay(stopped)
    assert told == "a worker tries it now; without lines for its codes it stays held"
    await discard(books.bridge.db, stopped)
    ended = await books.intent(stopped.key)
    assert (ended.state, ended.reason) == ("refused", "discarded while it was held")
    assert await books.held() == []
    with pytest.raises(NotFound, match="not held any more"):
        await discard(books.bridge.db, stopped)

    with pytest.raises(UnmappedCode):
        await api.create(books.invoice())
    (stopped,) = await books.held()
    await books.bridge.disconnect(books.to)
    assert (await books.intent(stopped.key)).state == "refused"
    assert await books.held() == []
    assert books.written() == []


async def test_a_held_document_is_erased_with_its_person(books: Books) -> None:
    intent = await books.push()
    with pytest.raises(UnmappedCode):
        await books.bridge._open.pusher.run(intent, hold=free)
    assert await books.held()
    await books.bridge.erase(tenant="acme", subject=intent.subject)
    async with working(books.bridge):

        async def gone() -> bool:
            return not await books.held()

        await until(gone)
