"""Receivers that mean harm, in a process of their own: `python -m tests.faults.hostile`.

It prints its port. The path of a post says how it is answered: `/ok` after 20 ms, `/silent` never,
`/head` a byte of the head each second, `/drip` a byte of the body each second, `/endless` a body
without end, `/huge` one of a gigabyte, `/bomb` gzip that unpacks to a gigabyte.
"""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

KINDS = ("silent", "head", "drip", "endless", "huge", "bomb")

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
_GIGABYTE = 1 << 30
_PART = bytes(65_536)


@asynccontextmanager
async def hostile() -> AsyncIterator[str]:
    """The address of such a process, which ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.hostile", stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.kill()
        await process.wait()


def _bomb() -> bytes:
    """Sixteen members of 64 MB each, one after the other (RFC 1952 section 2.2)."""
    return gzip.compress(bytes(_GIGABYTE // 16), 1) * 16


def _large(kind: str, bomb: bytes) -> Iterator[bytes]:
    if kind == "bomb":
        yield b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
        yield bomb
        return
    size = _GIGABYTE if kind == "huge" else 1 << 50
    yield b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size
    for _ in range(size // len(_PART)):
        yield _PART


async def _answer(kind: str, writer: asyncio.StreamWriter, bomb: bytes) -> None:
    if kind == "ok":
        await asyncio.sleep(0.02)
        writer.write(_OK)
    elif kind == "silent":
        await asyncio.sleep(3600)
    elif kind in ("head", "drip"):
        if kind == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
        for byte in _OK if kind == "head" else bytes(10_000):
            if writer.is_closing():
                return
            writer.write(bytes([byte]))
            await asyncio.sleep(1)
    else:
        for part in _large(kind, bomb):
            if writer.is_closing():
                return
            writer.write(part)
            await writer.drain()


async def _listen() -> None:
    bomb = await asyncio.to_thread(_bomb)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = head.split(b"content-length:")[1].split(b"\r\n")[0]
                await reader.readexactly(int(size))
                await _answer(head.split(b" ")[1][1:].decode(), writer, bomb)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_listen())
