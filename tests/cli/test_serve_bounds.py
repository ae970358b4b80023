"""What a connection to `landbridge serve` may cost: raw bytes at the server itself."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from landbridge.cli.serve import listening, server_of
from landbridge.web.bounds import Bounds, Porter

WELL = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Served:
    """A server, and what is sent to it."""

    port: int
    porter: Porter

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def say(self, *parts: bytes) -> bytes:
        """All that comes back until the server closes; parts follow one another as packets do."""
        async with self.open() as (reader, writer):
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.02)
            return await until_closed(reader)

    async def flood(self, first: bytes, more: bytes) -> tuple[bytes, int]:
        """What comes back, and how many bytes were taken, of a sender that never ends."""
        sent = 0
        async with self.open() as (reader, writer):
            reading = asyncio.create_task(until_closed(reader))
            writer.write(first)
            with suppress(ConnectionError):
                while sent < 50_000_000 and not reading.done():
                    writer.write(more)
                    await writer.drain()
                    sent += len(more)
                    await asyncio.sleep(0)
            return await reading, sent

    async def well(self) -> None:
        """A request that is well is answered."""
        async with self.open() as (reader, writer):
            writer.write(WELL)
            assert await status(reader) == 200


Serving = Callable[..., Any]


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    read = b""
    with suppress(ConnectionError):
        while part := await asyncio.wait_for(reader.read(65_536), 10):
            read += part
    return read


async def status(reader: asyncio.StreamReader) -> int:
    """The status of the next answer, which has no body."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    return int(head.split()[1])


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body and answers; at /early it answers and reads nothing."""
    while scope["path"] != "/early":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message.get("more_body"):
            break
    headers = [(b"content-length", b"0")]
    if scope["query_string"] == b"last":
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def served(**bounds: Any) -> AsyncIterator[Served]:
    porter = Porter(Bounds(**{"deadline": 0.5, **bounds}))
    up = asyncio.Event()
    with listening("127.0.0.1", 0) as listener:
        server = server_of(app, up.set, porter=porter)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await up.wait()
        yield Served(listener.getsockname()[1], porter)
        server.should_exit = True
        await serving
        assert porter.loose == 0


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nhost: x\r\nx-half: ", b"PO", b"\r\n"])
async def test_a_request_that_does_not_come_is_given_up(sent: bytes) -> None:
    began = time.monotonic()
    with capture_logs() as logs:
        async with served() as server:
            told = await server.say(sent)
            await asyncio.sleep(1.2)
    assert told.startswith(b"HTTP/1.1 408 ")
    assert 0.5 <= time.monotonic() - began < 6
    assert {"event": "serve.refused", "late": 1, "log_level": "warning"} in logs


async def test_headers_that_trickle_are_given_up_however_many_there_are() -> None:
    async with served() as server, server.open() as (reader, writer):
        reading = asyncio.create_task(until_closed(reader))
        writer.write(b"GET / HTTP/1.1\r\n")
        for number in range(100):
            writer.write(b"x-%d: y\r\n" % number)
            await asyncio.sleep(0.05)
            if reading.done():
                break
        assert (await reading).startswith(b"HTTP/1.1 408 ")
        assert number < 80


async def test_a_kept_connection_is_not_held_by_empty_lines() -> None:
    async with served() as server, server.open() as (reader, writer):
        writer.write(WELL)
        assert await status(reader) == 200
        reading = asyncio.create_task(until_closed(reader))
        began = time.monotonic()
        while not reading.done():
            assert time.monotonic() - began < 4  # uvicorn's own limit is 5 s without a byte
            writer.write(b"\r\n")
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (b"POST / HTTP/1.1\r\nx-long: ", b"x" * 65_536),
        (b"GET /", b"x" * 65_536),
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 1000),
        (CHUNKED + b"2\r\nhi\r\n0\r\n", b"x-trailer: y\r\n" * 1000),
        (CHUNKED + b"2\r\nhi\r\n0\r\nx-trailer: ", b"x" * 65_536),
        (CHUNKED + b"2;", b"x" * 65_536),
    ],
)
async def test_headers_without_end_are_431(first: bytes, more: bytes) -> None:
    async with served(deadline=30) as server:
        told, sent = await server.flood(first, more)
        assert told.startswith(b"HTTP/1.1 431 "), told
        assert told.count(b"HTTP/1.1") == 1
        assert sent < 10_000_000
        await server.well()


async def test_a_body_after_its_answer_is_not_swallowed() -> None:
    early = b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000000\r\n\r\n"
    async with served(deadline=30) as server:
        told, sent = await server.flood(early, b"x" * 65_536)
        assert told.startswith(b"HTTP/1.1 200 ")
        assert sent < 10_000_000


async def test_whoever_sends_too_much_is_told_so_before_the_connection_ends() -> None:
    async def posts(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(20):
                async with session.post(url, data=io.BytesIO(b"x" * 3_000_000)) as answer:
                    assert answer.status == 200

    async with served(deadline=30) as server:
        url = f"http://127.0.0.1:{server.port}/early?last"
        await asyncio.to_thread(asyncio.run, posts(url))  # beside the server, as others are
    async with served(deadline=30) as server, server.open() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nx-long: " + b"x" * 3_000_000)
        assert await status(reader) == 431
        began = time.monotonic()
        assert await until_closed(reader) == b""
        assert time.monotonic() - began < 1


async def test_whoever_sends_on_is_cut_off() -> None:
    last = b"POST /early?last HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\n"
    async with served(deadline=30) as server, server.open() as (reader, writer):
        writer.write(last)
        assert await status(reader) == 200
        began = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - began < 8:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        assert time.monotonic() - began < 5


async def test_many_connections_are_held_within_the_bounds() -> None:
    async with served(connections=3, deadline=30) as server:
        async with server.open(), server.open(), server.open():
            await asyncio.sleep(0.1)
            told = await server.say(WELL)
            assert told.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 5\r\n" in told
        await asyncio.sleep(0.1)
        await server.well()


async def test_the_headers_of_all_are_held_within_the_bounds() -> None:
    half = b"GET / HTTP/1.1\r\nx-half: " + b"x" * 600
    async with served(heads=1500, deadline=30) as server:
        async with server.open() as (_, one), server.open() as (_, other):
            one.write(half)
            other.write(half)
            await asyncio.sleep(0.1)
            assert server.porter.loose > 1200
            assert (await server.say(half)).startswith(b"HTTP/1.1 503 ")
            await server.well()
        await asyncio.sleep(0.1)
        assert server.porter.loose == 0


async def test_requests_in_a_row_are_answered_and_a_flood_of_them_is_not() -> None:
    async with served(deadline=30) as server:
        async with server.open() as (reader, writer):
            writer.write(WELL * 10)
            assert [await status(reader) for _ in range(10)] == [200] * 10
        told, sent = await server.flood(WELL, WELL * 1000)
        assert told.count(b" 200 OK") <= 1000
        assert sent < 10_000_000


async def test_what_comes_in_pieces_is_answered_and_counted_no_more() -> None:
    head, body = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n", b"x" * 300_000
    async with served(deadline=5) as server, server.open() as (reader, writer):
        for _ in range(3):
            for part in (head[:9], head[9:40], head[40:], b"\r\n", body[:10], body[10:]):
                writer.write(part)
                await asyncio.sleep(0.02)
            assert await status(reader) == 200
            writer.write(CHUNKED[:20])
            await asyncio.sleep(0.02)
            assert server.porter.loose == 20
            writer.write(CHUNKED[20:])
            for _ in range(200):
                writer.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
            await asyncio.sleep(0.02)
            writer.write(b"0\r\nx-trailer: y\r\n\r\n")
            assert await status(reader) == 200
            assert server.porter.loose == 0
