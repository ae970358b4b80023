"""A shadow of FreshBooks: nothing is written there, and the answers are ones that it could give."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from landbridge.models.accounting import (
    Bill,
    Contact,
    CreditNote,
    DocumentStatus,
    Expense,
    Line,
    Payment,
)
from landbridge.testing.pytest_plugin import FreshBooksSimulator
from tests.engine.shading import Counted, Shop
from tests.providers.test_freshbooks_bridge import WRITES, freshbooks_settings
from tests.providers.through import connected
from tests.specs.freshbooks.document import freshbooks as document
from tests.web.serving import serving

__all__ = ["freshbooks_settings"]


async def test_writes_to_freshbooks_are_answered_and_sent_later(
    database_url: str, freshbooks_simulator: FreshBooksSimulator
) -> None:
    sim = freshbooks_simulator
    async with serving(database_url, None) as (bridge, _):
        found = await connected(bridge, "freshbooks", sim, writes=WRITES)
        books = found["Commonwealth of Independent Systems"]
        shop = Shop(bridge=bridge, connection=books, door=Counted(sim.simulator.app))
        shadow = await bridge.shadow(books)
        before = len(sim.control.journal(method="POST", path="/accounting/*"))
        category = next(iter(sim.control.objects("categories", account=books.account)))
        line = Line(
            description="Paper",
            quantity=Decimal(2),
            unit_price=Decimal("20.00"),
            account=category,
            tax="HST 13",
        )
        vendor, _ = await shop.push(Contact(name="Shadowed Ltd"), resource="bill_vendor")
        assert vendor.state == "shadowed", vendor.reason
        today = date(2026, 11, 27)
        demanded = Bill(
            contact=vendor.key or "",
            status=DocumentStatus.OPEN,
            currency="CAD",
            issued_on=today,
            due_on=today,
            lines=(line,),
        )
        bill, _ = await shop.push(demanded)
        paid = Payment(bill=bill.key, currency="CAD", amount=4_520, paid_on=today)
        payment, _ = await shop.push(paid, resource="bill_payment")
        spent = Expense(
            currency="CAD", spent_on=today, lines=(Line(amount=1_130, account=category),)
        )
        expense, _ = await shop.push(spent)
        client = next(iter(sim.control.objects("clients", account=books.account)))
        credit = CreditNote(
            contact=client,
            status=DocumentStatus.OPEN,
            currency="CAD",
            issued_on=today,
            lines=(Line(item="x", quantity=Decimal(1), unit_price=Decimal(5)),),
        )
        note, _ = await shop.push(credit)
        made = (bill, payment, expense, note)
        assert [one.state for one in made] == ["shadowed"] * 4, [one.reason for one in made]
        for path, one in (
            ("/bills/bills", bill),
            ("/expenses/expenses", expense),
            ("/credit_notes/credit_notes", note),
        ):
            seen = await shop.call("GET", f"{path}/{one.key}")
            assert document().misanswered(f"{path}/{one.key}", seen.body) == []
        assert len(sim.control.journal(method="POST", path="/accounting/*")) == before

        await bridge.shadows.promote(shadow.id)
        replayed = await bridge.shadows.replay(shadow.id)
        assert (replayed.sent, replayed.refused, replayed.unknown) == (5, 0, 0)
        bills = sim.control.objects("bills", account=books.account).values()
        assert ("45.20", "paid") in [
            (one["total_amount"]["amount"], one["status"]) for one in bills
        ]
