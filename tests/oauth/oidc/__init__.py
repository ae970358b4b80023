"""The authorisation server by npm's oidc-provider, started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.npm import free_port, installed, node
from tests.plain import PLAIN

_HERE = Path(__file__).parent
_SERVER = "server.mjs"
CLIENT_ID = "our-app"
CLIENT_SECRET = "our-app-secret-canary"
CALLBACK = "https://connect.example/connect/callback/peer"


@dataclass(frozen=True, kw_only=True)
class Oidc:
    """A running server."""

    url: str

    async def mint(self, number: int) -> list[str]:
        """That many refresh tokens, as if so many people had consented."""
        minted: list[str] = []
        while len(minted) < number:
            some = min(number - len(minted), 1000)
            minted += await self._ask("POST", "/mint", json={"grants": some})
        return minted

    async def counts(self) -> dict[str, int]:
        """What it did: `exchanged` refresh tokens, `refused`, families `ended`."""
        counts: dict[str, int] = await self._ask("GET", "/counts")
        return counts

    async def alive(self, token: str) -> bool:
        """Whether it would take this refresh token."""
        return bool((await self._ask("GET", "/alive", params={"token": token}))["alive"])

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        async with httpx2.AsyncClient(trust_env=False, verify=PLAIN, timeout=60) as client:
            answer = await client.request(method, self.url + path, **more)
            return answer.raise_for_status().json()


@asynccontextmanager
async def oidc_server() -> AsyncIterator[Oidc]:
    """The server on a free port, until the end of the block."""
    folder = await asyncio.to_thread(installed, _HERE, [_SERVER])
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        node(),
        _SERVER,
        str(port),
        CALLBACK,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    drained: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(60):
            while (line := await process.stdout.readline()).strip() != b"ready":
                if not line:
                    raise RuntimeError("oidc-provider did not start")
        drained = asyncio.create_task(process.stdout.read())
        yield Oidc(url=f"http://127.0.0.1:{port}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if drained is not None:
            await drained
