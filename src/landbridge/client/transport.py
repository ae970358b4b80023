"""The guard under httpx2's pool: it connects only to addresses that were looked at."""

from __future__ import annotations

import select
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from landbridge.client.guard import Guard
from landbridge.errors import Forbidden, Unreachable

_MOST_ADDRESSES = 4


def guarded_pool(
    guard: Guard,
    *,
    tls: ssl.SSLContext | None = None,
    connections: int = 100,
    keep_alive: float = 30.0,
) -> httpcore2.AsyncConnectionPool:
    """A pool that asks the guard for the addresses of a name before connecting.

    The name stays in the Host field and in TLS; only the connection goes to the vetted address.
    Forbidden: the guard refuses the address; httpcore2.ConnectError: the name has no address.
    `connections` is the most at once, `keep_alive` how many seconds an idle one is kept.
    """
    return httpcore2.AsyncConnectionPool(
        ssl_context=tls or httpx2.create_ssl_context(),
        max_connections=connections,
        max_keepalive_connections=connections,
        keepalive_expiry=keep_alive,
        network_backend=_Network(guard),
    )


class _Network(httpcore2.AsyncNetworkBackend):
    """Connects to the vetted addresses of a name, one after the other until one answers."""

    def __init__(self, guard: Guard):
        self._guard = guard
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            addresses = (await self._guard.addresses(host, port))[:_MOST_ADDRESSES]
        except Unreachable as error:
            raise httpcore2.ConnectError(str(error)) from None
        share = None if timeout is None else timeout / len(addresses)
        failed: Exception | None = None
        for address in addresses:
            try:
                made = await self._network.connect_tcp(
                    address,
                    port,
                    timeout=share,
                    local_address=local_address,
                    socket_options=socket_options,
                )
                return _Stream(made)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore2.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        del timeout, socket_options
        raise Forbidden(f"{path} is a socket of this machine, not an address of the internet")

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection that says cheaply whether its peer has ended it.

    The pool asks that of every idle connection at every call, and anyio gathers the addresses of
    both ends for each answer.
    """

    def __init__(self, inner: httpcore2.AsyncNetworkStream):
        self._inner = inner
        self._socket = inner.get_extra_info("socket")
        self._poll = select.poll()
        if self._socket.fileno() >= 0:
            self._poll.register(self._socket.fileno(), select.POLLIN)
        self.read = inner.read  # type: ignore[method-assign]
        self.write = inner.write  # type: ignore[method-assign]
        self.aclose = inner.aclose  # type: ignore[method-assign]

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return self._inner.get_extra_info(info)
        # Closed here, its number may be another connection's by now.
        return self._socket.fileno() < 0 or bool(self._poll.poll(0))
