"""Pulls a resource of a connection page by page; a crash costs at most the page under way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from landbridge.client import Client, Lane, Signed, SignIn
from landbridge.clock import Clock
from landbridge.engine import reauth
from landbridge.engine.consume import reason_of
from landbridge.engine.conversing import Old, converse
from landbridge.engine.freshness import Freshness
from landbridge.engine.orders import remap_job
from landbridge.engine.overlay import page_of
from landbridge.engine.page import Applied, apply_old, apply_one, apply_page, may_be_old
from landbridge.errors import LandbridgeError, NotFound, ReconnectRequired, Unreachable
from landbridge.measures import Measures
from landbridge.protocols import Fetched, Page, Place, fetch, pull
from landbridge.spec import Provider, Resource
from landbridge.store import connections, due, moment, parked, syncs
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.parked import Parked
from landbridge.store.syncs import Stream

_STOPPED = "it was stopped; the next run goes on from its last page"

READS = 5
"""How often a record is read again at once, when others stored it while it was read."""

Hold = Callable[[Tx], Awaitable[None]]
"""Fences a transaction: raises when the work was taken over by another process."""


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What a pull did, all pages together."""

    pages: int = 0
    seen: int = 0
    changed: int = 0
    gone: int = 0
    parked: int = 0
    missing: tuple[str, ...] = ()
    """Keys that are asked for by themselves afterwards: see `engine.page.Applied`."""
    left: int | None = None
    """About how many records are behind the last page; None: the provider does not say."""

    def plus(self, page: Applied, left: int | None = None) -> Totals:
        """These and one page more, with so many records behind it."""
        return Totals(
            pages=self.pages + 1,
            seen=self.seen + page.seen,
            changed=self.changed + page.changed,
            gone=self.gone + page.gone,
            parked=self.parked + page.parked,
            missing=self.missing + page.missing,
            left=left,
        )


@dataclass(frozen=True, kw_only=True)
class _Reading:
    stream: Stream
    run: str
    began: datetime


def _unwatched(_totals: Totals) -> None:
    """Nobody watches."""


Seen = Callable[[Connection, Resource, Sequence[Fetched]], Awaitable[None]]
"""Is shown records that were pulled, after they are committed."""


class Puller:
    """Runs pulls and single fetches for any connection."""

    def __init__(
        self,
        db: Database,
        client: Client,
        *,
        provider: Callable[[str], Provider],
        base: Callable[[Provider, Connection], str],
        clock: Clock,
        seen: Seen | None = None,
        measures: Measures | None = None,
    ):
        self._db = db
        self._client = client
        self._provider = provider
        self._base = base
        self._clock = clock
        self._seen = seen
        self._freshness = Freshness(measures or Measures())

    async def run(
        self,
        connection: Connection,
        resource_name: str,
        *,
        hold: Hold,
        on_page: Callable[[Totals], None] = _unwatched,
    ) -> Totals:
        """Pulls one resource from its cursor to the end; the run is in the database as it goes.

        `on_page` is called with the totals so far after each page's commit.

        Raises what stopped it, after writing it into the run. What was pulled before stays.
        """
        provider = page_of(self._provider, connection)
        resource = provider.resource(resource_name)
        stream = stream_of(connection, resource_name)
        run, began = await syncs.start(self._db, stream)
        reading = _Reading(stream=stream, run=run, began=began)
        try:
            totals = await self._pages(connection, provider, resource, reading, hold, on_page)
        except ReconnectRequired as error:
            await reauth.refused(self._db, connection, str(error), error.reason)
            await syncs.end(self._db, stream, run, state="failed", reason=str(error))
            raise
        except LandbridgeError as error:
            await syncs.end(self._db, stream, run, state="failed", reason=str(error))
            raise
        except Exception as error:
            await syncs.end(self._db, stream, run, state="failed", reason=reason_of(error))
            raise
        except BaseException:  # stopped from outside: by hand, by a drain, by a lost lease
            with suppress(LandbridgeError):
                await syncs.end(self._db, stream, run, state="cancelled", reason=_STOPPED)
            raise
        await syncs.end(self._db, stream, run, state="done")
        return totals

    async def _pages(
        self,
        connection: Connection,
        provider: Provider,
        resource: Resource,
        reading: _Reading,
        hold: Hold,
        on_page: Callable[[Totals], None],
    ) -> Totals:
        stream = reading.stream
        cursor = await syncs.cursor(self._db, stream)
        totals = Totals()
        lane = Lane.BACKFILL if cursor is None or "listing" in cursor else Lane.INCREMENTAL
        signed = self._signed(provider, connection, lane)
        conversation = pull(
            provider, resource, self._place(provider, connection), cursor, self._clock.now()
        )
        keep = partial(_moved, reading, resource.reading)

        async def told(page: Page, applied: Applied) -> None:
            nonlocal totals
            if self._seen is not None:
                await self._seen(connection, resource, page.records)
            self._freshness.page(provider, resource, stream, page, applied)
            totals = totals.plus(applied, page.left)
            on_page(totals)

        async def store(page: Page, began: datetime, news: float) -> Applied:
            applied = await apply_page(
                self._db,
                stream,
                resource,
                page,
                keep=keep,
                began=began,
                hold=hold,
                news=news,
            )
            await told(page, applied)
            return applied

        async def note(pages: Sequence[Page]) -> datetime | None:
            noted = await apply_old(self._db, stream, pages, keep=keep, hold=hold)
            if noted is None:
                return None
            for page, applied in zip(pages, noted, strict=True):
                await told(page, applied)
            return noted[-1].at

        await converse(
            conversation,
            signed.send,
            store,
            began=reading.began,
            news=1.0 if cursor is None else 0.0,
            old=Old(fits=partial(may_be_old, resource), note=note),
        )
        async with self._db.transaction() as tx:
            mixed, after = await syncs.finished(tx, stream, reading=resource.reading)
            if mixed:
                await due.put(tx, [remap_job(stream)])
        self._freshness.pulled(provider, stream, after)
        return totals

    async def one(
        self,
        connection: Connection,
        resource_name: str,
        key: str,
        *,
        hold: Hold,
        told_at: datetime | None = None,
    ) -> Applied:
        """Reads one record again and stores what the provider says; gone there means deleted.

        `told_at` is when it changed, as the webhook has it that says so.
        """
        provider = page_of(self._provider, connection)
        resource = provider.resource(resource_name)
        kin = provider.kin(resource)
        asked = replace(resource, only={}) if resource.only else resource
        for _ in range(READS):
            began = await moment.now(self._db)
            fetched = await self.fetch(connection, provider, asked, key)
            # What is read at an address that several resources share is of one of them.
            done: list[Applied] = []
            for each in kin:
                if fetched is not None and not each.has(fetched.value):
                    continue
                stream = stream_of(connection, each.name)
                applied = await apply_one(
                    self._db, stream, each, key, fetched, began=began, hold=hold
                )
                if applied.stored or applied.gone:
                    self._heard(provider, stream, told_at)
                if self._seen is not None and fetched is not None and not applied.missing:
                    await self._seen(connection, each, (fetched,))
                done.append(applied)
            if not any(applied.missing for applied in done):
                return max(done, key=lambda applied: applied.news, default=Applied())
        raise Unreachable(
            f"{provider.name}: others stored {resource.name} {key} whenever it was read; it is"
            " read again later"
        )

    def _heard(self, provider: Provider, stream: Stream, told_at: datetime | None) -> None:
        if told_at is not None:
            now = self._clock.now()
            self._freshness.changes(provider, stream, [told_at], now, by="webhook")

    async def fetch(
        self, connection: Connection, provider: Provider, resource: Resource, key: str
    ) -> Fetched | None:
        """One record as it is at the provider now; None when it is gone there."""
        signed = self._signed(provider, connection, Lane.WEBHOOK)
        place = self._place(provider, connection)
        return await signed.converse(fetch(provider, resource, place, key))

    def _signed(self, provider: Provider, connection: Connection, lane: Lane) -> Signed:
        return self._client.signed(provider, SignIn(connection=connection), lane=lane)

    def _place(self, provider: Provider, connection: Connection) -> Place:
        return Place(base=self._base(provider, connection), settings=dict(connection.settings))

    async def replay(self, stopped: Parked, *, hold: Hold) -> Applied:
        """Reads a parked record again, from the provider where it can be asked for."""
        connection = await connections.one(
            self._db, environment=stopped.environment, tenant=stopped.tenant, id=stopped.place
        )
        if connection is None:
            raise NotFound(f"the connection {stopped.place} of this record is gone")
        applied = await self.one(connection, stopped.resource, stopped.key, hold=hold)
        if not applied.parked:
            await parked.drop(self._db, stopped)
        return applied


async def _moved(reading: _Reading, by: str, tx: Tx, page: Page, applied: Applied) -> datetime:
    """Moves the stream's cursor behind the page, which was read `by` a mapping, and counts it with
    those before it that it stands for."""
    stream, run = reading.stream, reading.run
    mixed, at = await syncs.step(
        tx,
        stream,
        run,
        cursor=page.cursor,
        reading=by,
        pages=applied.pages,
        seen=applied.seen,
        changed=applied.changed,
        gone=applied.gone,
        parked=applied.parked,
    )
    if mixed:
        await due.put(tx, [remap_job(stream)])
    return at


def stream_of(connection: Connection, resource: str) -> Stream:
    """The stream that statements about this resource are held to."""
    return Stream(
        environment=connection.environment,
        tenant=connection.tenant,
        connection=connection.id,
        resource=resource,
    )
