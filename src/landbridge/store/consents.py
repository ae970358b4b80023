"""Consents under way: known by the digest of their state, taken once, for ten minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A consent under way. `sealed` holds what only its end may know, such as the verifier."""

    environment: str
    tenant: str
    app: str
    connection: str | None
    sealed: bytes = field(repr=False)
    scopes: tuple[str, ...]
    args: Mapping[str, Any]


_SAVE = Sql(
    "consents.save",
    """
    INSERT INTO lb.consent (environment, tenant, state_digest, app, connection, browser, sealed,
        scopes, args, expires_at)
    VALUES (:environment, :tenant, :state_digest, :app, :connection, :browser, :sealed,
        :scopes, :args, lb.now() + :lives::interval)
    """,
)

_TAKE = Sql(
    "consents.take",
    """
    DELETE FROM lb.consent
    WHERE environment = :environment AND state_digest = :state_digest AND browser = :browser
      AND expires_at > lb.now()
    RETURNING environment, tenant, app, connection, sealed, scopes, args
    """,
    across="A browser comes back with its unguessable state before a tenant is known.",
)

_FORGET = Sql(
    "consents.forget",
    """
    DELETE FROM lb.consent AS c
    WHERE (c.environment, c.state_digest) IN (
        SELECT o.environment, o.state_digest FROM lb.consent AS o
        WHERE o.expires_at < lb.now() ORDER BY o.expires_at LIMIT :most)
    """,
    across="Consents of all tenants end at their stated time.",
)


async def save(
    db: Database | Tx,
    *,
    environment: str,
    tenant: str,
    state_digest: bytes,
    app: str,
    connection: str | None,
    browser: bytes,
    sealed: bytes,
    scopes: Sequence[str],
    args: Mapping[str, Any],
    lives: timedelta,
) -> None:
    """Stores a consent that has begun, for as long as it `lives`."""
    await db.run(
        _SAVE,
        environment=environment,
        tenant=tenant,
        state_digest=state_digest,
        app=app,
        connection=connection,
        browser=browser,
        sealed=sealed,
        scopes=list(scopes),
        args=msgspec.json.encode(args).decode(),
        lives=lives,
    )


async def take(
    db: Database | Tx, *, environment: str, state_digest: bytes, browser: bytes
) -> Begun | None:
    """The consent of this state and browser, which nobody gets a second time; None if there is
    none (any more)."""
    row = await db.row(_TAKE, environment=environment, state_digest=state_digest, browser=browser)
    if row is None:
        return None
    values = dict(row)
    values["args"] = msgspec.json.decode(values["args"])
    values["scopes"] = tuple(values["scopes"])
    return Begun(**values)


async def forget(db: Database, *, most: int = 1000) -> int:
    """Forgets consents whose time is over; how many."""
    return await db.run(_FORGET, most=most)
