"""W07: a duplicate across the edge of a partition, and of the time that ids are remembered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from landbridge import ids
from landbridge.engine.sort import KEEP_KEYS, Sorted
from landbridge.store import arrivals
from landbridge.store.arrivals import Arrival
from landbridge.store.sql import Sql
from tests.faults.inbound import Inbound, event, inbound
from tests.rows import RowResult, Trial, row

_ALL = "The row looks at all of its own database."
_PLACES = Sql("faults.w07_places", "SELECT count(DISTINCT tableoid) FROM lb.arrival", across=_ALL)
_TABLE = Sql(
    "faults.w07_table",
    "CREATE TABLE lb.w07 (day date, key text, PRIMARY KEY (day, key)) PARTITION BY RANGE (day)",
    across=_ALL,
)
_PART = Sql("faults.w07_part", "CREATE TABLE lb.w07_all PARTITION OF lb.w07 DEFAULT", across=_ALL)
_PUT = Sql(
    "faults.w07_put",
    "INSERT INTO lb.w07 SELECT :day, unnest(:keys::text[]) ON CONFLICT DO NOTHING",
    across=_ALL,
)

_SLACK = timedelta(minutes=2)


@row(
    "W07",
    title="a duplicate across the edge of a partition, and of the time ids are remembered",
    goal="filed once across partitions and within 30 days, once more after; unique by day does not",
)
async def edges(trial: Trial) -> RowResult:
    """The clock of the database is moved; the ids of the arrivals lie on both sides of midnight."""
    events = trial.size.pick(small=200, medium=5000)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    async with inbound(processes=1) as stage:
        eve = await _come(stage, events, midnight - timedelta(milliseconds=1))
        morning = await _come(stage, events, midnight)
        places = int(await stage.db.value(_PLACES))
        within = await _later(stage, events, KEEP_KEYS - _SLACK)
        after = await _later(stage, events, KEEP_KEYS + _SLACK)
        again = await _later(stage, events, KEEP_KEYS + _SLACK)
        control = await _control(stage, events, midnight)
    counts = {
        "before midnight": eve.filed,
        "after midnight": morning.filed,
        "just within 30 days": within.filed,
        "just after": after.filed,
        "and once more": again.filed,
    }
    return RowResult(
        value=f"{events} events: {list(counts.values())} filed over {places} partitions"
        f" (control: {control})",
        holds=list(counts.values()) == [events, 0, 0, events, 0]
        and places == 2
        and control == 2 * events,
        detail={**counts, "partitions": places, "control": control},
    )


async def _come(stage: Inbound, events: int, at: datetime) -> Sorted:
    """These events come in a moment that the ids of their arrivals tell, and are sorted."""
    moment = int(at.timestamp() * 1000)
    await arrivals.store(
        stage.db,
        [
            Arrival(
                environment="test",
                id=ids.make("arr", moment, number << 40),
                app=stage.app.id,
                connection=None,
                headers=b"[]",
                body=event(number),
            )
            for number in range(events)
        ],
    )
    return await stage.sort()


async def _later(stage: Inbound, events: int, after: timedelta) -> Sorted:
    """The same events, when the database's clock says so much later."""
    offset = f"{int(after.total_seconds())} seconds"
    moved = await stage.at(offset)
    try:
        return await _come(moved, events, datetime.now(UTC))
    finally:
        await moved.db.close()


async def _control(stage: Inbound, events: int, midnight: datetime) -> int:
    """The control: a unique index on the partitioned table itself, which must hold its day."""
    await stage.db.run(_TABLE)
    await stage.db.run(_PART)
    keys = [f"evt_{number}" for number in range(events)]
    stored = 0
    for at in (midnight - timedelta(milliseconds=1), midnight, midnight):
        stored += await stage.db.run(_PUT, day=at.date(), keys=keys)
    return stored
