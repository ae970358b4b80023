"""Loads of a whole resource, or of a range of it, beside its pulls: how far each stream's last is.

A load is a value in its stream's row. Its worker writes it with each page, and only while it is the
running one of its generation: whoever cancels it, or begins another, ends the worker's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql
from landbridge.store.syncs import Stream


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """One load of a stream, its `generation`-th; of what was made from `since` on and before
    `until`, None: without that end. `cursor` is behind its last page; the counts are of all of its
    pages. `reason` is why it failed, or what it waits for to pass."""

    generation: int
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None
    tries: int = 0
    """How often in a row its next page could not be had."""
    failing_since: datetime | None = None
    """When that was so for the first time."""
    began_at: datetime | None = None
    ended_at: datetime | None = None
    pages: int = 0
    seen: int = 0
    changed: int = 0
    gone: int = 0
    parked: int = 0
    cursor: dict[str, Any] | None = None


_OF_CONNECTION = Sql(
    "backfills.of_connection",
    """
    SELECT resource, backfill::text AS backfill FROM lb.sync
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND backfill IS NOT NULL
    ORDER BY id
    """,
)

_ONE = Sql(
    "backfills.one",
    """
    SELECT backfill::text FROM lb.sync
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    """,
)

_BEGIN = Sql(
    "backfills.begin",
    """
    UPDATE lb.sync SET backfill = :backfill::jsonb
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
      AND (backfill IS NULL OR backfill ->> 'state' <> 'running')
    """,
)

_WRITE = Sql(
    "backfills.write",
    """
    UPDATE lb.sync SET backfill = :backfill::jsonb
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
      AND backfill ->> 'state' = 'running' AND (backfill ->> 'generation')::int = :generation
    RETURNING lb.now()
    """,
)

_CANCEL = Sql(
    "backfills.cancel",
    """
    UPDATE lb.sync
    SET backfill = backfill || jsonb_build_object('state', 'cancelled', 'ended_at', lb.now())
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND backfill ->> 'state' = 'running'
    """,
)


async def of_connection(
    db: Database, *, environment: str, tenant: str, connection: str
) -> dict[str, Backfill]:
    """The last load of each of the connection's resources that was ever loaded."""
    rows = await db.fetch(
        _OF_CONNECTION, environment=environment, tenant=tenant, connection=connection
    )
    return {row["resource"]: _read(row["backfill"]) for row in rows}


async def one(db: Database | Tx, stream: Stream) -> Backfill | None:
    """The stream's last load; None: there was none."""
    text = await db.value(_ONE, **stream.binds())
    return _read(text) if text else None


async def begin(tx: Tx, stream: Stream, load: Backfill) -> bool:
    """Makes it the stream's load; False: there is one under way."""
    return bool(await tx.run(_BEGIN, **stream.binds(), backfill=_written(load)))


async def write(tx: Tx, stream: Stream, load: Backfill) -> datetime | None:
    """Stores how far the load is, and gives the present; None: it is not the one under way."""
    at: datetime | None = await tx.value(
        _WRITE, **stream.binds(), backfill=_written(load), generation=load.generation
    )
    return at


async def cancel(db: Database, stream: Stream) -> bool:
    """Ends the load under way; False: there is none."""
    return bool(await db.run(_CANCEL, **stream.binds()))


def _read(text: str) -> Backfill:
    return msgspec.json.decode(text, type=Backfill)


def _written(load: Backfill) -> str:
    return msgspec.json.encode(load).decode()
