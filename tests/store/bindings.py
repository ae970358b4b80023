"""Every kind of session that `bind` takes, under one small set of moves, so that tests can play the
same story on each: begin, write, emit, savepoint, back, commit, rollback."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
import psycopg
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as alchemy
from sqlalchemy.pool import NullPool

from landbridge.engine.emit import emit
from landbridge.store.bell import Bell
from landbridge.store.bind import Awaiting, bind
from landbridge.store.database import Database

OWN_TABLE = "CREATE TABLE IF NOT EXISTS own_row (word text NOT NULL)"
_BLOCKING = "DJANGO_ALLOW_ASYNC_UNSAFE"
_WRITE = "INSERT INTO own_row VALUES ('{word}')"


class Session(ABC):
    """One session with a transaction, begun as its users begin it."""

    bound: Any
    """What is handed to `bind`."""
    bell: Bell | None = None
    """What is rung after a commit."""

    async def emit(self, word: str, *, tenant: str = "acme") -> str:
        """Emits an event that carries the word; its id."""
        bound = bind(self.bound, "landbridge", self.bell)
        binds = {"environment": "test", "tenant": tenant}
        if isinstance(bound, Awaiting):
            return await emit(bound, "word.said", {"word": word}, **binds)
        return emit(bound, "word.said", {"word": word}, **binds)

    async def write(self, word: str) -> None:
        """The application's own write."""
        await self.do(_WRITE.format(word=word))

    @abstractmethod
    async def do(self, statement: str) -> None:
        """Runs a statement through the session."""

    @abstractmethod
    async def savepoint(self) -> Callable[[], Any]:
        """Sets a savepoint; what it gives rolls back to it."""

    @abstractmethod
    async def commit(self) -> None:
        """Commits."""

    @abstractmethod
    async def rollback(self) -> None:
        """Rolls back."""


class Ours(Session):
    def __init__(self, tx: Any, transaction: Any):
        self.bound = tx
        self._transaction = transaction

    async def do(self, statement: str) -> None:
        await self.bound.execute(statement)

    async def savepoint(self) -> Callable[[], Any]:
        nested = self.bound.raw.transaction()
        await nested.start()
        back: Callable[[], Any] = nested.rollback
        return back

    async def commit(self) -> None:
        await self._transaction.__aexit__(None, None, None)

    async def rollback(self) -> None:
        error = RuntimeError("undone")
        with suppress(RuntimeError):
            await self._transaction.__aexit__(RuntimeError, error, None)


class Asyncpg(Session):
    def __init__(self, connection: Any, transaction: Any):
        self.bound = connection
        self._transaction = transaction

    async def do(self, statement: str) -> None:
        await self.bound.execute(statement)

    async def savepoint(self) -> Callable[[], Any]:
        nested = self.bound.transaction()
        await nested.start()
        back: Callable[[], Any] = nested.rollback
        return back

    async def commit(self) -> None:
        await self._transaction.commit()

    async def rollback(self) -> None:
        await self._transaction.rollback()


class Psycopg(Session):
    """The connection or, of the same connection, a cursor."""

    def __init__(self, connection: psycopg.Connection[Any], bound: Any):
        self.connection = connection
        self.bound = bound

    async def do(self, statement: str) -> None:
        self.connection.execute(statement.encode())

    async def savepoint(self) -> Callable[[], Any]:
        await self.do("SAVEPOINT here")

        async def back() -> None:
            await self.do("ROLLBACK TO here")

        return back

    async def commit(self) -> None:
        self.connection.commit()

    async def rollback(self) -> None:
        self.connection.rollback()


class PsycopgAsync(Session):
    def __init__(self, connection: psycopg.AsyncConnection[Any], bound: Any):
        self.connection = connection
        self.bound = bound

    async def do(self, statement: str) -> None:
        await self.connection.execute(statement.encode())

    async def savepoint(self) -> Callable[[], Any]:
        await self.do("SAVEPOINT here")

        async def back() -> None:
            await self.do("ROLLBACK TO here")

        return back

    async def commit(self) -> None:
        await self.connection.commit()

    async def rollback(self) -> None:
        await self.connection.rollback()


class Alchemy(Session):
    """A Session or a Connection, as `bound` is one."""

    def __init__(self, bound: Any):
        self.bound = bound

    async def do(self, statement: str) -> None:
        self.bound.execute(sqlalchemy.text(statement))

    async def savepoint(self) -> Callable[[], Any]:
        nested = self.bound.begin_nested()

        async def back() -> None:
            nested.rollback()

        return back

    async def commit(self) -> None:
        self.bound.commit()

    async def rollback(self) -> None:
        self.bound.rollback()


class AlchemyAsync(Session):
    def __init__(self, bound: Any):
        self.bound = bound

    async def do(self, statement: str) -> None:
        await self.bound.execute(sqlalchemy.text(statement))

    async def savepoint(self) -> Callable[[], Any]:
        nested = await self.bound.begin_nested()
        back: Callable[[], Any] = nested.rollback
        return back

    async def commit(self) -> None:
        await self.bound.commit()

    async def rollback(self) -> None:
        await self.bound.rollback()


class Django(Session):
    """`transaction.atomic()` around everything; the bound one is as views know it."""

    def __init__(self, connection: Any, bound: Any, atomic: Callable[[], Any]):
        self.connection = connection
        self.bound = bound
        self._atomic = atomic
        self._outer = atomic()
        self._outer.__enter__()

    async def do(self, statement: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    async def savepoint(self) -> Callable[[], Any]:
        inner = self._atomic()
        inner.__enter__()

        async def back() -> None:
            inner.__exit__(RuntimeError, RuntimeError("undone"), None)

        return back

    async def commit(self) -> None:
        self._outer.__exit__(None, None, None)

    async def rollback(self) -> None:
        self._outer.__exit__(RuntimeError, RuntimeError("undone"), None)


Open = Callable[[str], Any]


@asynccontextmanager
async def _ours(url: str) -> AsyncIterator[Session]:
    database = await Database.open(url, budget=2, pgbouncer=True)  # right with and without one
    transaction = database.transaction()
    yield Ours(await transaction.__aenter__(), transaction)
    await database.close()


@asynccontextmanager
async def _asyncpg(url: str) -> AsyncIterator[Session]:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    transaction = connection.transaction()
    await transaction.start()
    yield Asyncpg(connection, transaction)
    await connection.close()


@asynccontextmanager
async def _asyncpg_pool(url: str) -> AsyncIterator[Session]:
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=2, statement_cache_size=0) as pool,
        pool.acquire() as connection,
    ):
        transaction = connection.transaction()
        await transaction.start()
        yield Asyncpg(connection, transaction)


@asynccontextmanager
async def _psycopg(url: str) -> AsyncIterator[Session]:
    with psycopg.connect(url, prepare_threshold=None) as connection:
        yield Psycopg(connection, connection)


@asynccontextmanager
async def _psycopg_cursor(url: str) -> AsyncIterator[Session]:
    with psycopg.connect(url, prepare_threshold=None) as connection, connection.cursor() as cursor:
        yield Psycopg(connection, cursor)


@asynccontextmanager
async def _psycopg_async(url: str) -> AsyncIterator[Session]:
    async with await psycopg.AsyncConnection.connect(url, prepare_threshold=None) as connection:
        yield PsycopgAsync(connection, connection)


@asynccontextmanager
async def _psycopg_async_cursor(url: str) -> AsyncIterator[Session]:
    async with (
        await psycopg.AsyncConnection.connect(url, prepare_threshold=None) as connection,
        connection.cursor() as cursor,
    ):
        yield PsycopgAsync(connection, cursor)


def engine(url: str, **options: Any) -> sqlalchemy.Engine:
    """A blocking engine over psycopg."""
    return sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, prepare_threshold=None),
        poolclass=NullPool,
        **options,
    )


def async_engine(url: str, **options: Any) -> alchemy.AsyncEngine:
    """An async engine over asyncpg."""

    async def connect() -> Any:
        return await asyncpg.connect(url, statement_cache_size=0)

    return alchemy.create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, poolclass=NullPool, **options
    )


@asynccontextmanager
async def _session(url: str) -> AsyncIterator[Session]:
    with orm.Session(engine(url)) as session:
        yield Alchemy(session)


@asynccontextmanager
async def _scoped_session(url: str) -> AsyncIterator[Session]:
    registry = orm.scoped_session(orm.sessionmaker(engine(url)))
    yield Alchemy(registry)
    registry.remove()


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[Session]:
    with engine(url).connect() as connection:
        yield Alchemy(connection)


@asynccontextmanager
async def _async_session(url: str) -> AsyncIterator[Session]:
    async with alchemy.AsyncSession(async_engine(url)) as session:
        yield AlchemyAsync(session)


@asynccontextmanager
async def _async_connection(url: str) -> AsyncIterator[Session]:
    async with async_engine(url).connect() as connection:
        yield AlchemyAsync(connection)


@asynccontextmanager
async def django_connection(url: str) -> AsyncIterator[Any]:
    """Django's default connection, leading to this database."""
    import django.conf
    import django.db

    if not django.conf.settings.configured:
        django.conf.settings.configure(USE_TZ=True, DATABASES={})
        django.setup()
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    handler = django.db.utils.ConnectionHandler(
        {
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path.removeprefix("/"),
                "USER": unquote(parts.username or ""),
                "PASSWORD": unquote(parts.password or ""),
                "HOST": query.get("host", [parts.hostname])[0],
                "PORT": query.get("port", [parts.port])[0],
            }
        }
    )
    connection = handler["default"]
    django.db.connections["default"] = connection
    os.environ[_BLOCKING] = "1"  # these tests have an event loop, Django's users mostly have none
    try:
        yield connection
    finally:
        connection.close()
        del os.environ[_BLOCKING]


@asynccontextmanager
async def _django(url: str) -> AsyncIterator[Session]:
    import django.db
    from django.db.transaction import atomic

    async with django_connection(url) as connection:
        yield Django(connection, django.db.connection, atomic)


@asynccontextmanager
async def _django_cursor(url: str) -> AsyncIterator[Session]:
    from django.db.transaction import atomic

    async with django_connection(url) as connection:
        yield Django(connection, connection.cursor(), atomic)


BINDINGS: dict[str, Open] = {
    "ours": _ours,
    "asyncpg": _asyncpg,
    "asyncpg pool": _asyncpg_pool,
    "psycopg": _psycopg,
    "psycopg cursor": _psycopg_cursor,
    "psycopg async": _psycopg_async,
    "psycopg async cursor": _psycopg_async_cursor,
    "sqlalchemy session": _session,
    "sqlalchemy scoped_session": _scoped_session,
    "sqlalchemy connection": _connection,
    "sqlalchemy async session": _async_session,
    "sqlalchemy async connection": _async_connection,
    "django": _django,
    "django cursor": _django_cursor,
}
