"""Upkeep: beside those who read and write, and what it removes when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from landbridge import ids
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


# Retention


async def days(db: Database, table: str) -> list[str]:
    """The days of a table's partitions, as their names say them."""
    async with db.transaction() as tx:
        rows = await tx.execute(
            "SELECT right(c.relname, 8) FROM pg_inherits AS i JOIN pg_class AS c"
            " ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass($1)"
            " AND c.relname ~ '_[0-9]{8}$' ORDER BY 1",
            f"landbridge.{table}",
        )
    return [row[0] for row in rows]


async def later(url: str, how_long: str) -> Database:
    """The database as it is after so long."""
    return await Database.open(url, offset=how_long)


async def test_each_kind_has_days_of_its_own(db: Database, database_url: str) -> None:
    first = (await days(db, "event"))[0]
    keep = upkeep.Retention(events=10, inbox=20, changes=40)
    aged = await later(database_url, "12 days")
    await upkeep.keep_up(aged, keep=keep)
    assert first < (await days(db, "event"))[0] == (await days(db, "attempt"))[0]
    assert first == (await days(db, "inbox_event"))[0] == (await days(db, "change"))[0]
    await aged.close()
    aged = await later(database_url, "25 days")
    await upkeep.keep_up(aged, keep=keep)
    assert first < (await days(db, "inbox_event"))[0] == (await days(db, "arrival"))[0]
    assert first == (await days(db, "change"))[0] == (await days(db, "change_order"))[0]
    await aged.close()


async def test_a_parked_webhook_is_kept_as_long_as_its_bytes(
    db: Database, database_url: str
) -> None:
    arrival = ids.new("arr")
    await db.run(DROP)
    await upkeep.keep_up(db)
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO landbridge.arrival (environment, id, app, headers, body)"
            " VALUES ('test', $1, 'app_1', '', 'raw')",
            arrival,
        )
        for what, key in (("arrival", arrival), ("record", "a-record")):
            await tx.execute(
                "INSERT INTO landbridge.parked (environment, tenant, id, what, place, key, reason,"
                " raw) VALUES ('test', '', $1, $2, 'app_1', $3, 'whose?', 'raw')",
                ids.new("prk"), what, key,
            )  # fmt: skip

    async def kept() -> list[str]:
        async with db.transaction() as tx:
            rows = await tx.execute(
                "SELECT what FROM landbridge.parked UNION ALL"
                " SELECT 'its bytes' FROM landbridge.arrival ORDER BY 1"
            )
        return [row[0] for row in rows]

    for how_long, left in (("9 days", ["arrival", "its bytes", "record"]), ("12 days", ["record"])):
        aged = await later(database_url, how_long)
        done = await upkeep.keep_up(aged, keep=upkeep.Retention(inbox=10))
        await aged.close()
        assert await kept() == left
        purged = done.removed.get("parked webhooks beyond their days", 0)
        assert purged == ("arrival" not in left)


async def test_events_outlive_the_longest_schedule_of_retries(
    db: Database, database_url: str
) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO landbridge.endpoint (environment, tenant, id, url, secrets, schedule)"
            " VALUES ('test', 'acme', 'end_1', 'https://example.com', '', "
            " ARRAY[interval '1 day', interval '14 days'])"
        )
    aged = await later(database_url, "12 days")
    kept = await upkeep.keep_up(aged, keep=upkeep.Retention(events=7, inbox=7, changes=7))
    assert kept.events_kept == 17
    assert (await days(db, "event"))[0] < (await days(db, "change"))[0]
    await aged.close()


async def test_a_table_that_is_read_is_left_alone_and_nobody_waits_long(
    db: Database, database_url: str
) -> None:
    """Those who come while it waits for a lock wait as long as its patience, and no longer."""
    aged = await later(database_url, "12 days")
    reader = await asyncpg.connect(database_url)
    before = await days(db, "event")
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    async with reader.transaction():
        await reader.fetch("SELECT FROM landbridge.event")
        round_ = await upkeep.keep_up(
            aged, retention_days=7, patience=timedelta(milliseconds=50), tries=3, sleep=nap
        )
        assert round_.blocked == ("event",)
        assert await days(db, "event") == before
        assert len(naps) == 4
    again = await upkeep.keep_up(aged, retention_days=7)
    assert again.blocked == ()
    assert (await days(db, "event"))[0] > before[0]
    await reader.close()
    await aged.close()


async def test_rows_without_a_partition_end_with_their_days_as_well(
    db: Database, database_url: str
) -> None:
    old = ids.bound("att", datetime.now(UTC) - timedelta(days=60))
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO landbridge.attempt (environment, tenant, id, delivery, event, endpoint,"
            " number, outcome, took_ms) VALUES ('test', 'acme', $1, '', '', '', 1, 'delivered', 1)",
            old,
        )
    assert (await upkeep.strays(db)) == {"attempt": 1}
    done = await upkeep.keep_up(db, retention_days=30)
    assert done.removed == {"attempt beyond its days": 1}
    assert done.strays == {}


async def test_what_leads_nowhere_any_more_is_removed(db: Database) -> None:
    gone = ids.bound("evt", datetime.now(UTC) - timedelta(days=60))
    here = ids.new("evt")
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO landbridge.endpoint (environment, tenant, id, url, secrets)"
            " VALUES ('test', 'acme', 'end_1', 'https://example.com', '')"
        )
        for endpoint, event, number in (("end_1", here, 1), ("end_1", gone, 2), ("end_0", here, 3)):
            await tx.execute(
                "INSERT INTO landbridge.line (environment, tenant, endpoint, ordering_key, number,"
                " event, delivery) VALUES ('test', 'acme', $1, 'key', $2, $3, 'dlv_1')",
                endpoint, number, event,
            )  # fmt: skip
        for endpoint in ("end_1", "end_0"):
            await tx.execute(
                "INSERT INTO landbridge.endpoint_health (environment, tenant, endpoint)"
                " VALUES ('test', 'acme', $1)",
                endpoint,
            )
        for named, ended in (("rpl_1", 40), ("rpl_2", 20), ("rpl_3", None)):
            await tx.execute(
                "INSERT INTO landbridge.replay (environment, tenant, id, endpoint, selection, rate,"
                " until, total, ended_at) VALUES ('test', 'acme', $1, 'end_1', '{}', 1, 0, 0,"
                " now() - $2 * interval '1 day')",
                named, ended,
            )  # fmt: skip
        for named, ended in (("era_1", 401), ("era_2", 399), ("era_3", None)):
            await tx.execute(
                "INSERT INTO landbridge.erasure (environment, tenant, id, ended_at)"
                " VALUES ('test', 'acme', $1, now() - $2 * interval '1 day')",
                named, ended,
            )  # fmt: skip
        await tx.execute(
            "INSERT INTO landbridge.inbox_key (environment, tenant, app, key, expires_at)"
            " SELECT 'test', 'acme', 'app', n::text, now() + (n - 3) * interval '1 hour'"
            " FROM generate_series(1, 5) AS n"
        )
    done = await upkeep.keep_up(db, retention_days=30)
    assert done.removed == {"line": 2, "endpoint_health": 1, "replay": 1, "erasure": 1}
    assert done.expired == 3
    assert (await upkeep.keep_up(db, retention_days=30)).removed == {}
