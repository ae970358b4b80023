"""Refreshes grants so that no token is lost by our fault: intent, one post, compare and swap.

1. Before the post an intent is committed. Until its outcome is known nobody else posts for this
   version of the grant. Its holder keeps it alive, however long the provider takes.
2. One post, while no transaction is open.
3. What it brings is stored if the grant still has the version that was read, however late and
   whoever holds the intent by then: it may be the only valid token.
4. A holder that was stopped or killed leaves its intent. Whoever finds it posts the same token
   again if the provider's retry window allows that, and otherwise says that nobody can know:
   `needs_reauth`, reason ambiguous. A late answer still mends that.

In one process the callers of a grant share one refresh.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from landbridge.client import Client
from landbridge.client.asking import ask
from landbridge.client.http import KEPT
from landbridge.client.kept import Kept
from landbridge.client.seams import Access
from landbridge.clock import Clock
from landbridge.engine import app_client
from landbridge.engine.refresh_asking import Asked, conversation, give_back
from landbridge.engine.refresh_end import Ends, Moved, forgotten
from landbridge.engine.refresh_times import retry_window, serves, serves_for
from landbridge.engine.token_seals import open_access, seal_tokens
from landbridge.errors import (
    DatabaseUnavailable,
    LandbridgeError,
    OutcomeUnknown,
    Sealed,
    TokenRefused,
    Unreachable,
)
from landbridge.jobs import new_owner
from landbridge.measures import TOKEN_REFRESHES, TOKEN_SECONDS, Measures
from landbridge.oauth import Tokens
from landbridge.spec import OAuth2, Provider
from landbridge.store import connections, grants, refreshes
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.grants import Grant
from landbridge.store.refreshes import Intent
from landbridge.vault import Vault

_TRIES = 3
"""Posts of one holder whose answer was lost, where the provider allows another."""
_QUICKEST, _SLOWEST = 0.01, 0.25


class Refresher:
    """Gives the access tokens of connections, and refreshes them; shared by a process.

    `lease` is how long a holder that stopped is waited for, `patience` how long a caller waits for
    another process's refresh, and how long tokens that came are tried to be stored.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        client: Client,
        *,
        provider: Callable[[str], Provider],
        clock: Clock,
        measures: Measures,
        lease: timedelta = timedelta(seconds=30),
        patience: float = 90.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._db = db
        self._vault = vault
        self._client = client
        self._provider = provider
        self._clock = clock
        self._measures = measures
        self._lease = lease
        self._patience = patience
        self._sleep = sleep
        self._monotonic = monotonic
        self._owner = new_owner()
        self._ends = Ends(db, measures)
        self._kept: Kept[Grant] = Kept(KEPT, monotonic)
        self._under_way: dict[tuple[str, str, str], asyncio.Task[tuple[Grant, Access]]] = {}
        self._log = structlog.get_logger("landbridge.refresh")

    async def access(self, connection: Connection) -> Access:
        """A token that is valid for the length of a call; refreshed before, if need be.

        ReconnectRequired: there is none any more. Unreachable, Throttled: the provider gives none
        now. OutcomeUnknown: it may have given one that was lost; it is cleared up later.
        """
        place = _place(connection)
        grant = self._kept.get(place)
        if grant is None:
            grant = await self._read(connection)
            lasts = serves_for(grant)
            if lasts <= 0:
                return (await self._newer(connection, grant.version))[1]
            self._kept.put(place, grant, most=lasts)
        return await self._opened(grant)

    async def refused(self, connection: Connection, version: int) -> Access:
        """The token to use after a 401 for that version: a newer one, by a refresh if need be."""
        return (await self._newer(connection, version))[1]

    async def renew(self, connection: Connection, grant: Grant) -> Grant:
        """The grant with newer tokens than it was read with. Errors as in `access`."""
        return (await self._newer(connection, grant.version))[0]

    def forget(self, connection: Connection) -> None:
        """Reads the grant anew for the next call."""
        self._kept.drop(_place(connection))

    async def close(self, within: float = 10.0) -> None:
        """Waits for the posts that are under way: what they bring may be the only valid tokens."""
        if tasks := list(self._under_way.values()):
            await asyncio.wait(tasks, timeout=within)

    async def _newer(self, connection: Connection, version: int) -> tuple[Grant, Access]:
        """A grant beyond this version, and its token. All who ask for one share the look, the
        refresh and the opening."""
        place = _place(connection)
        self._kept.drop(place)
        while True:
            task = joined = self._under_way.get(place)
            if task is None:
                task = asyncio.create_task(self._beyond(connection, version))
                self._under_way[place] = task
                task.add_done_callback(lambda _task: self._under_way.pop(place, None))
                # Whoever waited may be gone by then: an error that nobody fetches is no news.
                task.add_done_callback(lambda done: done.cancelled() or done.exception())
            # A caller that is cancelled must not take the post of the others with it.
            newer = await asyncio.shield(task)
            if joined is None or newer[0].version > version:
                return newer

    async def _beyond(self, connection: Connection, version: int) -> tuple[Grant, Access]:
        grant = await self._read(connection)
        while not (grant.version > version and serves(grant)):
            before, grant = grant, await self._refresh(connection, grant)
            # Or the connection was made again meanwhile, by a grant that may be at its end as well.
            if grant.id == before.id or serves(grant):
                break
        return grant, await self._opened(grant)

    async def _read(self, connection: Connection) -> Grant:
        """The connection's grant as it is now, also if it was connected again meanwhile."""
        whose = {"environment": connection.environment, "tenant": connection.tenant}
        grant = await grants.one(self._db, **whose, id=connection.access_grant)
        if grant is None:
            now = await connections.one(self._db, **whose, id=connection.id)
            if now is not None and now.access_grant != connection.access_grant:
                grant = await grants.one(self._db, **whose, id=now.access_grant)
        if grant is None:
            raise forgotten(connection)
        if grant.state == "dead":
            raise await self._ends.still_dead(connection, grant)
        return grant

    async def _opened(self, grant: Grant) -> Access:
        return Access(
            token=await open_access(self._vault, grant),
            version=grant.version,
            expires_at=grant.expires_at,
        )

    async def _refresh(self, connection: Connection, grant: Grant) -> Grant:
        """Refreshes, or waits for whoever does."""
        page = self._provider(connection.provider)
        window = retry_window(page.auth)
        begun, waited = self._monotonic(), 0
        while True:
            standing = await refreshes.one(self._db, grant)
            open_one = standing is not None and standing.version == grant.version
            if not open_one or standing is None or _may_follow(standing, window):
                intent = await self._begin(connection, grant, page, window)
                if intent is not None:
                    return await self._hold(connection, grant, page, intent)
            elif standing.silent:
                with suppress(Moved):
                    raise await self._ends.ambiguous(connection, grant)
            newer = await self._read(connection)
            if newer.id != grant.id or newer.version > grant.version:
                return newer
            passed = self._monotonic() - begun
            if passed > self._patience:
                raise Unreachable(
                    f"{page.name}: another process has refreshed this token for"
                    f" {passed:.0f} s without an outcome; it is tried again later"
                )
            waited += 1
            await self._sleep(min(max(passed / 20, _QUICKEST), _SLOWEST))

    async def _begin(
        self, connection: Connection, grant: Grant, page: Provider, window: timedelta
    ) -> Intent | None:
        if isinstance(page.auth, OAuth2) and grant.secret is None:
            raise await self._ends.expired(connection, grant)
        return await refreshes.open_intent(
            self._db, grant, owner=self._owner, lease=self._lease, window=window
        )

    async def _hold(
        self, connection: Connection, grant: Grant, page: Provider, intent: Intent
    ) -> Grant:
        """Posts, as the holder of the intent, and stores what comes."""
        keeping = asyncio.create_task(self._keep(grant))
        began = self._monotonic()
        try:
            tokens = await self._post(connection, grant, page, intent)
            self._measures.observe(TOKEN_SECONDS, self._monotonic() - began, page.slug)
            return await self._store(connection, grant, page, intent, tokens)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep(self, grant: Grant) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            with suppress(LandbridgeError):
                await refreshes.keep(self._db, grant, owner=self._owner, lease=self._lease)

    async def _post(
        self, connection: Connection, grant: Grant, page: Provider, intent: Intent
    ) -> Tokens:
        """The tokens of one post; of several, where the provider allows them after a lost answer.

        Before it raises, it leaves the intent as what it then is: taken back, answered without
        tokens, or open with nobody who knows.
        """
        asked = await self._asked(connection, grant, page)
        for tried in range(1, _TRIES + 1):
            failed: Exception | None
            try:
                return await ask(self._client, asked())
            except LandbridgeError as error:
                last = tried == _TRIES
                failed = await self._failed(connection, grant, page, intent, error, last=last)
            if failed is not None:
                raise failed
            await self._sleep(0.5 * 4 ** (tried - 1))
            again = await self._begin(connection, grant, page, retry_window(page.auth))
            if again is None:
                raise OutcomeUnknown(
                    f"{page.name} did not answer, and another process has gone on meanwhile"
                )
            intent = again
        raise AssertionError("unreachable: the last try returns or raises")

    async def _asked(self, connection: Connection, grant: Grant, page: Provider) -> Asked:
        try:
            app = await app_client.of(self._db, environment=grant.environment, id=grant.app)
            return await conversation(
                page.auth, app, self._vault, grant, connection.settings, self._clock
            )
        except Exception:
            await refreshes.unsent(self._db, grant, self._owner)
            raise

    async def _failed(
        self,
        connection: Connection,
        grant: Grant,
        page: Provider,
        intent: Intent,
        error: LandbridgeError,
        *,
        last: bool,
    ) -> LandbridgeError | None:
        """What to raise after a post without tokens; None: the same token may be posted again."""
        if isinstance(error, TokenRefused) and error.dead:
            return await self._ends.refused(connection, grant, intent, error)
        if not isinstance(error, OutcomeUnknown):
            # It was not sent, or used nothing up.
            await refreshes.unsent(self._db, grant, self._owner)
            self._count(page, grant, "error")
            return error
        answered = error.status is not None
        if not answered and _late(intent, retry_window(page.auth)):
            return await self._lost(connection, grant, error)
        if not answered and not last:
            return None
        await refreshes.give_up(self._db, grant, self._owner, answered=answered)
        self._count(page, grant, "unanswered")
        return error

    async def _store(
        self, connection: Connection, grant: Grant, page: Provider, intent: Intent, tokens: Tokens
    ) -> Grant:
        """Stores tokens, for as long as it takes: they may be the only valid ones."""
        until = self._monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                secret, access = await seal_tokens(
                    self._vault,
                    environment=grant.environment,
                    tenant=grant.tenant,
                    grant=grant.id,
                    tokens=tokens,
                    version=grant.version + 1,
                )
                assert access is not None  # an answer without one is no answer
                if not await self._ends.stored(grant, page, intent, tokens, secret, access):
                    await self._superseded(connection, grant, page, tokens)
                return await self._read(connection)
            except (DatabaseUnavailable, Sealed) as error:
                if self._monotonic() > until:
                    self._log.error("refresh.lost", grant=grant.id, error=str(error))
                    raise
                await self._sleep(pause)
                pause = min(pause * 2, 5.0)

    async def _superseded(
        self, connection: Connection, grant: Grant, page: Provider, tokens: Tokens
    ) -> None:
        """Ends tokens that came after their grant was forgotten; no other tokens."""
        self._log.warning("refresh.superseded", grant=grant.id, version=grant.version)
        whose = {"environment": grant.environment, "tenant": grant.tenant}
        if await grants.one(self._db, **whose, id=grant.id) is None:
            with suppress(LandbridgeError):
                app = await app_client.of(self._db, environment=grant.environment, id=grant.app)
                await give_back(
                    self._client, page.auth, app, self._vault, tokens, connection.settings
                )

    async def _lost(
        self, connection: Connection, grant: Grant, error: OutcomeUnknown
    ) -> LandbridgeError:
        """What to raise when an answer is lost that cannot be asked for again."""
        try:
            return await self._ends.ambiguous(connection, grant, self._owner)
        except Moved:
            return error

    def _count(self, page: Provider, grant: Grant, outcome: str) -> None:
        self._measures.count(TOKEN_REFRESHES, grant.environment, page.slug, outcome)


def _place(connection: Connection) -> tuple[str, str, str]:
    return connection.environment, connection.tenant, connection.access_grant


def _late(intent: Intent, window: timedelta) -> bool:
    return intent.now - intent.opened_at >= window


def _may_follow(standing: Intent, window: timedelta) -> bool:
    """Whether another post may follow the one of this intent."""
    return standing.owner == "" or (standing.silent and not _late(standing, window))
