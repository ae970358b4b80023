"""F06: 200 tenants on one app's quotas, one backfilling; refusals that lie or say nothing."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from itertools import cycle
from typing import Any

from tests.rows import Comparison, RowResult, Trial, compared, row
from tests.store.databases import fresh_database, migrated_template, shared_server

BURST, DAY, AT_ONCE = 150, 600, 8
_PARTS = {"burst": 0.9, "day": 0.75}
"""What a backfill may use of each, as the documentation says."""
_PROCESSES = 3
_TENANTS = 200
_SLICE = 1.0
"""Seconds of a round in which people beside the backfill are compared with people without one."""
_CALL = 0.02
"""Seconds that a call takes."""
_LIES = ("", "retry-after: 0\r\n", "retry-after: -5\r\n", "retry-after: 1\r\n")


class Limits:
    """A provider with limits per second, per day and at once, which says too little of them."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.beside = 0
        """People's calls up to the last one of the backfill."""
        self._recent: deque[float] = deque()
        self._now = 0
        self._lies = cycle(_LIES)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection's requests, `GET /LANE`."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lane = head.split(b" ", 2)[1].decode().strip("/")
                self._now += 1
                problem = self._problem()
                if not problem:
                    self.seen[lane] += 1
                    if lane == "backfill":
                        self.beside = self.seen["interactive"]
                    await asyncio.sleep(_CALL)
                self._now -= 1
                said = ""
                if problem:
                    self.refused[problem] += 1
                    said = f"x-problem: {problem}\r\n{next(self._lies)}"
                status = "429 Too Many" if problem else "200 OK"
                writer.write(f"HTTP/1.1 {status}\r\n{said}content-length: 0\r\n\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _problem(self) -> str:
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        if self._now > AT_ONCE:
            return "concurrent"
        if self.seen.total() >= DAY:
            return "day"
        if len(self._recent) >= BURST:
            return "burst"
        self._recent.append(now)
        return ""

    @property
    def rate(self) -> float:
        """The part of all calls that was refused."""
        return self.refused.total() / max(1, self.refused.total() + self.seen.total())

    def bound(self, seconds: float) -> int:
        """The calls that a backfill could have made beside these people in so many seconds, by the
        narrowest quota."""
        part = min(_PARTS["day"] * DAY, _PARTS["burst"] * BURST * seconds)
        return int(part) - self.beside


@row(
    "F06",
    alone=True,
    title="200 tenants on one app's quotas, one backfilling; Retry-After missing or lying",
    goal="429s < 0.5 %; a backfill never beyond its part of the day and within 10 % of what the"
    " narrowest quota leaves it; people's p99 <= 1.2 x that of people without a backfill, who wait"
    " for one call more; the control goes beyond that part, and is refused more",
)
async def quota(trial: Trial) -> RowResult:
    """Three processes call a provider that bears 150 calls a second, 8 at once and 600 a day; a
    backfill takes all it can, and people of 199 tenants call now and then. The same number of
    people call by another app at the same time, with quotas of its own and no backfill. The control
    sends every call and repeats it when it is told to."""
    seconds = trial.size.pick(small=5, medium=8)
    with ExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        async with _callers(url) as callers:
            ours, mine = await _run(callers, ("busy", "calm"), seconds, trial.seed)
            trial.step(1, 2)
            control, theirs = await _run(callers, ("told",), seconds, trial.seed)
    busy, calm, told = ours["busy"], ours["calm"], control["told"]
    made, bound, part = busy.seen["backfill"], busy.bound(seconds), int(DAY * _PARTS["day"])
    slower = _slower(mine["busy"]["waits"], mine["calm"]["waits"], seconds)
    holds = (
        busy.rate < 0.005
        and calm.rate < 0.005
        and 0.9 * bound <= made <= part
        and slower.at_most(1.2)
        and told.rate > max(0.005, busy.rate)
        and told.seen["backfill"] > part
    )
    return RowResult(
        value=f"{busy.refused.total()} of {busy.seen.total()} calls refused, backfill {made} of"
        f" {bound}, {mine['busy']['put_off']} put off; people's p99 x {slower}, of"
        f" {_p99(mine['busy']['waits']):.0f} ms; control: {told.rate:.0%} refused, backfill"
        f" {told.seen['backfill']}, allowed are {part}",
        holds=holds,
        detail={
            "bound": bound,
            "ours": {"seen": dict(busy.seen), "refused": dict(busy.refused)},
            "calm": {"seen": dict(calm.seen), "refused": dict(calm.refused)},
            "control": {"seen": dict(told.seen), "refused": dict(told.refused)},
            "slower": list(slower.ours),
            "calm_p99": list(slower.control),
            "control_p99_ms": _p99(theirs["told"]["waits"]),
        },
    )


def _slower(busy: list[list[float]], calm: list[list[float]], seconds: float) -> Comparison:
    """People's p99 beside a backfill and without one, second by second. Without one it is made
    longer by a call: on two cores a second's longest waits differ by as much without any cause."""
    rounds: list[list[float]] = [[], []]
    for number in range(int(seconds / _SLICE)):
        found = [
            [wait for at, wait in waits if number * _SLICE <= at < (number + 1) * _SLICE]
            for waits in (busy, calm)
        ]
        if all(found):
            for each, more, into in zip(found, (0, _CALL), rounds, strict=True):
                into.append(sorted(each)[int(len(each) * 0.99)] + more)
    return compared(*rounds)


def _p99(waits: list[list[float]]) -> float:
    """In milliseconds."""
    ordered = sorted(wait for _, wait in waits)
    return ordered[int(len(ordered) * 0.99)] * 1000


@asynccontextmanager
async def _callers(url: str) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """The processes, ready to call."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.quota_caller", url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**22,
        )
        for _ in range(_PROCESSES)
    ]
    try:
        await asyncio.gather(*map(_hear, processes))
        yield processes
    finally:
        for each in processes:
            assert each.stdin is not None
            each.stdin.close()
            await each.wait()


async def _hear(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    return json.loads(await process.stdout.readline())


async def _run(
    callers: list[asyncio.subprocess.Process], names: tuple[str, ...], seconds: float, seed: int
) -> tuple[dict[str, Limits], dict[str, dict[str, Any]]]:
    """What the providers of these apps saw, and what the callers tell; a backfill uses the first
    one. `told` asks nobody: it is the control."""
    async with AsyncExitStack() as stack:
        limits = {name: Limits() for name in names}
        ports: dict[str, int] = {}
        for name, each in limits.items():
            listening = await asyncio.start_server(each, "127.0.0.1", 0)
            await stack.enter_async_context(listening)
            ports[name] = listening.sockets[0].getsockname()[1]
        for number, process in enumerate(callers):
            apps = [
                {
                    "name": name,
                    "port": ports[name],
                    "tenants": [f"tenant_{each}" for each in range(number, _TENANTS, _PROCESSES)],
                    "fills": number == 0 and name == names[0],
                }
                for name in names
            ]
            asked = {
                "governed": names != ("told",),
                "apps": apps,
                "seconds": seconds,
                "seed": seed + number,
            }
            assert process.stdin is not None
            process.stdin.write(json.dumps(asked).encode() + b"\n")
        told = await asyncio.gather(*map(_hear, callers))
    return limits, {
        name: {
            "waits": [wait for each in told for wait in each[name]["waits"]],
            "put_off": sum(each[name]["put_off"] for each in told),
        }
        for name in names
    }
