"""Runs our statements in a caller's own transaction, whatever it speaks to Postgres with.

A session is known by the module its class comes from, so that nothing is imported that the caller
does not use. A statement goes through the session itself, never through the driver's connection
beneath it: SQLAlchemy begins lazily, and what passed it by would not be rolled back with the rest.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg

from landbridge.errors import InvalidInput
from landbridge.store import commits
from landbridge.store.bell import Bell
from landbridge.store.database import Tx
from landbridge.store.sql import Sql

if TYPE_CHECKING:
    from sqlalchemy import Connection as SyncConnection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session

R = TypeVar("R")

_BIND = re.compile(r"\$(\d+)")

_ONES = (
    "an asyncpg connection, a psycopg 3 connection or cursor, an SQLAlchemy Session, Connection,"
    " AsyncSession or AsyncConnection, a Django connection, or the tx of bridge.transaction()"
)

# Takes none of these: they hold no transaction themselves, only others that do.
_POOLS = {
    "asyncpg.pool.Pool": "async with pool.acquire() as connection, connection.transaction():",
    "psycopg_pool.pool.ConnectionPool": "with pool.connection() as connection:",
    "psycopg_pool.pool_async.AsyncConnectionPool": "async with pool.connection() as connection:",
    "sqlalchemy.engine.base.Engine": "with engine.begin() as connection:",
    "sqlalchemy.ext.asyncio.engine.AsyncEngine": "async with engine.begin() as connection:",
    "sqlalchemy.orm.session.sessionmaker": "with Session.begin() as session:",
    "sqlalchemy.ext.asyncio.session.async_sessionmaker": "async with Session.begin() as session:",
}


@dataclass(frozen=True, slots=True)
class Blocking:
    """A session of a blocking driver, bound: a statement runs when it is asked for."""

    _run: Callable[[Sql, dict[str, Any]], None]

    def execute(self, statement: Sql, binds: dict[str, Any], result: R) -> R:
        """Runs a writing statement in the session's transaction, and gives `result` back."""
        self._run(statement, binds)
        return result


@dataclass(frozen=True, slots=True)
class Awaiting:
    """A session of an async driver, bound: a statement runs when it is awaited."""

    _run: Callable[[Sql, dict[str, Any]], Awaitable[None]]

    async def execute(self, statement: Sql, binds: dict[str, Any], result: R) -> R:
        """Runs a writing statement in the session's transaction, and gives `result` back."""
        await self._run(statement, binds)
        return result


Bound = Blocking | Awaiting
Kind: TypeAlias = Callable[[Any, str, "Bell | None"], Bound]

# What a type checker knows of the sessions whose packages come with ours.
AsyncBound: TypeAlias = "Tx | AsyncSession | AsyncConnection"
BlockingBound: TypeAlias = "Session | SyncConnection"


def bind(session: Any, schema: str, bell: Bell | None = None) -> Bound:
    """The session with an `execute` for our statements, in its own transaction.

    The session must be in a transaction, or be of a kind that begins one by itself; else the
    statement raises InvalidInput: it would be committed at once, whatever becomes of the rest. So
    does a session that is closed. `schema` is the installation's; a Tx of ours knows its own.

    `bell` is rung once the transaction of an SQLAlchemy or Django session is committed; drivers do
    not tell of commits, and a Tx of ours is marked for whoever commits it.
    """
    if isinstance(session, Tx):
        return _ours(session, bell)
    names = [f"{each.__module__}.{each.__qualname__}" for each in type(session).__mro__]
    for name in names:
        if name in _KINDS:
            return _KINDS[name](session, schema, bell)
        if name in _POOLS:
            raise InvalidInput(f"session: {name} holds no transaction; use {_POOLS[name]}")
    raise InvalidInput(f"session: {names[0]} is not known; give {_ONES}")


def _ours(tx: Tx, bell: Bell | None) -> Awaiting:
    async def run(statement: Sql, binds: dict[str, Any]) -> None:
        _check_asyncpg(tx.driver)
        await tx.run(statement, **binds)
        tx.wakes.add("" if bell is None else bell.what)

    return Awaiting(run)


def _asyncpg(connection: Any, schema: str, _bell: Bell | None) -> Awaiting:
    async def run(statement: Sql, binds: dict[str, Any]) -> None:
        _check_asyncpg(connection)
        await connection.execute(statement.render(schema), *statement.arguments(binds))

    return Awaiting(run)


def _check_asyncpg(connection: Any) -> None:
    try:
        closed, begun = connection.is_closed(), connection.is_in_transaction()
    except asyncpg.InterfaceError:  # it went back to its pool
        raise _closed("asyncpg connection") from None
    if closed:
        raise _closed("asyncpg connection")
    if not begun:
        raise _autocommit("async with connection.transaction():")


def _psycopg(connection: Any, schema: str, _bell: Bell | None) -> Blocking:
    def run(statement: Sql, binds: dict[str, Any]) -> None:
        _check_psycopg(connection, "with connection.transaction():")
        with sys.modules["psycopg"].RawCursor(connection) as cursor:
            cursor.execute(statement.render(schema), statement.arguments(binds))

    return Blocking(run)


def _psycopg_async(connection: Any, schema: str, _bell: Bell | None) -> Awaiting:
    async def run(statement: Sql, binds: dict[str, Any]) -> None:
        _check_psycopg(connection, "async with connection.transaction():")
        async with sys.modules["psycopg"].AsyncRawCursor(connection) as cursor:
            await cursor.execute(statement.render(schema), statement.arguments(binds))

    return Awaiting(run)


def _check_psycopg(connection: Any, way_out: str) -> None:
    if connection.closed:
        raise _closed("psycopg connection")
    idle = connection.info.transaction_status.name == "IDLE"
    if connection.autocommit and idle:
        raise _autocommit(way_out)


def _cursor(kind: Kind) -> Kind:
    def bound(cursor: Any, schema: str, bell: Bell | None) -> Bound:
        if cursor.closed:
            raise _closed("psycopg cursor")
        return kind(cursor.connection, schema, bell)

    return bound


def _alchemy_session(session: Any, schema: str, bell: Bell | None) -> Blocking:
    def run(statement: Sql, binds: dict[str, Any]) -> None:
        connection = session.connection()
        _check_alchemy(connection)
        execute = sys.modules["sqlalchemy.orm"].Session.execute  # SQLModel's own warns of its use
        execute(session, *_alchemy(statement, binds, schema))
        if bell is not None:
            commits.wrote(connection, bell)

    return Blocking(run)


def _alchemy_connection(connection: Any, schema: str, bell: Bell | None) -> Blocking:
    def run(statement: Sql, binds: dict[str, Any]) -> None:
        _check_alchemy(connection)
        connection.execute(*_alchemy(statement, binds, schema))
        if bell is not None:
            commits.wrote(connection, bell)

    return Blocking(run)


def _alchemy_async(
    kind: Callable[[Any, str, Bell | None], Blocking],
) -> Callable[[Any, str, Bell | None], Awaiting]:
    def bound(session: Any, schema: str, bell: Bell | None) -> Awaiting:
        async def run(statement: Sql, binds: dict[str, Any]) -> None:
            def within(beneath: Any) -> None:
                kind(beneath, schema, bell).execute(statement, binds, None)

            await session.run_sync(within)

        return Awaiting(run)

    return bound


def _alchemy_scoped(registry: Any, schema: str, bell: Bell | None) -> Bound:
    return bind(registry(), schema, bell)


def _check_alchemy(connection: Any) -> None:
    if connection.closed:
        raise _closed("SQLAlchemy connection")
    if connection.dialect.name != "postgresql":
        raise InvalidInput(
            f"session: it speaks to {connection.dialect.name}; our tables are in Postgres, bind a"
            " session of that database"
        )
    beneath = connection.connection.dbapi_connection
    if connection.dialect.detect_autocommit_setting(beneath):
        raise _autocommit("an engine or connection without isolation_level='AUTOCOMMIT'")


def _alchemy(statement: Sql, binds: dict[str, Any], schema: str) -> tuple[Any, dict[str, Any]]:
    text = _BIND.sub(r":p\1", statement.render(schema).replace(":", "\\:"))
    return sys.modules["sqlalchemy"].text(text), _numbered(statement, binds)


def _django(connection: Any, schema: str, bell: Bell | None) -> Blocking:
    def run(statement: Sql, binds: dict[str, Any]) -> None:
        if connection.vendor != "postgresql":
            raise InvalidInput(
                f"session: {connection.alias!r} is a {connection.vendor} database; our tables are"
                " in Postgres, give django.db.connections[...] of that one"
            )
        if connection.get_autocommit():
            raise _autocommit("with transaction.atomic():")
        text = _BIND.sub(r"%(p\1)s", statement.render(schema).replace("%", "%%"))
        with connection.cursor() as cursor:
            cursor.execute(text, _numbered(statement, binds))
        if bell is not None and connection.in_atomic_block:
            connection.on_commit(bell.ring)

    return Blocking(run)


def _django_cursor(cursor: Any, schema: str, bell: Bell | None) -> Blocking:
    return _django(cursor.db, schema, bell)


def _numbered(statement: Sql, binds: dict[str, Any]) -> dict[str, Any]:
    return {f"p{place}": value for place, value in enumerate(statement.arguments(binds), 1)}


def _closed(what: str) -> InvalidInput:
    return InvalidInput(f"session: this {what} is closed; give one that is in use")


def _autocommit(way_out: str) -> InvalidInput:
    return InvalidInput(
        "session: it is not in a transaction, so this would be committed at once and stay even if"
        f" your own work is undone; use {way_out}"
    )


_KINDS: dict[str, Kind] = {
    "asyncpg.connection.Connection": _asyncpg,
    "asyncpg.pool.PoolConnectionProxy": _asyncpg,
    "psycopg.Connection": _psycopg,
    "psycopg.AsyncConnection": _psycopg_async,
    "psycopg.Cursor": _cursor(_psycopg),
    "psycopg.RawCursor": _cursor(_psycopg),
    "psycopg.AsyncCursor": _cursor(_psycopg_async),
    "psycopg.AsyncRawCursor": _cursor(_psycopg_async),
    "sqlalchemy.orm.session.Session": _alchemy_session,
    "sqlalchemy.engine.base.Connection": _alchemy_connection,
    "sqlalchemy.ext.asyncio.session.AsyncSession": _alchemy_async(_alchemy_session),
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": _alchemy_async(_alchemy_connection),
    "sqlalchemy.orm.scoping.scoped_session": _alchemy_scoped,
    "sqlalchemy.ext.asyncio.scoping.async_scoped_session": _alchemy_scoped,
    "django.db.backends.base.base.BaseDatabaseWrapper": _django,
    "django.utils.connection.ConnectionProxy": _django,
    "django.db.backends.utils.CursorWrapper": _django_cursor,
}
