"""A courier that is stopped with a full queue: `python -m tests.faults.waking URL KEY SENDER`.

It posts to a receiver that answers nobody yet, so that as many posts as its window takes are under
way and the other deliveries wait in it. It is stopped past its leases while a second courier
delivers everything, and then woken. Told to be `heedless` as well it begins whatever it holds, as
queues do that ask for the lease only when they settle.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import structlog

from landbridge import ids
from landbridge.client.guard import Guard
from landbridge.engine.courier import Courier
from landbridge.engine.deliver import Deliveries
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.endpoints import Endpoints
from landbridge.jobs import new_owner
from landbridge.store.database import Database
from landbridge.store.parcels import Parcel
from landbridge.testing.running import in_thread
from landbridge.vault import LocalKey, Vault
from tests.faults.senders import SENDERS
from tests.faults.serving import silent
from tests.faults.sinking import Sink

LEASE = timedelta(seconds=2)
WINDOW = 64
"""How many posts a courier has under way while its processor is busy."""

_LANES = {"deliver": 400, "retry": 50}
_AWAKE = 2.0
_EMIT = """
    INSERT INTO landbridge.emitted (environment, tenant, id, type, ordering_key, payload)
    SELECT 'test', 'acme', i.id, 'order.placed', i.key, '{}'
    FROM unnest($1::text[], $2::text[]) AS i(id, key)"""


class Gate(Sink):
    """Answers nobody until it is open, and remembers in which order events came."""

    def __init__(self) -> None:
        super().__init__()
        self.open = False
        self.came: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.came.append(dict(scope["headers"])[b"webhook-id"].decode())
            while not self.open:  # noqa: ASYNC110 - opened from another loop
                await asyncio.sleep(0.01)
        await super().__call__(scope, receive, send)


class Heedless(Courier):
    """The control: it takes every lease for endless."""

    async def _take(self, lane: str, want: int) -> list[Parcel]:
        taken = await super()._take(lane, want)
        for each in taken:
            each.held_until = float("inf")
        return taken

    async def _keep(self) -> None:
        await asyncio.Event().wait()


def _busy() -> float:
    return 2 * time.monotonic()


@asynccontextmanager
async def _courier(url: str, key: str, sender: str, kind: type[Courier]) -> AsyncIterator[Courier]:
    db = await Database.open(url, budget=4)
    async with SENDERS[sender](Guard(["127.0.0.0/8"]), deadline=30) as opened:
        deliveries = Deliveries(db, Vault(db, LocalKey.from_text(key)), opened, each=1000)
        poll = timedelta(milliseconds=50)
        yield kind(db, new_owner(), deliveries, _LANES, lease=LEASE, poll=poll, cpu=_busy)
    await db.close()


async def until_told(url: str, key: str, sender: str, rule: str = "") -> None:
    """Delivers until standard input ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    stop = asyncio.Event()
    async with _courier(url, key, sender, Heedless if rule else Courier) as courier:
        running = asyncio.create_task(courier.run(stop))
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        stop.set()
        await running


async def wake_with_a_queue(
    url: str, key: str, pairs: int, sender: str, *rule: str
) -> Counter[str]:
    """What a courier does that wakes with `pairs` - WINDOW deliveries not begun, each the first of
    two in a line of its own: how many it `begun` again, and how many events came `turned` around,
    after the later one of their line; `lost` never came, `twice` are attempts beyond one each."""
    gate = Gate()
    db = await Database.open(url, budget=3)
    admin = await asyncpg.connect(url)
    endpoints = Endpoints(db, Vault(db, LocalKey.from_text(key)), Guard(["127.0.0.0/8"]))
    with in_thread(gate) as address, silent():
        made = (
            await endpoints.create(environment="test", tenant="acme", url=address, ordered=True)
        ).endpoint
        firsts, seconds = ids.many("evt", pairs), ids.many("evt", pairs)
        keys = [f"order {number}" for number in range(pairs)]
        for events in (firsts, seconds):
            await admin.execute(_EMIT, events, keys)
        await Dispatcher(db).step()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.waking", url, key, sender, *rule),
            stdin=subprocess.PIPE,
        )
        try:
            await _until(lambda: len(gate.came) >= WINDOW)
            await _all_held(admin, pairs)
            os.kill(process.pid, signal.SIGSTOP)
            gate.open = True
            await _deliver_all(admin, url, key, sender)
            before = len(gate.came)
            os.kill(process.pid, signal.SIGCONT)
            await asyncio.sleep(_AWAKE)
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.wait_for(process.wait(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    attempts = await admin.fetchval(
        "SELECT count(*) FROM landbridge.attempt WHERE endpoint = $1", made.id
    )
    await endpoints.delete(made.id, environment="test", tenant="acme")
    await admin.close()
    await db.close()
    last = {event: place for place, event in enumerate(gate.came)}
    return Counter(
        held=pairs - WINDOW,
        begun=len(gate.came) - before,
        turned=sum(
            last[first] > gate.came.index(second)
            for first, second in zip(firsts, seconds, strict=True)
            if first in last and second in last
        ),
        lost=2 * pairs - len(last),
        twice=attempts - 2 * pairs,
    )


async def _until(true: Any) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - what it waits for happens in another thread
            await asyncio.sleep(0.01)


async def _all_held(admin: asyncpg.Connection, number: int) -> None:
    """Returns when so many are claimed."""
    async with asyncio.timeout(60):
        held = 0
        while held < number:
            await asyncio.sleep(0.01)
            held = await admin.fetchval(
                "SELECT count(*) FROM landbridge.due WHERE owner IS NOT NULL"
            )


async def _deliver_all(admin: asyncpg.Connection, url: str, key: str, sender: str) -> None:
    """A second courier takes everything over and delivers it."""
    stop = asyncio.Event()
    async with _courier(url, key, sender, Courier) as second:
        running = asyncio.create_task(second.run(stop))
        async with asyncio.timeout(60):
            left = True
            while left:
                await asyncio.sleep(0.05)
                left = await admin.fetchval(
                    "SELECT EXISTS (SELECT FROM landbridge.due WHERE kind = 'deliver')"
                    " OR EXISTS (SELECT FROM landbridge.line)"
                )
        stop.set()
        await running


if __name__ == "__main__":
    asyncio.run(until_told(*sys.argv[1:]))
