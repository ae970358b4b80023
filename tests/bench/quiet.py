"""What a pull that finds nothing new costs, beside the call that it makes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from landbridge.store import syncs
from landbridge.store.database import Tx
from tests.bench.client_stage import Stage, stage
from tests.bench.cluster import Cluster
from tests.rows import RowResult, Trial, pairs, row

_LIMIT = 6.0
"""Times the CPU of the call alone, Postgres included on both sides."""
_SIGN_IN = "typed key"


@row(
    "quiet",
    title="CPU of a pull that finds nothing new: one call, a page of 10 records",
    goal=f"<= {_LIMIT:.0f} x the call alone, Postgres included",
)
async def quiet(trial: Trial) -> RowResult:
    """A resource is pulled again and again, its run written down each time; the control makes the
    same call by `bridge.api(connection).get`. CPU of this process and of Postgres."""
    pulls = trial.size.pick(small=20, medium=300)
    async with stage() as on:
        server = await _server(on)
        connection = on.apis[_SIGN_IN]._connection
        puller = on.bridge._open.puller
        parts: list[tuple[float, float]] = []

        async def hold(_tx: Tx) -> None:
            """No lease: it is the scheduler's."""

        async def pull() -> None:
            totals = await puller.run(connection, "thing", hold=hold)
            if not totals.seen:
                raise RuntimeError("the pull met no record")

        async def call() -> None:
            await on.apis[_SIGN_IN].get("/things")

        async with on.bridge.db.transaction() as tx:
            await syncs.add(
                tx,
                environment=connection.environment,
                tenant=connection.tenant,
                connection=connection.id,
                resources=["thing"],
            )
        await pull()
        found = await pairs(
            lambda: _cpu(on, server, pull, pulls, parts),
            lambda: _cpu(on, server, call, pulls, []),
            seed=trial.seed,
        )
    ours, postgres = min(parts, key=sum)
    return trial.timed(
        value=f"{ours * 1e3:.1f} ms ours, {postgres * 1e3:.1f} ms Postgres; {found} x the call",
        holds=found.at_most(_LIMIT),
        detail={"pulls": [list(each) for each in parts], "call": list(found.control)},
    )


async def _cpu(
    on: Stage,
    server: Cluster,
    step: Callable[[], Awaitable[None]],
    times: int,
    parts: list[tuple[float, float]],
) -> float:
    """Seconds of CPU for each step, this process's and Postgres', which are noted in `parts`."""
    ours, postgres = time.process_time(), server.cpu()
    for _ in range(times):
        await step()
    assert on.bridge.client.calls is not None
    await on.bridge.client.calls.flush()
    part = ((time.process_time() - ours) / times, (server.cpu() - postgres) / times)
    parts.append(part)
    return sum(part)


async def _server(on: Stage) -> Cluster:
    """The server behind the stage, for its CPU."""
    async with on.bridge.db.transaction() as tx:
        ((home,),) = await tx.execute("SHOW data_directory")
        ((version,),) = await tx.execute("SHOW server_version_num")
    return Cluster(url="", postmaster=_postmaster(home), version=version, counts_statements=False)


def _postmaster(home: str) -> psutil.Process:
    return psutil.Process(int(Path(home, "postmaster.pid").read_text().splitlines()[0]))
