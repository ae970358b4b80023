"""Records: unchanged ones are left alone, changed ones make one change, deleted ones another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from landbridge.store import parked, records, syncs
from landbridge.store.database import Database
from landbridge.store.parked import Stop
from landbridge.store.records import Incoming
from landbridge.store.sql import Sql
from landbridge.store.syncs import Stream

STREAM = Stream(environment="test", tenant="acme", connection="con_1", resource="invoice")

CHANGES = Sql(
    "tests.changes",
    """
    SELECT c.key, c.before::text, c.after::text
    FROM lb.change_new AS n, unnest(n.changes) AS u(id), lb.change AS c
    WHERE c.id = u.id ORDER BY n.place, c.key
    """,
    across="A test looks at everything.",
)
WAITING = Sql(
    "tests.waiting", "SELECT count(*) FROM lb.change_new", across="A test looks at everything."
)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    yield database
    await database.close()


def incoming(
    key: str, total: int, *, digest: bytes | None = None, sent: bytes = b"sent"
) -> Incoming:
    return Incoming(
        key=key,
        raw=f'{{"total": {total}}}'.encode(),
        sent=sent,
        digest=digest or str(total).encode(),
        kind="payments.invoice",
        unified=f'{{"total": {total}}}',
    )


async def apply(db: Database, *some: Incoming) -> int:
    async with db.transaction() as tx:
        return await records.apply(tx, STREAM, some)


async def test_a_new_record_makes_a_change_from_nothing(db: Database) -> None:
    assert await apply(db, incoming("in_1", 10), incoming("in_2", 20)) == 2
    rows = await db.fetch(CHANGES)
    assert [(row["key"], row["before"], row["after"]) for row in rows] == [
        ("in_1", None, '{"total": 10}'),
        ("in_2", None, '{"total": 20}'),
    ]
    assert await db.value(WAITING) == 1


async def test_records_that_nothing_is_stored_of_are_added_as_they_would_be_applied(
    db: Database,
) -> None:
    async with db.transaction() as tx:
        plain = Incoming(key="in_3", raw=b"{}", sent=b"s", digest=b"d")
        added = [incoming("in_2", 20), incoming("in_1", 10), plain]
        assert await records.add(tx, STREAM, added, scope="cal/1") == 2
        assert await records.add(tx, STREAM, []) == 0
    rows = await db.fetch(CHANGES)
    assert [(row["key"], row["before"], row["after"]) for row in rows] == [
        ("in_1", None, '{"total": 10}'),
        ("in_2", None, '{"total": 20}'),
    ]
    stored = await records.read(db, STREAM)
    told = [(one.key, one.raw, one.kind, one.unified, one.scope) for one in stored]
    assert told == [
        ("in_1", b'{"total": 10}', "payments.invoice", {"total": 10}, "cal/1"),
        ("in_2", b'{"total": 20}', "payments.invoice", {"total": 20}, "cal/1"),
        ("in_3", b"{}", None, None, "cal/1"),
    ]
    held = await records.held(db, STREAM, ["in_1"])
    assert (held["in_1"].sent, held["in_1"].digest) == (b"sent", b"10")
    assert await db.value(WAITING) == 1


async def test_a_changed_record_keeps_what_it_was(db: Database) -> None:
    await apply(db, incoming("in_1", 10))
    assert await apply(db, incoming("in_1", 11)) == 1
    last = (await db.fetch(CHANGES))[-1]
    assert (last["before"], last["after"]) == ('{"total": 10}', '{"total": 11}')


async def test_other_raw_but_equal_unified_makes_no_change(db: Database) -> None:
    await apply(db, incoming("in_1", 10))
    assert await apply(db, incoming("in_1", 10, digest=b"other")) == 0
    assert len(await db.fetch(CHANGES)) == 1
    assert (await records.held(db, STREAM, ["in_1", "in_2"]))["in_1"].digest == b"other"


async def test_deleting_twice_makes_one_change(db: Database) -> None:
    await apply(db, incoming("in_1", 10))
    async with db.transaction() as tx:
        assert await records.delete(tx, STREAM, ["in_1", "in_9"]) == 1
        assert await records.delete(tx, STREAM, ["in_1"]) == 0
    last = (await db.fetch(CHANGES))[-1]
    assert (last["before"], last["after"]) == ('{"total": 10}', None)
    assert (await records.held(db, STREAM, ["in_1"]))["in_1"].digest is None
    assert await records.read(db, STREAM) == []
    assert [record.key for record in await records.read(db, STREAM, deleted=True)] == ["in_1"]


async def test_a_record_that_comes_back_is_new_again(db: Database) -> None:
    await apply(db, incoming("in_1", 10))
    async with db.transaction() as tx:
        await records.delete(tx, STREAM, ["in_1"])
    assert await apply(db, incoming("in_1", 10)) == 1
    last = (await db.fetch(CHANGES))[-1]
    assert (last["before"], last["after"]) == (None, '{"total": 10}')


async def test_a_page_is_unchanged_when_each_record_is_there_as_it_was(db: Database) -> None:
    keys = ["Z", "a", "é", "\uffee", "😀"]  # in the order of UTF-8, which is not that of UTF-16
    sent = {key: bytes([place] * 16) for place, key in enumerate(keys)}
    await apply(db, *(incoming(key, 1, sent=mark) for key, mark in sent.items()))
    other = bytes(16)
    assert await records.unchanged(db, STREAM, dict(reversed(sent.items())))
    assert await records.unchanged(db, STREAM, {"a": sent["a"]})
    assert not await records.unchanged(db, STREAM, sent | {"a": other})
    assert not await records.unchanged(db, STREAM, sent | {"new": other})
    async with db.transaction() as tx:
        await records.delete(tx, STREAM, ["a"])
    where = STREAM.binds() | {"what": "record", "place": "con_1"}
    del where["connection"]
    await parked.park(db, [Stop(key="Z", reason="odd")], **where)
    assert not await records.unchanged(db, STREAM, {"a": sent["a"]})
    assert not await records.unchanged(db, STREAM, {"Z": sent["Z"]})
    assert await records.unchanged(db, STREAM, {"é": sent["é"]})


async def test_the_commit_of_a_page_alone_waits_for_no_disk(db: Database) -> None:
    async with db.transaction() as tx:
        await syncs.add(
            tx, environment="test", tenant="acme", connection="con_1", resources=["invoice"]
        )
        await syncs.step(tx, STREAM, "run_1", cursor={}, reading="")
        assert await tx.driver.fetchval("SHOW synchronous_commit") == "off"
    async with db.transaction() as tx:
        assert await tx.driver.fetchval("SHOW synchronous_commit") == "on"


async def test_what_a_listing_did_not_meet_is_missing_in_its_scope_only(db: Database) -> None:
    async with db.transaction() as tx:
        await records.apply(tx, STREAM, [incoming("a", 1), incoming("b", 2)], scope="cal/1")
        await records.apply(tx, STREAM, [incoming("c", 3)], scope="cal/2")
        await syncs.see(tx, STREAM, listing="gen", keys=["a"])
        assert await records.missing(tx, STREAM, listing="gen", scope="cal/1") == ["b"]
        assert await records.missing(tx, STREAM, listing="gen", scope="cal/2") == ["c"]


async def test_records_of_a_rolled_back_page_leave_nothing(db: Database) -> None:
    async def failing() -> None:
        async with db.transaction() as tx:
            await records.apply(tx, STREAM, [incoming("a", 1)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await failing()
    assert await records.read(db, STREAM) == []
    assert await db.value(WAITING) == 0


async def test_a_parked_record_counts_attempts_only_when_something_is_new(db: Database) -> None:
    where = {"environment": "test", "tenant": "acme", "what": "record", "place": "con_1"}
    stop = Stop(key="in_1", reason="Invoice.currency: nothing at currency", raw=b"{}")
    for _ in range(3):
        await parked.park(db, [stop], **where)
    await parked.park(db, [Stop(key="in_1", reason=stop.reason, raw=b"{1}")], **where)
    (held,) = await parked.every(db, environment="test")
    assert (held.attempts, held.raw) == (2, b"{1}")
    assert await parked.clear(db, ["in_1"], **where) == 1
    assert await parked.every(db, environment="test") == []


async def test_paging_through_records_meets_each_once(db: Database) -> None:
    await apply(db, *[incoming(f"in_{number:03}", number) for number in range(25)])
    met: list[str] = []
    after = ""
    while page := await records.read(db, STREAM, after=after, most=10):
        met += [record.key for record in page]
        after = page[-1].key
    assert met == [f"in_{number:03}" for number in range(25)]


async def test_two_who_store_a_new_record_at_once_tell_of_it_in_the_order_of_their_commits(
    db: Database,
) -> None:
    async def store(total: int) -> None:
        async with db.transaction() as tx:
            await records.turn(tx, STREAM)
            await records.apply(tx, STREAM, [incoming("in_1", total)])

    for _ in range(20):
        async with db.transaction() as tx:
            await tx.execute("TRUNCATE landbridge.record, landbridge.change, landbridge.change_new")
        await asyncio.gather(*[store(total) for total in range(4)])
        told = await db.fetch(CHANGES)
        held = await records.one(db, STREAM, "in_1")
        assert held is not None
        assert [row["before"] for row in told] == [None, *[row["after"] for row in told[:-1]]]
        assert told[-1]["after"] == f'{{"total": {(held.unified or {})["total"]}}}'
