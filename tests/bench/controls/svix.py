"""Svix's writes: two single rows for a message; for each attempt one select and one insert.
Its queue (Redis there) is a list in memory that costs nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from landbridge import ids
from tests.bench.controls.base import Connection, Control
from tests.bench.remote import perform

_READ = """SELECT m.endpoint, c.body, e.url, e.secret FROM message AS m
    JOIN content AS c ON c.id = m.id JOIN endpoint AS e ON e.id = m.endpoint WHERE m.id = $1"""
_WRITE = "INSERT INTO attempt (id, message, endpoint, status) VALUES ($1, $2, $3, $4)"


class Svix(Control):
    """Single rows instead of batches."""

    tables = """
    CREATE TABLE message (id text PRIMARY KEY, endpoint int NOT NULL, type text NOT NULL,
                          created_at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE TABLE content (id text PRIMARY KEY, body bytea NOT NULL);
    CREATE TABLE attempt (id text PRIMARY KEY, message text NOT NULL, endpoint int NOT NULL,
                          status int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE INDEX ON attempt (message)"""
    names = ("message", "content", "attempt")
    left = "SELECT (SELECT count(*) FROM message) - (SELECT count(*) FROM attempt)"

    _queue: deque[str]

    async def store(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        self._queue = deque(row[0] for row in rows)
        await self.copy("message", [(*row[:2], "bench") for row in rows], "id", "endpoint", "type")
        await self.copy("content", [(row[0], row[2]) for row in rows], "id", "body")

    async def emit_one(self, connection: Connection, row: tuple[str, int, bytes]) -> None:
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO message (id, endpoint, type) VALUES ($1, $2, 'bench')", *row[:2]
            )
            await connection.execute("INSERT INTO content VALUES ($1, $2)", row[0], row[2])
        self._queue.append(row[0])

    async def carry(self) -> None:
        while self._queue:
            message = self._queue.popleft()
            row = await self.pool.fetchrow(_READ, message)
            assert row is not None
            status = await self.post(message, row["url"], row["secret"], row["body"])
            await self.pool.execute(_WRITE, ids.new("att"), message, row["endpoint"], status)


if __name__ == "__main__":
    perform(Svix.make)
