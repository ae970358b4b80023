"""Through a proxy that the operator names: it looks up names, the guard still reads the URL."""

from __future__ import annotations

from pathlib import Path

import pytest

from landbridge.client._proxy import Proxy
from landbridge.client.guard import Guard
from landbridge.client.lean import LeanSender
from landbridge.client.sender import Sender
from landbridge.errors import Forbidden, SettingsError, Unreachable
from tests.client.servers import certificate, closing, forwarding, listening, says

Kind = type[Sender] | type[LeanSender]


@pytest.fixture(params=[Sender, LeanSender])
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


async def never(_host: str, _port: int) -> list[str]:
    raise AssertionError("looked up")


GUARD = Guard(lookup=never, proxied=True)


async def test_a_plain_post_goes_to_the_proxy_with_its_whole_url(kind: Kind) -> None:
    async with listening() as listener, forwarding({"shop.example": listener.port}) as proxy:
        there = proxy.url.replace("//", "//ann:canary%3A@")
        async with kind(GUARD, proxy=there) as sender:
            sent = await sender.post("http://shop.example:8080/a?b=c", {"x": "y"}, b"{}")
        assert sent.status == 200
        assert proxy.asked[0].startswith(b"POST http://shop.example:8080/a?b=c HTTP/1.1\r\n")
        assert b"proxy-authorization: Basic YW5uOmNhbmFyeTo=\r\n" in _lower(proxy.asked[0])
        assert b"Host: shop.example:8080\r\n" in listener.requests[0]


async def test_tls_goes_through_the_proxy_to_the_receiver(kind: Kind, tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "shop.example")
    names = {"shop.example": 0, "other.example": 0}
    async with listening(tls=server) as listener, forwarding(names) as proxy:
        names |= dict.fromkeys(names, listener.port)
        there = proxy.url.replace("//", "//ann:canary@")
        async with kind(GUARD, tls=client, proxy=there) as sender:
            for _ in range(3):
                assert (await sender.post("https://shop.example/a", {}, b"{}")).status == 200
            with pytest.raises(Unreachable, match="TLS certificate is not accepted"):
                await sender.post("https://other.example/", {}, b"{}")
        assert listener.names[0] == "shop.example"
        assert b"canary" not in b"".join(listener.requests)
        assert b"proxy-authorization: Basic YW5uOmNhbmFyeQ==\r\n" in _lower(proxy.asked[0])
        assert [asked.split(b"\r\n")[0] for asked in proxy.asked] == [
            b"CONNECT shop.example:443 HTTP/1.1",
            b"CONNECT other.example:443 HTTP/1.1",
        ]


def _lower(head: bytes) -> bytes:
    return head.replace(b"Proxy-Authorization", b"proxy-authorization")


async def test_a_literal_address_is_still_refused(kind: Kind) -> None:
    async with forwarding({}) as proxy, kind(GUARD, proxy=proxy.url) as sender:
        for host in ("127.0.0.1", "2130706433", "[::ffff:7f00:1]", "169.254.169.254"):
            for scheme in ("http", "https"):
                with pytest.raises(Forbidden):
                    await sender.post(f"{scheme}://{host}/", {}, b"")
        assert proxy.asked == []


async def test_what_the_proxy_refuses_is_said(kind: Kind, tmp_path: Path) -> None:
    _, client = certificate(tmp_path, "shop.example")
    async with forwarding({}) as proxy, kind(GUARD, tls=client, proxy=proxy.url) as sender:
        assert (await sender.post("http://internal.example/", {}, b"")).status == 403
        with pytest.raises(Unreachable, match=r"the proxy did not connect \(HTTP 403\)"):
            await sender.post("https://internal.example/", {}, b"")
        url = proxy.url
    async with kind(GUARD, tls=client, proxy=url) as sender:
        with pytest.raises(Unreachable, match=r"shop\.example: no connection \("):
            await sender.post("https://shop.example/", {}, b"")


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nearly", b"HTTP/1.1 200", b"x" * 70_000],
)
async def test_a_proxy_that_does_not_speak_is_unreachable(answer: bytes) -> None:
    async with (
        listening(closing(answer)) as proxy,
        LeanSender(GUARD, proxy=proxy.url, deadline=2) as sender,
    ):
        with pytest.raises(Unreachable, match=r"^shop\.example: the proxy"):
            await sender.post("https://shop.example/", {}, b"")


async def test_the_deadline_holds_for_a_proxy_that_is_silent(kind: Kind) -> None:
    async with (
        listening(says(b"", every=30)) as proxy,
        kind(GUARD, proxy=proxy.url, deadline=0.3) as sender,
    ):
        with pytest.raises(Unreachable, match=r"gave no whole answer within 0\.3 s"):
            await sender.post("https://shop.example/", {}, b"")


async def test_a_url_is_checked_by_its_text_where_a_proxy_looks_names_up() -> None:
    assert (await GUARD.check("https://shop.example/")).host == "shop.example"
    with pytest.raises(Forbidden):
        await GUARD.check("https://10.0.0.1/")


@pytest.mark.parametrize(
    "text",
    [
        "proxy.example:3128",
        "https://proxy.example:3128",
        "socks5://proxy.example:1080",
        "http://proxy.example",
        "http://:3128",
        "http://proxy.example:x",
        "http://ann:canary@proxy.example:3128/path",
    ],
)
def test_a_proxy_is_written_in_one_way(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^LANDBRIDGE_PROXY: it is not written as") as caught:
        Proxy.parse(text)
    assert "canary" not in str(caught.value)


def test_a_proxys_password_is_not_shown() -> None:
    proxy = Proxy.parse("http://ann:canary@proxy.example:3128/")
    assert proxy is not None
    assert "canary" not in repr(proxy)
    assert "YW5u" not in repr(proxy)
    assert Proxy.parse("") is None
