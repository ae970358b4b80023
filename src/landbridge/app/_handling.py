"""The users' handlers, and the shadows under which they and connections may run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from landbridge.app._writing import Writing
from landbridge.app.settings import Settings
from landbridge.engine import consume
from landbridge.engine.catalogue import EventType
from landbridge.engine.shadows import Shadows
from landbridge.errors import InvalidInput
from landbridge.models import Model
from landbridge.spec import Provider
from landbridge.store.connections import Connection
from landbridge.store.database import Tx
from landbridge.store.shadows import Shadow

M = TypeVar("M", bound=Model)


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
            called = name or f"{function.__module__}.{function.__qualname__}"
            if any(handler.name == called for handler in self._handlers):
                raise InvalidInput(f"name: there is a handler called {called!r} already")
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
        `bridge.on` (or its name), whose pushes are kept. `candidate` is a page, or the name of
        one, that reads the same records beside the current one.
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
        for handler in self._handlers:
            if target in (handler.name, handler.run):
                return handler.name, "handler"
        if not isinstance(target, str):
            raise InvalidInput("target: this function is no handler of this bridge; see bridge.on")
        return target, "connection" if target.startswith("con_") else "provider"
