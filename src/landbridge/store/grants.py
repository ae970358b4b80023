"""Grants with tokens: a consent, its sealed tokens, and the version that swaps compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from landbridge.store import due
from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One consent and its tokens, sealed. `version` rises by one with each stored set of tokens.

    `secret` is the credential that the key provider is asked to open: a refresh token, or what was
    typed in to get tokens by; it came with the version `secret_version`. `access` is what calls
    carry: the access token of this version, or typed keys as JSON; None: there was none yet.
    `state` is live or dead, then with a `reason`: refused, ambiguous, revoked or expired. `now` is
    when it was read.
    """

    environment: str
    tenant: str
    id: str
    app: str
    kind: str
    version: int
    secret_version: int
    secret: bytes | None = field(repr=False)
    access: bytes | None = field(repr=False)
    scopes: tuple[str, ...]
    expires_at: datetime | None
    refresh_expires_at: datetime | None
    refreshed_at: datetime | None
    state: str
    reason: str
    created_at: datetime
    now: datetime = field(compare=False)


def secret_place(id: str, version: int) -> str:
    """Where in the vault the credential of a grant is, that came with this version."""
    return f"grant/{id}/secret/{version}"


def access_place(id: str, version: int) -> str:
    """Where in the vault the access token of a grant's version is, or its typed keys."""
    return f"grant/{id}/access/{version}"


_ONE = Sql(
    "grants.one",
    """
    SELECT environment, tenant, id, app, kind, version, secret_version, secret, access, scopes,
           expires_at, refresh_expires_at, refreshed_at, state, reason, created_at, lb.now() AS now
    FROM lb.access_grant
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

_SAVE_TOKENS = Sql(
    "grants.save_tokens",
    """
    INSERT INTO lb.access_grant (environment, tenant, id, app, kind, secret, access,
        expires_at, refresh_expires_at, scopes, refreshed_at)
    VALUES (:environment, :tenant, :id, :app, :kind, :secret, :access,
        :expires_at, :refresh_expires_at, :scopes, lb.now())
    """,
)

_SWAP = Sql(
    "grants.swap",
    """
    UPDATE lb.access_grant
    SET secret = coalesce(:secret::bytea, secret), access = :access,
        secret_version = CASE WHEN :secret::bytea IS NULL THEN secret_version ELSE version + 1 END,
        expires_at = :expires_at,
        refresh_expires_at = :refresh_expires_at, scopes = :scopes, refreshed_at = lb.now(),
        state = 'live', reason = '', version = version + 1, updated_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND id = :id AND version = :version
    RETURNING version
    """,
)

_BURY = Sql(
    "grants.bury",
    """
    UPDATE lb.access_grant SET state = 'dead', reason = :reason, updated_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND id = :id AND version = :version
      AND state = 'live'
    """,
)

_REVIVE = Sql(
    "grants.revive",
    """
    UPDATE lb.connection SET state = 'active', reason = '', updated_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND access_grant = :id
      AND state = 'needs_reauth'
    """,
)


async def one(db: Database | Tx, *, environment: str, tenant: str, id: str) -> Grant | None:
    """A grant as it is now; None when it was forgotten."""
    row = await db.row(_ONE, environment=environment, tenant=tenant, id=id)
    return _grant(row) if row else None


async def save_tokens(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    id: str,
    app: str,
    secret: bytes | None,
    access: bytes | None,
    expires_at: datetime | None,
    refresh_expires_at: datetime | None = None,
    scopes: Sequence[str] = (),
    kind: str = "oauth",
) -> None:
    """Stores the tokens of a consent as version 1 of a new grant, and orders their refreshes.

    `secret` and `access` are sealed for that version; None: there is no refresh token, or no access
    token yet.
    """
    await tx.run(
        _SAVE_TOKENS,
        environment=environment,
        tenant=tenant,
        id=id,
        app=app,
        kind=kind,
        secret=secret,
        access=access,
        expires_at=expires_at,
        refresh_expires_at=refresh_expires_at,
        scopes=list(scopes),
    )
    await order(tx, environment=environment, tenant=tenant, id=id)


async def order(tx: Database | Tx, *, environment: str, tenant: str, id: str) -> None:
    """Puts the standing work that refreshes a grant before its tokens end."""
    await due.put(
        tx,
        [
            due.Job(
                environment=environment,
                tenant=tenant,
                lane="system",
                kind="refresh",
                key=id,
                target=id,
            )
        ],
    )


async def swap(
    tx: Tx,
    grant: Grant,
    *,
    secret: bytes | None,
    access: bytes,
    expires_at: datetime | None,
    refresh_expires_at: datetime | None,
    scopes: Sequence[str],
) -> int | None:
    """The new version, if the grant still has the version that was read; None otherwise.

    `secret` and `access` are sealed for the next version; without a secret the present one stays.
    A grant that was declared dead at that version lives again: the tokens prove it.
    """
    version: int | None = await tx.value(
        _SWAP,
        environment=grant.environment,
        tenant=grant.tenant,
        id=grant.id,
        version=grant.version,
        secret=secret,
        access=access,
        expires_at=expires_at,
        refresh_expires_at=refresh_expires_at,
        scopes=list(scopes),
    )
    return version


async def bury(tx: Tx, grant: Grant, reason: str) -> bool:
    """Declares a grant dead; False: it has newer tokens than were read, or is dead already."""
    count = await tx.run(
        _BURY,
        environment=grant.environment,
        tenant=grant.tenant,
        id=grant.id,
        version=grant.version,
        reason=reason,
    )
    return count > 0


async def revive(tx: Tx, grant: Grant) -> int:
    """Makes those of a grant's connections active that waited to be connected again; how many."""
    return await tx.run(_REVIVE, environment=grant.environment, tenant=grant.tenant, id=grant.id)


def _grant(row: Row) -> Grant:
    values = dict(row)
    values["scopes"] = tuple(values["scopes"])
    return Grant(**values)
