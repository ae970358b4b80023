"""What a document would come to at its provider: shown, proved before it is sent, compared after.

A figure counts as said if the document gives it and the record that it changes does not give the
same: totals that were read with a record do not have to fit its new lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Any

from msgspec.structs import replace

from landbridge.engine.codes import lines_of
from landbridge.engine.stored import models
from landbridge.errors import Refused
from landbridge.models import Model
from landbridge.models.accounting import (
    Document,
    DocumentStatus,
    JournalEntry,
    Line,
    TaxRate,
)
from landbridge.models.totals import Rule, Totals, reckon, unbalanced, whole_rate
from landbridge.money import Money
from landbridge.spec import Access, Provider, Resource, Rounding
from landbridge.store.connections import Connection
from landbridge.store.database import Database

_TOTALS = ("subtotal", "tax", "total")
_MONEY = ("lines", "tax_mode", "currency")


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a document comes to by the page's rule, and what it says itself.

    `totals` is what would be posted; `readings` is that by every rule that the page's facts leave
    open. `differing` are the figures that would be posted otherwise than the document says.
    """

    provider: str
    currency: str
    rule: Rule
    totals: Totals
    readings: Sequence[Mapping[str, int]]
    said: Mapping[str, int]

    @property
    def differing(self) -> dict[str, str]:
        """A sentence for each figure that no reading of the rule makes what the document says."""
        first = self.readings[0]
        return {
            name: f"the document says {self._money(value)}, {self.provider} would post"
            f" {self._money(first[name])}"
            for name, value in self.said.items()
            if name in first and all(one.get(name) != value for one in self.readings)
        }

    def check(self) -> None:
        """Refuses what would be posted otherwise than the document says, with the numbers."""
        wrong = self.differing
        if wrong:
            told = "; ".join(f"{name}: {sentence}" for name, sentence in wrong.items())
            raise Refused(f"nothing was sent. {told} ({self.rule})", problems=wrong)

    def posted_otherwise(self, posted: Document) -> dict[str, str]:
        """A sentence for each figure of what was posted that is not what was said or reckoned."""
        wrong = {}
        if len(posted.lines) != len(self.totals.lines):
            wrong["lines"] = f"{len(self.totals.lines)} were sent, {len(posted.lines)} are there"
        for name, is_there in figures(posted).items():
            expected = {one[name] for one in self.readings if name in one}
            if name in self.said:
                expected = {self.said[name]}
            elif name.startswith("lines[") and "lines" in wrong:
                continue
            if expected and is_there not in expected:
                wanted = " or ".join(self._money(value) for value in sorted(expected))
                wrong[name] = f"{self._money(is_there)} was posted, not {wanted}"
        return wrong

    def _money(self, minor: int) -> str:
        return str(Money(minor=minor, currency=self.currency))


def figures(document: Document) -> dict[str, int]:
    """The figures that a document gives, by its fields."""
    found = {name: getattr(document, name) for name in _TOTALS}
    for place, line in enumerate(document.lines):
        found[f"lines[{place}].amount"] = line.amount
        found[f"lines[{place}].tax_amount"] = line.tax_amount
    return {name: value for name, value in found.items() if value is not None}


async def prove(
    db: Database,
    page: Provider,
    connection: Connection,
    resource: Resource,
    document: Model,
    base: Model | None,
) -> Proof | None:
    """What a document would come to; None where the page does not say how the provider rounds, or
    nothing about its amounts is to change. `Refused`: an entry whose lines do not balance."""
    if isinstance(document, JournalEntry):
        _balance(document, base)
    if page.rounding is None or not isinstance(document, Document):
        return None
    if document.status is DocumentStatus.VOID:
        return None
    if base is not None and all(getattr(base, one) == getattr(document, one) for one in _MONEY):
        return None
    rules = readings(page.rounding)
    rates = await tax_rates(db, page, connection) if _taxed(document) else {}
    sent = as_sent(resource, document)
    totals = [reckon(sent, rule, rates) for rule in rules]
    # What it says only by a discount or an amount that the provider is not sent counts as well.
    meant = reckon(document, rules[0], rates).figures()
    lost = {name: value for name, value in meant.items() if totals[0].figures().get(name) != value}
    return Proof(
        provider=page.name,
        currency=document.currency,
        rule=rules[0],
        totals=totals[0],
        readings=[one.figures() for one in totals],
        said=lost | _said(document, base),
    )


def readings(rounding: Rounding) -> list[Rule]:
    """The rules that a page leaves open, the one that it states first."""
    perhaps = {"per": ("line", "document"), "half": ("up", "even")}
    stated = {"per": rounding.per, "half": rounding.half}
    possible = [
        dict.fromkeys([stated[name], *(words if name in rounding.unsure else ())])
        for name, words in perhaps.items()
    ]
    return [
        Rule(per=per, half=half, decimals=rounding.decimals, prices=rounding.prices)
        for per, half in product(*possible)
    ]


def as_sent(resource: Resource, document: Document) -> Document:
    """The document with only those fields of its lines that the mapping writes."""
    assert resource.maps is not None
    written = {line.ours for line in resource.maps.fields if line.access is not Access.READ}
    left_out = [name for name in Line.__struct_fields__ if f"lines[].{name}" not in written]
    nothing: dict[str, Any] = dict.fromkeys(left_out)
    return replace(document, lines=tuple(replace(line, **nothing) for line in document.lines))


def unsent(resource: Resource, document: Model, base: Model | None) -> list[str]:
    """The fields that a document gives and the mapping does not write."""
    assert resource.maps is not None
    ways = {line.ours: line.access for line in resource.maps.fields}
    begun = {name.split("[")[0].split(".")[0] for name in ways}
    found = []
    for name in document.__struct_fields__:
        value = getattr(document, name)
        if name in ("id", "updated_at") or value in (None, (), {}):
            continue
        closed = ways.get(name) is Access.READ or name not in begun
        if closed and (base is None or getattr(base, name) != value):
            found.append(name)
    return found


async def tax_rates(db: Database, page: Provider, connection: Connection) -> dict[str, Decimal]:
    """The percentages of a tenant's taxes by the codes that our lines name, as they were pulled."""
    ours = lines_of(connection)
    found: dict[str, Decimal] = {}
    for resource in page.resources:
        if resource.maps is None or resource.maps.model is not TaxRate:
            continue
        for table, field in resource.codes.items():
            async for rate in models(db, connection, resource.name, TaxRate):
                percent, code = whole_rate(rate), getattr(rate, field) or ""
                word = ours[table].get(code) if table in ours else code
                if percent is not None and word is not None:
                    found.setdefault(word, percent)
    return found


def _said(document: Document, base: Model | None) -> dict[str, int]:
    if not isinstance(base, Document):
        return figures(document)
    before, places = figures(base), {line.id: at for at, line in enumerate(base.lines)}
    found = {}
    for name, value in figures(document).items():
        there = name
        if name.startswith("lines["):
            at = int(name[len("lines[") : name.index("]")])
            there = name.replace(f"[{at}]", f"[{places.get(document.lines[at].id, at)}]", 1)
        if before.get(there) != value:
            found[name] = value
    return found


def _taxed(document: Document) -> bool:
    return any(line.tax for line in document.lines)


def _balance(entry: JournalEntry, base: Model | None) -> None:
    over = unbalanced(entry)
    if over and (base is None or getattr(base, "lines", ()) != entry.lines):
        more, less = ("debits", "credits") if over > 0 else ("credits", "debits")
        much = str(Money(minor=abs(over), currency=entry.currency)) if entry.currency else abs(over)
        told = f"the {more} are {much} more than the {less}"
        raise Refused(f"nothing was sent. lines: {told}", problems={"lines": told})


def sentence(wrong: Mapping[str, str]) -> str:
    """What was posted otherwise, in one line."""
    told = "; ".join(f"{name}: {each}" for name, each in wrong.items())
    return f"it was posted, and otherwise than was reckoned. {told}"
