"""Arrivals (raw webhooks, stored before they are answered) and the inbox events made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec

from landbridge import ids
from landbridge.store.database import Database, Row, Tx
from landbridge.store.listeners import Line, line_of
from landbridge.store.sql import Sql

WEBHOOK, RECONCILE = "webhook", "reconcile"
"""How an event came to us: by itself, or because we looked for what was missing."""


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook as it came. `connection` is set when its address named one; `source` is webhook,
    or reconcile for one that never came and was read from the provider's list of events."""

    environment: str
    id: str = ""
    """Empty: `store` gives it one."""
    app: str
    connection: str | None
    headers: bytes
    body: bytes
    source: str = WEBHOOK
    received_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxEvent:
    """One event for one tenant's connection. `outcome` is pull, delete or ignored; `kind` says what
    it means at any provider (`landbridge.spec.EVENT_KINDS`), empty where the page says nothing."""

    environment: str
    tenant: str
    id: str
    app: str
    connection: str
    arrival: str
    vendor_id: str
    topic: str
    resource: str
    key: str
    outcome: str
    occurred_at: datetime | None
    kind: str = ""
    subject: str | None = None
    """The person it is about, where the page says how to tell; for erasure."""
    source: str = WEBHOOK
    created_at: datetime | None = None


_STORE = Sql(
    "arrivals.store",
    """
    WITH stored AS (
        INSERT INTO lb.arrival (environment, id, app, connection, headers, body)
        SELECT came.environment, came.id, came.app, nullif(came.connection, ''), came.headers,
            came.body
        FROM unnest(string_to_array(:environments, ','), string_to_array(:ids, ','),
            string_to_array(:apps, ','), string_to_array(:connections, ',', NULL),
            :headers::bytea[], :bodies::bytea[])
            AS came (environment, id, app, connection, headers, body)
        RETURNING environment, id, app
    )
    INSERT INTO lb.due (environment, tenant, id, lane, kind, shard, due_at, args)
    SELECT stored.environment, '', :prefix || replace(min(stored.id), 'arr_', ''), 'receive',
        'receive', lb.shard(stored.environment, stored.app), lb.now(),
        jsonb_build_object('arrivals', jsonb_agg(stored.id ORDER BY stored.id))
    FROM stored GROUP BY stored.environment, stored.app
    """,
    across="Webhooks are stored before anybody knows which tenants they are for.",
)

_KEEP = Sql(
    "arrivals.keep",
    """
    INSERT INTO lb.arrival (environment, id, app, connection, headers, body, source)
    SELECT :environment, came.id, :app, :connection, :header, came.body, :source
    FROM unnest(:ids::text[], :bodies::bytea[]) AS came (id, body)
    """,
)

_LOAD = Sql(
    "arrivals.load",
    """
    SELECT environment, id, app, connection, headers, body, source, received_at FROM lb.arrival
    WHERE id = ANY(:ids::text[]) AND environment = :environment ORDER BY id
    """,
)

_ADMIT = Sql(
    "inbox.admit",
    """
    INSERT INTO lb.inbox_key AS held (environment, tenant, app, key, expires_at)
    SELECT :environment, :tenant, :app, fresh.key, lb.now() + :keep::interval
    FROM unnest(:keys::text[]) AS fresh (key)
    ORDER BY fresh.key
    ON CONFLICT (environment, tenant, app, key) DO UPDATE SET expires_at = excluded.expires_at
    WHERE held.expires_at <= lb.now()
    RETURNING key
    """,
)

# Who listens is asked within the statement: where nobody does, that is a look at an empty table.
_FILE = Sql(
    "inbox.file",
    """
    WITH filed AS MATERIALIZED (
        SELECT came.*
        FROM unnest(:ids::text[], :connections::text[], :arrivals::text[], :vendor_ids::text[],
            :topics::text[], :resources::text[], :keys::text[], :outcomes::text[],
            :occurred_ats::timestamptz[], :subjects::text[], :sources::text[], :kinds::text[],
            :lines::text[])
            AS came (id, connection, arrival, vendor_id, topic, resource, key, outcome,
                occurred_at, subject, source, kind, line)
    ),
    entered AS (
        INSERT INTO lb.inbox_event (environment, tenant, id, app, connection, arrival, vendor_id,
            topic, resource, key, outcome, occurred_at, subject, source, kind)
        SELECT :environment, :tenant, filed.id, :app, filed.connection, filed.arrival,
            filed.vendor_id, filed.topic, filed.resource, filed.key, filed.outcome,
            filed.occurred_at, filed.subject, filed.source, filed.kind
        FROM filed
    )
    INSERT INTO lb.inbox_line (environment, tenant, listener, line, event)
    SELECT :environment, :tenant, listener.name, filed.line, filed.id
    FROM filed JOIN lb.listener AS listener ON filed.kind = ANY (listener.kinds)
    RETURNING listener, line
    """,
)

_EVENTS = Sql(
    "inbox.list",
    """
    SELECT environment, tenant, id, app, connection, arrival, vendor_id, topic, resource, key,
        outcome, occurred_at, subject, source, kind, created_at
    FROM lb.inbox_event
    WHERE environment = :environment AND (:tenant::text IS NULL OR tenant = :tenant)
    ORDER BY id DESC LIMIT :most
    """,
    across="The operator's list shows every tenant of an environment unless one is named.",
)

_EVENT = Sql(
    "inbox.one",
    """
    SELECT event.environment, event.tenant, event.id, event.app, event.connection, event.arrival,
        event.vendor_id, event.topic, event.resource, event.key, event.outcome,
        event.occurred_at, event.subject, event.source, event.kind, event.created_at
    FROM lb.inbox_event AS event WHERE event.environment = :environment AND event.id = :id
    """,
    across="The operator names an inbox event by its id alone, whichever tenant it has.",
)

_TALLY = Sql(
    "tally.add",
    """
    INSERT INTO lb.tally AS tally (environment, app, day, what, n)
    SELECT count.environment, count.app, (lb.now() AT TIME ZONE 'UTC')::date, count.what, count.n
    FROM unnest(:environments::text[], :apps::text[], :whats::text[], :ns::bigint[])
        AS count (environment, app, what, n)
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (environment, app, day, what) DO UPDATE SET n = tally.n + excluded.n
    """,
)

_TALLIES = Sql(
    "tally.read",
    """
    SELECT app, day, what, n FROM lb.tally WHERE environment = :environment
    ORDER BY day DESC, app, what LIMIT 1000
    """,
)


def named(arrivals: Sequence[Arrival]) -> list[str]:
    """The arrivals' ids, fresh ones where they have none."""
    fresh = ids.many("arr", len(arrivals))
    return [arrival.id or new for arrival, new in zip(arrivals, fresh, strict=True)]


async def store(db: Database, arrivals: Sequence[Arrival]) -> None:
    """Commits webhooks and the work of sorting them in one statement; then they may be answered."""
    await db.run(
        _STORE,
        prefix="due_",
        # Ids and environments hold no comma, and one text costs less than a list of them.
        environments=",".join([arrival.environment for arrival in arrivals]),
        ids=",".join(named(arrivals)),
        apps=",".join([arrival.app for arrival in arrivals]),
        connections=",".join([arrival.connection or "" for arrival in arrivals]),
        headers=[arrival.headers for arrival in arrivals],
        bodies=[arrival.body for arrival in arrivals],
    )


async def keep(tx: Tx, arrivals: Sequence[Arrival]) -> None:
    """Writes arrivals of one connection that are sorted in this same transaction."""
    if not arrivals:
        return
    first = arrivals[0]
    await tx.run(
        _KEEP,
        environment=first.environment,
        app=first.app,
        connection=first.connection,
        header=first.headers,
        source=first.source,
        ids=named(arrivals),
        bodies=[arrival.body for arrival in arrivals],
    )


async def load(db: Database, *, environment: str, arrivals: Sequence[str]) -> list[Arrival]:
    """These arrivals, oldest first; those whose partition was dropped are not among them."""
    rows = await db.fetch(_LOAD, environment=environment, ids=list(arrivals))
    return [Arrival(**dict(row)) for row in rows]


async def admit(
    tx: Tx,
    keys: Sequence[str],
    *,
    environment: str,
    tenant: str,
    app: str,
    keep: timedelta,
) -> set[str]:
    """Those of the keys that were not admitted in the last `keep`; the rest are duplicates.

    Two transactions that admit the same key wait for each other, so one event enters once.
    """
    rows = await tx.fetch(
        _ADMIT, environment=environment, tenant=tenant, app=app, keys=list(keys), keep=keep
    )
    return {row["key"] for row in rows}


async def file(
    tx: Tx, events: Sequence[InboxEvent], *, environment: str, tenant: str, app: str
) -> set[Line]:
    """Writes inbox events of one tenant; the lines that some joined, as handlers listen to them."""
    if not events:
        return set()
    rows = await tx.fetch(
        _FILE,
        environment=environment,
        tenant=tenant,
        app=app,
        ids=[event.id for event in events],
        connections=[event.connection for event in events],
        arrivals=[event.arrival for event in events],
        vendor_ids=[event.vendor_id for event in events],
        topics=[event.topic for event in events],
        resources=[event.resource for event in events],
        keys=[event.key for event in events],
        outcomes=[event.outcome for event in events],
        occurred_ats=[event.occurred_at for event in events],
        subjects=[event.subject for event in events],
        sources=[event.source for event in events],
        kinds=[event.kind for event in events],
        lines=[
            line_of(event.connection, event.resource, event.key, event.id) if event.kind else ""
            for event in events
        ],
    )
    return {
        Line(environment=environment, tenant=tenant, listener=row["listener"], line=row["line"])
        for row in rows
    }


async def events(
    db: Database, *, environment: str, tenant: str | None = None, most: int = 100
) -> list[InboxEvent]:
    """The latest inbox events, newest first."""
    rows = await db.fetch(_EVENTS, environment=environment, tenant=tenant, most=most)
    return [_event(row) for row in rows]


async def event(db: Database, *, environment: str, id: str) -> InboxEvent | None:
    """One inbox event by its id."""
    row = await db.row(_EVENT, environment=environment, id=id)
    return _event(row) if row else None


async def tally(db: Database | Tx, counts: dict[tuple[str, str, str], int]) -> None:
    """Adds to the day's counts of what was refused: (environment, app, what) -> how many."""
    if not counts:
        return
    await db.run(
        _TALLY,
        environments=[key[0] for key in counts],
        apps=[key[1] for key in counts],
        whats=[key[2] for key in counts],
        ns=list(counts.values()),
    )


async def tallies(db: Database, *, environment: str) -> list[tuple[str, date, str, int]]:
    """The counts per app and day: (app, day, what, how many), newest day first."""
    rows = await db.fetch(_TALLIES, environment=environment)
    return [(row["app"], row["day"], row["what"], row["n"]) for row in rows]


def _event(row: Row) -> InboxEvent:
    return InboxEvent(**dict(row))
