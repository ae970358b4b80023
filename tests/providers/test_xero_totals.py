"""Documents of Xero add up to the cent as they are read, whichever way their lines bear tax."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.formats import codec
from landbridge.formats.canonical import canonical
from landbridge.models.accounting import CreditNote, Invoice, TaxMode
from landbridge.models.totals import Rule, reckon
from landbridge.providers.xero import xero
from landbridge.testing.xero.books import Books, without_nulls
from tests.specs.xero import document

CONTACT = "00000000-0000-4000-8000-000000000001"
MODES = {"Exclusive": TaxMode.EXCLUSIVE, "Inclusive": TaxMode.INCLUSIVE, "NoTax": TaxMode.NONE}

RATES = {"OUTPUT2": Decimal(15), "REDUCED": Decimal("5.5"), "NONE": Decimal(0)}
RULE = Rule(decimals=2, prices=4)

lines = st.builds(
    lambda quantity, price, discount, tax: without_nulls(
        {
            "Description": "Work",
            "Quantity": quantity / 10_000,
            "UnitAmount": price / 10_000,
            "DiscountRate": None if discount is None else discount / 100,
            "TaxType": tax,
        }
    ),
    quantity=st.integers(1, 9_999_999),
    price=st.integers(-99_999_999, 99_999_999),
    discount=st.none() | st.integers(0, 10_000),
    tax=st.sampled_from(["OUTPUT2", "REDUCED", "NONE"]),
)


def books() -> Books:
    made = Books(tenant="t-1", name="Demo", rng=random.Random(7), now=lambda: 1_790_000_000.0)
    for code, percent in (("OUTPUT2", 15), ("REDUCED", 5.5)):
        made.put("TaxRates", {"TaxType": code, "EffectiveRate": percent})
    made.put("Contacts", {"ContactID": CONTACT, "Name": "Ada", "ContactStatus": "ACTIVE"})
    return made


def read(name: str, obj: Any) -> Any:
    """A document as our mapping reads it from the bytes that Xero sends."""
    resource = xero.resource(name)
    assert resource.maps is not None
    return resource.maps.read(codec(resource.format).parse(canonical(obj)))


def written(mode: str, *items: dict[str, Any]) -> Invoice:
    sent = {
        "Contact": {"ContactID": CONTACT},
        "LineAmountTypes": mode,
        "LineItems": list(items),
        "CurrencyCode": "NZD",
    }
    found = read("Invoices", books().write("Invoices", None, sent))
    assert isinstance(found, Invoice)
    return found


def amounts(one: Invoice | CreditNote) -> tuple[int, int]:
    """The sums of the lines: their amounts, and the tax on them."""
    return (
        sum(line.amount or 0 for line in one.lines),
        sum(line.tax_amount or 0 for line in one.lines),
    )


def check(one: Invoice | CreditNote) -> None:
    """The totals follow from the lines, as `tax_mode` says that they are to be read."""
    net, tax = amounts(one)
    if one.tax_mode is TaxMode.INCLUSIVE:
        net -= tax
    elif one.tax_mode is TaxMode.NONE:
        tax = 0
    assert (one.subtotal, one.tax, one.total) == (net, tax, net + tax)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=80, deadline=None)
@given(items=st.lists(lines, min_size=1, max_size=6))
def test_an_invoice_adds_up(mode: str, items: list[dict[str, Any]]) -> None:
    invoice = written(mode, *items)
    assert invoice.tax_mode is MODES[mode]
    check(invoice)
    reckoned = reckon(invoice, RULE, RATES)
    assert (reckoned.subtotal, reckoned.tax) == (invoice.subtotal, invoice.tax)
    assert [line.tax for line in reckoned.lines] == [line.tax_amount for line in invoice.lines]
    assert invoice.amount_due == invoice.total
    for line in invoice.lines:
        assert line.quantity is not None
        assert line.unit_price is not None
        left = 1 - (line.discount or Decimal(0)) / 100
        cents = (line.quantity * line.unit_price * left * 100).quantize(Decimal(1), ROUND_HALF_UP)
        assert line.amount == cents


@pytest.mark.parametrize(
    ("mode", "subtotal", "tax", "total"),
    [
        ("Exclusive", 10000, 1500, 11500),
        ("Inclusive", 8696, 1304, 10000),
        ("NoTax", 10000, 0, 10000),
    ],
)
def test_a_hundred_at_fifteen_percent(mode: str, subtotal: int, tax: int, total: int) -> None:
    item = {"Quantity": 4, "UnitAmount": 50, "DiscountRate": 50, "TaxType": "OUTPUT2"}
    invoice = written(mode, item)
    assert (invoice.subtotal, invoice.tax, invoice.total) == (subtotal, tax, total)
    (line,) = invoice.lines
    assert (line.amount, line.tax_amount, line.discount) == (10000, tax, Decimal(50))


@pytest.mark.parametrize("name", ["Invoices", "CreditNotes"])
def test_xeros_own_examples_add_up(name: str) -> None:
    shown = [read(name, one) for one in document.xero().examples[name] if "Total" in one]
    assert shown  # they are of lists and have no lines
    for one in shown:
        assert one.subtotal + one.tax == one.total
