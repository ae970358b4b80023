"""Ours, and the weaker patterns of refreshing a token that rotates: each differs in one thing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from landbridge.engine.refresh import Refresher
from landbridge.engine.refresh_end import Ends
from landbridge.errors import Unreachable
from landbridge.oauth import Tokens
from landbridge.spec import Provider
from landbridge.store import moment, refreshes
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.grants import Grant
from landbridge.store.refreshes import Intent
from landbridge.store.sql import Sql

_LOCK = Sql(
    "control.lock",
    """
    INSERT INTO lb.refresh_intent AS i
        (environment, tenant, access_grant, version, owner, tries, until)
    VALUES (:environment, :tenant, :id, :version, :owner, 1, lb.now() + :lease)
    ON CONFLICT (environment, tenant, access_grant) DO UPDATE
    SET owner = excluded.owner, until = excluded.until, version = excluded.version
    WHERE i.until <= lb.now()
    RETURNING version, owner, tries, opened_at, until, lb.now() AS now
    """,
)


async def _pretended(db: Database, grant: Grant, owner: str) -> Intent:
    """An intent that is nowhere written."""
    now = await moment.now(db)
    return Intent(version=grant.version, owner=owner, tries=1, opened_at=now, until=now, now=now)


class WithoutIntent(Refresher):
    """No lock; or, with one process: a write without an intent. Whoever needs a token posts."""

    async def _begin(
        self, connection: Connection, grant: Grant, page: Provider, window: timedelta
    ) -> Intent | None:
        return await _pretended(self._db, grant, self._owner)


class Locking(Refresher):
    """A lock that ends by itself: whoever gets it posts what it has read, and looks no further."""

    async def _begin(
        self, connection: Connection, grant: Grant, page: Provider, window: timedelta
    ) -> Intent | None:
        row = await self._db.row(
            _LOCK,
            environment=grant.environment,
            tenant=grant.tenant,
            id=grant.id,
            version=grant.version,
            owner=self._owner,
            lease=self._lease,
        )
        return Intent(**dict(row)) if row else None

    async def _keep(self, grant: Grant) -> None:
        """Nothing makes it longer."""

    async def _refresh(self, connection: Connection, grant: Grant) -> Grant:
        page = self._provider(connection.provider)
        while True:
            intent = await self._begin(connection, grant, page, timedelta())
            if intent is not None:
                return await self._hold(connection, grant, page, intent)
            newer = await self._read(connection)
            if newer.version > grant.version:
                return newer
            await self._sleep(0.02)


class Impatient(Refresher):
    """A lock that refreshes anyway when it has waited long enough."""

    async def _refresh(self, connection: Connection, grant: Grant) -> Grant:
        try:
            return await super()._refresh(connection, grant)
        except Unreachable:
            intent = await _pretended(self._db, grant, self._owner)
            page = self._provider(connection.provider)
            return await self._hold(connection, grant, page, intent)


class _Fenced(Ends):
    async def stored(
        self,
        grant: Grant,
        page: Provider,
        intent: Intent,
        tokens: Tokens,
        secret: bytes | None,
        access: bytes,
    ) -> bool:
        standing = await refreshes.one(self._db, grant)
        if standing is None or standing.owner != intent.owner:
            return False
        return await super().stored(grant, page, intent, tokens, secret, access)


class Fencing(Refresher):
    """A fence that refuses what comes from somebody who lost the lease."""

    def __init__(self, *args: object, **more: object):
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self._ends = _Fenced(self._db, self._measures)


RULES: Mapping[str, type[Refresher]] = {
    "ours": Refresher,
    "no lock": WithoutIntent,
    "without intent": WithoutIntent,
    "lock without version": Locking,
    "refresh anyway": Impatient,
    "fence": Fencing,
}
