"""An emit is part of the caller's transaction, whatever the caller speaks to Postgres with."""

from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as alchemy

from landbridge.errors import InvalidInput
from landbridge.store.bind import Awaiting, Blocking, bind
from landbridge.store.database import Database
from landbridge.store.embedded import Attached
from landbridge.store.outbox import insert_event
from landbridge.store.sql import Sql
from tests.store.bindings import (
    BINDINGS,
    OWN_TABLE,
    Open,
    async_engine,
    django_connection,
    engine,
)
from tests.store.databases import fresh_database, migrated_template

STATEMENT, BINDS = insert_event(
    environment="test",
    tenant="acme",
    id="evt_1",
    type="a.b",
    schema_version=1,
    content_type="application/json",
    idempotency_key=None,
    ordering_key=None,
    subject=None,
    payload=b"{}",
)


@pytest.fixture(scope="module")
def shared_url(postgres: Attached) -> Iterator[str]:
    """One database for the module: what its tests leave behind is removed one by one."""
    with fresh_database(postgres.dsn, migrated_template(postgres.dsn)) as url:
        with psycopg.connect(url) as connection:
            connection.execute(OWN_TABLE)
        yield url


@pytest.fixture
def reader(shared_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shared_url, autocommit=True) as connection:
        connection.execute("TRUNCATE own_row, landbridge.emitted, landbridge.parked")
        yield connection


@pytest.fixture
def url(shared_url: str, reader: psycopg.Connection[Any]) -> str:
    del reader  # it has emptied the tables
    return shared_url


@pytest.fixture(params=list(BINDINGS))
def opened(request: pytest.FixtureRequest) -> Open:
    return BINDINGS[request.param]


def _words(reader: psycopg.Connection[Any]) -> tuple[list[str], list[str]]:
    """The words that were emitted and those that the application wrote."""
    emitted = reader.execute(
        "SELECT convert_from(payload, 'UTF8')::json->'data'->>'word'"
        " FROM landbridge.emitted ORDER BY place"
    )
    own = reader.execute("SELECT word FROM own_row")
    return [row[0] for row in emitted], [row[0] for row in own]


async def test_what_is_committed_is_emitted(
    url: str, reader: psycopg.Connection[Any], opened: Open
) -> None:
    async with opened(url) as session:
        await session.write("own")
        event = await session.emit("said")
        assert _words(reader) == ([], [])
        await session.commit()
    assert _words(reader) == (["said"], ["own"])
    found = reader.execute("SELECT id, type, content_type, tenant FROM landbridge.emitted")
    assert found.fetchall() == [(event, "word.said", "application/json", "acme")]


async def test_what_is_rolled_back_is_not(
    url: str, reader: psycopg.Connection[Any], opened: Open
) -> None:
    async with opened(url) as session:
        await session.write("own")
        await session.emit("said")
        await session.rollback()
    assert _words(reader) == ([], [])


async def test_an_emit_as_the_very_first_statement_is_rolled_back(
    url: str, reader: psycopg.Connection[Any], opened: Open
) -> None:
    async with opened(url) as session:
        await session.emit("said")
        await session.write("own")
        await session.rollback()
    assert _words(reader) == ([], [])


async def test_an_emit_alone_is_committed(
    url: str, reader: psycopg.Connection[Any], opened: Open
) -> None:
    async with opened(url) as session:
        await session.emit("said")
        await session.commit()
    assert _words(reader) == (["said"], [])


async def test_a_savepoint_takes_back_its_part_only(
    url: str, reader: psycopg.Connection[Any], opened: Open
) -> None:
    async with opened(url) as session:
        await session.emit("before")
        back = await session.savepoint()
        await session.write("inside")
        await session.emit("inside")
        await back()
        await session.emit("after")
        await session.commit()
    assert _words(reader) == (["before", "after"], [])


async def test_blocking_sessions_execute_at_once_and_async_ones_are_awaited(url: str) -> None:
    with psycopg.connect(url) as connection:
        bound = bind(connection, "landbridge")
        assert isinstance(bound, Blocking)
        assert bound.execute(STATEMENT, BINDS, "the result") == "the result"
    other = await asyncpg.connect(url)
    async with other.transaction():
        awaiting = bind(other, "landbridge")
        assert isinstance(awaiting, Awaiting)
        assert await awaiting.execute(STATEMENT, BINDS, "the result") == "the result"
    await other.close()


async def test_a_percent_sign_and_a_cast_in_a_statement_reach_the_server(
    url: str, opened: Open
) -> None:
    statement = Sql(
        "tests.odd",
        "INSERT INTO lb.parked (environment, tenant, id, what, place, key, reason)"
        " VALUES ('test', 'acme', :id, 'push', '50% of it', 'k', (:id::text || '100%'))",
    )
    async with opened(url) as session:
        await _run(session.bound, statement, {"id": "prk_1"})
        await session.commit()
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT place, reason FROM landbridge.parked").fetchall()
    assert found == [("50% of it", "prk_1100%")]


async def test_a_transaction_of_ours_is_marked_for_a_wake_up(url: str) -> None:
    database = await Database.open(url, budget=1)
    async with database.transaction() as tx:
        marks = [bool(tx.wakes)]
        await _run(tx, STATEMENT, BINDS)
        marks.append(bool(tx.wakes))
    assert marks == [False, True]
    await database.close()


# What has no transaction, or is over


async def _run(session: Any, statement: Sql, binds: dict[str, Any]) -> None:
    bound = bind(session, "landbridge")
    if isinstance(bound, Awaiting):
        await bound.execute(statement, binds, None)
    else:
        bound.execute(statement, binds, None)


async def _refused(session: Any, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        await _run(session, STATEMENT, BINDS)


async def test_an_asyncpg_connection_outside_a_transaction_is_refused(
    url: str, reader: psycopg.Connection[Any]
) -> None:
    connection = await asyncpg.connect(url)
    await _refused(connection, r"not in a transaction.*connection\.transaction\(\)")
    await connection.close()
    await _refused(connection, "asyncpg connection is closed")
    assert _words(reader) == ([], [])


async def test_an_asyncpg_connection_that_went_back_to_its_pool_is_refused(url: str) -> None:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection:
            pass
        await _refused(connection, "asyncpg connection is closed")
        await _refused(pool, r"Pool holds no transaction; use async with pool\.acquire\(\)")


async def test_a_transaction_of_ours_that_is_over_is_refused(url: str) -> None:
    database = await Database.open(url, budget=1)
    async with database.transaction() as tx:
        pass
    await _refused(tx, "is closed")
    await database.close()


async def test_psycopg_with_autocommit_is_refused_unless_a_transaction_is_open(
    url: str, reader: psycopg.Connection[Any]
) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        await _refused(connection, r"not in a transaction.*with connection\.transaction\(\)")
        await _refused(connection.cursor(), "not in a transaction")
        with connection.transaction():
            await _run(connection, STATEMENT, BINDS)
    assert len(_count(reader)) == 1
    await _refused(connection, "psycopg connection is closed")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
        await _refused(other, "not in a transaction")


async def test_a_closed_cursor_is_refused(url: str) -> None:
    with psycopg.connect(url) as connection:
        cursor = connection.cursor()
        cursor.close()
        await _refused(cursor, "psycopg cursor is closed")


async def test_odd_cursors_of_psycopg_work(url: str, reader: psycopg.Connection[Any]) -> None:
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
        await _run(connection, STATEMENT, BINDS)
    with psycopg.connect(url) as connection, connection.cursor("named") as cursor:
        await _run(cursor, STATEMENT, BINDS)
    assert len(_count(reader)) == 2


async def test_a_cursor_keeps_the_result_it_has(url: str) -> None:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 UNION SELECT 2 ORDER BY 1")
        assert cursor.fetchone() == (1,)
        await _run(cursor, STATEMENT, BINDS)
        assert cursor.fetchone() == (2,)


async def test_sqlalchemy_with_autocommit_is_refused(
    url: str, reader: psycopg.Connection[Any]
) -> None:
    loose = engine(url, isolation_level="AUTOCOMMIT")
    with orm.Session(loose) as session:
        await _refused(session, "not in a transaction")
    with engine(url).connect() as connection:
        await _refused(
            connection.execution_options(isolation_level="AUTOCOMMIT"), "not in a transaction"
        )
    async with async_engine(url, isolation_level="AUTOCOMMIT").connect() as other:
        await _refused(other, "not in a transaction")
    async with alchemy.AsyncSession(async_engine(url, isolation_level="AUTOCOMMIT")) as asynced:
        await _refused(asynced, "not in a transaction")
    assert _words(reader) == ([], [])


async def test_a_closed_sqlalchemy_connection_is_refused(url: str) -> None:
    with engine(url).connect() as connection:
        pass
    await _refused(connection, "SQLAlchemy connection is closed")


async def test_another_database_than_postgres_is_refused() -> None:
    with orm.Session(sqlalchemy.create_engine("sqlite://")) as session:
        await _refused(session, "speaks to sqlite; our tables are in Postgres")


async def test_engines_and_factories_are_refused_with_the_way_out(url: str) -> None:
    await _refused(engine(url), r"Engine holds no transaction; use with engine\.begin\(\)")
    await _refused(async_engine(url), r"use async with engine\.begin\(\)")
    await _refused(orm.sessionmaker(engine(url)), r"use with Session\.begin\(\)")


async def test_django_outside_atomic_is_refused(url: str, reader: psycopg.Connection[Any]) -> None:
    async with django_connection(url) as connection:
        await _refused(connection, r"not in a transaction.*transaction\.atomic\(\)")
    assert _words(reader) == ([], [])


async def test_what_is_no_session_is_refused_with_those_that_are() -> None:
    await _refused("session", "str is not known; give an asyncpg connection, a psycopg 3")
    await _refused(None, "NoneType is not known")


def _count(reader: psycopg.Connection[Any]) -> list[Any]:
    return reader.execute("SELECT 1 FROM landbridge.emitted").fetchall()
