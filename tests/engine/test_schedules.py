"""Schedules of pulls as workers keep them: nearer with changes, further without, paused, off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest

from landbridge import Landbridge
from landbridge.app.kinds import Kinds
from landbridge.engine.orders import fetch_job
from landbridge.engine.pull import stream_of
from landbridge.errors import InvalidInput, NotFound
from landbridge.jobs import Lease, Outcome, Snooze
from landbridge.jobs.outcome import Ended
from landbridge.jobs.settling import settle_each
from landbridge.store import due, records, syncs
from landbridge.store.connections import Connection
from landbridge.store.database import Tx
from landbridge.store.due import Claimed
from landbridge.store.schedules import Schedule
from landbridge.store.sql import Sql
from landbridge.testing.control import Control
from landbridge.testing.stripe import KEY
from tests.engine.ailing import At
from tests.engine.test_pull import stripe, there

__all__ = ["stripe"]

SECONDS = timedelta(seconds=1)
WAITS = Sql(
    "tests.waits",
    """
    SELECT kind, repeat, extract(epoch FROM due_at - lb.now())::int AS seconds FROM lb.due
    WHERE key LIKE :key || '%' AND owner IS NULL ORDER BY kind
    """,
    across="A test looks at everything.",
)


@pytest.fixture
async def joined(bridge: Landbridge, stripe: Control) -> Connection:
    """Pulls of products alone are scheduled, 10 to 40 seconds apart."""
    connected = await bridge.connect(
        "stripe",
        tenant="acme",
        credentials={"key": KEY},
        settings={"base": stripe.url},
        every=timedelta(minutes=1),
    )
    await bridge.syncs.every(connected.connection, None)
    await bridge.syncs.every(connected.connection, 40 * SECONDS, resources=["product"])
    await bridge.syncs.every(
        connected.connection, 10 * SECONDS, 40 * SECONDS, resources=["product"]
    )
    return connected.connection


async def claimed(at: At) -> list[Claimed]:
    return await due.claim(
        await at("1 hour"),
        owner="w",
        lanes=["pull"],
        limit=99,
        per_shard=99,
        lease=timedelta(hours=2),
    )


async def work(bridge: Landbridge, at: At, kind: str = "pull") -> list[Outcome]:
    """Does once what is due an hour from now."""
    claims = await claimed(at)
    kinds = Kinds(bridge._open)
    paces = await kinds.paces([claim for claim in claims if claim.kind == "pull"])
    ended = []
    for claim in claims:
        run = kinds.pull if claim.kind == "pull" else kinds.fetch
        lease = Lease("w", claim)
        lease.loaded = paces.get(claim.id)
        ended.append(Ended(claim=claim, outcome=await run(claim, lease)))
    await settle_each(bridge.db, "w", ended)
    return [each.outcome for each in ended if each.claim.kind == kind]


async def products(bridge: Landbridge, connection: Connection) -> Schedule:
    found = await bridge.syncs.list(connection=connection.id)
    return next(each for each in found if each.resource == "product")


async def waits(bridge: Landbridge, connection: Connection, kind: str = "pull") -> list[int]:
    rows = await bridge.db.fetch(WAITS, key=f"{connection.id}/product")
    return [row["seconds"] for row in rows if row["kind"] == kind]


async def test_pulls_are_nearer_while_changes_come_and_further_while_it_is_quiet(
    bridge: Landbridge, stripe: Control, joined: Connection, at: At
) -> None:
    assert (await products(bridge, joined)).every == 40 * SECONDS
    paces = []
    for changes in (True, True, True, False, False, False, False):
        if changes:
            stripe.post("objects/products", name="New")
        assert len(await work(bridge, at)) == 1
        every = (await products(bridge, joined)).every
        assert every is not None
        paces.append(every.total_seconds())
        (wait,) = await waits(bridge, joined)
        assert wait == pytest.approx(every.total_seconds(), abs=5)
    assert paces == [20, 10, 10, 15, 22, 33, 40]


async def test_a_fixed_schedule_keeps_its_distance(
    bridge: Landbridge, stripe: Control, joined: Connection, at: At
) -> None:
    await bridge.syncs.every(joined, 30 * SECONDS, resources=["product"])
    for _ in range(2):
        stripe.post("objects/products", name="New")
        await work(bridge, at)
        assert (await products(bridge, joined)).every == 30 * SECONDS


async def test_a_pull_that_a_quota_refuses_is_put_off_and_comes_less_often(
    bridge: Landbridge, stripe: Control, joined: Connection, at: At
) -> None:
    await work(bridge, at)
    before = (await products(bridge, joined)).every
    assert before == 20 * SECONDS
    stripe.post("faults", kind="status", status=429, path="/v1/events", times=None)
    with pytest.raises(Exception, match=r"429|too many|slow|limit"):
        await work(bridge, at)
    assert (await products(bridge, joined)).every == 2 * before


async def test_nothing_is_read_of_what_is_paused_until_it_is_resumed(
    bridge: Landbridge, stripe: Control, joined: Connection, at: At
) -> None:
    stream = stream_of(joined, "product")
    assert await bridge.syncs.pause(joined, resources=["product"]) == ["product"]
    await due.put(bridge.db, [fetch_job(stream, "prod_x")])
    outcomes = [*await work(bridge, at), *await work(bridge, at, "fetch")]
    assert outcomes
    assert all(isinstance(each, Snooze) for each in outcomes)
    assert await records.read(bridge.db, stream) == []
    assert await waits(bridge, joined) != [0]
    assert await bridge.syncs.resume(joined) == ["product"]
    assert await waits(bridge, joined) == [0]
    assert await waits(bridge, joined, "fetch") == [0]
    await work(bridge, at)
    assert await records.read(bridge.db, stream)
    assert await bridge.syncs.resume(joined) == []


class PausedMeanwhile(Lease):
    """A lease in whose second page somebody pauses the stream."""

    __slots__ = ("pages", "pause")

    def __init__(self, claim: Claimed, pause: Callable[[], Awaitable[object]]):
        super().__init__("w", claim)
        self.pages = 0
        self.pause = pause

    async def hold(self, tx: Tx) -> None:
        await super().hold(tx)
        self.pages += 1
        if self.pages == 2:
            await self.pause()


async def test_a_pull_under_way_stops_at_a_pause_and_goes_on_later(
    bridge: Landbridge, stripe: Control, joined: Connection, at: At
) -> None:
    await bridge.syncs.every(joined, None)
    await bridge.syncs.every(joined, 10 * SECONDS, resources=["customer"])
    (claim,) = await claimed(at)
    lease = PausedMeanwhile(claim, partial(bridge.syncs.pause, joined, resources=["customer"]))
    kinds = Kinds(bridge._open)
    lease.loaded = (await kinds.paces([claim]))[claim.id]
    outcome = await kinds.pull(claim, lease)
    assert isinstance(outcome, Snooze)
    await settle_each(bridge.db, "w", [Ended(claim=claim, outcome=outcome)])
    stream = stream_of(joined, "customer")
    assert len(await records.read(bridge.db, stream, most=1000)) == 100
    (stopped,) = await syncs.runs(
        bridge.db, environment="test", tenant="acme", connection=joined.id
    )
    assert (stopped.state, stopped.seen) == ("cancelled", 100)
    await bridge.syncs.resume(joined)
    await work(bridge, at)
    held = await records.read(bridge.db, stream, most=1000)
    assert {each.key for each in held} == there(stripe, "customers")


async def test_off_takes_the_order_away_and_connecting_again_leaves_it_so(
    bridge: Landbridge, stripe: Control, joined: Connection
) -> None:
    await bridge.syncs.every(joined, None)
    assert await waits(bridge, joined) == []
    await bridge.connect(
        "stripe", tenant="acme", credentials={"key": KEY}, settings={"base": stripe.url}
    )
    assert await waits(bridge, joined) == []
    assert (await products(bridge, joined)).least is None


async def test_what_cannot_be_is_refused(
    bridge: Landbridge, stripe: Control, joined: Connection
) -> None:
    with pytest.raises(InvalidInput, match="the shortest is 10 s"):
        await bridge.connect(
            "stripe",
            tenant="other",
            credentials={"key": KEY},
            settings={"base": stripe.url},
            every=5 * SECONDS,
        )
    with pytest.raises(InvalidInput, match="the shortest is 10 s"):
        await bridge.syncs.every(joined, 5 * SECONDS)
    with pytest.raises(NotFound, match=r"does not pull 'prodct'\. Did you mean 'product'\?"):
        await bridge.syncs.pause(joined, resources=["prodct"])


async def test_lists_keep_to_their_tenant(bridge: Landbridge, joined: Connection) -> None:
    held = bridge.syncs
    assert {each.tenant for each in await held.list()} == {"acme"}
    assert await held.list(tenant="other") == []
    assert await held.list(environment="live") == []
    assert len(await held.list(limit=2)) == 2
