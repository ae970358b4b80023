"""The statements of `store.due`, which says what they are for.

Each reads the clock once. A row is met by its id through LATERAL ... LIMIT 1, or by an array of
ids: both go through the primary key whatever the planner believes about the table, which is empty
in one minute and holds a million rows in the next. Vacuumed while it is empty it counts as one of a
single row: joined to a batch it is then read whole, and the batch gone through for each row. What
is written for each row of a batch is therefore looked up in arrays sorted by id (`width_bucket`).
"""

from __future__ import annotations

from landbridge.store.sql import Sql

PUT = Sql(
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

# Which shards of a lane have rows, and since when: a hop over the index for each of them.
_HOPS = """
        WITH RECURSIVE hop AS (
            (SELECT d.shard, d.due_at FROM lb.due AS d
             WHERE d.lane = l.lane AND cardinality(:since::timestamptz[]) = 0
             ORDER BY d.shard, d.due_at LIMIT 1)
            UNION ALL
            SELECT n.shard, n.due_at FROM hop AS h, LATERAL (
                SELECT d.shard, d.due_at FROM lb.due AS d
                WHERE d.lane = l.lane AND d.shard > h.shard
                ORDER BY d.shard, d.due_at LIMIT 1
            ) AS n
        )
        SELECT h.shard, h.due_at FROM hop AS h"""

# A claim that a crash of the server forgets leaves its rows unclaimed, which is as well.
CLAIM_ROWS = f"""
    WITH moment AS MATERIALIZED (
        SELECT lb.now() AS now, set_config('synchronous_commit', 'off', true) AS haste
    ),
    place AS MATERIALIZED (
        SELECT p.lane, p.shard, p.since
        FROM (
            SELECT l.lane, l.rank, o.shard, '-infinity'::timestamptz AS since
            FROM unnest(:lanes::text[]) WITH ORDINALITY AS l(lane, rank), LATERAL ({_HOPS}) AS o
            WHERE o.due_at <= (SELECT m.now FROM moment AS m)
            UNION ALL
            SELECT l.lane, l.rank, s.shard::smallint,
                   coalesce((:since::timestamptz[])[(l.rank - 1) * 64 + s.shard + 1], '-infinity')
            FROM unnest(:lanes::text[]) WITH ORDINALITY AS l(lane, rank),
                 generate_series(0, 63) AS s(shard)
            WHERE cardinality(:since::timestamptz[]) > 0
        ) AS p
        ORDER BY p.rank, (p.shard - :start::int) & 63
    ),
    ready AS MATERIALIZED (
        SELECT d.id, d.due_at AS was
        FROM place AS p, LATERAL (
            SELECT r.id, r.due_at FROM lb.due AS r
            WHERE r.lane = p.lane AND r.shard = p.shard
              AND r.due_at >= p.since AND r.due_at <= (SELECT m.now FROM moment AS m)
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
"""
"""How a claim finds rows and leases them; what it returns is added. `since`: where each shard of
each lane begins, see `store.lookout`; a null is at the oldest row, and an empty array has only
those shards looked at that have rows."""

WAS = """(ARRAY(SELECT o.was FROM ready AS o ORDER BY o.id))[
                  width_bucket(d.id, ARRAY(SELECT o.id FROM ready AS o ORDER BY o.id))] AS was"""
"""When a row was due that a claim now returns."""

CLAIM = Sql(
    "due.claim",
    f"""
    {CLAIM_ROWS}
    RETURNING d.id, d.environment, d.tenant, d.lane, d.kind, d.ref, d.target, d.key, d.args,
              d.repeat, d.attempt, d.fence, d.created_at, m.now AS claimed_at, d.due_at,
              d.shard, {WAS}
    """,
    across="A worker takes whatever is due next, in turns over the tenants.",
)

TAKE = Sql(
    "due.take",
    """
    WITH moment AS MATERIALIZED (SELECT lb.now() AS now)
    UPDATE lb.due AS d
    SET owner = :owner, fence = d.fence + 1, woken = false, due_at = m.now + :lease::interval
    FROM moment AS m
    WHERE d.environment = :environment AND d.tenant = :tenant AND d.kind = :kind AND d.key = :key
      AND (d.owner IS NULL OR d.due_at <= m.now)
    RETURNING d.id, d.environment, d.tenant, d.lane, d.kind, d.ref, d.target, d.key, d.args,
              d.repeat, d.attempt, d.fence, d.created_at, m.now AS claimed_at, d.due_at
    """,
)

TAKE_REF = Sql(
    "due.take_ref",
    """
    WITH moment AS MATERIALIZED (SELECT lb.now() AS now)
    UPDATE lb.due AS d
    SET owner = :owner, fence = d.fence + 1, woken = false, due_at = m.now + :lease::interval
    FROM moment AS m
    WHERE d.environment = :environment AND d.tenant = :tenant AND d.kind = :kind AND d.ref = :ref
      AND (d.owner IS NULL OR d.due_at <= m.now)
    RETURNING d.id, d.environment, d.tenant, d.lane, d.kind, d.ref, d.target, d.key, d.args,
              d.repeat, d.attempt, d.fence, d.created_at, m.now AS claimed_at, d.due_at
    """,
)

READY = Sql(
    "due.ready",
    f"""
    SELECT l.lane
    FROM unnest(:lanes::text[]) WITH ORDINALITY AS l(lane, rank)
    WHERE EXISTS (
        SELECT 1 FROM ({_HOPS}) AS o WHERE o.due_at <= (SELECT lb.now())
    ) OR (cardinality(:since::timestamptz[]) > 0 AND EXISTS (
        SELECT 1
        FROM generate_series(0, 63) AS s(shard), LATERAL (
            SELECT d.due_at FROM lb.due AS d
            WHERE d.lane = l.lane AND d.shard = s.shard::smallint
              AND d.due_at >= coalesce(
                      (:since::timestamptz[])[(l.rank - 1) * 64 + s.shard + 1], '-infinity')
              AND d.due_at <= (SELECT lb.now())
            LIMIT 1
        ) AS one
    ))
    """,
    across="A worker asks which lanes have work; it is told their names alone.",
)

HEARTBEAT = Sql(
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
        WHERE d.id = ANY (ARRAY(SELECT f.id FROM free AS f))
          AND d.environment = ANY (:environments::text[]) AND d.tenant = ANY (:tenants::text[])
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

HOLD = Sql(
    "due.hold",
    """
    SELECT d.id FROM lb.due AS d
    WHERE d.id = :id AND d.environment = :environment AND d.tenant = :tenant
      AND d.owner = :owner AND d.fence = :fence
    FOR UPDATE
    """,
)

SETTLE = Sql(
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
        SELECT i.*, own.woken, i.ends AND NOT own.woken AS goes
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
        WHERE d.id = ANY (ARRAY(SELECT o.id FROM held AS o WHERE o.goes))
          AND d.id = h.id AND d.environment = h.environment AND d.tenant = h.tenant AND h.goes
    ),
    kept AS (
        UPDATE lb.due AS d
        SET owner = NULL, woken = false, attempt = h.attempt, error = h.error,
            lane = coalesce(h.lane, d.lane),
            due_at = CASE WHEN h.woken THEN m.now ELSE coalesce(h.at, m.now + h.after) END
        FROM held AS h, moment AS m
        WHERE d.id = ANY (ARRAY(SELECT o.id FROM held AS o WHERE NOT o.goes))
          AND d.id = h.id AND d.environment = h.environment AND d.tenant = h.tenant AND NOT h.goes
    )
    SELECT h.id FROM held AS h
    """,
)

CANCEL = Sql(
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

DEPTH = Sql(
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
