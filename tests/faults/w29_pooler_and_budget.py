"""W29: behind PgBouncer in transaction mode; and the connections that a process holds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import psutil

from tests.faults.outbound import Reckoning, Scene, prepare, scene
from tests.faults.w24_rolled_back import transaction
from tests.rows import RowResult, Trial, row
from tests.store.bindings import BINDINGS
from tests.store.databases import fresh_database, migrated_template

_BUDGET = 4
_POINTS = ("moving", "moved", "claimed", "posting", "answered", "unsettled", "settling", "settled")


@row(
    "W29",
    title="behind PgBouncer in transaction mode; the connection budget of a process",
    goal="all of the above still holds; budget never exceeded",
)
async def pooler_and_budget(trial: Trial) -> RowResult:
    """Kills at every point, and every kind of session, through a pooler of five connections; then
    two real workers with a budget, one behind the pooler and one without."""
    kills = trial.size.pick(small=5, medium=220)
    transactions = trial.size.pick(small=14, medium=1_000)
    rng = trial.random
    names = sorted(BINDINGS)
    async with scene(pooler=True) as stage:
        await stage.kill_cycles(rng, _POINTS, kills, step=trial.step)
        for number in range(transactions):
            async with BINDINGS[names[number % len(names)]](stage.url) as session:
                await transaction(session, rng)
        await stage.drain()
        pooled = await _held(stage, stage.url, stage.direct)
        found = await stage.reckon()
        with fresh_database(stage.server, migrated_template(stage.server)) as apart:
            await prepare(apart, stage.key, stage.receiver)
            plain = await _held(stage, apart, apart)
    return RowResult(
        value=f"{stage.kills} kills: {found}; at most {pooled} and {plain} connections"
        f" of {_BUDGET}",
        holds=_holds(found, pooled, plain),
        detail={
            "kills": stage.kills,
            "budget": _BUDGET,
            "behind_pooler": pooled,
            "without": plain,
            **vars(found),
        },
    )


def _holds(found: Reckoning, *peaks: int) -> bool:
    return found.clean and all(1 < peak <= _BUDGET for peak in peaks)


async def _held(stage: Scene, url: str, direct: str) -> int:
    """The most connections that a worker held at a time while it delivered 150 events."""
    pid = await stage.nursery.start(
        "emitter", url=url, transactions=30, each=5, pooler=url != direct
    )
    assert await stage.nursery.ended(pid, within=60) == 0
    watch = await asyncpg.connect(direct)
    peak, left = 0, 1
    async with _worker(stage, url, direct) as worker:
        while left:
            held = await watch.fetchval(_LISTENING if url != direct else _BACKENDS)
            peak = max(peak, held + _through_pooler(worker, url))
            left = await watch.fetchval(_LEFT)
    await watch.close()
    return peak


_LEFT = """
    SELECT (SELECT count(*) FROM landbridge.emitted)
         + (SELECT count(*) FROM landbridge.due WHERE kind = 'deliver')"""
_BACKENDS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND pid <> pg_backend_pid()"""
_LISTENING = f"{_BACKENDS} AND query ILIKE 'LISTEN%'"


def _through_pooler(worker: int, url: str) -> int:
    port = urlsplit(url).port
    connections = psutil.Process(worker).net_connections("tcp")
    return sum(bool(each.raddr) and each.raddr.port == port for each in connections)


@asynccontextmanager
async def _worker(stage: Scene, url: str, direct: str) -> AsyncIterator[int]:
    """The id of a `landbridge worker`, as an operator starts it, that ends with the block."""
    settings = {
        "DATABASE_URL": url,
        "DIRECT_URL": direct,
        "PGBOUNCER": "1" if url != direct else "0",
        "POOL": str(_BUDGET),
        "KEY": stage.key,
        "ALLOW_NETWORKS": "127.0.0.0/8",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "landbridge.cli",
        "worker",
        env=os.environ | {f"LANDBRIDGE_{name}": value for name, value in settings.items()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()
