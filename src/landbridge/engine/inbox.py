"""Does again what many webhooks asked for, page by page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from landbridge.engine.orders import fetch_job
from landbridge.store import due, inbox
from landbridge.store.arrivals import InboxEvent
from landbridge.store.database import Database
from landbridge.store.inbox import Selection
from landbridge.store.syncs import Stream

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a replay ordered: `events` that were gone through, `records` that are read again (one
    that several events name is read once), and events that ask for nothing (`ignored`)."""

    events: int = 0
    records: int = 0
    ignored: int = 0


async def replay_selection(
    db: Database,
    wanted: Selection,
    *,
    on_page: Callable[[Replayed], None] = lambda _so_far: None,
    page: int = _PAGE,
) -> Replayed:
    """Has the records that these events name read again by a worker.

    Goes through them a page at a time, newest first. Stopped half-way and run anew it orders
    nothing twice: a record that is waiting to be read is read once.
    """
    done = Replayed()
    asked: set[tuple[str, str, str]] = set()
    while True:
        found = await inbox.page(db, wanted, most=page)
        places = {place_of(one): one for one in found if one.outcome != "ignored"}
        fresh = [one for place, one in places.items() if place not in asked]
        await due.put(db, [fetch_job(_stream(one), one.key) for one in fresh])
        await db.notify()
        asked = (asked | set(places)) if len(asked) < 100 * page else set(places)
        done = Replayed(
            events=done.events + len(found),
            records=done.records + len(fresh),
            ignored=done.ignored + sum(one.outcome == "ignored" for one in found),
        )
        on_page(done)
        if len(found) < page:
            return done
        wanted = replace(wanted, before=found[-1].id)


def place_of(event: InboxEvent) -> tuple[str, str, str]:
    """The record that an event is about."""
    return event.connection, event.resource, event.key


def _stream(event: InboxEvent) -> Stream:
    return Stream(
        environment=event.environment,
        tenant=event.tenant,
        connection=event.connection,
        resource=event.resource,
    )
