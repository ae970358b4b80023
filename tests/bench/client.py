"""What our client costs a call, beside the HTTP client that it stands on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from landbridge.engine.api import Api
from tests.bench.client_stage import BODY, TOKEN, Stage, stage
from tests.rows import Comparison, RowResult, Trial, pairs, row

_LIMIT = 1.10
"""Of the bare client's CPU."""


@row(
    "client",
    title="CPU of a call by our client: signed in, quotas, breaker, call log, span",
    goal="<= 10 % CPU per call over bare httpx2",
)
async def client(trial: Trial) -> RowResult:
    """`bridge.api(connection).get(path)` and `httpx2.AsyncClient.get(url)`, one after the other and
    32 at a time, in this process; the server has one of its own, and so has Postgres."""
    calls = trial.size.pick(small=32, medium=1000)
    found: dict[str, Comparison] = {}
    async with stage() as on:
        for at_once in (1, 32):  # in this order: idle connections cost every later call
            for sign_in, api in on.apis.items():
                found[f"{sign_in}, {at_once} at a time"] = await pairs(
                    partial(_ours, on, api, calls, at_once),
                    partial(_bare, on, calls, at_once),
                    seed=trial.seed,
                )
                trial.step(len(found), 2 * len(on.apis))
    return trial.timed(
        value="; ".join(
            f"{what}: {min(one.ours) * 1e6:.0f} us, {one} x bare" for what, one in found.items()
        ),
        holds=all(one.at_most(_LIMIT) for one in found.values()),
        detail={what: _rounds(one) for what, one in found.items()},
    )


def _rounds(one: Comparison) -> dict[str, Any]:
    """The seconds of CPU per call of every round, and the ratio."""
    return {"ours": list(one.ours), "bare": list(one.control), "ratio": [one.low, one.high]}


async def _ours(on: Stage, api: Api, calls: int, at_once: int) -> float:
    """Seconds of CPU per call, writing the call log down included."""

    async def call() -> bool:
        return (await api.get("/things")).body == BODY

    async def settle() -> None:
        assert on.bridge.client.calls is not None
        await on.bridge.client.calls.flush()

    return await _cpu(call, calls, at_once, settle)


async def _bare(on: Stage, calls: int, at_once: int) -> float:
    """The same of the bare client, with the same header fields."""
    url = f"{on.url}/things"
    headers = {"Accept": "application/json", "Authorization": f"Bearer {TOKEN}"}

    async def call() -> bool:
        return (await on.http.get(url, headers=headers)).content == BODY

    return await _cpu(call, calls, at_once)


async def _cpu(
    call: Callable[[], Awaitable[bool]],
    calls: int,
    at_once: int,
    settle: Callable[[], Awaitable[None]] | None = None,
) -> float:
    async def caller(number: int) -> None:
        for _ in range(number):
            if not await call():
                raise RuntimeError("an answer is not what the server sends")

    each = max(calls // at_once, 1)
    await asyncio.gather(*(caller(1) for _ in range(at_once)))  # connections, statements, leases
    if settle is not None:
        await settle()
    begun = time.process_time()
    await asyncio.gather(*(caller(each) for _ in range(at_once)))
    if settle is not None:
        await settle()
    return (time.process_time() - begun) / (each * at_once)
