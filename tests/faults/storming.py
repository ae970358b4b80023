"""Deliveries under random schedules: claimed, crashed, paused, renewed and settled in batches by
many at once, as `store.parcels` decides it."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from random import Random

import asyncpg

from landbridge import ids
from landbridge.store import due, outbox, parcels
from landbridge.store.database import Database
from landbridge.store.parcels import Parcel, Try
from landbridge.store.sql import Sql
from tests.rows import Trial

LEASE = timedelta(milliseconds=300)
WORKERS = 6

_PREPARE = """
CREATE TABLE sent (event text NOT NULL);
INSERT INTO landbridge.endpoint (environment, tenant, id, url, secrets)
VALUES ('test', 'acme', 'end_1', 'http://127.0.0.1:9/', '');
"""
_EMIT = """
    WITH own AS (INSERT INTO sent VALUES ($1))
    INSERT INTO landbridge.emitted (environment, tenant, id, type, payload)
    VALUES ('test', 'acme', $1, 'order.placed', '{}')"""

_ANYBODY = "The control: queues that ask for the delivery's id alone."
_RECORD = Sql(
    "control.record",
    """
    INSERT INTO lb.attempt (environment, tenant, id, delivery, event, endpoint, number, outcome,
                            took_ms)
    VALUES ('test', 'acme', :attempt, :id, :event, 'end_1', :number, :outcome, 0)
    """,
    across=_ANYBODY,
)
_DONE = Sql("control.done", "DELETE FROM lb.due WHERE id = :id", across=_ANYBODY)
_AGAIN = Sql(
    "control.again",
    """
    UPDATE lb.due SET owner = NULL, due_at = lb.now(), attempt = attempt + 1 WHERE id = :id
    """,
    across=_ANYBODY,
)

_RECKON = {
    "tried": "SELECT count(*) FROM sent",
    "lost": """
        SELECT count(*) FROM sent AS s WHERE NOT EXISTS (
            SELECT FROM landbridge.attempt AS a
            WHERE a.event = s.event AND a.outcome = 'delivered')""",
    "duplicated": """
        SELECT count(*) - count(DISTINCT delivery) FROM landbridge.attempt
        WHERE outcome = 'delivered'""",
    "ghosts": """
        SELECT count(*) FROM landbridge.attempt AS a
        WHERE NOT EXISTS (SELECT FROM sent AS s WHERE s.event = a.event)""",
    "gaps": """
        SELECT count(*) FROM (
            SELECT FROM landbridge.attempt AS a GROUP BY a.delivery
            HAVING max(a.number) <> count(*) OR count(DISTINCT a.number) <> count(*)) AS wrong""",
}


class Storm:
    """One database, a producer and WORKERS that live one life after the other."""

    def __init__(self, url: str, chance: Random, *, fenced: bool):
        self._url = url
        self._chance = chance
        self._fenced = fenced
        self._counts: Counter[str] = Counter()
        self._attempts: Counter[str] = Counter()
        self._lives = 0
        self._produced = asyncio.Event()

    async def run(self, events: int, trial: Trial) -> Counter[str]:
        """What happened, once everything that was committed is worked off: `gaps` are deliveries
        whose attempts are not numbered from one on, each number once."""
        connection = await asyncpg.connect(self._url)
        await connection.execute(_PREPARE)
        db = await Database.open(self._url, budget=WORKERS + 1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._produce(db, events, trial))
            for _ in range(WORKERS):
                tasks.create_task(self._work(db))
        await db.close()
        for name, query in _RECKON.items():
            self._counts[name] += await connection.fetchval(query)
        await connection.close()
        return self._counts

    async def _produce(self, db: Database, events: int, trial: Trial) -> None:
        connection = await asyncpg.connect(self._url)
        for number in range(events):
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(_EMIT, ids.new("evt"))
            fate = self._chance.random()
            if fate < 0.8:
                await transaction.commit()
            elif fate < 0.9:
                await transaction.rollback()
            else:
                connection.terminate()
                connection = await asyncpg.connect(self._url)
            await outbox.move(db, limit=10)
            trial.step(number + 1, events)
        while (await outbox.move(db, limit=100)).events:
            pass
        await connection.close()
        self._produced.set()

    async def _work(self, db: Database) -> None:
        working = True
        while working:
            self._lives += 1
            try:
                working = await self._live(db, f"worker {self._lives}")
            except _Crash:
                self._counts["crashes"] += 1

    async def _live(self, db: Database, owner: str) -> bool:
        """False: there is nothing left to do."""
        while True:
            claims = await parcels.claim(
                db, owner=owner, lane="deliver", limit=self._chance.randint(1, 6), lease=LEASE
            )
            for each in claims:
                self._counts["backwards"] += each.attempt < self._attempts[each.id]
            if claims:
                await self._deliver(db, owner, claims)
                continue
            if self._produced.is_set() and not await self._left(db):
                return False
            await asyncio.sleep(0.02)

    async def _left(self, db: Database) -> int:
        async with db.transaction() as tx:
            (row,) = await tx.execute("SELECT count(*) FROM landbridge.due")
        return int(row[0])

    async def _deliver(self, db: Database, owner: str, claims: list[Parcel]) -> None:
        """What happens to a batch before it is settled, and its settle."""
        fate = self._chance.random()
        if fate < 0.05:
            raise _Crash
        if fate < 0.15:
            self._counts["pauses"] += 1
            await asyncio.sleep(LEASE.total_seconds() * self._chance.uniform(1, 2))
        elif fate < 0.25:
            await due.heartbeat(db, owner, claims, LEASE)
        elif fate < 0.35:
            tries = [self._tried(each) for each in claims]
            lost = await parcels.settle(db, f"not {owner}", tries)
            self._counts["foreign"] += len(tries) - len(lost)
        await asyncio.sleep(self._chance.uniform(0, 0.01))
        tries = [self._tried(each) for each in claims]
        if not self._fenced:
            await self._settle_unasked(db, tries)
            return
        lost = await parcels.settle(db, owner, tries)
        self._counts["refused"] += len(lost)
        for each in tries:
            if each.state is not None and each.parcel.id not in lost:
                known = self._attempts[each.parcel.id]
                self._attempts[each.parcel.id] = max(known, each.parcel.attempt + 1)

    def _tried(self, parcel: Parcel) -> Try:
        fate = self._chance.random()
        state = "delivered" if fate < 0.7 else "failing" if fate < 0.9 else None
        return Try(parcel=parcel, state=state, lane="deliver")  # type: ignore[arg-type]

    async def _settle_unasked(self, db: Database, tries: list[Try]) -> None:
        for each in tries:
            delivery = each.parcel
            async with db.transaction() as tx:
                if each.state is not None:
                    await tx.run(
                        _RECORD,
                        attempt=ids.new("att"),
                        id=delivery.id,
                        event=delivery.event,
                        number=delivery.attempt + 1,
                        outcome=each.state,
                    )
                await tx.run(_DONE if each.state == "delivered" else _AGAIN, id=delivery.id)


class _Crash(Exception):
    """The process is gone, and with it what it had claimed."""
