"""Wakes workers after a caller's commit, from any thread, without making the caller wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from landbridge.errors import LandbridgeError
from landbridge.store.database import Database

_LOOK = 0.001
_LONGEST_LOOK = 0.25


class Bell:
    """Rung as often as you like: one NOTIFY is under way at a time, at most one follows it.

    It belongs to the event loop that it is made in. The NOTIFY goes over a connection of our own;
    while it cannot be sent nothing is lost, workers look by themselves several times a second.
    """

    def __init__(self, db: Database, what: str = ""):
        self._db = db
        self.what = what
        """For whom it rings; see `Database.notify`."""
        self._loop = asyncio.get_running_loop()
        self._told = False
        self._again = False
        self._ringing: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("landbridge.bell")

    def ring(self) -> None:
        """Wakes whoever listens, soon; callable from any thread."""
        if self._told:
            return
        self._told = True
        self._soon(self._begin)

    def ring_after(self, over: Callable[[], bool]) -> None:
        """Rings as soon as `over` says that a commit that has begun is over; from any thread."""
        self._soon(lambda: self._look(over, _LOOK))

    async def close(self) -> None:
        """Returns when nothing rings any more."""
        await asyncio.sleep(0)  # what other threads asked for just now
        if self._ringing is not None:
            await self._ringing

    def _soon(self, begin: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(begin)
        except RuntimeError:  # the loop is closed, and the bridge with it: polling finds it
            self._told = False

    def _look(self, over: Callable[[], bool], wait: float) -> None:
        if over():
            self.ring()
        elif wait < _LONGEST_LOOK:
            self._loop.call_later(wait, self._look, over, wait * 1.5)

    def _begin(self) -> None:
        self._told = False
        self._again = True
        if self._ringing is None or self._ringing.done():
            self._ringing = self._loop.create_task(self._run())

    async def _run(self) -> None:
        while self._again:
            self._again = False
            try:
                await self._db.notify(self.what)
            except LandbridgeError as error:
                self._log.info("bell.silent", reason=str(error))
