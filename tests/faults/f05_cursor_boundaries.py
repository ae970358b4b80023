"""F05: rows at the boundaries of cursors: equal stamps, late commits, skewed clocks, moving pages,
sync tokens that expire, the night on which clocks are set back."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec

from landbridge.spec import Resource
from landbridge.wire import Headers, Request, Response
from tests.faults.paged import SIZE, Copy, Source, entered, fixed, numbered, told
from tests.providers.mirror import Mirror
from tests.rows import RowResult, Trial, row
from tests.unit.test_dav_protocol import HOST, WORK, Server, text

LIMIT = 64 * 1024
_SETTLED = 400.0
"""Seconds after which nothing is hidden any more, and no overlap reaches back."""
_LATE = 100.0
"""Seconds that a commit may be late: less than every page's overlap."""
_CALENDARS = 900


class Plain:
    """The controls: pages by number one after the other, and the newest stamp that was met, asked
    for by `>` or `>=`."""

    def __init__(self, source: Source, compare: str):
        self._source = source
        self._compare = compare
        self._newest = 0
        self.held: dict[str, int] = {}

    def pull(self, moves: Any) -> None:
        """One run."""
        if self._compare == "page":
            self._by_number(moves)
        else:
            self._by_stamp(moves)

    def _by_number(self, moves: Any) -> None:
        page, pages = 1, 1
        while page <= pages:
            moves()
            query = (("page", str(page)), ("size", str(SIZE)))
            request = Request(method="GET", url="https://api.paged.example/numbered", query=query)
            answer = msgspec.json.decode(self._source.answer(request).body)
            self._take(answer["rows"])
            page, pages = page + 1, answer["pages"]

    def _by_stamp(self, moves: Any) -> None:
        while True:
            moves()
            rows = sorted(self._source.rows.values(), key=lambda each: (each["at"], each["id"]))
            least = self._newest + (self._compare == ">")
            found = [each for each in rows if each["at"] >= least][:SIZE]
            known = len(self.held), sum(self.held.values())
            self._take(found)
            self._newest = max((each["at"] for each in found), default=self._newest)
            if len(found) < SIZE or known == (len(self.held), sum(self.held.values())):
                return

    def _take(self, rows: list[dict[str, Any]]) -> None:
        for each in rows:
            self.held[each["id"]] = max(each["n"], self.held.get(each["id"], 0))

    def wrong(self) -> int:
        """Rows of the source that are not held as they are there."""
        return sum(self.held.get(key) != each["n"] for key, each in self._source.rows.items())


class ManyCalendars(Server):
    """An account with more calendars than a cursor has room for tokens."""

    def _propfind(self, path: str, request: Request) -> Response:
        if path not in ("/dav/jo/", "/dav/%6ao/"):
            return super()._propfind(path, request)
        kind = "<d:resourcetype><d:collection/><c:calendar/></d:resourcetype>"
        shown = "".join(
            f"<d:response><d:href>{path}{number:036}/</d:href><d:propstat><d:prop>{kind}"
            f"<d:sync-token>{self._long(number)}</d:sync-token></d:prop>"
            "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
            for number in range(_CALENDARS)
        )
        return _multi(shown)

    def _report(self, path: str, request: Request) -> Response:
        return _multi(
            f"<d:sync-token>{self._long(int(path.rstrip('/').rsplit('/')[-1]))}</d:sync-token>"
        )

    def _long(self, number: int) -> str:
        return f"https://cal.example.com/ns/sync/{number:060}"


def _multi(inside: str) -> Response:
    body = (
        '<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">'
        f"{inside}</d:multistatus>"
    )
    return Response(status=207, headers=Headers({}), body=body.encode())


@row(
    "F05",
    title="rows at cursors' boundaries: equal stamps, late commits, skew, moving pages, 410, DST",
    goal="at rest nothing is missing or old, nothing invented; a quiet pull costs one call and no"
    " row; cursors < 64 KB; each control loses rows",
)
async def boundaries(trial: Trial) -> RowResult:
    """Schedules by seed: each a way to follow, an order of the list, a clock, late commits; pulls
    that stop anywhere while rows are written, changed and removed; then quiet, and a comparison."""
    schedules = trial.size.pick(small=120, medium=2000)
    found: Counter[str] = Counter()
    longest = 0
    for number in range(schedules):
        trial.step(number, schedules)
        copy = _schedule(trial.seed + number)
        longest = max(longest, copy.longest)
        found["missing"] += copy.wrong()
        found["invented"] += copy.invented()
        found["not quiet"] += not _quiet(copy)
        found["given up"] += copy.failed
    controls = {word: _control(word, trial.seed, schedules // 4) for word in (">", ">=", "page")}
    expired = sum(_expired(status) for status in (403, 410))
    longest = max(longest, _many_calendars(), _long_keys(trial.seed))
    wrong = found["missing"] + found["invented"] + found["not quiet"] + expired
    lost = ", ".join(f"{word} {count}" for word, count in controls.items())
    return RowResult(
        value=f"{wrong} wrong in {schedules} schedules; longest cursor {longest} B; controls lost:"
        f" {lost}",
        holds=wrong == 0 and longest < LIMIT and all(controls.values()),
        detail={**found, "expired": expired, "longest": longest, "controls": controls},
    )


def _schedule(seed: int) -> Copy:
    rng = Random(seed)
    resource = rng.choice([numbered, numbered, fixed, told, entered])
    dates = rng.choice(["GMT", "GMT", "-0000", ""])
    source = Source(
        rng=rng,
        # Pages of a fixed size are sure only where new rows come last.
        order=rng.choice(["at", "id", "-at"]) if resource is numbered else "at",
        skew=rng.choice([0, 0, 200, -3600, 3600]),
        dates=dates,
        late=rng.choice([0, _LATE]),
    )
    with _zone(rng.choice(["UTC", "Europe/Berlin", "America/New_York"])):
        return _lived(source, resource, rng)


def _lived(source: Source, resource: Resource, rng: Random) -> Copy:
    only_new = resource is entered
    for _ in range(rng.choice([0, 30, 150])):
        source.write()
        source.pass_by(rng.choice([0, 1, 30]))
    copy = Copy(source=source, resource=resource)

    def moves() -> None:
        source.live(deletes=not only_new, only_new=only_new)

    for _ in range(rng.randint(1, 5)):
        copy.pull(moves=moves, pages=rng.choice([1, 2, 5, 60]))
        source.pass_by(rng.choice([0, 1, 60, 4000]))
    for _ in range(4):
        source.pass_by(_SETTLED)
        copy.pull()
    return copy


def _quiet(copy: Copy) -> bool:
    """Whether a pull long after everything costs one call, and shows no row."""
    copy.source.pass_by(200_000)
    copy.pull()
    copy.pull()
    calls, shown = copy.source.calls, copy.source.shown
    copy.pull()
    if not copy.source.dates:  # a day of it is read again
        return True
    return copy.source.calls - calls == 1 and (copy.source.shown == shown or not copy.source.rows)


def _control(compare: str, seed: int, schedules: int) -> int:
    lost = 0
    for number in range(schedules):
        source = Source(rng=Random(seed + number), order="id", late=_LATE)
        for _ in range(60):
            source.write()
            source.pass_by(1)
        plain = Plain(source, compare)
        for _ in range(4):
            plain.pull(source.live)
            source.pass_by(60)
        source.pass_by(_SETTLED)
        if compare != "page":  # a listing anew would show all; it is what is to be spared
            plain.pull(lambda: None)
            lost += plain.wrong()
        else:
            fresh = Plain(source, compare)
            fresh.pull(source.live)
            now = {key for key, each in source.rows.items() if each["at"] <= source.time - 60}
            lost += len(now - fresh.held.keys())
    return lost


def _expired(status: int) -> int:
    """Events that a mirror of a calendar lacks or has too many after its token expired."""
    server = Server(stale=status)
    for number in range(60):
        server.put(f"{number:03}.ics", text(f"u{number}"))
    mirror = Mirror(server, HOST)
    mirror.connect()
    mirror.pull()
    server.put("001.ics", text("u1", "changed"))
    server.remove("002.ics")
    server.first_token = len(server.log)
    mirror.pull()
    gone = set(mirror.records) - set(server.objects) - set(mirror.missing)
    stale = "changed" not in str(mirror.records[f"{WORK}001.ics"].raw)
    return len(set(server.objects) - set(mirror.records)) + len(gone) + stale


def _many_calendars() -> int:
    mirror = Mirror(ManyCalendars(), HOST)
    mirror.connect()
    mirror.pull()
    assert mirror.cursor is not None
    assert len(mirror.cursor["calendars"]) == _CALENDARS
    return len(msgspec.json.encode(mirror.cursor))


def _long_keys(seed: int) -> int:
    """The longest cursor where ids are as long as some providers' are."""
    source = Source(rng=Random(seed))
    copy = Copy(source=source, resource=told)
    for number in range(30):
        source.write(f"{number:0>255}")
    copy.pull()
    source.pass_by(_SETTLED)
    for number in range(600):
        source.write(f"{number % 30:0>255}")
        source.events[-1]["id"] = f"{number:e>255}"
    copy.pull()
    return copy.longest


@contextmanager
def _zone(name: str) -> Iterator[None]:
    """This process in a time zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()
