"""Limits of endpoints, kept by all workers together: turns (`rate`) and places (`concurrency`) are
reserved before posts are made.

A place is a claim's, and lasts as long as its lease: whoever settles or loses it gives the place
back by that. So no statement ends one, and a worker that crashed holds none for longer than its
leases.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from landbridge.store.database import Database
from landbridge.store.due import Leased
from landbridge.store.sql import Sql

HORIZON = timedelta(seconds=1)
"""How far ahead turns are given: more wait in the queue, where any worker finds them."""


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """How many turns are wanted at an endpoint that takes `rate` posts per second."""

    environment: str
    tenant: str
    endpoint: str
    rate: float
    number: int


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """Claims that want a place at an endpoint that takes `most` posts at a time."""

    environment: str
    tenant: str
    endpoint: str
    most: int
    claims: Sequence[Leased]


class Turns(msgspec.Struct, frozen=True, kw_only=True):
    """The turns that were given: `number` of them, the first in `begins` seconds, then one every
    `step` seconds. Who got none asks again after `after` seconds, or later."""

    number: int
    begins: float
    step: float

    @property
    def after(self) -> float:
        """When the next turn is free."""
        return self.begins + self.number * self.step


_ENSURE = Sql(
    "pacing.ensure",
    """
    INSERT INTO lb.endpoint_health (environment, tenant, endpoint)
    SELECT w.environment, w.tenant, w.endpoint
    FROM unnest(:environments::text[], :tenants::text[], :endpoints::text[])
         AS w(environment, tenant, endpoint)
    ORDER BY w.environment, w.tenant, w.endpoint
    ON CONFLICT (environment, tenant, endpoint) DO NOTHING
    """,
)

_RESERVE = Sql(
    "pacing.reserve",
    """
    WITH moment AS MATERIALIZED (SELECT lb.now() AS now),
    held AS MATERIALIZED (
        SELECT w.environment, w.tenant, w.endpoint, w.rate, w.number,
               greatest(extract(epoch FROM coalesce(h.paced_until, m.now) - m.now), 0) AS begins,
               m.now
        FROM moment AS m,
             unnest(:environments::text[], :tenants::text[], :endpoints::text[], :rates::float8[],
                    :numbers::int[]) AS w(environment, tenant, endpoint, rate, number),
             LATERAL (
                 SELECT o.paced_until FROM lb.endpoint_health AS o
                 WHERE o.environment = w.environment AND o.tenant = w.tenant
                   AND o.endpoint = w.endpoint
                 LIMIT 1
                 FOR UPDATE
             ) AS h
    ),
    given AS MATERIALIZED (
        SELECT h.*, least(h.number,
                          greatest(0, ceil((extract(epoch FROM :horizon::interval) - h.begins)
                                           * h.rate)))::int AS turns
        FROM held AS h
    ),
    moved AS (
        UPDATE lb.endpoint_health AS e
        SET paced_until = g.now + (g.begins + g.turns / g.rate) * interval '1 second'
        FROM given AS g
        WHERE e.environment = g.environment AND e.tenant = g.tenant AND e.endpoint = g.endpoint
          AND g.turns > 0
    )
    SELECT g.endpoint, g.turns, g.begins::float8 AS begins FROM given AS g
    """,
)

# Whoever waited for the lock has to look at what was committed meanwhile: with another statement.
_QUEUE = Sql(
    "pacing.queue",
    """
    SELECT h.endpoint
    FROM unnest(:environments::text[], :tenants::text[], :endpoints::text[])
         AS w(environment, tenant, endpoint),
         LATERAL (
             SELECT o.endpoint FROM lb.endpoint_health AS o
             WHERE o.environment = w.environment AND o.tenant = w.tenant
               AND o.endpoint = w.endpoint
             LIMIT 1
             FOR UPDATE
         ) AS h
    """,
)

_OCCUPY = Sql(
    "pacing.occupy",
    """
    WITH crowd AS MATERIALIZED (
        SELECT w.environment, w.tenant, w.endpoint, w.most,
               ARRAY(
                   SELECT p.place
                   FROM lb.endpoint_health AS h, unnest(h.under_way) AS p(place), LATERAL (
                       SELECT d.id FROM lb.due AS d
                       WHERE d.id = split_part(p.place, ':', 1)
                         AND d.environment = w.environment AND d.tenant = w.tenant
                         AND d.owner IS NOT NULL AND d.due_at > (SELECT lb.now())
                         AND d.fence = split_part(p.place, ':', 2)::bigint
                       LIMIT 1
                   ) AS held
                   WHERE h.environment = w.environment AND h.tenant = w.tenant
                     AND h.endpoint = w.endpoint AND p.place <> ALL (:places::text[])
               ) AS there
        FROM unnest(:environments::text[], :tenants::text[], :endpoints::text[], :mosts::int[])
             AS w(environment, tenant, endpoint, most)
    ),
    given AS MATERIALIZED (
        SELECT c.*, ARRAY(
            SELECT a.place
            FROM unnest(:askers::text[], :places::text[]) WITH ORDINALITY AS a(asker, place, rank)
            WHERE a.asker = c.endpoint
            ORDER BY a.rank
            LIMIT greatest(0, c.most - cardinality(c.there))
        ) AS fresh
        FROM crowd AS c
    ),
    moved AS (
        UPDATE lb.endpoint_health AS e SET under_way = g.there || g.fresh
        FROM given AS g
        WHERE e.environment = g.environment AND e.tenant = g.tenant AND e.endpoint = g.endpoint
        RETURNING g.fresh
    )
    SELECT split_part(f.place, ':', 1) AS id
    FROM moved AS m, LATERAL unnest(m.fresh) AS f(place)
    """,
)


async def occupy(db: Database, crowds: Sequence[Crowd]) -> set[str]:
    """The ids of those claims that got a place at their endpoints (each there once), first ones
    first. Asking again for the same claim, after an answer was lost, takes no second place."""
    ordered = sorted(crowds, key=lambda each: (each.environment, each.tenant, each.endpoint))
    places = {
        "environments": [each.environment for each in ordered],
        "tenants": [each.tenant for each in ordered],
        "endpoints": [each.endpoint for each in ordered],
    }
    askers = [(crowd.endpoint, claim) for crowd in ordered for claim in crowd.claims]
    await db.run(_ENSURE, **places)
    async with db.transaction() as tx:
        await tx.fetch(_QUEUE, **places)
        rows = await tx.fetch(
            _OCCUPY,
            **places,
            mosts=[each.most for each in ordered],
            askers=[endpoint for endpoint, _ in askers],
            places=[f"{claim.id}:{claim.fence}" for _, claim in askers],
        )
    return {row["id"] for row in rows}


async def reserve(db: Database, wants: Sequence[Want]) -> dict[str, Turns]:
    """Turns at these endpoints (each there once), by their ids; whoever asks next gets later ones.

    No endpoint is given turns beyond `HORIZON`, except a first one to an endpoint that nobody
    waits for.
    """
    if not wants:
        return {}
    ordered = sorted(wants, key=lambda each: (each.environment, each.tenant, each.endpoint))
    places = {
        "environments": [each.environment for each in ordered],
        "tenants": [each.tenant for each in ordered],
        "endpoints": [each.endpoint for each in ordered],
    }
    await db.run(_ENSURE, **places)
    rows = await db.fetch(
        _RESERVE,
        **places,
        rates=[each.rate for each in ordered],
        numbers=[each.number for each in ordered],
        horizon=HORIZON,
    )
    rates = {each.endpoint: each.rate for each in ordered}
    return {
        row["endpoint"]: Turns(
            number=row["turns"], begins=row["begins"], step=1 / rates[row["endpoint"]]
        )
        for row in rows
    }
