"""Connections: a grant at a remote account, of one tenant; and the grants themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from landbridge.store.database import Database, Row, Tx
from landbridge.store.overlays import OF_CONNECTION, Overlay, laid
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One connection of a tenant. `state` is pending, active, needs_reauth, paused or revoked."""

    environment: str
    tenant: str
    id: str
    app: str
    access_grant: str
    provider: str
    account: str
    account_name: str
    token: str = field(repr=False)
    owner: str
    label: str
    state: str
    reason: str
    settings: Mapping[str, Any] = field(repr=False)
    secrets: bytes | None = field(repr=False)
    created_at: datetime
    overlay: Sequence[Overlay] = field(default=(), repr=False)
    """What its tenant added to the page: fields and objects."""


_COLUMNS = f"""environment, tenant, id, app, access_grant, provider, account, account_name, token,
    owner, label, state, reason, settings, secrets, created_at, {OF_CONNECTION}"""

_SAVE_GRANT = Sql(
    "grants.save",
    """
    INSERT INTO lb.access_grant (environment, tenant, id, app, kind, access, scopes)
    VALUES (:environment, :tenant, :id, :app, :kind, :access, :scopes)
    """,
)

_TYPED_IN = Sql(
    "grants.typed_in",
    """
    SELECT access, version FROM lb.access_grant
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

_DROP_GRANT = Sql(
    "grants.drop",
    """
    DELETE FROM lb.access_grant AS g
    WHERE g.environment = :environment AND g.tenant = :tenant AND g.id = :id
      AND NOT EXISTS (
        SELECT FROM lb.connection AS c
        WHERE c.environment = :environment AND c.tenant = :tenant AND c.access_grant = :id
          AND c.state <> 'revoked')
    """,
)

_OF_GRANT = Sql(
    "connections.of_grant",
    f"""
    SELECT {_COLUMNS} FROM lb.connection
    WHERE environment = :environment AND tenant = :tenant AND access_grant = :access_grant
    ORDER BY id
    """,
)

_NEED_REAUTH = Sql(
    "connections.need_reauth",
    f"""
    UPDATE lb.connection SET state = 'needs_reauth', reason = :reason, updated_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND access_grant = :access_grant
      AND state IN ('active', 'paused')
    RETURNING {_COLUMNS}
    """,
)

_FORGET = Sql(
    "connections.forget_pending",
    """
    DELETE FROM lb.connection
    WHERE environment = :environment AND tenant = :tenant AND id = :id AND state = 'pending'
    """,
)

_FORGET_OFFERED = Sql(
    "connections.forget_offered",
    """
    WITH gone AS (
        DELETE FROM lb.connection WHERE ctid = ANY (ARRAY(
            SELECT o.ctid FROM lb.connection AS o
            WHERE o.state = 'pending' AND o.updated_at < (SELECT lb.now()) - :keep::interval
            ORDER BY o.updated_at LIMIT :most))
        RETURNING environment, tenant, access_grant
    ), grants AS (
        DELETE FROM lb.access_grant AS g USING (SELECT DISTINCT * FROM gone) AS gone
        WHERE g.environment = gone.environment AND g.tenant = gone.tenant
          AND g.id = gone.access_grant
          AND NOT EXISTS (
            SELECT FROM lb.connection AS c
            WHERE c.environment = g.environment AND c.tenant = g.tenant AND c.access_grant = g.id
              AND (c.state <> 'pending' OR c.updated_at >= lb.now() - :keep::interval))
    )
    SELECT count(*) FROM gone
    """,
    across="What nobody chose is forgotten after a while, whosever it was.",
)

_SAVE = Sql(
    "connections.save",
    f"""
    INSERT INTO lb.connection (environment, tenant, id, app, access_grant, provider, account,
        account_name, token, owner, label, state, settings)
    VALUES (:environment, :tenant, :id, :app, :access_grant, :provider, :account,
        :account_name, :token, :owner, :label, :state, :settings)
    ON CONFLICT (environment, tenant, app, account, owner, label) DO UPDATE
    SET access_grant = excluded.access_grant, account_name = excluded.account_name,
        settings = excluded.settings, state = excluded.state, reason = '', updated_at = lb.now()
    RETURNING {_COLUMNS}
    """,
)

_OF_ACCOUNT = Sql(
    "connections.of_account",
    """
    SELECT id, access_grant, state FROM lb.connection
    WHERE environment = :environment AND tenant = :tenant AND app = :app AND account = :account
      AND owner = :owner AND label = :label
    FOR UPDATE
    """,
)

_ONE = Sql(
    "connections.one",
    f"""
    SELECT {_COLUMNS} FROM lb.connection
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

_LOCKED = Sql(
    "connections.locked",
    f"""
    SELECT {_COLUMNS} FROM lb.connection
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    FOR UPDATE
    """,
)

_BY_ID = Sql(
    "connections.by_id",
    f"SELECT {_COLUMNS} FROM lb.connection WHERE environment = :environment AND id = :id",
    across="The operator's commands name a connection by its id alone, whichever tenant it has.",
)

_BY_TOKEN = Sql(
    "connections.by_token",
    f"SELECT {_COLUMNS} FROM lb.connection WHERE app = :app AND token = :token",
    across="A webhook names its connection by an unguessable address before a tenant is known.",
)

_BY_ACCOUNT = Sql(
    "connections.by_account",
    f"""
    SELECT {_COLUMNS} FROM lb.connection
    WHERE environment = :environment AND app = :app AND account = :account
      AND state <> 'revoked'
    ORDER BY id
    """,
    across="A webhook of one remote account goes to every tenant that connected that account.",
)

_LIST = Sql(
    "connections.list",
    f"""
    SELECT {_COLUMNS} FROM lb.connection
    WHERE environment = :environment AND (:tenant::text IS NULL OR tenant = :tenant)
    ORDER BY id LIMIT :most
    """,
    across="The operator's list shows every tenant of an environment unless one is named.",
)

_OF_PROVIDER = Sql(
    "connections.of_provider",
    f"""
    SELECT {_COLUMNS} FROM lb.connection
    WHERE environment = :environment AND provider = :provider AND state <> 'revoked'
      AND id > :after
    ORDER BY id LIMIT :most
    """,
    across="After a breach every tenant's connections of a provider are ended.",
)

_COUNT_OF_PROVIDER = Sql(
    "connections.count_of_provider",
    """
    SELECT count(*) FROM lb.connection
    WHERE environment = :environment AND provider = :provider AND state <> 'revoked'
      AND id > :after
    """,
    across="After a breach every tenant's connections of a provider are ended.",
)

_SET_STATE = Sql(
    "connections.set_state",
    """
    UPDATE lb.connection SET state = :state, reason = :reason, updated_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

_SET_SECRETS = Sql(
    "connections.set_secrets",
    """
    UPDATE lb.connection SET secrets = :secrets, updated_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)


async def save_grant(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    id: str,
    app: str,
    kind: str,
    access: bytes,
    scopes: Sequence[str] = (),
) -> None:
    """Stores a new grant with the sealed keys that its calls carry."""
    await tx.run(
        _SAVE_GRANT,
        environment=environment,
        tenant=tenant,
        id=id,
        app=app,
        kind=kind,
        access=access,
        scopes=list(scopes),
    )


async def typed_in(
    db: Database, environment: str, tenant: str, grant: str
) -> tuple[bytes, int] | None:
    """The sealed keys of a grant that were typed in, and its version; None when it was
    forgotten."""
    row = await db.row(_TYPED_IN, environment=environment, tenant=tenant, id=grant)
    return (row["access"], row["version"]) if row and row["access"] is not None else None


async def drop_grant(tx: Tx, *, environment: str, tenant: str, id: str) -> None:
    """Forgets a grant and its secrets, unless another connection lives by it."""
    await tx.run(_DROP_GRANT, environment=environment, tenant=tenant, id=id)


async def of_account(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    app: str,
    account: str,
    owner: str,
    label: str,
) -> str | None:
    """The state of the connection to this account, which is locked; None if there is none."""
    row = await tx.row(
        _OF_ACCOUNT,
        environment=environment,
        tenant=tenant,
        app=app,
        account=account,
        owner=owner,
        label=label,
    )
    return row["state"] if row else None


async def save(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    id: str,
    app: str,
    access_grant: str,
    provider: str,
    account: str,
    account_name: str,
    token: str,
    owner: str,
    label: str,
    settings: Mapping[str, Any],
    state: str = "active",
) -> tuple[Connection, bool]:
    """The connection, and whether it is new.

    Connecting the same account again (same owner and label) keeps the connection's id, address,
    cursors and mappings, takes the new grant and is in `state` then; the old grant is forgotten,
    unless another connection lives by it.
    """
    before = await tx.row(
        _OF_ACCOUNT,
        environment=environment,
        tenant=tenant,
        app=app,
        account=account,
        owner=owner,
        label=label,
    )
    row = await tx.row(
        _SAVE,
        environment=environment,
        tenant=tenant,
        id=id,
        app=app,
        access_grant=access_grant,
        provider=provider,
        account=account,
        account_name=account_name,
        token=token,
        owner=owner,
        label=label,
        settings=msgspec.json.encode(settings).decode(),
        state=state,
    )
    assert row is not None
    if before is not None:
        await drop_grant(tx, environment=environment, tenant=tenant, id=before["access_grant"])
    return _connection(row), before is None


async def one(db: Database, *, environment: str, tenant: str, id: str) -> Connection | None:
    """A tenant's connection."""
    row = await db.row(_ONE, environment=environment, tenant=tenant, id=id)
    return _connection(row) if row else None


async def locked(tx: Tx, *, environment: str, tenant: str, id: str) -> Connection | None:
    """A tenant's connection, which nobody else changes before the transaction ends."""
    row = await tx.row(_LOCKED, environment=environment, tenant=tenant, id=id)
    return _connection(row) if row else None


async def by_id(db: Database, *, environment: str, id: str) -> Connection | None:
    """A connection by its id alone; for the operator."""
    row = await db.row(_BY_ID, environment=environment, id=id)
    return _connection(row) if row else None


async def by_token(db: Database, *, app: str, token: str) -> Connection | None:
    """The connection that an intake address names."""
    row = await db.row(_BY_TOKEN, app=app, token=token)
    return _connection(row) if row else None


async def by_account(db: Database, *, environment: str, app: str, account: str) -> list[Connection]:
    """All connections to a remote account, of any tenant."""
    rows = await db.fetch(_BY_ACCOUNT, environment=environment, app=app, account=account)
    return [_connection(row) for row in rows]


async def every(
    db: Database, *, environment: str, tenant: str | None = None, most: int = 1000
) -> list[Connection]:
    """Connections of an environment, oldest first; of one tenant if it is named."""
    rows = await db.fetch(_LIST, environment=environment, tenant=tenant, most=most)
    return [_connection(row) for row in rows]


async def of_provider(
    db: Database, *, environment: str, provider: str, after: str, most: int
) -> list[Connection]:
    """Connections of a provider that are not ended, of all tenants, in the order of their ids."""
    rows = await db.fetch(
        _OF_PROVIDER, environment=environment, provider=provider, after=after, most=most
    )
    return [_connection(row) for row in rows]


async def count_of_provider(db: Database, *, environment: str, provider: str, after: str) -> int:
    """How many `of_provider` has behind that id."""
    count: int = await db.value(
        _COUNT_OF_PROVIDER, environment=environment, provider=provider, after=after
    )
    return count


async def of_grant(
    db: Database | Tx, *, environment: str, tenant: str, access_grant: str
) -> list[Connection]:
    """The connections behind one grant, in whatever state, oldest first."""
    rows = await db.fetch(
        _OF_GRANT, environment=environment, tenant=tenant, access_grant=access_grant
    )
    return [_connection(row) for row in rows]


async def need_reauth(
    tx: Tx, *, environment: str, tenant: str, access_grant: str, reason: str
) -> list[Connection]:
    """Says of a grant's connections that they have to be connected again; those that changed."""
    rows = await tx.fetch(
        _NEED_REAUTH,
        environment=environment,
        tenant=tenant,
        access_grant=access_grant,
        reason=reason,
    )
    return [_connection(row) for row in rows]


async def forget_pending(tx: Tx, connection: Connection) -> None:
    """Forgets a connection that was offered and not chosen."""
    await tx.run(
        _FORGET,
        environment=connection.environment,
        tenant=connection.tenant,
        id=connection.id,
    )


async def forget_offered(db: Database, *, keep: timedelta, most: int) -> int:
    """Forgets accounts that a consent offered and nobody chose, and grants that were for them
    alone: nothing refreshes those any more. How many accounts."""
    count: int = await db.value(_FORGET_OFFERED, keep=keep, most=most)
    return count


async def set_state(db: Database | Tx, connection: Connection, state: str, reason: str) -> None:
    """Moves a connection to another state and says why."""
    await db.run(
        _SET_STATE,
        environment=connection.environment,
        tenant=connection.tenant,
        id=connection.id,
        state=state,
        reason=reason,
    )


async def set_secrets(db: Database | Tx, connection: Connection, secrets: bytes) -> None:
    """Replaces the sealed webhook secrets of a connection."""
    await db.run(
        _SET_SECRETS,
        environment=connection.environment,
        tenant=connection.tenant,
        id=connection.id,
        secrets=secrets,
    )


def _connection(row: Row) -> Connection:
    values = dict(row)
    values["settings"] = msgspec.json.decode(values["settings"])
    values["overlay"] = laid(values["overlay"])
    return Connection(**values)
