"""Loads a resource again, whole or by a range of time, beside its pulls and without their cursor.

Each page is stored as a pull's is: what is here stays readable, record by record as it was or as
the load found it, and nothing is taken away before the load has come to its end. Then what it did
not meet is asked for one by one (`engine.missing`). One that fails leaves everything as it is, and
goes on from its last page when it is told to.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import msgspec

from landbridge.client import Client, Lane, SignIn
from landbridge.clock import Clock
from landbridge.engine import awake
from landbridge.engine.consume import reason_of
from landbridge.engine.conversing import converse
from landbridge.engine.missing import order_missing
from landbridge.engine.orders import remap_job
from landbridge.engine.overlay import page_of
from landbridge.engine.page import Applied, apply_page
from landbridge.engine.pull import Hold, stream_of
from landbridge.engine.schedules import StreamPaused, unless_paused
from landbridge.errors import (
    DatabaseUnavailable,
    LandbridgeError,
    ProviderError,
    ReconnectRequired,
)
from landbridge.jobs import Cancel, Done, Kind, Lease, Outcome
from landbridge.protocols import Page, Place, load
from landbridge.spec import Provider
from landbridge.store import backfills, due, moment, schedules, syncs
from landbridge.store.backfills import Backfill
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed, LeaseLost
from landbridge.store.syncs import Stream


class _Ended(LandbridgeError):
    """The load was cancelled; its page is undone."""


class Backfilling:
    """Carries loads out. `kind()` goes into a worker's table of kinds."""

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
        """The kind of due rows by which streams are loaded."""
        return Kind(name="backfill", run=self.work)

    async def work(self, claim: Claimed, lease: Lease) -> Outcome:
        """Loads one stream from where its last page ended; what is no fault of ours or of the
        provider's moment ends it as failed."""
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
        except Exception as error:
            if isinstance(error, DatabaseUnavailable | LeaseLost) or _passes(error):
                raise
            await self._fail(stream, reason_of(error))
            return Cancel(reason=reason_of(error))
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

    async def _fail(self, stream: Stream, reason: str) -> None:
        ended_at = await moment.now(self._db)
        async with self._db.transaction() as tx:
            here = await backfills.one(tx, stream)
            if here is not None:
                failed = msgspec.structs.replace(
                    here, state="failed", reason=reason, ended_at=ended_at
                )
                await backfills.write(tx, stream, failed)


def _counted(here: Backfill, page: Page, applied: Applied) -> Backfill:
    return msgspec.structs.replace(
        here,
        cursor=page.cursor,
        pages=here.pages + 1,
        seen=here.seen + applied.seen,
        changed=here.changed + applied.changed,
        gone=here.gone + applied.gone,
        parked=here.parked + applied.parked,
    )


def _passes(error: Exception) -> bool:
    """Whether it may be gone when the same page is asked for later."""
    return isinstance(error, ProviderError) and error.transient
