"""A shop's API that answers as it is told and remembers each request, and clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from aiohttp import web

from landbridge.client import Client, SignIn
from landbridge.client.guard import Guard
from landbridge.client.seams import Access
from landbridge.clock import SystemClock
from landbridge.spec import Accounts, ApiKey, Errors, Field, OAuth2, Provider, Resource
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Vault
from landbridge.wire import Headers, Request

RESOURCE = Resource(
    name="order",
    path="/orders",
    key="id",
    one="/orders/{id}",
    subject="id",
    idempotency="Idempotency-Key",
)
TYPED = Provider(
    slug="shop",
    name="Shop",
    docs="https://shop.example/docs",
    checked="2026-11-26",
    auth=ApiKey(fields=[Field(name="key", label="API key", secret=True)]),
    base="https://shop.example",
    resources=[RESOURCE],
    errors=Errors(
        message="message", code="code", field="field", request_id="request-id", quota="limit"
    ),
)
SIGNED_IN = Provider(
    slug="mill",
    name="Mill",
    docs="https://mill.example/docs",
    checked="2026-11-26",
    auth=OAuth2(
        authorize="https://mill.example/authorize",
        token="https://mill.example/token",
        access_lives=timedelta(minutes=30),
    ),
    accounts=Accounts(path="/accounts", id="id", header="Mill-Account"),
    base="https://mill.example",
    resources=[RESOURCE],
)
KEY = SignIn(credentials={"key": "sk_shop_canary"})


def connected(
    provider: str = "mill", *, id: str = "con_00000000000000000000000001", tenant: str = "acme"
) -> Connection:
    return Connection(
        environment="test",
        tenant=tenant,
        id=id,
        app="app",
        access_grant="grt",
        provider=provider,
        account="account-7",
        account_name="Account 7",
        token="token",
        owner="",
        label="",
        state="active",
        reason="",
        settings={},
        secrets=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@dataclass
class Tokens:
    """Access tokens 1, 2, 3, ...: a refused one is followed by the next."""

    version: int = 1
    refusals: list[int] = field(default_factory=list)

    async def access(self, connection: Connection) -> Access:
        return Access(token=f"AT-{self.version}", version=self.version)

    async def refused(self, connection: Connection, version: int) -> Access:
        self.refusals.append(version)
        self.version = version + 1
        return await self.access(connection)


Reply = Callable[[web.Request], web.StreamResponse] | int


@dataclass
class Shop:
    """What it answers, one after the other, the last one for ever, and what it was asked."""

    url: str = ""
    replies: list[Reply] = field(default_factory=lambda: [200])
    asked: list[tuple[str, str, Headers, bytes]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append((request.method, request.path_qs, Headers(request.headers.items()), body))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, int):
            return web.json_response({}, status=reply)
        return reply(request)


@asynccontextmanager
async def open_shop(*replies: Reply) -> AsyncIterator[Shop]:
    """A shop on a port of its own."""
    shop = Shop(replies=list(replies) or [200])
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", shop.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    shop.url = f"http://{host}:{port}"
    try:
        yield shop
    finally:
        await runner.cleanup()


@asynccontextmanager
async def calling(
    db: Database | None = None, vault: Vault | None = None, **more: Any
) -> AsyncIterator[Client]:
    """A client that never sleeps; without a database unless the test gives one."""

    async def at_once(_seconds: float) -> None: ...

    given = {"clock": SystemClock(), "sleep": at_once, "timeout": 5.0, **more}
    client = Client(
        cast("Database", db), cast("Vault", vault), Guard(allow=["127.0.0.0/8"]), **given
    )
    try:
        yield client
    finally:
        await client.close()


def request(shop: Shop, method: str = "GET", path: str = "/orders/7", **more: Any) -> Request:
    """A request to the shop."""
    return Request(method=method, url=shop.url + path, **more)
