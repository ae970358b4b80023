"""Sends events to the app's webhook address, signed as Intuit does.

A body is a JSON array of CloudEvents; `intuit-signature` is the base64 of HMAC-SHA256 over the raw
body, keyed with the verifier token as it is written.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

import aiohttp

from landbridge.testing.asgi import BadCall
from landbridge.testing.quickbooks.wire import Obj
from landbridge.testing.stage import Stage

RETRIES = (0.2, 0.5, 1.0, 2.0)
_MODES = ("send", "hold", "lose")


@dataclass(kw_only=True)
class Dispatcher:
    """The queue between events and the address. Modes: `send`, `hold` until `release`, `lose`."""

    stage: Stage
    rng: Random
    retries: tuple[float, ...] = RETRIES
    url: str = ""
    token: str = ""
    mode: str = "send"

    def __post_init__(self) -> None:
        self._queue: asyncio.Queue[tuple[bytes, int]] = asyncio.Queue()
        self._held: list[Obj] = []
        self._later: set[asyncio.Task[None]] = set()
        self._sending = 0
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sends while the block lasts."""
        timeout = aiohttp.ClientTimeout(total=5)
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

    def register(self, url: str, token: str) -> None:
        """Sets the address and the verifier token, as the developer portal does."""
        self.url, self.token = url, token

    def tell(self, realm: str, event: Obj) -> None:
        """Plans the first try for an event."""
        if not self.url or self.mode == "lose":
            return
        at = datetime.fromtimestamp(self.stage.clock.now(), UTC)
        whole = {
            "specversion": "1.0",
            "id": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)),
            "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
            "type": event["type"],
            "datacontenttype": "application/json",
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "intuitentityid": event["intuitentityid"],
            "intuitaccountid": realm,
            "data": {},
        }
        if self.mode == "hold":
            self._held.append(whole)
        else:
            self._queue.put_nowait((json.dumps([whole]).encode(), 0))

    def set_mode(self, mode: str) -> None:
        """`send`, `hold` or `lose` from now on."""
        if mode not in _MODES:
            raise BadCall(f"mode: {mode!r} is none of {', '.join(_MODES)}")
        self.mode = mode

    def release(self, times: int) -> int:
        """Sends what was held, in one body, `times` over; how many events."""
        held, self._held, self.mode = self._held, [], "send"
        for _ in range(times if held else 0):
            self._queue.put_nowait((json.dumps(held).encode(), 0))
        return len(held) * times

    def waiting(self) -> int:
        """How many tries are held, queued, put off or under way."""
        return len(self._held) + self._queue.qsize() + len(self._later) + self._sending

    async def _send_on(self) -> None:
        while True:
            body, tries = await self._queue.get()
            self._sending += 1
            try:
                status = await self._post(body)
            finally:
                self._sending -= 1
            if status != 200 and tries < len(self.retries):
                task = asyncio.ensure_future(self._again(body, tries))
                self._later.add(task)
                task.add_done_callback(self._later.discard)

    async def _again(self, body: bytes, tries: int) -> None:
        await asyncio.sleep(self.retries[tries])
        self._queue.put_nowait((body, tries + 1))

    async def _post(self, body: bytes) -> int | None:
        assert self._session is not None
        head = {"Content-Type": "application/json", "intuit-signature": sign(body, self.token)}
        status = None
        try:
            async with self._session.post(
                self.url, data=body, headers=head, allow_redirects=False
            ) as answer:
                status = answer.status
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        self.stage.journal.write(
            kind="webhook",
            at=self.stage.clock.now(),
            method="POST",
            path=self.url,
            status=status,
            body=body.decode(),
            signature=head["intuit-signature"],
        )
        return status


def sign(body: bytes, token: str) -> str:
    """The `intuit-signature` of a body."""
    return base64.b64encode(hmac.new(token.encode(), body, hashlib.sha256).digest()).decode()
