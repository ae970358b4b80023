"""How much longer deliveries to the others take while some receivers hang."""

from __future__ import annotations

from tests.bench.cluster import SETTINGS
from tests.bench.flow import HUNG, RATE, flow
from tests.bench.letters import ENDPOINTS
from tests.bench.spread import percentile, show
from tests.rows import RowResult, Trial, pairs, row

_RISE = 1.1


@row(
    "isolation",
    title=f"the other endpoints' p99 while {len(HUNG)} of {ENDPOINTS} hang, at {RATE:.0f}/s",
    goal=f"<= {_RISE} x the p99 without",
    limit=1800,
)
async def isolation(trial: Trial) -> RowResult:
    middles: dict[str, list[float]] = {"hung": [], "none": []}
    async with flow(30.0 if trial.size.judges_time else 0.5) as flowing:

        async def hung() -> float:
            return _tail(await flowing.latencies(hung=HUNG), middles["hung"])

        async def none() -> float:
            return _tail(await flowing.latencies(), middles["none"])

        found = await pairs(hung, none, seed=trial.seed)
    show(
        f"isolation: milliseconds from emit to the endpoints that answer, at {RATE:.0f}/s",
        ("round", "p50, some hang", "p99, some hang", "p50, none", "p99, none"),
        [
            (str(number + 1), *(f"{each * 1000:.1f}" for each in values))
            for number, values in enumerate(
                zip(middles["hung"], found.ours, middles["none"], found.control, strict=True)
            )
        ],
    )
    return trial.timed(
        value=f"{found} x",
        holds=found.at_most(_RISE),
        detail={
            "rate": RATE,
            "hung": len(HUNG),
            "endpoints": ENDPOINTS,
            "settings": SETTINGS,
            "p99": vars(found),
            "p50_s": middles,
        },
    )


def _tail(latencies: list[float], middles: list[float]) -> float:
    middles.append(percentile(latencies, 0.5))
    return percentile(latencies, 0.99)
