"""One request and its answer on httpcore2, beside what httpx2's whole client would send."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpcore2
import httpx2
import pytest

from landbridge.client.exchange import NO_ANSWER, NOT_SENT, Exchange
from landbridge.client.guard import Guard
from landbridge.errors import Forbidden, InvalidInput, Unreachable
from landbridge.wire import Headers, Request
from tests.client.servers import closing, hangs_up, listening, says

URLS = [
    "/",
    "",
    "?a=b",
    "/a/b?c=d&e=%20f",
    "/a b/ü",
    "/a/../b/./c",
    "/.well-known/x",
    "/a//b",
    "/a?b=c#fragment",
    "/a?q='x'[y]",
    "/%zz?%",
    "/a%2Fb:c@d;e,f",
    "/a?redirect=https://b/c?d",
]


@asynccontextmanager
async def exchanging(timeout: float = 30.0) -> AsyncIterator[Exchange]:
    exchange = Exchange(Guard(["127.0.0.0/8"]), timeout=timeout)
    yield exchange
    await exchange.close()


def fields(request: bytes) -> dict[bytes, bytes]:
    lines = request.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}


@pytest.mark.parametrize("path", URLS)
async def test_an_address_goes_out_as_httpx2_writes_it(path: str) -> None:
    async with listening() as there, exchanging() as exchange, httpx2.AsyncClient() as client:
        answer = await exchange.send(Request(method="GET", url=there.url + path), 100)
        assert (answer.status, answer.body) == (200, b"ok")
        await client.get(there.url + path)
        ours, theirs = there.requests
        assert ours.split(b"\r\n")[0] == theirs.split(b"\r\n")[0]
        assert fields(ours)[b"host"] == fields(theirs)[b"host"]


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("GET", b"", None),
        ("DELETE", b"", None),
        ("POST", b"", b"0"),
        ("PUT", b"", b"0"),
        ("PATCH", b"ab", b"2"),
        ("REPORT", b"<x/>", b"4"),
    ],
)
async def test_a_body_has_its_length(method: str, body: bytes, length: bytes | None) -> None:
    async with listening() as there, exchanging() as exchange:
        await exchange.send(Request(method=method, url=there.url, body=body), 100)
        assert fields(there.requests[0]).get(b"content-length") == length
        assert there.requests[0].endswith(b"\r\n\r\n" + body)


async def test_the_callers_fields_stand_in_the_place_of_ours() -> None:
    given = Headers({"User-Agent": "théirs", "accept-encoding": "identity", "X-A": "1"})
    async with listening() as there, exchanging() as exchange:
        await exchange.send(Request(method="GET", url=there.url, headers=given), 100)
        await exchange.send(Request(method="GET", url=there.url), 100)
        first, second = (fields(each) for each in there.requests)
    assert first[b"user-agent"] == "théirs".encode()
    assert (first[b"accept-encoding"], first[b"x-a"]) == (b"identity", b"1")
    assert second[b"user-agent"] == b"landbridge"
    assert second[b"accept-encoding"] == b"gzip, deflate"
    assert there.connects == 1


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\x00b"])
async def test_no_field_ends_before_its_end(value: str) -> None:
    request = Request(method="GET", url="http://127.0.0.1:1/", headers=Headers({"X-A": value}))
    async with listening() as there, exchanging() as exchange:
        with pytest.raises(httpcore2.LocalProtocolError):
            await exchange.send(request.having(url=there.url), 100)
        assert there.requests == []


def answering(body: bytes, encoding: str) -> bytes:
    head = f"content-encoding: {encoding}\r\ncontent-length: {len(body)}\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\n" + head.encode() + body


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"plain" * 100, mtime=0)),
        ("deflate", zlib.compress(b"plain" * 100)),
        ("gzip, gzip", gzip.compress(gzip.compress(b"plain" * 100, mtime=0), mtime=0)),
        ("identity", b"plain" * 100),
    ],
    ids=["gzip", "deflate", "twice", "identity"],
)
async def test_an_encoded_answer_is_read_plainly(encoding: str, body: bytes) -> None:
    async with listening(says(answering(body, encoding))) as there, exchanging() as exchange:
        answer = await exchange.send(Request(method="GET", url=there.url), 1000)
    assert answer.body == b"plain" * 100


async def test_no_more_is_read_than_may_come() -> None:
    much = says(answering(gzip.compress(bytes(1_000_000)), "gzip"))
    for answer in (much, says(answering(bytes(2000), "identity"))):
        async with listening(answer) as there, exchanging() as exchange:
            with pytest.raises(Unreachable, match=r"^127\.0\.0\.1:\d+ sent more than 1500 bytes"):
                await exchange.send(Request(method="GET", url=there.url), 1500)


async def test_what_cannot_be_decoded_is_no_answer() -> None:
    async with listening(says(answering(b"no gzip", "gzip"))) as there, exchanging() as exchange:
        with pytest.raises(NO_ANSWER):
            await exchange.send(Request(method="GET", url=there.url), 1000)


async def test_fields_that_come_twice_are_both_there() -> None:
    told = says(b"HTTP/1.1 204 No\r\nset-cookie: a=1\r\nset-cookie: b=\xc3\xa9\r\n\r\n")
    async with listening(told) as there, exchanging() as exchange:
        answer = await exchange.send(Request(method="GET", url=f"{there.url}/x?a=1"), 100)
        await exchange.send(Request(method="GET", url=there.url), 100)
    assert answer.headers.all("Set-Cookie") == ["a=1", "b=é"]
    assert (answer.status, answer.body, answer.url) == (204, b"", f"{there.url}/x?a=1")
    assert b"cookie" not in fields(there.requests[1])


async def test_what_was_not_sent_is_told_from_what_was_not_answered() -> None:
    async with exchanging(timeout=1) as exchange:
        async with listening(hangs_up) as there:
            url = there.url
            with pytest.raises(httpcore2.RemoteProtocolError) as caught:
                await exchange.send(Request(method="GET", url=url), 100)
            assert isinstance(caught.value, NO_ANSWER)
            assert not isinstance(caught.value, NOT_SENT)
        async with listening(closing(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")) as there:
            with pytest.raises(NO_ANSWER):
                await exchange.send(Request(method="GET", url=there.url), 100)
        with pytest.raises(NOT_SENT):
            await exchange.send(Request(method="GET", url=url), 100)


async def test_an_origin_that_was_let_through_lets_no_other_through() -> None:
    async with listening() as there, exchanging() as exchange:
        await exchange.send(Request(method="GET", url=f"{there.url}/a"), 100)
        for url in (f"http://10.0.0.1:{there.port}/a", f"http://[::1]:{there.port}/a"):
            with pytest.raises(Forbidden):
                await exchange.send(Request(method="GET", url=url), 100)
        for url in (f"{there.url}/{'a' * 2048}", f"http://ann:pw@127.0.0.1:{there.port}/"):
            with pytest.raises(InvalidInput):
                await exchange.send(Request(method="GET", url=url), 100)
    assert len(there.requests) == 1
