"""Replays: what they take, at which pace, and how they stop and go on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from landbridge.engine.replaying import WAITING, Replaying, Step
from landbridge.engine.replays import Replays
from landbridge.errors import InvalidInput, NotFound
from landbridge.jobs import Cancel, Done, Snooze
from landbridge.store import due
from landbridge.store.database import Database
from landbridge.store.due import LeaseLost
from landbridge.store.replays import Replay
from tests.engine.past import Past

FAST = 10_000.0
BLOCKED = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"


@pytest.fixture
def past(db: Database) -> Past:
    return Past(db=db)


@pytest.fixture
def orders(db: Database) -> Replays:
    return Replays(db, environment="test")


async def run(past: Past, replay: Replay) -> Any:
    """Runs it as a worker does, until it has to wait; settles it."""
    claim, lease = await past.take("replay", replay.id)
    outcome = await Replaying(past.db).run(claim, lease)
    done = [claim] if isinstance(outcome, Done | Cancel) else []
    again = (
        [due.Again(claim=claim, attempt=0, at=outcome.at)] if isinstance(outcome, Snooze) else []
    )
    assert await due.settle(past.db, past.owner, done, again) == {claim.id}
    return outcome


async def events_due(past: Past) -> list[str]:
    return [row["ref"] for row in await past.due()]


# What is taken


async def test_it_takes_what_matches_and_once(past: Past, orders: Replays) -> None:
    end = await past.endpoint("invoice.*")
    paid = await past.emit(3)
    void = await past.emit(2, type="invoice.voided")
    other = await past.emit(1, type="order.placed")
    foreign = await past.emit(1, tenant="globex")
    await past.ended("delivered")
    replay = await orders.create(endpoint=end, types=["invoice.*"], rate=FAST)
    assert (replay.total, replay.exact, replay.state) == (5, True, "running")
    assert isinstance(await run(past, replay), Done)
    assert sorted(await events_due(past)) == sorted(paid + void)
    assert not {*other, *foreign} & set(await events_due(past))
    after = await orders.get(replay.id)
    assert (after.state, after.done, after.waiting) == ("done", 5, 5)


async def test_the_endpoints_own_types_and_filter_hold_unless_every(
    past: Past, orders: Replays
) -> None:
    end = await past.endpoint("invoice.*", filter='{"path": "$.data.total > 5", "source": {}}')
    await past.emit(2)
    large = await past.emit(1, data={"total": 9})
    await past.emit(4, type="order.placed")
    assert (await orders.create(endpoint=end, dry_run=True)).total == 1
    assert (await orders.create(endpoint=end, every=True, dry_run=True)).total == 7
    await past.ended("delivered")
    await run(past, await orders.create(endpoint=end, rate=FAST))
    assert await events_due(past) == large


async def test_missed_are_those_without_any_delivery(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    delivered = await past.emit(2)
    await past.ended("delivered")
    waiting = await past.emit(2)
    await past.sql("UPDATE landbridge.endpoint SET state = 'disabled'")
    missed = await past.emit(3)
    await past.sql("UPDATE landbridge.endpoint SET state = 'enabled'")
    replay = await orders.create(endpoint=end, state="missed", rate=FAST)
    assert replay.total == 3
    await run(past, replay)
    rows = {row["ref"]: row for row in await past.due()}
    assert sorted(rows) == sorted(waiting + missed)
    assert not set(delivered) & set(rows)
    assert {rows[each]["lane"] for each in missed} == {"replay"}
    assert {rows[each]["attempt"] for each in missed} == {0}


async def test_failed_are_those_that_were_given_up(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    abandoned = await past.emit(2)
    await past.ended("abandoned", number=10)
    await past.emit(2)
    await past.ended("delivered")
    again = await past.emit(1)
    await past.ended("abandoned", number=10)
    (row,) = await past.sql(
        """INSERT INTO landbridge.due (environment, tenant, id, lane, kind, shard, due_at, ref)
           SELECT 'test', 'acme', delivery, 'deliver', 'deliver', 0, now(), event
           FROM landbridge.attempt WHERE event = $1 RETURNING id""",
        again[0],
    )
    replay = await orders.create(endpoint=end, state="failed", rate=FAST)
    assert replay.total == 2
    await run(past, replay)
    rows = [each for each in await past.due() if each["id"] != row["id"]]
    assert sorted(each["ref"] for each in rows) == sorted(abandoned)
    assert {(each["attempt"], each["args"]) for each in rows} == {(10, '{"begun": 10}')}


async def test_undelivered_are_those_that_failed_or_were_missed(
    past: Past, orders: Replays
) -> None:
    end = await past.endpoint()
    abandoned = await past.emit(2)
    await past.ended("abandoned", number=10)
    delivered = await past.emit(2)
    await past.ended("delivered")
    waiting = await past.emit(1)
    await past.sql("UPDATE landbridge.endpoint SET state = 'disabled'")
    missed = await past.emit(3)
    await past.sql("UPDATE landbridge.endpoint SET state = 'enabled'")
    replay = await orders.create(endpoint=end, state="undelivered", rate=FAST)
    assert replay.total == 5
    await run(past, replay)
    assert sorted(await events_due(past)) == sorted(abandoned + missed + waiting)
    assert not set(delivered) & set(await events_due(past))


async def test_a_delivery_under_way_is_not_doubled_and_keeps_its_place(
    past: Past, orders: Replays
) -> None:
    end = await past.endpoint()
    await past.emit(2)
    before = await past.due()
    replay = await orders.create(endpoint=end, rate=FAST)
    assert isinstance(await run(past, replay), Done)
    assert await past.due() == before
    assert (await orders.get(replay.id)).done == 2


async def test_a_delivery_that_stands_in_a_line_is_left_there(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    (event,) = await past.emit(1, ordering_key="order 1")
    await past.sql(
        """WITH gone AS (DELETE FROM landbridge.due WHERE ref = $1 RETURNING *)
           INSERT INTO landbridge.line (environment, tenant, endpoint, ordering_key, number,
                                        event, delivery)
           SELECT g.environment, g.tenant, g.target, 'order 1', e.number, g.ref, g.id
           FROM gone AS g JOIN landbridge.event AS e ON e.id = g.ref""",
        event,
    )
    assert (await orders.create(endpoint=end, state="missed", dry_run=True)).total == 0
    await run(past, await orders.create(endpoint=end, rate=FAST))
    assert await past.due() == []


async def test_named_events_and_a_range_of_time(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    old = await past.emit(2, days_ago=1)
    new = await past.emit(2)
    yesterday = datetime.now(UTC) - timedelta(hours=12)
    for choice, expected in (
        ({"since": yesterday}, new),
        ({"until": yesterday}, old),
        ({"events": [old[0], new[1]]}, [old[0], new[1]]),
        ({"events": [old[0], new[1]], "since": yesterday}, [new[1]]),
    ):
        await past.ended("delivered")
        replay = await orders.create(endpoint=end, rate=FAST, **choice)
        assert replay.total == len(expected)
        await run(past, replay)
        assert sorted(await events_due(past)) == sorted(expected), choice


async def test_a_dry_run_changes_nothing(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    await past.emit(3)
    await past.ended("delivered")
    planned = await orders.create(endpoint=end, dry_run=True)
    assert (planned.id, planned.state, planned.total, planned.exact) == ("", "planned", 3, True)
    assert await orders.list() == []
    assert await past.due() == await past.due("replay") == []


async def test_what_is_dispatched_later_is_not_part_of_it(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    first = await past.emit(2)
    await past.ended("delivered")
    replay = await orders.create(endpoint=end, rate=FAST)
    await past.emit(2, days_ago=1)
    await past.ended("delivered")
    await run(past, replay)
    assert sorted(await events_due(past)) == sorted(first)


# Pace


async def test_its_deliveries_are_due_one_behind_the_other(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    events = await past.emit(25)
    await past.ended("delivered")
    replay = await orders.create(endpoint=end, rate=10)
    assert isinstance(await run(past, replay), Snooze)
    assert len(await past.due()) == 10
    assert isinstance(await run(past, replay), Snooze)
    assert isinstance(await run(past, replay), Done)
    rows = await past.due()
    assert [row["ref"] for row in rows] == events
    gaps = [later["due_at"] - earlier["due_at"] for earlier, later in pairwise(rows)]
    assert min(gaps) >= timedelta(seconds=0.1)


async def test_it_waits_while_too_many_are_not_through(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    await past.emit(WAITING + 10)
    await past.ended("delivered")
    replay = await orders.create(endpoint=end, rate=FAST)
    assert isinstance(await run(past, replay), Snooze)
    assert (await orders.get(replay.id)).waiting == WAITING
    await past.sql("UPDATE landbridge.due SET lane = 'retry' WHERE kind = 'deliver'")
    assert isinstance(await run(past, replay), Snooze)
    assert (await orders.get(replay.id)).done == WAITING
    await past.ended("delivered", number=2)
    assert isinstance(await run(past, replay), Done)
    assert (await orders.get(replay.id)).done == WAITING + 10


async def test_rare_events_are_found_among_many(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    await past.emit(4500)
    rare = await past.emit(1, type="invoice.voided")
    await past.ended("delivered")
    replay = await orders.create(endpoint=end, types=["invoice.voided"], rate=FAST)
    assert replay.total == 1
    assert isinstance(await run(past, replay), Done)
    assert await events_due(past) == rare


# Leases


async def test_who_lost_the_lease_moves_nothing(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    await past.emit(3)
    await past.ended("delivered")
    replay = await orders.create(endpoint=end, rate=FAST)
    claim, lease = await past.take("replay", replay.id)
    await past.sql("UPDATE landbridge.due SET due_at = now() - interval '1 s' WHERE kind='replay'")
    _, second = await past.take("replay", replay.id, owner="second")
    with pytest.raises(LeaseLost):
        await Replaying(past.db).step(claim, lease.hold)
    assert await past.due() == []
    step = await Replaying(past.db).step(claim, second.hold)
    assert step == Step(put=3, ended="done")


async def test_attempts_that_were_written_meanwhile_are_numbered_on(
    past: Past, orders: Replays
) -> None:
    """The delivery ends while the replay waits for its row: its last attempt counts."""
    end = await past.endpoint()
    (event,) = await past.emit(1)
    replay = await orders.create(endpoint=end, rate=FAST)
    claim, lease = await past.take("replay", replay.id)
    async with past.db.transaction() as settling:
        await settling.execute("DELETE FROM landbridge.due WHERE kind = 'deliver'")
        await settling.execute(
            """INSERT INTO landbridge.attempt (environment, tenant, id, delivery, event, endpoint,
                   number, outcome, took_ms)
               SELECT 'test', 'acme', 'att_' || substr($1, 5), 'dlv_' || substr($1, 5, 10)
                   || encode(substr(sha256(convert_to($1 || $2, 'UTF8')), 1, 8), 'hex'),
                   $1, $2, 4, 'delivered', 5""",
            event,
            end,
        )
        stepping = asyncio.create_task(Replaying(past.db).step(claim, lease.hold))
        while not await past.sql(BLOCKED):  # noqa: ASYNC110 - no event tells of a lock
            await asyncio.sleep(0.01)
    assert (await stepping).put == 1
    (row,) = await past.due()
    assert (row["attempt"], row["args"]) == (4, '{"begun": 4}')


# Stopping and going on


async def test_a_paused_one_goes_on_where_it_stopped(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    events = await past.emit(15)
    await past.ended("delivered")
    replay = await orders.create(endpoint=end, rate=10)
    await run(past, replay)
    paused = await orders.pause(replay.id)
    assert (paused.state, paused.reason, paused.done) == ("paused", "paused by hand", 10)
    assert await past.due("replay") == []
    assert (await orders.pause(replay.id)).state == "paused"
    assert (await orders.resume(replay.id)).state == "running"
    assert (await orders.resume(replay.id)).state == "running"
    assert isinstance(await run(past, replay), Done)
    assert await events_due(past) == events
    with pytest.raises(InvalidInput, match="is done and cannot be paused any more"):
        await orders.pause(replay.id)


async def test_a_cancelled_one_takes_back_what_was_not_tried(past: Past, orders: Replays) -> None:
    end = await past.endpoint()
    await past.emit(4)
    await past.ended("delivered")
    replay = await orders.create(endpoint=end, rate=3)
    await run(past, replay)
    tried, leased, _ = [row["id"] for row in await past.due()]
    await past.sql("UPDATE landbridge.due SET attempt = 2, lane = 'retry' WHERE id = $1", tried)
    await past.sql("UPDATE landbridge.due SET owner = 'x' WHERE id = $1", leased)
    assert (await orders.cancel(replay.id)).state == "cancelled"
    assert {row["id"] for row in await past.due()} == {tried, leased}
    assert await past.due("replay") == []
    with pytest.raises(InvalidInput, match="is cancelled and cannot be running"):
        await orders.resume(replay.id)


@pytest.mark.parametrize(
    ("change", "reason", "way"),
    [
        ("DELETE FROM landbridge.endpoint", "the endpoint was deleted", "replays cancel"),
        (
            "UPDATE landbridge.endpoint SET state = 'disabled', reason = 'it answered 410'",
            "the endpoint is disabled: it answered 410",
            "endpoints enable",
        ),
    ],
)
async def test_it_pauses_when_there_is_nowhere_to_go(
    past: Past, orders: Replays, change: str, reason: str, way: str
) -> None:
    end = await past.endpoint()
    await past.emit(3)
    await past.ended("delivered")
    replay = await orders.create(endpoint=end)
    await past.sql(change)
    assert isinstance(await run(past, replay), Cancel)
    found = await orders.get(replay.id)
    assert (found.state, found.reason, found.done) == ("paused", reason, 0)
    with pytest.raises(InvalidInput, match=way):
        await orders.resume(replay.id)
    assert (await orders.cancel(replay.id)).state == "cancelled"


# What is refused

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rate": 0}, "rate: 0 is not above 0"),
    ({"types": "invoice.paid"}, "types: give a list"),
    ({"types": ["Invoice!"]}, "types: 'Invoice!' is not an event type"),
    ({"state": "lost"}, "state: 'lost' is none of all, failed, missed, undelivered"),
    ({"since": datetime(2026, 1, 1)}, "since: a moment without a zone"),  # noqa: DTZ001
    ({"events": []}, "events: give 1 to"),
    ({"events": ["evt_1"]}, "events: 'evt_1' is not an event's id"),
    (
        {"since": datetime(2026, 1, 2, tzinfo=UTC), "until": datetime(2026, 1, 1, tzinfo=UTC)},
        "since: it is not before until",
    ),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG, ids=lambda each: str(each)[:30])
async def test_a_wrong_order_is_refused(
    past: Past, orders: Replays, wrong: dict[str, Any], says: str
) -> None:
    end = await past.endpoint()
    with pytest.raises(InvalidInput, match=says):
        await orders.create(endpoint=end, **wrong)


async def test_an_endpoint_that_is_not_there_or_disabled(past: Past, orders: Replays) -> None:
    end = await past.endpoint(state="disabled", reason="by hand")
    with pytest.raises(NotFound, match="'end_no' is no endpoint in the environment 'test'"):
        await orders.create(endpoint="end_no")
    with pytest.raises(NotFound, match="no endpoint of 'globex'"):
        await orders.create(endpoint=end, tenant="globex")
    with pytest.raises(InvalidInput, match=f"landbridge endpoints enable {end}"):
        await orders.create(endpoint=end)
    with pytest.raises(NotFound, match="'rpl_no' is no replay"):
        await orders.get("rpl_no")
