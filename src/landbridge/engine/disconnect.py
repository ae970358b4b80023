"""Pauses, resumes and ends connections."""

from __future__ import annotations

from dataclasses import dataclass

from landbridge.errors import InvalidInput
from landbridge.store import connections, workload
from landbridge.store.connections import Connection
from landbridge.store.database import Database

_ENDED = "the connection was disconnected before this was sent"


@dataclass(frozen=True, kw_only=True)
class Disconnected:
    """What went with a connection: reads that were waiting, and pushes that are refused now."""

    reads: int
    pushes: int


async def pause(db: Database, connection: Connection, reason: str = "paused by hand") -> None:
    """Stops pulls and pushes until `resume`; webhooks are still taken in. Twice is once.

    InvalidInput when the connection is revoked.
    """
    _check_alive(connection, "pause")
    if connection.state != "needs_reauth":
        await connections.set_state(db, connection, "paused", reason)


async def resume(db: Database, connection: Connection) -> None:
    """Goes on where `pause` stopped; what waited is due at once. Twice is once.

    InvalidInput when the connection is revoked or has to be connected again.
    """
    _check_alive(connection, "resume")
    if connection.state == "needs_reauth":
        raise InvalidInput(
            f"{connection.id} is not paused: {connection.reason or 'its credentials are refused'};"
            f" connect it again with: landbridge connect {connection.provider}"
            f" --tenant {connection.tenant}"
        )
    async with db.transaction() as tx:
        await connections.set_state(tx, connection, "active", "")
        await workload.bring_forward(tx, connection)
    await db.notify()


async def disconnect(db: Database, connection: Connection) -> Disconnected:
    """Ends a connection: its credentials are forgotten, what waits for it is cancelled.

    Its records, changes and inbox stay. Nothing is told to the provider: a key stays valid there
    until the customer takes it back. Connecting the same account again revives the connection.
    Twice is once.
    """
    async with db.transaction() as tx:
        await connections.set_state(tx, connection, "revoked", "disconnected by hand")
        await connections.drop_grant(
            tx,
            environment=connection.environment,
            tenant=connection.tenant,
            id=connection.access_grant,
        )
        reads = await workload.cancel_reads(tx, connection)
        pushes = await workload.refuse_pushes(tx, connection, _ENDED)
    return Disconnected(reads=reads, pushes=pushes)


def _check_alive(connection: Connection, verb: str) -> None:
    if connection.state == "revoked":
        raise InvalidInput(
            f"{connection.id} is disconnected, there is nothing to {verb}; connect it again with:"
            f" landbridge connect {connection.provider} --tenant {connection.tenant}"
        )
