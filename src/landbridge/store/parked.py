"""What could not be read or accepted, kept whole with its reason until it is replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from landbridge import ids
from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Parked:
    """One parked thing. `what` is record, listing, arrival, change, event or push; `place` is
    the connection, the app or the handler it belongs to. Tenant "" means that none is known yet."""

    environment: str
    tenant: str
    id: str
    what: str
    place: str
    resource: str
    key: str
    reason: str
    field: str | None
    number: int | None
    raw: bytes | None
    attempts: int
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Why a thing is parked: its key, the reason as a sentence, and the raw bytes to replay."""

    key: str
    reason: str
    field: str | None = None
    raw: bytes | None = None
    number: int | None = None


_COLUMNS = """environment, tenant, id, what, place, resource, key, reason, field, number, raw,
    attempts, created_at"""

_PARK = Sql(
    "parked.park",
    """
    INSERT INTO lb.parked AS parked (environment, tenant, id, what, place, resource, key, reason,
        field, raw, number)
    SELECT :environment, :tenant, stop.id, :what, :place, :resource, stop.key, stop.reason,
        stop.field, stop.raw, stop.number
    FROM unnest(:ids::text[], :keys::text[], :reasons::text[], :fields::text[], :raws::bytea[],
        :numbers::bigint[]) AS stop (id, key, reason, field, raw, number)
    ORDER BY stop.key
    ON CONFLICT (environment, tenant, what, place, resource, key) DO UPDATE
    SET reason = excluded.reason, field = excluded.field, raw = excluded.raw,
        attempts = parked.attempts + 1
    WHERE parked.raw IS DISTINCT FROM excluded.raw OR parked.reason <> excluded.reason
    """,
)

_CLEAR = Sql(
    "parked.clear",
    """
    DELETE FROM lb.parked
    WHERE environment = :environment AND tenant = :tenant AND what = :what AND place = :place
      AND resource = :resource AND key = ANY(:keys::text[])
    """,
)

_SUPERSEDE = Sql(
    "parked.supersede",
    """
    DELETE FROM lb.parked
    WHERE environment = :environment AND tenant = :tenant AND what = :what AND place = :place
      AND resource = :resource AND coalesce(field, '') = :scope
    RETURNING key
    """,
)

_KEYS = Sql(
    "parked.keys",
    """
    SELECT tenant, resource, key, number FROM lb.parked
    WHERE environment = :environment AND what = :what AND place = :place
    """,
    across="A consumer of the SaaS itself has parked keys of several tenants.",
)

_LIST = Sql(
    "parked.list",
    f"""
    SELECT {_COLUMNS} FROM lb.parked
    WHERE environment = :environment AND (:tenant::text IS NULL OR tenant = :tenant)
      AND (:what::text IS NULL OR what = :what) AND (:place::text IS NULL OR place = :place)
    ORDER BY id LIMIT :most
    """,
    across="The operator's list shows every tenant of an environment unless one is named.",
)

# By their keys, which tell when they came: one that is parked again keeps its place.
_ARRIVALS = Sql(
    "parked.arrivals",
    f"""
    SELECT {_COLUMNS} FROM lb.parked
    WHERE environment = :environment AND tenant = :tenant AND what = :what AND place = :place
      AND resource = :resource AND key >= :first AND key < :last AND key > :after
    ORDER BY key LIMIT :most
    """,
)

_PUSHES = Sql(
    "parked.pushes",
    f"""
    SELECT {_COLUMNS} FROM lb.parked
    WHERE environment = :environment AND tenant = :tenant AND what = 'push' AND place = :connection
      AND id > :after
    ORDER BY id LIMIT :most
    """,
)

_COUNT_ARRIVALS = Sql(
    "parked.count_arrivals",
    """
    SELECT count(*) FROM lb.parked
    WHERE environment = :environment AND tenant = :tenant AND what = :what AND place = :place
      AND resource = :resource AND key >= :first AND key < :last
    """,
)

_ONE = Sql(
    "parked.one",
    f"SELECT {_COLUMNS} FROM lb.parked WHERE environment = :environment AND id = :id",
    across="The operator names a parked thing by its id alone, whichever tenant it has.",
)

_DROP = Sql(
    "parked.drop",
    """
    DELETE FROM lb.parked
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)


async def park(
    tx: Database | Tx,
    stops: Sequence[Stop],
    *,
    environment: str,
    tenant: str,
    what: str,
    place: str,
    resource: str = "",
) -> None:
    """Parks these; a thing that is parked already keeps its id and counts one attempt more."""
    if not stops:
        return
    await tx.run(
        _PARK,
        environment=environment,
        tenant=tenant,
        what=what,
        place=place,
        resource=resource,
        ids=[ids.new("prk") for _ in stops],
        keys=[stop.key for stop in stops],
        reasons=[stop.reason for stop in stops],
        fields=[stop.field for stop in stops],
        raws=[stop.raw for stop in stops],
        numbers=[stop.number for stop in stops],
    )


async def clear(
    tx: Database | Tx,
    keys: Sequence[str],
    *,
    environment: str,
    tenant: str,
    what: str,
    place: str,
    resource: str = "",
) -> int:
    """Takes these keys out of the park, since they were read after all; how many there were."""
    return await tx.run(
        _CLEAR,
        environment=environment,
        tenant=tenant,
        what=what,
        place=place,
        resource=resource,
        keys=list(keys),
    )


async def supersede(
    tx: Tx, *, environment: str, tenant: str, place: str, resource: str, scope: str
) -> list[str]:
    """Takes the listings of this part of a resource out of the park, as a later one is over; their
    ids."""
    rows = await tx.fetch(
        _SUPERSEDE,
        environment=environment,
        tenant=tenant,
        what="listing",
        place=place,
        resource=resource,
        scope=scope,
    )
    return [row["key"] for row in rows]


async def keys(
    db: Database | Tx, *, environment: str, what: str, place: str
) -> dict[tuple[str, str, str], int]:
    """(tenant, resource, key) of what is parked at a place, and from which number on."""
    rows = await db.fetch(_KEYS, environment=environment, what=what, place=place)
    return {(row["tenant"], row["resource"], row["key"]): row["number"] or 0 for row in rows}


async def every(
    db: Database,
    *,
    environment: str,
    tenant: str | None = None,
    what: str | None = None,
    place: str | None = None,
    most: int = 100,
) -> list[Parked]:
    """What is parked, oldest first."""
    rows = await db.fetch(
        _LIST, environment=environment, tenant=tenant, what=what, place=place, most=most
    )
    return [_parked(row) for row in rows]


@dataclass(frozen=True, kw_only=True)
class Webhooks:
    """Parked webhooks of one app, that came from `since` on and before `until`; None limits
    nothing."""

    environment: str
    app: str
    since: datetime | None = None
    until: datetime | None = None


async def arrivals(
    db: Database, wanted: Webhooks, *, after: str = "", most: int = 100
) -> list[Parked]:
    """The next of them, oldest first, from just behind the key `after`."""
    rows = await db.fetch(_ARRIVALS, **_binds(wanted), after=after, most=most)
    return [_parked(row) for row in rows]


async def pushes(
    db: Database | Tx,
    *,
    environment: str,
    tenant: str,
    connection: str,
    after: str = "",
    most: int = 100,
) -> list[Parked]:
    """The next held documents of a connection, oldest first, from just behind the id `after`."""
    rows = await db.fetch(
        _PUSHES,
        environment=environment,
        tenant=tenant,
        connection=connection,
        after=after,
        most=most,
    )
    return [_parked(row) for row in rows]


async def count_arrivals(db: Database, wanted: Webhooks) -> int:
    """How many they are."""
    found: int = await db.value(_COUNT_ARRIVALS, **_binds(wanted))
    return found


async def one(db: Database | Tx, *, environment: str, id: str) -> Parked | None:
    """One parked thing by its id."""
    row = await db.row(_ONE, environment=environment, id=id)
    return _parked(row) if row else None


async def drop(tx: Database | Tx, parked: Parked) -> None:
    """Takes one thing out of the park."""
    await tx.run(_DROP, environment=parked.environment, tenant=parked.tenant, id=parked.id)


def _binds(wanted: Webhooks) -> dict[str, object]:
    return {
        "environment": wanted.environment,
        "tenant": "",  # none is known yet
        "what": "arrival",
        "place": wanted.app,
        "resource": "",
        "first": ids.bound("arr", wanted.since) if wanted.since else "",
        "last": ids.bound("arr", wanted.until) if wanted.until else "arr_~",
    }


def _parked(row: Row) -> Parked:
    return Parked(**dict(row))
