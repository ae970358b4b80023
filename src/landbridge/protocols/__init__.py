"""Conversations with providers, as generators that yield requests and receive responses. No I/O."""

from collections.abc import Generator
from datetime import datetime
from typing import Any

from landbridge.protocols import dav, rest
from landbridge.protocols.accounts import identify_all
from landbridge.protocols.values import Account, Fetched, Page, Place, Unreadable, Written
from landbridge.spec import Format, Provider, Resource, Step
from landbridge.wire import Request, Response


def pull(
    provider: Provider,
    resource: Resource,
    place: Place,
    cursor: dict[str, Any] | None,
    now: datetime,
) -> Generator[Request | Page, Any, None]:
    """What changed since the cursor, page by page; without a cursor, everything.

    Each `Page` carries the cursor that continues right after it: stored together with its records,
    a pull that stops anywhere goes on without loss. A page is answered with None (one with
    `members`: with the keys to fetch), a request with its response. Raises what
    `resilience.expect` raises.
    """
    if provider.body is Format.DAV:
        return dav.pull(provider, resource, place, cursor, now)
    return rest.pull(provider, resource, place, cursor, now)


def load(
    provider: Provider,
    resource: Resource,
    place: Place,
    cursor: dict[str, Any] | None,
    now: datetime,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Generator[Request | Page, Any, None]:
    """Everything, page by page as `pull` gives it, however much was read before; with a range only
    what was made in it, `until` not included, where the page has `Resource.between`."""
    if provider.body is Format.DAV:
        return dav.pull(provider, resource, place, cursor, now)
    return rest.load(provider, resource, place, cursor, now, since=since, until=until)


def fetch(
    provider: Provider, resource: Resource, place: Place, key: str
) -> Generator[Request, Response, Fetched | None]:
    """One record as it is now; None if it is gone."""
    if provider.body is Format.DAV:
        return dav.fetch(provider, resource, place, key)
    return rest.fetch(provider, resource, place, key)


def find_marked(
    provider: Provider, resource: Resource, place: Place, intent: str
) -> Generator[Request, Response, Fetched | None]:
    """The record that an intent made, found by its marker (`Resource.marked`); None: none is
    shown."""
    return rest.find_marked(provider, resource, place, intent)


def write(
    provider: Provider,
    resource: Resource,
    place: Place,
    action: str,
    key: str,
    changes: dict[str, Any],
    base_raw: bytes | None,
    intent: str,
) -> Generator[Request, Response, Written]:
    """Creates, updates or deletes one record; what it is then at the provider.

    `action` is `create`, `update` or `delete`; `changes` is what the mapping wrote; `base_raw` the
    record that it was written against; `intent` the id that makes a repetition harmless and marks
    the record, as far as the provider can. A deletion of what is gone succeeds.
    """
    if provider.body is Format.DAV:
        return dav.write(provider, resource, place, action, key, changes, base_raw, intent)
    return rest.write(provider, resource, place, action, key, changes, base_raw, intent)


def take(
    provider: Provider, resource: Resource, place: Place, step: Step, key: str, intent: str
) -> Generator[Request, Response, Written]:
    """Makes the call of a step (`Resource.steps`), unless what it leads to is there already."""
    return rest.take(provider, resource, place, step, key, intent)


def identify(provider: Provider, place: Place) -> Generator[Request, Response, Account]:
    """Whose account the credentials open, and what the connection should keep."""
    if provider.body is Format.DAV:
        return dav.identify(provider, place)
    return rest.identify(provider, place)


__all__ = [
    "Account",
    "Fetched",
    "Page",
    "Place",
    "Unreadable",
    "Written",
    "fetch",
    "find_marked",
    "identify",
    "identify_all",
    "load",
    "pull",
    "take",
    "write",
]
