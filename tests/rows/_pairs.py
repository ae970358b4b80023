"""Comparisons of two times or rates on a machine whose speed wanders."""

from __future__ import annotations

import random
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

_RESAMPLES = 2000
_FEWEST_ROUNDS = 5
_MOST_TIMES = 4


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Ours divided by the control: the median of the rounds and its 95 % bootstrap interval."""

    ratio: float
    low: float
    high: float
    ours: tuple[float, ...]
    control: tuple[float, ...]

    def at_most(self, limit: float) -> bool:
        """False only when the whole interval lies above `limit`."""
        return self.low <= limit

    def at_least(self, limit: float) -> bool:
        """False only when the whole interval lies below `limit`."""
        return self.high >= limit

    def __str__(self) -> str:
        return f"{self.ratio:.2f} ({self.low:.2f} to {self.high:.2f})"


async def pairs(
    ours: Callable[[], Awaitable[float]],
    control: Callable[[], Awaitable[float]],
    *,
    rounds: int = _FEWEST_ROUNDS,
    seed: int = 0,
    enough: Callable[[Comparison], bool] = lambda _found: True,
) -> Comparison:
    """Measures both `rounds` times (>= 5) in turns, each round in the other order, and compares.

    Each call measures once and returns what it measured, a number above 0: seconds or a rate.
    Few rounds lie now and then. Where what they found is not `enough`, the rounds go on, up to
    four times as many; all that was measured counts.
    """
    if rounds < _FEWEST_ROUNDS:
        raise ValueError(f"{rounds} rounds say nothing: take {_FEWEST_ROUNDS} or more.")
    mine: list[float] = []
    theirs: list[float] = []
    for number in range(_MOST_TIMES * rounds):
        if number and number % rounds == 0 and enough(compared(mine, theirs, seed=seed)):
            break
        order = [(ours, mine), (control, theirs)]
        for measure, into in order if number % 2 == 0 else reversed(order):
            into.append(await measure())
    return compared(mine, theirs, seed=seed)


def compared(mine: Sequence[float], theirs: Sequence[float], *, seed: int = 0) -> Comparison:
    """What was measured in rounds, ours and the control's."""
    rounds = len(mine)
    ratios = [one / other for one, other in zip(mine, theirs, strict=True)]
    chance = random.Random(seed)
    medians = sorted(statistics.median(chance.choices(ratios, k=rounds)) for _ in range(_RESAMPLES))
    return Comparison(
        ratio=statistics.median(ratios),
        low=medians[int(_RESAMPLES * 0.025)],
        high=medians[int(_RESAMPLES * 0.975)],
        ours=tuple(mine),
        control=tuple(theirs),
    )
