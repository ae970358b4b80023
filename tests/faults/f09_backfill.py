"""F09: loads that are killed, records of a megabyte, a changed mapping, another resource."""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Any

import asyncpg

from landbridge.vault import new_key
from tests.faults.backfilling import Paged, serving
from tests.faults.nursery import Nursery
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_OUTLIER = 450
"""Every so many records one has a megabyte."""
_RESIDENT = 150_000_000
_GROWTH = 8_000_000
"""Bytes between the middle third of a load and its last: what the allocator moves about."""
_LOOK = 0.02
_PATIENCE = 60.0

_OVER = "UPDATE landbridge.due SET due_at = landbridge.now()"
"""The leases of who was killed are over at once."""
_AGAIN = "UPDATE landbridge.sync SET cursor = '{}'"
_THERE = """
SELECT count(*) FROM landbridge.record WHERE resource = 'thing' AND deleted_at IS NULL"""
_CHANGES = "SELECT count(*) FROM landbridge.change"
_RAW = "SELECT key, raw FROM landbridge.record WHERE resource = 'thing' ORDER BY key"


@dataclass(kw_only=True)
class _Load:
    """What a load did: kills, pages asked for more than once, changes told, and how often somebody
    who looked at the records meanwhile did so and saw too few."""

    kills: int = 0
    again: int = 0
    changes: int = 0
    looks: int = 0
    short: int = 0


@dataclass(frozen=True, kw_only=True)
class _Stage:
    source: Paged
    nursery: Nursery
    eye: asyncpg.Connection
    options: dict[str, str]
    rng: Random

    async def load(self, kills: int, *, held: int) -> _Load:
        """Loads all, over that many kills, while somebody looks who expects `held` records."""
        found = _Load()
        self.source.asked.clear()
        before = await self.eye.fetchval(_CHANGES)
        watching = asyncio.create_task(self._look(found, held))
        while True:
            pid = await self.nursery.start("pulling", **self.options)
            if found.kills == kills:
                break
            self.source.arm(self.rng.randint(1, 5))
            await asyncio.wait_for(self.source.reached.wait(), _PATIENCE)
            await asyncio.sleep(self.rng.uniform(0, 0.05))
            self.nursery.kill(pid)
            await self.nursery.ended(pid, _PATIENCE)
            found.kills += 1
            await self.eye.execute(_OVER)
        if await self.nursery.ended(pid, within=600) != 0:
            raise RuntimeError("the load did not come to its end")
        watching.cancel()
        found.again = self.source.asked.total() - len(self.source.asked)
        found.changes = await self.eye.fetchval(_CHANGES) - before
        return found

    async def _look(self, found: _Load, held: int) -> None:
        own = await asyncpg.connect(self.options["url"])
        try:
            while True:
                found.looks += 1
                found.short += (await own.fetchval(_THERE)) < held
                await asyncio.sleep(_LOOK)
        finally:
            own.terminate()

    async def wrong(self) -> int:
        """Records that are missing, or not as they were sent."""
        rows = {row["key"]: row["raw"] for row in await self.eye.fetch(_RAW)}
        numbers = range(self.source.rows)
        sent = (self.source.raw(number) for number in numbers)
        found = (rows.get(f"thing_{number:09d}") for number in numbers)
        return sum(one != other for one, other in zip(sent, found, strict=True))

    async def remap(self) -> tuple[int, int]:
        """Calls and changes of reading again by another mapping."""
        self.source.asked.clear()
        before = await self.eye.fetchval(_CHANGES)
        pid = await self.nursery.start("remapping", **self.options)
        if await self.nursery.ended(pid, within=600) != 0:
            raise RuntimeError("the records were not read again")
        return self.source.asked.total(), await self.eye.fetchval(_CHANGES) - before


@row(
    "F09",
    title="a backfill killed at random, records of 1 MB, a new mapping, another resource",
    goal="0 wrong, <= 1 page again per kill, 1 change a record, none missing meanwhile; a resource"
    " that is not named and a new mapping make 0 calls; memory < 150 MB and no growth over 1M"
    " records",
    limit=3600,
)
async def backfill(trial: Trial) -> RowResult:
    """Loads over kills; a load of the same records, all edited, over kills; another mapping; and a
    long load in a process of its own, whose memory is looked at."""
    rows = trial.size.pick(small=1000, medium=20_000)
    kills = 40 if trial.size.name == "medium" else 2
    long = trial.size.pick(small=2000, medium=1_000_000)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        eye = await asyncpg.connect(url)
        stack.push_async_callback(eye.close)
        source = Paged(rows, _OUTLIER)
        base = await stack.enter_async_context(serving(source))
        stage = _Stage(
            source=source,
            nursery=await stack.enter_async_context(Nursery()),
            eye=eye,
            options={"url": url, "key": new_key(), "base": base},
            rng=trial.random,
        )
        first = await stage.load(kills, held=0)
        wrong = await stage.wrong()
        trial.step(1, 4)
        await eye.execute(_AGAIN)
        source.edition = 1
        second = await stage.load(kills, held=rows)
        wrong += await stage.wrong()
        others = sum(not target.startswith("/things?") for target in source.asked)
        trial.step(2, 4)
        calls, remapped = await stage.remap()
        trial.step(3, 4)
        memory = await _long(stack, url, stage.options["key"], long)
    again = first.again + second.again
    growth = _growth(memory["resident"])
    holds = (
        wrong == others == calls == second.short == 0
        and first.again <= first.kills
        and second.again <= second.kills
        and first.changes == second.changes == remapped == rows
        and memory["changed"] == long
        and memory["peak"] < _RESIDENT
        and growth < _GROWTH
    )
    return RowResult(
        value=f"2 x {rows} records, {first.kills + second.kills} kills: {wrong} wrong, {again}"
        f" pages again, {first.changes + second.changes} changes; {second.short} of"
        f" {second.looks} looks short; {others} other calls; new mapping: {calls} calls,"
        f" {remapped} changes; {long} records: {memory['peak'] / 1e6:.0f} MB,"
        f" {growth / 1e6:+.1f} MB",
        holds=holds,
        detail={"first": vars(first), "second": vars(second), "memory": memory},
    )


async def _long(stack: AsyncExitStack, url: str, key: str, rows: int) -> dict[str, Any]:
    base = await stack.enter_async_context(serving(Paged(rows, _OUTLIER)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.backfilling",
        json.dumps({"url": url, "key": key, "base": base}),
        stdout=subprocess.PIPE,
    )
    told, _ = await process.communicate()
    found: dict[str, Any] = json.loads(told)
    return found


def _growth(resident: list[int]) -> float:
    third = len(resident) // 3
    return statistics.median(resident[-third:]) - statistics.median(resident[third : 2 * third])
