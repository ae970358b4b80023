"""A seeded simulator of a paged API whose rows move while they are read, a page for each way to
follow it, and a mirror of what was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any
from urllib.parse import urlsplit

import msgspec

from landbridge.errors import Unreachable
from landbridge.models.payments import Product
from landbridge.protocols import Page, Place, pull
from landbridge.spec import (
    AfterLast,
    ApiKey,
    CreatedSince,
    EventFeed,
    Field,
    PageNumber,
    Provider,
    Resource,
    SinceHeader,
    Sweep,
    map_to,
    read_only,
    text,
)
from landbridge.wire import Headers, Request, Response

SIZE = 20
"""Rows on a page."""
START = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
"""Half an hour before the clocks of Europe are set back."""
BASE = "https://api.paged.example"
_NUMBERS = PageNumber(count="pages", size_param="size", size=SIZE)
_KEYS = AfterLast(param="after", more="more", size=SIZE)
_OVERLAP = timedelta(minutes=2)


def rows(name: str, **facts: Any) -> Resource:
    """A resource of the simulator's rows, with these facts beside those that all have."""
    maps = map_to(Product, id=read_only(text("id")), name=text("name"))
    return Resource(name=name, path=f"/{name}", key="id", records="rows", maps=maps, **facts)


numbered = rows(
    "numbered", page=_NUMBERS, since=SinceHeader(overlap=_OVERLAP), one="/numbered/{id}"
)
fixed = rows(
    "fixed",
    page=PageNumber(count="pages", size=SIZE),
    since=SinceHeader(overlap=_OVERLAP),
    one="/fixed/{id}",
)
told = rows(
    "told",
    page=_KEYS,
    one="/told/{id}",
    topics=["row.written"],
    deletes=["row.deleted"],
    since=EventFeed(
        path="/events",
        records="rows",
        key="id",
        stamp="at",
        since_param="since",
        topic="type",
        object_key="about",
        page=_KEYS,
        reach=timedelta(days=30),
        overlap=_OVERLAP,
    ),
)
entered = rows(
    "entered", page=_KEYS, since=CreatedSince(param="since", stamp="at", overlap=_OVERLAP)
)
SWEPT_CALLS = 4
"""Calls an hour that may look for deletions."""
swept = rows(
    "swept",
    page=_NUMBERS,
    since=SinceHeader(overlap=_OVERLAP),
    one="/swept/{id}",
    sweep=Sweep(calls=24 * SWEPT_CALLS),
)
listed = rows("listed", page=_KEYS, one="/listed/{id}")
PAGED = Provider(
    slug="paged",
    name="Paged",
    docs="https://paged.example/docs",
    checked="2026-11-27",
    auth=ApiKey(fields=[Field(name="key", label="Key")]),
    base=BASE,
    resources=[numbered, fixed, told, entered, swept, listed],
)


@dataclass(kw_only=True)
class Source:
    """The simulator. Stamps are whole seconds of its own clock; `order` is that of its numbered
    lists: by `id`, or by `at`, oldest or (`-at`) newest change first."""

    rng: Random
    order: str = "id"
    skew: float = 0.0
    """How far our clock is ahead of its."""
    dates: str = "GMT"
    """How the Date header ends; empty: there is no such header."""
    late: float = 0.0
    """Seconds that what was written may stay hidden: transactions that commit late."""
    time: float = START
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    written: int = 0
    shown: int = 0
    calls: int = 0
    hides: Callable[[dict[str, Any]], bool] = lambda _row: False
    """Rows that no answer shows, as by a scope that was withdrawn."""
    unlisted: Callable[[dict[str, Any]], bool] = lambda _row: False
    """Rows that no list shows, as by a filter that was changed."""
    swallows: Callable[[Request], bool] = lambda _request: False
    """Questions that fail and are answered with 200 and an empty list."""
    merged: dict[str, str] = field(default_factory=dict)
    """Rows that were merged into another one, which is shown in their place."""
    _waiting: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        """What our clock says."""
        return datetime.fromtimestamp(self.time + self.skew, UTC)

    @property
    def shown_rows(self) -> dict[str, dict[str, Any]]:
        """The rows that are there, by key."""
        return {key: row for key, row in self.rows.items() if not self.hides(row)}

    def write(self, key: str | None = None) -> str:
        """A new row, or a change of one; it shows at once, or late."""
        self.written += 1
        number = self.written
        named = key or f"{self.rng.randrange(16**8):08x}"
        row: dict[str, Any] = {
            "id": named,
            "at": int(self.time),
            "n": number,
            "name": f"row {number}",
        }

        def commit() -> None:
            earlier = self.rows.get(named, row)
            if named not in self.removed and earlier["n"] <= number:
                self.rows[named] = row
                self._event("row.written", named, row["at"])

        self._commit(commit)
        return named

    def remove(self, key: str, *, told: bool = True) -> None:
        """Deletes a row for good, at once; `told`: with an event."""
        self.rows.pop(key, None)
        self.removed.add(key)
        if told:
            self._event("row.deleted", key, int(self.time))

    def live(self, *, deletes: bool = True, only_new: bool = False) -> None:
        """Something happens, or nothing, and time goes by."""
        for _ in range(self.rng.choice([0, 0, 1, 1, 2])):
            keys = sorted(self.rows)
            what = self.rng.random()
            if only_new or not keys or what < 0.3:
                self.write()
            elif what < 0.55 and deletes:
                self.remove(self.rng.choice(keys))
            else:
                self.write(self.rng.choice(keys))
        if self.rng.random() < 0.02:
            self.burst(only_new=only_new)
        self.pass_by(self.rng.choice([0, 0.3, 1, 5]))

    def burst(self, *, only_new: bool = False) -> None:
        """More rows than a page holds are written in the same second."""
        keys = sorted(self.rows)[: 3 * SIZE]
        for number in range(2 * SIZE + 3):
            self.write(None if only_new or number >= len(keys) else keys[number])

    def pass_by(self, seconds: float) -> None:
        """Time goes by, and what was to show by then shows."""
        self.time += seconds
        ripe = [commit for at, commit in self._waiting if at <= self.time]
        self._waiting = [each for each in self._waiting if each[0] > self.time]
        for commit in ripe:
            commit()

    def _commit(self, commit: Callable[[], None]) -> None:
        if self.late and self.rng.random() < 0.3:
            self._waiting.append((self.time + self.rng.uniform(0, self.late), commit))
        else:
            commit()

    def _event(self, topic: str, about: str, at: int) -> None:
        number = len(self.events) + 1
        self.events.append({"id": f"e{number}", "type": topic, "about": about, "at": at})

    def answer(self, request: Request) -> Response:
        """What it says now."""
        self.calls += 1
        query = dict(request.query)
        path = urlsplit(request.url).path.split("/")[1:]
        if self.swallows(request):
            return self._say(200, {"rows": [], "more": False, "pages": 0})
        shown = self.shown_rows
        match path:
            case ["events"]:
                newest = sorted(self.events, key=lambda each: each["at"])[::-1]
                return self._behind(newest, query)
            case [_, key] if self.merged.get(key, key) in shown:
                return self._say(200, shown[self.merged.get(key, key)])
            case [_, _]:
                return self._say(404, {"error": "there is no such row"})
        seen = [row for row in shown.values() if not self.unlisted(row)]
        if path in (["numbered"], ["fixed"], ["swept"]):
            return self._numbered(seen, query, request.headers.get("If-Modified-Since"))
        return self._behind(sorted(seen, key=lambda row: (-row["at"], row["id"])), query)

    def _numbered(
        self, seen: list[dict[str, Any]], query: dict[str, str], since: str | None
    ) -> Response:
        earliest = datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp() if since else 0
        seen = [row for row in seen if row["at"] >= earliest]
        sign = -1 if self.order == "-at" else 1
        seen.sort(
            key=lambda row: (row["id"],) if self.order == "id" else (sign * row["at"], row["id"])
        )
        size, page = int(query.get("size", SIZE)), int(query["page"])
        pages = -(-len(seen) // size)
        return self._rows(seen[(page - 1) * size : page * size], pages=pages)

    def _behind(self, seen: list[dict[str, Any]], query: dict[str, str]) -> Response:
        seen = [row for row in seen if row["at"] >= int(query.get("since", 0))]
        if after := query.get("after"):
            places = [place for place, row in enumerate(seen) if row["id"] == after]
            if not places:
                return self._say(404, {"error": "there is no such place"})
            seen = seen[places[0] + 1 :]
        size = int(query.get("limit", SIZE))
        return self._rows(seen[:size], more=len(seen) > size)

    def _rows(self, found: list[dict[str, Any]], **more: Any) -> Response:
        self.shown += len(found)
        return self._say(200, {"rows": found, **more})

    def _say(self, status: int, value: Any) -> Response:
        headers = {}
        if self.dates:
            at = format_datetime(datetime.fromtimestamp(self.time, UTC), usegmt=True)
            headers["Date"] = at.replace("GMT", self.dates)
        return Response(status=status, headers=Headers(headers), body=msgspec.json.encode(value))


@dataclass(kw_only=True)
class Copy:
    """What was read of a resource, kept as the engine keeps it; by our reading of it."""

    source: Source
    resource: Resource
    held: dict[str, int] = field(default_factory=dict)
    cursor: dict[str, Any] | None = None
    longest: int = 0
    """Bytes of the longest cursor."""
    failed: int = 0

    def pull(self, *, moves: Callable[[], None] | None = None, pages: int = 10**9) -> None:
        """Pulls to the end, or until so many pages came; `moves` is called before each answer."""
        step: Any = None
        conversation = pull(PAGED, self.resource, Place(base=BASE), self.cursor, self.source.now)
        reply: Any = None
        while pages > 0:
            try:
                step = conversation.send(reply)
            except StopIteration:
                return
            except Unreachable:
                self.failed += 1
                return
            reply = None
            if isinstance(step, Page):
                self._take(step)
                pages -= 1
                continue
            if moves is not None:
                moves()
            reply = self.source.answer(step)

    def _take(self, page: Page) -> None:
        text = msgspec.json.encode(page.cursor)
        self.longest = max(self.longest, len(text))
        self.cursor = msgspec.json.decode(text)
        for record in page.records:
            self.held[record.key] = max(record.value["n"], self.held.get(record.key, 0))
        for key in page.gone:
            self.held.pop(key, None)

    def wrong(self) -> int:
        """Rows of the source that are not held as they are there."""
        return sum(self.held.get(key) != row["n"] for key, row in self.source.rows.items())

    def invented(self) -> int:
        """Keys that are held and never were at the source."""
        return len(self.held.keys() - self.source.rows.keys() - self.source.removed)
