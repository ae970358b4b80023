"""What tests of deliveries share: an office that emits, dispatches and delivers step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from landbridge.client.guard import Guard
from landbridge.client.post import Posts, Sent
from landbridge.clock import Clock, SystemClock
from landbridge.engine.deliver import Deliveries
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.emit import emit
from landbridge.engine.endpoints import Created, Endpoints
from landbridge.store import deliveries, parcels
from landbridge.store.bind import Awaiting, bind
from landbridge.store.database import Database
from landbridge.store.deliveries import Attempt, Delivery
from landbridge.store.parcels import Parcel, Try
from landbridge.vault import Vault
from landbridge.wire import Headers

LEASE = timedelta(seconds=15)
LOCAL = Guard(["127.0.0.0/8"])
Answer = Callable[[bytes], float | Exception]


class Posted:
    """Posts to nobody: counts what is under way, and answers as it is told."""

    def __init__(self, answer: Answer):
        self._answer = answer
        self.bodies: list[bytes] = []
        self.under_way = self.peak = 0
        self.two = asyncio.Event()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        self.bodies.append(body)
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        if self.under_way == 2:
            self.two.set()
        try:
            answer = self._answer(body)
            if isinstance(answer, Exception):
                raise answer
            await asyncio.sleep(answer)
        finally:
            self.under_way -= 1
        return Sent(status=200, headers=Headers([]), body=b"", took=0.0)


class Held(Posted):
    """Answers nobody until it may go. `full`: so many posts were begun."""

    def __init__(self, number: int):
        super().__init__(lambda _: 0.0)
        self._number = number
        self.full = asyncio.Event()
        self.go = asyncio.Event()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        sent = await super().post(url, headers, body)
        if len(self.bodies) == self._number:
            self.full.set()
        await self.go.wait()
        return sent


@dataclass(kw_only=True)
class Office:
    """One tenant's events on their way out, on one database (which has one place in time)."""

    db: Database
    vault: Vault
    sender: Posts
    clock: Clock | None = None
    guard: Guard = LOCAL
    each: int = 50
    owner: str = "worker"

    def __post_init__(self) -> None:
        self.endpoints = Endpoints(self.db, self.vault, self.guard, clock=self.clock)
        self.deliveries = Deliveries(
            self.db,
            self.vault,
            self.sender,
            each=self.each,
            clock=self.clock,
            chance=lambda: 0.5,
        )
        self.dispatcher = Dispatcher(self.db)

    async def endpoint(self, url: str, *types: str, tenant: str = "acme") -> Created:
        return await self.endpoints.create(
            environment="test", tenant=tenant, url=url, types=types or ("*",)
        )

    async def emit(self, data: object = None, *, tenant: str = "acme", **more: Any) -> str:
        """Emits one event and dispatches it; its id."""
        async with self.db.transaction() as tx:
            session = bind(tx, self.db.schema)
            assert isinstance(session, Awaiting)
            event = await emit(
                session,
                "invoice.paid",
                {} if data is None else data,
                environment="test",
                tenant=tenant,
                **more,
            )
        await self.dispatcher.step()
        return event

    async def claim(self, *, owner: str | None = None, limit: int = 100) -> list[Parcel]:
        claimed: list[Parcel] = []
        for lane in ("deliver", "retry", "slow", "replay"):
            claimed += await parcels.claim(
                self.db, owner=owner or self.owner, lane=lane, limit=limit, lease=LEASE
            )
        return claimed

    async def run(self, claims: Sequence[Parcel]) -> list[Try]:
        """Tries these deliveries, all at once, and settles none."""
        begun = await self.deliveries.begin(claims)
        later = [parcel for _, parcel in begun.later]
        tried = [self.deliveries.attempt(each) for each in (*begun.ready, *later)]
        return [*begun.ended, *await asyncio.gather(*tried)]

    async def settle(self, tries: Sequence[Try]) -> int:
        """How many of them were settled."""
        return len(tries) - len(await self.deliveries.settle(self.owner, tries))

    async def round(self) -> int:
        """Delivers what is due, once; how many were tried."""
        claims = await self.claim()
        assert await self.settle(await self.run(claims)) == len(claims)
        return len(claims)

    async def listed(self, **more: Any) -> list[Delivery]:
        fields: dict[str, Any] = {"environment": "test", "since": SystemClock().now()}
        fields["since"] -= timedelta(days=1)
        return await deliveries.every(self.db, **fields | more)

    async def attempts(self, delivery: str, *, tenant: str = "acme") -> list[Attempt]:
        return await deliveries.attempts(self.db, environment="test", tenant=tenant, id=delivery)
