"""The stage of the rows about a server of webhooks: a Postgres of its own that can be hurt, a real
`landbridge serve`, and a load that comes at a constant rate whatever the answers are."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import structlog

from landbridge.engine.receive import set_app_secrets
from landbridge.store import apps
from landbridge.store.database import Database
from landbridge.vault import LocalKey, Vault, new_key
from tests.store.databases import fresh_database, migrated_template, shared_server

SECRET = "whsec_of_the_account"


@dataclass(kw_only=True)
class Load:
    """Webhooks that were sent, by the phase in which they were: how each was answered."""

    answers: dict[str, Counter[int]] = field(default_factory=dict)
    acked: set[str] = field(default_factory=set)
    waited: list[float] = field(default_factory=list)
    sent: int = 0

    def seen(self, phase: str) -> Counter[int]:
        """Status codes of a phase; 0 stands for no answer at all."""
        return self.answers.setdefault(phase, Counter())


@dataclass(frozen=True, kw_only=True)
class Stage:
    """`url` is the database's address, `hook` the webhooks'; `pid` is the process that serves."""

    url: str
    key: str
    hook: str
    pid: int
    load: Load

    async def send(self, phase: str, seconds: float, *, rate: int) -> None:
        """Sends at a constant rate for so long, and waits for the last answer."""
        count = int(rate * seconds)
        begun = time.monotonic()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(20)
        ) as session:
            tasks = []
            for number in range(count):
                await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
                tasks.append(asyncio.create_task(self._post(session, phase)))
            await asyncio.gather(*tasks)

    async def _post(self, session: aiohttp.ClientSession, phase: str) -> None:
        load = self.load
        load.sent += 1
        event = f"evt_{load.sent}"
        body = json.dumps({"id": event, "type": "customer.updated", "data": {}}).encode()
        began = time.monotonic()
        try:
            async with session.post(self.hook, data=body, headers=_signed(body)) as answer:
                status = answer.status
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        load.waited.append(time.monotonic() - began)
        load.seen(phase)[status] += 1
        if 200 <= status < 300:
            load.acked.add(event)

    async def missing(self) -> int:
        """Acknowledged webhooks that are not in the database."""
        connection = await connect_again(self.url)
        rows = await connection.fetch("SELECT body FROM landbridge.arrival")
        await connection.close()
        stored = {json.loads(row["body"])["id"] for row in rows}
        return len(self.load.acked - stored)


def _signed(body: bytes) -> Mapping[str, str]:
    at = int(time.time())
    digest = hmac.new(SECRET.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={digest}", "Content-Type": "application/json"}


async def connect_again(url: str, *, within: float = 15) -> asyncpg.Connection:
    """A connection, as soon as the server takes one."""
    deadline = time.monotonic() + within
    while True:
        try:
            return await asyncpg.connect(url, timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


async def postmaster(url: str) -> int:
    """The process id of the database's server, which is started anew when it ends."""
    connection = await asyncpg.connect(url)
    lines: str = await connection.fetchval("SELECT pg_read_file('postmaster.pid')")
    await connection.close()
    return int(lines.partition("\n")[0])


@asynccontextmanager
async def database() -> AsyncIterator[str]:
    """The address of a migrated database on a server of its own, as the owner."""
    with ExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        yield stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))


@asynccontextmanager
async def databases(number: int) -> AsyncIterator[list[str]]:
    """Several databases on one server."""
    with ExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        template = migrated_template(server.dsn)
        yield [stack.enter_context(fresh_database(server.dsn, template)) for _ in range(number)]


@contextmanager
def silent() -> Iterator[None]:
    """No log of our own in the command's output."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@asynccontextmanager
async def stage(*, pool: int = 4) -> AsyncIterator[Stage]:
    """A server, a migrated database, an app with a webhook secret, and a process that serves."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(database())
        key = new_key()
        db = await Database.open(url, budget=2)
        app = await apps.ensure(db, environment="test", provider="stripe")
        await set_app_secrets(db, Vault(db, LocalKey.from_text(key)), app, [SECRET])
        await db.close()
        address, pid = await stack.enter_async_context(serving(url, key, pool=pool))
        yield Stage(url=url, key=key, hook=f"{address}/in/{app.token}", pid=pid, load=Load())
        await (await connect_again(url)).close()


@asynccontextmanager
async def serving(
    url: str, key: str, *, pool: int, work: bool = False
) -> AsyncIterator[tuple[str, int]]:
    """The address and the process id of a `landbridge serve`, as an operator starts it, that ends
    with the block; with `work` it does the work of a worker too."""
    more = ["--work"] if work else []
    words = ["serve", "--port", "0", *more]
    async with _command(words, url, key, pool=pool) as told:
        yield told["serving"], told["pid"]


@asynccontextmanager
async def sorting(url: str, key: str) -> AsyncIterator[None]:
    """A `landbridge worker` that only sorts webhooks, until the block ends."""
    async with _command(["worker", "--lanes", "receive"], url, key, pool=6):
        yield


@asynccontextmanager
async def _command(
    words: Sequence[str], url: str, key: str, *, pool: int
) -> AsyncIterator[dict[str, Any]]:
    """What a command says when it is ready, as an operator starts it; it ends with the block."""
    settings = {"DATABASE_URL": url, "KEY": key, "POOL": str(pool)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "landbridge.cli", *words, "--json"),
        env=os.environ | {f"LANDBRIDGE_{name}": value for name, value in settings.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
