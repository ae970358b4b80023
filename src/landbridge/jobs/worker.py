"""Does what is due: any number of these, in any number of processes, over one database."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import structlog

from landbridge import ids
from landbridge.errors import DatabaseUnavailable
from landbridge.jobs.outcome import (
    Cancel,
    Done,
    Ended,
    Outcome,
    Retry,
    Snooze,
    full_jitter,
    of_exception,
    where,
)
from landbridge.jobs.settling import Settle, Settling, settle_each
from landbridge.jobs.wake import listen
from landbridge.measures import JOBS, LEASES_LOST, Measures
from landbridge.store import due
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed, LeaseLost
from landbridge.store.lookout import Lookout

T = TypeVar("T")

_LARGEST_CLAIM = 500
_LONGEST_WAIT = 5.0
_GRACE = 2.0
_UNKNOWN_KIND = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a kind of job does.

    `run` gets the claim and its lease, and says how it ended; an exception is a Retry. `load` is
    given every batch of claims before they start, and what it answers by row id is `lease.loaded`.
    `settle` replaces `settle_each` for this kind, to write more together with the settle; a Retry
    that reaches it has its `at` or `after`. `backoff` is the wait after so many earlier attempts
    (0 after the first), and `retry_lane` where later attempts go. A job that runs longer than
    `timeout` is stopped and tried again; None lets it run as long as its heartbeats come through.
    """

    name: str
    run: Callable[[Claimed, Lease], Awaitable[Outcome]]
    load: Callable[[Sequence[Claimed]], Awaitable[Mapping[str, Any]]] | None = None
    settle: Settle = settle_each
    backoff: Callable[[int], timedelta] | None = None
    retry_lane: str | None = None
    timeout: timedelta | None = None


class Lease:
    """The right to do this job, for as long as nobody took it over."""

    __slots__ = ("_claim", "_owner", "loaded", "lost")

    def __init__(self, owner: str, claim: Claimed):
        self._owner = owner
        self._claim = claim
        self.loaded: Any = None
        """What the kind's `load` found for this row; None without it."""
        self.lost = False
        """Whether another worker is known to have it. The job is cancelled then."""

    async def hold(self, tx: Tx) -> None:
        """Fences a transaction: what it writes counts only if the lease is still ours.

        LeaseLost otherwise; let it pass through, the transaction is then undone.
        """
        await due.hold(tx, self._owner, self._claim)


@dataclass(kw_only=True, slots=True, eq=False)
class _Running:
    claim: Claimed
    lane: _Lane
    lease: Lease
    task: asyncio.Task[None] | None = None
    given_back: bool = False

    @property
    def works(self) -> bool:
        return self.task is not None and not self.task.done()


@dataclass(kw_only=True, slots=True, eq=False)
class _Lane:
    name: str
    concurrency: int
    gather: float = 0.0
    calm: float = 0.0
    looked: float = float("-inf")
    busy: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    freed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def room(self) -> int:
        return self.concurrency - self.busy


def new_owner() -> str:
    """A name for a worker that no other has, now or later: host, process, and something random."""
    return f"{socket.gethostname()}/{os.getpid()}/{ids.new('wrk')[-12:]}"


class Worker:
    """Claims what is due in its lanes and runs it, at most `lanes[lane]` jobs at a time each.

    `lease` is how long a crashed worker's jobs wait before another takes them; it is renewed three
    times as often. `poll` bounds how late something due is noticed when no notification comes
    through; with `listens` False nobody listens for those here, and the caller calls `wake`. A lane
    may `gather` for some seconds between a full claim and the next, which then takes more: where
    jobs wait for others most of their time, that costs them nothing and spares claims. A lane may
    be `calm` for some seconds: it is looked at no more often than that, unless the worker is woken;
    only where wakes can be relied on. While the database is away it waits and tries again; jobs
    that run go on.
    """

    def __init__(
        self,
        db: Database,
        owner: str,
        kinds: Mapping[str, Kind],
        lanes: Mapping[str, int],
        *,
        lease: timedelta = timedelta(seconds=15),
        poll: timedelta = timedelta(milliseconds=250),
        drain: timedelta = timedelta(seconds=20),
        listens: bool = True,
        gather: Mapping[str, float] | None = None,
        calm: Mapping[str, float] | None = None,
        measures: Measures | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ):
        self._db = db
        self._owner = owner
        self._kinds = kinds
        self._lanes = {
            name: _Lane(
                name=name,
                concurrency=room,
                gather=(gather or {}).get(name, 0.0),
                calm=(calm or {}).get(name, 0.0),
            )
            for name, room in lanes.items()
            if room > 0
        }
        self._lease = lease
        self._poll = poll.total_seconds()
        self._drain = drain.total_seconds()
        self._listens = listens
        self._sleep = sleep
        self._chance = chance
        self._lookout = Lookout()
        self._measures = measures or Measures()
        self._running: dict[str, _Running] = {}
        self._woken = asyncio.Event()
        self._stopping = False
        self._settling = Settling(
            db, owner, settled=self._settled, sleep=sleep, measures=self._measures
        )
        self._log = structlog.get_logger("landbridge.jobs").bind(worker=owner)

    def wake(self) -> None:
        """Looks for work now instead of at the next poll."""
        self._woken.set()

    @property
    def held(self) -> Mapping[str, int]:
        """How many jobs of each lane it has claimed and not settled."""
        return {name: lane.busy for name, lane in self._lanes.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then lets what runs end, for at most `drain`.

        What does not end in that time is cancelled and given back at no attempt's cost. Raises
        only what no waiting mends, such as a database without our tables.
        """
        halted = asyncio.create_task(stop.wait())
        serving = [asyncio.create_task(self._serve(lane)) for lane in self._lanes.values()]
        keeping = [
            asyncio.create_task(each)
            for each in (self._watch(), self._listen(), self._keep(), self._settling.run())
        ]
        self._log.info(
            "worker.started", lanes={x.name: x.concurrency for x in self._lanes.values()}
        )
        try:
            await asyncio.wait([halted, *serving, *keeping], return_when="FIRST_COMPLETED")
            self._stopping = True
            for lane in self._lanes.values():
                lane.ready.set()
                lane.freed.set()
            deadline = asyncio.get_running_loop().time() + self._drain
            await _until(deadline, serving)
            await _until(deadline, self._tasks())
            await self._give_back()
            settled = asyncio.create_task(self._settling.drained())
            await _until(asyncio.get_running_loop().time() + _GRACE, [settled])
            settled.cancel()
        finally:
            crashed = [task.exception() for task in (*serving, *keeping) if task.done()]
            await _end([halted, *serving, *keeping, *self._tasks()])
            self._log.info("worker.stopped", unsettled=len(self._running))
        for error in crashed:
            if error is not None:
                raise error

    # Finding work

    async def _listen(self) -> None:
        if self._listens:
            await listen(self._db, lambda _said: self.wake(), sleep=self._sleep)
        await asyncio.Event().wait()

    async def _watch(self) -> None:
        """Sets those lanes going in which something is due and room to start it."""
        clock = asyncio.get_running_loop().time
        while True:
            woken, now = self._woken.is_set(), clock()
            self._woken.clear()
            asked = [
                lane
                for lane in self._lanes.values()
                if lane.room > 0 and (woken or now >= lane.looked + lane.calm)
            ]
            if asked:
                for lane in asked:
                    lane.looked = now
                roomy = [lane.name for lane in asked]
                ask = partial(due.ready, self._db, roomy, self._lookout)
                for name in await self._patiently(ask) or ():
                    self._lanes[name].ready.set()
            await self._either(self._woken.wait(), self._poll)

    async def _serve(self, lane: _Lane) -> None:
        """Claims for one lane: again at once while there is more, else when `_watch` finds some."""
        while not self._stopping:
            await lane.ready.wait()
            lane.ready.clear()
            more = True
            while more and not self._stopping:
                lane.freed.clear()
                if not (want := min(lane.room, _LARGEST_CLAIM)):
                    await lane.freed.wait()
                    continue
                claims = await self._patiently(partial(self._claim, lane, want)) or []
                more = len(claims) == want
                await self._start(lane, claims)
                if more and lane.gather:
                    await self._sleep(lane.gather)

    async def _claim(self, lane: _Lane, want: int) -> list[Claimed]:
        return await due.claim(
            self._db,
            owner=self._owner,
            lanes=[lane.name],
            limit=want,
            per_shard=max(1, want // 8),
            lease=self._lease,
            lookout=self._lookout,
        )

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """The database's answer, however long it is away; None once the worker stops."""
        wait = 0.05
        while not self._stopping:
            try:
                answer = await ask()
            except DatabaseUnavailable as error:
                self._log.warning("worker.database_away", error=str(error))
                await self._either(asyncio.Event().wait(), wait * (0.5 + self._chance() / 2))
                wait = min(wait * 2, _LONGEST_WAIT)
            else:
                if wait > 0.05:
                    self._log.info("worker.database_back")
                return answer
        return None

    # Doing it

    async def _start(self, lane: _Lane, claims: Sequence[Claimed]) -> None:
        fresh = [self._take(lane, claim) for claim in claims]
        by_kind: dict[str, list[_Running]] = {}
        for running in fresh:
            by_kind.setdefault(running.claim.kind, []).append(running)
        for name, group in by_kind.items():
            kind = self._kinds.get(name) or _unknown(name)
            failure = await self._load(kind, group)
            for running in group:
                if failure is None:
                    running.task = asyncio.create_task(self._work(kind, running))
                else:
                    self._ended(kind, running, failure)

    def _take(self, lane: _Lane, claim: Claimed) -> _Running:
        if (older := self._running.get(claim.id)) is not None:
            self._lose(older)
        running = _Running(claim=claim, lane=lane, lease=Lease(self._owner, claim))
        self._running[claim.id] = running
        lane.busy += 1
        return running

    async def _load(self, kind: Kind, group: Iterable[_Running]) -> Outcome | None:
        """Loads for a batch; the outcome of every one of them if that failed."""
        if kind.load is None:
            return None
        try:
            loaded = await kind.load([running.claim for running in group])
        except Exception as error:  # noqa: BLE001 - a failure is an outcome
            self._log.warning("job.load_failed", kind=kind.name, **_why(error))
            return of_exception(error)
        for running in group:
            running.lease.loaded = loaded.get(running.claim.id)
        return None

    async def _work(self, kind: Kind, running: _Running) -> None:
        claim = running.claim
        limit = kind.timeout.total_seconds() if kind.timeout else None
        scope = asyncio.timeout(limit)
        outcome: Outcome
        try:
            async with scope:
                outcome = await kind.run(claim, running.lease)
        except LeaseLost:
            self._lose(running)
            return
        except asyncio.CancelledError:
            if running.lease.lost:
                return
            outcome = Snooze() if running.given_back else Retry(error="it cancelled itself")
        except Exception as error:  # noqa: BLE001 - a failure is an outcome
            if isinstance(error, TimeoutError) and scope.expired():
                outcome = Retry(error=f"stopped after {limit:g} s")
            else:
                outcome = of_exception(error)
            self._log.warning(
                "job.failed", kind=kind.name, id=claim.id, attempt=claim.attempt, **_why(error)
            )
        if isinstance(outcome, Cancel):
            self._log.info("job.cancelled", kind=kind.name, id=claim.id, reason=outcome.reason)
        self._ended(kind, running, outcome)

    # Keeping and giving back

    async def _keep(self) -> None:
        """Renews the leases of all that runs; what turns out to be lost is cancelled."""
        while True:
            await self._sleep(self._lease.total_seconds() / 3)
            asked = list(self._running.values())
            try:
                held = await due.heartbeat(
                    self._db, self._owner, [running.claim for running in asked], self._lease
                )
            except DatabaseUnavailable:
                continue  # the claiming side tells; who holds a lease shows once it is back
            for running in asked:
                if running.claim.id not in held and running.works:
                    self._lose(running)

    def _lose(self, running: _Running) -> None:
        """Somebody else has it: the job is stopped and settles nothing."""
        if not running.lease.lost:
            running.lease.lost = True
            self._measures.count(LEASES_LOST, running.lane.name)
            self._log.warning("job.lost", kind=running.claim.kind, id=running.claim.id)
            self._forget(running)
            if running.task is not None and running.task is not asyncio.current_task():
                running.task.cancel()

    def _ended(self, kind: Kind, running: _Running, outcome: Outcome) -> None:
        if isinstance(outcome, Retry):
            outcome = self._placed(kind, running.claim.attempt, outcome)
        self._measures.count(JOBS, kind.name, _word(outcome))
        self._settling.add(kind.settle, Ended(claim=running.claim, outcome=outcome))

    def _placed(self, kind: Kind, attempt: int, retry: Retry) -> Retry:
        """A retry that says when and where."""
        lane = retry.lane or kind.retry_lane
        if retry.at is not None or retry.after is not None:
            return replace(retry, lane=lane)
        after = kind.backoff(attempt) if kind.backoff else full_jitter(attempt, self._chance)
        return replace(retry, after=after, lane=lane)

    def _settled(self, ended: Ended) -> None:
        running = self._running.get(ended.claim.id)
        if running is not None and running.claim is ended.claim:
            self._forget(running)

    def _forget(self, running: _Running) -> None:
        """Frees its place, which it keeps until it is settled: so nothing piles up in between."""
        if self._running.get(running.claim.id) is running:
            del self._running[running.claim.id]
        running.lane.busy -= 1
        running.lane.freed.set()

    async def _give_back(self) -> None:
        for running in self._running.values():
            if running.works and running.task is not None:
                running.given_back = True
                running.task.cancel()
        await _until(asyncio.get_running_loop().time() + _GRACE, self._tasks())

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [each.task for each in self._running.values() if each.task is not None]

    async def _either(self, event: Coroutine[Any, Any, Any], seconds: float) -> None:
        """Waits for the event, at most this long."""
        nap = asyncio.ensure_future(self._sleep(seconds))
        other = asyncio.create_task(event)
        try:
            await asyncio.wait([nap, other], return_when="FIRST_COMPLETED")
        finally:
            nap.cancel()
            other.cancel()


def _unknown(name: str) -> Kind:
    """Leaves a job alone that only another version of the code knows."""

    async def run(claim: Claimed, _lease: Lease) -> Outcome:
        structlog.get_logger("landbridge.jobs").warning("job.unknown_kind", kind=name, id=claim.id)
        return Snooze(after=_UNKNOWN_KIND, error=f"no worker here knows jobs of the kind {name!r}")

    return Kind(name=name, run=run)


def _word(outcome: Outcome) -> str:
    match outcome:
        case Done():
            return "done"
        case Retry():
            return "retry"
        case Snooze():
            return "snooze"
        case Cancel():
            return "cancel"


def _why(error: BaseException) -> dict[str, str]:
    outcome = of_exception(error)
    return {"error": outcome.error or "", "where": where(error)}


async def _until(deadline: float, tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Waits for all of them, at most until the deadline."""
    left = deadline - asyncio.get_running_loop().time()
    if tasks and left > 0:
        await asyncio.wait(tasks, timeout=left)


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
