"""Pulls at once, in this process, under the same lease as the workers, so nothing runs twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count

from landbridge.engine.orders import fetch_job, pull_job
from landbridge.engine.pull import Puller, Totals, stream_of
from landbridge.errors import DatabaseUnavailable
from landbridge.jobs import new_owner
from landbridge.store import due
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed

LEASE = timedelta(seconds=15)
_PUT_EVERY = 50
_FAR = timedelta(days=1)


async def pull_now(
    db: Database,
    puller: Puller,
    connection: Connection,
    resource: str,
    *,
    on_page: Callable[[Totals], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Totals:
    """Pulls a resource to its end and looks at what a listing missed; waits while a worker does.

    The schedule stays as it is. LeaseLost when this process was paused so long that a worker took
    over; what was pulled before stays, and the worker goes on from there.
    """
    stream = stream_of(connection, resource)
    async with turn(db, pull_job(stream, after=_FAR), sleep) as hold:
        totals = await puller.run(connection, resource, hold=hold, on_page=on_page)
    for key in totals.missing:
        async with turn(db, fetch_job(stream, key, after=_FAR), sleep) as hold:
            looked = await puller.one(connection, resource, key, hold=hold)
        totals = replace(totals, gone=totals.gone + looked.gone)
    return totals


@asynccontextmanager
async def turn(
    db: Database, job: due.Job, sleep: Callable[[float], Awaitable[None]]
) -> AsyncIterator[Callable[[Tx], Awaitable[None]]]:
    """A turn at a keyed job, taken before its time, while no worker has it; waits for one that has.

    Gives what fences a transaction. The job is settled at the end.
    """
    owner = new_owner()
    claim = await _take(db, owner, job, sleep)
    try:
        async with held(db, owner, claim, sleep) as hold:
            yield hold
    finally:
        await due.settle(db, owner, done=[claim], again=[])


@asynccontextmanager
async def held(
    db: Database, owner: str, claim: Claimed, sleep: Callable[[float], Awaitable[None]]
) -> AsyncIterator[Callable[[Tx], Awaitable[None]]]:
    """Keeps the lease of a claim alive and gives what fences a transaction; settles nothing."""

    async def hold(tx: Tx) -> None:
        await due.hold(tx, owner, claim)

    renewing = asyncio.create_task(_renew(db, owner, claim, sleep))
    try:
        yield hold
    finally:
        renewing.cancel()


async def _take(
    db: Database, owner: str, job: due.Job, sleep: Callable[[float], Awaitable[None]]
) -> Claimed:
    assert job.key is not None
    for turn in count():
        if turn % _PUT_EVERY == 0:
            # Far off, so that no worker is woken by it; a row that is there keeps its time.
            await due.put(db, [job])
        claim = await due.take(
            db,
            owner=owner,
            environment=job.environment,
            tenant=job.tenant,
            kind=job.kind,
            key=job.key,
            lease=LEASE,
        )
        if claim is not None:
            return claim
        await sleep(0.2)
    raise AssertionError("count() has no end")


async def _renew(
    db: Database, owner: str, claim: Claimed, sleep: Callable[[float], Awaitable[None]]
) -> None:
    while True:
        await sleep(LEASE.total_seconds() / 3)
        try:
            if not await due.heartbeat(db, owner, [claim], LEASE):
                return  # the next page's hold says so
        except DatabaseUnavailable:
            continue
