"""Pauses, resumes and ends connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from landbridge.engine import notices
from landbridge.engine.withdraw import Withdrawn
from landbridge.errors import InvalidInput
from landbridge.store import connections, workload
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx

_ENDED = "the connection was disconnected before this was sent"


@dataclass(frozen=True, kw_only=True)
class Disconnected:
    """What went with a connection: reads that were waiting, pushes that are refused now, and what
    the provider did with the consent."""

    reads: int
    pushes: int
    provider: Withdrawn | None = None
    """None: the provider was not asked."""


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


async def disconnect(
    db: Database,
    connection: Connection,
    *,
    withdraw: Callable[[Connection], Awaitable[Withdrawn]] | None = None,
) -> Disconnected:
    """Ends a connection: what waits for it is cancelled, `withdraw` has the provider take back what
    it granted, and then its credentials are forgotten, whatever the provider did.

    Its records, changes and inbox stay. Connecting the same account again revives the connection.
    Emits `connection.revoked`. Twice is once; after a crash while `withdraw` asks, once more ends
    it; without `withdraw` it is one transaction.
    """
    async with db.transaction() as tx:
        now = await connections.locked(
            tx, environment=connection.environment, tenant=connection.tenant, id=connection.id
        )
        if now is not None and now.state != "revoked":
            await connections.set_state(tx, now, "revoked", "disconnected by hand")
            await notices.revoked(tx, now, "disconnected")
        reads = await workload.cancel_reads(tx, connection)
        pushes = await workload.refuse_pushes(tx, connection, _ENDED)
        current = now or connection
        if withdraw is None:
            await _forget(tx, current)
    told = None
    if withdraw is not None:
        told = await withdraw(current)
        async with db.transaction() as tx:
            await _forget(tx, current)
    return Disconnected(reads=reads, pushes=pushes, provider=told)


async def _forget(tx: Tx, connection: Connection) -> None:
    await connections.drop_grant(
        tx,
        environment=connection.environment,
        tenant=connection.tenant,
        id=connection.access_grant,
    )


def _check_alive(connection: Connection, verb: str) -> None:
    if connection.state == "revoked":
        raise InvalidInput(
            f"{connection.id} is disconnected, there is nothing to {verb}; connect it again with:"
            f" landbridge connect {connection.provider} --tenant {connection.tenant}"
        )
