"""Lists by statements of a query language, changes in one answer, and writes that carry a version:
read from, and written to, a provider that moves."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from random import Random
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed_copy

from landbridge.engine.connect import base_of
from landbridge.errors import (
    Conflict,
    InvalidInput,
    OutcomeUnknown,
    Refused,
    SpecError,
    Unreachable,
)
from landbridge.models.payments import Product, Refund
from landbridge.oauth import AppClient, revoke
from landbridge.protocols import Page, Place, fetch, identify_all, pull, write
from landbridge.resilience import classify
from landbridge.spec import (
    Accounts,
    ApiKey,
    ChangedSince,
    Errors,
    Field,
    OAuth2,
    Provider,
    Resource,
    Statement,
    Write,
    boxed,
    currency,
    major,
    map_to,
    read_only,
    text,
    via,
)
from landbridge.wire import Headers, Request, Response

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SINCE = ChangedSince(
    path="/changes",
    param="since",
    query={"of": "Book"},
    records="Answer[].Parts[].Book",
    most=6,
    reach=timedelta(days=30),
)
BOOK = Resource(
    name="Book",
    path="/query",
    records="Found.Book",
    key="Id",
    envelope="Book",
    version="Token",
    page=Statement(param="q", text="select * from Book from {start} most {size}", size=4),
    since=SINCE,
    one="/book/{id}",
    deleted="status",
    deleted_words=["Deleted"],
    create=Write(path="/book"),
    update=Write(path="/book", key_at="Id", version_at="Token", sends={"sparse": True}),
    delete=Write(path="/book", key_at="Id", version_at="Token", query={"do": "delete"}),
    idempotency="requestid",
    idempotency_in="query",
    maps=map_to(Product, id=read_only(text("Id")), name=text("Name")),
)
ACME = Provider(
    slug="acme",
    name="Acme",
    docs="https://acme.example/docs",
    checked="2026-11-22",
    auth=OAuth2(
        authorize="https://acme.example/consent",
        token="https://acme.example/token",
        revoke="https://acme.example/revoke",
        revoke_body="json",
        access_lives=timedelta(hours=1),
        account_param="company",
    ),
    accounts=Accounts(path="/about/{account}", id="About.Id", name="About.Name"),
    base="https://api.acme.example/{account}",
    errors=Errors(
        message="Fault.Error[].Message",
        code="Fault.Error[].code",
        in_ok="Fault",
        stale=["stale"],
        missing=["missing"],
        missing_status=400,
    ),
    resources=[BOOK],
)
PLACE = Place(base="https://api.acme.example/c1")


@dataclass(kw_only=True)
class Shop:
    """Books that a statement lists in the order of their ids."""

    books: dict[int, str] = field(default_factory=dict)
    changed: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Response:
        self.asked.append(request)
        if request.url.endswith("/changes"):
            parts = [{"Other": []}, {"Book": self.changed}] if self.changed else [{}]
            return told({"Answer": [{"Parts": parts}]})
        words = dict(request.query)["q"].split()
        start, size = int(words[5]) - 1, int(words[7])
        rows = [{"Id": str(key), "Name": self.books[key]} for key in sorted(self.books)]
        shown = rows[start : start + size]
        return told({"Found": {"Book": shown} if shown else {}})


def told(value: Any, status: int = 200) -> Response:
    date = {"Date": format_datetime(NOW, usegmt=True)}
    return Response(status=status, headers=Headers(date), body=json.dumps(value).encode())


def pages(shop: Shop, cursor: Any = None) -> Generator[Page, None, None]:
    conversation = pull(ACME, BOOK, PLACE, cursor, NOW)
    reply: Response | None = None
    while True:
        try:
            step = conversation.send(reply)
        except StopIteration:
            return
        reply = None
        if isinstance(step, Page):
            yield step
        else:
            reply = shop.answer(step)


def led(conversation: Generator[Request, Response, Any], *answers: Response) -> tuple[Any, Any]:
    """The requests of a conversation, and its result."""
    made = [next(conversation)]
    for answer in answers:
        try:
            made.append(conversation.send(answer))
        except StopIteration as end:
            return made, end.value
    raise AssertionError(f"more was asked: {made[-1]}")


def shop_of(count: int) -> Shop:
    return Shop(books={number: f"b{number}" for number in range(1, count + 1)})


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9])
def test_a_list_by_statements_is_read_to_its_end(count: int) -> None:
    shop = shop_of(count)
    got = list(pages(shop))
    keys = [one.key for page in got for one in page.records]
    assert keys == [str(number) for number in range(1, count + 1)]
    ended = [page for page in got if page.listed_all]
    assert len(ended) == 1
    assert ("since" in ended[0].cursor) == bool(count)
    assert shop.asked[0].full_url.startswith(f"{PLACE.base}/query?q=select")
    assert dict(shop.asked[0].query)["q"] == "select * from Book from 1 most 4"


@settings(max_examples=150)
@given(seed=st.integers(0, 10**6))
def test_no_book_is_lost_whatever_moves_while_the_list_is_read(seed: int) -> None:
    """Between pages books are deleted anywhere and some are new; the reading may stop anywhere."""
    rng, shop = Random(seed), shop_of(30)
    stayed, met, cursor = set(shop.books), set(), None
    while True:
        ended = False
        for page in pages(shop, cursor):
            met |= {int(one.key) for one in page.records}
            cursor = json.loads(json.dumps(page.cursor))
            ended = page.listed_all
            for key in rng.sample(sorted(shop.books), min(len(shop.books), rng.randint(0, 5))):
                if len(shop.books) > 3 and rng.random() < 0.4:
                    del shop.books[key]
                    stayed.discard(key)
            if rng.random() < 0.3:
                shop.books[max(shop.books) + 1] = "new"
            if ended or rng.random() < 0.3:
                break
        if ended:
            break
    assert stayed <= met


def test_a_list_that_shows_nothing_any_more_is_begun_anew() -> None:
    shop = shop_of(9)
    first = next(pages(shop))
    shop.books = {}
    reading = pages(shop, first.cursor)
    assert next(reading).cursor == {}
    with pytest.raises(Unreachable, match="showed Book records and now shows none"):
        next(reading)


def test_changes_come_in_one_answer_with_what_is_deleted() -> None:
    shop = shop_of(0)
    began = int(NOW.timestamp()) - 3600
    shop.changed = [{"Id": "7", "Name": "x"}, {"Id": "8", "status": "Deleted"}]
    (page,) = pages(shop, {"since": began})
    assert [(one.key, one.deleted) for one in page.records] == [("7", False), ("8", True)]
    assert dict(shop.asked[0].query) == {"of": "Book", "since": "2026-11-22T10:59:00Z"}
    assert page.cursor == {"since": int(NOW.timestamp()) - 30}
    assert (page.listing, page.listed_all) == (None, False)
    shop.changed = []  # nothing at all may be a swallowed error
    (quiet,) = pages(shop, page.cursor)
    assert quiet.cursor == page.cursor
    (long,) = pages(shop, {"since": began - 5 * 86_400})
    assert long.cursor == {"since": int(NOW.timestamp()) - 30 - 86_400}


def test_a_full_answer_or_an_old_place_leads_to_a_list_of_all() -> None:
    shop = shop_of(2)
    shop.changed = [{"Id": str(number)} for number in range(6)]
    cursor = {"since": int(NOW.timestamp()) - 60}
    got = list(pages(shop, cursor))
    assert got[0].cursor == cursor
    assert [page.listed_all for page in got] == [False, False, True]
    old = list(pages(shop, {"since": int((NOW - timedelta(days=30)).timestamp())}))
    assert [page.listing is not None for page in old[:2]] == [True, True]


def test_a_change_names_the_record_its_version_and_the_intent() -> None:
    base = json.dumps({"Id": "7", "Token": "3", "Name": "x"}).encode()
    answer = told({"Book": {"Id": "7", "Token": "4", "Name": "y"}, "time": "now"})
    (made,), written = led(
        write(ACME, BOOK, PLACE, "update", "7", {"Name": "y"}, base, "int_1"), answer
    )
    assert json.loads(made.body) == {"sparse": True, "Id": "7", "Token": "3", "Name": "y"}
    assert (made.full_url, written.version) == (f"{PLACE.base}/book?requestid=int_1", "4")
    (made,), _ = led(write(ACME, BOOK, PLACE, "delete", "7", {}, base, "int_2"), told({}))
    assert json.loads(made.body) == {"Id": "7", "Token": "3"}
    assert made.full_url == f"{PLACE.base}/book?do=delete&requestid=int_2"
    with pytest.raises(InvalidInput, match="in which version"):
        next(write(ACME, BOOK, PLACE, "update", "7", {"Name": "y"}, None, "int_3"))
    (made,), written = led(write(ACME, BOOK, PLACE, "create", "", {"Name": "n"}, None, "i"), answer)
    assert (json.loads(made.body), written.key) == ({"Name": "n"}, "7")


def fault(code: str) -> Any:
    return {"Fault": {"Error": [{"Message": "so it is", "code": code}], "type": "x"}}


@pytest.mark.parametrize("status", [200, 400])
def test_a_refusal_is_one_under_any_status(status: int) -> None:
    base = json.dumps({"Id": "7", "Token": "3"}).encode()

    def change(answer: Response) -> Any:
        return led(write(ACME, BOOK, PLACE, "update", "7", {"Name": "y"}, base, "int_1"), answer)

    with pytest.raises(Conflict, match="so it is"):
        change(told(fault("stale"), status))
    with pytest.raises(Refused, match=r"\(\d+ 6000\): so it is"):
        change(told(fault("6000"), status))
    assert led(fetch(ACME, BOOK, PLACE, "7"), told(fault("missing"), status))[1] is None
    gone = led(write(ACME, BOOK, PLACE, "delete", "7", {}, base, "i"), told(fault("missing"), 400))
    assert gone[1].raw is None
    words = told({"Book": {"Id": "7", "Name": "no Fault of ours"}})
    assert led(fetch(ACME, BOOK, PLACE, "7"), words)[1].key == "7"


def test_a_parameter_that_makes_a_write_repeatable_counts_like_a_header() -> None:
    plain = Request(method="POST", url="https://a.example/x")
    keyed = plain.having(query=(("requestid", "1"),))
    for request, error in ((plain, "Unknown"), (keyed, "Retry")):
        outcome = classify(ACME.errors, request, None, None, idempotency="requestid")
        assert type(outcome).__name__ == error
    unknown = classify(ACME.errors, plain, told({}, 503), None, idempotency="requestid").error("A")
    assert isinstance(unknown, OutcomeUnknown)


def test_an_address_with_the_account_in_it_waits_until_it_is_known() -> None:
    assert base_of(ACME, {}) == "https://api.acme.example/{account}"
    assert base_of(ACME, {}, "c/1") == "https://api.acme.example/c%2F1"
    assert base_of(ACME, {"base": "http://sim/v3/{account}/"}, "9") == "http://sim/v3/9"
    asked = identify_all(
        ACME, Place(base=base_of(ACME, {})), answer={}, redirect={"company": "c 2"}
    )
    (made,), (account,) = led(asked, told({"About": {"Id": "1", "Name": "Ours"}}))
    assert made.url == "https://api.acme.example/c%202/about/c%202"
    assert (account.id, account.name) == ("c 2", "Ours")


def test_a_token_is_revoked_as_json_where_the_page_says_so() -> None:
    auth = ACME.auth
    assert isinstance(auth, OAuth2)
    (made,), done = led(revoke(auth, AppClient(id="a", secret="b"), "tok"), told({}))
    assert (json.loads(made.body), done.state) == ({"token": "tok"}, "revoked")
    assert made.headers["Content-Type"] == "application/json"
    assert unquote(made.url) == auth.revoke


WRONG: list[tuple[Mapping[str, Any], str]] = [
    ({"update": Write(path="/book/{id}", key_at="Id")}, "needs no hole"),
    ({"update": Write(path="/book")}, "needs the hole {id}"),
    ({"version": ""}, "version_at: there is no"),
    ({"create": Write(path="/book", key_at="Id")}, "a new record has no key"),
    ({"deleted": "", "deleted_words": []}, "say by `deleted`"),
    ({"idempotency_in": "cookie"}, "idempotency_in: 'cookie' is none of header, query"),
]


@pytest.mark.parametrize(("facts", "said"), WRONG, ids=lambda each: str(each)[:30])
def test_a_page_that_contradicts_itself_is_refused(facts: Mapping[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said.replace("{", r"\{")):
        replace(BOOK, **facts)


def test_words_that_would_read_nothing_are_refused() -> None:
    for text_, size in (
        ("select 1 from {start}", 4),
        ("{start} {size} {id}", 4),
        ("{start}{size}", 1),
    ):
        with pytest.raises(SpecError, match="Statement, "):
            Statement(param="q", text=text_, size=size)
    with pytest.raises(SpecError, match="not longer than a day"):
        replace(SINCE, reach=timedelta(hours=3))
    key = ApiKey(fields=[Field(name="key", label="Key")])
    with pytest.raises(SpecError, match=r"nothing names the \{account\}"):
        replace(ACME, auth=key)
    with pytest.raises(SpecError, match="'xml' is none of form, json"):
        OAuth2(
            authorize="https://a.example",
            token="https://a.example",
            revoke_body="xml",
            access_lives=timedelta(hours=1),
        )


def test_a_reference_is_cleared_with_the_object_around_it() -> None:
    mapped = map_to(Product, name=text("Name"), description=boxed(text("Ref.value")))
    value = {"Name": "x", "Ref": {"value": "7", "name": "seven"}}
    ours = mapped.read(value)
    cleared = mapped.write(changed_copy(ours, description=None), base=ours)
    assert cleared == {"Ref": None}
    assert mapped.apply(value, cleared) == {"Name": "x"}
    changed = mapped.write(changed_copy(ours, description="8"), base=ours)
    assert mapped.apply(value, changed)["Ref"] == {"value": "8", "name": "seven"}
    with pytest.raises(SpecError, match="no object around 'Name'"):
        boxed(text("Name"))


def test_a_last_resort_gets_what_other_fields_are_at_the_provider() -> None:
    def told(ours: str, amount: Any) -> dict[str, Any]:
        return {"Lines": [{"of": ours, "at": amount}]}

    row = via(
        read=lambda record: record["Lines"][0]["of"],
        write=told,
        paths=["Lines"],
        beside={"amount": major("Price", currency="Code")},
    )
    mapped = map_to(
        Refund,
        payment=row,
        amount=major("Price", currency="Code"),
        currency=currency("Code"),
    )
    new = Refund(payment="c", amount=1250, currency="EUR")
    sent = mapped.write(new)
    assert sent["Lines"] == [{"of": "c", "at": Decimal("12.50")}]
    assert mapped.read(mapped.apply({}, sent)) == new
