"""The full listing of a resource: every page, resumable after each, safe against a moving list.

New records appear at the top while the pages are read; they are not in this listing, and are read
by what follows it: `since` in the last cursor is the provider's own time when the listing began.
"""

from collections.abc import Generator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from landbridge.errors import Unreachable
from landbridge.protocols._answers import pluck, records
from landbridge.protocols._calls import call, completed, page_query
from landbridge.protocols.values import Fetched, Page, Place
from landbridge.resilience import expect
from landbridge.spec import AfterLast, EventFeed, PageNumber, Provider, Resource
from landbridge.wire import Request, Response

_SLACK = timedelta(minutes=5)
_TRAIL = 10
"""How many of the last keys are kept, to go on from when the very last is gone."""
_SETTLING = 30
"""Seconds: what is shown with an earlier stamp may have been hidden from a listing that long."""


def list_all(
    provider: Provider, resource: Resource, place: Place, cursor: dict[str, Any], now: datetime
) -> Generator[Request | Page, Response | None, dict[str, Any]]:
    """Every record, page by page; gives the cursor that the last page carries.

    If the record that the next page should begin after is gone meanwhile, the page begins after
    one that came before it, as a last resort at the top.
    """
    listing = str(cursor.get("listing") or int(now.timestamp() * 1000))
    trail: list[str] = list(cursor.get("after", ()))
    began: int | None = cursor.get("began")
    while True:
        after = trail[-1] if trail else None
        query = [*resource.query.items(), *page_query(resource.page, after)]
        request = call(provider, place, "GET", resource.path, query=query)
        response = yield request
        assert response is not None
        if trail and response.status in (400, 404):
            trail.pop()
            continue
        expect(provider, request, response, now)
        if began is None:
            began = provider_time(response, now)
        found, unreadable = records(provider, resource, response, resource.records)
        following = next_after(provider, resource, response, found, after)
        for place_in_page, one in enumerate(found):
            found[place_in_page] = yield from completed(provider, resource, place, one)
        last = following is None
        passed = [one.key for one in found]
        if isinstance(resource.page, PageNumber) and following is not None:
            trail, passed = [], [following]
        trail = [*trail, *passed][-_TRAIL:]
        state: dict[str, Any] = {"listing": listing, "after": trail, "began": began}
        if last:
            state = _followed_from(resource, began)
        yield Page(
            records=tuple(found),
            unreadable=tuple(unreadable),
            cursor=state,
            listing=listing,
            listed_all=last,
        )
        if last:
            return state


def _followed_from(resource: Resource, began: int) -> dict[str, Any]:
    """The cursor behind a listing: what follows it need not look back to before it began."""
    if resource.since is None:
        return {}
    if isinstance(resource.since, EventFeed):
        return {"since": began, "floor": began}
    return {"since": began}


def next_after(
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


def provider_time(response: Response, now: datetime) -> int:
    """The provider's time in unix seconds, rather too early than too late.

    From its Date header; without one, ours less five minutes.
    """
    latest = now + _SLACK
    try:
        date = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError, TypeError):
        return int((now - _SLACK).timestamp())
    return int(min(date.timestamp(), latest.timestamp())) - _SETTLING
