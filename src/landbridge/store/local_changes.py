"""Rows of linked tables that changed, from the transaction of the change to the work it causes."""

from __future__ import annotations

from landbridge.store.database import Tx
from landbridge.store.sql import Sql

NOTE = Sql(
    "local_changes.note",
    """
    INSERT INTO lb.local_change (environment, tenant, name, local)
    VALUES (:environment, :tenant, :name, :local)
    """,
)
"""One statement for the caller's transaction, where no trigger does it."""

_TAKE = Sql(
    "local_changes.take",
    """
    WITH taken AS (
        DELETE FROM lb.local_change AS change
        WHERE change.id = ANY (ARRAY(
            SELECT other.id FROM lb.local_change AS other
            WHERE other.environment = :environment AND other.name = :name
            ORDER BY other.id LIMIT :most FOR UPDATE SKIP LOCKED))
        RETURNING change.tenant, change.local
    )
    SELECT DISTINCT tenant, local FROM taken ORDER BY tenant, local
    """,
    across="A link is for all tenants; each row names its own.",
)


async def take(tx: Tx, *, environment: str, name: str, most: int) -> list[tuple[str, str]]:
    """Tenant and local id of rows that changed, oldest first; they are `tx`'s to see to."""
    rows = await tx.fetch(_TAKE, environment=environment, name=name, most=most)
    return [(row[0], row[1]) for row in rows]
