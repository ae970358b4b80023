"""W17: the day's partition is missing; and one is dropped while it is read. What comes in is in
`w17_partitions_in`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg

from landbridge import ids
from landbridge.app.metrics import Gauges
from landbridge.errors import LandbridgeError
from landbridge.measures import PARTITION_STRAYS, Measures
from landbridge.store import deliveries, upkeep
from landbridge.store.database import Database
from tests.faults.outbound import Scene, scene
from tests.faults.serving import silent
from tests.faults.w17_partitions_in import incoming
from tests.rows import RowResult, Trial, row

_RETENTION = 7
_READERS = 4


@row(
    "W17",
    title="the day's partition is missing; a partition is dropped under readers",
    goal="alarm; 0 refused, 0 lost, drained by one round; 0 reads fail",
)
async def partitions(trial: Trial) -> RowResult:
    """Processes emit and deliver while no partition of the day exists, and while upkeep makes them
    and moves what strayed; then while it drops old ones that are being read. Webhooks come in and
    are listed meanwhile. The control is a table by day without a default partition."""
    events = trial.size.pick(small=200, medium=4_000)
    old = trial.size.pick(small=5, medium=40)
    with silent():
        async with scene() as stage:
            db = await Database.open(stage.direct, budget=6)
            try:
                alarm, drained = await _missing_day(stage, db, events)
                trial.step(1, 3)
                reads, failed, left = await _dropped(stage, db, old, events)
                await stage.drain()
                trial.step(2, 3)
                found = await stage.reckon()
            finally:
                await db.close()
            refused = await _control(stage.direct)
        came = await incoming(events, retention=_RETENTION)
    return RowResult(
        value=f"{alarm} rows strayed and were reported, {drained} left after a round;"
        f" {reads} reads beside {old} drops, {failed} failed; {found};"
        f" in: {came.posted} posted, {came.refused} refused, {came.lost} lost,"
        f" {came.strayed} strayed, {came.left} left, {came.reads} lists, {came.failed} failed,"
        f" {came.hidden} short"
        f" (control: {refused} of 10 refused)",
        holds=alarm > 0
        and not (drained or failed or left)
        and reads > 0
        and found.clean
        and came.holds
        and refused == 10,
        detail={
            "strayed": alarm,
            "left_after_round": drained,
            "reads": reads,
            "failed_reads": failed,
            "old_partitions_left": left,
            "control_refused": refused,
            "in": vars(came),
            **vars(found),
        },
    )


async def _missing_day(stage: Scene, db: Database, events: int) -> tuple[int, int]:
    """What the alarm counted while today's partitions were missing, and what strays afterwards."""
    admin = await asyncpg.connect(stage.direct)
    for name in await _partitions(admin, "_20"):
        await admin.execute(f"DROP TABLE landbridge.{name}")
    await admin.close()
    worker = await stage.worker()
    await stage.emit(events)
    moved = 0
    async with asyncio.timeout(30):
        while not moved:
            await asyncio.sleep(0.05)
            moved = sum((await upkeep.strays(db)).values())
    measures = Measures()
    gauges = Gauges(db, measures)
    await gauges.refresh()
    strayed = int(sum(measures.gauges(PARTITION_STRAYS).values()))
    gauges.close()
    emitting = await stage.emitter(transactions=events // 5, each=5)
    await upkeep.keep_up(db, retention_days=_RETENTION)
    assert await stage.nursery.ended(emitting, within=60) == 0
    stage.nursery.kill(worker)
    await stage.nursery.ended(worker, within=10)
    return strayed, sum((await upkeep.strays(db)).values())


async def _dropped(stage: Scene, db: Database, days: int, events: int) -> tuple[int, int, int]:
    """Reads that were tried and that failed while old partitions were dropped; and how many of
    those are still there."""
    admin = await asyncpg.connect(stage.direct)
    for number in range(days):
        await _old_day(admin, datetime.now(UTC) - timedelta(days=_RETENTION + 3 + number))
    worker = await stage.worker()
    emitting = await stage.emitter(transactions=events // 5, each=5)
    ended = asyncio.Event()
    readers = [asyncio.create_task(_read(db, ended)) for _ in range(_READERS)]
    await asyncio.sleep(0.2)
    await upkeep.keep_up(db, retention_days=_RETENTION)
    ended.set()
    counts = await asyncio.gather(*readers)
    assert await stage.nursery.ended(emitting, within=60) == 0
    stage.nursery.kill(worker)
    await stage.nursery.ended(worker, within=10)
    first = (datetime.now(UTC) - timedelta(days=_RETENTION)).strftime("%Y%m%d")
    left = [name for name in await _partitions(admin, "_20") if name[-8:] < first]
    await admin.close()
    return sum(each[0] for each in counts), sum(each[1] for each in counts), len(left)


async def _read(db: Database, ended: asyncio.Event) -> tuple[int, int]:
    """Reads through all days until told to end: how often, and how often that failed."""
    tried = failed = 0
    while not ended.is_set():
        tried += 1
        try:
            await deliveries.every(
                db,
                environment="test",
                since=datetime.now(UTC) - timedelta(days=365),
                tenant="tenant 1",
                state="delivered",
                most=20,
            )
        except (LandbridgeError, asyncpg.PostgresError):
            failed += 1
        await asyncio.sleep(0)
    return tried, failed


async def _partitions(admin: asyncpg.Connection, of: str) -> list[str]:
    """Names of partitions of our tables that have this in them."""
    rows = await admin.fetch(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE c.relnamespace = 'landbridge'::regnamespace AND c.relkind = 'r'"
        " AND strpos(c.relname, $1) > 0",
        of,
    )
    return [row["relname"] for row in rows]


async def _old_day(admin: asyncpg.Connection, day: datetime) -> None:
    """A day's partitions of events and attempts, with some in them."""
    start = day.replace(hour=0, minute=0, second=0, microsecond=0)
    for table, prefix in (("event", "evt"), ("attempt", "att")):
        low, high = ids.bound(prefix, start), ids.bound(prefix, start + timedelta(days=1))
        await admin.execute(
            f"CREATE TABLE landbridge.{table}_{start:%Y%m%d} PARTITION OF landbridge.{table}"
            f" FOR VALUES FROM ('{low}') TO ('{high}')"
        )
    body = ids.bound("", start)[1:-4]
    await admin.execute(
        "INSERT INTO landbridge.attempt (environment, tenant, id, delivery, event, endpoint,"
        " number, outcome, took_ms, created_at) SELECT 'test', 'tenant 1',"
        " 'att_' || $1 || lpad(n::text, 4, '0'), 'dlv_' || $1 || lpad(n::text, 4, '0'),"
        " 'evt_' || $1 || lpad(n::text, 4, '0'), 'end_1', 1, 'abandoned', 5, $2"
        " FROM generate_series(1, 50) AS n",
        body,
        start,
    )


# The control


async def _control(url: str) -> int:
    """Inserts of ten that a table by day refuses once its next day was not made."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "CREATE TABLE by_day (day date NOT NULL) PARTITION BY RANGE (day);"
        "CREATE TABLE by_day_1 PARTITION OF by_day FOR VALUES FROM ('2026-01-01') TO ('2026-01-02')"
    )
    await connection.execute("INSERT INTO by_day VALUES ('2026-01-01')")
    taken = 0
    for _ in range(10):
        with suppress(asyncpg.CheckViolationError):
            await connection.execute("INSERT INTO by_day VALUES ('2026-01-02')")
            taken += 1
    await connection.close()
    return 10 - taken
