"""The schedules of pulls as users hold them: looked at, set, paused, resumed.

A schedule is a row of `lb.sync`, and the due row that workers claim. A worker moves the distance
between pulls within its bounds (`engine.pace`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from landbridge.engine.loads import check_range, order_load
from landbridge.engine.orders import backfill_job, pull_job
from landbridge.engine.overlay import page_of
from landbridge.engine.pace import check_bounds, floor_of, following, within
from landbridge.engine.pull import Hold, Totals, stream_of
from landbridge.errors import NotFound, did_you_mean
from landbridge.resilience.quota import Rule, rules_of
from landbridge.spec import Provider, Quota
from landbridge.store import backfills, due, moment, schedules, sweeps, syncs
from landbridge.store.backfills import Backfill
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.schedules import Pace, Schedule
from landbridge.store.sweeps import Sweeping
from landbridge.store.syncs import Stream


class StreamPaused(BaseException):
    """The stream was paused while it was read; what is committed stays."""


class Syncs:
    """Looks at the schedules of an environment and changes them.

    Where no resource is named, all that the connection pulls are meant. NotFound for a resource
    that it does not pull.
    """

    def __init__(self, db: Database, *, environment: str, provider: Callable[[str], Provider]):
        self._db = db
        self._environment = environment
        self._provider = provider

    async def list(
        self,
        *,
        tenant: str | None = None,
        connection: str | None = None,
        environment: str | None = None,
        limit: int = 1000,
    ) -> Sequence[Schedule]:
        """The schedules of live connections, of one tenant or connection if named."""
        return await schedules.every(
            self._db,
            environment=environment or self._environment,
            tenant=tenant,
            connection=connection,
            most=limit,
        )

    async def every(
        self,
        connection: Connection,
        least: timedelta | None,
        most: timedelta | None = None,
        *,
        resources: Sequence[str] = (),
    ) -> None:
        """Pulls between `least` and `most` apart: nearer while changes come, further while it is
        quiet. Without `most` always `least`; with `least` None by hand alone, and by webhooks.

        InvalidInput below 10 seconds, above 30 days, or when `most` is the shorter one. Where the
        account's quotas would not bear it, pulls are further apart than `most`.
        """
        longest = most if least is not None and most is not None else least
        if least is not None and longest is not None:
            check_bounds(least, longest)
        for stream in await self._streams(connection, resources):
            pace = await schedules.pace(self._db, stream)
            every = within(pace.every if pace else None, least, longest)
            job = pull_job(stream, every=least, after=every or timedelta())
            async with self._db.transaction() as tx:
                # The due row before the stream's, as pages lock them.
                if least is None:
                    await due.cancel(
                        tx,
                        environment=job.environment,
                        tenant=job.tenant,
                        kind=job.kind,
                        key=job.key,
                    )
                else:
                    await due.put(tx, [job])
                await schedules.set_bounds(tx, stream, every=every, least=least, most=longest)
        await self._db.notify()

    async def pause(
        self, connection: Connection, *, resources: Sequence[str] = ()
    ) -> Sequence[str]:
        """Reads nothing of these resources until `resume`; gives their names. Twice is once.

        A pull under way stops before the next page is stored. Webhooks are taken in, and what they
        name is read after the pause. Pulling by hand goes on being possible.
        """
        streams = await self._streams(connection, resources)
        for stream in streams:
            await schedules.pause(self._db, stream)
        return [stream.resource for stream in streams]

    async def resume(
        self, connection: Connection, *, resources: Sequence[str] = ()
    ) -> Sequence[str]:
        """Goes on with what was paused, what waited at once; gives the names of those that were."""
        resumed = []
        for stream in await self._streams(connection, resources):
            async with self._db.transaction() as tx:
                if await schedules.resume(tx, stream):
                    resumed.append(stream.resource)
        await self._db.notify()
        return resumed

    async def backfill(
        self,
        connection: Connection,
        *,
        resources: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        resume: bool = False,
    ) -> Sequence[str]:
        """Orders that workers load these resources anew, beside their pulls and without their
        cursor; gives their names.

        With `since` or `until` only what was made in that range: InvalidInput where the provider
        cannot be asked for it. Without, records that the load did not meet are asked for one by one
        at its end. What is here stays readable, and a load that fails takes nothing away. One that
        is under way goes on; with `resume` the last one, if it failed or was cancelled, does so
        from its last page (NotFound: there is none).
        """
        provider = page_of(self._provider, connection)
        streams = await self._streams(connection, resources)
        for stream in streams:
            check_range(provider, stream.resource, since, until, resume=resume)
        at = await moment.now(self._db)
        async with self._db.transaction() as tx:
            # The due rows before the streams', as pages lock them.
            await due.put(tx, [backfill_job(stream) for stream in streams])
            for stream in streams:
                await order_load(tx, stream, since=since, until=until, resume=resume, at=at)
        await self._db.notify()
        return [stream.resource for stream in streams]

    async def backfills(self, connection: Connection) -> Mapping[str, Backfill]:
        """The last load of each resource of a connection that was ever loaded anew."""
        return await backfills.of_connection(
            self._db,
            environment=connection.environment,
            tenant=connection.tenant,
            connection=connection.id,
        )

    async def cancel(
        self, connection: Connection, *, resources: Sequence[str] = ()
    ) -> Sequence[str]:
        """Ends loads that are under way, at their next page; gives the names of those that were.
        What they stored stays."""
        streams = await self._streams(connection, resources)
        return [stream.resource for stream in streams if await backfills.cancel(self._db, stream)]

    async def sweeps(self, connection: Connection) -> Mapping[str, Sweeping]:
        """How far the look for deletions is in each resource of a connection that is swept
        (`Resource.sweep`) and has begun to be."""
        return await sweeps.of_connection(
            self._db,
            environment=connection.environment,
            tenant=connection.tenant,
            connection=connection.id,
        )

    async def _streams(self, connection: Connection, wanted: Sequence[str]) -> Sequence[Stream]:
        names = [
            name
            for name, _ in await syncs.every(
                self._db,
                environment=connection.environment,
                tenant=connection.tenant,
                connection=connection.id,
            )
        ]
        for name in wanted:
            if name not in names:
                raise NotFound(
                    f"{connection.id} does not pull {name!r}.{did_you_mean(name, names)}"
                    f" It pulls: {', '.join(names) or 'nothing'}."
                )
        return [stream_of(connection, name) for name in dict.fromkeys(wanted or names)]


def unless_paused(stream: Stream, hold: Hold) -> Hold:
    """`hold`, and `StreamPaused` once the stream is paused."""

    async def both(tx: Tx) -> None:
        await hold(tx)
        if await schedules.paused(tx, stream):
            raise StreamPaused

    return both


async def next_pull(
    db: Database,
    provider: Provider,
    stream: Stream,
    pace: Pace,
    totals: Totals | None,
) -> timedelta | None:
    """How long to wait until the next pull, which is stored as the stream's pace; None: there is
    no schedule. `totals` None: the pull was refused, since a quota had no room for it."""
    if pace.every is None or pace.least is None or pace.most is None:
        return None
    resource = provider.resource(stream.resource)
    whole = totals.pages if totals is not None and resource.since is None else 1
    every = following(
        pace.every,
        least=pace.least,
        most=pace.most,
        found=totals is not None and totals.changed + totals.gone > 0,
        refused=totals is None,
        floor=floor_of(
            _rules(tuple(provider.quotas), stream.environment),
            calls=max(whole, 1),
            streams=pace.others,
        ),
    )
    if every != pace.every:
        await schedules.move(db, stream, every)
    return every


@lru_cache(maxsize=256)
def _rules(quotas: tuple[Quota, ...], environment: str) -> Sequence[Rule]:
    return rules_of(quotas, environment)
