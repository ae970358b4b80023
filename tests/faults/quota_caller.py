"""A process of F06: people's calls and a backfill, by our governor or by the control."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
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


class Caller:
    """Makes the calls of one process until its time is over."""

    def __init__(self, asked: dict[str, Any], governor: QuotaGovernor | None):
        self._asked = asked
        self._governor = governor
        self._chance = random.Random(asked["seed"])
        self._ends = time.monotonic() + asked["seconds"]
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.waits: list[float] = []
        self.put_off = 0

    async def run(self) -> None:
        """Some people, and the backfill where it is this process's."""
        tasks = [self._people() for _ in range(2)]
        if self._asked["backfills"]:
            tasks += [self._backfill() for _ in range(12)]
        await asyncio.gather(*tasks)
        for _, writer in self._idle:
            writer.close()

    async def _people(self) -> None:
        while time.monotonic() < self._ends:
            await asyncio.sleep(self._chance.uniform(0.3, 1.2))
            begun = time.monotonic()
            await self._call(self._chance.choice(self._asked["tenants"][1:]), Lane.INTERACTIVE)
            self.waits.append(time.monotonic() - begun)

    async def _backfill(self) -> None:
        while time.monotonic() < self._ends:
            await self._call(self._asked["tenants"][0], Lane.BACKFILL)

    async def _call(self, tenant: str, lane: Lane) -> None:
        who, governor = connection(tenant), self._governor
        if governor is None:
            await self._told(lane)
            return
        try:
            await governor.acquire(PROVIDER, who, lane)
        except Throttled:
            self.put_off += 1
            await asyncio.sleep(0.5)
            return
        governor.answered(PROVIDER, who, await self._send(lane))

    async def _told(self, lane: Lane) -> None:
        """The control: retry when told."""
        while time.monotonic() < self._ends:
            response = await self._send(lane)
            if response.status != 429:
                return
            told = float(response.headers.get("retry-after", "0.05"))
            await asyncio.sleep(max(0.005, told))

    async def _send(self, lane: Lane) -> Response:
        reader, writer = (
            self._idle.pop()
            if self._idle
            else await asyncio.open_connection("127.0.0.1", self._asked["port"])
        )
        writer.write(f"GET /{lane} HTTP/1.1\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        self._idle.append((reader, writer))
        headers = [tuple(line.split(": ", 1)) for line in head[1:]]
        return Response(
            status=int(head[0].split(" ")[1]),
            headers=Headers([(name, value) for name, value in headers]),
        )


async def main(asked: dict[str, Any]) -> None:
    """Calls, and prints how long people waited and how many calls were put off."""
    governor = db = None
    if asked["which"] == "ours":
        db = await Database.open(asked["url"], budget=2)
        governor = QuotaGovernor(
            db,
            clock=SystemClock(),
            holder=f"process {asked['seed']}",
            patience={**dict.fromkeys(Lane, 1.0), Lane.INTERACTIVE: 2.0},
        )
    caller = Caller(asked, governor)
    await caller.run()
    if governor is not None and db is not None:
        await governor.close()
        await db.close()
    print(json.dumps({"waits": caller.waits, "put_off": caller.put_off}))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
