"""The kinds of work that compare webhooks with what providers list, and their schedule."""

from __future__ import annotations

from datetime import timedelta

from landbridge.app.opening import Parts
from landbridge.engine.overlay import page_of
from landbridge.engine.pull import Totals, stream_of
from landbridge.engine.reconcile import count_unannounced, plan
from landbridge.errors import InvalidInput
from landbridge.jobs import Cancel, Done, Kind, Lease, Outcome, Snooze
from landbridge.store import due, syncs
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.due import Claimed

_PLAN = "reconcile.plan"
_SOON = timedelta(seconds=1)
_BEHIND = timedelta(minutes=1)


class Comparing:
    """What the kinds `reconcile` and `reconcile.plan` do."""

    def __init__(self, parts: Parts):
        self._parts = parts

    def plan_kind(self) -> Kind:
        """Orders a comparison for every connection that can be compared."""
        return Kind(name=_PLAN, run=self._plan)

    async def run(self, connection: Connection, claim: Claimed, lease: Lease) -> Outcome:
        """Compares one connection, a bounded number of calls at a time."""
        depth = (await due.depth(self._parts.db))["receive"]
        if depth.oldest is not None and claim.claimed_at - depth.oldest > _BEHIND:
            return Snooze(after=_BEHIND, error="the inbox is behind: what came is not sorted yet")
        try:
            done = await self._parts.reconciler.run(connection, hold=lease.hold)
        except InvalidInput as error:
            return Cancel(reason=str(error))
        return Done() if done.finished else Snooze(after=_SOON)

    async def followed(self, connection: Connection, resource: str) -> bool:
        """Whether a pull that begins now would only read what changed since the last one."""
        webhook = self._parts.provider(connection.provider).webhook
        if webhook is None or webhook.listing is not None:
            return False
        cursor = await syncs.cursor(self._parts.db, stream_of(connection, resource))
        return cursor is not None and "since" in cursor

    async def unannounced(self, connection: Connection, resource: str, totals: Totals) -> None:
        """Counts what such a pull found although no webhook told of it."""
        await count_unannounced(
            self._parts.db,
            page_of(self._parts.provider, connection),
            connection,
            resource,
            totals.changed + totals.gone,
            measures=self._parts.measures,
        )

    async def _plan(self, _claim: Claimed, _lease: Lease) -> Outcome:
        every = timedelta(minutes=self._parts.settings.reconcile_minutes)
        await plan(self._parts.db, self._parts.reconciler.can, every)
        return Done()


async def order_comparing(db: Database, minutes: int) -> None:
    """Puts the standing order that compares every so many minutes; 0 takes it away."""
    if minutes == 0:
        await due.cancel(db, environment="", tenant="", kind=_PLAN, key=_PLAN)
        return
    job = due.Job(
        environment="",
        tenant="",
        lane="system",
        kind=_PLAN,
        key=_PLAN,
        repeat=f"every {60 * minutes}s",
    )
    await due.put(db, [job])
