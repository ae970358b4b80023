"""Records: the raw one as the provider sent it, the unified one beside it, and what changed.

A page is applied in one transaction: unchanged records (same digest) cause no write; for the rest
the record, its change and a pointer for the sequencer are written by one statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from landbridge import ids
from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql
from landbridge.store.syncs import Stream


class Incoming(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record as a page brought it: `sent` stands for its bytes, `digest` for its value. `unified`
    is JSON text; None: kept raw only."""

    key: str
    raw: bytes
    sent: bytes
    digest: bytes
    version: str | None = None
    kind: str | None = None
    unified: str | None = None
    subject: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What a key has here: what its bytes and its content are known by (None: it is deleted, or
    only parked), and when the last read of it ended whose answer was stored or parked."""

    sent: bytes | None
    digest: bytes | None
    read_at: datetime
    parked: bool


class _Row(msgspec.Struct, frozen=True):
    """A record as it goes to the database: all of a page in one text, and their raw bytes behind
    one another, as the driver is slow with arrays."""

    key: str
    start: int
    size: int
    sent: str
    digest: str
    version: str | None
    kind: str | None
    unified: msgspec.Raw | None
    subject: str | None
    change: str


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A record as it stands in the database."""

    environment: str
    tenant: str
    connection: str
    resource: str
    key: str
    raw: bytes
    version: str | None
    scope: str
    kind: str | None
    unified: dict[str, Any] | None
    subject: str | None
    deleted_at: datetime | None
    changed_at: datetime


# With `= ANY`, not joined to the keys: before a new connection's first statistics a join would read
# all of its records for each key.
_HELD = Sql(
    "records.held",
    """
    SELECT record.key, CASE WHEN record.deleted_at IS NULL THEN record.sent END AS sent,
        CASE WHEN record.deleted_at IS NULL THEN record.digest END AS digest, record.read_at,
        false AS parked
    FROM lb.record AS record
    WHERE record.environment = :environment AND record.tenant = :tenant
      AND record.connection = :connection AND record.resource = :resource
      AND record.key = ANY(:keys::text[])
    UNION ALL
    SELECT parked.key, NULL, NULL, parked.created_at, true FROM lb.parked AS parked
    WHERE parked.environment = :environment AND parked.tenant = :tenant
      AND parked.what = 'record' AND parked.place = :connection
      AND parked.resource = :resource AND parked.key = ANY(:keys::text[])
    """,
)

# Of marks alone, in the order of the keys: a page without news gives one row.
_UNCHANGED = Sql(
    "records.unchanged",
    """
    WITH wanted AS (SELECT ARRAY(SELECT jsonb_array_elements_text(:keys::jsonb)) AS keys)
    SELECT coalesce(string_agg(record.sent, ''::bytea ORDER BY record.key), '') = :marks::bytea
       AND NOT EXISTS (
           SELECT FROM lb.parked
           WHERE environment = :environment AND tenant = :tenant AND what = 'record'
             AND place = :connection AND resource = :resource
             AND key = ANY((SELECT keys FROM wanted)::text[]))
    FROM lb.record AS record
    WHERE record.environment = :environment AND record.tenant = :tenant
      AND record.connection = :connection AND record.resource = :resource
      AND record.key = ANY((SELECT keys FROM wanted)::text[]) AND record.deleted_at IS NULL
    """,
)

_CONFIRM = Sql(
    "records.confirm",
    """
    UPDATE lb.record SET read_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND key = :key
    """,
)

_TURN = Sql(
    "records.turn",
    "SELECT pg_advisory_xact_lock(hashtextextended(:stream, 0))",
    across="It locks the name of one stream and reads no row of a tenant.",
)

_PAGE = """
    WITH moment AS MATERIALIZED (
        SELECT lb.now() AS at
    ), incoming AS MATERIALIZED (
        SELECT page.key, substring(:raws::bytea FROM page.start FOR page.size) AS raw,
            decode(page.sent, 'hex') AS sent, decode(page.digest, 'hex') AS digest, page.version,
            page.kind, page.unified, page.subject, page.change
        FROM jsonb_to_recordset(:page::jsonb)
            AS page (key text, start int, size int, sent text, digest text, version text, kind text,
                unified jsonb, subject text, change text)
    )"""
"""The records that `_written` sends, and one moment for all that is written of them."""

POINTED = """
    pointed AS (
        INSERT INTO lb.change_new (changes)
        SELECT array_agg(changed.id ORDER BY changed.id) FROM changed
        HAVING count(*) > 0
    )"""
"""What points the sequencer to the ids that the part `changed` of a statement gives."""

_APPLY = Sql(
    "records.apply",
    f"""
    {_PAGE}, earlier AS (
        SELECT record.key, record.unified, record.deleted_at FROM lb.record AS record
        WHERE record.environment = :environment AND record.tenant = :tenant
          AND record.connection = :connection AND record.resource = :resource
          AND record.key = ANY(ARRAY(SELECT incoming.key FROM incoming))
        ORDER BY record.key
        FOR UPDATE
    ), stored AS (
        INSERT INTO lb.record AS record (environment, tenant, connection, resource, key, raw,
            sent, digest, version, scope, kind, unified, subject, changed_at, read_at)
        SELECT :environment, :tenant, :connection, :resource, incoming.key, incoming.raw,
            incoming.sent, incoming.digest, incoming.version, :scope, incoming.kind,
            incoming.unified, incoming.subject, (SELECT at FROM moment), (SELECT at FROM moment)
        FROM incoming
        ORDER BY incoming.key
        ON CONFLICT (environment, tenant, connection, resource, key) DO UPDATE
        SET raw = excluded.raw, sent = excluded.sent, digest = excluded.digest,
            version = excluded.version, scope = excluded.scope, kind = excluded.kind,
            unified = excluded.unified, subject = excluded.subject, deleted_at = NULL,
            changed_at = excluded.changed_at, read_at = excluded.read_at
    ), changed AS (
        INSERT INTO lb.change (environment, tenant, id, connection, resource, key, kind, before,
            after, subject, created_at)
        SELECT :environment, :tenant, incoming.change, :connection, :resource, incoming.key,
            incoming.kind,
            CASE WHEN earlier.deleted_at IS NULL THEN earlier.unified END,
            incoming.unified, incoming.subject, (SELECT at FROM moment)
        FROM incoming LEFT JOIN earlier ON earlier.key = incoming.key
        WHERE incoming.kind IS NOT NULL
          AND (earlier.key IS NULL OR earlier.deleted_at IS NOT NULL
               OR earlier.unified IS DISTINCT FROM incoming.unified)
        RETURNING id
    ), {POINTED}
    SELECT count(*) FROM changed
    """,
)

_ADD = Sql(
    "records.add",
    f"""
    {_PAGE}, stored AS (
        INSERT INTO lb.record (environment, tenant, connection, resource, key, raw, sent,
            digest, version, scope, kind, unified, subject, changed_at, read_at)
        SELECT :environment, :tenant, :connection, :resource, incoming.key, incoming.raw,
            incoming.sent, incoming.digest, incoming.version, :scope, incoming.kind,
            incoming.unified, incoming.subject, moment.at, moment.at
        FROM incoming, moment
        ORDER BY incoming.key
    ), changed AS (
        INSERT INTO lb.change (environment, tenant, id, connection, resource, key, kind, after,
            subject, created_at)
        SELECT :environment, :tenant, incoming.change, :connection, :resource, incoming.key,
            incoming.kind, incoming.unified, incoming.subject, moment.at
        FROM incoming, moment
        WHERE incoming.kind IS NOT NULL
        RETURNING id
    ), {POINTED}
    SELECT count(*) FROM changed
    """,
)

_TOUCH = Sql(
    "records.touch",
    """
    UPDATE lb.record AS record SET version = fresh.version
    FROM unnest(:keys::text[], :versions::text[]) AS fresh (key, version)
    WHERE record.environment = :environment AND record.tenant = :tenant
      AND record.connection = :connection AND record.resource = :resource
      AND record.key = ANY(:keys::text[]) AND record.key = fresh.key
      AND record.version IS DISTINCT FROM fresh.version
    """,
)

_DELETE = Sql(
    "records.delete",
    f"""
    WITH doomed AS (
        SELECT record.key, record.kind, record.unified, record.subject, gone.change
        FROM lb.record AS record
        JOIN unnest(:keys::text[], :changes::text[]) AS gone (key, change)
          ON gone.key = record.key
        WHERE record.environment = :environment AND record.tenant = :tenant
          AND record.connection = :connection AND record.resource = :resource
          AND record.key = ANY(:keys::text[]) AND record.deleted_at IS NULL
        ORDER BY record.key
        FOR UPDATE OF record
    ), marked AS (
        UPDATE lb.record AS record
        SET deleted_at = lb.now(), changed_at = lb.now(), read_at = lb.now()
        FROM doomed
        WHERE record.environment = :environment AND record.tenant = :tenant
          AND record.connection = :connection AND record.resource = :resource
          AND record.key = ANY(:keys::text[]) AND record.key = doomed.key
    ), changed AS (
        INSERT INTO lb.change (environment, tenant, id, connection, resource, key, kind, before,
            after, subject)
        SELECT :environment, :tenant, doomed.change, :connection, :resource, doomed.key,
            doomed.kind, doomed.unified, NULL, doomed.subject
        FROM doomed WHERE doomed.kind IS NOT NULL
        RETURNING id
    ), {POINTED}
    SELECT count(*) FROM doomed
    """,
)

# EXCEPT is hashed or sorted, whatever the planner knows; an anti-join without statistics compares
# each record with each key.
_MISSING = Sql(
    "records.missing",
    """
    SELECT record.key FROM lb.record AS record
    WHERE record.environment = :environment AND record.tenant = :tenant
      AND record.connection = :connection AND record.resource = :resource
      AND record.scope = :scope AND record.deleted_at IS NULL
      AND (:before::timestamptz IS NULL OR record.read_at < :before)
    EXCEPT
    SELECT met.key COLLATE "C" FROM lb.seen AS seen, unnest(seen.keys) AS met (key)
    WHERE seen.environment = :environment AND seen.tenant = :tenant
      AND seen.connection = :connection AND seen.resource = :resource
      AND seen.listing = :listing
    ORDER BY key
    """,
)

_VERSIONS = Sql(
    "records.versions",
    """
    SELECT key, version FROM lb.record
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND scope = :scope AND deleted_at IS NULL
    """,
)

_READ = Sql(
    "records.read",
    """
    SELECT environment, tenant, connection, resource, key, raw, version, scope, kind, unified,
        subject, deleted_at, changed_at
    FROM lb.record
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND key > :after AND (:deleted OR deleted_at IS NULL)
    ORDER BY key LIMIT :most
    """,
)

_ONE = Sql(
    "records.one",
    """
    SELECT environment, tenant, connection, resource, key, raw, version, scope, kind, unified,
        subject, deleted_at, changed_at
    FROM lb.record
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND key = :key
    """,
)

_COUNTS = Sql(
    "records.counts",
    """
    SELECT resource, count(*) FILTER (WHERE deleted_at IS NULL) AS present,
        count(*) FILTER (WHERE deleted_at IS NOT NULL) AS deleted
    FROM lb.record
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
    GROUP BY resource ORDER BY resource
    """,
)


async def turn(tx: Tx, stream: Stream) -> None:
    """Waits until nobody else is storing records of this stream, and has it to the commit.

    Two that store the same new record at once would both take it for new, and tell of it in an
    order that is not that of their commits.
    """
    await tx.run(_TURN, stream=f"lb.record/{'/'.join(stream.binds().values())}")


async def unchanged(tx: Database | Tx, stream: Stream, sent: Mapping[str, bytes]) -> bool:
    """Whether all of these keys are stored as they were sent now, and none is parked."""
    keys = sorted(sent)
    same: bool = await tx.value(
        _UNCHANGED,
        **stream.binds(),
        keys=msgspec.json.encode(keys).decode(),
        marks=b"".join([sent[key] for key in keys]),
    )
    return same


async def held(tx: Database | Tx, stream: Stream, keys: Sequence[str]) -> dict[str, Held]:
    """What is there of these keys: stored, deleted or parked."""
    found: dict[str, Held] = {}
    for key, sent, digest, read_at, parked in await tx.fetch(
        _HELD, **stream.binds(), keys=list(keys)
    ):
        other = found.get(key)
        if other is None:
            found[key] = Held(sent=sent, digest=digest, read_at=read_at, parked=parked)
        else:
            found[key] = Held(
                sent=sent or other.sent,
                digest=digest or other.digest,
                read_at=max(read_at, other.read_at),
                parked=True,
            )
    return found


async def confirm(tx: Tx, stream: Stream, key: str) -> None:
    """Notes that a record was read by itself and is as it stands here."""
    await tx.run(_CONFIRM, **stream.binds(), key=key)


async def apply(tx: Tx, stream: Stream, records: Sequence[Incoming], *, scope: str = "") -> int:
    """Stores these records and writes the changes of their unified form; how many changes.

    Each key may occur once. A record whose unified form is as before makes no change.
    """
    return await _written(_APPLY, tx, stream, records, scope)


async def add(tx: Tx, stream: Stream, records: Sequence[Incoming], *, scope: str = "") -> int:
    """Stores records of keys that nothing is stored of, not even as deleted: whoever has the
    stream's turn knows. How many changes it wrote. Costs half of what `apply` does."""
    return await _written(_ADD, tx, stream, records, scope)


async def _written(
    statement: Sql, tx: Tx, stream: Stream, records: Sequence[Incoming], scope: str
) -> int:
    if not records:
        return 0
    rows: list[_Row] = []
    start = 1
    for record, change in zip(records, ids.many("chg", len(records)), strict=True):
        size = len(record.raw)
        rows.append(
            _Row(
                record.key,
                start,
                size,
                record.sent.hex(),
                record.digest.hex(),
                record.version,
                record.kind,
                msgspec.Raw(record.unified) if record.unified is not None else None,
                record.subject,
                change,
            )
        )
        start += size
    changed: int = await tx.value(
        statement,
        **stream.binds(),
        scope=scope,
        page=msgspec.json.encode(rows).decode(),
        raws=b"".join([record.raw for record in records]),
    )
    return changed


async def touch(tx: Tx, stream: Stream, versions: dict[str, str | None]) -> None:
    """Takes new versions (ETags) of records whose content is as before."""
    await tx.run(_TOUCH, **stream.binds(), keys=list(versions), versions=list(versions.values()))


async def delete(tx: Tx, stream: Stream, keys: Sequence[str]) -> int:
    """Marks records as deleted and writes the changes; how many were there to delete."""
    if not keys:
        return 0
    gone: int = await tx.value(
        _DELETE,
        **stream.binds(),
        keys=list(keys),
        changes=ids.many("chg", len(keys)),
    )
    return gone


async def missing(
    tx: Tx | Database,
    stream: Stream,
    *,
    listing: str,
    scope: str = "",
    before: datetime | None = None,
) -> list[str]:
    """Keys that we hold and the listing did not meet; those that were stored from `before` on are
    not missing, as the listing may have passed their place by then."""
    rows = await tx.fetch(_MISSING, **stream.binds(), listing=listing, scope=scope, before=before)
    return [row["key"] for row in rows]


async def versions(db: Database | Tx, stream: Stream, *, scope: str = "") -> dict[str, str | None]:
    """The stored version of every record of a scope."""
    rows = await db.fetch(_VERSIONS, **stream.binds(), scope=scope)
    return {row["key"]: row["version"] for row in rows}


async def read(
    db: Database | Tx, stream: Stream, *, after: str = "", most: int = 100, deleted: bool = False
) -> list[Stored]:
    """Up to `most` records in the order of their keys, those behind `after`."""
    rows = await db.fetch(_READ, **stream.binds(), after=after, most=most, deleted=deleted)
    return [_stored(row) for row in rows]


async def one(db: Database | Tx, stream: Stream, key: str) -> Stored | None:
    """One record, deleted or not."""
    row = await db.row(_ONE, **stream.binds(), key=key)
    return _stored(row) if row else None


async def counts(
    db: Database, *, environment: str, tenant: str, connection: str
) -> dict[str, tuple[int, int]]:
    """Per resource: how many records are there, and how many are deleted."""
    rows = await db.fetch(_COUNTS, environment=environment, tenant=tenant, connection=connection)
    return {row["resource"]: (row["present"], row["deleted"]) for row in rows}


def _stored(row: Row) -> Stored:
    values = dict(row)
    if values["unified"] is not None:
        values["unified"] = msgspec.json.decode(values["unified"])
    return Stored(**values)
