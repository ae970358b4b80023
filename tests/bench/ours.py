"""All that the measurements know of how Landbridge is put together.

`python -m tests.bench.ours OPTIONS` is a worker process: the parts of `landbridge worker`, with a
number of posts at a time that a row may choose.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Any

import structlog

from landbridge.app.bridge import Landbridge
from landbridge.app.settings import load
from landbridge.client.guard import Guard
from landbridge.client.sender import Sender
from landbridge.engine.courier import Courier
from landbridge.engine.deliver import Deliveries
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.emit import prepare
from landbridge.errors import DatabaseUnavailable
from landbridge.jobs import listen, new_owner
from landbridge.signing.standard import sign
from landbridge.spec import Provider
from tests.bench.letters import CALLERS, messages
from tests.bench.remote import perform
from tests.bench.sink import secret_of

ENVIRONMENT = "test"
EVENT = "bench.sent"
_POLL = 0.25


def senders() -> list[str]:
    """The senders there are: the default first."""
    lean = importlib.util.find_spec("landbridge.client.lean")
    return ["aiohttp", "lean"] if lean else ["aiohttp"]


def open_sender(name: str, *, deadline: float = 15.0) -> Any:
    """A sender as the worker uses it; `async with`."""
    guard = Guard(["127.0.0.0/8"])
    if name == "lean":
        lean: Any = importlib.import_module("landbridge.client.lean")
        return lean.LeanSender(guard, deadline=deadline)
    return Sender(guard, deadline=deadline)


def bridge_of(
    url: str, key: str, *, providers: Sequence[Provider] | None = None, **settings: Any
) -> Landbridge:
    """A bridge on the measured database, which may post to this machine."""
    networks = "127.0.0.0/8"
    return Landbridge(
        load(
            database_url=url,
            key=key,
            allow_networks=networks,
            environment=ENVIRONMENT,
            **settings,
        ),
        providers=providers,
    )


async def add_endpoints(url: str, key: str, sink: str, number: int) -> None:
    """Endpoints 0 to `number` - 1 at the sink, each of a tenant of its own."""
    async with bridge_of(url, key) as bridge:
        for place in range(number):
            await bridge.endpoints.create(
                environment=ENVIRONMENT,
                tenant=tenant_of(place),
                url=f"{sink}/{place}",
                secret=secret_of(place),
            )


def tenant_of(endpoint: int) -> str:
    """The tenant that has this endpoint and no other."""
    return f"tenant {endpoint}"


def signed(secret: str, message: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of a post, as a worker makes them."""
    return {"content-type": "application/json", **sign(secret, message, at, body)}


UNDELIVERED = """SELECT (SELECT count(*) FROM landbridge.emitted)
                      + (SELECT count(*) FROM landbridge.due WHERE kind = 'deliver')"""
"""Counts what is not delivered and recorded yet."""

FORGET = """
TRUNCATE landbridge.emitted, landbridge.due, landbridge.endpoint_health, landbridge.line;
UPDATE landbridge.endpoint SET state = 'enabled', slow = false"""
"""Removes what waits and what is held against endpoints, between two measurements."""


class OurWorker:
    """Delivers between `go` and `halt`, as `landbridge worker` does.

    With `posts` it holds that many deliveries at a time, of one endpoint as well as of all.
    """

    def __init__(self, bridge: Landbridge, stack: AsyncExitStack, posts: int | None):
        self._bridge = bridge
        self._stack = stack
        self._posts = posts
        self._halting = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def fill(self, number: int) -> None:
        """Commits a backlog of that many events in bulk: the rows that `bridge.emit` writes."""
        rows = []
        for endpoint, data in messages(number):
            _, _, binds = prepare(EVENT, data, environment=ENVIRONMENT, tenant=tenant_of(endpoint))
            rows.append(binds)
        async with self._bridge.db.transaction() as tx:
            await tx.raw.copy_records_to_table(
                "emitted",
                schema_name=self._bridge.settings.schema_name,
                columns=list(rows[0]),
                records=[tuple(row.values()) for row in rows],
            )

    async def emit(self, number: int) -> None:
        """Emits events by themselves; callers wait for the commit of each before the next."""
        waiting = deque(messages(number))

        async def one_by_one() -> None:
            while waiting:
                endpoint, data = waiting.popleft()
                await self._bridge.emit(EVENT, data, tenant=tenant_of(endpoint))

        await asyncio.gather(*(one_by_one() for _ in range(CALLERS)))

    async def go(self) -> None:
        """Begins to dispatch and deliver."""
        self._halting = asyncio.Event()
        work = self._bridge.work(self._halting) if self._posts is None else self._work(self._posts)
        self._working = asyncio.create_task(work)

    async def check(self) -> None:
        """Raises what ended it before its time."""
        if self._working is not None and self._working.done():
            await self._working

    async def halt(self) -> None:
        """Ends it."""
        self._halting.set()
        if self._working is not None:
            await self._working
            self._working = None

    async def close(self) -> None:
        with suppress(DatabaseUnavailable):
            await self.halt()
        await self._stack.aclose()

    async def _work(self, posts: int) -> None:
        parts = self._bridge._open
        deliveries = Deliveries(parts.db, parts.vault, parts.deliveries._sender, each=posts)
        courier = Courier(parts.db, new_owner(), deliveries, {"deliver": posts, "retry": 100})
        woken = asyncio.Event()

        def wake(_said: str = "") -> None:
            courier.wake()
            woken.set()

        others = [
            asyncio.create_task(listen(parts.db, wake)),
            asyncio.create_task(_dispatch(Dispatcher(parts.db), woken, courier.wake)),
        ]
        try:
            await courier.run(self._halting)
        finally:
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)


async def _dispatch(
    dispatcher: Dispatcher, woken: asyncio.Event, on_moved: Callable[[], None]
) -> None:
    while True:
        woken.clear()
        if await dispatcher.step():
            on_moved()
            continue
        with suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), _POLL)


async def _worker(*, url: str, key: str, sender: str, posts: int | None = None) -> OurWorker:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    stack = AsyncExitStack()
    bridge = await stack.enter_async_context(bridge_of(url, key))
    bridge._open.deliveries._sender = await stack.enter_async_context(open_sender(sender))
    return OurWorker(bridge, stack, posts)


if __name__ == "__main__":
    perform(_worker)
