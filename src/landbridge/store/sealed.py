"""Every sealed value there is, read in order and replaced while others work with it.

A value is replaced only if it still is what was read, so that a refresh that ends meanwhile wins.
Consents under way are left out: they live for ten minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from landbridge.store.database import Database, Row
from landbridge.store.grants import access_place, secret_place
from landbridge.store.sql import Sql

_ALL = "The operator's rotation of keys seals every tenant's secrets again, and reads none."


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """One sealed value: where it is kept, and the envelope. `kind` is that of the vault."""

    environment: str
    tenant: str
    table: str
    column: str
    id: str
    kind: str
    place: str
    envelope: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How far a walk through a table came: the last row."""

    tenant: str = ""
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class WrappedKey:
    """The data key of a tenant, as the key provider wrapped it."""

    environment: str
    tenant: str
    version: int
    wrapped: bytes = field(repr=False)
    newest: bool
    """Whether the tenant has no newer one."""
    fresh: bool
    """Whether it was made after the moment that was asked about."""


_ENVIRONMENTS = Sql(
    "sealed.environments",
    """
    SELECT environment FROM lb.app UNION SELECT environment FROM lb.tenant_key ORDER BY 1
    """,
    across="A key seals every environment of the installation.",
)

_GRANTS = Sql(
    "sealed.grants",
    """
    SELECT tenant, id, secret, access, secret_version, version FROM lb.access_grant
    WHERE environment = :environment AND (tenant, id) > (:tenant, :id)
    ORDER BY tenant, id LIMIT :most
    """,
    across=_ALL,
)

_APPS = Sql(
    "sealed.apps",
    """
    SELECT tenant, id, secrets, client_secret FROM lb.app
    WHERE environment = :environment AND id > :id
    ORDER BY id LIMIT :most
    """,
    across=_ALL,
)

_CONNECTIONS = Sql(
    "sealed.connections",
    """
    SELECT tenant, id, secrets FROM lb.connection
    WHERE environment = :environment AND (tenant, id) > (:tenant, :id)
    ORDER BY tenant, id LIMIT :most
    """,
    across=_ALL,
)

_ENDPOINTS = Sql(
    "sealed.endpoints",
    """
    SELECT tenant, id, secrets, headers FROM lb.endpoint
    WHERE environment = :environment AND (tenant, id) > (:tenant, :id)
    ORDER BY tenant, id LIMIT :most
    """,
    across=_ALL,
)

_KEYS = Sql(
    "sealed.keys",
    """
    SELECT tenant, version, wrapped, created_at >= :since AS fresh,
           version = max(version) OVER (PARTITION BY tenant) AS newest
    FROM lb.tenant_key
    WHERE environment = :environment
    ORDER BY tenant, version
    """,
    across=_ALL,
)

_VERSIONS = Sql(
    "sealed.versions",
    """
    SELECT tenant, max(version) AS version FROM lb.tenant_key
    WHERE environment = :environment AND tenant = ANY(:tenants) GROUP BY tenant
    """,
)

_WRAP = Sql(
    "sealed.wrap",
    """
    UPDATE lb.tenant_key SET wrapped = :fresh, wrapped_by = :wrapped_by
    WHERE environment = :environment AND tenant = :tenant AND version = :version
      AND wrapped = :envelope
    """,
)


def _swap(table: str, column: str) -> Sql:
    return Sql(
        f"sealed.swap_{table}_{column}",
        f"""
        UPDATE lb.{table} SET {column} = :fresh
        WHERE environment = :environment AND tenant = :tenant AND id = :id
          AND {column} = :envelope
        """,
    )


def _swap_of_app(column: str) -> Sql:
    return Sql(
        f"sealed.swap_app_{column}",
        f"""
        UPDATE lb.app SET {column} = :fresh
        WHERE environment = :environment AND id = :id AND {column} = :envelope
        """,
        across="An app belongs to the installation or to one tenant, and is known by its id.",
    )


_SWAP_GRANT_SECRET = _swap("access_grant", "secret")
_SWAP_GRANT_ACCESS = _swap("access_grant", "access")
_SWAP_APP_SECRETS = _swap_of_app("secrets")
_SWAP_APP_CLIENT = _swap_of_app("client_secret")
_SWAP_CONNECTION_SECRETS = _swap("connection", "secrets")
_SWAP_ENDPOINT_SECRETS = _swap("endpoint", "secrets")
_SWAP_ENDPOINT_HEADERS = _swap("endpoint", "headers")

# By table: its rows; by column: the kind in the vault, the row's name in the place, the swap.
_TABLES = MappingProxyType(
    {
        "app": (
            _APPS,
            {
                "secrets": ("signing", "app", _SWAP_APP_SECRETS),
                "client_secret": ("credential", "app", _SWAP_APP_CLIENT),
            },
        ),
        "access_grant": (
            _GRANTS,
            {
                "secret": ("credential", "grant", _SWAP_GRANT_SECRET),
                "access": ("access", "grant", _SWAP_GRANT_ACCESS),
            },
        ),
        "connection": (
            _CONNECTIONS,
            {"secrets": ("signing", "connection", _SWAP_CONNECTION_SECRETS)},
        ),
        "endpoint": (
            _ENDPOINTS,
            {
                "secrets": ("signing", "endpoint", _SWAP_ENDPOINT_SECRETS),
                "headers": ("signing", "endpoint", _SWAP_ENDPOINT_HEADERS),
            },
        ),
    }
)

TABLES = tuple(_TABLES)
"""The tables that hold sealed values, in the order of a walk."""


async def environments(db: Database) -> list[str]:
    """Every environment in which something may be sealed."""
    return [row["environment"] for row in await db.fetch(_ENVIRONMENTS)]


async def after(
    db: Database, table: str, *, environment: str, mark: Mark, most: int
) -> tuple[list[Sealed], Mark | None]:
    """The sealed values of the next `most` rows, and the mark behind them; None: that was all."""
    statement, columns = _TABLES[table]
    binds = {"environment": environment, "tenant": mark.tenant, "id": mark.id, "most": most}
    if table == "app":
        del binds["tenant"]
    rows = await db.fetch(statement, **binds)
    found = [
        _sealed(table, column, environment, row, kind, name)
        for row in rows
        for column, (kind, name, _) in columns.items()
        if row[column] is not None
    ]
    if len(rows) < most:
        return found, None
    return found, Mark(tenant=rows[-1]["tenant"] or "", id=rows[-1]["id"])


async def swap(db: Database, value: Sealed, fresh: bytes) -> bool:
    """Replaces a sealed value; False: it is another one by now, which stays."""
    _, columns = _TABLES[value.table]
    binds = {"environment": value.environment, "tenant": value.tenant, "id": value.id}
    if value.table == "app":
        del binds["tenant"]
    count = await db.run(columns[value.column][2], **binds, fresh=fresh, envelope=value.envelope)
    return count > 0


async def data_keys(db: Database, *, environment: str, since: datetime) -> list[WrappedKey]:
    """The data keys of all tenants; `since` is what `fresh` is judged by."""
    rows = await db.fetch(_KEYS, environment=environment, since=since)
    return [WrappedKey(environment=environment, **row) for row in rows]


async def versions(db: Database, *, environment: str, tenants: Iterable[str]) -> dict[str, int]:
    """The newest version of each of these tenants' data keys."""
    rows = await db.fetch(_VERSIONS, environment=environment, tenants=sorted(set(tenants)))
    return {row["tenant"]: row["version"] for row in rows}


async def wrap(db: Database, key: WrappedKey, *, fresh: bytes, wrapped_by: str) -> bool:
    """Replaces what a data key is wrapped by; False: it is another one by now, which stays."""
    count = await db.run(
        _WRAP,
        environment=key.environment,
        tenant=key.tenant,
        version=key.version,
        envelope=key.wrapped,
        fresh=fresh,
        wrapped_by=wrapped_by,
    )
    return count > 0


def _sealed(table: str, column: str, environment: str, row: Row, kind: str, name: str) -> Sealed:
    # An app's webhook secrets are the installation's own, also those of a tenant's app.
    tenant = "" if (table, column) == ("app", "secrets") else row["tenant"] or ""
    place = f"{name}/{row['id']}/{column}"
    if table == "access_grant":
        of = {"secret": secret_place, "access": access_place}[column]
        place = of(row["id"], row["secret_version" if column == "secret" else "version"])
    return Sealed(
        environment=environment,
        tenant=tenant,
        table=table,
        column=column,
        id=row["id"],
        kind=kind,
        place=place,
        envelope=row[column],
    )
