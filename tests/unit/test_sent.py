"""What a provider shows at one place and takes at another (`sent`)."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from landbridge.errors import SpecError
from landbridge.models.payments import (
    Checkout,
    CheckoutLine,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from landbridge.spec import (
    alongside,
    constant,
    currency,
    decimal,
    many,
    map_to,
    priced,
    read_only,
    ref,
    sent,
    text,
)

item = map_to(
    SubscriptionItem,
    id=read_only(text("id")),
    price=sent(ref("price.id", to="price"), at="price"),
    quantity=decimal("quantity"),
)
items = sent(many("items.data", item, key="id"), at="items", gone={"deleted": True})
order = map_to(
    Subscription,
    customer=text("customer"),
    status=constant(SubscriptionStatus.ACTIVE),
    items=items,
)
line = map_to(
    CheckoutLine,
    price=sent(ref("price.id", to="price"), at="price"),
    name=sent(text("title"), at="made.name", unless="price"),
    unit_price=sent(
        priced("price", currency="^currency", value="cents", code="code", exponents={}, lower=True),
        at="made",
        unless="price",
    ),
)
page = map_to(
    Checkout,
    currency=read_only(currency("currency")),
    lines=sent(many("lines.data", line), at="lines"),
)
HELD = {
    "customer": "c",
    "items": {
        "url": "/items",
        "data": [
            {"id": "i1", "price": {"id": "p1", "own": 1}, "quantity": 2, "tax": 5},
            {"id": "i2", "price": {"id": "p2"}, "quantity": 1},
        ],
    },
}


def test_items_that_change_come_and_go_are_sent_where_they_are_taken() -> None:
    before = order.read(HELD)
    first, _ = before.items
    new = SubscriptionItem(price="p3", quantity=Decimal(1))
    wanted = replace(before, items=(replace(first, price="p9"), new))
    changes = order.write(wanted, base=before)
    assert changes == {
        "items": [
            {"id": "i1", "price": "p9", "quantity": Decimal(2)},
            {"price": "p3", "quantity": Decimal(1)},
            {"id": "i2", "deleted": True},
        ]
    }
    after = order.apply(HELD, changes)
    assert after["items"] == {
        "url": "/items",
        "data": [
            {"id": "i1", "price": {"id": "p9", "own": 1}, "quantity": Decimal(2), "tax": 5},
            {"price": {"id": "p3"}, "quantity": Decimal(1)},
        ],
    }
    assert order.read(after) == wanted
    assert order.write(before, base=before) == {}


def test_a_new_record_takes_no_keys_of_another_one() -> None:
    told = order.write(order.read(HELD))
    assert [sorted(each) for each in told["items"]] == [["price", "quantity"]] * 2


def test_what_is_sent_is_known_by_its_place_and_shown_at_another() -> None:
    assert order.written == ("customer", "items")
    assert order.owned_paths[1:] == ("items.data[].id", "items.data[].price.id", *QUANTITY)
    notes = {each.ours: each.note for each in order.fields}
    assert notes["items[].price"] == "-> price; written at price"
    told = {"items": [{"price": "p"}, {"id": "i", "deleted": True}], "customer": "d"}
    assert order.shown(told) == {"items": {"data": [{"price": {"id": "p"}}]}, "customer": "d"}


QUANTITY = ("items.data[].quantity",)


def test_a_price_made_for_once_is_written_with_its_currency_and_one_that_is_there_by_its_id() -> (
    None
):
    made = CheckoutLine(name="Mug", unit_price=Decimal("12.345"))
    model = Checkout(currency="EUR", lines=(made, replace(made, price="p1")))
    told = page.write(model)
    assert told == {
        "lines": [
            {"made": {"name": "Mug", "cents": "1234.5", "code": "eur"}},
            {"price": "p1"},
        ]
    }
    shown = page.apply({"currency": "eur"}, told)
    assert shown["lines"]["data"][0] == {
        "title": "Mug",
        "price": {"cents": "1234.5", "code": "eur"},
    }
    assert page.read(shown).lines[0] == made


def test_a_quantity_may_be_written_alongside_a_price_only() -> None:
    rows = {
        "price": ref("price", to="price"),
        "name": text("name"),
        "quantity": alongside(decimal("count"), "price"),
    }
    several = CheckoutLine(name="Mug", quantity=Decimal(2))
    mapped = map_to(CheckoutLine, **rows)
    assert mapped.write(several) == {"name": "Mug"}
    told = {"name": "Mug", "price": "p", "count": Decimal(2)}
    assert mapped.write(replace(several, price="p")) == told
    assert mapped.read(told) == replace(several, price="p")


def test_mistakes_are_named() -> None:
    for wrong, reason in (
        (
            lambda: map_to(SubscriptionItem, price=alongside(text("a"), "id")),
            "alongside: no row for 'id'",
        ),
        (lambda: sent(text("a"), at="a b"), "is no path"),
        (lambda: sent(text("a"), at="b", gone={"x": 1}), "only items with a key"),
        (lambda: sent(constant(1), at="b"), "constant has no path of its own"),
        (
            lambda: map_to(SubscriptionItem, price=sent(text("a"), at="b", unless="id")),
            "unless: no row for 'id'",
        ),
        (
            lambda: map_to(
                SubscriptionItem, price=sent(text("a"), at="b"), id=sent(text("c"), at="b.d")
            ),
            "both write",
        ),
    ):
        with pytest.raises(SpecError, match=reason):
            wrong()
