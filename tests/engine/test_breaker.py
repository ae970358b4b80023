"""Endpoints that fail all the time are spared: the breaker."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from landbridge.engine.health import Gate, Seen, Watch, permit
from landbridge.store import health
from landbridge.store.database import Database
from landbridge.store.health import Health
from landbridge.store.parcels import Destination
from tests.engine.ailing import NAMED, URL, At, health_of, known, register, watch


def destination(stands: Health) -> Destination:
    blank: dict[str, Any] = dict.fromkeys(Destination.__struct_fields__)
    blank |= {name: getattr(stands, name) for name in ("environment", "tenant", "opened")}
    blank |= {"id": stands.endpoint, "open_until": stands.open_until}
    return Destination(**blank)


async def gate(one: Watch, stands: Health, now: datetime) -> Gate | None:
    return (await one.admit([destination(stands)], now)).get(stands.endpoint)


async def test_it_opens_after_some_failures_that_lasted(db: Database, at: At) -> None:
    seen = await register(db)
    for _ in range(9):
        await watch(db).note([seen])
    assert (await known(db, seen)).opened == 0, "all of it was within a moment"
    await watch(await at("11 seconds")).note([replace(seen, failed=1)])
    stands = await known(db, seen)
    assert stands.open_until is not None
    assert stands.opened == 1
    assert stands.open_until - stands.failing_since >= timedelta(seconds=41)
    assert await gate(watch(db), stands, stands.open_until - timedelta(seconds=8)) is not None


async def test_four_failures_however_long_do_not_open_it(db: Database, at: At) -> None:
    seen = await register(db)
    await watch(db).note([seen])
    await watch(await at("1 hour")).note([replace(seen, failed=1)])
    stands = await known(db, seen)
    assert (stands.opened, stands.open_until) == (0, None)
    assert await gate(watch(db), stands, stands.now) is None


async def opened(db: Database, at: At, seen: Seen) -> Health:
    await watch(db).note([seen])
    await watch(await at("11 seconds")).note([seen])
    return await known(db, seen)


async def test_what_comes_is_given_back_until_then_and_not_all_at_once(
    db: Database, at: At
) -> None:
    stands = await opened(db, at, await register(db))
    assert stands.open_until is not None
    chances = iter([0.0, 1.0])
    one = Watch(db, chance=lambda: next(chances))
    before = await gate(one, stands, stands.open_until - timedelta(seconds=20))
    assert before is not None
    assert [before.wait(), before.wait()] == [timedelta(seconds=20), timedelta(seconds=25)]


async def test_one_delivery_of_all_processes_goes_to_see(db: Database, at: At) -> None:
    stands = await opened(db, at, await register(db))
    later = await at("1 minute")
    now = (await known(later, await seen_of(stands))).now
    gates = await asyncio.gather(*(gate(watch(later), stands, now) for _ in range(5)))
    waits = [each.wait() for each in gates if each is not None for _ in range(3)]
    assert len(waits) == 15
    assert waits.count(None) == 1


async def seen_of(stands: Health) -> Seen:
    return Seen(**NAMED, endpoint=stands.endpoint, url=URL, delivered=0, failed=1, failing=True)


async def test_a_probe_that_never_ended_is_followed_by_another(db: Database, at: At) -> None:
    stands = await opened(db, at, await register(db))
    for offset, passes in (("1 minute", 1), ("110 seconds", 0), ("130 seconds", 1)):
        later = await at(offset)
        now = (await known(later, await seen_of(stands))).now
        found = await gate(watch(later), stands, now)
        assert found is not None
        assert [found.wait(), found.wait()].count(None) == passes, offset


async def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_limit(
    db: Database, at: At
) -> None:
    seen = await register(db)
    await opened(db, at, seen)
    offset, lengths = 11.0, []
    for _ in range(7):
        stands = await known(db, seen)
        assert stands.open_until is not None
        lengths.append(round((stands.open_until - stands.failing_since).total_seconds() - offset))
        offset += lengths[-1] + 2
        later = await at(f"{offset} seconds")
        assert await health.probe(later, [seen.key], timedelta(minutes=1)) == {seen.key}
        await watch(later).note([replace(seen, failed=1)])
    assert [round(each, -1) for each in lengths] == [30, 60, 120, 240, 480, 900, 900]


async def test_a_straggler_makes_it_no_longer(db: Database, at: At) -> None:
    seen = await register(db)
    stands = await opened(db, at, seen)
    await watch(await at("20 seconds")).note([seen])
    after = await known(db, seen)
    assert (after.opened, after.open_until) == (1, stands.open_until)
    assert after.failures == stands.failures + 3


async def test_a_probe_that_succeeds_closes_it(db: Database, at: At) -> None:
    seen = await register(db)
    await opened(db, at, seen)
    later = await at("1 minute")
    await watch(later).note([replace(seen, failed=0, delivered=1)])
    assert await health_of(db, seen) is None


@pytest.mark.parametrize(
    ("opened", "seconds", "wait"), [(0, 60, None), (1, 60, 60), (1, 0, 0), (3, -5, 0)]
)
def test_a_permit(opened: int, seconds: int, wait: int | None) -> None:
    now = datetime.fromisoformat("2026-07-01T12:00:00Z")
    held = permit(opened, now + timedelta(seconds=seconds), now)
    assert held == (None if wait is None else timedelta(seconds=wait))


async def test_a_reset_closes_the_breaker(db: Database, at: At) -> None:
    seen = await register(db)
    stands = await opened(db, at, seen)
    was = await health.reset(db, **NAMED, endpoint=seen.endpoint)
    assert was is not None
    assert was.opened == stands.opened == 1
    assert await health_of(db, seen) is None
    assert await health.reset(db, **NAMED, endpoint=seen.endpoint) is None
