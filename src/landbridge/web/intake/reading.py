"""Bodies, read within a deadline and a limit, with one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from enum import Enum
from typing import Any

from landbridge.engine.room import Seat

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BODY_DEADLINE = 15.0
"""Seconds in which a webhook's body must have come."""


class Stop(Enum):
    """Why a body was not read to its end."""

    GONE = "the sender went away"
    LATE = "it did not come in time"
    LARGE = "it is larger than the page allows"
    FULL = "there is no room for it now"


class Reader:
    """Reads bodies. A timer per request would cost more than the rest of the reading, so one looks
    after all of them: a body is given up at most `every` seconds after its deadline."""

    def __init__(self, *, deadline: float = BODY_DEADLINE, every: float = 1.0):
        self._deadline = deadline
        self._every = every
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, receive: Receive, seat: Seat, most: int) -> bytes | Stop:
        """The whole body of at most `most` bytes, or why it was given up; the rest is not read."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._ends[task] = loop.time() + self._deadline
        if self._timer is None:
            self._timer = loop.call_later(self._every, self._look_after, loop)
        chunks: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return Stop.GONE
                chunk: bytes = message.get("body", b"")
                if size + len(chunk) > most:
                    return Stop.LARGE
                if not seat.grow(len(chunk)):
                    return Stop.FULL
                size += len(chunk)
                if not message.get("more_body"):
                    return b"".join([*chunks, chunk]) if chunks else chunk
                chunks.append(chunk)
        except asyncio.CancelledError:
            if task not in self._late or task.uncancel() > 0:
                raise  # somebody else wants the request to end
            return Stop.LATE
        finally:
            del self._ends[task]
            self._late.discard(task)

    def _look_after(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, end in self._ends.items():
            if end <= now and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._timer = loop.call_later(self._every, self._look_after, loop) if self._ends else None
