"""Reads both sides' records for a comparison: ours from the store, theirs from themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet

import msgspec

from landbridge.cli.demo import mirror
from landbridge.cli.demo.mirror import Compared, Facts, Side
from landbridge.cli.demo.outside import Calendar, Outside
from landbridge.cli.demo.scene import Before, Connected, Scene
from landbridge.store.connections import Connection
from landbridge.store.records import Stored

EVENT = "VEVENT"


async def counts(theirs: Outside) -> dict[str, int]:
    """How many records each of the other sides has."""
    there = await asyncio.to_thread(theirs.stripe.get, "objects")
    stripe = sum(there[collection]["objects"] for collection in mirror.STRIPE.values())
    texts = await asyncio.to_thread(theirs.calendar.texts)
    return {"Stripe": stripe, "CalDAV": len(texts)}


async def before(theirs: Outside) -> Before:
    """The keys of everything that there is on the other sides."""
    stripe = {}
    for kind, collection in mirror.STRIPE.items():
        stripe[kind] = set(await asyncio.to_thread(theirs.stripe.objects, collection))
    return Before(stripe=stripe, calendar=set(await asyncio.to_thread(theirs.calendar.texts)))


async def compared(scene: Scene, connected: Connected, earlier: Before, kind: str) -> Compared:
    """One collection on both sides, record by record: of `mirror.STRIPE`, or EVENT."""
    if kind == EVENT:
        theirs = await asyncio.to_thread(_calendar, scene.theirs.calendar, earlier.calendar)
        ours = await _ours(scene, connected.calendar, EVENT)
        return mirror.compare("calendar event", ours=ours, theirs=theirs)
    objects = await asyncio.to_thread(scene.theirs.stripe.objects, mirror.STRIPE[kind])
    theirs = Side(
        live={key: mirror.stripe_theirs(kind, obj) for key, obj in objects.items()},
        deleted=earlier.stripe[kind] - set(objects),
    )
    ours = await _ours(scene, connected.stripe, kind)
    return mirror.compare(f"{kind} of Stripe", ours=ours, theirs=theirs)


def _calendar(server: Calendar, earlier: AbstractSet[str]) -> Side:
    texts, etags = server.texts(), server.etags()
    live = {
        href: mirror.event_theirs(href, etags.get(href, ""), text) for href, text in texts.items()
    }
    return Side(live=live, deleted=earlier - set(live))


async def _ours(scene: Scene, connection: Connection, resource: str) -> Side:
    live: dict[str, Facts] = {}
    deleted: set[str] = set()
    async for record in scene.ours.bridge.records(connection, resource, deleted=True):
        if record.deleted_at is not None:
            deleted.add(record.key)
        else:
            live[record.key] = _facts(resource, record)
    return Side(live=live, deleted=deleted)


def _facts(resource: str, record: Stored) -> Facts:
    raw = msgspec.json.decode(record.raw)
    if resource == EVENT:
        return mirror.event_ours(raw, record.version, record.unified)
    return mirror.stripe_ours(resource, raw, record.unified)
