"""What comes before a new record: values that are looked up, lists of one item, another record."""

from __future__ import annotations

import json
from collections.abc import Generator
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from landbridge.errors import OutcomeUnknown, RecordError, SpecError
from landbridge.models.payments import (
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from landbridge.protocols import Place, write
from landbridge.spec import (
    ApiKey,
    Field,
    First,
    LookedUp,
    Provider,
    Resource,
    Then,
    Write,
    capabilities,
    constant,
    itself,
    many,
    map_from,
    map_to,
    minor,
    minor_priced,
    on_create,
    picked,
    read_only,
    text,
)
from landbridge.wire import Request, Response

bill = map_to(
    Invoice,
    id=text("id"),
    customer=on_create(text("who")),
    number=on_create(text("due.number")),
    status=constant(InvoiceStatus.DRAFT),
    currency=constant("KWD"),
    lines=on_create(
        many(
            "order.lines",
            map_to(
                InvoiceLine,
                description=text("name"),
                amount=read_only(minor("sum", currency="code")),
                unit_price=minor_priced("price", currency="^", code="code"),
            ),
        )
    ),
)
FIRST = First(resource="order", of="order", key_at="from.order", shares={"buyer": "who"})
PLACE = Place(base="https://api.acme.example")


def order(**facts: Any) -> Resource:
    known: dict[str, Any] = {
        "create": Write(
            path="/orders",
            envelope="order",
            listed=False,
            looked_up=[LookedUp(path="/me", found="me.shop", at="shop")],
        ),
        "idempotency": "once",
        "idempotency_in": "body",
        "envelope": "order",
    }
    return Resource(**({"name": "order", "path": "/orders", "key": "id"} | known | facts))


def billed(**facts: Any) -> Resource:
    known: dict[str, Any] = {
        "create": Write(
            path="/bills",
            envelope="bill",
            listed=False,
            first=FIRST,
            lists={"dues": "due"},
            sends={"by": "mail", "takes.card": True},
        ),
        "idempotency": "once",
        "idempotency_in": "body",
        "envelope": "bill",
        "maps": bill,
    }
    return Resource(**({"name": "bill", "path": "/bills", "key": "id"} | known | facts))


def provider(*resources: Resource) -> Provider:
    return Provider(
        slug="acme",
        name="Acme",
        docs="https://acme.example/docs",
        checked="2026-11-22",
        auth=ApiKey(fields=[Field(name="key", label="Key", secret=True)]),
        base="https://api.acme.example",
        resources=resources,
    )


def sent(
    conversation: Generator[Request, Response, Any], *answers: Any
) -> tuple[list[tuple[str, str, Any]], Any]:
    """Method, path and body of each request, and what the conversation came to."""
    made = []
    waiting = iter(answers)
    request = next(conversation)
    while True:
        path = request.url.removeprefix(PLACE.base)
        made.append((request.method, path, json.loads(request.body or b"null")))
        answer = Response(status=200, body=json.dumps(next(waiting)).encode())
        try:
            request = conversation.send(answer)
        except StopIteration as end:
            return made, end.value


def test_what_a_record_is_made_of_is_made_first_and_both_have_a_key() -> None:
    page = provider(order(), billed())
    line = InvoiceLine(description="Tea", amount=0, unit_price=Decimal("1.255"))
    new = Invoice(
        customer="ada", number="7", status=InvoiceStatus.DRAFT, currency="KWD", lines=(line,)
    )
    body = bill.write(new)
    talk = write(page, page.resource("bill"), PLACE, "create", "", body, None, "int_1")
    answers = {"me": {"shop": "S"}}, {"order": {"id": 5}}, {"bill": {"id": "b"}}
    made, done = sent(talk, *answers)
    inner = {"name": "Tea", "price": {"amount": 1255, "code": "KWD"}}
    assert made == [
        ("GET", "/me", None),
        (
            "POST",
            "/orders",
            {"order": {"buyer": "ada", "lines": [inner], "shop": "S"}, "once": "int_1.order"},
        ),
        (
            "POST",
            "/bills",
            {
                "bill": {
                    "by": "mail",
                    "takes": {"card": True},
                    "who": "ada",
                    "dues": [{"number": "7"}],
                    "from": {"order": "5"},
                },
                "once": "int_1",
            },
        ),
    ]
    assert done.key == "b"
    told = {**body, "order": {"shop": "other"}}
    talk = write(page, page.resource("bill"), PLACE, "create", "", told, None, "int_1")
    made, _ = sent(talk, *answers[1:])
    assert made[0][2]["order"]["shop"] == "other"
    talk = write(page, page.resource("bill"), PLACE, "create", "", body, None, "int_1")
    with pytest.raises(OutcomeUnknown, match="answered /me without what a new record needs"):
        sent(talk, {"me": {}})


def test_a_record_that_nobody_writes_is_no_capability() -> None:
    table = {one.resource: one.write for one in capabilities(provider(order(), billed()))}
    assert table == {"order": (), "bill": ("create",)}


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ([billed()], "resource 'bill', create, first: no 'order'"),
        ([billed(), order(name="orders")], "Did you mean 'orders'?"),
        ([order(create=None), billed()], "the page does not say how a order is made"),
        ([order(idempotency=""), billed()], "nothing makes a repeated creation of order harmless"),
        ([order(), billed(idempotency="")], "nothing makes a repeated creation of bill harmless"),
        ([order()], "resource 'order', create: nothing is written from it"),
    ],
)
def test_a_page_that_cannot_have_it_is_refused(resources: list[Resource], sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        provider(*resources)
    assert sentence in str(caught.value)


def test_a_part_goes_behind_the_record_under_a_key_of_its_own_where_there_is_one() -> None:
    then = Then(path="/bills/{id}/lines", of="order")
    page = provider(billed(create=Write(path="/bills", then=then), envelope=""))
    line = InvoiceLine(description="Tea", unit_price=Decimal(2))
    new = Invoice(customer="ada", status=InvoiceStatus.DRAFT, currency="KWD", lines=(line,))
    talk = partial(write, page, page.resource("bill"), PLACE, "create", "")
    made, done = sent(talk(bill.write(new), None, "int_1"), {"id": "b"}, {"id": "b", "whole": 1})
    price = {"amount": 2000, "code": "KWD"}
    assert made == [
        ("POST", "/bills", {"who": "ada", "once": "int_1"}),
        (
            "POST",
            "/bills/b/lines",
            {"order": {"lines": [{"name": "Tea", "price": price}]}, "once": "int_1.order"},
        ),
    ]
    assert (done.key, json.loads(done.raw)) == ("b", {"id": "b", "whole": 1})
    made, done = sent(talk(bill.write(replace(new, lines=())), None, "int_1"), {"id": "b"})
    assert (len(made), done.key) == (1, "b")


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"then": Then(path="/lines", of="order")}, "then: '/lines' needs the hole {id}"),
        ({"idempotency": ""}, "then: nothing makes a repeated call harmless"),
    ],
)
def test_a_part_that_cannot_go_behind_is_refused(facts: dict[str, Any], sentence: str) -> None:
    then = facts.pop("then", Then(path="/bills/{id}/lines", of="order"))
    with pytest.raises(SpecError) as caught:
        billed(create=Write(path="/bills", then=then), **facts)
    assert sentence in str(caught.value)


def test_only_a_creation_is_made_ready() -> None:
    with pytest.raises(SpecError, match="update: first, looked_up, lists and then are facts of a"):
        billed(update=Write(path="/bills/{id}", lists={"dues": "due"}))


def test_the_last_item_is_picked_and_a_price_is_whole_minor_units() -> None:
    price = minor_priced("price", currency="^")
    mapped = map_from(
        InvoiceLine,
        amount=constant(0),
        description=picked("parts", {}, text("name"), last=True),
        unit_price=picked("parts", {"kind": "a"}, price, last=True),
    )
    parts = [
        {"kind": "a", "name": "x", "price": {"amount": 1, "currency": "USD"}},
        {"kind": "a", "name": "y", "price": {"amount": 1255, "currency": "KWD"}},
        {"kind": "b", "name": "z"},
    ]
    found = mapped.read({"parts": parts})
    assert (found.description, found.unit_price) == ("z", Decimal("1.255"))
    assert mapped.read({"parts": []}).description is None
    new = Invoice(
        status=InvoiceStatus.DRAFT,
        currency="USD",
        lines=(InvoiceLine(amount=0, unit_price=Decimal("0.005")),),
    )
    with pytest.raises(RecordError, match="more than the 2 decimals of USD"):
        bill.write(new)
    with pytest.raises(SpecError, match="no path"):
        minor_priced("price", currency="^a b")


def test_the_one_item_that_a_record_is_is_written_when_it_is_made() -> None:
    mapped = map_to(
        Subscription,
        customer=text("who"),
        status=constant(SubscriptionStatus.ACTIVE),
        items=itself(map_to(SubscriptionItem, price=text("plan"))),
    )
    item = SubscriptionItem(price="p")
    new = Subscription(customer="ada", status=SubscriptionStatus.ACTIVE, items=(item,))
    assert mapped.write(new) == {"who": "ada", "plan": "p"}
    assert mapped.read(mapped.apply({}, mapped.write(new))) == new
    two = Subscription(customer="ada", status=SubscriptionStatus.ACTIVE, items=(item, item))
    with pytest.raises(RecordError, match="takes one, and these are 2"):
        mapped.write(two)
    with pytest.raises(RecordError, match="only when the record is made"):
        mapped.write(two, base=new)
    with pytest.raises(SpecError, match="both write plan"):
        map_to(
            Subscription,
            customer=text("plan"),
            status=constant(SubscriptionStatus.ACTIVE),
            items=itself(map_to(SubscriptionItem, price=text("plan"))),
        )
