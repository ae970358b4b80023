"""Handing streams on: whole, then by number, and never less than what changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from landbridge.client import Client
from landbridge.engine.export import export, reaches
from landbridge.engine.pull import Puller, stream_of
from landbridge.errors import InvalidInput
from landbridge.store import changes, ordering
from landbridge.store.database import Database
from landbridge.store.syncs import Stream
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.testing.stripe import Amounts, Settings, Simulator
from landbridge.vault import Vault
from tests.engine.conftest import free
from tests.engine.test_pull import join, there

AMOUNTS = Amounts(
    customers=30, products=3, subscriptions=0, invoices=0, refunds=0, payment_intents=0
)


@pytest.fixture
def stripe() -> Iterator[Control]:
    with in_thread(Simulator(Settings(seed=7, amounts=AMOUNTS)).app) as url, Control(url) as sim:
        yield sim


class Shop:
    """A connection whose customers and products are pulled."""

    def __init__(self, db: Database, puller: Puller, stream: Stream, again: object):
        self.db, self.puller, self.stream, self.again = db, puller, stream, again

    async def pull(self) -> None:
        for name in ("customer", "product"):
            await self.puller.run(self.again, name, hold=free)  # type: ignore[arg-type]

    async def number(self) -> None:
        await ordering.sequence(self.db, limit=10_000)

    async def exported(self, since: int | None = None, **more: bool) -> tuple[list[str], int]:
        keys: list[str] = []
        last = -1
        async for batch in export(self.db, self.stream, since=since, **more):
            keys += [one.key for one in batch.records]
            last = batch.next
        return keys, last


@pytest.fixture
async def shop(db: Database, vault: Vault, client: Client, stripe: Control, puller: Puller) -> Shop:
    connection = (await join(db, vault, client, stripe.url)).connection
    made = Shop(db, puller, stream_of(connection, "customer"), connection)
    await made.pull()
    return made


async def test_whole_then_what_changed_then_nothing(shop: Shop, stripe: Control) -> None:
    await shop.number()
    every, first = await shop.exported()
    assert every == sorted(there(stripe, "customers"))
    assert await shop.exported(first) == ([], first)
    one, two, *_ = every
    stripe.patch(f"objects/customers/{one}", set={"name": "Other"})
    stripe.delete(f"objects/customers/{two}")
    product = min(there(stripe, "products"))
    stripe.patch(f"objects/products/{product}", set={"name": "Other"})
    await shop.pull()
    assert await shop.exported(first) == ([], first)  # not numbered yet
    await shop.number()
    keys, second = await shop.exported(first)
    assert keys == [one, two]
    foreign = replace(shop.stream, tenant="other")
    assert [batch.records async for batch in export(shop.db, foreign, since=first)] == [()]
    assert second > first + 2  # the product's change was passed over
    assert await shop.exported(second) == ([], second)
    assert two not in (await shop.exported())[0]
    assert two in (await shop.exported(deleted=True))[0]


async def test_what_is_numbered_while_a_whole_export_runs_comes_next_time(
    shop: Shop, stripe: Control
) -> None:
    """Changes of the first pull have no number yet when the export begins."""
    every, first = await shop.exported()
    assert first == 0
    await shop.number()
    keys, _ = await shop.exported(first)
    assert sorted(keys) == every


async def test_a_number_that_the_feed_has_forgotten_is_refused(shop: Shop, stripe: Control) -> None:
    await shop.number()
    _, first = await shop.exported()
    assert await reaches(shop.db, environment="test", since=first)
    one, two, *_ = there(stripe, "customers")
    for key in (one, two):
        stripe.patch(f"objects/customers/{key}", set={"name": "Other"})
        await shop.pull()
        await shop.number()
    last = await changes.last(shop.db, environment="test")
    async with shop.db.transaction() as tx:
        await tx.execute(f"DELETE FROM landbridge.change_order WHERE number < {last}")
    assert not await reaches(shop.db, environment="test", since=first)
    with pytest.raises(InvalidInput, match="does not reach back"):
        await shop.exported(first)
    stripe.delete(f"objects/customers/{one}")
    await shop.pull()
    everything, last_one = await shop.exported(first, anew=True)
    assert one in everything
    assert (len(everything), last_one) == (30, last)
    assert await shop.exported(last - 1) == ([two], last)


async def test_a_number_that_the_feed_has_not_come_to_is_refused(shop: Shop) -> None:
    """As after a restore: with it an export would have nothing, and later leave changes out."""
    await shop.number()
    every, last = await shop.exported()
    with pytest.raises(InvalidInput, match=f"is above the last number of the feed, {last}"):
        await shop.exported(last + 1)
    assert await shop.exported(last + 1, anew=True) == (every, last)
