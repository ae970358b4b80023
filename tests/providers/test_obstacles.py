"""What a provider would refuse is found before it is sent, by what was pulled: closed periods,
accounts out of use, numbers that are taken. What is not known here the provider says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from landbridge import Landbridge
from landbridge.errors import Refused, SpecError
from landbridge.models.accounting import (
    CreditNote,
    Direction,
    DocumentStatus,
    EntryStatus,
    Expense,
    Invoice,
    JournalEntry,
    JournalLine,
    Line,
)
from landbridge.spec import Resource, Unique
from landbridge.store.connections import Connection
from landbridge.testing import quickbooks, xero
from landbridge.testing.pytest_plugin import QuickBooksSimulator, XeroSimulator
from landbridge.vault import new_key
from tests.providers.test_quickbooks_preview import NONE as EMPTY
from tests.providers.test_quickbooks_preview import company
from tests.providers.test_xero_held import NONE
from tests.providers.through import connected

KEY = new_key()
LINE = Line(unit_price=Decimal(10), account="200", tax="OUTPUT2")
DAY = date(2026, 11, 27)


@pytest.fixture
def xero_settings() -> xero.Settings:
    return xero.Settings(amounts=NONE, limits=xero.Limits(minute=2_000))


@pytest.fixture
def quickbooks_settings() -> quickbooks.Settings:
    return quickbooks.Settings(amounts=EMPTY)


@pytest.fixture
async def books(
    database_url: str, xero_simulator: XeroSimulator
) -> AsyncIterator[tuple[Landbridge, Connection]]:
    bridge = Landbridge.from_env(database_url=database_url, key=KEY, allow_networks="127.0.0.0/8")
    async with bridge:
        writes = ["CreditNotes", "Invoices", "ManualJournals"]
        found = await connected(bridge, "xero", xero_simulator, writes=writes)
        to = found["Demo Company (NZ)"]
        await bridge.pull(to, ["Accounts", "Organisation"])
        yield bridge, to


def head(sim: XeroSimulator, to: Connection, **more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "contact": next(iter(sim.control.objects("Contacts", tenant=to.account))),
        "direction": Direction.SALE,
        "status": DocumentStatus.OPEN,
        "currency": "NZD",
        "issued_on": DAY,
        "lines": (LINE,),
    }
    return plain | more


def written(sim: XeroSimulator | QuickBooksSimulator) -> int:
    every = sim.control.journal(method="PUT") + sim.control.journal(method="POST")
    return len(
        [one for one in every if "/connect" not in one["path"] and "/v2/" not in one["path"]]
    )


async def told(bridge: Landbridge, to: Connection, document: Any, resource: str) -> dict[str, str]:
    """The problems of a document: the same in the preview and in the refusal."""
    shown = await bridge.api(to).preview(document, resource=resource)
    with pytest.raises(Refused, match=r"^nothing was sent\. ") as refused:
        await bridge.api(to).create(document, resource=resource)
    assert refused.value.problems == shown.problems
    return shown.problems


async def test_a_closed_period_is_seen_before_it_is_written_into(
    books: tuple[Landbridge, Connection], xero_simulator: XeroSimulator
) -> None:
    bridge, to = books
    sim, api = xero_simulator, bridge.api(to)
    made = await api.create(Invoice(**head(sim, to), due_on=DAY), resource="Invoices")
    locks = {"PeriodLockDate": "/Date(1767139200000+0000)/"}  # 2025-12-31
    locks["EndOfYearLockDate"] = "/Date(1796083200000+0000)/"  # 2026-12-01
    sim.control.patch(f"objects/Organisations/{to.account}", set=locks)
    document = Invoice(**head(sim, to), due_on=DAY)
    # What is not known here, the provider says.
    with pytest.raises(Refused, match="locked period"):
        await api.create(document, resource="Invoices")
    await bridge.pull(to, ["Organisation"])
    before = written(sim)
    problem = {
        "issued_on": "2026-11-27 is in a period that is closed at Xero, through 2026-12-01: give a"
        " later date, or have it opened there and pull Organisation"
    }
    assert await told(bridge, to, document, "Invoices") == problem
    assert await told(bridge, to, CreditNote(**head(sim, to)), "CreditNotes") == problem
    lines = (JournalLine(account="200", amount=1), JournalLine(account="400", amount=-1))
    entry = JournalEntry(narration="n", status=EntryStatus.POSTED, posted_on=DAY, lines=lines)
    assert set(await told(bridge, to, entry, "ManualJournals")) == {"posted_on"}
    later = replace(made, issued_on=date(2026, 12, 2))
    with pytest.raises(Refused, match="2026-11-27 is in a period that is closed"):
        await api.update(later, resource="Invoices")
    assert written(sim) == before
    # A draft is in no period, and a text may be another one.
    draft = replace(document, status=DocumentStatus.DRAFT)
    assert (await api.preview(draft, resource="Invoices")).problems == {}
    assert (await api.preview(replace(made, reference="r"), resource="Invoices")).problems == {}


async def test_an_account_out_of_use_is_named_with_its_line(
    books: tuple[Landbridge, Connection], xero_simulator: XeroSimulator
) -> None:
    bridge, to = books
    sim, api = xero_simulator, bridge.api(to)
    made = await api.create(Invoice(**head(sim, to), due_on=DAY), resource="Invoices")
    accounts = sim.control.objects("Accounts", tenant=to.account)
    (key,) = (key for key, one in accounts.items() if one.get("Code") == "200")
    sim.control.patch(f"objects/Accounts/{key}", set={"Status": "ARCHIVED"})
    other = replace(LINE, account="400")
    document = Invoice(**head(sim, to, lines=(other, LINE)), due_on=DAY)
    with pytest.raises(Refused, match="has been archived"):
        await api.create(document, resource="Invoices")
    await bridge.pull(to, ["Accounts"])
    before = written(sim)
    name = accounts[key]["Name"]
    problem = (
        f"the account '200' ({name}) is not active at Xero: name another one, or make it active"
        " there and pull Accounts"
    )
    assert await told(bridge, to, document, "Invoices") == {"lines[1].account": problem}
    # A line that is there already is not asked about.
    more = replace(made, lines=(*made.lines, other))
    assert (await api.preview(more, resource="Invoices")).problems == {}
    # In our own words, too.
    await bridge.custom.set_codes(to, "accounts", {"200": "sales", "400": "ads"})
    named = replace(document, lines=(replace(LINE, account="sales"), replace(LINE, account="ads")))
    now = await bridge.connection(to.id)
    assert list(await told(bridge, now, named, "Invoices")) == ["lines[0].account"]
    assert written(sim) == before


async def test_a_number_that_is_taken_is_refused_where_that_is_sure(
    books: tuple[Landbridge, Connection], xero_simulator: XeroSimulator
) -> None:
    bridge, to = books
    sim, api = xero_simulator, bridge.api(to)
    document = Invoice(**head(sim, to, number="A-1"), due_on=DAY)
    made = await api.create(document, resource="Invoices")
    problem = (
        f"Invoices {made.id} has 'A-1' already, and Xero wants each to have another one: give"
        " another, or none where it counts by itself"
    )
    before = written(sim)
    assert await told(bridge, to, document, "Invoices") == {"number": problem}
    assert written(sim) == before
    # Suppliers number as they like, and a void one's is free.
    ours = CreditNote(**head(sim, to, number="N-1"))
    await api.create(ours, resource="CreditNotes")
    theirs = replace(ours, direction=Direction.PURCHASE)
    assert (await api.create(theirs, resource="CreditNotes")).number == "N-1"
    assert set(await told(bridge, to, ours, "CreditNotes")) == {"number"}
    void = replace(made, status=DocumentStatus.VOID)
    await api.update(void, resource="Invoices")
    again = await api.create(document, resource="Invoices")
    other = await api.create(replace(document, number="A-2"), resource="Invoices")
    with pytest.raises(Refused, match=f"number: Invoices {again.id} has 'A-1' already"):
        await api.update(replace(other, number="A-1"), resource="Invoices")
    sim.control.post(f"objects/Invoices?tenant={to.account}", **_theirs(sim, to, "B-7"))
    with pytest.raises(Refused, match="must be unique"):
        await api.create(replace(document, number="B-7"), resource="Invoices")
    with pytest.raises(SpecError, match="unique: the mapping has no field 'number'"):
        Resource(name="x", path="/x", key="id", unique=Unique(field="number"))


def _theirs(sim: XeroSimulator, to: Connection, number: str) -> dict[str, Any]:
    contact = {"ContactID": next(iter(sim.control.objects("Contacts", tenant=to.account)))}
    return {"Type": "ACCREC", "InvoiceNumber": number, "Contact": contact}


async def test_quickbooks_settings_and_accounts_are_looked_at_and_numbers_only_told_of(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    sim = quickbooks_simulator
    async with company(database_url, sim, "Account", "Preferences") as (bridge, to):
        api = bridge.api(to)
        sold = Line(quantity=Decimal(1), unit_price=Decimal(10), tax="3", item="1")
        document = Invoice(
            contact="1",
            number="A-1",
            status=DocumentStatus.OPEN,
            currency="USD",
            issued_on=DAY,
            lines=(sold,),
        )
        await api.create(document, resource="Invoice")
        shown = await api.preview(document, resource="Invoice")
        assert (list(shown.notes), shown.problems) == (["number"], {})
        with pytest.raises(Refused, match="6140"):
            await api.create(document, resource="Invoice")
        sim.control.patch("objects/Account/8", set={"Active": False})
        close = {"AccountingInfoPrefs": {"BookCloseDate": "2026-11-26"}}
        sim.control.patch("objects/Preferences/1", set=close)
        old = Expense(
            account="8",
            currency="USD",
            spent_on=date(2026, 11, 26),
            lines=(Line(amount=700, account="8", tax="3"),),
        )
        with pytest.raises(Refused, match=r"6210|made inactive"):
            await api.create(old, resource="Purchase")
        await bridge.pull(to, ["Account", "Preferences"])
        before = written(sim)
        assert set(await told(bridge, to, old, "Purchase")) == {
            "account",
            "lines[0].account",
            "spent_on",
        }
        assert written(sim) == before
        plain = replace(old, account="1", spent_on=DAY, lines=(replace(old.lines[0], account="7"),))
        assert (await api.create(plain, resource="Purchase")).total == 700
