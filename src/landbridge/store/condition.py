"""What condition the database is in: its version, its clock, its partitions, samples of secrets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from landbridge.store.database import Database
from landbridge.store.sql import Sql

OLDEST_VERSION = 15
"""The oldest Postgres that Landbridge works with."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """The server behind a pool. `version` is its major one, `clock` its own, not moved."""

    version: int
    full_version: str
    database: str
    role: str
    clock: datetime
    offset: str


_SERVER = Sql(
    "condition.server",
    """
    SELECT current_setting('server_version_num')::int / 10000 AS version,
        split_part(current_setting('server_version'), ' ', 1) AS full_version,
        current_database()::text AS database, current_user::text AS role,
        clock_timestamp() AS clock,
        coalesce(current_setting('landbridge.clock_offset', true), '') AS offset
    """,
    across="It reads settings of the server and no row of a tenant.",
)

_LAST_DAYS = Sql(
    "condition.last_days",
    """
    SELECT p.parent, max(to_date(right(c.relname, 8), 'YYYYMMDD')) AS last_day
    FROM lb.partitioned() AS p
    LEFT JOIN pg_inherits AS i ON i.inhparent = to_regclass(:schema::text || '.' || p.parent)
    LEFT JOIN pg_class AS c ON c.oid = i.inhrelid AND c.relname ~ '_[0-9]{8}$'
    GROUP BY p.parent ORDER BY p.parent
    """,
    across="It reads the names of partitions and no row of a tenant.",
)

_SEALED = Sql(
    "condition.sealed",
    """
    SELECT c.environment, c.tenant, c.id FROM lb.connection AS c
    JOIN lb.access_grant AS g
      ON g.environment = c.environment AND g.tenant = c.tenant AND g.id = c.access_grant
    WHERE coalesce(g.secret, g.access) IS NOT NULL AND c.environment = :environment
    ORDER BY g.id DESC LIMIT :most
    """,
    across="The check of the key opens samples of any tenant and shows none of them.",
)


async def server(db: Database) -> Server:
    """Facts about the server."""
    row = await db.row(_SERVER)
    assert row is not None
    return Server(**dict(row))


async def last_days(db: Database) -> dict[str, date | None]:
    """The last day that each partitioned table has a partition for; None: it has none."""
    rows = await db.fetch(_LAST_DAYS, schema=db.schema)
    return {row["parent"]: row["last_day"] for row in rows}


async def sealed(db: Database, *, environment: str, most: int) -> list[tuple[str, str]]:
    """(tenant, connection id) of the newest connections that have sealed credentials."""
    rows = await db.fetch(_SEALED, environment=environment, most=most)
    return [(row["tenant"], row["id"]) for row in rows]
