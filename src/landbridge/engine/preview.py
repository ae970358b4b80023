"""What a write would post, without writing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP
from typing import Any

from landbridge.engine.obstacles import obstacles
from landbridge.engine.proof import Proof, prove, unsent
from landbridge.engine.stored import organisation
from landbridge.errors import Refused
from landbridge.models import Model
from landbridge.models.accounting import Document
from landbridge.models.totals import Totals
from landbridge.money import Money, from_minor, to_minor
from landbridge.spec import Provider, Resource
from landbridge.store.connections import Connection
from landbridge.store.database import Database


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a write would post. Amounts are in minor units of `currency`; None: nobody can know."""

    resource: str
    action: str
    body: dict[str, Any]
    """The provider's fields that would be sent, codes mapped."""
    currency: str | None
    totals: Totals | None
    """What the document comes to; None where its page does not say how the provider rounds."""
    rule: str
    """How that is rounded, in words."""
    in_books: Money | None
    """The total in the organisation's own currency, by the document's exchange rate."""
    unsent: Sequence[str]
    """Fields that the document gives and the provider is not sent: it reckons or knows them."""
    notes: dict[str, str]
    """By its field, what may come out otherwise than it is shown, or only the provider knows."""
    problems: dict[str, str]
    """By its field, each figure that would be posted otherwise than the document says, and what
    stands in the way (a closed period, an account out of use, a number that is taken): with any of
    them the write is refused."""


async def preview(
    db: Database,
    page: Provider,
    connection: Connection,
    resource: Resource,
    document: Model,
    base: Model | None,
    body: dict[str, Any],
) -> Preview:
    """The preview of a document over the record that it changes, `body` being what is sent."""
    problems: dict[str, str] = {}
    proof = None
    try:
        proof = await prove(db, page, connection, resource, document, base)
    except Refused as error:
        problems = error.problems
    hindered = await obstacles(db, page, connection, resource, document, base)
    left_out = unsent(resource, document, base)
    return Preview(
        resource=resource.name,
        action="create" if base is None else "update",
        body=body,
        currency=getattr(document, "currency", None),
        totals=proof.totals if proof else None,
        rule=str(proof.rule) if proof else "",
        in_books=await _in_books(db, page, connection, document, proof, left_out),
        unsent=left_out,
        notes=hindered.notes | (proof.notes if proof else {}),
        problems=hindered.problems | (proof.differing if proof else problems),
    )


async def _in_books(
    db: Database,
    page: Provider,
    connection: Connection,
    document: Model,
    proof: Proof | None,
    left_out: Sequence[str],
) -> Money | None:
    if proof is None or proof.totals.total is None or not isinstance(document, Document):
        return None
    total = Money(minor=proof.totals.total, currency=document.currency)
    books = await organisation(db, page, connection)
    if books is None:
        return None
    if books.currency == document.currency:
        return total
    if document.exchange_rate is None or "exchange_rate" in left_out:
        return None
    worth = from_minor(total.minor, total.currency) * document.exchange_rate
    minor = to_minor(worth, books.currency, rounding=ROUND_HALF_UP)
    return Money(minor=minor, currency=books.currency)
