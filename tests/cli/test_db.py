"""Migrating by command, and the SQL for who looks after the database."""

from __future__ import annotations

import psycopg

from landbridge.store import migrate
from tests.cli.conftest import Cli


def test_an_empty_database_is_migrated_once(cli: Cli, empty_database_url: str) -> None:
    cli.environment["LANDBRIDGE_DATABASE_URL"] = empty_database_url
    del cli.environment["LANDBRIDGE_KEY"]  # it seals secrets, migrations need none
    missing = cli("db", "check", "--json")
    assert missing.status == 1
    assert missing.json["missing"]
    assert "run: landbridge db upgrade" in cli("db", "check").out
    assert cli.ok("db", "upgrade", "--json").json["applied"] == missing.json["missing"]
    assert cli.ok("db", "upgrade", "--json").json["applied"] == []
    assert "nothing to do: the schema landbridge is at" in cli.ok("db", "upgrade").out
    assert cli.ok("db", "check").out.startswith("nothing is missing")
    assert cli.ok("db", "check", "--json").json["missing"] == []


def test_another_schema_stands_beside_the_first(cli: Cli) -> None:
    done = cli.ok("db", "upgrade", LANDBRIDGE_SCHEMA="second")
    assert "applied" in done.out
    assert "missing in the schema third" in cli("db", "check", "--schema", "third").out
    cli.ok("db", "upgrade", "--schema", "third", LANDBRIDGE_SCHEMA="second")
    assert cli.ok("db", "check", "--schema", "third", "--json").json["schema"] == "third"
    with psycopg.connect(cli.environment["LANDBRIDGE_DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT (SELECT count(*) FROM second.due), (SELECT count(*) FROM third.due)"
        ).fetchone()
    assert found == (0, 0)


def test_a_schema_that_needs_quotes_is_refused(cli: Cli) -> None:
    for verb in ("upgrade", "check", "sql"):
        done = cli("db", verb, "--schema", 'third"; DROP')
        assert done.status == 1
        assert "is not a plain lower-case name" in done.err


def test_the_sql_is_printed_without_a_database(bare_cli: Cli) -> None:
    text = bare_cli.ok("db", "sql", LANDBRIDGE_DATABASE_URL="postgresql://127.0.0.1:1/none").out
    assert "CREATE TABLE landbridge.due (" in text
    assert "GRANT" not in text
    assert "CREATE TABLE third.due (" in bare_cli.ok("db", "sql", "--schema", "third").out
    granted = bare_cli.ok("db", "sql", "--app-role", "shop_app", "--json").json["sql"]
    assert granted.strip() == migrate.sql("landbridge", "shop_app").strip()
    assert "TO shop_app;" in granted
    wrong = bare_cli("db", "sql", "--app-role", "Robert'); DROP")
    assert wrong.status == 1
    assert "is not a plain lower-case role name" in wrong.err
