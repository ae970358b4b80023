"""What tests of a provider through the bridge share: consent, what is held, work, a write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import httpx2

from landbridge import Landbridge
from landbridge.models import Model
from landbridge.store.connections import Connection
from tests.plain import PLAIN


class Simulated(Protocol):
    """A simulator with an app that asks for consent."""

    @property
    def url(self) -> str: ...

    @property
    def client_id(self) -> str: ...

    @property
    def client_secret(self) -> str: ...

    @property
    def settings(self) -> dict[str, str]: ...


async def connected(
    bridge: Landbridge, provider: str, sim: Simulated, *, writes: Sequence[str]
) -> dict[str, Connection]:
    """The connections of the simulator's app, which may write these, by their account's name."""
    await bridge.set_client(provider, client_id=sim.client_id, client_secret=sim.client_secret)
    await bridge.enable(provider, writes=writes)
    return await consented(bridge, provider, sim.settings)


async def consented(
    bridge: Landbridge,
    provider: str,
    settings: Mapping[str, str],
    *,
    tenant: str = "acme",
    **more: Any,
) -> dict[str, Connection]:
    """The connections of a consent that the person gives at once, by their account's name."""
    consent = await bridge.begin_consent(
        provider, tenant=tenant, settings=settings, every=None, **more
    )
    async with httpx2.AsyncClient(trust_env=False, verify=PLAIN) as browser:
        answer = await browser.get(consent.url)
    assert answer.status_code == 302, answer.text
    back = answer.headers["location"]
    assert back.startswith(bridge.redirect_uri(provider))
    query = dict(parse_qsl(urlsplit(back).query))
    finished = await bridge.finish_consent(provider, query, consent.browser_token)
    named = {one.connection.account_name: one.connection for one in finished.connected}
    assert len(named) == len(finished.connected)
    return named


@asynccontextmanager
async def working(bridge: Landbridge) -> AsyncIterator[None]:
    """A worker of the bridge, which has ended behind the block."""
    stop = asyncio.Event()
    work = asyncio.create_task(bridge.work(stop))
    try:
        yield
    finally:
        stop.set()
        await work


async def until(done: Callable[[], Awaitable[Any]]) -> Any:
    """The first answer of `done` that says something."""
    for _ in range(400):
        found = await done()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise TimeoutError("it did not come to that")


async def held(bridge: Landbridge, connection: Connection, resource: str) -> dict[str, Any]:
    """The records that the bridge has, by their keys."""
    return {one.key: one async for one in bridge.records(connection, resource)}


async def another(
    bridge: Landbridge, connection: Connection, resource: str, known: Mapping[str, Any]
) -> str:
    """The key of a record that is none of the known ones, as soon as it is held."""

    async def arrived() -> str:
        return next(iter(set(await held(bridge, connection, resource)) - set(known)), "")

    return str(await until(arrived))


async def pushed(
    bridge: Landbridge, to: Connection, model: Model, resource: str, **more: Any
) -> str:
    """The key of the record as which a model that is written comes back."""
    known = await held(bridge, to, resource)
    async with bridge.transaction() as tx:
        await bridge.push(tx, model, to=to, resource=resource, **more)
    return await another(bridge, to, resource, known)
