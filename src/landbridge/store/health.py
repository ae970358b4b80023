"""How endpoints fare: a row for each that fails, none for one that works.

A row begins with the first failure after a success and goes with the next success. In between it
counts failures, keeps the breaker (`opened` times in a row, open until then) and whether a notice
was given. `store.pacing` keeps the turns of endpoints with a rate in the same rows; those stay. All
times are the database's, `lb.now()`.

Writers of many rows take them in the order of their keys, and one statement only ever adds or only
ever removes, so that processes that tell of the same endpoints wait for each other and never in a
circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql


class Key(NamedTuple):
    """Which endpoint."""

    environment: str
    tenant: str
    endpoint: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that fails. `failures` are those since the last success, `error` is the last.

    `opened` is how often in a row the breaker opened, `open_until` until when it holds deliveries
    back (a moment that has passed: one may go to see). `now` is when this was read.
    """

    environment: str
    tenant: str
    endpoint: str
    failing_since: datetime
    failures: int
    error: str | None
    noticed_at: datetime | None
    opened: int
    open_until: datetime | None
    now: datetime


class Failure(NamedTuple):
    """What failed of a batch. It counts only while the endpoint is enabled and still at `url`."""

    key: Key
    url: str
    failures: int
    error: str | None


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens: after so many failures without a success between, and if the first of
    them is `since` ago; for `first`, twice as long each time in a row up to `longest`, times
    `factor`."""

    after: int
    since: timedelta
    first: timedelta
    longest: timedelta
    factor: float = 1.0


_COLUMNS = """h.environment, h.tenant, h.endpoint, h.failing_since, h.failures, h.error,
              h.noticed_at, h.opened, h.open_until"""

_OPENS = """(h.failures + excluded.failures >= :opens_after
                    AND coalesce(h.failing_since, excluded.failing_since)
                        <= excluded.failing_since - :opens_since::interval
                    AND (h.open_until IS NULL OR h.open_until <= excluded.failing_since))"""

_FAIL = Sql(
    "health.fail",
    f"""
    INSERT INTO lb.endpoint_health AS h
        (environment, tenant, endpoint, failing_since, failures, error)
    SELECT p.environment, p.tenant, p.id, m.now, w.failures, w.error
    FROM (SELECT lb.now() AS now) AS m,
         unnest(:environments::text[], :tenants::text[], :endpoints::text[], :urls::text[],
                :numbers::bigint[], :errors::text[])
             AS w(environment, tenant, endpoint, url, failures, error),
         LATERAL (
            SELECT e.environment, e.tenant, e.id FROM lb.endpoint AS e
            WHERE e.environment = w.environment AND e.tenant = w.tenant AND e.id = w.endpoint
              AND e.state = 'enabled' AND e.url = w.url
            LIMIT 1
         ) AS p
    ON CONFLICT (environment, tenant, endpoint) DO UPDATE SET
        failing_since = coalesce(h.failing_since, excluded.failing_since),
        failures = h.failures + excluded.failures,
        error = excluded.error,
        opened = CASE WHEN {_OPENS} THEN h.opened + 1 ELSE h.opened END,
        open_until = CASE WHEN {_OPENS}
            THEN excluded.failing_since + :factor::float8 * least(
                :open_longest::interval, :open_first::interval * (1 << least(h.opened, 20)))
            ELSE h.open_until END,
        probing_until = CASE WHEN {_OPENS} THEN NULL ELSE h.probing_until END
    RETURNING {_COLUMNS}, (SELECT lb.now()) AS now
    """,
)

# The place of an endpoint with a rate stays: the row also says until when its turns are given.
_RECOVER = Sql(
    "health.recover",
    f"""
    WITH held AS MATERIALIZED (
        SELECT {_COLUMNS}, coalesce(h.paced_until::text, h.under_way::text) AS limited
        FROM unnest(:environments::text[], :tenants::text[], :endpoints::text[])
                 AS w(environment, tenant, endpoint),
             LATERAL (
                SELECT {_COLUMNS.replace("h.", "o.")}, o.paced_until, o.under_way
                FROM lb.endpoint_health AS o
                WHERE o.environment = w.environment AND o.tenant = w.tenant
                  AND o.endpoint = w.endpoint
                LIMIT 1
                FOR UPDATE
             ) AS h
    ),
    gone AS (
        DELETE FROM lb.endpoint_health AS n
        USING held AS h
        WHERE n.environment = h.environment AND n.tenant = h.tenant AND n.endpoint = h.endpoint
          AND h.limited IS NULL
    ),
    kept AS (
        UPDATE lb.endpoint_health AS n
        SET failing_since = NULL, failures = 0, error = NULL, noticed_at = NULL, opened = 0,
            open_until = NULL, probing_until = NULL
        FROM held AS h
        WHERE n.environment = h.environment AND n.tenant = h.tenant AND n.endpoint = h.endpoint
          AND h.limited IS NOT NULL
    )
    SELECT {_COLUMNS}, lb.now() AS now FROM held AS h WHERE h.failing_since IS NOT NULL
    """,
)

_PROBE = Sql(
    "health.probe",
    """
    WITH moment AS MATERIALIZED (SELECT lb.now() AS now),
    free AS MATERIALIZED (
        SELECT w.environment, w.tenant, w.endpoint
        FROM moment AS m,
             unnest(:environments::text[], :tenants::text[], :endpoints::text[])
                 AS w(environment, tenant, endpoint),
             LATERAL (
                SELECT FROM lb.endpoint_health AS o
                WHERE o.environment = w.environment AND o.tenant = w.tenant
                  AND o.endpoint = w.endpoint AND o.open_until <= m.now
                  AND (o.probing_until IS NULL OR o.probing_until <= m.now)
                LIMIT 1
                FOR UPDATE SKIP LOCKED
             ) AS own
    )
    UPDATE lb.endpoint_health AS h SET probing_until = m.now + :lease::interval
    FROM moment AS m, free AS w
    WHERE h.environment = w.environment AND h.tenant = w.tenant AND h.endpoint = w.endpoint
    RETURNING h.environment, h.tenant, h.endpoint
    """,
)

_OF = Sql(
    "health.of",
    f"""
    SELECT {_COLUMNS}, lb.now() AS now FROM lb.endpoint_health AS h
    WHERE h.environment = :environment AND h.tenant = :tenant AND h.endpoint = :endpoint
      AND h.failing_since IS NOT NULL
    """,
)

_NOTICE = Sql(
    "health.notice",
    f"""
    UPDATE lb.endpoint_health AS h SET noticed_at = lb.now()
    WHERE h.environment = :environment AND h.tenant = :tenant AND h.endpoint = :endpoint
      AND h.noticed_at IS NULL AND h.failures >= :fewest
      AND h.failing_since <= lb.now() - :during::interval
    RETURNING {_COLUMNS}, lb.now() AS now
    """,
)

# What is known of a disabled endpoint stays, for whoever enables it; the counts begin anew.
_END = Sql(
    "health.end",
    f"""
    UPDATE lb.endpoint_health AS n
    SET failures = 0, noticed_at = NULL, opened = 0, open_until = NULL, probing_until = NULL
    FROM (
        SELECT {_COLUMNS}, lb.now() AS now FROM lb.endpoint_health AS h
        WHERE h.environment = :environment AND h.tenant = :tenant AND h.endpoint = :endpoint
          AND h.failures >= :fewest AND h.failing_since <= lb.now() - :during::interval
          AND h.noticed_at <= lb.now() - :warning::interval
        FOR UPDATE
    ) AS h
    WHERE n.environment = h.environment AND n.tenant = h.tenant AND n.endpoint = h.endpoint
    RETURNING {_COLUMNS}, h.now
    """,
)

_HOLD = Sql(
    "health.hold",
    """
    SELECT lb.now() FROM lb.endpoint AS e
    WHERE e.environment = :environment AND e.tenant = :tenant AND e.id = :endpoint
      AND e.state = 'enabled' AND e.url = :url
    FOR UPDATE
    """,
)

_DISABLE = Sql(
    "health.disable",
    """
    UPDATE lb.endpoint AS e
    SET state = 'disabled', reason = :reason, disabled_at = :at, updated_at = :at
    WHERE e.environment = :environment AND e.tenant = :tenant AND e.id = :endpoint
    """,
)

_SLOW = Sql(
    "health.slow",
    """
    UPDATE lb.endpoint AS e SET slow = :slow
    WHERE e.environment = :environment AND e.tenant = :tenant AND e.id = :endpoint
      AND e.slow <> :slow
    """,
)


async def fail(db: Database, failures: Iterable[Failure], opening: Opening) -> list[Health]:
    """How the endpoints stand after these failures, in one statement; no endpoint twice.

    Those that were deleted, disabled or moved to another URL meanwhile are left out. A breaker
    opens here, also one that is due for a probe; the batch that begins a row opens none.
    """
    words = sorted(failures)
    if not words:
        return []
    rows = await db.fetch(
        _FAIL,
        **_keys([each.key for each in words]),
        urls=[each.url for each in words],
        numbers=[each.failures for each in words],
        errors=[each.error for each in words],
        opens_after=opening.after,
        opens_since=opening.since,
        open_first=opening.first,
        open_longest=opening.longest,
        factor=opening.factor,
    )
    return [_health(row) for row in rows]


async def recover(db: Database | Tx, keys: Iterable[Key]) -> list[Health]:
    """How those of the endpoints stood that had failed until now: all is forgotten of them."""
    words = sorted(set(keys))
    if not words:
        return []
    return [_health(row) for row in await db.fetch(_RECOVER, **_keys(words))]


async def probe(db: Database, keys: Iterable[Key], lease: timedelta) -> set[Key]:
    """Those of the endpoints that may be tried once by the caller, to see whether they work again.

    Nobody else gets them for `lease`, or until a failure or a success is told. One whose breaker
    still holds is not among them.
    """
    words = sorted(set(keys))
    if not words:
        return set()
    rows = await db.fetch(_PROBE, **_keys(words), lease=lease)
    return {Key(*row) for row in rows}


async def of(db: Database | Tx, *, environment: str, tenant: str, endpoint: str) -> Health | None:
    """How the endpoint stands; None if nothing failed since its last success."""
    row = await db.row(_OF, environment=environment, tenant=tenant, endpoint=endpoint)
    return None if row is None else _health(row)


async def reset(
    db: Database | Tx, *, environment: str, tenant: str, endpoint: str
) -> Health | None:
    """How the endpoint stood; from now on it counts as one that works, and its breaker is closed.

    For an endpoint that is enabled, moved to another URL, or deleted. None if nothing was known.
    """
    stood = await recover(db, [Key(environment, tenant, endpoint)])
    return stood[0] if stood else None


async def notice(tx: Tx, key: Key, *, fewest: int, after: timedelta) -> Health | None:
    """How the endpoint stands, if it is time for its notice and nobody gave it: the caller does.

    Time is after `fewest` failures and `after` without a success.
    """
    row = await tx.row(_NOTICE, **_one(key), fewest=fewest, during=after)
    return None if row is None else _health(row)


async def end(
    tx: Tx, key: Key, *, fewest: int, after: timedelta, warning: timedelta
) -> Health | None:
    """How the endpoint stood, if it is time to disable it; its counts then begin anew.

    Time is after `fewest` failures, `after` without a success, and `warning` since the notice.
    Call `hold` before.
    """
    row = await tx.row(_END, **_one(key), fewest=fewest, warning=warning, during=after)
    return None if row is None else _health(row)


async def hold(tx: Tx, key: Key, url: str) -> datetime | None:
    """The moment, with the endpoint locked until `tx` ends; None unless it is enabled at `url`."""
    at: datetime | None = await tx.value(_HOLD, **_one(key), url=url)
    return at


async def disable(tx: Tx, key: Key, *, reason: str, at: datetime) -> None:
    """Disables an endpoint that `hold` has locked."""
    await tx.run(_DISABLE, **_one(key), reason=reason, at=at)


async def slow(db: Database, key: Key, slow: bool) -> bool:
    """Whether that is new of the endpoint. Deliveries to slow ones begin in a lane of their own."""
    return await db.run(_SLOW, **_one(key), slow=slow) == 1


def _keys(keys: Sequence[Key]) -> dict[str, list[str]]:
    return {
        "environments": [each.environment for each in keys],
        "tenants": [each.tenant for each in keys],
        "endpoints": [each.endpoint for each in keys],
    }


def _one(key: Key) -> dict[str, str]:
    return key._asdict()


def _health(row: Row) -> Health:
    return Health(**row)
