"""What the killed processes do: emit in transactions, or dispatch and deliver as a worker does.

Each may hold a trap: at the n-th time that a point is reached the process sends itself SIGKILL.
What the traps sit in is in `tests.faults.traps`, the controls' way in `tests.faults.weaker`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg
import structlog

from landbridge.client.guard import Guard
from landbridge.engine.courier import Courier
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.emit import emit
from landbridge.engine.replaying import WAITING, Hold, Replaying, Step
from landbridge.errors import DatabaseUnavailable
from landbridge.jobs import Worker, new_owner
from landbridge.store import replays
from landbridge.store.bind import Awaiting, bind
from landbridge.store.database import Database
from landbridge.store.due import Claimed
from landbridge.vault import LocalKey, Vault
from tests.faults.backfilling import pulling, remapping
from tests.faults.hearing import hearing
from tests.faults.revoking import drill, forgetting
from tests.faults.senders import SENDERS
from tests.faults.traps import Posting, Trap, Trapped
from tests.faults.weaker import Deletes, Torn

OWN_TABLE = "CREATE TABLE own_row (event text NOT NULL)"
"""The application's own word on what it has committed."""

LEASE = timedelta(seconds=1)

COURIERS: Mapping[str, type[Trapped]] = {"": Trapped, "deletes": Deletes, "torn": Torn}


async def emitter(
    *, url: str, transactions: int, each: int, point: str = "", after: int = 1, pooler: bool = False
) -> None:
    """Commits transactions of `each` events, and with each event a row of its own."""
    trap = Trap(point, after)
    connection = await asyncpg.connect(url, statement_cache_size=0 if pooler else 100)
    for number in range(transactions):
        transaction = connection.transaction()
        await transaction.start()
        session = bind(connection, "landbridge")
        assert isinstance(session, Awaiting)
        for place in range(each):
            event = await emit(
                session,
                "order.placed",
                {"transaction": number, "place": place},
                environment="test",
                tenant=f"tenant {(number + place) % 3}",
            )
            await connection.execute("INSERT INTO own_row VALUES ($1)", event)
        await trap.amid("committing", transaction.commit(), within=0.003)
        trap.reach("committed")
    await connection.close()


async def worker(
    *,
    url: str,
    key: str,
    sender: str = "aiohttp",
    weak: str = "",
    point: str = "",
    after: int = 1,
    pooler: bool = False,
    budget: int = 4,
) -> None:
    """Dispatches and delivers by that client until it is killed, with leases of a second; `weak`
    as one of the controls does."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    trap = Trap(point, after)
    moments = 0 if weak else 0.05  # a control that dies later may have posted all that it held
    db = await Database.open(url, budget=budget, pgbouncer=pooler)
    vault = Vault(db, LocalKey.from_text(key))
    async with SENDERS[sender](Guard(["127.0.0.0/8"]), deadline=5) as opened:
        running = Courier(
            db,
            new_owner(),
            COURIERS[weak](db, vault, Posting(opened, trap, moments=moments), trap=trap),
            {"deliver": 40, "retry": 20, "replay": 20},
            lease=LEASE,
            poll=timedelta(milliseconds=50),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.run(asyncio.Event()))
            tasks.create_task(_dispatch(Dispatcher(db), trap))


async def _dispatch(dispatcher: Dispatcher, trap: Trap) -> None:
    while True:
        try:
            moved = await trap.amid("moving", dispatcher.step(), within=0.02)
        except DatabaseUnavailable:
            moved = False
        if moved:
            trap.reach("moved")
        else:
            await asyncio.sleep(0.05)


async def replayer(
    *, url: str, point: str = "", after: int = 1, torn: bool = False, pooler: bool = False
) -> None:
    """Takes parts of replays until it is killed; `torn` ones as `_Torn` does."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    trap = Trap(point, after)
    db = await Database.open(url, budget=3, pgbouncer=pooler)
    parts = _Torn(db, trap) if torn else _Parts(db, trap)
    kind = parts.kind()
    running = Worker(
        db,
        new_owner(),
        {kind.name: kind},
        {"system": 2},
        lease=LEASE,
        poll=timedelta(milliseconds=50),
    )
    await running.run(asyncio.Event())


class _Parts(Replaying):
    def __init__(self, db: Database, trap: Trap):
        super().__init__(db)
        self._trap = trap

    async def step(self, claim: Claimed, hold: Hold) -> Step:
        step: Step = await self._trap.amid("stepping", super().step(claim, hold), within=0.01)
        self._trap.reach("stepped")
        return step


class _Torn(_Parts):
    """The control: the cursor is moved in a transaction of its own, before the deliveries are put,
    so that nothing is taken twice."""

    async def step(self, claim: Claimed, hold: Hold) -> Step:
        whose: dict[str, Any] = {"environment": claim.environment, "tenant": claim.tenant}
        named = claim.key or ""
        async with self._db.transaction() as tx:
            await hold(tx)
            place = await replays.place(tx, id=named, most=WAITING, **whose)
            assert place is not None
            start = max(place.paced_until, place.now)
            most = round(place.rate)
            where = {"endpoint": place.endpoint, "after": place.cursor, "until": place.until}
            part = await replays.count(tx, place.selection, look=most, most=most, **where, **whose)
            await replays.move(
                tx,
                id=named,
                cursor=part.last or place.cursor,
                done=part.matched,
                paced_until=start + timedelta(seconds=part.matched / place.rate),
                **whose,
            )
            if not part.looked:
                await replays.set_state(tx, id=named, state="done", of=["running"], **whose)
                return Step(ended="done")
        self._trap.reach("torn")
        async with self._db.transaction() as tx:
            await hold(tx)
            await replays.put(
                tx,
                place.selection,
                replay=named,
                start=start,
                rate=place.rate,
                look=most,
                most=most,
                **where,
                **whose,
            )
        return Step(put=part.matched, next_at=place.now + timedelta(seconds=0.1))


ROLES = {
    "emitter": emitter,
    "worker": worker,
    "replayer": replayer,
    "drill": drill,
    "forgetting": forgetting,
    "pulling": pulling,
    "remapping": remapping,
    "hearing": hearing,
}
