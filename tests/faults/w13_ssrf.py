"""W13: addresses that lead into our own network, however they are written, resolved or reached."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from urllib.parse import urlsplit

import aiohttp

from landbridge.client.guard import Guard
from landbridge.client.post import Posts
from landbridge.errors import Forbidden, InvalidInput, Unreachable
from tests.client.servers import Listener, listening, says
from tests.faults.senders import SENDERS
from tests.rows import RowResult, Trial, row

_WRITTEN = (
    *("127.0.0.1", "127.1", "127.0.1", "0", "0.0.0.0", "127.0.0.1.", "localhost", "LocalHost."),  # noqa: S104
    *("0177.0.0.1", "00000177.0.0.1", "017700000001", "0x7f.1", "0x7f.0.0.1", "0x7F000001"),
    *("2130706433", "127.0.0.1%2f", "%31%32%37.0.0.1", "127.0.0.1%00.shop.example"),
    *("\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "127\uff0e0\uff0e0\uff0e1"),
    *("\u2460\u2461\u2466.0.0.1", "\u0661\u0662\u0667.0.0.1"),
    "\u24db\u24de\u24d2\u24d0\u24db\u24d7ost",
    *("[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::1%25lo]", "[::1%lo]", "[fe80::1%25eth0]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]"),
    *("user@127.0.0.1", "user:word@[::1]", "shop.example@127.0.0.1", "shop.example#@127.0.0.1"),
    *("shop.example\\@127.0.0.1", "127.0.0.1\\.shop.example", "10.0.0.1", "192.168.1.1"),
    *("172.16.0.1", "100.64.0.1", "169.254.169.254", "0xa9fea9fe", "2852039166", "[fd00:ec2::254]"),
)  # fmt: skip
_INSIDE = (
    *("127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "0.0.0.0", "10.1.2.3"),  # noqa: S104
    *("169.254.169.254", "fe80::1%lo", "fc00::1", "100.64.0.1", "2002:7f00:1::", "::127.0.0.1"),
)
_OUTSIDE = ("93.184.215.14", "2606:4700::1111")
"""Never connected to: each answer of the name service below also has one that is refused."""


class _Rebinding:
    """A name service of an attacker: well at first, then another answer each time it is asked."""

    def __init__(self, chance: Random):
        self._chance = chance
        self._known: set[str] = set()
        self.asked = 0

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        if host not in self._known:
            self._known.add(host)
            return list(_OUTSIDE)
        found = [self._chance.choice(_INSIDE)]
        if self._chance.random() < 0.5:
            found += self._chance.sample(_OUTSIDE, self._chance.randint(1, 2))
        self._chance.shuffle(found)
        return found


@row(
    "W13",
    title="SSRF: private, mapped, NAT64, octal, rebinding DNS, 302 to metadata; either sender",
    goal="0 connects to forbidden addresses (counted by listeners); "
    "a look at the URL's text alone lets some through",
)
async def ssrf(trial: Trial) -> RowResult:
    """Every spelling, names that resolve to something else the second time, and redirects. The
    listeners are on every address of loopback, so that whatever gets through is counted."""
    names = trial.size.pick(small=200, medium=5_000)
    counts: Counter[str] = Counter()
    async with _inside() as listeners:
        for kind in SENDERS.values():
            before = _connects(listeners)
            rebinding = _Rebinding(trial.random)
            async with kind(Guard(), deadline=2) as plain:
                await _written(plain, listeners, counts)
            guard = Guard(lookup=rebinding)
            async with kind(guard, deadline=2) as fooled:
                await _rebound(fooled, guard, names, listeners, counts)
            async with kind(Guard(["127.0.0.2/32"]), deadline=2) as led:
                await _redirected(led, listeners, counts)
            counts["connects"] += _connects(listeners) - before
        before = _connects(listeners)
        async with kind(Guard(["127.0.0.0/8", "::1/128"]), deadline=2) as allowed:
            await _allowed(allowed, listeners)
        counted = _connects(listeners) - before
        through = await _control(listeners)
    holds = (
        counts["connects"] == 0
        and counts["passed"] == 0
        and counts["tried"] == counts["stopped"] + counts["redirects"]
        and counts["redirects"] > 0
        and counted == 3
        and through > 0
    )
    return RowResult(
        value=f"{counts['tried']} tried: {counts['connects']} connects,"
        f" {counts['stopped']} stopped, {counts['redirects']} redirects not followed;"
        f" control: {through} of {len(_WRITTEN)} let through",
        holds=holds,
        detail={**counts, "allowed_and_counted": counted, "control": through},
    )


@asynccontextmanager
async def _inside() -> AsyncIterator[list[Listener]]:
    """Listeners on both families of loopback."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(listening(host=host))
            for host in ("0.0.0.0", "::1")  # noqa: S104 - 127.0.0.2 and the machine's own too
        ]


def _connects(listeners: Sequence[Listener]) -> int:
    return sum(listener.connects for listener in listeners)


async def _post(sender: Posts, url: str, counts: Counter[str]) -> None:
    """A name that has no address at all is stopped too: nothing was connected to."""
    counts["tried"] += 1
    try:
        sent = await sender.post(url, {}, b"{}")
    except (Forbidden, InvalidInput):
        counts["stopped"] += 1
    except Unreachable as error:
        counts["stopped" if "has no address" in str(error) else "passed"] += 1
    else:
        counts["redirects" if sent.status == 302 else "passed"] += 1


async def _written(sender: Posts, listeners: Sequence[Listener], counts: Counter[str]) -> None:
    for listener in listeners:
        for host in _WRITTEN:
            await _post(sender, f"http://{host}:{listener.port}/", counts)


async def _rebound(
    sender: Posts, guard: Guard, names: int, listeners: Sequence[Listener], counts: Counter[str]
) -> None:
    for number in range(names):
        port = listeners[number % len(listeners)].port
        url = f"http://name-{number}.example:{port}/"
        await guard.check(url)  # as when the endpoint was made: then its name was well
        await _post(sender, url, counts)


async def _redirected(sender: Posts, listeners: Sequence[Listener], counts: Counter[str]) -> None:
    places = [f"http://127.0.0.1:{listeners[0].port}/", f"http://[::1]:{listeners[1].port}/"]
    for place in [*places, "http://169.254.169.254/latest/meta-data/", "//127.0.0.1/"]:
        moved = f"HTTP/1.1 302 X\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n".encode()
        async with listening(says(moved), host="127.0.0.2") as first:
            await _post(sender, f"http://127.0.0.2:{first.port}/", counts)


async def _allowed(sender: Posts, listeners: Sequence[Listener]) -> None:
    """The same posts where the operator allows it: the zeros mean something."""
    for host, listener in (
        ("127.0.0.1", listeners[0]),
        ("2130706433", listeners[0]),
        ("[::1]", listeners[1]),
    ):
        assert (await sender.post(f"http://{host}:{listener.port}/", {}, b"{}")).status == 200


async def _control(listeners: Sequence[Listener]) -> int:
    """How many spellings get through a check of the text, as it is often written: no address that
    `ipaddress` calls other than global, no `localhost`."""
    through = 0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        for host in _WRITTEN:
            before = _connects(listeners)
            for listener in listeners:
                url = f"http://{host}:{listener.port}/"
                try:
                    if _seems_global(urlsplit(url).hostname or ""):
                        async with session.post(url, data=b"{}"):
                            pass
                except (ValueError, OSError, aiohttp.ClientError, TimeoutError):
                    continue
            through += _connects(listeners) > before
    return through


def _seems_global(host: str) -> bool:
    if host == "localhost":
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return True  # a name
