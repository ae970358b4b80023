"""What F01 and F02 stand on: grants at a real server, and a gate before it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
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
from tests.faults.refresh_crew import Crew, Nursery, crew, nursery
from tests.faults.refreshing import Spec, page, refresher
from tests.oauth.gate import Gate, gate
from tests.oauth.oidc import CLIENT_ID, CLIENT_SECRET, Oidc, oidc_server
from tests.oauth.windowed import Windowed, windowed_server
from tests.store.databases import fresh_database, migrated_template, shared_server


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What all stages of a row share: a server of databases, and where processes come from."""

    dsn: str
    template: str
    nursery: Nursery


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """Until the end of the block; its parts start side by side."""

    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(stack.enter_async_context(nursery()))
        run = shared_server(secrets.token_hex(4))
        server = await asyncio.to_thread(stack.enter_context, run)
        made = await asyncio.to_thread(migrated_template, server.dsn)
        yield Ground(dsn=server.dsn, template=made, nursery=await starting)


@dataclass
class Stage:
    """The database, a server, the gate before it, and how grants are made there."""

    db: Database
    spec: Spec
    server: Oidc | Windowed
    gate: Gate
    vault: Vault
    nursery: Nursery
    app: str = ""
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

    def crew(self, number: int, **more: Any) -> AbstractAsyncContextManager[Crew]:
        """So many processes that refresh, until the end of the block."""
        return crew(self.nursery, [replace(self.spec, **more)] * number)

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
            place=f"grant/{grant}/secret/1",
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
async def stage(on: Ground, *, window: float = 0.0, lease: float = 1.0) -> AsyncIterator[Stage]:
    """A stage before oidc-provider; with a `window` before a server that has one."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(fresh_database(on.dsn, on.template))
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
            nursery=on.nursery,
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
