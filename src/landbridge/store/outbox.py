"""From `emit` to the deliveries: one row in the caller's transaction, moved on after its commit.

`emitted` is small and never partitioned: nothing that maintains our tables can hold a caller's
commit up. Only `move` takes rows out of it. It numbers events in the order in which it finds them
committed, one mover at a time, so that who reads a feed by number misses none: a row that commits
late gets a late number. Among those it finds together the place decides, which the database gives
when the row is written: of two emits under one lock of the caller's the first stays the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from landbridge.store.database import Database, Tx
from landbridge.store.lines import Line
from landbridge.store.sql import Sql

DELIVER = "deliver"
"""The kind and the lane of a delivery's first attempt."""

KEY_LIVES = timedelta(days=7)
"""How long an idempotency key keeps a second event away, counted from the first one's move."""

_INSERT = Sql(
    "outbox.insert",
    """
    INSERT INTO lb.emitted (environment, tenant, id, type, schema_version, content_type,
                            idempotency_key, ordering_key, subject, payload, older, attachment,
                            digest)
    VALUES (:environment, :tenant, :id, :type, :schema_version, :content_type,
            :idempotency_key, :ordering_key, :subject, :payload, :older, :attachment, :digest)
    """,
)

_INSERT_MANY = Sql(
    "outbox.insert_many",
    """
    INSERT INTO lb.emitted (environment, tenant, id, type, schema_version, content_type,
                            idempotency_key, ordering_key, subject, payload, older, attachment,
                            digest)
    SELECT i.environment, i.tenant, i.id, i.type, i.schema_version, i.content_type,
           i.idempotency_key, i.ordering_key, i.subject, i.payload, i.older, i.attachment, i.digest
    FROM unnest(:environments::text[], :tenants::text[], :ids::text[], :types::text[],
                :schema_versions::int[], :content_types::text[], :idempotency_keys::text[],
                :ordering_keys::text[], :subjects::text[], :payloads::bytea[], :olders::bytea[],
                :attachments::bytea[], :digests::bytea[])
        AS i(environment, tenant, id, type, schema_version, content_type, idempotency_key,
             ordering_key, subject, payload, older, attachment, digest)
    """,
)

# One statement, so that a mover that is paused holds the turn no longer than the statement runs
# (behind a pooler the statement has a transaction around it, hence the time-out). Whoever finds the
# turn taken does nothing. A snapshot older than the turn shows rows that the last mover deleted:
# the delete passes over those, and keys that it stored are met by ON CONFLICT.
_MOVE = Sql(
    "outbox.move",
    """
    WITH turn AS MATERIALIZED (
        SELECT pg_try_advisory_xact_lock(hashtextextended('lb.emitted', 0)) AS mine,
               set_config('idle_in_transaction_session_timeout', '10s', true) AS patience
    ),
    taken AS (
        DELETE FROM lb.emitted AS e
        WHERE e.ctid = ANY (ARRAY(
            SELECT n.ctid FROM lb.emitted AS n
            WHERE (SELECT t.mine FROM turn AS t) AND n.place > :after
            ORDER BY n.place LIMIT :most))
        RETURNING e.environment, e.tenant, e.id, e.place, e.type, e.schema_version,
                  e.content_type, e.idempotency_key, e.ordering_key, e.subject, e.payload,
                  e.older, e.attachment, e.digest, e.created_at
    ),
    keyed AS (
        INSERT INTO lb.emit_key AS k (environment, tenant, key, event, expires_at)
        SELECT DISTINCT ON (t.environment, t.tenant, t.idempotency_key)
               t.environment, t.tenant, t.idempotency_key, t.id, lb.now() + :key_lives::interval
        FROM taken AS t
        WHERE t.idempotency_key IS NOT NULL
        ORDER BY t.environment, t.tenant, t.idempotency_key, t.place
        ON CONFLICT (environment, tenant, key) DO UPDATE
            SET event = excluded.event, expires_at = excluded.expires_at
            WHERE k.expires_at <= lb.now()
        RETURNING k.event
    ),
    fresh AS MATERIALIZED (
        SELECT nextval('lb.event_counter') AS number, s.*
        FROM (SELECT t.* FROM taken AS t
              WHERE t.idempotency_key IS NULL OR t.id IN (SELECT k.event FROM keyed AS k)
              ORDER BY t.place) AS s
    ),
    stored AS (
        INSERT INTO lb.event (environment, tenant, id, number, type, schema_version, content_type,
                              ordering_key, subject, payload, older, digest, created_at)
        SELECT f.environment, f.tenant, f.id, f.number, f.type, f.schema_version, f.content_type,
               f.ordering_key, f.subject, f.payload, f.older, coalesce(f.digest, sha256(f.payload)),
               f.created_at
        FROM fresh AS f
        RETURNING 1
    ),
    attached AS (
        INSERT INTO lb.attachment (environment, tenant, id, body)
        SELECT f.environment, f.tenant, f.id, f.attachment
        FROM fresh AS f
        WHERE f.attachment IS NOT NULL
    ),
    wanted AS (
        SELECT f.environment, f.tenant, f.id AS event, f.number, f.ordering_key,
               p.id AS endpoint, p.slow, p.ordered AND f.ordering_key IS NOT NULL AS lined,
               'dlv_' || substr(f.id, 5, 10)
                      || encode(substr(sha256(convert_to(f.id || p.id, 'UTF8')), 1, 8), 'hex')
                   AS delivery
        FROM fresh AS f
        JOIN lb.endpoint AS p ON p.environment = f.environment AND p.tenant = f.tenant
        WHERE p.state = 'enabled'
          AND EXISTS (SELECT FROM unnest(p.types) AS w(type)
                      WHERE w.type = '*' OR w.type = f.type
                         OR (right(w.type, 2) = '.*' AND starts_with(f.type, left(w.type, -1))))
          AND (p.filter IS NULL OR lb.passes(f.payload, p.filter))
    ),
    lined AS (
        INSERT INTO lb.line (environment, tenant, endpoint, ordering_key, number, event, delivery)
        SELECT w.environment, w.tenant, w.endpoint, w.ordering_key, w.number, w.event, w.delivery
        FROM wanted AS w
        WHERE w.lined
        ON CONFLICT DO NOTHING
        RETURNING environment, tenant, endpoint, ordering_key
    ),
    fanned AS (
        INSERT INTO lb.due (environment, tenant, id, lane, kind, shard, due_at, ref, target)
        SELECT w.environment, w.tenant, w.delivery, CASE WHEN w.slow THEN 'slow' ELSE 'deliver' END,
               'deliver', lb.shard(w.environment, w.tenant), (SELECT lb.now()), w.event, w.endpoint
        FROM wanted AS w
        WHERE NOT w.lined
        ON CONFLICT (id) DO NOTHING
        RETURNING 1
    )
    SELECT (SELECT t.mine FROM turn AS t) AS mine,
           (SELECT count(*) FROM taken) AS taken,
           (SELECT max(t.place) FROM taken AS t) AS last,
           (SELECT count(*) FROM stored) AS stored,
           (SELECT count(*) FROM fanned) AS fanned,
           (SELECT count(*) FROM lined) AS lined,
           (SELECT jsonb_agg(DISTINCT jsonb_build_array(
                l.environment, l.tenant, l.endpoint, l.ordering_key)) FROM lined AS l) AS lines
    """,
    across="The dispatcher moves every tenant's committed rows on; each keeps its own tenant.",
)

_FORGET = Sql(
    "outbox.forget_keys",
    """
    DELETE FROM lb.emit_key AS k
    WHERE (k.environment, k.tenant, k.key) IN (
        SELECT o.environment, o.tenant, o.key FROM lb.emit_key AS o
        WHERE o.expires_at <= (SELECT lb.now())
        ORDER BY o.expires_at LIMIT :most
        FOR UPDATE SKIP LOCKED)
    """,
    across="Idempotency keys run out by time, whosever they are.",
)

_WAITING = Sql(
    "outbox.waiting",
    """
    SELECT count(*) FROM (SELECT FROM lb.emitted LIMIT :most) AS e
    """,
    across="The operator's view of what is not dispatched yet counts and shows no content.",
)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What one move did. `mine` is False when another process was moving: nothing was done.

    `taken` rows left the outbox, `last` is the highest place among them; `events` became events,
    the others' idempotency keys were there already; `deliveries` became due, `lined` ones stand in
    the lines of ordered endpoints, in these `lines`: promote them.
    """

    mine: bool
    taken: int
    last: int
    events: int
    deliveries: int
    lined: int
    lines: tuple[Line, ...] = ()

    @property
    def written(self) -> int:
        """Rows that it wrote."""
        return self.events + self.deliveries + self.lined


def insert_event(
    *,
    environment: str,
    tenant: str,
    id: str,
    type: str,
    schema_version: int,
    content_type: str,
    idempotency_key: str | None,
    ordering_key: str | None,
    subject: str | None,
    payload: bytes,
    older: bytes | None = None,
    attachment: bytes | None = None,
) -> tuple[Sql, dict[str, Any]]:
    """The one statement of an emit, and its binds; for a caller's transaction of any driver."""
    return _INSERT, {
        "environment": environment,
        "tenant": tenant,
        "id": id,
        "type": type,
        "schema_version": schema_version,
        "content_type": content_type,
        "idempotency_key": idempotency_key,
        "ordering_key": ordering_key,
        "subject": subject,
        "payload": payload,
        "older": older,
        "attachment": attachment,
        "digest": hashlib.sha256(payload).digest(),
    }


async def insert_events(db: Database | Tx, events: Sequence[Mapping[str, Any]]) -> None:
    """Emits many events with one statement; each is the binds of an `insert_event`."""
    await db.run(
        _INSERT_MANY, **{f"{name}s": [each[name] for each in events] for name in _INSERT.binds}
    )


async def move(
    db: Database | Tx, *, limit: int, after: int = 0, key_lives: timedelta = KEY_LIVES
) -> Moved:
    """Makes events and due deliveries of up to `limit` committed rows, in order of their places.

    Places up to `after` are left for another time: the rows that were moved a while ago are then
    passed over, which matters when a snapshot somewhere keeps them from being vacuumed.
    """
    row = await db.row(_MOVE, most=limit, after=after, key_lives=key_lives)
    assert row is not None
    return Moved(
        mine=row["mine"],
        taken=row["taken"],
        last=row["last"] or after,
        events=row["stored"],
        deliveries=row["fanned"],
        lined=row["lined"],
        lines=msgspec.json.decode(row["lines"] or "[]", type=tuple[Line, ...]),
    )


async def forget_keys(db: Database | Tx, *, limit: int) -> int:
    """How many idempotency keys whose time is over were removed, `limit` at most."""
    return await db.run(_FORGET, most=limit)


async def waiting(db: Database | Tx, *, most: int = 10_000) -> int:
    """How many committed rows are not moved yet; counted up to `most`."""
    count: int = await db.value(_WAITING, most=most)
    return count
