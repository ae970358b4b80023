"""Documents come to the same, to the last minor unit, whichever way they are reckoned."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from landbridge.errors import SpecError
from landbridge.models.accounting import (
    Direction,
    DocumentStatus,
    EntryStatus,
    Invoice,
    JournalEntry,
    JournalLine,
    Line,
    TaxComponent,
    TaxMode,
    TaxRate,
)
from landbridge.models.totals import Rule, Totals, rate_parts, reckon, share, unbalanced, whole_rate
from landbridge.spec import Rounding

RATES = {"full": Decimal(15), "low": Decimal("5.5"), "none": Decimal(0), "odd": Decimal("9.975")}
CURRENCIES = st.sampled_from(["JPY", "NZD", "KWD"])
RULES = st.builds(
    Rule, per=st.sampled_from(["line", "document"]), half=st.sampled_from("up even".split())
)
LINES = st.lists(
    st.builds(
        Line,
        quantity=st.decimals("0.0001", "999", places=4),
        unit_price=st.decimals("-9999", "9999", places=4),
        discount=st.none() | st.decimals(0, 100, places=2),
        tax=st.sampled_from(sorted(RATES)),
    ),
    max_size=6,
).map(tuple)
FEW = settings(max_examples=40, deadline=None)


def invoice(*lines: Line, currency: str = "NZD", mode: TaxMode | None = None) -> Invoice:
    return Invoice(
        contact="c",
        status=DocumentStatus.OPEN,
        currency=currency,
        issued_on=date(2026, 11, 27),
        tax_mode=mode,
        lines=lines,
    )


def known(totals: Totals) -> tuple[int, int, int]:
    assert totals.subtotal is not None
    assert totals.tax is not None
    assert totals.total is not None
    return totals.subtotal, totals.tax, totals.total


@FEW
@given(lines=LINES, currency=CURRENCIES, rule=RULES, mode=st.sampled_from(TaxMode))
def test_the_parts_are_the_whole(
    lines: tuple[Line, ...], currency: str, rule: Rule, mode: TaxMode
) -> None:
    totals = reckon(invoice(*lines, currency=currency, mode=mode), rule, RATES)
    subtotal, tax, total = known(totals)
    assert subtotal + tax == total
    assert tax == sum(line.tax or 0 for line in totals.lines)
    amounts = sum(line.amount or 0 for line in totals.lines)
    assert amounts == (total if mode is TaxMode.INCLUSIVE else subtotal)
    if mode is TaxMode.NONE:
        assert tax == 0


@FEW
@given(lines=LINES, currency=CURRENCIES, rule=RULES)
def test_no_figure_is_further_off_than_its_rule_rounds(
    lines: tuple[Line, ...], currency: str, rule: Rule
) -> None:
    totals = reckon(invoice(*lines, currency=currency), rule, RATES)
    exact = Fraction(0)
    for line, found in zip(lines, totals.lines, strict=True):
        assert found.amount is not None
        tax = Fraction(found.amount) * Fraction(RATES[line.tax or ""]) / 100
        exact += tax
        assert abs((found.tax or 0) - tax) <= (Fraction(1, 2) if rule.per == "line" else 1)
    times = len(lines) if rule.per == "line" else len({line.tax for line in lines})
    assert abs((totals.tax or 0) - exact) <= Fraction(times, 2)


@FEW
@given(lines=LINES, currency=CURRENCIES, half=st.sampled_from(["up", "even"]))
def test_the_same_with_tax_and_without(lines: tuple[Line, ...], currency: str, half: str) -> None:
    """What comes out of prices without tax comes out of the same sums with tax in them."""
    rule = Rule(half=half)
    without = reckon(invoice(*lines, currency=currency), rule, RATES)
    sums = [
        Line(amount=(found.amount or 0) + (found.tax or 0), tax=line.tax)
        for line, found in zip(lines, without.lines, strict=True)
    ]
    within = reckon(invoice(*sums, currency=currency, mode=TaxMode.INCLUSIVE), rule, RATES)
    assert known(within) == known(without)


@FEW
@given(lines=LINES, rule=RULES)
def test_a_credit_note_takes_back_what_the_invoice_was(lines: tuple[Line, ...], rule: Rule) -> None:
    taken = [replace(line, quantity=-(line.quantity or 0)) for line in lines]
    there = known(reckon(invoice(*lines), rule, RATES))
    back = known(reckon(invoice(*taken), rule, RATES))
    assert [a + b for a, b in zip(there, back, strict=True)] == [0, 0, 0]


@FEW
@given(
    weights=st.lists(st.fractions(-1000, 1000, max_denominator=97), min_size=1, max_size=9),
    step=st.sampled_from([1, 10]),
)
def test_shares_lose_nothing_and_stay_near(weights: list[Fraction], step: int) -> None:
    whole = round(sum(weights) / step) * step
    parts = share(whole, weights, step)
    assert sum(parts) == whole
    assert all(part % step == 0 for part in parts)
    assert all(abs(part - one) <= step for part, one in zip(parts, weights, strict=True))


@pytest.mark.parametrize(("per", "tax", "total"), [("line", 1144, 8774), ("document", 1145, 8775)])
def test_the_example_of_xeros_documentation(per: str, tax: int, total: int) -> None:
    lines = [Line(unit_price=Decimal(price), tax="full") for price in ("25.06", "25.61", "25.63")]
    assert known(reckon(invoice(*lines), Rule(per=per), RATES)) == (7630, tax, total)


@pytest.mark.parametrize(
    ("rule", "line", "currency", "amount"),
    [
        (Rule(half="up"), Line(unit_price=Decimal("0.125")), "NZD", 13),
        (Rule(half="even"), Line(unit_price=Decimal("0.125")), "NZD", 12),
        (Rule(half="up"), Line(unit_price=Decimal("-0.125")), "NZD", -13),
        (Rule(), Line(quantity=Decimal(3), unit_price=Decimal("33.5")), "JPY", 101),
        (Rule(), Line(unit_price=Decimal("1.2345")), "KWD", 1235),
        (Rule(decimals=2), Line(unit_price=Decimal("1.2345")), "KWD", 1230),
        (Rule(decimals=2), Line(unit_price=Decimal("1.5")), "JPY", 2),
        (Rule(prices=2), Line(quantity=Decimal(100), unit_price=Decimal("0.125")), "NZD", 1300),
        (Rule(), Line(unit_price=Decimal(10), discount=Decimal("2.5"), amount=7), "NZD", 975),
        (Rule(), Line(amount=7, item="tea"), "NZD", 7),
        (Rule(), Line(item="tea"), "NZD", None),
        (Rule(), Line(description="only text"), "NZD", 0),
    ],
)
def test_what_a_line_comes_to(rule: Rule, line: Line, currency: str, amount: int | None) -> None:
    (found,) = reckon(invoice(line, currency=currency), rule, {}).lines
    assert found.amount == amount


def test_what_nobody_knows_is_no_number() -> None:
    line = Line(unit_price=Decimal(10), tax="secret")
    assert reckon(invoice(line), Rule(), {}).figures() == {
        "subtotal": 1000,
        "lines[0].amount": 1000,
    }
    within = reckon(invoice(line, mode=TaxMode.INCLUSIVE), Rule(per="document"), {})
    assert within.figures() == {"total": 1000, "lines[0].amount": 1000}


def test_a_rate_with_its_components() -> None:
    gst = TaxComponent(name="GST", percentage=Decimal(5))
    more = TaxComponent(name="PST", percentage=Decimal(10), compound=True)
    assert whole_rate(TaxRate(name="both", components=(gst, more))) == Decimal("15.5")
    assert whole_rate(TaxRate(name="told", percentage=Decimal(8), components=(gst,))) == 8
    assert whole_rate(TaxRate(name="secret")) is None


def test_a_rate_that_is_kept_elsewhere_and_differs_by_the_direction() -> None:
    gst, pst = (TaxComponent(name=name, rate=name) for name in ("1", "2"))
    rate = TaxRate(name="both", sale_components=(gst, pst), purchase_components=(gst,))
    kept = {"1": Decimal(5), "2": Decimal(7)}
    assert rate_parts(rate, Direction.SALE, kept) == [5, 7]
    assert whole_rate(rate, Direction.PURCHASE, kept) == 5
    assert rate_parts(rate, Direction.SALE, {"1": Decimal(5)}) == []


@pytest.mark.parametrize("per", ["line", "document"])
def test_each_rate_of_a_tax_can_be_rounded_by_itself(per: str) -> None:
    """Of 0.50 5 % are 2.5 cents and 7 % are 3.5: seven together, or six of 12 %."""
    line, parts = Line(unit_price=Decimal("0.50"), tax="both"), [Decimal(5), Decimal(7)]
    for split, tax in ((False, 6), (True, 7)):
        rule = Rule(per=per, split=split)
        found = reckon(invoice(line), rule, {"both": Decimal(12)}, {"both": parts})
        assert (found.tax, found.lines[0].tax, found.total) == (tax, tax, 50 + tax)
        assert ("each of its rates by itself" in str(rule)) == split


def test_entries_balance() -> None:
    def entry(*amounts: int, **more: Any) -> JournalEntry:
        lines = tuple(JournalLine(account="200", amount=one, **more) for one in amounts)
        return JournalEntry(status=EntryStatus.POSTED, posted_on=date(2026, 1, 1), lines=lines)

    assert unbalanced(entry(100, -60, -40)) == 0
    assert unbalanced(entry(100, -60)) == 40
    assert unbalanced(entry(115, -100, tax="full")) == 0


def test_a_page_names_its_rule_in_known_words() -> None:
    with pytest.raises(SpecError, match="Rounding, per: 'lines' is none of line, document"):
        Rounding(per="lines")
    with pytest.raises(SpecError, match="Rounding, unsure: 'prices' is none of per, half"):
        Rounding(per="line", unsure=["prices"])
