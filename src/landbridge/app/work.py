"""What a process that works does: the dispatcher, workers for every lane, the users' handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from landbridge.app.kinds import Kinds, order_upkeep
from landbridge.app.opening import Parts
from landbridge.engine import consume
from landbridge.engine.consume import Handler
from landbridge.engine.deliver import delivery_kind
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.push import Pusher
from landbridge.errors import DatabaseUnavailable
from landbridge.jobs import Worker, listen, new_owner
from landbridge.store import changes

LANES: Mapping[str, int] = {
    "deliver": 500,
    "retry": 100,
    "receive": 8,
    "pull": 8,
    "push": 4,
    "system": 1,
}
"""How many jobs of each lane a process runs at a time."""

POLL = 0.25
"""Seconds after which work is found also when no notification came through."""


class Work:
    """Runs until it is told to stop; any number of processes may do so at once."""

    def __init__(self, parts: Parts, handlers: Sequence[Handler], pusher: Pusher):
        self._parts = parts
        self._handlers = handlers
        self._pusher = pusher
        self._log = structlog.get_logger("landbridge.work")

    async def run(self, stop: asyncio.Event, *, lanes: Sequence[str] = ()) -> None:
        """Works in these lanes (none named: in all) until `stop` is set, then drains."""
        db = self._parts.db
        await order_upkeep(db)
        kinds = dict(Kinds(self._parts, self._pusher).table())
        kinds["deliver"] = delivery_kind(self._parts)
        chosen = {name: LANES[name] for name in lanes or LANES}
        worker = Worker(db, new_owner(), kinds, chosen)
        woken = asyncio.Event()
        tasks = [
            asyncio.create_task(worker.run(stop)),
            asyncio.create_task(listen(db, woken.set)),
        ]
        if not lanes:
            dispatcher = Dispatcher(db)
            tasks.append(asyncio.create_task(self._loop(stop, woken, dispatcher.step)))
            tasks += [
                asyncio.create_task(self._consume(stop, handler)) for handler in self._handlers
            ]
        halted = asyncio.create_task(stop.wait())
        await asyncio.wait([halted, *tasks], return_when=asyncio.FIRST_COMPLETED)
