"""What stands in the way of a write, as far as what was pulled tells it: nothing is asked for.

A period that is closed, an account that is not used any more, a number that another record has,
another currency than that of the document which a payment settles; and what the page rules out, or
has no way to write.
Drafts count in no period. Lines that are there already are left to the provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from landbridge.engine.codes import lines_of
from landbridge.engine.contradictions import contradictions
from landbridge.engine.pull import stream_of
from landbridge.engine.stored import models, of_model, organisation
from landbridge.engine.unwritten import other_currency, passed_over
from landbridge.errors import Refused
from landbridge.models import Model, read_json
from landbridge.models.accounting import (
    Bill,
    DocumentStatus,
    EntryStatus,
    Invoice,
    LedgerAccount,
    Organisation,
    Payment,
    PaymentStatus,
)
from landbridge.spec import Access, Provider, Resource
from landbridge.store import by_field, records
from landbridge.store.connections import Connection
from landbridge.store.database import Database

_DATES = ("issued_on", "posted_on", "spent_on", "booked_on", "paid_on")
_OUTSIDE = (
    DocumentStatus.DRAFT,
    DocumentStatus.VOID,
    EntryStatus.DRAFT,
    EntryStatus.VOID,
    PaymentStatus.VOID,
)
"""What is in no period, or leaves it: whether it may, the provider says."""


@dataclass(frozen=True, kw_only=True)
class Obstacles:
    """By field, a sentence each: what a write is refused for, and what it may be refused for."""

    problems: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    asked: bool = False
    """Whether there was anything to look at."""

    def check(self) -> None:
        """Refuses a write that the provider would refuse."""
        if self.problems:
            told = "; ".join(f"{name}: {sentence}" for name, sentence in self.problems.items())
            raise Refused(f"nothing was sent. {told}", problems=self.problems)


async def obstacles(
    db: Database,
    page: Provider,
    connection: Connection,
    resource: Resource,
    document: Model,
    base: Model | None,
) -> Obstacles:
    """What is known to stand in the way of writing a document over the record that it changes."""
    problems = passed_over(page, resource, document, base)
    problems |= contradictions(page, resource, document, base)
    problems |= await other_currency(db, connection, resource, document, base)
    notes: dict[str, str] = {}
    if isinstance(document, Payment) and base is None:
        problems |= await _other_currency(db, page, connection, document)
    closes = any(getattr(document, name, None) for name in _DATES)
    closes = closes and bool(of_model(page, Organisation))
    accounts = _accounts_named(page, resource, document, base)
    unique = resource.unique
    if closes:
        problems |= await _closed(db, page, connection, document, base)
    if accounts:
        problems |= await _inactive(db, page, connection, accounts)
    if unique is not None:
        (notes if unique.unsure else problems).update(
            await _taken(db, page, connection, resource, document, base)
        )
    asked = closes or bool(accounts) or unique is not None or isinstance(document, Payment)
    return Obstacles(problems=problems, notes=notes, asked=asked)


async def _other_currency(
    db: Database, page: Provider, connection: Connection, payment: Payment
) -> dict[str, str]:
    """The currency of a payment, where what it settles is known to be in another one."""
    settled = ((Invoice, payment.invoice), (Bill, payment.bill))
    for model, key in settled:
        for resource in of_model(page, model) if key else ():
            held = await records.one(db, stream_of(connection, resource.name), key or "")
            there = (held.unified or {}).get("currency") if held is not None else None
            if there is not None and there != payment.currency.upper():
                return {
                    "currency": f"the document that it settles is in {there}, not"
                    f" {payment.currency}: give the amount in {there}"
                }
    return {}


async def _closed(
    db: Database, page: Provider, connection: Connection, document: Model, base: Model | None
) -> dict[str, str]:
    """The date of a document, where its period is closed, or of the record that it changes."""
    name = next(each for each in _DATES if getattr(document, each, None))
    if getattr(document, "status", None) in _OUTSIDE:
        return {}
    books = await organisation(db, page, connection)
    if books is None or books.locked_through is None:
        return {}
    days: list[date] = [getattr(document, name)]
    if base is not None and getattr(base, "status", None) not in _OUTSIDE:
        if _books_the_same(document, base, name):
            return {}
        days.append(getattr(base, name))
    closed = [day for day in days if day <= books.locked_through]
    if not closed:
        return {}
    names = " or ".join(one.name for one in of_model(page, Organisation))
    return {
        name: f"{min(closed)} is in a period that is closed at {page.name}, through"
        f" {books.locked_through}: give a later date, or have it opened there and pull {names}"
    }


def _books_the_same(document: Model, base: Model, name: str) -> bool:
    fields = (name, "lines", "amount", "currency", "tax_mode", "status", "account", "contact")
    return all(getattr(base, one, None) == getattr(document, one, None) for one in fields)


def _accounts_named(
    page: Provider, resource: Resource, document: Model, base: Model | None
) -> dict[str, tuple[str, str]]:
    """By our field, the account that it names, and the code table it is of (empty: it is an id)."""
    assert resource.maps is not None
    found: dict[str, tuple[str, str]] = {}
    listings = of_model(page, LedgerAccount)
    names = {one.name for one in listings}
    tables = {table for one in listings for table in one.codes}
    for ours, row in resource.maps.rows.items():
        named = getattr(document, ours)
        changed = base is None or getattr(base, ours) != named
        if row.to in names and row.access is not Access.READ and named is not None and changed:
            found[ours] = named, ""
        if row.word == "many" and row.access is not Access.READ:
            before: Sequence[Model] = getattr(base, ours, None) or ()
            for inner, part in row.part.rows.items():
                for place, item in enumerate(named or ()):
                    code = getattr(item, inner)
                    if part.table in tables and code is not None and item not in before:
                        found[f"{ours}[{place}].{inner}"] = code, part.table
    return found


async def _inactive(
    db: Database, page: Provider, connection: Connection, named: dict[str, tuple[str, str]]
) -> dict[str, str]:
    """Of these accounts those that are known as not used any more."""
    ours, closed, used = lines_of(connection), dict[tuple[str, str], str](), set[tuple[str, str]]()
    for listing in of_model(page, LedgerAccount):
        async for account in models(db, connection, listing.name, LedgerAccount):
            words = [(account.id or "", "")]
            for table, at in listing.codes.items():
                code = getattr(account, at) or ""
                words.append((ours[table].get(code, "") if table in ours else code, table))
            if account.active:
                used.update(words)
            else:
                closed.update(dict.fromkeys(words, account.name))
    names = " or ".join(one.name for one in of_model(page, LedgerAccount))
    return {
        place: f"the account {word[0]!r} ({closed[word]}) is not active at {page.name}: name"
        f" another one, or make it active there and pull {names}"
        for place, word in named.items()
        if word in closed and word not in used
    }


async def _taken(
    db: Database,
    page: Provider,
    connection: Connection,
    resource: Resource,
    document: Model,
    base: Model | None,
) -> dict[str, str]:
    """The number of a document that another record is known to have."""
    assert resource.unique is not None
    name, among = resource.unique.field, resource.unique.among
    word = getattr(document, name)
    if word is None or (base is not None and getattr(base, name) == word):
        return {}
    if any(str(getattr(document, one)) != each for one, each in among.items()):
        return {}
    stream = stream_of(connection, resource.name)
    assert resource.maps is not None
    for key, fields in (await by_field.saying(db, stream, field=name, word=word)).items():
        other = read_json(resource.maps.model, fields)
        if key == document.id or getattr(other, "status", None) == DocumentStatus.VOID:
            continue
        if all(str(getattr(other, one)) == each for one, each in among.items()):
            return {
                name: f"{resource.name} {key} has {word!r} already, and {page.name} wants each to"
                " have another one: give another, or none where it counts by itself"
            }
    return {}
