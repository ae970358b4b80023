"""What engine tests share: an open database, a vault, and a small provider page of a shop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from landbridge import Landbridge, ids
from landbridge.client import Client
from landbridge.client.guard import Guard
from landbridge.clock import SystemClock
from landbridge.engine.connect import base_of
from landbridge.engine.pull import Puller
from landbridge.models.payments import Customer
from landbridge.providers import get
from landbridge.spec import (
    AfterLast,
    ApiKey,
    Field,
    Provider,
    Resource,
    TimestampedHmac,
    Webhook,
    map_to,
    read_only,
    text,
)
from landbridge.store import apps, connections
from landbridge.store.apps import App
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.vault import Kind, LocalKey, Vault, new_key
from tests.engine.ailing import At

SHOP = Provider(
    slug="shop",
    name="Shop",
    docs="https://shop.example/docs",
    checked="2026-11-22",
    auth=ApiKey(fields=[Field(name="key", label="API key", secret=True)]),
    base="https://shop.example",
    webhook=Webhook(
        signature=TimestampedHmac(header="Shop-Signature"),
        id="id",
        topic="type",
        account="account",
        object_key="data.id",
        stamp="created",
        max_body=10_000,
    ),
    resources=[
        Resource(
            name="customer",
            path="/customers",
            key="id",
            records="data",
            page=AfterLast(param="after", more="more"),
            one="/customers/{id}",
            topics=["customer.*"],
            deletes=["customer.deleted"],
            maps=map_to(Customer, id=read_only(text("id")), name=text("name")),
        )
    ],
)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    yield database
    await database.close()


@pytest.fixture
async def bridge(database_url: str) -> AsyncIterator[Landbridge]:
    """An open bridge on a database of its own."""
    made = Landbridge.from_env(
        database_url=database_url, key=new_key(), allow_networks="127.0.0.0/8"
    )
    async with made:
        yield made


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[At]:
    """The same database some time from now: `await at("1 hour")`."""
    async with AsyncExitStack() as stack:

        async def opened(offset: str) -> Database:
            db = await Database.open(database_url, budget=3, offset=offset)
            stack.push_async_callback(db.close)
            return db

        yield opened


@pytest.fixture
def vault(db: Database) -> Vault:
    return Vault(db, LocalKey.from_text(new_key()))


@dataclass
class Scene:
    """An app of the shop, and how to connect tenants to it."""

    db: Database
    app: App

    async def connect(self, tenant: str, account: str, *, label: str = "") -> Connection:
        async with self.db.transaction() as tx:
            grant = ids.new("grt")
            await connections.save_grant(
                tx,
                environment="test",
                tenant=tenant,
                id=grant,
                app=self.app.id,
                kind="typed",
                access=b"sealed",
            )
            connection, _ = await connections.save(
                tx,
                environment="test",
                tenant=tenant,
                id=ids.new("con"),
                app=self.app.id,
                access_grant=grant,
                provider="shop",
                account=account,
                account_name=account,
                token=apps.new_token(),
                owner="",
                label=label,
                settings={},
            )
        return connection


@pytest.fixture
async def scene(db: Database) -> Scene:
    return Scene(db=db, app=await apps.ensure(db, environment="test", provider="shop"))


@pytest.fixture
async def client(db: Database, vault: Vault) -> AsyncIterator[Client]:
    async def at_once(_seconds: float) -> None: ...

    made = Client(
        db, vault, Guard(allow=["127.0.0.0/8"]), clock=SystemClock(), sleep=at_once, timeout=5
    )
    yield made
    await made.close()


@pytest.fixture
def puller(db: Database, client: Client) -> Puller:
    return Puller(
        db,
        client,
        provider=get,
        base=lambda provider, connection: base_of(provider, connection.settings),
        clock=SystemClock(),
    )


async def free(_tx: Tx) -> None:
    """No lease to hold."""


async def typed_in(db: Database, vault: Vault, provider: str, base: str) -> Connection:
    """A connection of acme's at a server on this machine, by a key that was typed in."""
    own: dict[str, Any] = {"environment": "test", "tenant": "acme"}
    app = await apps.ensure(db, environment="test", provider=provider)
    grant = ids.new("grt")
    access = await vault.seal(
        Kind.ACCESS, **own, place=f"grant/{grant}/access/1", secret=b'{"key": "sk"}'
    )
    async with db.transaction() as tx:
        await connections.save_grant(tx, **own, id=grant, app=app.id, kind="typed", access=access)
        connection, _ = await connections.save(
            tx,
            **own,
            id=ids.new("con"),
            app=app.id,
            access_grant=grant,
            provider=provider,
            account="acme",
            account_name="Acme",
            token=apps.new_token(),
            owner="",
            label="",
            settings={"base": base},
        )
    return connection
