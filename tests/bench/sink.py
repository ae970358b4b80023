"""The receiver of the measured deliveries: verifies each one, and is no bottleneck.

A raw protocol over httptools in a process of its own. The endpoint is the number in the path, its
secret is made from that number, and its behaviour is set by `expect`: answer at once, after a
while, or never.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import socket
import time
from typing import Any

import httptools

from tests.bench.remote import perform

_AT = re.compile(rb'"at":(\d+)')
_OK = b"HTTP/1.1 204 No Content\r\n\r\n"
_FORGED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"


def key_of(endpoint: int) -> bytes:
    """The bytes of the secret that signs for an endpoint."""
    return hashlib.sha256(b"endpoint %d" % endpoint).digest()


def secret_of(endpoint: int) -> str:
    """The same as Standard Webhooks write it."""
    return "whsec_" + base64.b64encode(key_of(endpoint)).decode()


class Sink:
    """What came in since the last `expect`."""

    def __init__(self, listener: socket.socket, *, url: str):
        self._listener = listener
        self.url = url
        self.hanging: set[_Connection] = set()
        self._macs: dict[int, Any] = {}
        self._server: asyncio.Server | None = None
        self.in_flight = 0
        self._clear()

    def _clear(self) -> None:
        self.delay = 0.0
        self.hung: frozenset[int] = frozenset()
        self.seen: set[tuple[str, int]] = set()
        self.times: list[tuple[int, float]] = []
        self.verified = self.forged = self.healthy = 0
        self.peak = self.in_flight
        self.last = 0.0
        self.timed = False

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), sock=self._listener, backlog=4096
        )

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self.release()

    async def address(self) -> str:
        """The base URL; an endpoint is its number behind it."""
        return self.url

    async def expect(
        self, *, delay: float = 0.0, hung: list[int] | None = None, timed: bool = False
    ) -> None:
        """Forgets what came, and breaks off what hangs.

        `delay` is in seconds, `hung` endpoints never answer, `timed` keeps how long after the
        body's `at` each delivery came.
        """
        await self.release()
        self._clear()
        self.delay, self.hung, self.timed = delay, frozenset(hung or ()), timed

    async def release(self) -> None:
        """Breaks off the connections that hang, and lets no other hang."""
        self.hung = frozenset()
        for connection in list(self.hanging):
            connection.abort()

    async def report(self) -> dict[str, Any]:
        """Counts; `last` is the monotonic second of the last delivery that was new, `healthy` are
        those of endpoints that do not hang."""
        return {
            "distinct": len(self.seen),
            "healthy": self.healthy,
            "verified": self.verified,
            "forged": self.forged,
            "peak": self.peak,
            "last": self.last,
        }

    async def latencies(self) -> list[tuple[int, float]]:
        """(endpoint, seconds) of each delivery that was new, if they were to be timed."""
        return self.times

    def took(self, path: bytes, headers: dict[bytes, bytes], body: bytes) -> bool:
        """Whether the delivery verifies; counts it."""
        endpoint = int(path[1:])
        mac = self._macs.get(endpoint)
        if mac is None:
            mac = self._macs[endpoint] = hmac.new(key_of(endpoint), digestmod=hashlib.sha256)
        mac, message = mac.copy(), headers[b"webhook-id"]
        mac.update(b"%b.%b." % (message, headers[b"webhook-timestamp"]))
        mac.update(body)
        expected = b"v1," + base64.b64encode(mac.digest())
        if not hmac.compare_digest(expected, headers[b"webhook-signature"]):
            self.forged += 1
            return False
        self.verified += 1
        place = (message.decode(), endpoint)
        if place not in self.seen:
            self.seen.add(place)
            self.healthy += endpoint not in self.hung
            self.last = time.monotonic()
            if self.timed and (found := _AT.search(body)):
                self.times.append((endpoint, self.last - int(found[1]) / 1e9))
        return True


class _Connection(asyncio.Protocol):
    """One keep-alive connection; the client does not pipeline."""

    def __init__(self, sink: Sink):
        self._sink = sink
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.hanging.discard(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def abort(self) -> None:
        self._transport.abort()

    # httptools

    def on_message_begin(self) -> None:
        self._path = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        sink = self._sink
        answer = _OK if sink.took(self._path, self._headers, b"".join(self._body)) else _FORGED
        if sink.hung and int(self._path[1:]) in sink.hung:
            sink.hanging.add(self)
            return
        if not sink.delay:
            self._transport.write(answer)
            return
        sink.in_flight += 1
        sink.peak = max(sink.peak, sink.in_flight)
        asyncio.get_running_loop().call_later(sink.delay, self._later, answer)

    def _later(self, answer: bytes) -> None:
        self._sink.in_flight -= 1
        if not self._transport.is_closing():
            self._transport.write(answer)


async def _sink() -> Sink:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    sink = Sink(listener, url=f"http://127.0.0.1:{listener.getsockname()[1]}")
    await sink.open()
    return sink


if __name__ == "__main__":
    perform(_sink)
