"""W04: kill -9 in the settle of a batch."""

from __future__ import annotations

from tests.faults.outbound import scene
from tests.rows import RowResult, Trial, row


@row(
    "W04",
    title="kill -9 in a batch settle",
    goal="nothing acked is lost, no attempt number twice",
)
async def killed_in_settle(trial: Trial) -> RowResult:
    """Workers die before the statement, while it runs, and after it; a third of the messages are
    refused at first, so that batches hold all kinds of outcomes."""
    kills = trial.size.pick(small=8, medium=220)
    async with scene(fail_first=["tries=1,answer=503,every=3"]) as stage:
        await stage.kill_cycles(
            trial.random, ["unsettled", "settling", "settled"], kills, step=trial.step
        )
        await stage.drain()
        found = await stage.reckon()
    return RowResult(
        value=f"{stage.kills} kills: {found}, {found.twice} attempt numbers twice",
        holds=found.clean,
        detail={"kills": stage.kills, **vars(found)},
    )
