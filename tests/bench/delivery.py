"""What a delivery costs beside the bare client, and how fast a backlog is worked off beside the
patterns of others."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.bench import ours
from tests.bench.cluster import SETTINGS
from tests.bench.controls.bare import Bare
from tests.bench.controls.base import Control
from tests.bench.controls.convoy import Convoy
from tests.bench.controls.hook0 import Hook0
from tests.bench.controls.svix import Svix
from tests.bench.letters import BODY, ENDPOINTS
from tests.bench.spread import Spread, show, spread
from tests.bench.stage import Contender, Drained, Stage, stage
from tests.rows import Comparison, RowResult, Trial, pairs, row

_OVER_BARE_US = 20.0
_OVER: dict[type[Control], float] = {Svix: 3.0, Hook0: 3.0, Convoy: 1.5}
_ROUNDS = 5


@dataclass(kw_only=True)
class _Measured:
    """One sender's measurements: every drain of each contender, and the comparisons."""

    sender: str
    drains: dict[str, list[Drained]] = field(default_factory=dict)
    over_bare: Spread
    faster: dict[str, Comparison] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return self.over_bare.at_most(_OVER_BARE_US) and all(
            self.faster[kind.__name__].at_least(times) for kind, times in _OVER.items()
        )

    def __str__(self) -> str:
        mine = statistics.median(each.rate for each in self.drains["ours"])
        faster = ", ".join(f"{name} {found}" for name, found in self.faster.items())
        extra = self.over_bare
        return (
            f"{self.sender}: {mine:.0f}/s, bare client {extra.middle:+.0f} us"
            f" ({extra.low:+.0f} to {extra.high:+.0f}); times faster than {faster}"
        )


@row(
    "delivery",
    title=f"a backlog of {BODY} byte events to {ENDPOINTS} endpoints, on one machine",
    goal=f"CPU <= bare client + {_OVER_BARE_US:.0f} us; "
    + ", ".join(f">= {times} x {kind.__name__}" for kind, times in _OVER.items()),
    limit=3600,
)
async def delivery(trial: Trial) -> RowResult:
    """The best sender there is decides; every one is printed.

    Beside Svix's writes each message is emitted by itself first, since they begin there: by a call
    of `bridge.emit` alone, as by one of its API. Beside the others the backlog is there. `N=smoke`
    tries the best sender alone.
    """
    number = trial.size.pick(small=60, medium=5000)
    senders = ours.senders() if trial.size.judges_time else ours.senders()[-1:]
    found = []
    async with stage() as place:
        for done, sender in enumerate(senders):
            found.append(await _measured(place, sender, number, trial.seed))
            trial.step(done + 1, len(senders))
    for each in found:
        _show(each)
    return trial.timed(
        value="; ".join(map(str, found)),
        holds=any(each.holds for each in found),
        detail={
            "deliveries": number,
            "settings": SETTINGS,
            "senders": {each.sender: _detail(each) for each in found},
        },
    )


async def _measured(place: Stage, sender: str, number: int, seed: int) -> _Measured:
    async with AsyncExitStack() as stack:
        url = await place.database()
        mine = await stack.enter_async_context(place.ours(url, sender=sender))
        drains: dict[str, list[Drained]] = {}

        def drained(
            contender: Contender, *, singly: bool = False
        ) -> Callable[[], Awaitable[float]]:
            async def drain() -> float:
                found = await place.drain(contender, number, singly=singly)
                drains.setdefault(contender.name, []).append(found)
                return found.whole_rate

            return drain

        bare = await stack.enter_async_context(place.control(Bare, sender=sender))
        for contender in (mine, bare):
            await place.drain(contender, min(number, 500))  # opens connections, plans statements
        await pairs(drained(mine), drained(bare), rounds=_ROUNDS, seed=seed)
        extra = [
            one.cpu - other.cpu for one, other in zip(drains["ours"], drains["Bare"], strict=True)
        ]
        found = _Measured(sender=sender, drains=drains, over_bare=spread(extra, seed=seed))
        for kind in _OVER:
            async with place.control(kind, sender=sender) as other:
                await place.drain(other, min(number, 500))
                singly = kind is Svix
                found.faster[kind.__name__] = await pairs(
                    drained(mine, singly=singly),
                    drained(other, singly=singly),
                    rounds=_ROUNDS,
                    seed=seed,
                )
        return found


def _show(found: _Measured) -> None:
    def middle(drains: Sequence[Drained], what: str, form: str = ".0f") -> str:
        return format(statistics.median(getattr(each, what) for each in drains), form)

    show(
        f"delivery by {found.sender}: medians over the rounds, per delivery",
        ("", "per second", "CPU us", "Postgres CPU us", "statements", "rows", "WAL bytes"),
        [
            (
                name,
                middle(drains, "rate"),
                middle(drains, "cpu"),
                middle(drains, "postgres_cpu"),
                middle(drains, "statements", ".2f"),
                middle(drains, "rows", ".2f"),
                middle(drains, "wal"),
            )
            for name, drains in found.drains.items()
        ],
    )


def _detail(found: _Measured) -> dict[str, Any]:
    return {
        "over_bare_us": vars(found.over_bare),
        "faster": {name: vars(each) for name, each in found.faster.items()},
        "drains": {
            name: [
                {key: value for key, value in vars(each).items() if key != "top"} for each in drains
            ]
            for name, drains in found.drains.items()
        },
        "statements": {name: drains[-1].top for name, drains in found.drains.items()},
    }
