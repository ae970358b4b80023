"""The stage of the rows that read the paged simulator over HTTP into a database."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from urllib.parse import parse_qsl

from landbridge.client import Client
from landbridge.client.guard import Guard
from landbridge.clock import SystemClock
from landbridge.engine.connect import base_of, connect
from landbridge.engine.pull import Hold, Puller, stream_of
from landbridge.engine.sweep import Sweeper
from landbridge.errors import LandbridgeError, Unreachable
from landbridge.spec import Provider, Resource
from landbridge.store import due, records, sweeps
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.sweeps import Sweeping
from landbridge.store.syncs import Stream
from landbridge.testing.asgi import Call, application
from landbridge.testing.running import in_thread
from landbridge.vault import LocalKey, Vault, new_key
from landbridge.wire import Request, Response
from tests.faults.paged import BASE, Source
from tests.store.databases import fresh_database, migrated_template, shared_server

KEY = "a key"


@dataclass(kw_only=True)
class Stage:
    """A connection to the simulator, over HTTP."""

    source: Source
    db: Database
    vault: Vault
    client: Client
    page: Provider
    resource: Resource
    puller: Puller
    sweeper: Sweeper
    connection: Connection
    found: Counter[str] = field(default_factory=Counter)

    @property
    def stream(self) -> Stream:
        """What is read."""
        return stream_of(self.connection, self.resource.name)

    def base(self, page: Provider, connection: Connection) -> str:
        """Where the simulator answers."""
        return base_of(page, connection.settings)

    async def pull(self) -> None:
        """Pulls to the end or to an error, and carries out the look-ups that were ordered."""
        try:
            await self.puller.run(self.connection, self.resource.name, hold=unfenced)
        except LandbridgeError:
            self.found["runs failed"] += 1
        await self.look_up()

    async def look_up(self, hold: Hold | None = None) -> int:
        """Reads the records by themselves that were ordered; how many."""
        claims = await due.claim(
            self.db,
            owner="row",
            lanes=["pull"],
            limit=999,
            per_shard=999,
            lease=timedelta(minutes=1),
        )
        asked = [claim for claim in claims if claim.kind == "fetch"]
        for claim in asked:
            resource, key = claim.args["resource"], claim.args["key"]
            await self.puller.one(self.connection, resource, key, hold=hold or unfenced)
        await due.settle(self.db, "row", done=claims)
        self.found["looked up"] += len(asked)
        return len(asked)

    async def sweep(self) -> Sweeping:
        """An hour later: one step of the sweep, and the look-ups that it ordered."""
        async with self.db.transaction() as tx:
            await tx.execute("UPDATE landbridge.sync SET sweep = sweep - 'stepped_at'")
        try:
            done = await self.sweeper.step(self.connection, self.resource.name, hold=unfenced)
        except Unreachable:
            done = await sweeps.one(self.db, self.stream)
        await self.look_up()
        return done

    async def held(self) -> dict[str, str]:
        """The names of the records that are here, by key."""
        found = await records.read(self.db, self.stream, most=10_000)
        return {each.key: (each.unified or {})["name"] for each in found}

    async def begin_anew(self) -> None:
        """The next pull lists from the top, as most do."""
        async with self.db.transaction() as tx:
            await tx.execute("UPDATE landbridge.sync SET cursor = NULL")

    async def check(self, name: str) -> None:
        """Counts what is here and ought not to be, and the other way round."""
        held = await self.held()
        self.found[f"{name}: false"] += len(self.source.rows.keys() - held.keys())
        self.found[f"{name}: missed"] += len(held.keys() - self.source.rows.keys())


async def unfenced(_tx: Tx) -> None:
    """No lease: nobody else works on this stage."""


async def _at_once(_seconds: float) -> None:
    """No pause between tries."""


@asynccontextmanager
async def stage(seed: int, page: Provider, resource: str, *, rows: int) -> AsyncIterator[Stage]:
    """The stage with so many rows at the provider, none of them here yet."""
    source = Source(rng=Random(seed), time=time.time() - 100_000)
    for _ in range(rows):
        source.write()
        source.pass_by(1)
    source.time = time.time()

    async def answer(call: Call) -> Response:
        query = tuple(parse_qsl(call.query))
        return source.answer(
            Request(method=call.method, url=BASE + call.path, query=query, headers=call.headers)
        )

    async with AsyncExitStack() as stack:
        server = stack.enter_context(shared_server(f"paged-{secrets.token_hex(4)}"))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        db = await Database.open(url, budget=5)
        stack.push_async_callback(db.close)
        clock, vault = SystemClock(), Vault(db, LocalKey.from_text(new_key()))
        guard = Guard(allow=["127.0.0.0/8"])
        client = Client(db, vault, guard, clock=clock, sleep=_at_once, timeout=5)
        stack.push_async_callback(client.close)
        base = stack.enter_context(in_thread(application(answer)))
        joined = await connect(
            db,
            vault,
            client,
            page,
            environment="test",
            tenant="acme",
            credentials={"key": KEY},
            settings={"base": base},
            every=None,
        )
        sources: dict[str, Any] = {
            "provider": lambda _slug: page,
            "base": lambda page, connection: base_of(page, connection.settings),
            "clock": clock,
        }
        yield Stage(
            source=source,
            db=db,
            vault=vault,
            client=client,
            page=page,
            resource=page.resource(resource),
            puller=Puller(db, client, **sources),
            sweeper=Sweeper(db, client, **sources),
            connection=joined.connection,
        )
