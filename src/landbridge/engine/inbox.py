"""Does again what many webhooks asked for, or sorts many parked ones again, page by page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from landbridge.engine.orders import fetch_job
from landbridge.store import arrivals, due, inbox, parked
from landbridge.store.arrivals import InboxEvent
from landbridge.store.database import Database
from landbridge.store.erasing_subjects import ERASED
from landbridge.store.inbox import Selection
from landbridge.store.parked import Webhooks
from landbridge.store.syncs import Stream

_PAGE = 500
_TOGETHER = 50
"""Webhooks that a worker sorts in one transaction."""


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


@dataclass(frozen=True, kw_only=True)
class Unparked:
    """What a replay of parked webhooks ordered: `webhooks` that are sorted again, and those whose
    bytes are no longer kept (`lost`), which stay parked."""

    webhooks: int = 0
    lost: int = 0


async def replay_parked(
    db: Database,
    wanted: Webhooks,
    *,
    on_page: Callable[[Unparked], None] = lambda _so_far: None,
    page: int = _TOGETHER,
) -> Unparked:
    """Has these parked webhooks sorted again by a worker, the oldest first.

    One that still cannot be sorted is parked again, with its reason. Each is ordered once, however
    fast the worker is, and stopped half-way the rest stays parked.
    """
    done = Unparked()
    after = ""
    while found := await parked.arrivals(db, wanted, after=after, most=page):
        after = found[-1].key
        names = [each.key for each in found]
        loaded = await arrivals.load(db, environment=wanted.environment, arrivals=names)
        kept = [each.id for each in loaded if each.source != ERASED]
        if kept:
            await _sort_again(db, wanted, kept)
        lost = len(names) - len(kept)
        done = Unparked(webhooks=done.webhooks + len(kept), lost=done.lost + lost)
        on_page(done)
    return done


async def _sort_again(db: Database, wanted: Webhooks, names: list[str]) -> None:
    job = due.Job(
        environment=wanted.environment,
        tenant="",
        lane="receive",
        kind="receive",
        args={"arrivals": names},
    )
    async with db.transaction() as tx:
        await parked.clear(
            tx,
            names,
            environment=wanted.environment,
            tenant="",
            what="arrival",
            place=wanted.app,
        )
        await due.put(tx, [job])
    await db.notify()


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
