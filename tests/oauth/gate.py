"""A gate in front of an authorisation server: it waits, cuts answers off, and counts.

What it does to the next requests for tokens is a plan, one word for each; after that, `always`:

- `pass`: hands it on and back
- `lose the request`: closes the connection before it is handed on
- `lose the answer`: hands it on, waits for the answer, and closes the connection
- `fail`: answers 503 and hands nothing on
- `fail late`: hands it on and answers 503
- `slow`: hands it on, and gives the answer back once `open` is set
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_TOKEN = re.compile(r'_token": ?"([^"]+)"')
_FAILED = b"HTTP/1.1 503 Away\r\nContent-Length: 4\r\nConnection: close\r\n\r\naway"


@dataclass
class Gate:
    """The gate as a test steers it. `posts` came in, `answers` came from the server."""

    upstream: str
    url: str = ""
    plan: deque[str] = field(default_factory=deque)
    always: str = "pass"
    delay: Callable[[], float] = lambda: 0.0
    """Seconds before each request for tokens is handed on."""
    seen: list[str] = field(default_factory=list)
    """The tokens in the last thousand answers."""
    posts: int = 0
    answers: int = 0
    at_once: int = 0
    """The most requests for tokens that were here at a time."""
    here: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a `slow` one was answered by the server."""


@asynccontextmanager
async def gate(upstream: str, *, path: str = "/token") -> AsyncIterator[Gate]:
    """The gate before the server at `upstream`, on a free port. `path` is where tokens are."""
    made = Gate(upstream=upstream.split("://")[1].split("/", maxsplit=1)[0])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            if request is not None:
                await _pass(made, request, writer, counted=path.encode() in request.split(b" ")[1])
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        made.open.set()
        server.close()


async def _pass(made: Gate, request: bytes, writer: asyncio.StreamWriter, *, counted: bool) -> None:
    word = "pass"
    if counted:
        word = made.plan.popleft() if made.plan else made.always
        made.posts += 1
        made.here += 1
        made.at_once = max(made.at_once, made.here)
    try:
        if counted:
            await asyncio.sleep(made.delay())
        if word == "lose the request":
            return
        if word == "fail":
            writer.write(_FAILED)
            return
        answer = await _forward(made.upstream, request)
        made.answers += counted
        if counted:
            made.seen = [*made.seen, *_TOKEN.findall(answer.decode())][-2000:]
        if word == "slow":
            made.answered.set()
            await made.open.wait()
        if word == "fail late":
            answer = _FAILED
        if word != "lose the answer":
            writer.write(answer)
            await writer.drain()
    finally:
        if counted:
            made.here -= 1


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    """One request, asked to be the last of its connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith(b"connection:")]
    length = 0
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body = await reader.readexactly(length)
    return b"\r\n".join([first, *kept, b"Connection: close", b"", b""]) + body


async def _forward(upstream: str, request: bytes) -> bytes:
    host, _, port = upstream.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()
