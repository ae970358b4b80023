"""Endpoints: where a tenant wants its events delivered, and which."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One address of a tenant. `state` is enabled or disabled, `reason` says why it is disabled.

    `types` are event types, `*` for all, or prefixes such as `invoice.*`; `filter` is what a body
    has to hold (None: anything). `schedule` are the waits between tries, `concurrency` the posts at
    a time and `rate` those per second (None: as the installation has it). With `ordered`, events of
    one ordering key go one after the other; `skip_after` so many tries the first steps aside.
    `slow`: it answers so slowly that it goes in a lane of its own. `secrets` and `headers` are
    envelopes.
    """

    environment: str
    tenant: str
    id: str
    url: str = field(repr=False)
    description: str
    types: tuple[str, ...]
    filter: Mapping[str, Any] | None
    state: str
    reason: str
    disabled_at: datetime | None
    secrets: bytes = field(repr=False)
    headers: bytes | None = field(repr=False)
    api_version: str
    schedule: tuple[timedelta, ...] | None
    concurrency: int | None
    rate: float | None
    ordered: bool
    skip_after: int | None
    slow: bool
    created_at: datetime
    updated_at: datetime


_SETTINGS = {
    "url": "text",
    "description": "text",
    "types": "text[]",
    "filter": "jsonb",
    "headers": "bytea",
    "api_version": "text",
    "schedule": "interval[]",
    "concurrency": "int",
    "rate": "float8",
    "ordered": "bool",
    "skip_after": "int",
    "secrets": "bytea",
}
"""What may be set, and its type."""

_DEFAULTS: Mapping[str, Any] = {
    **dict.fromkeys(_SETTINGS),
    "description": "",
    "types": ["*"],
    "api_version": "",
    "ordered": False,
}

_COLUMNS = (
    "environment, tenant, id, url, description, types, filter, state, reason, disabled_at, secrets,"
    " headers, api_version, schedule, concurrency, rate, ordered, skip_after, slow, created_at,"
    " updated_at"
)

_ADD = Sql(
    "endpoints.add",
    f"""
    INSERT INTO lb.endpoint (environment, tenant, id, {", ".join(_SETTINGS)})
    VALUES (:environment, :tenant, :id, {", ".join(f":{name}" for name in _SETTINGS)})
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

_CHANGES = ", ".join(
    f"{name} = CASE WHEN '{name}' = ANY (:named::text[]) THEN :{name}::{kind} ELSE {name} END"
    for name, kind in _SETTINGS.items()
)

_CHANGE = Sql(
    "endpoints.change",
    f"""
    UPDATE lb.endpoint
    SET {_CHANGES}, updated_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND id = :id
      AND (:were::bytea IS NULL OR secrets = :were)
    RETURNING {_COLUMNS}
    """,
)

_SET_STATE = Sql(
    "endpoints.set_state",
    f"""
    UPDATE lb.endpoint
    SET state = :state, reason = :reason, updated_at = lb.now(),
        disabled_at = CASE WHEN :state = 'disabled' THEN coalesce(disabled_at, lb.now()) END
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
    db: Database | Tx, *, environment: str, tenant: str, id: str, **settings: Any
) -> Endpoint:
    """The new endpoint, enabled. `settings` by column, `url` and `secrets` among them; `filter` is
    JSON text, as compiled."""
    values = {**_DEFAULTS, **settings}
    row = await db.row(_ADD, environment=environment, tenant=tenant, id=id, **values)
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


async def lock(tx: Tx, *, environment: str, tenant: str, id: str) -> Endpoint | None:
    """The endpoint, which nobody else changes until the transaction ends."""
    row = await tx.row(_LOCK, environment=environment, tenant=tenant, id=id)
    return None if row is None else _endpoint(row)


async def change(
    db: Database | Tx,
    *,
    environment: str,
    tenant: str,
    id: str,
    were: bytes | None = None,
    **settings: Any,
) -> Endpoint | None:
    """The endpoint with these settings, by column; None if there is none, or if its secrets are no
    longer those of `were`."""
    row = await db.row(
        _CHANGE,
        environment=environment,
        tenant=tenant,
        id=id,
        named=list(settings),
        were=were,
        **{**dict.fromkeys(_SETTINGS), **settings},
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
    if values["schedule"] is not None:
        values["schedule"] = tuple(values["schedule"])
    if values["filter"] is not None:
        values["filter"] = json.loads(values["filter"])["source"]
    return Endpoint(**values)
