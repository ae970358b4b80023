"""F01: many refresh one rotating token at a time; the one who does is stopped, or dies."""

from __future__ import annotations

import asyncio
from collections import Counter

from landbridge.engine.refresh import Refresher
from landbridge.store.connections import Connection
from tests.faults.refresh_crew import stopped, wake
from tests.faults.refresh_stage import Stage, ground, stage
from tests.faults.refreshing import expire
from tests.rows import RowResult, Trial, row

POINTS = ("before", "in", "after")
_LOCKS = ("no lock", "lock without version", "refresh anyway")
_LEASE = 0.3
_LONG = {True: 2.0, False: 3.0}
"""The lease where many share a machine, in a small run and in others: a heartbeat comes late there,
and is not to be missed."""


@row(
    "F01",
    title="refresh stampede on rotating tokens",
    goal="1 exchange per expiry, 0 families revoked; 0 second posts while a holder is stopped, its"
    " late answer is stored; a killed one is recovered in the retry window, else ambiguous",
    limit=5400,
)
async def refresh_stampede(trial: Trial) -> RowResult:
    """Processes find one token refused at the same time, version after version, at oidc-provider,
    some of whose answers take longer than the lease. Then the holder of a refresh is stopped, or
    killed, before, in and after its post, while another process wants the token; where the page has
    a retry window, at a server by Authlib that keeps one. The controls, on the same server: no
    lock; a lock that ends by itself; one that is not waited for long enough; a fence that refuses
    whoever lost the lease."""
    small = _small(trial)
    crowd, tasks = 3 if small else 8, 32
    full = trial.size.pick(small=40, medium=1_000)
    further = 9_000 if trial.size.name == "medium" else 0
    rounds = 1 if small else 20
    async with ground() as earth:
        async with stage(earth, lease=_LEASE) as on:
            found = await _contend(on, trial, crowd, tasks, full)
            if further:
                found += await _contend(on, trial, crowd, 4, further)
            stops = await _stop(on, rounds)
            kills = await _kill(on, rounds)
            on.gate.delay = lambda: 2 * _LEASE
            revoked = await asyncio.gather(*(_weaker(on, rule) for rule in _LOCKS))
            on.gate.delay = lambda: 0.0
            fence = await _stop(on, 1, "fence")
            calm = await _calm(on)
        async with stage(earth, window=30, lease=_LEASE) as on:
            kept = await _kill(on, rounds)
    expiries = full + further
    points = len(POINTS) * rounds
    held = (
        found["exchanged"] == found["posts"] == expiries
        and found["ended"] == found["untold"] == 0
        and stops == Counter({"tried": points, "stored late": points})
        and kills == Counter({"tried": points, "ambiguous": points})
        and kept == Counter({"tried": points, "recovered": points})
    )
    failing = all(revoked) and fence["winners lost"] > 0
    return RowResult(
        value=f"{expiries} expiries, {crowd} processes: {found['exchanged']} exchanges,"
        f" {found['ended']} families revoked; {stops['tried']} stopped:"
        f" {stops['second posts']} second posts, {stops['stored late']} stored late;"
        f" {kills['tried'] + kept['tried']} killed: {kept['recovered']} recovered,"
        f" {kills['ambiguous']} ambiguous; controls: "
        + ", ".join(f"{rule} {n} revoked" for rule, n in zip(_LOCKS, revoked, strict=True))
        + f", fence {fence['winners lost']} winners lost",
        holds=held and failing and not calm,
        detail={
            "tried": expiries + stops["tried"] + kills["tried"] + kept["tried"],
            "lost": stops["winners lost"] + kills["wrong"] + kept["wrong"] + found["untold"],
            "duplicated": found["posts"] - expiries + stops["second posts"],
            "contention": dict(found),
            "stopped": dict(stops),
            "killed": dict(kills),
            "killed_in_window": dict(kept),
            "controls": dict(zip(_LOCKS, revoked, strict=True)),
            "fence": dict(fence),
            "calm": dict(calm),
        },
    )


def _small(trial: Trial) -> bool:
    return trial.size.name in ("ci", "smoke")


async def _contend(
    on: Stage, trial: Trial, processes: int, tasks: int, expiries: int
) -> Counter[str]:
    """What so many expiries cost, of ten connections at a time, each seen by all tasks."""
    lease = _LONG[_small(trial)]
    chance, seldom = trial.random, max(25, expiries // 100)

    def delay() -> float:
        if on.gate.posts % seldom == 12:
            return chance.uniform(1.1, 1.5) * lease
        return chance.uniform(0, 0.01)

    on.gate.delay = delay
    before, posts = await on.server.counts(), on.gate.posts
    found: Counter[str] = Counter()
    waits: list[float] = []
    times = min(10, max(1, expiries // 10))
    async with on.crew(processes, lease=lease) as all_:
        left = expiries
        while left > 0:
            some = await on.connect(min(10, max(1, left // times)))
            each = min(times, left)
            told = await all_.expire(some, tasks=tasks, times=each)
            found["untold"] += processes - len(told)
            for one in told:
                for word, number in one["told"].items():
                    found["untold" if word != "given" else word] += number
                    found[f"told {word}"] += number
                waits += one["waits"]
            left -= len(some) * each
            trial.step(expiries - left, expiries)
    on.gate.delay = lambda: 0.0
    after = await on.server.counts()
    found.update({name: after[name] - before[name] for name in ("exchanged", "ended")})
    found["posts"] = on.gate.posts - posts
    found["p99_ms"] = int(1000 * sorted(waits)[int(len(waits) * 0.99)])
    return found


async def _stop(on: Stage, rounds: int, rule: str = "ours") -> Counter[str]:
    """What comes of it when the holder is stopped at each point of its post, past its lease."""
    found: Counter[str] = Counter()
    async with on.crew(1, rule=rule) as alone:
        (process,) = alone.processes
        for point in POINTS * rounds:
            (connection,) = await on.connect(1)
            before, posts = await on.server.counts(), on.gate.posts
            on.gate.delay = lambda: 0.3
            alone.order(process, [connection], point=point)
            await stopped(process)
            found["tried"] += 1
            found["wrong"] += await wants(on.inside(), connection) != "ambiguous"
            found["second posts"] += on.gate.posts - posts - (point != "before")
            wake(process)
            await alone.hear(process)
            on.gate.delay = lambda: 0.0
            now, stored = await on.now(connection), await on.stored(connection)
            stays = now is not None and now.state == "active" and await on.server.alive(stored)
            found["stored late" if stays else "winners lost"] += 1
            found["wrong"] += (await on.server.counts())["ended"] - before["ended"]
    return +found


async def _kill(on: Stage, rounds: int) -> Counter[str]:
    """What comes of it when the holder is killed at each point of its post."""
    found: Counter[str] = Counter()
    for _ in range(rounds):
        async with on.crew(len(POINTS), signal="kill") as some:
            connections = await on.connect(len(POINTS))
            before, posts = await on.server.counts(), on.gate.posts
            on.gate.delay = lambda: 0.3
            for point, one, process in zip(POINTS, connections, some.processes, strict=True):
                some.order(process, [one], point=point)
            await asyncio.gather(*(process.ended() for process in some.processes))
            await asyncio.sleep(0.3)  # what was posted is answered
        on.gate.delay = lambda: 0.0
        for connection in connections:
            told = await wants(on.inside(), connection)
            found["tried"] += 1
            if on.spec.window:
                stays = await on.server.alive(await on.stored(connection))
                found["recovered" if told == "given" and stays else "wrong"] += 1
            else:
                right = told == "ambiguous" and await on.told_of(connection) == ["ambiguous"]
                found["ambiguous" if right else "wrong"] += 1
        if not on.spec.window:
            found["second posts"] += on.gate.posts - posts - 2
        found["wrong"] += (await on.server.counts())["ended"] - before["ended"]
    return +found


async def wants(other: Refresher, connection: Connection) -> str:
    """What another process is told that wants the token."""
    told, _ = await expire(other, connection, 1, 1, 1)
    (word,) = told
    return word


async def _weaker(on: Stage, rule: str) -> int:
    """The families that a weaker pattern costs when the server takes longer than its lease, or its
    patience: of one."""
    (connection,) = await on.connect(1)
    two = [on.inside(rule=rule, patience=_LEASE) for _ in range(2)]
    await asyncio.gather(*(wants(each, connection) for each in two))
    return int(not await on.server.alive(await on.stored(connection)))


async def _calm(on: Stage) -> Counter[str]:
    """What the weaker patterns do wrong when one process refreshes and nothing happens: nothing."""
    wrong: Counter[str] = Counter()
    for rule in (*_LOCKS, "fence"):
        (connection,) = await on.connect(1)
        told = await wants(on.inside(rule=rule), connection)
        wrong[rule] += told != "given"
    return +wrong
