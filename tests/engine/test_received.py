"""Handlers get each event of their kinds, in order per record, committed with what they write."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from landbridge import Landbridge, Received, ids
from landbridge.engine import sort as sorting
from landbridge.engine.disconnect import disconnect
from landbridge.engine.erase import Erasing, Erasures
from landbridge.engine.received import kinds_meant, tell_earlier
from landbridge.engine.replay import discard
from landbridge.engine.replay import replay as again
from landbridge.errors import InvalidInput, NotFound
from landbridge.jobs import Done, Lease, Snooze
from landbridge.store import arrivals, listeners, parked, upkeep
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.parked import Parked
from landbridge.store.sql import Sql
from landbridge.store.upkeep import Retention
from landbridge.vault import new_key
from tests.engine.ailing import At
from tests.engine.conftest import Scene
from tests.engine.listening import FAILED, PAID, TILL, Till, arrival, come, event, page, written
from tests.engine.past import Past

ALL = "A test looks at everything."
LINES = Sql("tests.inbox_lines", "SELECT count(*) FROM lb.inbox_line", across=ALL)
ORDERS = Sql("tests.orders", "SELECT count(*) FROM lb.due WHERE lane = 'inbox'", across=ALL)


FILED = Sql(
    "tests.filed",
    """SELECT (SELECT count(*) FROM lb.inbox_event) = 3
        AND NOT EXISTS (SELECT FROM lb.inbox_line)""",
    across=ALL,
)


async def until(asked: Callable[[], Awaitable[object]]) -> None:
    """Returns once it is so."""
    while True:
        if await asked():
            return
        await asyncio.sleep(0.01)


@pytest.fixture
async def shop(scene: Scene) -> Connection:
    return await scene.connect("acme", "acct_1")


@pytest.fixture
async def till(db: Database) -> Till:
    async with db.transaction() as tx:
        await tx.execute("CREATE TABLE heard (id text)")
    made = Till(db)
    await made.telling().join()
    return made


async def held(db: Database) -> Parked:
    (one,) = await parked.every(db, environment="test", what="event")
    return one


async def replayed(db: Database, bridge: Landbridge, stopped: Parked) -> str:
    return await again(db, bridge.puller, (), stopped)


async def test_an_event_is_told_once_with_what_came_along(
    db: Database, shop: Connection, till: Till
) -> None:
    await come(db, shop, event(1), event(1))
    assert await till.work() == 1
    await come(db, shop, event(1))
    assert await till.work() == 0
    (heard,) = till.heard
    (filed,) = await arrivals.events(db, environment="test")
    assert heard == Received(
        id=filed.id,
        environment="test",
        tenant="acme",
        provider="shop",
        connection=shop.id,
        kind="invoice.paid",
        topic=PAID,
        vendor_id="evt_1",
        resource="",
        key="in_1",
        subject="cus_1",
        occurred_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        received_at=filed.created_at,
        source="webhook",
        object={"id": "in_1", "customer": "cus_1", "number": 1},
        body=event(1),
    )
    assert await written(db) == ["1"]


async def test_what_nobody_listens_to_leaves_nothing_behind(
    db: Database, shop: Connection, till: Till
) -> None:
    await come(db, shop, event(1, "quarrel"), event(2, "bill.seen"))
    assert await db.value(LINES) == 0
    assert await listeners.forget(db, "till")
    await come(db, shop, event(3))
    assert await db.value(LINES) == 0
    assert await db.value(ORDERS) == 0
    assert await till.work() == 0


async def test_each_handler_gets_the_event_and_a_new_one_those_from_then_on(
    db: Database, shop: Connection, till: Till
) -> None:
    other = Till(db)
    other.those = [other.listener(name="other", kinds="invoice.paid")]
    await come(db, shop, event(1))
    await other.telling().join()
    await come(db, shop, event(2), event(3, FAILED))
    till.those += other.those
    await till.work()
    assert till.numbers() == ["1", "2", "3"]
    assert other.numbers() == ["2"]


async def test_an_event_that_is_committed_late_is_not_passed_over(
    db: Database, shop: Connection, till: Till
) -> None:
    slow = arrival(shop, event(1, key="in_1"))
    await arrivals.store(db, [slow])
    routed = await sorting.route(db, await arrivals.load(
        db, environment="test", arrivals=[slow.id]), page)  # fmt: skip
    async with db.transaction() as tx:
        await sorting.enter(tx, routed, environment="test")
        await come(db, shop, event(2, key="in_2"))
        await till.work()
        assert till.numbers() == ["2"]
    await till.work()
    assert till.numbers() == ["2", "1"]
    first, second = till.heard
    assert first.id > second.id


async def test_a_handler_that_raises_is_tried_again_later_and_nothing_it_wrote_stays(
    db: Database, at: At, shop: Connection, till: Till
) -> None:
    till.failures = {"evt_1": 2}
    await come(db, shop, event(1), event(2))
    await till.work()
    assert (till.numbers(), await written(db)) == ([], [])
    await come(db, shop, event(3))
    await till.work()
    assert till.failures == {"evt_1": 1}, "an event behind it hastens nothing"
    await till.work(await at("2 seconds"))
    assert till.failures == {"evt_1": 0}
    await till.work(await at("10 seconds"))
    assert till.numbers() == ["1", "2", "3"], "those about the same record waited"
    assert await written(db) == ["1", "2", "3"]
    assert await parked.every(db, environment="test") == []
    assert await db.value(ORDERS) == 0


async def test_one_that_fails_for_good_is_parked_with_those_behind_it_and_the_rest_goes_on(
    db: Database, at: At, bridge: Landbridge, shop: Connection, till: Till
) -> None:
    till.failures = {"evt_1": 3}
    await come(db, shop, event(1), event(2, FAILED), event(3, key="in_2"))
    for moment in ("0 seconds", "1 minute", "2 minutes"):
        await till.work(await at(moment))
    assert till.numbers() == ["3"]
    stopped = await held(db)
    assert (stopped.place, stopped.reason) == ("till", "it raised RuntimeError")
    assert stopped.resource == f"{shop.id}/invoice.paid"
    assert stopped.key.startswith("inb_")
    (seen,) = await listeners.every(db, environment="test")
    assert (seen.name, seen.waiting, seen.parked) == ("till", 2, 1)
    await come(db, shop, event(4))
    await till.work(await at("10 minutes"))
    assert till.numbers() == ["3"]

    assert "worker" in await replayed(db, bridge, stopped)
    await till.work()
    assert till.numbers() == ["3", "1", "2", "4"]
    assert await parked.every(db, environment="test") == []
    with pytest.raises(NotFound, match="waits for 'till' no more"):
        await replayed(db, bridge, stopped)


async def test_a_discarded_event_is_left_out_and_those_behind_it_go_on(
    db: Database, at: At, shop: Connection, till: Till
) -> None:
    till.failures = {"evt_1": 99}
    await come(db, shop, event(1), event(2))
    for moment in ("0 seconds", "1 minute", "2 minutes"):
        await till.work(await at(moment))
    await discard(db, await held(db))
    await till.work()
    assert till.numbers() == ["2"]
    assert await db.value(LINES) == 0


async def test_a_handler_that_hangs_is_stopped_and_one_that_spoils_its_transaction_fails(
    db: Database, at: At, shop: Connection, till: Till
) -> None:
    async def hang(_event: Received, _tx: Tx) -> None:
        await asyncio.sleep(60)

    async def spoil(_event: Received, tx: Tx) -> None:
        try:
            await tx.execute("SELECT 1 / 0")
        except Exception:  # noqa: BLE001 - as a careless user has it
            return

    till.those = [
        till.listener(name="hangs", run=hang, timeout=0.05),
        till.listener(name="spoils", run=spoil),
    ]
    await till.telling().join()
    await come(db, shop, event(1))
    for moment in ("0 seconds", "1 minute", "2 minutes"):
        await till.work(await at(moment))
    reasons = {one.place: one.reason for one in await parked.every(db, environment="test")}
    assert reasons == {
        "hangs": "it took longer than its time limit",
        "spoils": "it raised InFailedSQLTransactionError",
    }


async def test_a_process_that_is_killed_in_its_handler_leaves_the_event_to_another(
    database_url: str, db: Database, at: At, shop: Connection, till: Till
) -> None:
    await come(db, shop, event(1), event(2))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.engine.stuck", database_url,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert await child.stdout.readline() == b"in\n"
    child.send_signal(signal.SIGKILL)
    await child.wait()
    await till.work(await at("2 minutes"), until=lambda: len(till.heard) == 2)
    assert till.numbers() == ["1", "2"]
    assert await written(db) == ["1", "2"]


async def test_what_is_committed_and_not_settled_is_not_told_again(
    db: Database, at: At, shop: Connection, till: Till
) -> None:
    await come(db, shop, event(1))
    (claim,) = await till.claims()
    assert await till.telling().run(claim, Lease("t", claim)) == Done()
    assert await till.work(await at("2 minutes")) == 1
    assert await written(db) == ["1"]


async def test_who_lost_the_lease_in_its_handler_and_who_got_it_tell_it_once(
    db: Database, at: At, shop: Connection, till: Till
) -> None:
    inside, go = asyncio.Event(), asyncio.Event()

    async def slow(event: Received, tx: Tx) -> None:
        inside.set()
        await go.wait()
        await till(event, tx)

    await come(db, shop, event(1))
    paused = Till(db)
    paused.those = [paused.listener(run=slow)]
    (claim,) = await paused.claims()
    running = asyncio.create_task(paused.telling().run(claim, Lease("t", claim)))
    await inside.wait()
    later = await at("2 minutes")
    (taken,) = await till.claims(later, "other")
    told = await till.telling(later).run(taken, Lease("other", taken))
    assert isinstance(told, Snooze)
    go.set()
    assert await running == Done()
    assert await till.telling(later).run(taken, Lease("other", taken)) == Done()
    assert await written(db) == ["1"]


async def test_several_processes_share_the_lines_and_keep_their_order(
    database_url: str, db: Database, shop: Connection, till: Till
) -> None:
    keys = [f"in_{number % 5}" for number in range(40)]
    await come(db, shop, *(event(number, key=key) for number, key in enumerate(keys)))
    pools = [await Database.open(database_url, budget=3) for _ in range(3)]
    await asyncio.gather(
        *(
            till.work(pool, owner=f"w{n}", until=lambda: len(till.heard) >= 40)
            for n, pool in enumerate(pools)
        )
    )
    for pool in pools:
        await pool.close()
    assert sorted(map(int, till.numbers())) == list(range(40))
    for key in set(keys):
        own = [int(one.vendor_id[4:]) for one in till.heard if one.key == key]
        assert own == sorted(own)
    assert len(await written(db)) == 40


async def test_a_process_without_the_handler_leaves_it_to_one_that_has_it(
    db: Database, at: At, shop: Connection, till: Till
) -> None:
    await come(db, shop, event(1))
    without = Till(db)
    without.those = [without.listener(name="other")]
    assert await without.work() == 1
    await till.work(await at("2 seconds"))
    assert till.numbers() == ["1"]


async def test_a_new_handler_is_told_of_earlier_events_once_when_it_is_asked_for(
    db: Database, shop: Connection, till: Till
) -> None:
    await come(db, shop, event(1))
    begin = datetime.now(UTC)
    await come(db, shop, event(2), event(3, FAILED), event(4, key="in_2"), event(5, "quarrel"))
    late = Till(db)
    late.those = [late.listener(name="late")]
    await late.telling().join()
    await come(db, shop, event(6))
    till.those += late.those
    await till.work()
    assert late.numbers() == ["6"]
    assert await tell_earlier(db, "late", since=begin) == 3
    assert await tell_earlier(db, "late", since=begin) == 0
    await till.work()
    assert late.numbers()[:1] == ["6"]
    assert sorted(late.numbers()) == ["2", "3", "4", "6"]
    assert late.numbers().index("2") < late.numbers().index("3")  # in order per record
    early = begin - timedelta(hours=1)
    assert await tell_earlier(db, "late", since=early) == 1
    await till.work()
    assert late.numbers()[-1] == "1"
    assert sorted(till.numbers()) == ["1", "2", "3", "4", "6"]
    (told, _) = await listeners.every(db, environment="test")
    assert (told.name, told.told_since, told.waiting) == ("late", early, 0)


ANOTHER = """
INSERT INTO landbridge.inbox_event
SELECT (jsonb_populate_record(e, jsonb_build_object(
    'id', $1::text, 'created_at', landbridge.now()))).*
FROM landbridge.inbox_event AS e
"""


async def test_what_is_filed_while_a_handler_starts_is_told_or_heard(
    db: Database, shop: Connection, till: Till
) -> None:
    await come(db, shop, event(1))
    begin = datetime.now(UTC)
    late = Till(db)
    late.those = [late.listener(name="late")]
    async with db.transaction() as tx:
        await tx.execute("SELECT FROM landbridge.listener")  # as who files an event
        joining = asyncio.create_task(late.telling().join())
        await asyncio.sleep(0.1)
        assert not joining.done()
        await tx.execute(ANOTHER, ids.new("inb"))
    await joining
    await come(db, shop, event(2))
    assert await tell_earlier(db, "late", since=begin) == 1
    till.those += late.those
    await till.work()
    assert sorted(late.numbers()) == ["1", "2"]


async def test_a_dump_that_holds_all_tables_keeps_no_handler_from_starting(
    db: Database, shop: Connection, till: Till
) -> None:
    late = Till(db)
    late.those = [late.listener(name="late")]
    async with db.transaction() as tx:
        await tx.execute("SELECT FROM landbridge.listener")
        await late.telling().join()
    await come(db, shop, event(1))
    till.those += late.those
    await till.work()
    assert late.numbers() == ["1"]


async def test_one_that_was_cut_off_between_telling_and_ordering_is_told_by_the_next(
    db: Database, shop: Connection, till: Till
) -> None:
    begin = datetime.now(UTC)
    late = Till(db)
    late.those = [late.listener(name="late")]
    await come(db, shop, event(1))
    await late.telling().join()
    assert await listeners.tell(db, "late", since=begin) == 1
    till.those += late.those
    await till.work()
    assert late.numbers() == []  # there is no work for it yet
    assert await tell_earlier(db, "late", since=begin) == 0
    await till.work()
    assert late.numbers() == ["1"]


async def test_only_a_handler_that_was_started_is_told_of_earlier_events(
    db: Database, till: Till, bridge: Landbridge
) -> None:
    with pytest.raises(NotFound, match=r"'tills' is no handler .* Did you mean 'till'"):
        await tell_earlier(db, "tills", since=datetime.now(UTC))
    with pytest.raises(InvalidInput, match="since: a time without a zone"):
        await tell_earlier(db, "till", since=datetime(2026, 1, 1))  # noqa: DTZ001 - that is it
    with pytest.raises(InvalidInput, match="handler: this function is none of `on_received`"):
        await bridge.tell(till.__call__, since=datetime.now(UTC))


async def test_while_versions_change_each_gets_the_kinds_that_it_takes(
    db: Database, at: At, shop: Connection, till: Till
) -> None:
    await come(db, shop, event(1, FAILED), event(2))
    older = Till(db)
    older.those = [older.listener(kinds="invoice.paid")]
    assert await older.work() == 1
    assert older.heard == [], "another process takes both"
    await older.telling().join()
    await older.work(await at("2 seconds"))
    assert older.numbers() == ["2"], "none takes the other any more"
    assert await db.value(LINES) == 0


async def test_an_event_of_a_connection_that_was_disconnected_is_still_told(
    db: Database, shop: Connection, till: Till
) -> None:
    await come(db, shop, event(1))
    await disconnect(db, shop)
    await till.work()
    (heard,) = till.heard
    assert (heard.connection, heard.provider) == (shop.id, "shop")


async def test_a_person_who_is_erased_is_not_told_of(
    db: Database, at: At, shop: Connection, till: Till
) -> None:
    ann = {"id": "in_9", "customer": "cus_ann"}
    till.failures = {"evt_1": 99}
    await come(db, shop, event(1, data=ann), event(2, data=ann), event(3))
    for moment in ("0 seconds", "1 minute", "2 minutes"):
        await till.work(await at(moment))
    assert (await held(db)).key
    order = await Erasures(db, environment="test").order(tenant="acme", subject="cus_ann")
    await Erasing(db).run(*await Past(db=db).take("erase", order))
    report = dict((await Erasures(db, environment="test").get(order)).report)
    assert report == {"inbox_event": 2, "arrival": 2, "inbox_line": 2, "parked": 1}
    assert await parked.every(db, environment="test") == []
    assert till.numbers() == ["3"]


async def test_what_waits_longer_than_the_inbox_is_kept_is_given_up(
    db: Database, at: At, shop: Connection, till: Till
) -> None:
    till.failures = {"evt_1": 99}
    await come(db, shop, event(1), event(2))
    for moment in ("0 seconds", "1 minute", "2 minutes"):
        await till.work(await at(moment))
    done = await upkeep.keep_up(await at("9 days"), keep=Retention(inbox=7))
    assert done.removed["events that no handler took"] == 2
    assert await parked.every(db, environment="test") == []
    assert await till.work(await at("9 days")) == 0


async def test_a_bridge_tells_its_handlers_and_lists_what_came(database_url: str) -> None:
    told: list[str] = []
    bridge = Landbridge.from_env(database_url=database_url, key=new_key(), providers=[TILL])

    @bridge.on_received("invoice.paid", "dispute.*")
    async def paid(event: Received, tx: Tx) -> None:
        if await tx.execute("SELECT 1"):
            told.append(event.kind)

    with pytest.raises(InvalidInput, match="there is a handler called"):
        bridge.on_received("invoice.paid")(paid)
    async with bridge.lifespan():
        await until(lambda: listeners.every(bridge.db, environment="test"))
        made = await bridge.connect("shop", tenant="acme", credentials={"key": "k"}, every=None)
        shop = made.connection
        some = [event(1), event(2, FAILED), event(3, "bill.seen")]
        await arrivals.store(bridge.db, [arrival(shop, each) for each in some])
        await until(lambda: bridge.db.value(FILED))
        listed = [one async for one in bridge.received()]
        assert [one.id for one in listed] == sorted((one.id for one in listed), reverse=True)
        assert {one.vendor_id for one in listed} == {"evt_1", "evt_2", "evt_3"}
        named = bridge.received("invoice.*", connection=shop, tenant="acme")
        assert {one.object["number"] async for one in named} == {1, 2}
        assert told == ["invoice.paid"]
        since = datetime.now(UTC) + timedelta(hours=1)
        assert [one async for one in bridge.received(since=since)] == []


def test_a_kind_that_there_is_not_is_named_with_the_nearest() -> None:
    bridge = Landbridge.from_env(key=new_key())
    with pytest.raises(InvalidInput, match=r"'invoice.payed'.*Did you mean 'invoice.paid'"):
        bridge.on_received("invoice.payed")
    with pytest.raises(InvalidInput, match="name one"):
        bridge.on_received()
    assert kinds_meant(["invoice.*", "invoice.paid"]) == ("invoice.paid", "invoice.payment_failed")
