"""The dispatcher moves all that was committed, wakes workers, and no old snapshot holds it up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from landbridge import ids
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.emit import emit
from landbridge.errors import DatabaseUnavailable
from landbridge.store import outbox
from landbridge.store.bind import Awaiting, bind
from landbridge.store.database import Database, Tx
from landbridge.store.listen import hear


async def say(tx: Tx, tenant: str = "acme", **more: Any) -> str:
    session = bind(tx, "landbridge")
    assert isinstance(session, Awaiting)
    return await emit(session, "word.said", {}, environment="test", tenant=tenant, **more)


async def count(db: Database, table: str) -> int:
    async with db.transaction() as tx:
        rows = await tx.execute(f"SELECT count(*) FROM landbridge.{table}")
    number: int = rows[0][0]
    return number


@pytest.fixture
async def endpoint(db: Database) -> str:
    made = ids.new("end")
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO landbridge.endpoint (environment, tenant, id, url, secrets)"
            " VALUES ('test', 'acme', $1, 'https://shop.example/', '')",
            made,
        )
    return made


async def test_a_step_moves_everything_batch_after_batch(db: Database, endpoint: str) -> None:
    async with db.transaction() as tx:
        for _ in range(25):
            await say(tx)
        made = ids.new("chg")
        await tx.execute(
            "INSERT INTO landbridge.change (environment, tenant, id, connection, resource, key)"
            " VALUES ('test', 'acme', $1, 'c', 'r', 'k')",
            made,
        )
        await tx.execute("INSERT INTO landbridge.change_new (changes) VALUES ($1)", [made])
    dispatcher = Dispatcher(db, batch=10)
    assert await dispatcher.step()
    assert (await count(db, "event"), await count(db, "due")) == (25, 25)
    assert await count(db, "change_order") == 1
    assert await outbox.waiting(db) == 0
    assert not await dispatcher.step()


async def test_workers_are_woken_after_a_move_and_only_then(db: Database) -> None:
    heard = asyncio.Event()
    listening = asyncio.create_task(hear(db, lambda _said: heard.set()))
    dispatcher = Dispatcher(db)
    try:
        await heard.wait()
        heard.clear()
        await dispatcher.step()
        async with db.transaction() as tx:
            await say(tx)
        await outbox.waiting(db)
        assert not heard.is_set()
        await dispatcher.step()
        async with asyncio.timeout(30):
            await heard.wait()
    finally:
        listening.cancel()


async def test_dispatchers_in_several_places_share_the_work(db: Database, endpoint: str) -> None:
    dispatchers = [Dispatcher(db, batch=5) for _ in range(3)]
    done = asyncio.Event()

    async def dispatch(one: Dispatcher) -> None:
        while not (done.is_set() and await outbox.waiting(db) == 0):
            await one.step()
            await asyncio.sleep(0)

    async def produce() -> None:
        for _ in range(20):
            async with db.transaction() as tx:
                for _ in range(5):
                    await say(tx)
        done.set()

    await asyncio.gather(produce(), *(dispatch(one) for one in dispatchers))
    assert (await count(db, "event"), await count(db, "due")) == (100, 100)


class _Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0
        self.each = 0.0

    def __call__(self) -> float:
        self.at += self.each
        return self.at


async def test_while_looking_takes_long_the_latest_go_first_and_the_rest_follows(
    db: Database,
) -> None:
    """As under a held snapshot, whose dead rows every whole look passes over."""
    hands = _Hands()
    dispatcher = Dispatcher(db, monotonic=hands)
    async with db.transaction() as late:
        old = await say(late)
        async with db.transaction() as tx:
            await tx.execute("SELECT setval('landbridge.emitted_place_seq', 10000)")
            await say(tx)
        hands.each = 2.0
        await dispatcher.step()  # each look takes two seconds: for fifty, only the latest
        hands.each = 0.001
    async with db.transaction() as tx:
        new = await say(tx)
    await dispatcher.step()
    async with db.transaction() as tx:
        found = {row[0] for row in await tx.execute("SELECT id FROM landbridge.event")}
    assert (new in found, old in found) == (True, False)
    hands.at += 50
    await dispatcher.step()
    assert await count(db, "event") == 3
    async with db.transaction() as tx:
        rows = await tx.execute("SELECT id FROM landbridge.event ORDER BY number DESC LIMIT 1")
    assert rows[0][0] == old


@pytest.fixture
async def closed(database_url: str) -> Database:
    database = await Database.open(database_url, budget=1)
    await database.close()
    return database


async def test_without_a_database_it_says_so(closed: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        await Dispatcher(closed).step()


# Lines


async def ordered(db: Database, endpoint: str, value: bool = True) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE landbridge.endpoint SET ordered = $2 WHERE id = $1", endpoint, value
        )


async def test_of_each_ordering_key_the_first_is_due_after_a_step(
    db: Database, endpoint: str
) -> None:
    await ordered(db, endpoint)
    async with db.transaction() as tx:
        for number in range(30):
            await say(tx, ordering_key=f"key {number % 3}")
    assert await Dispatcher(db, batch=10).step()
    assert (await count(db, "due"), await count(db, "line")) == (3, 27)


async def test_a_line_that_stands_still_is_found_within_a_round(
    db: Database, endpoint: str
) -> None:
    hands = _Hands()
    dispatcher = Dispatcher(db, monotonic=hands)
    await ordered(db, endpoint)
    async with db.transaction() as tx:
        await say(tx, ordering_key="a")
        await say(tx, ordering_key="a")
    await dispatcher.step()
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM landbridge.due")  # and whoever did it crashed
    assert not await dispatcher.step(), "not yet"
    hands.at += 0.3
    assert await dispatcher.step()
    assert (await count(db, "due"), await count(db, "line")) == (1, 0)


async def test_lines_of_an_endpoint_that_needs_none_are_released(
    db: Database, endpoint: str
) -> None:
    hands = _Hands()
    dispatcher = Dispatcher(db, monotonic=hands)
    await ordered(db, endpoint)
    async with db.transaction() as tx:
        for _ in range(5):
            await say(tx, ordering_key="a")
    await dispatcher.step()
    await ordered(db, endpoint, value=False)
    hands.at += 0.3
    assert await dispatcher.step()
    assert (await count(db, "due"), await count(db, "line")) == (5, 0)
