"""What comes in while partitions are missing, moved and dropped: the inbound half of W17."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from landbridge import ids
from landbridge.errors import LandbridgeError
from landbridge.store import inbox, upkeep
from landbridge.store.database import Database
from landbridge.store.inbox import Selection
from tests.faults.inbound import Inbound, event, inbound

_ALL = Selection(environment="test")
_AT_ONCE = 20
_OLD_DAYS = 5


@dataclass(kw_only=True)
class Incoming:
    """Counts. `refused` webhooks were not answered 200, `lost` ones did not become an event;
    `strayed` rows lay in default partitions, `left` after the round. Of the `reads` of the inbox
    some `failed`, and some found fewer events than one before (`hidden`)."""

    posted: int
    refused: int = 0
    lost: int = 0
    strayed: int = 0
    left: int = 0
    reads: int = 0
    failed: int = 0
    hidden: int = 0

    @property
    def holds(self) -> bool:
        """Whether everything was taken in, seen, and drained."""
        faults = (self.refused, self.lost, self.left, self.failed, self.hidden)
        return self.strayed > 0 and self.reads > 0 and not any(faults)


async def incoming(webhooks: int, *, retention: int) -> Incoming:
    """Webhooks come and are sorted without a partition of the day; then more come, and the inbox
    is listed all the time, while upkeep makes partitions, moves what strayed and drops old days."""
    done = Incoming(posted=webhooks)
    async with inbound(processes=2) as stage:
        admin = await asyncpg.connect(stage.url)
        await _drop_days(admin)
        for day in range(_OLD_DAYS):
            await _old_day(admin, datetime.now(UTC) - timedelta(days=retention + 3 + day))
        await admin.close()
        half = webhooks // 2
        done.refused += await _post(stage, range(half))
        await stage.sort()
        done.strayed = sum((await upkeep.strays(stage.db)).values())
        ended = asyncio.Event()
        listing = asyncio.create_task(_list(stage.dbs[1], ended, done, most=webhooks + 1))
        posting = asyncio.create_task(_post(stage, range(half, webhooks)))
        await upkeep.keep_up(stage.db, retention_days=retention)
        done.refused += await posting
        await stage.sort()
        ended.set()
        await listing
        await upkeep.keep_up(stage.db, retention_days=retention)
        done.left = sum((await upkeep.strays(stage.db)).values())
        found = await inbox.page(stage.db, _ALL, most=webhooks + 1)
        done.lost = webhooks - len({each.vendor_id for each in found})
    return done


async def _post(stage: Inbound, numbers: range) -> int:
    """Posts these, some at once; how many were not taken in."""
    refused = 0
    for first in range(numbers.start, numbers.stop, _AT_ONCE):
        some = range(first, min(first + _AT_ONCE, numbers.stop))
        told = await asyncio.gather(*[stage.post(event(each), at=each % 2) for each in some])
        refused += sum(status != 200 for status in told)
    return refused


async def _list(db: Database, ended: asyncio.Event, done: Incoming, *, most: int) -> None:
    """Lists the inbox until told to end, as `landbridge inbox list` does."""
    seen = 0
    while not ended.is_set():
        done.reads += 1
        try:
            found = len(await inbox.page(db, _ALL, most=most))
        except (LandbridgeError, asyncpg.PostgresError):
            done.failed += 1
        else:
            done.hidden += found < seen
            seen = max(seen, found)
        await asyncio.sleep(0)


async def _drop_days(admin: asyncpg.Connection) -> None:
    rows = await admin.fetch(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE c.relnamespace = 'landbridge'::regnamespace AND c.relkind = 'r'"
        " AND c.relname ~ '^(arrival|inbox_event)_[0-9]{8}$'"
    )
    for row in rows:
        await admin.execute(f"DROP TABLE landbridge.{row['relname']}")


async def _old_day(admin: asyncpg.Connection, day: datetime) -> None:
    start = day.replace(hour=0, minute=0, second=0, microsecond=0)
    for table, prefix in (("arrival", "arr"), ("inbox_event", "inb")):
        low, high = ids.bound(prefix, start), ids.bound(prefix, start + timedelta(days=1))
        await admin.execute(
            f"CREATE TABLE landbridge.{table}_{start:%Y%m%d} PARTITION OF landbridge.{table}"
            f" FOR VALUES FROM ('{low}') TO ('{high}')"
        )
