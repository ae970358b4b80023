"""What time it is by the database, whose clock is the one that decides."""

from __future__ import annotations

from datetime import datetime, timedelta

from landbridge.store.database import Database
from landbridge.store.sql import Sql

_MOMENT = Sql(
    "moment.told",
    """
    SELECT lb.now() AS now,
           coalesce(nullif(current_setting('landbridge.clock_offset', true), ''), '0')::interval
               AS moved
    """,
)


async def now(db: Database) -> datetime:
    """The present instant as `lb.now()` has it: by it leases, due times and secrets end."""
    (row,) = await db.fetch(_MOMENT)
    found: datetime = row["now"]
    return found


async def moved(db: Database) -> timedelta:
    """By how much that is ahead of the time outside, where receivers live: zero but in tests."""
    (row,) = await db.fetch(_MOMENT)
    found: timedelta = row["moved"]
    return found
