"""Work with a time: who gets it, when, and who may say that it is done."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from landbridge.errors import InvalidInput
from landbridge.store import due
from landbridge.store.database import Database, Tx
from landbridge.store.due import Again, Claimed, Job, LeaseLost

LEASE = timedelta(seconds=30)
HOUR = timedelta(hours=1)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, budget=10)
    yield opened
    await opened.close()


@pytest.fixture
async def later(database_url: str) -> AsyncIterator[Database]:
    """The same database an hour later."""
    opened = await Database.open(database_url, budget=3, offset="1 hour")
    yield opened
    await opened.close()


def _job(
    tenant: str = "acme",
    *,
    lane: str = "pull",
    kind: str = "pull",
    key: str | None = None,
    **more: object,
) -> Job:
    fields = {"environment": "test", "tenant": tenant, "lane": lane, "kind": kind, "key": key}
    return Job(**fields | more)  # type: ignore[arg-type]


async def _claim(
    db: Database | Tx,
    owner: str = "one",
    *,
    lanes: tuple[str, ...] = ("pull",),
    limit: int = 100,
    per_shard: int = 100,
    start: int = 0,
) -> list[Claimed]:
    return await due.claim(
        db, owner=owner, lanes=lanes, limit=limit, per_shard=per_shard, lease=LEASE, start=start
    )


async def _one(db: Database | Tx, owner: str = "one") -> Claimed:
    (claim,) = await _claim(db, owner)
    return claim


# put and claim


async def test_a_claim_carries_what_was_put(db: Database) -> None:
    job = _job(ref="con_1", target="end_1", key="k", args={"page": [1, "ü"]})
    (row,) = await due.put(db, [job])
    claim = await _one(db)
    assert (claim.id, claim.environment, claim.tenant) == (row, "test", "acme")
    assert (claim.lane, claim.kind, claim.key) == ("pull", "pull", "k")
    assert (claim.ref, claim.target, claim.args) == ("con_1", "end_1", {"page": [1, "ü"]})
    assert (claim.attempt, claim.fence, claim.repeat) == (0, 1, None)
    assert claim.due_at - claim.claimed_at == LEASE


async def test_the_ids_come_in_the_order_of_the_jobs(db: Database) -> None:
    jobs = [_job(key=f"k{n}", ref=f"r{n}") if n % 2 else _job(ref=f"r{n}") for n in range(20)]
    random.Random(1).shuffle(jobs)
    rows = await due.put(db, jobs)
    refs = {claim.id: claim.ref for claim in await _claim(db)}
    assert [refs[row] for row in rows] == [job.ref for job in jobs]


async def test_nothing_put_nothing_claimed(db: Database) -> None:
    assert await due.put(db, []) == []
    assert await _claim(db) == []
    assert await due.settle(db, "one") == set()
    assert await due.heartbeat(db, "one", [], LEASE) == set()


async def test_what_is_not_due_yet_waits_for_the_databases_clock(
    db: Database, later: Database
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await due.put(db, [_job(ref="soon", after=timedelta(minutes=59)), _job(at=tomorrow)])
    assert await _claim(db) == []
    assert [claim.ref for claim in await _claim(later)] == ["soon"]


async def test_a_put_that_is_undone_leaves_nothing(db: Database) -> None:
    async def put_and_fail() -> None:
        async with db.transaction() as tx:
            await due.put(tx, [_job()])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await put_and_fail()
    assert await _claim(db) == []


async def test_a_put_asks_for_the_workers_to_be_woken(db: Database) -> None:
    async with db.transaction() as tx:
        await due.put(tx, [])
        assert not tx.wakes
        await due.put(tx, [_job()])
        assert tx.wakes


async def test_a_leased_row_is_left_to_its_holder(db: Database, later: Database) -> None:
    await due.put(db, [_job()])
    first = await _one(db)
    assert await _claim(db, "two") == []
    second = await _one(later, "two")
    assert (second.id, second.fence, second.attempt) == (first.id, first.fence + 1, 0)


async def test_lanes_are_served_in_the_order_asked(db: Database) -> None:
    await due.put(db, [_job(lane=lane) for lane in ("pull", "push", "system") for _ in range(3)])
    claims = await _claim(db, lanes=("system", "push"), limit=4)
    assert sorted(claim.lane for claim in claims) == ["push", "system", "system", "system"]


async def test_a_crowd_does_not_keep_the_others_waiting(db: Database) -> None:
    await due.put(db, [_job("crowd", at=datetime(2020, 1, 1, tzinfo=UTC)) for _ in range(200)])
    await due.put(db, [_job("small") for _ in range(3)])
    for start in (0, 17, 40):
        claims = await _claim(db, limit=20, per_shard=4, start=start)
        assert len(claims) == 20, "what the others leave is the crowd's"
        assert sum(claim.tenant == "small" for claim in claims) == 3
        await due.settle(db, "one", again=[Again(claim=claim, attempt=0) for claim in claims])


async def test_the_turn_over_the_tenants_begins_elsewhere_each_time(db: Database) -> None:
    await due.put(db, [_job(f"t{n}") for n in range(300)])
    firsts = set()
    for start in range(0, 64, 8):
        (claim,) = await _claim(db, limit=1, per_shard=1, start=start)
        firsts.add(claim.tenant)
    assert len(firsts) > 4


async def test_ready_names_the_lanes_with_work(db: Database) -> None:
    await due.put(db, [_job(lane="push"), _job(lane="pull"), _job(lane="system", after=HOUR)])
    await _claim(db, lanes=("push",))
    assert await due.ready(db, due.LANES) == {"pull"}


async def test_a_locked_row_does_not_hold_a_claim_up(db: Database) -> None:
    await due.put(db, [_job(key="locked"), _job()])
    async with db.transaction() as tx:
        await due.put(tx, [_job(key="locked")])
        assert [claim.key for claim in await _claim(db)] == [None]
    assert [claim.key for claim in await _claim(db)] == ["locked"]


# keys


async def test_equal_keys_are_one_row_due_at_the_earlier_time(
    db: Database, later: Database
) -> None:
    (first,) = await due.put(db, [_job(key="k", after=HOUR * 2, args={"n": 1})])
    (second,) = await due.put(db, [_job(key="k", after=HOUR / 2, args={"n": 2})])
    (third,) = await due.put(db, [_job(key="k", after=HOUR * 3)])
    assert first == second == third
    assert await _claim(db) == []
    assert [claim.args for claim in await _claim(later)] == [{"n": 2}]


async def test_equal_keys_in_one_put_are_one_row(db: Database) -> None:
    rows = await due.put(db, [_job(key="k", after=HOUR), _job(key="k"), _job(), _job()])
    assert rows[0] == rows[1]
    assert {claim.id for claim in await _claim(db)} == set(rows)
    assert len(set(rows)) == 3


async def test_a_key_belongs_to_its_environment_tenant_and_kind(db: Database) -> None:
    jobs = [_job(key="k"), _job("other", key="k"), _job(key="k", kind="renew")]
    jobs.append(msgspec.structs.replace(jobs[0], environment="live"))
    assert len(set(await due.put(db, jobs))) == 4


async def test_two_puts_of_a_key_at_once_make_one_row(db: Database) -> None:
    begun = asyncio.Event()

    async def other() -> list[str]:
        async with db.transaction() as tx:
            await begun.wait()
            return await due.put(tx, [_job(key="k", args={"n": 2})])

    waiting = asyncio.create_task(other())
    async with db.transaction() as tx:
        mine = await due.put(tx, [_job(key="k", args={"n": 1})])
        begun.set()
        await asyncio.sleep(0.05)
        assert not waiting.done()
    assert await waiting == mine
    assert (await _one(db)).args == {"n": 2}


async def test_what_is_put_while_it_runs_runs_once_more(db: Database) -> None:
    await due.put(db, [_job(key="k")])
    claim = await _one(db)
    for _ in range(3):
        assert await due.put(db, [_job(key="k")]) == [claim.id]
    assert await _claim(db, "two") == [], "not while it runs"
    assert await due.settle(db, "one", [claim]) == {claim.id}
    again = await _one(db, "two")
    assert again.id == claim.id
    await due.settle(db, "two", [again])
    assert await _claim(db) == [], "once, however often it was put"


async def test_a_job_for_later_that_is_put_while_it_runs_is_not_lost(db: Database) -> None:
    await due.put(db, [_job(key="k")])
    claim = await _one(db)
    await due.put(db, [_job(key="k", after=HOUR)])
    await due.settle(db, "one", [claim])
    assert (await _one(db)).id == claim.id


async def test_a_wake_up_overrules_a_retrys_wait(db: Database) -> None:
    await due.put(db, [_job(key="k")])
    claim = await _one(db)
    await due.put(db, [_job(key="k")])
    await due.settle(db, "one", again=[Again(claim=claim, attempt=1, after=HOUR)])
    assert (await _one(db)).attempt == 1


async def test_the_next_holder_has_seen_the_wake_up(db: Database, later: Database) -> None:
    await due.put(db, [_job(key="k")])
    await _one(db)
    await due.put(db, [_job(key="k")])
    second = await _one(later, "two")
    await due.settle(later, "two", [second])
    assert await _claim(later) == []


async def test_a_settle_that_meets_an_open_put_waits_and_keeps_its_row(db: Database) -> None:
    await due.put(db, [_job(key="k")])
    claim = await _one(db)
    async with db.transaction() as tx:
        await due.put(tx, [_job(key="k")])
        settling = asyncio.create_task(due.settle(db, "one", [claim]))
        await asyncio.sleep(0.05)
        assert not settling.done()
    assert await settling == {claim.id}
    assert (await _one(db)).id == claim.id


# repeating rows


async def test_a_repeating_row_is_due_again_counted_from_its_last_start(
    db: Database, later: Database
) -> None:
    await due.put(db, [_job(key="k", repeat="every 40m")])
    claim = await _one(db)
    await due.settle(db, "one", [claim])
    assert await _claim(db) == []
    second = await _one(later)
    assert second.id == claim.id
    assert second.repeat == "every 40m"


async def test_times_that_were_missed_are_made_up_for_once(db: Database, later: Database) -> None:
    await due.put(db, [_job(key="k", repeat="* * * * *")])
    for _ in range(2):
        await due.settle(later, "one", [await _one(later)])
        assert await _claim(later) == []
        async with later.transaction() as tx:
            await tx.raw.execute("SET LOCAL landbridge.clock_offset = '2 hours'")
            claim = await _one(tx)
            await due.settle(tx, "one", again=[Again(claim=claim, attempt=0, after=-HOUR)])


async def test_a_schedule_that_is_put_again_neither_wakes_nor_delays(
    db: Database, later: Database
) -> None:
    schedule = _job(key="k", repeat="every 30m", after=timedelta(minutes=30))
    await due.put(db, [schedule])
    await due.put(db, [schedule])
    assert await _claim(db) == []
    claim = await _one(later)
    await due.put(later, [schedule])
    await due.settle(later, "one", [claim])
    assert await _claim(later) == []


async def test_a_schedule_can_be_changed(db: Database, later: Database) -> None:
    await due.put(db, [_job(key="k", repeat="every 7d", after=timedelta(days=7))])
    new = _job(key="k", repeat="every 10m", after=timedelta(minutes=10))
    await due.put(db, [new])
    assert (await _one(later)).repeat == "every 10m"


# settle


async def test_a_row_that_is_done_is_gone(db: Database, later: Database) -> None:
    await due.put(db, [_job(), _job()])
    claims = await _claim(db)
    assert await due.settle(db, "one", claims) == {claim.id for claim in claims}
    assert await _claim(later) == []


async def test_a_row_to_run_again_says_when_where_and_why(db: Database, later: Database) -> None:
    await due.put(db, [_job(lane="deliver") for _ in range(2)])
    first, second = await _claim(db, lanes=("deliver",))
    await due.settle(
        db,
        "one",
        again=[
            Again(claim=first, attempt=1, after=HOUR / 2, error="no answer", lane="retry"),
            Again(claim=second, attempt=5, at=datetime.now(UTC) + HOUR * 2),
        ],
    )
    assert await _claim(db, lanes=("deliver", "retry")) == []
    (claim,) = await _claim(later, lanes=("deliver", "retry"))
    assert (claim.id, claim.lane, claim.attempt) == (first.id, "retry", 1)
    async with db.transaction() as tx:
        errors = await tx.execute("SELECT error FROM landbridge.due ORDER BY error")
    assert [row["error"] for row in errors] == ["no answer", None]


async def test_what_is_done_and_what_runs_again_settle_together(db: Database) -> None:
    await due.put(db, [_job() for _ in range(40)])
    claims = await _claim(db)
    again = [Again(claim=claim, attempt=1) for claim in claims[10:]]
    assert len(await due.settle(db, "one", claims[:10], again)) == 40
    left = await _claim(db)
    assert {claim.id for claim in left} == {claim.id for claim in claims[10:]}
    assert {claim.attempt for claim in left} == {1}


async def test_a_foreign_settle_is_refused_and_changes_nothing(
    db: Database, later: Database
) -> None:
    await due.put(db, [_job(), _job()])
    first, second = await _claim(db)
    assert await due.settle(db, "two", [first], [Again(claim=second, attempt=9)]) == set()
    (taken,) = await _claim(later, "two", limit=1)
    mine = {first.id, second.id} - {taken.id}
    assert await due.settle(db, "one", [first, second]) == mine
    assert await due.settle(later, "two", [taken]) == {taken.id}


async def test_the_same_owners_older_fence_is_refused(db: Database, later: Database) -> None:
    await due.put(db, [_job()])
    old = await _one(db)
    new = await _one(later)
    assert await due.settle(db, "one", [old]) == set()
    assert await due.heartbeat(db, "one", [old], LEASE) == set()
    assert await due.settle(db, "one", [new]) == {new.id}


async def test_a_settled_row_is_not_settled_twice(db: Database) -> None:
    await due.put(db, [_job(key="k", repeat="every 1h")])
    claim = await _one(db)
    assert await due.settle(db, "one", [claim]) == {claim.id}
    assert await due.settle(db, "one", [claim]) == set()


async def test_one_claim_cannot_have_two_outcomes(db: Database) -> None:
    await due.put(db, [_job()])
    claim = await _one(db)
    with pytest.raises(TypeError, match="twice"):
        await due.settle(db, "one", [claim], [Again(claim=claim, attempt=1)])


async def test_a_settle_can_be_part_of_a_transaction_that_is_undone(db: Database) -> None:
    await due.put(db, [_job()])
    claim = await _one(db)

    async def settle_and_fail() -> None:
        async with db.transaction() as tx:
            await due.settle(tx, "one", [claim])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await settle_and_fail()
    assert await due.settle(db, "one", [claim]) == {claim.id}


# heartbeat and hold


async def test_a_heartbeat_keeps_the_row_from_the_others(db: Database, later: Database) -> None:
    await due.put(db, [_job(), _job()])
    kept, left = await _claim(db)
    assert await due.heartbeat(later, "one", [kept], LEASE) == {kept.id}
    assert [claim.id for claim in await _claim(later, "two")] == [left.id]


async def test_a_heartbeat_does_not_renew_what_others_have(db: Database, later: Database) -> None:
    await due.put(db, [_job()])
    lost = await _one(db)
    taken = await _one(later, "two")
    assert await due.heartbeat(db, "one", [lost], timedelta(days=1)) == set()
    assert await due.heartbeat(db, "two", [lost], timedelta(days=1)) == set()
    async with db.transaction() as tx:
        (row,) = await tx.execute("SELECT due_at FROM landbridge.due")
    assert row["due_at"] == taken.due_at


async def test_a_heartbeat_does_not_wait_for_a_transaction_that_holds(db: Database) -> None:
    await due.put(db, [_job(), _job()])
    claims = await _claim(db)
    async with db.transaction() as tx:
        await due.hold(tx, "one", claims[0])
        held = await asyncio.wait_for(due.heartbeat(db, "one", claims, LEASE), 10)
    assert held == {claim.id for claim in claims}


async def test_who_holds_keeps_everyone_else_out(db: Database, later: Database) -> None:
    await due.put(db, [_job()])
    claim = await _one(db)
    async with later.transaction() as tx:
        await due.hold(tx, "one", claim)
        assert await _claim(later, "two") == [], "the lease is over, the transaction is not"
    await _one(later, "two")


async def test_who_was_overtaken_cannot_hold(db: Database, later: Database) -> None:
    await due.put(db, [_job()])
    claim = await _one(db)
    taken = await _one(later, "two")
    with pytest.raises(LeaseLost, match=claim.id):
        async with db.transaction() as tx:
            await due.hold(tx, "one", claim)
    async with db.transaction() as tx:
        await due.hold(tx, "two", taken)


# cancel and depth


async def test_rows_are_cancelled_by_id_by_ref_and_by_key(db: Database) -> None:
    rows = await due.put(db, [_job(), _job(ref="evt_1"), _job(ref="evt_1"), _job(key="k"), _job()])
    place = {"environment": "test", "tenant": "acme"}
    assert await due.cancel(db, **place, ids=rows[:1]) == 1
    assert await due.cancel(db, **place, ref="evt_1") == 2
    assert await due.cancel(db, **place, kind="pull", key="k") == 1
    assert [claim.id for claim in await _claim(db)] == rows[-1:]


async def test_another_tenants_rows_are_not_cancelled(db: Database) -> None:
    rows = await due.put(db, [_job(ref="evt_1", key="k")])
    for place in (("test", "other"), ("live", "acme")):
        gone = await due.cancel(
            db, environment=place[0], tenant=place[1], ids=rows, ref="evt_1", kind="pull", key="k"
        )
        assert gone == 0
    assert len(await _claim(db)) == 1


async def test_a_holder_learns_that_its_row_was_cancelled(db: Database) -> None:
    rows = await due.put(db, [_job()])
    claim = await _one(db)
    assert await due.cancel(db, environment="test", tenant="acme", ids=rows) == 1
    assert await due.heartbeat(db, "one", [claim], LEASE) == set()
    assert await due.settle(db, "one", again=[Again(claim=claim, attempt=1)]) == set()


async def test_a_cancel_that_names_nothing_is_a_mistake(db: Database) -> None:
    with pytest.raises(TypeError, match="which rows"):
        await due.cancel(db, environment="test", tenant="acme", kind="pull")


async def test_depth_counts_what_waits_and_since_when(db: Database) -> None:
    old = datetime(2026, 1, 1, tzinfo=UTC)
    await due.put(db, [_job(at=old), _job("other"), _job(after=HOUR), _job(lane="push")])
    await _claim(db, lanes=("push",))
    depth = await due.depth(db)
    assert set(depth) == set(due.LANES)
    assert (depth["pull"].count, depth["pull"].oldest) == (2, old)
    assert (depth["push"].count, depth["push"].oldest) == (0, None)


# many at once


async def test_workers_that_put_and_settle_the_same_keys_never_block_in_a_circle(
    db: Database,
) -> None:
    keys = [f"k{n}" for n in range(12)]

    async def work(number: int) -> int:
        chance = random.Random(number)
        settled = 0
        for _ in range(30):
            jobs = [_job(key=key, kind=chance.choice(("a", "b"))) for key in keys]
            chance.shuffle(jobs)
            await due.put(db, jobs)
            claims = await _claim(db, f"w{number}", limit=chance.randrange(1, 12))
            chance.shuffle(claims)
            half = len(claims) // 2
            again = [Again(claim=claim, attempt=1) for claim in claims[half:]]
            settled += len(await due.settle(db, f"w{number}", claims[:half], again))
        return settled

    assert sum(await asyncio.gather(*(work(number) for number in range(8)))) > 0


# bad input


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"lane": "pul"}, "lane: 'pul' is none of deliver, retry"),
        ({"at": datetime(2026, 1, 1)}, "at: a moment without a zone"),  # noqa: DTZ001
        ({"repeat": "every 5m"}, "repeat: a repeating job needs a key"),
        ({"repeat": "every 0s", "key": "k"}, "every 300s"),
        ({"repeat": "15 3 * *", "key": "k"}, "15 3 \\* \\* \\*"),
        ({"repeat": "0 0 30 2 *", "key": "k"}, "repeat"),
    ],
)
def test_a_job_that_cannot_be_says_so_at_once(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        _job(**wrong)  # type: ignore[arg-type]
