"""What connections to our own server may cost before a request is there: memory, files and time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from landbridge.engine.room import MOST_HEAD, MOST_HEADERS

Reason = Literal["late", "large", "crowded"]

_PIPELINED = 16
_LINGER_SECONDS, _LINGER_BYTES = 2.0, 4 * 1024 * 1024
"""Who sends on after a last answer is read so far: closed at once, it would see a reset instead."""
_UNSEEN = object()
_STATUS: dict[Reason, HTTPStatus] = {
    "late": HTTPStatus.REQUEST_TIMEOUT,
    "large": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "crowded": HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """`connections` at a time; `head` bytes of address and headers of each, `heads` of all that
    have not come whole; `deadline` seconds in which they have to come. Trailers count as headers,
    and so does what comes of a body after its answer."""

    connections: int = 10_000
    head: int = MOST_HEAD
    headers: int = MOST_HEADERS
    heads: int = 16 * 1024 * 1024
    deadline: float = 10.0


class Porter:
    """Keeps the connections of one server within bounds. `sweep` is to be called each second.

    Whoever goes beyond them is told so by 408, 431 or 503 and loses the connection; the log has a
    line with the numbers at the next sweep.
    """

    def __init__(
        self, bounds: Bounds | None = None, *, monotonic: Callable[[], float] = time.monotonic
    ):
        self.bounds = bounds or Bounds()
        self.loose = 0
        """Bytes of all heads that have not come whole."""
        self._refused: Counter[Reason] = Counter()
        self._monotonic = monotonic
        self._log = structlog.get_logger("landbridge.serve")

    def protocol(self, **given: Any) -> BoundedProtocol:
        """The protocol of one connection, as uvicorn asks for it."""
        return BoundedProtocol(self, given)

    def sweep(self, connections: Iterable[object]) -> None:
        """Ends the connections that have kept us waiting for too long."""
        now = self._monotonic()
        for each in tuple(connections):
            if isinstance(each, BoundedProtocol):
                each.look(now)
        if self._refused:
            self._log.warning("serve.refused", **{str(why): n for why, n in self._refused.items()})
            self._refused.clear()

    def refused(self, why: Reason) -> None:
        """Counts one for the next line of the log."""
        self._refused[why] += 1


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with bounds. What comes whole in one piece costs a comparison or two."""

    def __init__(self, porter: Porter, given: Mapping[str, Any]):
        super().__init__(**given)
        self.scope = {}  # type: ignore[typeddict-item]  # no request has begun
        self.headers = []
        self._porter = porter
        self._loose = 0
        self._seen: object = _UNSEEN
        self._since = 0.0
        self._ignores = 0

    def connection_made(self, transport: Any) -> None:
        """Takes a connection, if there is room for one more."""
        super().connection_made(cast("asyncio.Transport", _Parting(transport, self._unread)))
        if len(self.connections) > self._porter.bounds.connections:
            self._refuse("crowded")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets what has come of a request."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on; what belongs to no body is counted until the request is whole."""
        if self.transport.is_closing():
            self._ignores += len(data)
            if self._ignores > _LINGER_BYTES:
                self.transport.close()
            return
        cycle = self._cycle()
        held = len(cycle.body) if cycle is not None else 0
        super().data_received(data)
        if self._heading():
            self._count(len(data))
        elif self.cycle.more_body:
            came = len(self.cycle.body) - (held if self.cycle is cycle else 0)
            if came:
                self._forget()
            elif self.cycle is cycle:
                self._count(len(data))
        elif self._loose:
            self._forget()
        if len(self.pipeline) > _PIPELINED:
            self._refuse("crowded")

    def look(self, now: float) -> None:
        """Ends the connection if we have waited for the same request since long before `now`."""
        if not (self._heading() or self.cycle.response_complete):
            self._seen = _UNSEEN
        elif self._seen is not self.scope:
            self._seen, self._since = self.scope, now
        elif now - self._since >= self._porter.bounds.deadline:
            self._refuse("late")

    def _unread(self) -> bool:
        """Whether more of a request is to be expected. Asked when the connection is to be closed;
        what comes is read then, and ignored."""
        if not (self._loose if self._heading() else self.cycle.more_body):
            return False
        self.flow.resume_reading()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        return True

    def _heading(self) -> bool:
        """Whether a request has yet to begin, or its headers have not come whole."""
        return "path" not in self.scope

    def _cycle(self) -> RequestResponseCycle | None:
        """The latest request whose headers came whole; None before the first."""
        return cast("RequestResponseCycle | None", self.cycle)

    def _count(self, size: int) -> None:
        bounds = self._porter.bounds
        self._loose += size
        self._porter.loose += size
        if self._loose > bounds.head or len(self.headers) > bounds.headers:
            self._refuse("large")
        elif self._porter.loose > bounds.heads:
            self._refuse("crowded")

    def _forget(self) -> None:
        self._porter.loose -= self._loose
        self._loose = 0

    def _refuse(self, why: Reason) -> None:
        """Says why, unless an earlier answer is due first, and closes."""
        if self.transport.is_closing():
            return
        self._porter.refused(why)
        cycle = self._cycle()
        if cycle is None or (self._heading() and cycle.response_complete):
            self.transport.write(_answer(_STATUS[why]))
        elif not cycle.response_started and not self._heading():
            cycle.disconnected = True
            cycle.message_event.set()
            self.transport.write(_answer(_STATUS[why]))
        self.transport.close()
        if why != "large":
            self.transport.close()  # nothing is on its way, or others need the place


class _Parting:
    """A transport that is closed in two steps while `unread` says that more comes: `close` ends our
    side, and, called once more, the connection."""

    def __init__(self, transport: asyncio.Transport, unread: Callable[[], bool]):
        self._transport = transport
        self._unread = unread
        self._parting = False
        self.write = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._parting or self._transport.is_closing()

    def close(self) -> None:
        if self._parting or not self._unread():
            self._transport.close()
        elif not self._transport.is_closing():
            self._parting = True
            self._transport.write_eof()


def _answer(status: HTTPStatus) -> bytes:
    again = "retry-after: 5\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else ""
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"{again}content-length: 0\r\nconnection: close\r\n\r\n"
    ).encode()
