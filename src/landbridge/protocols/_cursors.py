"""Lists that are read by tokens (`NextCursor`): everything, or what changed since an instant.

The provider keeps the place in the list and lets it go after some minutes. So a token that was
kept may not be taken any more; the list is then read from its top again, which loses nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from landbridge.errors import Unreachable
from landbridge.protocols._answers import pluck, records, text_at
from landbridge.protocols._calls import call, completed, fetch
from landbridge.protocols._following import written
from landbridge.protocols._listing import provider_time
from landbridge.protocols.values import Fetched, Page, Place, Unreadable
from landbridge.resilience import expect
from landbridge.spec import NextCursor, Provider, Resource, SinceParam, nested_at, patched
from landbridge.wire import Request, Response

_DOUBT = timedelta(days=1)
"""How long an answer that shows nothing is doubted: it may be a swallowed error."""

Step = Generator[Request | Page, Response | None, dict[str, Any]]


def list_cursors(
    provider: Provider, resource: Resource, place: Place, cursor: dict[str, Any], now: datetime
) -> Step:
    """Every record, page by page; gives the cursor that the last page carries."""
    listing = str(cursor.get("listing") or int(now.timestamp() * 1000))
    began: int | None = cursor.get("began")
    shown = bool(cursor.get("shown"))
    query = [*{**_reached(resource, now), **resource.query}.items()]
    reading = yield from _begun(provider, resource, place, cursor, query, now)
    while True:
        response, found, unreadable = yield from reading.page()
        if began is None:
            began = provider_time(response, now)
        shown = shown or bool(found or unreadable)
        for at, one in enumerate(found):
            found[at] = yield from _whole(provider, resource, place, one)
        state = {"listing": listing, "began": began, "shown": shown, **reading.state}
        if reading.over:
            state = {"since": began} if resource.since and shown else {}
        yield Page(
            records=tuple(found),
            unreadable=tuple(unreadable),
            cursor=state,
            listing=listing,
            listed_all=reading.over,
        )
        if reading.over:
            return state


def follow_cursors(
    provider: Provider, resource: Resource, place: Place, cursor: dict[str, Any], now: datetime
) -> Step:
    """Every record that changed since the cursor; those of the overlap come again, unchanged."""
    since = resource.since
    assert isinstance(since, SinceParam)
    latest = int((now + since.overlap).timestamp())
    known, until = min(int(cursor["since"]), latest), cursor.get("until")
    shown = bool(cursor.get("shown"))
    start = max(known - int(since.overlap.total_seconds()), 0)
    query = [*{**resource.query, since.param: written(start, since.form)}.items()]
    reading = yield from _begun(provider, resource, place, cursor, query, now)
    while True:
        response, found, unreadable = yield from reading.page()
        if until is None:
            until = provider_time(response, now)
        shown = shown or bool(found or unreadable)
        if resource.summary:
            for at, one in enumerate(found):
                found[at] = yield from _whole(provider, resource, place, one)
        state = {"since": known, "until": until, "shown": shown, **reading.state}
        if reading.over:
            through = until if shown else until - int(_DOUBT.total_seconds())
            state = {"since": max(known, through)}
        yield Page(records=tuple(found), unreadable=tuple(unreadable), cursor=state)
        if reading.over:
            return state


def _reached(resource: Resource, now: datetime) -> dict[str, str]:
    """What asks for everything, as far back as the provider lets one ask."""
    since = resource.since
    if not isinstance(since, SinceParam) or since.reach is None:
        return {}
    return {since.param: written(int((now - since.reach).timestamp()), since.form)}


def _whole(
    provider: Provider, resource: Resource, place: Place, one: Fetched
) -> Generator[Request | Page, Response | None, Fetched]:
    """The record with all that the list leaves out; as listed, if it is gone by now."""
    if not resource.summary:
        found: Fetched = yield from completed(provider, resource, place, one)
        return found
    return (yield from fetch(provider, resource, place, one.key)) or one


@dataclass(kw_only=True)
class _Reading:
    """Where the reading of one list, or of several in turn, stands."""

    provider: Provider
    resource: Resource
    place: Place
    query: Sequence[tuple[str, str]]
    now: datetime
    lists: list[str]
    """What is still to be read, the list under way first; one empty text: there is one list."""
    token: str
    """Of the next page; empty: the first."""
    over: bool = False
    _doubted: bool = False

    @property
    def state(self) -> dict[str, Any]:
        """What the cursor keeps."""
        return {"lists": list(self.lists), "token": self.token}

    def page(
        self,
    ) -> Generator[
        Request | Page, Response | None, tuple[Response, list[Fetched], list[Unreadable]]
    ]:
        """The next page; the place moves on with it."""
        begun_anew = False
        while True:
            request = self._request()
            response = yield request
            assert response is not None
            if self.token and response.status in (400, 404) and not begun_anew:
                self.token, begun_anew = "", True
                continue
            expect(self.provider, request, response, self.now)
            found, unreadable = records(
                self.provider, self.resource, response, self.resource.records
            )
            told = self._told(response)
            if not told and self.token and not found and not unreadable and not self._doubted:
                self._doubted = True  # an error that was swallowed looks like the end
                continue
            self._doubted = False
            self.token = told
            if not told:
                self.lists.pop(0)
                self.over = not self.lists
            return response, found, unreadable

    def _told(self, response: Response) -> str:
        assert isinstance(self.resource.page, NextCursor)
        page = self.resource.page
        told = pluck(self.provider, response, page.next, Any)
        if page.rel:
            told = _linked(told, page.rel, page.param)
        if not isinstance(told, str | None) or (told and told == self.token):
            raise Unreachable(
                f"{self.provider.name} names no other page behind this one of"
                f" {self.resource.name}; the pull goes on there later",
                status=response.status,
            )
        return told or ""

    def _request(self) -> Request:
        page = self.resource.page
        assert isinstance(page, NextCursor)
        query = [*self.query]
        if self.resource.across is not None:
            query.append((self.resource.across.param, self.lists[0]))
        sized = {page.size_param: page.size} if page.size_param else {}
        if self.token:
            query.append((page.param, self.token))
        path = self.resource.path
        if not page.posts:
            query = [*query, *((name, str(size)) for name, size in sized.items())]
            return call(self.provider, self.place, "GET", path, query=query)
        body: dict[str, Any] = {**sized}
        for name, value in query:
            body = patched(body, _placed(name, value))
        return call(
            self.provider,
            self.place,
            "POST",
            path,
            headers={"Content-Type": "application/json"},
            body=msgspec.json.encode(body),
        ).having(reads=True)


def _linked(links: Any, rel: str, param: str) -> str | None:
    """The token in the address of the link of this `rel`; None: there is no such link."""
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == rel:
            asked = dict(parse_qsl(urlsplit(str(link.get("href", ""))).query))
            return asked.get(param)
    return None


def _begun(
    provider: Provider,
    resource: Resource,
    place: Place,
    cursor: dict[str, Any],
    query: Sequence[tuple[str, str]],
    now: datetime,
) -> Generator[Request | Page, Response | None, _Reading]:
    """The reading where the cursor left it, or at its begin."""
    lists = list(cursor.get("lists", ()))
    if not lists:
        lists = [""]
        if resource.across is not None:
            lists = yield from _parts(provider, resource, place, now)
    token = str(cursor.get("token", ""))
    return _Reading(
        provider=provider,
        resource=resource,
        place=place,
        query=query,
        now=now,
        lists=lists,
        token=token,
    )


def _parts(
    provider: Provider, resource: Resource, place: Place, now: datetime
) -> Generator[Request | Page, Response | None, list[str]]:
    """What there is a list for each of; none of them is doubted."""
    across = resource.across
    assert across is not None
    request = call(provider, place, "GET", across.path)
    response = yield request
    assert response is not None
    expect(provider, request, response, now)
    items = pluck(provider, response, across.records, list[dict[str, Any]]) or []
    found = [key for each in items if (key := text_at(each, across.key))]
    if not found:
        raise Unreachable(
            f"{provider.name} shows nothing at {across.path}, for each of which there is a list of"
            f" {resource.name}; it is tried again later",
            status=response.status,
        )
    return found


def _placed(path: str, word: str) -> dict[str, Any]:
    """A parameter inside a body of JSON."""
    value: Any = {"true": True, "false": False}.get(word, word)
    return nested_at(path.removesuffix("[]"), [value] if path.endswith("[]") else value)
