"""Writes a page of a pull: its records, changes, cursor and counts, all or nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from landbridge.engine.missing import order_missing
from landbridge.engine.orders import fetch_job, remap_job
from landbridge.errors import CursorTooLarge, RecordError, UnmappedCode
from landbridge.formats import canonical
from landbridge.protocols import Fetched, Page, Unreadable
from landbridge.spec import Resource, find
from landbridge.store import due, parked, records, syncs
from landbridge.store.database import Database, Tx
from landbridge.store.parked import Stop
from landbridge.store.records import Incoming
from landbridge.store.syncs import Stream
from landbridge.wire import Request, Response

KEYLESS = "digest:"
"""How the keys of parked records begin that have none of their own."""
CURSOR_LIMIT = 64 * 1024
"""Bytes that a cursor may take."""


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
    stored: tuple[str, ...] = ()
    """Keys whose records differ from what was here, as the provider sent them."""


Keep = Callable[[Tx, Page, Applied], Awaitable[datetime]]
"""Writes where a page ended and what it did, in its transaction; gives the present."""


Judge = Callable[[Tx, Stream, Page], Awaitable[tuple[str, ...]]]
"""Orders look-ups of what a listing did not meet, in the transaction of its last page."""


async def converse(
    conversation: Generator[Request | Page, Response | frozenset[str] | None, None],
    send: Callable[[Request], Awaitable[Response]],
    store: Callable[[Page], Awaitable[frozenset[str] | None]],
) -> None:
    """Sends what a conversation asks for and stores its pages, until it is over or closed.

    `store` gives the keys that the conversation is to fetch, where it asks which.
    """
    reply: Response | frozenset[str] | None = None
    while True:
        try:
            step = conversation.send(reply)
        except StopIteration:
            return
        reply = await (send(step) if isinstance(step, Request) else store(step))


async def apply_page(
    db: Database,
    stream: Stream,
    resource: Resource,
    page: Page,
    *,
    keep: Keep,
    began: datetime,
    hold: Callable[[Tx], Awaitable[None]],
    judge: Judge = order_missing,
    quiet: bool = False,
) -> Applied:
    """Stores a page in one transaction; the same page twice changes nothing the second time.

    `began` is an instant before its first request, by the database's clock. Which of two answers
    is the newer one nobody can tell when the reads overlapped: a record that was stored or parked
    since then, and came otherwise now, is read again by itself. `judge` decides, at the
    end of a listing, which of what it did not meet is looked up. `quiet`: nothing new is expected,
    so it is looked first whether all is as it stands here, which costs less than to look at each.
    """
    _demand_small(stream, page)
    async with db.transaction() as tx:
        await hold(tx)
        applied = await _records(tx, stream, resource, page, began, quiet=quiet)
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
    async with db.transaction() as tx:
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
        applied = await _records(tx, stream, resource, page, began)
        if not applied.changed and not applied.missing:
            await records.confirm(tx, stream, key)
        if applied.changed and await syncs.mix(tx, stream, reading=resource.reading):
            await due.put(tx, [remap_job(stream)])
        return applied


async def _records(
    tx: Tx,
    stream: Stream,
    resource: Resource,
    page: Page,
    began: datetime,
    *,
    quiet: bool = False,
) -> Applied:
    latest = {fetched.key: fetched for fetched in page.records}
    digests = _digests(latest.values())
    if await _nothing_new(tx, stream, resource, page, digests, quiet=quiet):
        return Applied(seen=len(latest))
    await records.turn(tx, stream)
    gone = [fetched.key for fetched in latest.values() if fetched.deleted]
    gone += [key for key in page.gone if key not in latest]
    unreadable = [_stop(each) for each in page.unreadable]
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
        digest = digests[fetched.key]
        known = held.get(fetched.key)
        if known is not None and known.digest == digest:
            same.append(fetched.key)
            if resource.version and fetched.version is not None:
                touched[fetched.key] = fetched.version
            continue
        if fetched.key in since:
            again.add(fetched.key)
            continue
        read = read_record(resource, fetched, digest)
        if isinstance(read, Stop):
            stops.append(read)
        else:
            incoming.append(read)
    if touched:
        await records.touch(tx, stream, touched)
    changed = await records.apply(tx, stream, incoming, scope=page.scope)
    deleted = await records.delete(tx, stream, gone)
    of_stream = {
        "environment": stream.environment,
        "tenant": stream.tenant,
        "what": "record",
        "place": stream.connection,
        "resource": stream.resource,
    }
    readable = [record.key for record in incoming] + gone
    readable += [key for key in same if key not in since]
    read_again = [key for key in readable if key in held and held[key].parked]
    if read_again:
        await parked.clear(tx, read_again, **of_stream)
    await parked.park(tx, stops, **of_stream)
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


def _digests(fetched: Iterable[Fetched]) -> dict[str, bytes]:
    return {one.key: canonical.digest(one.value) for one in fetched if not one.deleted}


async def _nothing_new(
    tx: Tx,
    stream: Stream,
    resource: Resource,
    page: Page,
    digests: Mapping[str, bytes],
    *,
    quiet: bool,
) -> bool:
    """Whether a page is empty or, where that is expected, whether all in it is as it stands here.

    False also where that cannot be told by digests alone.
    """
    if page.gone or page.unreadable or any(fetched.deleted for fetched in page.records):
        return False
    if not digests:
        return True
    return quiet and not resource.version and await records.unchanged(tx, stream, digests)


def _stop(unreadable: Unreadable) -> Stop:
    return Stop(
        key=unreadable.key or f"{KEYLESS}{canonical.digest(unreadable.raw).hex()}",
        reason=unreadable.reason,
        field=unreadable.field,
        raw=unreadable.raw,
    )


def read_record(resource: Resource, fetched: Fetched, digest: bytes) -> Incoming | Stop:
    """The record with its unified form, or the reason why it cannot be read."""
    subject = find(fetched.value, resource.subject) if resource.subject else None
    kind = unified = None
    if resource.maps is not None:
        try:
            model = resource.maps.read(fetched.value)
        except (RecordError, UnmappedCode) as error:
            return Stop(
                key=fetched.key,
                reason=str(error),
                field=getattr(error, "field", None),
                raw=fetched.raw,
            )
        kind = model.kind
        unified = msgspec.json.encode(model, order="sorted").decode()
    return Incoming(
        key=fetched.key,
        raw=fetched.raw,
        digest=digest,
        version=fetched.version,
        kind=kind,
        unified=unified,
        subject=str(subject) if subject is not None else None,
    )
