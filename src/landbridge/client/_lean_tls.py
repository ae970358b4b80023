"""TLS between a connection and its transport, on bytes in memory.

One layer for every event loop, that also begins where a proxy's tunnel is open, and whose bytes go
from the parser's read to the socket's write without a transport in between.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import cast

_PIECE = 65_536


class Layer:
    """One TLS connection: bytes of the network in, plain bytes out, and the other way round."""

    __slots__ = ("_incoming", "_outgoing", "_tls", "ended")

    def __init__(self, context: ssl.SSLContext, name: str):
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self.ended = False
        """Whether the peer has said that nothing more comes."""

    def shaken(self, received: bytes) -> bool:
        """Whether the handshake is over, with these bytes; ssl.SSLError when it failed."""
        self._incoming.write(received)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def pending(self) -> bytes:
        """What TLS itself wants to be sent now; mostly nothing."""
        return self._outgoing.read()

    def sealed(self, plain: bytes | memoryview) -> bytes:
        """These bytes for the network."""
        taken = self._tls.write(plain)
        while taken < len(plain):
            taken += self._tls.write(memoryview(plain)[taken:])
        return self._outgoing.read()

    def opened(self, received: bytes) -> bytes:
        """The plain bytes in these, maybe none yet; ssl.SSLError when they are wrong."""
        tls, incoming = self._tls, self._incoming
        incoming.write(received)
        parts: list[bytes] = []
        try:
            while True:
                part = tls.read(_PIECE)
                if not part:
                    self.ended = True
                    break
                parts.append(part)
                if not incoming.pending and not tls.pending():
                    break
        except ssl.SSLWantReadError:
            pass
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def farewell(self) -> bytes:
        """What to send before closing."""
        with suppress(ssl.SSLError, ValueError):  # it does not wait for the peer's
            self._tls.unwrap()
        return self._outgoing.read()


class Handshake(asyncio.Protocol):
    """Speaks until both sides agree on keys, then leaves the transport to `then`."""

    def __init__(self, layer: Layer, then: asyncio.Protocol):
        self._layer = layer
        self._then = then
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not one by its class
        self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        try:
            shaken = self._layer.shaken(data)
        except ssl.SSLError as error:
            self._transport.write(self._layer.pending())
            self._transport.close()
            self._fail(error)
            return
        if out := self._layer.pending():
            self._transport.write(out)
        if shaken:
            self._transport.set_protocol(self._then)
            self._then.connection_made(self._transport)
            if not self.done.done():
                self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._fail(ssl.SSLError("the peer ended it"))

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
