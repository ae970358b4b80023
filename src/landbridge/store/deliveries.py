"""Deliveries: an event on its way to one endpoint. Waiting ones are due rows, tries are attempts.

A delivery's id is made from its event's and its endpoint's, so it is the same however often it is
begun anew. It is `waiting` before the first try since it was begun and `failing` between tries;
after that its last attempt says `delivered` or `abandoned`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from landbridge import ids
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from landbridge.store.sql import Sql

State = Literal["waiting", "delivered", "failing", "abandoned"]
STATES: tuple[State, ...] = ("waiting", "delivered", "failing", "abandoned")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """What a delivery needs. No `payload`: the event is no longer kept; no `url`: the endpoint."""

    payload: bytes | None = field(repr=False)
    content_type: str
    url: str | None = field(repr=False)
    state: str
    reason: str
    secrets: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """How a claimed delivery went. `state` None gives it back without an attempt.

    `after` is the wait before the next one (failing and None only), `took` is in seconds.
    """

    claim: Claimed
    state: State | None
    status: int | None = None
    error: str | None = None
    took: float = 0.0
    after: timedelta = timedelta()


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


_LOAD = Sql(
    "deliveries.load",
    """
    SELECT w.id, e.payload, e.content_type, p.url, p.state, p.reason, p.secrets
    FROM unnest(:ids::text[], :environments::text[], :tenants::text[], :events::text[],
                :endpoints::text[]) AS w(id, environment, tenant, event, endpoint)
    LEFT JOIN LATERAL (
        SELECT v.payload, v.content_type FROM lb.event AS v
        WHERE v.id = w.event AND v.id >= :first AND v.id <= :last
          AND v.environment = w.environment AND v.tenant = w.tenant
        LIMIT 1
    ) AS e ON true
    LEFT JOIN lb.endpoint AS p
      ON p.environment = w.environment AND p.tenant = w.tenant AND p.id = w.endpoint
    """,
)

_SETTLE = Sql(
    "deliveries.settle",
    """
    WITH word AS MATERIALIZED (
        SELECT i.*
        FROM unnest(:ids::text[], :environments::text[], :tenants::text[], :fences::bigint[],
                    :attempts::text[], :states::text[], :statuses::int[], :errors::text[],
                    :tooks::int[], :afters::interval[])
            AS i(id, environment, tenant, fence, attempt_id, state, status, error, took, after)
    ),
    moment AS MATERIALIZED (
        SELECT lb.now() AS now
    ),
    held AS MATERIALIZED (
        SELECT i.*, own.ref, own.target, own.attempt + 1 AS number, m.now, m.now + i.after AS at
        FROM moment AS m, word AS i, LATERAL (
            SELECT d.ref, d.target, d.attempt FROM lb.due AS d
            WHERE d.id = i.id AND d.environment = i.environment AND d.tenant = i.tenant
              AND d.owner = :owner AND d.fence = i.fence
            LIMIT 1
            FOR UPDATE
        ) AS own
    ),
    tried AS (
        INSERT INTO lb.attempt (environment, tenant, id, delivery, event, endpoint, number,
                                outcome, status, error, took_ms, retry_at, created_at)
        SELECT h.environment, h.tenant, h.attempt_id, h.id, h.ref, h.target, h.number,
               h.state, h.status, h.error, h.took,
               CASE WHEN h.state = 'failing' THEN h.at END, h.now
        FROM held AS h
        WHERE h.state IS NOT NULL
    ),
    gone AS (
        DELETE FROM lb.due AS d
        USING held AS h
        WHERE d.id = h.id AND d.environment = h.environment AND d.tenant = h.tenant
          AND h.state IN ('delivered', 'abandoned')
    ),
    kept AS (
        UPDATE lb.due AS d
        SET owner = NULL, woken = false, error = h.error, due_at = h.at,
            attempt = CASE WHEN h.state IS NULL THEN d.attempt ELSE h.number END,
            lane = CASE WHEN h.state IS NULL THEN d.lane ELSE 'retry' END
        FROM held AS h
        WHERE d.id = h.id AND d.environment = h.environment AND d.tenant = h.tenant
          AND (h.state IS NULL OR h.state = 'failing')
    )
    SELECT h.id FROM held AS h
    """,
)

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


async def load(db: Database, claims: Sequence[Claimed]) -> dict[str, Parcel]:
    """What each of these deliveries needs, by its id: one query for all of them."""
    if not claims:
        return {}
    events = [claim.ref or "" for claim in claims]
    rows = await db.fetch(
        _LOAD,
        ids=[claim.id for claim in claims],
        environments=[claim.environment for claim in claims],
        tenants=[claim.tenant for claim in claims],
        events=events,
        endpoints=[claim.target or "" for claim in claims],
        first=min(events),
        last=max(events),
    )
    return {
        row["id"]: Parcel(
            payload=row["payload"],
            content_type=row["content_type"] or "",
            url=row["url"],
            state=row["state"] or "",
            reason=row["reason"] or "",
            secrets=row["secrets"] or b"",
        )
        for row in rows
    }


async def settle(db: Database, owner: str, tries: Sequence[Try]) -> set[str]:
    """The ids that were settled, all in one statement; one that `owner` lost is not among them.

    An attempt is written if and only if its row is settled with it, so a number occurs once.
    """
    if not tries:
        return set()
    rows = await db.fetch(
        _SETTLE,
        ids=[each.claim.id for each in tries],
        environments=[each.claim.environment for each in tries],
        tenants=[each.claim.tenant for each in tries],
        fences=[each.claim.fence for each in tries],
        attempts=[ids.new(ids.PREFIXES["attempt"]) for _ in tries],
        states=[each.state for each in tries],
        statuses=[each.status for each in tries],
        errors=[each.error for each in tries],
        tooks=[round(each.took * 1000) for each in tries],
        afters=[each.after for each in tries],
        owner=owner,
    )
    return {row["id"] for row in rows}


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
