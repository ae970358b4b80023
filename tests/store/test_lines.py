"""Lines: one delivery of an ordering key is due at a time, in order, whoever promotes and dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import asyncpg
import pytest

from landbridge import ids
from landbridge.store import lines, outbox
from landbridge.store.database import Database
from landbridge.store.health import Key
from landbridge.store.lines import Line

NAMED: dict[str, Any] = {"environment": "test", "tenant": "acme"}


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    yield database
    await database.close()


async def register(db: Database, *, tenant: str = "acme") -> str:
    """An ordered endpoint."""
    made = ids.new("end")
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO landbridge.endpoint (environment, tenant, id, url, secrets, ordered)"
            " VALUES ('test', $1, $2, 'https://shop.example/', '', true)",
            tenant,
            made,
        )
    return made


async def alter(db: Database, endpoint: str, **values: Any) -> None:
    async with db.transaction() as tx:
        for name, value in values.items():
            await tx.execute(
                f"UPDATE landbridge.endpoint SET {name} = $2 WHERE id = $1", endpoint, value
            )


async def emit(db: Database, *keys: str | None, tenant: str = "acme") -> list[str]:
    """Emits an event under each key and moves them; their ids."""
    made = [ids.new("evt") for _ in keys]
    async with db.transaction() as tx:
        for event, key in zip(made, keys, strict=True):
            statement, binds = outbox.insert_event(
                environment="test",
                tenant=tenant,
                id=event,
                type="word.said",
                schema_version=1,
                content_type="application/json",
                idempotency_key=None,
                ordering_key=key,
                subject=None,
                payload=b"{}",
            )
            await tx.run(statement, **binds)
    return made


async def move(db: Database) -> int:
    """Moves and promotes as the dispatcher does; how many lines got something due."""
    moved = await outbox.move(db, limit=1000)
    return await lines.promote(db, moved.lines)


async def due(db: Database) -> list[asyncpg.Record]:
    async with db.transaction() as tx:
        return list(await tx.execute("SELECT * FROM landbridge.due ORDER BY created_at, id"))


async def done(db: Database, event: str) -> None:
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM landbridge.due WHERE ref = $1", event)


async def waiting(db: Database, endpoint: str) -> int:
    return await lines.length(db, **NAMED, endpoint=endpoint)


async def test_the_first_of_each_key_is_due_and_names_its_line(db: Database) -> None:
    endpoint = await register(db)
    first, other, _, free = await emit(db, "a", "b", "a", None)
    assert await move(db) == 2
    found = {row["ref"]: row for row in await due(db)}
    assert found.keys() == {first, other, free}
    assert found[first]["key"] == f"line/{endpoint}/a"
    assert found[first]["args"] == '{"line": "a"}'
    assert (found[first]["lane"], found[first]["kind"]) == ("deliver", "deliver")
    assert found[first]["shard"] == found[free]["shard"]
    assert (found[free]["key"], found[free]["args"]) == (None, None)
    assert await waiting(db, endpoint) == 1


async def test_the_next_follows_when_the_one_before_is_through(db: Database) -> None:
    endpoint = await register(db)
    line = Line(**NAMED, endpoint=endpoint, ordering_key="a")
    events = await emit(db, "a", "a", "a")
    await move(db)
    seen: list[str] = []
    for _ in events:
        assert await lines.promote(db, [line, line]) == (0 if not seen else 1)
        (row,) = await due(db)
        seen.append(row["ref"])
        assert await lines.promote(db, [line]) == 0, "one at a time"
        await done(db, row["ref"])
    assert seen == events
    assert await lines.promote(db, [line]) == 0
    assert await lines.promote(db, []) == 0


async def test_one_that_stepped_aside_lets_the_next_pass(db: Database) -> None:
    endpoint = await register(db)
    first, second = await emit(db, "a", "a")
    await move(db)
    async with db.transaction() as tx:
        await tx.execute("UPDATE landbridge.due SET key = NULL")
    assert await lines.promote(db, [Line(**NAMED, endpoint=endpoint, ordering_key="a")]) == 1
    assert {row["ref"] for row in await due(db)} == {first, second}


async def test_slow_endpoints_have_their_own_lane(db: Database) -> None:
    await alter(db, await register(db), slow=True)
    await emit(db, "a")
    await move(db)
    assert [row["lane"] for row in await due(db)] == ["slow"]


async def test_tenants_with_the_same_keys_have_lines_of_their_own(db: Database) -> None:
    await register(db)
    await register(db, tenant="other")
    await emit(db, "a")
    await emit(db, "a", tenant="other")
    assert await move(db) == 2
    assert {row["tenant"] for row in await due(db)} == {"acme", "other"}


# Races


async def test_one_that_promotes_while_another_does_waits_for_it(db: Database) -> None:
    """If the first is undone, its own entry is next, and not the one behind it."""
    endpoint = await register(db)
    first, _ = await emit(db, "a", "a")
    moved = await outbox.move(db, limit=10)
    with suppress(RuntimeError):
        async with db.transaction() as tx:
            assert await lines.promote(tx, moved.lines) == 1
            other = asyncio.create_task(lines.promote(db, moved.lines))
            await asyncio.sleep(0.2)
            assert not other.done()
            raise RuntimeError
    assert await other == 1
    assert [row["ref"] for row in await due(db)] == [first]
    assert await waiting(db, endpoint) == 1


async def test_many_who_promote_and_settle_at_once_keep_the_order(db: Database) -> None:
    """With some promotions undone half-way, and keys in all orders."""
    endpoint = await register(db)
    keys = ["a", "b", "c", "d"]
    chance = Random(7)
    order: dict[str, list[str]] = {key: [] for key in keys}
    events: list[str] = []
    for _ in range(15):
        events += await emit(db, *keys)
    await outbox.move(db, limit=1000)
    every = [Line(**NAMED, endpoint=endpoint, ordering_key=key) for key in keys]

    async def promote() -> None:
        while sum(map(len, order.values())) < len(events):
            chosen: Sequence[Line] = chance.sample(every, k=chance.randint(1, 4))
            with suppress(RuntimeError):
                async with db.transaction() as tx:
                    await lines.promote(tx, chosen)
                    await asyncio.sleep(chance.uniform(0, 0.003))
                    if chance.random() < 0.3:
                        raise RuntimeError

    async def settle() -> None:
        while sum(map(len, order.values())) < len(events):
            rows = await due(db)
            assert len(rows) <= len(keys)
            for row in rows:
                order[row["key"].rpartition("/")[2]].append(row["ref"])
                await done(db, row["ref"])
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(settle(), *(promote() for _ in range(5)))
    assert [each for key in keys for each in order[key]] == [
        event for place in range(4) for event in events[place::4]
    ]


# The tour


async def test_a_tour_finds_what_stands_still_in_parts(db: Database) -> None:
    endpoint = await register(db)
    keys = [f"key {number:02}" for number in range(25)]
    await emit(db, *keys, *keys)
    moved = await outbox.move(db, limit=1000)
    await lines.promote(db, moved.lines[:5])
    found: list[Line] = []
    after, parts = None, 0
    while parts == 0 or after is not None:
        toured = await lines.tour(db, after=after, limit=10)
        assert toured.loose == []
        found += toured.idle
        after, parts = toured.last, parts + 1
    assert parts > 3
    promoted = {line.ordering_key for line in moved.lines[:5]}
    assert [line.ordering_key for line in found] == sorted(set(keys) - promoted)
    assert {line.endpoint for line in found} == {endpoint}
    assert await lines.promote(db, found) == 20


async def test_a_tour_of_nothing_is_over_at_once(db: Database) -> None:
    toured = await lines.tour(db, after=None, limit=10)
    assert (toured.idle, toured.loose, toured.last) == ([], [], None)


async def test_an_endpoint_that_needs_no_lines_is_found(db: Database) -> None:
    stays, loosened, disabled, deleted = [await register(db) for _ in range(4)]
    await emit(db, "a", "a", "b")
    await move(db)
    await alter(db, loosened, ordered=False)
    await alter(db, disabled, state="disabled")
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM landbridge.endpoint WHERE id = $1", deleted)
    toured = await lines.tour(db, after=None, limit=100)
    gone = sorted((loosened, disabled, deleted))  # those made in one millisecond have no order
    assert toured.loose == [Key("test", "acme", each) for each in gone]
    for endpoint in (stays, loosened, disabled, deleted):
        released = await lines.release(db, **NAMED, endpoint=endpoint)
        assert released == (0 if endpoint == stays else 1)
        assert await waiting(db, endpoint) == (1 if endpoint == stays else 0)
    assert await lines.tour(db, after=None, limit=100) == lines.Toured(idle=[], loose=[], last=None)


async def test_what_is_released_is_due_all_at_once_in_parts(db: Database) -> None:
    endpoint = await register(db)
    events = await emit(db, *["a"] * 10)
    await move(db)
    await alter(db, endpoint, ordered=False)
    counts = [await lines.release(db, **NAMED, endpoint=endpoint, limit=4) for _ in range(4)]
    assert counts == [4, 4, 1, 0]
    rows = await due(db)
    assert {row["ref"] for row in rows} == set(events)
    assert [row["key"] for row in rows].count(None) == 9
