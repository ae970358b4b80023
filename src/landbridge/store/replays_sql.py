"""The statements of `store.replays`, which says what they are for."""

from __future__ import annotations

from landbridge.store.sql import Sql

TYPE_IN = """EXISTS (SELECT FROM unnest({types}) AS w(type)
                      WHERE w.type = '*' OR w.type = {type}
                         OR (right(w.type, 2) = '.*' AND starts_with({type}, left(w.type, -1))))"""

# The page is bounded by what is looked at, not by what matches, so that one statement stays short
# however rare the wanted events are. The ids' range leaves whole days out.
WANTED = f"""
    WITH page AS MATERIALIZED (
        SELECT e.id, e.number, e.type, e.ordering_key, e.payload,
               'dlv_' || substr(e.id, 5, 10)
                      || encode(substr(sha256(convert_to(e.id || :endpoint::text, 'UTF8')), 1, 8),
                                'hex') AS delivery
        FROM lb.event AS e
        WHERE e.environment = :environment AND e.tenant = :tenant
          AND e.number > :after::bigint AND e.number <= :until::bigint
          AND e.id >= :first AND e.id < :last
          AND (:events::text[] IS NULL OR e.id = ANY (:events::text[]))
        ORDER BY e.number LIMIT :look
    ),
    wanted AS MATERIALIZED (
        SELECT g.id, g.number, g.ordering_key, g.delivery
        FROM page AS g
        JOIN lb.endpoint AS p
          ON p.environment = :environment AND p.tenant = :tenant AND p.id = :endpoint
        WHERE {TYPE_IN.format(types=":types::text[]", type="g.type")}
          AND (:every::bool OR ({TYPE_IN.format(types="p.types", type="g.type")}
                                AND (p.filter IS NULL OR lb.passes(g.payload, p.filter))))
          AND (:which::text = 'all' OR (
              NOT EXISTS (SELECT FROM lb.due AS d
                          WHERE d.id = g.delivery AND d.environment = :environment
                            AND d.tenant = :tenant)
              AND NOT EXISTS (SELECT FROM lb.line AS l
                              WHERE l.environment = :environment AND l.tenant = :tenant
                                AND l.endpoint = :endpoint AND l.ordering_key = g.ordering_key
                                AND l.number = g.number)
              AND coalesce((SELECT a.outcome FROM lb.attempt AS a
                            WHERE a.delivery = g.delivery AND a.id >= :tried
                              AND a.environment = :environment AND a.tenant = :tenant
                            ORDER BY a.number DESC LIMIT 1), 'none')
                  = ANY (CASE :which WHEN 'failed' THEN '{{abandoned}}'::text[]
                                     WHEN 'missed' THEN '{{none}}'
                                     ELSE '{{abandoned,none}}' END)))
        ORDER BY g.number LIMIT :most
    )"""

COUNT = Sql(
    "replays.count",
    f"""{WANTED}
    SELECT (SELECT count(*) FROM page) AS looked, (SELECT count(*) FROM wanted) AS matched,
           (SELECT max(g.number) FROM page AS g) AS last
    """,
)

PUT = Sql(
    "replays.put",
    f"""{WANTED},
    put AS (
        INSERT INTO lb.due (environment, tenant, id, lane, kind, shard, due_at, ref, target, key)
        SELECT :environment, :tenant, w.delivery, 'replay', 'deliver',
               lb.shard(:environment, :tenant),
               :start::timestamptz + (row_number() OVER (ORDER BY w.number) - 1)
                                   * (interval '1 second' / :rate::float8),
               w.id, :endpoint, :replay::text || '/' || w.id
        FROM wanted AS w
        WHERE NOT EXISTS (
            SELECT FROM lb.line AS l
            WHERE l.environment = :environment AND l.tenant = :tenant AND l.endpoint = :endpoint
              AND l.ordering_key = w.ordering_key AND l.number = w.number)
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT (SELECT count(*) FROM page) AS looked, (SELECT count(*) FROM wanted) AS matched,
           CASE WHEN (SELECT count(*) FROM wanted) = :most
                THEN (SELECT max(w.number) FROM wanted AS w)
                ELSE (SELECT max(g.number) FROM page AS g) END AS last,
           ARRAY(SELECT p.id FROM put AS p) AS put
    """,
)

# A statement of its own, because it must see what was settled until the rows above were in: a
# delivery that ended while they were written has one attempt more than `wanted` saw.
NUMBER = Sql(
    "replays.number",
    """
    WITH told AS (
        SELECT i.id, t.number
        FROM unnest(:ids::text[]) AS i(id), LATERAL (
            SELECT a.number FROM lb.attempt AS a
            WHERE a.delivery = i.id AND a.id >= :tried
              AND a.environment = :environment AND a.tenant = :tenant
            ORDER BY a.number DESC LIMIT 1
        ) AS t
    )
    UPDATE lb.due AS d
    SET attempt = t.number, args = jsonb_build_object('begun', t.number)
    FROM told AS t
    WHERE d.id = t.id AND d.environment = :environment AND d.tenant = :tenant
    """,
)

LATEST = Sql(
    "replays.latest_event",
    """
    SELECT e.number FROM lb.event AS e
    WHERE e.environment = :environment AND e.tenant = :tenant
    ORDER BY e.number DESC LIMIT 1
    """,
)

ADD = Sql(
    "replays.add",
    """
    INSERT INTO lb.replay (environment, tenant, id, endpoint, selection, rate, until, total, exact)
    VALUES (:environment, :tenant, :id, :endpoint, :selection, :rate, :until, :total, :exact)
    """,
)

PLACE = Sql(
    "replays.place",
    """
    SELECT r.endpoint, r.selection, r.rate, r.cursor, r.until, r.paced_until, lb.now() AS now,
           (SELECT count(*) FROM (
                SELECT FROM lb.due AS d
                WHERE d.environment = :environment AND d.tenant = :tenant AND d.kind = 'deliver'
                  AND d.key >= :id::text || '/' AND d.key < :id::text || '0'
                LIMIT :most) AS w) AS waiting,
           (SELECT p.state = 'enabled' FROM lb.endpoint AS p
            WHERE p.environment = :environment AND p.tenant = :tenant AND p.id = r.endpoint)
               AS enabled,
           (SELECT p.reason FROM lb.endpoint AS p
            WHERE p.environment = :environment AND p.tenant = :tenant AND p.id = r.endpoint)
               AS why_disabled
    FROM lb.replay AS r
    WHERE r.environment = :environment AND r.tenant = :tenant AND r.id = :id
      AND r.state = 'running'
    FOR UPDATE OF r
    """,
)

MOVE = Sql(
    "replays.move",
    """
    UPDATE lb.replay SET cursor = :cursor, done = done + :done, paced_until = :paced_until
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

SET_STATE = Sql(
    "replays.set_state",
    """
    UPDATE lb.replay
    SET state = :state, reason = :reason,
        ended_at = CASE WHEN :state IN ('done', 'cancelled') THEN lb.now() END,
        begun_at = CASE WHEN :state = 'running' THEN lb.now() ELSE begun_at END,
        begun_done = CASE WHEN :state = 'running' THEN done ELSE begun_done END
    WHERE environment = :environment AND tenant = :tenant AND id = :id
      AND state = ANY (:states::text[])
    """,
)

# Only what was not tried since the replay put it: what was is a delivery like any other by now.
TAKE_BACK = Sql(
    "replays.take_back",
    """
    WITH held AS MATERIALIZED (
        SELECT d.id FROM lb.due AS d
        WHERE d.environment = :environment AND d.tenant = :tenant AND d.kind = 'deliver'
          AND d.key >= :id::text || '/' AND d.key < :id::text || '0'
          AND d.owner IS NULL AND d.lane = 'replay'
          AND d.attempt = coalesce((d.args->>'begun')::int, 0)
        ORDER BY d.key COLLATE "C"
        FOR UPDATE
    )
    DELETE FROM lb.due AS d USING held AS h
    WHERE d.id = h.id AND d.environment = :environment AND d.tenant = :tenant
    """,
)

_SHOWN = """
    SELECT r.environment, r.tenant, r.id, r.endpoint, r.selection, r.state, r.reason, r.rate,
           r.total, r.exact, r.done, r.created_at, r.ended_at,
           (SELECT count(*) FROM (
                SELECT FROM lb.due AS d
                WHERE d.environment = r.environment AND d.tenant = r.tenant
                  AND d.kind = 'deliver'
                  AND d.key >= r.id || '/' AND d.key < r.id || '0'
                LIMIT 10000) AS w) AS waiting,
           CASE WHEN r.state = 'running' AND lb.now() > r.begun_at
                THEN (r.done - r.begun_done) / extract(epoch FROM lb.now() - r.begun_at)
                ELSE 0 END::float8 AS speed
    FROM lb.replay AS r"""

BY_ID = Sql(
    "replays.by_id",
    f"{_SHOWN} WHERE r.environment = :environment AND r.id = :id",
    across="The operator's commands name a replay by its id alone, whichever tenant it has.",
)

LIST = Sql(
    "replays.list",
    f"""{_SHOWN}
    WHERE r.environment = :environment AND (:tenant::text IS NULL OR r.tenant = :tenant)
      AND (:endpoint::text IS NULL OR r.endpoint = :endpoint)
    ORDER BY r.id DESC LIMIT :most
    """,
    across="The operator's list shows every tenant of an environment unless one is named.",
)

FORGET = Sql(
    "replays.forget",
    """
    DELETE FROM lb.replay AS r
    WHERE (r.environment, r.tenant, r.id) IN (
        SELECT o.environment, o.tenant, o.id FROM lb.replay AS o
        WHERE o.ended_at < lb.now() - :keep::interval
        LIMIT :most)
    """,
    across="Replays that ended long ago are forgotten, whosever they are.",
)
