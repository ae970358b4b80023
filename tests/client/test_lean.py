"""The lean sender's own: which connection a post goes over, and what ends one."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from landbridge.client.guard import Guard
from landbridge.client.lean import LeanSender
from landbridge.errors import Forbidden, Unreachable
from tests.client.servers import OK, certificate, hangs_up, listening, says

LOCAL = Guard(["127.0.0.0/8"])


async def test_a_connection_that_was_let_go_is_replaced_unseen() -> None:
    async with listening() as listener, LeanSender(LOCAL) as sender:
        for _ in range(3):
            assert (await sender.post(listener.url, {}, b"{}")).status == 200
            await listener.hang_up()
        assert (listener.connects, len(listener.requests)) == (3, 3)


@pytest.mark.parametrize("connections", [0, 5])
async def test_a_post_is_repeated_once_if_a_kept_connection_says_nothing(connections: int) -> None:
    silent = asyncio.Event()

    async def first_only(writer: asyncio.StreamWriter) -> None:
        if not silent.is_set():
            silent.set()
            writer.write(OK)
        else:
            writer.close()

    async with (
        listening(first_only) as listener,
        LeanSender(LOCAL, deadline=2, connections=connections) as sender,
    ):
        assert (await sender.post(listener.url, {}, b"{}")).status == 200
        with pytest.raises(Unreachable, match="the connection ended before the answer"):
            await sender.post(listener.url, {}, b"{}")
        assert len(listener.requests) == 3  # the first, the second, and its one repetition


async def test_a_post_is_not_repeated_over_a_new_connection_or_after_a_byte() -> None:
    async with listening(hangs_up) as listener, LeanSender(LOCAL) as sender:
        with pytest.raises(Unreachable):
            await sender.post(listener.url, {}, b"{}")
        assert len(listener.requests) == 1
    said: list[int] = []

    async def then_half(writer: asyncio.StreamWriter) -> None:
        said.append(1)
        writer.write(OK if len(said) == 1 else b"H")
        if len(said) > 1:
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.close()

    async with listening(then_half) as listener, LeanSender(LOCAL) as sender:
        await sender.post(listener.url, {}, b"{}")
        with pytest.raises(Unreachable):
            await sender.post(listener.url, {}, b"{}")
        assert len(listener.requests) == 2


async def test_the_deadline_is_for_both_tries() -> None:
    said: list[int] = []

    async def first_then_late(writer: asyncio.StreamWriter) -> None:
        said.append(1)
        if len(said) == 1:
            writer.write(OK)
        elif len(said) == 2:
            await asyncio.sleep(0.3)
            writer.close()
        else:
            await asyncio.sleep(30)

    async with listening(first_then_late) as listener, LeanSender(LOCAL, deadline=0.6) as sender:
        await sender.post(listener.url, {}, b"{}")
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable, match=r"gave no whole answer within 0\.6 s"):
            await sender.post(listener.url, {}, b"{}")
        assert asyncio.get_running_loop().time() - began < 0.85
        assert len(listener.requests) == 3


async def test_a_kept_connection_has_the_deadline_too() -> None:
    answers = [OK, b""]

    async def once(writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0) if answers else b"")

    async with listening(once) as listener, LeanSender(LOCAL, deadline=0.3) as sender:
        await sender.post(listener.url, {}, b"{}")
        for _ in range(2):
            with pytest.raises(Unreachable, match=r"within 0\.3 s"):
                await sender.post(listener.url, {}, b"{}")
        assert listener.connects == 2


@pytest.mark.parametrize(
    ("field", "idle", "connects"),
    [
        (b"", 50.0, 1),
        (b"", 0.05, 2),
        (b"", 0.0, 2),
        (b"Keep-Alive: timeout=60, max=100\r\n", 50.0, 1),
        (b"keep-alive: max=5, Timeout=1\r\n", 50.0, 2),
        (b"Keep-Alive: timeout=0\r\n", 50.0, 2),
        (b"Keep-Alive: timeout=soon\r\n", 50.0, 1),
    ],
)
async def test_an_idle_connection_is_kept_as_long_as_both_sides_want(
    field: bytes, idle: float, connects: int
) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + field + b"content-length: 0\r\n\r\n"
    async with listening(says(answer)) as listener, LeanSender(LOCAL, idle=idle) as sender:
        for _ in range(2):
            await sender.post(listener.url, {}, b"")
            await asyncio.sleep(0.1)
        assert listener.connects == connects


async def test_the_connection_used_last_is_used_first_and_the_oldest_make_room() -> None:
    async def slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(OK)

    async with listening(slowly) as listener, LeanSender(LOCAL, kept=10) as sender:
        await asyncio.gather(*(sender.post(listener.url, {}, b"") for _ in range(40)))
        assert listener.connects == 40
        await asyncio.sleep(0.05)
        assert len(listener.writers) <= 10
        for _ in range(5):
            await sender.post(listener.url, {}, b"")
        assert listener.connects == 40


async def test_connections_bounds_what_is_under_way() -> None:
    under_way: list[int] = [0, 0]

    async def counting(writer: asyncio.StreamWriter) -> None:
        under_way[0] += 1
        under_way[1] = max(under_way)
        await asyncio.sleep(0.02)
        under_way[0] -= 1
        writer.write(OK)

    async with listening(counting) as listener, LeanSender(LOCAL, connections=3) as sender:
        await asyncio.gather(*(sender.post(listener.url, {}, b"") for _ in range(20)))
        assert (listener.connects, under_way[1]) == (3, 3)


async def test_a_turn_that_does_not_come_is_the_deadlines() -> None:
    async with (
        listening(says(b"", every=30)) as listener,
        LeanSender(LOCAL, connections=1, deadline=0.3) as sender,
    ):
        ended = await asyncio.gather(
            *(sender.post(listener.url, {}, b"") for _ in range(3)), return_exceptions=True
        )
        assert all(isinstance(each, Unreachable) for each in ended)
        assert listener.connects == 1


async def test_a_cancelled_post_leaves_no_connection_behind() -> None:
    answers = [OK]

    async def once(writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop() if answers else b"")

    async with listening(once) as listener, LeanSender(LOCAL) as sender:
        await sender.post(listener.url, {}, b"")
        for _ in range(2):  # over the kept one, and over a new one
            post = asyncio.create_task(sender.post(listener.url, {}, b""))
            await asyncio.sleep(0.05)
            post.cancel()
            with pytest.raises(asyncio.CancelledError):
                await post
        await asyncio.sleep(0.05)
        assert not listener.writers
        assert not sender._open
        assert not sender._waiting


async def test_closing_ends_what_is_under_way() -> None:
    async with listening(says(b"", every=30)) as listener:
        async with LeanSender(LOCAL) as sender:
            post = asyncio.create_task(sender.post(listener.url, {}, b""))
            await asyncio.sleep(0.05)
        with pytest.raises(Unreachable, match="ended before the answer"):
            await post


@pytest.mark.parametrize("secure", [False, True])
async def test_a_large_body_arrives_whole(secure: bool, tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "shop.example")

    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    guard = Guard(["127.0.0.0/8"], lookup=here)
    body = bytes(range(256)) * 20_000
    async with (
        listening(tls=server if secure else None, limit=10_000_000) as listener,
        LeanSender(guard, tls=client) as sender,
    ):
        url = f"http{'s' * secure}://shop.example:{listener.port}/"
        for _ in range(2):
            assert (await sender.post(url, {}, body)).status == 200
            assert listener.requests.pop().endswith(b"\r\n\r\n" + body)
        assert listener.connects == 1


async def test_an_answer_before_the_body_was_sent_is_the_answer() -> None:
    """Only a little of 50 MB is handed to the network; the connection is not used again."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=65_536)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with LeanSender(LOCAL, deadline=5) as sender:
        for _ in range(2):
            assert (await sender.post(url, {}, bytes(50_000_000))).status == 413
            assert len(sender._pool) == 0
    server.close()
    await asyncio.sleep(0.3)


async def test_who_does_not_take_the_body_meets_the_deadline() -> None:
    async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2)
        _writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0, limit=65_536)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with LeanSender(LOCAL, deadline=0.3) as sender:
        with pytest.raises(Unreachable, match="no whole answer"):
            await sender.post(url, {}, bytes(50_000_000))
    server.close()
    await asyncio.sleep(2)


def naming(*found: list[str]) -> tuple[Callable[[str, int], Awaitable[list[str]]], list[str]]:
    """A name service with these answers in turn, and what it was asked."""
    asked: list[str] = []

    async def lookup(host: str, _port: int) -> list[str]:
        asked.append(host)
        await asyncio.sleep(0.05)
        return found[min(len(asked), len(found)) - 1]

    return lookup, asked


async def test_a_name_is_looked_up_once_for_those_who_come_together() -> None:
    lookup, asked = naming(["127.0.0.1"])
    async with (
        listening() as listener,
        LeanSender(Guard(["127.0.0.1/32"], lookup=lookup)) as sender,
    ):
        url = f"http://Shop.Example:{listener.port}/"
        await asyncio.gather(*(sender.post(url, {}, b"") for _ in range(20)))
        await listener.hang_up()
        await sender.post(url, {}, b"")
        assert asked == ["shop.example"]
        assert listener.connects == 21
        assert b"\r\nHost: shop.example:" in listener.requests[0]


async def test_a_lookup_outlives_the_one_who_asked_first() -> None:
    lookup, asked = naming(["127.0.0.1"])
    async with (
        listening() as listener,
        LeanSender(Guard(["127.0.0.1/32"], lookup=lookup)) as sender,
    ):
        url = f"http://shop.example:{listener.port}/"
        first = asyncio.create_task(sender.post(url, {}, b""))
        second = asyncio.create_task(sender.post(url, {}, b""))
        await asyncio.sleep(0.01)
        first.cancel()
        assert (await second).status == 200
        assert asked == ["shop.example"]


async def test_one_bad_address_among_good_ones_is_refused_for_all_who_wait() -> None:
    lookup, _ = naming(["127.0.0.1", "10.0.0.1"])
    async with (
        listening() as listener,
        LeanSender(Guard(["127.0.0.1/32"], lookup=lookup)) as sender,
    ):
        url = f"http://shop.example:{listener.port}/"
        ended = await asyncio.gather(
            *(sender.post(url, {}, b"") for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(each, Forbidden) for each in ended)
        assert listener.connects == 0


@pytest.mark.parametrize("said", [b"", OK, b"\x15\x03\x03\x00\x02\x02\x28"])
async def test_what_is_no_tls_is_said(said: bytes, tmp_path: Path) -> None:
    _, client = certificate(tmp_path, "127.0.0.1")

    async def say(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with LeanSender(LOCAL, tls=client) as sender:
        with pytest.raises(Unreachable, match="no TLS connection could be made"):
            await sender.post(f"https://127.0.0.1:{port}/", {}, b"")
    server.close()


async def test_without_a_descriptor_left_idle_connections_give_theirs() -> None:
    async with listening() as listener, listening() as other, LeanSender(LOCAL) as sender:
        await asyncio.gather(*(sender.post(listener.url, {}, b"") for _ in range(20)))
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        probe = Path("/dev/null").open("rb")  # noqa: SIM115, ASYNC230 - the next number there is
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe.fileno(), before[1]))
        probe.close()
        try:
            assert (await sender.post(other.url, {}, b"")).status == 200
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert 0 < len(sender._pool) < 20


async def test_the_last_look_is_at_what_is_connected_to() -> None:
    class Careless(Guard):
        async def addresses(self, host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

    async with listening() as listener, LeanSender(Careless()) as sender:
        with pytest.raises(Forbidden, match=r"shop\.example leads to 127\.0\.0\.1"):
            await sender.post(f"http://shop.example:{listener.port}/", {}, b"")
        assert listener.connects == 0
