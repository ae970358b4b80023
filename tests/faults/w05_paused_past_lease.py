"""W05: a worker that is stopped past its lease wakes up and goes on as if nothing had been."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack

from landbridge.store import due
from landbridge.store.database import Database
from landbridge.store.due import Claimed
from landbridge.vault import new_key
from tests.faults.pausing import EFFECTS, Fenced, claim_one
from tests.faults.senders import SENDERS
from tests.faults.waking import wake_with_a_queue
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_ORDERS = ("all before", "written before", "all after")
"""How much the second worker does before the first one wakes."""

_WOKEN = ("begun", "turned", "lost", "twice")

_JOB = due.Job(environment="test", tenant="acme", lane="system", kind="work")


@row(
    "W05",
    title="worker paused past its lease wakes",
    goal="0 renewed, 0 written, 0 settled by it; 0 jobs lost or done twice; a courier begins none"
    " of what it held, 0 events turned around",
)
async def paused_past_lease(trial: Trial) -> RowResult:
    """SIGSTOP at any moment of a job, until another worker has taken it over; then SIGCONT. The
    control asks for the job's id alone; it is right as long as nobody pauses. And a courier, by
    either client, that is stopped while most of its deliveries are under way and others wait in it:
    a second one has delivered all, and the next in their lines, when it wakes. Its control looks at
    the lease only when it settles."""
    pauses = trial.size.pick(small=10, medium=200)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        db = await Database.open(url, budget=3)
        stack.push_async_callback(db.close)
        async with db.transaction() as tx:
            await tx.execute(EFFECTS)
        found = await _pause(db, url, pauses, trial, paused=True)
        calm = await _pause(db, url, 3, trial, "unfenced", paused=False)
        control = await _pause(db, url, 5, trial, "unfenced", paused=True)
        woken: Counter[str] = Counter()
        key = new_key()
        for sender in SENDERS:
            for _ in range(trial.size.pick(small=1, medium=5)):
                woken += await wake_with_a_queue(url, key, 390, sender)
        heedless = await wake_with_a_queue(url, key, 390, "lean", "heedless")
    faults = ("renewed", "written", "settled", "refused", "lost", "twice")
    return RowResult(
        value=f"{pauses} pauses: "
        + ", ".join(f"{found[each]} {each}" for each in faults)
        + f"; control: {control['twice']} twice, {control['refused']} taken from their holder."
        f" Couriers that held {woken['held']}: "
        + ", ".join(f"{woken[each]} {each}" for each in _WOKEN)
        + f"; control: {heedless['begun']} begun, {heedless['turned']} turned",
        holds=not any(found[each] for each in faults)
        and not any(woken[each] for each in _WOKEN)
        and heedless["begun"] > 0
        and heedless["turned"] > 0
        and not (calm["twice"] or calm["lost"])
        and control["twice"] > 0
        and control["refused"] > 0,
        detail={
            "tried": pauses,
            "lost": found["lost"] + woken["lost"],
            "duplicated": found["twice"] + woken["twice"],
            "first": dict(found),
            "control": dict(control),
            "woken": dict(woken),
            "woken_control": dict(heedless),
        },
    )


async def _pause(
    db: Database, url: str, times: int, trial: Trial, *rules: str, paused: bool
) -> Counter[str]:
    """What the paused worker was allowed to do, and what became of the jobs."""
    chance = trial.random
    counts: Counter[str] = Counter()
    command = [sys.executable, "-m", "tests.faults.pausing", url, *rules]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        for number in range(times):
            await due.put(db, [_JOB])
            job = await _ask(process, "claim")
            await asyncio.sleep(chance.uniform(0, 0.15))
            order = _ORDERS[number % len(_ORDERS)]
            counts += await (_takeover(db, process, order) if paused else _finish(process))
            counts += await _reckon(db, str(job))
            trial.step(number + 1, times)
    finally:
        process.kill()
        await process.wait()
    return counts


async def _takeover(db: Database, process: asyncio.subprocess.Process, order: str) -> Counter[str]:
    """Stops the process, lets a second worker do the job before, around or after it wakes."""
    second = Fenced("second")
    os.kill(process.pid, signal.SIGSTOP)
    try:
        claim = await _taken_over(db, second.owner)
        if order != "all after":
            await second.write(db, claim)
        settled = order == "all before" and await second.settle(db, claim)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    counts = await _finish(process)
    if order == "all after":
        await second.write(db, claim)
    if not settled:
        settled = await second.settle(db, claim)
    counts["refused"] += not settled
    return counts


async def _taken_over(db: Database, owner: str) -> Claimed:
    for _ in range(1000):
        if (claim := await claim_one(db, owner)) is not None:
            return claim
        await asyncio.sleep(0.02)
    raise TimeoutError("the lease of a stopped worker never ends")


async def _finish(process: asyncio.subprocess.Process) -> Counter[str]:
    told = await _ask(process, "finish")
    assert isinstance(told, dict)
    return Counter({name: int(done) for name, done in told.items()})


async def _ask(process: asyncio.subprocess.Process, order: str) -> object:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{order}\n".encode())
    answer = await process.stdout.readline()
    return json.loads(answer)


async def _reckon(db: Database, job: str) -> Counter[str]:
    """Whether the job's effect is there once, and its row gone; the row is then removed."""
    async with db.transaction() as tx:
        (effects,) = await tx.execute("SELECT count(*) FROM effect WHERE job = $1", job)
        left = await tx.execute("DELETE FROM landbridge.due WHERE id = $1 RETURNING id", job)
    return Counter(lost=int(effects[0] == 0 or bool(left)), twice=max(0, effects[0] - 1))
