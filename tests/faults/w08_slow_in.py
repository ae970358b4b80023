"""Senders of webhooks that are slow or never end: what W08 does to `landbridge serve`."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil

from tests.faults.serving import stage
from tests.rows import Trial

_HEAD = 10.0
"""Seconds in which headers have to come, and a body."""
_BODY = 15.0
_SLACK = 2.5
"""Seconds between two looks, and how late an event loop under load may be."""
_FLAT = 32 << 20
_MOST = 64 << 20
"""Bytes after which a sender without end gives up: nobody has stopped it."""
_LINES = (b"x-many: " + b"y" * 240 + b"\r\n") * 256
_POST = "POST {path} HTTP/1.1\r\nhost: x\r\n"

_WAITING: dict[str, tuple[str, bytes, float]] = {
    "silent": ("", b"", _HEAD),
    "half of the headers": (_POST + "x-half: ", b"", _HEAD),
    "a header a second": (_POST, b"x: y\r\n", _HEAD),
    "a byte of body a second": (_POST + "content-length: 1000\r\n\r\n", b"x", _BODY),
}
"""What is sent first, what each second, and when it has to be over."""

_ENDLESS: dict[str, tuple[str, bytes]] = {
    "one header": (_POST + "x-long: ", b"x" * 65_536),
    "many headers": (_POST, _LINES),
    "trailers": (
        _POST + "transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
        _LINES,
    ),
    "body": (_POST + "transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
    "body to nowhere": (
        "POST /nowhere HTTP/1.1\r\ncontent-length: 9000000000\r\n\r\n",
        b"x" * 65_536,
    ),
}
"""What is sent first, and what again and again."""


async def slow_in(trial: Trial) -> tuple[dict[str, Any], bool]:
    """Sends all of it at once to a real server, beside webhooks that are well; then the first and
    the last kinds to uvicorn as it comes, which answers a webhook as well as ours.

    The counts: `connections`, `late` (held for longer than the deadline), `endless` (nobody stopped
    it within 64 MB), `grown` (bytes of memory at the most), `lost` (well ones not answered by 200).
    """
    each = trial.size.pick(small=10, medium=100)
    comparing = asyncio.create_task(_compare())
    async with stage() as on:
        host, path = on.hook.removeprefix("http://").split("/", 1)
        port = int(host.rpartition(":")[2])
        beside = asyncio.create_task(on.send("beside", _BODY, rate=40))
        ours = await _attack(port, f"/{path}", each, pid=on.pid)
        await beside
        seen = on.load.seen("beside")
        ours["lost"] = seen.total() - seen[200]
        ours["others_slowest"] = round(max(on.load.waited), 2)
    control = await comparing
    holds = (
        not (ours["late"] or ours["endless"] or ours["lost"])
        and ours["grown"] <= _FLAT
        and control["late"] > 0
        and control["endless"] > 0
        and control["grown"] > _FLAT
    )
    return {**ours, "control": control}, holds


async def _compare() -> dict[str, Any]:
    async with _plain() as (port, pid):
        return await _attack(port, "/", 2, pid=pid)


async def _attack(port: int, path: str, each: int, *, pid: int) -> dict[str, Any]:
    server = psutil.Process(pid)
    before = server.memory_info().rss
    counts = {"connections": 0, "late": 0, "endless": 0, "grown": 0}

    async def watch() -> None:
        while True:
            counts["grown"] = max(counts["grown"], server.memory_info().rss - before)
            await asyncio.sleep(0.02)

    async def wait(first: str, more: bytes, limit: float) -> None:
        counts["connections"] += 1
        late = await _held(port, first.format(path=path), more, limit + _SLACK)
        counts["late"] += late

    async def flood(first: str, more: bytes) -> None:
        for _ in range(each):
            counts["connections"] += 1
            endless = await _endless(port, first.format(path=path), more)
            counts["endless"] += endless

    watching = asyncio.create_task(watch())
    async with asyncio.TaskGroup() as tasks:
        for first, more, limit in _WAITING.values():
            for _ in range(each):
                tasks.create_task(wait(first, more, limit))
        for first, more in _ENDLESS.values():
            tasks.create_task(flood(first, more))
    watching.cancel()
    return counts


async def _held(port: int, first: str, more: bytes, limit: float) -> bool:
    """Whether a connection is still open after so many seconds, in which a little is sent on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    reading = asyncio.create_task(_until_closed(reader))
    writer.write(first.encode())
    while not reading.done() and time.monotonic() - began < limit:
        await asyncio.wait({reading}, timeout=1)
        if more and not reading.done():
            writer.write(more)
    writer.close()
    if reading.done():
        return False
    reading.cancel()
    return True


async def _endless(port: int, first: str, more: bytes) -> bool:
    """Whether somebody takes 64 MB of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(_until_closed(reader))
    sent = 0
    writer.write(first.encode())
    with suppress(ConnectionError):
        while sent < _MOST and not reading.done():
            writer.write(more)
            await writer.drain()
            sent += len(more)
    reading.cancel()
    writer.close()
    return sent >= _MOST


async def _until_closed(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(65_536):
            pass


# The control


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """Reads what comes, and answers: as a handler of webhooks does that leaves the rest to its
    server. Nothing is received at /nowhere."""
    if scope["type"] != "http":
        return
    while scope["path"] == "/":
        message = await receive()
        if not message.get("more_body"):
            break
    headers = [(b"content-length", b"0")]
    status = 200 if scope["path"] == "/" else 404
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def _plain() -> AsyncIterator[tuple[int, int]]:
    """Port and process id of the control, which works."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "tests.faults.w08_slow_in:plain"),
            *("--http", "httptools", "--no-access-log", "--fd", str(listener.fileno())),
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port = listener.getsockname()[1]
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi")
            assert b" 200 OK" in await reader.readline(), "the control has to work as well"
            writer.close()
            yield port, process.pid
        finally:
            process.kill()
            await process.wait()
