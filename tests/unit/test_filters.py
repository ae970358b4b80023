"""Filters on an event's body: what they mean, and what they say when they are wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from landbridge.engine import filters
from landbridge.errors import InvalidInput

PAID: dict[str, Any] = {
    "type": "invoice.paid",
    "data": {
        "amount": 1000,
        "status": "paid",
        "rate": 0.25,
        "memo": None,
        "test": False,
        "customer": {"country": "NL", "a.b": {'say "hi"': 1}, "": 2},
        "lines": [{"sku": "A-1", "price": 5}, {"sku": "B-2", "price": 25}],
        "tags": ["new", "eu"],
        "none": [],
    },
}


def passes(source: Any, body: Any = PAID) -> bool:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return filters.passes(source, raw)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ({"data.amount": 1000}, True),
        ({"data.amount": 1000.0}, True),
        ({"data.amount": "1000"}, False),
        ({"data.amount": {"gte": 1000}}, True),
        ({"data.amount": {"gt": 1000}}, False),
        ({"data.amount": {"gt": 999, "lt": 1001}}, True),
        ({"data.amount": {"lte": 999.5}}, False),
        ({"data.rate": Decimal("0.25")}, True),
        ({"data.status": ["paid", "open"]}, True),
        ({"data.status": {"in": ["open"]}}, False),
        ({"data.status": {"not_in": ["open", "void"]}}, True),
        ({"data.status": {"ne": "paid"}}, False),
        ({"data.nothing": {"ne": "paid"}}, True),
        ({"data.status": {"prefix": "pa"}}, True),
        ({"data.status": {"prefix": ["x", "p"]}}, True),
        ({"data.amount": {"prefix": "1"}}, False),
        ({"data.status": {"gt": "open"}}, True),
        ({"data.memo": None}, True),
        ({"data.nothing": None}, False),
        ({"data.memo": {"exists": True}}, True),
        ({"data.nothing": {"exists": True}}, False),
        ({"data.nothing": {"exists": False}}, True),
        ({"data.none": {"exists": True}}, True),
        ({"data.test": False}, True),
        ({"data.test": 0}, False),
        ({"data.customer.country": "NL"}, True),
        ({'data.customer."a.b"."say \\"hi\\""': 1}, True),
        ({'data.customer.""': 2}, True),
        ({"data.tags": "eu"}, True),
        ({"data.tags": {"ne": "eu"}}, False),
        ({"data.lines.sku": {"prefix": "B"}}, True),
        ({"data.lines.price": {"gt": 5, "lt": 25}}, False),
        ({"data.lines.price": {"gt": 5, "lte": 25}}, True),
        ({"data.customer": "NL"}, False),
        ({"type": "invoice.paid", "data.amount": 1}, False),
        ({"any": [{"data.amount": 1}, {"data.status": "paid"}]}, True),
        ({"all": [{"data.amount": 1}, {"data.status": "paid"}]}, False),
        ({"not": {"data.amount": 1}}, True),
        ({"not": {"data.amount": 1000, "data.status": "open"}}, True),
        ({"not": {"not": {"any": [{"data.amount": {"lt": 1}}]}}}, False),
    ],
)
def test_what_a_filter_lets_through(source: dict[str, Any], wanted: bool) -> None:
    assert passes(source) is wanted
    assert passes(json.dumps(source, default=float)) is wanted


def test_a_key_that_is_called_like_a_group_is_quoted() -> None:
    assert passes({'"any"': 1}, {"any": 1})
    assert not passes({'"not"': 1}, {"any": 1})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"<a/>",
        b"{",
        b'{"a": NaN}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"a": 1e200000}',
        b'\xef\xbb\xbf{"a": 2}',
    ],
)
def test_a_body_that_cannot_be_asked_passes(body: bytes) -> None:
    assert passes({"a": 1}, body)
    assert not passes({"a": 1}, b'{"a": 2}')


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({}, "filter: it is empty"),
        ([], "filter: it is a list, an object"),
        ("{", "filter: it is not JSON"),
        ('{"a": NaN}', "filter.a: it is not a finite number"),
        ('{"a": 1, "a": 2}', "filter: 'a' stands twice"),
        ('"x"', "filter: it is text, an object"),
        ({"data.amount": {"gte": [1]}}, "filter.data.amount.gte: it is a list; text, a number"),
        ({"data.amount": {"gte": None}}, "filter.data.amount.gte: it is null, a number or text"),
        ({"data.amount": {"gte": True}}, "gte: it is true or false, a number or text"),
        ({"a": {"greater": 1}}, "filter.a.greater: 'greater' is none of eq, ne"),
        ({"a": {"exits": True}}, "Did you mean 'exists'"),
        ({"a": {"exists": 1}}, "filter.a.exists: it is a number, true or false"),
        ({"a": {}}, "filter.a: it is empty"),
        ({"a": []}, "filter.a: a list of 1 to 100 values"),
        ({"a": list(range(101))}, "filter.a: a list of 1 to 100 values"),
        ({"a": [1, {}]}, r"filter.a\[1\]: it is an object"),
        ({"a": {"prefix": ""}}, "filter.a.prefix: it is empty text"),
        ({"a": {"prefix": ["x", 1]}}, r"filter.a.prefix\[1\]: it is a number, text"),
        ({"any": {"a": 1}}, "filter.any: a list of filters"),
        ({"any": []}, "filter.any: a list of filters"),
        ({"any": [{"a": 1}, 3]}, r"filter.any\[1\]: it is a number, an object"),
        ({"not": [{"a": 1}]}, "filter.not: it is a list, an object"),
        ({"not": {}}, "filter.not: it is empty"),
        ({"a..b": 1}, "filter.a..b: this place cannot be read"),
        ({"": 1}, "this place cannot be read"),
        ({"a.": 1}, "this place cannot be read"),
        ({'a"b': 1}, "this place cannot be read"),
        ({'"a"b': 1}, "this place cannot be read"),
        ({'"\\x"': 1}, "is not a JSON string"),
        ({'"\\u0000"': 1}, "the character NUL"),
        ({"a": "x\x00"}, "the character NUL"),
        ({"a": "\ud800"}, "half of a surrogate pair"),
        ({1: 1}, "a place is text"),
        ({".".join("a" * 17): 1}, "it has 17 keys, 16 are the most"),
        ({"a": float("inf")}, "not a finite number"),
        ({"a": Decimal("NaN")}, "not a finite number"),
        ({"a": 10**309}, "more than 309 digits"),
        ({"a": 10**400}, "more than 309 digits"),
        ({"a": Decimal("1e999999")}, "more than 309 digits"),
        ({"a": Decimal("0.12345678901234567890")}, "more digits than a number in JSON keeps"),
        ({"a": object()}, "filter.a: it is object; text"),
        ({"a": "x" * 9000}, "bytes are more than 8192"),
        ('{"a": "' + "x" * 20000 + '"}', "larger than 8192"),
        ({f"k{n}": 1 for n in range(101)}, "more than 100 conditions"),
    ],
)
def test_a_wrong_filter_names_the_place(source: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        filters.compiled(source)


def test_a_filter_that_is_nested_too_deep_is_refused() -> None:
    source: dict[str, Any] = {"a": 1}
    for _ in range(7):
        source = {"not": source}
    filters.compiled(source)
    with pytest.raises(InvalidInput, match="nested more than 8 deep"):
        filters.compiled({"not": source})
    source["not"] = source
    with pytest.raises(InvalidInput, match="nested more than 8 deep"):
        filters.compiled(source)


def test_the_column_holds_the_filter_as_it_was_given() -> None:
    source = {"data.amount": {"gte": 12345678901234567890, "lt": Decimal("1e30")}, "a": [1.5, "ü"]}
    column = filters.compiled(source)
    assert filters.source_of(column) == source
    assert json.loads(column)["path"] == (
        '(exists($."data"."amount" ? ((@ >= 12345678901234567890)'
        " && (@ < 1000000000000000000000000000000))))"
        ' && (exists($."a" ? ((@ == 1.5 || @ == "\\u00fc"))))'
    )
