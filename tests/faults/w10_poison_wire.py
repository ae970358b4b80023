"""Poison as bytes on the wire: what W10 sends to a real `landbridge serve`, sorted by a worker."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from landbridge.store import apps
from landbridge.store.database import Database
from landbridge.testing.running import in_thread
from tests.faults.inbound import connect_account
from tests.faults.serving import SECRET, Stage, sorting, stage
from tests.faults.w10_poison_in import bodies, header_lists
from tests.rows import Trial

_WITHIN = 20.0
"""Seconds in which every call is answered or cut off: longer than any deadline of the server."""
_NAME = b"stripe-signature"

_MALFORMED = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x00\r\n\r\n",
    b"POST\r\n\r\n",
    b"POST {path}\r\n\r\n",
    b"POST {path} HTTP/9.9\r\n\r\n",
    b"POST http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST {path}\xff\xfe HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    b"POST {path}%00%ff HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    b"POST {path}?%00=\xff HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    b"POST {path} HTTP/1.1\r\nno colon here\r\n\r\n",
    b"POST {path} HTTP/1.1\r\nx: a\x00b\r\ncontent-length: 0\r\n\r\n",
    b"POST {path} HTTP/1.1\nx: y\ncontent-length: 0\n\n",
    b"POST {path} HTTP/1.1\r\nx : y\r\n\r\n",
    b"POST {path} HTTP/1.1\r\n folded: y\r\n\r\n",
    b"POST {path} HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    b"POST {path} HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}!",
    b"POST {path} HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
    b"POST {path} HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    b"POST {path} HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"POST {path} HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST {path} HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    b"POST {path} HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 9000000\r\n\r\n",
    b"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n",
    b"CONNECT {path} HTTP/1.1\r\nhost: x\r\n\r\n",
)
"""Whole calls that no vendor makes; `{path}` is the intake's."""


async def poison_wire(trial: Trial) -> tuple[dict[str, int], bool]:
    """Sends every poison, each followed by a webhook that is well, and lets a worker sort them.

    The counts: `sent`, answers by class, `cut off` without one, `hung`, `parked` with a reason,
    `unknown` (taken in and neither parked nor filed), `lost` (well ones that were not filed), and
    `control lost`: what a handler loses that takes its webhooks one after the other, and one that
    it cannot read again and again.
    """
    rounds = trial.size.pick(small=1, medium=10)
    counts: Counter[str] = Counter()
    async with stage() as on, sorting(on.url, on.key):
        await _connect(on)
        port, path = _place(on.hook)
        for _ in range(rounds):
            for call in _calls(path):
                counts["sent"] += 1
                counts[await _sent(port, call)] += 1
                counts["well"] += 1
                answer = await _sent(port, _post(path, well(counts["well"])))
                counts["lost"] += answer != "2xx"
        await _read_back(on, counts)
    counts["control lost"] = await _control()
    holds = (
        not (counts["5xx"] or counts["hung"] or counts["unknown"] or counts["lost"])
        and counts["4xx"] > 0
        and counts["parked"] == counts["2xx"] > 0
        and counts["control lost"] > 0
    )
    return {name: counts[name] for name in sorted(counts)}, holds


def well(number: int, **more: Any) -> bytes:
    """An event of the account that is connected; `data` in `more` is about its object."""
    about = more.pop("data", {"id": f"cus_{number}"})
    shape = {"id": f"evt_{number}", "type": "customer.updated", "account": "acct_1"}
    return json.dumps({**shape, "data": {"object": about}, **more}).encode()


def _calls(path: bytes) -> Iterator[bytes]:
    for body in bodies(well):
        yield _post(path, body)
    for headers in header_lists(_NAME, _signature(b"{}")):
        yield _post(path, b"{}", headers)
    for call in _MALFORMED:
        yield call.replace(b"{path}", path)


def _post(path: bytes, body: bytes, headers: Sequence[tuple[bytes, bytes]] | None = None) -> bytes:
    """A call as bytes, whatever these make of it."""
    given = [(_NAME, _signature(body))] if headers is None else list(headers)
    if not any(name == b"content-length" for name, _ in given):
        given.append((b"content-length", b"%d" % len(body)))
    lines = b"".join(b"%b: %b\r\n" % pair for pair in given)
    return b"POST %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n%b\r\n%b" % (path, lines, body)


def _signature(body: bytes) -> bytes:
    at = int(time.time())
    mark = hmac.new(SECRET.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return b"t=%d,v1=%b" % (at, mark.encode())


async def _sent(port: int, call: bytes) -> str:
    """The class of the answer, `cut off` when none came, `hung` when the call was left alone."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(_line(reader))
    writer.write(call)
    await asyncio.wait({reading}, timeout=_WITHIN)
    writer.close()
    if not reading.done():
        reading.cancel()
        return "hung"
    line = reading.result()
    return f"{line.split()[1].decode()[0]}xx" if line.startswith(b"HTTP/1.1 ") else "cut off"


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The first line of the answer that is final."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 100 "):
                return head.partition(b"\r\n")[0]
    return b""


def _place(hook: str) -> tuple[int, bytes]:
    host, _, path = hook.partition("//")[2].partition("/")
    return int(host.rpartition(":")[2]), f"/{path}".encode()


async def _connect(on: Stage) -> None:
    db = await Database.open(on.url, budget=2)
    app = await apps.ensure(db, environment="test", provider="stripe")
    await connect_account(db, app)
    await db.close()


async def _read_back(on: Stage, counts: Counter[str]) -> None:
    """What became of all that was taken in, once the worker has sorted it."""
    admin = await asyncpg.connect(on.url)
    deadline = time.monotonic() + 60
    while await admin.fetchval("SELECT count(*) FROM landbridge.due WHERE lane = 'receive'"):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    counts["parked"] = await admin.fetchval(
        "SELECT count(*) FROM landbridge.parked WHERE what = 'arrival' AND reason <> ''"
    )
    filed = await admin.fetchval("SELECT count(*) FROM landbridge.inbox_event")
    arrived = await admin.fetchval("SELECT count(*) FROM landbridge.arrival")
    counts["lost"] += max(0, counts["well"] - filed)
    counts["unknown"] = abs(arrived - counts["parked"] - filed)
    await admin.close()


# The control


class InOrder:
    """Takes webhooks one after the other, each until it is done. Right as long as all can be
    read."""

    def __init__(self) -> None:
        self.done = 0
        self._waiting: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self._waiting.append(body)
        self._work()
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _work(self) -> None:
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            while self._waiting:
                known = json.loads(self._waiting[0])["data"]["object"]["id"]
                self.done += known.startswith("cus_")
                del self._waiting[0]


async def _control() -> int:
    """How many well ones of ten the control does not do, with a poison among them; it does all of
    them without."""
    lost = []
    for poison in (None, b"\xff"):
        control = InOrder()
        with in_thread(control) as address:
            port, _ = _place(f"{address}/")
            for number in range(10):
                if poison is not None and number == 5:
                    await _sent(port, _post(b"/", poison))
                assert await _sent(port, _post(b"/", well(number))) == "2xx"
        lost.append(10 - control.done)
    assert lost[0] == 0, "the control has to work without poison"
    return lost[1]
