"""Leaves alone what does not answer: a breaker for each connection and each provider.

While everything works a call costs a look into a dictionary. Failures in a row are counted here,
and from the second on in Postgres, so that the workers open a breaker together; which are open is
read anew at most every `every` seconds. A success closes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from landbridge.errors import CircuitOpen, DatabaseUnavailable
from landbridge.resilience import Breaker, Rule
from landbridge.spec import Provider
from landbridge.store import breakers
from landbridge.store.breakers import Place
from landbridge.store.connections import Connection
from landbridge.store.database import Database

CONNECTION = Rule(after=8, first=timedelta(seconds=5), longest=timedelta(minutes=10))
PROVIDER = Rule(after=30, first=timedelta(seconds=5), longest=timedelta(minutes=5))

_SEVERAL = 3
"""Connections that have to fail before a provider is held to fail."""


@dataclass(slots=True)
class _Streak:
    """Failures in a row that this process met and has not written yet, and whose they were."""

    unwritten: int = 0
    written: bool = False
    connections: set[str] = field(default_factory=set)


class Breakers:
    """The breakers of a process, shared with all others through Postgres."""

    def __init__(
        self,
        db: Database,
        *,
        every: float = 2.0,
        monotonic: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ):
        self._db = db
        self._every = every
        self._monotonic = monotonic
        self._rng = rng or random.Random()  # noqa: S311 - spreads probes, guards nothing
        self._streaks: dict[Place, _Streak] = {}
        self._known: dict[Place, Breaker] = {}
        self._now: datetime | None = None
        self._read_at = 0.0
        self._next = float("-inf")

    async def enter(self, provider: Provider, connection: Connection) -> None:
        """Returns when the call may go. CircuitOpen: too many failures lately; `.retry_at`."""
        if self._monotonic() >= self._next:
            await self._read()
        if not self._known:
            return
        held = [
            (place, rule, self._known[place])
            for place, rule in _places(provider, connection)
            if place in self._known
        ]
        now = self._moment()
        for place, _, breaker in held:
            waits = breaker.waits_until(now)
            if waits is not None:
                raise _open(provider, place, waits)
        for place, rule, breaker in held:
            if breaker.open_until is not None:
                waits = await self._probe(place, rule)
                if waits is not None:
                    raise _open(provider, place, waits)

    async def worked(self, provider: Provider, connection: Connection) -> None:
        """An answer came that shows that it works, be it a refusal."""
        if not self._streaks and not self._known:
            return
        for place, _ in _places(provider, connection):
            streak = self._streaks.pop(place, None)
            known = self._known.pop(place, None)
            if known is None and (streak is None or not streak.written):
                continue
            try:
                await breakers.close(self._db, place)
            except DatabaseUnavailable:
                self._next = float("-inf")

    async def failed(self, provider: Provider, connection: Connection, error: str) -> None:
        """No answer came, or one that says that it does not work."""
        for place, rule in _places(provider, connection):
            streak = self._streaks.setdefault(place, _Streak())
            streak.unwritten += 1
            streak.connections.add(connection.id)
            probed = place in self._known and self._known[place].open_until is not None
            many = bool(place.tenant) or len(streak.connections) >= _SEVERAL
            if not probed and (streak.unwritten + streak.written < 2 or not many):
                continue
            count, streak.unwritten, streak.written = streak.unwritten, 0, True
            try:
                self._known[place] = await breakers.failed(
                    self._db,
                    place,
                    rule,
                    count=count,
                    error=error,
                    factor=self._rng.uniform(0.8, 1.2),
                )
            except DatabaseUnavailable:
                streak.unwritten += count

    async def _probe(self, place: Place, rule: Rule) -> datetime | None:
        try:
            return await breakers.probe(self._db, place, rule)
        except DatabaseUnavailable:
            return None

    async def _read(self) -> None:
        self._next = self._monotonic() + self._every
        try:
            now, found = await breakers.every(self._db)
        except DatabaseUnavailable:
            return
        self._now, self._read_at = now, self._monotonic()
        self._known = {each.place: each.breaker for each in found}

    def _moment(self) -> datetime:
        """The database's time by now."""
        assert self._now is not None
        return self._now + timedelta(seconds=self._monotonic() - self._read_at)


def _places(provider: Provider, connection: Connection) -> list[tuple[Place, Rule]]:
    """The connection, and its provider where all connections share its address."""
    own = Place(connection.environment, connection.tenant, connection.id)
    if "{" in provider.base or "base" in connection.settings:
        return [(own, CONNECTION)]
    return [(own, CONNECTION), (Place(connection.environment, "", provider.slug), PROVIDER)]


def _open(provider: Provider, place: Place, until: datetime) -> CircuitOpen:
    whose = f"connection {place.name}" if place.tenant else provider.name
    return CircuitOpen(
        f"{whose} failed too often lately and is left alone until {until:%H:%M:%S} UTC;"
        f" see: landbridge breakers list, or try at once after: landbridge breakers reset"
        f" {place.name}",
        retry_at=until,
    )
