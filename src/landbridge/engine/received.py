"""Hands inbox events to the user's handlers: in order per record, each committed with its place.

Events wait in lines (`store.listeners`), which a worker goes through by due rows. Each event is
handed over in a transaction that also takes it out of its line: a handler that raises, a worker
that is killed and a commit that fails all leave it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from landbridge.engine.consume import reason_of
from landbridge.engine.held import Holding, holding
from landbridge.engine.sort import as_sent, notices
from landbridge.errors import (
    DatabaseUnavailable,
    InvalidInput,
    NotFound,
    RecordError,
    did_you_mean,
)
from landbridge.jobs import Done, Kind, Lease, Outcome, Retry, Snooze
from landbridge.jobs.outcome import where
from landbridge.spec import EVENT_KINDS, Provider, topic_matches
from landbridge.store import apps, arrivals, due, listeners, parked, shadows
from landbridge.store.arrivals import InboxEvent
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from landbridge.store.listeners import Head, Line
from landbridge.store.parked import Parked, Stop

_ELSEWHERE = timedelta(seconds=1)
_BUSY = timedelta(milliseconds=250)
_LONGEST = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Received:
    """An event that a webhook brought, or that reconciling found, as handlers get it."""

    id: str
    """Ours, `inb_...`; the same each time that this event is handed over."""
    environment: str
    tenant: str
    provider: str
    connection: str
    """The connection's id. It may be disconnected by now."""
    kind: str
    """What it means at any provider, such as `invoice.paid`; see `landbridge inbox kinds`."""
    topic: str
    """What the vendor calls it."""
    vendor_id: str
    """The vendor's id of the event; where one told of two things, the second has `/` and its kind
    behind."""
    resource: str
    """Of the provider's page; empty where the object is none that is pulled."""
    key: str
    """The vendor's id of the object that it is about; empty where it names none."""
    subject: str | None
    """The vendor's id of the customer, where the event says it."""
    occurred_at: datetime | None
    """When it happened, by the vendor."""
    received_at: datetime | None
    source: str
    """`webhook`, or `reconcile` for one that never came and was found."""
    object: Any
    """The copy of the object that came along, as the vendor has it; None where none did."""
    body: Any
    """The event as the vendor sent it; None once its bytes are not kept any more."""


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A function of the user's that is called for each event of some kinds."""

    name: str
    """What waits for it is kept under this name: a renamed one is a new one."""
    kinds: Sequence[str]
    run: Callable[[Received, Tx], Awaitable[None]]
    timeout: float = 30.0
    """Seconds for one event."""
    attempts: int = 8
    """How often a failing event is tried before it is parked."""


class _Failed(Exception):
    """A handler raised; out of its transaction, where a TimeoutError would mean the database."""

    def __init__(self, error: Exception):
        super().__init__(str(error))
        self.error = error


def kinds_meant(patterns: Sequence[str]) -> tuple[str, ...]:
    """The kinds of events that these words and patterns mean, such as `invoice.*`.

    InvalidInput for one that means none, with the nearest and all that there are.
    """
    meant: dict[str, None] = {}
    for pattern in patterns:
        found = [kind for kind in EVENT_KINDS if topic_matches(pattern, kind)]
        if not found:
            raise InvalidInput(
                f"kind: {pattern!r} is no kind of event.{did_you_mean(pattern, list(EVENT_KINDS))}"
                f" There are: {', '.join(EVENT_KINDS)} (landbridge inbox kinds)"
            )
        meant |= dict.fromkeys(found)
    return tuple(meant)


async def as_received(
    db: Database, provider: Callable[[str], Provider], events: Sequence[InboxEvent]
) -> list[Received]:
    """Inbox events of one environment with what came along, in their order."""
    if not events:
        return []
    where = events[0].environment
    names = sorted({event.arrival for event in events})
    kept = {one.id: one for one in await arrivals.load(db, environment=where, arrivals=names)}
    slugs: dict[str, str] = {}
    for app in {event.app for event in events}:
        found = await apps.by_id(db, environment=where, id=app)
        slugs[app] = found.provider if found else ""
    return [
        _received(event, slugs[event.app], kept.get(event.arrival), provider) for event in events
    ]


def _received(
    event: InboxEvent,
    slug: str,
    arrival: arrivals.Arrival | None,
    provider: Callable[[str], Provider],
) -> Received:
    came = None
    webhook = provider(slug).webhook if slug else None
    if arrival is not None and webhook is not None:
        try:
            told = notices(as_sent(webhook, arrival), arrival.body)
        except RecordError:  # its bytes were erased, or the page reads them otherwise by now
            told = []
        came = next((one for one in told if one.vendor_id == event.vendor_id), None)
    return Received(
        id=event.id,
        environment=event.environment,
        tenant=event.tenant,
        provider=slug,
        connection=event.connection,
        kind=event.kind,
        topic=event.topic,
        vendor_id=event.vendor_id,
        resource=event.resource,
        key=event.key,
        subject=event.subject,
        occurred_at=event.occurred_at,
        received_at=event.created_at,
        source=event.source,
        object=came.object if came else None,
        body=came.sent if came else None,
    )


class Telling:
    """What a worker does with lines of events. `kind()` goes into its table of kinds."""

    def __init__(
        self,
        db: Database,
        those: Sequence[Listener],
        *,
        provider: Callable[[str], Provider],
    ):
        self._db = db
        self._those: Mapping[str, Listener] = {one.name: one for one in those}
        self._provider = provider
        self._log = structlog.get_logger("landbridge.inbox")

    def kind(self) -> Kind:
        """The kind of due rows that lines are gone through by."""
        return Kind(name=listeners.KIND, run=self.run)

    @property
    def names(self) -> Sequence[str]:
        """The handlers that this process has."""
        return list(self._those)

    async def join(self) -> None:
        """Registers the handlers: from now on they are told of each event that is sorted."""
        await listeners.join(self._db, [(one.name, one.kinds) for one in self._those.values()])

    async def run(self, claim: Claimed, _lease: Lease) -> Outcome:
        """Goes through a line, until nobody waits there or its first event fails."""
        listener = self._those.get(claim.args["listener"])
        if listener is None:
            return Snooze(after=_ELSEWHERE, error="no handler of this name in this process")
        line = Line(
            environment=claim.environment,
            tenant=claim.tenant,
            listener=listener.name,
            line=claim.args["line"],
        )
        while True:
            first = await listeners.head(self._db, line)
            if first is None or first.parked:
                return Done()
            if first.retry_at is not None:
                return Snooze(at=first.retry_at)
            ended = await self._hand_over(listener, line, first)
            if ended is not None:
                return ended

    async def _hand_over(self, listener: Listener, line: Line, first: Head) -> Outcome | None:
        """Why to stop here; None when the event is through."""
        found = await arrivals.event(self._db, environment=line.environment, id=first.event)
        if found is None:  # its day is kept no more
            await listeners.remove(self._db, line, first.event)
            return None
        if found.kind not in listener.kinds:
            return await self._unasked(line, found)
        (event,) = await as_received(self._db, self._provider, [found])
        try:
            async with self._db.transaction() as tx:
                if not await listeners.lock(tx, line, first.event):
                    return Snooze(after=_BUSY)
                shadow = await shadows.of_handler(
                    tx, environment=line.environment, name=listener.name
                )
                with holding(Holding(shadow=shadow.id if shadow else None)):
                    await _call(listener, event, tx)
                await listeners.remove(tx, line, first.event)
        except DatabaseUnavailable:
            raise
        except _Failed as failed:
            return await self._failed(listener, line, first, event, failed.error)
        except Exception as error:  # noqa: BLE001 - it left a transaction that does not commit
            return await self._failed(listener, line, first, event, error)
        return None

    async def _unasked(self, line: Line, event: InboxEvent) -> Outcome | None:
        """A kind that this process's handler does not take: while versions change, another's does;
        else its own did once, and does no more."""
        if await listeners.wants(self._db, line.listener, event.kind):
            return Snooze(after=_ELSEWHERE, error=f"no handler of {event.kind} in this process")
        await listeners.remove(self._db, line, event.id)
        return None

    async def _failed(
        self,
        listener: Listener,
        line: Line,
        first: Head,
        event: Received,
        error: Exception,
    ) -> Outcome:
        reason, attempt = reason_of(error), first.attempts + 1
        wait = min(timedelta(seconds=2.0 ** min(first.attempts, 10)), _LONGEST)
        self._log.warning(
            "handler.failed",
            handler=listener.name,
            id=event.id,
            kind=event.kind,
            attempt=attempt,
            reason=reason,
            where=where(error),
        )
        async with self._db.transaction() as tx:
            await listeners.failed(tx, line, event.id, after=wait)
            if attempt < listener.attempts:
                return Retry(error=reason, after=wait)
            await parked.park(
                tx,
                [Stop(key=event.id, reason=reason)],
                environment=line.environment,
                tenant=line.tenant,
                what="event",
                place=listener.name,
                resource=f"{event.connection}/{event.kind}",
            )
        return Done()


async def _call(listener: Listener, event: Received, tx: Tx) -> None:
    try:
        async with asyncio.timeout(listener.timeout):
            await listener.run(event, tx)
    except DatabaseUnavailable:
        raise
    except Exception as error:
        raise _Failed(error) from error


async def tell_earlier(db: Database, name: str, *, since: datetime) -> int:
    """Has a handler told of what came before its first start, from `since` on; how many events.

    In every environment, of the kinds that it has, and each once: a second time tells only of what
    is earlier still. What is told so comes after what the handler has heard already.
    """
    if since.tzinfo is None:
        raise InvalidInput("since: a time without a zone; take one in UTC")
    there = [one.name for one in await listeners.every(db, environment="")]
    if name not in there:
        raise NotFound(
            f"{name!r} is no handler of events that was ever started.{did_you_mean(name, there)}"
            " See: landbridge inbox handlers"
        )
    count = await listeners.tell(db, name, since=since)
    await listeners.order(db, name)
    return count


async def tell_again(db: Database, stopped: Parked) -> None:
    """Has a worker hand a parked event over again, and then what waits behind it.

    NotFound when it waits no more: its handler was forgotten, or its day is no longer kept.
    """
    async with db.transaction() as tx:
        line = await listeners.afresh(tx, **_whose(stopped))
        if line is None:
            raise NotFound(
                f"{stopped.id}: {stopped.key} waits for {stopped.place!r} no more; forget it with:"
                f" landbridge parked discard {stopped.id}"
            )
        await parked.drop(tx, stopped)
        await due.put(tx, [listeners.job(line)])
    await db.notify()


async def leave_out(db: Database, stopped: Parked) -> None:
    """Forgets a parked event: its handler never gets it, but what waits behind it."""
    async with db.transaction() as tx:
        line = await listeners.drop(tx, **_whose(stopped))
        await parked.drop(tx, stopped)
        await due.put(tx, [listeners.job(line)] if line else [])
    await db.notify()


def _whose(stopped: Parked) -> dict[str, str]:
    return {
        "environment": stopped.environment,
        "tenant": stopped.tenant,
        "listener": stopped.place,
        "event": stopped.key,
    }
