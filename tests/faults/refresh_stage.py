"""What F01 and F02 stand on: grants at a real server, a gate before it, processes that refresh."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from landbridge import ids
from landbridge.engine.app_client import set_client
from landbridge.engine.refresh import Refresher
from landbridge.engine.token_seals import open_credential
from landbridge.store import apps, connections, grants
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Kind, LocalKey, Vault, new_key
from tests.faults.refreshing import Spec, page, refresher
from tests.oauth.gate import Gate, gate
from tests.oauth.oidc import CLIENT_ID, CLIENT_SECRET, Oidc, oidc_server
from tests.oauth.windowed import Windowed, windowed_server
from tests.store.databases import fresh_database, migrated_template, shared_server

_READY = 60.0


@dataclass
class Stage:
    """The database, a server, the gate before it, and how grants are made there."""

    db: Database
    spec: Spec
    server: Oidc | Windowed
    gate: Gate
    vault: Vault
    app: str = ""
    said: list[bytes] = field(default_factory=list)
    """What the processes wrote to their logs."""
    minted: list[str] = field(default_factory=list)

    async def connect(self, number: int) -> list[Connection]:
        """Connections with a grant of their own each, whose access token is to be refreshed."""
        tokens = await self.server.mint(number)
        self.minted += tokens
        return [await self._connected(token) for token in tokens]

    async def now(self, connection: Connection) -> Connection | None:
        """The connection as it is."""
        return await connections.by_id(self.db, environment="test", id=connection.id)

    async def stored(self, connection: Connection) -> str:
        """The refresh token that is stored for it."""
        grant = await grants.one(
            self.db, environment="test", tenant="acme", id=connection.access_grant
        )
        assert grant is not None
        return (await open_credential(self.vault, grant))["refresh_token"]

    def inside(self, **more: Any) -> Refresher:
        """What refreshes in this process."""
        return refresher(self.db, replace(self.spec, **more))

    async def told_of(self, connection: Connection) -> list[str]:
        """The reasons in the events that say it has to be connected again."""
        async with self.db.transaction() as tx:
            rows = await tx.execute(
                "SELECT payload FROM landbridge.emitted WHERE type = 'connection.needs_reauth'"
            )
        found = [msgspec.json.decode(row["payload"])["data"] for row in rows]
        return [each["reason"] for each in found if each["connection"] == connection.id]

    async def _connected(self, token: str) -> Connection:
        whose: dict[str, Any] = {"environment": "test", "tenant": "acme"}
        grant = ids.new("grt")
        secret = await self.vault.seal(
            Kind.CREDENTIAL,
            **whose,
            place=f"grant/{grant}/secret",
            secret=msgspec.json.encode({"refresh_token": token}),
        )
        async with self.db.transaction() as tx:
            await grants.save_tokens(
                tx, **whose, id=grant, app=self.app, secret=secret, access=None, expires_at=None
            )
            connection, _ = await connections.save(
                tx,
                **whose,
                id=ids.new("con"),
                app=self.app,
                access_grant=grant,
                provider="peer",
                account=grant,
                account_name="",
                token=apps.new_token(),
                owner="",
                label="",
                settings={"url": self.gate.url},
            )
        return connection


@asynccontextmanager
async def stage(*, window: float = 0.0, lease: float = 1.0) -> AsyncIterator[Stage]:
    """A stage before oidc-provider; with a `window` before a server that has one."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        peer: Oidc | Windowed
        if window:
            peer = await stack.enter_async_context(windowed_server(window))
        else:
            peer = await stack.enter_async_context(oidc_server())
        before = await stack.enter_async_context(gate(peer.url))
        db = await Database.open(url, budget=6)
        stack.push_async_callback(db.close)
        key = new_key()
        made = Stage(
            db=db,
            spec=Spec(database=url, key=key, window=window, lease=lease),
            server=peer,
            gate=before,
            vault=Vault(db, LocalKey.from_text(key)),
        )
        app = await set_client(
            db,
            made.vault,
            page(window),
            environment="test",
            tenant=None,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
        )
        made.app = app.id
        yield made


class Crew:
    """Processes that refresh, all by one spec."""

    def __init__(self, on: Stage, processes: Sequence[asyncio.subprocess.Process]):
        self._stage = on
        self.processes = processes

    async def expire(
        self, some: Sequence[Connection], *, tasks: int = 1, first: int = 1, times: int = 1
    ) -> list[dict[str, Any]]:
        """What the processes say, all asked at once; one that died says nothing."""
        for process in self.processes:
            self.order(process, some, tasks=tasks, first=first, times=times)
        return [told for told in await asyncio.gather(*map(self.hear, self.processes)) if told]

    def order(
        self,
        process: asyncio.subprocess.Process,
        some: Sequence[Connection],
        *,
        tasks: int = 1,
        first: int = 1,
        times: int = 1,
        point: str = "",
    ) -> None:
        """Gives one of them its work."""
        asked = {
            "connections": [each.id for each in some],
            "tasks": tasks,
            "first": first,
            "times": times,
            "point": point,
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(asked).encode() + b"\n")

    async def hear(self, process: asyncio.subprocess.Process) -> dict[str, Any] | None:
        """Its next answer."""
        assert process.stdout is not None
        line = await process.stdout.readline()
        return json.loads(line) if line else None


@asynccontextmanager
async def crew(on: Stage, number: int, **more: Any) -> AsyncIterator[Crew]:
    """So many processes that are ready, until the end of the block."""
    spec = json.dumps(asdict(replace(on.spec, **more)))
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.refreshing",
            spec,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(number)
    ]
    made = Crew(on, processes)
    try:
        async with asyncio.timeout(_READY):
            for process in processes:
                if await made.hear(process) is None:
                    assert process.stderr is not None
                    raise RuntimeError((await process.stderr.read()).decode())
        yield made
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            assert process.stderr is not None
            on.said.append(await process.stderr.read())
            await process.wait()


async def stopped(process: asyncio.subprocess.Process) -> None:
    """Returns once the process stands still by SIGSTOP, or has ended."""
    async with asyncio.timeout(_READY):
        while process.returncode is None:
            if _state(process.pid) in "TZX":
                return
            await asyncio.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return "X"


def wake(process: asyncio.subprocess.Process) -> None:
    """Lets a stopped process go on."""
    os.kill(process.pid, signal.SIGCONT)
