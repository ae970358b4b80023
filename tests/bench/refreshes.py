"""How long waiters wait for one refresh that all of them need."""

from __future__ import annotations

import asyncio

from tests.bench.spread import percentile, spread
from tests.faults.refresh_stage import Stage, ground, stage
from tests.faults.refreshing import expire
from tests.rows import RowResult, Trial, row

_WAITERS, _WORKERS = 256, 4
_EXCHANGE = 0.2
"""Seconds that the server takes."""
_MORE_MS = 50.0


@row(
    "refresh",
    title=f"{_WAITERS} waiters for one access token, over {_WORKERS} of what a process has",
    goal=f"1 exchange per expiry; p99 at most {_MORE_MS:.0f} ms over one waiter alone",
)
async def refresh(trial: Trial) -> RowResult:
    """An expiry that one waiter meets, and one that all meet at once, in turns, at oidc-provider,
    which is made to take a fifth of a second."""
    rounds = 5 if trial.size.judges_time else 1
    more: list[float] = []
    async with ground() as earth, stage(earth, lease=10.0) as on:
        on.gate.delay = lambda: _EXCHANGE
        for number in range(rounds):
            alone = await _waits(on, workers=1, waiters=1)
            crowd = await _waits(on, workers=_WORKERS, waiters=_WAITERS)
            more.append((percentile(crowd, 0.99) - alone[0]) * 1000)
            trial.step(number + 1, rounds)
        exchanged = (await on.server.counts())["exchanged"]
    added = spread(more, seed=trial.seed)
    return trial.timed(
        value=f"{exchanged} exchanges for {2 * rounds} expiries; p99 {added.middle:.0f} ms over one"
        " waiter alone",
        holds=exchanged == 2 * rounds and added.at_most(_MORE_MS),
        detail={"exchanges": exchanged, "expiries": 2 * rounds, "p99_more_ms": vars(added)},
    )


async def _waits(on: Stage, *, workers: int, waiters: int) -> list[float]:
    """How long each waited, in seconds."""
    (connection,) = await on.connect(1)
    some = [on.inside() for _ in range(workers)]
    told = await asyncio.gather(
        *(expire(each, connection, waiters // workers, 1, 1) for each in some)
    )
    return [wait for _, waits in told for wait in waits]
