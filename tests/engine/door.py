"""The shop's intake address as tests call there: what is sent, and what is told."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from landbridge.clock import Clock, FakeClock
from landbridge.engine.receive import Intake, set_app_secrets
from landbridge.spec import Handshake, Signature
from landbridge.store import arrivals
from landbridge.store.database import Database
from landbridge.store.sql import Sql
from landbridge.vault import Vault
from landbridge.web import intake_app
from landbridge.web.intake.reading import Reader
from tests.engine.conftest import SHOP, Scene

SECRET = "whsec_of_the_shop"
COUNT = Sql("tests.arrived", "SELECT count(*) FROM lb.arrival", across="A test counts all.")
BODY = b'{"id": "evt_1", "type": "customer.updated", "account": "acct_1", "data": {"id": "cus_1"}}'


@dataclass
class Told:
    """An answer as it was sent, and how many parts of the body were asked for."""

    status: int
    body: bytes
    headers: dict[str, str]
    asked: int


@dataclass
class Door:
    """The shop's intake address, and how to call there."""

    db: Database
    intake: Intake
    scene: Scene
    clock: Clock
    vault: Vault
    reader: Reader = field(default_factory=Reader)

    def signed(self, body: bytes, secret: str = SECRET) -> dict[str, str]:
        at = int(self.clock.now().timestamp())
        mark = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
        return {"shop-signature": f"t={at},v1={mark}"}

    async def call(
        self,
        body: bytes | Iterable[Any] = b"",
        headers: dict[str, str] | None = None,
        *,
        method: str = "POST",
        query: bytes = b"",
        path: str = "",
    ) -> Told:
        """What a call is answered with; a body in parts may hold pauses as numbers."""
        parts = iter([body] if isinstance(body, bytes) else body)
        sent: list[Any] = []
        asked = 0

        async def receive() -> dict[str, Any]:
            nonlocal asked
            asked += 1
            part = next(parts, None)
            if isinstance(part, float):
                await asyncio.sleep(part)
                part = b"x"
            if part is None:
                return {"type": "http.disconnect"}
            more = not isinstance(body, bytes)
            return {"type": "http.request", "body": part, "more_body": more}

        async def send(message: Any) -> None:
            sent.append(message)

        names = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {
            "type": "http",
            "method": method,
            "path": path or f"/in/{self.scene.app.token}",
            "query_string": query,
            "headers": names,
        }
        await intake_app(lambda: self.intake, reader=self.reader)(scope, receive, send)
        if not sent:
            return Told(status=0, body=b"", headers={}, asked=asked)
        told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Told(status=sent[0]["status"], body=sent[1]["body"], headers=told, asked=asked)

    async def stored(self) -> int:
        found: int = await self.db.value(COUNT)
        return found

    async def tallies(self) -> dict[str, int]:
        await self.intake.settle()
        return {what: n for _, _, what, n in await arrivals.tallies(self.db, environment="test")}


Opened = Callable[..., Door]


async def opener(db: Database, vault: Vault, scene: Scene) -> Opened:
    """What opens the door: by the page with other facts, and an intake with other parts."""
    await set_app_secrets(db, vault, scene.app, [SECRET])

    def opened(
        handshake: Handshake | None = None,
        *,
        reader: Reader | None = None,
        clock: Clock | None = None,
        on: Database | None = None,
        signature: Signature | None = None,
        events: str = "events",
        **more: Any,
    ) -> Door:
        assert SHOP.webhook is not None
        facts: dict[str, Any] = {"handshake": handshake, "events": events} if handshake else {}
        if signature is not None:
            facts["signature"] = signature
        page = replace(SHOP, webhook=replace(SHOP.webhook, refused_status=401, **facts))
        clock = clock or FakeClock()
        parts: dict[str, Any] = {"provider": lambda _slug: page, "clock": clock, **more}
        intake = Intake(on or db, vault, **parts)
        return Door(db, intake, scene, clock, vault, reader or Reader())

    return opened
