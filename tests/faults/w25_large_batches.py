"""W25: ten thousand events in one transaction, and a backlog at start."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import asyncpg
import psutil

from landbridge.client.guard import Guard
from landbridge.engine.endpoints import Endpoints
from landbridge.store.database import Database
from landbridge.store.outbox import move
from landbridge.vault import LocalKey, Vault, new_key
from tests.faults.emitting import emit_many
from tests.faults.serving import database
from tests.rows import RowResult, Trial, row

_SIZE = 1_000
_TENANTS = 8
_MOST_MEGABYTES = 32
_PARTS = 8


@dataclass(kw_only=True)
class Drain:
    """How a worker worked off what was there: its memory in megabytes above that of an idle one,
    and how many deliveries it made by which second."""

    idle: float = 0.0
    peak: float = 0.0
    made: list[tuple[float, int]] = field(default_factory=list)
    delivered: int = 0

    @property
    def grown(self) -> float:
        """Megabytes."""
        return self.peak - self.idle

    def rates(self) -> list[float]:
        """Deliveries a second in each of eight equal parts of the backlog."""
        total = self.made[-1][1]
        edges = [self._when(total * part / _PARTS) for part in range(_PARTS + 1)]
        return [total / _PARTS / max(until - since, 1e-3) for since, until in pairwise(edges)]

    def _when(self, count: float) -> float:
        """The second in which so many were done, in a line between what was seen."""
        before = self.made[0]
        for seen in self.made:
            if seen[1] >= count and seen[1] > before[1]:
                part = (count - before[1]) / (seen[1] - before[1])
                return before[0] + part * (seen[0] - before[0])
            before = seen
        return before[0]


@row(
    "W25",
    alone=True,
    title="10k events in one transaction; a backlog at start",
    goal=f"memory grows < {_MOST_MEGABYTES} MB; second half's rate >= 0.7 of the first's; 0 lost",
)
async def large_batches(trial: Trial) -> RowResult:
    """A worker's process finds a backlog of deliveries at its start, then a transaction of ten
    thousand events commits at once. The control holds what it found in memory."""
    backlog = trial.size.pick(small=30_000, medium=1_000_000)
    async with database() as url:
        key = new_key()
        await _endpoints(url, key)
        await _prefill(url, backlog, trial)
        async with _process("worker", url, key) as worker:
            waiting = await _drained(url, worker, backlog)
        trial.step(2, 3)
        async with _process("worker", url, key) as worker:
            await _emit_at_once(url, 10_000)
            at_once = await _drained(url, worker, 10_000)
        await _prefill(url, 30_000, trial)
        control = await _control(url, key)
    rates = waiting.rates()
    first, second = (statistics.median(each) for each in (rates[:4], rates[4:]))
    lost = backlog + 10_000 - waiting.delivered - at_once.delivered
    bounded = max(waiting.grown, at_once.grown) < _MOST_MEGABYTES
    return RowResult(
        value=f"{backlog} waiting: +{waiting.grown:.0f} MB, {first:.0f} then {second:.0f}/s;"
        f" 10000 at once: +{at_once.grown:.0f} MB; {lost} lost (control: +{control:.0f} MB for"
        " 30000)",
        holds=lost == 0
        and bounded
        and control > _MOST_MEGABYTES
        and (second >= 0.7 * first or not trial.size.judges_time),
        detail={
            "tried": backlog + 10_000,
            "lost": lost,
            "megabytes": round(waiting.grown, 1),
            "megabytes_at_once": round(at_once.grown, 1),
            "control_megabytes": round(control, 1),
            "per_second": [round(each) for each in rates],
        },
    )


async def _endpoints(url: str, key: str) -> None:
    db = await Database.open(url, budget=1)
    endpoints = Endpoints(db, Vault(db, LocalKey.from_text(key)), Guard(["127.0.0.0/8"]))
    for tenant in range(_TENANTS):
        await endpoints.create(
            environment="test", tenant=f"tenant {tenant}", url="http://127.0.0.1:9/"
        )
    await db.close()


async def _prefill(url: str, events: int, trial: Trial) -> None:
    """Deliveries that wait: emitted and moved on, and nobody has delivered them."""
    admin = await asyncpg.connect(url)
    db = await Database.open(url, budget=1)
    left = events
    while left:
        part = min(left, 10_000)
        for tenant in range(_TENANTS):
            share = part // _TENANTS + (tenant < part % _TENANTS)
            await emit_many(admin, share, tenant=f"tenant {tenant}", size=_SIZE)
        while (await move(db, limit=2_000)).taken:
            pass
        left -= part
    await db.close()
    await admin.close()
    trial.step(1, 3)


async def _emit_at_once(url: str, events: int) -> None:
    """Commits them in one transaction."""
    admin = await asyncpg.connect(url)
    async with admin.transaction():
        for tenant in range(_TENANTS):
            await emit_many(admin, events // _TENANTS, tenant=f"tenant {tenant}", size=_SIZE)
    await admin.close()


async def _drained(
    url: str, worker: asyncio.subprocess.Process, expected: int, *, within: float = 600
) -> Drain:
    """Lets the worker begin, and watches it until it has delivered what it is expected to."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    found = Drain(idle=_megabytes(worker.pid))
    worker.stdin.write(b"go\n")
    began = time.monotonic()
    while found.delivered < expected and time.monotonic() < began + within:
        worker.stdin.write(b"count\n")
        found.delivered = int(await worker.stdout.readline())
        found.made.append((time.monotonic() - began, found.delivered))
        found.peak = max(found.peak, _megabytes(worker.pid))
        await asyncio.sleep(0.05)
    admin = await asyncpg.connect(url)
    left = await admin.fetchval("SELECT count(*) FROM landbridge.due WHERE kind = 'deliver'")
    await admin.close()
    found.delivered -= left
    return found


def _megabytes(pid: int) -> float:
    held: int = psutil.Process(pid).memory_info().rss
    return held / 1e6


async def _control(url: str, key: str) -> float:
    """Megabytes by which a process grows that claims all that waits at once."""
    async with _process("greedy", url, key) as greedy:
        assert greedy.stdin is not None
        assert greedy.stdout is not None
        idle = _megabytes(greedy.pid)
        greedy.stdin.write(b"go\n")
        assert int(await greedy.stdout.readline()) > 0
        return _megabytes(greedy.pid) - idle


@asynccontextmanager
async def _process(role: str, url: str, key: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has opened the database and waits to be told to begin."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.draining", json.dumps([role, url, key])),
        env=dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        await process.wait()
