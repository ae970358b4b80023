"""Lists that have to be asked for a range of time (`InRanges`), range by range, oldest first.

The cursor keeps the range under way and the place in its list; once all are read, the time up to
which they reach. From there, less the overlap, the next pull goes on. Nothing is ever missing in
such a list: what it leaves out is only too old for it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from landbridge.errors import Refused
from landbridge.protocols._listing import DOUBT, place_of, written
from landbridge.protocols._places import Listed
from landbridge.protocols.values import Page, Place
from landbridge.spec import InRanges, Provider, Resource
from landbridge.wire import Request, Response

_SHORTEST = int(timedelta(minutes=10).total_seconds())
"""A range that is not made shorter, however much is in it."""


def list_ranges(
    provider: Provider,
    resource: Resource,
    place: Place,
    cursor: dict[str, Any],
    now: datetime,
    *,
    begin: datetime | None = None,
    end: datetime | None = None,
) -> Generator[Request | Page, Response | None, None]:
    """What there is since the cursor; without one from `begin` on (None: as far back as it goes).

    `end` is where it stops (None: now). A range with more rows than the provider lists is halved.
    """
    since = resource.since
    assert isinstance(since, InRanges)
    ranges = _Ranges.of(since, cursor, now, begin, end)
    state = cursor
    while True:
        asked = {
            since.since: written(ranges.at, "iso"),
            since.until: written(ranges.stop, "iso"),
        }
        query = [*{**resource.query, **asked}.items()]
        listed = Listed(provider=provider, resource=resource, place=place, now=now, query=query)
        reached = place_of(resource.page, state)
        state = {}
        while True:
            try:
                portion = yield from reached.read(listed)
            except Refused as error:
                if error.code not in since.too_many or not ranges.halved():
                    raise
                break
            if portion.lost:
                yield Page(records=(), cursor=ranges.state)
                raise portion.lost
            ranges.shown = ranges.shown or bool(portion.found or portion.unreadable)
            kept = {**ranges.state, **reached.state}
            if portion.last:
                kept = ranges.passed()
            yield Page(
                records=tuple(portion.found), unreadable=tuple(portion.unreadable), cursor=kept
            )
            if portion.last:
                break
        if ranges.over:
            return


@dataclass(kw_only=True)
class _Ranges:
    """Which range is under way (unix seconds), and how far they go."""

    at: int
    until: int
    span: int
    longest: int
    shown: bool
    over: bool = False

    @classmethod
    def of(
        cls,
        since: InRanges,
        cursor: dict[str, Any],
        now: datetime,
        begin: datetime | None,
        end: datetime | None,
    ) -> _Ranges:
        earliest = int((now - since.reach).timestamp())
        until = int(cursor.get("until") or min(end or now, now).timestamp())
        if "at" in cursor:
            at = int(cursor["at"])
        elif "since" in cursor:
            at = int(cursor["since"]) - int(since.overlap.total_seconds())
        else:
            at = int(begin.timestamp()) if begin else earliest
        longest = int(since.span.total_seconds())
        return cls(
            at=min(max(at, earliest), until),
            until=until,
            span=int(cursor.get("span") or longest),
            longest=longest,
            shown=bool(cursor.get("shown")),
        )

    @property
    def stop(self) -> int:
        """The end of the range under way."""
        return min(self.at + self.span, self.until)

    @property
    def state(self) -> dict[str, Any]:
        """What the cursor keeps of it."""
        return {"at": self.at, "until": self.until, "span": self.span, "shown": self.shown}

    def halved(self) -> bool:
        """Makes the range shorter; False: it is as short as it gets."""
        if self.span <= _SHORTEST:
            return False
        self.span = max((self.stop - self.at) // 2, _SHORTEST)
        return True

    def passed(self) -> dict[str, Any]:
        """Goes on behind the range that was read; the cursor for that."""
        self.at, self.span = self.stop, self.longest
        self.over = self.at >= self.until
        if not self.over:
            return self.state
        return {"since": self.until if self.shown else self.until - DOUBT}
