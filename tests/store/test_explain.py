"""No statement reads a big table from one end to the other, and the hot ones use their index."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from landbridge.store import catalogue, due
from landbridge.store.database import Database, Tx
from landbridge.store.embedded import Attached
from landbridge.store.sql import Sql
from tests.store.many_rows import Planner, filled
from tests.store.samples import sample
from tests.store.two_tenants import SCHEMA

EVERY = catalogue.every()

on_one_loop = pytest.mark.asyncio(loop_scope="module")

# What serves each statement of a path that is taken often; nothing else may.
HOT: dict[str, set[str]] = {
    "changes.of_key": {"change_of_record", "change_order_number"},
    "changes.read": {"change_order_number", "change_id"},
    "connections.by_token": {"connection_token_key"},
    "due.claim": {"due_next", "due_pkey"},
    "due.depth": {"due_next"},
    "due.heartbeat": {"due_pkey"},
    "due.hold": {"due_pkey"},
    "due.put": {"due_key"},
    "due.ready": {"due_next"},
    "due.settle": {"due_pkey"},
    "health.fail": {"endpoint_pkey", "endpoint_health_pkey"},
    "health.probe": {"endpoint_health_pkey"},
    "health.recover": {"endpoint_health_pkey"},
    "inbox.admit": {"inbox_key_pkey"},
    "intents.settle": {"intent_pkey", "parked_place"},
    "listeners.head": {
        "inbox_line_pkey",
        "parked_environment_tenant_what_place_resource_key_key",
    },
    "listeners.lock": {"inbox_line_pkey"},
    "listeners.remove": {"inbox_line_pkey"},
    "lines.promote": {"line_pkey", "due_key", "endpoint_pkey"},
    "lines.tour": {"line_pkey", "due_key", "endpoint_pkey"},
    "ordering.sequence": {"change_new_pkey", "change_id"},
    "outbox.move": {"emitted_pkey", "emit_key_pkey", "endpoint_pkey", "due_pkey"},
    "pacing.ensure": {"endpoint_health_pkey"},
    "pacing.occupy": {"endpoint_health_pkey", "due_pkey"},
    "pacing.queue": {"endpoint_health_pkey"},
    "pacing.reserve": {"endpoint_health_pkey"},
    "parcels.claim": {"due_next", "due_pkey", "event_id"},
    "parcels.delivered": {"due_pkey"},
    "parcels.destinations": {"endpoint_pkey", "endpoint_health_pkey"},
    "parcels.settle": {"due_pkey"},
    "parked.keys": {"parked_place"},
    "quotas.lease": {"quota_pkey"},
    "quotas.occupy": {"quota_pkey"},
    "records.apply": {"record_pkey"},
    "records.delete": {"record_pkey"},
    "records.confirm": {"record_pkey"},
    "exports.named": {"record_pkey"},
    "exports.turn": {"change_order_number", "change_id"},
    "records.missing": {"record_pkey", "seen_pkey"},
    "records.read": {"record_pkey"},
    "records.touch": {"record_pkey"},
    "records.unchanged": {"record_pkey", "parked_place"},
    "remaps.move": {"sync_pkey"},
    "remaps.place": {"sync_pkey"},
    "remaps.rewrite": {"record_pkey"},
    "remaps.waiting": {"parked_environment_tenant_what_place_resource_key_key", "record_pkey"},
    "schedules.move": {"sync_pkey"},
    "schedules.paces": {"sync_pkey"},
    "schedules.paused": {"sync_pkey"},
    "shadow_calls.named": {"shadow_call_key"},
    "shadow_calls.once": {"shadow_call_once"},
    "syncs.cursor": {"sync_pkey"},
    "syncs.mix": {"sync_pkey"},
    "syncs.see": {"seen_pkey"},
    "syncs.step": {"run_pkey", "sync_pkey"},
}

# Who may read a whole table, and why that is right.
SCANS: dict[str, str] = {
    "condition.sealed": "doctor reads some of the newest secrets, a few times a day",
    "connections.count_of_provider": "once in a drill, over a small table",
    "deliveries.by_id": "an operator's command; it looks for the delivery in the lines too",
    "endpoints.by_id": "an operator's command, a few times a day, over a small table",
    "erasing.count_emitted": "the outbox is empty but for the last moments, and has no such index",
    "erasing.count_subjects_emitted": "the same",
    "erasing.emitted": "the same",
    "erasing.subjects_emitted": "the same",
    "levels.read": "it stops at its limits",
    "linking.begin": "once in five seconds for each link, over a small table",
    "listeners.every": "an operator's command, a few times a day",
    "listeners.forget": "an operator's command, once in the life of a handler",
    "outbox.waiting": "it stops at its limit",
    "quotas.forget": "once an hour, over a small table",
    "upkeep.health": "once an hour, over a small table",
    "upkeep.lines": "once an hour, over what waits in lines at the moment",
    "upkeep.longest_schedule": "once an hour, over a small table",
    "parked.one": "an operator's command, a few times a day, over a small table",
}

# A hundred at a time, as they come.
BATCHES: dict[str, str] = {
    "due.heartbeat": "due",
    "due.settle": "due",
    "parcels.delivered": "due",
    "parcels.settle": "due",
}


@pytest.fixture(scope="module")
def url(postgres: Attached) -> str:
    return filled(postgres.dsn)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def many(url: str) -> AsyncIterator[Planner]:
    connection = await asyncpg.connect(url)
    yield await Planner.of(connection)
    await connection.close()


async def _binds(connection: asyncpg.Connection, statement: Sql) -> dict[str, Any]:
    binds = {name: sample(statement, name) for name in statement.binds}
    if statement.name in BATCHES:
        binds = {
            name: value * 100 if isinstance(value, list) else value for name, value in binds.items()
        }
        rows = await connection.fetch(
            "SELECT id, environment, tenant, ref, target FROM landbridge.due ORDER BY id LIMIT 100"
        )
        for bind, column in (("ids", "id"), ("environments", "environment"), ("tenants", "tenant")):
            if bind in binds:
                binds[bind] = [row[column] for row in rows]
    return binds


@on_one_loop
@pytest.mark.parametrize("statement", EVERY, ids=lambda each: each.name)
async def test_no_big_table_is_read_whole(statement: Sql, many: Planner) -> None:
    plan = await many.explain(statement, await _binds(many.connection, statement))
    if statement.name in SCANS:
        assert plan.scanned, "it does not any more: take it out of SCANS"
    else:
        assert not plan.scanned, plan.text
    if statement.name in HOT:
        assert plan.indexes == HOT[statement.name], plan.text


def test_the_tables_name_statements_that_exist() -> None:
    assert {*HOT, *SCANS, *BATCHES} <= {each.name for each in EVERY}


@on_one_loop
@pytest.mark.parametrize(
    ("text", "scans"),
    [
        ("SELECT max(d.error) FROM lb.due AS d", {"due"}),
        ("SELECT e.id FROM lb.event AS e WHERE e.type = 'x'", {"event"}),
        (
            "SELECT l.n FROM generate_series(1, 9) AS l(n), lb.record AS r WHERE r.version = 'x'",
            {"record"},
        ),
    ],
)
async def test_a_scan_is_noticed(text: str, scans: set[str], many: Planner) -> None:
    assert (await many.explain(Sql("plant", text), {})).scanned == scans


# Plans that outlive the table's size


async def _rounds(tx: Tx, times: int) -> None:
    lease = timedelta(minutes=1)
    for _ in range(times):
        await due.put(
            tx,
            [
                due.Job(environment="test", tenant="acme", lane="push", kind="push", key=f"k{n}")
                for n in range(20)
            ],
        )
        claims = await due.claim(
            tx, owner="one", lanes=["push"], limit=50, per_shard=50, lease=lease
        )
        assert len(claims) == 20
        assert len(await due.heartbeat(tx, "one", claims, lease)) == 20
        assert len(await due.settle(tx, "one", claims)) == 20


async def _rows_scanned_after_growth(url: str, tx: Tx) -> int:
    """Rows that one round reads by whole-table scans, planned on an empty table, then grown."""
    admin = await asyncpg.connect(url)
    await admin.execute("VACUUM ANALYZE landbridge.due")
    await _rounds(tx, 8)
    await admin.execute(
        """INSERT INTO landbridge.due (environment, tenant, id, lane, kind, shard, due_at)
           SELECT 'test', 'acme', 'due_' || n, 'deliver', 'deliver',
                  landbridge.shard('test', 'acme'), now()
           FROM generate_series(1, 50000) AS n"""
    )
    await admin.close()
    async with tx.raw.transaction():
        before = await _scanned(tx)
        await _rounds(tx, 1)
        return await _scanned(tx) - before


async def _scanned(tx: Tx) -> int:
    """Rows read by scans of the whole queue, which this session has not reported yet."""
    rows: int = await tx.raw.fetchval(
        """SELECT seq_tup_read FROM pg_stat_xact_user_tables
           WHERE schemaname = 'landbridge' AND relname = 'due'"""
    )
    return rows


async def test_plans_made_while_the_queue_was_empty_are_not_kept(database_url: str) -> None:
    db = await Database.open(database_url, budget=1)
    async with db._pool.acquire() as connection:
        assert await _rows_scanned_after_growth(database_url, Tx(connection, SCHEMA)) == 0
    await db.close()


async def test_plans_that_are_kept_would_read_the_whole_queue(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    assert await _rows_scanned_after_growth(database_url, Tx(connection, SCHEMA)) >= 50_000
    await connection.close()
