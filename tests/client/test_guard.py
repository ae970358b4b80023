"""No address that is not on the internet is connected to, however it is written or resolved."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpcore2
import pytest

from landbridge.client.exchange import Exchange
from landbridge.client.guard import Guard, Target
from landbridge.client.lean import LeanSender
from landbridge.client.sender import Sender
from landbridge.client.transport import guarded_pool
from landbridge.errors import Forbidden, InvalidInput, SettingsError, Unreachable
from landbridge.wire import Request, Response
from tests.client.servers import Listener, certificate, listening, says

Get = Callable[[Guard, str], Awaitable[int]]


async def by_sender(guard: Guard, url: str) -> int:
    async with Sender(guard, deadline=5) as sender:
        return (await sender.post(url, {}, b"{}")).status


async def by_lean(guard: Guard, url: str) -> int:
    async with LeanSender(guard, deadline=5) as sender:
        return (await sender.post(url, {}, b"{}")).status


async def by_exchange(guard: Guard, url: str) -> int:
    async with exchanging(guard) as exchange:
        return (await exchange.send(Request(method="POST", url=url, body=b"{}"), 1000)).status


@asynccontextmanager
async def exchanging(guard: Guard, tls: ssl.SSLContext | None = None) -> AsyncIterator[Exchange]:
    exchange = Exchange(guard, tls=tls, timeout=5)
    yield exchange
    await exchange.close()


async def get_by(exchange: Exchange, url: str) -> Response:
    return await exchange.send(Request(method="GET", url=url), 1000)


@pytest.fixture(params=[by_sender, by_lean, by_exchange])
def get(request: pytest.FixtureRequest) -> Get:
    """The ways in which we call an address that somebody else chose."""
    chosen: Get = request.param
    return chosen


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening() as ready:
        yield ready


def resolving(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A name service that gives these answers in turn, the last one ever after."""
    left = list(answers)

    async def lookup(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return lookup


LOOPBACK = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "0",
    "0.0.0.0",  # noqa: S104 - to be refused
    "00000177.0.0.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f.1",
    "0x7F000001",
    "017700000001",
    "2130706433",
    "127.0.0.1.",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "localhost",
    "LOCALHOST",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
]


@pytest.mark.parametrize("host", LOOPBACK)
async def test_no_spelling_of_loopback_is_connected_to(
    listener: Listener, get: Get, host: str
) -> None:
    with pytest.raises((Forbidden, InvalidInput)):
        await get(Guard(), f"http://{host}:{listener.port}/")
    assert listener.connects == 0


async def test_the_listener_would_have_counted(listener: Listener, get: Get) -> None:
    """Loopback allowed, the same calls arrive: the zeros above mean something."""
    allowing = Guard(["127.0.0.0/8"])
    for host in ("127.0.0.1", "localhost"):
        assert await get(allowing, f"http://{host}:{listener.port}/") == 200
    assert listener.connects == 2


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:808:808::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "nonsense",
    ],
)
async def test_a_name_with_one_address_that_is_not_global_is_refused(
    get: Get, address: str
) -> None:
    for answer in ([address], ["93.184.215.14", address], [address, "2606:4700::1111"]):
        with pytest.raises(Forbidden, match=r"shop\.example leads to"):
            await get(Guard(lookup=resolving(answer)), "http://shop.example/")


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.17",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2606:4700::1111",
        "3fff:1000::1",
    ],
)
async def test_global_addresses_pass(address: str) -> None:
    guard = Guard(lookup=resolving([address]))
    assert await guard.addresses("shop.example", 443) == [address]


async def test_a_name_that_resolves_differently_the_second_time_is_caught(
    listener: Listener, get: Get
) -> None:
    guard = Guard(lookup=resolving(["93.184.215.14"], ["127.0.0.1"]))
    url = f"http://rebinding.example:{listener.port}/"
    assert await guard.check(url) == Target(
        scheme="http", host="rebinding.example", port=listener.port
    )
    with pytest.raises(Forbidden, match=r"leads to 127\.0\.0\.1, which is loopback"):
        await get(guard, url)
    assert listener.connects == 0


async def test_the_connection_goes_to_the_address_that_was_looked_at(
    listener: Listener, get: Get
) -> None:
    """The name is looked up once for a connection; nobody else resolves it again."""
    asked: list[str] = []

    async def lookup(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    guard = Guard(["127.0.0.1/32"], lookup=lookup)
    assert await get(guard, f"http://no-such-name.invalid:{listener.port}/") == 200
    assert asked == ["no-such-name.invalid"]
    assert b"Host: no-such-name.invalid:" in listener.requests[0]


async def test_the_name_stays_in_tls_and_in_the_host_field(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "shop.example")
    guard = Guard(["127.0.0.0/8"], lookup=resolving(["127.0.0.1"]))
    async with listening(tls=server) as listener:
        url = f"https://shop.example:{listener.port}/"
        for kind in (Sender, LeanSender):
            async with kind(guard, tls=client) as sender:
                assert (await sender.post(url, {}, b"")).status == 200
        async with exchanging(guard, client) as exchange:
            assert (await get_by(exchange, url)).status == 200
        assert listener.names == ["shop.example"] * 3
        assert all(b"Host: shop.example:" in each for each in listener.requests)
        other = f"https://other.example:{listener.port}/"
        for kind in (Sender, LeanSender):
            async with kind(guard, tls=client) as sender:
                with pytest.raises(Unreachable, match="TLS certificate is not accepted"):
                    await sender.post(other, {}, b"")
        async with exchanging(guard, client) as exchange:
            with pytest.raises(httpcore2.ConnectError):
                await get_by(exchange, other)


@pytest.mark.parametrize("tls", [False, True])
async def test_a_kept_connection_that_its_peer_ended_takes_no_call(
    tmp_path: Path, tls: bool
) -> None:
    server, trusted = certificate(tmp_path, "shop.example")
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    taken: list[asyncio.StreamWriter] = []

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer)

    guard = Guard(["127.0.0.0/8"], lookup=resolving(["127.0.0.1"]))
    there = await asyncio.start_server(answering, "127.0.0.1", 0, ssl=server if tls else None)
    async with there, exchanging(guard, trusted) as exchange:
        port = there.sockets[0].getsockname()[1]
        url = f"{'https' if tls else 'http'}://shop.example:{port}/"
        for _ in range(2):
            assert (await get_by(exchange, url)).status == 200
        assert len(taken) == 1
        taken[0].close()
        await asyncio.sleep(0)
        assert (await get_by(exchange, url)).status == 200
        assert len(taken) == 2
        taken[1].close()


async def test_a_redirect_to_a_refused_address_is_not_connected_to(listener: Listener) -> None:
    there = f"http://[::1]:{listener.port}/latest/meta-data"
    moved = f"HTTP/1.1 302 Found\r\nlocation: {there}\r\ncontent-length: 0\r\n\r\n".encode()
    guard = Guard(["127.0.0.0/8"])
    async with listening(says(moved)) as first:
        assert await by_sender(guard, first.url) == 302
        assert await by_lean(guard, first.url) == 302
        assert await by_exchange(guard, first.url) == 302
        assert first.connects == 3
    assert listener.connects == 0


async def test_the_second_address_is_tried_when_the_first_does_not_answer(
    listener: Listener, get: Get
) -> None:
    guard = Guard(["127.0.0.0/8"], lookup=resolving(["127.0.0.2", "127.0.0.1"]))
    assert await get(guard, f"http://two.example:{listener.port}/") == 200


async def test_a_name_without_an_address_is_unreachable() -> None:
    async def nothing(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    guard = Guard(lookup=nothing)
    with pytest.raises(Unreachable, match=r"gone\.example has no address \(Name or service not"):
        await guard.check("https://gone.example/")
    with pytest.raises(Unreachable, match="has no address"):
        await by_sender(guard, "https://gone.example/")
    with pytest.raises(Unreachable, match="has no address"):
        await by_lean(guard, "https://gone.example/")
    with pytest.raises(httpcore2.ConnectError, match="has no address"):
        await by_exchange(guard, "https://gone.example/")
    with pytest.raises(Unreachable):
        await Guard(lookup=resolving([])).check("https://gone.example/")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://shop.example/", "begins with neither http:// nor https://"),
        ("file:///etc/passwd", "begins with neither"),
        ("//shop.example/", "begins with neither"),
        ("shop.example", "begins with neither"),
        ("", "begins with neither"),
        ("http://", "names no host"),
        ("http:///path", "names no host"),
        ("http://ann:canary@shop.example/", "user name or password"),
        ("http://canary@shop.example/", "user name or password"),
        ("http://@shop.example/", "user name or password"),
        ("http://shop.example:99999/", "cannot be read"),
        ("http://shop.example:http/", "cannot be read"),
        ("http://shop.example:0/", "port 0"),
        ("http://[::1", "cannot be read"),
        ("http://shop..example/", "cannot be read"),
        ("http://" + "a" * 64 + ".example/", "cannot be read"),
        ("http://127.0.0.1%00.shop.example/", "names no host"),
        ("http://%31%32%37.0.0.1/", "names no host"),
        ("http://shop.example\\@127.0.0.1/", "holds a blank or another character"),
        ("http://shop.example /", "holds a blank"),
        ("http://shop.example/\r\nX: y", "holds a blank"),
        ("http://shop.example/\x00", "holds a blank"),
        (" http://shop.example/", "holds a blank"),
        ("http://shop.example/" + "a" * 2048, "2068 characters, at most 2048"),
    ],
)
async def test_what_is_no_url_for_us_is_refused_before_any_lookup(
    get: Get, url: str, said: str
) -> None:
    async def never(_host: str, _port: int) -> list[str]:
        raise AssertionError("looked up")

    guard = Guard(lookup=never)
    with pytest.raises(InvalidInput, match=said) as caught:
        guard.target(url)
    assert "canary" not in str(caught.value)


async def test_a_target_is_scheme_host_and_port() -> None:
    guard = Guard()
    assert guard.target("https://Shop.Example/a?b=c#d") == Target(
        scheme="https", host="shop.example", port=443
    )
    assert guard.target("http://bücher.example:8080").host == "xn--bcher-kva.example"
    assert guard.target("http://1.1.1.1").port == 80
    assert guard.target("http://[2606:4700::1111]").host == "2606:4700::1111"


async def test_an_allowed_network_lets_in_what_it_holds_and_no_more() -> None:
    guard = Guard(["10.1.0.0/16", "fd00::/8"])
    guard.vet("shop", ["10.1.2.3", "fd00::1", "8.8.8.8"])
    for refused in ("10.2.0.1", "127.0.0.1", "::ffff:10.1.2.3", "fc00::1"):
        with pytest.raises(Forbidden, match="LANDBRIDGE_ALLOW_NETWORKS"):
            guard.vet("shop", [refused])
    with pytest.raises(SettingsError, match="LANDBRIDGE_ALLOW_NETWORKS: 'ten' does not appear"):
        Guard(["ten"])
    with pytest.raises(SettingsError, match="host bits set"):
        Guard(["10.1.2.3/8"])


async def test_a_url_with_a_password_is_refused_by_the_transport_too(listener: Listener) -> None:
    url = f"http://ann:canary@127.0.0.1:{listener.port}/"
    with pytest.raises(InvalidInput, match="user name or password"):
        await by_exchange(Guard(["127.0.0.0/8"]), url)
    assert listener.connects == 0


async def test_no_socket_of_the_machine_is_reached(tmp_path: Path) -> None:
    reached: list[int] = []

    async def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(1)
        writer.close()

    path = str(tmp_path / "s")
    async with await asyncio.start_unix_server(count, path):
        pool = guarded_pool(Guard(["127.0.0.0/8"]))
        with pytest.raises(Forbidden):
            await pool._network_backend.connect_unix_socket(path)
        await pool.aclose()
    assert reached == []
