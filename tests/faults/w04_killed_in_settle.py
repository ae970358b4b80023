"""W04: kill -9 in the settle of a batch."""

from __future__ import annotations

from functools import partial

from tests.faults.killing import cycle_through, killed
from tests.rows import RowResult, Trial, row


@row(
    "W04",
    title="kill -9 in a batch settle",
    goal="nothing acked is lost, no attempt number twice",
)
async def killed_in_settle(trial: Trial) -> RowResult:
    """Workers die before the statement, while it runs, and after it; a third of the messages are
    refused at first, so that batches hold all kinds of outcomes. The control writes attempts and
    ends rows in two transactions."""
    found = await killed(
        trial,
        trial.size.pick(small=8, medium=220),
        partial(cycle_through, ["unsettled", "settling", "settled"]),
        weak="torn",
        points=["between"],
        fail_first=["tries=1,answer=503,every=3"],
    )
    return RowResult(
        value=f"{found}, {found.total.twice} attempt numbers twice;"
        f" control: {found.control.twice} twice",
        holds=found.clean and found.control.twice > 0,
        detail=found.detail(),
    )
