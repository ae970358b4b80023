"""Emits without a transaction, what a bridge writes down of its catalogue, and wakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from landbridge import Landbridge
from landbridge.engine import notices
from landbridge.engine.catalogue import Catalogue, EventType, Version
from landbridge.engine.emit import prepare
from landbridge.engine.outbox import Outbox
from landbridge.errors import (
    DatabaseUnavailable,
    InvalidInput,
    PayloadTooLarge,
    SettingsError,
    SpecError,
)
from landbridge.store import event_types
from landbridge.store.bell import Bell
from landbridge.store.database import Database
from landbridge.store.health import Health, Key
from landbridge.vault import new_key


class Said(msgspec.Struct):
    word: str


SAID = EventType(
    type="word.said",
    description="A word was said.",
    model=Said,
    examples=[{"word": "hello"}],
    since="2026-02-01",
    older=[Version(since="2026-01-01", model=dict[str, str], down=lambda said: {"w": said.word})],
    schedule=[timedelta(seconds=1.5), timedelta(hours=2)],
)


def made(url: str, *events: EventType, **more: Any) -> Landbridge:
    return Landbridge.from_env(
        database_url=url, key=new_key(), environment="test", events=events, **more
    )


@pytest.fixture
async def bridge(database_url: str) -> AsyncIterator[Landbridge]:
    async with made(database_url) as opened:
        yield opened


async def rows(bridge: Landbridge, sql: str) -> list[Any]:
    async with bridge.transaction() as tx:
        return [tuple(row) for row in await tx.execute(sql)]


# Alone


async def test_an_emit_alone_is_committed_when_it_returns(bridge: Landbridge) -> None:
    event = await bridge.emit(
        "word.said",
        {"word": "hello"},
        tenant="acme",
        idempotency_key="key",
        ordering_key="order",
        subject="ann",
    )
    columns = "id, tenant, environment, idempotency_key, ordering_key, subject, older, attachment"
    assert await rows(bridge, f"SELECT {columns} FROM landbridge.emitted") == [
        (event, "acme", "test", "key", "order", "ann", None, None)
    ]


async def test_many_at_once_share_commits_and_keep_their_order(bridge: Landbridge) -> None:
    events = await asyncio.gather(
        *(bridge.emit("word.said", {"n": n}, tenant="acme") for n in range(800))
    )
    stored = await rows(bridge, "SELECT id, xmin::text FROM landbridge.emitted ORDER BY place")
    assert [row[0] for row in stored] == events
    assert len({row[1] for row in stored}) <= 4


async def test_an_emit_alone_wakes_whoever_listens(bridge: Landbridge, database_url: str) -> None:
    heard = asyncio.Event()
    connection = await asyncpg.connect(database_url)
    await connection.add_listener("landbridge_wake", lambda *_: heard.set())
    await bridge.emit("word.said", {}, tenant="acme")
    async with asyncio.timeout(10):
        await heard.wait()
    heard.clear()
    async with bridge.transaction() as tx:
        await bridge.emit(tx, "word.said", {}, tenant="acme")
    async with asyncio.timeout(10):
        await heard.wait()
    await connection.close()


async def test_one_that_the_database_refuses_fails_alone(bridge: Landbridge) -> None:
    await rows(
        bridge, "ALTER TABLE landbridge.emitted ADD CONSTRAINT ours CHECK (tenant <> 'refused')"
    )
    tenants = ["acme", "refused", "other"] * 20
    ends = await asyncio.gather(
        *(bridge.emit("word.said", {}, tenant=tenant) for tenant in tenants),
        return_exceptions=True,
    )
    for tenant, end in zip(tenants, ends, strict=True):
        assert isinstance(end, asyncpg.CheckViolationError) == (tenant == "refused")
    [(count, distinct)] = await rows(
        bridge, "SELECT count(*), count(DISTINCT id) FROM landbridge.emitted"
    )
    assert (count, distinct) == (40, 40)


async def test_large_groups_are_written_in_several_statements_of_one_transaction(
    bridge: Landbridge,
) -> None:
    large = {"text": "x" * 200_000}
    await asyncio.gather(*(bridge.emit("word.said", large, tenant="acme") for _ in range(60)))
    stored = await rows(bridge, "SELECT xmin::text FROM landbridge.emitted")
    assert len(stored) == 60
    assert len(set(stored)) <= 3


async def test_what_waits_is_bounded(database_url: str) -> None:
    db = await Database.open(database_url, budget=2)
    bell = Bell(db)
    box = Outbox(db, bell)
    _, _, binds = prepare("word.said", {"t": "x" * 200_000}, environment="test", tenant="acme")
    ends = await asyncio.gather(*(box.put(binds) for _ in range(500)), return_exceptions=True)
    refused = [end for end in ends if end is not None]
    assert all(isinstance(end, DatabaseUnavailable) for end in refused)
    async with db.transaction() as tx:
        [[count]] = await tx.execute("SELECT count(*) FROM landbridge.emitted")
    assert 300 < count == 500 - len(refused) < 400
    await box.put(binds)
    await bell.close()
    await db.close()


async def test_wrong_input_is_refused_before_anything_is_awaited(bridge: Landbridge) -> None:
    with pytest.raises(InvalidInput, match="type: 'Wrong'"):
        bridge.emit("Wrong", {}, tenant="acme")
    with pytest.raises(InvalidInput, match="data: it is missing; give a session, a type"):
        bridge.emit(object(), "word.said", tenant="acme")  # type: ignore[call-overload]
    with pytest.raises(InvalidInput, match=r"session: builtins\.str is not known"):
        bridge.emit("word.said", "word.said", {}, tenant="acme")
    with pytest.raises(PayloadTooLarge, match="by_reference=True"):
        bridge.emit("word.said", {"x": "y" * 300_000}, tenant="acme")


async def test_a_bridge_that_is_not_open_emits_in_a_transaction_only(database_url: str) -> None:
    bridge = made(database_url)
    with pytest.raises(SettingsError, match="the bridge is not open"):
        await bridge.emit("word.said", {}, tenant="acme")
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():
        await bridge.emit(connection, "word.said", {}, tenant="acme")
    assert await connection.fetchval("SELECT count(*) FROM landbridge.emitted") == 1
    await connection.close()


# The catalogue of a bridge


async def test_opening_writes_the_catalogue_down_and_only_what_changed(database_url: str) -> None:
    async with made(database_url, SAID) as bridge:
        [first] = await event_types.every(bridge.db)
    assert (first.type, first.description) == ("word.said", "A word was said.")
    assert [each["since"] for each in first.versions] == ["2026-02-01", "2026-01-01"]
    assert first.versions[0]["examples"] == [{"word": "hello"}]
    other = EventType(type="word.heard", description="A word was heard.")
    async with made(database_url, SAID, other) as bridge:
        _, second = await event_types.every(bridge.db)
        assert second == first
        assert await event_types.schedules(bridge.db) == {
            "word.said": (timedelta(seconds=1.5), timedelta(hours=2))
        }
        assert await event_types.sync(bridge.db, bridge.catalogue.stored()) == 0
    async with made(database_url, other) as bridge:
        assert [each.type for each in await event_types.every(bridge.db)] == ["word.heard"]
    async with made(database_url) as bridge:  # as a command has it: without the code
        assert [each.type for each in await event_types.every(bridge.db)] == ["word.heard"]


async def test_two_that_open_at_once_write_it_once(database_url: str) -> None:
    many = [
        EventType(type=f"word.number_{n}", description=f"The word {n} was said.") for n in range(40)
    ]
    bridges = [made(database_url, *order) for order in (many, many[::-1]) * 3]
    await asyncio.gather(*(each.__aenter__() for each in bridges))
    assert len(await event_types.every(bridges[0].db)) == 40
    await asyncio.gather(*(each.__aexit__(None, None, None) for each in bridges))


async def test_events_may_be_declared_until_the_bridge_opens(database_url: str) -> None:
    bridge = made(database_url)
    bridge.declare(SAID)
    with pytest.raises(SpecError, match=r"word\.said: it is declared twice"):
        bridge.declare(SAID)
    async with bridge:
        with pytest.raises(SettingsError, match="declare events before"):
            bridge.declare(EventType(type="word.heard", description="A word was heard."))
        await bridge.emit("word.said", Said(word="yes"), tenant="acme")
        with pytest.raises(InvalidInput, match=r"Did you mean 'word\.said'"):
            bridge.emit("word.sad", {}, tenant="acme")
        async with bridge.transaction() as tx:
            with pytest.raises(InvalidInput, match=r"data\.word: it is int, str is needed"):
                await bridge.emit(tx, "word.said", {"word": 1}, tenant="acme")
        stored = await rows(bridge, "SELECT schema_version, older IS NULL FROM landbridge.emitted")
    assert stored == [(2, False)]


async def test_a_bridge_without_our_tables_says_how_to_make_them(empty_database_url: str) -> None:
    bridge = made(empty_database_url, SAID)
    with pytest.raises(SettingsError, match="landbridge db upgrade"):
        await bridge.__aenter__()
    with pytest.raises(SettingsError, match="the bridge is not open"):
        await bridge.emit("word.said", {"word": "yes"}, tenant="acme")


async def test_our_own_notices_fit_what_is_declared_of_them(bridge: Landbridge) -> None:
    key = Key("test", "acme", "end_1")
    async with bridge.transaction() as tx:
        [[now]] = await tx.execute("SELECT landbridge.now()")
        stands = Health(
            environment="test",
            tenant="acme",
            endpoint="end_1",
            failing_since=now,
            failures=3,
            error="HTTP 500",
            noticed_at=None,
            opened=0,
            open_until=None,
            now=now,
        )
        url = "https://shop.example/hook"
        await notices.failing(tx, stands, url=url, disable_at=now)
        for stood in (stands, None):
            await notices.disabled(
                tx, key, url=url, at=now, reason="it failed", stood=stood, replay_since=now
            )
        found = await tx.execute("SELECT type, payload FROM landbridge.emitted")
    catalogue = Catalogue([SAID])
    for name, payload in found:
        data = msgspec.json.decode(payload)["data"]
        rendered = catalogue.render(name, now, data)
        assert rendered is not None
        assert msgspec.json.decode(rendered.bodies[0][1])["data"] == data
