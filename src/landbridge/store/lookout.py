"""How far back a look for due rows has to begin.

A claim walks each shard's index from its oldest entry on. Entries of rows that were done are taken
out of it in passing; only while somebody holds a snapshot open (a report, a backup, a session left
idle in its transaction) they all have to stay, two for each job done, and every look would walk
over all of them. So a `Lookout` remembers for each shard how far everything was claimed, and most
looks begin there. What committed later with an earlier time, or was locked then, lies before it: a
25th of the time goes into looks at the whole.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql

SHARDS = 64

_LATE = timedelta(milliseconds=500)
"""What was due so shortly before a look may commit after it, and is looked for by the next."""

_SPARED = 25

Since = list[datetime | None]


class Lookout:
    """What one claimer knows of the places it has looked at. It only ever spares work: one that
    knows nothing looks at everything."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic):
        self._monotonic = monotonic
        self._since: dict[str, Since] = {}
        self._claims = _Pace()
        self._asks = _Pace()

    async def claim(
        self,
        db: Database | Tx,
        statement: Sql,
        *,
        owner: str,
        lanes: Sequence[str],
        limit: int,
        per_shard: int,
        lease: timedelta,
        start: int,
    ) -> list[Row]:
        """The rows that a claiming statement took: `per_shard` of each shard, and if that leaves
        room as many as there are. It gives `lane`, `shard`, `was` (when the row was due) and
        `claimed_at` with each."""
        rows: list[Row] = []
        for most in (per_shard, limit):
            left = limit - len(rows)
            began = self._monotonic()
            whole = began >= self._claims.next_whole
            found = await db.fetch(
                statement,
                owner=owner,
                lanes=lanes,
                limit=left,
                per_shard=min(most, left),
                lease=lease,
                start=start,
                since=self._places(lanes, whole=whole),
            )
            self._claims.looked(whole, began, self._monotonic() - began)
            self._claimed(lanes, found, full=len(found) == left, per_shard=min(most, left))
            rows += found
            of_shards = Counter((row["lane"], row["shard"]) for row in found)
            if len(rows) == limit or max(of_shards.values(), default=0) < min(most, left):
                break  # it is full, or no shard has more
        return rows

    async def ready(self, db: Database | Tx, statement: Sql, *, lanes: Sequence[str]) -> list[Row]:
        """The rows of a statement that asks where something is due."""
        began = self._monotonic()
        whole = began >= self._asks.next_whole
        rows = await db.fetch(statement, lanes=lanes, since=self._places(lanes, whole=whole))
        self._asks.looked(whole, began, self._monotonic() - began)
        return rows

    def _places(self, lanes: Iterable[str], *, whole: bool) -> Since:
        if whole:
            return []
        unknown: Since = [None] * SHARDS
        return [place for lane in lanes for place in self._since.get(lane, unknown)]

    def _claimed(
        self, lanes: Sequence[str], rows: Sequence[Row], *, full: bool, per_shard: int
    ) -> None:
        """Moves the places on: to the last row taken where there may be more, else to shortly
        before this look. Where a full claim took nothing, it may not have looked."""
        taken: dict[tuple[str, int], list[datetime]] = {}
        for row in rows:
            taken.setdefault((row["lane"], row["shard"]), []).append(row["was"])
        if rows and not full:
            drained = rows[0]["claimed_at"] - _LATE
            for lane in lanes:
                self._since[lane] = [drained] * SHARDS
        for (lane, shard), times in taken.items():
            if full or len(times) == per_shard:
                self._since.setdefault(lane, [None] * SHARDS)[shard] = max(times)


class _Pace:
    """When the next look at the whole is allowed."""

    def __init__(self) -> None:
        self.next_whole = float("-inf")

    def looked(self, whole: bool, began: float, took: float) -> None:
        if whole:
            self.next_whole = began + took * _SPARED
