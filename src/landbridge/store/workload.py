"""The work that waits for one connection: brought forward, or cancelled for good."""

from __future__ import annotations

from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql

_BRING_FORWARD = Sql(
    "workload.bring_forward",
    """
    WITH held AS MATERIALIZED (
        SELECT d.id FROM lb.due AS d
        WHERE d.environment = :environment AND d.tenant = :tenant AND d.kind IN ('pull', 'fetch')
          AND d.key >= :connection::text || '/' AND d.key < :connection::text || '0'
          AND d.owner IS NULL
        ORDER BY d.environment COLLATE "C", d.tenant COLLATE "C", d.kind COLLATE "C",
                 d.key COLLATE "C"
        FOR UPDATE
    )
    UPDATE lb.due AS d SET due_at = least(d.due_at, lb.now())
    FROM held AS h
    WHERE d.id = h.id AND d.environment = :environment AND d.tenant = :tenant
    """,
)

_CANCEL_READS = Sql(
    "workload.cancel_reads",
    """
    WITH held AS MATERIALIZED (
        SELECT d.id FROM lb.due AS d
        WHERE d.environment = :environment AND d.tenant = :tenant
          AND d.kind IN ('pull', 'fetch', 'backfill', 'sweep')
          AND d.key >= :connection::text || '/' AND d.key < :connection::text || '0'
        ORDER BY d.environment COLLATE "C", d.tenant COLLATE "C", d.kind COLLATE "C",
                 d.key COLLATE "C"
        FOR UPDATE
    )
    DELETE FROM lb.due AS d USING held AS h
    WHERE d.id = h.id AND d.environment = :environment AND d.tenant = :tenant
    """,
)

_REFUSE_PUSHES = Sql(
    "workload.refuse_pushes",
    """
    WITH ended AS (
        UPDATE lb.intent AS i SET state = 'refused', reason = :reason, settled_at = lb.now()
        WHERE i.environment = :environment AND i.tenant = :tenant
          AND i.connection = :connection AND i.state = 'waiting'
        RETURNING i.id
    ), gone AS (
        DELETE FROM lb.due AS d USING ended AS e
        WHERE d.ref = e.id AND d.environment = :environment AND d.tenant = :tenant
    ), unheld AS (
        DELETE FROM lb.parked AS k USING ended AS e
        WHERE k.environment = :environment AND k.tenant = :tenant AND k.what = 'push'
          AND k.place = :connection AND k.key = e.id
    )
    SELECT count(*) FROM ended
    """,
)


async def bring_forward(db: Database | Tx, connection: Connection) -> int:
    """Makes the connection's waiting pulls due now; how many there are."""
    return await db.run(_BRING_FORWARD, **_of(connection))


async def cancel_reads(tx: Tx, connection: Connection) -> int:
    """Removes the connection's pulls and fetches, leased ones too; how many there were.

    Whoever holds one finds its next write refused.
    """
    return await tx.run(_CANCEL_READS, **_of(connection))


async def refuse_pushes(tx: Tx, connection: Connection, reason: str) -> int:
    """Ends the connection's waiting pushes as refused, with this reason; how many there were."""
    count: int = await tx.value(_REFUSE_PUSHES, **_of(connection), reason=reason)
    return count


def _of(connection: Connection) -> dict[str, str]:
    return {
        "environment": connection.environment,
        "tenant": connection.tenant,
        "connection": connection.id,
    }
