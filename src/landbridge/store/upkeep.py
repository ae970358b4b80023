"""What keeps the database small and ahead of time: partitions, retention, expired keys.

A partition cannot be dropped without keeping everybody off its table for a moment (DETACH ...
CONCURRENTLY may not run in a transaction, and only the tables' owner may run it, which a worker
need not be). What takes long is never the drop but the wait for those who read at that moment, and
who comes later waits behind it. So it waits `PATIENCE` at most, gives way, and tries again: nobody
is held up for longer than that. A table that is read all the time is left to the next round, which
is harmless: partitions exist for two weeks ahead.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg

from landbridge import ids
from landbridge.store import (
    breakers,
    connections,
    consents,
    erasures,
    outbox,
    quotas,
    replays,
    sessions,
    shadow_ends,
)
from landbridge.store.database import Database
from landbridge.store.sql import Sql

DAYS_AHEAD = 15
"""Days for which partitions exist in advance."""

PATIENCE = timedelta(milliseconds=200)
"""How long a change of partitions may wait for a lock, and others behind it."""

LONGEST_RETRY_AFTER = timedelta(hours=6)
"""What a receiver can add to each wait of a schedule (`engine.posting` has the rule)."""

PROOF_KEPT = timedelta(days=400)
"""How long reports of erasures are kept."""

_QUIET = timedelta(days=1)
_CHOICE = timedelta(hours=1)
_TRIES = 30
_BATCH = 10_000
_BATCHES = 1_000

_OF = {
    "event": "events",
    "attachment": "events",
    "attempt": "events",
    "arrival": "inbox",
    "inbox_event": "inbox",
    "change": "changes",
    "change_order": "changes",
    "call": "calls",
}

_ENSURE = Sql(
    "upkeep.ensure_partitions",
    "SELECT lb.ensure_partitions(:days, :of_table)",
    across="Partitions are cut by day, for all tenants together.",
)

_DROP = Sql(
    "upkeep.drop_partitions",
    "SELECT lb.drop_partitions(:before, :of_table)",
    across="Retention drops whole days, for all tenants together.",
)

_PATIENCE = Sql(
    "upkeep.patience",
    "SELECT set_config('lock_timeout', :wait, true)",
    across="It sets how long this transaction waits for a lock and reads no row of a tenant.",
)

_PARTITIONED = Sql(
    "upkeep.partitioned",
    "SELECT p.parent, p.prefix FROM lb.partitioned() AS p",
    across="It reads names of tables and no row of a tenant.",
)

_STRAYS = Sql(
    "upkeep.stray_rows",
    "SELECT stray.parent, stray.strays FROM lb.stray_rows() AS stray WHERE stray.strays > 0",
    across="The alarm counts rows that fell into a default partition, whosever they are.",
)

_TODAY = Sql(
    "upkeep.today",
    "SELECT (lb.now() AT TIME ZONE 'UTC')::date",
    across="The database's day has no tenant.",
)

_LONGEST = Sql(
    "upkeep.longest_schedule",
    """
    SELECT max(s.waits) FROM (
        SELECT (SELECT sum(w.wait + :more::interval) FROM unnest(p.schedule) AS w(wait)) AS waits
        FROM lb.endpoint AS p WHERE p.schedule IS NOT NULL
        UNION ALL
        SELECT (SELECT sum(w.wait + :more::interval) FROM unnest(t.schedule) AS w(wait))
        FROM lb.event_type AS t WHERE t.schedule IS NOT NULL
    ) AS s
    """,
    across="Retention holds for all tenants together, so the longest schedule of any decides.",
)


def _old(table: str, column: str) -> Sql:
    return Sql(
        f"upkeep.old_{table}",
        f"""
        DELETE FROM lb.{table} AS t
        WHERE t.{column} < :bound AND t.{column} = ANY (ARRAY(
            SELECT o.{column} FROM lb.{table} AS o WHERE o.{column} < :bound LIMIT :most))
        """,
        across="Rows that are older than all partitions lie in the default one, whosever they are.",
    )


_OLD: Mapping[str, Sql] = {
    table: _old(table, "change" if table == "change_order" else "id") for table in _OF
}

_KEYS = Sql(
    "upkeep.inbox_keys",
    """
    DELETE FROM lb.inbox_key AS k
    WHERE (k.environment, k.tenant, k.app, k.key) IN (
        SELECT o.environment, o.tenant, o.app, o.key FROM lb.inbox_key AS o
        WHERE o.expires_at <= (SELECT lb.now())
        ORDER BY o.expires_at LIMIT :most
        FOR UPDATE SKIP LOCKED)
    """,
    across="Deduplication keys of all tenants end at their stated time.",
)

_PARKED = Sql(
    "upkeep.parked_arrivals",
    """
    DELETE FROM lb.parked AS k
    WHERE k.ctid = ANY (ARRAY(
        SELECT o.ctid FROM lb.parked AS o
        WHERE o.what = 'arrival' AND o.key < :bound LIMIT :most))
    """,
    across="A parked webhook ends with the day that it came on, and nobody knows whose it is.",
)

_LINES = Sql(
    "upkeep.lines",
    """
    DELETE FROM lb.line AS l
    WHERE l.ctid = ANY (ARRAY(
        SELECT o.ctid FROM lb.line AS o
        WHERE o.event < :bound OR NOT EXISTS (
            SELECT FROM lb.endpoint AS p
            WHERE p.environment = o.environment AND p.tenant = o.tenant AND p.id = o.endpoint)
        LIMIT :most))
    """,
    across="Lines to endpoints or of events that are no more lead nowhere, whosever they are.",
)

_UNHEARD = Sql(
    "upkeep.unheard",
    """
    WITH gone AS (
        DELETE FROM lb.inbox_line AS w
        WHERE w.ctid = ANY (ARRAY(
            SELECT o.ctid FROM lb.inbox_line AS o WHERE o.event < :bound LIMIT :most))
        RETURNING w.environment, w.tenant, w.listener, w.event
    ),
    unparked AS (
        DELETE FROM lb.parked AS k USING gone AS g
        WHERE k.environment = g.environment AND k.tenant = g.tenant AND k.what = 'event'
          AND k.place = g.listener AND k.key = g.event
    )
    SELECT FROM gone
    """,
    across="Places in line of events that are kept no more lead nowhere, whosever they are.",
)

_HEALTH = Sql(
    "upkeep.health",
    """
    DELETE FROM lb.endpoint_health AS h
    WHERE h.ctid = ANY (ARRAY(
        SELECT o.ctid FROM lb.endpoint_health AS o
        WHERE NOT EXISTS (
            SELECT FROM lb.endpoint AS p
            WHERE p.environment = o.environment AND p.tenant = o.tenant AND p.id = o.endpoint)
        LIMIT :most))
    """,
    across="The health of endpoints that were deleted is forgotten, whosever they were.",
)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """For how many days each kind of thing is kept; 7 at least.

    `events` with their attachments and attempts, `inbox` with the raw webhooks, parked ones too,
    `changes` with their numbers, `calls` to providers, which are kept a day at least, `shadows`
    with what they kept, from the day on which they ended.
    """

    events: int = 30
    inbox: int = 30
    changes: int = 30
    calls: int = 7
    shadows: int = 30

    def of(self, table: str) -> int:
        """The days of a partitioned table; the longest for one that has no rule yet."""
        days = {
            "events": self.events,
            "inbox": self.inbox,
            "changes": self.changes,
            "calls": self.calls,
        }
        return days[_OF[table]] if table in _OF else max(days.values())


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """What one round did. `strays` are rows that a missing partition sent to the default one,
    `removed` counts other rows by what they were, `blocked` names tables whose partitions could not
    be changed for those who read them all the time, and `events_kept` is for how many days events
    are kept: longer than asked for where a schedule of retries is longer.
    """

    made: int
    dropped: int
    expired: int
    strays: dict[str, int]
    removed: dict[str, int] = field(default_factory=dict)
    blocked: tuple[str, ...] = ()
    events_kept: int = 0


async def keep_up(
    db: Database,
    *,
    retention_days: int = 30,
    keep: Retention | None = None,
    patience: timedelta = PATIENCE,
    tries: int = _TRIES,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Upkeep:
    """One round: partitions made for the days ahead, old ones dropped, what is over removed.

    Rows that fell into a default partition are moved into their day's as that day's is made. Each
    table is kept up in a transaction of its own: locks on two of them at once would meet the locks
    of a statement that reads both, each waiting for the other. `retention_days` holds for
    everything where `keep` is not given.
    """
    wanted = keep or Retention(
        events=retention_days,
        inbox=retention_days,
        changes=retention_days,
        shadows=retention_days,
    )
    wanted = replace(wanted, events=max(wanted.events, await _longest_retry(db)))
    today: date = await db.value(_TODAY)
    partitions = _Partitions(db, patience=patience, tries=tries, sleep=sleep)
    removed: dict[str, int] = {}
    # Before their days go, so that what is parked can always be sorted again.
    inbox_end = _bound(ids.PREFIXES["arrival"], today - timedelta(days=wanted.inbox))
    parked = await _all(db, _PARKED, bound=inbox_end)
    removed["parked webhooks beyond their days"] = parked
    for row in await db.fetch(_PARTITIONED):
        table = row["parent"]
        before = today - timedelta(days=wanted.of(table))
        await partitions.change(table, before)
        if table in _OLD:
            bound = _bound(row["prefix"], before)
            removed[f"{table} beyond its days"] = await _all(db, _OLD[table], bound=bound)
    expired = await _all(db, _KEYS) + await outbox.forget_keys(db, limit=100_000)
    events_end = _bound(ids.PREFIXES["event"], today - timedelta(days=wanted.events))
    removed["line"] = await _all(db, _LINES, bound=events_end)
    unheard = _bound(ids.PREFIXES["inbox_event"], today - timedelta(days=wanted.inbox))
    removed["events that no handler took"] = await _all(db, _UNHEARD, bound=unheard)
    removed["endpoint_health"] = await _all(db, _HEALTH)
    days = timedelta(days=wanted.events)
    removed["replay"] = await replays.forget(db, keep=days, limit=_BATCH)
    removed["consent"] = await consents.forget(db, most=_BATCH)
    removed["accounts that nobody chose"] = await connections.forget_offered(
        db, keep=_CHOICE, most=_BATCH
    )
    removed["connect_session"] = await sessions.forget(db, limit=_BATCH)
    removed["breaker"] = await breakers.forget(db, keep=_QUIET, limit=_BATCH)
    removed["quota"] = await quotas.forget(db)
    removed |= await shadow_ends.forget(db, keep=timedelta(days=wanted.shadows), limit=_BATCH)
    removed["erasure"] = await erasures.forget(db, keep=PROOF_KEPT, limit=_BATCH)
    return Upkeep(
        made=partitions.made,
        dropped=partitions.dropped,
        expired=expired,
        strays=await strays(db),
        removed={what: rows for what, rows in removed.items() if rows},
        blocked=tuple(partitions.blocked),
        events_kept=wanted.events,
    )


async def strays(db: Database) -> dict[str, int]:
    """How many rows lie in each default partition that has any."""
    return {row["parent"]: row["strays"] for row in await db.fetch(_STRAYS)}


class _Partitions:
    """Makes and drops partitions, and gives way to those who use the table."""

    def __init__(
        self,
        db: Database,
        *,
        patience: timedelta,
        tries: int,
        sleep: Callable[[float], Awaitable[None]],
    ):
        self._db = db
        self._wait = f"{math.ceil(patience.total_seconds() * 1000)}ms"
        self._tries = tries
        self._sleep = sleep
        self.made = 0
        self.dropped = 0
        self.blocked: list[str] = []

    async def change(self, table: str, before: date) -> None:
        """Makes a table's partitions for the days ahead and drops those before a day."""
        made = await self._patiently(_ENSURE, days=DAYS_AHEAD, of_table=table)
        dropped = await self._patiently(_DROP, before=before, of_table=table)
        self.made += made or 0
        self.dropped += dropped or 0
        if made is None or dropped is None:
            self.blocked.append(table)

    async def _patiently(self, statement: Sql, **binds: Any) -> int | None:
        """What the statement gives; None if each try met somebody who had the table."""
        for number in range(self._tries):
            try:
                async with self._db.transaction() as tx:
                    await tx.row(_PATIENCE, wait=self._wait)
                    done: int = await tx.value(statement, **binds)
                    return done
            except asyncpg.LockNotAvailableError:
                if number + 1 < self._tries:
                    await self._sleep(min(0.1 * 2**number, 1.0))
        return None


async def _longest_retry(db: Database) -> int:
    """The days that the longest schedule of retries may take, a day to spare; 0 without any but the
    default one, which is shorter than the shortest retention."""
    longest: timedelta | None = await db.value(_LONGEST, more=LONGEST_RETRY_AFTER)
    return 0 if longest is None else math.ceil(longest / timedelta(days=1)) + 1


async def _all(db: Database, statement: Sql, **binds: Any) -> int:
    """How many rows a deleting statement removed, batch by batch, each committed."""
    removed = 0
    for _ in range(_BATCHES):
        some = await db.run(statement, most=_BATCH, **binds)
        removed += some
        if some < _BATCH:
            break
    return removed


def _bound(prefix: str, day: date) -> str:
    moment = datetime.fromisoformat(f"{day.isoformat()}T00:00:00+00:00")
    return ids.bound(prefix, moment)
