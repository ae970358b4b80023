"""What each row reads and writes, and what it says about a value that it cannot read."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from landbridge.errors import InvalidInput, RecordError, UnmappedCode
from landbridge.models import accounting
from landbridge.models.base import Address
from landbridge.models.calendar import Recurrence
from landbridge.models.payments import (
    Customer,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Payment,
    PaymentStatus,
    Price,
    Product,
    Refund,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from landbridge.spec import (
    Access,
    Context,
    Correspondence,
    Mapped,
    Row,
    constant,
    currency,
    decimal,
    entries,
    first_of,
    flag,
    instant,
    integer,
    lasting,
    lookup,
    major,
    many,
    map_from,
    map_to,
    minor,
    minor_price,
    nested,
    on_create,
    one_of,
    read_only,
    ref,
    text,
    texts,
    via,
    write_only,
)
from landbridge.spec import date as day

DRAFT, OPEN, PAID, LOST, VOID = InvoiceStatus
STATUS = one_of(
    "state",
    {"draft": DRAFT, "submitted": DRAFT, "open": OPEN, "paid": PAID, "void": VOID},
    never=[LOST],
)


def product(**rows: Row) -> Mapped[Product]:
    return map_to(Product, **({"name": text("name")} | rows))


def line(**rows: Row) -> Mapped[accounting.Line]:
    return map_to(accounting.Line, **rows)


INVOICE = map_to(
    Invoice,
    id=read_only(text("id")),
    status=STATUS,
    currency=currency("currency", lower=True),
    number=text("number"),
    issued_on=day("issued"),
    due_on=day("due", unix=True, at_end=True),
    total=read_only(major("total", currency="currency")),
    amount_due=minor("due_amount", currency="currency", exponents={"ISK": 2}),
    paid_at=instant("paid.at"),
    created_at=instant("made", unix=True),
    lines=many(
        "lines",
        map_to(
            InvoiceLine,
            id=read_only(text("id")),
            amount=major("amount", currency="^currency", as_text=True),
            quantity=decimal("quantity"),
            unit_price=minor_price("price", currency="^currency"),
            description=text("text"),
        ),
        key="id",
    ),
    extra=entries("meta", without=["hidden"]),
)
RECORD: dict[str, Any] = {
    "id": "in_1",
    "state": "submitted",
    "currency": "eur",
    "number": "7",
    "issued": "2026-03-31",
    "due": 1_775_000_000,
    "total": Decimal("12.30"),
    "due_amount": 1230,
    "paid": {"at": "2026-03-31T23:30:00+02:00", "by": "card"},
    "made": 1_774_900_000,
    "lines": [
        {"id": "l1", "amount": "10.30", "quantity": 2, "price": "515.5", "text": "Work", "own": 1},
        {"id": "l2", "amount": "2", "text": "Travel", "own": 2},
    ],
    "meta": {"project": "north", "hidden": "x", "empty": None},
    "ours": False,
}


def test_a_record_is_read_into_the_model() -> None:
    assert INVOICE.read(RECORD) == Invoice(
        id="in_1",
        status=DRAFT,
        currency="EUR",
        number="7",
        issued_on=date(2026, 3, 31),
        due_on=date(2026, 3, 31),
        total=1230,
        amount_due=1230,
        paid_at=datetime(2026, 3, 31, 21, 30, tzinfo=UTC),
        created_at=datetime(2026, 3, 30, 19, 46, 40, tzinfo=UTC),
        lines=(
            InvoiceLine(
                id="l1",
                amount=1030,
                quantity=Decimal(2),
                unit_price=Decimal("5.155"),
                description="Work",
            ),
            InvoiceLine(id="l2", amount=200, description="Travel"),
        ),
        extra={"project": "north"},
    )


def test_a_new_record_gets_every_field_that_is_set() -> None:
    assert INVOICE.write(replace(INVOICE.read(RECORD), paid_at=None)) == {
        "state": "draft",
        "currency": "eur",
        "number": "7",
        "issued": "2026-03-31",
        "due": 1_775_001_599,
        "due_amount": 1230,
        "made": 1_774_900_000,
        "lines": [
            {"id": "l1", "amount": "10.30", "quantity": 2, "price": "515.5", "text": "Work"},
            {"id": "l2", "amount": "2.00", "text": "Travel"},
        ],
        "meta": {"project": "north"},
    }


def test_only_what_differs_from_the_base_is_written() -> None:
    base = INVOICE.read(RECORD)
    assert INVOICE.write(base, base=base) == {}
    assert INVOICE.write(replace(base, due_on=date(2026, 4, 1)), base=base) == {
        "due": 1_775_087_999
    }
    assert INVOICE.write(replace(base, status=OPEN), base=base) == {"state": "open"}
    assert INVOICE.write(replace(base, total=1), base=base) == {}
    assert INVOICE.write(replace(base, number=None), base=base) == {"number": None}
    assert INVOICE.write(replace(base, extra={"project": "south"}), base=base) == {
        "meta": {"project": "south"}
    }
    assert INVOICE.write(replace(base, extra={}), base=base) == {"meta": {"project": None}}


def test_a_list_is_written_whole_with_the_ids_of_its_items() -> None:
    base = INVOICE.read(RECORD)
    first, second = base.lines
    fresh = InvoiceLine(amount=5, description="Tea")
    changed = replace(base, lines=(replace(second, description=None), first, fresh))
    changes = INVOICE.write(changed, base=base)
    assert changes == {
        "lines": [
            {"id": "l2", "amount": "2.00", "text": None},
            {"id": "l1", "amount": "10.30", "quantity": 2, "price": "515.5", "text": "Work"},
            {"amount": "0.05", "text": "Tea"},
        ]
    }
    after = INVOICE.apply(RECORD, changes)
    assert [item.get("own") for item in after["lines"]] == [2, 1, None]
    assert INVOICE.read(after) == changed
    assert INVOICE.write(replace(base, lines=()), base=base) == {"lines": []}


def test_items_without_a_key_are_known_by_their_place() -> None:
    mapped = map_to(
        Invoice,
        status=STATUS,
        currency=currency("currency"),
        lines=many("rows", map_to(InvoiceLine, amount=integer("n"))),
    )
    record = {"state": "open", "currency": "EUR", "rows": [{"n": 1, "own": 1}, {"n": 2, "own": 2}]}
    base = mapped.read(record)
    changes = mapped.write(replace(base, lines=base.lines[:1]), base=base)
    assert mapped.apply(record, changes)["rows"] == [{"n": 1, "own": 1}]


def test_apply_changes_nothing_else_and_leaves_the_record_alone() -> None:
    kept = repr(RECORD)
    after = INVOICE.apply(RECORD, {"number": None, "meta": {"project": None, "a": 1}, "due": 5})
    assert repr(RECORD) == kept
    assert after == {name: value for name, value in RECORD.items() if name != "number"} | {
        "due": 5,
        "meta": {"hidden": "x", "empty": None, "a": 1},
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"currency": None}, "Invoice.currency: nothing at currency"),
        ({"currency": "euro"}, "Invoice.currency: expected a currency code like EUR at currency"),
        ({"state": "lost"}, "Invoice.status: 'lost' at state is none of draft, submitted, open"),
        ({"state": ["open"]}, "Invoice.status: a list at state is none of"),
        ({"number": 7}, "Invoice.number: expected text at number, found a number"),
        ({"issued": "31.3.2026"}, "Invoice.issued_on: expected a date like 2026-11-22 at issued"),
        ({"due": "2026-03-31"}, "Invoice.due_on: expected unix seconds at due, found text"),
        ({"due": 10**20}, "Invoice.due_on: the instant at due is out of range"),
        ({"total": Decimal("1.005")}, "Invoice.total: total: amount: 1.005 has more than the 2"),
        ({"total": True}, "Invoice.total: expected a decimal number at total, found true or"),
        ({"due_amount": Decimal("1.5")}, "expected whole minor units at due_amount, found a numb"),
        ({"paid": "yes"}, "Invoice.paid_at: no object on the way to paid.at"),
        ({"paid": {"at": "2026-03-31"}}, "Invoice.paid_at: the instant at paid.at has no offset"),
        ({"paid": {"at": "soon"}}, "Invoice.paid_at: expected an ISO 8601 instant at paid.at"),
        ({"lines": {}}, "Invoice.lines: expected a list at lines, found an object"),
        ({"lines": [{"amount": "1"}, {"amount": "x"}]}, "Invoice.lines[1].amount: expected a deci"),
        ({"lines": [{"amount": "1"}, 7]}, "Invoice.lines[1].id: no object on the way to lines[1]"),
        ({"meta": "x"}, "Invoice.extra: expected an object at meta, found text"),
    ],
)
def test_a_record_that_cannot_be_read_says_which_field(
    change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RecordError) as caught:
        INVOICE.read(RECORD | change)
    assert sentence in str(caught.value)
    assert caught.value.field is not None
    assert str(caught.value).startswith(f"Invoice.{caught.value.field}: ")


def test_an_item_without_what_it_needs_is_named_by_its_place() -> None:
    order = map_to(
        Subscription,
        customer=text("who"),
        status=constant(SubscriptionStatus.ACTIVE),
        items=many("rows", map_to(SubscriptionItem, price=text("price"))),
    )
    with pytest.raises(RecordError) as caught:
        order.read({"who": "ada", "rows": [{"price": "p"}, {}]})
    assert str(caught.value).startswith("Subscription.items[1].price: nothing at rows[1].price")


@pytest.mark.parametrize("record", [None, [], "text", 7])
def test_what_is_no_record_is_refused(record: Any) -> None:
    with pytest.raises(RecordError, match="no object on the way to id"):
        INVOICE.read(record)


def test_a_message_never_shows_what_a_field_holds() -> None:
    for value in ("s3cret", ["s3cret"], {"s3cret": 1}):
        with pytest.raises(RecordError) as caught:
            INVOICE.read(RECORD | {"due": value, "paid": value})
        assert "s3cret" not in str(caught.value)


def test_writing_what_the_provider_cannot_take_is_refused() -> None:
    base = INVOICE.read(RECORD)
    with pytest.raises(RecordError, match=r"Invoice.status: the provider has no word for 'uncolle"):
        INVOICE.write(replace(base, status=LOST), base=base)
    with pytest.raises(RecordError, match=r"Invoice.extra: the name 'hidden' is taken at meta"):
        INVOICE.write(replace(base, extra={"hidden": "x"}), base=base)
    with pytest.raises(InvalidInput, match="expected Invoice, found Product"):
        INVOICE.write(Product(name="x"))  # type: ignore[arg-type]


def test_what_is_only_set_on_creation_is_not_changed_later() -> None:
    mapped = map_to(Product, name=on_create(text("name")), description=text("text"))
    made = Product(name="a", description="b")
    assert mapped.write(made) == {"name": "a", "text": "b"}
    assert mapped.write(replace(made, description=None), base=made) == {"text": None}
    with pytest.raises(RecordError, match=r"Product.name: the provider takes it only when the rec"):
        mapped.write(replace(made, name="c"), base=made)


def test_what_lasts_can_be_changed_but_not_cleared() -> None:
    mapped = product(description=lasting(text("text")))
    base = Product(name="a", description="b")
    assert mapped.write(replace(base, description="c"), base=base) == {"text": "c"}
    assert mapped.write(Product(name="a")) == {"name": "a"}
    with pytest.raises(
        RecordError, match=r"Product.description: the provider does not let it be cl"
    ):
        mapped.write(replace(base, description=None), base=base)


def test_what_is_only_written_is_not_read() -> None:
    mapped = product(description=write_only(text("secret")))
    assert mapped.read({"name": "a", "secret": "b"}) == Product(name="a")
    assert mapped.write(Product(name="a", description="b")) == {"name": "a", "secret": "b"}


def test_a_part_is_changed_field_by_field_cleared_or_made() -> None:
    mapped = map_to(
        Customer,
        address=nested("at.home", map_to(Address, city=text("town"), country=read_only(text("c")))),
    )
    base = mapped.read({"at": {"home": {"town": "Graz", "c": "AT", "zip": "8010"}}})
    assert base.address == Address(city="Graz", country="AT")
    vienna = replace(base, address=replace(base.address, city="Wien"))
    assert mapped.write(vienna, base=base) == {"at": {"home": {"town": "Wien"}}}
    assert mapped.write(replace(base, address=None), base=base) == {"at": {"home": None}}
    assert mapped.write(base, base=Customer()) == {"at": {"home": {"town": "Graz"}}}
    abroad = replace(base, address=replace(base.address, country="DE"))
    assert mapped.write(abroad, base=base) == {}
    after = mapped.apply(
        {"at": {"home": {"town": "Graz", "zip": "1"}}}, {"at": {"home": {"town": "W"}}}
    )
    assert after == {"at": {"home": {"town": "W", "zip": "1"}}}
    with pytest.raises(RecordError, match=r"Customer.address.city: expected text at at.home.town"):
        mapped.read({"at": {"home": {"town": 1}}})


@pytest.mark.parametrize(
    ("code", "sent", "ours"),
    [
        ("eur", 1230, 1230),
        ("jpy", 500, 500),
        ("isk", 500, 5),
        ("ISK", -700, -7),
        ("kwd", 12340, 12340),
    ],
)
def test_minor_units_are_iso_4217s_on_our_side(code: str, sent: int, ours: int) -> None:
    mapped = map_to(
        Refund,
        currency=currency("c", lower=True),
        amount=minor("n", currency="c", exponents={"ISK": 2}),
    )
    model = mapped.read({"c": code, "n": sent})
    assert model.amount == ours
    assert mapped.write(model) == {"c": code.lower(), "n": sent}


def test_an_amount_that_is_no_whole_number_of_units_is_refused() -> None:
    mapped = map_to(
        Refund,
        currency=currency("c"),
        amount=minor("n", currency="c", exponents={"ISK": 2, "MGA": 0}),
    )
    with pytest.raises(
        RecordError, match=r"Refund.amount: n: amount: 5.50 has more than the 0 deci"
    ):
        mapped.read({"c": "ISK", "n": 550})
    with pytest.raises(
        RecordError, match=r"Refund.amount: n: amount: 5.50 has more than the 0 deci"
    ):
        mapped.write(Refund(currency="MGA", amount=550))


def test_an_amount_needs_a_currency_unless_it_is_nothing() -> None:
    mapped = map_to(
        Customer, currency=currency("c"), balance=minor("n", currency="c", exponents={"ISK": 2})
    )
    assert mapped.read({"c": None, "n": 0}).balance == 0
    with pytest.raises(
        RecordError, match=r"Customer.balance: an amount at n without a currency at c"
    ):
        mapped.read({"n": 5})
    with pytest.raises(
        RecordError, match=r"Customer.balance: an amount without a currency: set the"
    ):
        mapped.write(Customer(balance=5))


@pytest.mark.parametrize(
    ("code", "sent", "ours"),
    [
        ("usd", "12.5", "0.125"),
        ("jpy", "12.5", "12.5"),
        ("kwd", "1", "0.001"),
        ("isk", "250", "2.5"),
    ],
)
def test_prices_keep_fractions_of_minor_units(code: str, sent: str, ours: str) -> None:
    mapped = map_to(
        Price,
        product=text("p"),
        currency=currency("c", lower=True),
        unit_price=minor_price("n", currency="c", exponents={"ISK": 2}),
    )
    model = mapped.read({"p": "x", "c": code, "n": sent})
    assert model.unit_price == Decimal(ours)
    assert Decimal(mapped.write(model)["n"]) == Decimal(sent)


def test_decimals_are_exact_and_written_as_number_or_text() -> None:
    mapped = line(quantity=decimal("q"), discount=decimal("d", as_text=True))
    for found in (3, Decimal("0.1"), "0.1000", 0.1):
        model = mapped.read({"q": found, "d": found})
        assert model.quantity == model.discount == Decimal(str(found))
    assert mapped.write(accounting.Line(quantity=Decimal("1E+2"), discount=Decimal("1E+2"))) == {
        "q": Decimal("1E+2"),
        "d": "100",
    }
    strange: list[Any] = ["NaN", "Infinity", "x", "", True, []]
    for wrong in strange:
        with pytest.raises(RecordError, match="expected a decimal number at q"):
            mapped.read({"q": wrong})


def test_flags_can_ask_the_opposite_question() -> None:
    mapped = product(active=flag("archived", inverted=True))
    assert mapped.read({"name": "a", "archived": False}).active is True
    assert mapped.read({"name": "a"}).active is True
    assert mapped.write(Product(name="a", active=False)) == {"name": "a", "archived": True}
    with pytest.raises(RecordError, match="expected true or false at archived, found a number"):
        mapped.read({"name": "a", "archived": 0})


def test_instants_without_an_offset_are_utc_only_where_the_page_says_so() -> None:
    mapped = product(created_at=instant("at", assume_utc=True))
    model = mapped.read({"name": "a", "at": "2026-01-31T12:00:00.5"})
    assert model.created_at == datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)
    assert mapped.write(model)["at"] == "2026-01-31T12:00:00.500000Z"
    assert product(created_at=instant("at")).write(model)["at"].endswith("Z")


def test_dates_are_never_moved_between_zones() -> None:
    assert INVOICE.read(RECORD | {"issued": "2026-03-31T23:59:59"}).issued_on == date(2026, 3, 31)
    assert INVOICE.read(RECORD | {"issued": "2026-03-31T00:00:00+14:00"}).issued_on == date(
        2026, 3, 31
    )


def test_the_first_row_that_has_something_wins() -> None:
    mapped = line(quantity=first_of(decimal("exact"), decimal("rough")))
    assert mapped.read({"exact": "1.5", "rough": 1}).quantity == Decimal("1.5")
    assert mapped.read({"exact": None, "rough": 1}).quantity == 1
    assert mapped.read({}).quantity is None
    assert mapped.write(accounting.Line(quantity=Decimal(2))) == {}
    assert mapped.owned_paths == ("exact", "rough")


def test_a_constant_is_always_read_and_never_written() -> None:
    mapped = map_to(
        accounting.Contact, name=text("name"), currency=constant("EUR"), is_customer=constant(True)
    )
    model = mapped.read({"name": "a"})
    assert (model.currency, model.is_customer) == ("EUR", True)
    assert mapped.write(replace(model, currency="USD"), base=model) == {}


def test_texts_are_a_list() -> None:
    mapped = map_to(Recurrence, rules=texts("RRULE"))
    assert mapped.read({"RRULE": ["a", "b"]}).rules == ("a", "b")
    assert mapped.write(Recurrence(rules=("c",))) == {"RRULE": ["c"]}
    for wrong in ("a", [1]):
        with pytest.raises(RecordError):
            mapped.read({"RRULE": wrong})


def test_references_go_through_the_link_table_if_there_is_one() -> None:
    mapped = map_to(
        Payment,
        status=one_of("s", {status.value: status for status in PaymentStatus}),
        currency=currency("c"),
        amount=minor("n", currency="c"),
        customer=ref("customer", to="customer"),
    )
    record = {"s": "pending", "c": "EUR", "n": 1, "customer": "cus_9"}
    linked = Context(links={"customer": {"cus_9": "c-17", "cus_8": "c-17"}})
    assert mapped.read(record).customer == "cus_9"
    assert mapped.read(record, linked).customer == "c-17"
    assert mapped.read(record | {"customer": "cus_0"}, linked).customer == "cus_0"
    assert mapped.read(record | {"customer": None}, linked).customer is None
    model = mapped.read(record, linked)
    assert mapped.write(model, context=linked)["customer"] == "cus_9"
    assert mapped.write(replace(model, customer=None), base=model, context=linked) == {
        "customer": None
    }
    with pytest.raises(
        RecordError, match=r"Payment.customer: 'c-18' is linked to no customer: push"
    ):
        mapped.write(replace(model, customer="c-18"), context=linked)
    assert mapped.references == ("customer",)


def test_a_word_of_ours_is_never_written_as_a_code_of_the_providers() -> None:
    mapped = line(account=lookup("AccountCode", table="accounts"))
    bare = Context(own={"accounts": {"sales"}})
    assert mapped.write(accounting.Line(account="200"), None, bare)["AccountCode"] == "200"
    with pytest.raises(UnmappedCode, match="our code 'sales' has no counterpart"):
        mapped.write(accounting.Line(account="sales"), None, bare)
    lines = Context(codes={"accounts": {"200": "sales"}}, own={"accounts": {"sales"}})
    assert mapped.write(accounting.Line(account="sales"), None, lines)["AccountCode"] == "200"


def test_codes_go_through_the_tenants_table_if_there_is_one() -> None:
    mapped = line(account=lookup("AccountCode", table="accounts"))
    own = Context(codes={"accounts": {"200": "sales", "201": "sales"}})
    assert mapped.read({"AccountCode": "200"}).account == "200"
    assert mapped.read({"AccountCode": "201"}, own).account == "sales"
    assert mapped.write(accounting.Line(account="sales"), context=own) == {"AccountCode": "200"}
    with pytest.raises(
        UnmappedCode, match="the provider's code '999' has no counterpart"
    ) as caught:
        mapped.read({"AccountCode": "999"}, own)
    assert (caught.value.table, caught.value.code) == ("accounts", "999")
    with pytest.raises(UnmappedCode, match="our code 'rent' has no counterpart in the code table"):
        mapped.write(accounting.Line(account="rent"), context=own)


def test_functions_are_the_last_resort_and_cannot_stop_a_run() -> None:
    mapped = product(
        description=via(
            read=lambda record: record["a"] + record["b"]["c"],
            write=lambda ours: {"a": ours[:1], "b": {"c": ours[1:]}},
            paths=["a", "b.c"],
        ),
        unit_label=text("b.d"),
    )
    model = mapped.read({"name": "n", "a": "x", "b": {"c": "yz", "d": "u"}})
    assert model.description == "xyz"
    assert mapped.write(replace(model, description="mno"), base=model) == {
        "a": "m",
        "b": {"c": "no"},
    }
    assert mapped.write(model) == {"name": "n", "a": "x", "b": {"c": "yz", "d": "u"}}
    assert mapped.owned_paths == ("name", "a", "b.c", "b.d")
    with pytest.raises(RecordError, match=r"Product.description: cannot be read \(KeyError\)"):
        mapped.read({"name": "n", "a": "x", "b": {}})
    assert product(unit_label=via(read=lambda _: None, paths=["z"])).written == ("name",)


def test_a_one_way_mapping_writes_nothing() -> None:
    mapped = map_from(Product, name=text("name"), active=flag("active"))
    assert mapped.written == ()
    assert mapped.write(Product(name="x")) == {}
    assert "Product" in repr(mapped)


def test_the_table_of_a_mapping_can_be_shown() -> None:
    mapped = map_to(
        Subscription,
        id=read_only(text("id")),
        customer=ref("customer", to="customer"),
        status=one_of("s", {status.value: status for status in SubscriptionStatus}),
        items=read_only(
            many("items.data", map_to(SubscriptionItem, price=lookup("p", table="prices")))
        ),
        extra=entries("meta"),
    )
    assert mapped.fields[:2] == (
        Correspondence("id", "id", "text", Access.READ, ""),
        Correspondence("customer", "customer", "ref", Access.BOTH, "-> customer"),
    )
    assert mapped.fields[2].note.startswith("pending = pending, ")
    assert mapped.fields[3:] == (
        Correspondence("items[].price", "items.data[].p", "lookup", Access.READ, "table prices"),
        Correspondence("extra", "meta", "entries", Access.BOTH, ""),
    )
    assert mapped.owned_paths == ("id", "customer", "s", "items.data[].p", "meta")
    assert mapped.written == ("customer", "s", "meta")
