"""How full things are: what waits, what is open, disabled or parked, as numbers alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql

_COUNTED = 10_000

_READ = Sql(
    "levels.read",
    """
    SELECT 'outbox' AS what, '' AS part, count(*) AS n, (SELECT lb.now()) AS at
    FROM (SELECT FROM lb.emitted LIMIT :cap) AS e
    UNION ALL
    SELECT 'line', '', count(*), NULL
    FROM (SELECT FROM lb.line LIMIT :cap) AS l
    UNION ALL
    SELECT 'breaker', h.environment, count(*), NULL
    FROM (SELECT o.environment FROM lb.endpoint_health AS o
          WHERE o.open_until > (SELECT lb.now()) LIMIT :cap) AS h
    GROUP BY h.environment
    UNION ALL
    SELECT 'disabled', p.environment, count(*), NULL
    FROM (SELECT o.environment FROM lb.endpoint AS o WHERE o.state = 'disabled' LIMIT :cap) AS p
    GROUP BY p.environment
    UNION ALL
    SELECT 'parked', k.what, count(*), NULL
    FROM (SELECT o.what FROM lb.parked AS o LIMIT :cap) AS k
    GROUP BY k.what
    """,
    across="The operator's view counts what waits and shows no tenant's content.",
)


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Counts `at` a moment of the database, each up to 10,000. `breakers` and `disabled` are
    endpoints by environment, `parked` is by what was parked; what there is none of is missing."""

    at: datetime
    outbox: int
    lines: int
    breakers: dict[str, int]
    disabled: dict[str, int]
    parked: dict[str, int]


async def read(db: Database | Tx) -> Levels:
    """The levels now, by one statement whose work is bounded."""
    found: dict[str, dict[str, int]] = {}
    rows = await db.fetch(_READ, cap=_COUNTED)
    for what, part, count, _ in rows:
        found.setdefault(what, {})[part] = count
    return Levels(
        at=next(row["at"] for row in rows if row["at"] is not None),
        outbox=found["outbox"][""],
        lines=found["line"][""],
        breakers=found.get("breaker", {}),
        disabled=found.get("disabled", {}),
        parked=found.get("parked", {}),
    )
