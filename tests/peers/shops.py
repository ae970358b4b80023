"""A shop that receives our webhooks, written with `standardwebhooks` and `svix` alone."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import standardwebhooks
import svix.webhooks
from aiohttp import web

from landbridge import Landbridge
from tests.peers.stage import TENANT, bridge
from tests.rows import RowResult, Trial, row

_WHOSE: dict[str, Any] = {"environment": "test", "tenant": TENANT}
_LIBRARIES: dict[str, Any] = {
    "standardwebhooks": standardwebhooks.Webhook,
    "svix": svix.webhooks.Webhook,
}
_REFUSED = (standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError)


@dataclass
class Shop:
    """Believes what its library verifies with the one secret that it was told, at `/{library}`."""

    secrets: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, set[str]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    url: str = ""

    async def hook(self, request: web.Request) -> web.Response:
        library = request.match_info["library"]
        message, body = request.headers["webhook-id"], await request.read()
        names = {name.lower(): value for name, value in request.headers.items()}
        try:
            _LIBRARIES[library](self.secrets[library]).verify(body, names)
        except _REFUSED:
            self.refused[library] += 1
            return web.Response(status=401)
        if json.loads(body)["type"] == "order.placed":
            self.accepted.setdefault(library, set()).add(message)
        return web.Response(status=204)


@row(
    "P05",
    title="A shop with standardwebhooks or svix alone accepts our deliveries while secrets rotate",
    goal="all accepted, none refused; one with another's secret refuses all",
)
async def shops(trial: Trial) -> RowResult:
    count = trial.size.pick(small=40, medium=1000)
    shop = Shop()
    async with AsyncExitStack() as stack:
        await _open(stack, shop)
        opened = await stack.enter_async_context(bridge())
        endpoints = {library: await _endpoint(opened, shop, library) for library in _LIBRARIES}
        stop = asyncio.Event()
        working = asyncio.create_task(opened.work(stop))
        events = set()
        for number in range(count):
            if number % 10 == 5:  # the shop hears of it five events later
                await _rotate(opened, endpoints)
            if number % 10 == 9:
                await _tell(opened, shop, endpoints)
            events.add(await _emit(opened, number))
            await _settled(shop, events)
            trial.step(number + 1, count)
        pinged = [await _ping(opened, named) for named in endpoints.values()]
        shop.secrets = dict.fromkeys(_LIBRARIES, "whsec_" + "a" * 43 + "=")
        pinged += [await _ping(opened, named) for named in endpoints.values()]
        stop.set()
        await working
    accepted = sum(len(each & events) for each in shop.accepted.values())
    refused = shop.refused.total()
    return RowResult(
        value=f"{accepted} accepted of {2 * count}; {refused - 2} refused;"
        f" with another's secret {pinged.count(False)} of 2 refused",
        holds=accepted == 2 * count and refused == 2 and pinged == [True, True, False, False],
        detail={"accepted": accepted, "refused": refused, "tried": 2 * count},
    )


async def _open(stack: AsyncExitStack, shop: Shop) -> None:
    app = web.Application()
    app.router.add_post("/{library}", shop.hook)
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}"


async def _endpoint(opened: Landbridge, shop: Shop, library: str) -> str:
    made = await opened.endpoints.create(**_WHOSE, url=f"{shop.url}/{library}", scheme="both")
    shop.secrets[library] = made.secret
    return made.endpoint.id


async def _rotate(opened: Landbridge, endpoints: dict[str, str]) -> None:
    for named in endpoints.values():
        await opened.endpoints.rotate_key(named, **_WHOSE, overlap=timedelta())
        await opened.endpoints.rotate_secret(named, **_WHOSE)


async def _tell(opened: Landbridge, shop: Shop, endpoints: dict[str, str]) -> None:
    """The shop gets the newest secret, and the others end."""
    for library, named in endpoints.items():
        shop.secrets[library] = await opened.endpoints.rotate_secret(
            named, **_WHOSE, overlap=timedelta()
        )


async def _emit(opened: Landbridge, number: int) -> str:
    async with opened.transaction() as tx:
        data = {"number": number, "text": "ü\u2028"}
        return str(await opened.emit(tx, "order.placed", data, tenant=TENANT))


async def _settled(shop: Shop, events: set[str]) -> None:
    """Waits until both libraries accepted everything, for five seconds at most."""
    for _ in range(500):
        if all(shop.accepted.get(library, set()) >= events for library in _LIBRARIES):
            return
        await asyncio.sleep(0.01)


async def _ping(opened: Landbridge, named: str) -> bool:
    return (await opened.endpoints.ping(named, **_WHOSE)).delivered
