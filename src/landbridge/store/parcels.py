"""Deliveries under way: claimed with what they carry, and settled with their attempts, in batches.

This is the hot path of a worker. A batch costs two statements to begin (the claim brings the
events' bodies along, the second brings the endpoints, each once) and one to end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from landbridge import ids
from landbridge.store import due_sql
from landbridge.store.database import Database, Row
from landbridge.store.deliveries import State
from landbridge.store.lookout import Lookout
from landbridge.store.sql import Sql


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as a delivery needs it. `schedule` None: the default one; `rate`: per second.

    `failing_since` and what follows is None or 0 for an endpoint that works.
    """

    environment: str
    tenant: str
    id: str
    url: str
    state: str
    reason: str
    secrets: bytes
    headers: bytes | None
    api_version: str
    schedule: tuple[timedelta, ...] | None
    concurrency: int | None
    rate: float | None
    skip_after: int | None
    slow: bool
    updated_at: datetime
    failing_since: datetime | None
    open_until: datetime | None
    opened: int

    def __repr__(self) -> str:
        return f"Destination({self.id})"


class Parcel(msgspec.Struct, kw_only=True, gc=False):
    """A claimed delivery. No `payload`: the event is no longer kept; no `to`: the endpoint.

    `attempt` counts tries so far, `begun` those before it was last begun anew. `line` is the
    ordering key that holds others up behind it. `held_since` and `held_until` are of the claimer's
    monotonic clock: when the answer was there, and a moment up to which the lease lasts for sure.
    `via` and `ahead` are the claimer's own, and nothing here looks at them.
    """

    environment: str
    tenant: str
    id: str
    lane: str
    event: str
    endpoint: str
    attempt: int
    begun: int
    fence: int
    type: str
    line: str | None
    claimed_at: datetime
    created_at: datetime
    content_type: str
    payload: bytes | None
    older: bytes | None
    to: Destination | None = None
    via: Any = None
    ahead: float = 0.0
    held_since: float = 0.0
    held_until: float = 0.0

    def __repr__(self) -> str:
        return f"Parcel({self.id})"

    @property
    def tries(self) -> int:
        """Tries since it was last begun anew."""
        return self.attempt - self.begun


class Try(msgspec.Struct, kw_only=True, gc=False):
    """How a parcel fared. `state` None gives it back without an attempt.

    `after` is the wait before the next one (failing and None only), `took` is in seconds, `lane`
    where it waits (None: where it was, or with the retries when it failed). `aside`: it leaves its
    line. `gone`: the receiver said that the endpoint is no more. `blameless`: not its fault.
    """

    parcel: Parcel
    state: State | None
    status: int | None = None
    error: str | None = None
    took: float = 0.0
    after: timedelta = timedelta()
    lane: str | None = None
    aside: bool = False
    gone: bool = False
    blameless: bool = False


_CLAIM = Sql(
    "parcels.claim",
    f"""
    WITH claimed AS (
    {due_sql.CLAIM_ROWS}
    RETURNING d.id, d.environment, d.tenant, d.lane, d.ref, d.target, d.attempt, d.fence, d.args,
              m.now AS claimed_at, d.shard, {due_sql.WAS}
    )
    SELECT c.id, c.environment, c.tenant, c.lane, c.ref, c.target, c.attempt, c.fence, c.args,
           c.claimed_at, e.created_at, e.type, e.content_type, e.payload, e.older,
           c.shard, c.was
    FROM claimed AS c
    LEFT JOIN LATERAL (
        SELECT v.created_at, v.type, v.content_type, v.payload, v.older
        FROM lb.event AS v
        WHERE v.id = c.ref AND v.environment = c.environment AND v.tenant = c.tenant
        LIMIT 1
    ) AS e ON true
    """,
    across="A worker takes whatever is due next, in turns over the tenants.",
)

_DESTINATIONS = Sql(
    "parcels.destinations",
    """
    SELECT p.environment, p.tenant, p.id, p.url, p.state, p.reason, p.secrets, p.headers,
           p.api_version, p.schedule, p.concurrency, p.rate, p.skip_after, p.slow, p.updated_at,
           h.failing_since, h.open_until, coalesce(h.opened, 0) AS opened
    FROM unnest(:environments::text[], :tenants::text[], :endpoints::text[])
         AS w(environment, tenant, endpoint)
    JOIN LATERAL (
        SELECT o.environment, o.tenant, o.id, o.url, o.state, o.reason, o.secrets, o.headers,
               o.api_version, o.schedule, o.concurrency, o.rate, o.skip_after, o.slow, o.updated_at
        FROM lb.endpoint AS o
        WHERE o.environment = w.environment AND o.tenant = w.tenant AND o.id = w.endpoint
        LIMIT 1
    ) AS p ON true
    LEFT JOIN LATERAL (
        SELECT o.failing_since, o.open_until, o.opened FROM lb.endpoint_health AS o
        WHERE o.environment = w.environment AND o.tenant = w.tenant AND o.endpoint = w.endpoint
        LIMIT 1
    ) AS h ON true
    """,
)

_SETTLE = Sql(
    "parcels.settle",
    """
    WITH word AS MATERIALIZED (
        SELECT i.*
        FROM unnest(:ids::text[], :environments::text[], :tenants::text[], :fences::bigint[],
                    :attempts::text[], :states::text[], :statuses::int[], :errors::text[],
                    :tooks::int[], :afters::interval[], :lanes::text[], :asides::bool[])
            AS i(id, environment, tenant, fence, attempt_id, state, status, error, took, after,
                 lane, aside)
    ),
    moment AS MATERIALIZED (
        SELECT lb.now() AS now
    ),
    held AS MATERIALIZED (
        SELECT i.*, own.ref, own.target, own.attempt + 1 AS number, m.now, m.now + i.after AS at,
               coalesce(i.state IN ('delivered', 'abandoned'), false) AS goes
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
        WHERE d.id = ANY (ARRAY(SELECT h.id FROM held AS h WHERE h.goes))
          AND d.environment = ANY (:environments::text[]) AND d.tenant = ANY (:tenants::text[])
    ),
    kept AS (
        UPDATE lb.due AS d
        SET owner = NULL, woken = false,
            (error, due_at, attempt, lane, key, args) = (
                SELECT (:errors::text[])[p.place],
                       (SELECT m.now FROM moment AS m) + (:afters::interval[])[p.place],
                       d.attempt + ((:states::text[])[p.place] IS NOT NULL)::int,
                       coalesce((:lanes::text[])[p.place], d.lane),
                       CASE WHEN NOT (:asides::bool[])[p.place] THEN d.key END,
                       CASE WHEN NOT (:asides::bool[])[p.place] THEN d.args
                            ELSE coalesce(d.args, '{}') || '{"aside": true}' END
                FROM (SELECT width_bucket(d.id, :ids::text[]) AS place OFFSET 0) AS p)
        WHERE d.id = ANY (ARRAY(SELECT h.id FROM held AS h WHERE NOT h.goes))
          AND d.environment = ANY (:environments::text[]) AND d.tenant = ANY (:tenants::text[])
    )
    SELECT i.id FROM word AS i
    WHERE (SELECT count(*) FROM held AS h) < (SELECT count(*) FROM word AS w)
      AND NOT EXISTS (SELECT FROM held AS h WHERE h.id = i.id)
    """,
)


# Most end like this, and then there is little to say of each. `ids` are sorted.
_DELIVERED = Sql(
    "parcels.delivered",
    """
    WITH gone AS (
        DELETE FROM lb.due AS d
        WHERE d.id = ANY (:ids::text[]) AND d.owner = :owner
          AND d.fence = (:fences::bigint[])[width_bucket(d.id, :ids::text[])]
        RETURNING d.environment, d.tenant, d.id, d.ref, d.target, d.attempt + 1 AS number,
                  width_bucket(d.id, :ids::text[]) AS place
    ),
    tried AS (
        INSERT INTO lb.attempt (environment, tenant, id, delivery, event, endpoint, number,
                                outcome, status, took_ms)
        SELECT g.environment, g.tenant,
               :moment || lpad(to_hex(hashtextextended(g.id, g.number)), 16, '0'),
               g.id, g.ref, g.target, g.number, 'delivered',
               (:statuses::int[])[g.place], (:tooks::int[])[g.place]
        FROM gone AS g
    )
    SELECT i.id FROM unnest(:ids::text[]) AS i(id)
    WHERE (SELECT count(*) FROM gone AS g) < cardinality(:ids::text[])
      AND NOT EXISTS (SELECT FROM gone AS g WHERE g.id = i.id)
    """,
    across="A worker settles the rows that it holds by their ids and fences, whosever they are.",
)


async def claim(
    db: Database,
    *,
    owner: str,
    lane: str,
    limit: int,
    lease: timedelta,
    lookout: Lookout | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> list[Parcel]:
    """Up to `limit` deliveries that are due in the lane, leased to `owner`, without destinations.

    Tenants take turns: of one of the 64 shards an eighth of the limit is taken at first, more only
    where that leaves room. Who claims again and again keeps a `lookout`.
    """
    until = monotonic() + lease.total_seconds()
    rows = await (lookout or Lookout()).claim(
        db,
        _CLAIM,
        owner=owner,
        lanes=[lane],
        limit=limit,
        per_shard=max(1, limit // 8),
        lease=lease,
        start=os.urandom(1)[0] & 63,
    )
    since = monotonic()
    return [_parcel(row, since, until) for row in rows]


async def address(db: Database, parcels: Iterable[Parcel]) -> None:
    """Sets the parcels' destinations, as they are now; those of deleted endpoints stay None."""
    wanted = {(each.environment, each.tenant, each.endpoint) for each in parcels}
    if not wanted:
        return
    rows = await db.fetch(
        _DESTINATIONS,
        environments=[each[0] for each in wanted],
        tenants=[each[1] for each in wanted],
        endpoints=[each[2] for each in wanted],
    )
    found = {(row["environment"], row["tenant"], row["id"]): _destination(row) for row in rows}
    for each in parcels:
        each.to = found.get((each.environment, each.tenant, each.endpoint))


async def settle(db: Database, owner: str, tries: Sequence[Try]) -> set[str]:
    """The ids that were refused since `owner` lost them; all others are settled, in one statement
    for those that were delivered and one for the rest.

    An attempt is written if and only if its row is settled with it, so a number occurs once.
    """
    tries = sorted(tries, key=lambda each: each.parcel.id)  # what is written is looked up by it
    delivered = [each for each in tries if each.state == "delivered"]
    others = [each for each in tries if each.state != "delivered"]
    lost: set[str] = set()
    if delivered:
        rows = await db.fetch(
            _DELIVERED,
            ids=[each.parcel.id for each in delivered],
            fences=[each.parcel.fence for each in delivered],
            statuses=[each.status for each in delivered],
            tooks=[round(each.took * 1000) for each in delivered],
            moment=ids.many(ids.PREFIXES["attempt"], 1)[0][:-16],
            owner=owner,
        )
        lost.update(row[0] for row in rows)
    if others:
        lost |= await _settle_others(db, owner, others)
    return lost


async def _settle_others(db: Database, owner: str, tries: Sequence[Try]) -> set[str]:
    parcels = [each.parcel for each in tries]
    rows = await db.fetch(
        _SETTLE,
        ids=[each.id for each in parcels],
        environments=[each.environment for each in parcels],
        tenants=[each.tenant for each in parcels],
        fences=[each.fence for each in parcels],
        attempts=ids.many(ids.PREFIXES["attempt"], len(tries)),
        states=[each.state for each in tries],
        statuses=[each.status for each in tries],
        errors=[each.error for each in tries],
        tooks=[round(each.took * 1000) for each in tries],
        afters=[each.after for each in tries],
        lanes=[each.lane for each in tries],
        asides=[each.aside for each in tries],
        owner=owner,
    )
    return {row[0] for row in rows}


def _parcel(row: Row, since: float, until: float) -> Parcel:
    args, claimed_at = row["args"], row["claimed_at"]
    more = {} if args is None else msgspec.json.decode(args)
    return Parcel(
        environment=row["environment"],
        tenant=row["tenant"],
        id=row["id"],
        lane=row["lane"],
        event=row["ref"] or "",
        endpoint=row["target"] or "",
        attempt=row["attempt"],
        begun=more.get("begun", 0),
        line=None if more.get("aside") else more.get("line"),
        fence=row["fence"],
        claimed_at=claimed_at,
        created_at=row["created_at"] or claimed_at,
        type=row["type"] or "",
        content_type=row["content_type"] or "",
        payload=row["payload"],
        older=row["older"],
        held_since=since,
        held_until=until,
    )


def _destination(row: Row) -> Destination:
    values = dict(row)
    schedule = values["schedule"]
    values["schedule"] = None if schedule is None else tuple(schedule)
    return Destination(**values)
