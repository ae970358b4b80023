"""What takes deliveries in rows where the way to the receiver is not the point."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from landbridge.client.post import Sent
from landbridge.wire import Headers


class Sink:
    """An ASGI app that answers 200 and remembers when each event came first, and how often."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.times: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        event = dict(scope["headers"])[b"webhook-id"].decode()
        self.at.setdefault(event, time.monotonic())
        self.times[event] += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def arrival(self, event: str, *, within: float = 30) -> float:
        """When the event came, by the monotonic clock."""
        deadline = time.monotonic() + within
        while event not in self.at:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{event} did not arrive within {within:g} s")
            await asyncio.sleep(0.005)
        return self.at[event]


class Instant:
    """Posts nowhere: every receiver has answered 200 at once. What is left is our own work."""

    def __init__(self) -> None:
        self.posted = 0

    async def post(self, _url: str, _headers: Mapping[str, str], _body: bytes) -> Sent:
        """The same answer always."""
        self.posted += 1
        return Sent(status=200, headers=Headers(), body=b"", took=0.001)
