"""W01: kill -9 after the commit and before the claim."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.faults.killing import killed
from tests.faults.outbound import Scene
from tests.rows import RowResult, Trial, row


@row(
    "W01",
    title="kill -9 after the accept's commit, before the claim",
    goal="every committed event is delivered, nobody has to act",
)
async def killed_before_claim(trial: Trial) -> RowResult:
    """Emitters die in and after their commit, dispatchers in and after the move, workers with
    claims that they have not looked at. The control takes rows out when it claims them."""
    found = await killed(
        trial,
        trial.size.pick(small=8, medium=220),
        _cycle,
        weak="deletes",
        points=["claimed"],
    )
    return RowResult(
        value=f"{found}; control: {found.control.lost} lost",
        holds=found.clean and found.control.lost > 0,
        detail=found.detail(),
    )


async def _cycle(stage: Scene, rng: Random, kills: int, step: Callable[[int, int], None]) -> None:
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
        step(stage.kills, kills)
