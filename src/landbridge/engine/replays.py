"""Replays of outgoing events: one, a filter or a time range, of any size, paced and resumable.

A replay is a row, which says what and how far, and a due row, which `engine.replaying` runs. Here
it is ordered, looked at, paused and ended.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from landbridge import ids
from landbridge.errors import InvalidInput, NotFound
from landbridge.store import due, endpoints, replays
from landbridge.store.database import Database, Tx
from landbridge.store.endpoints import Endpoint
from landbridge.store.replays import WHICH, Replay, Selection

COUNTED = 1_000_000
"""Up to here the size of a replay is counted; a larger one comes to "more than" this."""

_COUNT_LOOK = 5000
_LOOKED_AT = 5_000_000
_FASTEST = 10_000.0
_MOST_EVENTS = 10_000
_TYPE = re.compile(r"\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?")


class Replays:
    """Orders replays and keeps them. Where no environment is named, `environment` is meant.

    NotFound for an id that is not there, InvalidInput for a value that cannot be.
    """

    def __init__(self, db: Database, *, environment: str):
        self._db = db
        self._environment = environment

    async def create(
        self,
        *,
        endpoint: str,
        tenant: str | None = None,
        environment: str | None = None,
        types: Sequence[str] = ("*",),
        since: datetime | None = None,
        until: datetime | None = None,
        state: replays.Which = "all",
        events: Sequence[str] | None = None,
        every: bool = False,
        rate: float = 50.0,
        dry_run: bool = False,
    ) -> Replay:
        """A replay of past events to an endpoint, under way; with `dry_run` only what it comes to.

        Events of these `types`, emitted from `since` to before `until`, or just those named in
        `events`. `state` is `all`, `failed` (the last delivery was given up), `missed` (there never
        was one, as while the endpoint was disabled) or `undelivered` (one of these two). The
        endpoint's own types and filter hold unless `every`. What is not dispatched yet is not part
        of it: it is delivered anyway. `rate` is deliveries a second; the endpoint's own limits
        stand above it.
        """
        where = environment or self._environment
        selection = _checked(types, since, until, state, events, every=every)
        if not 0 < rate <= _FASTEST:
            raise InvalidInput(f"rate: {rate} is not above 0 and up to {_FASTEST:.0f} a second")
        to = await self._endpoint(where, tenant, endpoint)
        last = await replays.latest_event(self._db, environment=where, tenant=to.tenant)
        total, exact = await self._count(to, selection, last)
        if dry_run:
            return _planned(to, selection, rate, total, exact=exact)
        if to.state != "enabled":
            raise InvalidInput(
                f"endpoint: {to.id} is disabled ({to.reason}); first: landbridge endpoints enable"
                f" {to.id}"
            )
        fresh = ids.new(ids.PREFIXES["replay"])
        async with self._db.transaction() as tx:
            await replays.add(
                tx,
                environment=where,
                tenant=to.tenant,
                id=fresh,
                endpoint=to.id,
                selection=selection,
                rate=rate,
                until=last,
                total=total,
                exact=exact,
            )
            await due.put(tx, [_job(where, to.tenant, fresh, to.id)])
        await self._db.notify()
        return await self.get(fresh, environment=where)

    async def get(self, id: str, *, environment: str | None = None) -> Replay:
        """The replay, as far as it has come."""
        where = environment or self._environment
        found = await replays.by_id(self._db, environment=where, id=id)
        if found is None:
            raise NotFound(
                f"{id!r} is no replay in the environment {where!r};"
                " see them with: landbridge replays list"
            )
        return found

    async def list(
        self,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        environment: str | None = None,
        most: int = 100,
    ) -> Sequence[Replay]:
        """Replays, newest first."""
        return await replays.every(
            self._db,
            environment=environment or self._environment,
            tenant=tenant,
            endpoint=endpoint,
            most=most,
        )

    async def pause(
        self, id: str, *, environment: str | None = None, reason: str = "paused by hand"
    ) -> Replay:
        """The replay, which adds nothing more until `resume`; what waits already goes out.

        Twice is once. InvalidInput when it has ended.
        """
        found = await self.get(id, environment=environment)
        async with self._db.transaction() as tx:
            await _stop(tx, found)
            await _change(tx, found, "paused", of=["running"], reason=reason)
        return await self._now(found, "paused")

    async def resume(self, id: str, *, environment: str | None = None) -> Replay:
        """The replay, which goes on where it stopped. Twice is once.

        InvalidInput when it has ended, or its endpoint is disabled or deleted.
        """
        found = await self.get(id, environment=environment)
        to = await endpoints.one(
            self._db, environment=found.environment, tenant=found.tenant, id=found.endpoint
        )
        if found.state == "paused" and (to is None or to.state != "enabled"):
            raise InvalidInput(
                f"{id} has nowhere to go: its endpoint was deleted; landbridge replays cancel {id}"
                if to is None
                else f"{id} has nowhere to go: its endpoint is disabled ({to.reason}); first:"
                f" landbridge endpoints enable {to.id}"
            )
        async with self._db.transaction() as tx:
            if await _change(tx, found, "running", of=["paused"]):
                job = _job(found.environment, found.tenant, found.id, found.endpoint)
                await due.put(tx, [job])
        await self._db.notify()
        return await self._now(found, "running")

    async def cancel(self, id: str, *, environment: str | None = None) -> Replay:
        """The replay, ended; what it put and was not tried yet is taken back. Twice is once.

        InvalidInput when it is done.
        """
        found = await self.get(id, environment=environment)
        async with self._db.transaction() as tx:
            await _stop(tx, found)
            if await _change(tx, found, "cancelled", of=["running", "paused"]):
                await replays.take_back(
                    tx, environment=found.environment, tenant=found.tenant, id=found.id
                )
        return await self._now(found, "cancelled")

    async def _now(self, was: Replay, wanted: str) -> Replay:
        found = await self.get(was.id, environment=was.environment)
        if found.state != wanted:
            raise InvalidInput(f"{was.id} is {found.state} and cannot be {wanted} any more")
        return found

    async def _endpoint(self, environment: str, tenant: str | None, id: str) -> Endpoint:
        found = await endpoints.by_id(self._db, environment=environment, id=id)
        if found is None or tenant not in (None, found.tenant):
            raise NotFound(
                f"endpoint: {id!r} is no endpoint"
                + (f" of {tenant!r}" if tenant else "")
                + f" in the environment {environment!r}; see them with: landbridge endpoints list"
            )
        return found

    async def _count(self, to: Endpoint, selection: Selection, last: int) -> tuple[int, bool]:
        """How many deliveries it comes to, and whether that is all of them."""
        total = looked = after = 0
        while total < COUNTED and looked < _LOOKED_AT:
            part = await replays.count(
                self._db,
                selection,
                look=_COUNT_LOOK,
                most=_COUNT_LOOK,
                environment=to.environment,
                tenant=to.tenant,
                endpoint=to.id,
                after=after,
                until=last,
            )
            total += part.matched
            looked += part.looked
            after = part.last
            if part.looked < _COUNT_LOOK:
                return total, True
        return total, False


async def _stop(tx: Tx, found: Replay) -> None:
    """Takes the work away, first of all: who holds it settles and writes nothing more."""
    await due.cancel(
        tx,
        environment=found.environment,
        tenant=found.tenant,
        kind=replays.KIND,
        key=found.id,
    )


async def _change(
    tx: Tx,
    found: Replay,
    state: replays.State,
    *,
    of: Sequence[replays.State],
    reason: str = "",
) -> bool:
    return await replays.set_state(
        tx,
        environment=found.environment,
        tenant=found.tenant,
        id=found.id,
        state=state,
        of=of,
        reason=reason,
    )


def _job(environment: str, tenant: str, id: str, endpoint: str) -> due.Job:
    return due.Job(
        environment=environment,
        tenant=tenant,
        lane="system",
        kind=replays.KIND,
        key=id,
        target=endpoint,
    )


def _planned(to: Endpoint, selection: Selection, rate: float, total: int, *, exact: bool) -> Replay:
    return Replay(
        environment=to.environment,
        tenant=to.tenant,
        id="",
        endpoint=to.id,
        selection=selection,
        state="planned",
        reason="",
        rate=rate,
        total=total,
        exact=exact,
        done=0,
        waiting=0,
        speed=0.0,
        created_at=None,
        ended_at=None,
    )


def _checked(
    types: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    state: replays.Which,
    events: Sequence[str] | None,
    *,
    every: bool,
) -> Selection:
    _check_types(types)
    if state not in WHICH:
        raise InvalidInput(f"state: {state!r} is none of {', '.join(WHICH)}")
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise InvalidInput(f"{name}: a moment without a zone; use datetime.now(UTC) or so")
    if since is not None and until is not None and since >= until:
        raise InvalidInput("since: it is not before until; no event lies in between")
    return Selection(
        types=tuple(types),
        since=since,
        until=until,
        state=state,
        events=None if events is None else _checked_events(events),
        every=every,
    )


def _check_types(types: Sequence[str]) -> None:
    if isinstance(types, str) or not types:
        raise InvalidInput("types: give a list of event types such as ['invoice.*'], or ['*']")
    for each in types:
        if not _TYPE.fullmatch(each):
            raise InvalidInput(
                f"types: {each!r} is not an event type such as invoice.paid, nor invoice.* or *"
            )


def _checked_events(events: Sequence[str]) -> tuple[str, ...]:
    if isinstance(events, str) or not 0 < len(events) <= _MOST_EVENTS:
        raise InvalidInput(f"events: give 1 to {_MOST_EVENTS} event ids, or none for all")
    for each in events:
        if not ids.is_id(each, ids.PREFIXES["event"]):
            raise InvalidInput(f"events: {each!r} is not an event's id such as evt_01kb3v8p2...")
    return tuple(sorted(set(events)))
