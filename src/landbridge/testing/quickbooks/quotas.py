"""QuickBooks' limits: calls a minute and at once, for each company."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many calls are served."""

    minute: int = 500
    concurrent: int = 10


@dataclass(kw_only=True)
class Quotas:
    """Counts calls in windows of a minute, and those under way."""

    now: Callable[[], float]
    limits: Limits
    refused: Counter[str] = field(default_factory=Counter)
    """How often each limit was met."""
    _counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    _under_way: Counter[str] = field(default_factory=Counter)

    def enter(self, realm: str) -> str:
        """Counts a call in; else which limit it meets."""
        place = (realm, int(self.now() // 60))
        met = ""
        if self._under_way[realm] >= self.limits.concurrent:
            met = "concurrent"
        elif self._counts[place] >= self.limits.minute:
            met = "minute"
        if met:
            self.refused[met] += 1
            return met
        self._counts[place] += 1
        self._under_way[realm] += 1
        return ""

    def leave(self, realm: str) -> None:
        """Ends a call that was counted in."""
        self._under_way[realm] -= 1
