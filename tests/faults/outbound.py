"""The stage of the rows about deliveries: a database, a receiver that keeps a journal, processes
that emit and deliver and are killed, and the reckoning at the end."""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from landbridge.client.guard import Guard
from landbridge.engine.endpoints import Endpoints
from landbridge.store.database import Database
from landbridge.testing.running import Spawned, spawn
from landbridge.vault import LocalKey, Vault, new_key
from tests.faults.nursery import Nursery
from tests.faults.victims import OWN_TABLE
from tests.store.databases import fresh_database, migrated_template, shared_server
from tests.store.pgbouncer import pgbouncer

TENANTS = 3
HOOKS = ("shop", "till")
"""Each tenant has an endpoint at each of these hooks."""


@dataclass(frozen=True, kw_only=True)
class Reckoning:
    """What became of the deliveries that were promised. All but `tried` and `duplicated` ought
    to be zero: `lost` ones never arrived, `ghosts` were never committed, `forged` did not verify,
    `unrecorded` ones arrived and we do not know it, `twice` are attempt numbers that occur twice,
    `changed` are bodies that differ between two tries."""

    tried: int
    lost: int
    duplicated: int
    ghosts: int
    forged: int
    unrecorded: int
    twice: int
    changed: int

    @property
    def clean(self) -> bool:
        """Whether only duplicates happened."""
        faults = (self.lost, self.ghosts, self.forged, self.unrecorded, self.twice, self.changed)
        return self.tried > 0 and not any(faults)

    def __add__(self, other: Reckoning) -> Reckoning:
        return Reckoning(**{name: count + vars(other)[name] for name, count in vars(self).items()})

    def __str__(self) -> str:
        return f"{self.tried} tried, {self.lost} lost, {self.duplicated} duplicated"


def reckon(
    committed: Collection[str],
    journal: Iterable[Mapping[str, Any]],
    attempts: Iterable[tuple[str, str, int, str]],
) -> Reckoning:
    """From the application's own rows, the receiver's journal and our attempts (event, delivery,
    number, outcome)."""
    promised = {(event, hook) for event in committed for hook in HOOKS}
    entries = [entry for entry in journal if entry.get("kind") == "delivery"]
    arrived = Counter(
        (entry["webhook_id"], entry["endpoint"])
        for entry in entries
        if entry["verified"] and entry["status"] is not None and 200 <= entry["status"] < 300
    )
    bodies: dict[str, set[str]] = {}
    for entry in entries:
        bodies.setdefault(entry["webhook_id"], set()).add(entry["body_sha256"])
    tries = list(attempts)
    numbers = Counter((delivery, number) for _, delivery, number, _ in tries)
    delivered = Counter(event for event, _, _, outcome in tries if outcome == "delivered")
    return Reckoning(
        tried=len(promised),
        lost=len(promised - arrived.keys()),
        duplicated=sum(arrived.values()) - len(arrived),
        ghosts=len(arrived.keys() - promised),
        forged=sum(not entry["verified"] for entry in entries),
        unrecorded=sum(abs(len(HOOKS) - delivered[event]) for event in committed),
        twice=sum(count - 1 for count in numbers.values()),
        changed=sum(len(found) - 1 for found in bodies.values()),
    )


@dataclass(kw_only=True)
class Scene:
    """One row's stage. `url` leads through the pooler if there is one, `direct` never; `server` is
    the server's own database; `sender` is the client that workers deliver by."""

    server: str
    url: str
    direct: str
    key: str
    sender: str
    pooler: bool
    nursery: Nursery
    receiver: Spawned
    journal: Path
    kills: int = 0

    async def emitter(self, **options: Any) -> int:
        """A new process that emits; its id."""
        return await self.nursery.start("emitter", url=self.url, pooler=self.pooler, **options)

    async def worker(self, **options: Any) -> int:
        """A new process that dispatches and delivers; its id."""
        known = {"url": self.url, "key": self.key, "sender": self.sender, "pooler": self.pooler}
        return await self.nursery.start("worker", **known | options)

    async def emit(self, events: int, *, each: int = 5) -> None:
        """Lets a process commit that many events, and end."""
        pid = await self.emitter(transactions=events // each, each=each)
        assert await self.nursery.ended(pid, within=60) == 0

    async def until_killed(self, pid: int, *, within: float) -> None:
        """Waits until its trap has killed the process; one that did not reach it is killed now."""
        ended = await self.nursery.ended(pid, within=within)
        if ended is None:
            self.nursery.kill(pid)
            ended = await self.nursery.ended(pid, within=10)
        self.kills += ended == -9

    async def kill_cycles(
        self,
        rng: Random,
        points: Collection[str],
        kills: int,
        *,
        step: Callable[[int, int], None],
        each: int = 12,
    ) -> None:
        """Emits, and lets workers die: at one of the points, and one in four at any moment; the
        first one surely at a point."""
        while self.kills < kills:
            await self.emit(each, each=4)
            point = rng.choice(sorted(points))
            if not self.kills:
                await self.until_killed(await self.worker(point=point), within=10)
                continue
            if rng.random() < 0.25:
                pid = await self.worker()
                await asyncio.sleep(rng.uniform(0.02, 0.4))
                self.nursery.kill(pid)
            else:
                pid = await self.worker(point=point, after=rng.randint(1, 6))
            await self.until_killed(pid, within=1)
            step(self.kills, kills)

    async def drain(self, *, within: float = 60, **options: Any) -> None:
        """Lets a worker that nobody kills finish everything."""
        pid = await self.worker(**options)
        connection = await asyncpg.connect(self.direct)
        deadline = asyncio.get_running_loop().time() + within
        left = 1
        while left and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
            left = await connection.fetchval(
                "SELECT (SELECT count(*) FROM landbridge.emitted)"
                " + (SELECT count(*) FROM landbridge.due WHERE kind = 'deliver')"
            )
        await connection.close()
        self.nursery.kill(pid)
        await self.nursery.ended(pid, within=10)

    async def reckon(self) -> Reckoning:
        """Compares what was committed, what arrived and what we recorded."""
        connection = await asyncpg.connect(self.direct)
        own = await connection.fetch("SELECT event FROM own_row")
        tries = await connection.fetch(
            "SELECT event, delivery, number, outcome FROM landbridge.attempt"
        )
        await connection.close()
        lines = self.journal.read_text().splitlines()
        return reckon(
            [row["event"] for row in own],
            (json.loads(line) for line in lines),
            (tuple(row) for row in tries),
        )


@dataclass(frozen=True, kw_only=True)
class House:
    """What several stages may share: a server, and the parent of processes."""

    server: str
    nursery: Nursery


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    """A fresh one."""
    with shared_server(secrets.token_hex(4)) as server:
        async with Nursery() as nursery:
            yield House(server=server.dsn, nursery=nursery)


@asynccontextmanager
async def scene(
    *,
    fail_first: Iterable[str] = (),
    sender: str = "aiohttp",
    pooler: bool = False,
    within: House | None = None,
) -> AsyncIterator[Scene]:
    """A database, a receiver and endpoints of three tenants, all fresh; in a house of its own
    unless it is told one. It holds up whatever else runs until it stands."""
    async with AsyncExitStack() as stack:
        if within is None:
            within = await stack.enter_async_context(house())
        template = migrated_template(within.server)
        direct = stack.enter_context(fresh_database(within.server, template))
        url = stack.enter_context(pgbouncer(direct)) if pooler else direct
        journal = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "journal"
        options = [f"--fail-first={each}" for each in fail_first]
        receiver = spawn("receiver", "--journal", str(journal), *options)
        stack.callback(receiver.stop)
        key = new_key()
        await prepare(direct, key, receiver)
        yield Scene(
            server=within.server,
            url=url,
            direct=direct,
            key=key,
            sender=sender,
            pooler=pooler,
            nursery=within.nursery,
            receiver=receiver,
            journal=journal,
        )


async def prepare(url: str, key: str, receiver: Spawned) -> None:
    """The application's own table, and the tenants' endpoints at the receiver."""
    db = await Database.open(url, budget=2)
    async with db.transaction() as tx:
        await tx.execute(OWN_TABLE)
    endpoints = Endpoints(db, Vault(db, LocalKey.from_text(key)), Guard(["127.0.0.0/8"]))
    secret = "whsec_" + "a" * 43 + "="
    for hook in HOOKS:
        await _hook(receiver.url, hook, secret)
        for tenant in range(TENANTS):
            await endpoints.create(
                environment="test",
                tenant=f"tenant {tenant}",
                url=f"{receiver.url}/hook/{hook}",
                secret=secret,
            )
    await db.close()


async def _hook(url: str, name: str, secret: str) -> None:
    import httpx2

    async with httpx2.AsyncClient(trust_env=False) as client:
        made = await client.post(f"{url}/_sim/endpoints", json={"name": name, "secret": secret})
        made.raise_for_status()
