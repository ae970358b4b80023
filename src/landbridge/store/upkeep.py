"""What keeps the database small and ahead of time: partitions, retention, expired keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from landbridge.store import arrivals, outbox
from landbridge.store.database import Database
from landbridge.store.sql import Sql

DAYS_AHEAD = 15
"""Days for which partitions exist in advance."""

_ENSURE = Sql(
    "upkeep.ensure_partitions",
    "SELECT lb.ensure_partitions(:days, :of_table)",
    across="Partitions are cut by day, for all tenants together.",
)

_DROP = Sql(
    "upkeep.drop_partitions",
    "SELECT lb.drop_partitions(:before, :of_table)",
    across="Retention drops whole days, for all tenants together.",
)

_PARTITIONED = Sql(
    "upkeep.partitioned",
    "SELECT p.parent FROM lb.partitioned() AS p",
    across="It reads names of tables and no row of a tenant.",
)

_STRAYS = Sql(
    "upkeep.stray_rows",
    "SELECT stray.parent, stray.strays FROM lb.stray_rows() AS stray WHERE stray.strays > 0",
    across="The alarm counts rows that fell into a default partition, whosever they are.",
)

_TODAY = Sql(
    "upkeep.today",
    "SELECT (lb.now() AT TIME ZONE 'UTC')::date",
    across="The database's day has no tenant.",
)


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """What one round did. `strays` are rows that a missing partition sent to the default one."""

    made: int
    dropped: int
    expired: int
    strays: dict[str, int]


async def keep_up(db: Database, *, retention_days: int) -> Upkeep:
    """One round: partitions made for the days ahead, old ones dropped, expired keys removed.

    Rows that fell into a default partition are moved into their day's as that day's is made. Each
    table is kept up in a transaction of its own: locks on two of them at once would meet the locks
    of a statement that reads both, each waiting for the other.
    """
    today: date = await db.value(_TODAY)
    before = date.fromordinal(today.toordinal() - retention_days)
    made = dropped = 0
    for row in await db.fetch(_PARTITIONED):
        made += await db.value(_ENSURE, days=DAYS_AHEAD, of_table=row["parent"])
        dropped += await db.value(_DROP, before=before, of_table=row["parent"])
    expired = await arrivals.expire(db) + await outbox.forget_keys(db, limit=100_000)
    return Upkeep(made=made, dropped=dropped, expired=expired, strays=await strays(db))


async def strays(db: Database) -> dict[str, int]:
    """How many rows lie in each default partition that has any."""
    return {row["parent"]: row["strays"] for row in await db.fetch(_STRAYS)}
