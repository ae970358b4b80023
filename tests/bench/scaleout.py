"""A second worker process beside the first, and how many posts one process has under way."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable

from tests.bench import ours
from tests.bench.cluster import SETTINGS
from tests.bench.spread import show
from tests.bench.stage import Contender, Drained, Stage, stage
from tests.rows import RowResult, Trial, pairs, row

_FASTER, _CPU, _IN_FLIGHT = 1.8, 1.1, 6000
_DELAY = 0.2
_POSTS = 80
"""A process has so few posts under way here that it waits for the sink, not for the processor."""


@row(
    "scaleout",
    title=f"two worker processes and a sink that takes {_DELAY * 1000:.0f} ms;"
    " posts under way in one process",
    goal=f">= {_FASTER} x one, CPU per delivery <= {_CPU} x, {_IN_FLIGHT} posts at a time",
    limit=1800,
)
async def scaleout(trial: Trial) -> RowResult:
    number = trial.size.pick(small=120, medium=4000)
    wanted = _IN_FLIGHT if trial.size.judges_time else 200
    sender = ours.senders()[-1]
    drains: dict[str, list[Drained]] = {}
    async with stage() as place:

        def drained(name: str, contender: Contender) -> Callable[[], Awaitable[float]]:
            async def drain() -> float:
                found = await place.drain(contender, number, delay=_DELAY)
                drains.setdefault(name, []).append(found)
                return found.rate

            return drain

        url = await place.database()
        async with place.ours(url, sender=sender, workers=2, posts=_POSTS) as both:
            one = Contender(name="one", url=url, left=both.left, parts=both.parts[:1])
            await place.drain(both, 100)
            rates = await pairs(drained("two", both), drained("one", one), seed=trial.seed)
            trial.step(1, 2)
        peak = await _peak(place, url, sender, wanted)
        trial.step(2, 2)
    ratios = [two.cpu / each.cpu for two, each in zip(drains["two"], drains["one"], strict=True)]
    cpu = statistics.median(ratios) if trial.size.judges_time else 1.0
    show(
        "scaleout: medians over the rounds, per delivery",
        ("processes", "per second", "CPU us", "Postgres CPU us"),
        [
            (
                name,
                f"{statistics.median(each.rate for each in found):.0f}",
                f"{statistics.median(each.cpu for each in found):.0f}",
                f"{statistics.median(each.postgres_cpu for each in found):.0f}",
            )
            for name, found in drains.items()
        ],
    )
    return trial.timed(
        value=f"{rates} x one, CPU {cpu:.2f} x, {peak} posts at a time",
        holds=rates.at_least(_FASTER) and cpu <= _CPU and peak >= wanted,
        detail={
            "deliveries": number,
            "sender": sender,
            "posts": _POSTS,
            "settings": SETTINGS,
            "rates": vars(rates),
            "cpu": ratios,
            "peak": peak,
        },
    )


async def _peak(place: Stage, url: str, sender: str, wanted: int) -> int:
    """How many posts one process had under way, at a sink that waits until all could be sent."""
    async with place.ours(url, sender=sender, posts=wanted + 100) as many:
        await place.drain(many, 100)
        found = await place.drain(many, wanted + 50, delay=8.0 if wanted == _IN_FLIGHT else 1.0)
    return found.peak
