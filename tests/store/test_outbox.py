"""From the outbox to events, due deliveries and a numbered feed: what is moved, once, in order."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from landbridge import ids
from landbridge.store import endpoints, ordering, outbox
from landbridge.store.database import Database, Tx
from landbridge.store.outbox import Moved


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, budget=6)
    yield opened
    await opened.close()


async def emit(db: Database | Tx, tenant: str = "acme", **more: Any) -> str:
    fields: dict[str, Any] = {
        "environment": "test",
        "tenant": tenant,
        "id": ids.new("evt"),
        "type": "invoice.paid",
        "schema_version": 1,
        "content_type": "application/json",
        "idempotency_key": None,
        "ordering_key": None,
        "subject": None,
        "payload": b'{"n":1}',
    }
    statement, binds = outbox.insert_event(**fields | more)
    await db.run(statement, **binds)
    event: str = binds["id"]
    return event


async def endpoint(
    db: Database, tenant: str = "acme", *types: str, environment: str = "test"
) -> str:
    added = await endpoints.add(
        db,
        environment=environment,
        tenant=tenant,
        id=ids.new("end"),
        url="https://shop.example/hook",
        types=types or ("*",),
        secrets=b"sealed",
    )
    return added.id


async def look(db: Database, sql: str, *arguments: Any) -> list[Any]:
    async with db.transaction() as tx:
        return list(await tx.execute(sql, *arguments))


async def events(db: Database) -> list[str]:
    return [row[0] for row in await look(db, "SELECT id FROM landbridge.event ORDER BY number")]


async def targets(db: Database) -> list[str]:
    return sorted(row[0] for row in await look(db, "SELECT target FROM landbridge.due"))


async def test_a_committed_emit_becomes_an_event_with_all_that_was_given(db: Database) -> None:
    event = await emit(
        db,
        schema_version=3,
        content_type="text/csv",
        ordering_key="in_1",
        subject="ann",
        payload=b"a;b\xff\x00",
    )
    moved = await outbox.move(db, limit=10)
    assert (moved.taken, moved.events, moved.deliveries) == (1, 1, 0)
    (row,) = await look(db, "SELECT * FROM landbridge.event")
    assert (row["id"], row["tenant"], row["environment"]) == (event, "acme", "test")
    assert (row["type"], row["schema_version"], row["content_type"]) == (
        "invoice.paid",
        3,
        "text/csv",
    )
    assert (row["ordering_key"], row["subject"]) == ("in_1", "ann")
    assert row["payload"] == b"a;b\xff\x00"
    assert row["digest"] == sha256(b"a;b\xff\x00").digest()
    assert await outbox.waiting(db) == 0


async def test_an_event_is_stored_in_the_partition_of_its_day(db: Database) -> None:
    await emit(db)
    await outbox.move(db, limit=10)
    (row,) = await look(db, "SELECT tableoid::regclass::text AS place FROM landbridge.event")
    assert row["place"].startswith("landbridge.event_20")


async def test_an_event_goes_to_the_enabled_endpoints_of_its_tenant_that_want_its_type(
    db: Database,
) -> None:
    wanting = [
        await endpoint(db, "acme"),
        await endpoint(db, "acme", "invoice.paid"),
        await endpoint(db, "acme", "customer.created", "invoice.*"),
    ]
    await endpoint(db, "acme", "invoice")
    await endpoint(db, "acme", "invoice.paid.*")
    await endpoint(db, "acme", "invoice_paid", "customer.*")
    await endpoint(db, "other")
    await endpoint(db, "acme", environment="live")
    disabled = await endpoint(db, "acme")
    await endpoints.set_state(
        db, environment="test", tenant="acme", id=disabled, state="disabled", reason="x"
    )
    await emit(db)
    moved = await outbox.move(db, limit=10)
    assert (moved.events, moved.deliveries) == (1, 3)
    assert await targets(db) == sorted(wanting)


async def test_a_prefix_reaches_deeper_types_and_no_longer_words(db: Database) -> None:
    reached = await endpoint(db, "acme", "invoice.*")
    await emit(db, type="invoice.line.added")
    await emit(db, type="invoices.paid")
    await outbox.move(db, limit=10)
    assert await targets(db) == [reached]


async def test_a_delivery_is_due_at_once_under_an_id_of_its_event_and_endpoint(
    db: Database,
) -> None:
    first, second = await endpoint(db), await endpoint(db)
    event = await emit(db)
    await outbox.move(db, limit=10)
    rows = await look(db, "SELECT *, due_at <= landbridge.now() AS now FROM landbridge.due")
    assert {(row["ref"], row["target"]) for row in rows} == {(event, first), (event, second)}
    for row in rows:
        assert (row["lane"], row["kind"], row["attempt"], row["now"]) == (
            "deliver",
            "deliver",
            0,
            True,
        )
        assert ids.is_id(row["id"], "dlv")
        assert ids.made_at(row["id"]) == ids.made_at(event)
    assert len({row["id"] for row in rows}) == 2


async def test_an_emit_that_is_not_committed_is_not_moved(db: Database) -> None:
    async with db.transaction() as tx:
        await emit(tx)
        assert (await outbox.move(db, limit=10)).taken == 0
    assert (await outbox.move(db, limit=10)).taken == 1


async def test_a_second_event_with_a_key_is_not_made_in_one_batch_nor_later(db: Database) -> None:
    await endpoint(db)
    first = await emit(db, idempotency_key="k")
    await emit(db, idempotency_key="k")
    other = await emit(db, idempotency_key="other")
    moved = await outbox.move(db, limit=10)
    assert (moved.taken, moved.events, moved.deliveries) == (3, 2, 2)
    await emit(db, idempotency_key="k")
    assert (await outbox.move(db, limit=10)).events == 0
    assert await events(db) == [first, other]
    assert await outbox.waiting(db) == 0


async def test_a_key_is_the_tenant_s_own(db: Database) -> None:
    made = [
        await emit(db, "acme", idempotency_key="k"),
        await emit(db, "other", idempotency_key="k"),
        await emit(db, "acme", environment="live", idempotency_key="k"),
        await emit(db, "acme"),
        await emit(db, "acme"),
    ]
    assert (await outbox.move(db, limit=10)).events == 5
    assert await events(db) == made


async def test_a_key_holds_for_a_week_and_is_then_forgotten(
    db: Database, database_url: str
) -> None:
    await emit(db, idempotency_key="k")
    await outbox.move(db, limit=10)
    assert timedelta(days=7) == outbox.KEY_LIVES
    edge = await Database.open(database_url, budget=1, offset="167 hours 59 minutes")
    await emit(edge, idempotency_key="k")
    assert (await outbox.move(edge, limit=10)).events == 0
    assert await outbox.forget_keys(edge, limit=10) == 0
    await edge.close()
    later = await Database.open(database_url, budget=1, offset="168 hours 1 minute")
    await emit(later, idempotency_key="k")
    assert (await outbox.move(later, limit=10)).events == 1
    assert await outbox.forget_keys(later, limit=10) == 0
    await later.close()
    much_later = await Database.open(database_url, budget=1, offset="30 days")
    assert await outbox.forget_keys(much_later, limit=10) == 1
    await much_later.close()


async def test_a_batch_has_a_limit_and_the_next_goes_on_after_it(db: Database) -> None:
    made = [await emit(db) for _ in range(5)]
    first = await outbox.move(db, limit=2)
    assert (first.taken, await events(db)) == (2, made[:2])
    second = await outbox.move(db, limit=2, after=first.last)
    assert (second.taken, await events(db)) == (2, made[:4])
    assert (await outbox.move(db, limit=2, after=second.last + 1)).taken == 0
    assert (await outbox.move(db, limit=2)).taken == 1
    assert await events(db) == made


async def test_numbers_follow_the_commits(db: Database) -> None:
    async with db.transaction() as slow:
        late = await emit(slow)
        early = await emit(db)
        await outbox.move(db, limit=10)
    await outbox.move(db, limit=10)
    assert await events(db) == [early, late]


async def test_of_emits_under_one_lock_the_first_stays_the_first(db: Database) -> None:
    """Ids do not decide: the second writer's clock may be behind."""
    ahead, behind = ids.make("evt", 2_000_000_000_000, 1), ids.make("evt", 1_500_000_000_000, 1)
    async with db.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(7)")
        waiting = asyncio.create_task(_under_lock(db, behind))
        await asyncio.sleep(0.1)
        await emit(tx, id=ahead)
    await waiting
    await outbox.move(db, limit=10)
    assert await events(db) == [ahead, behind]


async def _under_lock(db: Database, event: str) -> None:
    async with db.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(7)")
        await emit(tx, id=event)


async def test_movers_take_turns_and_one_without_a_turn_does_nothing(db: Database) -> None:
    await emit(db)
    async with db.transaction() as tx:
        assert (await outbox.move(tx, limit=10)).mine
        await emit(db)
        assert await outbox.move(db, limit=10) == Moved(
            mine=False, taken=0, last=0, events=0, deliveries=0, lined=0
        )
    assert (await outbox.move(db, limit=10)).events == 1
    assert len(await events(db)) == 2


async def test_a_mover_that_is_paused_in_a_transaction_is_cut_off(db: Database) -> None:
    async with db.transaction() as tx:
        await outbox.move(tx, limit=10)
        (inside,) = await tx.execute("SHOW idle_in_transaction_session_timeout")
    (outside,) = await look(db, "SHOW idle_in_transaction_session_timeout")
    assert (inside[0], outside[0]) == ("10s", "0")


async def test_many_movers_at_once_move_each_row_once(db: Database) -> None:
    await endpoint(db)
    made = {await emit(db) for _ in range(60)}

    async def mover() -> int:
        taken = 0
        for _ in range(30):
            taken += (await outbox.move(db, limit=7)).taken
        return taken

    assert sum(await asyncio.gather(*(mover() for _ in range(4)))) == 60
    numbered = await events(db)
    assert (len(numbered), set(numbered)) == (60, made)
    assert len(await targets(db)) == 60


async def test_what_waits_is_counted_up_to_a_bound(db: Database) -> None:
    for _ in range(3):
        await emit(db)
    assert await outbox.waiting(db) == 3
    assert await outbox.waiting(db, most=2) == 2


# The feed of changes

_CHANGE = """
    INSERT INTO landbridge.change (environment, tenant, id, connection, resource, key)
    VALUES ($1, 'acme', $2, 'con_1', 'invoice', $2)"""
_NEW = "INSERT INTO landbridge.change_new (changes) VALUES ($1)"


async def change(tx: Tx, environment: str = "test") -> str:
    made = ids.new("chg")
    await tx.execute(_CHANGE, environment, made)
    return made


async def feed(db: Database) -> list[tuple[int, str, str]]:
    rows = await look(
        db, "SELECT number, environment, change FROM landbridge.change_order ORDER BY number"
    )
    return [tuple(row) for row in rows]


async def test_changes_are_numbered_in_the_order_of_their_transactions(db: Database) -> None:
    async with db.transaction() as slow:
        late = await change(slow)
        await slow.execute(_NEW, [late])
        async with db.transaction() as tx:
            first, second = await change(tx), await change(tx, "live")
            await tx.execute(_NEW, [second, first])
        done = await ordering.sequence(db, limit=10)
        assert (done.mine, done.taken, done.changes) == (True, 1, 2)
    assert (await ordering.sequence(db, limit=10)).changes == 1
    assert await feed(db) == [(1, "live", second), (2, "test", first), (3, "test", late)]
    assert (await ordering.sequence(db, limit=10)).taken == 0


async def test_a_change_that_is_no_longer_kept_gets_no_number(db: Database) -> None:
    async with db.transaction() as tx:
        kept = await change(tx)
        await tx.execute(_NEW, [ids.new("chg"), kept])
    done = await ordering.sequence(db, limit=10)
    assert (done.taken, done.changes) == (1, 1)
    assert await feed(db) == [(1, "test", kept)]


async def test_sequencers_take_turns_apart_from_movers(db: Database) -> None:
    async with db.transaction() as tx:
        made = await change(tx)
        await tx.execute(_NEW, [made])
    async with db.transaction() as tx:
        await outbox.move(tx, limit=1)
        async with db.transaction() as other:
            assert (await ordering.sequence(other, limit=1)).taken == 1
            assert not (await ordering.sequence(db, limit=1)).mine
