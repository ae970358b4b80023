"""Looks names up, so that strangers' names whose servers hang hold up no other name.

A lookup of the operating system takes a thread for as long as it lasts, and a name whose servers
hang keeps it for up to half a minute. Names that answered in time, names that are new, and names
that lately took long have threads of their own each: what hangs stands in the way of its like.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Literal

_Standing = Literal["known", "new", "slow"]
_Addresses = list[str]

_MOST_NAMES = 20_000


class SystemLookup:
    """Gives the addresses that the operating system knows for a name, in its order of preference.

    There are `threads` for names whose last lookup was quick, as many for names that are new, and
    as many for those of which one took `long` seconds within the last `remembers`. A name is looked
    up once for all who ask at the same time. Any number of event loops may ask.
    """

    def __init__(
        self,
        threads: int = 64,
        *,
        long: float = 1.0,
        remembers: float = 600.0,
        resolve: Callable[..., list[Any]] = socket.getaddrinfo,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._long = long
        self._remembers = remembers
        self._resolve = resolve
        self._monotonic = monotonic
        self._quick: dict[str, None] = {}
        self._slow: dict[str, float] = {}
        self._under_way: dict[tuple[str, int], Future[_Addresses]] = {}
        self._pools: dict[_Standing, ThreadPoolExecutor] = {
            each: ThreadPoolExecutor(threads, thread_name_prefix=f"landbridge-names-{each}")
            for each in ("known", "new", "slow")
        }

    async def __call__(self, host: str, port: int) -> _Addresses:
        """As `socket.getaddrinfo`, each address once."""
        looking = self._under_way.get((host, port))
        if looking is None or looking.done():
            looking = self._pools[self._standing(host)].submit(self._look, host, port)
            self._under_way[host, port] = looking
            looking.add_done_callback(partial(self._over, host, port))
        return await _result(looking)

    def _standing(self, host: str) -> _Standing:
        if self._slow.get(host, 0.0) > self._monotonic():
            return "slow"
        return "known" if host in self._quick else "new"

    def _look(self, host: str, port: int) -> _Addresses:
        began = self._monotonic()
        answered = False
        try:
            found = self._resolve(host, port, type=socket.SOCK_STREAM)
            answered = True
        finally:
            now = self._monotonic()
            self._remember(host, now, quick=now - began < self._long, answered=answered)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _remember(self, host: str, now: float, *, quick: bool, answered: bool) -> None:
        """One step at a time of these dicts is whole, whichever thread does it."""
        if not quick:
            self._quick.pop(host, None)
            if len(self._slow) >= _MOST_NAMES:
                self._slow = {name: until for name, until in [*self._slow.items()] if until > now}
            self._slow[host] = now + self._remembers
        elif answered:
            if len(self._quick) >= _MOST_NAMES:
                for oldest in [*self._quick][: _MOST_NAMES // 2]:
                    self._quick.pop(oldest, None)
            self._quick[host] = None

    def _over(self, host: str, port: int, looking: Future[_Addresses]) -> None:
        if self._under_way.get((host, port)) is looking:
            self._under_way.pop((host, port), None)


async def _result(looking: Future[_Addresses]) -> _Addresses:
    """What it comes to. Who no longer waits ends nothing for the others."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[_Addresses] = loop.create_future()

    def tell() -> None:
        if waiter.done():
            return
        error = looking.exception()
        if error is not None:
            waiter.set_exception(error)
        else:
            waiter.set_result(looking.result())

    def over(_looking: Future[_Addresses]) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(tell)

    looking.add_done_callback(over)
    return await waiter
