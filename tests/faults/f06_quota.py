"""F06: 200 tenants on one app's quotas, one backfilling; refusals that lie or say nothing."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections import Counter, deque
from contextlib import ExitStack
from itertools import cycle
from typing import Any

from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

BURST, DAY, AT_ONCE = 60, 400, 8
_PROCESSES = 3
_TENANTS = 200
_LIES = ("", "retry-after: 0\r\n", "retry-after: -5\r\n", "retry-after: 1\r\n")


class Limits:
    """A provider with limits per second, per day and at once, which says too little of them."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
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
                    await asyncio.sleep(0.02)
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


@row(
    "F06",
    title="200 tenants on one app's quotas, one backfilling; Retry-After missing or lying",
    goal="429s < 0.5 %; background never beyond its part of the day; the control: more 429s",
)
async def quota(trial: Trial) -> RowResult:
    """Three processes call a provider that bears 60 calls a second, 8 at once and 400 a day; a
    backfill takes all it can, and people of 199 tenants call now and then. The control sends every
    call and repeats it when it is told to."""
    seconds = trial.size.pick(small=6, medium=8)
    with ExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        ours, mine = await _run("ours", url, seconds, trial.seed)
        trial.step(1, 2)
        control, theirs = await _run("control", url, seconds, trial.seed)
    rate = ours.refused.total() / max(1, ours.refused.total() + ours.seen.total())
    worse = control.refused.total() / (control.refused.total() + control.seen.total())
    background = ours.seen["backfill"]
    room = int(DAY * 0.9)
    holds = (
        rate < 0.005
        and 0 < background <= room
        and ours.seen["interactive"] > 0
        and ours.seen.total() <= DAY
        and worse >= 0.005
    )
    return RowResult(
        value=f"{ours.refused.total()} of {ours.seen.total()} calls refused, background"
        f" {background} of {room}, {mine['put_off']} put off; interactive waits p99"
        f" {mine['p99_ms']:.0f} ms; control: {worse:.0%} refused, background"
        f" {control.seen['backfill']}",
        holds=holds,
        detail={
            "ours": {"seen": ours.seen, "refused": ours.refused, **mine},
            "control": {"seen": control.seen, "refused": control.refused, **theirs},
        },
    )


async def _run(which: str, url: str, seconds: int, seed: int) -> tuple[Limits, dict[str, Any]]:
    limits = Limits()
    listening = await asyncio.start_server(limits, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        processes = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.quota_caller"),
                json.dumps(
                    {
                        "which": which,
                        "url": url,
                        "port": port,
                        "seconds": seconds,
                        "seed": seed + number,
                        "tenants": [
                            f"tenant_{each}" for each in range(number, _TENANTS, _PROCESSES)
                        ],
                        "backfills": number == 0,
                    }
                ),
                stdout=asyncio.subprocess.PIPE,
            )
            for number in range(_PROCESSES)
        ]
        told = [json.loads((await each.communicate())[0]) for each in processes]
    waits = sorted(wait for each in told for wait in each["waits"]) or [0.0]
    return limits, {
        "put_off": sum(each["put_off"] for each in told),
        "p99_ms": waits[int(len(waits) * 0.99)] * 1000,
        "interactive": len(waits),
    }
