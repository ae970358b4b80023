"""How the lean sender writes a post down, against what aiohttp makes of the same."""

from __future__ import annotations

import re

import pytest

from landbridge.client._lean_request import Lines, Place
from landbridge.client._proxy import Proxy
from landbridge.client.guard import Guard
from landbridge.client.lean import LeanSender
from landbridge.client.sender import Sender
from landbridge.errors import InvalidInput
from tests.client.servers import listening


async def here(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


GUARD = Guard(["127.0.0.0/8"], lookup=here)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example:{port}",
        "http://shop.example:{port}/",
        "http://SHOP.example:{port}/A/b;c=d,e?f=g&h=i%20j#k",
        "http://shop.example:{port}?a=b",
        "http://b\xfccher.example:{port}/stra\xdfe?\u20ac=\u20ac",
        "http://xn--bcher-kva.example:{port}/%2F%c3%bc",
        "http://127.0.0.1:{port}/100%/x",
        "http://shop.example:{port}/a?next=https://b/c?d=e@f&g=[1]",
    ],
)
async def test_both_senders_ask_for_the_same(url: str) -> None:
    async with listening() as listener:
        for kind in (Sender, LeanSender):
            async with kind(GUARD) as sender:
                await sender.post(url.format(port=listener.port), {"x-one": "\xe9"}, b"{}")
        aiohttp, lean = (_told(request) for request in listener.requests)
        aiohttp.pop("content-type")  # it names one where nobody did
    assert lean == aiohttp


def _told(request: bytes) -> dict[str, str]:
    first, *lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return {"": re.sub("%..", lambda found: found[0].upper(), first), **fields}


def place(url: str, proxy: Proxy | None = None) -> Place:
    return Place.of(url, Guard().target(url), proxy)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://shop.example/", b"shop.example"),
        ("http://shop.example:80/", b"shop.example"),
        ("https://shop.example:443/", b"shop.example"),
        ("https://shop.example:80/", b"shop.example:80"),
        ("https://[2606:4700::1111]/", b"[2606:4700::1111]"),
        ("https://[2606:4700::1111]:8443/", b"[2606:4700::1111]:8443"),
    ],
)
def test_the_host_field_names_a_port_that_is_not_usual(url: str, host: bytes) -> None:
    assert place(url).head == b"POST / HTTP/1.1\r\nHost: " + host + b"\r\n"


def test_a_header_replaces_ours_and_no_other() -> None:
    lines = Lines()
    at = place("https://shop.example/")
    usual = lines.head(at, {"x": "y"}, 3)
    assert usual.lower().count(b"user-agent:") == 1
    for _ in range(2):
        other = lines.head(at, {"User-Agent": "acme", "x": "y"}, 3)
        assert b"User-Agent: acme\r\n" in other
        assert other.lower().count(b"user-agent:") == 1
        assert b"accept-encoding: identity\r\n" in other
    assert lines.head(at, {"x": "y"}, 3) == usual


def test_a_name_seen_before_does_not_let_a_bad_value_pass() -> None:
    lines = Lines()
    at = place("https://shop.example/")
    lines.head(at, {"x": "y", "z": ""}, 0)
    for value in ("a\r\nb: c", "a\n", "\r", "\x00", "\x7f", "\u20ac", "\ud800", "\r\n"):
        with pytest.raises(InvalidInput, match="header x: its value holds"):
            lines.head(at, {"x": value, "z": ""}, 0)
        with pytest.raises(InvalidInput, match="header x: its value holds"):
            lines.head(at, {"z": "", "x": value}, 0)


def test_names_that_are_never_used_again_are_not_kept_for_ever() -> None:
    lines = Lines()
    at = place("https://shop.example/")
    for number in range(5_000):
        lines.head(at, {f"x-{number}": "y"}, 0)
    assert len(lines._names) <= 1025
