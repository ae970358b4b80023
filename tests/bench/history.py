"""The same load on a database that remembers much, and on one that is empty."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import asyncpg

from tests.bench import ours
from tests.bench.cluster import SETTINGS
from tests.bench.spread import show
from tests.bench.stage import Contender, Drained, stage
from tests.rows import RowResult, Trial, pairs, row

_SHARE = 0.9

# Ids as ours are: ten letters of the millisecond, sixteen of what makes them unique. The rows are
# of the last 24 hours, so that they lie in the partition that is written to and in the one before.
_EVENTS = """
INSERT INTO landbridge.event (environment, tenant, id, number, type, schema_version, content_type,
                              payload, digest, created_at)
SELECT 'test', 'tenant ' || (n % 100), substr(landbridge.id_bound('evt', at), 1, 14)
           || substr(md5(n::text), 1, 16), nextval('landbridge.event_counter'), 'bench.sent', 1,
       'application/json', convert_to(repeat(md5(n::text), 8), 'UTF8'), '\\x00', at
FROM (SELECT n, landbridge.now() - (n % 86400) * interval '1 second' AS at
      FROM generate_series($1::bigint, $2::bigint) AS n) AS past"""

_ATTEMPTS = """
INSERT INTO landbridge.attempt (environment, tenant, id, delivery, event, endpoint, number, outcome,
                                status, took_ms, created_at)
SELECT e.environment, e.tenant, 'att_' || substr(e.id, 5), 'dlv_' || substr(e.id, 5), e.id, 'end_0',
       1, 'delivered', 204, 10, e.created_at
FROM landbridge.event AS e WHERE e.number > $1"""

_CHUNK = 100_000


@row(
    "history",
    title="the rate with millions of past events and attempts, and without",
    goal=f">= {_SHARE:.0%} of the rate on an empty database, 5M rows",
    limit=3600,
)
async def history(trial: Trial) -> RowResult:
    rows = trial.size.pick(small=20_000, medium=5_000_000)
    number = 5000 if trial.size.judges_time else 100
    sender = ours.senders()[-1]
    drains: dict[str, list[Drained]] = {"history": [], "empty": []}
    async with stage() as place, AsyncExitStack() as stack:
        empty = await place.database()
        full = await place.server.database(like=empty)
        await _remember(full, rows // 2, trial.step)
        there = await stack.enter_async_context(place.ours(full, sender=sender))
        beside = await stack.enter_async_context(place.ours(empty, sender=sender))
        for each in (there, beside):
            await place.drain(each, min(number, 500))

        def drained(name: str, contender: Contender) -> Callable[[], Awaitable[float]]:
            async def drain() -> float:
                drains[name].append(await place.drain(contender, number))
                return drains[name][-1].rate

            return drain

        found = await pairs(drained("history", there), drained("empty", beside), seed=trial.seed)
    show(
        f"history: {rows} rows of it, each round per delivery",
        ("", "per second", "CPU us", "Postgres CPU us", "WAL bytes"),
        [
            (name, f"{one.rate:.0f}", f"{one.cpu:.0f}", f"{one.postgres_cpu:.0f}", f"{one.wal:.0f}")
            for name, each in drains.items()
            for one in each
        ],
    )
    return trial.timed(
        value=f"{found} of the rate on an empty database, with {rows} rows",
        holds=found.at_least(_SHARE),
        detail={
            "rows": rows,
            "deliveries": number,
            "sender": sender,
            "settings": SETTINGS,
            "rates": vars(found),
            "statements": {name: each[-1].top for name, each in drains.items()},
        },
    )


async def _remember(url: str, events: int, step: Callable[[int, int], None]) -> None:
    """Writes that many events and an attempt for each."""
    connection = await asyncpg.connect(url)
    for first in range(1, events + 1, _CHUNK):
        last = min(first + _CHUNK - 1, events)
        before = await connection.fetchval("SELECT last_value FROM landbridge.event_counter")
        await connection.execute(_EVENTS, first, last)
        await connection.execute(_ATTEMPTS, before if first > 1 else 0)
        step(last, events)
    await connection.execute("VACUUM (ANALYZE) landbridge.event, landbridge.attempt")
    await connection.close()
