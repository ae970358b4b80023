"""Holds our copy of remote records against the remote side's own, field by field. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from landbridge.cli.demo.outcome import Finding

Facts = Mapping[str, Any]

STRIPE = {
    "customer": "customers",
    "product": "products",
    "price": "prices",
    "subscription": "subscriptions",
    "invoice": "invoices",
    "payment_intent": "payment_intents",
    "charge": "charges",
    "refund": "refunds",
    "balance_transaction": "balance_transactions",
}
"""What is mirrored from Stripe, as the vendor calls one record and the collection."""

_UNIFIED = {
    "customer": {"email": "email"},
    "product": {"name": "name"},
    "invoice": {"total": "total", "number": "number"},
    "payment_intent": {"amount": "amount"},
    "refund": {"amount": "amount"},
}
"""Fields of the unified models that must be what the vendor's field of the second name is."""

_SILENT = frozenset({("customer", "next_invoice_sequence")})
"""What Stripe counts up without telling of it; a later change of the record brings it."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side's records: those that live, by their key, and the keys of the deleted."""

    live: Mapping[str, Facts]
    deleted: AbstractSet[str]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A collection on both sides."""

    ours: Side
    theirs: Side
    finding: Finding


def compare(name: str, *, ours: Side, theirs: Side) -> Compared:
    """Every record of theirs is in ours with equal facts, and no other lives here."""
    missing = sorted(set(theirs.live) - set(ours.live))
    extra = sorted(set(ours.live) - set(theirs.live))
    differences = [f"{name} {key} is missing from the mirror" for key in missing]
    differences += [f"{name} {key} lives in the mirror only" for key in extra]
    differences += [
        f"{name} {key} was deleted there, and the mirror does not know"
        for key in sorted(theirs.deleted - ours.deleted - set(extra))
    ]
    for key in sorted(set(theirs.live) & set(ours.live)):
        fields = _unequal(theirs.live[key], ours.live[key])
        if fields:
            differences.append(f"{name} {key} differs in {', '.join(fields)}")
    return Compared(
        ours=ours, theirs=theirs, finding=Finding(lost=len(missing), differences=tuple(differences))
    )


def _unequal(theirs: Facts, ours: Facts) -> list[str]:
    absent = object()
    return [
        field
        for field in sorted({*theirs, *ours})
        if theirs.get(field, absent) != ours.get(field, absent)
    ]


def stripe_theirs(kind: str, obj: Facts) -> Facts:
    """What is compared of an object of theirs: all of it, but lists that they cut short."""
    unified = _UNIFIED.get(kind, {})
    return {
        **_told(kind, obj),
        **{f"unified {ours}": obj[theirs] for ours, theirs in unified.items()},
        **({"unified id": obj["id"]} if unified else {}),
    }


def stripe_ours(kind: str, raw: Facts, unified: Facts | None) -> Facts:
    """The same of our record: as it was sent, and as the unified model has it."""
    read = unified or {}
    fields = _UNIFIED.get(kind, {})
    return {
        **_told(kind, raw),
        **{f"unified {name}": read.get(name) for name in fields},
        **({"unified id": read.get("id")} if fields else {}),
    }


def _told(kind: str, obj: Facts) -> Facts:
    return {
        name: value
        for name, value in obj.items()
        if not (isinstance(value, dict) and value.get("object") == "list")
        and (kind, name) not in _SILENT
    }


def event_theirs(href: str, etag: str, text: str) -> Facts:
    """What is compared of a calendar object of theirs; `text` is its iCalendar text."""
    return {
        "href": href,
        "etag": etag,
        "UID": _property(text, "UID"),
        "SUMMARY": _property(text, "SUMMARY"),
        "lines": sorted(_lines(text)),
    }


def event_ours(raw: Facts, version: str | None, unified: Facts | None) -> Facts:
    """The same of our record."""
    read = unified or {}
    return {
        "href": raw["href"],
        "etag": version,
        "UID": read.get("uid"),
        "SUMMARY": read.get("title"),
        "lines": sorted(_lines(raw["data"])),
    }


def _lines(text: str) -> list[str]:
    """Content lines, unfolded. Servers keep their order only within a property of one name."""
    return [line for line in re.sub(r"\r?\n[ \t]", "", text).splitlines() if line]


def _property(text: str, name: str) -> str | None:
    """The value of a text property of the first event, unescaped (RFC 5545 section 3.3.11)."""
    inside = False
    for line in _lines(text):
        inside = inside or line == "BEGIN:VEVENT"
        if inside and re.match(rf"{name}[;:]", line):
            value = line.split(":", 1)[1]
            return re.sub(r"\\([\\;,nN])", lambda m: "\n" if m[1] in "nN" else m[1], value)
    return None
