"""W22: deliveries of one ordering key, the first of which fails, while workers are killed."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any

import asyncpg
import httpx2

from landbridge.engine.emit import emit
from landbridge.store.bind import Awaiting, bind
from tests.faults.outbound import HOOKS, Scene, house, scene
from tests.faults.senders import share
from tests.rows import RowResult, Trial, row

_KEYS = ("a", "b", "c", "stuck")
_TENANT = "tenant 1"
_POINTS = ("claimed", "posting", "answered", "unsettled", "settling", "settled", "moving", "moved")
_SCHEDULE = "array_fill(interval '0.2 seconds', ARRAY[500])"
_SKIP_AFTER = 3
_SKIPS = HOOKS[1]

# The first delivery under `stuck` fails for good, one in three of all others at its first try.
_FAILURES: tuple[dict[str, object], ...] = (
    {"type": "order.stuck", "tries": 1_000_000, "answer": "503"},
    {"type": "order.shaky", "tries": 1, "answer": "503", "every": 3},
)


@dataclass(kw_only=True)
class _Found:
    """By hook and key: how many arrived, and how many of those after a later one. `aside` are the
    deliveries that are shown as having stepped out of their lines."""

    arrived: dict[tuple[str, str], int] = field(default_factory=dict)
    overtaken: dict[tuple[str, str], int] = field(default_factory=dict)
    aside: int = 0
    waiting: int = 0


@row(
    "W22",
    title="ordered key whose head fails",
    goal="0 overtaken, other keys all there; skip rule: the head aside, the rest there",
)
async def order(trial: Trial) -> RowResult:
    """Two ordered endpoints: at one a failing delivery holds up its key, the other lets it step
    aside after three tries. Workers die at all points; they post by either sender, those of the
    second one behind PgBouncer. The control is the same unordered."""
    each = trial.size.pick(small=12, medium=60)
    kills = trial.size.pick(small=6, medium=100)
    async with house() as shared, AsyncExitStack() as stack:
        stages = [
            await stack.enter_async_context(scene(within=shared, sender=name, pooler=place > 0))
            for place, name in enumerate(share(kills))
        ]
        unordered = await stack.enter_async_context(scene(within=shared))
        *ours, control = await asyncio.gather(
            *(
                _run(stage, trial, each, kills=share(kills)[stage.sender], ordered=True)
                for stage in stages
            ),
            _run(unordered, trial, each, kills=0, ordered=False),
        )
    holds_up, skips = (HOOKS[0], "stuck"), (_SKIPS, "stuck")
    expected = {(hook, key): each for hook in HOOKS for key in _KEYS}
    expected |= {holds_up: 0, skips: each - 1}
    overtaken = sum(sum(found.overtaken.values()) for found in ours)
    theirs = sum(control.overtaken.values())
    lost = sum(max(0, expected[one] - found.arrived[one]) for found in ours for one in expected)
    return RowResult(
        value="; ".join(
            f"{stage.sender}: {stage.kills} kills, {sum(found.arrived.values())} of"
            f" {sum(expected.values())} there, behind the head {found.arrived[holds_up]}"
            f" (skip rule: {found.arrived[skips]}), {found.waiting} wait, {found.aside} aside"
            for stage, found in zip(stages, ours, strict=True)
        )
        + f"; {lost} lost, {overtaken} overtaken; control: {theirs} overtaken",
        holds=all(found.arrived == expected for found in ours)
        and overtaken == 0
        and all((found.aside, found.waiting) == (1, each - 1) for found in ours)
        and theirs > 0,
        detail={
            "tried": len(ours) * sum(expected.values()),
            "lost": lost,
            "overtaken": overtaken,
            "control": theirs,
            "kills": kills,
        },
    )


async def _run(stage: Scene, trial: Trial, each: int, *, kills: int, ordered: bool) -> _Found:
    """Emits, delivers with as many kills, and reckons once nothing more can arrive."""
    rng = trial.random
    await _prepare(stage, ordered=ordered)
    places = await _emit(stage, rng, each)
    while stage.kills < kills:
        pid = await stage.worker(point=rng.choice(_POINTS), after=rng.randint(1, 4))
        await stage.until_killed(pid, within=0.5)
        trial.step(stage.kills, kills + 1)
    pid = await stage.worker()
    most = len(HOOKS) * len(_KEYS) * each
    await _until_done(stage, most - (each + 1 if ordered else len(HOOKS)))
    stage.nursery.kill(pid)
    await stage.nursery.ended(pid, within=10)
    return await _reckon(stage, places)


async def _prepare(stage: Scene, *, ordered: bool) -> None:
    connection = await asyncpg.connect(stage.direct)
    await connection.execute(
        f"UPDATE landbridge.endpoint SET ordered = $1, schedule = {_SCHEDULE},"
        " skip_after = CASE WHEN url LIKE '%' || $2 THEN $3::int END",
        ordered,
        _SKIPS,
        _SKIP_AFTER,
    )
    await connection.close()
    async with httpx2.AsyncClient(trust_env=False) as client:
        for each in _FAILURES:
            made = await client.post(f"{stage.receiver.url}/_sim/failures", json=each)
            made.raise_for_status()


async def _emit(stage: Scene, rng: Random, each: int) -> dict[str, tuple[str, int]]:
    """By event: its key, and its place there. Transactions of a few keys in turn."""
    connection = await asyncpg.connect(stage.direct)
    places: dict[str, tuple[str, int]] = {}
    for place in range(each):
        async with connection.transaction():
            session = bind(connection, "landbridge")
            assert isinstance(session, Awaiting)
            for key in rng.sample(_KEYS, k=len(_KEYS)):
                kind = "stuck" if key == "stuck" and place == 0 else "shaky"
                event = await emit(
                    session,
                    f"order.{kind}",
                    {"place": place},
                    environment="test",
                    tenant=_TENANT,
                    ordering_key=key,
                )
                places[event] = key, place
    await connection.close()
    return places


async def _until_done(stage: Scene, number: int, *, within: float = 60) -> None:
    """Waits until so many deliveries are recorded, and those that step aside have done so."""
    connection = await asyncpg.connect(stage.direct)
    deadline = asyncio.get_running_loop().time() + within
    done = 0
    while done < number and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.1)
        done = await connection.fetchval(
            "SELECT count(*) FROM landbridge.attempt WHERE outcome = 'delivered'"
        )
    await connection.close()


async def _reckon(stage: Scene, places: dict[str, tuple[str, int]]) -> _Found:
    connection = await asyncpg.connect(stage.direct)
    found = _Found(
        aside=await connection.fetchval(
            "SELECT count(*) FROM landbridge.due WHERE args @> '{\"aside\": true}'"
        ),
        waiting=await connection.fetchval("SELECT count(*) FROM landbridge.line"),
    )
    await connection.close()
    arrived: dict[tuple[str, str], list[int]] = defaultdict(list)
    for line in stage.journal.read_text().splitlines():
        entry: dict[str, Any] = json.loads(line)
        if entry.get("kind") == "delivery" and entry["status"] == 200:
            key, place = places[entry["webhook_id"]]
            before = arrived[entry["endpoint"], key]
            if place not in before:  # a duplicate is no second arrival
                before.append(place)
    for hook in HOOKS:
        for key in _KEYS:
            order = arrived[hook, key]
            found.arrived[hook, key] = len(order)
            found.overtaken[hook, key] = sum(
                place < max(order[:number]) for number, place in enumerate(order) if number
            )
    return found
