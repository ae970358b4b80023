"""Workers are woken after a commit and only then, whatever the caller speaks to Postgres with."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as alchemy

from landbridge.engine.emit import emit
from landbridge.store.bell import Bell
from landbridge.store.bind import Awaiting, bind
from landbridge.store.database import Database
from tests.store.bindings import BINDINGS, Open, Session, async_engine, django_connection, engine

TELLING = [name for name in BINDINGS if name.startswith(("sqlalchemy", "django"))]
SILENT = ["asyncpg", "psycopg", "psycopg async"]
CHANNEL = "landbridge_wake"
MARK = "here"


@dataclass
class Listener:
    """Counts the wake-ups that a listener of its own hears."""

    connection: asyncpg.Connection
    heard: list[str]

    async def count(self) -> int:
        """How many came up to now: a notification of our own marks the end."""
        await asyncio.sleep(0.1)
        await self.connection.execute(f"SELECT pg_notify('{CHANNEL}', '{MARK}')")
        await self.until(lambda: MARK in self.heard)
        self.heard.remove(MARK)
        return len(self.heard)

    async def one(self) -> int:
        """How many came, after waiting for the first."""
        await self.until(lambda: bool(self.heard))
        return await self.count()

    async def until(self, came: Callable[[], bool]) -> None:
        """Returns as soon as it came."""
        for _ in range(2000):
            if came():
                return
            await asyncio.sleep(0.005)
        raise TimeoutError(f"only {self.heard} came")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url, budget=2)
    yield database
    await database.close()


@pytest.fixture
async def listener(database_url: str) -> AsyncIterator[Listener]:
    connection = await asyncpg.connect(database_url)
    heard: list[str] = []
    await connection.add_listener(CHANNEL, lambda *call: heard.append(str(call[-1])))
    yield Listener(connection, heard)
    await connection.close()


@pytest.fixture
async def bell(db: Database) -> AsyncIterator[Bell]:
    made = Bell(db)
    yield made
    await made.close()


@pytest.fixture(params=TELLING)
def opened(request: pytest.FixtureRequest, bell: Bell) -> Callable[[str], Any]:
    return _ringing(BINDINGS[request.param], bell)


def _ringing(opening: Open, bell: Bell) -> Callable[[str], Any]:
    class Opened:
        def __init__(self, url: str):
            self._inner = opening(url)

        async def __aenter__(self) -> Session:
            session: Session = await self._inner.__aenter__()
            session.bell = bell
            return session

        async def __aexit__(self, *error: object) -> None:
            await self._inner.__aexit__(*error)

    return Opened


async def test_a_committed_emit_wakes_once(
    database_url: str, opened: Callable[[str], Any], listener: Listener
) -> None:
    async with opened(database_url) as session:
        for _ in range(20):
            await session.emit("said")
        assert await listener.count() == 0
        await session.commit()
        assert await listener.one() == 1


async def test_a_rolled_back_one_does_not(
    database_url: str, opened: Callable[[str], Any], listener: Listener
) -> None:
    async with opened(database_url) as session:
        await session.emit("said")
        await session.rollback()
        assert await listener.count() == 0


async def test_nor_one_of_which_only_a_savepoint_was_rolled_back(
    database_url: str, opened: Callable[[str], Any], listener: Listener
) -> None:
    async with opened(database_url) as session:
        await session.do("SELECT 1")
        back = await session.savepoint()
        await session.emit("inside")
        await back()
        await session.commit()
        assert await listener.count() == 0


async def test_what_was_emitted_around_a_savepoint_that_is_rolled_back_wakes(
    database_url: str, opened: Callable[[str], Any], listener: Listener
) -> None:
    async with opened(database_url) as session:
        await session.emit("before")
        back = await session.savepoint()
        await session.emit("inside")
        await back()
        assert await listener.count() == 0
        await session.commit()
        assert await listener.one() == 1


@pytest.mark.parametrize("name", SILENT)
async def test_bare_drivers_do_not_tell(
    database_url: str, name: str, bell: Bell, listener: Listener
) -> None:
    """Which is why polling stands behind the wake-up."""
    async with _ringing(BINDINGS[name], bell)(database_url) as session:
        await session.emit("said")
        await session.commit()
        assert await listener.count() == 0


def _said(session: Any, bell: Bell) -> None:
    bound = bind(session, "landbridge", bell)
    assert not isinstance(bound, Awaiting)
    emit(bound, "word.said", {}, environment="test", tenant="acme")


async def _awaited(session: Any, bell: Bell) -> None:
    bound = bind(session, "landbridge", bell)
    assert isinstance(bound, Awaiting)
    await emit(bound, "word.said", {}, environment="test", tenant="acme")


async def test_a_savepoint_that_is_released_does_not_wake_yet(
    database_url: str, bell: Bell, listener: Listener
) -> None:
    with orm.Session(engine(database_url)) as session:
        with session.begin_nested():
            _said(session, bell)
        assert await listener.count() == 0
        session.commit()
        assert await listener.one() == 1


async def test_a_savepoint_in_a_savepoint_that_is_rolled_back_takes_all_with_it(
    database_url: str, bell: Bell, listener: Listener
) -> None:
    with engine(database_url).connect() as connection:
        connection.begin()
        outer = connection.begin_nested()
        _said(connection, bell)
        with connection.begin_nested():
            _said(connection, bell)
        outer.rollback()
        connection.commit()
        assert await listener.count() == 0
        _said(connection, bell)
        connection.commit()
        assert await listener.one() == 1


async def test_a_session_within_a_transaction_of_somebody_else_wakes_when_that_commits(
    database_url: str, bell: Bell, listener: Listener
) -> None:
    with engine(database_url).connect() as connection, connection.begin() as outside:
        session = orm.Session(connection, join_transaction_mode="create_savepoint")
        _said(session, bell)
        session.commit()
        session.close()
        assert await listener.count() == 0
        outside.commit()
        assert await listener.one() == 1


async def test_the_transaction_after_one_that_emitted_does_not_wake(
    database_url: str, bell: Bell, listener: Listener
) -> None:
    async with async_engine(database_url).connect() as connection:
        await _awaited(connection, bell)
        await connection.commit()
        assert await listener.one() == 1
        await connection.execute(sqlalchemy.text("SELECT 1"))
        await connection.commit()
        assert await listener.count() == 1


async def test_a_pooled_connection_rings_for_each_of_its_sessions(
    database_url: str, bell: Bell, listener: Listener
) -> None:
    made = alchemy.create_async_engine(
        database_url.replace("postgresql://", "postgresql+asyncpg://", 1),
        pool_size=1,
    )
    for number in range(1, 4):
        async with alchemy.AsyncSession(made) as session, session.begin():
            await _awaited(session, bell)
        await listener.until(lambda wanted=number: len(listener.heard) == wanted)  # type: ignore[misc]
    assert await listener.count() == 3
    await made.dispose()


async def test_a_connection_that_was_forgotten_goes_back_to_its_pool(
    database_url: str, bell: Bell
) -> None:
    made = sqlalchemy.create_engine(
        database_url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=1
    )
    connection = made.connect()
    _said(connection, bell)
    connection.commit()
    await asyncio.sleep(0.01)  # the bell has looked whether the commit is over
    del connection
    gc.collect()
    assert made.pool.checkedout() == 0  # type: ignore[attr-defined]
    made.dispose()


async def test_a_session_in_another_thread_rings_the_bell_of_our_loop(
    database_url: str, bell: Bell, listener: Listener
) -> None:
    def elsewhere() -> None:
        with orm.Session(engine(database_url)) as session:
            _said(session, bell)
            session.commit()

    await asyncio.to_thread(elsewhere)
    assert await listener.one() == 1


async def test_django_without_atomic_is_left_to_polling(
    database_url: str, bell: Bell, listener: Listener
) -> None:
    async with django_connection(database_url) as connection:
        connection.set_autocommit(False)
        _said(connection, bell)
        connection.commit()
        connection.set_autocommit(True)
        assert await listener.count() == 0


class Slow(Database):
    """A database whose NOTIFY takes as long as it is told."""

    def __init__(self, begun: Callable[[], Awaitable[None]]):
        self._begun = begun

    async def notify(self, what: str = "") -> None:
        await self._begun()


async def test_one_notification_is_under_way_and_one_follows() -> None:
    notified = 0
    go = asyncio.Event()

    async def begun() -> None:
        nonlocal notified
        notified += 1
        await go.wait()

    bell = Bell(Slow(begun))
    for _ in range(100):
        bell.ring()
    await asyncio.sleep(0.01)
    assert notified == 1
    for _ in range(100):
        bell.ring()
        await asyncio.sleep(0)
    assert notified == 1
    go.set()
    await bell.close()
    assert notified == 2


async def test_a_bell_whose_loop_is_closed_stays_silent(db: Database) -> None:
    made: list[Bell] = []

    async def make() -> None:
        made.append(Bell(db))

    await asyncio.to_thread(lambda: asyncio.run(make()))
    made[0].ring()
    made[0].ring_after(lambda: True)


async def test_a_bell_without_a_database_stays_silent(database_url: str) -> None:
    database = await Database.open(database_url, budget=1)
    bell = Bell(database)
    await database.close()
    bell.ring()
    await asyncio.sleep(0.01)
    await bell.close()
