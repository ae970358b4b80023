"""The client alone: posts bodies that were signed before, and keeps nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.bench import ours
from tests.bench.controls.base import Control
from tests.bench.remote import perform


class Bare(Control):
    """What a delivery costs when there is no database."""

    _ready: deque[tuple[str, dict[str, str], bytes]]

    async def store(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        """Signs them."""
        self._ready = deque()
        found = await self.pool.fetch("SELECT id, url, secret FROM endpoint")
        places = {row["id"]: (row["url"], row["secret"]) for row in found}
        for message, endpoint, body in rows:
            url, secret = places[endpoint]
            self._ready.append((url, ours.signed(secret, message, datetime.now(UTC), body), body))

    async def carry(self) -> None:
        while self._ready:
            await self.sender.post(*self._ready.popleft())


if __name__ == "__main__":
    perform(Bare.make)
