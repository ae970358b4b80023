"""Writes a page of a pull: its records, changes, cursor and counts, all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from landbridge.engine.missing import order_missing
from landbridge.engine.orders import fetch_job, remap_job
from landbridge.engine.reading import Ready, make_ready, parked_of, stop_of
from landbridge.errors import CursorTooLarge
from landbridge.formats import canonical
from landbridge.protocols import Fetched, Page
from landbridge.spec import Resource
from landbridge.store import due, parked, records, syncs
from landbridge.store.database import Database, Tx
from landbridge.store.parked import Stop
from landbridge.store.records import Incoming
from landbridge.store.syncs import Stream

CURSOR_LIMIT = 64 * 1024
"""Bytes that a cursor may take."""
_MOST = 0.5
"""Where a larger share of a page is expected to be news, all of it is read by the mapping ahead."""


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What a page did. `missing` are asked for one by one afterwards: what a full listing did not
    meet, which only an answer that it is gone deletes, and what somebody else read and stored
    while this page was read. `wanted` answers a page that lists members: those that we hold in
    another version or not at all. `at` is when it was stored: the next page is read from then on.
    """

    seen: int = 0
    changed: int = 0
    gone: int = 0
    parked: int = 0
    missing: tuple[str, ...] = ()
    wanted: frozenset[str] | None = None
    at: datetime | None = None
    pages: int = 1
    stored: tuple[str, ...] = ()
    """Keys whose records differ from what was here, as the provider sent them."""

    @property
    def news(self) -> float:
        """The share of the page that was new."""
        return (len(self.stored) + self.gone + self.parked) / max(self.seen, 1)


Keep = Callable[[Tx, Page, Applied], Awaitable[datetime]]
"""Writes where a page ended and what it did, in its transaction; gives the present."""


Judge = Callable[[Tx, Stream, Page], Awaitable[tuple[str, ...]]]
"""Orders look-ups of what a listing did not meet, in the transaction of its last page."""


async def apply_page(
    db: Database,
    stream: Stream,
    resource: Resource,
    page: Page,
    *,
    keep: Keep,
    began: datetime,
    hold: Callable[[Tx], Awaitable[None]],
    news: float = 0.0,
    judge: Judge = order_missing,
) -> Applied:
    """Stores a page in one transaction; the same page twice changes nothing the second time.

    `began` is an instant before its first request, by the database's clock. Which of two answers
    is the newer one nobody can tell when the reads overlapped: a record that was stored or parked
    since then, and came otherwise now, is read again by itself. `judge` decides, at the
    end of a listing, which of what it did not meet is looked up. `news` is the share of the page
    that is expected to be new. Where it is none, it is looked first whether all is as it stands
    here, which costs less than to look at each.
    """
    _demand_small(stream, page)
    ready = await make_ready(resource, page, news=news > _MOST)
    async with db.transaction(planned=True) as tx:
        await hold(tx)
        if await _nothing_new(tx, stream, resource, ready, quiet=not news):
            applied = Applied(seen=len(ready.latest))
        else:
            applied = await _records(tx, stream, resource, ready, began)
        await due.put(tx, [fetch_job(stream, key) for key in applied.missing])
        missing = applied.missing
        same: list[str] = []
        if page.members is not None:
            held = await records.versions(tx, stream, scope=page.scope)
            same = [key for key, told in page.members.items() if told and held.get(key) == told]
        if page.listing:
            met = [fetched.key for fetched in page.records if not fetched.deleted]
            met += [unreadable.key for unreadable in page.unreadable if unreadable.key]
            met += same
            if met:
                await syncs.see(tx, stream, listing=page.listing, keys=met)
            if page.listed_all:
                missing += await judge(tx, stream, page)
        at = await keep(tx, page, applied)
    wanted = None if page.members is None else frozenset(page.members).difference(same)
    return replace(applied, missing=missing, wanted=wanted, at=at)


def may_be_old(resource: Resource, page: Page) -> bool:
    """Whether it can be told by the bytes of its records alone that nothing in a page is new."""
    return (
        not resource.version
        and page.members is None
        and not (page.listed_all or page.gone or page.unreadable)
        and not any(fetched.deleted for fetched in page.records)
    )


async def apply_old(
    db: Database,
    stream: Stream,
    pages: Sequence[Page],
    *,
    keep: Keep,
    hold: Callable[[Tx], Awaitable[None]],
) -> Sequence[Applied] | None:
    """Notes pages of one reading, which `may_be_old`, in a transaction that writes no record.

    None, and nothing is written: they are not all as it stands here; `apply_page` sees to each.
    """
    _demand_small(stream, pages[-1])
    sent: dict[str, bytes] = {}
    seen: list[int] = []
    for page in pages:
        marks = {fetched.key: canonical.mark(fetched.raw) for fetched in page.records}
        if any(sent[key] != marks[key] for key in sent.keys() & marks.keys()):
            return None  # a record that was changed while it moved from one page to another
        sent.update(marks)
        seen.append(len(marks))
        await asyncio.sleep(0)
    async with db.transaction(planned=True) as tx:
        await hold(tx)
        if sent and not await records.unchanged(tx, stream, sent):
            return None
        met: dict[str, list[str]] = {}
        for page in pages:
            if page.listing and page.records:
                met.setdefault(page.listing, []).extend(each.key for each in page.records)
        for listing, keys in met.items():
            await syncs.see(tx, stream, listing=listing, keys=keys)
        at = await keep(tx, pages[-1], Applied(seen=sum(seen), pages=len(pages)))
    return [Applied(seen=each, at=at) for each in seen]


async def apply_one(
    db: Database,
    stream: Stream,
    resource: Resource,
    key: str,
    fetched: Fetched | None,
    *,
    began: datetime,
    hold: Callable[[Tx], Awaitable[None]],
) -> Applied:
    """Stores a record that was read by itself; None means that the provider has it no more.

    A record with another key says that this one was merged into it and is gone. `began` as for a
    page; where nobody can tell which answer is the newer one, nothing is stored and the key is in
    `missing`.
    """
    async with db.transaction(planned=True) as tx:
        await hold(tx)
        scope = ""
        stored = await records.one(tx, stream, key)
        if stored is not None:
            scope = stored.scope
        page = Page(
            records=(fetched,) if fetched else (),
            gone=() if fetched and fetched.key == key else (key,),
            cursor={},
            scope=scope or (fetched.scope if fetched else ""),
        )
        ready = await make_ready(resource, page, news=False)
        applied = await _records(tx, stream, resource, ready, began)
        if not applied.changed and not applied.missing:
            await records.confirm(tx, stream, key)
        if applied.changed and await syncs.mix(tx, stream, reading=resource.reading):
            await due.put(tx, [remap_job(stream)])
        return applied


async def _records(
    tx: Tx, stream: Stream, resource: Resource, ready: Ready, began: datetime
) -> Applied:
    page, latest = ready.page, ready.latest
    await records.turn(tx, stream)
    gone = [fetched.key for fetched in latest.values() if fetched.deleted]
    gone += [key for key in page.gone if key not in latest]
    unreadable = [stop_of(each) for each in page.unreadable]
    held = await records.held(tx, stream, [*latest, *gone, *(stop.key for stop in unreadable)])
    since = {key for key, one in held.items() if one.read_at > began}
    again = {key for key in gone if key in since and held[key].digest is not None}
    again.update(stop.key for stop in unreadable if stop.key in since)
    stops = [stop for stop in unreadable if stop.key not in again]
    gone = [key for key in gone if key not in again]
    incoming: list[Incoming] = []
    touched: dict[str, str | None] = {}
    same: list[str] = []
    for fetched in latest.values():
        if fetched.deleted:
            continue
        known = held.get(fetched.key)
        if known is not None and ready.says(fetched.key, known):
            same.append(fetched.key)
            if resource.version and fetched.version is not None:
                touched[fetched.key] = fetched.version
            continue
        if fetched.key in since:
            again.add(fetched.key)
            continue
        read = ready.read(resource, fetched.key)
        if isinstance(read, Stop):
            stops.append(read)
        else:
            incoming.append(read)
    if touched:
        await records.touch(tx, stream, touched)
    fresh = [record for record in incoming if record.key not in held]
    known_before = [record for record in incoming if record.key in held]
    changed = await records.add(tx, stream, fresh, scope=page.scope)
    changed += await records.apply(tx, stream, known_before, scope=page.scope)
    deleted = await records.delete(tx, stream, gone)
    readable = [record.key for record in incoming] + gone
    readable += [key for key in same if key not in since]
    read_again = [key for key in readable if key in held and held[key].parked]
    if read_again:
        await parked.clear(tx, read_again, **parked_of(stream))
    await parked.park(tx, stops, **parked_of(stream))
    return Applied(
        seen=len(latest) + len(page.gone) + len(page.unreadable),
        changed=changed,
        gone=deleted,
        parked=len(stops),
        missing=tuple(sorted(again)),
        stored=tuple(record.key for record in incoming),
    )


def _demand_small(stream: Stream, page: Page) -> None:
    size = len(msgspec.json.encode(page.cursor))
    if size > CURSOR_LIMIT:
        raise CursorTooLarge(
            f"the place in {stream.resource} of {stream.connection} takes {size} bytes,"
            f" {CURSOR_LIMIT} are kept: connect the account in parts",
            size=size,
            limit=CURSOR_LIMIT,
        )


async def _nothing_new(
    tx: Tx, stream: Stream, resource: Resource, ready: Ready, *, quiet: bool
) -> bool:
    """Whether a page is empty or, where that is expected, whether all in it is as it stands here.

    False also where that cannot be told by the bytes alone.
    """
    page = ready.page
    if page.gone or page.unreadable or any(fetched.deleted for fetched in page.records):
        return False
    if not ready.sent:
        return True
    return quiet and not resource.version and await records.unchanged(tx, stream, ready.sent)
