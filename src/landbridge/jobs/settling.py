"""Settles what has ended, in batches: as much as gathered while the last one was under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from landbridge.errors import DatabaseUnavailable
from landbridge.jobs.outcome import Cancel, Done, Ended, Retry, Snooze, sentence, where
from landbridge.measures import LEASES_LOST, Measures
from landbridge.store import due
from landbridge.store.database import Database

Settle = Callable[[Database, str, Sequence[Ended]], Awaitable[set[str]]]
"""Settles for an owner and answers with the ids that were its own to settle."""

_LARGEST_BATCH = 1000
_LONGEST_WAIT = 5.0


async def settle_each(db: Database, owner: str, batch: Sequence[Ended]) -> set[str]:
    """Settles the rows and writes nothing else: for kinds that have no `settle` of their own."""
    done: list[due.Claimed] = []
    again: list[due.Again] = []
    for ended in batch:
        claim = ended.claim
        match ended.outcome:
            case Done(after=after) if after is not None and claim.repeat is not None:
                again.append(due.Again(claim=claim, attempt=0, after=after))
            case Done():
                done.append(claim)
            case Cancel():
                done.append(msgspec.structs.replace(claim, repeat=None))
            case Snooze(at=at, after=after, error=error):
                text = None if error is None else sentence(error)
                again.append(
                    due.Again(claim=claim, attempt=claim.attempt, at=at, after=after, error=text)
                )
            case Retry(at=at, after=after, lane=lane, error=error):
                again.append(
                    due.Again(
                        claim=claim,
                        attempt=claim.attempt + 1,
                        at=at,
                        after=after or due.AT_ONCE,
                        lane=lane,
                        error=sentence(error),
                    )
                )
    return await due.settle(db, owner, done, again)


class Settling:
    """A queue of outcomes on their way into the database; they wait while it is away."""

    def __init__(
        self,
        db: Database,
        owner: str,
        *,
        settled: Callable[[Ended], None],
        sleep: Callable[[float], Awaitable[None]],
        measures: Measures,
    ):
        self._db = db
        self._owner = owner
        self._settled = settled
        self._sleep = sleep
        self._measures = measures
        self._queue: list[tuple[Settle, Ended]] = []
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._log = structlog.get_logger("landbridge.jobs").bind(worker=owner)

    def add(self, settle: Settle, ended: Ended) -> None:
        """Queues an outcome; `settled` is called with it once the database has decided on it."""
        self._queue.append((settle, ended))
        self._empty.clear()
        self._filled.set()

    async def drained(self) -> None:
        """Returns when nothing is left to settle."""
        await self._empty.wait()

    async def run(self) -> None:
        """Settles until it is cancelled."""
        while True:
            await self._filled.wait()
            batch, self._queue = _first_of_each(self._queue)
            if not self._queue:
                self._filled.clear()
            for settle in dict.fromkeys(settle for settle, _ in batch):
                await self._settle(settle, [ended for each, ended in batch if each is settle])
            if not self._queue:
                self._empty.set()

    async def _settle(self, settle: Settle, batch: Sequence[Ended]) -> None:
        ours = await self._asked(settle, batch)
        if ours is None and len(batch) > 1:  # one bad outcome must not hold up the others
            for ended in batch:
                await self._settle(settle, [ended])
            return
        for ended in batch:
            if ours is not None and ended.claim.id not in ours:
                self._log.warning("job.lost", kind=ended.claim.kind, id=ended.claim.id)
                self._measures.count(LEASES_LOST, ended.claim.lane)
            self._settled(ended)

    async def _asked(self, settle: Settle, batch: Sequence[Ended]) -> set[str] | None:
        """What the database answered, however long it was away; None if it cannot be settled."""
        wait = 0.05
        while True:
            try:
                return await settle(self._db, self._owner, batch)
            except DatabaseUnavailable as error:
                self._log.warning("settle.database_away", waiting=len(batch), error=str(error))
                await self._sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            except Exception as error:  # noqa: BLE001 - told, and the lease brings the job back
                self._log.error(
                    "settle.failed",
                    kind=batch[0].claim.kind,
                    jobs=[ended.claim.id for ended in batch],
                    error=type(error).__name__,
                    where=where(error),
                )
                return None


def _first_of_each(
    queue: list[tuple[Settle, Ended]],
) -> tuple[list[tuple[Settle, Ended]], list[tuple[Settle, Ended]]]:
    """A batch in which no row is twice (a row lost and claimed again would be), and the rest."""
    batch: dict[str, tuple[Settle, Ended]] = {}
    rest: list[tuple[Settle, Ended]] = []
    for each in queue:
        if len(batch) < _LARGEST_BATCH and each[1].claim.id not in batch:
            batch[each[1].claim.id] = each
        else:
            rest.append(each)
    return list(batch.values()), rest
