"""Erases what is kept of a tenant, or of one person, as a job with a report.

The rows of each table go in batches; each batch and its report are one transaction that holds the
lease. A worker that is killed leaves a report of exactly what it took, and the next one goes on:
taking away what is gone already takes nothing. The tables are gone through again until a whole
round finds nothing, so that what came in meanwhile goes as well.

Work is taken away before rows are: who holds a lease on it then settles and writes nothing more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from landbridge import ids
from landbridge.errors import InvalidInput, NotFound
from landbridge.jobs import Cancel, Done, Kind, Lease, Outcome
from landbridge.store import due, erasing, erasing_subjects, erasures
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from landbridge.store.erasures import Erasure

Hold = Callable[[Tx], Awaitable[None]]

COUNTED = 1_000_000
"""Up to here a dry run counts the rows of a table."""

_ROUNDS = 5


class Erasures:
    """Orders erasures and shows their reports. `environment` is meant where none is named."""

    def __init__(self, db: Database, *, environment: str):
        self._db = db
        self._environment = environment

    async def order(
        self, *, tenant: str, subject: str | None = None, environment: str | None = None
    ) -> ids.ErasureId:
        """The id of a new erasure of a whole tenant, or of one subject of it; a worker does it.

        A tenant loses everything, its connections, keys and endpoints included. Twice is harmless.
        """
        where = environment or self._environment
        _check(tenant, subject)
        fresh = ids.ErasureId(ids.new(ids.PREFIXES["erasure"]))
        async with self._db.transaction() as tx:
            await erasures.add(tx, environment=where, tenant=tenant, id=fresh, subject=subject)
            await due.put(
                tx,
                [
                    due.Job(
                        environment=where,
                        tenant=tenant,
                        lane="system",
                        kind=erasures.KIND,
                        key=fresh,
                    )
                ],
            )
        await self._db.notify()
        return fresh

    async def preview(
        self, *, tenant: str, subject: str | None = None, environment: str | None = None
    ) -> dict[str, int]:
        """How many rows would go now, by table, each counted up to `COUNTED`; changes nothing.

        What goes along with them (attempts of an event, the bytes of a webhook) is not counted.
        """
        _check(tenant, subject)
        return await erasures.count(
            self._db,
            environment=environment or self._environment,
            tenant=tenant,
            subject=subject,
            most=COUNTED,
        )

    async def get(self, id: str, *, environment: str | None = None) -> Erasure:
        """The erasure and its report so far; NotFound without one."""
        where = environment or self._environment
        found = await erasures.by_id(self._db, environment=where, id=id)
        if found is None:
            raise NotFound(f"{id!r} is no erasure in the environment {where!r}")
        return found

    async def list(
        self, *, tenant: str | None = None, environment: str | None = None, most: int = 100
    ) -> Sequence[Erasure]:
        """Erasures, newest first; they are kept for 400 days."""
        return await erasures.every(
            self._db, environment=environment or self._environment, tenant=tenant, most=most
        )


class Erasing:
    """What a worker does with erasures, `batch` rows at a time."""

    def __init__(self, db: Database, *, batch: int = 1000):
        self._db = db
        self._batch = batch
        self._log = structlog.get_logger("landbridge.erase")

    def kind(self) -> Kind:
        """The kind of due rows that erasures run by."""
        return Kind(name=erasures.KIND, run=self.run)

    async def run(self, claim: Claimed, lease: Lease) -> Outcome:
        """Erases until nothing is left, then closes the report."""
        order = await erasures.one(
            self._db, environment=claim.environment, tenant=claim.tenant, id=claim.key or ""
        )
        if order is None or order.state == "done":
            return Cancel(reason="the erasure is done")
        report = dict(order.report)
        for _ in range(_ROUNDS):
            before = dict(report)
            await self._round(order, lease.hold, report)
            if report == before:
                break
        async with self._db.transaction() as tx:
            await lease.hold(tx)
            await erasures.finish(tx, order)
        self._log.info("erasure.done", id=order.id, rows=sum(report.values()))
        return Done()

    async def _round(self, order: Erasure, hold: Hold, report: dict[str, int]) -> None:
        if order.subject is None:
            async with self._db.transaction() as tx:
                await hold(tx)
                await erasures.end_connections(tx, order)
            await self._arrivals(order, hold, report)
        steps = erasing.OF_TENANT if order.subject is None else erasing_subjects.OF_SUBJECT
        for statement in steps.values():
            took = True
            while took:
                async with self._db.transaction() as tx:
                    await hold(tx)
                    counts = await erasures.erase(tx, order, statement, most=self._batch)
                    await _note(tx, order, report, counts)
                _add(report, counts)
                took = bool(counts)

    async def _arrivals(self, order: Erasure, hold: Hold, report: dict[str, int]) -> None:
        """Webhooks that came to the tenant's own addresses, also those that were never sorted."""
        for address in await erasures.addresses(self._db, order):
            after: str | None = ""
            while after is not None:
                async with self._db.transaction() as tx:
                    await hold(tx)
                    counts, after = await erasures.erase_arrivals(
                        tx, order, address, after=after, most=self._batch
                    )
                    await _note(tx, order, report, counts)
                _add(report, counts)


async def _note(tx: Tx, order: Erasure, report: dict[str, int], counts: dict[str, int]) -> None:
    if counts:
        await erasures.note(tx, order, erasures.total([report, counts]))


def _add(report: dict[str, int], counts: dict[str, int]) -> None:
    for table, rows in counts.items():
        report[table] = report.get(table, 0) + rows


def _check(tenant: str, subject: str | None) -> None:
    if not tenant or "\x00" in tenant:
        raise InvalidInput("tenant: empty; name the customer as you do when you connect it")
    if subject is not None and (not subject or "\x00" in subject):
        raise InvalidInput("subject: empty; name the person as you do in emit, or leave it out")
