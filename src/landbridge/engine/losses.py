"""What of a document's lines its provider is not sent, or could not keep, with the way out."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from landbridge.models import Model
from landbridge.models.accounting import Document, Expense, Line
from landbridge.money import exponent
from landbridge.spec import Access, Provider, Resource


def written(resource: Resource, line: Line) -> frozenset[str]:
    """The fields of a line that the mapping writes."""
    assert resource.maps is not None
    row = resource.maps.rows.get("lines")
    if row is None or row.part is None or row.access is Access.READ:
        return frozenset()
    sent: frozenset[str] = row.part.chosen(line).sent
    return sent


_WORDS = ("description", "account", "tax", "item")


def unwritten(resource: Resource, lines: Sequence[Line]) -> list[str]:
    """The fields beside amounts that lines give and the mapping does not write."""
    given = [
        name
        for line in lines
        for name in _WORDS
        if getattr(line, name) is not None and name not in written(resource, line)
    ]
    return [f"lines[].{name}" for name in dict.fromkeys(given)]


def losses(
    page: Provider, resource: Resource, document: Document | Expense, base: Model | None
) -> dict[str, str]:
    """By field, a sentence for each figure of a line that would not be there as it is meant.

    Lines that are there already are left as they are.
    """
    there: Sequence[Line] = getattr(base, "lines", ())
    found = {}
    for place, line in enumerate(document.lines):
        if line in there:
            continue
        sent = written(resource, line)
        if line.discount and "discount" not in sent and "unit_price" in sent:
            found[f"lines[{place}].discount"] = (
                f"{page.name} is not sent a discount of a line: leave it out, and give the"
                " unit_price with it taken off"
            )
        if line.amount is not None and line.unit_price is None and "amount" not in sent:
            found[f"lines[{place}].amount"] = (
                f"{page.name} is not sent the amount of a line: give a unit_price, which counts"
                " for each of the quantity"
            )
        elif "unit_price" in sent and _broken(page, document.currency, line):
            digits = exponent(document.currency)
            found[f"lines[{place}].unit_price"] = (
                f"{line.unit_price} {document.currency} times the quantity comes to a fraction, and"
                f" {document.currency} has {digits} decimals: give a price that does not"
            )
    return found


def _broken(page: Provider, currency: str, line: Line) -> bool:
    """Whether a line comes to what the provider keeps and its currency has no coins for."""
    digits = exponent(currency)
    kept = None if page.rounding is None else page.rounding.decimals
    if kept is None or kept <= digits or line.unit_price is None:
        return False
    left = 1 - Fraction(line.discount or 0) / 100
    quantity = Fraction(1 if line.quantity is None else line.quantity)
    exact = Fraction(line.unit_price) * quantity * left * 10**digits
    return bool(exact.denominator != 1)
