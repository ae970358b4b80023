"""Hands changes to the user's handlers: at least once, in order per record, each in a transaction.

A handler's work and its place in the feed are committed together. A batch whose handler fails is
undone and gone through one by one; a record whose change fails `attempts` times is parked with
its later changes, and everything else goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from landbridge.engine.held import Holding, holding
from landbridge.errors import DatabaseUnavailable, LandbridgeError
from landbridge.models import Model, read_json
from landbridge.store import changes, parked, shadows
from landbridge.store.changes import Entry
from landbridge.store.database import Database, Tx
from landbridge.store.parked import Parked, Stop

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, kw_only=True)
class Change(Generic[M]):
    """What happened to one record. `before` is None for a new one, `after` for a deleted one."""

    before: M | None
    after: M | None
    environment: str
    tenant: str
    connection: str
    resource: str
    key: str
    number: int
    """Its place in the feed; higher is later, with gaps."""
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Handler:
    """A function of the user's that is called for each change of one model."""

    name: str
    """Its place in the feed is kept under this name: a renamed handler starts anew."""
    model: type[Model]
    run: Callable[[Change[Model], Tx], Awaitable[None]]
    timeout: float = 30.0
    """Seconds for one change."""
    attempts: int = 5
    """How often a failing change is tried by itself before its record is parked."""


class _Failed(Exception):
    """A handler raised; carries which entry it was."""

    def __init__(self, entry: Entry, error: BaseException):
        super().__init__(str(error))
        self.entry = entry
        self.error = error


Key = tuple[str, str, str]


async def consume(
    db: Database,
    handler: Handler,
    *,
    environment: str,
    batch: int = 100,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> int:
    """Passes up to `batch` entries of the feed; how many, 0 when there is nothing to do.

    Also 0 while another process works for the same handler.
    """
    try:
        return await _batch(db, handler, environment=environment, batch=batch)
    except _Failed:
        return await _singly(db, handler, environment=environment, batch=batch, sleep=sleep)


async def _batch(db: Database, handler: Handler, *, environment: str, batch: int) -> int:
    async with db.transaction() as tx:
        place = await changes.lock(tx, environment=environment, name=handler.name)
        if place is None:
            return 0
        entries = await changes.read(tx, environment=environment, after=place, most=batch)
        if not entries:
            return 0
        skipped = await _parked_keys(tx, handler, environment)
        shadow = await shadows.of_handler(tx, environment=environment, name=handler.name)
        with holding(Holding(shadow=shadow.id if shadow else None)):
            for entry in entries:
                if _wanted(handler, entry, skipped):
                    await _call(handler, entry, tx)
        await changes.advance(
            tx, environment=environment, name=handler.name, number=entries[-1].number
        )
        return len(entries)


async def _singly(
    db: Database,
    handler: Handler,
    *,
    environment: str,
    batch: int,
    sleep: Callable[[float], Awaitable[None]],
) -> int:
    passed = 0
    failures = 0
    while passed < batch:
        try:
            moved = await _batch(db, handler, environment=environment, batch=1)
        except _Failed as failed:
            failures += 1
            if failures < handler.attempts:
                await sleep(min(0.1 * 2**failures, 5.0))
                continue
            await _park(db, handler, failed)
            moved = 1
        failures = 0
        passed += moved
        if not moved:
            break
    return passed


async def _park(db: Database, handler: Handler, failed: _Failed) -> None:
    entry = failed.entry
    async with db.transaction() as tx:
        place = await changes.lock(tx, environment=entry.environment, name=handler.name, wait=True)
        if place is None or place >= entry.number:
            return
        await parked.park(
            tx,
            [Stop(key=entry.key, reason=reason_of(failed.error), number=entry.number)],
            environment=entry.environment,
            tenant=entry.tenant,
            what="change",
            place=handler.name,
            resource=f"{entry.connection}/{entry.resource}",
        )
        await changes.advance(
            tx, environment=entry.environment, name=handler.name, number=entry.number
        )


async def replay(db: Database, handler: Handler, stopped: Parked) -> int:
    """Hands a parked record's changes over again, from the first that failed on; how many.

    All of them succeed and the record leaves the park, or nothing happened and the handler's
    error is raised.
    """
    connection, _, resource = stopped.resource.partition("/")
    async with db.transaction() as tx:
        until = await changes.lock(
            tx, environment=stopped.environment, name=handler.name, wait=True
        )
        entries = await changes.of_key(
            tx,
            environment=stopped.environment,
            tenant=stopped.tenant,
            connection=connection,
            resource=resource,
            key=stopped.key,
            since=stopped.number or 0,
            until=until or 0,
        )
        shadow = await shadows.of_handler(tx, environment=stopped.environment, name=handler.name)
        with holding(Holding(shadow=shadow.id if shadow else None)):
            for entry in entries:
                if entry.kind == handler.model.kind:
                    try:
                        await _call(handler, entry, tx)
                    except _Failed as failed:
                        raise failed.error from None
        await parked.drop(tx, stopped)
    return len(entries)


async def _parked_keys(tx: Tx, handler: Handler, environment: str) -> set[Key]:
    found = await parked.keys(tx, environment=environment, what="change", place=handler.name)
    return set(found)


def _wanted(handler: Handler, entry: Entry, skipped: set[Key]) -> bool:
    if entry.kind != handler.model.kind:
        return False
    return (entry.tenant, f"{entry.connection}/{entry.resource}", entry.key) not in skipped


async def _call(handler: Handler, entry: Entry, tx: Tx) -> None:
    try:
        async with asyncio.timeout(handler.timeout):
            await handler.run(change_of(handler.model, entry), tx)
    except DatabaseUnavailable:
        raise
    except Exception as error:
        raise _Failed(entry, error) from error


def change_of(model: type[M], entry: Entry) -> Change[M]:
    """An entry of the feed as the typed change that handlers get."""
    return Change(
        before=read_json(model, entry.before) if entry.before is not None else None,
        after=read_json(model, entry.after) if entry.after is not None else None,
        environment=entry.environment,
        tenant=entry.tenant,
        connection=entry.connection,
        resource=entry.resource,
        key=entry.key,
        number=entry.number,
        created_at=entry.created_at,
    )


def reason_of(error: BaseException) -> str:
    """What may be written down about an error: our own sentences whole, others by type only."""
    if isinstance(error, LandbridgeError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "it took longer than its time limit"
    return f"it raised {type(error).__name__}"


async def join(db: Database, handlers: Sequence[Handler], *, environment: str) -> None:
    """Registers handlers; a new one begins with the first change there is."""
    for handler in handlers:
        await changes.join(db, environment=environment, name=handler.name)
