"""A process of F06: people's calls and a backfill, by our governor or by the control.

For each line of JSON on standard input it calls for some seconds and says how long people waited.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from landbridge.client.governor import QuotaGovernor
from landbridge.client.seams import Lane
from landbridge.clock import SystemClock
from landbridge.errors import Throttled
from landbridge.spec import Quota
from landbridge.store.database import Database
from landbridge.wire import Headers, Response
from tests.client.quotas import connection, page
from tests.faults.f06_quota import AT_ONCE, BURST, DAY

PROVIDER = page(
    Quota(name="burst", limit=BURST, per="second", scope="app"),
    Quota(limit=DAY, per="day", scope="app"),
    Quota(limit=AT_ONCE, scope="app"),
)
_PEOPLE = 4
_FILLS = 16


@dataclass(kw_only=True)
class App:
    """Those who call by one app: its tenants, and where its provider answers."""

    name: str
    port: int
    tenants: list[str]
    fills: bool
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    """Of people's calls: when each began, in seconds from the start, and how long it took."""
    put_off: int = 0


class Caller:
    """Makes the calls of one process until its time is over."""

    def __init__(self, seconds: float, seed: int, governor: QuotaGovernor | None):
        self._governor = governor
        self._chance = random.Random(seed)
        self._begun = time.monotonic()
        self._ends = self._begun + seconds

    async def run(self, apps: list[App]) -> None:
        """Some people of each app, and the backfill where it is this process's."""
        tasks = [self._people(app) for app in apps for _ in range(_PEOPLE)]
        tasks += [self._fill(app) for app in apps if app.fills for _ in range(_FILLS)]
        await asyncio.gather(*tasks)
        for app in apps:
            for _, writer in app.idle:
                writer.close()

    async def _people(self, app: App) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0.3, 1.7))
            begun = time.monotonic()
            if begun >= self._ends:
                return
            await self._call(app, self._chance.choice(app.tenants[1:]), Lane.INTERACTIVE)
            app.waits.append((begun - self._begun, time.monotonic() - begun))

    async def _fill(self, app: App) -> None:
        while time.monotonic() < self._ends:
            await self._call(app, app.tenants[0], Lane.BACKFILL)

    async def _call(self, app: App, tenant: str, lane: Lane) -> None:
        who, governor = connection(tenant, app=app.name), self._governor
        if governor is None:
            await self._told(app, lane)
            return
        try:
            await governor.acquire(PROVIDER, who, lane)
        except Throttled:
            app.put_off += 1
            await asyncio.sleep(0.5)
            return
        governor.answered(PROVIDER, who, await self._send(app, lane))

    async def _told(self, app: App, lane: Lane) -> None:
        """The control: retry when told."""
        while time.monotonic() < self._ends:
            response = await self._send(app, lane)
            if response.status != 429:
                return
            told = float(response.headers.get("retry-after", "0.05"))
            await asyncio.sleep(max(0.005, told))

    async def _send(self, app: App, lane: Lane) -> Response:
        reader, writer = (
            app.idle.pop() if app.idle else await asyncio.open_connection("127.0.0.1", app.port)
        )
        writer.write(f"GET /{lane} HTTP/1.1\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        app.idle.append((reader, writer))
        headers = [tuple(line.split(": ", 1)) for line in head[1:]]
        return Response(
            status=int(head[0].split(" ")[1]),
            headers=Headers([(name, value) for name, value in headers]),
        )


async def main(url: str) -> None:
    """Calls as each line asks, and prints how long people waited and what was put off."""
    db = await Database.open(url, budget=2)
    loop = asyncio.get_running_loop()
    print(json.dumps("ready"), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked: dict[str, Any] = json.loads(line)
        apps = [App(**each) for each in asked["apps"]]
        governor = None
        if asked["governed"]:
            governor = QuotaGovernor(
                db,
                clock=SystemClock(),
                holder=f"process {asked['seed']}",
                patience={**dict.fromkeys(Lane, 1.0), Lane.INTERACTIVE: 2.0},
            )
        await Caller(asked["seconds"], asked["seed"], governor).run(apps)
        if governor is not None:
            await governor.close()
        told = {each.name: {"waits": each.waits, "put_off": each.put_off} for each in apps}
        print(json.dumps(told), flush=True)
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
