"""A paged API whose calls are counted, and the processes of F09 that load it, or read again what
they have by another mapping. Run by itself (`python -m tests.faults.backfilling OPTIONS`) it loads
once and prints what memory that took."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psutil

from landbridge.app.bridge import Landbridge
from landbridge.app.settings import load
from landbridge.engine.connect import connect
from landbridge.models.payments import Customer
from landbridge.spec import Provider, map_from, text
from landbridge.store.connections import Connection
from tests.bench.sync_ours import PAGE
from tests.bench.sync_source import record

OUTLIER = 1_000_000
_SAMPLED = 5
"""Pages between two looks at the memory."""

_THING = PAGE.resource("thing")
PROVIDER = replace(PAGE, resources=[_THING, replace(_THING, name="other", path="/others")])
"""Two resources alike; nothing but `thing` is loaded."""
REMAPPED = replace(
    PROVIDER,
    resources=[
        replace(one, maps=map_from(Customer, id=text("id"), name=text("email")))
        for one in PROVIDER.resources
    ],
)


class Paged:
    """The API. Every `outlier`-th record has a megabyte."""

    def __init__(self, rows: int, outlier: int):
        self.rows = rows
        self.edition = 0
        self.asked: Counter[str] = Counter()
        """By the path and the query."""
        self.reached = asyncio.Event()
        """Set when as many answers were given as `arm` was told."""
        self._outlier = outlier
        self._left = 0

    def arm(self, answers: int) -> None:
        """Waits for that many answers from now on."""
        self.reached.clear()
        self._left = answers

    def raw(self, number: int) -> bytes:
        """The record as it is sent."""
        plain = record(number, self.edition)
        if number % self._outlier:
            return plain
        return plain[:-2] + b"x" * OUTLIER + plain[-2:]

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection's requests."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                target = head.split(b" ", 2)[1].decode()
                self.asked[target] += 1
                query = dict(parse_qsl(urlsplit(target).query))
                writer.write(self._answer(int(query["page"]), int(query["size"])))
                await writer.drain()
                self._left -= 1
                if self._left == 0:
                    self.reached.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, page: int, size: int) -> bytes:
        numbers = range((page - 1) * size, min(page * size, self.rows))
        rows = b",".join([self.raw(number) for number in numbers])
        body = b'{"data":[%b],"pages":%d}' % (rows, -(-self.rows // size))
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@asynccontextmanager
async def serving(source: Paged) -> AsyncIterator[str]:
    """The address at which it answers."""
    server = await asyncio.start_server(source, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def _joined(
    url: str, key: str, base: str, provider: Provider
) -> AsyncIterator[tuple[Landbridge, Connection]]:
    settings = load(database_url=url, key=key, allow_networks="127.0.0.0/8", environment="test")
    async with Landbridge(settings, providers=[provider]) as bridge:
        joined = await connect(
            bridge.db,
            bridge.vault,
            bridge.client,
            provider,
            environment="test",
            tenant="acme",
            credentials={"key": "synthetic-key"},
            settings={"base": base},
        )
        yield bridge, joined.connection


async def pulling(*, url: str, key: str, base: str) -> None:
    """Loads `thing` and nothing else."""
    async with _joined(url, key, base, PROVIDER) as (bridge, connection):
        await bridge.pull(connection, ["thing"])


async def remapping(*, url: str, key: str, base: str) -> None:
    """Reads what is stored by another mapping."""
    async with _joined(url, key, base, REMAPPED) as (bridge, connection):
        await bridge.remap(connection, ["thing"])


async def _watched(*, url: str, key: str, base: str) -> dict[str, Any]:
    """Loads `thing`, and what memory was resident as it went, in bytes."""
    own = psutil.Process()
    resident: list[int] = []

    def look(_name: str, totals: Any) -> None:
        if totals.pages % _SAMPLED == 0:
            resident.append(own.memory_info().rss)

    async with _joined(url, key, base, PROVIDER) as (bridge, connection):
        done = (await bridge.pull(connection, ["thing"], look))["thing"]
    return {"changed": done.changed, "resident": resident, "peak": _peak()}


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_watched(**json.loads(sys.argv[1])))))
