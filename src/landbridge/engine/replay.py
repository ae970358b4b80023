"""Does again what was parked, or what a webhook asked for."""

from __future__ import annotations

from collections.abc import Sequence

from landbridge.engine import consume, missing, received, unmapped
from landbridge.engine.consume import Handler
from landbridge.engine.orders import fetch_job
from landbridge.engine.pull import Puller
from landbridge.engine.push import met_again
from landbridge.errors import InvalidInput, NotFound, did_you_mean
from landbridge.store import arrivals, due, parked
from landbridge.store.arrivals import InboxEvent
from landbridge.store.database import Database, Tx
from landbridge.store.erasing_subjects import ERASED
from landbridge.store.parked import Parked
from landbridge.store.syncs import Stream

_KEYLESS = "digest:"
"""How the key of something parked begins that named none itself."""


async def replay(db: Database, puller: Puller, handlers: Sequence[Handler], stopped: Parked) -> str:
    """Does a parked thing again and says what came of it, as the end of a sentence.

    A record is read from its provider now; a webhook is sorted again by a worker; a change goes to
    its handler now, an event by a worker. What fails again stays parked: a record with its new
    reason, a change by raising its handler's error. InvalidInput when it cannot be replayed, with
    the way out.
    """
    match stopped.what:
        case "record":
            return await _record(puller, stopped)
        case "listing":
            return f"{await missing.confirm(db, stopped)} records are looked up one by one"
        case "arrival":
            await sort_again(db, environment=stopped.environment, arrival=stopped.key)
            return "a worker sorts it again"
        case "push":
            await unmapped.retry(db, stopped)
            return "a worker tries it now; without lines for its codes it stays held"
        case "change":
            passed = await consume.replay(db, _handler(handlers, stopped), stopped)
            return f"its handler took {passed} changes"
        case "event":
            await received.tell_again(db, stopped)
            return "a worker that has its handler hands it over again, and what waits behind it"
    raise InvalidInput(f"{stopped.id}: a {stopped.what} is not replayed")


async def discard(db: Database, stopped: Parked) -> None:
    """Forgets a parked thing for good; what a parked listing missed is kept as it is. A document
    that was held is never sent: its intent ends as refused. What waited behind an event goes on."""
    if stopped.what == "listing":
        await missing.dismiss(db, stopped)
    elif stopped.what == "push":
        async with db.transaction() as tx:
            intent = await unmapped.give_up(tx, stopped)
            await met_again(tx, intent)
        await db.notify()
    elif stopped.what == "event":
        await received.leave_out(db, stopped)
    else:
        await parked.drop(db, stopped)


async def sort_again(db: Database, *, environment: str, arrival: str) -> None:
    """Has a webhook sorted again by a worker, and takes it out of the park if it was there.

    Events of it that were admitted before are not admitted twice. NotFound when it is not kept,
    InvalidInput when its bytes were erased.
    """
    kept = await arrivals.load(db, environment=environment, arrivals=[arrival])
    if not kept:
        raise NotFound(
            f"{arrival!r} is no webhook in the environment {environment!r}, or its day is no longer"
            " kept; see events with: landbridge inbox list"
        )
    if kept[0].source == ERASED:
        raise InvalidInput(
            f"{arrival}: its bytes were erased with a tenant or a person whose event it brought;"
            " compare with the provider instead: landbridge reconcile"
        )
    job = due.Job(
        environment=environment,
        tenant="",
        lane="receive",
        kind="receive",
        args={"arrivals": [arrival]},
    )
    async with db.transaction() as tx:
        await parked.clear(
            tx,
            [arrival],
            environment=environment,
            tenant="",
            what="arrival",
            place=kept[0].app,
        )
        await due.put(tx, [job])
    await db.notify()


async def fetch_again(db: Database, event: InboxEvent) -> None:
    """Has the record that an event names read again by a worker; InvalidInput if it names none."""
    if event.outcome == "ignored":
        raise InvalidInput(
            f"{event.id}: {event.topic} concerns nothing that is pulled, so there is nothing to do"
        )
    stream = Stream(
        environment=event.environment,
        tenant=event.tenant,
        connection=event.connection,
        resource=event.resource,
    )
    await due.put(db, [fetch_job(stream, event.key)])
    await db.notify()


async def _record(puller: Puller, stopped: Parked) -> str:
    if stopped.key.startswith(_KEYLESS):
        raise InvalidInput(
            f"{stopped.id}: it names no key, so it cannot be asked for again; a later pull reads it"
            f" if it was mended: landbridge parked discard {stopped.id}"
        )
    applied = await puller.replay(stopped, hold=_unfenced)
    if applied.parked:
        return "it still cannot be read and stays parked"
    if applied.gone:
        return "the provider has it no more, it is deleted here"
    return "it is read and stored"


async def _unfenced(_tx: Tx) -> None:
    """No lease: reading one record twice at once gives the same as reading it once."""


def _handler(handlers: Sequence[Handler], stopped: Parked) -> Handler:
    for handler in handlers:
        if handler.name == stopped.place:
            return handler
    names = [handler.name for handler in handlers]
    raise InvalidInput(
        f"{stopped.id} is a change that your handler {stopped.place!r} did not take, and this"
        f" process has no such handler.{did_you_mean(stopped.place, names)} Name the bridge that"
        f" has it: landbridge parked replay {stopped.id} --app package.module:bridge"
    )
