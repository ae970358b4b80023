"""F02: a refresh whose answer is lost, at whatever point, is never silently taken for done."""

from __future__ import annotations

import asyncio
from collections import Counter

from landbridge.engine.disconnect import disconnect
from landbridge.store.connections import Connection
from tests.faults.f01_refresh_stampede import POINTS, wants
from tests.faults.refresh_stage import Stage, ground, stage
from tests.rows import RowResult, Trial, row

_LEASE = 0.3
_POINTS = (*POINTS, "stored")


@row(
    "F02",
    title="lost rotation response",
    goal="0 grants silently dead, 0 winners deleted; recovered where the provider allows it, else"
    " ambiguous with an event; 0 tokens in logs",
    limit=3600,
)
async def lost_rotation(trial: Trial) -> RowResult:
    """Processes are killed before, in and after the post, and once its tokens are stored; answers
    are cut off after the server gave them; the grant's row is changed, or its connection ended,
    while the post is under way. At oidc-provider, which takes no token twice, and at a server by
    Authlib with a retry window. What all processes logged is searched for tokens. The control posts
    without an intent: after the kill the next one posts the used token."""
    rounds = trial.size.pick(small=1, medium=25)
    async with ground() as earth:
        async with stage(earth, lease=_LEASE) as on:
            strict = await _kill(on, rounds)
            strict += await _cut_off(on, rounds)
            beside = await _beside(on)
            control = await _kill(on, 1, "without intent")
            leaked = await _leaked(on)
        async with stage(earth, window=30, lease=_LEASE) as on:
            window = await _kill(on, rounds)
            window += await _cut_off(on, rounds)
            leaked += await _leaked(on)
    tried = 5 * rounds
    held = (
        strict == Counter({"tried": tried, "ambiguous": 4 * rounds, "kept": rounds})
        and window == Counter({"tried": tried, "kept": tried})
        and beside == Counter({"kept": 1, "given back": 1})
        and leaked == 0
    )
    return RowResult(
        value=f"{2 * tried} lost: {window['kept'] + strict['kept']} recovered or kept,"
        f" {strict['ambiguous']} ambiguous, {strict['wrong'] + window['wrong']} wrong;"
        f" {leaked} tokens in logs; control: {control['wrong']} wrong",
        holds=held and control["wrong"] > 0,
        detail={
            "tried": 2 * tried,
            "lost": strict["wrong"] + window["wrong"],
            "duplicated": 0,
            "strict": dict(strict),
            "window": dict(window),
            "beside": dict(beside),
            "leaked": leaked,
            "control": dict(control),
        },
    )


async def _kill(on: Stage, rounds: int, rule: str = "ours") -> Counter[str]:
    """What the next one finds after the holder was killed at each point."""
    found: Counter[str] = Counter()
    for _ in range(rounds):
        async with on.crew(len(_POINTS), rule=rule, signal="kill") as some:
            connections = await on.connect(len(_POINTS))
            on.gate.delay = lambda: 0.3
            for point, one, process in zip(_POINTS, connections, some.processes, strict=True):
                some.order(process, [one], point=point)
            await asyncio.gather(*(process.ended() for process in some.processes))
            await asyncio.sleep(0.3)
            on.gate.delay = lambda: 0.0
        for connection in connections:
            found["tried"] += 1
            found[await _found(on, connection, rule)] += 1
    return +found


async def _cut_off(on: Stage, rounds: int) -> Counter[str]:
    """What becomes of refreshes whose answer is cut off after the server gave it."""
    found: Counter[str] = Counter()
    for _ in range(rounds):
        (connection,) = await on.connect(1)
        on.gate.plan.append("lose the answer")
        await wants(on.inside(), connection)
        found["tried"] += 1
        found[await _found(on, connection, "ours")] += 1
    return +found


async def _found(on: Stage, connection: Connection, rule: str) -> str:
    """How a grant stands once it is asked for: `kept` with a token that the server takes,
    `ambiguous` and told of, or `wrong`."""
    told = await wants(on.inside(rule=rule), connection)
    if told == "given":
        return "kept" if await on.server.alive(await on.stored(connection)) else "wrong"
    now = await on.now(connection)
    told_of = await on.told_of(connection)
    right = told == "ambiguous" and told_of == ["ambiguous"]
    return "ambiguous" if right and now is not None and now.state == "needs_reauth" else "wrong"


async def _beside(on: Stage) -> Counter[str]:
    """What becomes of tokens whose grant is changed, or ended, while they are on their way."""
    found: Counter[str] = Counter()
    for change in ("scopes", "end"):
        (connection,) = await on.connect(1)
        on.gate.plan.append("slow")
        on.gate.open.clear()
        on.gate.answered.clear()
        asked = asyncio.create_task(wants(on.inside(), connection))
        await on.gate.answered.wait()
        if change == "end":
            await disconnect(on.db, connection)
        else:
            async with on.db.transaction() as tx:
                await tx.execute("UPDATE landbridge.access_grant SET scopes = '{api,more}'")
        on.gate.open.set()
        told = await asked
        if change == "end":
            found["given back" if told == "forgotten" else "wrong"] += 1
        else:
            alive = await on.server.alive(await on.stored(connection))
            found["kept" if told == "given" and alive else "wrong"] += 1
    return +found


async def _leaked(on: Stage) -> int:
    """The tokens that stand in what the processes logged."""
    said = on.nursery.log.read_bytes()
    return sum(token.encode() in said for token in [*on.minted, *on.gate.seen])
