"""The full listing of a resource by statements of a query language, page by page (`Statement`).

A row that is deleted from a part that was read pulls the others forward. So each page begins a few
rows before the end of what was read and has to show one of those rows: what lies behind it is then
on this page. If it shows none, the reading goes back until one is shown, at last to the top, from
where all is read again. The list has ended when nothing lies behind the last row that was read.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from landbridge.errors import Unreachable
from landbridge.protocols._answers import records
from landbridge.protocols._calls import call
from landbridge.protocols._listing import provider_time
from landbridge.protocols.values import Fetched, Page, Place, Unreadable
from landbridge.resilience import expect
from landbridge.spec import Provider, Resource, Statement
from landbridge.wire import Request, Response

_TRAIL = 20
"""How many of the last keys are kept, to be recognised by the next page."""
_OVERLAP = 4
"""Rows that a page has in common with the one before, if the page is large."""


def list_statement(
    provider: Provider,
    resource: Resource,
    page: Statement,
    place: Place,
    cursor: dict[str, Any],
    now: datetime,
) -> Generator[Request | Page, Response | None, dict[str, Any]]:
    """Every record, page by page; gives the cursor that the last page carries.

    That cursor is empty where the list showed no record at all: it is listed again next time.
    """
    listing = str(cursor.get("listing") or int(now.timestamp() * 1000))
    began: int | None = cursor.get("began")
    passed, trail = int(cursor.get("passed", 0)), list(cursor.get("trail", ()))
    while True:
        shown = yield from _joined(provider, resource, page, place, now, passed, trail)
        if began is None:
            began = provider_time(shown.response, now)
        known = set(trail)
        new = [row for row in shown.found if row.key not in known]
        last = not shown.behind
        state: dict[str, Any] = {"since": began} if resource.since and trail else {}
        if not last:
            passed = shown.end
            trail = [*trail, *(row.key for row in new)][-_TRAIL:]
            state = {"listing": listing, "began": began, "passed": passed, "trail": trail}
        yield Page(
            records=tuple(new),
            unreadable=tuple(shown.unreadable),
            cursor=state,
            listing=listing,
            listed_all=last,
        )
        if last:
            return state


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """The rows of a page that joins what was read."""

    response: Response
    found: list[Fetched]
    unreadable: list[Unreadable]
    end: int
    """How many rows of the list lie up to the end of this page."""
    behind: bool
    """Whether a row lies behind the last one that was read."""


def _joined(
    provider: Provider,
    resource: Resource,
    page: Statement,
    place: Place,
    now: datetime,
    passed: int,
    trail: list[str],
) -> Generator[Request | Page, Response | None, _Shown]:
    """The next page, or an earlier one where the rows between are not sure."""
    back = min(passed, max(1, min(_OVERLAP, page.size // 4)))
    known = {key: number for number, key in enumerate(trail)}
    while True:
        start = passed - back
        query = [*resource.query.items(), (page.param, _text(page, start))]
        request = call(provider, place, "GET", resource.path, query=query)
        response = yield request
        assert response is not None
        expect(provider, request, response, now)
        found, unreadable = records(provider, resource, response, resource.records)
        met = [number for number, row in enumerate(found) if row.key in known]
        if met or not trail or (start == 0 and found):
            behind = found[met[-1] + 1 :] if met else found
            return _Shown(
                response=response,
                found=found,
                unreadable=unreadable,
                end=start + len(found) + len(unreadable),
                behind=bool(behind) or (bool(unreadable) and start + len(found) >= passed),
            )
        if start == 0:
            yield Page(records=(), cursor={})
            raise Unreachable(
                f"{provider.name} showed {resource.name} records and now shows none, not even from"
                " the top of the list; all is listed again later",
                status=response.status,
            )
        back = min(passed, back + max(1, page.size * 3 // 4))


def _text(page: Statement, start: int) -> str:
    told = page.text.replace("{start}", str(page.first + start))
    return told.replace("{size}", str(page.size))
