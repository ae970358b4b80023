"""Xero's limits: per organisation a minute, a day and at once; per app a minute. Fixed windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many calls are served."""

    minute: int = 60
    day: int = 5_000
    concurrent: int = 5
    appminute: int = 10_000


@dataclass(kw_only=True)
class Quotas:
    """Counts calls in windows of a minute and a day, and those under way."""

    now: Callable[[], float]
    limits: Limits
    refused: Counter[str] = field(default_factory=Counter)
    """How often each limit was met."""
    _counts: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    _under_way: Counter[str] = field(default_factory=Counter)

    def enter(self, tenant: str) -> tuple[str, int] | None:
        """Counts a call in; else which limit it meets and for how many seconds."""
        if self._under_way[tenant] >= self.limits.concurrent:
            self.refused["concurrent"] += 1
            return "concurrent", 0
        windows = self._windows(tenant)
        for name, (place, limit, length) in windows.items():
            if self._counts[place] >= limit:
                self.refused[name] += 1
                return name, int(length - self.now() % length) + 1
        for place, _, _ in windows.values():
            self._counts[place] += 1
        self._under_way[tenant] += 1
        return None

    def leave(self, tenant: str) -> None:
        """Ends a call that was counted in."""
        self._under_way[tenant] -= 1

    def headers(self, tenant: str) -> dict[str, str]:
        """What is left, as answers say it."""
        windows = self._windows(tenant)
        left = {name: max(limit - self._counts[at], 0) for name, (at, limit, _) in windows.items()}
        return {
            "X-MinLimit-Remaining": str(left["minute"]),
            "X-DayLimit-Remaining": str(left["day"]),
            "X-AppMinLimit-Remaining": str(left["appminute"]),
        }

    def _windows(self, tenant: str) -> dict[str, tuple[tuple[str, str, int], int, int]]:
        minute, day = int(self.now() // 60), int(self.now() // 86_400)
        return {
            "minute": (("minute", tenant, minute), self.limits.minute, 60),
            "day": (("day", tenant, day), self.limits.day, 86_400),
            "appminute": (("appminute", "", minute), self.limits.appminute, 60),
        }
