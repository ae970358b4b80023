"""What tests of deliveries share: an office that emits, dispatches and delivers step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from landbridge.client.guard import Guard
from landbridge.client.sender import Sender
from landbridge.clock import Clock, SystemClock
from landbridge.engine.deliver import Deliveries
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.emit import emit
from landbridge.engine.endpoints import Created, Endpoints
from landbridge.jobs import Ended, Lease
from landbridge.store import deliveries, due
from landbridge.store.bind import Awaiting, bind
from landbridge.store.database import Database
from landbridge.store.deliveries import Attempt, Delivery
from landbridge.store.due import Claimed
from landbridge.vault import Vault

LEASE = timedelta(seconds=15)
LOCAL = Guard(["127.0.0.0/8"])


@dataclass(kw_only=True)
class Office:
    """One tenant's events on their way out, on one database (which has one place in time)."""

    db: Database
    vault: Vault
    sender: Sender
    clock: Clock = field(default_factory=SystemClock)
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

    async def claim(self, *, owner: str | None = None, limit: int = 100) -> list[Claimed]:
        return await due.claim(
            self.db,
            owner=owner or self.owner,
            lanes=("deliver", "retry"),
            limit=limit,
            per_shard=limit,
            lease=LEASE,
        )

    async def run(self, claims: Sequence[Claimed]) -> list[Ended]:
        """Tries these deliveries, all at once, and settles none."""
        loaded = await self.deliveries.load(claims)

        async def one(claim: Claimed) -> Ended:
            lease = Lease(self.owner, claim)
            lease.loaded = loaded.get(claim.id)
            return Ended(claim=claim, outcome=await self.deliveries.run(claim, lease))

        return list(await asyncio.gather(*(one(claim) for claim in claims)))

    async def round(self) -> int:
        """Delivers what is due, once; how many were tried."""
        claims = await self.claim()
        settled = await self.deliveries.settle(self.db, self.owner, await self.run(claims))
        assert settled == {claim.id for claim in claims}
        return len(claims)

    async def listed(self, **more: Any) -> list[Delivery]:
        fields: dict[str, Any] = {"environment": "test", "since": SystemClock().now()}
        fields["since"] -= timedelta(days=1)
        return await deliveries.every(self.db, **fields | more)

    async def attempts(self, delivery: str, *, tenant: str = "acme") -> list[Attempt]:
        return await deliveries.attempts(self.db, environment="test", tenant=tenant, id=delivery)
