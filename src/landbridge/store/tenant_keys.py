"""The wrapped data keys of tenants. Tenant "" is the installation itself."""

from __future__ import annotations

from landbridge.store.database import Database
from landbridge.store.sql import Sql

_LATEST = Sql(
    "tenant_keys.latest",
    """
    SELECT version FROM lb.tenant_key
    WHERE environment = :environment AND tenant = :tenant
    ORDER BY version DESC LIMIT 1
    """,
)

_ONE = Sql(
    "tenant_keys.one",
    """
    SELECT wrapped FROM lb.tenant_key
    WHERE environment = :environment AND tenant = :tenant AND version = :version
    """,
)

_ADD = Sql(
    "tenant_keys.add",
    """
    INSERT INTO lb.tenant_key (environment, tenant, version, wrapped, wrapped_by)
    VALUES (:environment, :tenant, :version, :wrapped, :wrapped_by)
    ON CONFLICT DO NOTHING
    """,
)


async def latest(db: Database, *, environment: str, tenant: str) -> int | None:
    """The newest data key's version; None if the tenant has none yet."""
    version: int | None = await db.value(_LATEST, environment=environment, tenant=tenant)
    return version


async def one(db: Database, *, environment: str, tenant: str, version: int) -> bytes | None:
    """The wrapped data key of this version."""
    wrapped: bytes | None = await db.value(
        _ONE, environment=environment, tenant=tenant, version=version
    )
    return wrapped


async def add(
    db: Database, *, environment: str, tenant: str, version: int, wrapped: bytes, wrapped_by: str
) -> bool:
    """Stores a wrapped data key; False: there is one, and it stays."""
    count = await db.run(
        _ADD,
        environment=environment,
        tenant=tenant,
        version=version,
        wrapped=wrapped,
        wrapped_by=wrapped_by,
    )
    return count > 0
