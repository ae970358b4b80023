"""CalDAV: calendars and their events over WebDAV (RFC 4918, 4791, 6578, 6764)."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Any

from landbridge.errors import InvalidInput, Refused
from landbridge.formats.canonical import canonical
from landbridge.protocols import _dav_calls as calls
from landbridge.protocols._dav_calls import Collection, Talk, identify
from landbridge.protocols._dav_events import Pull, fetch_member
from landbridge.protocols._dav_writes import Writer
from landbridge.protocols.values import Fetched, Page, Place, Unreadable, Written
from landbridge.spec import Format, Provider, Resource
from landbridge.wire import Request

__all__ = ["fetch", "identify", "pull", "write"]


def pull(
    provider: Provider,
    resource: Resource,
    place: Place,
    cursor: dict[str, Any] | None,
    now: datetime,
) -> Generator[Request | Page, Any, None]:
    """The account's calendars, all of them each time; or their events, what changed since.

    A page with `members` is answered with the keys worth fetching, or None for all of them.
    """
    homes = yield from calls.homes_of(provider, place)
    if resource.format is Format.ICALENDAR:
        states = {key: dict(state) for key, state in (cursor or {}).get("calendars", {}).items()}
        yield from Pull(
            provider=provider, resource=resource, homes=homes, now=now, states=states
        ).run()
        return
    found = yield from calls.calendars(provider, homes)
    yield Page(
        records=tuple(_calendar(collection) for collection in found),
        cursor={},
        listing=f"{now:%Y%m%dT%H%M%S.%f}",
        listed_all=True,
    )


def fetch(provider: Provider, resource: Resource, place: Place, key: str) -> Talk[Fetched | None]:
    """One calendar or event as it is now; None if it is gone.

    `Refused`: it is there and cannot be read.
    """
    homes = yield from calls.homes_of(provider, place)
    if resource.format is not Format.ICALENDAR:
        collection = yield from calls.one_calendar(provider, homes, key)
        return _calendar(collection) if collection else None
    found = yield from fetch_member(provider, resource, homes, key)
    if isinstance(found, Unreadable):
        raise Refused(f"{provider.name} answered with no {resource.name}: {found.reason}")
    return found


def write(
    provider: Provider,
    resource: Resource,
    place: Place,
    action: str,
    key: str | None,
    changes: dict[str, Any],
    base_raw: bytes | None,
    intent: str,
) -> Talk[Written]:
    """Creates, updates or deletes an event; `Conflict`: it is no longer what `base_raw` says."""
    homes = yield from calls.homes_of(provider, place)
    writer = Writer(provider=provider, resource=resource, homes=homes)
    if action == "create":
        return (yield from writer.create(changes, intent))
    if not key:
        raise InvalidInput(f"key: a {resource.name} to {action} needs its href")
    if action == "delete":
        return (yield from writer.delete(key, base_raw))
    if base_raw is None:
        raise InvalidInput(f"base: a {resource.name} to update needs the state it is based on")
    return (yield from writer.update(key, changes, base_raw, intent))


def _calendar(collection: Collection) -> Fetched:
    value = collection.raw()
    return Fetched(key=collection.key, raw=canonical(value), parsed=value)
