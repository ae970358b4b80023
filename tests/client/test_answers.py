"""Answers that are odd, wrong or meant to harm: read as the RFC says, or refused in words."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from landbridge.client.guard import Guard
from landbridge.client.lean import LeanSender
from landbridge.client.post import Sent
from landbridge.client.sender import Sender
from landbridge.errors import Unreachable
from tests.client.servers import OK, Answer, closing, listening, says

LOCAL = Guard(["127.0.0.0/8"])
START = b"HTTP/1.1 200 OK\r\n"
CHUNKED = START + b"transfer-encoding: chunked\r\n\r\n"
Kind = type[Sender] | type[LeanSender]


@pytest.fixture(params=[Sender, LeanSender])
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


async def posted(kind: Kind, answer: Answer, *, body: bytes = b"{}", cap: int = 1000) -> Sent:
    """What comes of one post; and of a second one, which has to have the same end."""
    async with listening(answer) as listener, kind(LOCAL, deadline=1, body_cap=cap) as sender:
        first = await sender.post(listener.url, {}, body)
        second = await sender.post(listener.url, {}, body)
        assert (first.status, first.body) == (second.status, second.body)
        return first


def in_bytes(answer: bytes) -> Answer:
    """The same answer, each byte by itself."""
    return says(*(answer[place : place + 1] for place in range(len(answer))))


READ = {
    "a length": (START + b"content-length: 2\r\n\r\nok", 200, b"ok"),
    "chunks": (CHUNKED + b"2\r\nok\r\n1\r\n!\r\n0\r\n\r\n", 200, b"ok!"),
    "a chunk's extension": (CHUNKED + b"2;a=b\r\nok\r\n0\r\n\r\n", 200, b"ok"),
    "trailers": (CHUNKED + b"2\r\nok\r\n0\r\nx-late: 1\r\n\r\n", 200, b"ok"),
    "no reason": (b"HTTP/1.1 201\r\ncontent-length: 0\r\n\r\n", 201, b""),
    "100 first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
    "103 first": (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK, 200, b"ok"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "304 with a length": (b"HTTP/1.1 304 X\r\ncontent-length: 0\r\n\r\n", 304, b""),
    "an empty field": (START + b"x-empty:\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    "latin-1": (START + b"x-name: caf\xe9\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    "close": (START + b"connection: close\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    "1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
}


@pytest.mark.parametrize(("answer", "status", "body"), READ.values(), ids=READ.keys())
async def test_what_the_rfc_allows_is_read(
    kind: Kind, answer: bytes, status: int, body: bytes
) -> None:
    for way in (says(answer), in_bytes(answer)):
        sent = await posted(kind, way)
        assert (sent.status, sent.body) == (status, body)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_body_may_end_with_its_connection(kind: Kind, version: bytes) -> None:
    answer = closing(b"HTTP/" + version + b" 200 OK\r\n\r\n", b"all ", b"of it", every=0.01)
    assert (await posted(kind, answer)).body == b"all of it"


async def test_the_fields_of_informational_answers_and_trailers_are_not_the_answers(
    kind: Kind,
) -> None:
    answer = (
        b"HTTP/1.1 103 X\r\nx-one: early\r\n\r\n"
        + START
        + b"transfer-encoding: chunked\r\nX-One: a\r\nx-two: b\r\nx-two: c\r\n\r\n"
        + b"0\r\nx-one: late\r\n\r\n"
    )
    headers = (await posted(kind, says(answer))).headers
    assert (headers["x-one"], headers.all("X-Two")) == ("a", ["b", "c"])
    assert headers.get("x-three") is None


WRONG = {
    "two lengths": START + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok!",
    "length and chunks": START
    + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunks and length": START
    + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a negative length": START + b"content-length: -2\r\n\r\nok",
    "a signed length": START + b"content-length: +2\r\n\r\nok",
    "an empty length": START + b"content-length:\r\n\r\nok",
    "a length beyond 64 bits": START + b"content-length: 99999999999999999999999\r\n\r\nok",
    "a length in letters": START + b"content-length: two\r\n\r\nok",
    "a chunk in letters": CHUNKED + b"zz\r\nok\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-2\r\nok\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": CHUNKED + b"fffffffffffffffff\r\nok\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"2\r\nokok\r\n0\r\n\r\n",
    "a blank in a name": START + b"x y: a\r\ncontent-length: 2\r\n\r\nok",
    "no name": START + b": a\r\ncontent-length: 2\r\n\r\nok",
    "no colon": START + b"content-length\r\n\r\nok",
    "NUL in a value": START + b"x: a\x00b\r\ncontent-length: 2\r\n\r\nok",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no number": b"HTTP/1.1 OK\r\n\r\n",
    "a number of two digits": b"HTTP/1.1 99 X\r\ncontent-length: 0\r\n\r\n",
    "noise": bytes(range(256)),
    "a bare CR": START + b"x: a\rb\r\ncontent-length: 2\r\n\r\nok",
    "a blank before the colon": START + b"x : a\r\ncontent-length: 2\r\n\r\nok",
    "two equal lengths": START + b"content-length: 2\r\ncontent-length: 2\r\n\r\nok",
    "another version": b"HTTP/1.2 200 OK\r\ncontent-length: 2\r\n\r\nok",
}
STRICT = {
    "a folded line": START + b"x: a\r\n b\r\ncontent-length: 2\r\n\r\nok",
    "bare LFs": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    "status 000": b"HTTP/1.1 000 X\r\ncontent-length: 2\r\n\r\nok",
    "another protocol, as asked": b"HTTP/1.1 101 X\r\nupgrade: ws\r\nconnection: upgrade\r\n\r\n",
}
"""What aiohttp lets pass."""


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
async def test_a_malformed_answer_is_refused_and_its_connection_with_it(
    kind: Kind, answer: bytes
) -> None:
    async with listening(closing(answer)) as listener, kind(LOCAL, deadline=10) as sender:
        for _ in range(2):
            with pytest.raises(Unreachable, match=r"^127\.0\.0\.1: its answer cannot be read"):
                await sender.post(f"{listener.url}/canary", {}, b"canary")
        assert listener.connects == 2


@pytest.mark.parametrize("answer", STRICT.values(), ids=STRICT.keys())
async def test_the_lean_one_is_strict(answer: bytes) -> None:
    async with listening(says(answer)) as listener, LeanSender(LOCAL, deadline=5) as sender:
        for _ in range(2):
            with pytest.raises(Unreachable, match="its answer cannot be read"):
                await sender.post(listener.url, {}, b"")
        assert listener.connects == 2


@pytest.mark.parametrize(
    "answer",
    [
        START + b"content-length: 10\r\n\r\nok",
        CHUNKED + b"5\r\nok",
        CHUNKED + b"2\r\nok\r\n",
    ],
)
async def test_an_answer_that_ends_half_way_is_none(kind: Kind, answer: bytes) -> None:
    async with listening(closing(answer)) as listener, kind(LOCAL, deadline=10) as sender:
        with pytest.raises(Unreachable, match="its answer cannot be read"):
            await sender.post(listener.url, {}, b"")


@pytest.mark.parametrize(
    "answer",
    [
        [START, *(b"x-%d: %s\r\n" % (number, b"y" * 4096) for number in range(400))],
        [START + b"x: ", *(b"y" * 4096 for _ in range(400))],
        [START, *(b"x-%d: y\r\n" % number for number in range(20_000))],
        [b"HTTP/1.1 200 ", *(b"O" * 4096 for _ in range(400))],
        [*(b"HTTP/1.1 102 X\r\nx: %s\r\n\r\n" % (b"y" * 4096) for _ in range(400))],
        [START, b"".join(b"a: b\r\n" for _ in range(5_000)), b"content-length: 0\r\n\r\n"],
    ],
    ids=["many fields", "one field", "short fields", "the reason", "informational", "at once"],
)
async def test_a_head_without_end_is_not_kept(answer: list[bytes]) -> None:
    async with listening(says(*answer)) as listener, LeanSender(LOCAL, deadline=5) as sender:
        with pytest.raises(Unreachable, match=r"more than (64 KB of|256) header fields"):
            await sender.post(listener.url, {}, b"")


@pytest.mark.parametrize(
    "answer",
    [
        [CHUNKED, *(b"1\r\nx\r\n" for _ in range(50_000))],
        [CHUNKED, b"1;", *(b"x" * 4096 for _ in range(400))],
        [CHUNKED, b"0\r\nx: ", *(b"y" * 4096 for _ in range(400))],
        [CHUNKED, b"0\r\n", *(b"x-%d: %s\r\n" % (n, b"y" * 4096) for n in range(400))],
    ],
    ids=["chunks of one byte", "an extension", "a trailer", "trailers"],
)
async def test_framing_without_end_is_not_read(answer: list[bytes]) -> None:
    async with (
        listening(says(*answer)) as listener,
        LeanSender(LOCAL, deadline=5, body_cap=1_000) as sender,
    ):
        tracemalloc.start()
        try:
            sent = await sender.post(listener.url, {}, b"")
            assert len(sent.body) <= 1_000
        except Unreachable as error:
            assert "far more framing than content" in str(error)  # noqa: PT017
        kept = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert kept < 8_000_000


async def test_what_nobody_asked_for_ends_the_connection() -> None:
    """A second answer at once, and one that comes while nothing is under way."""
    async with listening(says(OK + OK[:20])) as listener, LeanSender(LOCAL) as sender:
        for _ in range(3):
            assert (await sender.post(listener.url, {}, b"")).body == b"ok"
        assert listener.connects == 3
    late = says(OK, b"", OK, every=0.05)
    async with listening(late) as listener, LeanSender(LOCAL) as sender:
        for _ in range(2):
            assert (await sender.post(listener.url, {}, b"")).body == b"ok"
            await asyncio.sleep(0.2)
        assert listener.connects == 2
