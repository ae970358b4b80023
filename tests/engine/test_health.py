"""Endpoints that fail: the breaker, the notice, the end; and what never leads there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from landbridge import ids
from landbridge.engine.health import Gate, Rules, Seen, Watch, permit
from landbridge.store import health
from landbridge.store.database import Database
from landbridge.store.health import Health, Key
from landbridge.store.parcels import Destination

URL = "https://user:pass@hooks.shop.example:8443/hook/s3cret?token=t0ken"
NAMED: dict[str, Any] = {"environment": "test", "tenant": "acme"}
At = Callable[[str], Awaitable[Database]]


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[At]:
    """The same database some time from now."""
    async with AsyncExitStack() as stack:

        async def opened(offset: str) -> Database:
            db = await Database.open(database_url, budget=3, offset=offset)
            stack.push_async_callback(db.close)
            return db

        yield opened


async def register(db: Database) -> Seen:
    """A new endpoint, as the courier sees it after three tries that failed."""
    made = ids.new("end")
    await write(
        db,
        "INSERT INTO landbridge.endpoint (environment, tenant, id, url, secrets)"
        " VALUES ('test', 'acme', $1, $2, '')",
        made,
        URL,
    )
    return Seen(
        **NAMED, endpoint=made, url=URL, delivered=0, failed=3, error="HTTP 503", failing=True
    )


async def write(db: Database, sql: str, *values: object) -> list[Any]:
    async with db.transaction() as tx:
        return list(await tx.execute(sql, *values))


async def alter(db: Database, seen: Seen, name: str, value: object) -> None:
    await write(
        db, f"UPDATE landbridge.endpoint SET {name} = $2 WHERE id = $1", seen.endpoint, value
    )


def watch(db: Database, **more: Any) -> Watch:
    return Watch(db, chance=lambda: 0.5, **more)


async def health_of(db: Database, seen: Seen) -> Health | None:
    return await health.of(db, **NAMED, endpoint=seen.endpoint)


async def known(db: Database, seen: Seen) -> Health:
    found = await health_of(db, seen)
    assert found is not None
    return found


async def state_of(db: Database, seen: Seen) -> tuple[str, str]:
    (row,) = await write(
        db, "SELECT state, reason FROM landbridge.endpoint WHERE id = $1", seen.endpoint
    )
    return row["state"], row["reason"]


async def emitted(db: Database) -> list[dict[str, Any]]:
    found = await write(
        db, "SELECT environment, tenant, payload FROM landbridge.emitted ORDER BY place"
    )
    assert all(row["environment"] == "test" and row["tenant"] == "acme" for row in found)
    return [json.loads(row["payload"]) for row in found]


async def rows(db: Database) -> int:
    found = await write(db, "SELECT count(*) FROM landbridge.endpoint_health")
    return int(found[0][0])


# What is counted


async def test_an_endpoint_that_works_costs_nothing(db: Database) -> None:
    seen = await register(db)
    await db.close()  # a statement would raise
    await watch(db).note([replace(seen, failed=0, delivered=9, failing=False)])
    await watch(db).note([replace(seen, failed=2, delivered=1, failing=False)])


async def test_failures_are_counted_since_the_first_one(db: Database, at: At) -> None:
    seen = await register(db)
    await watch(db).note([seen])
    first = await known(db, seen)
    await watch(await at("1 hour")).note([replace(seen, failed=2, error="HTTP 500")])
    second = await known(db, seen)
    assert (second.failures, second.error) == (5, "HTTP 500")
    assert second.failing_since == first.failing_since
    assert first.failures == 3


async def test_any_success_forgets_them(db: Database) -> None:
    seen = await register(db)
    await watch(db).note([seen])
    await watch(db).note([replace(seen, delivered=1)])
    assert await rows(db) == 0


async def test_many_at_once_lose_no_count_and_never_block_each_other(db: Database) -> None:
    """Also while others forget: batches in all orders, at the same moment."""
    seen = [await register(db) for _ in range(6)]
    steady = seen[:3]

    async def tell(place: int) -> None:
        turned = seen[place % 6 :] + seen[: place % 6]
        await watch(db).note(turned if place % 2 else turned[::-1])
        await watch(db).note([replace(each, delivered=1) for each in turned if each not in steady])

    await asyncio.gather(*(tell(place) for place in range(40)))
    assert [(await known(db, each)).failures for each in steady] == [120, 120, 120]


async def test_failures_at_an_address_it_has_left_do_not_count(db: Database) -> None:
    moved, disabled, deleted = [await register(db) for _ in range(3)]
    await alter(db, moved, "url", "https://new.example/")
    await alter(db, disabled, "state", "disabled")
    await write(db, "DELETE FROM landbridge.endpoint WHERE id = $1", deleted.endpoint)
    await watch(db).note([moved, disabled, deleted])
    assert await rows(db) == 0


# The breaker


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


# The notice and the end


async def failing_for(at: At, seen: Seen, *days: float) -> list[Database]:
    places = []
    for each in days:
        places.append(await at(f"{each * 86_400} seconds"))
        await watch(places[-1]).note([seen])
    return places


async def test_a_day_without_success_is_noticed_once(db: Database, at: At) -> None:
    seen = await register(db)
    await failing_for(at, seen, 0, 0.3, 0.6, 0.9)
    assert await emitted(db) == []
    *_, last = await failing_for(at, seen, 1.01, 1.02, 2)
    (told,) = await emitted(db)
    since = (await known(last, seen)).failing_since
    assert told["type"] == "endpoint.failing"
    ends = datetime.fromisoformat(told["data"].pop("disable_at"))
    assert ends == since + timedelta(days=5)
    assert datetime.fromisoformat(told["data"].pop("since")) == since
    assert told["data"] == {
        "endpoint": seen.endpoint,
        "url": "https://hooks.shop.example:8443",
        "failures": 15,
        "error": "HTTP 503",
    }


async def test_nine_failures_are_too_few(db: Database, at: At) -> None:
    seen = await register(db)
    await failing_for(at, seen, 0, 1.5, 3)
    assert await emitted(db) == []
    await failing_for(at, replace(seen, failed=1), 3.1)
    assert [each["type"] for each in await emitted(db)] == ["endpoint.failing"]


async def test_five_days_without_success_disable(db: Database, at: At) -> None:
    seen = await register(db)
    await failing_for(at, seen, 0, 1, 1.1, 1.2, 4.9)
    assert await state_of(db, seen) == ("enabled", "")
    await failing_for(at, seen, 5.1)
    state, reason = await state_of(db, seen)
    assert state == "disabled"
    assert "no success since" in reason
    assert "18 tries failed; the last: HTTP 503" in reason
    _, told = await emitted(db)
    assert told["type"] == "endpoint.disabled"
    assert told["data"]["reason"] == reason
    assert told["data"]["replay"] == {"endpoint": seen.endpoint, "since": told["data"]["since"]}
    assert "s3cret" not in json.dumps(told)
    assert "pass" not in json.dumps(told)


async def test_an_endpoint_that_seldom_gets_something_is_warned_a_day_before(
    db: Database, at: At
) -> None:
    seen = await register(db)
    await failing_for(at, seen, 0, 0.1, 0.2, 8)
    assert await state_of(db, seen) == ("enabled", "")
    await failing_for(at, seen, 8.9)
    assert await state_of(db, seen) == ("enabled", "")
    await failing_for(at, seen, 9.1)
    assert (await state_of(db, seen))[0] == "disabled"
    first, second = await emitted(db)
    assert (first["type"], second["type"]) == ("endpoint.failing", "endpoint.disabled")
    assert first["data"]["disable_at"] > first["timestamp"][:10]


async def test_one_success_in_five_days_keeps_it(db: Database, at: At) -> None:
    seen = await register(db)
    await failing_for(at, seen, 0, 0.5, 0.9)
    await failing_for(at, replace(seen, delivered=1), 0.95)
    await failing_for(at, seen, 1.5, 1.7, 1.9)
    await failing_for(at, replace(seen, failed=0, delivered=1), 2)
    assert await emitted(db) == []
    assert await state_of(db, seen) == ("enabled", "")
    assert await rows(db) == 0


async def test_many_that_notice_it_at_once_tell_it_once(db: Database, at: At) -> None:
    seen = await register(db)
    await failing_for(at, seen, 0, 0.1, 0.2, 0.3)
    for days in (1.5, 6):
        later = await at(f"{days} days")
        await asyncio.gather(*(watch(later).note([seen]) for _ in range(8)))
    assert [each["type"] for each in await emitted(db)] == ["endpoint.failing", "endpoint.disabled"]


async def test_it_disables_nobody_where_that_is_not_wanted(db: Database, at: At) -> None:
    seen = await register(db)
    for days in (0, 1, 2, 10, 20):
        later = await at(f"{days} days")
        await watch(later, rules=Rules(disable_after=None)).note([seen, await register(db)])
    assert (await state_of(db, seen))[0] == "enabled"
    (told,) = await emitted(db)
    assert told["data"]["disable_at"] is None


async def test_where_nothing_answers_our_own_way_out_is_suspected(db: Database, at: At) -> None:
    """Unless a post of this worker arrived somewhere else within the hour."""
    hands = [0.0]
    silent = replace(await register(db), answered=False, error="hooks: no connection")
    other = replace(await register(db), failed=0, delivered=1, failing=False)
    await failing_for(at, silent, 0, 1, 1.1, 1.2, 1.3)
    one = watch(await at("6 days"), monotonic=lambda: hands[0])
    await one.note([silent])
    await one.note([replace(silent, failed=0, delivered=1, failing=False)])
    await one.note([other])
    hands[0] = 3601
    await one.note([silent])
    assert (await state_of(db, silent))[0] == "enabled"
    await one.note([other, silent])
    assert (await state_of(db, silent))[0] == "disabled"


async def test_an_endpoint_that_was_enabled_again_has_its_days(db: Database, at: At) -> None:
    seen = await register(db)
    await failing_for(at, seen, 0, 1, 1.1, 1.2, 5.1)
    assert (await state_of(db, seen))[0] == "disabled"
    was = await known(db, seen)
    assert was.failing_since is not None, "what it missed is known to whoever enables it"
    await alter(db, seen, "state", "enabled")
    assert await health.reset(db, **NAMED, endpoint=seen.endpoint) is not None
    await failing_for(at, seen, 5.2, 6, 7, 8, 9)
    assert (await state_of(db, seen))[0] == "enabled"
    assert len(await emitted(db)) == 3


async def test_enabled_without_a_reset_it_is_at_least_warned_anew(db: Database, at: At) -> None:
    seen = await register(db)
    await failing_for(at, seen, 0, 1, 1.1, 1.2, 5.1)
    await alter(db, seen, "state", "enabled")
    await failing_for(at, seen, 5.2, 5.3, 5.4, 5.5, 5.6)
    assert (await state_of(db, seen))[0] == "enabled"


async def test_410_disables_at_once(db: Database) -> None:
    seen = replace(await register(db), failed=1, gone=True, failing=False)
    await asyncio.gather(*(watch(db).note([seen]) for _ in range(4)))
    assert await state_of(db, seen) == ("disabled", "it answered 410 Gone")
    (told,) = await emitted(db)
    assert told["data"]["reason"] == "it answered 410 Gone"
    assert told["data"]["replay"]["since"] == told["data"]["disabled_at"]


async def test_410_at_an_address_it_has_left_disables_nothing(db: Database) -> None:
    seen = replace(await register(db), gone=True)
    await alter(db, seen, "url", "https://new.example/")
    await watch(db).note([seen])
    assert (await state_of(db, seen))[0] == "enabled"
    assert await emitted(db) == []


async def test_a_reset_closes_the_breaker(db: Database, at: At) -> None:
    seen = await register(db)
    stands = await opened(db, at, seen)
    was = await health.reset(db, **NAMED, endpoint=seen.endpoint)
    assert was is not None
    assert was.opened == stands.opened == 1
    assert await health_of(db, seen) is None
    assert await health.reset(db, **NAMED, endpoint=seen.endpoint) is None


# Slow ones


async def slow_mark(db: Database, seen: Seen) -> bool:
    found = await write(db, "SELECT slow FROM landbridge.endpoint WHERE id = $1", seen.endpoint)
    return bool(found[0][0])


async def test_an_endpoint_whose_posts_take_long_is_marked_and_unmarked(db: Database) -> None:
    seen = replace(await register(db), failed=0, delivered=1, failing=False)
    one = watch(db)
    slow, quick = replace(seen, median=6.0, longest=9.0), replace(seen, median=0.1, longest=0.2)
    for each in (slow, slow, quick, slow, slow):
        await one.note([each])
    assert not await slow_mark(db, seen), "never three in a row"
    await one.note([slow])
    assert await slow_mark(db, seen)
    marked = replace(quick, slow=True)
    await one.note([replace(marked, delivered=19)])
    await one.note([replace(marked, longest=3.0)])
    await one.note([replace(marked, delivered=19)])
    assert await slow_mark(db, seen)
    await one.note([marked])
    assert not await slow_mark(db, seen)


async def test_a_slow_post_now_and_then_marks_nobody(db: Database) -> None:
    """Quick ones in between are not told of, if nothing is wrong with the endpoint otherwise."""
    hands = [0.0]
    seen = replace(await register(db), failed=0, delivered=1, failing=False, median=6.0)
    one = watch(db, monotonic=lambda: hands[0])
    for _ in range(9):
        await one.note([seen])
        hands[0] += 61
    assert not await slow_mark(db, seen)


async def test_the_turns_of_an_endpoint_with_a_rate_outlive_its_failures(db: Database) -> None:
    seen = await register(db)
    await watch(db).note([seen])
    await write(db, "UPDATE landbridge.endpoint_health SET paced_until = '2100-01-01Z'")
    await watch(db).note([replace(seen, delivered=1)])
    assert await health_of(db, seen) is None
    (row,) = await write(db, "SELECT failures, paced_until FROM landbridge.endpoint_health")
    assert (row["failures"], row["paced_until"].year) == (0, 2100)
    await watch(db).note([seen])
    assert (await known(db, seen)).failures == 3


async def test_the_keys_of_a_batch_may_come_in_any_order(db: Database) -> None:
    first, second = await register(db), await register(db)
    for pair in ([first, second], [second, first]):
        await watch(db).note(pair)
    assert await health.probe(db, [], timedelta(minutes=1)) == set()
    assert await health.recover(db, [Key("test", "acme", "end_unknown")]) == []
    assert await rows(db) == 2
