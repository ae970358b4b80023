"""Where "now" comes from, so that every rule about time can be tested in no time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Anything that tells the time in UTC. Leases and due times use the database's, not this."""

    def now(self) -> datetime:
        """The present instant, timezone-aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant, in UTC."""
        return datetime.now(UTC)


class FakeClock:
    """A clock that stands still until it is moved; for tests."""

    def __init__(self, start: datetime | None = None):
        self._now = start or datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """The instant it was last set to."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Moves the clock; a negative step is allowed, clocks do run backwards."""
        self._now += by
