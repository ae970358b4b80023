"""A provider that sends webhooks as fast as they are taken, or at a constant rate whatever the
receiver does; in a process of its own, over raw connections, with bodies signed before."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

import httptools

from tests.bench.remote import perform

_TEXT = 700


class Load:
    """Sends to one address at a time."""

    async def close(self) -> None:
        """Nothing is kept open between two loads."""

    async def flood(
        self, *, url: str, secret: str, number: int, connections: int
    ) -> dict[str, float]:
        """Each connection sends the next webhook when the last was answered; seconds it took."""
        run = _Run(_requests(url, secret, number))
        await run.connect(url, connections)
        began = time.monotonic()
        for connection in run.idle:
            run.send(connection)
        await run.done.wait()
        took = time.monotonic() - began
        run.close()
        return {"seconds": took, "accepted": run.accepted, "answered": run.answered}

    async def steady(
        self, *, url: str, secret: str, rate: float, seconds: float, connections: int
    ) -> dict[str, Any]:
        """A webhook every 1/`rate` seconds; how long each took from the moment it was to be sent,
        the wait for a free connection included."""
        run = _Run(_requests(url, secret, int(rate * seconds)))
        await run.connect(url, connections)
        loop = asyncio.get_running_loop()
        began = loop.time() + 0.05
        for number in range(len(run.waiting)):
            run.planned.append(began + number / rate)
        for at in run.planned:
            loop.call_at(at, run.due)
        await run.done.wait()
        run.close()
        return {
            "accepted": run.accepted,
            "answered": run.answered,
            "latencies": [round(each, 6) for each in run.took],
        }


class _Run:
    def __init__(self, requests: list[bytes]):
        self.waiting = deque(requests)
        self.left = len(requests)
        self.planned: deque[float] = deque()
        self.late = 0
        self.idle: deque[_Connection] = deque()
        self.every: list[_Connection] = []
        self.took: list[float] = []
        self.accepted = self.answered = 0
        self.done = asyncio.Event()

    async def connect(self, url: str, number: int) -> None:
        place = urlsplit(url)
        assert place.hostname is not None
        assert place.port is not None
        loop = asyncio.get_running_loop()
        for _ in range(number):
            _, connection = await loop.create_connection(
                lambda: _Connection(self), place.hostname, place.port
            )
            self.every.append(connection)
        self.idle.extend(self.every)

    def due(self) -> None:
        """The time of one more has come: it is sent now, or by the next connection that is free."""
        if self.idle:
            self.send(self.idle.popleft())
        else:
            self.late += 1

    def send(self, connection: _Connection) -> None:
        if self.waiting:
            connection.send(self.waiting.popleft(), self.planned.popleft() if self.planned else 0.0)

    def answer(self, connection: _Connection, status: int, planned: float) -> None:
        self.answered += 1
        self.accepted += status == 200
        self.left -= 1
        if planned:
            self.took.append(asyncio.get_running_loop().time() - planned)
        if not self.left:
            self.done.set()
        elif not planned:
            self.send(connection)
        elif self.late:
            self.late -= 1
            self.send(connection)
        else:
            self.idle.append(connection)

    def close(self) -> None:
        for connection in self.every:
            connection.transport.close()


class _Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, run: _Run):
        self._run = run
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def send(self, request: bytes, planned: float) -> None:
        self._planned = planned
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._run.answer(self, self._parser.get_status_code(), self._planned)


def _requests(url: str, secret: str, number: int) -> list[bytes]:
    """Whole requests, each an event of its own, signed as Stripe signs them."""
    parts = urlsplit(url)
    at, text = int(time.time()), secrets.token_hex(_TEXT // 2)
    made = []
    for _ in range(number):
        body = json.dumps(
            {
                "id": f"evt_{secrets.token_hex(12)}",
                "object": "event",
                "type": "customer.updated",
                "created": at,
                "data": {"object": {"id": "cus_1", "object": "customer", "description": text}},
            }
        ).encode()
        digest = hmac.digest(secret.encode(), b"%d.%b" % (at, body), hashlib.sha256).hex()
        head = (
            f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nuser-agent: Stripe/1.0\r\n"
            f"content-type: application/json; charset=utf-8\r\ncontent-length: {len(body)}\r\n"
            f"stripe-signature: t={at},v1={digest}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def _load() -> Load:
    return Load()


if __name__ == "__main__":
    perform(_load)
