"""What the doctor looks at, and what it says when something is wrong."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from landbridge.store.database import Database
from landbridge.store.due import Job, put
from landbridge.store.sql import Sql
from landbridge.vault import new_key
from tests.cli.conftest import Cli, Done, Shop, connect, started

ALL = "A test makes a mess."
STRAY = Sql(
    "tests.stray",
    """
    INSERT INTO lb.arrival (environment, id, app, headers, body)
    VALUES ('test', 'arr_zzzzzzzzzzzzzzzzzzzzzzzzzz', 'app_1', '', '')
    """,
    across=ALL,
)
LATE = Sql("tests.late", "UPDATE lb.due SET due_at = lb.now() - interval '1 hour'", across=ALL)
DROP = Sql("tests.drop", "SELECT lb.drop_partitions('2100-01-01'::date)", across=ALL)
FEW = Sql("tests.few", "SELECT lb.ensure_partitions(3)", across=ALL)
ENOUGH = Sql("tests.enough", "SELECT lb.ensure_partitions(15)", across=ALL)


def checks(done: Done) -> dict[str, tuple[str, str]]:
    return {each["check"]: (each["state"], each["said"]) for each in done.json["checks"]}


def mess(cli: Cli, *statements: Sql) -> None:
    async def make() -> None:
        db = await Database.open(cli.environment["LANDBRIDGE_DATABASE_URL"])
        try:
            job = Job(environment="test", tenant="acme", lane="pull", kind="pull", key="con_1/x")
            await put(db, [job])
            for statement in statements:
                await db.run(statement)
        finally:
            await db.close()

    asyncio.run(make())


def test_a_healthy_installation_passes(cli: Cli) -> None:
    mess(cli, ENOUGH)
    done = cli.ok("doctor", "--offline", "--json")
    found = checks(done)
    assert done.json["healthy"]
    assert {state for state, _ in found.values()} == {"ok"}
    assert list(found) == ["database", "migrations", "clock", "key", "partitions", "work"]
    assert "LANDBRIDGE_DATABASE_URL" in found["database"][1]
    assert "PostgreSQL" in found["database"][1]
    lines = cli.ok("doctor", "--offline").out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * len(lines)


def test_the_samples_that_it_opens_are_counted(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    cli.ok("connections", "secret", connection, stdin="whsec_1")
    assert "2 of 2" in checks(cli.ok("doctor", "--offline", "--json"))["key"][1]


def test_a_key_that_does_not_open_what_is_sealed_fails(cli: Cli, shop: Shop) -> None:
    connect(cli, shop)
    done = cli("doctor", "--offline", "--json", LANDBRIDGE_KEY=new_key())
    assert done.status == 1
    state, said = checks(done)["key"]
    assert state == "failed"
    assert "another key sealed what the database holds" in said


@pytest.mark.parametrize(
    ("settings", "check", "expected"),
    [
        ({"LANDBRIDGE_KEY": "short"}, "key", "landbridge keys new"),
        ({"LANDBRIDGE_KEY": ""}, "key", "landbridge keys new"),
        ({"LANDBRIDGE_POOL": "many"}, "settings", "LANDBRIDGE_POOL"),
        ({"LANDBRIDGE_SCHEMA": "other"}, "migrations", "landbridge db upgrade"),
    ],
)
def test_what_is_missing_is_told_with_the_remedy(
    cli: Cli, settings: dict[str, str], check: str, expected: str
) -> None:
    done = cli("doctor", "--offline", "--json", **settings)
    assert done.status == 1
    state, said = checks(done)[check]
    assert state == "failed"
    assert expected in said
    assert expected in cli("doctor", "--offline", **settings).out


@pytest.mark.parametrize(
    "url",
    ["postgresql://nobody:pa55word@127.0.0.1:1/none", "mysql://there/x", "no address at all"],
)
def test_a_database_that_is_not_there_fails(bare_cli: Cli, url: str) -> None:
    done = bare_cli("doctor", "--json", LANDBRIDGE_DATABASE_URL=url, LANDBRIDGE_KEY=new_key())
    assert done.status == 1
    state, said = checks(done)["database"]
    assert state == "failed"
    assert "LANDBRIDGE_DATABASE_URL" in said
    assert "pa55word" not in done.out + done.err
    assert checks(done)["key"][0] == "ok"


def test_late_work_is_seen(cli: Cli) -> None:
    mess(cli, LATE)
    state, said = checks(cli.ok("doctor", "--offline", "--json"))["work"]
    assert (state, said.split(";")[0]) == ("warning", "1 in pull")


def test_missing_partitions_and_stray_rows_are_seen(cli: Cli) -> None:
    def found() -> tuple[str, str]:
        return checks(cli("doctor", "--offline", "--json"))["partitions"]

    mess(cli, DROP)
    assert found()[0] == "failed"
    mess(cli, FEW)
    assert found()[0] == "warning"
    mess(cli, ENOUGH)
    assert found() == ("ok", "made for 15 days ahead")
    mess(cli, STRAY)
    state, said = found()
    assert state == "warning"
    assert "1 in arrival" in said


def test_a_moved_clock_is_a_warning(cli: Cli) -> None:
    found = checks(cli.ok("doctor", "--offline", "--json", LANDBRIDGE_CLOCK_OFFSET="75h"))
    assert found["clock"][0] == "warning"
    assert "for tests only" in found["clock"][1]


def test_addresses_are_called(cli: Cli, shop: Shop) -> None:
    connect(cli, shop)
    with started(["serve", "--port", "0", "--json"], cli.environment) as serving:
        assert serving.stdout is not None
        address = json.loads(serving.stdout.readline())["serving"]
        found = checks(cli.ok("doctor", "--json", LANDBRIDGE_PUBLIC_URL=address))
    assert found["public address"][0] == "warning"
    assert "providers on the internet do not reach it" in found["public address"][1]
    assert found["reach stripe"] == ("ok", f"{shop.url} answers (401)")
    done = cli("doctor", "--json", LANDBRIDGE_PUBLIC_URL=address)
    assert done.status == 1
    assert "nothing answers at" in checks(done)["public address"][1]


def test_a_provider_that_is_away_or_not_allowed_fails(cli: Cli, shop: Shop) -> None:
    connect(cli, shop)
    done = cli("doctor", "--json", LANDBRIDGE_ALLOW_NETWORKS="10.0.0.0/8")
    state, said = checks(done)["reach stripe"]
    assert (done.status, state) == (1, "failed")
    assert "LANDBRIDGE_ALLOW_NETWORKS" in said
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    _reconnect_to(cli, f"http://127.0.0.1:{port}")
    done = cli("doctor", "--json")
    assert done.status == 1
    assert "check this machine's network" in checks(done)["reach stripe"][1]


def _reconnect_to(cli: Cli, base: str) -> None:
    import psycopg

    url = cli.environment["LANDBRIDGE_DATABASE_URL"]
    settings: Any = f'{{"base": "{base}"}}'
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE landbridge.connection SET settings = %s::jsonb", [settings])
