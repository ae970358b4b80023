"""Webhooks and health while work holds all that a process has of the database."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from landbridge import Landbridge
from landbridge.engine.receive import set_app_secrets
from landbridge.store import apps
from landbridge.vault import new_key
from tests.engine.conftest import SHOP
from tests.engine.door import BODY, SECRET


async def posted(site: Any, token: str) -> int:
    """The status of a webhook that is well; 0 while none comes within two seconds."""
    at = int(time.time())
    mark = hmac.new(SECRET.encode(), b"%d." % at + BODY, hashlib.sha256).hexdigest()
    told: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY}

    async def send(message: Any) -> None:
        told.append(message.get("status", 0))

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/in/{token}",
        "headers": [(b"shop-signature", f"t={at},v1={mark}".encode())],
    }
    try:
        await asyncio.wait_for(site(scope, receive, send), 2)
    except TimeoutError:
        return 0
    return told[0]


@pytest.mark.parametrize("pool", [4, 6, 7, 10])
@pytest.mark.parametrize("mounted", [True, False])
async def test_webhooks_come_in_while_handlers_hold_every_connection(
    database_url: str, pool: int, mounted: bool
) -> None:
    made = Landbridge.from_env(
        database_url=database_url, key=new_key(), pool=pool, providers=[SHOP], environment="test"
    )
    site = made.asgi() if mounted else None
    async with made as bridge, AsyncExitStack() as holding:
        site = site or bridge.asgi()
        app = await apps.ensure(bridge.db, environment="test", provider="shop")
        await set_app_secrets(bridge.db, bridge.vault, app, [SECRET])
        parts = bridge._open
        for db in {parts.db, parts.hot}:
            for _ in range(db._pool.get_max_size()):
                await holding.enter_async_context(db.transaction())
        assert await posted(site, app.token) == (200 if mounted else 0)
        if mounted:
            await asyncio.wait_for(bridge.health(), 2)
        held = sum(db._pool.get_max_size() for db in {parts.db, parts.hot, parts.front})
        assert held == pool - 1  # and one for LISTEN
