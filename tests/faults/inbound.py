"""The stage of the rows about webhooks that come in: a shop's page, its intake, and workers that
sort."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from landbridge import ids
from landbridge.clock import SystemClock
from landbridge.engine.receive import Intake, set_app_secrets
from landbridge.engine.sort import Sorted, sort
from landbridge.spec import Provider
from landbridge.store import apps, connections, due
from landbridge.store.apps import App
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.vault import LocalKey, Vault, new_key
from landbridge.web import intake_app
from tests.engine.conftest import SHOP
from tests.store.databases import fresh_database, migrated_template, shared_server

SECRET = "whsec_of_the_shop"


def event(number: int, **more: object) -> bytes:
    """One event of the shop about a customer."""
    shape = {
        "id": f"evt_{number}",
        "type": "customer.updated",
        "account": "acct_1",
        "data": {"id": f"cus_{number}"},
    }
    return json.dumps({**shape, **more}).encode()


@dataclass(frozen=True, kw_only=True)
class Inbound:
    """The stage. Each of `dbs` is a pool of its own, as processes have."""

    url: str
    dbs: Sequence[Database]
    intakes: Sequence[Intake]
    app: App
    page: Provider
    connection: Connection

    @property
    def db(self) -> Database:
        return self.dbs[0]

    def signature(self, body: bytes, secret: str = SECRET) -> str:
        """The header's value that the shop would send now."""
        at = int(datetime.now(UTC).timestamp())
        mark = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
        return f"t={at},v1={mark}"

    async def at(self, offset: str) -> Inbound:
        """The same stage with the database's clock moved, for sorting; close its `db`."""
        return replace(self, dbs=[await Database.open(self.url, offset=offset, budget=5)])

    async def post(
        self, body: bytes, *, headers: Sequence[tuple[bytes, bytes]] | None = None, at: int = 0
    ) -> int:
        """The status that a webhook is answered with, by the intake of that number."""
        told: list[int] = []
        sent = iter([{"type": "http.request", "body": body}])

        async def receive() -> dict[str, Any]:
            return next(sent, {"type": "http.disconnect"})

        async def send(message: Any) -> None:
            told.append(message.get("status", 0))

        if headers is None:
            headers = [(b"shop-signature", self.signature(body).encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/in/{self.app.token}",
            "headers": list(headers),
        }
        await intake_app(lambda: self.intakes[at])(scope, receive, send)
        return told[0] if told else 0

    async def sort(self) -> Sorted:
        """Sorts all that waits, each flush by a worker of its own, all at the same time."""
        lease = timedelta(minutes=5)
        claims = await due.claim(
            self.db, owner="w", lanes=["receive"], limit=1000, per_shard=1000, lease=lease
        )
        done = await asyncio.gather(
            *[
                sort(
                    self.dbs[place % len(self.dbs)],
                    environment="test",
                    arrivals_named=claim.args["arrivals"],
                    provider=lambda _slug: self.page,
                    hold=unfenced,
                )
                for place, claim in enumerate(claims)
            ]
        )
        await due.settle(self.db, "w", done=claims)
        return Sorted(
            filed=sum(one.filed for one in done),
            duplicates=sum(one.duplicates for one in done),
            parked=sum(one.parked for one in done),
        )


async def unfenced(_tx: Tx) -> None:
    """No lease: nobody else sorts on this stage."""


@asynccontextmanager
async def inbound(*, processes: int = 2, **facts: Any) -> AsyncIterator[Inbound]:
    """A stage with a connected account `acct_1`; `facts` replace some of the page's webhook."""
    async with AsyncExitStack() as stack:
        attached = stack.enter_context(shared_server(f"inbound-{secrets.token_hex(4)}"))
        url = stack.enter_context(fresh_database(attached.dsn, migrated_template(attached.dsn)))
        dbs = [await Database.open(url, budget=5) for _ in range(processes)]
        for db in dbs:
            stack.push_async_callback(db.close)
        assert SHOP.webhook is not None
        page = replace(SHOP, webhook=replace(SHOP.webhook, **facts))
        vault = Vault(dbs[0], LocalKey.from_text(new_key()))
        app = await apps.ensure(dbs[0], environment="test", provider="shop")
        await set_app_secrets(dbs[0], vault, app, [SECRET])
        intakes = [
            Intake(db, vault, provider=lambda _slug: page, clock=SystemClock()) for db in dbs
        ]
        for intake in intakes:
            stack.push_async_callback(intake.settle)
        yield Inbound(
            url=url,
            dbs=dbs,
            intakes=intakes,
            app=app,
            page=page,
            connection=await connect_account(dbs[0], app),
        )


async def connect_account(db: Database, app: App) -> Connection:
    """The account `acct_1`, connected for the tenant acme."""
    grant = ids.new("grt")
    whose = {"environment": "test", "tenant": "acme", "app": app.id}
    async with db.transaction() as tx:
        await connections.save_grant(tx, **whose, id=grant, kind="typed", access=b"sealed")
        connection, _ = await connections.save(
            tx,
            **whose,
            id=ids.new("con"),
            access_grant=grant,
            provider=app.provider,
            account="acct_1",
            account_name="acct_1",
            token=apps.new_token(),
            owner="",
            label="",
            settings={},
        )
    return connection
