"""W03: kill -9 after the receiver's 2xx and before it is recorded."""

from __future__ import annotations

from tests.faults.outbound import scene
from tests.rows import RowResult, Trial, row


@row(
    "W03",
    title="kill -9 after 2xx, before it is recorded",
    goal="0 lost; a duplicate has the same id; each recorded once",
)
async def killed_before_recorded(trial: Trial) -> RowResult:
    """Each kill leaves at least one delivery that arrived and that we do not know of."""
    kills = trial.size.pick(small=8, medium=220)
    async with scene() as stage:
        await stage.kill_cycles(trial.random, ["answered", "unsettled"], kills, step=trial.step)
        await stage.drain()
        found = await stage.reckon()
    return RowResult(
        value=f"{stage.kills} kills: {found}",
        holds=found.clean and found.duplicated > 0,
        detail={"kills": stage.kills, **vars(found)},
    )
