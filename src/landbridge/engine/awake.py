"""What a worker asks of a connection before it reads for it, and how long it waits otherwise."""

from __future__ import annotations

from datetime import timedelta

from landbridge.engine import reauth
from landbridge.errors import ReconnectRequired
from landbridge.jobs import Cancel, Snooze
from landbridge.store import connections
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.due import Claimed

_DORMANT = timedelta(hours=1)


async def target_of(db: Database, claim: Claimed) -> Connection | Cancel | Snooze:
    """The connection that a job is for if it is active; else what becomes of the job."""
    found = await connections.one(
        db, environment=claim.environment, tenant=claim.tenant, id=claim.target or ""
    )
    if found is None or found.state == "revoked":
        return Cancel(reason="the connection is gone")
    return found if found.state == "active" else asleep(found)


def asleep(connection: Connection) -> Snooze:
    """Waits, at no attempt's cost, until the connection may be active again."""
    return dormant(f"the connection is {connection.state}")


def paused(resource: str) -> Snooze:
    """Waits, at no attempt's cost, until the resource may be read again."""
    return dormant(f"{resource} is paused")


async def refused(db: Database, connection: Connection, error: ReconnectRequired) -> Snooze:
    """Notes that the provider wants the account connected again, and waits for it."""
    await reauth.refused(db, connection, str(error), error.reason)
    return dormant(str(error))


def dormant(error: str) -> Snooze:
    """Waits an hour, at no attempt's cost."""
    return Snooze(after=_DORMANT, error=error)
