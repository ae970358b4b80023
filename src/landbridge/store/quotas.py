"""What is used of providers' quotas, shared by all processes.

Calls per period are leased in chunks, each one statement for all the quotas that a process asks
for: counts lie in steps of the period, the newest first, and a chunk may be spent until its step
ends. What is left of it is given back to the step that it was counted in; a process that crashed
gives nothing back, and its chunk counts as spent until the period has gone by.

Calls at once are places that a process holds until a time; who crashed holds none after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from landbridge.store.database import Database
from landbridge.store.sql import Sql

HELD = timedelta(seconds=60)
"""How long places are held without a sign of life."""
QUEUED = timedelta(seconds=2)
"""How long a process that got no place counts as one that wants its share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """What a process wants of one quota per period, and what it knows of it.

    `rooms` and `wanted` are by lane, the first lane first. `back` are calls of a chunk of the step
    `back_tick` that were not made. `left` is what the provider said remains (None: nothing), in
    the step `left_tick`; `blocked` are seconds for which it wants no calls.
    """

    environment: str
    place: str
    name: str
    limit: int
    step: float
    span: int
    pace: int
    rooms: tuple[int, int, int, int]
    wanted: tuple[int, int, int, int] = (0, 0, 0, 0)
    back: int = 0
    back_tick: int = 0
    left: int | None = None
    left_tick: int = 0
    blocked: float = 0.0


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """What was leased: calls by lane, to be made within `ends` seconds; `used` are the counts of
    the steps after that, and `blocked` the seconds for which nobody may call."""

    given: tuple[int, ...]
    tick: int
    ends: float
    used: tuple[int, ...]
    blocked: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Crowd:
    """What a process wants of a limit of calls at once: `need` places, `using` of which are taken
    by calls under way; `most` of all places may be held for the most urgent lane that waits."""

    environment: str
    place: str
    name: str
    limit: int
    most: int
    need: int
    using: int
    blocked: float = 0.0


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """The places that the process has from now on, all together, and for how long nobody may call.
    Where it uses more, those count until it asks again."""

    given: int
    blocked: float


@dataclass(frozen=True, kw_only=True)
class Used:
    """How a quota stands: calls that count at present, and those under way for a limit at once."""

    place: str
    name: str
    limit: int
    period: bool
    used: int
    processes: int
    blocked_until: datetime | None
    updated_at: datetime


_ENSURE = Sql(
    "quotas.ensure",
    """
    INSERT INTO lb.quota (environment, place, name, most, step)
    SELECT w.environment, w.place, w.name, w.most, w.step
    FROM unnest(:environments::text[], :places::text[], :names::text[], :limits::int[],
                :steps::float8[]) AS w(environment, place, name, most, step)
    ORDER BY w.environment, w.place, w.name
    ON CONFLICT (environment, place, name) DO UPDATE
    SET most = excluded.most, step = excluded.step
    WHERE (quota.most, quota.step) <> (excluded.most, excluded.step)
    """,
)

_LEASE = Sql(
    "quotas.lease",
    """
    WITH moment AS MATERIALIZED (
        SELECT n.now, extract(epoch FROM n.now)::float8 AS epoch FROM (SELECT lb.now() AS now) AS n
    ),
    held AS MATERIALIZED (
        SELECT w.*, m.now, m.epoch, q.blocked_until,
               greatest(floor(m.epoch / w.step)::bigint, q.tick) AS tick,
               q.used AS old,
               least(greatest(floor(m.epoch / w.step)::bigint - q.tick, 0), w.span)::int AS passed
        FROM moment AS m,
             unnest(:environments::text[], :places::text[], :names::text[], :limits::int[],
                    :steps::float8[], :spans::int[], :paces::int[],
                    :rooms0::int[], :rooms1::int[], :rooms2::int[], :rooms3::int[],
                    :wanted0::int[], :wanted1::int[], :wanted2::int[], :wanted3::int[],
                    :backs::int[], :back_ticks::bigint[], :lefts::int[], :left_ticks::bigint[],
                    :blocks::float8[])
             AS w(environment, place, name, most, step, span, pace, r0, r1, r2, r3,
                  w0, w1, w2, w3, back, back_tick, left_over, left_tick, block),
             LATERAL (
                 SELECT o.tick, o.used, o.blocked_until FROM lb.quota AS o
                 WHERE o.environment = w.environment AND o.place = w.place AND o.name = w.name
                 LIMIT 1
                 FOR UPDATE
             ) AS q
    ),
    moved AS MATERIALIZED (
        SELECT h.*,
               ARRAY(
                   SELECT greatest(0, a.calls
                                      - CASE WHEN h.tick - a.place + 1 = h.back_tick THEN h.back
                                             ELSE 0 END)
                   FROM unnest(array_fill(0, ARRAY[h.passed]) || h.old
                               || array_fill(0, ARRAY[h.span]))
                        WITH ORDINALITY AS a(calls, place)
                   WHERE a.place <= h.span
                   ORDER BY a.place
               ) AS counts,
               nullif(greatest(h.blocked_until, CASE WHEN h.block > 0
                               THEN h.now + h.block * interval '1 second' END, h.now), h.now)
                   AS until
        FROM held AS h
    ),
    summed AS MATERIALIZED (
        SELECT m.*, s.known + c.more AS total, m.counts[1] + c.more AS first
        FROM moved AS m,
             LATERAL (SELECT sum(u.calls)::int AS known FROM unnest(m.counts) AS u(calls)) AS s,
             LATERAL (
                 SELECT CASE WHEN m.left_over >= 0 AND (m.span > 1 OR m.left_tick = m.tick)
                             THEN greatest(0, m.most - s.known - m.left_over) ELSE 0 END AS more
             ) AS c
    ),
    given AS MATERIALIZED (
        SELECT s.*, a.calls AS g0, b.calls AS g1, c.calls AS g2, d.calls AS g3
        FROM summed AS s,
             LATERAL (SELECT CASE WHEN s.until IS NULL THEN 1 ELSE 0 END AS open) AS o,
             LATERAL (SELECT s.r0 - s.total AS room) AS x,
             LATERAL (
                 SELECT o.open * least(s.w0, greatest(0, ceil(x.room / 4.0)::int)) AS calls
             ) AS a,
             LATERAL (SELECT s.r1 - s.total - a.calls AS room) AS y,
             LATERAL (
                 SELECT o.open * least(s.w1, greatest(0, ceil(y.room / 4.0)::int)) AS calls
             ) AS b,
             LATERAL (SELECT s.r2 - s.total - a.calls - b.calls AS room) AS z,
             LATERAL (
                 SELECT o.open * least(s.w2, greatest(0, ceil(z.room / 4.0)::int)) AS calls
             ) AS c,
             LATERAL (SELECT least(s.r3 - s.total, s.pace - s.first)
                             - a.calls - b.calls - c.calls AS room) AS v,
             LATERAL (
                 SELECT o.open * least(s.w3, greatest(0, ceil(v.room / 4.0)::int)) AS calls
             ) AS d
    ),
    kept AS (
        UPDATE lb.quota AS q
        SET tick = g.tick, used = (g.first + g.g0 + g.g1 + g.g2 + g.g3) || g.counts[2:],
            blocked_until = g.until, updated_at = g.now
        FROM given AS g
        WHERE q.environment = g.environment AND q.place = g.place AND q.name = g.name
    )
    SELECT g.environment, g.place, g.name, ARRAY[g.g0, g.g1, g.g2, g.g3] AS given, g.tick,
           (g.tick + 1) * g.step - g.epoch AS ends,
           (g.first + g.g0 + g.g1 + g.g2 + g.g3) || g.counts[2:] AS used,
           coalesce(extract(epoch FROM g.until - g.now), 0)::float8 AS blocked
    FROM given AS g
    """,
)

_OCCUPY = Sql(
    "quotas.occupy",
    """
    WITH moment AS MATERIALIZED (
        SELECT n.now, extract(epoch FROM n.now)::float8 AS epoch FROM (SELECT lb.now() AS now) AS n
    ),
    held AS MATERIALIZED (
        SELECT w.*, m.now, m.epoch, q.holders,
               nullif(greatest(q.blocked_until, CASE WHEN w.block > 0
                               THEN m.now + w.block * interval '1 second' END, m.now), m.now)
                   AS until
        FROM moment AS m,
             unnest(:environments::text[], :places::text[], :names::text[], :limits::int[],
                    :mosts::int[], :needs::int[], :usings::int[], :blocks::float8[])
             AS w(environment, place, name, cap, most, need, using_now, block),
             LATERAL (
                 SELECT o.holders, o.blocked_until FROM lb.quota AS o
                 WHERE o.environment = w.environment AND o.place = w.place AND o.name = w.name
                 LIMIT 1
                 FOR UPDATE
             ) AS q
    ),
    given AS MATERIALIZED (
        SELECT h.*, others.live,
               CASE WHEN h.until IS NULL THEN greatest(0, least(
                   h.need, h.most - others.taken,
                   greatest(ceil(h.cap::float8 / (others.sharers + 1))::int,
                            h.cap - others.wanted))) ELSE 0 END AS calls
        FROM held AS h,
             LATERAL (
                 SELECT coalesce(sum((o.value ->> 0)::int), 0)::int AS taken,
                        coalesce(sum(greatest((o.value ->> 0)::int, (o.value ->> 2)::int)), 0)::int
                            AS wanted,
                        count(*)::int AS sharers,
                        coalesce(jsonb_object_agg(o.key, o.value), '{}') AS live
                 FROM jsonb_each(h.holders) AS o
                 WHERE o.key <> :holder AND (o.value ->> 1)::float8 > h.epoch
             ) AS others
    ),
    kept AS (
        UPDATE lb.quota AS q
        SET holders = g.live || CASE WHEN g.calls > 0 OR g.need > 0 THEN jsonb_build_object(
                :holder::text, jsonb_build_array(greatest(g.calls, g.using_now),
                    g.epoch + extract(epoch FROM
                        CASE WHEN g.calls > 0 OR g.using_now > 0 THEN :held::interval
                             ELSE :queued::interval END),
                    g.need))
                ELSE '{}' END,
            blocked_until = g.until, updated_at = g.now
        FROM given AS g
        WHERE q.environment = g.environment AND q.place = g.place AND q.name = g.name
    )
    SELECT g.environment, g.place, g.name, g.calls AS given,
           coalesce(extract(epoch FROM g.until - g.now), 0)::float8 AS blocked
    FROM given AS g
    """,
)

_EVERY = Sql(
    "quotas.every",
    """
    SELECT q.place, q.name, q.most AS limit, q.step > 0 AS period, q.updated_at,
           CASE WHEN q.blocked_until > m.now THEN q.blocked_until END AS blocked_until,
           CASE WHEN q.step > 0 THEN (
               SELECT coalesce(sum(u.calls), 0) FROM unnest(q.used) WITH ORDINALITY AS u(calls, n)
               WHERE floor(extract(epoch FROM m.now) / q.step)::bigint - q.tick + u.n
                     <= cardinality(q.used)
           ) ELSE others.taken END::int AS used,
           others.holders AS processes
    FROM (SELECT lb.now() AS now) AS m, lb.quota AS q,
         LATERAL (
             SELECT coalesce(sum((o.value ->> 0)::int), 0) AS taken, count(*)::int AS holders
             FROM jsonb_each(q.holders) AS o
             WHERE (o.value ->> 1)::float8 > extract(epoch FROM m.now)
         ) AS others
    WHERE q.environment = :environment AND starts_with(q.place, :begins)
    ORDER BY q.place, q.name
    LIMIT :most
    """,
)

_FORGET = Sql(
    "quotas.forget",
    "DELETE FROM lb.quota AS q WHERE q.updated_at < lb.now() - :kept::interval",
    across="Counts that no call has touched for longer than any period are of no use to anybody.",
)

Key = tuple[str, str, str]
"""Environment, place and name of a quota."""


async def ensure(db: Database, asks: Sequence[Ask | Crowd]) -> None:
    """Makes the rows of quotas that this process asks for the first time."""
    await db.run(
        _ENSURE,
        **_keys(asks),
        limits=[each.limit for each in asks],
        steps=[each.step if isinstance(each, Ask) else 0.0 for each in asks],
    )


async def lease(db: Database, asks: Sequence[Ask]) -> dict[Key, Chunk]:
    """A chunk for each ask (each quota there once), and what was given back or learned is kept.

    No chunk is more than a quarter of what there is, so that others find something; none lets a
    lane go beyond its room. A quota without a row is missing in the answer.
    """
    ordered = sorted(asks, key=_key)
    rows = await db.fetch(
        _LEASE,
        **_keys(ordered),
        limits=[each.limit for each in ordered],
        steps=[each.step for each in ordered],
        spans=[each.span for each in ordered],
        paces=[each.pace for each in ordered],
        **{f"rooms{lane}": [each.rooms[lane] for each in ordered] for lane in range(4)},
        **{f"wanted{lane}": [each.wanted[lane] for each in ordered] for lane in range(4)},
        backs=[each.back for each in ordered],
        back_ticks=[each.back_tick for each in ordered],
        lefts=[-1 if each.left is None else min(each.left, 10**9) for each in ordered],
        left_ticks=[each.left_tick for each in ordered],
        blocks=[each.blocked for each in ordered],
    )
    return {
        (row["environment"], row["place"], row["name"]): Chunk(
            given=tuple(row["given"]),
            tick=row["tick"],
            ends=row["ends"],
            used=tuple(row["used"]),
            blocked=row["blocked"],
        )
        for row in rows
    }


async def occupy(db: Database, crowds: Sequence[Crowd], *, holder: str) -> dict[Key, Places]:
    """The places that `holder` has from now on, for `HELD`: as many as it needs and others do not
    want, or its share of all."""
    ordered = sorted(crowds, key=_key)
    rows = await db.fetch(
        _OCCUPY,
        **_keys(ordered),
        limits=[each.limit for each in ordered],
        mosts=[each.most for each in ordered],
        needs=[each.need for each in ordered],
        usings=[each.using for each in ordered],
        blocks=[each.blocked for each in ordered],
        holder=holder,
        held=HELD,
        queued=QUEUED,
    )
    return {
        (row["environment"], row["place"], row["name"]): Places(
            given=row["given"], blocked=row["blocked"]
        )
        for row in rows
    }


async def every(
    db: Database, *, environment: str, begins: str = "", most: int = 1000
) -> list[Used]:
    """The quotas of an environment that calls have touched, by place and name; those whose place
    begins with `begins`."""
    rows = await db.fetch(_EVERY, environment=environment, begins=begins, most=most)
    return [Used(**dict(row)) for row in rows]


async def forget(db: Database, *, kept: timedelta = timedelta(days=3)) -> int:
    """Removes what no call has touched for so long, and says how many rows that were."""
    return await db.run(_FORGET, kept=kept)


def _key(each: Ask | Crowd) -> Key:
    return each.environment, each.place, each.name


def _keys(asks: Sequence[Ask | Crowd]) -> dict[str, list[str]]:
    return {
        "environments": [each.environment for each in asks],
        "places": [each.place for each in asks],
        "names": [each.name for each in asks],
    }
