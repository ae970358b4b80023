"""Deletions of which nothing tells are found by turns, within a number of calls a day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from landbridge import Landbridge
from landbridge.engine.pull import stream_of
from landbridge.engine.sweep import Sweeper
from landbridge.jobs import Cancel, Done, Lease, Outcome, Snooze
from landbridge.jobs.outcome import Ended
from landbridge.jobs.settling import settle_each
from landbridge.providers import get
from landbridge.spec import EventFeed, Provider, Sweep, capabilities
from landbridge.store import due, records
from landbridge.store.connections import Connection
from landbridge.store.database import Tx
from landbridge.store.sql import Sql
from landbridge.store.sweeps import Sweeping
from landbridge.testing.control import Control
from landbridge.testing.stripe import KEY
from landbridge.vault import new_key
from tests.engine.test_pull import stripe, there

__all__ = ["stripe"]

ALL = "A test looks at everything."
HOUR = Sql("tests.hour", "UPDATE lb.sync SET sweep = sweep - 'stepped_at'", across=ALL)
DUE = Sql("tests.due_sweeps", "UPDATE lb.due SET due_at = lb.now() WHERE kind = :kind", across=ALL)
ORDERS = Sql("tests.orders", "SELECT repeat FROM lb.due WHERE kind = 'sweep'", across=ALL)
NOTES = Sql("tests.sweep_notes", "SELECT count(*) FROM lb.seen", across=ALL)


def page(calls: int = 48) -> Provider:
    """Stripe, if it told nothing of deleted customers."""
    found = get("stripe")
    customer = found.resource("customer")
    assert isinstance(customer.since, EventFeed)
    swept = replace(customer, deletes=(), sweep=Sweep(calls=calls))
    others = [each for each in found.resources if each.name != "customer"]
    return replace(found, resources=[swept, *others])


@pytest.fixture
async def bridge(database_url: str) -> AsyncIterator[Landbridge]:
    made = Landbridge.from_env(
        database_url=database_url,
        key=new_key(),
        allow_networks="127.0.0.0/8",
        providers=[page()],
    )
    async with made:
        yield made


@pytest.fixture
async def joined(bridge: Landbridge, stripe: Control) -> Connection:
    """Its customers, on three pages, are pulled."""
    connected = await bridge.connect(
        "stripe", tenant="acme", credentials={"key": KEY}, settings={"base": stripe.url}, every=None
    )
    await bridge.pull(connected.connection, ["customer"])
    return connected.connection


class Dying(Lease):
    """A lease whose holder dies in its second page."""

    __slots__ = ("pages",)

    def __init__(self, claim: due.Claimed):
        super().__init__("w", claim)
        self.pages = 0

    async def hold(self, tx: Tx) -> None:
        await super().hold(tx)
        self.pages += 1
        if self.pages > 1:
            raise KeyboardInterrupt


async def claimed(bridge: Landbridge) -> due.Claimed:
    await bridge.db.run(DUE, kind="sweep")
    claims = await due.claim(
        bridge.db, owner="w", lanes=["pull"], limit=99, per_shard=99, lease=timedelta(minutes=9)
    )
    (claim,) = [each for each in claims if each.kind == "sweep"]
    return claim


async def step(bridge: Landbridge) -> Outcome:
    """A step of the sweep, an hour later, and the look-ups that it ordered."""
    await bridge.db.run(HOUR)
    claim = await claimed(bridge)
    outcome = await bridge._open.sweeper.work(claim, Lease("w", claim))
    await settle_each(bridge.db, "w", [Ended(claim=claim, outcome=outcome)])
    await look_up(bridge)
    return outcome


async def look_up(bridge: Landbridge) -> None:
    claims = await due.claim(
        bridge.db, owner="l", lanes=["pull"], limit=99, per_shard=99, lease=timedelta(minutes=9)
    )
    for claim in (each for each in claims if each.kind == "fetch"):
        found = await bridge.connection(claim.target or "")
        await bridge._open.puller.one(
            found, claim.args["resource"], claim.args["key"], hold=Lease("l", claim).hold
        )
        await due.settle(bridge.db, "l", done=[claim])


async def held(bridge: Landbridge, joined: Connection) -> set[str]:
    found = await records.read(bridge.db, stream_of(joined, "customer"), most=1000)
    return {each.key for each in found}


async def sweep(bridge: Landbridge, joined: Connection) -> Sweeping:
    return (await bridge.syncs.sweeps(joined))["customer"]


async def test_a_deletion_is_suspect_then_confirmed_then_done(
    bridge: Landbridge, joined: Connection, stripe: Control
) -> None:
    assert [row["repeat"] for row in await bridge.db.fetch(ORDERS)] == ["every 3600s"]
    gone = min(there(stripe, "customers"))
    stripe.delete(f"objects/customers/{gone}", event="false")
    await step(bridge)
    first = await sweep(bridge, joined)
    assert (first.calls, first.credit, first.turned_at) == (2, 0, None)
    await step(bridge)
    second = await sweep(bridge, joined)
    assert (second.missed, second.cursor) == (1, None)
    assert gone in await held(bridge, joined)
    await step(bridge)
    await step(bridge)
    assert await held(bridge, joined) == there(stripe, "customers")
    await step(bridge)
    await step(bridge)
    assert (await sweep(bridge, joined)).missed == 0
    assert await bridge.db.value(NOTES) == 0


async def test_a_worker_that_died_has_not_its_calls_over_again(
    bridge: Landbridge, joined: Connection
) -> None:
    await bridge.db.run(HOUR)
    claim = await claimed(bridge)
    with pytest.raises(KeyboardInterrupt):
        await bridge._open.sweeper.work(claim, Dying(claim))
    assert (await sweep(bridge, joined)).credit == 1
    await bridge._open.sweeper.work(claim, Lease("w", claim))
    done = await sweep(bridge, joined)
    assert (done.calls, done.credit) == (2, 0)
    await bridge._open.sweeper.work(claim, Lease("w", claim))
    assert await sweep(bridge, joined) == done


async def test_nothing_is_swept_before_the_first_pull_or_in_a_pause(
    bridge: Landbridge, joined: Connection
) -> None:
    await bridge.syncs.pause(joined, resources=["customer"])
    assert isinstance(await step(bridge), Snooze)
    await bridge.syncs.resume(joined, resources=["customer"])
    async with bridge.db.transaction() as tx:
        await tx.execute("UPDATE landbridge.sync SET cursor = NULL")
    assert isinstance(await step(bridge), Done)
    assert await bridge.syncs.sweeps(joined) == {}


async def test_a_connection_is_swept_from_its_next_pull_on_when_its_page_begins_to_say_so(
    bridge: Landbridge, joined: Connection
) -> None:
    customer = page().resource("customer")
    cancelled = {"tenant": "acme", "kind": "sweep", "key": f"{joined.id}/customer"}
    await due.cancel(bridge.db, environment="test", **cancelled)
    await bridge._open.sweeper.order(joined, replace(customer, sweep=None))
    assert await bridge.db.fetch(ORDERS) == []
    await bridge._open.sweeper.order(joined, customer)
    assert [row["repeat"] for row in await bridge.db.fetch(ORDERS)] == ["every 3600s"]
    await step(bridge)
    await due.cancel(bridge.db, environment="test", **cancelled)
    await bridge._open.sweeper.order(joined, customer)
    assert await bridge.db.fetch(ORDERS) == []


async def test_a_page_without_a_sweep_ends_it(bridge: Landbridge, joined: Connection) -> None:
    parts = bridge._open
    claim = await claimed(bridge)
    bare = Sweeper(parts.db, parts.client, provider=get, base=lambda *_: "", clock=parts.clock)
    assert isinstance(await bare.work(claim, Lease("w", claim)), Cancel)


def test_the_table_of_capabilities_shows_it() -> None:
    (line,) = [each for each in capabilities(page()) if each.resource == "customer"]
    assert line.deletes == "sweep"
