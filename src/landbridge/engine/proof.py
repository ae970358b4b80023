"""What a document would come to at its provider: shown, proved before it is sent, compared after.

A figure counts as said if the document gives it and the record that it changes does not give the
same: totals that were read with a record do not have to fit its new lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_value
from decimal import Decimal
from itertools import product
from typing import Any

from msgspec.structs import replace

from landbridge.engine.codes import lines_of
from landbridge.engine.losses import losses, unwritten, written
from landbridge.engine.stored import kept_rates, models, of_model
from landbridge.errors import RecordError, Refused
from landbridge.formats import codec
from landbridge.models import Model
from landbridge.models.accounting import (
    Bill,
    Direction,
    Document,
    DocumentStatus,
    Expense,
    JournalEntry,
    Line,
    Payment,
    PaymentStatus,
    TaxMode,
    TaxRate,
)
from landbridge.models.totals import Rule, Totals, rate_parts, reckon, unbalanced
from landbridge.money import Money, exponent
from landbridge.spec import Access, Provider, Resource, Rounding
from landbridge.store.connections import Connection
from landbridge.store.database import Database

Reckoned = Document | Expense
"""What has lines that come to something."""

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
    unknown: Mapping[str, str]
    """Figures that the provider alone knows before they are posted, and why."""
    lost: Mapping[str, str]
    """What of the lines would not be there, and the way out."""

    @property
    def notes(self) -> dict[str, str]:
        """A sentence for each figure that may come out otherwise than it is shown."""
        told = dict(self.unknown)
        for name in self.readings[0]:
            values = sorted({one[name] for one in self.readings if name in one})
            if len(values) > 1:
                each = " or ".join(self._money(value) for value in values)
                told[name] = f"{each}: how {self.provider} rounds is not known for sure"
        return told

    @property
    def differing(self) -> dict[str, str]:
        """A sentence for each figure that no reading of the rule makes what the document says, and
        for what of the lines would be lost."""
        first = self.readings[0]
        wrong = {
            name: f"the document says {self._money(value)}, {self.provider} would post"
            f" {self._money(first[name])}"
            for name, value in self.said.items()
            if name in first and all(one.get(name) != value for one in self.readings)
        }
        return wrong | dict(self.lost)

    def check(self) -> None:
        """Refuses what would be posted otherwise than the document says, with the numbers."""
        wrong = self.differing
        if wrong:
            told = "; ".join(f"{name}: {sentence}" for name, sentence in wrong.items())
            raise Refused(f"nothing was sent. {told} ({self.rule})", problems=wrong)

    def posted_otherwise(self, posted: Reckoned) -> dict[str, str]:
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


def figures(document: Reckoned) -> dict[str, int]:
    """The figures that a document gives, by its fields."""
    found = {name: getattr(document, name, None) for name in _TOTALS}
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
    if page.rounding is None or not isinstance(document, Reckoned):
        return None
    if document.status in (DocumentStatus.VOID, PaymentStatus.VOID):
        return None
    if base is not None and all(getattr(base, one) == getattr(document, one) for one in _MONEY):
        return None
    rules = readings(page.rounding)
    rates, parts = {}, {}
    if _taxed(document):
        parts = await tax_rates(db, page, connection, _direction(document))
        rates = {code: sum(each, Decimal(0)) for code, each in parts.items()}
    sent = as_sent(resource, document)
    totals = [reckon(sent, rule, rates, parts) for rule in rules]
    unknown = _untold(page, document, totals[0])
    digits, kept = exponent(document.currency), page.rounding.decimals
    if kept is not None and kept > digits:
        unknown["currency"] = (
            f"{page.name} keeps {kept} decimals, {document.currency} has {digits}: a tax that comes"
            " to a fraction may be posted as one, and then cannot be read"
        )
    if isinstance(base, Reckoned) and _holds_more(base, rules, rates, parts):
        totals = [replace_value(one, subtotal=None, tax=None, total=None) for one in totals]
        unknown["total"] = (
            f"{page.name} reckons it: the record that is there comes to something else than its"
            " lines (by a discount, freight, a tax set by hand)"
        )
    # What it says only by a discount, an amount or a decimal of a price that the provider is not
    # sent, or by another way to read its amounts, counts as well.
    exact = replace_value(rules[0], prices=None)
    posted, meant = totals[0].figures(), reckon(_read_as(resource, document), exact, rates, parts)
    lost = {
        name: value
        for name, value in meant.figures().items()
        if posted.get(name) != value and not ("total" in unknown and name in _TOTALS)
    }
    return Proof(
        provider=page.name,
        currency=document.currency,
        rule=rules[0],
        totals=totals[0],
        readings=[one.figures() for one in totals],
        said=lost | _said(document, base),
        unknown=unknown,
        lost=losses(page, resource, document, base),
    )


def readings(rounding: Rounding) -> list[Rule]:
    """The rules that a page leaves open, the one that it states first."""
    perhaps: dict[str, tuple[Any, ...]] = {
        "per": ("line", "document"),
        "half": ("up", "even"),
        "split": (False, True),
        "decimals": (None,),
    }
    possible: list[list[Any]] = [
        list(dict.fromkeys([getattr(rounding, name), *(words if name in rounding.unsure else ())]))
        for name, words in perhaps.items()
    ]
    return [
        Rule(per=per, half=half, split=split, decimals=decimals, prices=rounding.prices)
        for per, half, split, decimals in product(*possible)
    ]


def as_sent(resource: Resource, document: Reckoned) -> Reckoned:
    """The document as its provider reads it: with only those fields of its lines that the mapping
    writes, and with the one `tax_mode` that there is, where there is only one."""

    def sent(line: Line) -> Line:
        kept = written(resource, line)
        nothing: dict[str, Any] = {
            name: None for name in Line.__struct_fields__ if name not in kept
        }
        return replace(line, **nothing)

    mode = _only_mode(resource) or document.tax_mode
    return replace(document, tax_mode=mode, lines=tuple(sent(line) for line in document.lines))


def _read_as(resource: Resource, document: Reckoned) -> Reckoned:
    """The document as it is meant: one that does not say how its amounts are to be read has them
    read as the provider does."""
    return replace(document, tax_mode=document.tax_mode or _only_mode(resource))


def _only_mode(resource: Resource) -> TaxMode | None:
    """How the provider reads all amounts there; None: a document says so itself."""
    assert resource.maps is not None
    mode: TaxMode | None = resource.maps.constants.get("tax_mode")
    return mode


def with_amounts(page: Provider, resource: Resource, document: Model, base: Model | None) -> Model:
    """The document with the amounts of its lines, where the provider wants to be sent them.

    A line that gives one keeps it, unless its price or quantity is another than that of the record
    that is there, and the amount is still the one of old. Where no price is sent, the amount stands
    for all of it.
    """
    if page.rounding is None or not isinstance(document, Reckoned):
        return document
    rule = readings(page.rounding)[0]
    olds = {line.id: line for line in getattr(base, "lines", ()) if line.id is not None}
    priced, whole = (reckon(one, rule, {}).lines for one in (as_sent(resource, document), document))
    lines = []
    for place, line in enumerate(document.lines):
        old, sent = olds.get(line.id), written(resource, line)
        stale = old is not None and line.amount == old.amount and _priced(line) != _priced(old)
        if "amount" in sent and line.unit_price is not None and (line.amount is None or stale):
            total = (priced if "unit_price" in sent else whole)[place]
            line = replace(line, amount=total.amount)  # noqa: PLW2901  # the line as it is sent
        lines.append(line)
    return replace(document, lines=tuple(lines))


def _priced(line: Line) -> tuple[Any, ...]:
    return line.unit_price, line.quantity, line.discount


def unsent(resource: Resource, document: Model, base: Model | None) -> list[str]:
    """The fields that a document gives and the mapping does not write."""
    assert resource.maps is not None
    ways = {line.ours: line.access for line in resource.maps.fields}
    told = [row for row in resource.maps.rows.values() if row.access is not Access.READ]
    beside = {name for row in told for name in row.beside}
    begun = {name.split("[")[0].split(".")[0] for name in ways}
    found = []
    for name in document.__struct_fields__:
        value = getattr(document, name)
        if name in ("id", "updated_at", *beside) or value in (None, (), {}):
            continue
        closed = ways.get(name) is Access.READ or name not in begun
        if closed and (base is None or getattr(base, name) != value):
            found.append(name)
    if isinstance(document, Reckoned):
        found += unwritten(resource, document.lines)
    return found


async def tax_rates(
    db: Database, page: Provider, connection: Connection, direction: Direction
) -> dict[str, Sequence[Decimal]]:
    """The percentages that a tenant's taxes are the sums of, by the codes that our lines name, as
    they were pulled."""
    ours, kept = lines_of(connection), await kept_rates(db, page, connection)
    found: dict[str, Sequence[Decimal]] = {}
    for resource in of_model(page, TaxRate):
        for table, field in resource.codes.items():
            async for rate in models(db, connection, resource.name, TaxRate):
                code = getattr(rate, field) or ""
                word = ours[table].get(code) if table in ours else code
                parts = rate_parts(rate, direction, kept)
                if parts and word is not None:
                    found.setdefault(word, parts)
    return found


def _direction(document: Reckoned) -> Direction:
    if isinstance(document, Bill | Expense):
        return Direction.PURCHASE
    return document.direction


def _holds_more(
    base: Reckoned,
    rules: Sequence[Rule],
    rates: Mapping[str, Decimal],
    parts: Mapping[str, Sequence[Decimal]],
) -> bool:
    """Whether a record comes to something that no reading of its lines does."""
    sums = {reckon(base, rule, rates, parts).total for rule in rules}
    return None not in sums and base.total is not None and base.total not in sums


def _untold(page: Provider, document: Reckoned, totals: Totals) -> dict[str, str]:
    """A sentence for the tax of each line of which no percentage is known."""
    named = " and ".join(one.name for one in of_model(page, TaxRate))
    found = {}
    for place, (line, total) in enumerate(zip(document.lines, totals.lines, strict=True)):
        if total.amount is not None and total.tax is None:
            why = "the line names none"
            if line.tax:
                why = f"no percentage of {line.tax!r} is known here"
                why += f"; pull {named}, if they tell one" if named else ""
            found[f"lines[{place}].tax_amount"] = f"{page.name} reckons the tax: {why}"
    return found


def _said(document: Reckoned, base: Model | None) -> dict[str, int]:
    if not isinstance(base, Reckoned):
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


def _taxed(document: Reckoned) -> bool:
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


def otherwise(
    proved: Proof | None, resource: Resource, document: Model, there: bytes | None
) -> dict[str, str] | None:
    """What was posted otherwise than was proved or, of a payment and a journal entry, than it says,
    by its field; None: nothing."""
    plain = isinstance(document, Payment | JournalEntry)
    if (proved is None and not plain) or there is None or resource.maps is None:
        return None
    try:
        posted = resource.maps.read(codec(resource.format).parse(there))
    except RecordError as error:
        return {error.field or "id": f"what was posted cannot be read: {error}"}
    if isinstance(posted, Payment) and isinstance(document, Payment):
        sent, is_there = (
            str(Money(minor=one.amount, currency=one.currency)) for one in (document, posted)
        )
        return {"amount": f"{is_there} was posted, not {sent}"} if is_there != sent else None
    if isinstance(posted, JournalEntry) and isinstance(document, JournalEntry):
        sums, there_are = _sums(document), _sums(posted)
        same = there_are == sums or any(line.tax for line in document.lines)
        return None if same else {"lines": f"amounts of {there_are} were posted, not {sums}"}
    if proved is None or not isinstance(posted, Reckoned):
        return None
    return proved.posted_otherwise(posted) or None


def _sums(entry: JournalEntry) -> list[int]:
    """The amounts of an entry, which a provider may put into another order."""
    return sorted(line.amount for line in entry.lines)
