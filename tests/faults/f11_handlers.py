"""F11: handlers of events whose workers are killed, while webhooks come twice, late and in any
order."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import asyncpg

from landbridge.engine import sort as sorting
from landbridge.store import apps, arrivals, listeners
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from tests.engine.conftest import Scene, free
from tests.engine.listening import FAILED, PAID, arrival, event, page
from tests.faults.hearing import ACCESS, EFFECT, KINDS, NAME, POINTS
from tests.faults.nursery import Nursery
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_RECORDS = 9
_BATCH = 20
_PATIENCE = 60.0
_WRONGS = ("lost", "twice", "out of order", "wrong at the end")

_OVER = "UPDATE landbridge.due SET due_at = landbridge.now()"
"""The leases of who was killed are over at once."""
_WAITING = "SELECT count(*) FROM landbridge.inbox_line"
_FILED = "SELECT vendor_id, key FROM landbridge.inbox_event ORDER BY id"
_EFFECTS = "SELECT event, record FROM effect ORDER BY number"
_ACCESS = "SELECT record, open FROM access"


@dataclass(kw_only=True)
class _Shop:
    """A handler, and webhooks of a shop that come to it."""

    url: str
    db: Database
    eye: asyncpg.Connection
    connection: Connection
    nursery: Nursery
    rng: Random
    weak: bool
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    kills: int = 0

    async def come(self, count: int) -> None:
        """So many events of a few records, each twice, the newest of them anywhere."""
        fresh = [
            event(
                number,
                self.rng.choice([PAID, FAILED]),
                f"in_{self.rng.randrange(_RECORDS)}",
                created=1_700_000_000 + number,
            )
            for number in range(len(self.sent), len(self.sent) + count)
        ]
        self.sent |= {each["id"]: each for each in fresh}
        some = [arrival(self.connection, each) for each in fresh + fresh]
        self.rng.shuffle(some)
        for start in range(0, len(some), _BATCH):
            batch = some[start : start + _BATCH]
            await arrivals.store(self.db, batch)
            await sorting.sort(
                self.db,
                environment="test",
                arrivals_named=[each.id for each in batch],
                provider=page,
                hold=free,
            )

    async def die(self, point: str) -> None:
        """A worker hands events over and is killed at this point."""
        after = self.rng.randint(1, 4)
        pid = await self._worker(point=point, after=after)
        if await self.nursery.ended(pid, within=_PATIENCE) != -9:
            raise RuntimeError(f"a worker came to no {point}")
        self.kills += 1
        await self.eye.execute(_OVER)

    async def finish(self) -> None:
        """A worker lives until nothing waits any more."""
        pid = await self._worker()
        async with asyncio.timeout(_PATIENCE):
            while await self.eye.fetchval(_WAITING):  # noqa: ASYNC110 - another process empties it
                await asyncio.sleep(0.02)
        self.nursery.kill(pid)
        await self.nursery.ended(pid, within=_PATIENCE)

    async def judge(self) -> Counter[str]:
        """What the handler did against what came."""
        found: Counter[str] = Counter()
        done = [(each["event"], each["record"]) for each in await self.eye.fetch(_EFFECTS)]
        times = Counter(name for name, _ in done)
        found["lost"] = len(self.sent.keys() - times.keys())
        found["twice"] = sum(count - 1 for count in times.values())
        filed = [(each["vendor_id"], each["key"]) for each in await self.eye.fetch(_FILED)]
        for record in {key for _, key in filed}:
            order = [name for name, key in filed if key == record]
            heard = [name for name, key in dict.fromkeys(done) if key == record]
            found["out of order"] += order != heard
        newest = {each["data"]["id"]: each["type"] == PAID for each in self.sent.values()}
        held = {each["record"]: each["open"] for each in await self.eye.fetch(_ACCESS)}
        found["wrong at the end"] = len(newest.items() ^ held.items())
        return found

    async def _worker(self, **trap: Any) -> int:
        return await self.nursery.start("hearing", url=self.url, weak=self.weak, **trap)


@asynccontextmanager
async def _shop(server: str, nursery: Nursery, rng: Random, *, weak: bool) -> AsyncIterator[_Shop]:
    """A shop that lived well so far, with a few events."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(fresh_database(server, migrated_template(server)))
        db = await Database.open(url, budget=3)
        stack.push_async_callback(db.close)
        eye = await asyncpg.connect(url)
        stack.push_async_callback(eye.close)
        await eye.execute(EFFECT)
        await eye.execute(ACCESS)
        scene = Scene(db=db, app=await apps.ensure(db, environment="test", provider="shop"))
        await listeners.join(db, [(NAME, KINDS)])
        shop = _Shop(
            url=url,
            db=db,
            eye=eye,
            connection=await scene.connect("acme", "acct_1"),
            nursery=nursery,
            rng=rng,
            weak=weak,
        )
        await shop.come(12)
        await shop.finish()
        yield shop


@row(
    "F11",
    title="handlers of events: workers killed, webhooks twice, late and in any order",
    goal="each event's effect once, in order per record, and the newest counts; a handler that"
    " commits by itself and acknowledges then does some twice",
)
async def handlers(trial: Trial) -> RowResult:
    """Workers are killed at every point of handing an event over, with webhooks coming before each
    death. The control does well as long as nobody dies."""
    kills = trial.size.pick(small=4, medium=200)
    with shared_server(secrets.token_hex(4)) as server:
        async with Nursery() as nursery:
            rng = Random(trial.seed)
            async with _shop(server.dsn, nursery, rng, weak=False) as shop:
                for number in range(kills):
                    await shop.come(20)
                    await shop.die(POINTS[number % len(POINTS)])
                    trial.step(number + 1, kills)
                await shop.finish()
                found = await shop.judge()
            async with _shop(server.dsn, nursery, rng, weak=True) as control:
                calm = await control.judge()
                for _ in range(2):
                    await control.come(12)
                    await control.die("written")
                await control.finish()
                weak = await control.judge()
    wrong = {name: found[name] for name in _WRONGS}
    return RowResult(
        value=f"{len(shop.sent)} events, each sent twice, {shop.kills} kills: "
        + ", ".join(f"{count} {name}" for name, count in wrong.items())
        + f"; control: {weak['twice']} twice",
        holds=not any(wrong.values()) and not any(calm.values()) and weak["twice"] > 0,
        detail={"sent": len(shop.sent), "kills": shop.kills, **wrong, "control": dict(weak)},
    )
