"""Migrating: once, together, and with a word about what is missing."""

import asyncio
import subprocess
import sys

import asyncpg
import pytest
from alembic.script import ScriptDirectory

from landbridge.errors import SettingsError
from landbridge.store import _alembic, migrate


def test_the_files_names_are_the_revisions() -> None:
    scripts = ScriptDirectory.from_config(_alembic._config("landbridge"))
    assert [each.revision for each in scripts.walk_revisions()][::-1] == migrate.revisions()
    assert scripts.get_current_head() == migrate.head()


async def test_an_empty_database_is_migrated_once(empty_database_url: str) -> None:
    assert await migrate.pending(empty_database_url) == migrate.revisions()
    applied = await asyncio.gather(*(migrate.upgrade(empty_database_url) for _ in range(3)))
    assert sorted(applied) == [[], [], migrate.revisions()]
    assert await migrate.pending(empty_database_url) == []


async def test_two_schemas_of_a_database_are_migrated_apart(database_url: str) -> None:
    assert await migrate.pending(database_url, "other") == migrate.revisions()
    assert await migrate.upgrade(database_url, "other") == migrate.revisions()
    assert await migrate.pending(database_url, "other") == []


async def test_a_database_of_a_newer_version_is_left_alone(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE landbridge.migration SET version_num = '9999'")
    await connection.close()
    for verb in (migrate.pending, migrate.upgrade):
        with pytest.raises(SettingsError, match=r"'9999'.*upgrade the package"):
            await verb(database_url)


def test_the_sql_has_every_statement_and_the_grants() -> None:
    text = migrate.sql("lb_one", app_role="shop")
    assert text.startswith("CREATE SCHEMA IF NOT EXISTS lb_one;")
    assert "CREATE TABLE lb_one.due" in text
    assert "lb." not in text.replace("lb_one.", "")
    assert "TO shop;" in text


def test_an_application_that_is_up_to_date_does_not_import_alembic() -> None:
    code = (
        "import sys, landbridge.app; sys.exit(bool({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
