"""How far a connection's webhooks were compared with what the provider lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """Compared up to `through`; while `checked_at` is None nothing was compared yet, and `through`
    is when the secret was set. `cursor` is set while a comparison is under way; `checked` and
    `repaired` count events since the beginning."""

    through: datetime
    cursor: dict[str, Any] | None
    checked_at: datetime | None
    checked: int
    repaired: int


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A connection whose webhooks are expected to come."""

    environment: str
    tenant: str
    id: str
    provider: str


_ONE = Sql(
    "reconciliations.one",
    """
    SELECT through, cursor, checked_at, checked, repaired FROM lb.reconciliation
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
    """,
)

_BEGIN = Sql(
    "reconciliations.begin",
    """
    INSERT INTO lb.reconciliation (environment, tenant, connection, through)
    VALUES (:environment, :tenant, :connection, lb.now())
    ON CONFLICT (environment, tenant, connection) DO NOTHING
    """,
)

_BEGIN_APP = Sql(
    "reconciliations.begin_app",
    """
    INSERT INTO lb.reconciliation (environment, tenant, connection, through)
    SELECT c.environment, c.tenant, c.id, lb.now() FROM lb.connection AS c
    WHERE c.environment = :environment AND c.app = :app
    ON CONFLICT (environment, tenant, connection) DO NOTHING
    """,
    across="An app's secret is for all its connections, whosever they are.",
)

_MOVE = Sql(
    "reconciliations.move",
    """
    INSERT INTO lb.reconciliation AS r (environment, tenant, connection, through, cursor,
        checked_at, checked, repaired)
    VALUES (:environment, :tenant, :connection, :through, :document, lb.now(), :checked,
        :repaired)
    ON CONFLICT (environment, tenant, connection) DO UPDATE
    SET through = greatest(r.through, excluded.through), cursor = excluded.cursor,
        checked_at = excluded.checked_at, checked = r.checked + excluded.checked,
        repaired = r.repaired + excluded.repaired
    """,
)

_COUNT = Sql(
    "reconciliations.count",
    """
    UPDATE lb.reconciliation AS r
    SET checked = r.checked + :checked, repaired = r.repaired + :repaired
    WHERE r.environment = :environment AND r.tenant = :tenant AND r.connection = :connection
    """,
)

_UNKNOWN = Sql(
    "reconciliations.unknown",
    """
    SELECT listed.key
    FROM unnest(:keys::text[]) AS listed (key)
    LEFT JOIN LATERAL (
        SELECT held.key FROM lb.inbox_key AS held
        WHERE held.environment = :environment AND held.tenant = :tenant AND held.app = :app
          AND held.key = listed.key
        LIMIT 1
    ) AS known ON true
    WHERE known.key IS NULL
    """,
)

_EXPECTED = Sql(
    "reconciliations.expected",
    """
    SELECT c.environment, c.tenant, c.id, c.provider
    FROM lb.connection AS c
    CROSS JOIN LATERAL (
        SELECT a.secrets FROM lb.app AS a
        WHERE a.environment = c.environment AND a.id = c.app LIMIT 1
    ) AS app
    WHERE c.id > :after AND c.state = 'active'
      AND (c.secrets IS NOT NULL OR app.secrets IS NOT NULL)
    ORDER BY c.id LIMIT :most
    """,
    across="The schedule goes through every tenant's connections and gives each its own work.",
)


async def one(db: Database, connection: Connection) -> Reconciliation | None:
    """How far this connection was compared; None: never."""
    row = await db.row(
        _ONE,
        environment=connection.environment,
        tenant=connection.tenant,
        connection=connection.id,
    )
    if row is None:
        return None
    values = dict(row)
    if values["cursor"] is not None:
        values["cursor"] = msgspec.json.decode(values["cursor"])
    return Reconciliation(**values)


async def begin(tx: Tx | Database, connection: Connection) -> None:
    """Notes that webhooks of this connection are expected from now on; a place there is stays."""
    await tx.run(
        _BEGIN,
        environment=connection.environment,
        tenant=connection.tenant,
        connection=connection.id,
    )


async def begin_app(tx: Tx | Database, *, environment: str, app: str) -> None:
    """The same for every connection of an app."""
    await tx.run(_BEGIN_APP, environment=environment, app=app)


async def move(
    tx: Tx | Database,
    connection: Connection,
    *,
    through: datetime,
    cursor: dict[str, Any] | None,
    checked: int = 0,
    repaired: int = 0,
) -> None:
    """Keeps how far it is now, and adds to the counts. `through` never goes back."""
    await tx.run(
        _MOVE,
        environment=connection.environment,
        tenant=connection.tenant,
        connection=connection.id,
        through=through,
        document=None if cursor is None else msgspec.json.encode(cursor).decode(),
        checked=checked,
        repaired=repaired,
    )


async def count(tx: Tx | Database, connection: Connection, *, checked: int, repaired: int) -> None:
    """Adds to the counts of a connection that was compared before, and leaves its place."""
    await tx.run(
        _COUNT,
        environment=connection.environment,
        tenant=connection.tenant,
        connection=connection.id,
        checked=checked,
        repaired=repaired,
    )


async def unknown(db: Database, connection: Connection, keys: Sequence[str]) -> set[str]:
    """Those of the admission keys under which nothing was admitted."""
    rows = await db.fetch(
        _UNKNOWN,
        environment=connection.environment,
        tenant=connection.tenant,
        app=connection.app,
        keys=list(keys),
    )
    return {row["key"] for row in rows}


async def expected(db: Database, *, after: str = "", most: int = 500) -> list[Expected]:
    """Active connections with a webhook secret, of their own or their app's, in the order of ids,
    from just behind `after`."""
    rows = await db.fetch(_EXPECTED, after=after, most=most)
    return [Expected(**dict(row)) for row in rows]
