"""Rows that are moved from the default partition into their day's are never out of sight."""

from __future__ import annotations

import asyncio
from importlib.resources import files

import asyncpg
import pytest

from landbridge import ids
from landbridge.store.sql import in_schema

_WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1"


@pytest.fixture
async def strayed(database_url: str) -> str:
    """A database with an event of today in the default partition."""
    connection = await asyncpg.connect(database_url)
    for row in await connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'landbridge.event'::regclass AND inhrelid::regclass::text ~ '_20'"
    ):
        await connection.execute(f"DROP TABLE {row['name']}")
    await connection.execute(
        "INSERT INTO landbridge.event (environment, tenant, id, number, type, schema_version,"
        " content_type, payload, digest, created_at)"
        " VALUES ('test', 'acme', $1, 1, 'order.placed', 1, 'application/json', '{}', '', now())",
        ids.new("evt"),
    )
    await connection.close()
    return database_url


async def _seen_beside_a_move(url: str) -> int:
    """Events that a statement finds that came while they were being moved."""
    mover, reader, watch = [await asyncpg.connect(url) for _ in range(3)]
    async with mover.transaction():
        await mover.execute("SELECT landbridge.ensure_partitions(1, 'event')")
        reading = asyncio.create_task(reader.fetchval("SELECT count(*) FROM landbridge.event"))
        while not await watch.fetchval(_WAITS, reader.get_server_pid()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    seen: int = await reading
    for each in (mover, reader, watch):
        await each.close()
    return seen


async def test_who_waited_for_the_move_finds_the_rows(strayed: str) -> None:
    assert await _seen_beside_a_move(strayed) == 1


async def test_control_without_the_lock_it_finds_none(strayed: str) -> None:
    """The function as 0001 has it: the reader knew the partitions before it waited."""
    script = files("landbridge.store").joinpath("migrations", "versions", "0001_spine.sql")
    first = script.read_text().partition("CREATE FUNCTION lb.ensure_partitions")[2]
    body = first.partition("\n\n")[0]
    connection = await asyncpg.connect(strayed)
    await connection.execute(
        in_schema(f"CREATE OR REPLACE FUNCTION lb.ensure_partitions{body}", "landbridge")
    )
    await connection.close()
    assert await _seen_beside_a_move(strayed) == 0
