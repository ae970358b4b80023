"""A shadow of Square: nothing is written there, and what was kept can be sent later."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from landbridge.models.payments import Customer, Invoice, InvoiceLine, InvoiceStatus, Refund
from landbridge.store import shadow_calls
from landbridge.testing.pytest_plugin import SquareSimulator
from tests.engine.shading import Counted, Shop
from tests.providers.test_square_bridge import sim
from tests.providers.through import connected
from tests.specs.square.document import square as document
from tests.web.serving import serving

__all__ = ["sim"]


async def test_writes_to_square_are_answered_and_sent_later(
    database_url: str,
    sim: SquareSimulator,
) -> None:
    async with serving(database_url, None) as (bridge, _):
        writes = ["customer", "refund", "invoice"]
        (connection,) = (await connected(bridge, "square", sim, writes=writes)).values()
        await bridge.pull(connection, ["customer", "refund", "invoice"])
        shop = Shop(bridge=bridge, connection=connection, door=Counted(sim.simulator.app))
        shadow = await bridge.shadow(connection)
        there = set(sim.control.objects("customer"))
        made, _ = await shop.push(Customer(name="Ada Lovelace", email="ada@example.com"))
        assert made.state == "shadowed", made.reason
        seen = await shop.call("GET", f"/v2/customers/{made.key}")
        path = "/v2/customers/{customer_id}"
        assert document().misanswered("GET", path, 200, seen.body) == []
        assert seen.json()["customer"]["given_name"] == "Ada"
        assert "idempotency_key" not in seen.json()["customer"]
        payment = next(
            key
            for key, one in sim.control.objects("payment").items()
            if one["status"] == "COMPLETED" and "refunded_money" not in one
        )
        back, _ = await shop.push(Refund(payment=payment, currency="USD", amount=7))
        assert back.state == "shadowed", back.reason
        line = InvoiceLine(description="Tea", amount=0, quantity=Decimal(1), unit_price=Decimal(9))
        bill = Invoice(
            customer=made.key,
            status=InvoiceStatus.DRAFT,
            currency="USD",
            due_on=date(2030, 1, 24),
            lines=(line,),
        )
        drawn, _ = await shop.push(bill)
        assert drawn.state == "shadowed", drawn.reason
        bills = set(sim.control.objects("invoice"))
        assert set(sim.control.objects("customer")) == there
        assert "refunded_money" not in sim.control.objects("payment")[payment]
        kept = await shadow_calls.page(bridge.db, environment="test", shadow=shadow.id)
        assert [each.resource for each in kept] == ["customer", "refund", "order", "invoice"]
        await bridge.shadows.promote(shadow.id)
        replayed = await bridge.shadows.replay(shadow.id)
        assert (replayed.sent, replayed.refused, replayed.unknown) == (4, 0, 0)
        (fresh,) = set(sim.control.objects("customer")) - there
        assert sim.control.objects("customer")[fresh]["family_name"] == "Lovelace"
        money = {"amount": 7, "currency": "USD"}
        assert sim.control.objects("payment")[payment]["refunded_money"] == money
        (drafted,) = set(sim.control.objects("invoice")) - bills
        theirs = sim.control.objects("invoice")[drafted]
        assert theirs["primary_recipient"]["customer_id"] == fresh
        assert sim.control.objects("order")[theirs["order_id"]]["total_money"]["amount"] == 900
