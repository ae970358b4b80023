"""W08: receivers that answer slowly, without end, or with far too much; senders that do so are in
`w08_slow_in`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import psutil

from landbridge.client.guard import Guard
from landbridge.client.post import Posts
from landbridge.errors import Unreachable
from tests.faults.hostile import KINDS, hostile
from tests.faults.senders import SENDERS
from tests.faults.w08_slow_in import slow_in
from tests.rows import Comparison, RowResult, Trial, pairs, row

_LOCAL = Guard(["127.0.0.0/8"])
_BODY = b"x" * 1024
_SLACK = 0.5
"""Seconds that an event loop under load may be late."""
_FLAT = 32 << 20
_CAP = 16_384
_RAMP = 0.2
_Beside = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(kw_only=True)
class _Found:
    tried: int = 0
    late: int = 0
    over: int = 0
    grown: int = 0
    latest: float = 0.0


@row(
    "W08",
    alone=True,
    title="slow headers, 1 byte/s, endless body, 1 GB, gzip bomb; in, and out by either sender",
    goal="the total deadline kept, RSS flat (+32 MB), the others' p99 within 10 %, webhooks "
    "answered; a client with timeouts per read, and a server as it comes, keep neither",
)
async def slow_and_endless(trial: Trial) -> RowResult:
    """Many posts to all of them at once, and what posts to a receiver that is well notice of it."""
    deadline = float(trial.size.pick(small=1, medium=15))
    each = trial.size.pick(small=20, medium=100)
    found: dict[str, _Found] = {}
    felt: dict[str, Comparison] = {}
    async with hostile() as url, hostile() as well:
        for number, (name, kind) in enumerate(SENDERS.items()):
            async with kind(_LOCAL, deadline=deadline, body_cap=_CAP) as sender:
                found[name] = await _bear(sender, url, each, deadline)
                felt[name] = await pairs(
                    partial(_p99, sender, well, partial(_others, sender, url)),
                    partial(_p99, sender, well, _nothing),
                    rounds=trial.size.pick(small=5, medium=15),
                    enough=lambda one: one.at_most(1.10),
                )
            trial.step(number + 1, len(SENDERS) + 2)
        control = await _control(url, deadline)
    taken, taken_well = await slow_in(trial)
    kept = all(not (each.late or each.over) and each.grown <= _FLAT for each in found.values())
    steady = all(each.at_most(1.10) for each in felt.values()) or not trial.size.judges_time
    return RowResult(
        value="; ".join(
            f"{name}: {each.tried} posts, {each.late} late (latest {each.latest:.2f} of"
            f" {deadline:g} s), +{each.grown >> 20} MB, others' p99 x {felt[name]}"
            for name, each in found.items()
        )
        + f"; control: {control['late']} late, {control['read'] >> 20} MB read; {_told(taken)}",
        holds=kept and steady and taken_well and control["late"] > 0 and control["read"] > 16 << 20,
        detail={
            "deadline": deadline,
            **{name: vars(each) for name, each in found.items()},
            "p99": {name: [each.low, each.ratio, each.high] for name, each in felt.items()},
            "control": control,
            "in": taken,
        },
    )


def _told(taken: dict[str, Any]) -> str:
    control = taken["control"]
    return (
        f"in: {taken['connections']} connections, {taken['late']} late, {taken['endless']} endless,"
        f" +{taken['grown'] >> 20} MB, {taken['lost']} webhooks lost (control:"
        f" {control['late']} late, {control['endless']} endless, +{control['grown'] >> 20} MB)"
    )


async def _bear(sender: Posts, url: str, each: int, deadline: float) -> _Found:
    """`each` posts of every kind at once: how long they took, and what was kept of them."""
    for kind in KINDS[3:]:
        await sender.post(f"{url}/{kind}", {}, _BODY)  # what is only loaded once is loaded
    own = psutil.Process()
    before = own.memory_info().rss
    found = _Found()

    async def one(kind: str) -> None:
        began = time.monotonic()
        try:
            sent = await sender.post(f"{url}/{kind}", {}, _BODY)
            found.over += len(sent.body) > _CAP
        except Unreachable:
            pass
        took = time.monotonic() - began
        found.tried += 1
        found.latest = max(found.latest, took)
        found.late += took > deadline + _SLACK

    async def watch() -> None:
        while True:
            found.grown = max(found.grown, own.memory_info().rss - before)
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    async with asyncio.TaskGroup() as tasks:
        for number in range(each * len(KINDS)):
            tasks.create_task(one(KINDS[number % len(KINDS)]))
    watching.cancel()
    return found


async def _p99(sender: Posts, well: str, beside: _Beside) -> float:
    """The 99th percentile of posts to a receiver that answers after 20 ms, in seconds."""
    took: list[float] = []

    async def posts() -> None:
        for _ in range(20):
            sent = await sender.post(f"{well}/ok", {}, _BODY)
            took.append(sent.took)

    async with beside(), asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(posts())
    return sorted(took)[len(took) * 99 // 100]


@asynccontextmanager
async def _others(sender: Posts, url: str) -> AsyncIterator[None]:
    """Thirty posts to hostile receivers are under way, each followed by the next."""

    async def again(kind: str, wait: float) -> None:
        await asyncio.sleep(wait)
        while True:
            with suppress(Unreachable):
                await sender.post(f"{url}/{kind}", {}, _BODY)
            await asyncio.sleep(0.5)

    tasks = [
        asyncio.create_task(again(KINDS[number % len(KINDS)], number / 60)) for number in range(30)
    ]
    await asyncio.sleep(_RAMP)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    """As long a pause as `_others` begins with, and no post."""
    await asyncio.sleep(_RAMP)
    yield


async def _control(url: str, deadline: float) -> dict[str, int]:
    """The usual client: a time-out for each read, the whole body. `/ok` works as well as ours."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=deadline, sock_read=deadline + 1)
    read = 0
    async with aiohttp.ClientSession(timeout=timeout) as session:
        async with session.post(f"{url}/ok", data=_BODY) as response:
            assert await response.read() == b"ok"

        async def one(kind: str) -> bool:
            nonlocal read
            try:
                async with asyncio.timeout(2 * deadline + 1):
                    async with session.post(f"{url}/{kind}", data=_BODY) as response:
                        async for part in response.content.iter_any():
                            read += len(part)
                            if read > 1 << 25:
                                return False
            except TimeoutError:
                return True
            return False

        late = [await one(kind) for kind in ("drip", "huge")]
    return {"late": sum(late), "read": read}
