"""Sends events to the app's notification address, signed as Square does.

`x-square-hmacsha256-signature` is the base64 of HMAC-SHA256 over the address, as it was registered,
and the raw body, keyed with the signature key as it is written.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from landbridge.testing.asgi import BadCall
from landbridge.testing.square.wire import Obj
from landbridge.testing.stage import Stage

RETRIES = (0.2, 0.5, 1.0, 2.0)
HEADER = "x-square-hmacsha256-signature"
_MODES = ("send", "hold", "lose")


@dataclass(kw_only=True)
class Dispatcher:
    """The queue between events and the address. Modes: `send`, `hold` until `release`, `lose`."""

    stage: Stage
    retries: tuple[float, ...] = RETRIES
    url: str = ""
    key: str = ""
    mode: str = "send"

    def __post_init__(self) -> None:
        self._queue: asyncio.Queue[tuple[bytes, int]] = asyncio.Queue()
        self._held: list[bytes] = []
        self._later: set[asyncio.Task[None]] = set()
        self._sending = 0
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sends while the block lasts."""
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            self._session = session
            tasks = [asyncio.ensure_future(self._send_on()) for _ in range(4)]
            try:
                yield
            finally:
                tasks += self._later
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def tell(self, event: Obj) -> None:
        """Plans the first try for an event."""
        if not self.url or self.mode == "lose":
            return
        body = json.dumps(event, separators=(",", ":")).encode()
        if self.mode == "hold":
            self._held.append(body)
        else:
            self._queue.put_nowait((body, 0))

    def set_mode(self, mode: str) -> None:
        """`send`, `hold` or `lose` from now on."""
        if mode not in _MODES:
            raise BadCall(f"mode: {mode!r} is none of {', '.join(_MODES)}")
        self.mode = mode

    def release(self, times: int) -> int:
        """Sends what was held, `times` over; how many."""
        held = self._held * times
        self._held, self.mode = [], "send"
        for body in held:
            self._queue.put_nowait((body, 0))
        return len(held)

    def waiting(self) -> int:
        """How many tries are held, queued, put off or under way."""
        return len(self._held) + self._queue.qsize() + len(self._later) + self._sending

    async def forge(self) -> int | None:
        """What the address answers to a body that another key has signed."""
        body = json.dumps({"type": "payment.updated", "event_id": "forged"}).encode()
        return await self._post(body, sign(self.url, body, "not-the-key"), 0)

    async def _send_on(self) -> None:
        while True:
            body, tries = await self._queue.get()
            self._sending += 1
            try:
                status = await self._post(body, sign(self.url, body, self.key), tries)
            finally:
                self._sending -= 1
            taken = status is not None and 200 <= status < 300
            if not taken and tries < len(self.retries):
                task = asyncio.ensure_future(self._again(body, tries))
                self._later.add(task)
                task.add_done_callback(self._later.discard)

    async def _again(self, body: bytes, tries: int) -> None:
        await asyncio.sleep(self.retries[tries])
        self._queue.put_nowait((body, tries + 1))

    async def _post(self, body: bytes, signature: str, tries: int) -> int | None:
        assert self._session is not None
        at = datetime.fromtimestamp(self.stage.clock.now(), UTC)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Square Connect v2",
            HEADER: signature,
            "square-environment": "Sandbox",
            "square-initial-delivery-timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        }
        if tries:
            headers |= {"square-retry-number": str(tries), "square-retry-reason": "http_error"}
        status = None
        try:
            async with self._session.post(
                self.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status = answer.status
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        told = json.loads(body)
        self.stage.journal.write(
            kind="webhook",
            at=self.stage.clock.now(),
            method="POST",
            path=self.url,
            event=told["event_id"],
            type=told["type"],
            tries=tries + 1,
            status=status,
        )
        return status


def sign(url: str, body: bytes, key: str) -> str:
    """The signature of a body that is sent to this address."""
    digest = hmac.new(key.encode(), url.encode() + body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
