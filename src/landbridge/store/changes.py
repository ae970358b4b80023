"""The feed of changes, read by the number that each got after its commit, and its consumers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One change in the feed. `before` is None for a new record, `after` for a deleted one."""

    number: int
    environment: str
    tenant: str
    id: str
    connection: str
    resource: str
    key: str
    kind: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    created_at: datetime


_COLUMNS = """change_order.number, change.environment, change.tenant, change.id, change.connection,
    change.resource, change.key, change.kind, change.before, change.after, change.created_at"""

_READ = Sql(
    "changes.read",
    f"""
    SELECT {_COLUMNS}
    FROM (SELECT number, change FROM lb.change_order
          WHERE environment = :environment AND number > :after
          ORDER BY number LIMIT :most) AS change_order
    JOIN lb.change AS change ON change.id = change_order.change
    ORDER BY change_order.number
    """,
    across="A feed of the SaaS itself runs over all of its tenants; each entry names its own.",
)

_OF_KEY = Sql(
    "changes.of_key",
    f"""
    SELECT {_COLUMNS}
    FROM lb.change AS change
    JOIN lb.change_order AS change_order
      ON change_order.change = change.id AND change_order.environment = change.environment
    WHERE change.environment = :environment AND change.tenant = :tenant
      AND change.connection = :connection AND change.resource = :resource AND change.key = :key
      AND change_order.number >= :since AND change_order.number <= :until
    ORDER BY change_order.number
    """,
)

_JOIN = Sql(
    "consumers.join",
    """
    INSERT INTO lb.consumer (environment, name, number)
    VALUES (:environment, :name, :number)
    ON CONFLICT DO NOTHING
    """,
)

_LOCK = Sql(
    "consumers.lock",
    """
    SELECT number FROM lb.consumer WHERE environment = :environment AND name = :name
    FOR UPDATE SKIP LOCKED
    """,
)

_LOCK_WAIT = Sql(
    "consumers.lock_wait",
    """
    SELECT number FROM lb.consumer WHERE environment = :environment AND name = :name FOR UPDATE
    """,
)

_ADVANCE = Sql(
    "consumers.advance",
    """
    UPDATE lb.consumer SET number = :number, updated_at = lb.now()
    WHERE environment = :environment AND name = :name
    """,
)

_LAST = Sql(
    "changes.last",
    "SELECT coalesce(max(number), 0) FROM lb.change_order WHERE environment = :environment",
)

_ENVIRONMENTS = Sql(
    "apps.environments",
    "SELECT DISTINCT environment FROM lb.app ORDER BY 1",
    across="A worker serves every environment of the installation.",
)


async def read(db: Database | Tx, *, environment: str, after: int, most: int) -> list[Entry]:
    """Up to `most` entries behind number `after`, in order; none when the feed is read up."""
    rows = await db.fetch(_READ, environment=environment, after=after, most=most)
    return [_entry(row) for row in rows]


async def of_key(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    connection: str,
    resource: str,
    key: str,
    since: int,
    until: int,
) -> list[Entry]:
    """The entries of one record from number `since` to `until`, in order."""
    rows = await tx.fetch(
        _OF_KEY,
        environment=environment,
        tenant=tenant,
        connection=connection,
        resource=resource,
        key=key,
        since=since,
        until=until,
    )
    return [_entry(row) for row in rows]


async def last(db: Database | Tx, *, environment: str) -> int:
    """The highest number given so far; 0 for an empty feed."""
    number: int = await db.value(_LAST, environment=environment)
    return number


async def join(db: Database, *, environment: str, name: str, number: int = 0) -> None:
    """Registers a consumer that begins behind `number`; one that exists keeps its place."""
    await db.run(_JOIN, environment=environment, name=name, number=number)


async def lock(tx: Tx, *, environment: str, name: str, wait: bool = False) -> int | None:
    """The consumer's place, locked for this transaction; None while another process has it."""
    number: int | None = await tx.value(
        _LOCK_WAIT if wait else _LOCK, environment=environment, name=name
    )
    return number


async def advance(tx: Tx, *, environment: str, name: str, number: int) -> None:
    """Moves the consumer's place, in the transaction that holds its work."""
    await tx.run(_ADVANCE, environment=environment, name=name, number=number)


async def environments(db: Database) -> Sequence[str]:
    """The environments that have an app."""
    return [row["environment"] for row in await db.fetch(_ENVIRONMENTS)]


def _entry(row: Row) -> Entry:
    values = dict(row)
    for side in ("before", "after"):
        if values[side] is not None:
            values[side] = msgspec.json.decode(values[side])
    return Entry(**values)
