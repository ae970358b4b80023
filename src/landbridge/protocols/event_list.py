"""The provider's own list of its events, page by page: what webhooks are compared with."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from landbridge.errors import SpecError, Unreachable
from landbridge.protocols._answers import pluck, records
from landbridge.protocols._calls import call, page_query
from landbridge.protocols._listing import provider_time
from landbridge.protocols.values import Fetched, Place, Unreadable
from landbridge.resilience import expect
from landbridge.spec import AfterLast, PageNumber, Provider, Resource
from landbridge.wire import Request, Response


@dataclass(frozen=True, kw_only=True, slots=True)
class EventPage:
    """One page of the list, newest first."""

    events: tuple[Fetched, ...]
    unreadable: tuple[Unreadable, ...]
    asked_at: int
    """The provider's time (unix seconds) when it answered, rather too early than too late."""
    after: str | None
    """What the next page begins after; None: this was the last."""
    anew: bool = False
    """The place to go on from is gone, so the list was begun again at its newest event."""


def event_page(
    provider: Provider, place: Place, *, since: int, after: str | None, now: datetime
) -> Generator[Request, Response, EventPage]:
    """The events since then (unix seconds, inclusive), the page that begins after `after`."""
    webhook = provider.webhook
    if webhook is None or webhook.listing is None:
        raise SpecError(f"{provider.name} lists no events")
    listing = webhook.listing
    listed = Resource(
        name="event",
        path=listing.path,
        key=webhook.id,
        records=listing.records,
        page=listing.page,
    )
    anew = False
    while True:
        query = [
            *listing.query.items(),
            (listing.since_param, str(since)),
            *page_query(listing.page, after),
        ]
        request = call(provider, place, "GET", listing.path, query=query)
        response = yield request
        if after is not None and response.status in (400, 404):
            after, anew = None, True
            continue
        expect(provider, request, response, now)
        events, unreadable = records(provider, listed, response, listing.records)
        if events or unreadable or (after is None and not anew):
            break
        if anew:
            raise Unreachable(
                f"{provider.name} showed events and now shows none; they are compared later",
                status=response.status,
            )
        after, anew = None, True  # not believed: a swallowed failure looks like that
    return EventPage(
        events=tuple(events),
        unreadable=tuple(unreadable),
        asked_at=provider_time(response, now),
        after=_next_after(provider, listed, response, events, after),
        anew=anew,
    )


def _next_after(
    provider: Provider,
    resource: Resource,
    response: Response,
    found: list[Fetched],
    after: str | None,
) -> str | None:
    """The key, or number of the page, that the next page begins after; None: it was the last."""
    page = resource.page
    if isinstance(page, PageNumber):
        return _next_number(provider, resource, page, response, after)
    if not isinstance(page, AfterLast) or pluck(provider, response, page.more, Any) is not True:
        return None
    if not found or found[-1].key == after:
        raise Unreachable(
            f"{provider.name} says that there are more {resource.name} records but does not give"
            " them: its last page brought nothing new; the pull goes on there later",
            status=response.status,
        )
    return found[-1].key


def _next_number(
    provider: Provider, resource: Resource, page: PageNumber, response: Response, after: str | None
) -> str | None:
    """The number of the page that was read, unless it was the last one."""
    number = int(after or 0) + 1
    count = pluck(provider, response, page.count, Any)
    if not isinstance(count, int):
        raise Unreachable(
            f"{provider.name} does not say at {page.count} how many pages of {resource.name} there"
            " are; the pull goes on there later",
            status=response.status,
        )
    return str(number) if number < count else None
