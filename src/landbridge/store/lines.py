"""Lines: deliveries to ordered endpoints that wait until the one before them is through.

There is a line for each endpoint and ordering key. Its first delivery is a due row whose key names
the line, which the index `due_key` allows once; the others wait in `lb.line`, in the order of
their events' numbers. When the first was delivered, abandoned, or stepped aside, its row or the
row's key is gone, and `promote` makes the next one due. It may be called by anyone at any time, for
any lines: what has a due row, or nobody waiting, is left alone.

Whoever moves events or settles deliveries promotes their lines at once. What a crash kept from it
is found by `tour`, which looks at all lines in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from landbridge.store.database import Database, Tx
from landbridge.store.health import Key
from landbridge.store.sql import Sql


class Line(NamedTuple):
    """The deliveries to one endpoint under one ordering key."""

    environment: str
    tenant: str
    endpoint: str
    ordering_key: str


class Toured(msgspec.Struct, frozen=True, kw_only=True):
    """What a part of a tour found: lines with nothing due, and endpoints that need no lines.

    `last` is where the next part goes on, None if this was the last.
    """

    idle: Sequence[Line]
    loose: Sequence[Key]
    last: Line | None


_DUE = """INSERT INTO lb.due (environment, tenant, id, lane, kind, shard, due_at,
                            ref, target, key, args)
        SELECT n.environment, n.tenant, n.delivery,
               CASE WHEN e.slow THEN 'slow' ELSE 'deliver' END, 'deliver',
               lb.shard(n.environment, n.tenant), (SELECT lb.now()), n.event, n.endpoint"""

_ENDPOINT = """LEFT JOIN LATERAL (
            SELECT p.slow FROM lb.endpoint AS p
            WHERE p.environment = n.environment AND p.tenant = n.tenant AND p.id = n.endpoint
            LIMIT 1
        ) AS e ON true"""

# Two that promote the same line meet at its first entry: the second waits there, goes on to the
# next entry, and then finds the line's key taken. Skipping what is locked instead would let the
# next entry pass, should the first one's promotion be undone.
_PROMOTE = Sql(
    "lines.promote",
    f"""
    WITH idle AS MATERIALIZED (
        SELECT w.environment, w.tenant, w.endpoint, w.ordering_key, w.place
        FROM unnest(:environments::text[], :tenants::text[], :endpoints::text[], :keys::text[])
                 WITH ORDINALITY AS w(environment, tenant, endpoint, ordering_key, place)
        LEFT JOIN LATERAL (
            SELECT d.id FROM lb.due AS d
            WHERE d.environment = w.environment AND d.tenant = w.tenant AND d.kind = 'deliver'
              AND d.key = 'line/' || w.endpoint || '/' || w.ordering_key
            LIMIT 1
        ) AS d ON true
        WHERE d.id IS NULL
        ORDER BY w.place
    ),
    first AS MATERIALIZED (
        SELECT l.* FROM idle AS w, LATERAL (
            SELECT o.environment, o.tenant, o.endpoint, o.ordering_key, o.number, o.event,
                   o.delivery
            FROM lb.line AS o
            WHERE o.environment = w.environment AND o.tenant = w.tenant
              AND o.endpoint = w.endpoint AND o.ordering_key = w.ordering_key
            ORDER BY o.number
            LIMIT 1
            FOR UPDATE
        ) AS l
    ),
    promoted AS (
        {_DUE}, 'line/' || n.endpoint || '/' || n.ordering_key,
               jsonb_build_object('line', n.ordering_key)
        FROM first AS n
        {_ENDPOINT}
        ORDER BY n.environment COLLATE "C", n.tenant COLLATE "C",
                 n.endpoint, n.ordering_key
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    DELETE FROM lb.line AS l
    USING first AS n
    WHERE l.environment = n.environment AND l.tenant = n.tenant AND l.endpoint = n.endpoint
      AND l.ordering_key = n.ordering_key AND l.number = n.number
      AND n.delivery IN (SELECT p.id FROM promoted AS p)
    """,
)

_RELEASE = Sql(
    "lines.release",
    f"""
    WITH freed AS MATERIALIZED (
        SELECT o.environment, o.tenant, o.endpoint, o.ordering_key, o.number, o.event, o.delivery
        FROM lb.line AS o
        WHERE o.environment = :environment AND o.tenant = :tenant AND o.endpoint = :endpoint
          AND NOT EXISTS (SELECT FROM lb.endpoint AS p
                          WHERE p.environment = :environment AND p.tenant = :tenant
                            AND p.id = :endpoint AND p.ordered AND p.state = 'enabled')
        ORDER BY o.ordering_key, o.number
        LIMIT :most
        FOR UPDATE
    ),
    released AS (
        {_DUE}, NULL, NULL
        FROM freed AS n
        {_ENDPOINT}
        ON CONFLICT DO NOTHING
    )
    DELETE FROM lb.line AS l
    USING freed AS n
    WHERE l.environment = :environment AND l.tenant = :tenant AND l.endpoint = :endpoint
      AND l.ordering_key = n.ordering_key AND l.number = n.number
    """,
)

# An index-only read of so many entries. The next one begins behind the last line that it met, so
# that a long line is not read to its end.
_TOUR = Sql(
    "lines.tour",
    """
    WITH entry AS MATERIALIZED (
        SELECT o.environment, o.tenant, o.endpoint, o.ordering_key FROM lb.line AS o
        WHERE (o.environment, o.tenant, o.endpoint, o.ordering_key)
              > (:environment::text, :tenant::text, :endpoint::text, :ordering_key::text)
        ORDER BY o.environment, o.tenant, o.endpoint, o.ordering_key, o.number
        LIMIT :limit
    )
    SELECT l.environment, l.tenant, l.endpoint, l.ordering_key, l.entries, d.id IS NULL AS idle,
           p.id IS NULL AS loose
    FROM (
        SELECT e.environment, e.tenant, e.endpoint, e.ordering_key, count(*) AS entries
        FROM entry AS e
        GROUP BY e.environment, e.tenant, e.endpoint, e.ordering_key
    ) AS l
    LEFT JOIN LATERAL (
        SELECT o.id FROM lb.due AS o
        WHERE o.environment = l.environment AND o.tenant = l.tenant AND o.kind = 'deliver'
          AND o.key = 'line/' || l.endpoint || '/' || l.ordering_key
        LIMIT 1
    ) AS d ON true
    LEFT JOIN LATERAL (
        SELECT o.id FROM lb.endpoint AS o
        WHERE o.environment = l.environment AND o.tenant = l.tenant AND o.id = l.endpoint
          AND o.ordered AND o.state = 'enabled'
        LIMIT 1
    ) AS p ON true
    ORDER BY l.environment, l.tenant, l.endpoint, l.ordering_key
    """,
    across="The dispatcher looks after every tenant's lines, and promotes each in its own tenant.",
)

_LENGTH = Sql(
    "lines.length",
    """
    SELECT count(*) FROM (
        SELECT FROM lb.line AS l
        WHERE l.environment = :environment AND l.tenant = :tenant AND l.endpoint = :endpoint
        LIMIT :most
    ) AS w
    """,
)


async def promote(db: Database | Tx, lines: Iterable[Line]) -> int:
    """In how many of the lines a delivery became due: where none was, and one waited.

    Call it after what moved or settled deliveries of these lines has committed, not in the same
    transaction; then wake the workers (`Database.notify`) if it is not 0.
    """
    words = sorted(set(lines))
    if not words:
        return 0
    return await db.run(
        _PROMOTE,
        environments=[each.environment for each in words],
        tenants=[each.tenant for each in words],
        endpoints=[each.endpoint for each in words],
        keys=[each.ordering_key for each in words],
    )


async def release(
    db: Database | Tx, *, environment: str, tenant: str, endpoint: str, limit: int = 1000
) -> int:
    """How many waiting deliveries became due at once, in no order, `limit` at most.

    Only those of an endpoint that is no longer ordered, or disabled or deleted; of the latter two
    a worker abandons them, with the reason. 0 for an ordered endpoint that is enabled.
    """
    return await db.run(
        _RELEASE, environment=environment, tenant=tenant, endpoint=endpoint, most=limit
    )


async def tour(db: Database | Tx, *, after: Line | None, limit: int) -> Toured:
    """The next lines in which somebody waits, `limit` entries at most, by what has to be done."""
    rows = await db.fetch(_TOUR, **(after or Line("", "", "", ""))._asdict(), limit=limit)
    lines = [Line(*row[:4]) for row in rows]
    return Toured(
        idle=[line for line, row in zip(lines, rows, strict=True) if row["idle"]],
        loose=sorted({Key(*row[:3]) for row in rows if row["loose"]}),
        last=lines[-1] if sum(row["entries"] for row in rows) == limit else None,
    )


async def length(
    db: Database | Tx, *, environment: str, tenant: str, endpoint: str, most: int = 10_000
) -> int:
    """How many deliveries wait in the endpoint's lines; counted up to `most`."""
    count: int = await db.value(
        _LENGTH, environment=environment, tenant=tenant, endpoint=endpoint, most=most
    )
    return count
