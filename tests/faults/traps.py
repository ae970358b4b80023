"""Crash points: the parts of a worker, wrapped so that a process ends where it is told to.

The parts themselves know nothing of them.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from landbridge.client.post import Posts, Sent
from landbridge.engine.deliver import Begun, Deliveries
from landbridge.store.database import Database
from landbridge.store.parcels import Parcel, Try
from landbridge.vault import Vault


class Trap:
    """Kills this process the `after`-th time that `point` is reached; "" never."""

    def __init__(self, point: str, after: int):
        self._point = point
        self._left = after

    def due(self, point: str) -> bool:
        """Counts; whether this is the time."""
        if point != self._point:
            return False
        self._left -= 1
        return self._left == 0

    def reach(self, point: str) -> None:
        """Counts, and ends the process if this is the time."""
        if self.due(point):
            os.kill(os.getpid(), signal.SIGKILL)

    async def amid(self, point: str, work: Any, within: float, *, least: float = 0) -> Any:
        """The work's result; at the time, the process ends so many seconds after it began, or when
        the work is done before that."""
        if not self.due(point):
            return await work
        running = asyncio.ensure_future(work)
        await asyncio.wait([running], timeout=random.uniform(least, within))
        os.kill(os.getpid(), signal.SIGKILL)
        return None


class Posting:
    """Posts by another sender, with a trap amid a post, and one behind it.

    Half of those who die amid a post die in its first moments, the others a while later, when the
    receiver has surely taken it; a busy machine makes the first moments too short for that.
    """

    def __init__(self, sender: Posts, trap: Trap, *, moments: float):
        self._sender = sender
        self._trap = trap
        self._moments = moments

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        posting = self._sender.post(url, headers, body)
        least = random.choice((0, 4)) * self._moments
        sent: Sent = await self._trap.amid(
            "posting", posting, least=least, within=least + self._moments
        )
        self._trap.reach("answered")
        return sent


class Trapped(Deliveries):
    """Deliveries with traps behind the claim, and before, in and behind the settle."""

    def __init__(self, db: Database, vault: Vault, sender: Posts, *, trap: Trap):
        super().__init__(db, vault, sender)
        self._trap = trap

    async def begin(self, fresh: Sequence[Parcel]) -> Begun:
        self._trap.reach("claimed")
        return await super().begin(fresh)

    async def settle(self, owner: str, tries: Sequence[Try]) -> set[str]:
        self._trap.reach("unsettled")
        lost: set[str] = await self._trap.amid("settling", self.write(owner, tries), within=0.006)
        self._trap.reach("settled")
        return lost

    async def write(self, owner: str, tries: Sequence[Try]) -> set[str]:
        """As `settle`, without the traps."""
        return await super().settle(owner, tries)
