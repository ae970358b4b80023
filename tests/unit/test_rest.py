"""Pulls over REST, led against a provider of paper that moves while it is read."""

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.errors import InvalidInput, Refused, Throttled, Unreachable
from landbridge.models.payments import Product
from landbridge.protocols import Fetched, Page, Place, fetch, identify, pull, write
from landbridge.spec import (
    Accounts,
    AfterLast,
    ApiKey,
    CreatedSince,
    Errors,
    EventFeed,
    Field,
    OnePage,
    Provider,
    Resource,
    Write,
    map_to,
    read_only,
    text,
)
from landbridge.wire import Headers, Request, Response

PAGE = AfterLast(param="after", more="more", size=3)
FEED = EventFeed(
    path="/events",
    records="list",
    key="id",
    stamp="at",
    since_param="since",
    topic="type",
    types_param="type",
    object_key="about",
    page=PAGE,
    reach=timedelta(days=30),
)
THING = Resource(
    name="thing",
    path="/things",
    key="id",
    records="list",
    page=PAGE,
    query={"status": "all"},
    one="/things/{id}",
    since=FEED,
    topics=["thing.made", "thing.changed"],
    deletes=["thing.deleted"],
    deleted="deleted",
    version="rev",
    create=Write(path="/things"),
    update=Write(path="/things/{id}", method="PUT"),
    delete=Write(path="/things/{id}", method="DELETE"),
    idempotency="Once",
    marker="meta.mark",
    maps=map_to(Product, id=read_only(text("id")), name=text("name")),
)
ENTRY = Resource(
    name="entry",
    path="/entries",
    key="id",
    records="list",
    page=PAGE,
    since=CreatedSince(param="since", stamp="at"),
)
SETTING = Resource(name="setting", path="/settings", key="id", page=OnePage())
ACME = Provider(
    slug="acme",
    name="Acme",
    docs="https://acme.example/docs",
    checked="2026-11-22",
    auth=ApiKey(fields=[Field(name="key", label="Key")]),
    base="https://api.acme.example",
    headers={"Api-Version": "7"},
    errors=Errors(message="error", code="code", missing=["missing"]),
    accounts=Accounts(path="/me", id="account.id", name="account.name", live="live"),
    resources=[THING, ENTRY, SETTING],
)
PLACE = Place(base="https://api.acme.example")
START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Paper:
    """A provider on paper: things that change, events about them, entries that are only added."""

    rng: Random = field(default_factory=lambda: Random(1))
    time: float = START.timestamp()
    skew: float = 0.0
    dated: bool = True
    latest: float = 0.0
    """How long an event may stay hidden."""
    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    made: int = 0
    told: int = 0

    @property
    def now(self) -> datetime:
        """What our own clock says."""
        return datetime.fromtimestamp(self.time + self.skew, UTC)

    def event(self, kind: str, about: str) -> None:
        self.told += 1
        self.events.append(
            {
                "id": f"e{self.told:05}",
                "at": int(self.time),
                "type": f"thing.{kind}",
                "about": about,
                "shown": self.time + self.rng.random() * self.latest,
            }
        )

    def make(self) -> str:
        self.made += 1
        key = f"t{self.made:05}"
        self.things[key] = {"id": key, "rev": 1, "name": f"n{self.made}", "at": int(self.time)}
        self.event("made", key)
        return key

    def change(self, key: str) -> None:
        self.things[key] = self.things[key] | {"rev": self.things[key]["rev"] + 1}
        self.event("changed", key)

    def delete(self, key: str) -> None:
        del self.things[key]
        self.event("deleted", key)

    def enter(self) -> None:
        self.entries.append({"id": f"x{len(self.entries):05}", "at": int(self.time)})

    def live(self) -> None:
        """Something happens, or nothing, and some time goes by."""
        for _ in range(self.rng.choice([0, 0, 0, 1, 2])):
            keys = sorted(self.things)
            what = self.rng.choice(["make", "change", "change", "delete", "enter"])
            if what == "make" or not keys:
                self.make()
            elif what == "enter":
                self.enter()
            elif what == "change":
                self.change(self.rng.choice(keys))
            else:
                self.delete(self.rng.choice(keys))
        self.time += self.rng.choice([0, 0.2, 1, 3, 40])

    def answer(self, request: Request) -> Response:
        self.asked.append(request)
        query = dict(request.query)
        path = request.url.removeprefix(PLACE.base)
        match path.split("/")[1:]:
            case ["things"]:
                assert query["status"] == "all"
                return self.listed(list(self.things.values()), query)
            case ["entries"]:
                return self.listed(self.entries, query)
            case ["events"]:
                wanted = [value for key, value in request.query if key == "type"]
                assert wanted == ["thing.made", "thing.changed", "thing.deleted"]
                shown = [each for each in self.events if each["shown"] <= self.time]
                return self.listed(shown, query)
            case ["things", key] if key in self.things:
                return self.response(200, self.things[key])
            case ["settings"]:
                return self.response(200, [{"id": "s1"}, {"id": 7}])
        return self.response(404, {"error": "no such thing", "code": "missing"})

    def listed(self, rows: list[dict[str, Any]], query: dict[str, str]) -> Response:
        """Newest first; of equal age, the one that was made last."""
        rows = [row for row in reversed(rows) if row["at"] >= int(query.get("since", 0))]
        after = query.get("after")
        if after:
            keys = [row["id"] for row in rows]
            if after not in keys:
                return self.response(400, {"error": "no such cursor", "code": "missing"})
            rows = rows[keys.index(after) + 1 :]
        return self.response(200, {"list": rows[:3], "more": len(rows) > 3})

    def response(self, status: int, value: Any) -> Response:
        at = datetime.fromtimestamp(self.time, UTC)
        headers = {"Date": format_datetime(at, usegmt=True)} if self.dated else {}
        return Response(status=status, headers=Headers(headers), body=msgspec.json.encode(value))


@dataclass
class Mirror:
    """What we hold of a resource, kept as the engine keeps it."""

    paper: Paper
    resource: Resource
    held: dict[str, Any] = field(default_factory=dict)
    cursor: dict[str, Any] | None = None
    met: dict[str, set[str]] = field(default_factory=dict)
    pages: list[Page] = field(default_factory=list)
    longest_cursor: int = 0

    def pull(self, *, stop_after: int = 10**9, moving: bool = False) -> None:
        """Pulls until the end, or until so many pages; the world may move between the steps."""
        conversation = pull(ACME, self.resource, PLACE, self.cursor, self.paper.now)
        step = next(conversation, None)
        while step is not None and stop_after > 0:
            reply = None
            if isinstance(step, Page):
                self.take(step)
                stop_after -= 1
            else:
                reply = self.paper.answer(step)
            if moving:
                self.paper.live()
            try:
                step = conversation.send(reply)
            except StopIteration:
                return

    def take(self, page: Page) -> None:
        self.pages.append(page)
        text = msgspec.json.encode(page.cursor)
        self.longest_cursor = max(self.longest_cursor, len(text))
        self.cursor = msgspec.json.decode(text)
        for record in page.records:
            assert msgspec.json.decode(record.raw) == record.value
            self.held[record.key] = record.value
        for key in page.gone:
            self.held.pop(key, None)
        if page.listing:
            met = self.met.setdefault(page.listing, set())
            met |= {record.key for record in page.records}
            if page.listed_all:
                for key in set(self.held) - met:
                    if self.one(key) is None:
                        del self.held[key]

    def one(self, key: str) -> Fetched | None:
        return led(self.paper, fetch(ACME, self.resource, PLACE, key))  # type: ignore[no-any-return]


def led(paper: Paper, conversation: Generator[Any, Any, Any]) -> Any:
    request = next(conversation)
    while True:
        try:
            request = conversation.send(paper.answer(request))
        except StopIteration as end:
            return end.value


def filled(count: int, **facts: Any) -> tuple[Paper, Mirror]:
    paper = Paper(**facts)
    for _ in range(count):
        paper.make()
        paper.enter()
        paper.time += 100
    return paper, Mirror(paper=paper, resource=THING)


def test_the_first_pull_lists_everything_and_says_when_it_is_done() -> None:
    paper, mirror = filled(7)
    mirror.pull()
    assert mirror.held == paper.things
    listing = [page for page in mirror.pages if page.listing]
    assert [len(page.records) for page in listing] == [3, 3, 1]
    assert [page.listed_all for page in listing] == [False, False, True]
    assert len({page.listing for page in listing}) == 1
    assert mirror.pages[0].records[0].version == "1"
    assert all(request.headers["Api-Version"] == "7" for request in paper.asked)
    assert paper.asked[1].query == (("status", "all"), ("limit", "3"), ("after", "t00005"))


def test_later_pulls_read_events_and_each_object_once() -> None:
    paper, mirror = filled(4)
    mirror.pull()
    paper.time += 4000
    paper.change("t00001")
    paper.change("t00001")
    paper.make()
    paper.delete("t00002")
    paper.asked.clear()
    mirror.pull()
    assert mirror.held == paper.things
    fetched = [request.url for request in paper.asked if "/things/" in request.url]
    assert sorted(fetched) == [f"{PLACE.base}/things/t0000{n}" for n in (1, 5)]
    assert not any(page.listing for page in mirror.pages[-2:])


def test_nothing_new_costs_one_question_and_no_record() -> None:
    paper, mirror = filled(4)
    mirror.pull()
    for _ in range(3):
        paper.time += 30
        paper.asked.clear()
        mirror.pull()
        assert len(paper.asked) == 1
        assert mirror.pages[-1].records == ()


def test_an_event_that_was_acted_on_is_not_acted_on_again() -> None:
    paper, mirror = filled(2)
    mirror.pull()
    paper.time += 1000
    paper.change("t00001")
    mirror.pull()
    paper.time += 10
    paper.asked.clear()
    mirror.pull()
    assert [request.url for request in paper.asked] == [f"{PLACE.base}/events"]


def test_an_event_of_the_same_second_that_shows_late_is_not_lost() -> None:
    paper, mirror = filled(2)
    mirror.pull()
    paper.time += 1000
    paper.change("t00001")
    paper.change("t00002")
    paper.events[-1]["shown"] = paper.time + 200
    mirror.pull()
    assert mirror.held != paper.things
    paper.time += 201
    mirror.pull()
    assert mirror.held == paper.things


def test_a_listing_goes_on_where_it_stopped() -> None:
    paper, mirror = filled(8)
    mirror.pull(stop_after=1)
    paper.asked.clear()
    mirror.pull()
    assert dict(paper.asked[0].query)["after"] == "t00006"
    assert mirror.held == paper.things
    assert len({page.listing for page in mirror.pages if page.listing}) == 1


def test_a_listing_whose_place_is_gone_goes_on_from_one_before_it() -> None:
    for gone in (["t00006"], ["t00006", "t00007"], ["t00006", "t00007", "t00008"]):
        paper, mirror = filled(8)
        mirror.pull(stop_after=1)
        for key in gone:
            paper.delete(key)
        mirror.pull()
        assert mirror.held == paper.things


def test_reading_events_goes_on_where_it_stopped_or_begins_anew() -> None:
    for gone in (False, True):
        paper, mirror = filled(9)
        mirror.pull()
        paper.time += 1000
        for key in sorted(paper.things):
            paper.change(key)
        mirror.pull(stop_after=1)
        place = (mirror.cursor or {})["after"][-1]
        if gone:
            paper.events = [each for each in paper.events if each["id"] != place]
        paper.time += 10
        paper.make()
        mirror.pull()
        paper.time += 1
        mirror.pull()
        assert mirror.held == paper.things


def test_events_that_come_while_a_long_reading_goes_on_are_read_next_time() -> None:
    paper, mirror = filled(9)
    mirror.pull()
    paper.time += 1000
    for key in sorted(paper.things):
        paper.change(key)
    mirror.pull(stop_after=1)
    paper.change("t00001")
    paper.time += 3000
    mirror.pull()
    paper.time += 3000
    mirror.pull()
    assert mirror.held == paper.things


def test_what_the_provider_has_forgotten_is_found_by_listing_all() -> None:
    paper, mirror = filled(4)
    mirror.pull()
    paper.delete("t00001")
    paper.change("t00002")
    paper.time += timedelta(days=31).total_seconds()
    paper.events.clear()
    mirror.pull()
    assert mirror.held == paper.things
    assert any(page.listing for page in mirror.pages[-3:])
    paper.time += timedelta(days=20).total_seconds()
    pages = len(mirror.pages)
    mirror.pull()
    paper.time += timedelta(days=20).total_seconds()
    mirror.pull()
    assert not any(page.listing for page in mirror.pages[pages:])


def test_entries_that_never_change_are_followed_by_their_time() -> None:
    paper, mirror = filled(7)
    mirror.resource = ENTRY
    mirror.pull()
    paper.time += 5000
    for _ in range(5):
        paper.enter()
    paper.asked.clear()
    mirror.pull()
    assert len(mirror.held) == 12
    assert sum(len(page.records) for page in mirror.pages[-len(paper.asked) :]) == 5
    paper.time += 1
    paper.enter()
    mirror.pull()
    assert len(mirror.held) == 13
    assert [len(page.records) for page in mirror.pages[-2:]] == [1, 0]


def test_what_cannot_be_followed_is_listed_each_time() -> None:
    paper, mirror = filled(1)
    mirror.resource = SETTING
    for _ in range(2):
        mirror.pull()
        assert sorted(mirror.held) == ["7", "s1"]
        assert mirror.pages[-1].listed_all
        assert mirror.cursor == {}
    assert len(paper.asked) == 2
    with pytest.raises(Refused, match="Acme cannot read a single setting"):
        next(fetch(ACME, SETTING, PLACE, "s1"))


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_nothing_is_lost_whatever_moves_while_it_is_read(seed: int, data: st.DataObject) -> None:
    paper, mirror = filled(
        data.draw(st.integers(0, 9)),
        rng=Random(seed),
        skew=data.draw(st.sampled_from([0, 0, -3600, 3600, 200])),
        dated=data.draw(st.booleans()),
        latest=data.draw(st.sampled_from([0, 0, 200])),
    )
    other = Mirror(paper=paper, resource=ENTRY)
    for stop_after in data.draw(st.lists(st.sampled_from([1, 2, 3, 50]), max_size=6)):
        mirror.pull(stop_after=stop_after, moving=True)
        other.pull(stop_after=stop_after, moving=True)
        paper.time += data.draw(st.sampled_from([0, 1, 400, 90_000, 2_000_000]))
    for _ in range(3):
        paper.time += 250
        mirror.pull()
        other.pull()
    assert mirror.held == paper.things
    assert sorted(other.held) == [row["id"] for row in paper.entries]
    assert mirror.longest_cursor < 64_000


def test_the_cursor_stays_small_however_much_happens() -> None:
    paper, mirror = filled(1)
    mirror.pull()
    paper.time += 1000
    for _ in range(1000):
        paper.change("t00001")
    mirror.pull()
    paper.time += 1
    mirror.pull()
    assert mirror.held == paper.things
    assert mirror.longest_cursor < 64_000


def test_what_is_no_record_is_set_aside_and_the_rest_goes_on() -> None:
    conversation = pull(ACME, THING, PLACE, None, START)
    next(conversation)
    last = b'{"id": "t1", "rev": "a", "deleted": true}'
    body = b'{"list": [{"name": "no id"}, 7, ' + last + b'], "more": false}'
    page = conversation.send(Response(status=200, body=body))
    assert isinstance(page, Page)
    assert [(one.raw, one.field, one.reason) for one in page.unreadable] == [
        (b'{"name": "no id"}', "id", "thing: no key at id"),
        (b"7", "id", "thing: no key at id"),
    ]
    assert [(one.key, one.version, one.deleted) for one in page.records] == [("t1", "a", True)]


def test_an_object_that_may_not_be_read_is_set_aside() -> None:
    paper, mirror = filled(3)
    mirror.pull()
    paper.time += 1000
    paper.change("t00001")
    paper.change("t00002")
    conversation = pull(ACME, THING, PLACE, mirror.cursor, paper.now)
    step = next(conversation)
    while isinstance(step, Request):
        refused = step.url.endswith("t00002")
        step = conversation.send(Response(status=403) if refused else paper.answer(step))
    assert [record.key for record in step.records] == ["t00001"]
    assert [(one.key, one.reason[:13]) for one in step.unreadable] == [("t00002", "Acme refused ")]


def quiet(paper: Paper, path: str) -> Any:
    """Answers as the provider does, but with an empty list where a failure was swallowed."""

    def answer(request: Request) -> Response:
        if request.url.endswith(path):
            return paper.response(200, {"list": [], "more": False})
        return paper.answer(request)

    return answer


def pulled(mirror: Mirror, answer: Any) -> None:
    conversation = pull(ACME, mirror.resource, PLACE, mirror.cursor, mirror.paper.now)
    step = next(conversation, None)
    while step is not None:
        reply = None
        if isinstance(step, Page):
            mirror.take(step)
        else:
            reply = answer(step)
        try:
            step = conversation.send(reply)
        except StopIteration:
            return


@pytest.mark.parametrize("path", ["/things", "/events", "/entries"])
def test_an_empty_page_in_the_middle_of_a_list_is_not_its_end(path: str) -> None:
    paper, mirror = filled(9)
    mirror.resource = ENTRY if path == "/entries" else THING
    if path != "/things":
        mirror.pull()
        paper.time += 5000
        for key in sorted(paper.things):
            paper.change(key)
            paper.enter()
    paper.asked.clear()
    with pytest.raises(Unreachable, match="its last page brought nothing new"):
        pulled(mirror, lambda request: quiet_but_first(paper, path, request))
    paper.time += 7000
    mirror.pull()
    wanted = {row["id"]: row for row in paper.entries} if path == "/entries" else paper.things
    assert mirror.held == wanted


def quiet_but_first(paper: Paper, path: str, request: Request) -> Response:
    """All is empty after the first page, the first page too when it is asked for again."""
    if any(each.url.endswith(path) for each in paper.asked) and request.url.endswith(path):
        return paper.response(200, {"list": [], "more": False})
    return paper.answer(request)


def test_what_an_empty_answer_hid_is_in_the_next_one_that_shows_something() -> None:
    paper, mirror = filled(4)
    mirror.pull()
    paper.time += 4000
    paper.change("t00001")
    pulled(mirror, quiet(paper, "/events"))
    paper.time += 40_000
    pulled(mirror, quiet(paper, "/events"))
    assert mirror.held != paper.things
    paper.time += 4000
    mirror.pull()
    assert mirror.held == paper.things


def test_a_first_listing_without_a_record_is_made_again() -> None:
    paper, mirror = filled(4)
    pulled(mirror, quiet(paper, "/things"))
    assert (mirror.held, mirror.cursor) == ({}, {})
    paper.time += 40_000
    mirror.pull()
    assert mirror.held == paper.things


def test_a_record_that_was_merged_into_another_is_gone() -> None:
    paper, mirror = filled(2)
    mirror.pull()
    paper.time += 1000
    paper.change("t00001")
    paper.things["t00001"] = paper.things["t00002"]
    mirror.pull()
    assert set(mirror.held) == {"t00002"}


def test_a_cursor_holds_long_keys_in_bounds() -> None:
    paper, mirror = filled(1)
    mirror.pull()
    paper.time += 1000
    for number in range(600):
        paper.change("t00001")
        paper.events[-1]["id"] = f"{number}".rjust(300, "e")
    mirror.pull()
    paper.time += 1
    paper.asked.clear()
    mirror.pull()
    assert mirror.longest_cursor < 64_000
    assert mirror.held == paper.things


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (Response(status=200, body=b"<html>"), Unreachable, "Acme answered 200 in a form that its"),
        (Response(status=200, body=b'{"list": 7}'), Unreachable, "Acme answered 200 in a form"),
        (
            Response(status=200, body=b'{"list": [], "more": true}'),
            Unreachable,
            "Acme says that there are more thing records but does not give them",
        ),
        (Response(status=429), Throttled, "Acme is over its quota"),
        (Response(status=400, body=b'{"error": "bad limit"}'), Refused, "(400): bad limit"),
    ],
)
def test_an_answer_that_is_no_listing_ends_the_pull(
    answer: Response, error: type[Exception], sentence: str
) -> None:
    conversation = pull(ACME, THING, PLACE, None, START)
    next(conversation)
    with pytest.raises(error) as caught:
        conversation.send(answer)
    assert sentence in str(caught.value)


def test_a_page_that_repeats_itself_ends_the_pull() -> None:
    body = b'{"list": [{"id": "t1"}], "more": true}'
    conversation = pull(ACME, THING, PLACE, None, START)
    next(conversation)
    assert isinstance(conversation.send(Response(status=200, body=body)), Page)
    assert isinstance(conversation.send(None), Request)
    with pytest.raises(Unreachable, match="its last page brought nothing new"):
        conversation.send(Response(status=200, body=body))


def test_one_record_is_there_gone_or_marked_as_deleted() -> None:
    paper, mirror = filled(1)
    there = mirror.one("t00001")
    assert there is not None
    assert (there.value, there.version) == (paper.things["t00001"], "1")
    assert mirror.one("nothing") is None
    paper.things["t00001"]["deleted"] = True
    assert mirror.one("t00001") is None
    with pytest.raises(Refused, match="Acme answered with no thing: thing: no key at id"):
        answered(fetch(ACME, THING, PLACE, "t1"), Response(status=200, body=b"{}"))
    with pytest.raises(Refused, match=r"\(404\)"):
        answered(fetch(ACME, THING, PLACE, "t1"), Response(status=404, body=b"<html>"))


def test_a_key_cannot_leave_its_place_in_a_path() -> None:
    request = next(fetch(ACME, THING, PLACE, "a/../b?c"))
    assert request.url == f"{PLACE.base}/things/a%2F..%2Fb%3Fc"


def answered(conversation: Generator[Request, Response, Any], response: Response) -> Any:
    next(conversation)
    try:
        conversation.send(response)
    except StopIteration as end:
        return end.value
    raise AssertionError("it asks for more")


def test_a_new_record_carries_the_intent_twice_over() -> None:
    changes = {"name": "a", "meta": {"b": 1}}
    conversation = write(ACME, THING, PLACE, "create", "", changes, None, "int_1")
    request = next(conversation)
    assert (request.method, request.url) == ("POST", f"{PLACE.base}/things")
    assert request.headers["Once"] == "int_1"
    assert request.headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(request.body) == {"name": "a", "meta": {"b": 1, "mark": "int_1"}}
    assert changes == {"name": "a", "meta": {"b": 1}}
    left = answered(
        write(ACME, THING, PLACE, "create", "", changes, None, "int_1"),
        Response(status=201, body=b'{"id": "t9", "rev": 4}'),
    )
    assert (left.key, left.raw, left.version) == ("t9", b'{"id": "t9", "rev": 4}', "4")


def test_a_put_sends_the_whole_record_with_the_changes_in_it() -> None:
    base = b'{"id": "t1", "name": "a", "own": 0.10}'
    request = next(write(ACME, THING, PLACE, "update", "t1", {"name": "b"}, base, "int_2"))
    assert (request.method, request.url) == ("PUT", f"{PLACE.base}/things/t1")
    assert request.body == b'{"id":"t1","meta":{"mark":"int_2"},"name":"b","own":0.10}'


def test_an_answer_that_shows_no_record_is_a_write_all_the_same() -> None:
    conversation = write(ACME, THING, PLACE, "update", "t1", {"name": "b"}, None, "int_2")
    left = answered(conversation, Response(status=204))
    assert (left.key, left.raw) == ("t1", None)


def test_deleting_what_is_gone_succeeds() -> None:
    gone = Response(status=404, body=b'{"code": "missing"}')
    for response in (Response(status=204), gone):
        conversation = write(ACME, THING, PLACE, "delete", "t1", {}, None, "int_3")
        assert answered(conversation, response).raw is None
    conversation = write(ACME, THING, PLACE, "delete", "t1", {}, None, "int_3")
    with pytest.raises(Refused):
        answered(conversation, Response(status=403))


def test_what_the_page_does_not_allow_is_not_tried() -> None:
    with pytest.raises(InvalidInput, match="entry: cannot create it; the provider allows nothing"):
        next(write(ACME, ENTRY, PLACE, "create", "", {}, None, "int_4"))
    with pytest.raises(
        InvalidInput, match="thing: cannot merge it; the provider allows create, up"
    ):
        next(write(ACME, THING, PLACE, "merge", "", {}, None, "int_4"))


def test_an_account_is_known_by_its_id() -> None:
    body = b'{"account": {"id": 17, "name": "Acme Ltd"}, "live": true}'
    account = answered(identify(ACME, PLACE), Response(status=200, body=body))
    assert (account.id, account.name, account.live) == ("17", "Acme Ltd", True)
    with pytest.raises(InvalidInput, match=r"Acme names no account at account.id"):
        answered(identify(ACME, PLACE), Response(status=200, body=b"{}"))
