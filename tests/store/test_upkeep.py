"""Upkeep beside statements that read several partitioned tables: neither waits for the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import asyncpg
import pytest

from landbridge.store import condition, upkeep
from landbridge.store.database import Database
from landbridge.store.sql import Sql

ALL = "A test looks at everything."
DROP = Sql("tests.drop_all", "SELECT lb.drop_partitions('2100-01-01'::date)", across=ALL)
TOGETHER = Sql("tests.together", "SELECT lb.ensure_partitions(15)", across=ALL)
BLOCKED = Sql(
    "tests.blocked",
    """
    SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE NOT l.granted AND a.datname = current_database() AND a.query LIKE '%ensure_partitions%'
    """,
    across=ALL,
)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


async def test_one_round_makes_what_is_missing_and_a_second_makes_nothing(db: Database) -> None:
    await db.run(DROP)
    first = await upkeep.keep_up(db, retention_days=30)
    again = await upkeep.keep_up(db, retention_days=30)
    assert first.made == len(await condition.last_days(db)) * (upkeep.DAYS_AHEAD + 2)
    assert (again.made, again.dropped, again.strays) == (0, 0, {})


async def beside_a_reader(db: Database, url: str, keeping: Coroutine[Any, Any, Any]) -> None:
    """A transaction has read events, upkeep waits for it, and then it reads arrivals."""
    reader = await asyncpg.connect(url)
    task = asyncio.create_task(keeping)
    try:
        async with reader.transaction():
            await reader.fetch("SELECT FROM landbridge.event")
            while not await db.value(BLOCKED):  # noqa: ASYNC110 - no event tells of a lock
                await asyncio.sleep(0.01)
            await reader.fetch("SET LOCAL lock_timeout = '10s'")
            await reader.fetch("SELECT FROM landbridge.arrival")
        await task
    finally:
        await asyncio.gather(task, return_exceptions=True)
        await reader.close()


async def test_who_reads_several_tables_meets_no_deadlock(db: Database, database_url: str) -> None:
    await db.run(DROP)
    await beside_a_reader(db, database_url, upkeep.keep_up(db, retention_days=30))


async def test_control_one_transaction_for_all_tables_does_deadlock(
    db: Database, database_url: str
) -> None:
    await db.run(DROP)
    with pytest.raises(asyncpg.DeadlockDetectedError):
        await beside_a_reader(db, database_url, db.run(TOGETHER))
