"""A wrong database address is one sentence, whoever meets it first, and shows no password."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest

from landbridge.errors import DatabaseUnavailable, LandbridgeError, SettingsError
from landbridge.store import migrate
from landbridge.store.database import Database
from landbridge.store.sql import Sql

CANARY = "pw_canary_71"
ONE = Sql("tests.one", "SELECT 1", across="A test asks whether anybody answers.")


async def at_once(url: str) -> None:
    await (await Database.open(url)).close()


async def behind_a_pooler(url: str) -> None:
    database = await Database.open(url, pgbouncer=True)
    try:
        await database.value(ONE)
    finally:
        await database.close()


async def by_migrating(url: str) -> None:
    await migrate.pending(url)


MEET = pytest.mark.parametrize("meet", [at_once, behind_a_pooler, by_migrating])


@MEET
@pytest.mark.parametrize(
    "url",
    [
        "garbage",
        f"mysql://u:{CANARY}@localhost/x",
        f"postgresql://u:{CANARY}@127.0.0.1:99999/x",
        f"postgresql://u:{CANARY}@127.0.0.1:port/x",
    ],
)
async def test_what_is_no_address(meet: Callable[[str], Awaitable[None]], url: str) -> None:
    with pytest.raises(SettingsError, match="LANDBRIDGE_DATABASE_URL: not an address") as refused:
        await meet(url)
    assert CANARY not in str(refused.value)


@MEET
async def test_nobody_there(meet: Callable[[str], Awaitable[None]]) -> None:
    with pytest.raises(DatabaseUnavailable, match="Postgres does not answer") as refused:
        await meet(f"postgresql://u:{CANARY}@127.0.0.1:1/x")
    assert CANARY not in str(refused.value)


@MEET
async def test_a_wrong_password(
    meet: Callable[[str], Awaitable[None]], empty_database_url: str
) -> None:
    parts = urlsplit(empty_database_url)
    wrong = parts._replace(netloc=f"{parts.username}:{CANARY}@").geturl()
    with pytest.raises(SettingsError, match="refuses this user or password") as refused:
        await meet(wrong)
    assert CANARY not in str(refused.value)


@MEET
async def test_a_database_that_is_not_there(
    meet: Callable[[str], Awaitable[None]], empty_database_url: str
) -> None:
    elsewhere = urlsplit(empty_database_url)._replace(path="/nowhere").geturl()
    with pytest.raises(LandbridgeError, match=r'"nowhere" does not exist; create it'):
        await meet(elsewhere)
