"""What F11 runs in processes that are killed: a handler of events, and a weaker pattern."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from datetime import timedelta

import asyncpg
import structlog

from landbridge import Received
from landbridge.engine.received import Listener, Telling, kinds_meant
from landbridge.jobs import Lease, Outcome, Worker, new_owner
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from tests.engine.listening import page
from tests.faults.traps import Trap

NAME = "access"
KINDS = kinds_meant(["invoice.*"])
POINTS = ("called", "written", "committing", "through")
"""Where a process is killed: as the handler is called, once it has written, within milliseconds of
its return, and once the line is gone through and not yet settled."""

EFFECT = "CREATE TABLE effect (number bigserial, event text NOT NULL, record text NOT NULL)"
ACCESS = "CREATE TABLE access (record text PRIMARY KEY, open boolean, as_of timestamptz)"
_DONE = "INSERT INTO effect (event, record) VALUES ($1, $2)"
_SET = """INSERT INTO access VALUES ($1, $2, $3) ON CONFLICT (record)
    DO UPDATE SET open = $2, as_of = $3 WHERE access.as_of < $3"""
_MOMENTS = 0.006


async def hearing(*, url: str, point: str = "", after: int = 1, weak: bool = False) -> None:
    """Hands events over until it is killed. The `weak` one commits what it does by itself, and says
    afterwards that it is done, as queues that acknowledge do."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    trap = Trap(point, after)
    own = await asyncpg.connect(url) if weak else None
    db = await Database.open(url, budget=3)

    async def access(event: Received, tx: Tx) -> None:
        trap.reach("called")
        write = own if own is not None else tx
        await write.execute(_DONE, event.vendor_id, event.key)
        paid = event.kind == "invoice.paid"
        await write.execute(_SET, event.key, paid, event.occurred_at)
        trap.reach("written")
        if trap.due("committing"):
            asyncio.get_running_loop().call_later(
                random.uniform(0, _MOMENTS), os.kill, os.getpid(), signal.SIGKILL
            )

    kind = _Trapped(db, [Listener(name=NAME, kinds=KINDS, run=access)], trap).kind()
    worker = Worker(
        db,
        new_owner(),
        {kind.name: kind},
        {"inbox": 4},
        lease=timedelta(seconds=1),
        poll=timedelta(milliseconds=20),
    )
    await worker.run(asyncio.Event())


class _Trapped(Telling):
    def __init__(self, db: Database, those: list[Listener], trap: Trap):
        super().__init__(db, those, provider=page)
        self._trap = trap

    async def run(self, claim: Claimed, lease: Lease) -> Outcome:
        outcome = await super().run(claim, lease)
        self._trap.reach("through")
        return outcome
