"""What a document comes to: its lines, taxes and totals, rounded as a provider rounds them.

Everything is reckoned exactly and rounded where the rule says so, once. What cannot be known (the
rate of a tax, the price of an article that the line does not say) is None, and so is every figure
that it is a part of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from landbridge.models.accounting import (
    Direction,
    Document,
    Expense,
    JournalEntry,
    Line,
    TaxMode,
    TaxRate,
)
from landbridge.money import exponent

_NONE: Mapping[str, Decimal] = MappingProxyType({})
_WHOLE: Mapping[str, Sequence[Decimal]] = MappingProxyType({})
_ONE: Sequence[Fraction] = (Fraction(1),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """How one rounds. `per` is line or document: where taxes are; `half` is up (away from zero) or
    even; with `split` each of the rates that a tax is made of is rounded by itself. `decimals` are
    the most that amounts have (None: the currency's), `prices` those of unit prices (None: any)."""

    per: str = "line"
    half: str = "up"
    split: bool = False
    decimals: int | None = None
    prices: int | None = None

    def __str__(self) -> str:
        where = "for each line" if self.per == "line" else "for the whole document"
        split = ", each of its rates by itself" if self.split else ""
        return f"tax is rounded {where}{split}, half {self.half}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LineTotal:
    """What a line comes to, in minor units: `amount` as the document's `tax_mode` says."""

    amount: int | None
    tax: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """What a document comes to, in minor units of its currency."""

    lines: tuple[LineTotal, ...]
    subtotal: int | None
    tax: int | None
    total: int | None

    def figures(self) -> dict[str, int]:
        """The figures that are known, by our fields: `total`, `lines[0].amount`, ..."""
        found = {"subtotal": self.subtotal, "tax": self.tax, "total": self.total}
        for place, line in enumerate(self.lines):
            found[f"lines[{place}].amount"] = line.amount
            found[f"lines[{place}].tax_amount"] = line.tax
        return {name: value for name, value in found.items() if value is not None}


def reckon(
    document: Document | Expense,
    rule: Rule,
    rates: Mapping[str, Decimal],
    parts: Mapping[str, Sequence[Decimal]] = _WHOLE,
) -> Totals:
    """What the lines of a document come to. `rates` are percentages by the lines' `tax`, `parts`
    those that a rate is the sum of (a rule that splits them looks there).

    A line's quantity, price and discount count before its `amount`; totals of the document are not
    looked at. Lines are read as without tax where `tax_mode` is None. A tax of the whole document
    is rounded once for each rate, and shared among the lines so that none of it is lost.
    """
    digits = exponent(document.currency)
    step = 10 ** max(0, digits - (digits if rule.decimals is None else rule.decimals))
    amounts = [_amount(line, rule, digits, step) for line in document.lines]
    mode = document.tax_mode or TaxMode.EXCLUSIVE
    shares = [
        None if amount is None else _tax(line, amount, mode, rates)
        for line, amount in zip(document.lines, amounts, strict=True)
    ]
    splits = {name: _weights(parts.get(name, ())) for name in rates if rule.split}
    if rule.per == "line":
        taxes = [
            None if one is None else _in_parts(one, splits.get(line.tax or "", _ONE), rule, step)
            for line, one in zip(document.lines, shares, strict=True)
        ]
    else:
        taxes = _together(document.lines, shares, splits, rule, step)
    whole, tax = _sum(amounts), _sum(taxes)
    lines = tuple(
        LineTotal(amount=amount, tax=one) for amount, one in zip(amounts, taxes, strict=True)
    )
    if mode is TaxMode.INCLUSIVE:
        net = None if whole is None or tax is None else whole - tax
        return Totals(lines=lines, subtotal=net, tax=tax, total=whole)
    gross = None if whole is None or tax is None else whole + tax
    return Totals(lines=lines, subtotal=whole, tax=tax, total=gross)


def whole_rate(
    rate: TaxRate, direction: Direction = Direction.SALE, kept: Mapping[str, Decimal] = _NONE
) -> Decimal | None:
    """The percentage of a tax with all that it is made of; None: nobody told.

    `kept` are the percentages of the rates that its components name, by their ids.
    """
    parts = rate_parts(rate, direction, kept)
    return sum(parts, Decimal(0)) if parts else None


def rate_parts(
    rate: TaxRate, direction: Direction = Direction.SALE, kept: Mapping[str, Decimal] = _NONE
) -> list[Decimal]:
    """The percentages of the untaxed amount that a tax is the sum of, as `whole_rate`; none: nobody
    told one of them."""
    if rate.percentage is not None:
        return [rate.percentage]
    made_of = rate.components
    if rate.sale_components or rate.purchase_components:
        sale = direction is Direction.SALE
        made_of = rate.sale_components if sale else rate.purchase_components
    plain: list[Decimal] = []
    raised: list[Decimal] = []
    for one in made_of:
        percent = one.percentage if one.percentage is not None else kept.get(one.rate or "")
        if percent is None:
            return []
        (raised if one.compound else plain).append(percent)
    for percent in raised:
        plain.append((100 + sum(plain)) * percent / 100)
    return plain


def unbalanced(entry: JournalEntry) -> int:
    """By how many minor units the debits of an entry are more than its credits.

    Nothing where taxes that the lines bear may make up for it.
    """
    taxed = any(line.tax for line in entry.lines) and entry.tax_mode is not TaxMode.NONE
    return 0 if taxed else sum(line.amount for line in entry.lines)


def share(whole: int, weights: Sequence[Fraction], step: int = 1) -> list[int]:
    """An amount in parts that are as near to the weights as whole steps can be, none of it lost."""
    parts = [weight // step for weight in weights]
    left = whole // step - sum(parts)
    order = sorted(range(len(weights)), key=lambda at: parts[at] - weights[at] / step)
    for turn in range(abs(left)):
        at = order[turn % len(order)] if left > 0 else order[-1 - turn % len(order)]
        parts[at] += 1 if left > 0 else -1
    return [part * step for part in parts]


def _amount(line: Line, rule: Rule, digits: int, step: int) -> int | None:
    if line.unit_price is None:
        if line.amount is None and line.item is not None:
            return None  # the article has a price
        return line.amount or 0
    price = Fraction(line.unit_price)
    if rule.prices is not None:
        scale = 10**rule.prices
        price = Fraction(_half(price * scale, rule), scale)
    quantity = Fraction(1 if line.quantity is None else line.quantity)
    left = 1 - Fraction(line.discount or 0) / 100
    return _whole(quantity * price * left * 10**digits, rule, step)


def _tax(line: Line, amount: int, mode: TaxMode, rates: Mapping[str, Decimal]) -> Fraction | None:
    """The exact tax of a line."""
    if mode is TaxMode.NONE or not amount:
        return Fraction(0)
    rate = rates.get(line.tax or "")
    if rate is None:
        return None
    percent = Fraction(rate)
    return amount * percent / (100 + percent if mode is TaxMode.INCLUSIVE else 100)


def _together(
    lines: Sequence[Line],
    exact: Sequence[Fraction | None],
    splits: Mapping[str, Sequence[Fraction]],
    rule: Rule,
    step: int,
) -> list[int | None]:
    """The taxes of lines, rounded once for each rate."""
    taxes: list[int | None] = [None] * len(lines)
    for tax in {line.tax for line in lines}:
        own = [at for at, line in enumerate(lines) if line.tax == tax]
        known = [one for at in own if (one := exact[at]) is not None]
        if len(known) == len(own):
            whole = _in_parts(sum(known, Fraction(0)), splits.get(tax or "", _ONE), rule, step)
            for at, part in zip(own, share(whole, known, step), strict=True):
                taxes[at] = part
    return taxes


def _weights(parts: Sequence[Decimal]) -> Sequence[Fraction]:
    """How much of a tax each of its parts is."""
    whole = sum(parts, Decimal(0))
    return [Fraction(part) / Fraction(whole) for part in parts] if whole else _ONE


def _in_parts(exact: Fraction, weights: Sequence[Fraction], rule: Rule, step: int) -> int:
    """The tax, each part of it rounded."""
    return sum(_whole(exact * weight, rule, step) for weight in weights)


def _whole(exact: Fraction, rule: Rule, step: int) -> int:
    return _half(exact / step, rule) * step


def _half(exact: Fraction, rule: Rule) -> int:
    if rule.half == "even":
        return round(exact)
    nearest = int(abs(exact) + Fraction(1, 2))
    return nearest if exact >= 0 else -nearest


def _sum(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
