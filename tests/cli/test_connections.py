"""Pausing, resuming and ending a connection."""

from __future__ import annotations

import asyncio

import pytest

from landbridge.store import due
from landbridge.store.database import Database
from landbridge.store.sql import Sql
from landbridge.testing.stripe import KEY
from tests.cli.conftest import Cli, Shop, connect

ALL = "A test looks at everything."
GRANTS = Sql("tests.grants", "SELECT count(*) FROM lb.access_grant", across=ALL)
JOBS = Sql(
    "tests.jobs",
    "SELECT kind, key, due_at <= lb.now() AS ready FROM lb.due ORDER BY key, id",
    across=ALL,
)
INTENTS = Sql("tests.intents", "SELECT state, reason FROM lb.intent", across=ALL)
PROMISE = Sql(
    "tests.promise",
    """
    INSERT INTO lb.intent (environment, tenant, id, connection, resource, action)
    VALUES ('test', 'acme', 'int_1', :connection, 'customer', 'create')
    """,
    across=ALL,
)
DELAY = Sql("tests.delay", "UPDATE lb.due SET due_at = lb.now() + interval '1 hour'", across=ALL)


def look(cli: Cli, statement: Sql, **binds: object) -> list[tuple[object, ...]]:
    """The rows of a statement, from the test's database."""

    async def read() -> list[tuple[object, ...]]:
        db = await Database.open(cli.environment["LANDBRIDGE_DATABASE_URL"])
        try:
            return [tuple(row) for row in await db.fetch(statement, **binds)]
        finally:
            await db.close()

    return asyncio.run(read())


def scheduled(cli: Cli, shop: Shop) -> str:
    done = cli.ok(
        "connect", "stripe", "--tenant", "acme", "--url", shop.url, "--json",
        LANDBRIDGE_CONNECT_KEY=KEY,
    )  # fmt: skip
    connection: str = done.json["connection"]
    return connection


def test_a_pause_holds_and_a_resumption_makes_the_waiting_pulls_due(cli: Cli, shop: Shop) -> None:
    connection = scheduled(cli, shop)
    look(cli, DELAY)
    assert cli.ok("connections", "pause", connection, "--json").json["state"] == "paused"
    refused = cli("pull", connection)
    assert refused.status == 1
    assert f"landbridge connections resume {connection}" in refused.err
    assert not any(ready for _, _, ready in look(cli, JOBS))
    done = cli.ok("connections", "resume", connection)
    assert "active again" in done.out
    jobs = look(cli, JOBS)
    assert jobs
    assert all(ready for _, _, ready in jobs)
    cli.ok("connections", "resume", connection)


def test_a_disconnection_forgets_the_credentials_and_cancels_what_waits(
    cli: Cli, shop: Shop
) -> None:
    connection = scheduled(cli, shop)
    other = cli.ok(
        "connect", "stripe", "--tenant", "other", "--url", shop.url, "--json",
        LANDBRIDGE_CONNECT_KEY=KEY,
    ).json["connection"]  # fmt: skip
    cli.ok("pull", connection, "product")
    waiting = look(cli, JOBS)
    mine = [key for _, key, _ in waiting if str(key).startswith(f"{connection}/")]
    asyncio.run(_promise(cli, connection))
    done = cli.ok("connections", "disconnect", connection, "--json").json
    assert done["state"] == "revoked"
    assert (done["cancelled_reads"], done["refused_pushes"]) == (len(mine), 1)
    assert {str(key).partition("/")[0] for _, key, _ in look(cli, JOBS)} == {other}
    assert look(cli, GRANTS) == [(1,)]
    ((state, reason),) = look(cli, INTENTS)
    assert state == "refused"
    assert "disconnected" in str(reason)
    held = cli.ok("connections", "show", connection, "--json").json["resources"]
    assert {each["resource"]: each["records"] for each in held}["product"] > 0


async def _promise(cli: Cli, connection: str) -> None:
    db = await Database.open(cli.environment["LANDBRIDGE_DATABASE_URL"])
    try:
        await db.run(PROMISE, connection=connection)
        job = due.Job(environment="test", tenant="acme", lane="push", kind="push", ref="int_1")
        await due.put(db, [job])
    finally:
        await db.close()


@pytest.mark.parametrize("verb", ["pause", "resume", "disconnect"])
def test_what_is_disconnected_is_revived_only_by_connecting_again(
    cli: Cli, shop: Shop, verb: str
) -> None:
    connection = connect(cli, shop)
    said = cli.ok("connections", "disconnect", connection).out
    assert "its records stay" in said
    assert "until it is withdrawn there" in said
    done = cli("connections", verb, connection)
    if verb == "disconnect":
        assert done.status == 0
    else:
        assert done.status == 1
        assert "landbridge connect stripe --tenant acme" in done.err
    assert "landbridge connect stripe --tenant acme" in cli("pull", connection).err
    assert connect(cli, shop) == connection
    assert cli.ok("pull", connection, "product").status == 0


def test_a_webhook_secret_is_set_from_standard_input(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    shown = cli.ok("connections", "show", connection, "--json").json
    assert shown["webhook_secret"] == "missing"
    done = cli.ok("connections", "secret", connection, stdin="whsec_0123456789\n")
    assert "whsec_" not in done.out + done.err
    assert cli.ok("connections", "show", connection, "--json").json["webhook_secret"] == "set"
    two = cli("connections", "secret", connection, "--two", stdin="whsec_0123456789\n")
    assert two.status == 2
    assert "2 secrets wanted, a line each, and 1 found" in two.err
