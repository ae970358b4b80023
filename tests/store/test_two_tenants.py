"""Every statement is run among others' same-looking rows: it gives and changes none of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
import pytest_asyncio

from landbridge.store import catalogue
from landbridge.store.embedded import Attached
from landbridge.store.sql import Sql
from tests.store.databases import fresh_database, migrated_template
from tests.store.samples import sample
from tests.store.sql_lint import judge, tables
from tests.store.two_tenants import Seen, World

KNOWN = tables()
EVERY = catalogue.every()
OF_ONE_TENANT = [each for each in EVERY if not each.across]
OF_ONE_ENVIRONMENT = [
    each for each in EVERY if each.across and judge(each, KNOWN).reach == "one environment"
]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def _world(postgres: Attached, *, everyone: bool) -> AsyncIterator[World]:
    with fresh_database(postgres.dsn, migrated_template(postgres.dsn)) as url:
        connection = await asyncpg.connect(url)
        yield await World.of(connection, everyone=everyone)
        await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(postgres: Attached) -> AsyncIterator[World]:
    """OWN and nobody else."""
    async with _world(postgres, everyone=False) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(postgres: Attached) -> AsyncIterator[World]:
    """OWN among the others."""
    async with _world(postgres, everyone=True) as world:
        yield world


async def _look(world: World, statement: Sql, *, tenant: bool = True) -> Seen:
    binds = {name: sample(statement, name) for name in statement.binds}
    return await world.look(statement, binds, tenant=tenant)


async def test_the_lint_and_the_database_know_the_same_tables(alone: World) -> None:
    there = {name: {each.name for each in its} for name, its in alone.columns.items()}
    assert there.keys() == {name for name, its in KNOWN.items() if "environment" in its}
    assert all(there[name] <= KNOWN[name] for name in there)


@pytest.mark.parametrize("statement", OF_ONE_TENANT, ids=lambda each: each.name)
async def test_a_tenant_meets_only_its_own(statement: Sql, alone: World, crowd: World) -> None:
    expected, seen = await _look(alone, statement), await _look(crowd, statement)
    assert seen.foreign == []
    assert seen.others_changed == []
    assert seen.rows == expected.rows, "the others' rows make a difference"
    assert seen.met_own, "it met no row: choose BINDS and CELLS so that it does"


@pytest.mark.parametrize("statement", OF_ONE_ENVIRONMENT, ids=lambda each: each.name)
async def test_an_environment_meets_only_its_own(statement: Sql, crowd: World) -> None:
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
async def test_it_is_noticed_when_a_statement(plant: str, alone: World, crowd: World) -> None:
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
    text: str, crowd: World
) -> None:
    seen = await _look(crowd, Sql("plant", text), tenant=False)
    assert seen.foreign or seen.others_changed


async def test_a_bind_without_a_sample_is_asked_for(crowd: World) -> None:
    with pytest.raises(pytest.fail.Exception, match="give the bind unheard_of a sample"):
        await _look(crowd, Sql("plant", "SELECT :unheard_of::text"))
