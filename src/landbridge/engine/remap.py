"""Reads what is stored of a resource again, after its mapping changed: no call is made.

A part of the records is one transaction: their unified forms where these differ, the changes, the
park, and how far it has come. So a worker that is killed loses nothing and repeats nothing. Every
page of a pull says by which mapping it was read (`store.syncs.step`); two in one stream, as while
old and new processes run side by side, have all of it read once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from landbridge.engine.now import turn
from landbridge.engine.orders import fetch_job, remap_job
from landbridge.engine.overlay import page_of
from landbridge.engine.pull import Hold, stream_of
from landbridge.engine.reading import KEYLESS, parked_of, read_record
from landbridge.errors import NotFound, RecordError
from landbridge.formats import codec
from landbridge.jobs import Cancel, Done, Kind, Lease, Outcome
from landbridge.protocols import Fetched
from landbridge.spec import Format, Provider, Resource, find
from landbridge.store import connections, due, parked, records, remaps
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from landbridge.store.parked import Stop
from landbridge.store.records import Incoming
from landbridge.store.remaps import Raw, Waiting
from landbridge.store.syncs import Stream

PART = 200
"""How many records are read in one transaction."""

_FAR = timedelta(days=1)
_STORED, _WAITING = "stored", "parked"


@dataclass(frozen=True, kw_only=True)
class Remapped:
    """What reading again did: records and parked ones that were `read`, unified forms that
    `changed`, records that were `parked` since they cannot be read now, and those that `left` the
    park. `asked` are parked records whose place only their provider can tell: they are fetched."""

    read: int = 0
    changed: int = 0
    parked: int = 0
    left: int = 0
    asked: int = 0

    def plus(self, part: Remapped) -> Remapped:
        """Both together."""
        return Remapped(
            read=self.read + part.read,
            changed=self.changed + part.changed,
            parked=self.parked + part.parked,
            left=self.left + part.left,
            asked=self.asked + part.asked,
        )


def _unwatched(_done: Remapped) -> None:
    """Nobody watches."""


class Remapping:
    """Reads streams again. `kind()` goes into a worker's table of kinds."""

    def __init__(self, db: Database, *, provider: Callable[[str], Provider], part: int = PART):
        self._db = db
        self._provider = provider
        self._part = part

    def kind(self) -> Kind:
        """The kind of due rows by which streams are read again."""
        return Kind(name="remap", run=self.work)

    async def work(self, claim: Claimed, lease: Lease) -> Outcome:
        """Reads one stream again, from where the last part ended; nothing if it is whole."""
        connection = await connections.one(
            self._db, environment=claim.environment, tenant=claim.tenant, id=claim.target or ""
        )
        if connection is None:
            return Cancel(reason="the connection is gone")
        try:
            await self.run(connection, claim.args["resource"], hold=lease.hold)
        except NotFound as error:
            return Cancel(reason=str(error))
        return Done()

    async def now(
        self,
        connection: Connection,
        resource: str,
        *,
        on_part: Callable[[Remapped], None] = _unwatched,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> Remapped:
        """Reads a stream again from its beginning, in this process; waits while a worker does."""
        stream = stream_of(connection, resource)
        async with turn(self._db, remap_job(stream, after=_FAR), sleep) as hold:
            async with self._db.transaction() as tx:
                await self._place(tx, stream)
                await hold(tx)
                await remaps.move(tx, stream, reading="", remapped=None)
                # Whatever becomes of this process, a worker looks at it afterwards.
                await due.put(tx, [remap_job(stream)])
            return await self.run(connection, resource, hold=hold, on_part=on_part)

    async def run(
        self,
        connection: Connection,
        resource_name: str,
        *,
        hold: Hold,
        on_part: Callable[[Remapped], None] = _unwatched,
    ) -> Remapped:
        """Reads a stream from where it was left to its end, by this process's mapping.

        NotFound if the page has no such resource, or the connection does not pull it.
        """
        resource = page_of(self._provider, connection).resource(resource_name)
        stream = stream_of(connection, resource.name)
        done = Remapped()
        while True:
            part = await self._next(stream, resource, hold)
            if part is None:
                return done
            if part.changed or part.asked:
                await self._db.notify()
            done = done.plus(part)
            on_part(done)

    async def _next(self, stream: Stream, resource: Resource, hold: Hold) -> Remapped | None:
        async with self._db.transaction() as tx:
            # A page that orders this work has the stream's turn before it has our due row.
            await records.turn(tx, stream)
            place = await self._place(tx, stream)
            await hold(tx)
            at = place.remapped
            if place.reading != resource.reading:
                at = {_STORED: ""}
            if at is None:
                return None
            if _STORED in at:
                keys, part = await self._stored(tx, stream, resource, at[_STORED])
                on: dict[str, str] | None = (
                    {_STORED: keys[-1]} if len(keys) == self._part else {_WAITING: ""}
                )
            else:
                keys, part = await self._waiting(tx, stream, resource, at[_WAITING])
                on = {_WAITING: keys[-1]} if len(keys) == self._part else None
            await remaps.move(tx, stream, reading=resource.reading, remapped=on)
        return part

    async def _place(self, tx: Tx, stream: Stream) -> remaps.Place:
        place = await remaps.place(tx, stream)
        if place is None:
            raise NotFound(
                f"{stream.connection} does not pull {stream.resource}; what it pulls:"
                f" landbridge connections show {stream.connection}"
            )
        return place

    async def _stored(
        self, tx: Tx, stream: Stream, resource: Resource, after: str
    ) -> tuple[list[str], Remapped]:
        raws = await remaps.stored(tx, stream, after=after, most=self._part)
        read = [_read(resource, raw) for raw in raws]
        stops = [one for one in read if isinstance(one, Stop)]
        fresh = [one for one in read if isinstance(one, Incoming)]
        await parked.park(tx, stops, **parked_of(stream))
        changed = await remaps.rewrite(tx, stream, fresh)
        keys = [raw.key for raw in raws]
        return keys, Remapped(read=len(raws), changed=changed, parked=len(stops))

    async def _waiting(
        self, tx: Tx, stream: Stream, resource: Resource, after: str
    ) -> tuple[list[str], Remapped]:
        there = await remaps.waiting(tx, stream, after=after, most=self._part)
        stops: list[Stop] = []
        fresh: dict[str, list[Incoming]] = {}
        asked: list[str] = []
        for waiting in there:
            read = _read(resource, waiting)
            if isinstance(read, Stop):
                stops.append(read)
                continue
            if waiting.key.startswith(KEYLESS):
                continue
            if waiting.digest == read.digest:
                read = msgspec.structs.replace(read, version=waiting.version)
            elif resource.format is not Format.JSON:
                asked.append(waiting.key)  # its scope and its ETag are not in it
                continue
            fresh.setdefault(waiting.scope, []).append(read)
        changed = 0
        for scope, those in fresh.items():
            changed += await records.apply(tx, stream, those, scope=scope)
        left = [one.key for those in fresh.values() for one in those]
        await parked.clear(tx, left, **parked_of(stream))
        await parked.park(tx, stops, **parked_of(stream))
        await due.put(tx, [fetch_job(stream, key) for key in asked])
        keys = [waiting.key for waiting in there]
        part = Remapped(read=len(there), changed=changed, left=len(left), asked=len(asked))
        return keys, part


def _read(resource: Resource, kept: Raw | Waiting) -> Incoming | Stop:
    """The record by the mapping of now, or why it cannot be read."""
    try:
        value = codec(resource.format).parse(kept.raw)
    except RecordError as error:
        return Stop(key=kept.key, reason=str(error), field=error.field, raw=kept.raw)
    version = find(value, resource.version) if resource.version else None
    fetched = Fetched(
        key=kept.key,
        raw=kept.raw,
        parsed=value,
        version=None if version is None else str(version),
    )
    return read_record(resource, fetched)
