"""What it costs to keep the schedules of many streams, the pulls themselves left out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

import asyncpg

from landbridge.app.work import CALM, GATHER, LANES
from landbridge.engine.pull import Totals
from landbridge.engine.schedules import next_pull
from landbridge.jobs import Done, Kind, Lease, Outcome, Worker, new_owner
from landbridge.providers import get
from landbridge.store import due, schedules
from landbridge.store.database import Database
from landbridge.store.due import Claimed
from landbridge.store.schedules import Pace
from landbridge.store.syncs import Stream
from tests.bench.cluster import SETTINGS, Cluster, cluster
from tests.rows import RowResult, Trial, row

_LIMIT = 0.05
"""Of one core, of our process and of Postgres together."""
_EVERY = timedelta(minutes=5)
_RESOURCES = ("customer", "invoice", "charge")
_PER_TENANT = 10

# Due times are spread over one period, as they are once connections were made at their own times.
_FILL = f"""
    WITH made AS (
        SELECT n, 'tenant_' || n / {_PER_TENANT} AS tenant, 'con_' || lpad(n::text, 26, '0') AS id
        FROM generate_series(1, $1::int) AS n
    ), connected AS (
        INSERT INTO landbridge.connection (environment, tenant, id, app, access_grant, provider,
            account, token, state)
        SELECT 'test', tenant, id, 'app_1', 'grt_' || n, 'stripe', 'acct_' || n, 'token_' || n,
            'active'
        FROM made
    ), ordered AS (
        INSERT INTO landbridge.sync (environment, tenant, connection, resource, id, every, least,
            most, cursor)
        SELECT 'test', tenant, id, resource, 'syn_' || n || resource, $3, $3, $3, '{{}}'
        FROM made, unnest($2::text[]) AS resource
    )
    INSERT INTO landbridge.due (environment, tenant, id, lane, kind, shard, due_at, target, key,
        args, repeat)
    SELECT 'test', tenant, 'due_' || n || resource, 'pull', 'pull',
        landbridge.shard('test', tenant), landbridge.now() + random() * $3, id,
        id || '/' || resource, jsonb_build_object('resource', resource), 'every 300s'
    FROM made, unnest($2::text[]) AS resource
"""


@row(
    "scheduler",
    title="the schedules of 10,000 connections x 3 streams, each pulled every 5 minutes, without"
    " the pulls themselves",
    goal=f"< {_LIMIT:.0%} of a core, Postgres included",
)
async def scheduler(trial: Trial) -> RowResult:
    """CPU, by the clock's second, of a worker that claims, looks the paces up, reckons the next
    times and settles, and of its Postgres; then of the same with nothing due."""
    number = trial.size.pick(small=2000, medium=10_000)
    seconds = 60 if trial.size.name == "medium" else 3
    with cluster() as server:
        url = await server.database()
        await _fill(url, number)
        await server.settle()
        db = await Database.open(url, budget=3, planned=True)
        trial.step(1, 3)
        a_second = number * len(_RESOURCES) / _EVERY.total_seconds()
        busy = await _measured(server, db, seconds, most=int(2 * a_second))
        trial.step(2, 3)
        await db.close()
        idle_db = await Database.open(await server.database(), budget=3, planned=True)
        idle = await _measured(server, idle_db, seconds)
        await idle_db.close()
    ours, postgres, pulls, behind = busy
    total = ours + postgres
    return trial.timed(
        value=f"{total:.1%} of a core ({ours:.1%} ours, {postgres:.1%} Postgres) at"
        f" {pulls:.0f} pulls/s, {behind} behind at the end; idle {idle[0] + idle[1]:.1%}",
        holds=total < _LIMIT and pulls > 0.7 * a_second and behind <= 2 * a_second,
        detail={
            "connections": number,
            "streams": number * len(_RESOURCES),
            "seconds": seconds,
            "ours": ours,
            "postgres": postgres,
            "pulls": pulls,
            "behind": behind,
            "idle": list(idle[:2]),
            "settings": SETTINGS,
        },
    )


async def _fill(url: str, number: int) -> None:
    filling = await asyncpg.connect(url)
    await filling.execute(_FILL, number, list(_RESOURCES), _EVERY)
    await filling.execute("ANALYZE")
    await filling.close()


async def _measured(
    server: Cluster, db: Database, seconds: float, *, most: int = 0
) -> tuple[float, float, float, int]:
    """CPU of this process and of the server, pulls by the second, and how many were due at the end
    and not taken; it begins when that many are due at `most`."""
    page = get("stripe")
    done = 0

    def stream_of(claim: Claimed) -> Stream:
        return Stream(
            environment=claim.environment,
            tenant=claim.tenant,
            connection=claim.target or "",
            resource=claim.args["resource"],
        )

    async def load(claims: Sequence[Claimed]) -> Mapping[str, Pace]:
        return await schedules.paces(db, {claim.id: stream_of(claim) for claim in claims})

    async def pull(claim: Claimed, lease: Lease) -> Outcome:
        nonlocal done
        done += 1
        totals = Totals(pages=1)
        return Done(after=await next_pull(db, page, stream_of(claim), lease.loaded, totals))

    kinds = {"pull": Kind(name="pull", run=pull, load=load)}
    worker = Worker(db, new_owner(), kinds, {"pull": LANES["pull"]}, gather=GATHER, calm=CALM)
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(stop))
    for _ in range(200):  # what fell due meanwhile
        await asyncio.sleep(0.5)
        if (await due.depth(db))["pull"].count <= most:
            break
    done = 0
    ours, postgres, began = time.process_time(), server.cpu(), time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    ours, postgres = time.process_time() - ours, server.cpu() - postgres
    pulls = done / took
    behind = (await due.depth(db))["pull"].count
    stop.set()
    await working
    return ours / took, postgres / took, pulls, behind
