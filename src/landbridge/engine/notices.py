"""The events with which we tell a tenant about its own endpoints and connections."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from landbridge.engine.emit import prepare
from landbridge.store.connections import Connection
from landbridge.store.database import Tx
from landbridge.store.health import Health, Key

FAILING = "endpoint.failing"
"""An endpoint has had no success for a day."""

DISABLED = "endpoint.disabled"
"""An endpoint is disabled: it had no success for days, or it said that it is gone."""

CREATED = "connection.created"
"""An account was connected, or connected again after it was disconnected."""

NEEDS_REAUTH = "connection.needs_reauth"
"""The provider no longer accepts a connection's credentials: the tenant has to connect it again."""

REVOKED = "connection.revoked"
"""A connection was ended, by us or at the provider."""


BACKFILL_FAILED = "backfill.failed"
"""A load of one of a connection's resources stopped before its end; it can be resumed."""


async def failing(tx: Tx, stands: Health, *, url: str, disable_at: datetime | None) -> None:
    """Emits the notice that an endpoint fails, and when it will be disabled if nothing changes."""
    key = Key(stands.environment, stands.tenant, stands.endpoint)
    told = _of(key, url, stands) | {"disable_at": disable_at}
    await _emit(tx, FAILING, key, told, once=stands.failing_since)


async def disabled(
    tx: Tx,
    key: Key,
    *,
    url: str,
    at: datetime,
    reason: str,
    stood: Health | None,
    replay_since: datetime,
) -> None:
    """Emits that an endpoint was disabled, why, and from when on events can be replayed to it."""
    told = _of(key, url, stood) | {
        "disabled_at": at,
        "reason": reason,
        "replay": {"endpoint": key.endpoint, "since": replay_since},
    }
    await _emit(tx, DISABLED, key, told, once=at)


async def created(tx: Tx, connection: Connection) -> None:
    """Emits that a connection is there and active."""
    await _emit_of(tx, CREATED, connection, {})


async def needs_reauth(tx: Tx, connection: Connection, reason: str) -> None:
    """Emits that a connection has to be made again; `reason` is a word such as `refused`."""
    await _emit_of(tx, NEEDS_REAUTH, connection, {"reason": reason})


async def revoked(tx: Tx, connection: Connection, reason: str) -> None:
    """Emits that a connection ended, and by what."""
    await _emit_of(tx, REVOKED, connection, {"reason": reason})


async def backfill_failed(tx: Tx, connection: Connection, resource: str, reason: str) -> None:
    """Emits that a load stopped before its end, and why."""
    await _emit_of(tx, BACKFILL_FAILED, connection, {"resource": resource, "reason": reason})


def origin(url: str) -> str:
    """Scheme, host and port of a URL: what stands behind them may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _of(key: Key, url: str, health: Health | None) -> dict[str, Any]:
    return {
        "endpoint": key.endpoint,
        "url": origin(url),
        "since": None if health is None else health.failing_since,
        "failures": 0 if health is None else health.failures,
        "error": None if health is None else health.error,
    }


async def _emit(tx: Tx, type: str, key: Key, told: dict[str, Any], *, once: datetime) -> None:
    _, statement, binds = prepare(
        type,
        told,
        environment=key.environment,
        tenant=key.tenant,
        idempotency_key=f"{type}/{key.endpoint}/{once.isoformat()}",
    )
    await tx.run(statement, **binds)


async def _emit_of(tx: Tx, type: str, connection: Connection, more: dict[str, Any]) -> None:
    told = {
        "connection": connection.id,
        "provider": connection.provider,
        "account": connection.account,
        "account_name": connection.account_name,
        "owner": connection.owner,
        "label": connection.label,
        **more,
    }
    _, statement, binds = prepare(
        type, told, environment=connection.environment, tenant=connection.tenant
    )
    await tx.run(statement, **binds)
