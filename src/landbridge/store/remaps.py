"""Reading what is stored again: how far each stream is, its next records, and what differs now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from landbridge import ids
from landbridge.store.database import Tx
from landbridge.store.records import POINTED, Incoming
from landbridge.store.sql import Sql
from landbridge.store.syncs import Stream


@dataclass(frozen=True, kw_only=True)
class Place:
    """By which mapping a stream is read, and how far that is: None when it is whole."""

    reading: str
    remapped: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A stored record, as it was sent."""

    key: str
    raw: bytes


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A parked record, as it was sent. `digest`, `version` and `scope` are those of the content
    that is stored under its key, if any is."""

    key: str
    raw: bytes
    digest: bytes | None
    version: str | None
    scope: str


_PLACE = Sql(
    "remaps.place",
    """
    SELECT reading, remapped FROM lb.sync
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    FOR UPDATE
    """,
)

_MOVE = Sql(
    "remaps.move",
    """
    UPDATE lb.sync SET reading = :reading, remapped = :remapped::jsonb
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    """,
)

_STORED = Sql(
    "remaps.stored",
    """
    SELECT record.key, record.raw FROM lb.record AS record
    WHERE record.environment = :environment AND record.tenant = :tenant
      AND record.connection = :connection AND record.resource = :resource
      AND record.key > :after AND record.deleted_at IS NULL
      AND NOT EXISTS (
          SELECT FROM lb.parked AS parked
          WHERE parked.environment = :environment AND parked.tenant = :tenant
            AND parked.what = 'record' AND parked.place = :connection
            AND parked.resource = :resource AND parked.key = record.key)
    ORDER BY record.key LIMIT :most
    """,
)

_WAITING = Sql(
    "remaps.waiting",
    """
    SELECT parked.key, parked.raw, record.digest, record.version,
        coalesce(record.scope, '') AS scope
    FROM lb.parked AS parked
    LEFT JOIN lb.record AS record
        ON record.environment = :environment AND record.tenant = :tenant
       AND record.connection = :connection AND record.resource = :resource
       AND record.key = parked.key AND record.deleted_at IS NULL
    WHERE parked.environment = :environment AND parked.tenant = :tenant
      AND parked.what = 'record' AND parked.place = :connection
      AND parked.resource = :resource AND parked.key > :after AND parked.raw IS NOT NULL
    ORDER BY parked.key LIMIT :most
    """,
)

_REWRITE = Sql(
    "remaps.rewrite",
    f"""
    WITH fresh AS (
        SELECT * FROM unnest(:keys::text[], :kinds::text[], :unifieds::text[], :subjects::text[],
            :changes::text[]) AS page (key, kind, unified, subject, change)
    ), earlier AS (
        SELECT record.key, record.unified, fresh.kind, fresh.unified::jsonb AS now, fresh.subject,
            fresh.change,
            (record.kind, record.unified) IS DISTINCT FROM (fresh.kind, fresh.unified::jsonb)
                AS otherwise
        FROM lb.record AS record JOIN fresh ON fresh.key = record.key
        WHERE record.environment = :environment AND record.tenant = :tenant
          AND record.connection = :connection AND record.resource = :resource
          AND record.key = ANY(:keys::text[]) AND record.deleted_at IS NULL
          AND (record.kind, record.unified, record.subject)
              IS DISTINCT FROM (fresh.kind, fresh.unified::jsonb, fresh.subject)
        ORDER BY record.key
        FOR UPDATE OF record
    ), stored AS (
        UPDATE lb.record AS record
        SET kind = earlier.kind, unified = earlier.now, subject = earlier.subject,
            changed_at = CASE WHEN earlier.otherwise THEN lb.now() ELSE record.changed_at END
        FROM earlier
        WHERE record.environment = :environment AND record.tenant = :tenant
          AND record.connection = :connection AND record.resource = :resource
          AND record.key = earlier.key
    ), changed AS (
        INSERT INTO lb.change (environment, tenant, id, connection, resource, key, kind, before,
            after, subject)
        SELECT :environment, :tenant, earlier.change, :connection, :resource, earlier.key,
            earlier.kind, earlier.unified, earlier.now, earlier.subject
        FROM earlier WHERE earlier.otherwise AND earlier.kind IS NOT NULL
        RETURNING id
    ), {POINTED}
    SELECT count(*) FROM changed
    """,
)


async def place(tx: Tx, stream: Stream) -> Place | None:
    """How far the stream is, locked until `tx` ends; None if it has no standing order."""
    row = await tx.row(_PLACE, **stream.binds())
    if row is None:
        return None
    told = row["remapped"]
    return Place(reading=row["reading"], remapped=msgspec.json.decode(told) if told else None)


async def move(tx: Tx, stream: Stream, *, reading: str, remapped: dict[str, Any] | None) -> None:
    """Notes how far the stream is read by a mapping; None: it is whole."""
    text = None if remapped is None else msgspec.json.encode(remapped).decode()
    await tx.run(_MOVE, **stream.binds(), reading=reading, remapped=text)


async def stored(tx: Tx, stream: Stream, *, after: str, most: int) -> list[Raw]:
    """The next records that are neither deleted nor parked, in the order of their keys."""
    rows = await tx.fetch(_STORED, **stream.binds(), after=after, most=most)
    return [Raw(**dict(row)) for row in rows]


async def waiting(tx: Tx, stream: Stream, *, after: str, most: int) -> list[Waiting]:
    """The next parked records, in the order of their keys."""
    rows = await tx.fetch(_WAITING, **stream.binds(), after=after, most=most)
    return [Waiting(**dict(row)) for row in rows]


async def rewrite(tx: Tx, stream: Stream, records: Sequence[Incoming]) -> int:
    """Replaces the unified form of stored records where it differs and writes those changes; how
    many. When they were last read from the provider stays as it was."""
    if not records:
        return 0
    changed: int = await tx.value(
        _REWRITE,
        **stream.binds(),
        keys=[record.key for record in records],
        kinds=[record.kind for record in records],
        unifieds=[record.unified for record in records],
        subjects=[record.subject for record in records],
        changes=[ids.new("chg") for _ in records],
    )
    return changed
