"""The same posts as `client.sender`, at a fifth of the work: little but a parser and a socket.

Whatever `Sender` promises holds here: addresses that passed the guard, the deadline over the whole
post, the cap on the answer, no redirect, no cookie, no proxy of the environment.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
from collections.abc import Mapping
from typing import Self

from landbridge.client._lean_connection import Broken, Connection, Fields, Stale, kept_for
from landbridge.client._lean_dial import Dialer
from landbridge.client._lean_pool import Pool
from landbridge.client._lean_request import Key, Lines, Place
from landbridge.client._lean_tls import Layer
from landbridge.client._proxy import Proxy
from landbridge.client.guard import Guard
from landbridge.client.post import Sent
from landbridge.errors import Unreachable

_MOST_PLACES = 4096
_SWEEP = 5.0
_CLOSING = 0.01


class LeanSender:
    """Keeps connections open for the next post; use it as `async with LeanSender(guard) as sender`.

    `deadline` is for a whole post, in seconds: name, connection, TLS, answer and its body. Of an
    answer's body at most `body_cap` bytes are read, as they come and undecoded; a longer one ends
    the connection. `connections` is how many posts may be under way, 0: as many as are asked for.
    `idle` is for how many seconds a connection waits for the next post, `kept` how many do.

    A kept connection that turns out to have ended before a byte of the answer came is replaced,
    once: like any second try, the receiver may get the post twice.
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
        idle: float = 50.0,
        kept: int = 4096,
    ):
        self._guard = guard
        self._deadline = deadline
        self._body_cap = body_cap
        self._turns = asyncio.Semaphore(connections) if connections else None
        self._tls = tls
        self._proxy = Proxy.parse(proxy)
        self._pool = Pool(idle=idle, most=kept)
        self._lines = Lines()
        self._places: dict[str, Place] = {}
        self._open: set[Connection] = set()
        self._waiting: dict[asyncio.Future[Sent], float] = {}
        """Posts over kept connections by their deadline; all wait equally long, so in its order."""
        self._alarm: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def open(self) -> int:
        """Connections to receivers that are open, idle ones included."""
        return len(self._open)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        tls = self._tls if self._tls is not None else await asyncio.to_thread(_trusting)
        self._dialer = Dialer(self._guard, tls=tls, proxy=self._proxy, make=self._make)
        return self

    async def __aexit__(self, *ended: object) -> None:
        del ended
        self._loop = None
        for timer in (self._alarm, self._sweeping):
            if timer is not None:
                timer.cancel()
        self._alarm = self._sweeping = None
        self._dialer.close()
        self._pool.close()
        for connection in list(self._open):
            connection.abort()
        for _ in range(10):  # transports end in the loop's next turns
            await asyncio.sleep(0)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        """The answer, whatever its status. Nothing is raised for 3xx, 4xx or 5xx.

        Forbidden: the guard refuses the address. Unreachable: no whole answer came in time; the
        receiver may all the same have got the post. InvalidInput: the URL or a header is wrong.
        """
        if self._loop is None:
            raise RuntimeError("the sender is not open: use it as `async with LeanSender(guard)`")
        place = self._places.get(url) or self._look(url)
        head = self._lines.head(place, headers, len(body))
        began = time.monotonic()
        if self._turns is None and (kept := self._pool.take(place.key, began)) is not None:
            answer = kept.ask(head, body, began)
            self._waiting[answer] = began + self._deadline
            if self._alarm is None:
                self._alarm = self._loop.call_later(self._deadline, self._ring)
            try:
                return await answer
            except Stale:
                pass
            except Broken as error:
                raise Unreachable(f"{place.name}: {error}") from None
            except TimeoutError:
                raise self._late(place) from None
            finally:
                del self._waiting[answer]
                kept.give_up(answer)
        try:
            async with asyncio.timeout(began + self._deadline - time.monotonic()):
                if self._turns is None:
                    return await self._post_anew(place, head, body, began)
                async with self._turns:
                    return await self._post_in_turn(place, head, body, began)
        except TimeoutError:
            raise self._late(place) from None
        except Broken as error:
            raise Unreachable(f"{place.name}: {error}") from None

    async def _post_in_turn(self, place: Place, head: bytes, body: bytes, began: float) -> Sent:
        kept = self._pool.take(place.key, time.monotonic())
        if kept is not None:
            answer = kept.ask(head, body, began)
            try:
                return await answer
            except Stale:
                pass
            finally:
                kept.give_up(answer)
        return await self._post_anew(place, head, body, began)

    async def _post_anew(self, place: Place, head: bytes, body: bytes, began: float) -> Sent:
        connection = await self._connected(place)
        self._open.add(connection)
        connection.born = time.monotonic()
        answer = connection.ask(head, body, began)
        try:
            return await answer
        finally:
            connection.give_up(answer)

    async def _connected(self, place: Place) -> Connection:
        """A new connection; without a descriptor left, those that only wait give theirs."""
        try:
            return await self._dialer.dial(place)
        except Broken as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            if not len(self._pool):
                raise
        self._pool.shrink()
        await asyncio.sleep(_CLOSING)
        return await self._dialer.dial(place)

    def _make(self, key: Key, layer: Layer | None) -> Connection:
        return Connection(key, cap=self._body_cap, layer=layer, freed=self._freed, lost=self._lost)

    def _look(self, url: str) -> Place:
        """Where a URL leads: by the guard, then remembered."""
        place = Place.of(url, self._guard.target(url), self._proxy)
        if len(self._places) >= _MOST_PLACES:
            self._places.clear()
        self._places[url] = place
        return place

    def _late(self, place: Place) -> Unreachable:
        return Unreachable(f"{place.name} gave no whole answer within {self._deadline:g} s")

    def _ring(self) -> None:
        """Ends the posts whose deadline is over, and sets the alarm for the first of the others."""
        self._alarm = None
        if self._loop is None:
            return
        now = time.monotonic()
        for answer, due in self._waiting.items():
            if due > now:
                self._alarm = self._loop.call_later(due - now, self._ring)
                return
            if not answer.done():
                answer.set_exception(TimeoutError())

    def _freed(self, connection: Connection, fields: Fields) -> None:
        if self._loop is None:
            connection.abort()
            return
        if connection.asked == 1:
            connection.kept_for = kept_for(fields)
        self._pool.put(connection, time.monotonic())
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_SWEEP, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        self._pool.sweep(time.monotonic())
        if self._loop is not None and len(self._pool):
            self._sweeping = self._loop.call_later(_SWEEP, self._sweep)

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._pool.forget(connection)


def _trusting() -> ssl.SSLContext:
    """The context of the machine's own certificate authorities, for HTTP/1.1."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
