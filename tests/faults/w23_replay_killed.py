"""W23: a replay is killed half-way, again and again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import asyncpg

from landbridge.engine.replays import Replays
from landbridge.store.database import Database
from tests.faults.outbound import Scene, house, scene
from tests.faults.senders import share
from tests.rows import RowResult, Trial, row

_RATE = 40.0
_LIMIT = 30.0
"""What the endpoint takes a second: less than the replay asks for."""

_CLOCKS = 0.1
"""Seconds by which a journal's times may be wrong."""


@row(
    "W23",
    title="replay job killed half-way",
    goal="0 left out, 0 twice; never faster than the endpoint's rate",
)
async def replay_killed(trial: Trial) -> RowResult:
    """SIGKILL in a part of the replay and right behind it; what it puts goes out by either sender,
    by the second one behind PgBouncer. The control moves its cursor in a transaction of its own,
    before it puts the deliveries; it loses none as long as nobody kills."""
    kills = share(trial.size.pick(small=6, medium=220))
    async with house() as shared, AsyncExitStack() as stack:
        stages = [
            await stack.enter_async_context(scene(within=shared, sender=name, pooler=place > 0))
            for place, name in enumerate(kills)
        ]
        ours = await asyncio.gather(*(_run(each, kills[each.sender], trial) for each in stages))
        control = await _torn(stages[0], trial)
    found = sum(ours, Counter[str]())
    killed = found["kills"]
    faults = ("left out", "twice", "unverified", "attempts twice", "too early")
    return RowResult(
        value=", ".join(
            f"{stage.sender}: {each['kills']} kills, {each['tried']} replayed"
            for stage, each in zip(stages, ours, strict=True)
        )
        + ": "
        + ", ".join(f"{found[each]} {each}" for each in faults)
        + f"; control: {control['killed']} left out",
        holds=all(each["kills"] > 0 and each["tried"] > 0 for each in ours)
        and not any(found[each] for each in faults)
        and control["calm"] == 0
        and control["killed"] > 0,
        detail={
            "kills": killed,
            "tried": found["tried"],
            "lost": found["left out"],
            "duplicated": found["twice"],
            "control": control["killed"],
        },
    )


async def _run(stage: Scene, kills: int, trial: Trial) -> Counter[str]:
    """What became of a replay under so many kills, and how many there were."""
    await _only_missed(stage, events=3 * (int(kills * _RATE / 2) + 40))
    shop = (await _endpoints(stage))["shop"]
    began = datetime.now(UTC)
    replay = await _order(stage, shop, rate=_RATE)
    delivering = await stage.worker()
    killed = await _kill(stage, replay, kills, trial)
    await _until_done(stage, {})
    await _until_through(stage)
    stage.nursery.kill(delivering)
    return await _reckon(stage, shop, began) + Counter(kills=killed)


async def _torn(stage: Scene, trial: Trial) -> dict[str, int]:
    """What the control leaves out when nobody kills, and when somebody does."""
    till = (await _endpoints(stage))["till"]
    control = {}
    for name, deaths in (("calm", 0), ("killed", 3)):
        replay = await _order(stage, till, rate=20.0)
        await _kill(stage, replay, deaths, trial, torn=True, point="torn")
        await _until_done(stage, {"torn": True})
        control[name] = await _left_out(stage, till)
        await _forget(stage, till)
    return control


async def _only_missed(stage: Scene, *, events: int) -> None:
    """Events that were dispatched and delivered to nobody."""
    await stage.emit(events, each=30)
    worker = await stage.worker(point="moving", after=10_000)
    connection = await asyncpg.connect(stage.direct)
    await _empty(connection, "SELECT count(*) FROM landbridge.emitted")
    stage.nursery.kill(worker)
    await stage.nursery.ended(worker, within=10)
    await connection.execute(
        "TRUNCATE landbridge.due; TRUNCATE landbridge.attempt;"
        " UPDATE landbridge.endpoint SET rate = 30 WHERE url LIKE '%shop'"
    )
    await connection.close()
    stage.journal.write_text("")


async def _endpoints(stage: Scene) -> dict[str, str]:
    connection = await asyncpg.connect(stage.direct)
    rows = await connection.fetch(
        "SELECT id, url FROM landbridge.endpoint WHERE tenant = 'tenant 0'"
    )
    await connection.close()
    return {row["url"].rpartition("/")[2]: row["id"] for row in rows}


async def _order(stage: Scene, endpoint: str, *, rate: float) -> str:
    db = await Database.open(stage.direct, budget=2)
    made = await Replays(db, environment="test").create(
        endpoint=endpoint, state="missed", rate=rate
    )
    await db.close()
    return made.id


async def _state(stage: Scene, replay: str) -> str:
    connection = await asyncpg.connect(stage.direct)
    state: str = await connection.fetchval(
        "SELECT state FROM landbridge.replay WHERE id = $1", replay
    )
    await connection.close()
    return state


async def _kill(
    stage: Scene, replay: str, kills: int, trial: Trial, *, torn: bool = False, point: str = ""
) -> int:
    """Lets processes take parts and die, until so many died or the replay is done."""
    before, rng = stage.kills, trial.random
    while stage.kills - before < kills and await _state(stage, replay) == "running":
        pid = await stage.nursery.start(
            "replayer",
            url=stage.url,
            pooler=stage.pooler,
            torn=torn,
            point=point or rng.choice(["stepping", "stepped"]),
            after=1,
        )
        await stage.until_killed(pid, within=4)
        trial.step(stage.kills - before, kills)
    return stage.kills - before


async def _until_done(stage: Scene, options: dict[str, Any]) -> None:
    pid = await stage.nursery.start("replayer", url=stage.url, pooler=stage.pooler, **options)
    connection = await asyncpg.connect(stage.direct)
    await _empty(connection, "SELECT count(*) FROM landbridge.replay WHERE state = 'running'")
    await connection.close()
    stage.nursery.kill(pid)
    await stage.nursery.ended(pid, within=10)


async def _until_through(stage: Scene) -> None:
    connection = await asyncpg.connect(stage.direct)
    await _empty(connection, "SELECT count(*) FROM landbridge.due WHERE kind = 'deliver'")
    await connection.close()


async def _empty(connection: asyncpg.Connection, count: str) -> None:
    """Waits until there is none any more."""
    while await connection.fetchval(count):  # noqa: ASYNC110 - another process empties it
        await asyncio.sleep(0.02)


async def _reckon(stage: Scene, endpoint: str, began: datetime) -> Counter[str]:
    connection = await asyncpg.connect(stage.direct)
    events = await connection.fetch("SELECT id FROM landbridge.event WHERE tenant = 'tenant 0'")
    tries = await connection.fetch(
        "SELECT delivery, number FROM landbridge.attempt WHERE endpoint = $1", endpoint
    )
    await connection.close()
    entries = [json.loads(line) for line in stage.journal.read_text().splitlines()]
    entries = [each for each in entries if each["kind"] == "delivery"]
    arrived = Counter(each["webhook_id"] for each in entries)
    moments = sorted(each["received_at"] for each in entries)
    since = [moment - began.timestamp() + _CLOCKS for moment in moments]
    return Counter(
        {
            "tried": len(events),
            "left out": len({each["id"] for each in events} - arrived.keys()),
            "twice": sum(count - 1 for count in arrived.values()),
            "unverified": sum(not each["verified"] for each in entries),
            "attempts twice": len(tries) - len(set(tries)),
            "too early": sum(place / _LIMIT > seconds for place, seconds in enumerate(since)),
        }
    )


async def _left_out(stage: Scene, endpoint: str) -> int:
    """Events for which the endpoint has no delivery, of any kind."""
    connection = await asyncpg.connect(stage.direct)
    count: int = await connection.fetchval(
        """SELECT count(*) FROM landbridge.event AS e WHERE e.tenant = 'tenant 0'
           AND NOT EXISTS (SELECT FROM landbridge.due AS d WHERE d.ref = e.id AND d.target = $1)""",
        endpoint,
    )
    await connection.close()
    return count


async def _forget(stage: Scene, endpoint: str) -> None:
    connection = await asyncpg.connect(stage.direct)
    await connection.execute("DELETE FROM landbridge.due WHERE target = $1", endpoint)
    await connection.close()
