"""What to do about records that a full listing did not meet: ask for each, or ask a person first.

A listing never deletes. Each missing record is read by itself, and only the provider's answer that
it is gone marks it as deleted. When more is missing than is believable (an empty page, a scope
that was withdrawn), nothing is asked for until a person has confirmed it.
"""

from __future__ import annotations

from datetime import datetime

from landbridge.engine.orders import fetch_job
from landbridge.protocols import Page
from landbridge.store import due, parked, records, syncs
from landbridge.store.database import Database, Tx
from landbridge.store.parked import Parked, Stop
from landbridge.store.syncs import Stream

GUARD_SHARE = 0.25
GUARD_LEAST = 5
"""More than this share, and this many, missing at once is not believed without a person's word."""


def too_many(missing: int, held: int, *, whole: bool) -> bool:
    """Whether so many of the held records are missing that a person is asked first.

    Also when it is every record there is: `whole` says that they are all that the resource has
    here, not one part of it.
    """
    if whole and missing == held > 1:
        return True
    return missing > max(GUARD_LEAST, held * GUARD_SHARE)


async def order_missing(
    tx: Tx, stream: Stream, page: Page, *, listed_from: datetime | None = None
) -> tuple[str, ...]:
    """The keys whose look-up is ordered, at the end of a full listing, in the page's transaction.

    None when nothing is missing, and none when so much is that it is parked for a person's word:
    the notes of that listing are kept then, so that `confirm` knows what it missed. What was stored
    after `listed_from`, when the listing began, is not missing.
    """
    assert page.listing is not None
    missing = await believed(tx, stream, page, listed_from=listed_from)
    if missing is None:
        return ()
    await syncs.forget_listing(tx, stream, page.listing)
    await due.put(tx, [fetch_job(stream, key) for key in missing])
    return tuple(missing)


async def believed(
    tx: Tx, stream: Stream, page: Page, *, listed_from: datetime | None
) -> list[str] | None:
    """The keys that a listing did not meet; None: they are too many, and a person is asked.

    What an earlier listing asked is over with this one.
    """
    assert page.listing is not None
    for earlier in await parked.supersede(
        tx,
        environment=stream.environment,
        tenant=stream.tenant,
        place=stream.connection,
        resource=stream.resource,
        scope=page.scope,
    ):
        await syncs.forget_listing(tx, stream, earlier)
    missing = await records.missing(
        tx, stream, listing=page.listing, scope=page.scope, before=listed_from
    )
    held = len(await records.versions(tx, stream, scope=page.scope)) if missing else 0
    if too_many(len(missing), held, whole=not page.scope):
        await _park(tx, stream, page, missing=len(missing), held=held)
        return None
    return missing


async def _park(tx: Tx, stream: Stream, page: Page, *, missing: int, held: int) -> None:
    where = f" of {page.scope}" if page.scope else ""
    stop = Stop(
        key=page.listing or "",
        field=page.scope or None,
        reason=f"{missing} of {held} records{where} are missing from a full listing: none was"
        " deleted; check the provider's account and scopes. Replay this to have each looked up,"
        " and deleted if the provider says so; discard it to keep them",
    )
    await parked.park(
        tx,
        [stop],
        environment=stream.environment,
        tenant=stream.tenant,
        what="listing",
        place=stream.connection,
        resource=stream.resource,
    )


async def confirm(db: Database, stopped: Parked) -> int:
    """Orders the look-up of everything that a parked listing missed; how many records that is."""
    stream = _stream(stopped)
    async with db.transaction() as tx:
        missing = await records.missing(tx, stream, listing=stopped.key, scope=stopped.field or "")
        await due.put(tx, [fetch_job(stream, key) for key in missing])
        await syncs.forget_listing(tx, stream, stopped.key)
        await parked.drop(tx, stopped)
    await db.notify()
    return len(missing)


async def dismiss(db: Database, stopped: Parked) -> None:
    """Keeps everything that a parked listing missed, and forgets the listing."""
    async with db.transaction() as tx:
        await syncs.forget_listing(tx, _stream(stopped), stopped.key)
        await parked.drop(tx, stopped)


def _stream(stopped: Parked) -> Stream:
    return Stream(
        environment=stopped.environment,
        tenant=stopped.tenant,
        connection=stopped.place,
        resource=stopped.resource,
    )
