"""Deliveries: an event on its way to one endpoint. Waiting ones are due rows, tries are attempts.

A delivery's id is made from its event's and its endpoint's, so it is the same however often it is
begun anew. It is `waiting` before the first try since it was begun and `failing` between tries;
after that its last attempt says `delivered` or `abandoned`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from landbridge import ids
from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql

State = Literal["waiting", "delivered", "failing", "abandoned"]
STATES: tuple[State, ...] = ("waiting", "delivered", "failing", "abandoned")


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A delivery as people see it. `next_at` is when it is due, None once it has ended."""

    environment: str
    tenant: str
    id: str
    event: str
    endpoint: str
    type: str
    state: State
    attempts: int
    status: int | None
    error: str | None
    next_at: datetime | None
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try. `number` begins with 1, `status` is None when no answer came."""

    number: int
    outcome: State
    status: int | None
    error: str | None
    took_ms: int
    retry_at: datetime | None
    at: datetime


_OPEN_STATE = """CASE WHEN d.attempt = coalesce((d.args->>'begun')::int, 0) THEN 'waiting'
                    ELSE 'failing' END"""

_OPEN_COLUMNS = f"""d.environment, d.tenant, d.id, d.ref AS event, d.target AS endpoint,
               {_OPEN_STATE} AS state,
               d.attempt AS attempts, NULL::int AS status, d.error, d.due_at AS next_at,
               d.created_at AS at"""

_ENDED_COLUMNS = """a.environment, a.tenant, a.delivery AS id, a.event, a.endpoint,
               a.outcome AS state, a.number AS attempts, a.status, a.error,
               NULL::timestamptz AS next_at, a.created_at AS at"""

_TYPED = """SELECT l.*, coalesce(e.type, '') AS type
    FROM (SELECT * FROM waiting UNION ALL SELECT * FROM ended) AS l
    LEFT JOIN LATERAL (
        SELECT v.type FROM lb.event AS v
        WHERE v.id = l.event AND v.environment = l.environment AND v.tenant = l.tenant
        LIMIT 1
    ) AS e ON true"""

_LIST = Sql(
    "deliveries.list",
    f"""
    WITH waiting AS (
        SELECT {_OPEN_COLUMNS}
        FROM lb.due AS d
        WHERE d.environment = :environment AND (:tenant::text IS NULL OR d.tenant = :tenant)
          AND d.kind = 'deliver'
          AND (:endpoint::text IS NULL OR d.target = :endpoint)
          AND (:event::text IS NULL OR d.ref = :event)
          AND (:state::text IS NULL OR :state = {_OPEN_STATE})
        ORDER BY d.id DESC LIMIT :most
    ),
    ended AS (
        SELECT {_ENDED_COLUMNS}
        FROM lb.attempt AS a
        WHERE a.environment = :environment AND (:tenant::text IS NULL OR a.tenant = :tenant)
          AND a.id >= :since AND a.outcome <> 'failing'
          AND (:endpoint::text IS NULL OR a.endpoint = :endpoint)
          AND (:event::text IS NULL OR a.event = :event)
          AND (:state::text IS NULL OR a.outcome = :state)
          AND NOT EXISTS (SELECT FROM lb.due AS d
                          WHERE d.id = a.delivery AND d.environment = a.environment
                            AND d.tenant = a.tenant)
          AND NOT EXISTS (SELECT FROM lb.attempt AS n
                          WHERE n.delivery = a.delivery AND n.environment = a.environment
                            AND n.tenant = a.tenant AND n.number > a.number)
        ORDER BY a.id DESC LIMIT :most
    )
    {_TYPED}
    ORDER BY l.id DESC LIMIT :most
    """,
    across="The operator's list shows every tenant of an environment unless one is named.",
)

_BY_ID = Sql(
    "deliveries.by_id",
    f"""
    WITH waiting AS (
        SELECT {_OPEN_COLUMNS}
        FROM lb.due AS d
        WHERE d.environment = :environment AND d.id = :id AND d.kind = 'deliver'
    ),
    ended AS (
        SELECT {_ENDED_COLUMNS}
        FROM lb.attempt AS a
        WHERE a.environment = :environment AND a.delivery = :id AND a.id >= :since
          AND NOT EXISTS (SELECT FROM waiting)
        ORDER BY a.number DESC LIMIT 1
    )
    {_TYPED}
    """,
    across="The operator's commands name a delivery by its id alone, whichever tenant it has.",
)

_ATTEMPTS = Sql(
    "deliveries.attempts",
    """
    SELECT a.number, a.outcome, a.status, a.error, a.took_ms, a.retry_at, a.created_at AS at
    FROM lb.attempt AS a
    WHERE a.environment = :environment AND a.tenant = :tenant AND a.delivery = :id
      AND a.id >= :since
    ORDER BY a.number
    """,
)

_HASTEN = Sql(
    "deliveries.hasten",
    """
    UPDATE lb.due AS d
    SET due_at = CASE WHEN d.owner IS NULL THEN least(d.due_at, lb.now()) ELSE d.due_at END
    WHERE d.environment = :environment AND d.tenant = :tenant AND d.id = :id AND d.kind = 'deliver'
    """,
)

_AGAIN = Sql(
    "deliveries.again",
    """
    INSERT INTO lb.due (environment, tenant, id, lane, kind, shard, due_at, ref, target,
                        attempt, args)
    SELECT a.environment, a.tenant, a.delivery, 'deliver', 'deliver',
           lb.shard(a.environment, a.tenant), lb.now(), a.event, a.endpoint,
           a.number, jsonb_build_object('begun', a.number)
    FROM lb.attempt AS a
    WHERE a.environment = :environment AND a.tenant = :tenant AND a.delivery = :id
      AND a.id >= :since
    ORDER BY a.number DESC LIMIT 1
    ON CONFLICT (id) DO NOTHING
    """,
)


async def every(
    db: Database | Tx,
    *,
    environment: str,
    since: datetime,
    tenant: str | None = None,
    endpoint: str | None = None,
    event: str | None = None,
    state: State | None = None,
    most: int = 100,
) -> list[Delivery]:
    """Up to `most` deliveries, newest events first: those under way, and ended ones since then."""
    rows = await db.fetch(
        _LIST,
        environment=environment,
        tenant=tenant,
        endpoint=endpoint,
        event=event,
        state=state,
        since=ids.bound(ids.PREFIXES["attempt"], since),
        most=most,
    )
    return [Delivery(**row) for row in rows]


async def by_id(db: Database | Tx, *, environment: str, id: str) -> Delivery | None:
    """The delivery with this id, whichever tenant it has; None if nothing is kept of it."""
    if not ids.is_id(id, ids.PREFIXES["delivery"]):
        return None
    row = await db.row(_BY_ID, environment=environment, id=id, since=_begun(id))
    return None if row is None else Delivery(**row)


async def attempts(db: Database | Tx, *, environment: str, tenant: str, id: str) -> list[Attempt]:
    """The tries of a delivery that are kept, in order."""
    rows = await db.fetch(
        _ATTEMPTS, environment=environment, tenant=tenant, id=id, since=_begun(id)
    )
    return [Attempt(**row) for row in rows]


async def redeliver(tx: Tx, *, environment: str, tenant: str, id: str) -> bool:
    """Whether the delivery is due now: brought forward, or begun anew if it had ended.

    One that is being tried at the moment is left alone and counts. False: nothing is kept of it.
    """
    if not ids.is_id(id, ids.PREFIXES["delivery"]):
        return False
    if await tx.run(_HASTEN, environment=environment, tenant=tenant, id=id):
        return True
    begun = await tx.run(_AGAIN, environment=environment, tenant=tenant, id=id, since=_begun(id))
    return begun == 1


def _begun(delivery: str) -> str:
    """The smallest id that an attempt of this delivery may have, also by a clock a day behind."""
    return ids.bound(ids.PREFIXES["attempt"], ids.made_at(delivery) - timedelta(days=1))
