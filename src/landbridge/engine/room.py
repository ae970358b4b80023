"""What keeps the intake upright under any load: a bound on memory, and no waiting for a database
that is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from landbridge.errors import DatabaseUnavailable, SettingsError

T = TypeVar("T")

MOST_REQUESTS = 5000
MOST_BYTES = 64 * 1024 * 1024

MOST_HEAD = 65_536
"""Bytes of one request's address and headers."""

MOST_HEADERS = 256
"""Headers of one request: small ones cost more memory than their bytes."""

WRONG = (DatabaseUnavailable, SettingsError)
"""What a database that is away raises, and one that is not the right one."""


class Room:
    """How much of what comes in is in memory: requests, and the bytes of their headers and bodies,
    from the first byte read to the answer. Above either limit a request is turned away."""

    __slots__ = ("_most_bytes", "_most_requests", "requests", "size")

    def __init__(self, *, most_requests: int = MOST_REQUESTS, most_bytes: int = MOST_BYTES):
        self._most_requests = most_requests
        self._most_bytes = most_bytes
        self.requests = 0
        self.size = 0

    def enter(self) -> Seat | None:
        """A seat for one request more, which has to `leave` it; None when there is none."""
        if self.requests >= self._most_requests or self.size >= self._most_bytes:
            return None
        self.requests += 1
        return Seat(self)

    def has(self, size: int) -> bool:
        """Whether so many bytes more may come."""
        return self.size + size <= self._most_bytes


class Seat:
    """What one request holds of the room."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room):
        self._room = room
        self._size = 0

    def grow(self, size: int) -> bool:
        """Whether the request may have so many bytes more; if so they are counted."""
        if not self._room.has(size):
            return False
        self._room.size += size
        self._size += size
        return True

    def leave(self) -> None:
        """The request was answered and its body is let go."""
        self._room.requests -= 1
        self._room.size -= self._size


class Gate:
    """Stands before the database, so that nobody waits long for one that is away.

    After a failure the gate is shut for `pause` seconds: every question is refused at once. Then
    one question is let through to see; its answer opens the gate or shuts it again. A question
    that takes longer than `deadline` seconds counts as a failure and is left to end by itself;
    until it has, the gate stays shut. The log has a line when it shuts, and when it opens again.
    """

    def __init__(
        self,
        *,
        deadline: float = 5.0,
        pause: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._deadline = deadline
        self._pause = pause
        self._monotonic = monotonic
        self._away = False
        self._until = 0.0
        self._probing = False
        self._hung: set[asyncio.Task[Any]] = set()
        self._log = structlog.get_logger("landbridge.intake")

    @property
    def shut(self) -> bool:
        """Whether a question would be refused now."""
        if not self._away:
            return False
        return self._probing or bool(self._hung) or self._monotonic() < self._until

    async def ask(self, question: Coroutine[Any, Any, T]) -> T:
        """The question's answer; DatabaseUnavailable at once while the gate is shut."""
        if self.shut:
            question.close()
            raise DatabaseUnavailable("the database is away; try again in a moment")
        probe = self._probing = self._away
        try:
            return await self._in_time(question)
        finally:
            if probe:
                self._probing = False

    async def _in_time(self, question: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(question)
        try:
            await asyncio.wait({task}, timeout=self._deadline)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done():
            self._hung.add(task)
            task.add_done_callback(self._ended)
            late = DatabaseUnavailable("the database does not answer in time; try again")
            self._shut(late)
            raise late
        try:
            answer = task.result()
        except WRONG as error:
            self._shut(error)
            raise
        if self._away:
            self._away = False
            self._log.info("intake.database_back")
        return answer

    def _shut(self, why: Exception) -> None:
        if not self._away:
            self._log.error("intake.database_away", reason=str(why))
        self._away = True
        self._until = self._monotonic() + self._pause

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._hung.discard(task)
        if not task.cancelled():
            task.exception()  # it was answered for long ago; nobody else asks
