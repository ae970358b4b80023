"""One pool of Postgres connections for a process, and transactions that our statements run in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from landbridge.errors import DatabaseUnavailable, SettingsError
from landbridge.store.session import session
from landbridge.store.sql import Sql, checked_schema

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

Row = asyncpg.Record

_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.QueryCanceledError,
    TimeoutError,
)


# A plan made while a queue was empty reads the whole table once it holds a million rows. So plans
# are made anew each time, or, where that costs more than the statement, may use indexes only.
_UNPLANNED = {"plan_cache_mode": "force_custom_plan"}
_PLANNED = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}

_BEGIN_PLANNED = "".join(
    ["BEGIN;", *(f" SET LOCAL {name} = {value};" for name, value in _PLANNED.items())]
)


DISPATCH = "dispatch"
"""Events were emitted: they are to be moved on."""

DELIVER = "deliver"
"""Deliveries became due."""

_NOTIFY = Sql(
    "database.notify",
    """
    SELECT set_config('synchronous_commit', 'off', true), pg_notify(:channel, :what)
    """,
    across="A notification names no tenant.",
)


class Tx:
    """One open transaction of ours. Everything it writes is committed or undone together."""

    __slots__ = ("_connection", "_schema", "foreign", "wakes")

    def __init__(self, connection: Any, schema: str):
        self._connection = connection
        self._schema = schema
        self.wakes: set[str] = set()
        """Who should be woken once this is committed, see `Database.notify`."""
        self.foreign = False
        """Whether statements that are not ours may have run, which may leave settings behind."""

    @property
    def driver(self) -> Any:
        """The driver's own connection, to look at and not to use."""
        return self._connection

    @property
    def raw(self) -> Any:
        """The driver's own connection, for the user's statements."""
        self.foreign = True
        return self._connection

    def session(self) -> AbstractAsyncContextManager[AsyncSession]:
        """An SQLAlchemy AsyncSession in this transaction: `async with tx.session() as session:`.

        What it writes is committed or undone together with everything else here; it is flushed at
        the end of its block. Its commit ends a savepoint only.
        """
        self.foreign = True
        return session(self._connection)

    async def fetch(self, statement: Sql, **binds: Any) -> list[Row]:
        """All rows of a statement."""
        rows: list[Row] = await self._connection.fetch(
            statement.render(self._schema), *statement.arguments(binds)
        )
        return rows

    async def row(self, statement: Sql, **binds: Any) -> Row | None:
        """The first row, or None."""
        row: Row | None = await self._connection.fetchrow(
            statement.render(self._schema), *statement.arguments(binds)
        )
        return row

    async def value(self, statement: Sql, **binds: Any) -> Any:
        """The first column of the first row, or None."""
        return await self._connection.fetchval(
            statement.render(self._schema), *statement.arguments(binds)
        )

    async def run(self, statement: Sql, **binds: Any) -> int:
        """How many rows a writing statement touched."""
        tag: str = await self._connection.execute(
            statement.render(self._schema), *statement.arguments(binds)
        )
        last = tag.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    async def execute(self, sql: str, *arguments: Any) -> Sequence[Row]:
        """Runs the user's own SQL (`$1` binds) in this transaction; its rows, if it gives any."""
        self.foreign = True
        rows: list[Row] = await self._connection.fetch(sql, *arguments)
        return rows


class Database:
    """The pool. `budget` is the most connections it will ever hold; `listener` adds its own."""

    def __init__(self, pool: asyncpg.Pool, *, url: str, direct_url: str, schema: str, pooled: bool):
        self._pool = pool
        self._url = url
        self._direct_url = direct_url
        self._pooled = pooled
        self.schema = schema

    def __repr__(self) -> str:
        return f"Database(schema={self.schema})"

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        schema: str = "landbridge",
        direct_url: str = "",
        budget: int = 10,
        pgbouncer: bool = False,
        offset: str = "",
        planned: bool = False,
    ) -> Database:
        """A pool on `url`; DatabaseUnavailable when nobody answers there.

        `pgbouncer` keeps no prepared statement and no session state, so that a pooler in
        transaction mode may stand between; `direct_url` then leads past it, for LISTEN.
        `offset` moves the database's clock (`landbridge.now()`), for tests.

        `planned` is for the few statements that run all the time: they are planned once per
        connection, and their tables are only ever read through an index.
        """
        checked_schema(schema)
        settings = {"application_name": "landbridge", **(_PLANNED if planned else _UNPLANNED)}
        if offset:
            settings["landbridge.clock_offset"] = offset
        with unavailable(), addressed():
            pool = await asyncpg.create_pool(
                url,
                min_size=0 if pgbouncer else 1,
                max_size=budget,
                statement_cache_size=0 if pgbouncer else 100,
                server_settings=None if pgbouncer else settings,
                command_timeout=60,
                timeout=10,
                reset=_nothing,
            )
        return cls(pool, url=url, direct_url=direct_url or url, schema=schema, pooled=pgbouncer)

    async def close(self) -> None:
        """Gives all connections back; running statements get five seconds to end."""
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def transaction(self, *, planned: bool = False) -> AsyncIterator[Tx]:
        """A transaction: committed at the end of the block, undone when the block raises.

        `planned`: its statements are planned once per connection, as those of `open` are. It is for
        statements that run often and are told by their keys what to read.
        """
        with unavailable():
            with addressed():
                connection = await self._pool.acquire()
            tx = Tx(connection, self.schema)
            try:
                async with _planned(connection) if planned else connection.transaction():
                    yield tx
            finally:
                if tx.foreign and not self._pooled:
                    await _cleaned(connection)
                await self._pool.release(connection)

    @asynccontextmanager
    async def _statement(self) -> AsyncIterator[Tx]:
        """One statement on its own; behind a pooler that needs a transaction around it."""
        if self._pooled:
            async with self.transaction() as tx:
                yield tx
            return
        with unavailable():
            async with self._pool.acquire() as connection:
                yield Tx(connection, self.schema)

    async def fetch(self, statement: Sql, **binds: Any) -> list[Row]:
        """All rows of one statement, in a transaction of its own."""
        async with self._statement() as tx:
            return await tx.fetch(statement, **binds)

    async def row(self, statement: Sql, **binds: Any) -> Row | None:
        """The first row, or None."""
        async with self._statement() as tx:
            return await tx.row(statement, **binds)

    async def value(self, statement: Sql, **binds: Any) -> Any:
        """The first column of the first row, or None."""
        async with self._statement() as tx:
            return await tx.value(statement, **binds)

    async def run(self, statement: Sql, **binds: Any) -> int:
        """How many rows a writing statement touched."""
        async with self._statement() as tx:
            return await tx.run(statement, **binds)

    @property
    def listens(self) -> bool:
        """Whether a LISTEN of ours hears anything: not through a pooler in transaction mode."""
        return not self._pooled or self._direct_url != self._url

    async def listener(self) -> asyncpg.Connection:
        """A connection of its own for LISTEN, past any pooler."""
        with unavailable(), addressed():
            return await asyncpg.connect(self._direct_url, timeout=10)

    async def notify(self, what: str = "") -> None:
        """Wakes whoever listens; outside any transaction, so it never holds a commit up.

        `what` says for whom: `DISPATCH`, `DELIVER`, or "" for everyone. Its commit waits for no
        disk: nobody waits for what a crash of the server would lose.
        """
        async with self._statement() as tx:
            await tx.row(_NOTIFY, channel=f"{self.schema}_wake", what=what)


@asynccontextmanager
async def _planned(connection: Any) -> AsyncIterator[None]:
    """A transaction with settings of its own, which begins in one round trip."""
    await connection.execute(_BEGIN_PLANNED)
    try:
        yield
    except BaseException:
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


async def _nothing(_connection: Any) -> None:
    """Leaves the connection as it is: our own statements leave nothing behind, and behind a pooler
    a reset would hit another session."""


async def _cleaned(connection: Any) -> None:
    """Takes back what foreign statements may have set; a connection that cannot is ended."""
    try:
        await connection.reset(timeout=10)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()


@contextmanager
def addressed() -> Iterator[None]:
    """Turns a misshapen address into SettingsError, without showing its password."""
    try:
        yield
    except (ValueError, OverflowError):
        raise SettingsError(
            "LANDBRIDGE_DATABASE_URL: not an address such as"
            " postgresql://user:password@host:5432/database"
        ) from None


@contextmanager
def unavailable() -> Iterator[None]:
    """Turns the driver's ways of saying "no database" into our errors.

    DatabaseUnavailable while the server is away, SettingsError when it is not the right one.
    """
    try:
        yield
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidPasswordError):
        raise SettingsError(
            "LANDBRIDGE_DATABASE_URL: the server refuses this user or password; check both"
        ) from None
    except asyncpg.InvalidCatalogNameError as error:
        raise SettingsError(
            f"LANDBRIDGE_DATABASE_URL: {error}; create it with CREATE DATABASE"
        ) from None
    except asyncpg.UndefinedTableError as error:
        raise SettingsError(
            f"the database lacks our tables ({error}); run: landbridge db upgrade"
        ) from error
    except asyncpg.InvalidSchemaNameError as error:
        raise SettingsError(
            f"the database lacks our schema ({error}); run: landbridge db upgrade"
        ) from error
    except asyncpg.InterfaceError as error:
        if not any(word in str(error) for word in ("closed", "closing", "released")):
            raise
        raise DatabaseUnavailable("the connection to Postgres broke; try again") from error
    except _AWAY as error:
        text = str(error) or type(error).__name__
        raise DatabaseUnavailable(
            f"Postgres does not answer ({text}); check LANDBRIDGE_DATABASE_URL and the server"
        ) from error
