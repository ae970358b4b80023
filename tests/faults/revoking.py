"""What F10's revocation runs in processes that are killed: the drill, and a weaker pattern."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, cast

import structlog

from landbridge.client import Client
from landbridge.client.guard import Guard
from landbridge.clock import SystemClock
from landbridge.engine.disconnect import disconnect
from landbridge.engine.revoke import Withdraw, revoke_all
from landbridge.engine.withdraw import Withdrawn, withdraw
from landbridge.spec import OAuth2, Provider, Resource
from landbridge.store import connections
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.vault import LocalKey, Vault
from tests.faults.traps import Trap

POINTS = ("before", "asking", "answered", "ended", "noted")
"""Where a process is killed: before a grant's revocation, while it is asked for, once it is
answered, once the connection is ended, and once that is noted."""
_MOMENTS = 0.01

BREACHED = Provider(
    slug="breached",
    name="Breached",
    docs="https://breached.example/docs",
    checked="2026-11-27",
    auth=OAuth2(
        authorize="{url}/authorize",
        token="{url}/token",
        revoke="{url}/revoke",
        scopes={"api": "Everything"},
        refresh_rotates=True,
        access_lives=timedelta(minutes=30),
    ),
    base="{url}",
    resources=[
        Resource(name="thing", path="/things", key="id", records="data", needs=frozenset({"api"}))
    ],
)


async def drill(*, url: str, key: str, point: str = "", after: int = 1) -> None:
    """Ends every connection, as `landbridge connections revoke --all` does."""
    trap = Trap(point, after)
    async with _opened(url, key) as (db, asked):

        async def trapped(connection: Connection) -> Withdrawn:
            trap.reach("before")
            done: Withdrawn = await trap.amid("asking", asked(connection), _MOMENTS)
            trap.reach("answered")
            return done

        async def noted(_seconds: float) -> None:
            trap.reach("noted")

        await revoke_all(
            cast("Database", _Trapped(db, trap)),
            trapped,
            environment="test",
            provider=BREACHED.slug,
            sleep=noted,
        )


async def forgetting(*, url: str, key: str, point: str = "", after: int = 1) -> None:
    """The weaker pattern: tokens are forgotten whatever the provider did, and nothing is kept of
    what that was until the end."""
    trap = Trap(point, after)
    async with _opened(url, key) as (db, asked):
        found = await connections.of_provider(
            db, environment="test", provider=BREACHED.slug, after="", most=100_000
        )
        for each in found:
            trap.reach("before")
            await disconnect(db, each, withdraw=asked)


class _Trapped:
    """A database whose transactions are followed by a trap."""

    def __init__(self, db: Database, trap: Trap):
        self._db = db
        self._trap = trap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with self._db.transaction() as tx:
            yield tx
        self._trap.reach("ended")


@asynccontextmanager
async def _opened(url: str, key: str) -> AsyncIterator[tuple[Database, Withdraw]]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    db = await Database.open(url, budget=3)
    vault = Vault(db, LocalKey.from_text(key))
    client = Client(db, vault, Guard(allow=["127.0.0.0/8"]), clock=SystemClock())
    try:
        yield db, partial(withdraw, db, vault, client, BREACHED)
    finally:
        await client.close()
        await db.close()
        await asyncio.sleep(0)
