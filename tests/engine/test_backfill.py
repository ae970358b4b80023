"""Loads beside pulls: whole or by a range, resumable; nothing is taken away before their end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from landbridge import Landbridge
from landbridge.client import Client
from landbridge.engine.backfill import Backfilling
from landbridge.engine.connect import base_of
from landbridge.engine.pull import stream_of
from landbridge.errors import InvalidInput, NotFound
from landbridge.jobs import Cancel, Done, Lease, Outcome, Retry, Snooze
from landbridge.jobs.outcome import Ended
from landbridge.jobs.settling import settle_each
from landbridge.store import due, parked, records, syncs
from landbridge.store.backfills import Backfill
from landbridge.store.connections import Connection
from landbridge.store.database import Tx
from landbridge.store.due import Claimed
from landbridge.store.sql import Sql
from landbridge.testing.control import Control
from landbridge.testing.stripe import KEY
from tests.engine.test_pull import stripe, there

__all__ = ["stripe"]

ALL = "A test looks at everything."
FETCHES = Sql("tests.fetches", "SELECT key FROM lb.due WHERE kind = 'fetch'", across=ALL)
TOLD = Sql("tests.told", "SELECT type, payload FROM lb.emitted", across=ALL)
NOTES = Sql("tests.notes", "SELECT count(*) FROM lb.seen", across=ALL)


@pytest.fixture
async def joined(bridge: Landbridge, stripe: Control) -> Connection:
    """Its customers are pulled."""
    connected = await bridge.connect(
        "stripe", tenant="acme", credentials={"key": KEY}, settings={"base": stripe.url}, every=None
    )
    await bridge.pull(connected.connection, ["customer"])
    return connected.connection


class Interrupted(Lease):
    """A lease in whose second page something happens."""

    __slots__ = ("meanwhile", "pages")

    def __init__(self, claim: Claimed, meanwhile: Callable[[], Awaitable[object]] | None):
        super().__init__("w", claim)
        self.pages = 0
        self.meanwhile = meanwhile

    async def hold(self, tx: Tx) -> None:
        await super().hold(tx)
        self.pages += 1
        if self.pages == 2 and self.meanwhile is not None:
            await self.meanwhile()


async def work(
    bridge: Landbridge,
    meanwhile: Callable[[], Awaitable[object]] | None = None,
    *,
    by: Backfilling | None = None,
) -> Outcome:
    claims = await due.claim(
        bridge.db, owner="w", lanes=["pull"], limit=99, per_shard=99, lease=timedelta(minutes=9)
    )
    (claim,) = [each for each in claims if each.kind == "backfill"]
    outcome = await (by or bridge._open.backfilling).work(claim, Interrupted(claim, meanwhile))
    if isinstance(outcome, Retry):  # its time has come
        await settle_each(bridge.db, "w", [Ended(claim=claim, outcome=Snooze())])
        return outcome
    await settle_each(bridge.db, "w", [Ended(claim=claim, outcome=outcome)])
    return outcome


Patient = Callable[[timedelta], Awaitable[Outcome]]


@pytest.fixture
async def patient(bridge: Landbridge) -> AsyncIterator[Patient]:
    """Loads with so much patience, by a client that tries a call once."""
    parts = bridge._open
    client = Client(parts.db, parts.vault, parts.guard, clock=parts.clock, attempts=1)

    async def loads(patience: timedelta) -> Outcome:
        made = Backfilling(
            parts.db,
            client,
            provider=parts.provider,
            base=lambda page, connection: base_of(page, connection.settings),
            clock=parts.clock,
            patience=patience,
            chance=lambda: 1.0,
        )
        return await work(bridge, by=made)

    yield loads
    await client.close()


async def load_of(bridge: Landbridge, connection: Connection) -> Backfill:
    return (await bridge.syncs.backfills(connection))["customer"]


async def held(bridge: Landbridge, connection: Connection) -> set[str]:
    stream = stream_of(connection, "customer")
    return {each.key for each in await records.read(bridge.db, stream, most=1000)}


async def test_a_load_repairs_what_is_here_and_leaves_the_cursor_alone(
    bridge: Landbridge, stripe: Control, joined: Connection
) -> None:
    stream = stream_of(joined, "customer")
    lost, changed, *_ = sorted(there(stripe, "customers"))
    stripe.patch(f"objects/customers/{changed}", set={"name": "Ada"}, event=False)
    stripe.delete(f"objects/customers/{lost}", event="false")
    await bridge.pull(joined, ["customer"])
    assert lost in await held(bridge, joined), "no event told of it"
    cursor = await syncs.cursor(bridge.db, stream)
    assert await bridge.syncs.backfill(joined, resources=["customer"]) == ["customer"]
    assert (await load_of(bridge, joined)).state == "running"
    assert isinstance(await work(bridge), Done)
    done = await load_of(bridge, joined)
    assert (done.state, done.generation, done.cursor) == ("done", 1, None)
    assert (done.seen, done.changed) == (len(there(stripe, "customers")), 1)
    assert await syncs.cursor(bridge.db, stream) == cursor
    (fetch,) = await bridge.db.fetch(FETCHES)
    assert fetch["key"].endswith(lost), "what was not met is asked for by itself"
    assert lost in await held(bridge, joined)
    assert await bridge.db.value(NOTES) == 0


async def test_one_that_fails_takes_nothing_away_and_goes_on_from_its_last_page(
    bridge: Landbridge, stripe: Control, joined: Connection
) -> None:
    before = await held(bridge, joined)
    await bridge.syncs.backfill(joined, resources=["customer"])
    stripe.post("faults", kind="status", status=400, path="/v1/customers*", times=None, skip=1)
    outcome = await work(bridge)
    assert isinstance(outcome, Cancel)
    failed = await load_of(bridge, joined)
    assert (failed.state, failed.pages, failed.seen) == ("failed", 1, 100)
    assert failed.reason == outcome.reason
    assert await held(bridge, joined) == before
    assert await bridge.db.fetch(FETCHES) == []
    stripe.delete("faults")
    await bridge.syncs.backfill(joined, resources=["customer"], resume=True)
    assert isinstance(await work(bridge), Done)
    done = await load_of(bridge, joined)
    assert (done.state, done.generation, done.reason) == ("done", 1, "")
    assert done.seen == len(there(stripe, "customers"))
    assert await held(bridge, joined) == before
    assert await bridge.db.fetch(FETCHES) == []


async def test_what_may_pass_is_waited_for_longer_each_time_and_a_page_starts_anew(
    bridge: Landbridge, stripe: Control, joined: Connection, patient: Patient
) -> None:
    await bridge.syncs.backfill(joined, resources=["customer"])
    stripe.post("faults", kind="status", status=503, path="/v1/customers*", times=None)
    waits = []
    for tries in range(1, 5):
        outcome = await patient(timedelta(days=1))
        assert isinstance(outcome, Retry)
        assert outcome.after is not None
        waits.append(outcome.after)
        load = await load_of(bridge, joined)
        assert (load.state, load.tries, load.pages) == ("running", tries, 0)
        assert f"{tries} tries since " in load.reason
        assert load.failing_since is not None
    assert waits == sorted(set(waits))
    stripe.delete("faults")
    stripe.post("faults", kind="status", status=503, path="/v1/customers*", times=None, skip=1)
    await patient(timedelta(days=1))
    load = await load_of(bridge, joined)
    assert (load.pages, load.tries) == (1, 1), "a page came in between"
    stripe.delete("faults")
    assert isinstance(await patient(timedelta(days=1)), Done)
    load = await load_of(bridge, joined)
    assert (load.state, load.tries, load.failing_since, load.reason) == ("done", 0, None, "")


async def test_a_load_that_waited_for_too_long_fails_and_goes_on_from_its_last_page(
    bridge: Landbridge, stripe: Control, joined: Connection, patient: Patient
) -> None:
    await bridge.syncs.backfill(joined, resources=["customer"])
    stripe.post("faults", kind="status", status=503, path="/v1/customers*", times=None, skip=1)
    assert isinstance(await patient(timedelta(days=1)), Retry)
    outcome = await patient(timedelta())
    assert isinstance(outcome, Cancel)
    failed = await load_of(bridge, joined)
    assert (failed.state, failed.pages, failed.tries) == ("failed", 1, 2)
    assert failed.reason == outcome.reason
    assert "given up after 2 tries since " in failed.reason
    assert failed.cursor is not None
    told = await bridge.db.fetch(TOLD)
    (data,) = [
        json.loads(row["payload"])["data"] for row in told if row["type"] == "backfill.failed"
    ]
    assert (data["connection"], data["resource"]) == (joined.id, "customer")
    assert data["reason"] == failed.reason
    stripe.delete("faults")
    await bridge.syncs.backfill(joined, resources=["customer"], resume=True)
    again = await load_of(bridge, joined)
    assert (again.state, again.tries, again.failing_since) == ("running", 0, None)
    assert isinstance(await patient(timedelta()), Done)
    done = await load_of(bridge, joined)
    assert (done.state, done.seen) == ("done", len(there(stripe, "customers")))


async def test_an_empty_answer_clears_nothing_and_asks_a_person(
    bridge: Landbridge, stripe: Control, joined: Connection
) -> None:
    before = await held(bridge, joined)
    stripe.post("faults", kind="empty", path="/v1/customers*", times=None)
    await bridge.syncs.backfill(joined, resources=["customer"])
    await work(bridge)
    assert (await load_of(bridge, joined)).state == "done"
    assert await held(bridge, joined) == before
    (stop,) = await parked.every(bridge.db, environment="test", what="listing")
    assert "are missing from a full listing" in stop.reason


async def test_a_range_loads_what_was_made_in_it_and_misses_nothing_else(
    bridge: Landbridge, stripe: Control, joined: Connection
) -> None:
    then = datetime.now(UTC) - timedelta(days=1000)
    for offset in (-1, 0, 59, 60):
        at = int((then + timedelta(seconds=offset)).timestamp())
        stripe.post(f"objects/customers?created={at}", name=f"At {offset}")
    until = then + timedelta(seconds=60)
    await bridge.syncs.backfill(joined, resources=["customer"], since=then, until=until)
    assert isinstance(await work(bridge), Done)
    done = await load_of(bridge, joined)
    assert (done.state, done.seen) == ("done", 2)
    stream = stream_of(joined, "customer")
    stored = await records.read(bridge.db, stream, most=1000)
    names = {(each.unified or {}).get("name") for each in stored}
    assert {"At 0", "At 59"} <= names
    assert not {"At -1", "At 60"} & names
    assert await bridge.db.fetch(FETCHES) == []


async def test_a_cancelled_one_stores_no_page_more_and_a_new_one_is_the_next_generation(
    bridge: Landbridge, joined: Connection
) -> None:
    await bridge.syncs.backfill(joined, resources=["customer"])
    await bridge.syncs.backfill(joined, resources=["customer"])  # goes on

    async def cancel() -> None:
        assert await bridge.syncs.cancel(joined) == ["customer"]

    assert isinstance(await work(bridge, cancel), Cancel)
    load = await load_of(bridge, joined)
    assert (load.generation, load.state, load.pages) == (1, "cancelled", 1)
    assert await bridge.syncs.cancel(joined) == []
    await bridge.syncs.backfill(joined, resources=["customer"])
    assert (await load_of(bridge, joined)).generation == 2
    assert isinstance(await work(bridge), Done)


async def test_schedules_and_loads_may_be_ordered_while_a_page_is_stored(
    bridge: Landbridge, joined: Connection
) -> None:
    await bridge.syncs.backfill(joined, resources=["customer"])
    asked: list[asyncio.Task[object]] = []

    async def ask() -> None:
        names = ["customer"]
        await bridge.syncs.cancel(joined)
        every = bridge.syncs.every(joined, timedelta(minutes=1), resources=names)
        asked.append(asyncio.create_task(bridge.syncs.backfill(joined, resources=names)))
        asked.append(asyncio.create_task(every))
        await asyncio.sleep(0.2)  # they wait for what the page has locked

    assert isinstance(await work(bridge, ask), Cancel)
    await asyncio.gather(*asked)
    assert (await load_of(bridge, joined)).generation == 2
    assert isinstance(await work(bridge), Done)


async def test_one_that_is_paused_waits_and_goes_on(bridge: Landbridge, joined: Connection) -> None:
    await bridge.syncs.backfill(joined, resources=["customer"])

    async def pause() -> None:
        await bridge.syncs.pause(joined, resources=["customer"])

    assert isinstance(await work(bridge, pause), Snooze)
    assert (await load_of(bridge, joined)).pages == 1
    await bridge.syncs.resume(joined)
    assert isinstance(await work(bridge), Done)
    assert (await load_of(bridge, joined)).state == "done"


async def test_what_cannot_be_loaded_is_refused(bridge: Landbridge, joined: Connection) -> None:
    now = datetime.now(UTC)
    syncs = bridge.syncs
    with pytest.raises(InvalidInput, match="ends before it begins"):
        await syncs.backfill(joined, resources=["customer"], since=now, until=now)
    with pytest.raises(InvalidInput, match="without a zone"):
        await syncs.backfill(joined, resources=["customer"], since=now.replace(tzinfo=None))
    with pytest.raises(NotFound, match="no load of customer was stopped"):
        await syncs.backfill(joined, resources=["customer"], resume=True)
    with pytest.raises(InvalidInput, match="keeps its own"):
        await syncs.backfill(joined, resources=["customer"], since=now, resume=True)
    with pytest.raises(NotFound, match="does not pull 'custmer'"):
        await syncs.backfill(joined, resources=["custmer"])
