"""The stage of the rows about deliveries: a server, a database with endpoints, a sink, and the
measurement of a backlog that is worked off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from landbridge.vault import new_key
from tests.bench import ours
from tests.bench.cluster import Cluster, cluster
from tests.bench.controls.base import Control
from tests.bench.letters import ENDPOINTS
from tests.bench.remote import Remote, remote

_LOOK = 0.02
_LATE = 300.0
_SETTLED = 1000
"""Smaller backlogs than this judge no time: no checkpoint is waited for."""


@dataclass(frozen=True, kw_only=True)
class Drained:
    """What it took to deliver a backlog, each delivery verified by the sink and recorded by us.

    `emit` is seconds per message when each was emitted by itself; `rate` is deliveries per second
    from the start to the last new one at the sink. All else is per delivery, from the start until
    all is recorded: CPU in microseconds, WAL in bytes. `peak` is how many the sink held at a time.
    """

    deliveries: int
    emit: float
    rate: float
    cpu: float
    postgres_cpu: float
    statements: float
    rows: float
    wal: float
    peak: int
    top: Sequence[tuple[str, float, float]]

    @property
    def whole_rate(self) -> float:
        """Messages per second when each is emitted first and delivered then."""
        return 1 / (self.emit + 1 / self.rate)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """What a row lets deliver: processes over one database. `left` counts what is not recorded."""

    name: str
    url: str
    left: str
    parts: Sequence[Remote]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A server, a sink, and the key of what is sealed."""

    server: Cluster
    sink: Remote
    address: str
    key: str

    async def database(self) -> str:
        """A new database of ours with endpoints at the sink."""
        url = await self.server.database()
        await ours.add_endpoints(url, self.key, self.address, ENDPOINTS)
        return url

    @asynccontextmanager
    async def ours(
        self, url: str, *, sender: str, workers: int = 1, posts: int | None = None
    ) -> AsyncIterator[Contender]:
        """Worker processes of ours that stand still."""
        options = {"url": url, "key": self.key, "sender": sender, "posts": posts}
        async with AsyncExitStack() as stack:
            starting = [remote("tests.bench.ours", **options) for _ in range(workers)]
            parts = await asyncio.gather(*map(stack.enter_async_context, starting))
            yield Contender(name="ours", url=url, left=ours.UNDELIVERED, parts=parts)

    @asynccontextmanager
    async def control(self, kind: type[Control], *, sender: str) -> AsyncIterator[Contender]:
        """A control that stands still, in a database of its own."""
        url = await self.server.database(migrated=False)
        options = {"url": url, "sender": sender, "sink": self.address}
        async with remote(kind.__module__, **options) as part:
            yield Contender(name=kind.__name__, url=url, left=kind.left, parts=[part])

    async def drain(
        self, contender: Contender, number: int, *, delay: float = 0.0, singly: bool = False
    ) -> Drained:
        """Fills a backlog of `number`, lets it be worked off, and says what that took.

        `singly` emits the messages one by one; else the backlog is made in bulk.
        """
        parts = contender.parts
        emitting = time.monotonic()
        await parts[0].ask("emit" if singly else "fill", number=number)
        emitting = time.monotonic() - emitting
        await self.sink.ask("expect", delay=delay)
        if number >= _SETTLED:
            await self.server.settle()
        eye = await asyncpg.connect(contender.url)
        try:
            await _forget_statements(eye, self.server)
            before = await _counters(eye, self.server)
            cpu = [part.cpu() for part in parts]
            postgres = self.server.cpu()
            began = time.monotonic()
            await asyncio.gather(*(part.ask("go") for part in parts))
            report = await self._until(parts, number, began)
            await _until_recorded(eye, contender.left, began)
            postgres = self.server.cpu() - postgres
            used = sum(part.cpu() - at for part, at in zip(parts, cpu, strict=True))
            after = await _counters(eye, self.server)
            top = await _top(eye, self.server, number)
            await asyncio.gather(*(part.ask("halt") for part in parts))
        finally:
            await eye.close()
        return Drained(
            deliveries=number,
            emit=emitting / number if singly else 0.0,
            rate=number / (report["last"] - began),
            cpu=used / number * 1e6,
            postgres_cpu=postgres / number * 1e6,
            statements=(after[0] - before[0]) / number,
            rows=(after[1] - before[1]) / number,
            wal=(after[2] - before[2]) / number,
            peak=report["peak"],
            top=top,
        )

    async def _until(self, parts: Sequence[Remote], number: int, began: float) -> dict[str, Any]:
        while True:
            report: dict[str, Any] = await self.sink.ask("report")
            if report["forged"]:
                raise RuntimeError(f"{report['forged']} deliveries did not verify")
            if report["distinct"] >= number:
                return report
            if time.monotonic() - began > _LATE:
                raise RuntimeError(f"{report['distinct']} of {number} deliveries came")
            await asyncio.gather(*(part.ask("check") for part in parts))
            await asyncio.sleep(_LOOK)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A fresh one; what it starts ends with it."""
    with cluster() as server:
        async with remote("tests.bench.sink") as sink:
            yield Stage(server=server, sink=sink, address=await sink.ask("address"), key=new_key())


async def _until_recorded(eye: asyncpg.Connection, left: str, began: float) -> None:
    while waiting := await eye.fetchval(left):
        if time.monotonic() - began > _LATE:
            raise RuntimeError(f"{waiting} deliveries are not recorded")
        await asyncio.sleep(_LOOK * 2)


async def _counters(eye: asyncpg.Connection, server: Cluster) -> tuple[int, int, int]:
    """Statements and the rows they gave or wrote, in this database; bytes of WAL, of the server.

    Without pg_stat_statements transactions and tuples stand for the first two.
    """
    wal = await eye.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
    if server.counts_statements:
        found = await eye.fetchrow(
            "SELECT coalesce(sum(s.calls), 0)::bigint, coalesce(sum(s.rows), 0)::bigint"
            " FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid"
            " WHERE d.datname = current_database()"
        )
    else:
        found = await eye.fetchrow(
            "SELECT xact_commit, tup_inserted + tup_updated + tup_deleted FROM pg_stat_database"
            " WHERE datname = current_database()"
        )
    assert found is not None
    return found[0], found[1], wal


async def _top(
    eye: asyncpg.Connection, server: Cluster, number: int
) -> tuple[tuple[str, float, float], ...]:
    """(statement, calls, microseconds), the last two per delivery, of those that take longest;
    counted since they were last forgotten."""
    if not server.counts_statements:
        return ()
    found = await eye.fetch(
        "SELECT regexp_replace(s.query, '\\s+', ' ', 'g') AS query, s.calls, s.total_exec_time"
        " FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid"
        " WHERE d.datname = current_database() ORDER BY s.total_exec_time DESC LIMIT 8"
    )
    return tuple(
        (row["query"][:160], row["calls"] / number, row["total_exec_time"] * 1000 / number)
        for row in found
    )


async def _forget_statements(eye: asyncpg.Connection, server: Cluster) -> None:
    if server.counts_statements:
        await eye.execute("SELECT pg_stat_statements_reset()")
