"""W06: identical webhooks at the same instant, at several processes."""

from __future__ import annotations

import asyncio

from landbridge.store import arrivals
from landbridge.store.arrivals import Arrival
from landbridge.store.database import Database
from landbridge.store.sql import Sql
from tests.faults.inbound import Inbound, event, inbound
from tests.rows import RowResult, Trial, row

_ALL = "The row counts all events of its own database."
_FILED = Sql("faults.w06_filed", "SELECT count(*) FROM lb.inbox_event", across=_ALL)
_ORDERS = Sql(
    "faults.w06_orders", "SELECT count(*) FROM lb.due WHERE kind = 'receive'", across=_ALL
)
_TABLE = Sql("faults.w06_table", "CREATE TABLE lb.w06 (vendor_id text NOT NULL)", across=_ALL)
_LOOK = Sql("faults.w06_look", "SELECT 1 FROM lb.w06 WHERE vendor_id = :key", across=_ALL)
_PUT = Sql("faults.w06_put", "INSERT INTO lb.w06 (vendor_id) VALUES (:key)", across=_ALL)
_HELD = Sql("faults.w06_held", "SELECT count(*) FROM lb.w06", across=_ALL)

COPIES = 8


@row(
    "W06",
    title="identical webhooks at the same instant",
    goal="stored once as an event, all answered 2xx; look-then-insert stores some twice",
)
async def same_instant(trial: Trial) -> RowResult:
    """Eight copies of each webhook come at once at two processes, which may store them together.
    Eight more are stored one by one, each with an order of its own to sort it, so that at least
    eight workers file the same event at once."""
    events = trial.size.pick(small=40, medium=500)
    async with inbound(processes=2) as stage:
        accepted, workers = 0, 1000
        for number in range(events):
            accepted += await _all_at_once(stage, number)
            workers = min(workers, await _one_by_one(stage, number))
            await stage.sort()
            trial.step(number + 1, events)
        filed = int(await stage.db.value(_FILED))
        control = await _control(stage, events)
    return RowResult(
        value=f"{events} x {COPIES}: {filed} events, {accepted} answered 2xx, as many again"
        f" stored one by one, each event sorted by at least {workers} workers at once"
        f" (control: {control['together']} events)",
        holds=filed == events
        and accepted == events * COPIES
        and workers >= COPIES
        and control["apart"] == events
        and control["together"] > events,
        detail={
            "events": events,
            "copies": COPIES,
            "filed": filed,
            "accepted": accepted,
            "workers": workers,
            "control": control,
        },
    )


async def _all_at_once(stage: Inbound, number: int) -> int:
    body = event(number)
    told = await asyncio.gather(*[stage.post(body, at=copy % 2) for copy in range(COPIES)])
    return sum(200 <= status < 300 for status in told)


async def _one_by_one(stage: Inbound, number: int) -> int:
    """Stores as many again, each by itself; how many orders to sort there are now."""
    copy = Arrival(
        environment="test",
        app=stage.app.id,
        connection=None,
        headers=b"[]",
        body=event(number),
    )
    for _ in range(COPIES):
        await arrivals.store(stage.db, [copy])
    return int(await stage.db.value(_ORDERS))


async def _control(stage: Inbound, events: int) -> dict[str, int]:
    """The control: look whether the event is there, and insert it if not."""

    async def take(db: Database, key: str) -> None:
        async with db.transaction() as tx:
            if await tx.value(_LOOK, key=key) is None:
                await tx.run(_PUT, key=key)

    await stage.db.run(_TABLE)
    for number in range(events):
        for copy in range(COPIES):
            await take(stage.dbs[copy % 2], f"apart_{number}")
    apart = int(await stage.db.value(_HELD))
    for number in range(events):
        takes = [take(stage.dbs[copy % 2], f"together_{number}") for copy in range(COPIES)]
        await asyncio.gather(*takes)
    return {"apart": apart, "together": int(await stage.db.value(_HELD)) - apart}
