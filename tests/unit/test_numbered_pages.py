"""Pages by number, followed by a header, in envelopes: read from a provider that moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import date as day
from email.utils import format_datetime
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.client.sign_in import SignIn, account_header
from landbridge.engine.sort import notices
from landbridge.errors import RecordError, Refused, SpecError, Unreachable
from landbridge.models.base import Address
from landbridge.models.payments import Customer, Product
from landbridge.protocols import Fetched, Page, Place, fetch, pull, write
from landbridge.resilience import classify
from landbridge.spec import (
    Accounts,
    ApiKey,
    Errors,
    Field,
    PageNumber,
    Provider,
    Resource,
    SinceHeader,
    Webhook,
    Write,
    date,
    hmac_base64,
    instant,
    map_from,
    map_to,
    picked,
    read_only,
    text,
    via,
)
from landbridge.wire import Headers, Request, Response

BOOK = Resource(
    name="Book",
    path="/Books",
    records="Books",
    key="BookID",
    envelope="Books",
    page=PageNumber(count="pagination.pageCount", size_param="pageSize", size=3),
    query={"order": "BookID"},
    since=SinceHeader(overlap=timedelta(seconds=60)),
    one="/Books/{id}",
    deleted="Status",
    deleted_words=["DELETED", "BURNT"],
    create=Write(path="/Books", method="PUT", envelope="Books", query={"summarizeErrors": "false"}),
    update=Write(path="/Books/{id}", envelope="Books"),
    delete=Write(path="/Books/{id}", sends={"Status": "DELETED"}),
    idempotency="Idempotency-Key",
    maps=map_to(Product, id=read_only(text("BookID")), name=text("Name")),
)
ACME = Provider(
    slug="acme",
    name="Acme",
    docs="https://acme.example/docs",
    checked="2026-11-22",
    auth=ApiKey(fields=[Field(name="key", label="Key")]),
    base="https://api.acme.example",
    accounts=Accounts(path="/who", list="", id="id", header="Acme-Tenant"),
    errors=Errors(
        message="Message",
        details="Elements[].Errors[].Message",
        in_record="Errors[].Message",
    ),
    resources=[BOOK],
)
PLACE = Place(base="https://api.acme.example")
START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Paper:
    """Books; a listing is in the order of `order`, which only `BookID` keeps still."""

    order: Callable[[dict[str, Any]], Any] = lambda book: book["BookID"]
    rng: Random = field(default_factory=lambda: Random(1))
    quiet_from: int = 10**9
    """From this row on, pages show nothing: a failure is swallowed."""
    time: float = START.timestamp()
    removes: float = 0.0
    """How likely it is that what happens is the removal of a book, of which nothing tells."""
    books: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def put(self, key: str, **more: Any) -> None:
        self.books[key] = {"BookID": key, "Name": f"at {self.time}", "at": self.time, **more}

    def move(self) -> None:
        """A second passes, and somebody writes something."""
        self.time += 1
        if self.books and self.rng.random() < self.removes:
            del self.books[self.rng.choice(sorted(self.books))]
        elif self.books and self.rng.random() < 0.6:
            self.put(self.rng.choice(sorted(self.books)))
        else:
            self.put(f"{self.rng.randrange(16**6):06x}")

    def answer(self, request: Request) -> Response:
        self.asked.append(request)
        query = dict(request.query)
        since = request.headers.get("If-Modified-Since")
        earliest = datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp() if since else 0
        found = sorted((b for b in self.books.values() if b["at"] >= earliest), key=self.order)
        size, page = int(query["pageSize"]), int(query["page"])
        if page * size >= self.quiet_from:
            return self.say({"pagination": {"pageCount": 0}, "Books": []})
        return self.say(
            {
                "pagination": {"page": page, "pageCount": -(-len(found) // size)},
                "Books": found[(page - 1) * size : page * size],
            }
        )

    def say(self, value: Any, status: int = 200) -> Response:
        when = datetime.fromtimestamp(self.time, UTC)
        return Response(
            status=status,
            headers=Headers({"Date": format_datetime(when, usegmt=True)}),
            body=msgspec.json.encode(value),
        )


def led(
    paper: Paper,
    cursor: dict[str, Any] | None,
    held: dict[str, Any],
    *,
    moves: int = 0,
    stop_after: int = 99,
) -> dict[str, Any]:
    """Pulls into `held` and gives the last cursor; `moves` happen before each answer."""
    reply: Response | None = None
    conversation = pull(ACME, BOOK, PLACE, cursor, paper.now)
    pages = 0
    while pages < stop_after:
        try:
            step = conversation.send(reply)
        except StopIteration:
            break
        except Unreachable:
            if not moves:
                raise
            break  # the list moved as fast as it was read; the next run goes on
        reply = None
        if isinstance(step, Page):
            pages += 1
            cursor = step.cursor
            held.update({one.key: one.value["Name"] for one in step.records})
            continue
        for _ in range(moves):
            paper.move()
        reply = paper.answer(step)
    assert cursor is not None
    return cursor


def truth(paper: Paper) -> dict[str, Any]:
    return {key: book["Name"] for key, book in paper.books.items()}


def by_id(book: dict[str, Any]) -> Any:
    return book["BookID"]


def by_change(book: dict[str, Any]) -> Any:
    return book["at"]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    moves=st.integers(0, 2),
    order=st.sampled_from([by_id, by_change]),
    removes=st.sampled_from([0.0, 0.3]),
)
def test_nothing_is_lost_while_the_pages_move(
    seed: int, moves: int, order: Callable[[dict[str, Any]], Any], removes: float
) -> None:
    paper = Paper(rng=Random(seed), order=order, removes=removes)
    for _ in range(25):
        paper.move()
    paper.time += 5000
    held: dict[str, Any] = {}
    cursor = led(paper, None, held, moves=moves, stop_after=paper.rng.randint(1, 4))
    for _ in range(3):
        cursor = led(paper, cursor, held, moves=moves, stop_after=40)
        paper.time += 5000
    for _ in range(2):
        cursor = led(paper, cursor, held)
    assert {key: held.get(key) for key in paper.books} == truth(paper)


def test_an_interrupted_listing_goes_on_at_its_page_and_the_next_asks_by_the_header() -> None:
    paper = Paper()
    for number in range(7):
        paper.put(f"{number}")
    paper.time += 5000
    held: dict[str, Any] = {}
    cursor = led(paper, None, held, stop_after=2)
    assert len(held) == 4
    cursor = led(paper, cursor, held, stop_after=3)
    asked = [(query["page"], query["pageSize"]) for query in map(dict, paper_queries(paper))]
    # Each page begins with a row of the one before: 0 1 2 | 2 3 | 3 4 5 | (3 4 5 and 6) ...
    assert asked[:3] == [("1", "3"), ("2", "2"), ("2", "3")]
    assert len(held) == 7
    assert "If-Modified-Since" not in paper.asked[0].headers
    paper.asked.clear()
    led(paper, cursor, held)
    (asked_again,) = paper.asked
    # 30 seconds for what settles late, 60 of overlap; whole seconds, as Xero reads them.
    assert asked_again.headers["If-Modified-Since"] == "2026-11-01T01:21:50"


def test_a_list_with_a_page_count_says_how_much_is_left_of_it() -> None:
    paper = Paper()
    for number in range(7):
        paper.put(f"{number}")
    conversation = pull(ACME, BOOK, PLACE, None, paper.now)
    step, left = next(conversation), list[int | None]()
    while not (isinstance(step, Page) and step.listed_all):
        if isinstance(step, Page):
            left.append(step.left)
        step = conversation.send(None if isinstance(step, Page) else paper.answer(step))
    left.append(step.left)
    # By whole pages of the size that was asked for: 9 of 3, 8 of 2, 9 of 3 and so on.
    assert (left[0], left[-1]) == (6, 0)
    assert left == sorted(left, key=lambda each: -(each or 0))


def paper_queries(paper: Paper) -> list[tuple[tuple[str, str], ...]]:
    return [request.query for request in paper.asked]


@dataclass
class Restless(Paper):
    """No record is the same twice."""

    def say(self, value: Any, status: int = 200) -> Response:
        for book in value.get("Books", ()):
            book["Seen"] = len(self.asked)
        return super().say(value, status)


def test_records_that_are_never_the_same_twice_are_read_all_the_same() -> None:
    paper = Restless()
    for number in range(20):
        paper.put(f"{number:02}")
    held: dict[str, Any] = {}
    led(paper, None, held)
    assert len(held) == 20
    assert len(paper.asked) < 40


def test_an_empty_page_in_the_middle_of_numbers_is_not_the_end() -> None:
    paper, held = Paper(), dict[str, Any]()
    for number in range(20):
        paper.put(f"{number:02}")
    cursor = led(paper, None, held, stop_after=4)
    paper.quiet_from = 10
    with pytest.raises(Unreachable, match="its last page brought nothing new"):
        led(paper, cursor, held)
    paper.quiet_from = 10**9
    led(paper, cursor, held)
    assert len(held) == 20


def test_nothing_modified_is_an_end() -> None:
    conversation = pull(ACME, BOOK, PLACE, {"since": 5000}, START)
    next(conversation)
    step = conversation.send(Response(status=304, headers=Headers({}), body=b""))
    assert isinstance(step, Page)
    assert (step.records, step.cursor["since"] > 5000) == ((), True)
    with pytest.raises(StopIteration):
        conversation.send(None)


def test_an_answer_without_a_page_count_is_no_listing() -> None:
    conversation = pull(ACME, BOOK, PLACE, None, START)
    next(conversation)
    with pytest.raises(Unreachable, match=r"does not say at pagination.pageCount"):
        conversation.send(Paper().say({"Books": []}))


def test_a_record_comes_out_of_its_envelope_and_a_word_says_that_it_is_deleted() -> None:
    def told(value: Any) -> Any:
        conversation = fetch(ACME, BOOK, PLACE, "b1")
        next(conversation)
        with pytest.raises(StopIteration) as end:
            conversation.send(Paper().say(value))
        return end.value.value

    found = told({"Id": "answer", "Books": [{"BookID": "b1", "Status": "SOLD"}]})
    assert isinstance(found, Fetched)
    assert (found.key, found.raw) == ("b1", b'{"BookID":"b1","Status":"SOLD"}')
    for word in ("DELETED", "BURNT"):
        assert told({"Books": [{"BookID": "b1", "Status": word}]}) is None
    with pytest.raises(Refused, match="nothing at Books"):
        told({"Books": []})
    with pytest.raises(SpecError, match="deleted_words"):
        Resource(name="x", path="/x", key="id", deleted_words=["GONE"])


def written(action: str, changes: dict[str, Any], answer: Any) -> tuple[Request, Any]:
    conversation = write(ACME, BOOK, PLACE, action, "b1", changes, None, "int_1")
    request = next(conversation)
    with pytest.raises(StopIteration) as end:
        conversation.send(Paper().say(answer))
    return request, end.value.value


def test_a_write_goes_and_comes_in_an_envelope() -> None:
    shown = {"Books": [{"BookID": "b7", "Name": "n"}]}
    request, left = written("create", {"Name": "n"}, shown)
    assert (request.method, request.full_url) == (
        "PUT",
        "https://api.acme.example/Books?summarizeErrors=false",
    )
    assert (request.body, request.headers["Idempotency-Key"]) == (
        b'{"Books":[{"Name":"n"}]}',
        "int_1",
    )
    assert (left.key, left.raw) == ("b7", b'{"BookID":"b7","Name":"n"}')
    request, _ = written("update", {"Name": "n"}, shown)
    assert (request.method, request.url) == ("POST", "https://api.acme.example/Books/b1")
    request, left = written("delete", {}, shown)
    assert (request.method, request.body) == ("POST", b'{"Status":"DELETED"}')
    assert request.headers["Content-Type"] == "application/json"
    assert left.raw is None


def test_a_record_that_was_refused_with_200_is_refused() -> None:
    wrong = {"Books": [{"BookID": "0", "Errors": [{"Message": "no name"}, {"Message": "bad"}]}]}
    with pytest.raises(Refused, match=r"Acme refused PUT api.acme.example/Books: no name; bad"):
        written("create", {"Name": ""}, wrong)


def test_a_refusal_tells_its_details() -> None:
    body = {"Message": "A validation exception", "Elements": [{"Errors": [{"Message": "no name"}]}]}
    request = Request(method="POST", url="https://api.acme.example/Books")
    outcome = classify(ACME.errors, request, Paper().say(body, 400), None)
    assert outcome.reply.message == "A validation exception: no name"
    outcome = classify(ACME.errors, request, Paper().say({"Elements": 7}, 400), None)
    assert outcome.reply.message == ""


def test_the_account_of_a_connection_is_named_by_a_header() -> None:
    assert account_header(ACME, SignIn(credentials={"key": "k"})) == {}


MADE = map_from(
    Product,
    name=text("name"),
    created_at=instant("at", dotnet=True, assume_utc=True),
)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("/Date(1419937200000+0000)/", datetime(2014, 12, 30, 11, tzinfo=UTC)),
        ("/Date(1419937200123+1300)/", datetime(2014, 12, 30, 11, 0, 0, 123000, tzinfo=UTC)),
        ("/Date(-1000)/", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2014-12-30T11:00:00", datetime(2014, 12, 30, 11, tzinfo=UTC)),
    ],
)
def test_instants_of_dotnet_are_read(sent: str, read: datetime) -> None:
    assert MADE.read({"name": "x", "at": sent}).created_at == read


@pytest.mark.parametrize("sent", ["/Date()/", "/Date(1)", "/Date(99999999999999999)/", "soon", 7])
def test_what_is_no_instant_is_a_fault(sent: Any) -> None:
    with pytest.raises(RecordError, match=r"Product.created_at: .* at"):
        MADE.read({"name": "x", "at": sent})


def test_dates_of_dotnet_are_read_and_written_as_text() -> None:
    row = date("Due", dotnet=True)
    scope: Any = None
    assert row.read({"Due": "/Date(1518652800000+0000)/"}, scope) == day(2018, 2, 15)
    assert row.read({"Due": "2018-02-15T00:00:00"}, scope) == day(2018, 2, 15)
    assert row.write is not None
    assert row.write(day(2018, 2, 15), None, scope) == "2018-02-15"


def test_an_item_is_picked_by_its_words() -> None:
    mapped = map_from(
        Customer,
        name=via(read=lambda record: record["n"], paths=["n"]),
        phone=picked("Phones", {"Type": "MOBILE"}, text("Number")),
        address=picked("Places", {"Type": "HOME"}, map_from(Address, city=text("c"))),
    )
    read = mapped.read(
        {
            "n": "Ann",
            "Phones": [{"Type": "FAX", "Number": "1"}, {"Type": "MOBILE", "Number": "2"}],
            "Places": [{"Type": "HOME", "c": "Graz"}],
        }
    )
    assert (read.phone, read.address) == ("2", Address(city="Graz"))
    assert mapped.read({"n": "Ann", "Phones": []}).phone is None
    assert {"Phones[].Type", "Phones[].Number", "Places[].c"} <= set(mapped.owned_paths)


def test_a_topic_is_put_together_and_an_instant_may_be_text() -> None:
    hook = Webhook(
        signature=hmac_base64("x-sig"),
        id="",
        topic="{category}.{type}",
        object_key="key",
        events="events",
        stamp="at",
    )
    event = {"category": "BOOK", "type": "UPDATE", "key": "b1", "at": "2025-12-02T00:44:09.923"}
    (notice,) = notices(hook, msgspec.json.encode({"events": [event]}))
    assert (notice.topic, notice.key) == ("BOOK.UPDATE", "b1")
    assert notice.occurred_at == datetime(2025, 12, 2, 0, 44, 9, 923000, tzinfo=UTC)
    with pytest.raises(RecordError, match="names no topic"):
        notices(hook, b'{"events": [{"category": "BOOK"}]}')
    assert notices(hook, msgspec.json.encode({"events": [{**event, "at": "x"}]}))[0].key == "b1"
