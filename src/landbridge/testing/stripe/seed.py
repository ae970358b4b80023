"""Fills an account with varied objects that agree with each other.

Six currencies (JPY without decimals, KWD with three), invoices in every status, over nothing, with
more lines than an invoice shows, with taxes on top and inside, paid out of band, refunds in part
and in full, customers deleted after they paid. The same seed gives the same account, relative to
the moment it is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from landbridge.errors import SettingsError
from landbridge.testing.stripe import seed_catalog, seed_checkout, seed_invoices
from landbridge.testing.stripe.seed_ground import Ground
from landbridge.testing.stripe.world import World

_PRICED = 2


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How many objects to begin with; charges and payments follow from the invoices."""

    customers: int = 60
    products: int = 8
    subscriptions: int = 25
    invoices: int = 120
    refunds: int = 12
    payment_intents: int = 12
    checkouts: int = 6
    disputes: int = 3
    payouts: int = 4

    def __post_init__(self) -> None:
        if self.customers == 0 and (self.invoices or self.subscriptions):
            raise SettingsError("customers: 0, but invoices and subscriptions need some")
        if self.products < _PRICED and (self.invoices or self.subscriptions):
            raise SettingsError(
                f"products: {self.products}, but invoices and subscriptions need {_PRICED}:"
                " one that is paid once and one that recurs"
            )


def fill(world: World, amounts: Amounts) -> None:
    """Makes the objects and, for what is younger than 30 days, their events."""
    ground = Ground(world)
    seed_catalog.tax_rates(ground)
    seed_catalog.products(ground, amounts.products)
    seed_catalog.customers(ground, amounts.customers)
    seed_catalog.subscriptions(ground, amounts.subscriptions)
    seed_invoices.invoices(ground, amounts.invoices)
    seed_invoices.refunds(ground, amounts.refunds)
    seed_invoices.intents(ground, amounts.payment_intents)
    seed_invoices.departed(ground, -(-amounts.customers // 60))
    seed_checkout.sessions(ground, amounts.checkouts)
    seed_checkout.disputes(ground, amounts.disputes)
    seed_checkout.payouts(ground, amounts.payouts)
    ground.events()
