"""What a document says that a record of its resource never says: it would be another document.

Known from the page alone, so nothing is asked for. Amounts are proved elsewhere (`proof`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from landbridge.models import Model
from landbridge.models.accounting import Document, DocumentStatus, Payment
from landbridge.spec import Access, Provider, Resource

SETTLED = ("invoice", "bill")
"""What a payment may settle; each provider has a place for it, or another resource."""
_PROVED = ("tax_mode",)


def contradictions(
    page: Provider, resource: Resource, document: Model, base: Model | None
) -> dict[str, str]:
    """By field, why the record would not be what the document says, and the way out."""
    found = {}
    for name, always in constants(resource).items():
        said = getattr(document, name)
        if said in (None, always, _default(document, name)) or said == getattr(base, name, None):
            continue
        found[name] = (
            f"the document says {str(said)!r}, and each {resource.name} of {page.name} is"
            f" {str(always)!r}: say that, or name another resource"
        )
    makes = resource.create.makes if resource.create and base is None else {}
    for name, begins in makes.items():
        said = getattr(document, name)
        if said is not None and str(said) != begins:
            found[name] = (
                f"the document says {str(said)!r}, and a new {resource.name} of {page.name} is"
                f" {begins!r} at once: say that when it is to be"
            )
    if _made_paid(resource, document, base):
        found.setdefault(
            "status", f"{page.name} makes it paid by its payments: say 'open', and enter a Payment"
        )
    rate = getattr(document, "exchange_rate", None)
    if isinstance(document, Document) and rate is not None and rate <= 0:
        found["exchange_rate"] = (
            f"{rate} is no rate: give what one {document.currency} is worth in the organisation's"
            " own currency, or leave it out"
        )
    if isinstance(document, Payment) and base is None:
        found |= _unsettled(page, resource, document)
    return found


def constants(resource: Resource) -> dict[str, Any]:
    """What all records of a resource are alike in, by our fields; how amounts are to be read is
    left to the proof."""
    assert resource.maps is not None
    return {name: always for name, always in resource.maps.constants.items() if name not in _PROVED}


def fitting(able: Sequence[Resource], document: Model) -> list[Resource]:
    """Of resources that take a document those whose records can be what it says: the way it goes,
    whom it is about, what it settles."""
    told = {name for one in able for name in constants(one)}
    return [one for one in able if _fits(one, document, told)]


def _fits(resource: Resource, document: Model, told: Iterable[str]) -> bool:
    assert resource.maps is not None
    own = constants(resource)
    for name in told:
        said = getattr(document, name)
        if said not in (None, False) and name not in resource.maps.rows:
            return False
        if said is not None and own.get(name, said) != said:
            return False
    settled = [name for name in SETTLED if getattr(document, name, None) is not None]
    return all(_writes(resource, name) for name in settled)


def _made_paid(resource: Resource, document: Model, base: Model | None) -> bool:
    """Whether a document is to become paid by saying so."""
    assert resource.maps is not None
    row = resource.maps.rows.get("status")
    return (
        isinstance(document, Document)
        and document.status is DocumentStatus.PAID
        and getattr(base, "status", None) is not DocumentStatus.PAID
        and (base is None or (row is not None and row.access is not Access.READ))
    )


def _unsettled(page: Provider, resource: Resource, payment: Payment) -> dict[str, str]:
    found = {}
    for name in SETTLED:
        if getattr(payment, name) is None or _writes(resource, name):
            continue
        others = [
            one.name
            for one in page.resources
            if one.create is not None
            and one.maps is not None
            and one.maps.model is Payment
            and _writes(one, name)
        ]
        way = f"name resource={' or '.join(map(repr, others))}" if others else "nothing here does"
        found[name] = f"a {resource.name} of {page.name} settles no {name}: {way}"
    return found


def _writes(resource: Resource, name: str) -> bool:
    assert resource.maps is not None
    row = resource.maps.rows.get(name)
    return row is not None and row.access is not Access.READ


def _default(document: Model, name: str) -> Any:
    fields = msgspec.structs.fields(document)
    return next(one.default for one in fields if one.name == name)
