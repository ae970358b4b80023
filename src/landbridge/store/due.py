"""Work with a time: put, claim, heartbeat, hold, settle. What happens later is a row here.

A row waits until `due_at` (owner null) or is leased until `due_at` (owner set); once that moment
has passed anybody may claim it, and its fence rises. What a holder may do is decided by owner and
fence together, never by a clock of its own: a worker that slept through its lease finds that
heartbeat, hold and settle refuse it. All times are the database's, `lb.now()`.

Rows with a key are locked in the order (environment, tenant, kind, key), so that workers who put
and settle the same keys never wait for each other in a circle; claim and heartbeat never wait.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from landbridge import ids
from landbridge.errors import InvalidInput, LandbridgeError
from landbridge.store.database import Database, Row, Tx
from landbridge.store.schedule import check_repeat, next_time
from landbridge.store.sql import Sql

LANES = ("deliver", "retry", "receive", "pull", "push", "consume", "system")
"""Each lane has workers of its own: a crowd in one does not hold up another."""

AT_ONCE = timedelta()
_COUNTED = 10_000


class LeaseLost(LandbridgeError):
    """Somebody else holds this row now, or it was cancelled: undo the work, settle nothing."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Work to put. Due `at` a moment, else `after` a delay from now.

    Jobs of one (environment, tenant, kind, key) are one row; without a key every put is a row.
    `ref` is what the work is about and `target` where it goes, both ids. `repeat` is `every 300s`
    or a cron line in UTC; such a row stays, and is due again after each settle.
    """

    environment: str
    tenant: str
    lane: str
    kind: str
    ref: str | None = None
    target: str | None = None
    key: str | None = None
    args: dict[str, Any] | None = None
    at: datetime | None = None
    after: timedelta = AT_ONCE
    repeat: str | None = None

    def __post_init__(self) -> None:
        if self.lane not in LANES:
            raise InvalidInput(f"lane: {self.lane!r} is none of {', '.join(LANES)}")
        if self.at is not None and self.at.tzinfo is None:
            raise InvalidInput("at: a moment without a zone; use datetime.now(UTC) or the like")
        if self.repeat is not None:
            if self.key is None:
                raise InvalidInput("repeat: a repeating job needs a key, else each put adds a row")
            check_repeat(self.repeat)


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A row that its owner may work on until `due_at`, or longer by heartbeats."""

    id: str
    environment: str
    tenant: str
    lane: str
    kind: str
    ref: str | None
    target: str | None
    key: str | None
    args: dict[str, Any]
    repeat: str | None
    attempt: int
    fence: int
    created_at: datetime
    claimed_at: datetime
    due_at: datetime


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A claim to run again: `at` a moment, else `after` a delay, as this attempt, in this lane."""

    claim: Claimed
    attempt: int
    at: datetime | None = None
    after: timedelta = AT_ONCE
    error: str | None = None
    lane: str | None = None


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """How far a lane is behind: rows due by now that nobody holds, and since when the oldest is.

    `count` is exact up to 10,000 rows in each of the 64 shards and never above that; `oldest` is
    None when nothing is due.
    """

    lane: str
    count: int
    oldest: datetime | None


_PUT = Sql(
    "due.put",
    """
    WITH moment AS MATERIALIZED (SELECT lb.now() AS now),
    job AS (
        SELECT j.*, coalesce(j.at, m.now + j.after) AS due_at
        FROM moment AS m,
             unnest(:ids::text[], :environments::text[], :tenants::text[], :lanes::text[],
                    :kinds::text[], :refs::text[], :targets::text[], :keys::text[],
                    :args::jsonb[], :ats::timestamptz[], :afters::interval[], :repeats::text[])
                 AS j(id, environment, tenant, lane, kind, ref, target, key,
                      args, at, after, repeat)
    )
    INSERT INTO lb.due AS d (environment, tenant, id, lane, kind, shard, due_at,
                             ref, target, key, args, repeat)
    SELECT DISTINCT ON (j.environment COLLATE "C", j.tenant COLLATE "C", j.kind COLLATE "C",
                        j.key COLLATE "C", CASE WHEN j.key IS NULL THEN j.id END COLLATE "C")
           j.environment, j.tenant, j.id, j.lane, j.kind, lb.shard(j.environment, j.tenant),
           j.due_at, j.ref, j.target, j.key, j.args, j.repeat
    FROM job AS j
    ORDER BY j.environment COLLATE "C", j.tenant COLLATE "C", j.kind COLLATE "C",
             j.key COLLATE "C", CASE WHEN j.key IS NULL THEN j.id END COLLATE "C", j.due_at
    ON CONFLICT (environment, tenant, kind, key) WHERE key IS NOT NULL DO UPDATE SET
        lane = excluded.lane,
        args = coalesce(excluded.args, d.args),
        repeat = coalesce(excluded.repeat, d.repeat),
        due_at = CASE WHEN d.owner IS NULL THEN least(d.due_at, excluded.due_at)
                      ELSE d.due_at END,
        woken = d.owner IS NOT NULL
                AND (d.woken OR excluded.repeat IS NULL
                     OR excluded.due_at <= (SELECT m.now FROM moment AS m))
    RETURNING d.id, d.environment, d.tenant, d.kind, d.key
    """,
)

_CLAIM = Sql(
    "due.claim",
    """
    WITH moment AS MATERIALIZED (SELECT lb.now() AS now),
    place AS MATERIALIZED (
        SELECT l.lane, s.shard::smallint AS shard
        FROM unnest(:lanes::text[]) WITH ORDINALITY AS l(lane, rank),
             generate_series(0, 63) AS s(shard)
        ORDER BY l.rank, (s.shard - :start::int) & 63
    ),
    ready AS MATERIALIZED (
        SELECT d.id
        FROM place AS p, LATERAL (
            SELECT r.id FROM lb.due AS r
            WHERE r.lane = p.lane AND r.shard = p.shard
              AND r.due_at <= (SELECT m.now FROM moment AS m)
            ORDER BY r.due_at
            LIMIT :per_shard
            FOR UPDATE SKIP LOCKED
        ) AS d
        LIMIT :limit
    )
    UPDATE lb.due AS d
    SET owner = :owner, fence = d.fence + 1, woken = false,
        due_at = m.now + :lease::interval
    FROM moment AS m
    WHERE d.id = ANY (ARRAY(SELECT r.id FROM ready AS r))
    RETURNING d.id, d.environment, d.tenant, d.lane, d.kind, d.ref, d.target, d.key, d.args,
              d.repeat, d.attempt, d.fence, d.created_at, m.now AS claimed_at, d.due_at
    """,
    across="A worker takes whatever is due next, in turns over the tenants.",
)

_TAKE = Sql(
    "due.take",
    """
    UPDATE lb.due AS d
    SET owner = :owner, fence = d.fence + 1, woken = false, due_at = m.now + :lease::interval
    FROM (SELECT lb.now() AS now) AS m
    WHERE d.environment = :environment AND d.tenant = :tenant AND d.kind = :kind AND d.key = :key
      AND (d.owner IS NULL OR d.due_at <= m.now)
    RETURNING d.id, d.environment, d.tenant, d.lane, d.kind, d.ref, d.target, d.key, d.args,
              d.repeat, d.attempt, d.fence, d.created_at, m.now AS claimed_at, d.due_at
    """,
)

_READY = Sql(
    "due.ready",
    """
    SELECT l.lane
    FROM unnest(:lanes::text[]) AS l(lane)
    WHERE EXISTS (
        SELECT 1
        FROM generate_series(0, 63) AS s(shard), LATERAL (
            SELECT d.due_at FROM lb.due AS d
            WHERE d.lane = l.lane AND d.shard = s.shard::smallint
              AND d.due_at <= (SELECT lb.now())
            LIMIT 1
        ) AS one
    )
    """,
    across="A worker asks which lanes have work; it is told their names alone.",
)

_HEARTBEAT = Sql(
    "due.heartbeat",
    """
    WITH mine AS MATERIALIZED (
        SELECT i.id, i.environment, i.tenant, i.fence
        FROM unnest(:ids::text[], :environments::text[], :tenants::text[], :fences::bigint[])
            AS i(id, environment, tenant, fence)
    ),
    free AS MATERIALIZED (
        SELECT i.id, i.environment, i.tenant
        FROM mine AS i, LATERAL (
            SELECT d.id FROM lb.due AS d
            WHERE d.id = i.id AND d.environment = i.environment AND d.tenant = i.tenant
              AND d.owner = :owner AND d.fence = i.fence
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        ) AS own
    ),
    longer AS (
        UPDATE lb.due AS d SET due_at = (SELECT lb.now()) + :lease::interval
        FROM free AS f
        WHERE d.id = f.id AND d.environment = f.environment AND d.tenant = f.tenant
    )
    SELECT i.id
    FROM mine AS i, LATERAL (
        SELECT d.id FROM lb.due AS d
        WHERE d.id = i.id AND d.environment = i.environment AND d.tenant = i.tenant
          AND d.owner = :owner AND d.fence = i.fence
        LIMIT 1
    ) AS own
    """,
)

_HOLD = Sql(
    "due.hold",
    """
    SELECT d.id FROM lb.due AS d
    WHERE d.id = :id AND d.environment = :environment AND d.tenant = :tenant
      AND d.owner = :owner AND d.fence = :fence
    FOR UPDATE
    """,
)

_SETTLE = Sql(
    "due.settle",
    """
    WITH moment AS MATERIALIZED (SELECT lb.now() AS now),
    word AS MATERIALIZED (
        SELECT i.*
        FROM unnest(:ids::text[], :environments::text[], :tenants::text[], :fences::bigint[],
                    :ends::bool[], :ats::timestamptz[], :afters::interval[], :attempts::int[],
                    :errors::text[], :lanes::text[])
            AS i(id, environment, tenant, fence, ends, at, after, attempt, error, lane)
    ),
    held AS MATERIALIZED (
        SELECT i.*, own.woken
        FROM word AS i, LATERAL (
            SELECT d.woken FROM lb.due AS d
            WHERE d.id = i.id AND d.environment = i.environment AND d.tenant = i.tenant
              AND d.owner = :owner AND d.fence = i.fence
            LIMIT 1
            FOR UPDATE
        ) AS own
    ),
    gone AS (
        DELETE FROM lb.due AS d
        USING held AS h
        WHERE d.id = h.id AND d.environment = h.environment AND d.tenant = h.tenant
          AND h.ends AND NOT h.woken
    ),
    kept AS (
        UPDATE lb.due AS d
        SET owner = NULL, woken = false, attempt = h.attempt, error = h.error,
            lane = coalesce(h.lane, d.lane),
            due_at = CASE WHEN h.woken THEN m.now ELSE coalesce(h.at, m.now + h.after) END
        FROM held AS h, moment AS m
        WHERE d.id = h.id AND d.environment = h.environment AND d.tenant = h.tenant
          AND (h.woken OR NOT h.ends)
    )
    SELECT h.id FROM held AS h
    """,
)

_CANCEL = Sql(
    "due.cancel",
    """
    WITH picked AS MATERIALIZED (
        SELECT d.id FROM lb.due AS d
        WHERE d.environment = :environment AND d.tenant = :tenant AND d.id = ANY (:ids::text[])
        UNION
        SELECT d.id FROM lb.due AS d
        WHERE d.environment = :environment AND d.tenant = :tenant AND d.ref = :ref
        UNION
        SELECT d.id FROM lb.due AS d
        WHERE d.environment = :environment AND d.tenant = :tenant
          AND d.kind = :kind AND d.key = :key
    ),
    held AS MATERIALIZED (
        SELECT d.id FROM lb.due AS d
        WHERE d.id = ANY (ARRAY(SELECT p.id FROM picked AS p))
          AND d.environment = :environment AND d.tenant = :tenant
        ORDER BY d.environment COLLATE "C", d.tenant COLLATE "C", d.kind COLLATE "C",
                 d.key COLLATE "C", d.id
        FOR UPDATE
    )
    DELETE FROM lb.due AS d
    WHERE d.id = ANY (ARRAY(SELECT h.id FROM held AS h))
      AND d.environment = :environment AND d.tenant = :tenant
    """,
)

_DEPTH = Sql(
    "due.depth",
    """
    SELECT l.lane, coalesce(sum(c.n), 0)::bigint AS n, min(c.oldest) AS oldest
    FROM unnest(:lanes::text[]) AS l(lane),
         generate_series(0, 63) AS s(shard),
         LATERAL (
            SELECT count(*) AS n, min(w.due_at) AS oldest
            FROM (
                SELECT d.due_at FROM lb.due AS d
                WHERE d.lane = l.lane AND d.shard = s.shard::smallint
                  AND d.due_at <= (SELECT lb.now())
                ORDER BY d.due_at
                LIMIT :cap
            ) AS w
         ) AS c
    GROUP BY l.lane
    """,
    across="The operator's view of the lanes has counts and no tenant's content.",
)


async def put(tx: Tx | Database, jobs: Sequence[Job]) -> list[str]:
    """The jobs' row ids, in the jobs' order; the rows exist once `tx` commits.

    A job whose key is there already coalesces with it: a waiting row becomes due at the earlier
    of both times, a leased one runs once more after its settle (early rather than never), and
    lane, args and repeat are the newer ones. Such a row stays locked until `tx` ends: keep that
    transaction short. Sets `tx.wake`; whoever commits wakes the workers (`Database.notify`).
    """
    if not jobs:
        return []
    fresh = [ids.new("due") for _ in jobs]
    encode = msgspec.json.encode
    if isinstance(tx, Tx):
        tx.wake = True
    rows = await tx.fetch(
        _PUT,
        ids=fresh,
        environments=[job.environment for job in jobs],
        tenants=[job.tenant for job in jobs],
        lanes=[job.lane for job in jobs],
        kinds=[job.kind for job in jobs],
        refs=[job.ref for job in jobs],
        targets=[job.target for job in jobs],
        keys=[job.key for job in jobs],
        args=[None if job.args is None else encode(job.args).decode() for job in jobs],
        ats=[job.at for job in jobs],
        afters=[job.after for job in jobs],
        repeats=[job.repeat for job in jobs],
    )
    keyed = {(row[1], row[2], row[3], row[4]): row[0] for row in rows if row[4] is not None}
    return [
        own if job.key is None else keyed[job.environment, job.tenant, job.kind, job.key]
        for own, job in zip(fresh, jobs, strict=True)
    ]


async def claim(
    db: Tx | Database,
    *,
    owner: str,
    lanes: Sequence[str],
    limit: int,
    per_shard: int,
    lease: timedelta,
    start: int | None = None,
) -> list[Claimed]:
    """Up to `limit` due rows, leased to `owner` for `lease`, oldest ids first; [] if none is due.

    Lanes are served in the order given. Within a lane every shard (a 64th of the tenants) gives at
    most `per_shard` rows, beginning at a random one (`start`, for tests), so that a tenant with a
    million rows does not keep the others waiting; what is then still free goes to whoever has more.
    """
    if limit <= 0:
        return []
    first = os.urandom(1)[0] & 63 if start is None else start
    binds = {"owner": owner, "lanes": lanes, "lease": lease, "start": first}
    rows = await db.fetch(_CLAIM, limit=limit, per_shard=min(per_shard, limit), **binds)
    left = limit - len(rows)
    if per_shard <= len(rows) and left:
        rows += await db.fetch(_CLAIM, limit=left, per_shard=left, **binds)
    return [_claimed(row) for row in rows]


async def take(
    db: Tx | Database,
    *,
    owner: str,
    environment: str,
    tenant: str,
    kind: str,
    key: str,
    lease: timedelta,
) -> Claimed | None:
    """The row of this key, leased to `owner` before its time; None while another holds it."""
    row = await db.row(
        _TAKE,
        owner=owner,
        environment=environment,
        tenant=tenant,
        kind=kind,
        key=key,
        lease=lease,
    )
    return None if row is None else _claimed(row)


async def ready(db: Tx | Database, lanes: Sequence[str]) -> set[str]:
    """Those of the lanes in which a claim would find something."""
    return {row[0] for row in await db.fetch(_READY, lanes=lanes)}


async def heartbeat(
    db: Tx | Database, owner: str, claims: Sequence[Claimed], lease: timedelta
) -> set[str]:
    """The ids that `owner` still holds, their leases now ending `lease` from now.

    A row that is missing in the answer was taken by another worker or cancelled. One that is
    locked at the moment (by `hold`, or by a put that wakes it) is left as it is and counts as
    held: nobody can take it while it is locked.
    """
    if not claims:
        return set()
    rows = await db.fetch(
        _HEARTBEAT,
        ids=[claim.id for claim in claims],
        environments=[claim.environment for claim in claims],
        tenants=[claim.tenant for claim in claims],
        fences=[claim.fence for claim in claims],
        owner=owner,
        lease=lease,
    )
    return {row[0] for row in rows}


async def hold(tx: Tx, owner: str, claim: Claimed) -> None:
    """Locks the row until `tx` ends, so that what `tx` writes is written by its only holder.

    LeaseLost if another worker claimed the row meanwhile or it was cancelled.
    """
    row = await tx.row(
        _HOLD,
        id=claim.id,
        environment=claim.environment,
        tenant=claim.tenant,
        owner=owner,
        fence=claim.fence,
    )
    if row is None:
        raise LeaseLost(
            f"{claim.kind} {claim.id}: the lease ran out and another worker has it, or it was"
            " cancelled; nothing was written"
        )


async def settle(
    db: Tx | Database,
    owner: str,
    done: Sequence[Claimed] = (),
    again: Sequence[Again] = (),
) -> set[str]:
    """The ids that were settled; one that `owner` no longer holds is refused and not among them.

    `done` rows go, or wait for their next time if they repeat. A row that was put again while it
    was leased is due at once, whatever its settle says. A claim twice in one call is a TypeError.
    """
    words = [*map(_after_done, done), *((each, False) for each in again)]
    if not words:
        return set()
    if len({each.claim.id for each, _ in words}) != len(words):
        raise TypeError("settle: one claim is there twice; each has one outcome")
    words.sort(key=_lock_order)
    rows = await db.fetch(
        _SETTLE,
        ids=[each.claim.id for each, _ in words],
        environments=[each.claim.environment for each, _ in words],
        tenants=[each.claim.tenant for each, _ in words],
        fences=[each.claim.fence for each, _ in words],
        ends=[ends for _, ends in words],
        ats=[each.at for each, _ in words],
        afters=[each.after for each, _ in words],
        attempts=[each.attempt for each, _ in words],
        errors=[each.error for each, _ in words],
        lanes=[each.lane for each, _ in words],
        owner=owner,
    )
    return {row[0] for row in rows}


async def cancel(
    tx: Tx | Database,
    *,
    environment: str,
    tenant: str,
    ids: Sequence[str] = (),
    ref: str | None = None,
    kind: str | None = None,
    key: str | None = None,
) -> int:
    """How many of the tenant's rows were removed: those with these ids, this ref, or this key.

    Leased ones go too: their holders' hold and settle are refused from then on.
    """
    if not ids and ref is None and (kind is None or key is None):
        raise TypeError("cancel: say which rows: ids, ref, or kind and key")
    return await tx.run(
        _CANCEL, environment=environment, tenant=tenant, ids=ids, ref=ref, kind=kind, key=key
    )


async def depth(db: Tx | Database) -> dict[str, Depth]:
    """How far each lane is behind, for every lane; bounded work however long the backlog is."""
    rows = await db.fetch(_DEPTH, lanes=LANES, cap=_COUNTED)
    return {row[0]: Depth(lane=row[0], count=row[1], oldest=row[2]) for row in rows}


def _after_done(claim: Claimed) -> tuple[Again, bool]:
    if claim.repeat is None:
        return Again(claim=claim, attempt=0), True
    return Again(claim=claim, attempt=0, at=next_time(claim.repeat, claim.claimed_at)), False


def _lock_order(word: tuple[Again, bool]) -> tuple[str, str, str, str, str]:
    claim = word[0].claim
    return claim.environment, claim.tenant, claim.kind, claim.key or "", claim.id


def _claimed(row: Row) -> Claimed:
    args = row["args"]
    return Claimed(
        id=row["id"],
        environment=row["environment"],
        tenant=row["tenant"],
        lane=row["lane"],
        kind=row["kind"],
        ref=row["ref"],
        target=row["target"],
        key=row["key"],
        args={} if args is None else msgspec.json.decode(args),
        repeat=row["repeat"],
        attempt=row["attempt"],
        fence=row["fence"],
        created_at=row["created_at"],
        claimed_at=row["claimed_at"],
        due_at=row["due_at"],
    )
