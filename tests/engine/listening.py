"""Webhooks of a shop that come and are sorted, and a worker that tells handlers of their events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from landbridge import Received, ids
from landbridge.engine import sort as sorting
from landbridge.engine.received import Listener, Telling, kinds_meant
from landbridge.jobs import Ended, Lease, settle_each
from landbridge.spec import Means, Provider
from landbridge.store import arrivals, due
from landbridge.store.arrivals import Arrival
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from tests.engine.conftest import SHOP, free

assert SHOP.webhook is not None
TILL = replace(
    SHOP,
    webhook=replace(
        SHOP.webhook,
        object="data",
        subject="data.customer",
        kinds=[
            Means(kind="invoice.paid", topics=["bill.settled"]),
            Means(kind="invoice.payment_failed", topics=["bill.bounced"]),
            Means(kind="dispute.opened", topics=["quarrel"]),
        ],
    ),
)
"""The shop, whose page says what its events mean."""
PAID, FAILED = "bill.settled", "bill.bounced"


def page(_slug: str) -> Provider:
    """The shop's page."""
    return TILL


def event(number: int, topic: str = PAID, key: str = "in_1", **more: Any) -> dict[str, Any]:
    """An event as the shop sends it."""
    data = {"id": key, "customer": "cus_1", "number": number}
    shape = {"id": f"evt_{number}", "type": topic, "account": "acct_1", "created": 1_700_000_000}
    return {**shape, "data": data, **more}


async def come(db: Database, connection: Connection, *events: Any) -> None:
    """These come, each by itself, and are sorted in this order."""
    for each in events:
        one = arrival(connection, each)
        await arrivals.store(db, [one])
        await sorting.sort(
            db, environment="test", arrivals_named=[one.id], provider=page, hold=free
        )


def arrival(connection: Connection, each: Any) -> Arrival:
    """A webhook with one event, at the connection's own address."""
    return Arrival(
        environment="test",
        id=ids.new("arr"),
        app=connection.app,
        connection=connection.id,
        headers=b"[]",
        body=json.dumps(each).encode(),
    )


@dataclass
class Till:
    """A handler that writes what it hears, and fails as often as it is told to."""

    db: Database
    heard: list[Received] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    owner: str = "t"

    def __post_init__(self) -> None:
        self.those = [self.listener()]

    def listener(self, name: str = "till", kinds: str = "invoice.*", **more: Any) -> Listener:
        """The handler as it is registered."""
        run = more.pop("run", self)
        return Listener(name=name, kinds=kinds_meant([kinds]), run=run, attempts=3, **more)

    async def __call__(self, event: Received, tx: Tx) -> None:
        await tx.execute("INSERT INTO heard VALUES ($1)", event.vendor_id)
        if self.failures.get(event.vendor_id, 0) > 0:
            self.failures[event.vendor_id] -= 1
            raise RuntimeError("the user's own words")
        self.heard.append(event)

    def telling(self, db: Database | None = None) -> Telling:
        """The work of a process with these handlers."""
        return Telling(db or self.db, self.those, provider=page)

    async def claims(self, db: Database | None = None, owner: str = "") -> list[Claimed]:
        """The lines that are due, leased for a minute."""
        return await due.claim(
            db or self.db,
            owner=owner or self.owner,
            lanes=["inbox"],
            limit=100,
            per_shard=100,
            lease=timedelta(minutes=1),
        )

    async def work(
        self,
        db: Database | None = None,
        *,
        owner: str = "",
        until: Callable[[], bool] | None = None,
    ) -> int:
        """Goes through the lines as long as some are due, or `until` something holds; how many."""
        db, owner, gone = db or self.db, owner or self.owner, 0
        telling = self.telling(db)
        while True:
            claims = await self.claims(db, owner)
            for claim in claims:
                outcome = await telling.run(claim, Lease(owner, claim))
                await settle_each(db, owner, [Ended(claim=claim, outcome=outcome)])
            gone += len(claims)
            if not claims if until is None else until():
                return gone
            if not claims:
                await asyncio.sleep(0.01)

    def numbers(self) -> list[str]:
        """The vendor's ids of what it took, in order."""
        return [each.vendor_id.removeprefix("evt_") for each in self.heard]


async def written(db: Database) -> list[str]:
    """What handlers wrote and committed."""
    async with db.transaction() as tx:
        rows: Sequence[Any] = await tx.execute("SELECT id FROM heard ORDER BY id")
    return [row["id"].removeprefix("evt_") for row in rows]
