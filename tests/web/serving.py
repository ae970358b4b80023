"""A bridge that is served at a free port of loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from landbridge import Landbridge
from landbridge.cli.serve import listening, server_of
from landbridge.spec import Provider
from landbridge.vault import new_key


@asynccontextmanager
async def serving(
    database_url: str, providers: list[Provider] | None, *, mount: str = ""
) -> AsyncIterator[tuple[Landbridge, str]]:
    """A bridge over this database, and the address of its server; mounted below `mount`."""
    with listening("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        bridge = Landbridge.from_env(
            providers=providers,
            database_url=database_url,
            key=new_key(),
            public_url=f"{url}{mount}",
            allow_networks="127.0.0.0/8",
        )
        inner, up = bridge.asgi(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await inner({**scope, "root_path": mount}, receive, send)

        server = server_of(app, up.set)
        async with bridge.lifespan(work=False):
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await up.wait()
            yield bridge, url
            server.should_exit = True
            await serving
