"""Endpoints: where a tenant wants its events delivered, and which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One address of a tenant. `state` is enabled or disabled, `reason` says why it is disabled.

    `types` are event types, `*` for all, or prefixes such as `invoice.*`; `secrets` is an envelope.
    """

    environment: str
    tenant: str
    id: str
    url: str = field(repr=False)
    types: tuple[str, ...]
    state: str
    reason: str
    secrets: bytes = field(repr=False)
    created_at: datetime
    updated_at: datetime


_COLUMNS = "environment, tenant, id, url, types, state, reason, secrets, created_at, updated_at"

_ADD = Sql(
    "endpoints.add",
    f"""
    INSERT INTO lb.endpoint (environment, tenant, id, url, types, secrets)
    VALUES (:environment, :tenant, :id, :url, :types, :secrets)
    RETURNING {_COLUMNS}
    """,
)

_ONE = Sql(
    "endpoints.one",
    f"""
    SELECT {_COLUMNS} FROM lb.endpoint
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

_LOCK = Sql(
    "endpoints.lock",
    f"SELECT {_COLUMNS} FROM lb.endpoint"
    " WHERE environment = :environment AND tenant = :tenant AND id = :id FOR UPDATE",
)

_BY_ID = Sql(
    "endpoints.by_id",
    f"SELECT {_COLUMNS} FROM lb.endpoint WHERE environment = :environment AND id = :id",
    across="The operator's commands name an endpoint by its id alone, whichever tenant it has.",
)

_LIST = Sql(
    "endpoints.list",
    f"""
    SELECT {_COLUMNS} FROM lb.endpoint
    WHERE environment = :environment AND (:tenant::text IS NULL OR tenant = :tenant)
    ORDER BY tenant, id LIMIT :most
    """,
    across="The operator's list shows every tenant of an environment unless one is named.",
)

_CHANGE = Sql(
    "endpoints.change",
    f"""
    UPDATE lb.endpoint
    SET url = coalesce(:url, url), types = coalesce(:types, types),
        secrets = coalesce(:secrets, secrets), updated_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND id = :id
      AND (:were::bytea IS NULL OR secrets = :were)
    RETURNING {_COLUMNS}
    """,
)

_SET_STATE = Sql(
    "endpoints.set_state",
    f"""
    UPDATE lb.endpoint SET state = :state, reason = :reason, updated_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND id = :id
      AND (:url::text IS NULL OR url = :url)
    RETURNING {_COLUMNS}
    """,
)

_DELETE = Sql(
    "endpoints.delete",
    """
    DELETE FROM lb.endpoint
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)


async def add(
    db: Database | Tx,
    *,
    environment: str,
    tenant: str,
    id: str,
    url: str,
    types: Sequence[str],
    secrets: bytes,
) -> Endpoint:
    """The new endpoint, enabled."""
    row = await db.row(
        _ADD,
        environment=environment,
        tenant=tenant,
        id=id,
        url=url,
        types=list(types),
        secrets=secrets,
    )
    assert row is not None
    return _endpoint(row)


async def one(db: Database | Tx, *, environment: str, tenant: str, id: str) -> Endpoint | None:
    """The tenant's endpoint with this id."""
    row = await db.row(_ONE, environment=environment, tenant=tenant, id=id)
    return None if row is None else _endpoint(row)


async def by_id(db: Database | Tx, *, environment: str, id: str) -> Endpoint | None:
    """The endpoint with this id, whichever tenant it has."""
    row = await db.row(_BY_ID, environment=environment, id=id)
    return None if row is None else _endpoint(row)


async def every(
    db: Database | Tx, *, environment: str, tenant: str | None = None, most: int = 1000
) -> list[Endpoint]:
    """Up to `most` endpoints by tenant and age, of one tenant if it is named."""
    rows = await db.fetch(_LIST, environment=environment, tenant=tenant, most=most)
    return [_endpoint(row) for row in rows]


async def change(
    db: Database | Tx,
    *,
    environment: str,
    tenant: str,
    id: str,
    url: str | None = None,
    types: Sequence[str] | None = None,
    secrets: bytes | None = None,
    were: bytes | None = None,
) -> Endpoint | None:
    """The endpoint with what is given replaced; None if there is none, or if its secrets are no
    longer those of `were`."""
    row = await db.row(
        _CHANGE,
        environment=environment,
        tenant=tenant,
        id=id,
        url=url,
        types=None if types is None else list(types),
        secrets=secrets,
        were=were,
    )
    return None if row is None else _endpoint(row)


async def set_state(
    db: Database | Tx,
    *,
    environment: str,
    tenant: str,
    id: str,
    state: str,
    reason: str = "",
    url: str | None = None,
) -> Endpoint | None:
    """The endpoint in its new state; None if there is none, or it has left `url` meanwhile."""
    row = await db.row(
        _SET_STATE,
        environment=environment,
        tenant=tenant,
        id=id,
        state=state,
        reason=reason,
        url=url,
    )
    return None if row is None else _endpoint(row)


async def delete(db: Database | Tx, *, environment: str, tenant: str, id: str) -> bool:
    """Whether there was one. Its waiting deliveries find it gone and are abandoned."""
    return await db.run(_DELETE, environment=environment, tenant=tenant, id=id) == 1


def _endpoint(row: Row) -> Endpoint:
    values = dict(row)
    values["types"] = tuple(values["types"])
    return Endpoint(**values)
