"""Where the reading of a paged list stands, and how the next page is read from there.

A list moves while it is read. By the last key (`AfterKey`) nothing is lost: if that key is gone
meanwhile, the page behind an earlier one is read. By numbers (`ByNumber`) a row that leaves a page
which was read pulls the others forward, and one of them into a page that is not read again. So
each page overlaps the one before, and has to show a row of it, unchanged: what lies behind that row
is then on this page. If it shows none, the reading goes back until one is shown.

A page without a row in the middle of a list is not believed: a swallowed error looks like that. It
is asked for again from a place before it, which has to show what was read there.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from landbridge.errors import Unreachable
from landbridge.protocols._answers import pluck, records
from landbridge.protocols._calls import call, page_query
from landbridge.protocols.values import Fetched, Place, Unreadable
from landbridge.resilience import expect
from landbridge.spec import (
    AfterLast,
    NextCursor,
    PageNumber,
    Paging,
    Provider,
    Resource,
    nested_at,
    patched,
)
from landbridge.wire import Request, Response

_TRAIL = 10
"""How many of the last rows are kept, to go on from when the very last is gone."""
_TRAIL_LETTERS = 16_000
"""Of their keys together; the last one is kept however long it is."""
_OVERLAP = 4
"""Rows that a page by number has in common with the one before, if the page is large."""
_STEPS = 4
"""How often a reading goes back by most of a page before it begins at the top."""
_RETURNS = 8
"""How often it goes back without coming further before it is given up for this time."""


@dataclass(frozen=True, kw_only=True)
class Portion:
    """What one page brought, less the rows that it had in common with the page before."""

    response: Response
    found: list[Fetched] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    last: bool = True
    empty: bool = False
    """The page showed no row at all, though it was allowed to."""
    left: int | None = None
    """Rows behind this page, where the list says how many pages it has."""
    lost: Unreachable | None = None
    """The error for a list that showed rows before and now shows none, not even from its top:
    nothing is known."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What is read: whose list, and what every question for a page of it says."""

    provider: Provider
    resource: Resource
    place: Place
    now: datetime
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    parse: bool = True
    """Whether each record is parsed at once: most of a full listing are as they were."""

    def ask(self, page: Sequence[tuple[str, str]]) -> Request:
        """The request for a page, from the parameters that say which."""
        query, path, how = [*self.query, *page], self.resource.path, self.resource.page
        if not isinstance(how, NextCursor) or not how.posts:
            return call(self.provider, self.place, "GET", path, query=query, headers=self.headers)
        headers = {**self.headers, "Content-Type": "application/json"}
        body = msgspec.json.encode(_body(how, query))
        return call(self.provider, self.place, "POST", path, headers=headers, body=body).having(
            reads=True
        )

    def rows(self, response: Response) -> tuple[list[Fetched], list[Unreadable]]:
        """The records of a page, and what of it is none."""
        path = self.resource.records
        return records(self.provider, self.resource, response, path, parse=self.parse)

    def gone_quiet(self, status: int) -> Unreachable:
        """The error for a list that shows nothing where it showed something."""
        return Unreachable(
            f"{self.provider.name} says that there are more {self.resource.name} records but does"
            " not give them: its last page brought nothing new; the pull goes on there later",
            status=status,
        )


Reading = Generator[Request, Response | None, Portion]


@dataclass(kw_only=True)
class AfterKey:
    """A list that is read behind the last key that came; a list on one page is one of these."""

    page: Paging
    trail: list[str]

    @property
    def begun(self) -> bool:
        """Whether the next page is not the first."""
        return bool(self.trail)

    @property
    def state(self) -> dict[str, Any]:
        """What the cursor keeps."""
        return {"after": list(self.trail)}

    def read(self, listed: Listed) -> Reading:
        """The next page; the place moves on with it."""
        continues = self.begun
        while True:
            after = self.trail[-1] if self.trail else None
            request = listed.ask(page_query(self.page, after))
            response = yield request
            assert response is not None
            if self.trail and response.status in (400, 404):
                self.trail.pop()
                continue
            expect(listed.provider, request, response, listed.now)
            if response.status == 304:
                return Portion(response=response)
            found, unreadable = listed.rows(response)
            more = isinstance(self.page, AfterLast) and (
                pluck(listed.provider, response, self.page.more, Any) is True
            )
            empty = not found and not unreadable
            if more and (not found or found[-1].key == after):
                raise listed.gone_quiet(response.status)
            if empty and self.trail:
                self.trail.pop()
                continue
            self.trail = _short([*self.trail, *(one.key for one in found)])
            return Portion(
                response=response,
                found=found,
                unreadable=unreadable,
                last=not more,
                empty=empty,
                lost=listed.gone_quiet(response.status) if empty and continues else None,
            )


@dataclass(kw_only=True)
class ByNumber:
    """A list that is read by the numbers of its pages."""

    page: PageNumber
    passed: int
    """Rows from the top of the list up to which everything was read."""
    trail: list[tuple[str, str]]
    """The last of these: key, and a mark of the content."""
    _anew: int = 0
    _furthest: int = 0
    _returns: int = 0

    @property
    def begun(self) -> bool:
        """Whether the next page is not the first."""
        return self.passed > 0

    @property
    def state(self) -> dict[str, Any]:
        """What the cursor keeps."""
        return {"passed": self.passed, "trail": [list(each) for each in self.trail]}

    def read(self, listed: Listed) -> Reading:
        """The next page, or an earlier one where the rows between are not sure; the place moves."""
        overlap = max(1, min(_OVERLAP, self.page.size // 10))
        back = overlap if self.begun else 0
        steps = 0
        while True:
            shown = yield from self._shown(listed, _numbers(self.page, self.passed, back))
            if isinstance(shown, Portion):
                return shown
            if shown.start == 0 or self._joins(shown.rows):
                return self._moved(listed, shown)
            self._returns, steps = self._returns + 1, steps + 1
            if self._returns > _RETURNS:
                raise listed.gone_quiet(shown.response.status)
            back += max(1, self.page.size * 3 // 4)
            if steps > _STEPS or back >= self.passed:
                back = self.passed
                self._anew += 1

    def _shown(
        self, listed: Listed, numbers: list[tuple[int, int]]
    ) -> Generator[Request, Response | None, _Shown | Portion]:
        """The rows of these pages, in the order of the list; a portion: nothing was modified."""
        parts: list[list[Fetched | Unreadable]] = []
        count, told = 0, None
        for number, size in numbers:
            request = listed.ask(_query(self.page, number, size))
            response = yield request
            assert response is not None
            expect(listed.provider, request, response, listed.now)
            if response.status == 304:
                return Portion(response=response)
            told = told or response
            count = max(count, self._count(listed, response))
            found, unreadable = listed.rows(response)
            parts.append([*found, *unreadable])
        assert told is not None
        (number, size), rows = numbers[0], [row for part in reversed(parts) for row in part]
        if not parts[0] and (number < count or 1 < number == count):
            raise listed.gone_quiet(told.status)
        start = (numbers[-1][0] - 1) * size
        last = number >= count
        end = start + len(rows) if last else number * size
        left = 0 if last else count * size - end
        return _Shown(response=told, rows=rows, start=start, end=end, last=last, left=left)

    def _count(self, listed: Listed, response: Response) -> int:
        count = pluck(listed.provider, response, self.page.count, Any)
        if not isinstance(count, int):
            raise Unreachable(
                f"{listed.provider.name} does not say at {self.page.count} how many pages of"
                f" {listed.resource.name} there are; the pull goes on there later",
                status=response.status,
            )
        return count

    def _joins(self, rows: Sequence[Fetched | Unreadable]) -> bool:
        """Whether one of the rows was on the page before, and has not changed (where the list is in
        the order of changes it would be elsewhere). After it was begun anew twice the key alone
        counts, as there are records that are never the same twice."""
        fetched = [row for row in rows if isinstance(row, Fetched)]
        keys = {key for key, _ in self.trail}
        if self._anew > 1:
            return any(row.key in keys for row in fetched)
        return any(row.key in keys and (row.key, _mark(row)) in self.trail for row in fetched)

    def _moved(self, listed: Listed, shown: _Shown) -> Portion:
        lost = not shown.rows and self.begun
        known, keys = set(self.trail), {key for key, _ in self.trail}
        fetched: dict[str, Fetched] = {}
        for row in shown.rows:
            if isinstance(row, Fetched):
                fetched.setdefault(row.key, row)
        self.passed = shown.end
        if self.passed > self._furthest:
            self._furthest, self._returns = self.passed, 0
        latest = [*fetched.values()][-_TRAIL:]
        self.trail = [(row.key, _mark(row)) for row in latest] or self.trail
        while len(self.trail) > 1 and sum(len(key) for key, _ in self.trail) > _TRAIL_LETTERS:
            self.trail.pop(0)
        return Portion(
            response=shown.response,
            found=[
                row
                for row in fetched.values()
                if row.key not in keys or (row.key, _mark(row)) not in known
            ],
            unreadable=[row for row in shown.rows if isinstance(row, Unreadable)],
            last=shown.last,
            empty=not shown.rows,
            left=shown.left,
            lost=listed.gone_quiet(shown.response.status) if lost else None,
        )


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """Rows of a list from `start` up to `end`, counted from its top."""

    response: Response
    rows: list[Fetched | Unreadable]
    start: int
    end: int
    last: bool
    left: int


def _body(page: NextCursor, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The parameters as a body of JSON."""
    words: dict[str, Any] = {"true": True, "false": False}
    body: dict[str, Any] = {}
    for path, word in query:
        value = page.size if path == page.size_param else words.get(word, word)
        listed = path.endswith("[]")
        body = patched(body, nested_at(path.removesuffix("[]"), [value] if listed else value))
    return body


def _numbers(page: PageNumber, passed: int, back: int) -> list[tuple[int, int]]:
    """The pages (number, size) to read next, in this order, so that together they begin at least
    `back` rows before the end of what was read, and lead on as far as they can.

    They overlap by another size of the page. Where it is fixed, they are two: the page before is
    read after the one behind it, and so shows what was pulled into it.
    """
    start = max(0, passed - back)
    if start == 0:
        return [(1, page.size)]
    if page.size_param:
        sizes = range(page.size, (page.size - 1) // 2, -1)
        number, size = max(((start // size + 1, size) for size in sizes), key=_end)
        if number * size > passed:
            return [(number, size)]
    before = start // page.size + 1
    return [(before + 1, page.size), (before, page.size)]


def _end(each: tuple[int, int]) -> int:
    number, size = each
    return number * size


def _query(page: PageNumber, number: int, size: int) -> list[tuple[str, str]]:
    sized = [(page.size_param, str(size))] if page.size_param else []
    return [*sized, (page.param, str(number))]


def _mark(row: Fetched) -> str:
    return blake2b(row.raw, digest_size=6).hexdigest()


def _short(keys: list[str]) -> list[str]:
    """The last of the keys, as many as a cursor has room for."""
    kept = keys[-_TRAIL:]
    while len(kept) > 1 and sum(map(len, kept)) > _TRAIL_LETTERS:
        kept.pop(0)
    return kept
