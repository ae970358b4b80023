"""What a document says and a provider is not told: refused before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from landbridge import Landbridge
from landbridge.errors import InvalidInput, PostedOtherwise, Refused
from landbridge.models.payments import (
    Checkout,
    CheckoutLine,
    CheckoutMode,
    Collection,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Payment,
    Refund,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from landbridge.store.connections import Connection
from landbridge.testing.pytest_plugin import PayPalSimulator, SquareSimulator, StripeSimulator
from tests.providers import test_paypal_bridge as at_paypal
from tests.providers.through import connected
from tests.web.serving import serving

LINE = InvoiceLine(description="Advice", quantity=Decimal(2), unit_price=Decimal("99.95"))
BILL = Invoice(
    customer="ada@example.com", status=InvoiceStatus.DRAFT, currency="USD", lines=(LINE,)
)
MUG = CheckoutLine(name="Mug", unit_price=Decimal("12.50"), quantity=Decimal(2))
PAGE = Checkout(currency="USD", lines=(MUG,), success_url="https://shop.example/thanks")


@dataclass(frozen=True)
class Written:
    """How often something was written since."""

    sim: StripeSimulator | PayPalSimulator | SquareSimulator
    before: int

    @property
    def count(self) -> int:
        asked = self.sim.control.journal(after=self.before)
        return sum(one["method"] != "GET" and "oauth" not in one["path"] for one in asked)


def since(sim: Any) -> Written:
    return Written(sim, len(sim.control.journal()))


async def stripe(bridge: Landbridge, sim: StripeSimulator) -> Connection:
    made = await bridge.connect(
        "stripe",
        tenant="acme",
        credentials={"key": sim.key},
        settings={"base": sim.url},
        every=None,
    )
    return made.connection


async def test_a_refund_is_in_the_currency_of_its_payment(
    database_url: str, stripe_simulator: StripeSimulator
) -> None:
    sim = stripe_simulator
    charges = [
        one
        for one in sim.control.objects("charges").values()
        if one["captured"] and not one["amount_refunded"] and one["payment_intent"]
    ]
    async with serving(database_url, None) as (bridge, _):
        connection = await stripe(bridge, sim)
        api = bridge.api(connection)
        asked = Refund(payment=charges[0]["payment_intent"], currency="CHF", amount=1)
        # Nothing is known of the payment: Stripe takes no currency, and the answer tells.
        with pytest.raises(PostedOtherwise, match="CHF was asked for, and it was posted in"):
            await api.create(asked)
        await bridge.pull(connection, ["payment_intent"])
        told = since(sim)
        with pytest.raises(Refused, match=r"the payment_intent of `payment` is in .*, not in CHF"):
            await api.create(asked)
        assert "currency" in (await api.preview(asked)).problems
        assert told.count == 0
        (payment,) = [
            one
            async for one in api.records(Payment, resource="payment_intent")
            if one.id == asked.payment
        ]
        done = await api.create(replace(asked, currency=payment.currency.lower()))
        assert done.currency == payment.currency


async def test_a_status_that_no_call_leads_to_is_refused(
    database_url: str, stripe_simulator: StripeSimulator
) -> None:
    async with serving(database_url, None) as (bridge, _):
        connection = await stripe(bridge, stripe_simulator)
        await bridge.pull(connection, ["invoice", "subscription"])
        api = bridge.api(connection)
        invoice = next(
            [
                one async for one in api.records(Invoice) if one.status is InvoiceStatus.OPEN
            ].__iter__()
        )
        told = since(stripe_simulator)
        with pytest.raises(Refused) as caught:
            await api.update(replace(invoice, status=InvoiceStatus.PAID))
        assert caught.value.problems == {
            "status": "no call makes it 'paid' at Stripe, where it is 'open': leave it so, or write"
            " status: open, void, uncollectible"
        }
        running = next(
            [
                one
                async for one in api.records(Subscription)
                if one.status is SubscriptionStatus.ACTIVE
            ].__iter__()
        )
        with pytest.raises(Refused, match="no call makes it 'paused' at Stripe"):
            await api.update(replace(running, status=SubscriptionStatus.PAUSED))
        assert told.count == 0


async def test_paypal_is_told_all_or_nothing(
    database_url: str, paypal_simulator: PayPalSimulator
) -> None:
    sim = paypal_simulator
    async with serving(database_url, None) as (bridge, _):
        api = bridge.api(await at_paypal.connected(bridge, sim))
        told = since(sim)
        with pytest.raises(
            Refused, match="says 'subscription', and each order of PayPal is 'payment'"
        ):
            await api.create(replace(PAGE, mode=CheckoutMode.SUBSCRIPTION))
        with pytest.raises(Refused, match="says 'automatic', and each invoice of PayPal is 'sent'"):
            await api.create(replace(BILL, collection=Collection.AUTOMATIC))
        free = CheckoutLine(name="Saucer", quantity=Decimal(1))
        with pytest.raises(Refused, match="lines: at PayPal each has a name and a unit_price"):
            await api.create(replace(PAGE, lines=(MUG, free)))
        for wrong in (replace(BILL, customer="PAYER7"), replace(BILL, customer="nobody")):
            with pytest.raises(Refused, match="customer: PayPal is told the e-mail address"):
                await api.create(wrong)
        with pytest.raises(Refused, match="payment: missing; give the id of the capture"):
            await api.create(Refund(currency="USD", amount=1))
        assert told.count == 0
        made = await api.create(replace(BILL, due_on=date(2030, 1, 24)))
        assert made.due_on == date(2030, 1, 24)
        term = at_paypal.remote(sim, "invoice")[str(made.id)]["detail"]["payment_term"]
        assert term == {"term_type": "DUE_ON_DATE_SPECIFIED", "due_date": "2030-01-24"}
        later = await api.update(replace(made, due_on=date(2030, 2, 24)))
        assert later.due_on == date(2030, 2, 24)
    assert at_paypal.misspoken(sim) == []


async def test_square_bills_no_less_than_was_ordered(
    database_url: str, square_simulator: SquareSimulator
) -> None:
    sim = square_simulator
    async with serving(database_url, None) as (bridge, _):
        writes = ["subscription", "payment_link"]
        (connection,) = (await connected(bridge, "square", sim, writes=writes)).values()
        await bridge.pull(connection, ["subscription", "subscription_plan_variation"])
        api = bridge.api(connection)
        told = since(sim)
        running = next(
            [
                one
                async for one in api.records(Subscription)
                if one.status is SubscriptionStatus.ACTIVE
            ].__iter__()
        )
        seats = SubscriptionItem(price=running.items[0].price, quantity=Decimal(2))
        new = Subscription(
            customer=running.customer, status=SubscriptionStatus.ACTIVE, items=(seats,)
        )
        with pytest.raises(Refused, match=r"items\.quantity: Square subscribes to one"):
            await api.create(new)
        with pytest.raises(Refused, match="makes no payment_link with 'subscription'"):
            await api.create(replace(PAGE, mode=CheckoutMode.SUBSCRIPTION))
        with pytest.raises(Refused, match="or write cancels_at_period_end: True"):
            await api.update(replace(running, status=SubscriptionStatus.CANCELED))
        assert told.count == 0
        one = await api.create(replace(new, items=(replace(seats, quantity=Decimal(1)),)))
        assert one.items[0].price == seats.price


async def test_a_value_of_another_type_is_named(
    database_url: str, stripe_simulator: StripeSimulator
) -> None:
    async with serving(database_url, None) as (bridge, _):
        api = bridge.api(await stripe(bridge, stripe_simulator))
        wrong: Any = "tomorrow"
        with pytest.raises(InvalidInput, match=r"payments\.invoice: due_on: Invalid"):
            await api.create(replace(BILL, due_on=wrong))
        with pytest.raises(InvalidInput, match=r"invoice: lines\[0\]\.amount: Expected `int"):
            await api.create(replace(BILL, lines=(replace(LINE, amount=wrong),)))
        with pytest.raises(InvalidInput, match=r"payments\.invoice: .*object"):
            await api.preview(replace(BILL, number=object()))
        with pytest.raises(
            InvalidInput, match="document: expected a model such as Invoice, found text"
        ):
            await api.create(wrong)
