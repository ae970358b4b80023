"""W09: some of a hundred endpoints take posts and never answer."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import count
from random import Random

import asyncpg
from structlog.testing import capture_logs

from landbridge import ids
from landbridge.client.guard import Guard
from landbridge.client.post import Posts
from landbridge.engine.courier import Courier
from landbridge.engine.deliver import Deliveries
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.endpoints import Endpoints
from landbridge.jobs import new_owner
from landbridge.store.database import Database
from landbridge.testing.asgi import Answer, Call, Drop, application, as_json
from landbridge.testing.running import in_thread
from landbridge.vault import LocalKey, Vault, new_key
from tests.faults.senders import SENDERS, posting
from tests.rows import Comparison, RowResult, Trial, compared, pairs, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_ENDPOINTS = 100
_LANES: Mapping[str, int] = {"deliver": 350, "retry": 100, "slow": 75, "replay": 75}
_EACH = 5
"""A tenth of what a process has by default, of places in each lane and of posts to an endpoint."""

_BACKLOG = 100
"""Deliveries that wait at each endpoint that hangs: five of them fill the lane."""

_SENDERS = tuple(SENDERS)
_ROUNDS = 6
_RATE = 150.0
_LATE = 2.0
_SILENT = 600
_LOCAL = Guard(["127.0.0.0/8"])
_EMIT = """
INSERT INTO landbridge.emitted (environment, tenant, id, type, payload)
SELECT 'test', e.tenant, e.id, 'order.placed', '{"n": 1}'
FROM unnest($1::text[], $2::text[]) AS e(tenant, id)
"""


@row(
    "W09",
    alone=True,
    title="1, 5, 20 of 100 endpoints hang",
    goal="the others' p99 within 10 %",
)
async def hanging_endpoints(trial: Trial) -> RowResult:
    """Events come at a constant rate, for all endpoints alike; measured is from commit to arrival
    at those that answer, with some that hang against with none, by each sender in turn. The
    control knows no limit per endpoint."""
    numbers = (1, 5, 20) if trial.size.pick(small=0, medium=1) else (5,)
    seconds = trial.size.pick(small=6, medium=40) / 10
    found: dict[int, Comparison] = {}
    async with AsyncExitStack() as stack:
        stack.enter_context(capture_logs())
        town = await _Town.begin(stack, trial.random)
        for name in _SENDERS:
            await town.p99(0, seconds / 2, sender=name)  # connections and plans are made
        for place, number in enumerate(numbers):
            turns = count()  # a pair is two measures by one sender

            def in_turn(hung: int, turns: Iterator[int] = turns) -> Awaitable[float]:
                return town.p99(hung, seconds, sender=_SENDERS[next(turns) // 2 % 2])

            found[number] = await pairs(
                partial(in_turn, number),
                partial(in_turn, 0),
                rounds=_ROUNDS,
                enough=lambda one: one.at_most(1.1),
            )
            trial.step(place + 1, len(numbers) + 1)
        control = await town.p99(5, seconds, each=_LANES["deliver"])
    usual = statistics.median(one for each in found.values() for one in each.control)
    return trial.timed(
        value="; ".join(f"{number} hang: {_by_sender(each)}" for number, each in found.items())
        + f" of {usual * 1000:.0f} ms; control: {control * 1000:.0f} ms",
        holds=all(each.at_most(1.1) for each in found.values()) and control > 5 * usual,
        detail={
            "p99": {str(number): list(each.ours) for number, each in found.items()},
            "none hang": {str(number): list(each.control) for number, each in found.items()},
            "control": control,
        },
    )


def _by_sender(found: Comparison) -> str:
    by = {
        name: compared(found.ours[place::2], found.control[place::2])
        for place, name in enumerate(_SENDERS)
    }
    return f"{found} (" + ", ".join(f"{name} {each.ratio:.2f}" for name, each in by.items()) + ")"


@dataclass(kw_only=True)
class _Receiver:
    """Answers posts to `/{number}`, but for those that hang; and remembers when what arrived."""

    hung: int = 0
    arrived: dict[str, float] = field(default_factory=dict)

    async def answer(self, call: Call) -> Answer:
        """200; or silence, until nobody is told to hang any more."""
        if int(call.path.strip("/")) < self.hung:
            for _ in range(_SILENT):
                await asyncio.sleep(0.1)
                if not self.hung:
                    break
            return Drop()
        self.arrived.setdefault(call.headers["webhook-id"], time.monotonic())
        return as_json({})


@dataclass(kw_only=True)
class _Town:
    """A hundred tenants with an endpoint each; those with the lowest numbers may hang."""

    db: Database
    connection: asyncpg.Connection
    vault: Vault
    senders: Mapping[str, Posts]
    receiver: _Receiver
    chance: Random

    @classmethod
    async def begin(cls, stack: AsyncExitStack, chance: Random) -> _Town:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        receiver = _Receiver()
        at = stack.enter_context(in_thread(application(receiver.answer)))
        db = await Database.open(url, budget=6)
        stack.push_async_callback(db.close)
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        vault = Vault(db, LocalKey.from_text(new_key()))
        endpoints = Endpoints(db, vault, _LOCAL)
        for number in range(_ENDPOINTS):
            await endpoints.create(
                environment="test", tenant=f"tenant {number}", url=f"{at}/{number}"
            )
        senders = {
            name: await stack.enter_async_context(posting(name, _LOCAL, deadline=15))
            for name in _SENDERS
        }
        return cls(
            db=db,
            connection=connection,
            vault=vault,
            senders=senders,
            receiver=receiver,
            chance=chance,
        )

    async def p99(
        self, hung: int, seconds: float, *, each: int = _EACH, sender: str = "aiohttp"
    ) -> float:
        """Seconds from the commit until 99 % of the events have arrived at those that answer."""
        await self.connection.execute(
            "TRUNCATE landbridge.due, landbridge.emitted, landbridge.endpoint_health"
        )
        await self.connection.execute("UPDATE landbridge.endpoint SET slow = false WHERE slow")
        self.receiver.hung = hung
        await self._emit([number for number in range(hung) for _ in range(_BACKLOG)])
        courier = Courier(
            self.db,
            new_owner(),
            Deliveries(self.db, self.vault, self.senders[sender], each=each),
            _LANES,
            drain=timedelta(),
        )
        stop, emitted = asyncio.Event(), asyncio.Event()
        emitted.set()
        running = asyncio.create_task(courier.run(stop))
        dispatching = asyncio.create_task(self._dispatch(emitted, courier))
        await asyncio.sleep(0.3)
        committed = await self._trickle(emitted, hung, seconds)
        dispatching.cancel()
        stop.set()
        await running
        self.receiver.hung = 0
        return self._latency(committed)

    async def _dispatch(self, emitted: asyncio.Event, courier: Courier) -> None:
        dispatcher = Dispatcher(self.db)
        while await emitted.wait():
            emitted.clear()
            await dispatcher.step()
            courier.wake()

    async def _trickle(self, emitted: asyncio.Event, hung: int, seconds: float) -> dict[str, float]:
        """Emits at the rate, whatever becomes of it; when each event for the others committed."""
        committed: dict[str, float] = {}
        began = time.monotonic()
        for place in range(int(seconds * _RATE)):
            await asyncio.sleep(max(0, began + place / _RATE - time.monotonic()))
            number = self.chance.randrange(_ENDPOINTS)
            (event,) = await self._emit([number])
            if number >= hung:
                committed[event] = time.monotonic()
            emitted.set()
        for _ in range(int(_LATE * 50)):
            if committed.keys() <= self.receiver.arrived.keys():
                break
            await asyncio.sleep(0.02)
        return committed

    async def _emit(self, numbers: list[int]) -> list[str]:
        fresh = [ids.new("evt") for _ in numbers]
        await self.connection.execute(_EMIT, [f"tenant {each}" for each in numbers], fresh)
        return fresh

    def _latency(self, committed: Mapping[str, float]) -> float:
        """What has not arrived counts as late as anything may be."""
        arrived = self.receiver.arrived
        took = sorted(
            arrived[event] - at if event in arrived else _LATE for event, at in committed.items()
        )
        return took[int(len(took) * 0.99)]
