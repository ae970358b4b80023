"""Several kinds in one collection: which records are a resource's, and rows that share a place."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from landbridge.engine.made_up import aim_of
from landbridge.errors import RecordError, SpecError
from landbridge.formats.canonical import canonical
from landbridge.models.accounting import Contact, Payment
from landbridge.protocols import Page, Place, fetch, pull
from landbridge.spec import (
    ApiKey,
    Field,
    Provider,
    Resource,
    Row,
    Write,
    currency,
    date,
    major,
    map_from,
    map_to,
    on_create,
    ref,
    text,
    when,
)
from landbridge.wire import Request, Response

PLACE = Place(base="https://api.shop.example")
NAMED = map_to(Contact, name=text("name"))


def kind(name: str, word: str) -> Resource:
    """Parties of one kind, of the collection that holds all of them."""
    return Resource(
        name=name,
        path="/parties",
        key="id",
        only={"type": [word]} if word else {},
        one="/parties/{id}",
        create=Write(path="/parties", sends={"type": word}),
        update=Write(path="/parties/{id}", sends={"type": word}),
        maps=NAMED,
    )


BUYERS, SELLERS, ALL = kind("buyer", "B"), kind("seller", "S"), kind("party", "")
SHOP = Provider(
    slug="shop",
    name="Shop",
    docs="https://shop.example/docs",
    checked="2026-11-27",
    base="https://api.shop.example",
    auth=ApiKey(fields=[Field(name="key", label="Key", secret=True)]),
    resources=[BUYERS, SELLERS, ALL],
)


def answered(resource: Resource, *, one: bool) -> list[str]:
    """The keys that an answer with a buyer and a seller, or with a seller alone, leads to."""
    seller = {"id": "2", "type": "S", "name": "b"}
    told = seller if one else [{"id": "1", "type": "B", "name": "a"}, seller]
    response = Response(status=200, body=canonical(told))
    if one:
        reading = fetch(SHOP, resource, PLACE, "2")
        next(reading)
        with pytest.raises(StopIteration) as end:
            reading.send(response)
        return [end.value.value.key] if end.value.value else []
    pulling = pull(SHOP, resource, PLACE, None, datetime(2026, 11, 27, tzinfo=UTC))
    next(pulling)
    page = pulling.send(response)
    assert isinstance(page, Page)
    return [record.key for record in page.records]


def test_a_resource_has_only_the_records_with_its_words() -> None:
    assert [answered(each, one=False) for each in (BUYERS, SELLERS, ALL)] == [
        ["1"],
        ["2"],
        ["1", "2"],
    ]
    assert [answered(each, one=True) for each in (BUYERS, SELLERS, ALL)] == [[], ["2"], ["2"]]
    assert SHOP.kin(BUYERS) == SHOP.kin(SELLERS) == [BUYERS, SELLERS]
    assert SHOP.kin(ALL) == [ALL]
    with pytest.raises(SpecError, match=r"Resource 'x', only: type has no word"):
        Resource(name="x", path="/x", key="id", only={"type": []})
    with pytest.raises(SpecError, match="Resource 'x', only: "):
        Resource(name="x", path="/x", key="id", only={"": ["B"]})


@pytest.mark.parametrize(("word", "name"), [("B", "buyer"), ("S", "seller")])
def test_a_write_is_of_the_resource_whose_words_it_says(word: str, name: str) -> None:
    for path in ("/parties", "/parties/7"):
        request = Request(
            method="POST", url=PLACE.base + path, body=canonical({"type": word, "name": "x"})
        )
        aim = aim_of(SHOP, PLACE.base, request)
        assert aim.resource is not None
        assert aim.resource.name == name


def settled(word: str, to: str) -> Row:
    return when("kind", word, on_create(ref("document", to=to)))


PAYMENT = map_to(
    Payment,
    invoice=settled("in", "invoice"),
    bill=settled("out", "bill"),
    currency=on_create(currency("code")),
    amount=on_create(major("amount", currency="code")),
    paid_on=on_create(date("day")),
)


def test_rows_of_different_words_share_a_place() -> None:
    sent = {"kind": "out", "document": "9", "code": "EUR", "amount": 5, "day": "2026-11-27"}
    paid = PAYMENT.read(sent)
    assert (paid.invoice, paid.bill) == (None, "9")
    assert PAYMENT.read({**sent, "kind": "refund"}).bill is None
    assert PAYMENT.write(paid)["document"] == "9"
    assert "kind" in PAYMENT.owned_paths
    both = Payment(invoice="1", bill="9", currency="EUR", amount=5, paid_on=paid.paid_on)
    with pytest.raises(RecordError, match="bill: invoice goes to document too: set one of them"):
        PAYMENT.write(both)
    notes = {line.ours: line.note for line in PAYMENT.fields}
    assert notes["bill"] == "-> bill, where kind is out"


def test_rows_that_could_both_be_written_share_none() -> None:
    alike = {"invoice": settled("in", "invoice"), "bill": settled("in", "bill")}
    later = {each: when("kind", each, ref("document", to=each)) for each in ("invoice", "bill")}
    for rows in (alike, later):
        with pytest.raises(SpecError, match="both write document; make one of them read_only"):
            map_to(Payment, **rows, currency=PAYMENT.rows["currency"], **dict(rest()))
    with pytest.raises(SpecError, match="when: "):
        map_from(Contact, name=when("", "x", text("name")))


def rest() -> list[tuple[str, Row]]:
    return [(name, PAYMENT.rows[name]) for name in ("amount", "paid_on")]
