"""A row, what it is given and what it gives back."""

from __future__ import annotations

import inspect
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much to try: `ci` and `smoke` are small, `medium` is the default, a number is itself."""

    name: str
    number: int | None = None

    @classmethod
    def parse(cls, text: str) -> Size:
        """The size that `N=` asks for; nothing asks for `medium`. ValueError says what there is."""
        word = text.strip().lower() or "medium"
        if word in ("ci", "smoke", "medium"):
            return cls(name=word)
        if word.isdecimal() and int(word) > 0:
            return cls(name=word, number=int(word))
        raise ValueError(f"N={text} is no size: it is ci, smoke, medium or a whole number above 0.")

    def pick(self, *, small: int, medium: int) -> int:
        """The row's own number for this size; `N=5000` overrules both."""
        if self.number is not None:
            return self.number
        return medium if self.name == "medium" else small

    @property
    def judges_time(self) -> bool:
        """False for `smoke`, which shows that a row runs and judges no time."""
        return self.name != "smoke"


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """What a row found: a short `value` for the table, whether its goal `holds`, and counts.

    `detail` goes to the JSON file: strings, numbers, booleans, lists and mappings only.
    """

    value: str
    holds: bool
    detail: Mapping[str, Any] = field(default_factory=dict)


def _silent(_done: int, _total: int) -> None:
    """A row that runs without a terminal reports no progress."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a row is given: how much to try, its seed, and a place to report progress."""

    size: Size
    seed: int
    step: Callable[[int, int], None] = _silent
    """`step(done, total)` moves the progress bar of this row."""

    @property
    def random(self) -> random.Random:
        """A generator that starts from the run's seed, anew at every access."""
        return random.Random(self.seed)

    def timed(
        self, *, value: str, holds: bool, detail: Mapping[str, Any] | None = None
    ) -> RowResult:
        """The result of a row that judges a time; `N=smoke` makes it hold, `(not judged)`."""
        if self.size.judges_time:
            return RowResult(value=value, holds=holds, detail=detail or {})
        return RowResult(value=f"{value} (not judged)", holds=True, detail=detail or {})


Attempt = Callable[[Trial], Awaitable[RowResult] | RowResult]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: its code, what it tries, when it holds, and how it is tried."""

    code: str
    title: str
    goal: str
    limit: int
    alone: bool
    attempt: Attempt

    async def run(self, trial: Trial) -> RowResult:
        """Tries it once."""
        outcome = self.attempt(trial)
        return await outcome if inspect.isawaitable(outcome) else outcome


def row(
    code: str, *, title: str, goal: str, limit: int = 900, alone: bool = False
) -> Callable[[Attempt], Row]:
    """Makes a function of a `Trial`, plain or async, a row.

    `limit` is in seconds: a row that takes longer is ended and falls short. `alone`: it judges a
    time or memory, so that no other row may run beside it.
    """

    def wrap(attempt: Attempt) -> Row:
        return Row(code=code, title=title, goal=goal, limit=limit, alone=alone, attempt=attempt)

    return wrap
