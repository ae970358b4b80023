"""How many webhooks a second are verified, committed and answered."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from landbridge.vault import new_key
from tests.bench.cluster import SETTINGS, Cluster, cluster
from tests.bench.door import SECRET
from tests.bench.remote import Remote, remote
from tests.bench.spread import percentile, show, spread
from tests.rows import RowResult, Trial, pairs, row

_OVER_SINGLE, _OF_VERIFYING, _P99_MS = 1.8, 0.6, 50.0
_CONNECTIONS = 128
_DOORS = {
    "ours": "tests.bench.door",
    "one INSERT each": "tests.bench.controls.single_insert",
    "verifies only": "tests.bench.controls.verify_only",
}


@dataclass(kw_only=True)
class _Floods:
    """Floods one door after the other and keeps what each took."""

    server: Cluster
    load: Remote
    doors: dict[str, Remote]
    number: int
    taken: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def of(self, name: str) -> Callable[[], Awaitable[float]]:
        """Measures the accepted webhooks per second of a door once."""

        async def flood() -> float:
            door = self.doors[name]
            await self.server.settle()
            cpu, postgres = door.cpu(), self.server.cpu()
            found = await self.load.ask(
                "flood",
                url=await door.ask("url"),
                secret=SECRET,
                number=self.number,
                connections=_CONNECTIONS,
            )
            if found["accepted"] != self.number:
                raise RuntimeError(f"{name}: {found['accepted']} of {self.number} were accepted")
            rate: float = self.number / found["seconds"]
            taken = {
                "rate": rate,
                "cpu": (door.cpu() - cpu) / self.number * 1e6,
                "postgres_cpu": (self.server.cpu() - postgres) / self.number * 1e6,
            }
            self.taken.setdefault(name, []).append(taken)
            return rate

        return flood


@row(
    "intake",
    title="webhooks accepted per second: verified, committed, answered",
    goal=f">= {_OVER_SINGLE} x one INSERT each, >= {_OF_VERIFYING:.0%} of verifying only,"
    f" p99 < {_P99_MS:.0f} ms at half of it",
    limit=1800,
)
async def intake(trial: Trial) -> RowResult:
    number = trial.size.pick(small=200, medium=10_000)
    seconds = 10.0 if trial.size.judges_time else 0.3
    async with AsyncExitStack() as stack:
        server = stack.enter_context(cluster())
        url, key = await server.database(), new_key()
        starting = [remote(module, url=url, key=key) for module in _DOORS.values()]
        load, *opened = await asyncio.gather(
            *map(stack.enter_async_context, (remote("tests.bench.load"), *starting))
        )
        doors = dict(zip(_DOORS, opened, strict=True))
        floods = _Floods(server=server, load=load, doors=doors, number=number)
        for name in doors:
            await floods.of(name)()  # the first one opens connections and plans statements
        floods.taken.clear()
        single = await pairs(floods.of("ours"), floods.of("one INSERT each"), seed=trial.seed)
        trial.step(1, 3)
        verifying = await pairs(floods.of("ours"), floods.of("verifies only"), seed=trial.seed)
        trial.step(2, 3)
        most = statistics.median(single.ours + verifying.ours)
        waits = [
            await _steady(load, await doors["ours"].ask("url"), most / 2, seconds) for _ in range(5)
        ]
        trial.step(3, 3)
    p99 = spread([percentile(each, 0.99) * 1000 for each in waits], seed=trial.seed)
    p50 = spread([percentile(each, 0.5) * 1000 for each in waits], seed=trial.seed)
    _show(floods)
    return trial.timed(
        value=f"{most:.0f}/s, {single} x one INSERT each, {verifying} of verifying only,"
        f" p99 {p99.middle:.0f} ms (p50 {p50.middle:.0f}) at {most / 2:.0f}/s",
        holds=single.at_least(_OVER_SINGLE)
        and verifying.at_least(_OF_VERIFYING)
        and p99.at_most(_P99_MS),
        detail={
            "webhooks": number,
            "connections": _CONNECTIONS,
            "settings": SETTINGS,
            "over_single": vars(single),
            "of_verifying": vars(verifying),
            "p99_ms": vars(p99),
            "p50_ms": vars(p50),
            "measured": floods.taken,
        },
    )


async def _steady(load: Remote, url: str, rate: float, seconds: float) -> list[float]:
    found: dict[str, Any] = await load.ask(
        "steady", url=url, secret=SECRET, rate=rate, seconds=seconds, connections=_CONNECTIONS
    )
    if found["accepted"] != found["answered"]:
        raise RuntimeError(f"{found['accepted']} of {found['answered']} were accepted")
    latencies: list[float] = found["latencies"]
    return latencies


def _show(floods: _Floods) -> None:
    def middle(name: str, what: str) -> str:
        return f"{statistics.median(each[what] for each in floods.taken[name]):.0f}"

    show(
        "intake: medians over the rounds, CPU in microseconds per webhook",
        ("", "per second", "CPU server", "CPU Postgres"),
        [
            (name, *(middle(name, what) for what in ("rate", "cpu", "postgres_cpu")))
            for name in floods.taken
        ],
    )
