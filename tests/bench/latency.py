"""How long an event takes from the call of emit to its receiver, at a constant rate."""

from __future__ import annotations

from tests.bench.cluster import SETTINGS
from tests.bench.flow import RATE, flow
from tests.bench.spread import Spread, percentile, show, spread
from tests.rows import RowResult, Trial, row

_P50_MS, _P99_MS, _LATER_MS = 15.0, 60.0, 250.0
_ROUNDS = 5


@row(
    "latency",
    title=f"from emit to the receiver at {RATE:.0f}/s, with a wake-up after commit and without",
    goal=f"p50 <= {_P50_MS:.0f} ms, p99 <= {_P99_MS:.0f} ms; without at most {_LATER_MS:.0f} more",
    limit=1800,
)
async def latency(trial: Trial) -> RowResult:
    found: dict[bool, list[list[float]]] = {True: [], False: []}
    async with flow(10.0 if trial.size.judges_time else 0.2) as flowing:
        for number in range(_ROUNDS):
            for wakes in (True, False) if number % 2 == 0 else (False, True):
                found[wakes].append(await flowing.latencies(wakes=wakes))
            trial.step(number + 1, _ROUNDS)

    def of(share: float, *, wakes: bool) -> Spread:
        return spread([percentile(each, share) * 1000 for each in found[wakes]], seed=trial.seed)

    p50, p99 = of(0.5, wakes=True), of(0.99, wakes=True)
    late50, late99 = of(0.5, wakes=False), of(0.99, wakes=False)
    show(
        f"latency at {RATE:.0f}/s: milliseconds from emit to the receiver, each round",
        ("", "p50", "p99", "most"),
        [
            (
                "woken" if wakes else "found by the poll",
                *(f"{percentile(each, share) * 1000:.1f}" for share in (0.5, 0.99, 1.0)),
            )
            for wakes, rounds in found.items()
            for each in rounds
        ],
    )
    return trial.timed(
        value=f"woken p50 {p50.middle:.0f} ms, p99 {p99.middle:.0f} ms;"
        f" else p50 {late50.middle:.0f} ms, p99 {late99.middle:.0f} ms",
        holds=p50.at_most(_P50_MS)
        and p99.at_most(_P99_MS)
        and late50.at_most(_P50_MS + _LATER_MS)
        and late99.at_most(_P99_MS + _LATER_MS),
        detail={
            "rate": RATE,
            "settings": SETTINGS,
            "woken": {"p50_ms": vars(p50), "p99_ms": vars(p99)},
            "polled": {"p50_ms": vars(late50), "p99_ms": vars(late99)},
        },
    )
