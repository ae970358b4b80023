"""The loop that delivers: claims batches, posts as many at once as pays, settles batches.

It differs from `jobs.Worker` in what a delivery costs: no task, no timer and no statement of its
own. Leases, fences and lanes are the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import structlog

from landbridge.engine.deliver import Deliveries
from landbridge.errors import DatabaseUnavailable
from landbridge.jobs.outcome import where
from landbridge.store import due, parcels
from landbridge.store.database import Database
from landbridge.store.lookout import Lookout
from landbridge.store.parcels import Parcel, Try

T = TypeVar("T")

LANES: Mapping[str, int] = {"deliver": 3500, "retry": 1000, "slow": 750, "replay": 750}
"""How many deliveries of each lane a process holds at a time, 6,000 together."""

_LARGEST_CLAIM = 500
_SMALLEST_CLAIM = 200
_LARGEST_SETTLE = 1000
_NARROWEST = 64
_TICK = 0.02
_IDLE_SHARE = 0.15
_LONGEST_WAIT = 5.0
_GRACE = 2.0
_AGAIN = timedelta(seconds=5)
_LOST = float("-inf")


class Courier:
    """Delivers what is due in its lanes, at most `lanes[lane]` deliveries at a time each.

    `lease` is how long a crashed one's deliveries wait before another takes them. `poll` bounds
    how late something due is noticed when nobody calls `wake`. How many posts are under way grows
    while there is more to do and the processor is idle, so that a fast receiver is served over few
    connections and a slow one over many. While the database is away it waits; posts go on for as
    long as their leases last. None is begun of a delivery whose lease may be over, such as after
    the process was stopped for a while: another worker may have made it.
    """

    def __init__(
        self,
        db: Database,
        owner: str,
        deliveries: Deliveries,
        lanes: Mapping[str, int] = LANES,
        *,
        lease: timedelta = timedelta(seconds=15),
        poll: timedelta = timedelta(milliseconds=250),
        drain: timedelta = timedelta(seconds=20),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        cpu: Callable[[], float] = time.thread_time,
    ):
        self._db = db
        self._owner = owner
        self._deliveries = deliveries
        self._lanes = {name: room for name, room in lanes.items() if room > 0}
        self._lease = lease
        self._poll = poll.total_seconds()
        self._drain = drain.total_seconds()
        self._sleep = sleep
        self._cpu = cpu
        self._lookout = Lookout()
        self._queue: deque[Parcel] = deque()
        self._held: dict[str, Parcel] = {}
        self._busy: Counter[str] = Counter()
        self._posting: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, tuple[asyncio.TimerHandle, Parcel]] = {}
        self._window = _NARROWEST
        self._done: list[Try] = []
        self._asked = True
        self._stirred = asyncio.Event()
        self._filled = asyncio.Event()
        self._crowded = asyncio.Event()
        self._stopping = False
        self._log = structlog.get_logger("landbridge.courier").bind(worker=owner)

    def wake(self) -> None:
        """Looks for deliveries now instead of at the next poll."""
        self._asked = True
        self._stirred.set()

    @property
    def held(self) -> Mapping[str, int]:
        """How many deliveries of each lane it holds at the moment."""
        return {name: self._busy[name] for name in self._lanes}

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop` is set, then lets what is under way end, for at most `drain`.

        What does not end in that time, or was not begun, is given back at no attempt's cost.
        Raises only what no waiting mends, such as a database without our tables.
        """
        halted: asyncio.Task[Any] = asyncio.create_task(stop.wait())
        claiming = asyncio.create_task(self._claim())
        keeping = [
            asyncio.create_task(each) for each in (self._keep(), self._settle(), self._widen())
        ]
        try:
            await asyncio.wait([halted, claiming, *keeping], return_when="FIRST_COMPLETED")
            self._stopping = True
            self._stirred.set()
            await _within(self._drain, [claiming])
            self._give_back()
            await _within(self._drain, self._posting)
            for task in self._posting:
                task.cancel()
            await _within(_GRACE, self._posting)
            settled = asyncio.create_task(self._all_settled())
            await _within(_GRACE, [settled])
            settled.cancel()
        finally:
            crashed = [task.exception() for task in (claiming, *keeping) if task.done()]
            tasks = [halted, claiming, *keeping, *self._posting]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._log.info("courier.stopped", unsettled=sum(self._busy.values()))
        for error in crashed:
            if error is not None:
                raise error

    # Finding deliveries

    async def _claim(self) -> None:
        """Claims in turns from those lanes that have some, and looks for others at each poll."""
        ready: set[str] = set()
        looked = float("-inf")
        while not self._stopping:
            now = time.monotonic()
            self._stirred.clear()
            if self._asked:
                self._asked = False
                ready.add(next(iter(self._lanes)))
            if now - looked >= self._poll:
                looked = now
                ready |= await self._patiently(self._ready) or set()
            took = 0
            for lane in [name for name in self._lanes if name in ready]:
                if (want := self._room(lane)) <= 0:
                    continue
                fresh = await self._patiently(partial(self._take, lane, want)) or []
                took += len(fresh)
                if len(fresh) < want:
                    ready.discard(lane)
                await self._begin(fresh)
            if took:
                continue
            await self._nap()

    async def _ready(self) -> set[str]:
        return await due.ready(self._db, [*self._lanes], self._lookout)

    def _room(self, lane: str) -> int:
        """How many to claim now; nothing rather than a handful, while others are under way."""
        room = min(
            _LARGEST_CLAIM,
            self._lanes[lane] - self._busy[lane],
            max(2 * self._window, _LARGEST_CLAIM) - len(self._queue),
        )
        return 0 if room < min(_SMALLEST_CLAIM, self._lanes[lane] // 4) and self._held else room

    async def _take(self, lane: str, want: int) -> list[Parcel]:
        return await parcels.claim(
            self._db,
            owner=self._owner,
            lane=lane,
            limit=want,
            lease=self._lease,
            lookout=self._lookout,
        )

    async def _begin(self, fresh: Sequence[Parcel]) -> None:
        """Puts what was claimed on its way."""
        if not fresh:
            return
        for each in fresh:
            self._held[each.id] = each
            self._busy[each.lane] += 1
        try:
            begun = await self._patiently(partial(self._deliveries.begin, fresh))
        except Exception as error:  # noqa: BLE001 - told, and they are tried again in a moment
            self._log.error("begin.failed", error=type(error).__name__, where=where(error))
            self._end(Try(parcel=each, state=None, after=_AGAIN) for each in fresh)
            return
        if begun is None:
            self._end(_unbegun(each) for each in fresh)
            return
        self._end(begun.ended)
        self._queue.extend(begun.ready)
        loop = asyncio.get_running_loop()
        for wait, parcel in begun.later:
            timer = loop.call_later(wait, self._later, parcel)
            self._waiting[parcel.id] = timer, parcel
        self._start()

    def _later(self, parcel: Parcel) -> None:
        self._waiting.pop(parcel.id, None)
        self._queue.append(parcel)
        self._start()

    # Posting

    def _start(self) -> None:
        """As many posts at once as the window allows."""
        for _ in range(min(self._window - len(self._posting), len(self._queue))):
            task = asyncio.create_task(self._post())
            self._posting.add(task)
            task.add_done_callback(self._posting.discard)
        if self._queue:
            self._crowded.set()

    async def _post(self) -> None:
        """Posts one after the other as long as some wait."""
        queue, attempt, now = self._queue, self._deliveries.attempt, time.monotonic
        while queue and len(self._posting) <= self._window:
            parcel = queue.popleft()
            if now() >= parcel.held_until:
                self._end([_unbegun(parcel)])
                continue
            try:
                done = await attempt(parcel)
            except asyncio.CancelledError:
                self._end([_unbegun(parcel)])
                raise
            except Exception as error:  # noqa: BLE001 - one delivery's bug is not the others'
                self._log.error(
                    "delivery.broke", id=parcel.id, error=type(error).__name__, where=where(error)
                )
                done = self._deliveries.broken(parcel, type(error).__name__)
            self._done.append(done)
            self._filled.set()

    async def _widen(self) -> None:
        """More posts at once while some wait and the processor has time for more."""
        while True:
            await self._crowded.wait()
            began, used = time.monotonic(), self._cpu()
            await self._sleep(_TICK)
            passed = time.monotonic() - began
            if not self._queue:
                self._crowded.clear()
                self._window = max(_NARROWEST, self._window - self._window // 16)
            elif self._cpu() - used < (1 - _IDLE_SHARE) * passed:
                self._window = min(sum(self._lanes.values()), self._window + self._window // 2)
                self._start()

    # Settling

    def _end(self, tries: Iterable[Try]) -> None:
        self._done.extend(tries)
        if self._done:
            self._filled.set()

    async def _settle(self) -> None:
        """Settles until it is cancelled: as much as gathered while the last batch was written."""
        while True:
            await self._filled.wait()
            batch, self._done = _first_of_each(self._done)
            if not self._done:
                self._filled.clear()
            await self._write(batch)
            for each in batch:
                parcel = each.parcel
                self._busy[parcel.lane] -= 1
                if self._held.get(parcel.id) is parcel:
                    del self._held[parcel.id]
            self._stirred.set()

    async def _write(self, batch: Sequence[Try]) -> None:
        try:
            lost = await self._patiently(
                partial(self._deliveries.settle, self._owner, batch), always=True
            )
        except Exception as error:  # noqa: BLE001 - told, and the lease brings them back
            if len(batch) > 1:
                for each in batch:
                    await self._write([each])
                return
            self._log.error(
                "settle.failed",
                id=batch[0].parcel.id,
                error=type(error).__name__,
                where=where(error),
            )
            return
        for taken in lost or ():
            self._log.warning("delivery.lost", id=taken)

    async def _all_settled(self) -> None:
        while self._held:
            self._stirred.clear()
            await self._stirred.wait()

    # Keeping and giving back

    async def _keep(self) -> None:
        """Renews the leases of what it holds for longer than a moment."""
        third = self._lease.total_seconds() / 3
        while True:
            await self._sleep(third)
            before = time.monotonic() - third / 2
            older = [each for each in self._held.values() if each.held_since <= before]
            until = time.monotonic() + self._lease.total_seconds()
            try:
                held = await due.heartbeat(self._db, self._owner, older, self._lease)
            except DatabaseUnavailable:
                continue
            now = time.monotonic()
            for each in older:
                if each.id not in held:
                    each.held_until = _LOST
                elif now < each.held_until:  # else another may be taking it at this very moment
                    each.held_until = until

    def _give_back(self) -> None:
        """What was not begun goes back at once."""
        self._end([_unbegun(each) for each in self._queue])
        self._queue.clear()
        for timer, parcel in self._waiting.values():
            timer.cancel()
            self._end([_unbegun(parcel)])
        self._waiting.clear()

    async def _patiently(
        self, ask: Callable[[], Awaitable[T]], *, always: bool = False
    ) -> T | None:
        """The database's answer, however long it is away; None once the courier stops."""
        wait = 0.05
        while not self._stopping or always:
            try:
                return await ask()
            except DatabaseUnavailable as error:
                self._log.warning("courier.database_away", error=str(error))
                await self._sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
        return None

    async def _nap(self) -> None:
        """Waits until something is asked for or done, at most until the next poll."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll):
                await self._stirred.wait()


def _unbegun(parcel: Parcel) -> Try:
    return Try(parcel=parcel, state=None)


def _first_of_each(done: list[Try]) -> tuple[list[Try], list[Try]]:
    """A batch in which no row is twice (a row lost and claimed again would be), and the rest."""
    batch = {each.parcel.id: each for each in reversed(done[:_LARGEST_SETTLE])}
    if len(batch) == len(done):
        return done, []
    chosen = set(map(id, batch.values()))
    return list(batch.values()), [each for each in done if id(each) not in chosen]


async def _within(seconds: float, tasks: Iterable[asyncio.Task[Any]]) -> None:
    waiting = list(tasks)
    if waiting:
        await asyncio.wait(waiting, timeout=seconds)
