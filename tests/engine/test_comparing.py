"""Comparisons as workers make them: on their schedule, after the inbox, and not when told so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from landbridge import Landbridge
from landbridge.app.comparing import order_comparing
from landbridge.engine.reconcile import reconcile_job
from landbridge.store import arrivals, due, reconciliations
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.sql import Sql
from landbridge.testing.control import Control
from landbridge.testing.stripe import KEY
from tests.engine.test_reconcile import customers, now_of, placed, stripe

__all__ = ["stripe"]

JOBS = Sql(
    "tests.due",
    "SELECT kind, error FROM lb.due ORDER BY kind",
    across="A test looks at everything.",
)


@pytest.fixture
async def joined(bridge: Landbridge, stripe: Control) -> Connection:
    connected = await bridge.connect(
        "stripe",
        tenant="acme",
        credentials={"key": KEY},
        settings={"base": stripe.url},
        webhook_secret="whsec_theirs",
        every=None,
    )
    return connected.connection


async def working(
    bridge: Landbridge, lanes: list[str], seen: Callable[[], Awaitable[bool]]
) -> None:
    """Works until it is seen that it is done."""
    stop = asyncio.Event()
    work = asyncio.create_task(bridge.work(stop, lanes=lanes))
    async with asyncio.timeout(30):
        while True:
            if await seen():
                break
            await asyncio.sleep(0.05)
    stop.set()
    await work


async def kinds(db: Database) -> dict[str, str | None]:
    return {row["kind"]: row["error"] for row in await db.fetch(JOBS)}


async def test_a_worker_plans_comparisons_and_makes_up_for_what_never_came(
    bridge: Landbridge,
    stripe: Control,
    joined: Connection,
) -> None:
    async def planned() -> bool:
        return "reconcile" in await kinds(bridge.db)

    await working(bridge, ["system"], planned)
    through = now_of(stripe) + timedelta(minutes=5)
    await placed(bridge.db, joined, through)
    customers(stripe, 3)
    await due.put(bridge.db, [reconcile_job(joined)])

    async def repaired() -> bool:
        return len(await arrivals.events(bridge.db, environment="test")) >= 3

    await working(bridge, ["pull"], repaired)
    tallies = {what: n for _, _, what, n in await arrivals.tallies(bridge.db, environment="test")}
    assert tallies == {"repaired": 3}


async def test_it_waits_while_what_came_is_not_sorted_yet(
    bridge: Landbridge, joined: Connection
) -> None:
    waiting = due.Job(
        environment="test",
        tenant="",
        lane="receive",
        kind="receive",
        args={"arrivals": []},
        at=datetime.now(UTC) - timedelta(minutes=5),
    )
    await due.put(bridge.db, [waiting, reconcile_job(joined)])

    async def put_off() -> bool:
        return "inbox is behind" in ((await kinds(bridge.db)).get("reconcile") or "")

    await working(bridge, ["pull"], put_off)
    kept = await reconciliations.one(bridge.db, joined)
    assert kept is not None
    assert kept.checked_at is None


async def test_a_setting_of_nought_takes_the_schedule_away(db: Database) -> None:
    await order_comparing(db, 15)
    assert "reconcile.plan" in await kinds(db)
    await order_comparing(db, 0)
    assert "reconcile.plan" not in await kinds(db)
