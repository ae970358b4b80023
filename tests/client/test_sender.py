"""A post ends in time, reads little, follows nothing, and keeps its connection for the next."""

from __future__ import annotations

import gzip
import time
from collections.abc import AsyncIterator

import pytest

from landbridge.client.guard import Guard
from landbridge.client.lean import LeanSender
from landbridge.client.post import Posts, check_headers
from landbridge.client.sender import Sender
from landbridge.errors import InvalidInput, Unreachable
from tests.client.servers import OK, Answer, for_ever, hangs_up, listening, says

LOCAL = Guard(["127.0.0.0/8"])
Kind = type[Sender] | type[LeanSender]


@pytest.fixture(params=[Sender, LeanSender])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Both senders: what is said here is said of either."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture
async def sender(kind: Kind) -> AsyncIterator[Posts]:
    async with kind(LOCAL, deadline=0.5, body_cap=1000) as ready:
        yield ready


async def test_the_post_arrives_as_it_was_given(sender: Posts) -> None:
    async with listening() as listener:
        sent = await sender.post(
            f"{listener.url}/hook?a=1", {"x-one": "1", "content-type": "text/csv"}, b"a;\xff\x00"
        )
        head, _, body = listener.requests[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /hook?a=1 http/1.1"
    assert b"x-one: 1" in lines
    assert b"content-type: text/csv" in lines
    assert b"accept-encoding: identity" in lines
    assert body == b"a;\xff\x00"
    assert (sent.status, sent.body) == (200, b"ok")
    assert sent.took >= 0


@pytest.mark.parametrize("status", [204, 302, 400, 410, 429, 500, 599])
async def test_any_status_is_an_answer(sender: Posts, status: int) -> None:
    answer = f"HTTP/1.1 {status} X\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n".encode()
    async with listening(says(answer)) as listener:
        sent = await sender.post(listener.url, {}, b"")
    assert (sent.status, sent.headers["Retry-After"]) == (status, "7")


async def test_a_redirect_is_not_followed(sender: Posts) -> None:
    async with listening() as target:
        moved = f"HTTP/1.1 307 X\r\nlocation: {target.url}\r\ncontent-length: 0\r\n\r\n"
        async with listening(says(moved.encode())) as listener:
            assert (await sender.post(listener.url, {}, b"")).status == 307
        assert target.connects == 0


async def test_the_connection_is_kept_and_no_cookie_is(kind: Kind) -> None:
    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=canary\r\ncontent-length: 0\r\n\r\n"
    guard = Guard(["127.0.0.0/8"], lookup=here)
    async with listening(says(answer)) as listener, kind(guard) as sender:
        for _ in range(3):
            await sender.post(f"http://shop.example:{listener.port}/", {}, b"")
        assert (listener.connects, len(listener.requests), sender.open) == (1, 3, 1)
        assert b"canary" not in b"".join(listener.requests)


async def test_no_proxy_of_the_environment_is_used(
    sender: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening() as proxy, listening() as listener:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert (await sender.post(listener.url, {}, b"")).status == 200
        assert (proxy.connects, listener.connects) == (0, 1)


_HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        says(b"", every=30),
        says(*(bytes([byte]) for byte in OK), every=0.1),
        says(_HEAD, *(b"x" for _ in range(100)), every=0.1),
        says(b"HTTP/1.1 100 Continue\r\n\r\n", every=30),
    ],
    ids=["silence", "slow head", "slow body", "only continue"],
)
async def test_the_deadline_is_for_the_whole_answer(sender: Posts, answer: Answer) -> None:
    async with listening(answer) as listener:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1 gave no whole answer within 0\.5 s"):
            await sender.post(listener.url, {}, b"")


async def test_an_endless_body_is_read_up_to_the_cap_and_its_connection_closed(
    sender: Posts,
) -> None:
    async with listening(for_ever) as listener:
        began = time.monotonic()
        for _ in range(2):
            assert len((await sender.post(listener.url, {}, b"")).body) == 1000
        assert time.monotonic() - began < 0.5  # else the deadline would have ended it
        assert listener.connects == 2


async def test_a_body_of_exactly_the_cap_is_whole(sender: Posts) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * 1000
    async with listening(says(answer)) as listener:
        assert (await sender.post(listener.url, {}, b"")).body == b"x" * 1000


async def test_a_packed_body_is_not_unpacked(sender: Posts) -> None:
    bomb = gzip.compress(b"\x00" * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n"
    async with listening(says(head.encode() + bomb)) as listener:
        assert (await sender.post(listener.url, {}, b"")).body == bomb[:1000]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (hangs_up, "the connection ended before the answer"),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n"), r"its answer cannot be read"),
        (says(b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"), "its answer cannot be read"),
    ],
)
async def test_why_no_answer_came_is_said_without_the_url(
    sender: Posts, answer: Answer, said: str
) -> None:
    async with listening(answer) as listener:
        with pytest.raises(Unreachable, match=said) as caught:
            await sender.post(f"{listener.url}/canary?token=canary", {}, b"canary")
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_port_where_nobody_listens_is_unreachable(sender: Posts) -> None:
    async with listening() as listener:
        url = listener.url
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1: no connection \(Connect call failed"):
        await sender.post(url, {}, b"")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x": "a\r\ny: b"}, "header x: its value holds a line break"),
        ({"x": "a\nb"}, "header x:"),
        ({"x": "a\x00b"}, "header x:"),
        ({"x": "\u20ac"}, "header x:"),
        ({"x\r\ny": "a"}, "a name is letters, digits and hyphens"),
        ({"x:": "a"}, "a name is"),
        ({"": "a"}, "a name is"),
        ({"x y": "a"}, "a name is"),
        ({"Content-Length": "3"}, "header Content-Length: it is set by the sender itself"),
        ({"transfer-encoding": "chunked"}, "set by the sender itself"),
        ({"host": "other.example"}, "set by the sender itself"),
    ],
)
async def test_a_header_that_breaks_out_of_its_line_is_refused(
    sender: Posts, headers: dict[str, str], said: str
) -> None:
    async with listening() as listener:
        with pytest.raises(InvalidInput, match=said):
            await sender.post(listener.url, headers, b"")
        assert listener.connects == 0


def test_ordinary_headers_pass() -> None:
    check_headers({"webhook-signature": "v1,abc= v1,def=", "X-Empty": "", "x_y": "caf\xe9"})


async def test_a_sender_is_used_while_it_is_open(kind: Kind) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await kind(LOCAL).post("http://127.0.0.1/", {}, b"")
