"""What a process that works does: the dispatcher, workers for every lane, the users' handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from landbridge.app.comparing import order_comparing
from landbridge.app.kinds import Kinds, order_upkeep
from landbridge.app.opening import Parts
from landbridge.engine import courier
from landbridge.engine.consume import Handler, consume, join
from landbridge.engine.courier import Courier
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.link import Link
from landbridge.engine.linker import Linker
from landbridge.engine.received import Listener, Telling
from landbridge.errors import DatabaseUnavailable
from landbridge.jobs import Worker, listen, new_owner
from landbridge.measures import IN_FLIGHT, Labels
from landbridge.store import changes
from landbridge.store.database import DELIVER, DISPATCH

LANES: Mapping[str, int] = {
    **courier.LANES,
    "receive": 8,
    "pull": 32,
    "push": 4,
    "consume": 4,
    "inbox": 4,
    "system": 4,
}
"""How many jobs of each lane a process runs at a time."""

GATHER = {"pull": 0.02}
"""Seconds after a full claim of a lane in which ended jobs make room for a larger one."""

CALM = {"pull": 1.0}
"""Seconds between two looks at a lane whose work is ordered for a time, or with a notification."""

POLL = 0.25
"""Seconds after which work is found also when no notification came through."""

_PAUSE = 1.0
_FOR_ALL = frozenset({""})


class Work:
    """Runs until it is told to stop; any number of processes may do so at once."""

    def __init__(
        self,
        parts: Parts,
        handlers: Sequence[Handler],
        links: Mapping[str, Link[Any]],
        listeners: Sequence[Listener] = (),
    ):
        self._parts = parts
        self._telling = Telling(parts.db, listeners, provider=parts.provider)
        self._linker = Linker(
            parts.db,
            links,
            provider=parts.provider,
            environment=parts.settings.environment,
        )
        self._handlers = [*handlers, *self._linker.handlers()]
        self._name = new_owner()
        self._wakes: list[tuple[frozenset[str], Callable[[], None]]] = []
        self._log = structlog.get_logger("landbridge.work")

    async def run(self, stop: asyncio.Event, *, lanes: Sequence[str] = ()) -> None:
        """Works in these lanes (none named: in all) until `stop` is set, then drains.

        The dispatcher and the users' handlers run where no lane is named. Raises what ended one of
        its parts; DatabaseUnavailable ends none, they wait and try again.
        """
        db = self._parts.db
        await self._telling.join()
        await order_upkeep(db)
        await order_comparing(db, self._parts.settings.reconcile_minutes)
        chosen = {name: LANES[name] for name in lanes or LANES}
        if not self._telling.names:
            chosen.pop("inbox", None)
        carried = {name: room for name, room in chosen.items() if name in courier.LANES}
        others = {name: room for name, room in chosen.items() if name not in courier.LANES}
        ended = asyncio.Event()
        tasks = []
        undo = []
        if carried:
            carrier = Courier(self._parts.hot, new_owner(), self._parts.deliveries, carried)
            self._wakes.append((frozenset({"", DELIVER}), carrier.wake))
            tasks.append(asyncio.create_task(carrier.run(ended)))
            undo.append(self._parts.measures.gauge(IN_FLIGHT, partial(_in_flight, carrier)))
        if others:
            worker = Worker(
                self._parts.hot,
                new_owner(),
                Kinds(self._parts, self._linker, self._telling).table(),
                others,
                listens=False,
                gather=GATHER,
                calm=CALM if db.listens else None,
                measures=self._parts.measures,
            )
            self._wakes.append((_FOR_ALL, worker.wake))
            tasks.append(asyncio.create_task(worker.run(ended)))
            undo.append(self._parts.measures.gauge(IN_FLIGHT, partial(_in_flight, worker)))
        if not lanes:
            tasks += [asyncio.create_task(loop) for loop in self._loops(ended)]
        listening = asyncio.create_task(listen(db, self._heard))
        halted = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([halted, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.set()
            self._wake()
            halted.cancel()
            listening.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(halted, listening, return_exceptions=True)
            for each in undo:
                each()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _loops(self, ended: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        dispatcher = Dispatcher(
            self._parts.hot,
            measures=self._parts.measures,
            name=self._name,
            ready=partial(self._wake, DELIVER),
        )
        loops = [self._loop(ended, dispatcher.step, frozenset({"", DISPATCH}))]
        loops += [
            self._loop(ended, self._consumer(handler), _FOR_ALL) for handler in self._handlers
        ]
        if self._linker.links:
            loops.append(self._loop(ended, self._linker.step, _FOR_ALL))
        return loops

    def _consumer(self, handler: Handler) -> Callable[[], Awaitable[bool]]:
        joined: set[str] = set()

        async def step() -> bool:
            passed = 0
            for environment in await changes.environments(self._parts.db):
                if environment not in joined:
                    await join(self._parts.db, [handler], environment=environment)
                    joined.add(environment)
                passed += await consume(self._parts.db, handler, environment=environment)
            return passed > 0

        return step

    async def _loop(
        self, ended: asyncio.Event, step: Callable[[], Awaitable[bool]], called: frozenset[str]
    ) -> None:
        """Steps as long as there is something to do, then waits for a wake-up or the poll."""
        woken = asyncio.Event()
        self._wakes.append((called, woken.set))
        while not ended.is_set():
            woken.clear()
            try:
                moved = await step()
            except DatabaseUnavailable as error:
                self._log.warning("work.waits", reason=str(error))
                await _first(ended, _PAUSE)
                continue
            if not moved:
                await _first(woken, POLL)

    def _heard(self, said: str) -> None:
        """Wakes those whom a notification is for, but for what this process did itself."""
        what, _, name = said.partition(" ")
        if name != self._name:
            self._wake(what)

    def _wake(self, what: str = "") -> None:
        for called, wake in self._wakes:
            if what in called:
                wake()


def _in_flight(of: Courier | Worker) -> Mapping[Labels, float]:
    return {(lane,): count for lane, count in of.held.items()}


async def _first(event: asyncio.Event, seconds: float) -> None:
    """Returns when the event is set, at the latest after these seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
