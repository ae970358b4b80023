"""Every statement is run among others' same-looking rows: it gives and changes none of them."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from landbridge.store import catalogue
from landbridge.store.embedded import Attached
from landbridge.store.sql import Sql
from tests.store.databases import fresh_database, migrated_template
from tests.store.samples import sample
from tests.store.sql_lint import judge, tables
from tests.store.two_tenants import Seen, columns, fill, look

KNOWN = tables()
EVERY = catalogue.every()
OF_ONE_TENANT = [each for each in EVERY if not each.across]
OF_ONE_ENVIRONMENT = [
    each for each in EVERY if each.across and judge(each, KNOWN).reach == "one environment"
]


@pytest.fixture(scope="module")
def worlds(postgres: Attached) -> Iterator[tuple[str, str]]:
    """Two databases: OWN alone, and OWN in a crowd."""
    template = migrated_template(postgres.dsn)
    with (
        fresh_database(postgres.dsn, template) as alone,
        fresh_database(postgres.dsn, template) as crowd,
    ):
        yield alone, crowd


@pytest.fixture
async def alone(worlds: tuple[str, str]) -> AsyncIterator[asyncpg.Connection]:
    async for connection in _filled(worlds[0], everyone=False):
        yield connection


@pytest.fixture
async def crowd(worlds: tuple[str, str]) -> AsyncIterator[asyncpg.Connection]:
    async for connection in _filled(worlds[1], everyone=True):
        yield connection


async def _filled(url: str, *, everyone: bool) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        if not await connection.fetchval("SELECT count(*) FROM landbridge.due"):
            await fill(connection, everyone=everyone)
    yield connection
    await connection.close()


async def _look(connection: asyncpg.Connection, statement: Sql, *, tenant: bool = True) -> Seen:
    binds = {name: sample(statement, name) for name in statement.binds}
    return await look(connection, statement, binds, tenant=tenant)


async def test_the_lint_and_the_database_know_the_same_tables(alone: asyncpg.Connection) -> None:
    there = {name: {each.name for each in its} for name, its in (await columns(alone)).items()}
    assert there.keys() == {name for name, its in KNOWN.items() if "environment" in its}
    assert all(there[name] <= KNOWN[name] for name in there)


@pytest.mark.parametrize("statement", OF_ONE_TENANT, ids=lambda each: each.name)
async def test_a_tenant_meets_only_its_own(
    statement: Sql, alone: asyncpg.Connection, crowd: asyncpg.Connection
) -> None:
    expected, seen = await _look(alone, statement), await _look(crowd, statement)
    assert seen.foreign == []
    assert seen.others_changed == []
    assert seen.rows == expected.rows, "the others' rows make a difference"
    assert seen.met_own, "it met no row: choose BINDS and CELLS so that it does"


@pytest.mark.parametrize("statement", OF_ONE_ENVIRONMENT, ids=lambda each: each.name)
async def test_an_environment_meets_only_its_own(statement: Sql, crowd: asyncpg.Connection) -> None:
    seen = await _look(crowd, statement, tenant=False)
    assert seen.foreign == []
    assert seen.others_changed == []
    assert seen.met_own, "it met no row: choose BINDS and CELLS so that it does"


PLANTS = {
    "reads of another tenant": "SELECT raw FROM lb.record WHERE environment = :environment",
    "reads of another environment": "SELECT raw FROM lb.record WHERE tenant = :tenant",
    "names another tenant": "SELECT tenant, 1 FROM lb.run WHERE environment = :environment",
    "counts others' rows": """
        SELECT count(*) FROM lb.record WHERE environment = :environment AND key = :key""",
    "changes others' rows": """
        UPDATE lb.run SET state = 'failed' WHERE environment = :environment AND id = :id""",
    "deletes others' rows": "DELETE FROM lb.endpoint WHERE tenant = :tenant",
    "writes for others": """
        INSERT INTO lb.seen (environment, tenant, connection, resource, listing, page, keys)
        SELECT environment, tenant, connection, resource, 'new', 1, '{}' FROM lb.run
        WHERE environment = :environment""",
}


@pytest.mark.parametrize("plant", PLANTS)
async def test_it_is_noticed_when_a_statement(
    plant: str, alone: asyncpg.Connection, crowd: asyncpg.Connection
) -> None:
    statement = Sql("plant", PLANTS[plant])
    expected, seen = await _look(alone, statement), await _look(crowd, statement)
    assert seen.foreign or seen.others_changed or seen.rows != expected.rows


@pytest.mark.parametrize(
    "text",
    [
        "SELECT raw FROM lb.record WHERE key = :key",
        "UPDATE lb.app SET name = 'x' WHERE name = :name",
    ],
)
async def test_it_is_noticed_when_a_statement_reaches_another_environment(
    text: str, crowd: asyncpg.Connection
) -> None:
    seen = await _look(crowd, Sql("plant", text), tenant=False)
    assert seen.foreign or seen.others_changed


async def test_a_bind_without_a_sample_is_asked_for(crowd: asyncpg.Connection) -> None:
    with pytest.raises(pytest.fail.Exception, match="give the bind unheard_of a sample"):
        await _look(crowd, Sql("plant", "SELECT :unheard_of::text"))
