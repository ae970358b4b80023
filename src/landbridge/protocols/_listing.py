"""The full listing of a resource: every page, resumable after each, safe against a moving list.

New records appear at the top while the pages are read; they are not in this listing, and are read
by what follows it: `since` in the last cursor is the provider's own time when the listing began.
"""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

from landbridge.protocols._calls import completed, fetch
from landbridge.protocols._cursors import ByToken
from landbridge.protocols._places import AfterKey, ByNumber, Listed
from landbridge.protocols._statements import ByStatement
from landbridge.protocols.values import Fetched, Page, Place
from landbridge.spec import (
    NextCursor,
    PageNumber,
    Paging,
    Provider,
    Resource,
    SinceParam,
    Statement,
)
from landbridge.wire import Request, Response

_SLACK = timedelta(minutes=5)
_UNDATED = timedelta(days=1)
_SETTLING = 30
"""Seconds: what is shown with an earlier stamp may have been hidden from a listing that long."""

DOUBT = int(timedelta(days=1).total_seconds())
"""How long an answer that shows nothing is doubted: it may be a swallowed error."""

Reached = AfterKey | ByNumber | ByStatement | ByToken


def list_all(
    provider: Provider, resource: Resource, place: Place, cursor: dict[str, Any], now: datetime
) -> Generator[Request | Page, Response | None, dict[str, Any]]:
    """Every record, page by page; gives the cursor that the last page carries.

    That cursor is empty after a listing that showed no record at all, be it that there is none or
    that an error was swallowed: it is listed again next time, which costs as much as following it.
    """
    listing = str(cursor.get("listing") or int(now.timestamp() * 1000))
    began: int | None = cursor.get("began")
    reached = place_of(resource.page, cursor)
    listed = Listed(
        provider=provider,
        resource=resource,
        place=place,
        now=now,
        query=[*{**_reach(resource, now), **resource.query}.items()],
        parse=bool(resource.continued),
    )
    while True:
        begun = reached.begun
        portion = yield from reached.read(listed)
        if portion.lost:
            yield Page(records=(), cursor={})
            raise portion.lost
        if began is None:
            began = provider_time(portion.response, now)
        found = yield from whole(listed, portion.found)
        state: dict[str, Any] = {"listing": listing, **reached.state, "began": began}
        if portion.last:
            state = {"since": began} if resource.since and (begun or not portion.empty) else {}
        yield Page(
            records=tuple(found),
            unreadable=tuple(portion.unreadable),
            cursor=state,
            listing=listing,
            listed_all=portion.last,
            left=portion.left,
        )
        if portion.last:
            return state


def place_of(page: Paging, cursor: dict[str, Any]) -> Reached:
    """The place that a cursor keeps; without one, before the first page."""
    if isinstance(page, PageNumber):
        trail = [(key, mark) for key, mark in cursor.get("trail", ())]
        return ByNumber(page=page, passed=cursor.get("passed", 0), trail=trail)
    if isinstance(page, Statement):
        keys = list(cursor.get("trail", ()))
        return ByStatement(page=page, passed=cursor.get("passed", 0), trail=keys)
    if isinstance(page, NextCursor):
        return ByToken(
            page=page,
            lists=list(cursor.get("lists", ())),
            token=cursor.get("token", ""),
            shown=cursor.get("shown", False),
        )
    return AfterKey(page=page, trail=list(cursor.get("after", ())))


def whole(
    listed: Listed, found: list[Fetched]
) -> Generator[Request | Page, Response | None, list[Fetched]]:
    """The records with all that a list leaves out; as listed, where one is gone by now."""
    resource = listed.resource
    if not resource.summary and not resource.continued:
        return found
    read = []
    for one in found:
        if resource.summary:
            full = yield from fetch(listed.provider, resource, listed.place, one.key)
            read.append(full or one)
        else:
            read.append((yield from completed(listed.provider, resource, listed.place, one)))
    return read


def _reach(resource: Resource, now: datetime) -> dict[str, str]:
    """What asks for everything, as far back as the provider lets one ask."""
    since = resource.since
    if not isinstance(since, SinceParam) or since.reach is None:
        return {}
    return {since.param: written(int((now - since.reach).timestamp()), since.form)}


def written(unix: int, form: str) -> str:
    """An instant as a parameter has it."""
    if form == "unix":
        return str(unix)
    moment = datetime.fromtimestamp(unix, UTC)
    return f"{moment:%Y-%m-%d}" if form == "day" else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def provider_time(response: Response, now: datetime) -> int:
    """The provider's time in unix seconds, rather too early than too late.

    From its Date header; without one, ours less a day: whose clock is right nobody knows then.
    """
    date = response.dated
    if date is None:
        return int((now - _UNDATED).timestamp())
    latest = now + _SLACK
    return int(min(date.timestamp(), latest.timestamp())) - _SETTLING
