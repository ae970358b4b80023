"""Compares what connections were granted with what is needed now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from landbridge.spec import Asked, Provider, asked
from landbridge.store import apps, connections, grants, syncs
from landbridge.store.connections import Connection
from landbridge.store.database import Database


@dataclass(frozen=True, kw_only=True)
class Audited:
    """The scopes of one connection.

    `missing` is needed and not granted: the tenant is asked for it when it connects again. `spare`
    is granted and needed by nothing that is enabled.
    """

    connection: Connection
    granted: tuple[str, ...]
    missing: tuple[Asked, ...]
    spare: tuple[str, ...]


async def audit(
    db: Database,
    *,
    provider: Callable[[str], Provider],
    environment: str,
    tenant: str | None = None,
) -> list[Audited]:
    """The connections whose providers know scopes, oldest first; those that ended are left out.

    Needed is what the app enables; where it names no resources, what the connection pulls.
    """
    found: list[Audited] = []
    for connection in await connections.every(db, environment=environment, tenant=tenant):
        page = provider(connection.provider)
        if connection.state == "revoked" or not getattr(page.auth, "scopes", {}):
            continue
        found.append(await _of(db, page, connection))
    return found


async def _of(db: Database, page: Provider, connection: Connection) -> Audited:
    whose = {"environment": connection.environment, "tenant": connection.tenant}
    app = await apps.by_id(db, environment=connection.environment, id=connection.app)
    grant = await grants.one(db, **whose, id=connection.access_grant)
    pulled = [name for name, _ in await syncs.every(db, **whose, connection=connection.id)]
    resources = app.resources if app and app.resources else pulled
    needed = asked(page, resources, app.writes if app else ())
    granted = grant.scopes if grant else ()
    names = {one.scope for one in needed}
    return Audited(
        connection=connection,
        granted=granted,
        missing=tuple(one for one in needed if one.scope not in granted),
        spare=tuple(scope for scope in granted if scope not in names),
    )
