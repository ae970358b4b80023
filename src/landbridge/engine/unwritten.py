"""What a document says and nothing would write: refused where it would be passed over in silence.

Words and flags alone: a status that no call leads to, a mode that the provider does not know. What
the provider reckons (totals, times, its own ids) is its own to say.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from landbridge.engine.proof import unsent
from landbridge.engine.pull import stream_of
from landbridge.errors import RecordError
from landbridge.formats import codec
from landbridge.models import Model
from landbridge.spec import Access, Provider, Resource
from landbridge.store import records
from landbridge.store.connections import Connection
from landbridge.store.database import Database

_GROWS = ("status", "paid")
"""What a new record comes to by itself, whatever was asked for."""


def passed_over(
    page: Provider, resource: Resource, document: Model, base: Model | None
) -> dict[str, str]:
    """By its field, each word and flag that would be passed over, with what there is instead."""
    assert resource.maps is not None
    found = {}
    for name in unsent(resource, document, base):
        value = getattr(document, name, None)
        plain = not isinstance(value, Enum | bool) or value == _default(document, name)
        if plain or name in resource.maps.constants:  # those are contradicted elsewhere
            continue
        if any(step.field == name and step.to == str(value) for step in resource.steps):
            continue
        if base is None and name not in _GROWS and isinstance(value, Enum):
            found[name] = f"{page.name} makes no {resource.name} with {_shown(value)}: leave it out"
        elif base is not None:
            found[name] = (
                f"no call makes it {_shown(value)} at {page.name}, where it is"
                f" {_shown(getattr(base, name))}: leave it so"
                + (f", or write {ways}" if (ways := _ways(resource)) else "")
            )
    return found


async def other_currency(
    db: Database, connection: Connection, resource: Resource, document: Model, base: Model | None
) -> dict[str, str]:
    """The currency of a new document that is not sent, since it is that of a record it names, where
    that one is known to have another."""
    currency = getattr(document, "currency", None)
    if base is not None or "currency" not in unsent(resource, document, base):
        return {}
    assert resource.maps is not None
    for name, row in resource.maps.rows.items():
        key = getattr(document, name)
        if not row.to or row.access is Access.READ or not isinstance(key, str):
            continue
        held = await records.one(db, stream_of(connection, row.to), key)
        there = (held.unified or {}).get("currency") if held else None
        if there is not None and there != str(currency).upper():
            return {"currency": f"the {row.to} of `{name}` is in {there}, not in {currency}"}
    return {}


def posted_in(
    resource: Resource, document: dict[str, Any] | None, there: bytes | None
) -> dict[str, str] | None:
    """The currency in which a new record was posted, where it is not the document's; None: it is,
    or nobody can tell."""
    asked = (document or {}).get("currency")
    if not asked or there is None or resource.maps is None:
        return None
    try:
        posted = resource.maps.read(codec(resource.format).parse(there))
    except RecordError:
        return None
    found = getattr(posted, "currency", None)
    if found in (None, str(asked).upper()):
        return None
    return {"currency": f"{asked} was asked for, and it was posted in {found}"}


def _ways(resource: Resource) -> str:
    words: dict[str, list[str]] = {}
    for step in resource.steps:
        words.setdefault(step.field, []).append(step.to)
    return " or ".join(
        f"{field}: {', '.join(dict.fromkeys(each))}" for field, each in words.items()
    )


def _default(document: Model, name: str) -> Any:
    fields = msgspec.structs.fields(document)
    return next(each.default for each in fields if each.name == name)


def _shown(value: Any) -> str:
    return repr(value.value) if isinstance(value, Enum) else repr(value)
