"""W24: the caller's transaction, or a part of it, rolls back."""

from __future__ import annotations

import asyncio
from random import Random

import asyncpg

from landbridge.app import Landbridge
from landbridge.store.bell import Bell
from tests.faults.outbound import Scene, scene
from tests.rows import RowResult, Trial, row
from tests.store.bindings import BINDINGS, Session


@row(
    "W24",
    title="the caller's transaction rolls back; savepoint",
    goal="no event, no ghost wake-up; what is committed is delivered",
)
async def rolled_back(trial: Trial) -> RowResult:
    """Random transactions on every kind of session, while a worker delivers; each event has a row
    of the application's own beside it, in the same savepoint."""
    transactions = trial.size.pick(small=84, medium=2_000)
    rng = trial.random
    names = sorted(BINDINGS)
    ghosts, heard = 0, 0
    async with scene() as stage:
        ghosts, heard = await _wake_ups(stage)
        worker = await stage.worker()
        undone = 0
        for number in range(transactions):
            async with BINDINGS[names[number % len(names)]](stage.url) as session:
                undone += await transaction(session, rng)
            trial.step(number + 1, transactions)
        await stage.drain()
        stage.nursery.kill(worker)
        found = await stage.reckon()
    return RowResult(
        value=f"{transactions} transactions: {found}, {undone} undone, {found.ghosts} of them"
        f" delivered, {ghosts} ghost wake-ups",
        holds=found.clean and undone > 0 and ghosts == 0 and heard > 0,
        detail={"undone": undone, "ghost_wake_ups": ghosts, "wake_ups": heard, **vars(found)},
    )


async def transaction(session: Session, rng: Random) -> int:
    """One transaction of a few events; how many of them were undone."""

    async def say() -> None:
        event = await session.emit("said", tenant="tenant 1")
        await session.do(f"INSERT INTO own_row VALUES ('{event}')")

    events = rng.randint(1, 3)
    for _ in range(events):
        await say()
    inside = 0
    if rng.random() < 0.5:
        back = await session.savepoint()
        inside = rng.randint(1, 2)
        for _ in range(inside):
            await say()
        await back()
        await say()
        events += 1
    if rng.random() < 0.5:
        await session.rollback()
        return events + inside
    await session.commit()
    return inside


async def _wake_ups(stage: Scene) -> tuple[int, int]:
    """Notifications heard after ten transactions that rolled back, and after one that did not."""
    notified: list[int] = []
    listening = await asyncpg.connect(stage.direct)
    await listening.add_listener("landbridge_wake", lambda *_: notified.append(1))
    async with Landbridge.from_env(
        database_url=stage.url, key=stage.key, environment="test"
    ) as bridge:
        for _ in range(10):
            try:
                async with bridge.transaction() as tx:
                    await bridge.emit(tx, "word.said", {}, tenant="nobody")
                    raise RuntimeError("undone")
            except RuntimeError:
                await listening.execute("SELECT 1")
        await _undone_elsewhere(stage, bridge)
        await listening.execute("SELECT 1")
        ghosts = len(notified)
        async with bridge.transaction() as tx:
            await bridge.emit(tx, "word.said", {}, tenant="nobody")
        for _ in range(200):
            if len(notified) > ghosts:
                break
            await asyncio.sleep(0.01)
    await listening.close()
    return ghosts, len(notified) - ghosts


async def _undone_elsewhere(stage: Scene, bridge: Landbridge) -> None:
    """On every kind of session that tells of its commits: one rolled back, and one committed of
    which the savepoint with the emit was not."""
    bell = Bell(bridge.db)
    for name, opened in BINDINGS.items():
        if not name.startswith(("sqlalchemy", "django")):
            continue
        async with opened(stage.url) as session:
            session.bell = bell
            await session.emit("said", tenant="nobody")
            await session.rollback()
        async with opened(stage.url) as session:
            session.bell = bell
            await session.do("SELECT 1")
            back = await session.savepoint()
            await session.emit("said", tenant="nobody")
            await back()
            await session.commit()
    await bell.close()
