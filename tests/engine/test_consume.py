"""Handlers get each change at least once, in order per record, committed with their place."""

from __future__ import annotations

import asyncio

import pytest

from landbridge.engine.consume import Change, Handler, consume, join, replay
from landbridge.models.payments import Customer
from landbridge.store import changes, ordering, parked, records
from landbridge.store.database import Database, Tx
from landbridge.store.records import Incoming
from landbridge.store.syncs import Stream

STREAM = Stream(environment="test", tenant="acme", connection="con_1", resource="customer")


async def change(db: Database, key: str, name: str | None) -> None:
    async with db.transaction() as tx:
        if name is None:
            await records.delete(tx, STREAM, [key])
            return
        incoming = Incoming(
            key=key,
            raw=name.encode(),
            sent=name.encode(),
            digest=name.encode(),
            kind="payments.customer",
            unified=f'{{"id": "{key}", "name": "{name}"}}',
        )
        await records.apply(tx, STREAM, [incoming])


async def number_all(db: Database) -> None:
    while (await ordering.sequence(db, limit=100)).taken:
        pass


class Seen:
    """A handler that writes what it got, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str | None, str | None]] = []
        self.failures: dict[str, int] = {}

    async def __call__(self, change: Change[Customer], tx: Tx) -> None:
        await tx.execute("INSERT INTO seen VALUES ($1, $2)", change.key, change.number)
        if self.failures.get(change.key, 0) > 0:
            self.failures[change.key] -= 1
            raise RuntimeError(change.key)
        before = change.before.name if change.before else None
        after = change.after.name if change.after else None
        self.got.append((change.key, before, after))


@pytest.fixture
async def seen(db: Database) -> Seen:
    async with db.transaction() as tx:
        await tx.execute("CREATE TABLE seen (key text, number bigint)")
    return Seen()


@pytest.fixture
async def handler(db: Database, seen: Seen) -> Handler:
    made = Handler(name="seen", model=Customer, run=seen, attempts=3)  # type: ignore[arg-type]
    await join(db, [made], environment="test")
    return made


async def written(db: Database) -> list[str]:
    async with db.transaction() as tx:
        return [row["key"] for row in await tx.execute("SELECT key FROM seen ORDER BY number")]


async def run(db: Database, handler: Handler) -> int:
    async def at_once(_seconds: float) -> None: ...

    return await consume(db, handler, environment="test", sleep=at_once)


async def test_a_record_s_life_is_told_in_order(db: Database, seen: Seen, handler: Handler) -> None:
    for name in ("Ann", "Anna", None):
        await change(db, "cus_1", name)
    await number_all(db)
    assert await run(db, handler) == 3
    assert seen.got == [
        ("cus_1", None, "Ann"),
        ("cus_1", "Ann", "Anna"),
        ("cus_1", "Anna", None),
    ]
    assert await run(db, handler) == 0


async def test_a_failing_change_undoes_its_batch_and_comes_again(
    db: Database, seen: Seen, handler: Handler
) -> None:
    for key in ("cus_1", "cus_2", "cus_3"):
        await change(db, key, "Ann")
    await number_all(db)
    seen.failures = {"cus_2": 2}
    assert await run(db, handler) == 3
    assert await written(db) == ["cus_1", "cus_2", "cus_3"]
    assert await parked.every(db, environment="test") == []


async def test_a_record_that_keeps_failing_is_parked_with_what_follows_and_replayed_in_order(
    db: Database, seen: Seen, handler: Handler
) -> None:
    await change(db, "cus_1", "Ann")
    await change(db, "cus_2", "Bob")
    await number_all(db)
    seen.failures = {"cus_1": 4}
    await run(db, handler)
    await change(db, "cus_1", "Anna")
    await number_all(db)
    await run(db, handler)
    assert [key for key, *_ in seen.got] == ["cus_2"]
    (held,) = await parked.every(db, environment="test", what="change")
    assert held.reason == "it raised RuntimeError"
    assert await replay(db, handler, held) == 2
    assert seen.got[1:] == [("cus_1", None, "Ann"), ("cus_1", "Ann", "Anna")]
    assert await parked.every(db, environment="test") == []


async def test_two_processes_never_work_for_one_handler_at_once(
    db: Database, seen: Seen, handler: Handler
) -> None:
    for number in range(30):
        await change(db, f"cus_{number:02}", "Ann")
    await number_all(db)
    passed = await asyncio.gather(*[run(db, handler) for _ in range(5)])
    assert sum(passed) == 30
    assert len(seen.got) == 30


async def test_a_handler_that_hangs_is_stopped_and_its_record_parked(db: Database) -> None:
    async def hang(_change: Change[Customer], _tx: Tx) -> None:
        await asyncio.sleep(60)

    stuck = Handler(name="stuck", model=Customer, run=hang, timeout=0.05, attempts=1)  # type: ignore[arg-type]
    await join(db, [stuck], environment="test")
    await change(db, "cus_1", "Ann")
    await number_all(db)
    await run(db, stuck)
    (held,) = await parked.every(db, environment="test", what="change")
    assert held.reason == "it took longer than its time limit"
    assert await changes.last(db, environment="test") > 0


async def test_a_handler_of_another_model_or_environment_sees_nothing(
    db: Database, seen: Seen, handler: Handler
) -> None:
    await join(db, [handler], environment="live")
    await change(db, "cus_1", "Ann")
    await number_all(db)
    assert await consume(db, handler, environment="live") == 0
    assert seen.got == []
