"""The catalogue of events in the database, for those who have not the application's code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql


class StoredType(msgspec.Struct, frozen=True, kw_only=True):
    """A declared type. `versions` are newest first, each with `since`, `schema` and `examples`;
    `schedule` are the waits between tries, None for the default ones."""

    type: str
    description: str
    versions: tuple[dict[str, Any], ...]
    schedule: tuple[timedelta, ...] | None = None
    updated_at: datetime | None = None


_SYNC = Sql(
    "event_types.sync",
    """
    WITH given AS MATERIALIZED (
        SELECT g.type, g.description, g.versions, g.schedule
        FROM jsonb_to_recordset(:catalogue::jsonb)
             AS g(type text, description text, versions jsonb, schedule interval[])
    ),
    kept AS (
        INSERT INTO lb.event_type AS t (type, description, versions, schedule)
        SELECT g.type, g.description, g.versions, g.schedule FROM given AS g
        ORDER BY g.type COLLATE "C"
        ON CONFLICT (type) DO UPDATE
            SET description = excluded.description, versions = excluded.versions,
                schedule = excluded.schedule, updated_at = lb.now()
            WHERE (t.description, t.versions, t.schedule)
                  IS DISTINCT FROM (excluded.description, excluded.versions, excluded.schedule)
        RETURNING 1
    ),
    gone AS (
        DELETE FROM lb.event_type AS t
        WHERE t.type NOT IN (SELECT g.type COLLATE "C" FROM given AS g)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM kept) + (SELECT count(*) FROM gone)
    """,
    across="The catalogue is the application's own, the same for all tenants.",
)

_EVERY = Sql(
    "event_types.every",
    """
    SELECT t.type, t.description, t.versions, t.schedule, t.updated_at
    FROM lb.event_type AS t
    ORDER BY t.type
    """,
    across="The catalogue is the application's own, the same for all tenants.",
)

_SCHEDULES = Sql(
    "event_types.schedules",
    """
    SELECT t.type, t.schedule FROM lb.event_type AS t WHERE t.schedule IS NOT NULL
    """,
    across="The catalogue is the application's own, the same for all tenants.",
)


async def sync(db: Database, types: Sequence[StoredType]) -> int:
    """Makes the stored catalogue be these types; how many rows had to be changed for it.

    A catalogue that is stored already is not written again.
    """
    catalogue = [
        {
            "type": each.type,
            "description": each.description,
            "versions": each.versions,
            "schedule": None
            if each.schedule is None
            else [f"{wait / timedelta(microseconds=1):.0f} microseconds" for wait in each.schedule],
        }
        for each in types
    ]
    changed: int = await db.value(_SYNC, catalogue=msgspec.json.encode(catalogue).decode())
    return changed


async def every(db: Database) -> list[StoredType]:
    """The declared types in the order of their names; the built-in ones are not stored."""
    return [
        StoredType(
            type=row["type"],
            description=row["description"],
            versions=msgspec.json.decode(row["versions"], type=tuple[dict[str, Any], ...]),
            schedule=None if row["schedule"] is None else tuple(row["schedule"]),
            updated_at=row["updated_at"],
        )
        for row in await db.fetch(_EVERY)
    ]


async def schedules(db: Database | Tx) -> Mapping[str, tuple[timedelta, ...]]:
    """The waits between tries of those types that declare them, by type."""
    return {row["type"]: tuple(row["schedule"]) for row in await db.fetch(_SCHEDULES)}
