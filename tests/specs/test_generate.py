"""The generator is itself held against the document it reads."""

import json
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from landbridge.formats.canonical import canonical
from tests.specs import openapi
from tests.specs.generate import Records

NAMES = "customer product price subscription invoice payment_intent charge refund event".split()
OWNED = ("lines.data[].taxes[].amount", "items.data[].price.id", "last_payment_error.code")


@cache
def stripe() -> Records:
    return Records(json.loads(openapi.STRIPE.read_bytes()), {"currency": ["usd", "jpy"]})


@pytest.mark.parametrize("name", NAMES)
def test_what_is_made_is_what_the_vendor_allows(name: str) -> None:
    for seed in range(60):
        record = stripe().make(name, seed, owned=OWNED)
        sent = json.loads(canonical(record))
        assert openapi.stripe().check_object(name, sent) == []


def test_the_same_seed_gives_the_same_record() -> None:
    assert stripe().make("invoice", 7) == stripe().make("invoice", 7)
    assert stripe().make("invoice", 7) != stripe().make("invoice", 8)


def test_owned_paths_are_reached_and_needed_ones_always_set() -> None:
    seen: dict[str, int] = {"taxes": 0, "null": 0}
    for seed in range(100):
        record: dict[str, Any] = stripe().make(
            "invoice", seed, owned=OWNED, needed=["status", "parent.type"]
        )
        assert record["status"] is not None
        assert record["parent"]["type"]
        seen["null"] += record.get("number") is None
        seen["taxes"] += sum(len(line.get("taxes") or []) for line in record["lines"]["data"])
    assert seen["taxes"] > 20
    assert 10 < seen["null"] < 100


def test_numbers_are_exact() -> None:
    made = [stripe().make("subscription", seed) for seed in range(100)]
    numbers = [record.get("application_fee_percent") for record in made]
    assert {type(number) for number in numbers} == {Decimal, type(None)}
