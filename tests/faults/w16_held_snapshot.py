"""W16: a snapshot that is held open somewhere keeps every dead row from being vacuumed."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg

from landbridge.client.guard import Guard
from landbridge.engine.courier import Courier
from landbridge.engine.deliver import Deliveries
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.endpoints import Endpoints
from landbridge.jobs import new_owner
from landbridge.measures import ATTEMPTS, Measures
from landbridge.store.database import Database
from landbridge.vault import LocalKey, Vault, new_key
from tests.faults.emitting import emit_many
from tests.faults.serving import databases, silent
from tests.faults.sinking import Instant
from tests.rows import Comparison, RowResult, Trial, pairs, row

_TENANTS = 8
_ROUNDS = 5


class Path(ABC):
    """A queue in a database of its own, with or without a snapshot held over it."""

    def __init__(self, url: str):
        self.url = url
        self.admin: asyncpg.Connection

    async def open(self) -> None:
        """What it needs, made; must be called before the snapshot is taken."""
        self.admin = await asyncpg.connect(self.url)

    @abstractmethod
    async def age(self, rows: int) -> None:
        """Leaves as many dead rows behind as that much work does."""

    @abstractmethod
    async def pass_on(self, events: int) -> None:
        """Takes in so many and has all of them delivered."""

    async def close(self) -> None:
        """Lets go of what `open` made."""
        await self.admin.close()

    async def rate(self, events: int) -> float:
        """Events a second, from the first one's commit to the last one's end."""
        began = time.monotonic()
        await self.pass_on(events)
        return events / (time.monotonic() - began)


class Ours(Path):
    """Emit, move, claim, load, sign, post (to nobody), settle."""

    async def open(self) -> None:
        await super().open()
        self.db = await Database.open(self.url, budget=5)
        vault = Vault(self.db, LocalKey.from_text(new_key()))
        endpoints = Endpoints(self.db, vault, Guard(["127.0.0.0/8"]))
        for tenant in range(_TENANTS):
            await endpoints.create(
                environment="test", tenant=f"tenant {tenant}", url="http://127.0.0.1:9/"
            )
        self.dispatcher = Dispatcher(self.db)
        self.measures = Measures()
        deliveries = Deliveries(self.db, vault, Instant(), measures=self.measures)
        self.ordered = 0
        self.courier = Courier(
            self.db, new_owner(), deliveries, {"deliver": 2000}, poll=timedelta(milliseconds=50)
        )
        self.stop = asyncio.Event()
        self.carrying = asyncio.create_task(self.courier.run(self.stop))

    async def age(self, rows: int) -> None:
        await self.admin.execute(
            "INSERT INTO landbridge.due (environment, tenant, id, lane, kind, shard, due_at)"
            " SELECT 'test', 'tenant ' || n % $2, 'dlv_' || n, 'deliver', 'deliver',"
            " landbridge.shard('test', 'tenant ' || n % $2), landbridge.now()"
            " FROM generate_series(1, 2 * $1) AS n",
            rows,
            _TENANTS,
        )
        await self.admin.execute("DELETE FROM landbridge.due WHERE id LIKE 'dlv_%'")
        await emit_many(self.admin, rows, tenant="nobody")
        await self.admin.execute("DELETE FROM landbridge.emitted")
        await self.admin.execute("VACUUM landbridge.due, landbridge.emitted")

    async def pass_on(self, events: int) -> None:
        for tenant in range(_TENANTS):
            await emit_many(self.admin, events // _TENANTS, tenant=f"tenant {tenant}")
        self.ordered += events
        while await self.dispatcher.step():
            self.courier.wake()
        settled = 0.0
        while settled < self.ordered:
            await asyncio.sleep(0.005)
            settled = sum(self.measures.counts(ATTEMPTS).values())

    async def close(self) -> None:
        self.stop.set()
        await self.carrying
        await self.db.close()
        await super().close()


class OneTable(Path):
    """Control: a table of jobs, claimed from its beginning and deleted when done, as it is mostly
    written. Batches as large as ours."""

    async def open(self) -> None:
        await super().open()
        await self.admin.execute(
            "CREATE TABLE queue (id bigserial PRIMARY KEY, until timestamptz NOT NULL, body text)"
        )

    async def age(self, rows: int) -> None:
        await self.admin.execute(
            "INSERT INTO queue (until) SELECT now() FROM generate_series(1, 2 * $1)", rows
        )
        await self.admin.execute("DELETE FROM queue")
        await self.admin.execute("VACUUM queue")

    async def pass_on(self, events: int) -> None:
        await self.admin.execute(
            "INSERT INTO queue (until, body) SELECT now(), repeat('x', 200)"
            " FROM generate_series(1, $1)",
            events,
        )
        while claimed := await self.admin.fetch(
            "UPDATE queue SET until = clock_timestamp() + interval '15 s' WHERE id = ANY (ARRAY("
            " SELECT id FROM queue WHERE until <= clock_timestamp()"
            " ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED)) RETURNING id"
        ):
            done = [each["id"] for each in claimed]
            await self.admin.execute("DELETE FROM queue WHERE id = ANY ($1::bigint[])", done)


@row(
    "W16",
    alone=True,
    title="a snapshot held open while events are emitted, moved and delivered",
    goal="rate loss < 20 %; one table claimed from its beginning loses more",
)
async def held_snapshot(trial: Trial) -> RowResult:
    """Rates beside a snapshot that is held from the start, and without, in turns, after as many
    dead rows as a while of work leaves behind."""
    before = trial.size.pick(small=50_000, medium=2_000_000)
    events = trial.size.pick(small=4_000, medium=24_000)
    with silent():
        async with databases(2) as (held, free):
            ours = await _compared(
                Ours(held), Ours(free), before, events, trial, lambda one: one.at_least(0.8)
            )
            trial.step(1, 2)
            control = await _compared(OneTable(held), OneTable(free), before, events, trial)
    return trial.timed(
        value=f"{before + (_ROUNDS + 1) * events} events beside a snapshot: rate {ours} of that"
        f" without (control: {control})",
        holds=ours.at_least(0.8) and control.ratio < 0.8,
        detail={
            "dead_deliveries": before,
            "held_per_second": [round(each) for each in ours.ours],
            "free_per_second": [round(each) for each in ours.control],
            "control_held_per_second": [round(each) for each in control.ours],
            "control_free_per_second": [round(each) for each in control.control],
        },
    )


async def _compared(
    held: Path,
    free: Path,
    before: int,
    events: int,
    trial: Trial,
    enough: Callable[[Comparison], bool] = lambda _found: True,
) -> Comparison:
    """The rate with a snapshot by the rate without."""
    await held.open()
    await free.open()
    async with _snapshot(held.url):
        for each in (held, free):
            await each.age(before)
            await each.pass_on(events)
        found = await pairs(
            lambda: held.rate(events),
            lambda: free.rate(events),
            rounds=_ROUNDS,
            seed=trial.seed,
            enough=enough,
        )
    await held.close()
    await free.close()
    return found


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[None]:
    """Somebody reads in a transaction, and does not end it."""
    other = await asyncpg.connect(url)
    transaction = other.transaction(isolation="repeatable_read")
    await transaction.start()
    await other.fetch("SELECT count(*) FROM landbridge.endpoint")
    yield
    await transaction.rollback()
    await other.close()
