"""What is offered to an endpoint that was disabled: a replay of all that it did not get.

That is what was given up while it failed, what waited for it when it was disabled, and what was
emitted since then. A replay goes by when events were emitted, and what was given up was emitted
before that: as long before as a delivery may be on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from landbridge.engine.posting import LONGEST_RETRY_AFTER, SCHEDULE
from landbridge.store import event_types, replays
from landbridge.store.database import Database, Tx
from landbridge.store.endpoints import Endpoint
from landbridge.store.replays import Selection

_SPREAD = 1.1


async def begins(
    db: Database | Tx, endpoint: Endpoint, *, disabled_at: datetime, failing_since: datetime | None
) -> datetime:
    """From when on events were emitted that the endpoint may not have got.

    `failing_since` is None for an endpoint that worked until then.
    """
    schedules = [endpoint.schedule]
    if endpoint.schedule is None:
        schedules = [SCHEDULE, *(await event_types.schedules(db)).values()]
    return earliest(
        min(failing_since or disabled_at, disabled_at),
        created_at=endpoint.created_at,
        schedules=[each for each in schedules if each is not None],
    )


def earliest(
    since: datetime, *, created_at: datetime, schedules: Iterable[Sequence[timedelta]]
) -> datetime:
    """When the oldest event was emitted whose delivery may still have been on its way at `since`.

    Each wait is spread by a tenth, or as long as a receiver may ask for. Nothing was on its way to
    an endpoint before it was created.
    """
    longest = max(
        sum((max(wait * _SPREAD, LONGEST_RETRY_AFTER) for wait in each), timedelta())
        for each in schedules
    )
    return max(since - longest, created_at)


async def size(
    db: Database, endpoint: Endpoint, *, since: datetime, look: int = 10_000
) -> tuple[int, bool]:
    """How many events since then the endpoint did not get, and whether that is all of them.

    `look` events are looked at. What waits for its turn is not among those that are counted.
    """
    whose = {"environment": endpoint.environment, "tenant": endpoint.tenant}
    until = await replays.latest_event(db, **whose)
    part = await replays.count(
        db,
        Selection(since=since, state="undelivered"),
        look=look,
        most=look,
        endpoint=endpoint.id,
        after=0,
        until=until,
        **whose,
    )
    return part.matched, part.looked < look
