"""One connection: a post goes out, an answer comes in, then the next."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Any, cast

import httptools

from landbridge.client._lean_request import Key
from landbridge.client._lean_tls import Layer
from landbridge.client.post import Sent
from landbridge.wire import Headers

_MOST_FIELD_BYTES = 65_536
_MOST_FIELDS = 256
_PIECE = 65_536
_ENDED = "the connection ended before the answer"


class Broken(Exception):
    """No answer that can be used; the text says why."""


class Stale(Broken):
    """A kept connection ended before a byte of this answer came: its peer had let it go."""


Fields = list[tuple[bytes, bytes]]
"""Header fields as they came."""

Freed = Callable[["Connection", Fields], None]
Lost = Callable[["Connection"], None]


class Connection(asyncio.Protocol):
    """Reads at most `cap` bytes of a body. `freed` is told when the next post may have it, `lost`
    when it is gone; one that may not be used again closes itself.

    What an answer takes beyond its body is bounded too: 64 KB or 256 header fields, and then as
    much framing as sixteen bodies of the cap.
    """

    __slots__ = tuple(
        "_answer _began _body _cap _done _extra _fields _freed _head _keep _layer _left _loop _lost"
        " _most _parser _paused _refused _seen _size _status _transport asked born closed kept_for"
        " key until".split()
    )

    def __init__(self, key: Key, *, cap: int, layer: Layer | None, freed: Freed, lost: Lost):
        self.key = key
        self.asked = 0
        """How many posts it has taken."""
        self.kept_for: float | None = None
        """For how many seconds the peer says that it keeps an idle connection."""
        self.born = 0.0
        self.until = 0.0
        self.closed = False
        self._cap = cap
        self._most = 2 * _MOST_FIELD_BYTES + 16 * cap
        self._layer = layer
        self._freed = freed
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Sent] | None = None
        self._left: memoryview | None = None
        self._paused = False
        self._began = 0.0
        self._status = 0
        self._begin()

    def _begin(self) -> None:
        self._fields: Fields = []
        self._body: list[bytes] = []
        self._size = 0
        self._seen = 0
        self._head = True
        self._done = False
        self._extra = False
        self._keep = False
        self._refused = ""

    def ask(self, head: bytes, body: bytes, began: float) -> asyncio.Future[Sent]:
        """The answer to come, timed from `began`; Broken if none does."""
        answer = self._answer = self._loop.create_future()
        self.asked += 1
        self._began = began
        self._begin()
        if self.closed or self._transport is None:
            self._fail(_ENDED)
        elif len(body) <= _PIECE:
            whole = head + body
            self._transport.write(whole if self._layer is None else self._layer.sealed(whole))
        else:
            self._left = memoryview(body)
            self._write(head)
            self._write_on()
        return answer

    def give_up(self, answer: asyncio.Future[Sent] | None) -> None:
        """Closes the connection if it is still this answer that it waits for."""
        if answer is not None and self._answer is answer:
            self.abort()

    def abort(self) -> None:
        """Closes it now, whatever is under way."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Ends an idle connection as its peer would like it."""
        self.closed = True
        if self._transport is not None and not self._transport.is_closing():
            if self._layer is not None:
                self._transport.write(self._layer.farewell())
            self._transport.close()

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes over the transport, TLS being agreed on if there is any."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not one by its class

    def data_received(self, data: bytes) -> None:
        """Reads on in the answer."""
        if self._layer is None:
            self._read(data)
            return
        try:
            plain = self._layer.opened(data)
        except ssl.SSLError:
            self._fail("its answer cannot be read (TLS)")
            return
        if (out := self._layer.pending()) and self._transport is not None:
            self._transport.write(out)
        if plain:
            self._read(plain)
        if self._layer.ended and not self.closed:
            self._end(whole=True)

    def eof_received(self) -> None:
        """Keeps the connection from being used again; the transport closes itself."""
        self.closed = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the answer under way, if any."""
        self._end(whole=exc is None)
        self._left = None
        self._lost(self)

    def pause_writing(self) -> None:
        """Holds the rest of a large body back."""
        self._paused = True

    def resume_writing(self) -> None:
        """Goes on with it."""
        self._paused = False
        self._write_on()

    # What the parser calls

    def on_message_begin(self) -> None:
        """Notes what nobody asked for."""
        self._extra = self._done

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a field of the head; those after a chunked body are not wanted."""
        if self._head:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Knows the status. 1xx is followed by another head (RFC 9110 section 15.2)."""
        if len(self._fields) > _MOST_FIELDS:
            self._refused = f"more than {_MOST_FIELDS} header fields"
        if self._seen > _MOST_FIELD_BYTES:
            size = sum(len(name) + len(value) + 4 for name, value in self._fields)
            if size > _MOST_FIELD_BYTES:
                self._refused = "more than 64 KB of header fields"
        self._head = False
        self._status = self._parser.get_status_code()
        if self._status < 100:
            self._refused = "no status"

    def on_body(self, part: bytes) -> None:
        """Keeps the body up to the cap."""
        room = self._cap - self._size
        if room > 0:
            self._body.append(part if len(part) <= room else part[:room])
        self._size += len(part)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an informational one."""
        if self._status < 200:
            self._head = True
            self._fields = []
        else:
            self._done = True
            self._keep = self._parser.should_keep_alive()

    def _read(self, data: bytes) -> None:
        if self._answer is None:  # nobody asked: it says something, or ends, while it is idle
            self.abort()
            return
        self._seen += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refused = "it changes the protocol"
        except httptools.HttpParserError as error:
            if not self._done:
                self._refused = str(error) or type(error).__name__
            self._extra = True
        if self._done and not self._refused:
            self._finish()
        else:
            self._look()

    def _look(self) -> None:
        """Goes on or not with an answer that is not whole yet."""
        if not self._refused:
            if self._head and self._seen > _MOST_FIELD_BYTES:
                self._refused = "more than 64 KB of header fields"
            elif not self._head and self._size >= self._cap:
                self._finish()
            elif self._seen > self._most:
                self._refused = "far more framing than content"
        if self._refused:
            self._fail(f"its answer cannot be read ({self._refused})")

    def _finish(self) -> None:
        """Hands the answer over; cut off or not, the next post may come only after a whole one."""
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            parts = self._body
            sent = Sent(
                status=self._status,
                headers=_Lazy(self._fields),
                body=parts[0] if len(parts) == 1 else b"".join(parts),
                took=time.monotonic() - self._began,
            )
            answer.set_result(sent)
        if self._done and self._keep and not self._extra and self._left is None and not self.closed:
            self._freed(self, self._fields)
        else:
            self.abort()

    def _end(self, *, whole: bool) -> None:
        """The peer has closed: that is how a body without a length ends, and no other."""
        self.closed = True
        if self._answer is None:
            self.abort()
        elif self._head:
            self._fail(_ENDED)
        elif whole and not _has_length(self._fields):
            self._finish()
        else:
            self._fail("its answer cannot be read (it ended half-way)")

    def _fail(self, reason: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            stale = reason == _ENDED and self.asked > 1 and not self._seen
            answer.set_exception(Stale(reason) if stale else Broken(reason))
        self.abort()

    def _write(self, part: bytes | memoryview) -> None:
        assert self._transport is not None
        self._transport.write(part if self._layer is None else self._layer.sealed(part))

    def _write_on(self) -> None:
        """The rest of a large body, as fast as it is taken; an early answer ends it."""
        while self._left is not None and not self._paused and not self.closed:
            part, rest = self._left[:_PIECE], self._left[_PIECE:]
            self._left = rest if len(rest) else None
            self._write(part)


class _Lazy(Headers):
    """Fields as they were received, made text when somebody looks at them."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Fields):
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        if name not in Headers.__slots__:
            raise AttributeError(name)
        super().__init__(
            [(key.decode("latin-1"), value.decode("latin-1")) for key, value in self._raw]
        )
        return getattr(self, name)


def _has_length(fields: Fields) -> bool:
    return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in fields)


def kept_for(fields: Fields) -> float | None:
    """The seconds in `Keep-Alive: timeout=5`, if that is there and can be read."""
    for name, value in fields:
        if len(name) == 10 and name.lower() == b"keep-alive":
            for part in value.split(b","):
                word, _, number = part.strip().partition(b"=")
                if word.lower() == b"timeout" and number.isdigit():
                    return float(number[:9])
    return None
