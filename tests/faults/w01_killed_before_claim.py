"""W01: kill -9 after the commit and before the claim."""

from __future__ import annotations

from tests.faults.outbound import scene
from tests.rows import RowResult, Trial, row


@row(
    "W01",
    title="kill -9 after the accept's commit, before the claim",
    goal="every committed event is delivered, nobody has to act",
)
async def killed_before_claim(trial: Trial) -> RowResult:
    """Emitters die in and after their commit, dispatchers in and after the move, workers with
    claims that they have not looked at."""
    kills = trial.size.pick(small=8, medium=220)
    rng = trial.random
    async with scene() as stage:
        while stage.kills < kills:
            pid = await stage.emitter(
                transactions=6,
                each=4,
                point=rng.choice(["committed", "committing"]),
                after=rng.randint(1, 6),
            )
            await stage.until_killed(pid, within=10)
            pid = await stage.worker(point=rng.choice(["moving", "moved", "claimed"]), after=1)
            await stage.until_killed(pid, within=1)
            trial.step(stage.kills, kills)
        await stage.drain()
        found = await stage.reckon()
    return RowResult(
        value=f"{stage.kills} kills: {found}",
        holds=found.clean,
        detail={"kills": stage.kills, **vars(found)},
    )
