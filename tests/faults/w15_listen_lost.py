"""W15: the connection that hears of new work is lost; polling finds it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import timedelta
from random import Random
from urllib.parse import urlsplit

import asyncpg

from landbridge import Landbridge
from landbridge.app.work import POLL
from landbridge.jobs import Done, Kind, Lease, Outcome, Worker, new_owner
from landbridge.store import due
from landbridge.store.database import Database
from landbridge.store.due import Claimed
from landbridge.testing.running import in_thread
from landbridge.vault import new_key
from tests.faults.senders import share
from tests.faults.serving import database
from tests.faults.sinking import Sink
from tests.rows import RowResult, Trial, row
from tests.store.pgbouncer import pgbouncer

_ROLE = "hearer"
_CUT = f"""
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{_ROLE}'"""
_HEARS = (
    f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{_ROLE}' AND query ILIKE 'LISTEN%'"
)


@row(
    "W15",
    alone=True,
    title="LISTEN connection lost",
    goal="p90 <= the poll's 250 ms + p90 with LISTEN; waiting for LISTEN alone takes longer",
)
async def listen_lost(trial: Trial) -> RowResult:
    """Emits to a sink while the listener is connected, and after it was cut off and finds no
    connection any more; over the whole way: dispatcher, courier, post by either sender, with the
    second one behind PgBouncer. The control is a worker that relies on being woken, and polls every
    two seconds."""
    rounds = trial.size.pick(small=16, medium=200)
    heard: list[float] = []
    cut: dict[str, list[float]] = {}
    key = new_key()
    async with database() as url:
        for place, (name, number) in enumerate(share(rounds).items()):
            with pgbouncer(url) if place else nullcontext(url) as through:
                before, cut[name] = await _ours(url, through, key, number, name, trial)
                heard += before
        control = await _control(url, max(3, rounds // 4), trial.random)
    without = [each for some in cut.values() for each in some]
    limit = POLL + _p90(heard)
    return trial.timed(
        value=f"{rounds} cut off: p90 {_p90(without) * 1000:.0f} ms ("
        + ", ".join(f"{name} {_p90(each) * 1000:.0f} ms" for name, each in cut.items())
        + "), with LISTEN"
        f" {_p90(heard) * 1000:.0f} ms (control, poll of 2 s: {_p90(control) * 1000:.0f} ms)",
        holds=_p90(without) <= limit < _p90(control),
        detail={
            "tried": rounds,
            "with_listen_ms": _ms(heard),
            "cut_ms": {name: _ms(each) for name, each in cut.items()},
            "control_ms": _ms(control),
        },
    )


def _p90(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=10)[-1]


def _ms(seconds: list[float]) -> list[int]:
    return sorted(round(each * 1000) for each in seconds)


@asynccontextmanager
async def _listener(url: str) -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """The address of a role that only listens, and what cuts it off for good."""
    admin = await asyncpg.connect(url)
    await admin.execute(f"DROP ROLE IF EXISTS {_ROLE}")
    await admin.execute(f"CREATE ROLE {_ROLE} LOGIN PASSWORD 'hear'")
    parts = urlsplit(url)
    _, _, host = parts.netloc.rpartition("@")

    async def cut() -> None:
        deadline = time.monotonic() + 10
        while not await admin.fetchval(_HEARS):
            assert time.monotonic() < deadline, "nobody listens"
            await asyncio.sleep(0.02)
        await admin.execute(f"ALTER ROLE {_ROLE} CONNECTION LIMIT 0")
        assert await admin.fetchval(_CUT)

    yield parts._replace(netloc=f"{_ROLE}:hear@{host}").geturl(), cut
    await admin.close()


async def _ours(
    url: str, through: str, key: str, rounds: int, sender: str, trial: Trial
) -> tuple[list[float], list[float]]:
    """Seconds from the commit of an emit to its arrival, with a listener and without."""
    sink, chance = Sink(), trial.random
    with in_thread(sink) as address:
        async with _listener(url) as (direct, cut):
            bridge = Landbridge.from_env(
                database_url=through,
                direct_url=direct,
                pgbouncer=through != url,
                sender=sender,
                key=key,
                allow_networks="127.0.0.0/8",
                pool=6,
            )

            async def emitted() -> float:
                await asyncio.sleep(chance.uniform(0, POLL))
                async with bridge.transaction() as tx:
                    event = await bridge.emit(tx, "order.placed", {}, tenant=sender)
                committed = time.monotonic()
                return await sink.arrival(event) - committed

            async with bridge, _working(bridge):
                await bridge.endpoints.create(environment="test", tenant=sender, url=f"{address}/")
                await emitted()
                heard = [await emitted() for _ in range(rounds)]
                await cut()
                trial.step(1, 2)
                return heard, [await emitted() for _ in range(rounds)]


@asynccontextmanager
async def _working(bridge: Landbridge) -> AsyncIterator[None]:
    stop = asyncio.Event()
    working = asyncio.create_task(bridge.work(stop))
    yield
    stop.set()
    await working


async def _control(url: str, rounds: int, chance: Random) -> list[float]:
    """Seconds from a put to its run, by a worker that relies on being woken."""
    async with _listener(url) as (direct, cut):
        return await _woken_only(url, direct, cut, rounds, chance)


async def _woken_only(
    url: str, direct: str, cut: Callable[[], Awaitable[None]], rounds: int, chance: Random
) -> list[float]:
    db = await Database.open(url, direct_url=direct, budget=4)
    ran: asyncio.Queue[float] = asyncio.Queue()

    async def run(_claim: Claimed, _lease: Lease) -> Outcome:
        ran.put_nowait(time.monotonic())
        return Done()

    worker = Worker(
        db,
        new_owner(),
        {"work": Kind(name="work", run=run)},
        {"system": 1},
        poll=timedelta(seconds=2),
    )
    job = due.Job(environment="test", tenant="acme", lane="system", kind="work")
    working = asyncio.create_task(worker.run(asyncio.Event()))
    await cut()
    found = []
    for _ in range(rounds):
        await asyncio.sleep(chance.uniform(0, 0.3))
        await due.put(db, [job])
        await db.notify()
        put = time.monotonic()
        found.append(await ran.get() - put)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    await db.close()
    return found
