"""Whose an intake address is, and by which secrets what comes there is believed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from landbridge.signing import Certified, Scheme, scheme_of
from landbridge.spec import Provider, Webhook
from landbridge.store import apps, connections
from landbridge.store.apps import App
from landbridge.store.connections import Connection
from landbridge.store.database import Database

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """An address that takes webhooks. `secrets` are open: a target lives for seconds only."""

    app: App
    connection: Connection | None
    provider: Provider
    webhook: Webhook
    scheme: Scheme
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Nowhere:
    """An address that takes no webhooks. `app` is set when its first part is right: the connection
    is gone, or has another address by now."""

    app: App | None


class Asks(Protocol):
    """What stands between us and the database: `room.Gate.ask`."""

    async def __call__(
        self, question: Coroutine[Any, Any, Target | Nowhere], /
    ) -> Target | Nowhere:
        """The answer, in time."""
        ...


class Targets:
    """The targets of the addresses that were used lately, each asked for again after `keep`
    seconds; at most 10,000, and as many addresses that lead nowhere."""

    def __init__(
        self,
        db: Database,
        *,
        provider: Callable[[str], Provider],
        secrets: Callable[[App, Connection | None], Awaitable[Sequence[str]]],
        ask: Asks,
        keep: float = 2.0,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._db = db
        self._provider = provider
        self._secrets = secrets
        self._ask = ask
        self._keep = keep
        self._monotonic = monotonic
        self._found: dict[tuple[str, str], tuple[float, Target]] = {}
        self._nowhere: dict[tuple[str, str], tuple[float, Nowhere]] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[Target | Nowhere]] = {}

    def known(self, app_token: str, connection_token: str) -> Target | None:
        """The target of this address if it was asked for a moment ago; nothing is asked."""
        kept = self._found.get((app_token, connection_token))
        return kept[1] if kept and kept[0] > self._monotonic() else None

    async def at(self, app_token: str, connection_token: str) -> Target | Nowhere:
        """The target of this address, or that nothing is received there.

        Many who ask for one address at the same time ask the database once. VaultError: its secrets
        cannot be opened. NotFound: this process was not given the provider's page.
        """
        place = (app_token, connection_token)
        kept = self._nowhere.get(place)
        if kept and kept[0] > self._monotonic():
            return kept[1]
        asking = self._asking.get(place)
        if asking is None:
            asking = asyncio.ensure_future(self._ask(self._look(*place)))
            self._asking[place] = asking
            asking.add_done_callback(lambda task: self._asked(place, task))
        target = await asyncio.shield(asking)
        until = self._monotonic() + self._keep
        if isinstance(target, Nowhere):
            _keep(self._nowhere, place, (until, target))
        else:
            _keep(self._found, place, (until, target))
        return target

    def _asked(self, place: tuple[str, str], task: asyncio.Task[Target | Nowhere]) -> None:
        self._asking.pop(place, None)
        if not task.cancelled():
            task.exception()  # whoever waits for it has it; perhaps nobody does any more

    async def _look(self, app_token: str, connection_token: str) -> Target | Nowhere:
        app = await apps.by_token(self._db, app_token)
        if app is None:
            return Nowhere(app=None)
        connection = None
        if connection_token:
            connection = await connections.by_token(self._db, app=app.id, token=connection_token)
            if connection is None:
                return Nowhere(app=app)
        provider = self._provider(app.provider)
        if provider.webhook is None:
            return Nowhere(app=app)
        return Target(
            app=app,
            connection=connection,
            provider=provider,
            webhook=provider.webhook,
            scheme=_here(scheme_of(provider.webhook.signature), connection),
            secrets=tuple(await self._secrets(app, connection)),
        )


def _here(scheme: Scheme, connection: Connection | None) -> Scheme:
    """The scheme at a connection: one that calls elsewhere, such as a simulator, believes it."""
    base = str(connection.settings.get("base", "")) if connection else ""
    if not base or not isinstance(scheme, Certified):
        return scheme
    parts = urlsplit(base)
    return replace(scheme, also=f"{parts.scheme}://{parts.netloc}")


def well_formed(app_token: str, connection_token: str) -> bool:
    """Whether both can be parts of an intake address; the second may be empty."""
    if not _TOKEN.fullmatch(app_token):
        return False
    return not connection_token or _TOKEN.fullmatch(connection_token) is not None


def _keep(kept: dict[Any, Any], place: tuple[str, str], value: object) -> None:
    """Keeps a value as the newest; above the limit the oldest goes."""
    kept.pop(place, None)
    kept[place] = value
    if len(kept) > _MOST:
        del kept[next(iter(kept))]
