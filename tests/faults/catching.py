"""A receiver that keeps what it gets, holds its answers back on request, and refuses on request."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from landbridge.wire import Headers


@dataclass(frozen=True, kw_only=True)
class Post:
    """One post as it arrived."""

    path: str
    headers: Headers
    body: bytes

    @property
    def message(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Catcher:
    """Answers 200, or what `refuse` holds for a path, once. While `held` it gives no answer."""

    port: int = 0
    posts: list[Post] = field(default_factory=list)
    refuse: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    open: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def of(self, message: str) -> list[Post]:
        """The posts of one message."""
        return [each for each in self.posts if each.message == message]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.strip().split("\r\n")
                headers = Headers([_pair(line) for line in lines])
                body = await reader.readexactly(int(headers["content-length"]))
                path = first.split(" ")[1]
                self.posts.append(Post(path=path, headers=headers, body=body))
                self.arrived.set()
                await self.open.wait()
                status = self.refuse[path].pop(0) if self.refuse[path] else 200
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        writer.close()


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


@asynccontextmanager
async def catching() -> AsyncIterator[Catcher]:
    """A catcher that listens, and answers at once."""
    catcher = Catcher()
    catcher.open.set()
    server = await asyncio.start_server(catcher.serve, "127.0.0.1", 0)
    catcher.port = server.sockets[0].getsockname()[1]
    try:
        yield catcher
    finally:
        server.close()
