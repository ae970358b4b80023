"""A first pull of a paged API into Postgres, and a second one that finds nothing new."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from landbridge.vault import new_key
from tests.bench.cluster import Cluster, cluster
from tests.bench.remote import remote
from tests.bench.sync_ours import SIZE
from tests.bench.sync_peers import PEERS, Peer, environment, peer
from tests.rows import Comparison, RowResult, Trial, compared, row

_ROUNDS = 5
_FASTER = 3.0
"""Times dlt, by the clock."""
_UNCHANGED = 1.2
"""Of the time of reading the pages alone."""
_RESIDENT = 150_000_000

_WRITTEN = """
SELECT (SELECT count(*) FROM landbridge.record WHERE xmin::text::bigint >= $1)
     + (SELECT count(*) FROM landbridge.change WHERE xmin::text::bigint >= $1)
     + (SELECT count(*) FROM landbridge.change_order WHERE xmin::text::bigint >= $1)
     + (SELECT count(*) FROM landbridge.change_new WHERE xmin::text::bigint >= $1)
     + (SELECT count(*) FROM landbridge.parked WHERE xmin::text::bigint >= $1)"""
"""Rows of records and changes that a transaction from $1 on wrote; the cluster is new, and its
transaction ids have not come round."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Per record, a number a round: seconds of CPU of the process that pulls, of all of Postgres,
    and by the clock. `peak` is the most memory, in bytes."""

    cpu: dict[str, list[float]] = field(default_factory=dict)
    postgres: dict[str, list[float]] = field(default_factory=dict)
    clock: dict[str, list[float]] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    written: list[int] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def against(self, one: str, other: str, seed: int) -> tuple[Comparison, Comparison]:
        """By the clock and by CPU."""
        return (
            compared(self.clock[one], self.clock[other], seed=seed),
            compared(self.cpu[one], self.cpu[other], seed=seed),
        )


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """A server, the address of an API with that many records, and what was found so far."""

    server: Cluster
    address: str
    rows: int
    found: _Found

    async def measure(
        self, what: str, work: Callable[[], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        await self.server.settle()
        used = self.server.cpu()
        told = await work()
        used = self.server.cpu() - used
        if told["rows"] < self.rows:  # pages may overlap
            raise RuntimeError(f"{what}: {told['rows']} records of {self.rows}")
        found = self.found
        found.cpu.setdefault(what, []).append(told["cpu"] / self.rows)
        found.postgres.setdefault(what, []).append(used / self.rows)
        found.clock.setdefault(what, []).append(told["seconds"] / self.rows)
        found.peak[what] = max(found.peak.get(what, 0), told["peak"])
        return told


@row(
    "sync",
    title="records of 1 KB from a paged API into Postgres: a first pull, and the same again",
    goal="first: >= 3 x dlt; again: 0 written, <= 1.2 x reading alone, both by the clock; < 150 MB",
    limit=3600,
)
async def sync(trial: Trial) -> RowResult:
    """The API and Postgres have processes of their own; peers run at `medium` alone."""
    peers = PEERS if trial.size.name == "medium" else ()
    made = [(each, await environment(each)) for each in peers]
    async with AsyncExitStack() as stack:
        server = stack.enter_context(cluster())
        source = await stack.enter_async_context(remote("tests.bench.sync_source"))
        rows = trial.size.pick(small=400, medium=20_000)
        await source.ask("hold", rows=rows)
        stage = _Stage(
            server=server, address=await source.ask("address"), rows=rows, found=_Found()
        )
        turns: list[Callable[[], Awaitable[None]]] = [partial(_ours, stage)]
        turns += [partial(_theirs, stage, each, python) for each, python in made]
        rounds = _ROUNDS if trial.size.judges_time else 1
        for number in range(rounds):
            for turn in turns if number % 2 == 0 else reversed(turns):
                await turn()
            trial.step(number + 1, rounds)
    return _judged(trial, stage.found, rows)


_BESIDE = {"airbyte": "reading"}
"""What a peer is compared with where that is not `first`: one that stores nothing."""
_ORDERS = {"first": "pull", "again": "pull", "reading": "read", "bare": "bare"}
"""What is measured of ours, in this order, by what it is asked for."""


async def _ours(stage: _Stage) -> None:
    async with AsyncExitStack() as stack:
        url = await stage.server.database()
        part = await stack.enter_async_context(
            remote("tests.bench.sync_ours", url=url, key=new_key(), source=stage.address)
        )
        eye = await asyncpg.connect(url)
        stack.push_async_callback(eye.close)
        for what, order in _ORDERS.items():
            since = await eye.fetchval("SELECT pg_current_xact_id()::text::bigint")
            await stage.measure(what, partial(part.ask, order))
            if what == "again":
                stage.found.written.append(await eye.fetchval(_WRITTEN, since))


async def _theirs(stage: _Stage, of: Peer, python: Path) -> None:
    database = await stage.server.database(migrated=False)
    async with peer(of, python, source=stage.address, database=database, size=SIZE) as pipeline:
        told = await stage.measure(of.name, pipeline.run)
        stage.found.versions[of.name] = told["version"]


def _judged(trial: Trial, found: _Found, rows: int) -> RowResult:
    clock, cpu = found.against("again", "reading", trial.seed)
    told, faster = [f"again {clock} x reading, by CPU {cpu.ratio:.2f}"], []
    for name, version in found.versions.items():
        by_clock, by_cpu = found.against(name, _BESIDE.get(name, "first"), trial.seed)
        told.append(f"{name} {version}: {by_clock} x, by CPU {by_cpu.ratio:.2f}")
        if name == "dlt":
            faster.append(by_clock.at_least(_FASTER))
    rates = [1 / statistics.median(found.clock["first"]), 1 / statistics.median(found.cpu["first"])]
    return trial.timed(
        value=f"first {rates[0]:.0f} records/s, {rates[1]:.0f} per second of CPU;"
        f" {'; '.join(told)}; {sum(found.written)} written; {found.peak['first'] / 1e6:.0f} MB",
        holds=all(faster)
        and clock.at_most(_UNCHANGED)
        and not any(found.written)
        and found.peak["first"] < _RESIDENT,
        detail={
            "rows": rows,
            "versions": found.versions,
            "cpu": found.cpu,
            "postgres": found.postgres,
            "clock": found.clock,
            "peak": found.peak,
            "written": found.written,
        },
    )
