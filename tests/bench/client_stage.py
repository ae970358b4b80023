"""What the row `client` stands on: a bridge with connections, a bare client, and a server in a
process of its own (`python -m tests.bench.client_stage`)."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httptools
import httpx2
import msgspec

from landbridge import ids
from landbridge.app.bridge import Landbridge
from landbridge.engine.api import Api
from landbridge.spec import ApiKey, Field, OAuth2, Provider, Quota, Resource
from landbridge.store import apps, connections, grants
from landbridge.vault import Kind, LocalKey, Vault, new_key
from tests.bench.remote import perform, remote
from tests.store.databases import fresh_database, migrated_template, shared_server

TOKEN = "bench-" + "t" * 34
BODY = msgspec.json.encode(
    {"data": [{"id": f"thing_{number}", "name": "x" * 64} for number in range(10)]}
)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Left: 99999999\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
_UNSIGNED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
AUTHS: dict[str, ApiKey | OAuth2] = {
    "access token": OAuth2(
        authorize="https://acme.example/auth",
        token="https://acme.example/token",
        scopes={"api": "Everything"},
        refresh_rotates=True,
        access_lives=timedelta(minutes=30),
    ),
    "typed key": ApiKey(fields=[Field(name="key", label="Key", secret=True)]),
}


@dataclass(kw_only=True)
class Stage:
    """An open bridge with the API of a connection for each way to sign in, and a bare client."""

    bridge: Landbridge
    apis: dict[str, Api]
    http: httpx2.AsyncClient
    url: str


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Everything open; the connections sign in with `TOKEN` and nothing has to be fetched."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        database = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        url = await (await stack.enter_async_context(remote("tests.bench.client_stage"))).ask(
            "address"
        )
        key = new_key()
        pages = {sign_in: _page(sign_in) for sign_in in AUTHS}
        bridge = await stack.enter_async_context(
            Landbridge.from_env(
                database_url=database,
                key=key,
                allow_networks="127.0.0.0/8",
                providers=list(pages.values()),
            )
        )
        vault = Vault(bridge.db, LocalKey.from_text(key))
        apis = {name: await _connected(bridge, vault, page, url) for name, page in pages.items()}
        limits = httpx2.Limits(
            max_connections=100, max_keepalive_connections=100, keepalive_expiry=30.0
        )
        http = await stack.enter_async_context(
            httpx2.AsyncClient(
                transport=httpx2.AsyncHTTPTransport(limits=limits),
                follow_redirects=False,
                trust_env=False,
                timeout=30.0,
                headers={"User-Agent": "landbridge"},
            )
        )
        yield Stage(bridge=bridge, apis=apis, http=http, url=url)


def _page(sign_in: str) -> Provider:
    slug = sign_in.replace(" ", "_")
    return Provider(
        slug=slug,
        name=sign_in.title(),
        docs="https://acme.example/docs",
        checked="2026-11-27",
        auth=AUTHS[sign_in],
        base="https://api.acme.example",
        quotas=[
            Quota(limit=1_000_000, per="minute", remaining="X-Left"),
            Quota(limit=100_000_000, per="day"),
        ],
        resources=[Resource(name="thing", path="/things", key="id", records="data")],
    )


async def _connected(bridge: Landbridge, vault: Vault, page: Provider, url: str) -> Api:
    """The API of a connection whose tokens nobody has to fetch."""
    whose: dict[str, Any] = {"environment": bridge.settings.environment, "tenant": "acme"}
    app = await apps.ensure(bridge.db, environment=bridge.settings.environment, provider=page.slug)
    grant = ids.new("grt")
    typed = isinstance(page.auth, ApiKey)
    carried = msgspec.json.encode({"key": TOKEN}) if typed else TOKEN.encode()
    renewed = msgspec.json.encode({"refresh_token": TOKEN})
    async with bridge.db.transaction() as tx:
        await grants.save_tokens(
            tx,
            **whose,
            id=grant,
            app=app.id,
            kind="typed" if typed else "oauth",
            secret=None
            if typed
            else await vault.seal(
                Kind.CREDENTIAL, **whose, place=f"grant/{grant}/secret/1", secret=renewed
            ),
            access=await vault.seal(
                Kind.ACCESS, **whose, place=f"grant/{grant}/access/1", secret=carried
            ),
            expires_at=None,
        )
        connection, _ = await connections.save(
            tx,
            **whose,
            id=ids.new("con"),
            app=app.id,
            access_grant=grant,
            provider=page.slug,
            account="acme",
            account_name="Acme",
            token=apps.new_token(),
            owner="",
            label="",
            settings={"base": url},
        )
    return bridge.api(connection)


class _Answering(asyncio.Protocol):
    """Answers every request that is signed in with the same page of records."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._signed = False

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._signed |= name.lower() == b"authorization" and value == b"Bearer " + TOKEN.encode()

    def on_message_complete(self) -> None:
        self._transport.write(_ANSWER if self._signed else _UNSIGNED)
        self._signed = False


class _Server:
    def __init__(self, listener: socket.socket, serving: asyncio.Server):
        self._listener = listener
        self._serving = serving

    async def address(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    async def close(self) -> None:
        self._serving.close()


async def _server() -> _Server:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    serving = await asyncio.get_running_loop().create_server(_Answering, sock=listener)
    return _Server(listener, serving)


if __name__ == "__main__":
    perform(_server)
