"""How far the rolling sweep of a stream is: a value in its row, written page by page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql
from landbridge.store.syncs import Stream


class Suspects(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn did not meet: those that its listing, which began then, has no note of."""

    listing: str
    began_at: datetime


class Sweeping(msgspec.Struct, frozen=True, kw_only=True):
    """One stream's sweep. `cursor` is behind the last page of the turn that is under way, which
    began at `began_at` and made `calls` so far; None: the next step begins one. The last full turn
    lasted from `turned_from` to `turned_at`; it missed `missed` records, the `suspects`. `credit`
    is how many calls the step of `stepped_at` has left; below zero: its last page took more than
    there were."""

    cursor: dict[str, Any] | None = None
    listing: str = ""
    began_at: datetime | None = None
    calls: int = 0
    turned_from: datetime | None = None
    turned_at: datetime | None = None
    missed: int = 0
    suspects: Suspects | None = None
    credit: int = 0
    stepped_at: datetime | None = None


_ONE = Sql(
    "sweeps.one",
    """
    SELECT sweep::text FROM lb.sync
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    """,
)

_OF_CONNECTION = Sql(
    "sweeps.of_connection",
    """
    SELECT resource, sweep::text AS sweep FROM lb.sync
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND sweep IS NOT NULL
    ORDER BY id
    """,
)

_WRITE = Sql(
    "sweeps.write",
    """
    UPDATE lb.sync SET sweep = :sweep::jsonb
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    RETURNING lb.now()
    """,
)


async def one(db: Database | Tx, stream: Stream) -> Sweeping:
    """How far the stream's sweep is; at its beginning where there was none."""
    found = await db.value(_ONE, **stream.binds())
    return msgspec.json.decode(found, type=Sweeping) if found else Sweeping()


async def of_connection(
    db: Database, *, environment: str, tenant: str, connection: str
) -> dict[str, Sweeping]:
    """The sweeps of a connection that have begun, by resource."""
    rows = await db.fetch(
        _OF_CONNECTION, environment=environment, tenant=tenant, connection=connection
    )
    return {row["resource"]: msgspec.json.decode(row["sweep"], type=Sweeping) for row in rows}


async def write(tx: Database | Tx, stream: Stream, sweep: Sweeping) -> datetime | None:
    """Keeps how far it is; gives the present, None if the stream is gone."""
    now: datetime | None = await tx.value(
        _WRITE, **stream.binds(), sweep=msgspec.json.encode(sweep).decode()
    )
    return now
