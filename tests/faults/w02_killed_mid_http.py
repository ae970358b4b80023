"""W02: kill -9 while posts are under way."""

from __future__ import annotations

from functools import partial

from tests.faults.killing import cycle_through, killed
from tests.rows import RowResult, Trial, row


@row(
    "W02",
    title="kill -9 mid-HTTP",
    goal="redelivered after the lease, same id, same bytes",
)
async def killed_mid_http(trial: Trial) -> RowResult:
    """Some receivers take their time over the first try, so that workers die before, in and after
    the moment in which the receiver has taken it. The control takes rows out when it claims
    them."""
    found = await killed(
        trial,
        trial.size.pick(small=8, medium=220),
        partial(cycle_through, ["posting"]),
        weak="deletes",
        points=["posting"],
        fail_first=["tries=1,answer=slow,seconds=0.3,every=3"],
    )
    return RowResult(
        value=f"{found}; control: {found.control.lost} lost",
        holds=found.clean and found.duplicated > 0 and found.control.lost > 0,
        detail=found.detail(),
    )
