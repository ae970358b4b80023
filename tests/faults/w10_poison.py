"""W10: poison, in both directions; what comes in is in `w10_poison_in` and
`w10_poison_wire`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from random import Random

from landbridge.client.guard import Guard
from landbridge.client.post import Posts
from landbridge.errors import InvalidInput, Unreachable
from tests.client.servers import OK, Listener, closing, listening
from tests.faults.senders import SENDERS
from tests.faults.w10_poison_in import poison_in
from tests.faults.w10_poison_wire import poison_wire
from tests.rows import RowResult, Trial, row

_LOCAL = Guard(["127.0.0.0/8"])
_HEADERS = (
    {"x": "a\r\nx-forged: 1"},
    {"x": "a\nb"},
    {"x": "a\x00b"},
    {"x": "\ud800"},
    {"x": "\u20ac"},
    {"x\r\nx-forged": "1"},
    {"x:": "a"},
    {"": "a"},
    {"content-length": "0"},
    {"Transfer-Encoding": "chunked"},
)
_URLS = (
    "/\r\nx-forged: 1",
    "/\x00",
    "/ HTTP/1.1\r\nx: y",
    "/\ud800",
    "/\x7f",
    "/" + "a" * 3000,
)
_SEEDS = (
    OK,
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx: y\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 500 X\r\nretry-after: 3\r\n\r\nlong enough",
    b"HTTP/1.1 204 No Content\r\nconnection: close\r\nkeep-alive: timeout=5\r\n\r\n",
)
_SPLINTERS = (
    *(b"\x00", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b":", b" ", b"\t", b"\xff", b"-1", b"0"),
    *(b"99999999", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"HTTP/1.1 "),
    *(b"a" * 9000, b"{" * 500),
)


@row(
    "W10",
    title="poison in and out: bad bytes, sizes, nesting, headers, signatures, answers",
    goal="in: 4xx or parked with a reason; out: refused or Unreachable; 0 well ones lost",
)
async def poison(trial: Trial) -> RowResult:
    """Everything that is malformed, and after each something that is well. The control writes the
    headers of a post as they are."""
    taken, in_holds = await poison_in(trial)
    wired, wire_holds = await poison_wire(trial)
    sent, out_holds = await poison_out(trial)
    calm, control = [await _unchecked(each) for each in ({"x": "y"}, _HEADERS[0])]
    return RowResult(
        value=f"in: {_told(taken)}; as bytes: {_told(wired)}; out: {_told(sent)};"
        f" control: {control} forged",
        holds=in_holds and wire_holds and out_holds and calm == 0 and control > 0,
        detail={"in": taken, "wire": wired, "out": sent, "control": control},
    )


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


async def poison_out(trial: Trial) -> tuple[dict[str, int], bool]:
    """Headers and URLs that would break a request, and answers cut up at random, by either sender.

    The counts: `tried`, `refused` before anything was sent, `unreachable`, `answered` (some random
    answers are valid), `raised` (anything else), `forged` (what came through into a request),
    `lost` (posts to a receiver that is well, by the same sender, that did not arrive).
    """
    answers = trial.size.pick(small=400, medium=10_000)
    counts: Counter[str] = Counter()
    for kind in SENDERS.values():
        chance = trial.random
        async with listening() as well, kind(_LOCAL, deadline=5, body_cap=1000) as sender:
            await _requests(sender, well, counts)
            for answer in _answers(chance, answers):
                async with listening(closing(answer)) as listener:
                    await _post(sender, listener.url, {}, counts)
                await _well(sender, well, counts)
            counts["forged"] += sum(b"x-forged" in request for request in well.requests)
    for name in ("raised", "forged", "lost"):
        counts.setdefault(name, 0)
    faults = counts["raised"] + counts["forged"] + counts["lost"]
    expected = len(SENDERS) * (len(_HEADERS) + len(_URLS))
    holds = not faults and counts["refused"] == expected and counts["unreachable"] > 0
    return dict(counts), holds


async def _unchecked(headers: dict[str, str]) -> int:
    """The control: how many requests get a header that nobody gave."""
    async with listening() as well:
        reader, writer = await asyncio.open_connection("127.0.0.1", well.port)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST / HTTP/1.1\r\n{lines}content-length: 2\r\n\r\n{{}}".encode())
        assert b"200" in await reader.readline()
        writer.close()
        await asyncio.sleep(0.05)  # it sees that this was all
        return sum(b"x-forged" in request for request in well.requests)


async def _requests(sender: Posts, well: Listener, counts: Counter[str]) -> None:
    for headers in _HEADERS:
        await _post(sender, well.url, headers, counts)
        await _well(sender, well, counts)
    for path in _URLS:
        await _post(sender, well.url + path, {}, counts)
        await _well(sender, well, counts)


async def _post(sender: Posts, url: str, headers: dict[str, str], counts: Counter[str]) -> None:
    counts["tried"] += 1
    try:
        await sender.post(url, headers, b"{}")
        counts["answered"] += 1
    except InvalidInput:
        counts["refused"] += 1
    except Unreachable:
        counts["unreachable"] += 1
    except (Exception, asyncio.CancelledError):  # noqa: BLE001 - none of these may come
        counts["raised"] += 1


async def _well(sender: Posts, well: Listener, counts: Counter[str]) -> None:
    before = len(well.requests)
    try:
        sent = await sender.post(f"{well.url}/well", {"x": "y"}, b"{}")
        counts["lost"] += sent.body != b"ok" or len(well.requests) != before + 1
    except Unreachable:
        counts["lost"] += 1


def _answers(chance: Random, count: int) -> Iterator[bytes]:
    """Answers with pieces left out, doubled, put in or changed."""
    for _ in range(count):
        answer = bytearray(chance.choice(_SEEDS))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(answer) + 1)
            match chance.randrange(4):
                case 0:
                    answer[at:at] = chance.choice(_SPLINTERS)
                case 1:
                    del answer[at : at + chance.randint(1, 12)]
                case 2:
                    answer[at : at + 1] = bytes([chance.randrange(256)])
                case _:
                    answer += answer[at:]
        yield bytes(answer)
