"""A circuit breaker as values: when a place that fails is left alone, and who may look again.

Closed: calls go. After `Rule.after` failures in a row it opens: calls are refused until
`open_until`. Then it is half open: one call probes, all others wait for what comes of it. A probe
that fails opens it for twice as long; any success closes it, which is a new `Breaker()`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Position(StrEnum):
    """Whether calls go."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """When it opens (`after` failures in a row), for how long (`first`, twice as long each time in
    a row, at most `longest`), and how long a probe may take before another one may go."""

    after: int
    first: timedelta
    longest: timedelta
    probe: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """One place's breaker. `failures` are those since the last success, `opened` is how often in a
    row it opened."""

    failures: int = 0
    opened: int = 0
    open_until: datetime | None = None
    probing_until: datetime | None = None

    def position(self, now: datetime) -> Position:
        """Closed, open, or half open."""
        if self.open_until is None:
            return Position.CLOSED
        return Position.OPEN if self.open_until > now else Position.HALF_OPEN

    def waits_until(self, now: datetime) -> datetime | None:
        """Until when calls are refused; None: this one may go, as the probe if it is half open."""
        if self.open_until is None:
            return None
        if self.open_until > now:
            return self.open_until
        if self.probing_until is not None and self.probing_until > now:
            return self.probing_until
        return None

    def probing(self, rule: Rule, now: datetime) -> Breaker:
        """The same while somebody probes."""
        return replace(self, probing_until=now + rule.probe)

    def failed(self, rule: Rule, count: int, now: datetime, *, factor: float = 1.0) -> Breaker:
        """After `count` more failures. `factor` spreads when it is tried again.

        Failures of calls that were under way when it opened keep it open no longer.
        """
        failures = self.failures + count
        if self.open_until is None:
            if failures < rule.after:
                return replace(self, failures=failures)
        elif self.open_until > now:
            return replace(self, failures=failures)
        wait: timedelta = min(rule.longest, rule.first * 2 ** min(self.opened, 30))
        return Breaker(failures=failures, opened=self.opened + 1, open_until=now + wait * factor)
