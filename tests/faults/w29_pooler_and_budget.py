"""W29: behind PgBouncer in transaction mode; and the connections that a process holds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import reduce
from operator import add
from urllib.parse import urlsplit

import asyncpg
import psutil

from tests.faults.outbound import Scene, house, prepare, scene
from tests.faults.senders import share
from tests.faults.w24_rolled_back import transaction
from tests.rows import RowResult, Trial, row
from tests.store.bindings import BINDINGS
from tests.store.databases import fresh_database, migrated_template

_BUDGET = 4
_POINTS = ("moving", "moved", "claimed", "posting", "answered", "unsettled", "settling", "settled")


@row(
    "W29",
    title="behind PgBouncer in transaction mode; the connection budget of a process",
    goal="kills at every point, every binding: all holds as without; budget never exceeded;"
    " LISTEN through it hears nothing",
)
async def pooler_and_budget(trial: Trial) -> RowResult:
    """Kills at every point, and every kind of session, through a pooler of five connections, by
    either sender; then real workers with a budget, behind the pooler and without. W15, W18,
    W22 and W23 run behind one themselves. The control listens through the pooler."""
    kills = share(trial.size.pick(small=6, medium=220))
    transactions = share(trial.size.pick(small=14, medium=1_000))
    async with house() as shared, AsyncExitStack() as stack:
        stages = [
            await stack.enter_async_context(scene(within=shared, sender=name, pooler=True))
            for name in kills
        ]
        await asyncio.gather(
            *(
                _run(each, kills[each.sender], transactions[each.sender], trial, first=place)
                for place, each in enumerate(stages)
            )
        )
        first, last = stages
        pooled = await _held(last, last.url, last.direct)
        ours = [await each.reckon() for each in stages]
        with fresh_database(first.server, migrated_template(first.server)) as apart:
            await prepare(apart, first.key, first.receiver)
            plain = await _held(first, apart, apart)
        heard = [await _heard(url, first.direct) for url in (first.direct, first.url)]
    found = reduce(add, ours)
    return RowResult(
        value="; ".join(
            f"{stage.sender}: {stage.kills} kills, {each}"
            for stage, each in zip(stages, ours, strict=True)
        )
        + f"; at most {pooled} and {plain} connections of {_BUDGET};"
        f" control: {heard[1]} of {heard[0]} heard",
        holds=all(each.clean for each in ours)
        and all(1 < peak <= _BUDGET for peak in (pooled, plain))
        and heard[0] > heard[1],
        detail={
            "kills": sum(stage.kills for stage in stages),
            "budget": _BUDGET,
            "behind_pooler": pooled,
            "without": plain,
            "control": heard,
            **vars(found),
        },
    )


async def _run(stage: Scene, kills: int, transactions: int, trial: Trial, *, first: int) -> None:
    """Kills, and sessions of all kinds in turn, from the middle of them or the beginning."""
    rng, names = trial.random, sorted(BINDINGS)
    await stage.kill_cycles(rng, _POINTS, kills, step=trial.step)
    for number in range(transactions):
        name = names[(number + first * len(names) // 2) % len(names)]
        async with BINDINGS[name](stage.url) as session:
            await transaction(session, rng)
    await stage.drain()


async def _heard(url: str, direct: str) -> int:
    """How many of three notifications reach who listens over `url`."""
    heard: list[int] = []
    listening = await asyncpg.connect(url, statement_cache_size=0)
    await listening.add_listener("landbridge_wake", lambda *_: heard.append(1))
    telling = await asyncpg.connect(direct)
    for _ in range(3):
        await telling.execute("NOTIFY landbridge_wake")
        await asyncio.sleep(0.1)
    await telling.close()
    await listening.close()
    return len(heard)


async def _held(stage: Scene, url: str, direct: str) -> int:
    """The most connections that a worker held at a time while it delivered 100 events."""
    pid = await stage.nursery.start(
        "emitter", url=url, transactions=20, each=5, pooler=url != direct
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
        "SENDER": stage.sender,
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
