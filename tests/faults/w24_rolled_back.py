"""W24: the caller's transaction, or a part of it, rolls back."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import reduce
from operator import add
from random import Random

import asyncpg

from landbridge.app import Landbridge
from landbridge.store.bell import Bell
from tests.faults.emitting import emit_many
from tests.faults.outbound import Reckoning, Scene, house, scene
from tests.faults.senders import share
from tests.rows import RowResult, Trial, row
from tests.store.bindings import BINDINGS, Session


@row(
    "W24",
    title="the caller's transaction rolls back; savepoint",
    goal="no event, no ghost wake-up; what is committed is delivered",
)
async def rolled_back(trial: Trial) -> RowResult:
    """Random transactions on every kind of session, while a worker delivers by either sender; each
    event has a row of the application's own beside it, in the same savepoint. The control writes
    and wakes over a connection of its own, as who puts messages into a broker does."""
    transactions = share(trial.size.pick(small=84, medium=2_000))
    async with house() as shared, AsyncExitStack() as stack:
        stages = [
            await stack.enter_async_context(scene(within=shared, sender=name))
            for name in transactions
        ]
        ghosts, heard = await _wake_ups(stages[0])
        ours = [await _run(each, transactions[each.sender], trial) for each in stages]
        control = await _apart(stages[0])
    found = reduce(add, [each for each, _ in ours])
    undone = sum(each for _, each in ours)
    return RowResult(
        value="; ".join(
            f"{stage.sender}: {transactions[stage.sender]} transactions, {each}"
            for stage, (each, _) in zip(stages, ours, strict=True)
        )
        + f"; {undone} undone, {found.ghosts} of them delivered, {ghosts} ghost wake-ups; control:"
        f" {control[0]} of 5 there, {control[1]} ghost wake-ups",
        holds=all(each.clean and back > 0 for each, back in ours)
        and ghosts == 0
        and heard > 0
        and min(control) > 0,
        detail={
            "undone": undone,
            "ghost_wake_ups": ghosts,
            "wake_ups": heard,
            "control": control,
            **vars(found),
        },
    )


async def _run(stage: Scene, transactions: int, trial: Trial) -> tuple[Reckoning, int]:
    """What came of so many transactions, and how many events were undone."""
    rng, names = trial.random, sorted(BINDINGS)
    worker = await stage.worker()
    undone = 0
    for number in range(transactions):
        async with BINDINGS[names[number % len(names)]](stage.url) as session:
            undone += await transaction(session, rng)
        trial.step(number + 1, transactions)
    await stage.drain()
    stage.nursery.kill(worker)
    return await stage.reckon(), undone


async def _apart(stage: Scene) -> tuple[int, int]:
    """The control: events that are there after five rollbacks, and wake-ups that were heard."""
    notified: list[int] = []
    listening = await asyncpg.connect(stage.direct)
    await listening.add_listener("landbridge_wake", lambda *_: notified.append(1))
    apart = await asyncpg.connect(stage.direct)
    own = await asyncpg.connect(stage.direct)
    made = []
    for number in range(5):
        transaction = own.transaction()
        await transaction.start()
        await own.execute("INSERT INTO own_row VALUES ($1)", f"undone {number}")
        made += await emit_many(apart, 1, tenant="nobody")
        await apart.execute("NOTIFY landbridge_wake")
        await transaction.rollback()
    await listening.execute("SELECT 1")
    there = await own.fetchval(
        "SELECT (SELECT count(*) FROM landbridge.emitted WHERE id = ANY ($1))"
        " + (SELECT count(*) FROM landbridge.event WHERE id = ANY ($1))",
        made,
    )
    for each in (own, apart, listening):
        await each.close()
    return there, len(notified)


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
