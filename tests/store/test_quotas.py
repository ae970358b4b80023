"""Quotas that processes share: chunks, places, and what becomes of those who crashed."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from landbridge.resilience.quota import Rule
from landbridge.spec import Quota
from landbridge.store import quotas
from landbridge.store.database import Database
from landbridge.store.quotas import Ask, Crowd

KEY = ("test", "app/one", "minute")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, budget=4)
    yield opened
    await opened.close()


def asking(quota: Quota, **more: object) -> Ask:
    rule = Rule.of(quota)
    given = {"environment": KEY[0], "place": KEY[1], "name": KEY[2], **more}
    return Ask(
        limit=quota.limit,
        step=rule.step,
        span=rule.span,
        pace=rule.pace,
        rooms=rule.rooms,
        **given,  # type: ignore[arg-type]
    )


def crowd(need: int, using: int = 0, *, limit: int = 5, **more: object) -> Crowd:
    given = {"environment": KEY[0], "place": KEY[1], "name": "concurrent", "most": limit, **more}
    return Crowd(limit=limit, need=need, using=using, **given)  # type: ignore[arg-type]


async def take(db: Database, ask: Ask) -> quotas.Chunk:
    await quotas.ensure(db, [ask])
    return (await quotas.lease(db, [ask]))[KEY]


async def places(db: Database, each: Crowd, holder: str) -> quotas.Places:
    await quotas.ensure(db, [each])
    found = await quotas.occupy(db, [each], holder=holder)
    return found[each.environment, each.place, each.name]


DAY = Quota(limit=1000, per="day", window="fixed")


@pytest.mark.parametrize("window", ["rolling", "fixed"])
async def test_many_processes_together_get_what_there_is_and_no_more(
    db: Database, window: str
) -> None:
    quota = Quota(limit=1000, per="day", window=window)
    await quotas.ensure(db, [asking(quota)])
    got = [0] * 8

    async def process(number: int) -> None:
        for _ in range(30):
            chunk = await quotas.lease(db, [asking(quota, wanted=(40, 0, 0, 0))])
            got[number] += sum(chunk[KEY].given)

    await asyncio.gather(*(process(number) for number in range(8)))
    assert sum(got) == 1000
    assert max(got) < 300


async def test_lanes_further_back_stop_earlier(db: Database) -> None:
    taken = [0, 0, 0, 0]
    for lane in (3, 2, 1, 0):
        for _ in range(60):
            wanted = tuple(100 if each == lane else 0 for each in range(4))
            taken[lane] += sum((await take(db, asking(DAY, wanted=wanted))).given)
    assert taken == [50, 50, 150, 750]


async def test_a_backfill_spreads_its_calls_over_a_minute(db: Database) -> None:
    quota = Quota(limit=2100, per="minute")
    steps: Counter[int] = Counter()
    for _ in range(40):
        chunk = await take(db, asking(quota, wanted=(0, 0, 0, 500)))
        steps[chunk.tick] += sum(chunk.given)
    assert max(steps.values()) == 90 == Rule.of(quota).pace


async def test_a_backfill_takes_its_part_of_a_day_as_fast_as_it_can(db: Database) -> None:
    quota = Quota(limit=2000, per="day")
    given = [sum((await take(db, asking(quota, wanted=(0, 0, 0, 500)))).given) for _ in range(40)]
    assert sum(given) == 1500
    assert sum((await take(db, asking(quota, wanted=(0, 0, 9, 0)))).given) == 9


async def test_what_is_given_back_can_be_taken_again(db: Database) -> None:
    chunk = await take(db, asking(DAY, wanted=(200, 0, 0, 0)))
    assert chunk.given == (200, 0, 0, 0)
    chunk = await take(db, asking(DAY, back=150, back_tick=chunk.tick))
    assert sum(chunk.used) == 50
    # A chunk of a period that is over gives nothing to the present one.
    chunk = await take(db, asking(DAY, back=40, back_tick=chunk.tick - 1))
    assert sum(chunk.used) == 50


async def test_a_period_that_has_gone_by_counts_no_more(database_url: str) -> None:
    quota = Quota(limit=60, per="minute")
    db = await Database.open(database_url, budget=1)
    try:
        taken = [await take(db, asking(quota, wanted=(60, 0, 0, 0))) for _ in range(50)]
        assert sum(taken[-1].used) == 60
    finally:
        await db.close()
    later = await Database.open(database_url, budget=1, offset="30 seconds")
    try:
        chunk = await take(later, asking(quota, wanted=(60, 0, 0, 0)))
        assert sum(chunk.used) == 60
        assert sum(chunk.given) == 0
    finally:
        await later.close()
    # The holder of that chunk crashed: it counts until the period has gone by, and not longer.
    later = await Database.open(database_url, budget=1, offset="66 seconds")
    try:
        chunk = await take(later, asking(quota, wanted=(60, 0, 0, 0)))
        assert sum(chunk.given) == 15
    finally:
        await later.close()


async def test_the_counts_are_those_of_plain_counting(database_url: str) -> None:
    chance = random.Random(7)
    quota = Quota(limit=90, per="minute")
    rule = Rule.of(quota)
    log: list[tuple[int, int]] = []
    now = 0.0
    for _ in range(25):
        now += chance.choice([0, 1, 4, 9, 40])
        db = await Database.open(database_url, budget=1, offset=f"{now} seconds")
        try:
            lane = chance.randrange(4)
            wanted = tuple(chance.randrange(1, 40) if at == lane else 0 for at in range(4))
            chunk = await take(db, asking(quota, wanted=wanted))
        finally:
            await db.close()
        before = sum(calls for tick, calls in log if tick > chunk.tick - rule.span)
        here = sum(calls for tick, calls in log if tick == chunk.tick)
        room = rule.rooms[lane] - before
        if lane == 3:
            room = min(room, rule.pace - here)
        assert sum(chunk.given) == min(wanted[lane], max(0, -(-room // 4)))
        assert sum(chunk.used) == before + sum(chunk.given)
        log.append((chunk.tick, sum(chunk.given)))


async def test_what_the_provider_says_is_left_counts_if_it_is_less(db: Database) -> None:
    chunk = await take(db, asking(DAY, wanted=(100, 0, 0, 0)))
    chunk = await take(db, asking(DAY, left=700, left_tick=chunk.tick))
    assert sum(chunk.used) == 300
    chunk = await take(db, asking(DAY, left=950, left_tick=chunk.tick))
    assert sum(chunk.used) == 300
    # That was said of a day that is over.
    chunk = await take(db, asking(DAY, left=10, left_tick=chunk.tick - 1))
    assert sum(chunk.used) == 300


async def test_nobody_is_given_anything_while_the_provider_wants_no_calls(db: Database) -> None:
    chunk = await take(db, asking(DAY, blocked=30.0))
    assert 29 < chunk.blocked <= 30
    chunk = await take(db, asking(DAY, wanted=(5, 0, 0, 0), blocked=10.0))
    assert sum(chunk.given) == 0
    assert chunk.blocked > 28


async def test_places_are_shared_among_those_who_want_some(db: Database) -> None:
    assert (await places(db, crowd(9), "first")).given == 5
    assert (await places(db, crowd(9), "second")).given == 0
    # It uses four, and begins no other call until it uses three.
    assert (await places(db, crowd(9, 4), "first")).given == 3
    assert (await places(db, crowd(9), "second")).given == 1
    assert (await places(db, crowd(9, 0), "first")).given == 3
    assert (await places(db, crowd(9, 1), "second")).given == 2
    assert (await places(db, crowd(0), "first")).given == 0
    assert (await places(db, crowd(9, 2), "second")).given == 5


async def test_a_share_that_others_do_not_want_is_used(db: Database) -> None:
    assert (await places(db, crowd(1), "first")).given == 1
    assert (await places(db, crowd(9), "second")).given == 4
    assert (await places(db, crowd(2, 1), "first")).given == 1
    assert (await places(db, crowd(9, 4), "second")).given == 3
    assert (await places(db, crowd(9, 3), "second")).given == 3
    assert (await places(db, crowd(2, 1), "first")).given == 2


async def test_background_leaves_a_place(db: Database) -> None:
    assert (await places(db, crowd(9, most=4), "first")).given == 4
    assert (await places(db, crowd(9), "second")).given == 1


async def test_places_of_a_crashed_process_are_free_after_a_while(database_url: str) -> None:
    db = await Database.open(database_url, budget=1)
    try:
        assert (await places(db, crowd(5), "crashed")).given == 5
    finally:
        await db.close()
    for seconds, given in ((50, 0), (61, 5)):
        later = await Database.open(database_url, budget=1, offset=f"{seconds} seconds")
        try:
            assert (await places(later, crowd(5), "other")).given == given
        finally:
            await later.close()


async def test_the_list_says_what_counts_now(database_url: str) -> None:
    db = await Database.open(database_url, budget=1)
    try:
        await take(db, asking(Quota(limit=60, per="minute"), wanted=(10, 0, 0, 0)))
        await places(db, crowd(3), "first")
        concurrent, minute = await quotas.every(db, environment="test", most=10)
        assert (concurrent.name, concurrent.used, concurrent.processes) == ("concurrent", 3, 1)
        assert (minute.name, minute.used, minute.limit, minute.period) == ("minute", 10, 60, True)
        assert await quotas.every(db, environment="live", most=10) == []
        assert await quotas.forget(db) == 0
    finally:
        await db.close()
    later = await Database.open(database_url, budget=1, offset="2 minutes")
    try:
        found = await quotas.every(later, environment="test", most=10)
        assert [each.used for each in found] == [0, 0]
        assert await quotas.forget(later, kept=timedelta(minutes=1)) == 2
    finally:
        await later.close()
