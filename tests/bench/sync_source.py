"""A paged API of records of 1 KB, in a process of its own (`python -m tests.bench.sync_source`).

`GET /things?page=2&size=100` is answered with `{"data": [...], "pages": 200}`. Records are made
when they are asked for, the same ones each time.
"""

from __future__ import annotations

import asyncio
import json
import socket
from urllib.parse import parse_qsl, urlsplit

import httptools

from tests.bench.remote import perform

RECORD = 1024
"""Bytes of a record."""
_EPOCH = 1_700_000_000


def record(number: int, edition: int = 0) -> bytes:
    """A customer, with an address and a few words of the merchant's own."""
    written = json.dumps(
        {
            "id": f"thing_{number:09d}",
            "object": "customer",
            "name": f"Customer {number}",
            "email": f"customer{number}@example.com",
            "phone": f"+1555{number % 10_000_000:07d}",
            "address": {
                "line1": f"{number % 900} Long Street",
                "line2": None,
                "city": "Springfield",
                "state": "OR",
                "postal_code": f"{number % 100_000:05d}",
                "country": "US",
            },
            "balance": number % 5000,
            "currency": "usd",
            "delinquent": number % 7 == 0,
            "created": _EPOCH + number,
            "livemode": False,
            "metadata": {"plan": f"plan {number % 12}", "edition": str(edition)},
            "description": "",
        },
        separators=(",", ":"),
    ).encode()
    return written[:-2] + b"x" * (RECORD - len(written)) + written[-2:]


class _Answering(asyncio.Protocol):
    """Answers one request after the other on a connection."""

    def __init__(self, source: _Source):
        self._source = source
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_message_complete(self) -> None:
        target, self._target = self._target.decode(), b""
        self._transport.write(self._source.answer(target))


class _Source:
    """What the API holds, and how often it was asked."""

    def __init__(self, rows: int):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._rows = rows
        self._edition = 0
        self._asked = 0
        self._serving: asyncio.Server | None = None

    async def begin(self) -> None:
        self._serving = await asyncio.get_running_loop().create_server(
            lambda: _Answering(self), sock=self._listener
        )

    def answer(self, target: str) -> bytes:
        self._asked += 1
        query = dict(parse_qsl(urlsplit(target).query))
        page, size = int(query.get("page", 1)), int(query.get("size", 100))
        first = (page - 1) * size
        shown = range(first, min(first + size, self._rows))
        body = b'{"data":[%b],"pages":%d}' % (
            b",".join(record(number, self._edition) for number in shown),
            -(-self._rows // size),
        )
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )

    async def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    async def hold(self, *, rows: int, edition: int = 0) -> None:
        """Holds that many records from now on, all of them edited if `edition` is another one."""
        self._rows, self._edition, self._asked = rows, edition, 0

    async def asked(self) -> int:
        """How many requests came since `hold`."""
        return self._asked

    async def close(self) -> None:
        if self._serving is not None:
            self._serving.close()


async def _source(*, rows: int = 0) -> _Source:
    source = _Source(rows)
    await source.begin()
    return source


if __name__ == "__main__":
    perform(_source)
