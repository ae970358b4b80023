"""Circuit breakers as all processes see them: a row for each place that fails, none for one that
works. What a failure does to a row is `resilience.breaker`'s to say; all times are the database's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from landbridge.resilience import Breaker, Rule
from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql

MOST = 10_000
"""Places that are looked at; what lies beyond is tried as if it worked."""


class Place(NamedTuple):
    """What fails: a connection of a tenant, or a provider, whose tenant is empty."""

    environment: str
    tenant: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A place that fails: its breaker, its last error, and when both were last written."""

    place: Place
    breaker: Breaker
    error: str | None
    updated_at: datetime


_COLUMNS = """b.environment, b.tenant, b.place, b.failures, b.opened, b.open_until,
    b.probing_until, b.error, b.updated_at"""

_BEGIN = Sql(
    "breakers.begin",
    """
    INSERT INTO lb.breaker (environment, tenant, place) VALUES (:environment, :tenant, :place)
    ON CONFLICT DO NOTHING
    """,
)

_LOCK = Sql(
    "breakers.lock",
    f"""
    SELECT {_COLUMNS}, lb.now() AS now FROM lb.breaker AS b
    WHERE b.environment = :environment AND b.tenant = :tenant AND b.place = :place
    FOR UPDATE
    """,
)

_WRITE = Sql(
    "breakers.write",
    """
    UPDATE lb.breaker SET failures = :failures, opened = :opened, open_until = :until,
        probing_until = :probing, error = coalesce(:error, error), updated_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND place = :place
    """,
)

_CLOSE = Sql(
    "breakers.close",
    """
    DELETE FROM lb.breaker
    WHERE environment = :environment AND tenant = :tenant AND place = :place
    """,
)

_ALL = Sql(
    "breakers.all",
    f"SELECT {_COLUMNS} FROM lb.breaker AS b LIMIT :most",
    across="A worker calls for every tenant and asks which of their places are left alone now.",
)

_NOW = Sql(
    "breakers.now",
    "SELECT lb.now()",
    across="The database's clock has no tenant.",
)

_LIST = Sql(
    "breakers.list",
    f"""
    SELECT {_COLUMNS} FROM lb.breaker AS b
    WHERE b.environment = :environment ORDER BY b.tenant, b.place LIMIT :most
    """,
    across="The operator's list shows every place of an environment that fails.",
)

_RESET = Sql(
    "breakers.reset",
    "DELETE FROM lb.breaker WHERE environment = :environment AND place = :place",
    across="The operator names a place by its id alone, whichever tenant it has.",
)

_FORGET = Sql(
    "breakers.forget",
    """
    DELETE FROM lb.breaker AS b
    WHERE b.ctid = ANY (ARRAY(
        SELECT o.ctid FROM lb.breaker AS o
        WHERE o.updated_at < (SELECT lb.now()) - :keep::interval LIMIT :most))
    """,
    across="Places that nobody calls any more are forgotten, whosever they are.",
)


async def failed(
    db: Database, place: Place, rule: Rule, *, count: int, error: str, factor: float
) -> Breaker:
    """The place's breaker after `count` more failures."""
    key = _key(place)
    async with db.transaction() as tx:
        await tx.run(_BEGIN, **key)
        row = await tx.row(_LOCK, **key)
        assert row is not None
        after = _breaker(row).failed(rule, count, row["now"], factor=factor)
        await _write(tx, place, after, error)
    return after


async def probe(db: Database, place: Place, rule: Rule) -> datetime | None:
    """Until when others keep the call from being made; None: this one may go, and is the probe."""
    key = _key(place)
    async with db.transaction() as tx:
        row = await tx.row(_LOCK, **key)
        if row is None:
            return None
        found = _breaker(row)
        waits = found.waits_until(row["now"])
        if waits is None and found.open_until is not None:
            after = found.probing(rule, row["now"])
            await _write(tx, place, after)
        return waits


async def _write(tx: Tx, place: Place, after: Breaker, error: str | None = None) -> None:
    """Keeps what a breaker is now; without an `error` its last one stays."""
    await tx.run(
        _WRITE,
        **_key(place),
        failures=after.failures,
        opened=after.opened,
        until=after.open_until,
        probing=after.probing_until,
        error=error,
    )


async def close(db: Database, place: Place) -> None:
    """The place works: its row goes."""
    await db.run(_CLOSE, **_key(place))


async def every(db: Database) -> tuple[datetime, list[Placed]]:
    """The database's time, and all places that fail, in every environment."""
    now: datetime = await db.value(_NOW)
    return now, [_placed(row) for row in await db.fetch(_ALL, most=MOST)]


async def listed(db: Database, *, environment: str, most: int = 1000) -> list[Placed]:
    """The places of an environment that fail."""
    rows = await db.fetch(_LIST, environment=environment, most=most)
    return [_placed(row) for row in rows]


async def reset(db: Database, *, environment: str, name: str) -> int:
    """How many places of this name count as working from now on: 1, or 0 if none failed."""
    return await db.run(_RESET, environment=environment, place=name)


async def forget(db: Database, *, keep: timedelta, limit: int) -> int:
    """How many places were forgotten that nothing was heard of for `keep`."""
    return await db.run(_FORGET, keep=keep, most=limit)


def _key(place: Place) -> dict[str, str]:
    return {"environment": place.environment, "tenant": place.tenant, "place": place.name}


def _placed(row: Row) -> Placed:
    return Placed(
        place=Place(row["environment"], row["tenant"], row["place"]),
        breaker=_breaker(row),
        error=row["error"],
        updated_at=row["updated_at"],
    )


def _breaker(row: Row) -> Breaker:
    return Breaker(
        failures=row["failures"],
        opened=row["opened"],
        open_until=row["open_until"],
        probing_until=row["probing_until"],
    )
