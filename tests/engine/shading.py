"""What tests of shadows share: a provider that counts what reaches it, on one open bridge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from landbridge.app.bridge import Landbridge
from landbridge.client import SignIn
from landbridge.engine.connect import base_of
from landbridge.engine.push import Pushed
from landbridge.models import Model
from landbridge.store import intents
from landbridge.store.connections import Connection
from landbridge.store.intents import Intent
from landbridge.wire import Headers, Request, Response
from tests.engine.conftest import free

READS = {"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"}


@dataclass
class Counted:
    """An ASGI application that counts requests by method; those of its control plane are not."""

    app: Callable[..., Any]
    methods: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/_sim/"):
            self.methods[scope["method"]] += 1
        await self.app(scope, receive, send)

    @property
    def writes(self) -> int:
        """How many requests that change something came so far."""
        return sum(many for method, many in self.methods.items() if method not in READS)


@dataclass(kw_only=True)
class Shop:
    """A connected account on an open bridge."""

    bridge: Landbridge
    connection: Connection
    door: Counted

    async def push(
        self, document: Model, action: str | None = None, resource: str | None = None
    ) -> tuple[Intent, Pushed]:
        """Promises a write and carries it out, as a worker does."""
        async with self.bridge.transaction() as tx:
            made = await self.bridge.push(
                tx, document, to=self.connection, action=action, resource=resource
            )
        return await self.run(made)

    async def run(self, id: str) -> tuple[Intent, Pushed]:
        """Carries an intent out; how it stands then."""
        done = await self.bridge._open.pusher.run(await self.intent(id), hold=free)
        return await self.intent(id), done

    async def intent(self, id: str) -> Intent:
        """An intent of this connection's tenant."""
        found = await intents.one(
            self.bridge.db,
            environment=self.connection.environment,
            tenant=self.connection.tenant,
            id=id,
        )
        assert found is not None
        return found

    async def call(self, method: str, path: str, body: str = "", **headers: str) -> Response:
        """One call to the provider, as an application makes it."""
        provider = self.bridge.provider(self.connection.provider)
        signed = self.bridge.client.signed(provider, SignIn(connection=self.connection))
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        return await signed.send(
            Request(
                method=method,
                url=base_of(provider, self.connection.settings, self.connection.account) + path,
                headers=Headers({**kind, **headers}),
                body=body.encode(),
            )
        )
