"""Rows in which processes are killed: run with either sender, and by a weaker pattern."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import reduce
from operator import add
from random import Random
from typing import Any

import asyncpg

from tests.faults.outbound import Reckoning, Scene, house, scene
from tests.faults.senders import share
from tests.rows import Trial

_DEATHS = 3
_QUIET = 1.5
"""Seconds: longer than a lease lasts."""

Cycle = Callable[[Scene, Random, int, Callable[[int, int], None]], Awaitable[None]]
"""Lets so many processes die on a stage."""


@dataclass(frozen=True, kw_only=True)
class Killed:
    """What was found by sender, each on a stage of its own, and of the control."""

    kills: Mapping[str, int]
    found: Mapping[str, Reckoning]
    calm: Reckoning
    control: Reckoning

    @property
    def clean(self) -> bool:
        """Whether either sender did nothing but duplicate, and the control too while it lived."""
        return self.calm.clean and all(each.clean for each in self.found.values())

    @property
    def duplicated(self) -> int:
        """By either sender."""
        return self.total.duplicated

    @property
    def total(self) -> Reckoning:
        """Of both senders together."""
        return reduce(add, self.found.values())

    def __str__(self) -> str:
        return "; ".join(
            f"{name}: {self.kills[name]} kills, {each}" for name, each in self.found.items()
        )

    def detail(self) -> dict[str, Any]:
        """The counts, for the JSON file."""
        return {
            "kills": sum(self.kills.values()),
            **vars(self.total),
            "by_sender": {name: vars(each) for name, each in self.found.items()},
            "control": vars(self.control),
        }


async def killed(
    trial: Trial,
    kills: int,
    cycle: Cycle,
    *,
    weak: str,
    points: Collection[str],
    fail_first: Iterable[str] = (),
) -> Killed:
    """So many kills, split between the senders; and a control that dies thrice at `points`."""
    done: dict[str, int] = {}

    async def by(stage: Scene, number: int) -> tuple[int, Reckoning]:
        def step(kills_so_far: int, _of: int) -> None:
            done[stage.sender] = kills_so_far
            trial.step(sum(done.values()), kills)

        await cycle(stage, Random(f"{trial.seed} {stage.sender}"), number, step)
        await stage.drain()
        return stage.kills, await stage.reckon()

    shares = share(kills)
    async with house() as shared, AsyncExitStack() as stack:
        last = await stack.enter_async_context(scene(within=shared))
        stages = [
            await stack.enter_async_context(
                scene(within=shared, sender=sender, fail_first=fail_first)
            )
            for sender in shares
        ]
        (calm, control), ours = await asyncio.gather(
            _control(last, weak, sorted(points), Random(trial.seed)),
            asyncio.gather(*(by(each, shares[each.sender]) for each in stages)),
        )
    return Killed(
        kills={name: each[0] for name, each in zip(shares, ours, strict=True)},
        found={name: each[1] for name, each in zip(shares, ours, strict=True)},
        calm=calm,
        control=control,
    )


async def cycle_through(
    points: Collection[str], stage: Scene, rng: Random, kills: int, step: Callable[[int, int], None]
) -> None:
    """The cycle of most rows: `Scene.kill_cycles` at these points."""
    await stage.kill_cycles(rng, points, kills, step=step)


async def _control(
    stage: Scene, weak: str, points: list[str], rng: Random
) -> tuple[Reckoning, Reckoning]:
    """What the weaker pattern did before anybody was killed, and in all."""
    await stage.emit(12)
    await _finished(stage, weak)
    calm = await stage.reckon()
    while stage.kills < _DEATHS:
        await stage.emit(12)
        pid = await stage.worker(weak=weak, point=rng.choice(points))
        await stage.until_killed(pid, within=5)
    await _finished(stage, weak)
    return calm, await stage.reckon()


async def _finished(stage: Scene, weak: str) -> None:
    """Lets a worker go on until nothing comes any more; an empty queue says nothing here."""
    pid = await stage.worker(weak=weak)
    connection = await asyncpg.connect(stage.direct)
    before, tries = -1, 0
    async with asyncio.timeout(60):
        while tries != before or not tries:
            before = tries
            await asyncio.sleep(_QUIET)
            tries = await connection.fetchval("SELECT count(*) FROM landbridge.attempt")
    await connection.close()
    stage.nursery.kill(pid)
    await stage.nursery.ended(pid, within=10)
