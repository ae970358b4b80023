"""How often each resource of a connection is pulled: its bounds, its present pace, its pause.

The due row that a worker claims repeats by the shortest distance (`least`); how long it really
waits after a pull the worker says when it settles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql
from landbridge.store.syncs import Stream


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often one stream is pulled. `least` None: by hand alone. `others` is how many streams
    of its connection are pulled by a schedule, itself among them."""

    every: timedelta | None
    least: timedelta | None
    most: timedelta | None
    paused_at: datetime | None
    others: int


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One stream's schedule as operators see it.

    `every` is how far apart its pulls are at present, between `least` and `most` (all None: it is
    pulled by hand alone). `next_at` is when a worker is to pull it, `running` whether one does.
    `error` is why its last try failed.
    """

    environment: str
    tenant: str
    connection: str
    provider: str
    resource: str
    every: timedelta | None
    least: timedelta | None
    most: timedelta | None
    paused_at: datetime | None
    pulled_at: datetime | None
    next_at: datetime | None
    running: bool
    error: str | None


_PACES = Sql(
    "schedules.paces",
    """
    SELECT wanted.id, sync.every, sync.least, sync.most, sync.paused_at,
        (SELECT count(*) FROM lb.sync AS other
         WHERE other.environment = wanted.environment AND other.tenant = wanted.tenant
           AND other.connection = wanted.connection AND other.least IS NOT NULL
           AND other.paused_at IS NULL) AS others
    FROM unnest(:ids::text[], :environments::text[], :tenants::text[], :connections::text[],
                :resources::text[]) AS wanted (id, environment, tenant, connection, resource)
    JOIN lb.sync AS sync
      ON sync.environment = wanted.environment AND sync.tenant = wanted.tenant
     AND sync.connection = wanted.connection AND sync.resource = wanted.resource
    """,
)

_PAUSED = Sql(
    "schedules.paused",
    """
    SELECT paused_at IS NOT NULL FROM lb.sync
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    """,
)

_SET = Sql(
    "schedules.set",
    """
    UPDATE lb.sync
    SET least = :shortest::interval, most = :longest::interval, every = :apart::interval
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    """,
)

_MOVE = Sql(
    "schedules.move",
    """
    UPDATE lb.sync SET every = :apart::interval
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND least IS NOT NULL
    """,
)

_PAUSE = Sql(
    "schedules.pause",
    """
    UPDATE lb.sync SET paused_at = coalesce(paused_at, lb.now())
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    """,
)

_RESUME = Sql(
    "schedules.resume",
    """
    UPDATE lb.sync SET paused_at = NULL
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND paused_at IS NOT NULL
    """,
)

_HASTEN = Sql(
    "schedules.hasten",
    """
    WITH held AS MATERIALIZED (
        SELECT d.id FROM lb.due AS d
        WHERE d.environment = :environment AND d.tenant = :tenant
          AND d.kind IN ('pull', 'fetch', 'backfill')
          AND (d.key = :connection::text || '/' || :resource::text
               OR (d.key >= :connection::text || '/' || :resource::text || '/'
                   AND d.key < :connection::text || '/' || :resource::text || '0'))
          AND d.owner IS NULL
        ORDER BY d.environment COLLATE "C", d.tenant COLLATE "C", d.kind COLLATE "C",
                 d.key COLLATE "C"
        FOR UPDATE
    )
    UPDATE lb.due AS d SET due_at = least(d.due_at, lb.now())
    FROM held AS h
    WHERE d.id = h.id AND d.environment = :environment AND d.tenant = :tenant
    """,
)

_SCHEDULED = Sql(
    "schedules.scheduled",
    """
    SELECT resource, least FROM lb.sync
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND least IS NOT NULL
    ORDER BY resource
    """,
)

_LIST = Sql(
    "schedules.list",
    """
    SELECT sync.environment, sync.tenant, sync.connection, connection.provider, sync.resource,
        sync.every, sync.least, sync.most, sync.paused_at, sync.pulled_at,
        CASE WHEN due.owner IS NULL THEN due.due_at END AS next_at,
        coalesce(due.owner IS NOT NULL AND due.due_at > lb.now(), false) AS running, due.error
    FROM lb.sync AS sync
    JOIN lb.connection AS connection
      ON connection.environment = sync.environment AND connection.tenant = sync.tenant
     AND connection.id = sync.connection AND connection.state <> 'revoked'
    LEFT JOIN lb.due AS due
      ON due.environment = sync.environment AND due.tenant = sync.tenant
     AND due.kind = 'pull' AND due.key = sync.connection || '/' || sync.resource
    WHERE sync.environment = :environment
      AND (:of_tenant::text IS NULL OR sync.tenant = :of_tenant)
      AND (:of_connection::text IS NULL OR sync.connection = :of_connection)
    ORDER BY sync.connection, sync.resource LIMIT :most
    """,
    across="The operator's list shows the schedules of all tenants of an environment.",
)


async def paces(db: Database, streams: Mapping[str, Stream]) -> dict[str, Pace]:
    """How often each of the streams is pulled, by the keys that they were given; those that are
    none of their connections' are not in it."""
    rows = await db.fetch(
        _PACES,
        ids=list(streams),
        environments=[stream.environment for stream in streams.values()],
        tenants=[stream.tenant for stream in streams.values()],
        connections=[stream.connection for stream in streams.values()],
        resources=[stream.resource for stream in streams.values()],
    )
    return {
        row["id"]: Pace(
            every=row["every"],
            least=row["least"],
            most=row["most"],
            paused_at=row["paused_at"],
            others=row["others"],
        )
        for row in rows
    }


async def pace(db: Database, stream: Stream) -> Pace | None:
    """How often the stream is pulled; None: it is none of the connection's."""
    return (await paces(db, {"": stream})).get("")


async def paused(db: Database | Tx, stream: Stream) -> bool:
    """Whether the stream is paused."""
    return bool(await db.value(_PAUSED, **stream.binds()))


async def set_bounds(
    tx: Tx,
    stream: Stream,
    *,
    every: timedelta | None,
    least: timedelta | None,
    most: timedelta | None,
) -> None:
    """Sets the pace and its bounds; None: by hand alone."""
    await tx.run(_SET, **stream.binds(), apart=every, shortest=least, longest=most)


async def move(db: Database, stream: Stream, every: timedelta) -> None:
    """Stores the pace that the last pull led to."""
    await db.run(_MOVE, **stream.binds(), apart=every)


async def pause(db: Database | Tx, stream: Stream) -> None:
    """Marks the stream as paused; twice is once."""
    await db.run(_PAUSE, **stream.binds())


async def resume(tx: Tx, stream: Stream) -> bool:
    """Ends the pause and makes what waited due now; False: it was not paused."""
    if not await tx.run(_RESUME, **stream.binds()):
        return False
    await tx.run(_HASTEN, **stream.binds())
    return True


async def scheduled(
    tx: Tx, *, environment: str, tenant: str, connection: str
) -> dict[str, timedelta]:
    """The connection's resources that are pulled by a schedule, and their shortest distances."""
    rows = await tx.fetch(_SCHEDULED, environment=environment, tenant=tenant, connection=connection)
    return {row["resource"]: row["least"] for row in rows}


async def every(
    db: Database,
    *,
    environment: str,
    tenant: str | None = None,
    connection: str | None = None,
    most: int = 1000,
) -> list[Schedule]:
    """The schedules of an environment's live connections; of one tenant or connection if named."""
    rows = await db.fetch(
        _LIST, environment=environment, of_tenant=tenant, of_connection=connection, most=most
    )
    return [_schedule(row) for row in rows]


def _schedule(row: Row) -> Schedule:
    return Schedule(**dict(row))
