"""Loads a resource again, whole or by a range of time, beside its pulls and without their cursor.

Each page is stored as a pull's is: what is here stays readable, record by record as it was or as
the load found it, and nothing is taken away before the load has come to its end. Then what it did
not meet is asked for one by one (`engine.missing`). One that fails leaves everything as it is, and
goes on from its last page when it is told to. What may pass is waited for, longer each time, and
for a day without a page at most.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog

from landbridge.client import Client, Lane, SignIn
from landbridge.clock import Clock
from landbridge.engine import awake, notices
from landbridge.engine.consume import reason_of
from landbridge.engine.conversing import converse
from landbridge.engine.missing import order_missing
from landbridge.engine.orders import remap_job
from landbridge.engine.overlay import page_of
from landbridge.engine.page import Applied, apply_page
from landbridge.engine.pull import Hold, stream_of
from landbridge.engine.schedules import StreamPaused, unless_paused
from landbridge.errors import (
    CircuitOpen,
    DatabaseUnavailable,
    LandbridgeError,
    ProviderError,
    ReconnectRequired,
    Throttled,
)
from landbridge.jobs import Cancel, Done, Kind, Lease, Outcome, Retry
from landbridge.jobs.outcome import full_jitter, of_exception
from landbridge.protocols import Page, Place, load
from landbridge.spec import Provider
from landbridge.store import backfills, due, moment, schedules, syncs
from landbridge.store.backfills import Backfill
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed, LeaseLost

_PATIENCE = timedelta(days=1)
_LONGEST_WAIT = timedelta(hours=1)


class _Ended(LandbridgeError):
    """The load was cancelled; its page is undone."""


class Backfilling:
    """Carries loads out. `kind()` goes into a worker's table of kinds.

    `patience` is how long a load waits for its next page before it fails; `chance` gives numbers
    from 0 to 1, by which the waits of many come apart.
    """

    def __init__(
        self,
        db: Database,
        client: Client,
        *,
        provider: Callable[[str], Provider],
        base: Callable[[Provider, Connection], str],
        clock: Clock,
        patience: timedelta = _PATIENCE,
        chance: Callable[[], float] = random.random,
    ):
        self._patience = patience
        self._chance = chance
        self._log = structlog.get_logger("landbridge.backfill")
        self._db = db
        self._client = client
        self._provider = provider
        self._base = base
        self._clock = clock

    def kind(self) -> Kind:
        """The kind of due rows by which streams are loaded."""
        return Kind(name="backfill", run=self.work)

    async def work(self, claim: Claimed, lease: Lease) -> Outcome:
        """Loads one stream from where its last page ended. What may pass is tried again later,
        until its patience is over; that, and everything else, ends it as failed."""
        connection = await awake.target_of(self._db, claim)
        if not isinstance(connection, Connection):
            return connection
        resource = claim.args["resource"]
        stream = stream_of(connection, resource)
        if await schedules.paused(self._db, stream):
            return awake.paused(resource)
        try:
            await self.run(connection, resource, hold=unless_paused(stream, lease.hold))
        except StreamPaused:
            return awake.paused(resource)
        except ReconnectRequired as error:
            return await awake.refused(self._db, connection, error)
        except _Ended as error:
            return Cancel(reason=str(error))
        except (DatabaseUnavailable, LeaseLost):
            raise
        except Exception as error:  # noqa: BLE001 - a failure is an outcome
            if isinstance(error, ProviderError) and error.transient:
                return await self._wait(connection, resource, error, hold=lease.hold)
            return await self._fail(connection, resource, reason_of(error), hold=lease.hold)
        return Done()

    async def run(self, connection: Connection, resource_name: str, *, hold: Hold) -> Backfill:
        """The load that is under way, brought to its end; raises what stopped it."""
        provider = page_of(self._provider, connection)
        resource = provider.resource(resource_name)
        stream = stream_of(connection, resource_name)
        here = await backfills.one(self._db, stream)
        if here is None or here.state != "running":
            raise _Ended(f"no load of {resource_name} is under way")
        judge = partial(order_missing, listed_from=here.began_at)

        async def keep(tx: Tx, page: Page, applied: Applied) -> datetime:
            nonlocal here
            assert here is not None
            after = _counted(here, page, applied)
            at = await backfills.write(tx, stream, after)
            if at is None:
                raise _Ended(f"the load of {resource_name} was cancelled")
            if applied.stored and await syncs.mix(tx, stream, reading=resource.reading):
                await due.put(tx, [remap_job(stream)])
            here = after
            return at

        place = Place(base=self._base(provider, connection), settings=dict(connection.settings))
        signed = self._client.signed(provider, SignIn(connection=connection), lane=Lane.BACKFILL)
        conversation = load(
            provider,
            resource,
            place,
            here.cursor,
            self._clock.now(),
            since=here.since,
            until=here.until,
        )

        async def store(page: Page, began: datetime, news: float) -> Applied:
            return await apply_page(
                self._db,
                stream,
                resource,
                page,
                keep=keep,
                began=began,
                hold=hold,
                news=news,
                judge=judge,
            )

        began = await moment.now(self._db)
        await converse(conversation, signed.send, store, began=began)
        ended_at = await moment.now(self._db)
        done = msgspec.structs.replace(here, state="done", cursor=None, ended_at=ended_at)
        async with self._db.transaction() as tx:
            await hold(tx)
            if await backfills.write(tx, stream, done) is None:
                raise _Ended(f"the load of {resource_name} was cancelled")
        return done

    async def _wait(
        self, connection: Connection, resource: str, error: ProviderError, *, hold: Hold
    ) -> Outcome:
        """What becomes of a load whose next page cannot be had at present."""
        reason = reason_of(error)
        if isinstance(error, Throttled) and error.status is None:
            return of_exception(error)  # our own quotas have no room; it was not asked for
        stream = stream_of(connection, resource)
        at = await moment.now(self._db)
        async with self._db.transaction() as tx:
            await hold(tx)
            here = await backfills.one(tx, stream)
            if here is None or here.state != "running":
                return Cancel(reason=f"no load of {resource} is under way")
            since = here.failing_since or at
            tries = here.tries + (not isinstance(error, CircuitOpen))
            waiting = msgspec.structs.replace(
                here,
                tries=tries,
                failing_since=since,
                reason=f"{tries} tries since {since:%Y-%m-%d %H:%M} UTC: {reason}",
            )
            await backfills.write(tx, stream, waiting)
        if at - since >= self._patience:
            reason = (
                f"given up after {tries} tries since {since:%Y-%m-%d %H:%M} UTC, last: {reason}"
            )
            return await self._fail(connection, resource, reason, hold=hold)
        self._log.warning(
            "backfill.waits", connection=connection.id, resource=resource, reason=waiting.reason
        )
        if error.retry_at is not None:
            return of_exception(error)
        after = full_jitter(tries, self._chance, cap=_LONGEST_WAIT)
        return Retry(error=reason, after=after)

    async def _fail(
        self, connection: Connection, resource: str, reason: str, *, hold: Hold
    ) -> Outcome:
        stream = stream_of(connection, resource)
        ended_at = await moment.now(self._db)
        async with self._db.transaction() as tx:
            await hold(tx)
            here = await backfills.one(tx, stream)
            if here is not None:
                failed = msgspec.structs.replace(
                    here, state="failed", reason=reason, ended_at=ended_at
                )
                if await backfills.write(tx, stream, failed) is not None:
                    await notices.backfill_failed(tx, connection, resource, reason)
        self._log.error(
            "backfill.failed",
            connection=connection.id,
            resource=resource,
            reason=reason,
            remedy=f"landbridge syncs backfill {connection.id} {resource} --resume",
        )
        return Cancel(reason=reason)


def _counted(here: Backfill, page: Page, applied: Applied) -> Backfill:
    return msgspec.structs.replace(
        here,
        cursor=page.cursor,
        reason="",
        tries=0,
        failing_since=None,
        pages=here.pages + 1,
        seen=here.seen + applied.seen,
        changed=here.changed + applied.changed,
        gone=here.gone + applied.gone,
        parked=here.parked + applied.parked,
    )
