"""Events that flow at a constant rate from an application to its receivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from tests.bench import ours
from tests.bench.letters import ENDPOINTS
from tests.bench.remote import Remote, remote
from tests.bench.stage import Contender, Stage, stage

RATE = 200.0
"""Events per second, each to one endpoint, over all endpoints in turn."""

HUNG = (7, 23, 41, 68, 90)
"""The endpoints that never answer, where some do not."""

_PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Events that flow from an emitter through a worker to the sink."""

    place: Stage
    url: str
    worker: Contender
    emitter: Remote
    seconds: float

    async def latencies(self, *, wakes: bool = True, hung: Sequence[int] = ()) -> list[float]:
        """Seconds from emit to the sink of each event that went to none of `HUNG`."""
        sink, (worker,) = self.place.sink, self.worker.parts
        await sink.ask("expect", hung=list(hung), timed=True)
        await worker.ask("go")
        emitted = await self.emitter.ask("steady", rate=RATE, seconds=self.seconds, wakes=wakes)
        wanted = sum(place % ENDPOINTS not in hung for place in range(emitted))
        async with asyncio.timeout(_PATIENCE):
            while (await sink.ask("report"))["healthy"] < wanted:
                await worker.ask("check")
                await asyncio.sleep(0.01)
        timed = await sink.ask("latencies")
        await sink.ask("release")
        await worker.ask("halt")
        connection = await asyncpg.connect(self.url)
        await connection.execute(ours.FORGET)
        await connection.close()
        return [took for endpoint, took in timed if endpoint not in HUNG]


@asynccontextmanager
async def flow(seconds: float) -> AsyncIterator[Flow]:
    """A flow of that many seconds each time."""
    async with stage() as place, AsyncExitStack() as stack:
        url = await place.database()
        emitter, worker = await asyncio.gather(
            stack.enter_async_context(remote("tests.bench.emitter", url=url, key=place.key)),
            stack.enter_async_context(place.ours(url, sender=ours.senders()[-1])),
        )
        made = Flow(place=place, url=url, worker=worker, emitter=emitter, seconds=seconds)
        await made.latencies()  # opens connections and plans statements
        yield made
