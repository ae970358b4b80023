"""Handlers of inbox events, and the events that wait for them: in line, record by record.

An event joins its lines in the transaction that files it, with a due row for each line
(`engine.sort`), so that none is passed over, however late it commits; where no handler is
registered that writes nothing. Whoever hands an event over locks its place in the line, and takes
it away in the transaction that the handler writes in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from landbridge.store import due
from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql

KIND = "inbox"
"""The kind of due rows that lines are gone through by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What one handler gets about one record, in order."""

    environment: str
    tenant: str
    listener: str
    line: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The first event in a line: how often its handler failed, until when it waits for the next
    attempt, and whether it is parked."""

    event: str
    attempts: int
    retry_at: datetime | None
    parked: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """A registered handler, the events that wait for it, and those that it failed for good.

    It is told of what was filed from `told_since` on: its first start, or what `tell` said.
    """

    name: str
    kinds: Sequence[str]
    waiting: int
    parked: int
    told_since: datetime


def line_of(connection: str, resource: str, key: str, event: str) -> str:
    """The line of an event's record, as a digest; an event that names no record is alone in its."""
    about = f"{connection}/{resource}/{key}" if key else event
    return hashlib.sha256(about.encode()).hexdigest()[:32]


def job(line: Line) -> due.Job:
    """The work of going through a line."""
    return due.Job(
        environment=line.environment,
        tenant=line.tenant,
        lane="inbox",
        kind=KIND,
        key=f"{line.listener}/{line.line}",
        target=line.listener,
        args={"listener": line.listener, "line": line.line},
    )


_JOIN = Sql(
    "listeners.join",
    """
    INSERT INTO lb.listener AS listener (name, kinds)
    SELECT handler.name, string_to_array(handler.kinds, ',')
    FROM unnest(:names::text[], :kinds::text[]) AS handler (name, kinds)
    ORDER BY handler.name
    ON CONFLICT (name) DO UPDATE SET kinds = excluded.kinds
    WHERE listener.kinds <> excluded.kinds
    """,
    across="Handlers are the application's own, the same for all tenants.",
)

_KNOWN = Sql(
    "listeners.known",
    "SELECT count(*) FROM lb.listener WHERE name = ANY(:names::text[])",
    across="Handlers are the application's own, the same for all tenants.",
)

_WANTS = Sql(
    "listeners.wants",
    "SELECT EXISTS (SELECT FROM lb.listener WHERE name = :name AND :kind = ANY (kinds))",
    across="Handlers are the application's own, the same for all tenants.",
)

_HEAD = Sql(
    "listeners.head",
    """
    SELECT first.event, first.attempts,
        CASE WHEN first.retry_at > lb.now() THEN first.retry_at END AS retry_at, EXISTS (
        SELECT FROM lb.parked AS held
        WHERE held.environment = :environment AND held.tenant = :tenant AND held.what = 'event'
          AND held.place = :listener AND held.key = first.event) AS parked
    FROM lb.inbox_line AS first
    WHERE first.environment = :environment AND first.tenant = :tenant
      AND first.listener = :listener AND first.line = :line
    ORDER BY first.event LIMIT 1
    """,
)

_LOCK = Sql(
    "listeners.lock",
    """
    SELECT event FROM lb.inbox_line
    WHERE environment = :environment AND tenant = :tenant AND listener = :listener
      AND line = :line AND event = :event
    FOR UPDATE SKIP LOCKED
    """,
)

_FAILED = Sql(
    "listeners.failed",
    """
    UPDATE lb.inbox_line SET attempts = attempts + 1, retry_at = lb.now() + :after::interval
    WHERE environment = :environment AND tenant = :tenant AND listener = :listener
      AND line = :line AND event = :event
    """,
)

_REMOVE = Sql(
    "listeners.remove",
    """
    DELETE FROM lb.inbox_line
    WHERE environment = :environment AND tenant = :tenant AND listener = :listener
      AND line = :line AND event = :event
    """,
)

_AFRESH = Sql(
    "listeners.afresh",
    """
    UPDATE lb.inbox_line SET attempts = 0, retry_at = NULL
    WHERE environment = :environment AND tenant = :tenant AND listener = :listener
      AND event = :event
    RETURNING line
    """,
)

_DROP = Sql(
    "listeners.drop",
    """
    DELETE FROM lb.inbox_line
    WHERE environment = :environment AND tenant = :tenant AND listener = :listener
      AND event = :event
    RETURNING line
    """,
)

_EVERY = Sql(
    "listeners.every",
    """
    SELECT listener.name, listener.kinds, listener.created_at AS told_since,
        (SELECT count(*) FROM lb.inbox_line AS w
         WHERE w.environment = :environment AND w.listener = listener.name) AS waiting,
        (SELECT count(*) FROM lb.parked AS k
         WHERE k.environment = :environment AND k.what = 'event' AND k.place = listener.name
        ) AS parked
    FROM lb.listener AS listener ORDER BY listener.name
    """,
    across="The operator counts what waits for a handler of the SaaS, over all tenants.",
)

# A line is named as `line_of` does. Both are one statement: told of once, whatever is killed when.
_TELL = Sql(
    "listeners.tell",
    """
    WITH told AS (
        UPDATE lb.listener AS listener SET created_at = :since
        FROM (SELECT name, created_at FROM lb.listener WHERE name = :name FOR UPDATE) AS before
        WHERE listener.name = before.name AND before.created_at > :since
        RETURNING listener.name, listener.kinds, before.created_at AS until
    ),
    entered AS (
    INSERT INTO lb.inbox_line (environment, tenant, listener, line, event)
    SELECT e.environment, e.tenant, told.name, left(encode(sha256(convert_to(
        CASE WHEN e.key = '' THEN e.id ELSE concat_ws('/', e.connection, e.resource, e.key) END,
        'UTF8')), 'hex'), 32), e.id
    FROM told JOIN lb.inbox_event AS e ON e.kind = ANY (told.kinds)
        AND e.id >= lb.id_bound('inb', :since - interval '1 day')
        AND e.created_at >= :since AND e.created_at < told.until
    ON CONFLICT DO NOTHING
    RETURNING 1)
    SELECT count(*) FROM entered
    """,
    across="A handler of the SaaS itself is told of every tenant's events.",
)

_WAITING = Sql(
    "listeners.waiting",
    """
    SELECT DISTINCT w.environment, w.tenant, w.line FROM lb.inbox_line AS w
    WHERE w.listener = :name
      AND (w.environment, w.tenant, w.line) > (:environment, :tenant, :line)
    ORDER BY w.environment, w.tenant, w.line LIMIT 500
    """,
    across="A handler of the SaaS itself is told of every tenant's events.",
)

_FORGET = Sql(
    "listeners.forget",
    """
    WITH gone AS (DELETE FROM lb.listener WHERE name = :name RETURNING name),
    waiting AS (DELETE FROM lb.inbox_line AS w USING gone WHERE w.listener = gone.name),
    ordered AS (
        DELETE FROM lb.due AS d USING gone WHERE d.lane = 'inbox' AND d.target = gone.name
    ),
    held AS (
        DELETE FROM lb.parked AS k USING gone WHERE k.what = 'event' AND k.place = gone.name
    )
    SELECT count(*) FROM gone
    """,
    across="A handler of the SaaS itself is told of every tenant's events, and forgotten whole.",
)


async def join(db: Database, handlers: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Registers handlers by name, each with the kinds that it is told of from now on.

    The first time of a name waits, a second at most, for who is filing events: what they file then
    was either before the handler's first start, so that `tell` has it, or joins its line.
    """
    if not handlers:
        return
    names = [name for name, _ in handlers]
    binds = {"names": names, "kinds": [",".join(kinds) for _, kinds in handlers]}
    if await db.value(_KNOWN, names=names) == len(set(names)):
        await db.run(_JOIN, **binds)
        return
    try:
        async with db.transaction() as tx:
            await tx.execute("SET LOCAL lock_timeout = '1s'")
            await tx.execute(f"LOCK TABLE {db.schema}.listener IN ACCESS EXCLUSIVE MODE")
            await tx.run(_JOIN, **binds)
    except asyncpg.LockNotAvailableError:  # a dump of the database holds it for hours
        await db.run(_JOIN, **binds)


async def wants(db: Database, name: str, kind: str) -> bool:
    """Whether a handler is registered for a kind, by whichever process came last."""
    found: bool = await db.value(_WANTS, name=name, kind=kind)
    return found


async def head(db: Database, line: Line) -> Head | None:
    """The first event in line; None when nobody waits there."""
    row = await db.row(_HEAD, **_binds(line))
    return Head(**dict(row)) if row else None


async def lock(tx: Tx, line: Line, event: str) -> bool:
    """Whether the event's place is this transaction's now: another has it, or it is gone, if not.

    Nobody who adds events to the line waits for this.
    """
    return await tx.row(_LOCK, **_binds(line), event=event) is not None


async def failed(tx: Tx, line: Line, event: str, *, after: timedelta) -> None:
    """Counts one attempt that failed; the next is due after a while."""
    await tx.run(_FAILED, **_binds(line), event=event, after=after)


async def remove(db: Database | Tx, line: Line, event: str) -> None:
    """Takes an event out of its line, in the transaction that its handler wrote in."""
    await db.run(_REMOVE, **_binds(line), event=event)


async def afresh(
    tx: Tx, *, environment: str, tenant: str, listener: str, event: str
) -> Line | None:
    """The line in which a failed event may be tried again; None if it waits there no more."""
    whose = {"environment": environment, "tenant": tenant, "listener": listener}
    found: str | None = await tx.value(_AFRESH, **whose, event=event)
    return None if found is None else Line(**whose, line=found)


async def drop(tx: Tx, *, environment: str, tenant: str, listener: str, event: str) -> Line | None:
    """The line out of which an event was taken unheard; None if it waited there no more."""
    whose = {"environment": environment, "tenant": tenant, "listener": listener}
    found: str | None = await tx.value(_DROP, **whose, event=event)
    return None if found is None else Line(**whose, line=found)


async def every(db: Database, *, environment: str) -> list[Listener]:
    """The registered handlers by name, with what waits for them in this environment."""
    rows = await db.fetch(_EVERY, environment=environment)
    return [Listener(**dict(row)) for row in rows]


async def tell(db: Database, name: str, *, since: datetime) -> int:
    """Has a handler told of its kinds' events that were filed from `since` on and before what it is
    told of so far; how many. Then `order` makes work of them."""
    count: int = await db.value(_TELL, name=name, since=since)
    return count


async def order(db: Database, name: str) -> None:
    """Puts the work of going through each line in which something waits for a handler."""
    last = {"environment": "", "tenant": "", "line": ""}
    while rows := await db.fetch(_WAITING, name=name, **last):
        lines = [Line(listener=name, **dict(row)) for row in rows]
        await due.put(db, [job(line) for line in lines])
        last = dict(rows[-1])
    await db.notify()


async def forget(db: Database, name: str) -> bool:
    """Forgets a handler and, in all environments, what waits for it; False if there is none."""
    found: int = await db.value(_FORGET, name=name)
    return found > 0


def _binds(line: Line) -> dict[str, object]:
    return {
        "environment": line.environment,
        "tenant": line.tenant,
        "listener": line.listener,
        "line": line.line,
    }
