"""What each kind of due work does; engine's verbs behind the names that rows carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from landbridge.app.comparing import Comparing
from landbridge.app.opening import Parts
from landbridge.engine import awake, kept_back, reauth
from landbridge.engine.erase import Erasing
from landbridge.engine.linker import Linker, Stepped
from landbridge.engine.overlay import page_of
from landbridge.engine.pull import stream_of
from landbridge.engine.received import Telling
from landbridge.engine.refresh_ahead import Ahead
from landbridge.engine.replaying import Replaying
from landbridge.engine.schedules import StreamPaused, next_pull, unless_paused
from landbridge.engine.sort import sort
from landbridge.errors import (
    NotFound,
    ReconnectRequired,
    Refused,
    SpecError,
    Throttled,
    UnmappedCode,
)
from landbridge.jobs import Cancel, Done, Kind, Lease, Outcome, Snooze
from landbridge.store import connections, due, intents, schedules, upkeep
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.due import Claimed
from landbridge.store.schedules import Pace
from landbridge.store.syncs import Stream

UPKEEP = due.Job(
    environment="", tenant="", lane="system", kind="upkeep", key="upkeep", repeat="every 3600s"
)
"""The standing order that keeps partitions ahead and drops what is old."""


class Kinds:
    """The kinds of one process, over its open parts."""

    def __init__(self, parts: Parts, linker: Linker | None = None, telling: Telling | None = None):
        self._parts = parts
        self._telling = telling or Telling(parts.db, (), provider=parts.provider)
        self._linker = linker or Linker(
            parts.db, {}, provider=parts.provider, environment=parts.settings.environment
        )
        self._comparing = Comparing(parts)
        self._log = structlog.get_logger("landbridge.work")

    def table(self) -> Mapping[str, Kind]:
        """Every kind by its name."""
        parts = self._parts
        kinds = [
            Kind(name="pull", run=self.pull, load=self.paces),
            Kind(name="fetch", run=self.fetch),
            Kind(name="receive", run=self.receive, backoff=_soon),
            Kind(name="confirm", run=self.confirm, backoff=_soon),
            Kind(name="push", run=self.push),
            Kind(name="link", run=self.link, backoff=_soon),
            Kind(name="link_start", run=self.link_start, backoff=_soon),
            Kind(name="upkeep", run=self.upkeep),
            Kind(name="reconcile", run=self.reconcile),
            Kind(name="shadow", run=self.shadow),
            Kind(name="shadow_end", run=self.shadow_end),
            self._comparing.plan_kind(),
            Ahead(parts.db, parts.refresher, provider=parts.provider).kind(),
            parts.remapping.kind(),
            parts.backfilling.kind(),
            parts.sweeper.kind(),
            self._telling.kind(),
            Replaying(parts.db).kind(),
            Erasing(parts.db).kind(),
        ]
        return {kind.name: kind for kind in kinds}

    async def paces(self, claims: Sequence[Claimed]) -> Mapping[str, Pace]:
        """How often the claimed resources are pulled, by the claims' ids."""
        streams = {
            claim.id: Stream(
                environment=claim.environment,
                tenant=claim.tenant,
                connection=claim.target or "",
                resource=claim.args["resource"],
            )
            for claim in claims
        }
        return await schedules.paces(self._parts.hot, streams)

    async def pull(self, claim: Claimed, lease: Lease) -> Outcome:
        """Pulls a resource of a connection to its end."""
        connection = await awake.target_of(self._parts.db, claim)
        if not isinstance(connection, Connection):
            return connection
        resource = claim.args["resource"]
        db, stream = self._parts.db, stream_of(connection, resource)
        pace: Pace | None = lease.loaded
        if pace is None:
            return Cancel(reason=f"the connection does not pull {resource}")
        if pace.paused_at is not None:
            return awake.paused(resource)
        page = page_of(self._parts.provider, connection)
        hold = unless_paused(stream, lease.hold)
        try:
            followed = await self._comparing.followed(connection, resource)
            totals = await self._parts.puller.run(connection, resource, hold=hold)
        except NotFound as error:
            return Cancel(reason=str(error))
        except ReconnectRequired as error:
            return awake.dormant(str(error))
        except StreamPaused:
            return awake.paused(resource)
        except Throttled:
            await next_pull(db, page, stream, pace, None)
            raise
        if followed:
            await self._comparing.unannounced(connection, resource, totals)
        await self._parts.sweeper.order(connection, page.resource(resource))
        return Done(after=await next_pull(db, page, stream, pace, totals))

    async def fetch(self, claim: Claimed, lease: Lease) -> Outcome:
        """Reads one record again."""
        connection = await awake.target_of(self._parts.db, claim)
        if not isinstance(connection, Connection):
            return connection
        resource, key = claim.args["resource"], claim.args["key"]
        if await schedules.paused(self._parts.db, stream_of(connection, resource)):
            return awake.paused(resource)
        try:
            await self._parts.puller.one(
                connection, resource, key, hold=lease.hold, told_at=_told_at(claim)
            )
        except ReconnectRequired as error:
            return await awake.refused(self._parts.db, connection, error)
        return Done()

    async def receive(self, claim: Claimed, lease: Lease) -> Outcome:
        """Sorts the arrivals that one intake flush stored."""
        done = await sort(
            self._parts.db,
            environment=claim.environment,
            arrivals_named=claim.args["arrivals"],
            provider=self._parts.provider,
            hold=lease.hold,
        )
        if done.filed:
            await self._parts.db.notify()
        return Done()

    async def confirm(self, claim: Claimed, _lease: Lease) -> Outcome:
        """Sends back the code that a provider posted to a connection's address."""
        connection = await awake.target_of(self._parts.db, claim)
        if not isinstance(connection, Connection):
            return connection
        try:
            await self._parts.callbacks.confirm(connection, claim.args["key"], claim.args["code"])
        except ReconnectRequired as error:
            return await awake.refused(self._parts.db, connection, error)
        except (Refused, SpecError) as error:
            return Cancel(reason=str(error))
        return Done()

    async def push(self, claim: Claimed, lease: Lease) -> Outcome:
        """Carries an intent out."""
        intent = await intents.one(
            self._parts.db,
            environment=claim.environment,
            tenant=claim.tenant,
            id=claim.ref or "",
        )
        if intent is None:
            return Cancel(reason="the intent is gone")
        connection = await self._connection(claim, intent.connection)
        if connection is not None and connection.state in ("pending", "paused", "needs_reauth"):
            return awake.asleep(connection)
        try:
            await self._parts.pusher.run(intent, hold=lease.hold)
        except (ReconnectRequired, UnmappedCode) as error:
            return awake.dormant(str(error))
        return Done()

    async def link(self, claim: Claimed, lease: Lease) -> Outcome:
        """Lets the two sides of a pair meet."""
        return _stepped(await self._linker.run(claim, lease.hold))

    async def link_start(self, claim: Claimed, lease: Lease) -> Outcome:
        """Begins a link with a connection."""
        return _stepped(await self._linker.start(claim, lease.hold))

    async def reconcile(self, claim: Claimed, lease: Lease) -> Outcome:
        """Compares a connection's webhooks with what its provider lists."""
        connection = await self._connection(claim, claim.target)
        if connection is None or connection.state == "revoked":
            return Cancel(reason="the connection is gone")
        if connection.state != "active":
            return Cancel(reason=f"the connection is {connection.state}")
        try:
            return await self._comparing.run(connection, claim, lease)
        except ReconnectRequired as error:
            await reauth.refused(self._parts.db, connection, str(error), error.reason)
            return Cancel(reason=str(error))

    async def shadow(self, claim: Claimed, _lease: Lease) -> Outcome:
        """Ends the window of a shadow, by its rule."""
        ended = await self._parts.shadows.judge(claim.environment, claim.ref or "")
        if ended is not None:
            self._log.info(f"shadow.{ended.state}", shadow=ended.id, reason=ended.reason)
        return Done()

    async def shadow_end(self, claim: Claimed, lease: Lease) -> Outcome:
        """Has pairs of links looked at whose writes a shadow kept back that has ended."""
        shadow = claim.ref or ""
        await kept_back.wake(self._parts.db, claim.environment, shadow, hold=lease.hold)
        return Done()

    async def upkeep(self, _claim: Claimed, _lease: Lease) -> Outcome:
        """One round of upkeep; stray rows are an alarm in the log, as is what it cannot get at."""
        done = await upkeep.keep_up(self._parts.db, keep=self._parts.settings.retention)
        if done.strays:
            self._log.error("partitions.strays", **done.strays)
        if done.blocked:
            self._log.warning("partitions.blocked", tables=done.blocked)
        if done.removed:
            self._log.info("upkeep.removed", **done.removed)
        return Done()

    async def _connection(self, claim: Claimed, id: str | None) -> Connection | None:
        return await connections.one(
            self._parts.db,
            environment=claim.environment,
            tenant=claim.tenant,
            id=id or "",
        )


def _told_at(claim: Claimed) -> datetime | None:
    """When the record changed, by the webhook that ordered this; None: no webhook did."""
    told = claim.args.get("told_at")
    return datetime.fromisoformat(told) if told else None


def _stepped(came: Stepped) -> Outcome:
    if came.gone:
        return Cancel(reason=came.gone)
    return Done() if came.later is None else Snooze(after=came.later)


def _soon(attempt: int) -> timedelta:
    return min(timedelta(seconds=0.5 * 2.0 ** min(attempt, 10)), timedelta(minutes=1))


async def order_upkeep(db: Database) -> None:
    """Puts the standing order for upkeep; one that is there stays."""
    await due.put(db, [UPKEEP])
