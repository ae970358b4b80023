"""Moves what was committed on: events to their endpoints, changes into the feed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from landbridge.measures import DELIVERIES, EVENTS_MOVED, MOVE_SECONDS, Measures
from landbridge.store import lines, ordering, outbox
from landbridge.store.database import DELIVER, Database
from landbridge.store.lines import Line
from landbridge.store.outbox import Moved

_RECENT = 2000
_SLOW_LOOK, _SLOW_ROW = 0.01, 0.00002
_SPARED = 25
_TOUR_EVERY, _TOUR_PART = 0.25, 500


class _Moved(Protocol):
    """What one call took out, up to which place, and how many rows it wrote for that."""

    @property
    def taken(self) -> int: ...

    @property
    def last(self) -> int: ...

    @property
    def written(self) -> int: ...


class _Mover(Protocol):
    async def __call__(self, db: Database, *, limit: int, after: int) -> _Moved: ...


@dataclass(kw_only=True)
class _Feed:
    move: _Mover
    seen: int = 0
    next_whole: float = 0.0


def _nobody() -> None:
    """Nobody here delivers."""


class Dispatcher:
    """Any number of these, in any number of processes: they take turns.

    Each move looks at all that is there, so that what was written first is moved first. Where a
    snapshot that somebody holds keeps thousands of moved rows from being vacuumed, such a look
    takes long; then most moves look at the latest places only, and a 25th of the time goes into
    looking at the rest, where rows lie that committed long after they were written.

    `ready` is called when deliveries became due, after each batch of a long row of them and before
    others are notified; that notification carries `name`.

    It also goes around all lines of ordered endpoints, 500 in a quarter of a second, in case one
    stands still because somebody crashed before it was promoted.
    """

    def __init__(
        self,
        db: Database,
        *,
        batch: int = 1000,
        monotonic: Callable[[], float] = time.monotonic,
        measures: Measures | None = None,
        name: str = "",
        ready: Callable[[], None] = _nobody,
    ):
        self._db = db
        self._measures = measures or Measures()
        self._batch = batch
        self._monotonic = monotonic
        self._events = _Feed(move=_move)
        self._changes = _Feed(move=ordering.sequence)
        self._name = name
        self._ready = ready
        self._next_tour = 0.0
        self._toured: Line | None = None

    async def step(self) -> bool:
        """Whether anything was moved. Moves all that is there, and wakes workers after it.

        Raises DatabaseUnavailable; nothing is lost then, the next step moves it.
        """
        deliveries = await self._drain(self._events)
        deliveries = await self._tour() or deliveries
        if deliveries:
            await self._tell()
        changes = await self._drain(self._changes)
        if changes:
            await self._db.notify()
        return deliveries or changes

    async def _tell(self) -> None:
        """Wakes those who deliver, here and elsewhere."""
        self._ready()
        await self._db.notify(f"{DELIVER} {self._name}")

    async def _tour(self) -> bool:
        """Whether a part of the lines, when it is time for one, had some that stood still."""
        if self._monotonic() < self._next_tour:
            return False
        self._next_tour = self._monotonic() + _TOUR_EVERY
        found = await lines.tour(self._db, after=self._toured, limit=_TOUR_PART)
        promoted = await lines.promote(self._db, found.idle)
        for key in found.loose:
            promoted += await lines.release(self._db, **key._asdict())
        self._toured = found.last
        return promoted > 0

    async def _drain(self, feed: _Feed) -> bool:
        """Moves batch after batch until one is not full; whether anything was moved."""
        any_taken = False
        while True:
            began = self._monotonic()
            whole = began >= feed.next_whole
            moved = await feed.move(
                self._db, limit=self._batch, after=0 if whole else feed.seen - _RECENT
            )
            took = self._monotonic() - began
            if whole and took > _SLOW_LOOK + moved.written * _SLOW_ROW:
                feed.next_whole = began + took * _SPARED
            feed.seen = max(feed.seen, moved.last)
            if isinstance(moved, Moved):
                self._count(moved, took)
            any_taken = any_taken or moved.taken > 0
            if moved.taken < self._batch:
                return any_taken
            if isinstance(moved, Moved) and moved.deliveries:
                await self._tell()

    def _count(self, moved: Moved, took: float) -> None:
        if moved.taken:
            self._measures.observe(MOVE_SECONDS, took)
            self._measures.count(EVENTS_MOVED, n=moved.events)
            self._measures.count(DELIVERIES, "due", n=moved.deliveries)
            self._measures.count(DELIVERIES, "line", n=moved.lined)


async def _move(db: Database, *, limit: int, after: int) -> Moved:
    """Moves events, and promotes the lines that some of their deliveries stand in."""
    moved = await outbox.move(db, limit=limit, after=after)
    await lines.promote(db, moved.lines)
    return moved
