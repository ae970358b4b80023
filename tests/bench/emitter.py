"""An application that emits at a constant rate, whatever becomes of it; a process of its own.

`python -m tests.bench.emitter OPTIONS`.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import asyncpg

from landbridge.app.bridge import Landbridge
from tests.bench.letters import messages
from tests.bench.ours import EVENT, bridge_of, tenant_of
from tests.bench.remote import perform

_POOL = 10


class Emitter:
    """Emits by `bridge.transaction()`, which wakes workers, or on the application's own driver."""

    def __init__(self, bridge: Landbridge, pool: asyncpg.Pool, stack: AsyncExitStack):
        self._bridge = bridge
        self._pool = pool
        self._stack = stack

    async def steady(self, *, rate: float, seconds: float, wakes: bool) -> int:
        """How many events were emitted, one every 1/`rate` seconds; each says in `at` at which
        monotonic nanosecond it was to be emitted."""
        began = time.monotonic() + 0.02
        emitting = []
        for number, (endpoint, data) in enumerate(messages(int(rate * seconds))):
            at = began + number / rate
            await asyncio.sleep(at - time.monotonic())
            data["at"] = int(at * 1e9)
            one = self._waking if wakes else self._silent
            emitting.append(asyncio.create_task(one(tenant_of(endpoint), data)))
        await asyncio.gather(*emitting)
        return len(emitting)

    async def close(self) -> None:
        await self._stack.aclose()

    async def _waking(self, tenant: str, data: dict[str, object]) -> None:
        async with self._bridge.transaction() as tx:
            await self._bridge.emit(tx, EVENT, data, tenant=tenant)

    async def _silent(self, tenant: str, data: dict[str, object]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await self._bridge.emit(connection, EVENT, data, tenant=tenant)


async def _emitter(*, url: str, key: str) -> Emitter:
    stack = AsyncExitStack()
    bridge = await stack.enter_async_context(bridge_of(url, key))
    pool = await stack.enter_async_context(asyncpg.create_pool(url, min_size=_POOL, max_size=_POOL))
    return Emitter(bridge, pool, stack)


if __name__ == "__main__":
    perform(_emitter)
