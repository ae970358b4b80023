"""Where the reading of a list by statements of a query language stands (`Statement`).

A row that is deleted from a part that was read pulls the others forward. So each page begins a few
rows before the end of what was read and has to show one of those rows: what lies behind it is then
on this page. If it shows none, the reading goes back until one is shown, at last to the top, from
where all is read again. The list has ended when nothing lies behind the last row that was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from landbridge.errors import Unreachable
from landbridge.protocols._places import Listed, Portion, Reading
from landbridge.protocols.values import Fetched, Unreadable
from landbridge.resilience import expect
from landbridge.spec import Statement
from landbridge.wire import Response

_TRAIL = 20
"""How many of the last keys are kept, to be recognised by the next page."""
_OVERLAP = 4
"""Rows that a page has in common with the one before, if the page is large."""


@dataclass(kw_only=True)
class ByStatement:
    """A list that is read by the places of its rows."""

    page: Statement
    passed: int
    """Rows from the top of the list up to which everything was read."""
    trail: list[str]
    """The keys of the last of these."""

    @property
    def begun(self) -> bool:
        """Whether a page showed a record."""
        return bool(self.trail)

    @property
    def state(self) -> dict[str, Any]:
        """What the cursor keeps."""
        return {"passed": self.passed, "trail": list(self.trail)}

    def read(self, listed: Listed) -> Reading:
        """The next page, or an earlier one where the rows between are not sure; the place moves."""
        back = min(self.passed, max(1, min(_OVERLAP, self.page.size // 4)))
        known = {key: number for number, key in enumerate(self.trail)}
        while True:
            start = self.passed - back
            request = listed.ask([(self.page.param, self._text(start))])
            response = yield request
            assert response is not None
            expect(listed.provider, request, response, listed.now)
            found, unreadable = listed.rows(response)
            met = [number for number, row in enumerate(found) if row.key in known]
            if met or not self.trail or (start == 0 and found):
                behind = found[met[-1] + 1 :] if met else found
                last = not behind and not (unreadable and start + len(found) >= self.passed)
                return self._moved(response, start, found, unreadable, last=last)
            if start == 0:
                return Portion(response=response, empty=True, lost=_lost(listed, response.status))
            back = min(self.passed, back + max(1, self.page.size * 3 // 4))

    def _moved(
        self,
        response: Response,
        start: int,
        found: list[Fetched],
        unreadable: list[Unreadable],
        *,
        last: bool,
    ) -> Portion:
        known = set(self.trail)
        new = [row for row in found if row.key not in known]
        if not last:
            self.passed = start + len(found) + len(unreadable)
            self.trail = [*self.trail, *(row.key for row in new)][-_TRAIL:]
        return Portion(response=response, found=new, unreadable=unreadable, last=last, empty=last)

    def _text(self, start: int) -> str:
        told = self.page.text.replace("{start}", str(self.page.first + start))
        return told.replace("{size}", str(self.page.size))


def _lost(listed: Listed, status: int) -> Unreachable:
    return Unreachable(
        f"{listed.provider.name} showed {listed.resource.name} records and now shows none, not even"
        " from the top of the list; all is listed again later",
        status=status,
    )
