"""The users' handlers, and the shadows under which they and connections may run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from landbridge.app._writing import Writing
from landbridge.app.settings import Settings
from landbridge.engine import consume
from landbridge.engine.catalogue import EventType
from landbridge.engine.received import (
    Listener,
    Received,
    as_received,
    kinds_meant,
    tell_earlier,
)
from landbridge.engine.shadows import Shadows
from landbridge.errors import InvalidInput
from landbridge.models import Model
from landbridge.spec import Provider
from landbridge.store import inbox
from landbridge.store.connections import Connection
from landbridge.store.database import Tx
from landbridge.store.shadows import Shadow

M = TypeVar("M", bound=Model)

_PAGE = 100


class Handling(Writing):
    """Registers handlers of changes, and keeps writes back."""

    def __init__(
        self,
        settings: Settings,
        *,
        providers: Sequence[Provider] | None = None,
        events: Sequence[EventType] = (),
    ):
        super().__init__(settings, providers=providers, events=events)
        self._handlers: list[consume.Handler] = []
        self._listeners: list[Listener] = []
        self._candidates: dict[str, Provider] = {}

    def on(
        self,
        model: type[M],
        *,
        name: str | None = None,
        timeout: float = 30.0,
        attempts: int = 5,
    ) -> Callable[
        [Callable[[consume.Change[M], Tx], Awaitable[None]]],
        Callable[[consume.Change[M], Tx], Awaitable[None]],
    ]:
        """Registers an async function for each change of a model, from a pull or a webhook.

        It is called at least once per change and in order per record, inside a transaction that
        also commits its place in the feed: write with the `tx` it gets, and make no HTTP calls.
        After `attempts` failures that record is parked and the rest goes on. The place is kept
        under `name`, by default the function's module and name.
        """

        def register(
            function: Callable[[consume.Change[M], Tx], Awaitable[None]],
        ) -> Callable[[consume.Change[M], Tx], Awaitable[None]]:
            called = self._free(name or f"{function.__module__}.{function.__qualname__}")
            self._handlers.append(
                consume.Handler(
                    name=called,
                    model=model,
                    run=function,  # type: ignore[arg-type]  # M is bound by `model`
                    timeout=timeout,
                    attempts=attempts,
                )
            )
            return function

        return register

    def on_received(
        self,
        *kinds: str,
        name: str | None = None,
        timeout: float = 30.0,
        attempts: int = 8,
    ) -> Callable[
        [Callable[[Received, Tx], Awaitable[None]]], Callable[[Received, Tx], Awaitable[None]]
    ]:
        """Registers an async function for each event of these kinds, as webhooks bring them.

        `kinds` mean the same at every provider: `invoice.paid`, or `invoice.*` for several;
        InvalidInput for one that there is not. What the function writes with the `tx` that it gets
        is committed once with the event's place, whatever is killed when; what it does elsewhere
        may happen again, under the same `event.id`. Make no HTTP calls. Events about one record
        come in order, of several records at once.

        One that raises is tried again after 1, 2, 4, ... seconds; after `attempts` failures that
        event is parked, those behind it about the same record wait, and the rest goes on
        (`landbridge parked list --what event`). Whether a process runs or not, events wait for it
        from its first start on, as long as the inbox is kept, under `name`, by default the
        function's module and name.
        """
        if not kinds:
            raise InvalidInput("kinds: name one at least, such as 'invoice.paid' or 'invoice.*'")
        meant = kinds_meant(kinds)

        def register(
            function: Callable[[Received, Tx], Awaitable[None]],
        ) -> Callable[[Received, Tx], Awaitable[None]]:
            called = self._free(name or f"{function.__module__}.{function.__qualname__}")
            self._listeners.append(
                Listener(name=called, kinds=meant, run=function, timeout=timeout, attempts=attempts)
            )
            return function

        return register

    async def received(
        self,
        *kinds: str,
        since: datetime | None = None,
        connection: Connection | str | None = None,
        tenant: str | None = None,
        environment: str | None = None,
    ) -> AsyncIterator[Received]:
        """Events of these kinds (none named: all), the newest first, read in pages as you go.

        `since` is the moment from which on they came. It is for looking: one that is committed
        while you read is not among them. To act on each once, use `on_received`.
        """
        named = connection.id if isinstance(connection, Connection) else connection
        wanted = inbox.Selection(
            environment=environment or self.settings.environment,
            tenant=tenant,
            connection=named,
            kinds=kinds_meant(kinds) or None,
            since=since,
        )
        while True:
            page = await inbox.page(self.db, wanted, most=_PAGE)
            for event in await as_received(self.db, self.provider, page):
                yield event
            if len(page) < _PAGE:
                return
            wanted = replace(wanted, before=page[-1].id)

    async def tell(self, handler: Callable[..., Any] | str, *, since: datetime) -> int:
        """Has a handler of `on_received` told of what came before its first start; how many events.

        `handler` is the function or its name, and has to have run once. From `since` on each event
        of its kinds that the inbox still keeps is handed over once, in order per record, but after
        what it has heard of already: go by `event.occurred_at` where the order counts. Asked again
        it tells only of what is earlier still.
        """
        named = next(
            (one.name for one in self._listeners if handler in (one.run, one.name)), handler
        )
        if not isinstance(named, str):
            raise InvalidInput("handler: this function is none of `on_received` of this bridge")
        return await tell_earlier(self.db, named, since=since)

    def _free(self, name: str) -> str:
        """The name, if no handler has it."""
        if any(name == taken for taken, _ in self._named()):
            raise InvalidInput(f"name: there is a handler called {name!r} already")
        return name

    def _named(self) -> list[tuple[str, object]]:
        """Every handler's name and function."""
        return [
            *((one.name, one.run) for one in self._handlers),
            *((one.name, one.run) for one in self._listeners),
        ]

    @property
    def shadows(self) -> Shadows:
        """Shadows: list, report, promote, stop, and what they kept: replay, discard."""
        return self._open.shadows

    def candidate(self, page: Provider, *, name: str = "") -> str:
        """Gives a page that a shadow may compare with the current one; its name, by default
        `stripe-next` for a page of `stripe`."""
        called = name or f"{page.slug}-next"
        self._candidates[called] = page
        return called

    async def shadow(
        self,
        target: Connection | Provider | Callable[..., Any] | str,
        *,
        hours: float = 48,
        candidate: str | Provider = "",
        **more: Any,
    ) -> Shadow:
        """Keeps writes back from now on: reads run, writes are recorded and answered by us.

        `target` is a connection (or its id), a provider's page (or its slug), or a handler of
        `bridge.on` or `bridge.on_received` (or its name), whose pushes are kept. `candidate` is a
        page, or the name of one, that reads the same records beside the current one.
        After `hours` the shadow is promoted if its rule holds: `threshold` (0.0) is the largest
        share of records in which a field may differ, `errors` (0) how many writes the provider
        would have refused. `auto=False` leaves it to `bridge.shadows.promote`; `writes=False`
        lets writes go out and only compares. `tenant` limits a provider's shadow to one.
        """
        named = candidate if isinstance(candidate, str) else self.candidate(candidate)
        place, kind = self._place_of(target)
        return await self.shadows.start(place, kind, hours=hours, candidate=named, **more)

    def _place_of(
        self, target: Connection | Provider | Callable[..., Any] | str
    ) -> tuple[str, str]:
        if isinstance(target, Connection):
            return target.id, "connection"
        if isinstance(target, Provider):
            return target.slug, "provider"
        for name, run in self._named():
            if target in (name, run):
                return name, "handler"
        if not isinstance(target, str):
            raise InvalidInput("target: this function is no handler of this bridge; see bridge.on")
        return target, "connection" if target.startswith("con_") else "provider"
