"""Deliveries: an event on its way to one endpoint. Waiting ones are due rows, tries are attempts.

A delivery's id is made from its event's and its endpoint's, so it is the same however often it is
begun anew. It is `waiting` before the first try since it was begun, also while it stands in the
line of an ordered endpoint, and `failing` between tries; after that its last attempt says
`delivered` or `abandoned`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from landbridge import ids
from landbridge.store.database import Database, Row, Tx
from landbridge.store.replays_sql import NUMBER
from landbridge.store.sql import Sql

State = Literal["waiting", "delivered", "failing", "abandoned"]
STATES: tuple[State, ...] = ("waiting", "delivered", "failing", "abandoned")


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A delivery as people see it. `next_at` is when it is due, None once it has ended.

    `lane` is where it waits, "" when it does not. One that stands in a line has no time of its own:
    `behind` is the delivery before it. `aside`: it stepped out of its line, which went on without
    it.
    """

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
    lane: str
    behind: str | None
    aside: bool
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
               d.lane, NULL::text AS behind, coalesce((d.args->>'aside')::bool, false) AS aside,
               d.created_at AS at"""

_ENDED_COLUMNS = """a.environment, a.tenant, a.delivery AS id, a.event, a.endpoint,
               a.outcome AS state, a.number AS attempts, a.status, a.error,
               NULL::timestamptz AS next_at, '' AS lane, NULL::text AS behind, false AS aside,
               a.created_at AS at"""

# The first of a line is a due row whose key names the line (`store.lines`).
_LINED_COLUMNS = """l.environment, l.tenant, l.delivery AS id, l.event, l.endpoint,
               'waiting' AS state, 0 AS attempts, NULL::int AS status, NULL::text AS error,
               NULL::timestamptz AS next_at, '' AS lane,
               coalesce(
                   (SELECT p.delivery FROM lb.line AS p
                    WHERE p.environment = l.environment AND p.tenant = l.tenant
                      AND p.endpoint = l.endpoint AND p.ordering_key = l.ordering_key
                      AND p.number < l.number
                    ORDER BY p.number DESC LIMIT 1),
                   (SELECT d.id FROM lb.due AS d
                    WHERE d.environment = l.environment AND d.tenant = l.tenant
                      AND d.kind = 'deliver'
                      AND d.key = 'line/' || l.endpoint || '/' || l.ordering_key
                    LIMIT 1)) AS behind,
               false AS aside, NULL::timestamptz AS at"""

_TYPED = """SELECT l.*, coalesce(e.type, '') AS type
    FROM (SELECT * FROM waiting UNION ALL SELECT * FROM lined UNION ALL SELECT * FROM ended) AS l
    LEFT JOIN LATERAL (
        SELECT v.type FROM lb.event AS v
        WHERE v.id = l.event AND v.environment = l.environment AND v.tenant = l.tenant
        LIMIT 1
    ) AS e ON true"""


def _wanted(row: str, event: str, endpoint: str, id: str) -> str:
    """The filters of a list, on the columns of one of its sources."""
    return f"""(:tenant::text IS NULL OR {row}.tenant = :tenant)
          AND (:endpoint::text IS NULL OR {row}.{endpoint} = :endpoint)
          AND (:event::text IS NULL OR {row}.{event} = :event)
          AND {row}.{id} >= :first AND {row}.{id} < :last
          AND (:type::text IS NULL OR EXISTS (
              SELECT FROM lb.event AS v
              WHERE v.id = {row}.{event} AND v.environment = {row}.environment
                AND v.tenant = {row}.tenant
                AND (v.type = :type OR (right(:type, 2) = '.*'
                                        AND starts_with(v.type, left(:type, -1))))))"""


_LIST = Sql(
    "deliveries.list",
    f"""
    WITH waiting AS (
        SELECT {_OPEN_COLUMNS}
        FROM lb.due AS d
        WHERE d.environment = :environment AND d.kind = 'deliver'
          AND {_wanted("d", "ref", "target", "id")}
          AND (:state::text IS NULL OR :state = {_OPEN_STATE})
        ORDER BY d.id DESC LIMIT :most
    ),
    lined AS (
        SELECT {_LINED_COLUMNS}
        FROM lb.line AS l
        WHERE l.environment = :environment
          AND {_wanted("l", "event", "endpoint", "delivery")}
          AND (:state::text IS NULL OR :state = 'waiting')
        ORDER BY l.delivery DESC LIMIT :most
    ),
    ended AS (
        SELECT {_ENDED_COLUMNS}
        FROM lb.attempt AS a
        WHERE a.environment = :environment AND a.id >= :since AND a.outcome <> 'failing'
          AND {_wanted("a", "event", "endpoint", "delivery")}
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
    lined AS (
        SELECT {_LINED_COLUMNS}
        FROM lb.line AS l
        WHERE l.environment = :environment AND l.delivery = :id
          AND NOT EXISTS (SELECT FROM waiting)
        LIMIT 1
    ),
    ended AS (
        SELECT {_ENDED_COLUMNS}
        FROM lb.attempt AS a
        WHERE a.environment = :environment AND a.delivery = :id AND a.id >= :since
          AND NOT EXISTS (SELECT FROM waiting) AND NOT EXISTS (SELECT FROM lined)
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
    type: str | None = None,
    emitted_since: datetime | None = None,
    emitted_until: datetime | None = None,
    most: int = 100,
) -> list[Delivery]:
    """Up to `most` deliveries, newest events first: those under way, and ended ones since then.

    `type` may be a prefix such as `invoice.*`; the other two are about when events were emitted.
    """
    prefix = ids.PREFIXES["delivery"]
    rows = await db.fetch(
        _LIST,
        environment=environment,
        tenant=tenant,
        endpoint=endpoint,
        event=event,
        state=state,
        type=type,
        first=f"{prefix}_" if emitted_since is None else ids.bound(prefix, emitted_since),
        last=f"{prefix}_~" if emitted_until is None else ids.bound(prefix, emitted_until),
        since=ids.bound(ids.PREFIXES["attempt"], since),
        most=most,
    )
    return [_delivery(row) for row in rows]


async def by_id(db: Database | Tx, *, environment: str, id: str) -> Delivery | None:
    """The delivery with this id, whichever tenant it has; None if nothing is kept of it."""
    if not ids.is_id(id, ids.PREFIXES["delivery"]):
        return None
    row = await db.row(_BY_ID, environment=environment, id=id, since=_begun(id))
    return None if row is None else _delivery(row)


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
    if begun:
        # It may have waited for the settle that ended it, and have read before that.
        await tx.run(NUMBER, environment=environment, tenant=tenant, ids=[id], tried=_begun(id))
    return begun == 1


def _delivery(row: Row) -> Delivery:
    values = dict(row)
    values["at"] = values["at"] or ids.made_at(values["id"])
    return Delivery(**values)


def _begun(delivery: str) -> str:
    """The smallest id that an attempt of this delivery may have, also by a clock a day behind."""
    return ids.bound(ids.PREFIXES["attempt"], ids.made_at(delivery) - timedelta(days=1))
