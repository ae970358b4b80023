"""The provider's own list of its events, page by page: what webhooks are compared with."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime

from landbridge.errors import SpecError
from landbridge.protocols._answers import records
from landbridge.protocols._calls import call, page_query
from landbridge.protocols._listing import next_after, provider_time
from landbridge.protocols.values import Fetched, Place, Unreadable
from landbridge.resilience import expect
from landbridge.spec import Provider, Resource
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
        if after is None or response.status not in (400, 404):
            break
        after, anew = None, True
    expect(provider, request, response, now)
    events, unreadable = records(provider, listed, response, listing.records)
    return EventPage(
        events=tuple(events),
        unreadable=tuple(unreadable),
        asked_at=provider_time(response, now),
        after=next_after(provider, listed, response, events, after),
        anew=anew,
    )
