"""Looks for records that were deleted without a word, within a number of calls a day.

Where a page says that nothing tells of deletions (`Resource.sweep`), the list is read by turns,
some pages an hour, beside the pulls and without their cursor. What a whole turn did not meet is
suspect. What the next one does not meet either is asked for by itself, and only the provider's
answer that it is gone deletes it. Where a turn misses too many a person is asked first
(`engine.missing`); a scope that is withdrawn within one turn hides few, and is seen by the next.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from landbridge.client import Client, Lane, SignIn
from landbridge.clock import Clock
from landbridge.engine import awake
from landbridge.engine.conversing import converse
from landbridge.engine.missing import believed
from landbridge.engine.orders import fetch_job, remap_job, sweep_job
from landbridge.engine.overlay import page_of
from landbridge.engine.page import Applied, apply_page
from landbridge.engine.pull import Hold, stream_of
from landbridge.errors import NotFound, ReconnectRequired
from landbridge.jobs import Cancel, Done, Kind, Lease, Outcome
from landbridge.protocols import Page, Place, load
from landbridge.spec import Provider, Resource
from landbridge.store import due, moment, records, schedules, sweeps, syncs
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from landbridge.store.sweeps import Suspects, Sweeping
from landbridge.store.syncs import Stream
from landbridge.wire import Request, Response

_STEPS = 24
"""Steps a day: one an hour, as `engine.orders.sweep_job` orders them."""
_AGAIN = timedelta(minutes=30)
"""What comes sooner after a step goes on with it, and has no calls of its own."""


class Sweeper:
    """Carries sweeps out. `kind()` goes into a worker's table of kinds."""

    def __init__(
        self,
        db: Database,
        client: Client,
        *,
        provider: Callable[[str], Provider],
        base: Callable[[Provider, Connection], str],
        clock: Clock,
    ):
        self._db = db
        self._client = client
        self._provider = provider
        self._base = base
        self._clock = clock

    def kind(self) -> Kind:
        """The kind of due rows by which streams are swept."""
        return Kind(name="sweep", run=self.work)

    async def order(self, connection: Connection, resource: Resource) -> None:
        """Orders the sweep of a stream that was pulled, if its page has one and none has begun."""
        if resource.sweep is None:
            return
        stream = stream_of(connection, resource.name)
        if (await sweeps.one(self._db, stream)).stepped_at is None:
            await due.put(self._db, [sweep_job(stream)])

    async def work(self, claim: Claimed, lease: Lease) -> Outcome:
        """One step of one stream's sweep; the next is in an hour."""
        connection = await awake.target_of(self._db, claim)
        if not isinstance(connection, Connection):
            return connection
        resource = claim.args["resource"]
        if await schedules.paused(self._db, stream_of(connection, resource)):
            return awake.paused(resource)
        try:
            await self.step(connection, resource, hold=lease.hold)
        except NotFound as error:
            return Cancel(reason=str(error))
        except ReconnectRequired as error:
            return await awake.refused(self._db, connection, error)
        return Done()

    async def step(self, connection: Connection, resource_name: str, *, hold: Hold) -> Sweeping:
        """An hour's share of the calls; how far the sweep is then.

        Nothing while the first pull is not through. NotFound where the page knows no sweep of this
        resource. Raises what stopped it; the calls that were made are counted.
        """
        provider = page_of(self._provider, connection)
        resource = provider.resource(resource_name)
        if resource.sweep is None:
            raise NotFound(f"{provider.slug} {resource_name}: its page has no sweep")
        stream = stream_of(connection, resource_name)
        here = await sweeps.one(self._db, stream)
        if "since" not in (await syncs.cursor(self._db, stream) or {}):
            return here
        now = await moment.now(self._db)
        if here.stepped_at is None or now - here.stepped_at > _AGAIN:
            share = -(-resource.sweep.calls // _STEPS)
            credit = min(here.credit, 0) + share
            here = msgspec.structs.replace(here, credit=credit, stepped_at=now)
        walk = _Walk(stream=stream, resource=resource, here=here)
        try:
            if here.credit > 0:
                await self._walk(connection, provider, walk, hold)
        finally:
            async with self._db.transaction() as tx:
                await hold(tx)
                await sweeps.write(tx, stream, walk.counted())
        return walk.counted()

    async def _walk(
        self, connection: Connection, provider: Provider, walk: _Walk, hold: Hold
    ) -> None:
        began = await moment.now(self._db)
        walk.begin(began)
        place = Place(base=self._base(provider, connection), settings=dict(connection.settings))
        signed = self._client.signed(provider, SignIn(connection=connection), lane=Lane.BACKFILL)
        conversation = load(provider, walk.resource, place, walk.here.cursor, self._clock.now())

        async def send(request: Request) -> Response:
            walk.made += 1
            return await signed.send(request)

        async def store(page: Page, began: datetime, news: float) -> Applied:
            applied = await apply_page(
                self._db,
                walk.stream,
                walk.resource,
                page,
                keep=walk.keep,
                began=began,
                hold=hold,
                news=news,
                judge=walk.judge,
            )
            walk.turned(page, applied)
            if page.listed_all or walk.here.credit <= 0:
                conversation.close()
            return applied

        await converse(conversation, send, store, began=began)


class _Walk:
    """One step of a sweep while it is made."""

    def __init__(self, *, stream: Stream, resource: Resource, here: Sweeping):
        self.stream = stream
        self.resource = resource
        self.here = here
        self.made = 0
        self.missed = 0
        self.suspects: Suspects | None = None

    def begin(self, now: datetime) -> None:
        """Begins a turn, unless one is under way."""
        if self.here.cursor is None:
            self.here = msgspec.structs.replace(self.here, cursor={}, began_at=now, calls=0)

    async def keep(self, tx: Tx, page: Page, applied: Applied) -> datetime:
        """Writes where a page ended, in its transaction."""
        if page.listing and self.here.listing and page.listing != self.here.listing:
            await syncs.forget_listing(tx, self.stream, self.here.listing)
        if applied.stored and await syncs.mix(tx, self.stream, reading=self.resource.reading):
            await due.put(tx, [remap_job(self.stream)])
        at = await sweeps.write(tx, self.stream, self._behind(page))
        if at is None:
            raise NotFound(f"{self.resource.name} is no longer pulled")
        return at

    async def judge(self, tx: Tx, stream: Stream, page: Page) -> tuple[str, ...]:
        """Orders look-ups, at the end of a turn, of what this and the one before did not meet."""
        assert page.listing is not None
        before, self.suspects = self.here.suspects, None
        missing = await believed(tx, stream, page, listed_from=self.here.began_at)
        self.missed = 0 if missing is None else len(missing)
        confirmed: list[str] = []
        if before is not None:
            if missing:
                earlier = await records.missing(
                    tx, stream, listing=before.listing, before=before.began_at
                )
                confirmed = sorted(set(missing).intersection(earlier))
            await syncs.forget_listing(tx, stream, before.listing)
        if missing:
            assert self.here.began_at is not None
            self.suspects = Suspects(listing=page.listing, began_at=self.here.began_at)
        elif missing is not None:
            await syncs.forget_listing(tx, stream, page.listing)
        await due.put(tx, [fetch_job(stream, key) for key in confirmed])
        return tuple(confirmed)

    def turned(self, page: Page, applied: Applied) -> None:
        """Takes note of a page that is stored."""
        self.here, self.made = self._behind(page), 0
        if page.listed_all:
            self.here = msgspec.structs.replace(
                self.here, turned_from=self.here.began_at, turned_at=applied.at
            )

    def counted(self) -> Sweeping:
        """How far it is, with the calls that led to no page yet."""
        return msgspec.structs.replace(
            self.here, calls=self.here.calls + self.made, credit=self.here.credit - self.made
        )

    def _behind(self, page: Page) -> Sweeping:
        if not page.listed_all:
            listing = page.listing or self.here.listing
            return msgspec.structs.replace(self.counted(), cursor=page.cursor, listing=listing)
        return msgspec.structs.replace(
            self.counted(), cursor=None, listing="", suspects=self.suspects, missed=self.missed
        )
