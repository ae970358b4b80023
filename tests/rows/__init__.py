"""Rows: what `make faults`, `make bench` and `make peers` measure, one function each.

    from tests.rows import RowResult, Trial, row

    @row("W01", title="kill -9 between the commit and the claim", goal="0 lost")
    async def killed_before_claim(trial: Trial) -> RowResult:
        kills = trial.size.pick(small=5, medium=50)
        ...
        return RowResult(value=f"{lost} lost of {sent}", holds=lost == 0, detail={"sent": sent})

A row stands in any module of `tests/faults`, `tests/bench` or `tests/peers`; standing there is
all that registers it.
"""

from tests.rows._pairs import Comparison, compared, pairs
from tests.rows._row import Row, RowResult, Size, Trial, row
from tests.rows._run import main

__all__ = ["Comparison", "Row", "RowResult", "Size", "Trial", "compared", "main", "pairs", "row"]
