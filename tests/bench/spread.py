"""What is said of several measurements of one thing, and tables of them."""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

_RESAMPLES = 2000
_WIDE = 160


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The median of several rounds and its 95 % bootstrap interval."""

    middle: float
    low: float
    high: float
    rounds: tuple[float, ...]

    def at_most(self, limit: float) -> bool:
        """False only when the whole interval lies above `limit`."""
        return self.low <= limit

    def at_least(self, limit: float) -> bool:
        """False only when the whole interval lies below `limit`."""
        return self.high >= limit


def spread(rounds: Sequence[float], *, seed: int = 0) -> Spread:
    """The spread of one or more measurements."""
    chance = random.Random(seed)
    medians = sorted(
        statistics.median(chance.choices(rounds, k=len(rounds))) for _ in range(_RESAMPLES)
    )
    return Spread(
        middle=statistics.median(rounds),
        low=medians[int(_RESAMPLES * 0.025)],
        high=medians[int(_RESAMPLES * 0.975)],
        rounds=tuple(rounds),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of them do not exceed; ValueError for none."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def show(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table: the first column to the left, the others to the right."""
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    (Console() if sys.stdout.isatty() else Console(width=_WIDE)).print(table)
