"""Endpoints that fail: what is counted, the notice, the end; and what never leads there."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from landbridge.engine.catalogue import BUILT_IN
from landbridge.engine.health import Rules, Seen
from landbridge.store import health
from landbridge.store.database import Database
from landbridge.store.health import Key
from tests.engine.ailing import (
    NAMED,
    At,
    alter,
    emitted,
    health_of,
    known,
    register,
    rows,
    state_of,
    watch,
    write,
)

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
    replay = told["data"]["replay"]
    assert replay["endpoint"] == seen.endpoint
    assert replay["since"] < told["data"]["since"], "what failed first was emitted before that"
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
    async with db.transaction() as tx:
        found = await tx.execute("SELECT created_at FROM landbridge.endpoint")
    replay = datetime.fromisoformat(told["data"]["replay"]["since"])
    assert replay == found[0][0], "whatever it did not get since it was created"


async def test_what_is_told_is_what_the_catalogue_says(db: Database, at: At) -> None:
    await failing_for(at, await register(db), 0, 1, 1.1, 1.2, 5.1)
    models = {each.type: each.model for each in BUILT_IN}
    told = await emitted(db)
    assert len(told) == 2
    for each in told:
        model: Any = models[each["type"]]
        assert each["data"].keys() == {field.name for field in msgspec.structs.fields(model)}
        msgspec.convert(each["data"], model)


async def test_410_at_an_address_it_has_left_disables_nothing(db: Database) -> None:
    seen = replace(await register(db), gone=True)
    await alter(db, seen, "url", "https://new.example/")
    await watch(db).note([seen])
    assert (await state_of(db, seen))[0] == "enabled"
    assert await emitted(db) == []


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
