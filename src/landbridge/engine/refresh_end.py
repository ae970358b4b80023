"""How refreshes end: tokens stored, or a grant declared dead, each in one transaction."""

from __future__ import annotations

from datetime import datetime

import structlog

from landbridge.engine import reauth
from landbridge.errors import LandbridgeError, ReconnectRequired, TokenRefused, Unreachable
from landbridge.measures import TOKEN_REFRESHES, Measures
from landbridge.oauth import Tokens
from landbridge.spec import OAuth2, Provider
from landbridge.store import connections, grants, refreshes, workload
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.grants import Grant
from landbridge.store.refreshes import Intent

_SENTENCES = {
    "refused": "the provider no longer accepts its refresh token, or what was typed in",
    "ambiguous": "the answer to a refresh was lost, so that the provider may have replaced the"
    " refresh token",
    "expired": "the tokens have expired",
    "revoked": "the access was taken back",
}


class Moved(LandbridgeError):
    """The grant is not as it was read: nothing was declared, it has to be read again."""


class Ends:
    """Writes how refreshes end."""

    def __init__(self, db: Database, measures: Measures):
        self._db = db
        self._measures = measures
        self._log = structlog.get_logger("landbridge.refresh")

    async def stored(
        self,
        grant: Grant,
        page: Provider,
        intent: Intent,
        tokens: Tokens,
        secret: bytes | None,
        access: bytes,
    ) -> bool:
        """Whether the tokens are the grant's now; False: newer ones were stored, or it is gone.

        A grant that was declared dead meanwhile lives again, with its connections.
        """
        late = False
        async with self._db.transaction() as tx:
            version = await grants.swap(
                tx,
                grant,
                secret=secret,
                access=access,
                expires_at=intent.now + tokens.expires_in,
                refresh_expires_at=_refresh_ends(grant, page, intent, tokens),
                scopes=tokens.scopes or grant.scopes,
            )
            await refreshes.close(tx, grant)
            if version is not None and await grants.revive(tx, grant):
                late = True
                await grants.order(
                    tx, environment=grant.environment, tenant=grant.tenant, id=grant.id
                )
                for each in await connections.of_grant(
                    tx,
                    environment=grant.environment,
                    tenant=grant.tenant,
                    access_grant=grant.id,
                ):
                    await workload.bring_forward(tx, each)
        if late:
            self._log.warning("refresh.late", grant=grant.id)
            await self._db.notify()
        outcome = "superseded" if version is None else "late" if late else "stored"
        self._count(grant, page.slug, outcome)
        return version is not None

    async def refused(
        self, connection: Connection, grant: Grant, intent: Intent, error: TokenRefused
    ) -> LandbridgeError:
        """What to raise after a holder's post was refused for good."""
        ended = grant.refresh_expires_at is not None and grant.refresh_expires_at <= intent.now
        reason = "expired" if ended else "ambiguous" if intent.tries > 1 else "refused"
        try:
            await self._bury(connection, grant, reason, holder=intent.owner)
        except Moved:
            return Unreachable(
                f"{error}; another process refreshes it or has done so, it is tried again"
            )
        return said_dead(connection, reason)

    async def ambiguous(
        self, connection: Connection, grant: Grant, holder: str | None = None
    ) -> ReconnectRequired:
        """What to raise when nobody can know whether the provider replaced the refresh token.

        Moved: the grant has newer tokens, or its holder has come back.
        """
        await self._bury(connection, grant, "ambiguous", holder=holder)
        return said_dead(connection, "ambiguous")

    async def expired(self, connection: Connection, grant: Grant) -> ReconnectRequired:
        """What to raise when an access token has ended and there is nothing to refresh it with."""
        async with self._db.transaction() as tx:
            if await grants.bury(tx, grant, "expired"):
                await _tell(tx, grant, "expired")
        self._count(grant, connection.provider, "expired")
        return said_dead(connection, "expired")

    async def still_dead(self, connection: Connection, grant: Grant) -> ReconnectRequired:
        """What to raise for a grant that is known to be dead; its connections are told so."""
        async with self._db.transaction() as tx:
            await _tell(tx, grant, grant.reason)
        return said_dead(connection, grant.reason)

    async def _bury(
        self, connection: Connection, grant: Grant, reason: str, *, holder: str | None
    ) -> None:
        """Declares a grant dead, if it still has this version and its intent is still `holder`'s;
        None: if whoever holds it is silent."""
        async with self._db.transaction() as tx:
            if not await grants.bury(tx, grant, reason):
                raise Moved("the grant has newer tokens")
            intent = await refreshes.hold(tx, grant)
            mine = intent is not None and intent.owner == holder
            if not mine and (intent is None or holder is not None or not intent.silent):
                raise Moved("another holds the intent")
            await refreshes.close(tx, grant)
            await _tell(tx, grant, reason)
        self._log.warning("refresh.dead", grant=grant.id, reason=reason)
        self._count(grant, connection.provider, reason)

    def _count(self, grant: Grant, provider: str, outcome: str) -> None:
        self._measures.count(TOKEN_REFRESHES, grant.environment, provider, outcome)


def said_dead(connection: Connection, reason: str) -> ReconnectRequired:
    """The error for a connection whose grant is dead."""
    why = _SENTENCES.get(reason, _SENTENCES["refused"])
    return ReconnectRequired(
        f"{connection.id}: {why}; connect it again with: landbridge connect"
        f" {connection.provider} --tenant {connection.tenant}",
        connection=connection.id,
        reason=reason,
    )


def forgotten(connection: Connection) -> ReconnectRequired:
    """The error for a connection whose grant is not there any more."""
    return ReconnectRequired(
        f"the credentials of connection {connection.id} were forgotten; reconnect it",
        connection=connection.id,
        reason="forgotten",
    )


async def _tell(tx: Tx, grant: Grant, reason: str) -> None:
    await reauth.need_reauth(
        tx,
        environment=grant.environment,
        tenant=grant.tenant,
        grant=grant.id,
        reason=reason,
        message=_SENTENCES.get(reason, _SENTENCES["refused"]),
    )


def _refresh_ends(grant: Grant, page: Provider, intent: Intent, tokens: Tokens) -> datetime | None:
    """When the refresh token ends: anew with a new one, or with each use where the page says so."""
    auth = page.auth
    if not isinstance(auth, OAuth2) or auth.refresh_lives is None:
        return grant.refresh_expires_at
    if tokens.refresh is None and not auth.refresh_idle:
        return grant.refresh_expires_at
    return intent.now + auth.refresh_lives
