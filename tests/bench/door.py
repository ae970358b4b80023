"""The webhook intake in a process of its own, as `landbridge serve` serves it; a control puts
another way to commit in its place.

`python -m tests.bench.door OPTIONS`, beside `ours` the only module that knows how Landbridge is put
together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

from landbridge.cli.serve import server_of
from landbridge.engine.receive import set_app_secrets
from landbridge.store import apps
from landbridge.store.arrivals import Arrival
from landbridge.testing.running import address, listening
from tests.bench.ours import ENVIRONMENT, bridge_of
from tests.bench.remote import perform

SECRET = "whsec_bench_0123456789abcdef"


class Commit(Protocol):
    """What the intake awaits between the signature and the answer."""

    async def add(self, item: Arrival) -> None:
        """Returns once it is committed."""


class Door:
    """A server that takes webhooks."""

    def __init__(self, url: str, stack: AsyncExitStack):
        self._url = url
        self._stack = stack

    async def url(self) -> str:
        """The address of an app of the provider Stripe."""
        return self._url

    async def close(self) -> None:
        await self._stack.aclose()


async def open_door(
    *, url: str, key: str, commit: Callable[[str], Awaitable[Commit]] | None = None
) -> Door:
    """The door, open. `commit` makes what takes the place of our group commit."""
    stack = AsyncExitStack()
    bridge = await stack.enter_async_context(bridge_of(url, key))
    if commit is not None:
        put: Any = bridge._open.intake
        put._commit = await commit(url)
    app = await apps.ensure(bridge.db, environment=ENVIRONMENT, provider="stripe")
    await set_app_secrets(bridge.db, bridge.vault, app, [SECRET])
    listener = stack.enter_context(listening(0))
    up = asyncio.Event()
    server = server_of(bridge.asgi(), up.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))

    async def stop() -> None:
        server.should_exit = True
        await serving

    stack.push_async_callback(stop)
    await up.wait()
    return Door(f"{address(listener)}/in/{app.token}", stack)


async def _ours(*, url: str, key: str) -> Door:
    return await open_door(url=url, key=key)


if __name__ == "__main__":
    perform(_ours)
