"""W02: kill -9 while posts are under way."""

from __future__ import annotations

from tests.faults.outbound import scene
from tests.rows import RowResult, Trial, row


@row("W02", title="kill -9 mid-HTTP", goal="redelivered after the lease, same id, same bytes")
async def killed_mid_http(trial: Trial) -> RowResult:
    """Some receivers take their time over the first try, so that workers die before, in and after
    the moment in which the receiver has taken it."""
    kills = trial.size.pick(small=8, medium=220)
    async with scene(fail_first=["tries=1,answer=slow,seconds=0.3,every=3"]) as stage:
        await stage.kill_cycles(trial.random, ["posting"], kills, step=trial.step)
        await stage.drain()
        found = await stage.reckon()
    return RowResult(
        value=f"{stage.kills} kills: {found}",
        holds=found.clean and found.duplicated > 0,
        detail={"kills": stage.kills, **vars(found)},
    )
