"""Every mistake in a page or a mapping is one sentence at import, with the nearest right word."""

from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import Any

import pytest

from landbridge.errors import NotFound, SpecError
from landbridge.models.accounting import Line
from landbridge.models.payments import (
    Customer,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Payment,
    Price,
    Product,
    Refund,
    Tax,
)
from landbridge.spec import (
    AfterLast,
    ApiKey,
    Basic,
    EventFeed,
    Field,
    Mapped,
    Provider,
    Quota,
    Resource,
    SinceHeader,
    Sweep,
    Webhook,
    Write,
    constant,
    currency,
    date,
    decimal,
    entries,
    first_of,
    flag,
    instant,
    integer,
    many,
    map_from,
    map_to,
    minor,
    nested,
    one_of,
    read_only,
    ref,
    text,
    texts,
    via,
    write_only,
)


class Colour(Enum):
    RED = "red"


PAID = {"paid": InvoiceStatus.PAID}
line = map_from(InvoiceLine, amount=integer("amount"))


def product(**rows: Any) -> Mapped[Product]:
    return map_to(Product, name=text("name"), **rows)


def customer(**rows: Any) -> Mapped[Customer]:
    return map_to(Customer, **rows)


MAPPINGS: list[tuple[str, Callable[[], object]]] = [
    (
        "Product has no field 'descripton'. Did you mean 'description'?",
        lambda: product(descripton=text("description")),
    ),
    (
        "Product.description: expected a row such as text(...), found text",
        lambda: product(description="description"),
    ),
    ("Product.name is required and has no row that reads it", lambda: map_to(Product)),
    (
        "Product.name is required and has no row that reads it",
        lambda: map_to(Product, name=write_only(text("name"))),
    ),
    (
        "Product.active holds bool, but text gives str: use flag",
        lambda: product(active=text("active")),
    ),
    (
        "Product.created_at holds datetime, but date gives date: use instant",
        lambda: product(created_at=date("created")),
    ),
    (
        "Product.name holds str, but flag gives bool: use text",
        lambda: map_to(Product, name=flag("name")),
    ),
    (
        "Product.extra holds dict, but text gives str: use entries",
        lambda: product(extra=text("metadata")),
    ),
    (
        "Price.unit_price holds Decimal, but integer gives int: use decimal or minor_price",
        lambda: map_to(
            Price, product=text("p"), currency=text("c"), unit_price=integer("unit_amount")
        ),
    ),
    (
        "Customer.address holds Address, but text gives str: use nested",
        lambda: customer(address=text("address")),
    ),
    (
        "Invoice.status holds InvoiceStatus, but text gives str: use one_of",
        lambda: map_from(Invoice, status=text("status"), currency=text("c")),
    ),
    (
        "Invoice.lines holds tuple, but nested gives InvoiceLine: use many or texts",
        lambda: map_from(
            Invoice,
            status=constant(InvoiceStatus.OPEN),
            currency=text("c"),
            lines=nested("lines", line),
        ),
    ),
    (
        "Invoice.taxes holds Tax, but the row gives InvoiceLine",
        lambda: map_from(
            Invoice,
            status=constant(InvoiceStatus.OPEN),
            currency=text("c"),
            taxes=many("taxes", line),
        ),
    ),
    (
        "Invoice.taxes holds Tax, but the row gives str",
        lambda: map_from(
            Invoice, status=constant(InvoiceStatus.OPEN), currency=text("c"), taxes=texts("taxes")
        ),
    ),
    (
        "Invoice.status: no word leads to DRAFT, OPEN, UNCOLLECTIBLE, VOID; list one",
        lambda: map_from(Invoice, status=one_of("status", PAID), currency=text("currency")),
    ),
    (
        "Product.active: no word leads to False; list one",
        lambda: product(active=one_of("state", {"on": True})),
    ),
    (
        "Product.active holds bool, but one_of gives Colour: use flag",
        lambda: product(active=one_of("state", {"red": Colour.RED})),
    ),
    (
        "one_of('state'): list at least one word, all values of the same type",
        lambda: one_of("state", {"on": True, "off": "no"}),
    ),
    ("one_of('state'): list at least one word", lambda: one_of("state", {})),
    ("first_of(): name at least one row", first_of),
    (
        "Product: name and description both write title; make one of them read_only",
        lambda: map_to(Product, name=text("title"), description=text("title")),
    ),
    (
        "Product: name and description both write texts; make one of them read_only",
        lambda: map_to(Product, name=text("texts.title"), description=text("texts")),
    ),
    (
        "Product: description and unit_label both write a.b",
        lambda: product(
            description=via(read=str, write=lambda ours: {"a": {"b": ours}}, paths=["a.b"]),
            unit_label=text("a.b"),
        ),
    ),
    (
        "Payment.amount: no row reads the currency at curency. Did you mean 'currency'?",
        lambda: map_to(
            Payment,
            status=read_only(via(read=lambda _: None, paths=["status"])),
            currency=currency("currency"),
            amount=minor("amount", currency="curency"),
        ),
    ),
    ("'a..b' is no path: write keys parted by single dots", lambda: text("a..b")),
    ("'' is no path", lambda: flag("")),
    ("'lines[].amount' is no path", lambda: many("lines[].amount", line)),
    ("'a b' is no path", lambda: nested("a b", line)),
    ("many('lines'): key: 'i d' is no path", lambda: many("lines", line, key="i d")),
    ("minor('amount'): currency: '.c' is no path", lambda: minor("amount", currency="^.c")),
    ("'.x' is no path", lambda: via(read=str, paths=[".x"])),
]


def _named(each: object) -> str:
    """A name that is the same in every process: a function's own shows its address."""
    return each[:50] if isinstance(each, str) else "built"


@pytest.mark.parametrize(("sentence", "build"), MAPPINGS, ids=_named)
def test_a_wrong_mapping_is_refused(sentence: str, build: Callable[[], object]) -> None:
    with pytest.raises(SpecError) as caught:
        build()
    assert sentence in str(caught.value)


def test_a_value_that_the_provider_does_not_know_is_named_and_accepted() -> None:
    rest = [status for status in InvoiceStatus if status is not InvoiceStatus.PAID]
    status = one_of("status", PAID, never=rest)
    assert map_from(Invoice, status=status, currency=text("currency")).model is Invoice


def test_two_rows_may_read_the_same_place_if_at_most_one_writes_it() -> None:
    mapped = map_to(Product, name=text("title"), description=read_only(text("title")))
    assert mapped.read({"title": "x"}) == Product(name="x", description="x")
    assert mapped.written == ("title",)


KEY = ApiKey(fields=[Field(name="key", label="Key")])
PAGE = AfterLast(param="after", more="more")
refunds = map_to(Refund, currency=currency("currency"), amount=minor("amount", currency="currency"))


def feed(**facts: Any) -> EventFeed:
    known: dict[str, Any] = {
        "path": "/events",
        "records": "data",
        "key": "id",
        "stamp": "at",
        "since_param": "since",
        "topic": "type",
        "object_key": "object.id",
        "page": PAGE,
        "reach": timedelta(days=30),
    }
    return EventFeed(**(known | facts))


def resource(**facts: Any) -> Resource:
    return Resource(**({"name": "refund", "path": "/refunds", "key": "id"} | facts))


def provider(**facts: Any) -> Provider:
    known: dict[str, Any] = {
        "slug": "acme",
        "name": "Acme",
        "docs": "https://acme.example/docs",
        "checked": "2026-11-22",
        "auth": KEY,
        "base": "https://api.acme.example",
        "resources": [resource()],
    }
    return Provider(**(known | facts))


FACTS: list[tuple[str, Callable[[], object]]] = [
    ("Resource 'refund' has no fact 'pages'. Did you mean 'page'?", lambda: resource(pages=PAGE)),
    (
        "Resource 'refund' lacks the fact 'key'",
        lambda: Resource(name="refund", path="/refunds"),  # type: ignore[call-arg]
    ),
    ("Quota lacks the fact 'limit'", lambda: Quota(per="day")),  # type: ignore[call-arg]
    (
        "Quota: name every fact, as in Quota(limit=...)",
        lambda: Quota(60),  # type: ignore[call-arg]
    ),
    ("Quota, limit: expected a whole number, found text", lambda: Quota(limit="60")),  # type: ignore[arg-type]
    ("Quota, limit: expected a whole number, found True or False", lambda: Quota(limit=True)),
    ("Quota, limit: 0 allows nothing", lambda: Quota(limit=0)),
    ("Quota, per: 'minutes' is none of", lambda: Quota(limit=1, per="minutes")),
    ("Did you mean 'minute'?", lambda: Quota(limit=1, per="minutes")),
    ("Sweep, calls: 0 calls a day find nothing", lambda: Sweep(calls=0)),
    (
        "Resource 'refund', sweep: without `since` all is listed each time",
        lambda: resource(sweep=Sweep(), one="/refunds/{id}"),
    ),
    (
        "Resource 'refund', sweep: it needs `path` to list and `one` to ask",
        lambda: resource(sweep=Sweep(), since=SinceHeader()),
    ),
    (
        "Resource 'refund', sweep: deletions are told, by events or by tokens",
        lambda: resource(
            sweep=Sweep(),
            since=feed(),
            one="/refunds/{id}",
            topics=["refund.created"],
            deletes=["refund.deleted"],
        ),
    ),
    (
        "Quota, scope: 'world' is none of account, app, tenant",
        lambda: Quota(limit=1, scope="world"),
    ),
    (
        "Resource 'refund', page: expected AfterLast or PageNumber or Statement or NextCursor or O",
        lambda: resource(page=Write(path="/refunds")),
    ),
    ("Resource 'refund', topics: expected a list, found text", lambda: resource(topics="refund")),
    ("Resource 'refund', topics: expected text", lambda: resource(topics=[1])),
    ("Resource 'refund', query: expected text", lambda: resource(query={"a": 1})),
    ("Resource 'refund', needs: expected a set, found a list", lambda: resource(needs=["a"])),
    ("Resource 'refund', key: 'i d' is no path", lambda: resource(key="i d")),
    ("'refunds' is no path template like /v1/customers/{id}", lambda: resource(path="refunds")),
    ("'/refunds?x=1' is no path template", lambda: resource(path="/refunds?x=1")),
    ("one: '/refunds' needs the hole {id} and no other", lambda: resource(one="/refunds")),
    (
        "update: '/refunds/{key}' needs the hole {id} and no other",
        lambda: resource(maps=refunds, update=Write(path="/refunds/{key}")),
    ),
    (
        "create: '/refunds/{id}' has a hole, but a new record has no id yet",
        lambda: resource(maps=refunds, create=Write(path="/refunds/{id}")),
    ),
    (
        "create and update: the mapping writes nothing",
        lambda: resource(maps=map_from(Product, name=text("name")), create=Write(path="/products")),
    ),
    (
        "since: an event feed needs `one` to refetch, and `topics`",
        lambda: resource(since=feed(), topics=["refund.created"]),
    ),
    ("topics: 'refund created' is no topic", lambda: resource(topics=["refund created"])),
    (
        "maps: no row reads the currency at currency",
        lambda: resource(
            maps=map_to(
                Invoice,
                status=constant(InvoiceStatus.OPEN),
                currency=constant("EUR"),
                taxes=many("taxes", map_to(Tax, amount=minor("amount", currency="^currency"))),
            )
        ),
    ),
    ("Write, method: 'GET' is none of POST", lambda: Write(path="/x", method="GET")),
    ("EventFeed, reach: expected timedelta, found a whole number", lambda: feed(reach=30)),
    ("EventFeed has no fact 'typ'.", lambda: feed(typ="x")),
    (
        "Webhook, signature: expected TimestampedHmac or StandardWebhooks or Hmac",
        lambda: Webhook(signature="v1", id="id", topic="type", object_key="id"),  # type: ignore[arg-type]
    ),
    (
        "ApiKey, key: 'token' is none of key.",
        lambda: ApiKey(fields=[Field(name="key", label="Key")], key="token"),
    ),
    (
        "Basic, username: 'username' is none of user. Did you mean 'user'?",
        lambda: Basic(fields=[Field(name="user", label="User")]),
    ),
    ("Provider 'Acme', slug: lower-case letters", lambda: provider(slug="Acme")),
    ("Provider 'Acme', checked: '22.11.2026' is no date", lambda: provider(checked="22.11.2026")),
    (
        "base: 'http://api.acme.example' is no https",
        lambda: provider(base="http://api.acme.example"),
    ),
    ("base: 'https://a.example/' is no https address", lambda: provider(base="https://a.example/")),
    (
        "resource 'refund': two have this name",
        lambda: provider(resources=[resource(), resource()]),
    ),
    (
        "resource 'refund', within: no 'order'",
        lambda: provider(resources=[resource(within="order")]),
    ),
    (
        "resource 'refund', codes: no row looks anything up in 'acounts'.",
        lambda: provider(resources=[resource(maps=product(), codes={"acounts": "name"})]),
    ),
    (
        "codes, accounts: the mapping has no field 'cod'",
        lambda: resource(codes={"accounts": "cod"}),
    ),
    (
        "resource 'refund': a ref leads to 'refunds'. Did you mean 'refund'?",
        lambda: provider(
            resources=[resource(maps=map_from(Product, name=ref("name", to="refunds")))]
        ),
    ),
    (
        "auth: expected ApiKey or Basic or OAuth2 or ClientCredentials or JwtBearer, found text",
        lambda: provider(auth="key"),
    ),
]


@pytest.mark.parametrize(("sentence", "build"), FACTS, ids=_named)
def test_a_wrong_fact_is_refused(sentence: str, build: Callable[[], object]) -> None:
    with pytest.raises(SpecError) as caught:
        build()
    assert sentence in str(caught.value)


def test_what_these_sentences_are_made_of_is_right_without_the_mistake() -> None:
    page = provider(resources=[resource(maps=refunds, since=feed(), one="/r/{id}", topics=["a.*"])])
    assert page.resource("refund").topics == ("a.*",)
    assert isinstance(page.resources, tuple)
    assert Quota(limit=1) == Quota(limit=1, per="")
    with pytest.raises(AttributeError):
        page.name = "other"  # type: ignore[misc]


def test_a_resource_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"acme has no resource 'refunds'. Did you mean 'refund'\?"):
        provider().resource("refunds")


def test_rows_for_parts_check_the_part_as_well() -> None:
    with pytest.raises(SpecError, match=r"Line has no field 'ammount'. Did you mean 'amount'\?"):
        many("lines", map_to(Line, ammount=decimal("amount")))
    with pytest.raises(SpecError, match="found a list"):
        map_to(Product, name=text("name"), extra=[])  # type: ignore[arg-type]
    assert entries("metadata").word == "entries"
    assert instant("created").word == "instant"
