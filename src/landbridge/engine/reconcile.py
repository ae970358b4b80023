"""Finds events whose webhook never came, by the provider's own list, and takes them in."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from landbridge import ids
from landbridge.client import Client, Lane, SignIn
from landbridge.clock import Clock
from landbridge.engine import sort as sorting
from landbridge.engine.emit import prepare
from landbridge.engine.now import turn
from landbridge.engine.sort import KEEP_KEYS, admission_key, notices, resource_of
from landbridge.errors import InvalidInput, NotFound, RecordError
from landbridge.measures import RECONCILE_REPAIRED, RECONCILE_UNANNOUNCED, Measures
from landbridge.protocols import Place
from landbridge.protocols.event_list import EventPage, event_page
from landbridge.spec import EventList, Provider, Webhook, find
from landbridge.store import apps, arrivals, due, reconciliations
from landbridge.store.arrivals import RECONCILE, Arrival
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.reconciliations import Expected, Reconciliation

GAP = "webhook.gap"
"""The event that tells a tenant that webhooks had not come and were made up for."""

PAGES = 20
"""Calls of one run; what is left is done by the next, from where this one stopped."""

_FAR = timedelta(days=1)
_MARGIN = timedelta(hours=1)

Hold = Callable[[Tx], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Reconciled:
    """What a comparison found: events of the list that were `checked`, and how many of them had
    not come (`missing`) and were taken in (`repaired`; none in a dry run)."""

    since: datetime
    until: datetime
    pages: int = 0
    checked: int = 0
    missing: int = 0
    repaired: int = 0
    unreadable: int = 0
    finished: bool = True
    """False: there is more to compare, and the next run goes on there."""


class _Walk(msgspec.Struct, kw_only=True):
    """The place in one comparison; kept as the row's cursor. Times are unix seconds."""

    since: int
    until: int | None = None
    """Up to which instant events are judged; younger ones may still be on their way."""
    after: str | None = None
    checked: int = 0
    missing: int = 0
    repaired: int = 0
    unreadable: int = 0
    aside: bool = False
    """It skips some of what the schedule has yet to compare, so it is not the schedule's place."""


class Reconciler:
    """Compares connections' webhooks with what their provider lists."""

    def __init__(
        self,
        db: Database,
        client: Client,
        *,
        provider: Callable[[str], Provider],
        base: Callable[[Provider, Connection], str],
        clock: Clock,
        measures: Measures | None = None,
    ):
        self._db = db
        self._client = client
        self._provider = provider
        self._base = base
        self._clock = clock
        self._measures = measures or Measures()
        self._log = structlog.get_logger("landbridge.reconcile")

    def can(self, slug: str) -> bool:
        """Whether the provider's page says where its events are listed.

        Not where this process has no such page: other connections are compared all the same.
        """
        try:
            webhook = self._provider(slug).webhook
        except NotFound as error:
            self._log.warning("reconcile.unknown_provider", provider=slug, error=str(error))
            return False
        return webhook is not None and webhook.listing is not None

    async def now(
        self,
        connection: Connection,
        *,
        since: datetime | None = None,
        dry_run: bool = False,
        on_page: Callable[[Reconciled], None] = lambda _so_far: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> Reconciled:
        """Compares to the end, in this process; waits while a worker does it.

        `since` begins at that instant instead of where the last comparison ended. One that begins
        later than the schedule would, or while a comparison of the schedule is under way, leaves
        the schedule's place as it is: what lies before is still to be compared. A dry run only
        counts. InvalidInput: the provider lists no events.
        """
        self._listing(connection)
        if dry_run:
            return await self._walk(connection, None, since, None, on_page)
        async with turn(self._db, reconcile_job(connection, after=_FAR), sleep) as hold:
            return await self._walk(connection, hold, since, None, on_page)

    async def run(self, connection: Connection, *, hold: Hold, pages: int = PAGES) -> Reconciled:
        """One run of the schedule: goes on where the last one stopped, at most `pages` calls.

        It begins when the webhook secret was set. Where that was not noted, the first run only
        notes where to begin: nobody knows which webhooks were to come before.
        """
        listing = self._listing(connection)
        if await reconciliations.one(self._db, connection) is None:
            start = self._clock.now()
            # The next run goes back by the overlap, to this moment and not before it.
            through = start + listing.overlap
            async with self._db.transaction() as tx:
                await hold(tx)
                await reconciliations.move(tx, connection, through=through, cursor=None)
            return Reconciled(since=start, until=start)
        return await self._walk(connection, hold, None, pages, lambda _so_far: None)

    def _listing(self, connection: Connection) -> EventList:
        webhook = self._provider(connection.provider).webhook
        if webhook is None or webhook.listing is None:
            raise InvalidInput(
                f"{connection.id}: {connection.provider} has no list of its events to compare with;"
                " what changed is found by pulling: landbridge pull"
            )
        return webhook.listing

    async def _walk(
        self,
        connection: Connection,
        hold: Hold | None,
        since: datetime | None,
        most: int | None,
        on_page: Callable[[Reconciled], None],
    ) -> Reconciled:
        provider = self._provider(connection.provider)
        webhook = provider.webhook
        listing = self._listing(connection)
        assert webhook is not None
        kept = await reconciliations.one(self._db, connection)
        walk = self._begin(listing, kept, since, fresh=since is not None or hold is None)
        signed = self._client.signed(provider, SignIn(connection=connection), lane=Lane.INCREMENTAL)
        place = Place(base=self._base(provider, connection), settings=dict(connection.settings))
        pages = 0
        while True:
            page = await signed.converse(
                event_page(
                    provider, place, since=walk.since, after=walk.after, now=self._clock.now()
                )
            )
            pages += 1
            if walk.until is None:
                walk.until = page.asked_at - int(listing.lag.total_seconds())
            await self._page(connection, provider, webhook, page, walk, hold)
            done = _found(walk, pages, finished=walk.after is None)
            on_page(done)
            if done.finished or pages == most:
                return done

    def _begin(
        self,
        listing: EventList,
        kept: Reconciliation | None,
        since: datetime | None,
        *,
        fresh: bool,
    ) -> _Walk:
        """Where to go on: at the kept place, else a little before the end of what was compared."""
        if kept is not None and kept.cursor is not None and not fresh:
            return msgspec.convert(kept.cursor, _Walk)
        now = self._clock.now()
        oldest = now - min(listing.keeps, KEEP_KEYS) + _MARGIN
        ahead = (kept.through if kept else now - listing.lag) - listing.overlap
        if kept is not None and kept.checked_at is None:
            ahead = kept.through  # when the secret was set: nobody was told of what was before
        begin = ahead if since is None else since
        if begin < oldest:
            self._log.warning("webhook.gap_unlisted", wanted=begin, listed_since=oldest)
        skips = kept is not None and (kept.cursor is not None or begin > max(ahead, oldest))
        return _Walk(since=int(max(begin, oldest).timestamp()), aside=since is not None and skips)

    async def _page(
        self,
        connection: Connection,
        provider: Provider,
        webhook: Webhook,
        page: EventPage,
        walk: _Walk,
        hold: Hold | None,
    ) -> None:
        """Judges one page and moves the walk on; without `hold` nothing is written."""
        listed, unreadable = _listed(connection, provider, webhook, page, walk.until or 0)
        missing = await reconciliations.unknown(self._db, connection, sorted(listed))
        walk.checked += len(listed)
        walk.missing += len(missing)
        walk.unreadable += unreadable
        walk.after = page.after
        if hold is None:
            return
        fresh = ids.many("arr", len(missing))
        lost = [
            _arrival(connection, name, listed[key])
            for name, key in zip(fresh, sorted(missing), strict=True)
        ]
        routed = await sorting.route(self._db, lost, self._provider)
        async with self._db.transaction() as tx:
            await hold(tx)
            await arrivals.keep(tx, lost)
            done = await sorting.enter(tx, routed, environment=connection.environment)
            walk.repaired += done.filed
            await self._move(tx, connection, walk, checked=len(listed), repaired=done.filed)
            woken = bool(tx.wakes)
        if done.filed:
            where = connection.environment
            self._measures.count(RECONCILE_REPAIRED, where, provider.slug, n=done.filed)
        if walk.after is None and walk.repaired:
            self._alarm(connection, walk)
        if woken:
            await self._db.notify()

    async def _move(
        self, tx: Tx, connection: Connection, walk: _Walk, *, checked: int, repaired: int
    ) -> None:
        last = walk.after is None
        if walk.aside:
            await reconciliations.count(tx, connection, checked=checked, repaired=repaired)
        else:
            await reconciliations.move(
                tx,
                connection,
                through=_instant(walk.until if last and walk.until else walk.since),
                cursor=None if last else msgspec.to_builtins(walk),
                checked=checked,
                repaired=repaired,
            )
        if repaired:
            what = (connection.environment, connection.app, "repaired")
            await arrivals.tally(tx, {what: repaired})
        if last and walk.repaired:
            _, statement, binds = prepare(
                GAP,
                {
                    "connection": connection.id,
                    "provider": connection.provider,
                    "from": _instant(walk.since).isoformat(),
                    "until": _instant(walk.until or walk.since).isoformat(),
                    "count": walk.repaired,
                },
                environment=connection.environment,
                tenant=connection.tenant,
                clock=self._clock,
            )
            await tx.run(statement, **binds)
            tx.wakes.add("")

    def _alarm(self, connection: Connection, walk: _Walk) -> None:
        self._log.warning(
            GAP,
            environment=connection.environment,
            tenant=connection.tenant,
            connection=connection.id,
            provider=connection.provider,
            since=_instant(walk.since).isoformat(),
            until=_instant(walk.until or walk.since).isoformat(),
            repaired=walk.repaired,
            unreadable=walk.unreadable,
        )


def reconcile_job(connection: Connection | Expected, *, after: timedelta = timedelta()) -> due.Job:
    """The work of comparing one connection once."""
    return due.Job(
        environment=connection.environment,
        tenant=connection.tenant,
        lane="pull",
        kind="reconcile",
        target=connection.id,
        key=connection.id,
        after=after,
    )


async def plan(db: Database, can: Callable[[str], bool], every: timedelta) -> int:
    """Orders a comparison for each connection that can be compared; how many that are.

    They are spread over the interval, each connection always at its own place in it, so that a
    provider is not asked for all of them at once.
    """
    ordered = 0
    after = ""
    able: dict[str, bool] = {}
    seconds = max(int(every.total_seconds()), 1)
    while True:
        found = await reconciliations.expected(db, after=after)
        able.update({slug: can(slug) for slug in {each.provider for each in found} - able.keys()})
        jobs = [
            reconcile_job(each, after=timedelta(seconds=zlib.crc32(each.id.encode()) % seconds))
            for each in found
            if able[each.provider]
        ]
        await due.put(db, jobs)
        ordered += len(jobs)
        if not found:
            return ordered
        after = found[-1].id


def _listed(
    connection: Connection, provider: Provider, webhook: Webhook, page: EventPage, until: int
) -> tuple[dict[str, bytes], int]:
    """The events that ought to have come by now, by their admission keys; and how many items of the
    page are no events that can be read. Topics that concern nothing of ours are left out."""
    single = replace(webhook, events="")
    events: dict[str, bytes] = {}
    unreadable = len(page.unreadable)
    for item in page.events:
        stamp = find(item.value, webhook.stamp)
        try:
            notice, *_ = notices(single, item.raw)
        except RecordError:
            unreadable += 1
            continue
        late = isinstance(stamp, int | float) and stamp <= until
        if late and resource_of(provider, notice.topic)[1] != "ignored":
            events[admission_key(connection.id, notice.vendor_id)] = item.raw
    return events, unreadable


def _arrival(connection: Connection, id: str, body: bytes) -> Arrival:
    return Arrival(
        environment=connection.environment,
        id=id,
        app=connection.app,
        connection=connection.id,
        headers=b"[]",
        body=body,
        source=RECONCILE,
    )


def _found(walk: _Walk, pages: int, *, finished: bool) -> Reconciled:
    return Reconciled(
        since=_instant(walk.since),
        until=_instant(walk.until or walk.since),
        pages=pages,
        checked=walk.checked,
        missing=walk.missing,
        repaired=walk.repaired,
        unreadable=walk.unreadable,
        finished=finished,
    )


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


async def count_unannounced(
    db: Database,
    provider: Provider,
    connection: Connection,
    resource: str,
    changed: int,
    *,
    measures: Measures,
) -> bool:
    """Counts changes that an incremental pull found although webhooks ought to have told of them.

    Where the provider lists its events `Reconciler` does better, so nothing is counted there; nor
    where no webhook is expected: no secret is set, or none is about this resource. A webhook that
    is on its way just now is counted too: look at the trend, not at one.
    """
    webhook = provider.webhook
    if not changed or webhook is None or webhook.listing or not provider.resource(resource).topics:
        return False
    app = await apps.by_id(db, environment=connection.environment, id=connection.app)
    if connection.secrets is None and (app is None or app.secrets is None):
        return False
    await arrivals.tally(db, {(connection.environment, connection.app, "unannounced"): changed})
    measures.count(RECONCILE_UNANNOUNCED, connection.environment, provider.slug, n=changed)
    return True
