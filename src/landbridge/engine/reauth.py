"""Says that connections have to be made again, once for each, with the event that tells it."""

from __future__ import annotations

from landbridge.engine import notices
from landbridge.store import connections
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx


async def need_reauth(
    tx: Tx, *, environment: str, tenant: str, grant: str, reason: str, message: str
) -> list[Connection]:
    """Sets the connections of a dead grant to `needs_reauth` and emits that of each.

    `reason` is a word (refused, ambiguous, revoked, expired) for the event, `message` the sentence
    that `landbridge connections list` shows. Those that are so already, or ended, stay as they are
    and are not told of again.
    """
    changed = await connections.need_reauth(
        tx, environment=environment, tenant=tenant, access_grant=grant, reason=message
    )
    for connection in changed:
        await notices.needs_reauth(tx, connection, reason)
    return changed


async def refused(db: Database, connection: Connection, message: str, reason: str) -> None:
    """The same for the grant of a connection whose credentials were not accepted in a call."""
    async with db.transaction() as tx:
        await need_reauth(
            tx,
            environment=connection.environment,
            tenant=connection.tenant,
            grant=connection.access_grant,
            reason=reason,
            message=message,
        )
