"""Documents to QuickBooks: previewed, proved by what is known of taxes, compared when they are
there; bills and purchases as well as invoices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from landbridge import Landbridge
from landbridge.errors import PostedOtherwise, Refused
from landbridge.models import read_json
from landbridge.models.accounting import (
    Bill,
    CreditNote,
    DocumentStatus,
    Expense,
    Invoice,
    Line,
    PaidBy,
    Payment,
    TaxMode,
)
from landbridge.money import Money
from landbridge.store.connections import Connection
from landbridge.testing import quickbooks as simulated
from landbridge.testing.pytest_plugin import QuickBooksSimulator
from landbridge.vault import new_key
from tests.providers.test_quickbooks_bridge import held_to_the_schema
from tests.providers.through import connected, held

KEY = new_key()
NONE = simulated.Amounts(
    customers=2,
    vendors=2,
    items=2,
    invoices=0,
    payments=0,
    credit_memos=0,
    bills=0,
    vendor_credits=0,
    bill_payments=0,
    purchases=0,
    journal_entries=0,
)
TAXES = ["TaxCode", "TaxRate"]
ROUNDED = [simulated.Settings(amounts=NONE, rounds=how) for how in ("line", "document")]
AUTOMATED = simulated.Settings(amounts=NONE, automated=Decimal("8.25"))


@pytest.fixture
def quickbooks_settings() -> simulated.Settings:
    return simulated.Settings(amounts=NONE)


@asynccontextmanager
async def company(
    database_url: str, sim: QuickBooksSimulator, *pulled: str
) -> AsyncIterator[tuple[Landbridge, Connection]]:
    bridge = Landbridge.from_env(database_url=database_url, key=KEY, allow_networks="127.0.0.0/8")
    async with bridge:
        writes = ["Bill", "BillPayment", "CreditMemo", "Invoice", "Purchase", "VendorCredit"]
        (to,) = (await connected(bridge, "quickbooks", sim, writes=writes)).values()
        await bridge.pull(to, [*TAXES, *pulled])
        yield bridge, to
        held_to_the_schema(sim)


def invoice(*lines: Line, **more: Any) -> Invoice:
    plain: dict[str, Any] = {
        "contact": "1",
        "status": DocumentStatus.OPEN,
        "currency": "USD",
        "issued_on": date(2026, 11, 27),
        "lines": lines,
    }
    return Invoice(**{**plain, **more})


def line(price: Decimal | int | str, tax: str | None = "1", **more: Any) -> Line:
    return Line(**{"quantity": Decimal(1), "unit_price": Decimal(price), "tax": tax, **more})


def sent(sim: QuickBooksSimulator) -> int:
    return len(sim.control.journal(method="POST", path="/v3/*"))


@pytest.mark.parametrize("quickbooks_settings", ROUNDED, ids=["line", "document"])
async def test_a_document_is_right_to_the_cent_by_either_reading(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    """Three times 5 % of 0.30 are 4.5 cents, or three times two (half up: 1.5)."""
    sim = quickbooks_simulator
    async with company(database_url, sim) as (bridge, to):
        api = bridge.api(to)
        cases = [
            invoice(*[line("0.30", "2")] * 3),
            invoice(*[line("0.30", "2")] * 3, tax_mode=TaxMode.INCLUSIVE),
            invoice(line("33.3333333", quantity=Decimal(3)), line("9.99", "2")),
            invoice(line("33.3333333", quantity=Decimal(3)), tax_mode=TaxMode.NONE),
            invoice(line("0.125", quantity=Decimal(2), amount=25), line("7", "3")),
        ]
        for document in cases:
            shown = await api.preview(document, resource="Invoice")
            assert shown.totals is not None
            made = await api.create(document, resource="Invoice")
            total = shown.notes.get("total", f"{Decimal(shown.totals.total or 0) / 100:.2f} USD")
            assert f"{Decimal(made.total or 0) / 100:.2f} USD" in total
            amounts = [(one.amount, one.amount) for one in made.lines]
            assert amounts == [(one.amount, one.amount) for one in shown.totals.lines]
        shown = await api.preview(cases[0], resource="Invoice")
        assert shown.notes["total"] == (
            "0.94 USD or 0.95 USD or 0.96 USD: how QuickBooks Online rounds is not known for sure"
        )
        # Refused is what no reading comes to.
        before = sent(sim)
        with pytest.raises(Refused, match=r"says 0\.97 USD, QuickBooks Online would post 0\.9"):
            await api.create(replace(cases[0], total=97), resource="Invoice")
        wrong = invoice(line("10.00", quantity=Decimal(2), amount=1999))
        with pytest.raises(Refused, match=r"lines\[0\]\.amount: the document says 19\.99 USD"):
            await api.create(wrong, resource="Invoice")
        assert sent(sim) == before


async def test_another_price_has_another_amount_sent_and_what_the_lines_do_not_say_is_left_open(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    sim = quickbooks_simulator
    async with company(database_url, sim) as (bridge, to):
        api = bridge.api(to)
        made = await api.create(invoice(line(10), line(20)), resource="Invoice")
        assert (made.total, made.lines[0].amount) == (3600, 1000)
        dearer = replace(made.lines[0], unit_price=Decimal(100))
        changed = replace(made, lines=(dearer, *made.lines[1:]))
        assert (await api.preview(changed, resource="Invoice")).body["Line"][0]["Amount"] == 100
        after = await api.update(changed, resource="Invoice")
        assert (after.total, after.lines[0].amount) == (14_400, 10_000)
        # A discount that stands beside the lines is QuickBooks' to reckon.
        off = {"Amount": 9.0, "DetailType": "DiscountLineDetail", "DiscountLineDetail": {}}
        there = sim.control.objects("Invoice", realm=to.account)[after.id or ""]
        reduced = {"Line": [*there["Line"], off], "TotalAmt": 135.0}
        sim.control.patch(f"objects/Invoice/{after.id}", set=reduced)
        await bridge.pull(to, ["Invoice"])
        now = read_json(Invoice, (await held(bridge, to, "Invoice"))[after.id or ""].unified)
        cheaper = replace(
            now, lines=(replace(now.lines[0], unit_price=Decimal(50)), *now.lines[1:])
        )
        shown = await api.preview(cheaper, resource="Invoice")
        assert shown.totals is not None
        assert (shown.totals.total, shown.problems) == (None, {})
        assert "comes to something else than its lines" in shown.notes["total"]
        assert (await api.update(cheaper, resource="Invoice")).total == 7500


async def test_taxes_of_several_rates_and_one_that_was_changed_behind_our_back(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    sim = quickbooks_simulator
    async with company(database_url, sim) as (bridge, to):
        api = bridge.api(to)
        await bridge.pull(to, TAXES)
        sim.control.patch("objects/TaxRate/1", set={"RateValue": 21})
        with pytest.raises(PostedOtherwise, match=r"total: 121\.00 USD was posted, not 120\.00"):
            await api.create(invoice(line(100)), resource="Invoice")

        def detail(rate: str, on: str, order: int) -> dict[str, Any]:
            return {"TaxRateRef": {"value": rate}, "TaxTypeApplicable": on, "TaxOrder": order}

        for on, total in (("TaxOnAmount", 12_600), ("TaxOnAmountPlusTax", 12_705)):
            both = {"TaxRateDetail": [detail("1", "TaxOnAmount", 0), detail("2", on, 1)]}
            sim.control.patch("objects/TaxCode/1", set={"SalesTaxRateList": both})
            await bridge.pull(to, TAXES)
            made = await api.create(invoice(line(100), total=total), resource="Invoice")
            assert made.total == total
        # Of a tax on another tax nobody tells here what it comes to.
        both = {"TaxRateDetail": [detail("1", "TaxOnAmount", 0), detail("2", "TaxOnTax", 1)]}
        sim.control.patch("objects/TaxCode/1", set={"SalesTaxRateList": both})
        await bridge.pull(to, TAXES)
        shown = await api.preview(invoice(line(100)), resource="Invoice")
        assert list(shown.notes) == ["lines[0].tax_amount"]
        assert (await api.create(invoice(line(100)), resource="Invoice")).total == 12_205


@pytest.mark.parametrize("quickbooks_settings", [AUTOMATED])
async def test_automated_sales_tax_is_not_guessed(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    async with company(database_url, quickbooks_simulator) as (bridge, to):
        api = bridge.api(to)
        document = invoice(line(100, "TAX"), line(50, "NON"))
        shown = await api.preview(document, resource="Invoice")
        assert shown.totals is not None
        assert (shown.totals.subtotal, shown.totals.tax, shown.totals.total) == (15_000, None, None)
        assert shown.totals.lines[1].tax == 0
        assert shown.notes == {
            "lines[0].tax_amount": "QuickBooks Online reckons the tax: no percentage of 'TAX' is"
            " known here; pull TaxCode and TaxRate, if they tell one"
        }
        assert (await api.create(document, resource="Invoice")).total == 15_825
        untaxed = await api.preview(invoice(line(50, "NON")), resource="Invoice")
        assert untaxed.totals is not None
        assert (untaxed.totals.total, untaxed.notes) == (5000, {})


async def test_bills_and_vendor_credits_are_written_with_lines_of_both_kinds(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    sim = quickbooks_simulator
    async with company(database_url, sim) as (bridge, to):
        api = bridge.api(to)
        posters = Line(
            description="Posters", account="7", quantity=Decimal(3), unit_price=Decimal("9.99")
        )
        lines = (
            replace(posters, discount=Decimal(10), tax="1"),
            line("5.25", "2", quantity=Decimal(2), item="1"),
            Line(amount=700, account="8", tax="3"),
        )
        head: dict[str, Any] = {
            "contact": "1",
            "status": DocumentStatus.OPEN,
            "currency": "USD",
            "issued_on": date(2026, 11, 27),
            "lines": lines,
        }
        document = Bill(**head, number="B-1", due_on=date(2026, 12, 27))
        shown = await api.preview(document, resource="Bill")
        assert shown.totals is not None
        # 26.97 at 20 %, 10.50 at 5 % (0.525: a half), 7.00 at nothing.
        assert (shown.totals.total, shown.problems) == (5039, {})
        assert set(shown.notes) == {"lines[1].tax_amount", "tax", "total"}
        made = await api.create(document, resource="Bill")
        assert [(one.account, one.item, one.amount) for one in made.lines] == [
            ("7", None, 2697),
            (None, "1", 1050),
            ("8", None, 700),
        ]
        assert (made.total, made.amount_due, made.number) == (5039, 5039, "B-1")
        # One line goes, one comes, and one that is there is another amount's.
        first, second, _ = made.lines
        changed = (replace(second, quantity=Decimal(4)), first, replace(posters, account="8"))
        after = await api.update(replace(made, lines=changed), resource="Bill")
        assert [(one.id, one.amount) for one in after.lines][:2] == [
            (second.id, 2100),
            (first.id, 2697),
        ]
        assert (after.lines[2].amount, after.lines[2].quantity) == (2997, None)
        there = sim.control.objects("Bill", realm=to.account)[after.id or ""]
        kinds = [one["DetailType"].removesuffix("BasedExpenseLineDetail") for one in there["Line"]]
        assert kinds == ["Item", "Account", "Account"]
        credit = await api.create(CreditNote(**head, number="C-1"), resource="VendorCredit")
        assert (credit.total, credit.remaining) == (5039, 5039)
        with pytest.raises(Refused, match=r"total: the document says 1\.00 USD"):
            await api.create(CreditNote(**head, total=100), resource="VendorCredit")
        await api.delete(credit, resource="VendorCredit")
        assert sim.control.objects("VendorCredit", realm=to.account) == {}


async def test_a_bill_is_paid_from_a_bank_account_once(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    sim = quickbooks_simulator
    async with company(database_url, sim, "Account", "Vendor") as (bridge, to):
        api = bridge.api(to)
        bought = Bill(
            contact="1",
            status=DocumentStatus.OPEN,
            currency="USD",
            issued_on=date(2026, 11, 27),
            lines=(Line(amount=1_050, account="7", tax="3"),),
        )
        bill = await api.create(bought)
        assert bill.id is not None
        assert bill.amount_due == 1_050
        paid = Payment(
            bill=bill.id,
            contact="1",
            account="1",
            currency="USD",
            amount=1_050,
            paid_on=date(2026, 11, 28),
            reference="CHECK-7",
        )
        with pytest.raises(Refused, match="is in USD, not EUR"):
            await api.create(replace(paid, currency="EUR"))
        # A payment that names a bill goes where bills are paid; its answer is lost, and it is one.
        sim.control.fault("status", status=503, path="*/billpayment", after=True, times=1)
        made = await api.create(paid)
        assert (made.bill, made.account, made.amount) == (bill.id, "1", 1_050)
        assert list(sim.control.objects("BillPayment", realm=to.account)) == [made.id]
        assert sim.control.objects("Bill", realm=to.account)[bill.id]["Balance"] == 0
        await bridge.pull(to, ["Bill", "BillPayment"])
        (there,) = [one async for one in api.records(Bill)]
        assert there.status is DocumentStatus.PAID
        # A credit card is paid with in another manner, which the model does not say.
        with pytest.raises(Refused, match="another account"):
            await api.create(replace(paid, account="9"))
        await api.delete(made, resource="BillPayment")
        assert sim.control.objects("Bill", realm=to.account)[bill.id]["Balance"] == 10.5
        card = {"CCAccountRef": {"value": "9"}}
        by_card = {"PayType": "CreditCard", "CreditCardPayment": card, "TotalAmt": 10.5}
        line = {"Amount": 10.5, "LinkedTxn": [{"TxnId": bill.id, "TxnType": "Bill"}]}
        head = {"VendorRef": {"value": "1"}, "TxnDate": "2026-11-28", "Line": [line]}
        sim.simulator.books[to.account].write("BillPayment", {**head, **by_card})
        await bridge.pull(to, ["BillPayment"])
        (theirs,) = [one async for one in api.records(Payment, resource="BillPayment")]
        assert (theirs.bill, theirs.account) == (bill.id, "9")


async def test_a_purchase_says_what_it_was_paid_with(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    sim = quickbooks_simulator
    async with company(database_url, sim) as (bridge, to):
        api = bridge.api(to)
        taxi = Expense(
            account="1",
            contact="2",
            currency="USD",
            spent_on=date(2026, 11, 27),
            reference="T-77",
            lines=(Line(description="Taxi", amount=2500, account="8", tax="1"),),
        )
        shown = await api.preview(taxi, resource="Purchase")
        assert shown.totals is not None
        assert shown.totals.total == 3000
        made = await api.create(taxi, resource="Purchase")
        assert (made.total, made.tax, made.contact, made.paid_by) == (3000, 500, "2", PaidBy.CASH)
        dearer = (replace(made.lines[0], amount=3000),)
        with pytest.raises(Refused, match=r"total: the document says 30\.01 USD"):
            await api.update(replace(made, lines=dearer, total=3001), resource="Purchase")
        after = await api.update(replace(made, lines=dearer, contact="1"), resource="Purchase")
        assert (after.total, after.contact, after.paid_by) == (3600, "1", PaidBy.CASH)
        card = replace(taxi, account="9", paid_by=PaidBy.CARD)
        assert (await api.create(card, resource="Purchase")).paid_by is PaidBy.CARD
        with pytest.raises(Refused, match="6000"):
            await api.create(replace(card, paid_by=None), resource="Purchase")


async def test_foreign_documents_are_worth_what_their_rate_says(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    async with company(database_url, quickbooks_simulator, "Preferences") as (bridge, to):
        api = bridge.api(to)
        for currency, price, rate, total, worth in [
            ("EUR", "10.01", "1.0853", 1201, 1303),
            ("JPY", "1000", "0.0067", 1200, 804),
            ("KWD", "1.230", "3.2541", 1480, 482),
            ("BHD", "0.125", "2.65", 160, 42),
        ]:
            document = invoice(line(price), currency=currency, exchange_rate=Decimal(rate))
            shown = await api.preview(document, resource="Invoice")
            assert shown.totals is not None
            assert shown.totals.total == total, currency
            assert ("currency" in shown.notes) == (currency == "JPY")
            assert shown.in_books == Money(minor=worth, currency="USD")
            made = await api.create(document, resource="Invoice")
            assert (made.total, made.exchange_rate) == (total, Decimal(rate))
