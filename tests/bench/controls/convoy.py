"""Convoy's Postgres queue: claims 64 at a time, then for each an update, an insert, an update."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg

from landbridge import ids
from tests.bench.controls.base import Control
from tests.bench.remote import perform


class Convoy(Control):
    """Batched claims, single rows to settle."""

    tables = """
    CREATE TABLE event (id text PRIMARY KEY, body bytea NOT NULL);
    CREATE TABLE delivery (id text PRIMARY KEY, event text NOT NULL, endpoint int NOT NULL,
                           status text NOT NULL DEFAULT 'scheduled') WITH (fillfactor = 60);
    CREATE INDEX ON delivery (id) WHERE status = 'scheduled';
    CREATE TABLE attempt (id text PRIMARY KEY, delivery text NOT NULL, status int NOT NULL,
                          at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE INDEX ON attempt (delivery)"""
    names = ("event", "delivery", "attempt")
    left = "SELECT count(*) FROM delivery WHERE status <> 'success'"
    posts = 4  # batches at a time

    async def store(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        await self.copy("event", [(row[0], row[2]) for row in rows], "id", "body")
        waiting = [(row[0], *row[:2]) for row in rows]
        await self.copy("delivery", waiting, "id", "event", "endpoint")

    async def carry(self) -> None:
        while rows := await self.pool.fetch(
            "WITH picked AS (SELECT id FROM delivery WHERE status = 'scheduled' LIMIT 64"
            " FOR UPDATE SKIP LOCKED), claimed AS (UPDATE delivery AS d SET status = 'claimed'"
            " FROM picked AS p WHERE d.id = p.id RETURNING d.id, d.event, d.endpoint)"
            " SELECT c.id, v.body, e.url, e.secret FROM claimed AS c"
            " JOIN event AS v ON v.id = c.event JOIN endpoint AS e ON e.id = c.endpoint"
        ):
            await asyncio.gather(*(self._one(row) for row in rows))

    async def _one(self, row: asyncpg.Record) -> None:
        move = "UPDATE delivery SET status = $2 WHERE id = $1"
        await self.pool.execute(move, row["id"], "processing")
        status = await self.post(row["id"], row["url"], row["secret"], row["body"])
        await self.pool.execute(
            "INSERT INTO attempt (id, delivery, status) VALUES ($1, $2, $3)",
            ids.new("att"),
            row["id"],
            status,
        )
        await self.pool.execute(move, row["id"], "success")


if __name__ == "__main__":
    perform(Convoy.make)
