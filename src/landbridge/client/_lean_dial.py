"""New connections: only to addresses that passed the guard, or through the proxy."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import cast

from aiohappyeyeballs import start_connection

from landbridge.client._lean_connection import Broken, Connection
from landbridge.client._lean_request import Key, Place
from landbridge.client._lean_tls import Handshake, Layer
from landbridge.client._proxy import Proxy
from landbridge.client.guard import Guard

_REMEMBERED = 10.0
_MOST_NAMES = 4096
_NEXT_ADDRESS_AFTER = 0.25
_LONGEST_CONSENT = 65_536

Make = Callable[[Key, Layer | None], Connection]


class Dialer:
    """Connects by the place's key; what a name leads to is remembered for 10 seconds, and vetted
    again at each connection. `make` gives the protocol that is connected."""

    def __init__(self, guard: Guard, *, tls: ssl.SSLContext, proxy: Proxy | None, make: Make):
        self._guard = guard
        self._tls = tls
        self._proxy = proxy
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._known: dict[tuple[str, int], tuple[float, asyncio.Task[list[str]]]] = {}

    async def dial(self, place: Place) -> Connection:
        """A connection that nothing was sent over. Broken: why there is none; Forbidden and
        Unreachable as the guard says."""
        scheme, host, port = place.key
        layer = Layer(self._tls, host.rstrip(".")) if place.tls else None
        connection = self._make(place.key, layer)
        first: asyncio.Protocol = connection
        handshake = tunnel = None
        if layer is not None:
            first = handshake = Handshake(layer, connection)
        if self._proxy is not None and scheme == "https":
            first = tunnel = Tunnel(host, port, self._proxy, handshake or connection)
        transport = await self._connected(first, host, port)
        try:
            if tunnel is not None:
                await tunnel.done
            if handshake is not None:
                await _shaken(handshake)
        except BaseException:
            transport.abort()
            raise
        return connection

    async def _connected(self, first: asyncio.Protocol, host: str, port: int) -> asyncio.Transport:
        """The transport under it: to the proxy, or to a vetted address of the host."""
        try:
            if self._proxy is not None:
                made, _ = await self._loop.create_connection(
                    lambda: first, self._proxy.host, self._proxy.port
                )
            else:
                addresses = await self._addresses(host, port)
                self._guard.vet(host, addresses)  # the last look: these are connected to
                sock = await start_connection(
                    [_place_of(address, port) for address in addresses],
                    happy_eyeballs_delay=_NEXT_ADDRESS_AFTER,
                )
                made, _ = await self._loop.create_connection(lambda: first, sock=sock)
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "refused"
            raise Broken(f"no connection ({reason})") from error
        return made

    async def _addresses(self, host: str, port: int) -> list[str]:
        """One lookup for all who ask for a name at the same time, and for those soon after."""
        now = self._loop.time()
        until, looking = self._known.get((host, port), (0.0, None))
        if looking is None or until <= now:
            if len(self._known) > _MOST_NAMES:
                self._known = {name: each for name, each in self._known.items() if each[0] > now}
            looking = self._loop.create_task(self._guard.addresses(host, port))
            looking.add_done_callback(_seen)
            self._known[host, port] = (now + _REMEMBERED, looking)
        return await asyncio.shield(looking)

    def close(self) -> None:
        """Ends lookups that nobody waits for."""
        for _, looking in self._known.values():
            looking.cancel()


class Tunnel(asyncio.Protocol):
    """Asks the proxy to connect (RFC 9110 section 9.3.6), then leaves the transport to `then`."""

    def __init__(self, host: str, port: int, proxy: Proxy, then: asyncio.Protocol):
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        more = f"proxy-authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        self._request = f"CONNECT {name} HTTP/1.1\r\nhost: {name}\r\n{more}\r\n".encode("ascii")
        self._then = then
        self._said = b""
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._said += data
        head, end, rest = self._said.partition(b"\r\n\r\n")
        if not end and len(self._said) <= _LONGEST_CONSENT:
            return
        words = head.split(b"\r\n")[0].split(b" ")
        status = words[1] if len(words) > 1 and words[0].startswith(b"HTTP/1.") else b""
        if not (status.isdigit() and len(status) == 3):
            self._fail("the proxy's answer cannot be read")
        elif not status.startswith(b"2") or rest:
            self._fail(f"the proxy did not connect (HTTP {status.decode()})")
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.set_protocol(self._then)
            self._then.connection_made(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._fail("the proxy ended the connection")

    def _fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(Broken(reason))


async def _shaken(handshake: Handshake) -> None:
    try:
        await handshake.done
    except ssl.SSLCertVerificationError as error:
        raise Broken(f"its TLS certificate is not accepted ({error})") from error
    except ssl.SSLError as error:
        raise Broken("no TLS connection could be made") from error


def _place_of(address: str, port: int) -> tuple[int, int, int, str, tuple[str, int]]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)


def _seen(looking: asyncio.Task[list[str]]) -> None:
    """A lookup that failed after its last asker left is no error of ours."""
    if not looking.cancelled():
        looking.exception()
