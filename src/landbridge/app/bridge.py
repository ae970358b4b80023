"""Landbridge as a user's application holds it: one object with every verb."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Self, TypeVar

from landbridge import ids
from landbridge.app import opening
from landbridge.app._consenting import Consenting
from landbridge.app._linking import Linking
from landbridge.app.connecting import Connecting
from landbridge.app.settings import Settings, load
from landbridge.app.work import Work
from landbridge.client import Client
from landbridge.clock import Clock, SystemClock
from landbridge.engine.api import Api
from landbridge.engine.catalogue import EventType
from landbridge.engine.connect import Connected, base_of, connect
from landbridge.engine.custom import Custom
from landbridge.engine.disconnect import Disconnected, disconnect
from landbridge.engine.endpoints import Endpoints
from landbridge.engine.erase import Erasures
from landbridge.engine.export import Batch, export
from landbridge.engine.now import pull_now
from landbridge.engine.pull import Puller, Totals, stream_of
from landbridge.engine.receive import Intake, set_connection_secrets
from landbridge.engine.reconcile import Reconciled
from landbridge.engine.remap import Remapped
from landbridge.engine.replay import replay
from landbridge.engine.replays import Replays
from landbridge.engine.revoke import Revoked, revoke_all
from landbridge.engine.schedules import Syncs
from landbridge.engine.sessions import ConnectSession, Wanted, open_session
from landbridge.engine.withdraw import withdraw
from landbridge.errors import InvalidInput, NotFound, SettingsError
from landbridge.models import Model
from landbridge.spec import Provider, can_pull
from landbridge.store import connections, due, records, syncs
from landbridge.store.connections import Connection
from landbridge.store.parked import Parked
from landbridge.store.records import Stored
from landbridge.vault import Vault
from landbridge.web import (
    ASGI,
    checked_texts,
    connect_app,
    exposition,
    intake_app,
    metrics_app,
    site,
)

M = TypeVar("M", bound=Model)


class Landbridge(Linking, Consenting):
    """The integration layer of an application.

    Make one with `from_env`, then either mount it (`lifespan`, `asgi`) or enter it
    (`async with bridge:`). Everything that needs the database works only in between.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        providers: Sequence[Provider] | None = None,
        events: Sequence[EventType] = (),
        clock: Clock | None = None,
    ):
        super().__init__(settings, providers=providers, events=events)
        self._clock = clock or SystemClock()
        self._stack: AsyncExitStack | None = None
        self._serves = False

    def __repr__(self) -> str:
        return f"Landbridge(environment={self.settings.environment})"

    @classmethod
    def from_env(
        cls,
        *,
        providers: Sequence[Provider] | None = None,
        events: Sequence[EventType] = (),
        **overrides: Any,
    ) -> Landbridge:
        """A bridge by the LANDBRIDGE_... variables; `overrides` stand above them.

        `providers` limits it to these pages; without it every provider we know may be connected.
        `events` is the catalogue: with it only these types are emitted, with data that fits them.
        SettingsError names the variable that is wrong.
        """
        return cls(load(**overrides), providers=providers, events=events)

    # Opening and closing

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            raise SettingsError("this bridge is open already; use one bridge per process")
        stack = AsyncExitStack()
        try:
            self._parts = await opening.open_parts(
                stack,
                self.settings,
                clock=self._clock,
                measures=self.measures,
                provider=self.provider,
                base=self._base,
                serves=self._serves,
                candidates=self._candidates,
                codes=self._codes,
            )
            await self._publish()
        except BaseException:
            self._parts = None
            await stack.aclose()
            raise
        self._stack = stack
        return self

    async def __aexit__(self, *_: object) -> None:
        stack, self._stack, self._parts = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    @asynccontextmanager
    async def lifespan(self, _app: object = None, *, work: bool = True) -> AsyncIterator[None]:
        """Opens the bridge for as long as the host application runs; compose it with the host's.

        With `work` this process also does what is due (pulls, deliveries, handlers); set it to
        False where separate `landbridge worker` processes do that.
        """
        async with self:
            stop = asyncio.Event()
            working = asyncio.create_task(self.work(stop)) if work else None
            try:
                yield
            finally:
                stop.set()
                if working is not None:
                    await working

    def asgi(self) -> ASGI:
        """The ASGI app to mount: webhook intake under `/in/`, the connect pages under `/connect`,
        large bodies under `/bodies/`, health under `/health`, and with LANDBRIDGE_METRICS_TOKEN the
        metrics under `/metrics`. LANDBRIDGE_PUBLIC_URL is the address that it is mounted at.

        Called before the bridge is opened, as hosts do that mount it, it also keeps connections to
        the database for webhooks and health, which workers and handlers cannot take.
        """
        self._serves = True
        token = self.settings.metrics_token
        metrics = metrics_app(self.metrics, token=token) if token else None
        return site(
            intake=self._intake,
            health=self.health,
            bodies=lambda: self.db,
            connect=self.connect_app(),
            metrics=metrics,
        )

    def intake(self) -> ASGI:
        """Only the webhook intake, so that no middleware of the host wraps it."""
        self._serves = True
        return intake_app(self._intake)

    def connect_app(self, *, texts: Mapping[str, str] | None = None) -> ASGI:
        """Only the connect pages, `/connect/...` and `/connect.js`.

        `texts` replace English ones (`landbridge.web.connect.texts.TEXTS` has them all); those of a
        session stand above them. InvalidInput for a text that there is not.
        """
        self._serves = True
        desk = Connecting(parts=lambda: self._open, codes=lambda: self._codes).desk(
            self.settings.public_url, self.offered
        )
        return connect_app(desk, texts=checked_texts(texts or {}))

    async def work(self, stop: asyncio.Event, *, lanes: Sequence[str] = ()) -> None:
        """Does what is due until `stop` is set, then lets running work end.

        `lanes` limits it to these; handlers and the dispatcher run where none is named.
        """
        work = Work(self._open, self._handlers, self._declared, self._listeners)
        await work.run(stop, lanes=lanes)

    async def health(self) -> None:
        """Returns when the database answers; raises DatabaseUnavailable when it does not."""
        await due.depth(self._open.front)

    async def metrics(self) -> bytes:
        """This process's numbers as Prometheus reads them; those of the database are read anew, at
        most once in five seconds, and are missing while it is away."""
        await self._open.gauges.refresh()
        return exposition(self.measures)

    # Connections and their records

    async def connect(
        self,
        provider: str,
        *,
        tenant: str,
        credentials: Mapping[str, str],
        settings: Mapping[str, str] | None = None,
        webhook_secret: str | None = None,
        owner: str = "",
        label: str = "",
        every: timedelta | None = timedelta(minutes=5),
        environment: str | None = None,
    ) -> Connected:
        """Connects a tenant's account with typed-in credentials and orders its first pull.

        `settings` are the connection's own, such as `url` for a CalDAV server. `webhook_secret`
        is what the provider signs with at this connection's own intake address.
        """
        connected = await connect(
            self.db,
            self._open.vault,
            self._open.client,
            self.provider(provider),
            environment=environment or self.settings.environment,
            tenant=tenant,
            credentials=credentials,
            settings=settings or {},
            owner=owner,
            label=label,
            every=every,
        )
        if webhook_secret is not None:
            await self.set_webhook_secrets(connected.connection, [webhook_secret])
        await self.db.notify()
        return connected

    async def connect_session(
        self,
        *,
        tenant: str,
        providers: Sequence[str] = (),
        environment: str | None = None,
        **more: Any,
    ) -> ConnectSession:
        """A short-lived token and address with which a tenant's browser connects its accounts.

        `providers` limits it to these. `more` takes `connection` (reconnect this one), `origin`
        (of your application: it may show the page in a frame and is told the result), `return_to`,
        `name`, `owner`, `label`, `texts`, `settings` by provider and `minutes` (30), as
        `engine.sessions.Wanted` has them.
        """
        checked_texts(more.get("texts", {}))
        return await open_session(
            self.db,
            Wanted(tenant=tenant, providers=providers, **more),
            environment=environment or self.settings.environment,
            public=self.settings.public_url,
            known=self.provider,
        )

    async def set_webhook_secrets(self, connection: Connection, secrets: Sequence[str]) -> None:
        """Replaces the secrets that a connection's webhooks may be signed with."""
        await set_connection_secrets(self.db, self._open.vault, connection, secrets)

    async def intake_url(self, connection: Connection) -> str:
        """The address that the provider of this connection posts its webhooks to."""
        return await self._open.intake_url(connection)

    async def connection(self, id: str, *, environment: str | None = None) -> Connection:
        """The connection with this id; NotFound if there is none in the environment."""
        where = environment or self.settings.environment
        found = await connections.by_id(self.db, environment=where, id=id)
        if found is None:
            raise NotFound(
                f"{id!r} is no connection in the environment {where!r};"
                " see them with: landbridge connections list"
            )
        return found

    async def _anew(self, connection: Connection) -> Connection:
        """The connection as it is now: what its tenant added may have changed since."""
        return await self.connection(connection.id, environment=connection.environment)

    async def connections(
        self, *, tenant: str | None = None, environment: str | None = None
    ) -> list[Connection]:
        """The connections of an environment, oldest first; of one tenant if it is named."""
        where = environment or self.settings.environment
        return await connections.every(self.db, environment=where, tenant=tenant)

    async def pull(
        self,
        connection: Connection,
        resources: Sequence[str] = (),
        on_progress: Callable[[str, Totals], None] | None = None,
    ) -> dict[str, Totals]:
        """Pulls these resources (none named: all that can be) now, one after the other.

        Runs in this process under the workers' own leases: while a worker pulls a resource, this
        waits for its turn. `on_progress` gets a resource's name and its totals after each page.
        Raises what stopped a pull; pages that were pulled before are kept.
        """
        connection = await self._anew(connection)
        provider = self.page(connection)
        named = [provider.resource(name).name for name in resources]
        done: dict[str, Totals] = {}
        for name in named or [one.name for one in provider.resources if can_pull(one)]:
            watch = partial(on_progress, name) if on_progress else lambda _totals: None
            done[name] = await pull_now(self.db, self._open.puller, connection, name, on_page=watch)
        return done

    async def remap(
        self,
        connection: Connection,
        resources: Sequence[str] = (),
        on_progress: Callable[[str, Remapped], None] | None = None,
    ) -> dict[str, Remapped]:
        """Reads what is stored of these resources (none named: all) by their mappings of now.

        No call is made. Where the unified form differs a change is told. Workers do this by
        themselves when a mapping changed; here it is done in this process.
        """
        connection = await self._anew(connection)
        page = self.page(connection)
        named = [page.resource(name).name for name in resources]
        if not named:
            those = await syncs.every(
                self.db,
                environment=connection.environment,
                tenant=connection.tenant,
                connection=connection.id,
            )
            named = [name for name, _ in those]
        done: dict[str, Remapped] = {}
        for name in named:
            watch = partial(on_progress, name) if on_progress else lambda _done: None
            done[name] = await self._open.remapping.now(connection, name, on_part=watch)
        return done

    def api(self, connection: Connection) -> Api:
        """The provider's API for a connection: `get`, `post`, `put`, `patch`, `delete` by path, and
        `records`, `create`, `update`, `delete` by models."""
        provider = self.page(connection)
        return Api(
            self.db,
            self._open.client,
            self._open.pusher,
            provider,
            connection,
            base=self._base(provider, connection),
            clock=self._clock,
        )

    async def reconcile(self, connection: Connection, **more: Any) -> Reconciled:
        """Compares this connection's webhooks with the provider's list of events now, and takes in
        what never came. `more` takes `since`, `dry_run` and `on_page`, as in `Reconciler.now`."""
        return await self._open.reconciler.now(connection, **more)

    async def disconnect(self, connection: Connection) -> Disconnected:
        """Ends a connection: revokes its tokens at the provider, forgets its credentials, cancels
        what waits for it. Records stay. `.provider` says what the provider did.

        Other processes may call for two seconds more, with what they read before."""
        page = self.provider(connection.provider)
        ask = partial(withdraw, self.db, self._open.vault, self.client, page)
        ended = await disconnect(self.db, connection, withdraw=ask)
        self.client.forget(connection)
        self._open.refresher.forget(connection)
        return ended

    async def revoke_all(
        self,
        provider: str,
        *,
        rate: float = 10.0,
        progress: Callable[[int, int], object] = lambda _done, _total: None,
    ) -> Revoked:
        """Ends every connection of a provider in this environment, as after a breach: each grant is
        revoked there, at most `rate` a second. A second call goes on, or tries again what failed.
        """
        page = self.provider(provider)
        return await revoke_all(
            self.db,
            partial(withdraw, self.db, self._open.vault, self.client, page),
            environment=self.settings.environment,
            provider=page.slug,
            rate=rate,
            progress=progress,
        )

    async def replay(self, stopped: Parked) -> str:
        """Does a parked thing again and says what came of it; a change needs its handler here."""
        return await replay(self.db, self._open.puller, self._handlers, stopped)

    async def records(
        self, connection: Connection, resource: str, *, deleted: bool = False
    ) -> AsyncIterator[Stored]:
        """The records of a resource in the order of their keys, read in pages as you go."""
        chosen = self.page(await self._anew(connection)).resource(resource)
        stream = stream_of(connection, chosen.name)
        after = ""
        while True:
            page = await records.read(self.db, stream, after=after, most=500, deleted=deleted)
            for record in page:
                yield record
            if len(page) < 500:
                return
            after = page[-1].key

    async def export(
        self,
        connection: Connection,
        resource: str,
        *,
        since: int | None = None,
        deleted: bool = False,
        anew: bool = False,
    ) -> AsyncIterator[Batch]:
        """The records of a resource in batches, each with the number to go on from (`next`).

        With `since`, the `next` of an earlier export, those that changed, also deleted ones. With
        `deleted` a whole export has these too. When the feed of changes does not reach back to
        `since`, or has none since the resource is kept raw: InvalidInput, or with `anew` a whole
        export. `landbridge.exporting` makes files of batches, and a resource for dlt.
        """
        chosen = self.page(await self._anew(connection)).resource(resource)
        if since is not None and chosen.maps is None:
            if not anew:
                raise InvalidInput(
                    f"since: {resource} is kept raw, so that its changes have no numbers; export it"
                    " whole"
                )
            since, deleted = None, True
        stream = stream_of(connection, chosen.name)
        async for batch in export(self.db, stream, since=since, deleted=deleted, anew=anew):
            yield batch

    @property
    def endpoints(self) -> Endpoints:
        """The addresses that tenants want events at: create, list, disable, enable, delete."""
        return self._open.endpoints

    @property
    def syncs(self) -> Syncs:
        """How often each resource of a connection is pulled: list, every, pause, resume; and what
        is loaded beside that: backfill, backfills, cancel."""
        return Syncs(self.db, environment=self.settings.environment, provider=self.provider)

    @property
    def custom(self) -> Custom:
        """Fields, objects and codes of tenants: list, set, remove; suggest and check codes."""
        return Custom(self.db, provider=self.provider, codes=self._codes)

    @property
    def replays(self) -> Replays:
        """Past events, delivered again: create, list, pause, resume, cancel."""
        return Replays(self.db, environment=self.settings.environment)

    @property
    def erasures(self) -> Erasures:
        """Orders to erase a tenant or a person: what each would take, and their reports."""
        return Erasures(self.db, environment=self.settings.environment)

    async def erase(
        self, *, tenant: str, subject: str | None = None, environment: str | None = None
    ) -> ids.ErasureId:
        """Orders that all we keep of a tenant is erased, or of one person (`subject`) of it.

        Gives the id of the report, for `bridge.erasures.get`; a worker does it. Nothing undoes it.
        """
        return await self.erasures.order(tenant=tenant, subject=subject, environment=environment)

    # Parts

    @property
    def vault(self) -> Vault:
        """Where secrets are sealed and opened."""
        return self._open.vault

    @property
    def client(self) -> Client:
        """The HTTP client for providers."""
        return self._open.client

    @property
    def puller(self) -> Puller:
        """Runs pulls of one resource at a time."""
        return self._open.puller

    def _intake(self) -> Intake:
        return self._open.intake

    def _base(self, provider: Provider, connection: Connection) -> str:
        return base_of(provider, connection.settings, connection.account)
