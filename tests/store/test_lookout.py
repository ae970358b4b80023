"""A claimer that knows how far it has looked: it finds all, and passes over what is dead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from landbridge.store import due, due_sql
from landbridge.store.database import Database, Tx
from landbridge.store.due import Job
from landbridge.store.lookout import Lookout
from landbridge.store.sql import Sql
from tests.store.databases import SCHEMA

LEASE = timedelta(minutes=5)


class Stopwatch:
    """A monotonic time that goes on by a step at each look at it."""

    def __init__(self, step: float = 1.0):
        self.at = 0.0
        self.step = step

    def __call__(self) -> float:
        self.at += self.step
        return self.at


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = await Database.open(database_url, budget=3)
    yield db
    await db.close()


def _job(tenant: str = "acme", lane: str = "push", **more: Any) -> Job:
    return Job(environment="test", tenant=tenant, lane=lane, kind="work", **more)


async def _claim(db: Database, lookout: Lookout, limit: int = 100, *lanes: str) -> int:
    claims = await due.claim(
        db,
        owner="one",
        lanes=lanes or ("push",),
        limit=limit,
        per_shard=max(1, limit // 8),
        lease=LEASE,
        lookout=lookout,
    )
    return len(claims)


async def test_what_is_due_later_is_found_by_looks_that_begin_later(db: Database) -> None:
    lookout = Lookout(monotonic=Stopwatch())
    await due.put(db, [_job(f"tenant {number}") for number in range(30)])
    assert await _claim(db, lookout) == 30
    for _ in range(3):
        await due.put(db, [_job(f"tenant {number}") for number in range(30)])
        assert await due.ready(db, ["push", "pull"], lookout) == {"push"}
        assert await _claim(db, lookout) == 30
    assert await due.ready(db, ["push", "pull"], lookout) == set()


async def test_a_backlog_is_claimed_to_its_end(db: Database) -> None:
    lookout = Lookout(monotonic=Stopwatch())
    jobs = [
        _job(f"tenant {number % 7}", lane="pull" if number % 3 else "push") for number in range(500)
    ]
    await due.put(db, jobs)
    await due.put(db, [_job("busy") for _ in range(300)])
    found = 0
    while taken := await _claim(db, lookout, 40, "push", "pull"):
        found += taken
    assert found == 800


async def test_what_lies_before_the_place_waits_for_a_look_at_the_whole(db: Database) -> None:
    watch = Stopwatch(1.0)
    lookout = Lookout(monotonic=watch)
    await due.put(db, [_job()])
    assert await _claim(db, lookout) == 1
    await due.put(db, [_job(after=timedelta(hours=-1))])
    assert await _claim(db, lookout) == 0
    watch.at += 100
    assert await _claim(db, lookout) == 1


async def test_what_committed_shortly_after_the_look_is_found_by_the_next(
    db: Database, database_url: str
) -> None:
    lookout = Lookout(monotonic=Stopwatch(1.0))
    await due.put(db, [_job()])
    async with db.transaction() as late:
        await due.put(late, [_job("late")])
        assert await _claim(db, lookout) == 1
    assert await _claim(db, lookout) == 1


class Explaining(Tx):
    """Says of each statement how many pages it read, instead of its rows."""

    async def fetch(self, statement: Sql, **binds: Any) -> list[Any]:
        plan = await self.raw.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.render(SCHEMA)}",
            *statement.arguments(binds),
        )
        return [json.loads(plan)[0]["Plan"]["Shared Hit Blocks"]]


async def test_under_a_held_snapshot_a_look_reads_what_is_new_and_no_more(
    db: Database, database_url: str
) -> None:
    watch = Stopwatch(1.0)
    known = Lookout(monotonic=watch)
    other = await asyncpg.connect(database_url)
    await other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM landbridge.due")
    for _ in range(20):
        await due.put(db, [_job(f"tenant {number % 20}") for number in range(400)])
        claims = await due.claim(
            db, owner="one", lanes=["push"], limit=500, per_shard=500, lease=LEASE, lookout=known
        )
        await due.settle(db, "one", claims)
    await asyncio.sleep(0.6)
    await due.put(db, [_job("last")])
    assert await _claim(db, known) == 1
    async with db.transaction() as tx:
        explaining = Explaining(tx.raw, SCHEMA)
        await known.ready(explaining, due_sql.READY, lanes=["push"])
        near: Any = await known.ready(explaining, due_sql.READY, lanes=["push"])
        far: Any = await Lookout().ready(explaining, due_sql.READY, lanes=["push"])
    await other.close()
    assert far[0] > 3 * near[0]
