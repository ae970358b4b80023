"""Hook0's claim: one row in a transaction that stays open during the post, a connection for each
post under way."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.controls.base import Control
from tests.bench.remote import perform


class Hook0(Control):
    """A row lock held during HTTP instead of a lease."""

    tables = """
    CREATE TABLE event (id text PRIMARY KEY, body bytea NOT NULL);
    CREATE TABLE request_attempt (
        id text PRIMARY KEY, event text NOT NULL, endpoint int NOT NULL, picked_at timestamptz,
        succeeded_at timestamptz, response bigint,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()) WITH (fillfactor = 70);
    CREATE INDEX ON request_attempt (created_at) WHERE succeeded_at IS NULL;
    CREATE TABLE response (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status int)"""
    names = ("event", "request_attempt", "response")
    left = "SELECT count(*) FROM request_attempt WHERE succeeded_at IS NULL"
    posts = 32
    pool_size = 32

    async def store(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        await self.copy("event", [(row[0], row[2]) for row in rows], "id", "body")
        waiting = [(row[0], *row[:2]) for row in rows]
        await self.copy("request_attempt", waiting, "id", "event", "endpoint")

    async def carry(self) -> None:
        async with self.pool.acquire() as connection:
            while True:
                async with connection.transaction():
                    row = await connection.fetchrow(
                        "SELECT a.id, v.body, e.url, e.secret FROM request_attempt AS a"
                        " JOIN event AS v ON v.id = a.event JOIN endpoint AS e ON e.id = a.endpoint"
                        " WHERE a.succeeded_at IS NULL ORDER BY a.created_at LIMIT 1"
                        " FOR UPDATE OF a SKIP LOCKED"
                    )
                    if row is None:
                        return
                    status = await self.post(row["id"], row["url"], row["secret"], row["body"])
                    response = await connection.fetchval(
                        "INSERT INTO response (status) VALUES ($1) RETURNING id", status
                    )
                    await connection.execute(
                        "UPDATE request_attempt SET picked_at = clock_timestamp(),"
                        " succeeded_at = clock_timestamp(), response = $2 WHERE id = $1",
                        row["id"],
                        response,
                    )


if __name__ == "__main__":
    perform(Hook0.make)
