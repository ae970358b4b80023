"""Sends events to the app's webhook address, signed as Xero does, after an intent to receive.

`x-xero-signature` is the base64 of HMAC-SHA256 over the raw body, keyed with the signing key as it
is written. The address counts only once it answered correctly and wrongly signed bodies rightly.
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
from random import Random
from typing import Any

import aiohttp

from landbridge.testing.asgi import BadCall
from landbridge.testing.stage import Stage
from landbridge.testing.xero.wire import Obj

RETRIES = (0.2, 0.5, 1.0, 2.0)
_MODES = ("send", "hold", "lose")


@dataclass(kw_only=True)
class Dispatcher:
    """The queue between events and the address. Modes: `send`, `hold` until `release`, `lose`."""

    stage: Stage
    rng: Random
    retries: tuple[float, ...] = RETRIES
    url: str = ""
    key: str = ""
    active: bool = False
    mode: str = "send"
    sequence: int = 0

    def __post_init__(self) -> None:
        self._queue: asyncio.Queue[tuple[bytes, int]] = asyncio.Queue()
        self._held: list[bytes] = []
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

    async def register(self, url: str, key: str) -> dict[str, Any]:
        """Sets the address and asks for its intent to receive; what each body was answered."""
        self.url, self.key, self.active = url, key, False
        answers = []
        for right in (True, False, True, False):
            body = self._body([])
            signed = sign(body, key if right else "not-the-key")
            answers.append({"right": right, "status": await self._post(body, signed, "intent")})
        wanted = {True: 200, False: 401}
        self.active = all(each["status"] == wanted[bool(each["right"])] for each in answers)
        return {"active": self.active, "answers": answers}

    def tell(self, tenant: str, event: Obj) -> None:
        """Plans the first try for an event."""
        if not self.active or self.mode == "lose":
            return
        at = datetime.fromtimestamp(self.stage.clock.now(), UTC)
        path = {"CONTACT": "Contacts", "INVOICE": "Invoices", "CREDITNOTE": "CreditNotes"}
        where = path[event["eventCategory"]]
        whole = {
            "resourceUrl": f"https://api.xero.com/api.xro/2.0/{where}/{event['resourceId']}",
            **event,
            "tenantId": tenant,
            "tenantType": "ORGANISATION",
            "eventDateUtc": at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
        }
        body = self._body([whole])
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

    def _body(self, events: list[Obj]) -> bytes:
        """The bytes that are signed and sent; with uneven spaces, as Xero sends an intent."""
        first = self.sequence + 1 if events else 0
        self.sequence += len(events)
        entropy = "".join(self.rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(20))
        last = self.sequence if events else 0
        return (
            f'{{"events":{json.dumps(events)},"lastEventSequence": {last},'
            f'"firstEventSequence": {first},"entropy":"{entropy}"}}'
        ).encode()

    async def _send_on(self) -> None:
        while True:
            body, tries = await self._queue.get()
            self._sending += 1
            try:
                status = await self._post(body, sign(body, self.key), "event")
            finally:
                self._sending -= 1
            if status != 200 and tries < len(self.retries):
                task = asyncio.ensure_future(self._again(body, tries))
                self._later.add(task)
                task.add_done_callback(self._later.discard)

    async def _again(self, body: bytes, tries: int) -> None:
        await asyncio.sleep(self.retries[tries])
        self._queue.put_nowait((body, tries + 1))

    async def _post(self, body: bytes, signature: str, what: str) -> int | None:
        assert self._session is not None
        status = None
        head = {"Content-Type": "application/json", "x-xero-signature": signature}
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
            what=what,
            status=status,
            body=body.decode(),
        )
        return status


def sign(body: bytes, key: str) -> str:
    """The `x-xero-signature` of a body."""
    return base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()
