"""W03: kill -9 after the receiver's 2xx and before it is recorded."""

from __future__ import annotations

from functools import partial

from tests.faults.killing import cycle_through, killed
from tests.rows import RowResult, Trial, row


@row(
    "W03",
    title="kill -9 after 2xx, before it is recorded",
    goal="0 lost; a duplicate has the same id; each recorded once",
)
async def killed_before_recorded(trial: Trial) -> RowResult:
    """Each kill leaves at least one delivery that arrived and that we do not know of. The control
    takes rows out when it claims them, and never hears of it again."""
    found = await killed(
        trial,
        trial.size.pick(small=8, medium=220),
        partial(cycle_through, ["answered", "unsettled"]),
        weak="deletes",
        points=["answered", "unsettled"],
    )
    return RowResult(
        value=f"{found}; control: {found.control.unrecorded} unrecorded",
        holds=found.clean
        and all(each.duplicated > 0 for each in found.found.values())
        and found.control.unrecorded > 0,
        detail=found.detail(),
    )
