"""Apps: a provider in an environment with our client there, and the address it posts to."""

from __future__ import annotations

import secrets as random_tokens
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from landbridge import ids
from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class App:
    """One app. `token` is the last part of its intake address; `secrets` and `client_secret` are
    sealed. Without `resources` all are enabled; `writes` are the enabled writes. `tenant` is set
    where a tenant brought its own OAuth client."""

    environment: str
    id: str
    provider: str
    tenant: str | None
    name: str
    token: str
    resources: tuple[str, ...]
    settings: Mapping[str, Any]
    secrets: bytes | None = field(repr=False)
    client_id: str = ""
    client_secret: bytes | None = field(default=None, repr=False)
    writes: tuple[str, ...] = ()


_COLUMNS = """environment, id, provider, tenant, name, token, resources, settings, secrets,
        client_id, client_secret, writes"""

_ENSURE = Sql(
    "apps.ensure",
    """
    INSERT INTO lb.app (environment, id, provider, tenant, name, token, resources)
    VALUES (:environment, :id, :provider, :tenant, :name, :token, :resources)
    ON CONFLICT (environment, provider, tenant, name) DO NOTHING
    """,
)

_FIND = Sql(
    "apps.find",
    f"""
    SELECT {_COLUMNS}
    FROM lb.app
    WHERE environment = :environment AND provider = :provider
      AND tenant IS NOT DISTINCT FROM :tenant AND name = :name
    """,
)

_BY_ID = Sql(
    "apps.by_id",
    f"""
    SELECT {_COLUMNS}
    FROM lb.app WHERE environment = :environment AND id = :id
    """,
    across="Apps are looked up by id for work that already belongs to a tenant or to none.",
)

_BY_TOKEN = Sql(
    "apps.by_token",
    f"""
    SELECT {_COLUMNS}
    FROM lb.app WHERE token = :token
    """,
    across="A webhook names its app by an unguessable address before any tenant is known.",
)

_FOR_TENANT = Sql(
    "apps.for_tenant",
    f"""
    SELECT {_COLUMNS}
    FROM lb.app
    WHERE environment = :environment AND provider = :provider AND name = :name
      AND (tenant = :tenant OR tenant IS NULL)
    ORDER BY tenant NULLS LAST LIMIT 1
    """,
    across="An app that no tenant brought serves every tenant.",
)

_SET_CLIENT = Sql(
    "apps.set_client",
    """
    UPDATE lb.app SET client_id = :client_id, client_secret = :client_secret
    WHERE environment = :environment AND id = :id
    """,
    across="An OAuth client belongs to the app, which the installation's operator sets.",
)

_ENABLE = Sql(
    "apps.enable",
    """
    UPDATE lb.app SET resources = :resources, writes = :writes
    WHERE environment = :environment AND id = :id
    """,
    across="What an app enables is set by the installation's operator, for all its connections.",
)

_SET_SECRETS = Sql(
    "apps.set_secrets",
    "UPDATE lb.app SET secrets = :secrets WHERE environment = :environment AND id = :id",
    across="Webhook secrets belong to the app, which the installation's operator sets.",
)

_LIST = Sql(
    "apps.list",
    f"""
    SELECT {_COLUMNS}
    FROM lb.app WHERE environment = :environment ORDER BY provider, name, id
    """,
    across="The operator's list of apps shows all of an environment.",
)


async def ensure(
    db: Database,
    *,
    environment: str,
    provider: str,
    tenant: str | None = None,
    name: str = "",
    resources: Sequence[str] = (),
) -> App:
    """The app of this provider and environment, made on first use."""
    await db.run(
        _ENSURE,
        environment=environment,
        id=ids.new("app"),
        provider=provider,
        tenant=tenant,
        name=name,
        token=new_token(),
        resources=list(resources),
    )
    row = await db.row(_FIND, environment=environment, provider=provider, tenant=tenant, name=name)
    assert row is not None
    return _app(row)


async def by_id(db: Database, *, environment: str, id: str) -> App | None:
    """The app with this id."""
    row = await db.row(_BY_ID, environment=environment, id=id)
    return _app(row) if row else None


async def by_token(db: Database, token: str) -> App | None:
    """The app that this intake address belongs to."""
    row = await db.row(_BY_TOKEN, token=token)
    return _app(row) if row else None


async def set_secrets(db: Database | Tx, *, environment: str, id: str, secrets: bytes) -> None:
    """Replaces the sealed webhook secrets."""
    await db.run(_SET_SECRETS, environment=environment, id=id, secrets=secrets)


async def for_tenant(db: Database, *, environment: str, provider: str, tenant: str) -> App | None:
    """The app by which a tenant connects: its own one if it brought one, else everyone's."""
    row = await db.row(
        _FOR_TENANT, environment=environment, provider=provider, tenant=tenant, name=""
    )
    return _app(row) if row else None


async def set_client(
    db: Database | Tx, *, environment: str, id: str, client_id: str, client_secret: bytes | None
) -> None:
    """Replaces the OAuth client; its secret is sealed, None for a public client."""
    await db.run(
        _SET_CLIENT,
        environment=environment,
        id=id,
        client_id=client_id,
        client_secret=client_secret,
    )


async def enable(
    db: Database | Tx, *, environment: str, id: str, resources: Sequence[str], writes: Sequence[str]
) -> None:
    """Replaces what the app's consents ask for: resources (none: all) and writes."""
    await db.run(
        _ENABLE, environment=environment, id=id, resources=list(resources), writes=list(writes)
    )


async def every(db: Database, *, environment: str) -> list[App]:
    """All apps of an environment."""
    return [_app(row) for row in await db.fetch(_LIST, environment=environment)]


def new_token() -> str:
    """An unguessable part of an address: 192 random bits."""
    return random_tokens.token_urlsafe(24)


def _app(row: Row) -> App:
    return App(
        environment=row["environment"],
        id=row["id"],
        provider=row["provider"],
        tenant=row["tenant"],
        name=row["name"],
        token=row["token"],
        resources=tuple(row["resources"]),
        settings=msgspec.json.decode(row["settings"]),
        secrets=row["secrets"],
        client_id=row["client_id"],
        client_secret=row["client_secret"],
        writes=tuple(row["writes"]),
    )
