"""What the controls of deliveries share with ours: driver, client, signing, bodies, endpoints."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import asyncpg

from landbridge import ids
from landbridge.engine.emit import prepare
from tests.bench import ours
from tests.bench.letters import CALLERS, ENDPOINTS, messages
from tests.bench.sink import secret_of

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_ENDPOINTS = "CREATE TABLE endpoint (id int PRIMARY KEY, url text NOT NULL, secret text NOT NULL)"


class Control:
    """A deliverer of a backlog that `fill` committed: `posts` coroutines that each `carry`."""

    tables: ClassVar[str] = ""
    """Its tables, which are made when it starts, beside `endpoint`."""
    names: ClassVar[Sequence[str]] = ()
    """Those of them that are emptied before each measurement."""
    left: ClassVar[str] = "SELECT 0"
    """Counts what is not delivered and recorded."""
    posts: ClassVar[int] = 200
    pool_size: ClassVar[int] = 16

    pool: asyncpg.Pool
    sender: Any

    @classmethod
    async def make(cls, *, url: str, sender: str, sink: str) -> Self:
        """The control, open, with its tables and endpoints."""
        made = cls()
        made._stack, made._working = AsyncExitStack(), []
        made.pool = await made._stack.enter_async_context(
            asyncpg.create_pool(
                url, min_size=cls.pool_size, max_size=cls.pool_size, reset=_left_as_it_is
            )
        )
        made.sender = await made._stack.enter_async_context(ours.open_sender(sender))
        await made.pool.execute(f"{_ENDPOINTS}; {cls.tables}")
        await made.pool.executemany(
            "INSERT INTO endpoint VALUES ($1, $2, $3)",
            [(place, f"{sink}/{place}", secret_of(place)) for place in range(ENDPOINTS)],
        )
        return made

    _stack: AsyncExitStack
    _working: list[asyncio.Task[None]]

    async def fill(self, number: int) -> None:
        """Commits a backlog of that many messages in bulk."""
        if self.names:
            await self.pool.execute(f"TRUNCATE {', '.join(self.names)}")
        await self.store([(ids.new("msg"), *each) for each in bodies(number)])

    async def store(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        """Stores (message, endpoint, body) as it would have them when a worker starts."""
        raise NotImplementedError

    async def emit(self, number: int) -> None:
        """Commits that many messages one by one; callers wait for each before the next."""
        await self.fill(0)
        waiting = deque((ids.new("msg"), *each) for each in bodies(number))

        async def one_by_one() -> None:
            while waiting:
                row = waiting.popleft()
                async with self.pool.acquire() as connection:
                    await self.emit_one(connection, row)

        await asyncio.gather(*(one_by_one() for _ in range(CALLERS)))

    async def emit_one(self, connection: Connection, row: tuple[str, int, bytes]) -> None:
        """Commits (message, endpoint, body) as its application would."""
        raise NotImplementedError

    async def carry(self) -> None:
        """Delivers until nothing is left."""
        raise NotImplementedError

    async def copy(self, table: str, rows: Sequence[tuple[Any, ...]], *columns: str) -> None:
        """Rows in bulk."""
        async with self.pool.acquire() as connection:
            await connection.copy_records_to_table(table, records=rows, columns=columns)

    async def post(self, message: str, url: str, secret: str, body: bytes) -> int:
        """The status of one signed post."""
        headers = ours.signed(secret, message, datetime.now(UTC), body)
        sent = await self.sender.post(url, headers, body)
        return int(sent.status)

    async def go(self) -> None:
        """Begins to deliver."""
        self._working = [asyncio.create_task(self.carry()) for _ in range(self.posts)]

    async def check(self) -> None:
        """Raises what ended it before its time."""
        for task in self._working:
            if task.done():
                await task

    async def halt(self) -> None:
        """Returns when it has delivered everything."""
        await asyncio.gather(*self._working)

    async def close(self) -> None:
        for task in self._working:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await self.halt()
        await self._stack.aclose()


async def _left_as_it_is(_connection: asyncpg.Connection) -> None:
    """Spares the statement that a pool runs after each use."""


def bodies(number: int) -> list[tuple[int, bytes]]:
    """(endpoint, body) of that many messages, rendered as ours are."""
    found = []
    for endpoint, data in messages(number):
        _, _, binds = prepare(ours.EVENT, data, environment=ours.ENVIRONMENT, tenant="any")
        found.append((endpoint, binds["payload"]))
    return found
