"""A document that would become another one is refused before it is sent, with the way out: the
wrong side, a draft where there are none, what a payment cannot settle, amounts read otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from landbridge import Landbridge
from landbridge.engine.contradictions import contradictions, fitting
from landbridge.engine.named import named
from landbridge.engine.proof import otherwise
from landbridge.errors import InvalidInput, Refused, SpecError
from landbridge.models import Model
from landbridge.models.accounting import (
    Bill,
    Contact,
    CreditNote,
    Direction,
    DocumentStatus,
    EntryStatus,
    Expense,
    Invoice,
    JournalEntry,
    JournalLine,
    Line,
    Payment,
    TaxMode,
)
from landbridge.providers.freshbooks import freshbooks as freshbooks_page
from landbridge.providers.quickbooks import quickbooks as quickbooks_page
from landbridge.providers.xero import xero as xero_page
from landbridge.spec import Provider, Resource, Write
from landbridge.store.connections import Connection
from landbridge.testing import freshbooks
from landbridge.testing.pytest_plugin import FreshBooksSimulator
from landbridge.vault import new_key
from tests.providers.through import connected

KEY = new_key()
DAY = date(2026, 11, 27)
LINE = Line(item="Advice", quantity=Decimal(2), unit_price=Decimal("99.95"), tax="HST 13")


def head(**more: Any) -> dict[str, Any]:
    plain = {"contact": "1", "status": DocumentStatus.OPEN, "currency": "USD", "issued_on": DAY}
    return plain | more


def entry(**more: Any) -> JournalEntry:
    lines = (JournalLine(account="1", amount=100), JournalLine(account="2", amount=-100))
    plain: dict[str, Any] = {"status": EntryStatus.POSTED, "posted_on": DAY, "lines": lines}
    return JournalEntry(**{**plain, "currency": "USD", **more})


def payment(**more: Any) -> Payment:
    return Payment(**{"currency": "USD", "amount": 100, "paid_on": DAY, **more})


@pytest.fixture
def freshbooks_settings() -> freshbooks.Settings:
    return freshbooks.Settings(amounts=freshbooks.Amounts(invoices=1, payments=1, clients=1))


@asynccontextmanager
async def books(
    database_url: str, sim: FreshBooksSimulator
) -> AsyncIterator[tuple[Landbridge, Connection, Contact]]:
    bridge = Landbridge.from_env(database_url=database_url, key=KEY, allow_networks="127.0.0.0/8")
    async with bridge:
        writes = ["invoice", "bill", "expense", "payment", "bill_payment"]
        found = await connected(bridge, "freshbooks", sim, writes=writes)
        to = found["Commonwealth of Independent Systems"]
        await bridge.pull(to, ["tax", "client", "invoice", "bill_vendor", "category"])
        (client,) = [one async for one in bridge.api(to).records(Contact, resource="client")]
        yield bridge, to, client


def sent(sim: FreshBooksSimulator) -> int:
    every = sim.control.journal(method="POST", path="/accounting/*")
    return len(every) + len(sim.control.journal(method="PUT", path="/accounting/*"))


async def test_documents_to_freshbooks_are_right_to_the_cent(
    database_url: str, freshbooks_simulator: FreshBooksSimulator
) -> None:
    sim = freshbooks_simulator
    async with books(database_url, sim) as (bridge, to, client):
        api = bridge.api(to)
        assert client.id is not None
        invoice = Invoice(**head(contact=client.id, due_on=DAY, number="A-1"), lines=(LINE,))
        shown = await api.preview(invoice)
        assert shown.totals is not None
        assert (shown.totals.subtotal, shown.totals.tax, shown.totals.total) == (19990, 2599, 22589)
        assert shown.unsent == ["direction"]
        made = await api.create(replace(invoice, total=22_589, tax=2_599))
        assert made.total == 22_589
        # Where halves and taxes are rounded nobody says: what no reading comes to is refused.
        small = replace(LINE, quantity=Decimal(1), unit_price=Decimal("0.50"), tax="GST 5")
        two = replace(invoice, number=None, lines=(small, small))
        assert set((await api.preview(two)).notes) >= {"total", "tax"}
        assert (await api.create(two)).total in (104, 105, 106)

        before = sent(sim)
        each = Invoice(**head(contact=client.id, due_on=DAY), lines=(LINE,))
        refused: list[tuple[Model, str, str]] = [
            (replace(each, total=1), "total", "says 0.01 USD, FreshBooks would post 225.89 USD"),
            (replace(each, tax_mode=TaxMode.INCLUSIVE), "total", "says 199.90 USD, FreshBooks"),
            (with_line(each, discount=Decimal(10)), "lines[0].discount", "with it taken off"),
            (with_line(each, unit_price=None, amount=1), "lines[0].amount", "give a unit_price"),
            (replace(invoice, number="A-1"), "number", f"invoice {made.id} has 'A-1' already"),
            (replace(each, direction=Direction.PURCHASE), "direction", "is 'sale'"),
            (replace(each, status=DocumentStatus.PAID), "status", "enter a Payment"),
            (replace(each, exchange_rate=Decimal(0)), "exchange_rate", "is no rate"),
            (
                replace(with_line(each, unit_price=Decimal("0.25")), currency="JPY"),
                "lines[0].unit_price",
                "JPY has 0 decimals",
            ),
            (
                Expense(
                    currency="USD",
                    spent_on=DAY,
                    tax_mode=TaxMode.EXCLUSIVE,
                    lines=(Line(amount=1000, tax="HST 13"),),
                ),
                "total",
                "says 11.30 USD, FreshBooks would post 10.00 USD",
            ),
            (payment(invoice=made.id, currency="EUR"), "currency", "is in USD, not EUR"),
        ]
        for document, field, sentence in refused:
            problems = (await api.preview(document)).problems
            assert sentence in problems[field], (field, problems)
            with pytest.raises(Refused, match=r"^nothing was sent\. ") as error:
                await api.create(document)
            assert error.value.problems == problems
        assert sent(sim) == before
        # What is no amount is told of: this provider has no accounts on what is sold.
        named = with_line(each, account="1004")
        assert "lines[].account" in (await api.preview(named)).unsent
        # No taxes: then there is nothing to be read otherwise.
        plain = replace(with_line(each, tax=None), tax_mode=TaxMode.NONE)
        assert (await api.create(plain)).total == 19_990
        # A payment goes to where what it settles is.
        assert (await api.create(payment(invoice=made.id))).invoice == made.id
        with pytest.raises(Refused, match="bill: a payment of FreshBooks settles no bill: name"):
            await api.create(payment(invoice=made.id, bill="1"), resource="payment")
        # What is of another type is no traceback, in each of the ways in.
        wrong = replace(each, issued_on="27/11/2026")
        for ask in (api.preview, api.create):
            with pytest.raises(InvalidInput, match=r"issued_on"):
                await ask(wrong)
        nothing: Any = {"contact": "1"}
        async with bridge.transaction() as tx:
            with pytest.raises(InvalidInput, match=r"issued_on"):
                await bridge.push(tx, wrong, to=to)
            with pytest.raises(InvalidInput, match="expected a model such as Invoice"):
                await bridge.push(tx, nothing, to=to)
        read = await api.preview(replace(each, issued_on="2026-11-27"))
        assert read.body["create_date"] == "2026-11-27"


def with_line(document: Invoice, **fields: Any) -> Invoice:
    return replace(document, lines=(replace(LINE, **fields),))


def takers(page: Provider, document: Model) -> list[Resource]:
    return [
        one
        for one in page.resources
        if one.maps and one.maps.model is type(document) and one.create
    ]


@pytest.mark.parametrize(
    ("page", "document", "names"),
    [
        (quickbooks_page, CreditNote(**head()), ["CreditMemo"]),
        (quickbooks_page, CreditNote(**head(direction=Direction.PURCHASE)), ["VendorCredit"]),
        (quickbooks_page, Contact(name="A", is_supplier=True), ["Vendor"]),
        (quickbooks_page, Contact(name="A", is_customer=True), ["Customer"]),
        (quickbooks_page, Contact(name="A", reference="1"), ["Customer", "Vendor"]),
        (quickbooks_page, Contact(name="A", is_customer=True, is_supplier=True), []),
        (freshbooks_page, payment(bill="1", contact="1"), ["bill_payment"]),
        (freshbooks_page, payment(invoice="1"), ["payment"]),
        (freshbooks_page, payment(invoice="1", bill="1"), []),
    ],
    ids=lambda one: one.slug if isinstance(one, Provider) else None,
)
def test_of_several_resources_the_one_is_taken_that_can_be_what_a_document_says(
    page: Provider, document: Model, names: list[str]
) -> None:
    assert [one.name for one in fitting(takers(page, document), document)] == names


@pytest.mark.parametrize(
    ("page", "resource", "document", "field"),
    [
        (quickbooks_page, "Invoice", Invoice(**head(status=DocumentStatus.DRAFT)), "status"),
        (quickbooks_page, "Invoice", Invoice(**head(direction=Direction.PURCHASE)), "direction"),
        (quickbooks_page, "JournalEntry", entry(status=EntryStatus.DRAFT), "status"),
        (quickbooks_page, "Customer", Contact(name="A", is_customer=False), "is_customer"),
        (xero_page, "Invoices", Invoice(**head(status=DocumentStatus.PAID)), "status"),
        (xero_page, "Invoices", Invoice(**head(exchange_rate=Decimal(-1))), "exchange_rate"),
        (freshbooks_page, "bill", Bill(**head(status=DocumentStatus.DRAFT)), "status"),
        (quickbooks_page, "Invoice", Invoice(**head()), None),
        (quickbooks_page, "Bill", Bill(**head()), None),
        (xero_page, "Invoices", Invoice(**head(status=DocumentStatus.DRAFT)), None),
        (xero_page, "ManualJournals", entry(status=EntryStatus.DRAFT), None),
    ],
)
def test_what_a_record_there_never_says_is_a_problem(
    page: Provider, resource: str, document: Model, field: str | None
) -> None:
    found = contradictions(page, page.resource(resource), document, None)
    assert list(found) == ([field] if field else [])


def test_a_record_that_is_there_may_be_paid_and_is_not_made_so() -> None:
    there, invoices = Invoice(**head(status=DocumentStatus.PAID)), xero_page.resource("Invoices")
    renamed = replace(there, reference="r")
    assert contradictions(xero_page, invoices, renamed, there) == {}
    unpaid = replace(there, status=DocumentStatus.OPEN)
    assert list(contradictions(xero_page, invoices, there, unpaid)) == ["status"]


def test_a_payment_and_an_entry_are_compared_with_what_is_there() -> None:
    paid = {"Id": "1", "CurrencyRef": {"value": "USD"}, "TxnDate": "2026-11-27", "Line": []}
    there = quickbooks_page.resource("Payment")
    posted = msgspec.json.encode({**paid, "TotalAmt": 1.01})
    told = otherwise(None, there, payment(amount=100), posted)
    assert told == {"amount": "1.01 USD was posted, not 1.00 USD"}
    assert otherwise(None, there, payment(amount=101), posted) is None

    def posting(kind: str, amount: float) -> dict[str, Any]:
        detail = {"PostingType": kind, "AccountRef": {"value": "1"}}
        return {
            "DetailType": "JournalEntryLineDetail",
            "Amount": amount,
            "JournalEntryLineDetail": detail,
        }

    lines = [posting("Credit", 1), posting("Debit", 1)]
    booked = msgspec.json.encode({**paid, "Line": lines})
    journal = quickbooks_page.resource("JournalEntry")
    assert otherwise(None, journal, entry(), booked) is None
    other = entry(lines=(JournalLine(account="1", amount=2), JournalLine(account="2", amount=-2)))
    assert otherwise(None, journal, other, booked) == {
        "lines": "amounts of [-100, 100] were posted, not [-2, 2]"
    }


def test_what_a_new_record_is_names_a_field_of_the_mapping() -> None:
    create = Write(path="/x", makes={"state": "open"})
    with pytest.raises(SpecError, match="create, makes: the mapping has no field 'state'"):
        Resource(name="x", path="/x", key="id", create=create)


@pytest.mark.parametrize(
    ("page", "resource", "theirs", "ours"),
    [
        (freshbooks_page, "invoice", "customerid", "contact"),
        (freshbooks_page, "invoice", "lines[2].name", "lines[2].item"),
        (freshbooks_page, "expense", "categoryid", "lines.account"),
        (quickbooks_page, "Customer", "DisplayName", "name"),
        (quickbooks_page, "Invoice", "CustomerRef", "contact"),
        (quickbooks_page, "Invoice", "SomethingElse", "SomethingElse"),
    ],
)
def test_the_field_that_a_provider_refuses_is_named_in_our_words(
    page: Provider, resource: str, theirs: str, ours: str
) -> None:
    assert named(page.resource(resource), {theirs: "is wrong"}) == {ours: "is wrong"}
