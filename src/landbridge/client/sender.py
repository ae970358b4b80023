"""Posts to addresses that users chose: through the guard, within a deadline, reading little."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any, Self
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from landbridge.client._proxy import Proxy
from landbridge.client.guard import Guard
from landbridge.client.post import AGENT, Posts, Sent, check_headers
from landbridge.errors import Unreachable
from landbridge.wire import Headers

__all__ = ["Posts", "Sender", "Sent"]

_MOST_PLACES = 4096


class Sender:
    """Keeps connections open for the next post; use it as `async with Sender(guard) as sender`.

    `deadline` is for a whole post, in seconds: name, connection, TLS, answer and its body. Of an
    answer's body at most `body_cap` bytes are read, as they come and undecoded; a longer one ends
    the connection. No redirect is followed, no cookie kept, no proxy of the environment used, only
    the one that is named: `http://host:port`. It looks up names itself, so that the guard then
    judges no more than the URL.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        deadline: float = 15.0,
        body_cap: int = 16_384,
        connections: int = 0,
        tls: ssl.SSLContext | None = None,
        proxy: str = "",
    ):
        self._guard = guard
        self._deadline = deadline
        self._body_cap = body_cap
        self._connections = connections
        self._tls = tls
        self._proxy = Proxy.parse(proxy)
        self._via: dict[str, Any] = {}
        self._places: dict[str, tuple[URL, str]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._sockets: WeakSet[socket.socket] = WeakSet()

    @property
    def open(self) -> int:
        """Connections to receivers that are open, idle ones included; through a proxy not known."""
        return sum(each.fileno() >= 0 for each in self._sockets)

    async def __aenter__(self) -> Self:
        proxy = self._proxy
        if proxy is not None:
            self._via["proxy"] = URL.build(scheme="http", host=proxy.host, port=proxy.port)
            if proxy.authorization:
                self._via["proxy_headers"] = {"proxy-authorization": proxy.authorization}
        connector = aiohttp.TCPConnector(
            resolver=_Vetted(self._guard) if proxy is None else None,
            socket_factory=self._socket if proxy is None else None,
            limit=self._connections,
            ttl_dns_cache=10,
            ssl=self._tls or True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=self._deadline),
            headers={"user-agent": AGENT, "accept-encoding": "identity"},
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        """The answer, whatever its status. Nothing is raised for 3xx, 4xx or 5xx.

        Forbidden: the guard refuses the address. Unreachable: no whole answer came in time; the
        receiver may all the same have got the post. InvalidInput: the URL or a header is wrong.
        """
        if self._session is None:
            raise RuntimeError("the sender is not open: use it as `async with Sender(guard)`")
        check_headers(headers)
        place, host = self._places.get(url) or self._look(url)
        if place.scheme == "http" and "proxy_headers" in self._via:
            headers = {**headers, **self._via["proxy_headers"]}
        began = time.monotonic()
        try:
            async with self._session.post(
                place, data=body, headers=headers, allow_redirects=False, **self._via
            ) as response:
                read = await self._read(response)
        except TimeoutError:
            raise Unreachable(f"{host} gave no whole answer within {self._deadline:g} s") from None
        except aiohttp.ClientError as error:
            raise Unreachable(f"{host}: {_reason(error)}") from None
        return Sent(
            status=response.status,
            headers=Headers(response.headers.items()),
            body=read,
            took=time.monotonic() - began,
        )

    def _look(self, url: str) -> tuple[URL, str]:
        """The URL and its host: by the guard, then remembered."""
        host = self._guard.target(url).host
        if len(self._places) >= _MOST_PLACES:
            self._places.clear()
        self._places[url] = found = (URL(url), host)
        return found

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body up to the cap. aiohttp ends the connection if there is more."""
        parts: list[bytes] = []
        size = 0
        while size < self._body_cap:
            part = await response.content.read(self._body_cap - size)
            if not part:
                break
            parts.append(part)
            size += len(part)
        return b"".join(parts)

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        """The socket of a connection: the last look at where it goes, whoever named the place."""
        family, kind, protocol, _, place = address
        self._guard.vet(str(place[0]), [str(place[0])])
        made = socket.socket(family=family, type=kind, proto=protocol)
        self._sockets.add(made)
        return made


class _Vetted(AbstractResolver):
    """Gives aiohttp only addresses that passed the guard. It is not asked for literal ones."""

    def __init__(self, guard: Guard):
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family  # the guard gives what the name has
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._guard.addresses(host, port)
        ]

    async def close(self) -> None:
        """Nothing is kept open."""


def _reason(error: aiohttp.ClientError) -> str:
    """Why no answer came, in words that name no secret: a URL's path and query may hold one."""
    if isinstance(error, aiohttp.InvalidURL):
        return "its URL cannot be used"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy did not connect (HTTP {error.status})"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its TLS certificate is not accepted ({error.certificate_error})"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "no TLS connection could be made"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({error.strerror or 'refused'})"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return "the connection ended before the answer"
    return f"its answer cannot be read ({type(error).__name__})"
