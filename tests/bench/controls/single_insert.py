"""An intake that is well written, and commits each webhook by an INSERT of its own."""

from __future__ import annotations

from typing import Self

import asyncpg

from landbridge.store.arrivals import Arrival
from tests.bench.door import Door, open_door
from tests.bench.remote import perform

_POOL = 16
_INSERT = """INSERT INTO landbridge.arrival (environment, id, app, connection, headers, body)
    VALUES ($1, $2, $3, $4, $5, $6)"""


class SingleInsert:
    """One row, one commit; prepared, over a pool. It orders no sorting, which spares it a row."""

    def __init__(self, pool: asyncpg.Pool):
        self._pool = pool

    @classmethod
    async def make(cls, url: str) -> Self:
        """With all its connections open."""

        async def as_it_is(_connection: asyncpg.Connection) -> None:
            """Spares the statement that a pool runs after each use."""

        return cls(await asyncpg.create_pool(url, min_size=_POOL, max_size=_POOL, reset=as_it_is))

    async def add(self, item: Arrival) -> None:
        """Returns once it is committed."""
        await self._pool.execute(
            _INSERT, item.environment, item.id, item.app, item.connection, item.headers, item.body
        )


async def _single(*, url: str, key: str) -> Door:
    return await open_door(url=url, key=key, commit=SingleInsert.make)


if __name__ == "__main__":
    perform(_single)
