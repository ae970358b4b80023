"""What erasing one subject does to each table; see `store.erasing`.

Every table of `erasing.OF_TENANT` has its place in `OF_SUBJECT`, in what one of its statements
takes along, or in `WITHOUT` with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from landbridge.store.sql import Sql

NOBODY = ""
"""The tenant of what is parked before anybody knows whose it is."""

ERASED = "erased"
"""The `source` of a webhook whose bytes were erased."""

WITHOUT: Mapping[str, str] = {
    "access_grant": "A grant is the tenant's consent.",
    "app": "An app is the tenant's own client.",
    "breaker": "It is about a connection, and has codes of errors.",
    "connect_session": "It is about the tenant and ends by itself within two days.",
    "consent": "It is about the tenant and ends by itself within minutes.",
    "connection": "A connection is the tenant's account.",
    "drill_grant": "It says what became of a grant.",
    "endpoint": "An endpoint is the tenant's address.",
    "endpoint_health": "It is about an address.",
    "linking": "It says how far a link is with a connection.",
    "local_change": "It has ids of rows until they are looked at, which takes moments.",
    "inbox_key": "It has the vendor's ids of events and ends by itself within 30 days.",
    "reconciliation": "It has times and counts.",
    "refresh_intent": "It says who refreshes a grant, and since when.",
    "replay": "It has ids of events, which name nobody.",
    "shadow": "It says what is kept back, and until when.",
    "shadow_field": "It has counts of fields.",
    "overlay": "It has the names and places of fields that a tenant added, and no values.",
    "run": "It has times and counts.",
    "seen": "It has keys of a listing and goes with the next one.",
    "sync": "It has the cursor of a listing.",
    "tenant_key": "The key belongs to the whole tenant.",
}
"""Tables in which nothing is kept of a subject, and why."""


def linked(name: str, picked: str) -> Sql:
    """The statement that takes pairs of links and their conflicts; `picked` selects ids of at most
    `:most` pairs."""
    return Sql(
        name,
        f"""
        WITH picked AS MATERIALIZED (
            {picked}
        ),
        disputed AS (
            DELETE FROM lb.conflict AS c
            WHERE c.environment = :environment AND c.tenant = :tenant
              AND c.link = ANY (ARRAY(SELECT p.id FROM picked AS p))
            RETURNING 1
        ),
        gone AS (
            DELETE FROM lb.link AS l
            WHERE l.environment = :environment AND l.tenant = :tenant
              AND l.id = ANY (ARRAY(SELECT p.id FROM picked AS p))
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM gone) AS link, (SELECT count(*) FROM disputed) AS conflict
        """,
    )


def inbox(name: str, picked: str) -> Sql:
    """The statement that takes inbox events and the bytes of the webhooks that brought them.

    `picked` selects id, app and arrival of at most `:most` events.

    A raw webhook may have brought other tenants' events as well. Those are rows of their own by
    now, so its bytes go whoever else is in them; its row stays and says so in `source`.
    """
    return Sql(
        name,
        f"""
        WITH picked AS MATERIALIZED (
            {picked}
        ),
        blanked AS (
            UPDATE lb.arrival AS a SET headers = ''::bytea, body = ''::bytea, source = 'erased'
            WHERE a.environment = :environment AND a.source <> 'erased'
              AND a.id = ANY (ARRAY(SELECT p.arrival FROM picked AS p))
            RETURNING 1
        ),
        unparked AS (
            DELETE FROM lb.parked AS k USING picked AS p
            WHERE k.environment = :environment AND k.tenant = :nobody AND k.what = 'arrival'
              AND k.place = p.app AND k.key = p.arrival
            RETURNING 1
        ),
        unheard AS (
            DELETE FROM lb.inbox_line AS w
            WHERE w.environment = :environment AND w.tenant = :tenant
              AND w.event = ANY (ARRAY(SELECT p.id FROM picked AS p))
            RETURNING 1
        ),
        untold AS (
            DELETE FROM lb.parked AS k
            WHERE k.environment = :environment AND k.tenant = :tenant AND k.what = 'event'
              AND k.key = ANY (ARRAY(SELECT p.id FROM picked AS p))
            RETURNING 1
        ),
        gone AS (
            DELETE FROM lb.inbox_event AS i
            WHERE i.environment = :environment AND i.tenant = :tenant
              AND i.id = ANY (ARRAY(SELECT p.id FROM picked AS p))
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM gone) AS inbox_event,
               (SELECT count(*) FROM blanked) AS arrival,
               (SELECT count(*) FROM unheard) AS inbox_line,
               (SELECT count(*) FROM unparked) + (SELECT count(*) FROM untold) AS parked
        """,
    )


_SUBJECTS_EMITTED = Sql(
    "erasing.subjects_emitted",
    """
    WITH gone AS (
        DELETE FROM lb.emitted AS t
        WHERE t.environment = :environment AND t.tenant = :tenant AND t.subject = :subject
        RETURNING 1
    )
    SELECT count(*) AS emitted FROM gone
    """,
)

# The attempts of an event are found without an index of their own: the ids of its deliveries begin
# with the moment in its id.
_SUBJECTS_EVENTS = Sql(
    "erasing.subjects_events",
    """
    WITH picked AS MATERIALIZED (
        SELECT e.id FROM lb.event AS e
        WHERE e.environment = :environment AND e.tenant = :tenant AND e.subject = :subject
        LIMIT :most
    ),
    waiting AS (
        DELETE FROM lb.due AS d
        WHERE d.environment = :environment AND d.tenant = :tenant
          AND d.ref = ANY (ARRAY(SELECT p.id FROM picked AS p))
        RETURNING 1
    ),
    lined AS (
        DELETE FROM lb.line AS l
        WHERE l.environment = :environment AND l.tenant = :tenant
          AND l.event = ANY (ARRAY(SELECT p.id FROM picked AS p))
        RETURNING 1
    ),
    tried AS (
        DELETE FROM lb.attempt AS a
        WHERE a.environment = :environment AND a.tenant = :tenant
          AND a.event = ANY (ARRAY(SELECT p.id FROM picked AS p))
          AND a.delivery = ANY (ARRAY(
              SELECT t.delivery FROM picked AS p, LATERAL (
                  SELECT o.delivery FROM lb.attempt AS o
                  WHERE o.delivery >= 'dlv_' || substr(p.id, 5, 10)
                    AND o.delivery < 'dlv_' || substr(p.id, 5, 10) || 'g'
                    AND o.environment = :environment AND o.tenant = :tenant AND o.event = p.id
                  LIMIT 100000) AS t))
        RETURNING 1
    ),
    keyed AS (
        DELETE FROM lb.emit_key AS k
        WHERE k.environment = :environment AND k.tenant = :tenant
          AND k.event = ANY (ARRAY(SELECT p.id FROM picked AS p))
        RETURNING 1
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
    SELECT (SELECT count(*) FROM gone) AS event, (SELECT count(*) FROM attached) AS attachment,
           (SELECT count(*) FROM tried) AS attempt, (SELECT count(*) FROM waiting) AS due,
           (SELECT count(*) FROM lined) AS line, (SELECT count(*) FROM keyed) AS emit_key
    """,
)


def _by_subjects_ids(table: str) -> Sql:
    """The same for a partitioned table, whose rows are met by their ids."""
    return Sql(
        f"erasing.subjects_{table}s",
        f"""
        WITH gone AS (
            DELETE FROM lb.{table} AS t
            WHERE t.environment = :environment AND t.tenant = :tenant
              AND t.id = ANY (ARRAY(
                  SELECT o.id FROM lb.{table} AS o
                  WHERE o.environment = :environment AND o.tenant = :tenant
                    AND o.subject = :subject
                  LIMIT :most))
            RETURNING 1
        )
        SELECT count(*) AS {table} FROM gone
        """,
    )


# With a record goes what is kept of the same remote object under other names: earlier changes, what
# is parked of it, and what was pushed to it.
_SUBJECTS_RECORDS = Sql(
    "erasing.subjects_records",
    """
    WITH picked AS MATERIALIZED (
        SELECT r.connection, r.resource, r.key FROM lb.record AS r
        WHERE r.environment = :environment AND r.tenant = :tenant AND r.subject = :subject
        LIMIT :most
    ),
    changed AS (
        DELETE FROM lb.change AS c
        WHERE c.environment = :environment AND c.tenant = :tenant
          AND c.id = ANY (ARRAY(
              SELECT t.id FROM picked AS p, LATERAL (
                  SELECT o.id FROM lb.change AS o
                  WHERE o.environment = :environment AND o.tenant = :tenant
                    AND o.connection = p.connection AND o.resource = p.resource AND o.key = p.key
                  LIMIT 100000) AS t))
        RETURNING 1
    ),
    unparked AS (
        DELETE FROM lb.parked AS k USING picked AS p
        WHERE k.environment = :environment AND k.tenant = :tenant AND k.key = p.key
          AND ((k.place = p.connection AND k.resource = p.resource)
               OR k.resource = p.connection || '/' || p.resource)
        RETURNING 1
    ),
    pushed AS (
        DELETE FROM lb.intent AS i USING picked AS p
        WHERE i.environment = :environment AND i.tenant = :tenant
          AND i.connection = p.connection AND i.resource = p.resource AND i.key = p.key
        RETURNING i.id, i.connection, i.resource
    ),
    unheld AS (
        DELETE FROM lb.parked AS k USING pushed AS q
        WHERE k.environment = :environment AND k.tenant = :tenant AND k.what = 'push'
          AND k.place = q.connection AND k.resource = q.resource AND k.key = q.id
        RETURNING 1
    ),
    gone AS (
        DELETE FROM lb.record AS r USING picked AS p
        WHERE r.environment = :environment AND r.tenant = :tenant
          AND r.connection = p.connection AND r.resource = p.resource AND r.key = p.key
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) AS record, (SELECT count(*) FROM changed) AS change,
           (SELECT count(*) FROM unparked) + (SELECT count(*) FROM unheld) AS parked,
           (SELECT count(*) FROM pushed) AS intent
    """,
)

_SUBJECTS_INTENTS = Sql(
    "erasing.subjects_intents",
    """
    WITH picked AS MATERIALIZED (
        SELECT i.id FROM lb.intent AS i
        WHERE i.environment = :environment AND i.tenant = :tenant AND i.subject = :subject
        LIMIT :most
    ),
    waiting AS (
        DELETE FROM lb.due AS d
        WHERE d.environment = :environment AND d.tenant = :tenant
          AND d.ref = ANY (ARRAY(SELECT p.id FROM picked AS p))
        RETURNING 1
    ),
    gone AS (
        DELETE FROM lb.intent AS i
        WHERE i.environment = :environment AND i.tenant = :tenant
          AND i.id = ANY (ARRAY(SELECT p.id FROM picked AS p))
        RETURNING i.id, i.connection, i.resource
    ),
    unheld AS (
        DELETE FROM lb.parked AS k USING gone AS g
        WHERE k.environment = :environment AND k.tenant = :tenant AND k.what = 'push'
          AND k.place = g.connection AND k.resource = g.resource AND k.key = g.id
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) AS intent, (SELECT count(*) FROM waiting) AS due,
           (SELECT count(*) FROM unheld) AS parked
    """,
)


def _by_subject(table: str) -> Sql:
    return Sql(
        f"erasing.subjects_{table}s",
        f"""
        WITH gone AS (
            DELETE FROM lb.{table} AS t
            WHERE t.environment = :environment AND t.tenant = :tenant
              AND t.ctid = ANY (ARRAY(
                  SELECT o.ctid FROM lb.{table} AS o
                  WHERE o.environment = :environment AND o.tenant = :tenant
                    AND o.subject = :subject
                  LIMIT :most))
            RETURNING 1
        )
        SELECT count(*) AS {table} FROM gone
        """,
    )


# A webhook that only names a record says nothing of the person; the record does.
_SUBJECTS_INBOX = inbox(
    "erasing.subjects_inbox",
    """
    (SELECT i.id, i.app, i.arrival FROM lb.inbox_event AS i
     WHERE i.environment = :environment AND i.tenant = :tenant AND i.subject = :subject
     LIMIT :most)
    UNION
    (SELECT t.id, t.app, t.arrival FROM lb.record AS r, LATERAL (
         SELECT o.id, o.app, o.arrival FROM lb.inbox_event AS o
         WHERE o.environment = :environment AND o.tenant = :tenant
           AND o.connection = r.connection AND o.resource = r.resource AND o.key = r.key
           AND o.subject IS NULL AND o.outcome <> 'ignored'
         LIMIT 100000) AS t
     WHERE r.environment = :environment AND r.tenant = :tenant AND r.subject = :subject
     LIMIT :most)
    """,
)

_SUBJECTS_LINKS = linked(
    "erasing.subjects_links",
    """
    SELECT o.id FROM lb.link AS o
    WHERE o.environment = :environment AND o.tenant = :tenant AND o.subject = :subject LIMIT :most
    """,
)

OF_SUBJECT: Mapping[str, Sql] = {
    "emitted": _SUBJECTS_EMITTED,
    "event": _SUBJECTS_EVENTS,
    "intent": _SUBJECTS_INTENTS,
    "inbox_event": _SUBJECTS_INBOX,
    "link": _SUBJECTS_LINKS,
    "change": _by_subjects_ids("change"),
    "shadow_call": _by_subject("shadow_call"),
    "shadow_sample": _by_subject("shadow_sample"),
    "record": _SUBJECTS_RECORDS,
    "call": _by_subjects_ids("call"),
}
"""What is erased of a subject, in this order."""
