"""The two clients that deliveries may go out by. A row that delivers runs with each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from landbridge.client.guard import Guard
from landbridge.client.lean import LeanSender
from landbridge.client.post import Posts
from landbridge.client.sender import Sender

SENDERS: Mapping[str, type[Sender | LeanSender]] = {"aiohttp": Sender, "lean": LeanSender}
"""By the word that `LANDBRIDGE_SENDER` takes."""


@asynccontextmanager
async def posting(name: str, guard: Guard, *, deadline: float = 5) -> AsyncIterator[Posts]:
    """The sender of that name, open for the block."""
    async with SENDERS[name](guard, deadline=deadline) as sender:
        yield sender


def share(number: int) -> Mapping[str, int]:
    """So many tries, split between the senders as evenly as they can be."""
    each, left = divmod(number, len(SENDERS))
    return {name: each + (place < left) for place, name in enumerate(SENDERS)}
