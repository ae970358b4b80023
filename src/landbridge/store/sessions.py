"""Connect sessions: what a browser may do on our connect pages, by the digest of its token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from landbridge.store.database import Database, Row
from landbridge.store.sql import Sql

KEPT = timedelta(days=1)
"""How long a session stays known after its end, so that its page can say what is the matter."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """One connect session. `state` is open, consenting, choosing, connected, denied or failed.

    `providers` limits it to these (empty: all), `connection` is the one to reconnect, `args` is
    what the application asked for besides, `connected` says which connections came of it, and
    `offered` which wait to be chosen.
    """

    environment: str
    tenant: str
    token_digest: bytes = field(repr=False)
    providers: tuple[str, ...]
    connection: str | None
    args: Mapping[str, Any]
    state: str
    connected: tuple[Mapping[str, Any], ...]
    offered: tuple[Mapping[str, Any], ...]
    expires_at: datetime
    expired: bool


_SAVE = Sql(
    "sessions.save",
    """
    INSERT INTO lb.connect_session (environment, tenant, token_digest, providers, connection, args,
        expires_at)
    VALUES (:environment, :tenant, :token_digest, :providers, :connection, :args,
        lb.now() + :lives::interval)
    RETURNING expires_at
    """,
)

_BY_DIGEST = Sql(
    "sessions.by_digest",
    """
    SELECT environment, tenant, token_digest, providers, connection, args, state, connected,
        offered, expires_at, expires_at <= lb.now() AS expired
    FROM lb.connect_session WHERE token_digest = :token_digest
    """,
    across="A browser shows by its unguessable token which tenant's session it has.",
)

_SETTLE = Sql(
    "sessions.settle",
    """
    UPDATE lb.connect_session
    SET state = :state, connected = connected || :connected::jsonb, offered = :offered::jsonb
    WHERE environment = :environment AND tenant = :tenant AND token_digest = :token_digest
    """,
)

_FORGET = Sql(
    "sessions.forget",
    """
    DELETE FROM lb.connect_session AS s
    WHERE s.token_digest = ANY (ARRAY(
        SELECT o.token_digest FROM lb.connect_session AS o
        WHERE o.expires_at < lb.now() - :kept::interval
        ORDER BY o.expires_at LIMIT :most))
    """,
    across="Sessions of all tenants end at their stated time.",
)


async def save(
    db: Database,
    *,
    environment: str,
    tenant: str,
    token_digest: bytes,
    providers: Sequence[str],
    connection: str | None,
    args: Mapping[str, Any],
    lives: timedelta,
) -> datetime:
    """Stores a new session; when it ends."""
    ends: datetime = await db.value(
        _SAVE,
        environment=environment,
        tenant=tenant,
        token_digest=token_digest,
        providers=list(providers),
        connection=connection,
        args=msgspec.json.encode(args).decode(),
        lives=lives,
    )
    return ends


async def by_digest(db: Database, token_digest: bytes) -> Session | None:
    """The session of this token; one that ended is known for a day, and says so."""
    row = await db.row(_BY_DIGEST, token_digest=token_digest)
    return _session(row) if row else None


async def settle(
    db: Database,
    session: Session,
    state: str,
    *,
    connected: Sequence[Mapping[str, Any]] = (),
    offered: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Says how far a session came, adds the connections that came of it, and replaces those that
    wait to be chosen."""
    await db.run(
        _SETTLE,
        environment=session.environment,
        tenant=session.tenant,
        token_digest=session.token_digest,
        state=state,
        connected=msgspec.json.encode(connected).decode(),
        offered=msgspec.json.encode(offered).decode(),
    )


async def forget(db: Database, *, limit: int) -> int:
    """How many sessions were removed that ended a day ago."""
    return await db.run(_FORGET, kept=KEPT, most=limit)


def _session(row: Row) -> Session:
    return Session(
        environment=row["environment"],
        tenant=row["tenant"],
        token_digest=row["token_digest"],
        providers=tuple(row["providers"]),
        connection=row["connection"],
        args=msgspec.json.decode(row["args"]),
        state=row["state"],
        connected=tuple(msgspec.json.decode(row["connected"])),
        offered=tuple(msgspec.json.decode(row["offered"])),
        expires_at=row["expires_at"],
        expired=row["expired"],
    )
