"""The pooler that the tests put before Postgres is a real one, in transaction mode."""

import asyncio

import asyncpg

from tests.store.pgbouncer import pgbouncer


async def _backend(url: str, hold: asyncio.Barrier) -> tuple[int, int]:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        await hold.wait()
        async with connection.transaction():
            first = await connection.fetchval("SELECT pg_backend_pid() + $1::int", 0)
            second = await connection.fetchval("SELECT pg_backend_pid() + $1::int", 0)
        return first, second
    finally:
        await connection.close()


async def test_many_clients_share_few_server_connections(empty_database_url: str) -> None:
    with pgbouncer(empty_database_url, pool_size=2) as url:
        everyone = asyncio.Barrier(12)
        pairs = await asyncio.gather(*(_backend(url, everyone) for _ in range(12)))
    assert all(first == second for first, second in pairs), "a transaction keeps its backend"
    assert len({first for first, _ in pairs}) <= 2


async def test_session_state_does_not_belong_to_the_client(empty_database_url: str) -> None:
    with pgbouncer(empty_database_url, pool_size=1) as url:
        one = await asyncpg.connect(url, statement_cache_size=0)
        other = await asyncpg.connect(url, statement_cache_size=0)
        try:
            await one.execute("SET landbridge.mark = 'one'")
            seen = await other.fetchval("SELECT current_setting('landbridge.mark', true)")
        finally:
            await one.close()
            await other.close()
    assert seen == "one", "transaction mode: both clients used the one server connection"
