"""What erasing does to each table: statements that take a batch of rows away and count them.

Each gives one row, whose columns are the tables that it took from. A table with a tenant has its
place in `OF_TENANT`, or in `KEPT` with the reason; a test compares both with the database.

Rows are met by their place (ctid), or where the table is partitioned by their ids; both are looked
up through an index that begins with the tenant or the subject.
"""

from __future__ import annotations

from collections.abc import Mapping

from landbridge.store.erasing_subjects import OF_SUBJECT, inbox, linked
from landbridge.store.sql import Sql

KEPT: Mapping[str, str] = {
    "erasure": "It is the proof: who was erased, when, and how many rows; no person stands in it.",
}
"""Tables with a tenant that erasing leaves alone, and why."""


def _plain(table: str) -> Sql:
    return Sql(
        f"erasing.{table}",
        f"""
        WITH gone AS (
            DELETE FROM lb.{table} AS t
            WHERE t.environment = :environment AND t.tenant = :tenant
              AND t.ctid = ANY (ARRAY(
                  SELECT o.ctid FROM lb.{table} AS o
                  WHERE o.environment = :environment AND o.tenant = :tenant LIMIT :most))
            RETURNING 1
        )
        SELECT count(*) AS "{table}" FROM gone
        """,
    )


def _by_ids(table: str) -> Sql:
    return Sql(
        f"erasing.{table}",
        f"""
        WITH gone AS (
            DELETE FROM lb.{table} AS t
            WHERE t.environment = :environment AND t.tenant = :tenant
              AND t.id = ANY (ARRAY(
                  SELECT o.id FROM lb.{table} AS o
                  WHERE o.environment = :environment AND o.tenant = :tenant LIMIT :most))
            RETURNING 1
        )
        SELECT count(*) AS "{table}" FROM gone
        """,
    )


# The row that the erasure itself runs by stays.
_DUE = Sql(
    "erasing.due",
    """
    WITH gone AS (
        DELETE FROM lb.due AS d
        WHERE d.environment = :environment AND d.tenant = :tenant
          AND d.id = ANY (ARRAY(
              SELECT o.id FROM lb.due AS o
              WHERE o.lane = ANY (:lanes::text[])
                AND o.shard = lb.shard(:environment::text, :tenant::text)
                AND o.environment = :environment AND o.tenant = :tenant AND o.kind <> 'erase'
              LIMIT :most))
        RETURNING 1
    )
    SELECT count(*) AS due FROM gone
    """,
)

_EVENT = Sql(
    "erasing.event",
    """
    WITH picked AS MATERIALIZED (
        SELECT e.id FROM lb.event AS e
        WHERE e.environment = :environment AND e.tenant = :tenant
        ORDER BY e.number LIMIT :most
    ),
    attached AS (
        DELETE FROM lb.attachment AS t
        WHERE t.environment = :environment AND t.tenant = :tenant
          AND t.id = ANY (ARRAY(SELECT p.id FROM picked AS p))
        RETURNING 1
    ),
    gone AS (
        DELETE FROM lb.event AS e
        WHERE e.environment = :environment AND e.tenant = :tenant
          AND e.id = ANY (ARRAY(SELECT p.id FROM picked AS p))
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) AS event, (SELECT count(*) FROM attached) AS attachment
    """,
)


_LINK = linked(
    "erasing.link",
    """
    SELECT o.id FROM lb.link AS o
    WHERE o.environment = :environment AND o.tenant = :tenant LIMIT :most
    """,
)

_TENANTS_INBOX = inbox(
    "erasing.inbox_event",
    """
    SELECT i.id, i.app, i.arrival FROM lb.inbox_event AS i
    WHERE i.environment = :environment AND i.tenant = :tenant LIMIT :most
    """,
)
OF_TENANT: Mapping[str, Sql] = {
    "connect_session": _plain("connect_session"),
    "consent": _plain("consent"),
    **{
        table: _plain(table)
        for table in ("sync", "overlay", "endpoint", "replay", "line", "endpoint_health")
    },
    "due": _DUE,
    "linking": _plain("linking"),
    "local_change": _plain("local_change"),
    "link": _LINK,
    "emitted": _plain("emitted"),
    "emit_key": _plain("emit_key"),
    "event": _EVENT,
    "attempt": _by_ids("attempt"),
    "call": _by_ids("call"),
    "change": _by_ids("change"),
    **{
        table: _plain(table) for table in ("shadow", "shadow_call", "shadow_field", "shadow_sample")
    },
    **{table: _plain(table) for table in ("record", "seen", "run", "parked", "intent")},
    "inbox_line": _plain("inbox_line"),
    "inbox_event": _TENANTS_INBOX,
    **{
        table: _plain(table)
        for table in (
            "inbox_key",
            "reconciliation",
            "breaker",
            "refresh_intent",
            "drill_grant",
            "access_grant",
            "connection",
            "app",
            "tenant_key",
        )
    },
}
"""What is erased of a tenant, in this order: first what would make new work or new rows, then the
work, then the rest; its data key last."""

END_CONNECTIONS = Sql(
    "erasing.end_connections",
    """
    UPDATE lb.connection
    SET state = 'revoked', reason = 'its tenant is erased', secrets = NULL, updated_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND state <> 'revoked'
    """,
)

ADDRESSES = Sql(
    "erasing.addresses",
    """
    SELECT a.id AS app, true AS whole, '{}'::text[] AS connections FROM lb.app AS a
    WHERE a.environment = :environment AND a.tenant = :tenant
    UNION ALL
    SELECT c.app, false, array_agg(c.id) FROM lb.connection AS c
    WHERE c.environment = :environment AND c.tenant = :tenant
    GROUP BY c.app
    """,
)
"""Where webhooks for a tenant alone came in: its own apps, and its connections' addresses."""

ARRIVALS = Sql(
    "erasing.arrivals",
    """
    WITH page AS MATERIALIZED (
        SELECT a.id, a.connection FROM lb.arrival AS a
        WHERE a.environment = :environment AND a.app = :app AND a.id > :after
        ORDER BY a.id LIMIT :most
    ),
    picked AS MATERIALIZED (
        SELECT g.id FROM page AS g
        WHERE :whole::bool OR g.connection = ANY (:connections::text[])
    ),
    unparked AS (
        DELETE FROM lb.parked AS k USING picked AS p
        WHERE k.environment = :environment AND k.tenant = :nobody AND k.what = 'arrival'
          AND k.place = :app AND k.key = p.id
        RETURNING 1
    ),
    gone AS (
        DELETE FROM lb.arrival AS a
        WHERE a.environment = :environment AND a.id = ANY (ARRAY(SELECT p.id FROM picked AS p))
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) AS arrival, (SELECT count(*) FROM unparked) AS parked,
           (SELECT max(g.id) FROM page AS g) AS last
    """,
)


def _counted(name: str, table: str, whose: str) -> Sql:
    return Sql(
        name,
        f"""
        SELECT count(*) FROM (
            SELECT FROM lb.{table} AS t
            WHERE t.environment = :environment AND t.tenant = :tenant {whose}
            LIMIT :most) AS counted
        """,
    )


_COUNTED_DUE = Sql(
    "erasing.count_due",
    """
    SELECT count(*) FROM (
        SELECT FROM lb.due AS d
        WHERE d.lane = ANY (:lanes::text[])
          AND d.shard = lb.shard(:environment::text, :tenant::text)
          AND d.environment = :environment AND d.tenant = :tenant AND d.kind <> 'erase'
        LIMIT :most) AS counted
    """,
)

COUNT_TENANT: Mapping[str, Sql] = {
    table: _COUNTED_DUE if table == "due" else _counted(f"erasing.count_{table}", table, "")
    for table in OF_TENANT
}
"""How many rows a tenant has, by table; what goes along with a row of another is not counted."""

COUNT_SUBJECT: Mapping[str, Sql] = {
    table: _counted(f"erasing.count_subjects_{table}", table, "AND t.subject = :subject")
    for table in OF_SUBJECT
}
"""The same for a subject."""
