"""What a worker does with replays: a part at a time, paced, fenced by the lease.

The next events are read, their deliveries put and the cursor moved in one transaction that also
holds the lease. So a worker that is killed leaves nothing out and nothing twice, and one that lost
its lease writes nothing.

The pace is a matter of due times: a part of a second's worth is put with times one behind the other
by the database's clock. While `WAITING` of a replay's deliveries are not through, nothing is added:
an endpoint that is slow, limited or failing slows its replay down.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from landbridge.jobs import Cancel, Done, Kind, Lease, Outcome, Snooze
from landbridge.store import replays
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from landbridge.store.replays import Place

Hold = Callable[[Tx], Awaitable[None]]

WAITING = 1000
"""The most deliveries of one replay that wait in `due` at a time."""

_LOOK = 2000
_SLICE = 1.0
_AHEAD = timedelta(seconds=_SLICE / 2)
_FULL = timedelta(seconds=1)
_PARTS = 200


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one part did: how many deliveries it put, and when the next part is worth a look
    (None: at once). `ended` is the state that the replay is in now, if it does not run."""

    put: int = 0
    next_at: datetime | None = None
    ended: str | None = None


class Replaying:
    """What a worker does with replays. `kind()` goes into its table of kinds."""

    def __init__(self, db: Database):
        self._db = db

    def kind(self) -> Kind:
        """The kind of due rows that replays run by."""
        return Kind(name=replays.KIND, run=self.run)

    async def run(self, claim: Claimed, lease: Lease) -> Outcome:
        """Takes parts until the pace says to wait."""
        for _ in range(_PARTS):
            step = await self.step(claim, lease.hold)
            if step.put:
                await self._db.notify()
            if step.ended == "done":
                return Done()
            if step.ended is not None:
                return Cancel(reason=f"the replay is {step.ended}")
            if step.next_at is not None:
                return Snooze(at=step.next_at)
        return Snooze()

    async def step(self, claim: Claimed, hold: Hold) -> Step:
        """Takes one part, in one transaction."""
        whose = {"environment": claim.environment, "tenant": claim.tenant}
        named = claim.key or ""
        async with self._db.transaction() as tx:
            await hold(tx)
            place = await replays.place(tx, id=named, most=WAITING, **whose)
            if place is None:
                return Step(ended="not running")
            if not place.enabled:
                reason = (
                    "the endpoint was deleted"
                    if place.enabled is None
                    else f"the endpoint is disabled: {place.why_disabled}"
                )
                await replays.set_state(
                    tx, id=named, state="paused", of=["running"], reason=reason, **whose
                )
                return Step(ended="paused")
            room = min(WAITING - place.waiting, math.ceil(place.rate * _SLICE))
            if room <= 0:
                return Step(next_at=place.now + _FULL)
            return await self._part(tx, place, named, room, whose)

    async def _part(self, tx: Tx, place: Place, id: str, room: int, whose: dict[str, str]) -> Step:
        start = max(place.paced_until, place.now)
        part = await replays.put(
            tx,
            place.selection,
            replay=id,
            start=start,
            rate=place.rate,
            look=_LOOK,
            most=room,
            endpoint=place.endpoint,
            after=place.cursor,
            until=place.until,
            **whose,
        )
        paced = start + timedelta(seconds=part.matched / place.rate)
        await replays.move(
            tx,
            id=id,
            cursor=max(part.last, place.cursor),
            done=part.matched,
            paced_until=paced,
            **whose,
        )
        if part.looked < _LOOK and part.matched < room:
            await replays.set_state(tx, id=id, state="done", of=["running"], **whose)
            return Step(put=len(part.put), ended="done")
        ahead = paced - _AHEAD
        return Step(put=len(part.put), next_at=ahead if ahead > place.now else None)
