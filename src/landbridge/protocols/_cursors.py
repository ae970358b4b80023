"""Where the reading of a list by tokens stands (`NextCursor`), or of several lists in turn.

The provider keeps the place in the list and lets it go after some minutes. So a token that was
kept may not be taken any more; the list is then read from its top again, which loses nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from landbridge.errors import Unreachable
from landbridge.protocols._answers import pluck, text_at
from landbridge.protocols._calls import call
from landbridge.protocols._places import Listed, Portion, Reading
from landbridge.resilience import expect
from landbridge.spec import NextCursor
from landbridge.wire import Request, Response


@dataclass(kw_only=True)
class ByToken:
    """A list that is read by the token that each page names for the next."""

    page: NextCursor
    lists: list[str]
    """What is still to be read, the list under way first (one empty text: there is one list); none:
    it is not known yet."""
    token: str
    """Of the next page; empty: the first."""
    shown: bool
    """Whether a page showed anything."""
    _doubted: bool = False

    @property
    def begun(self) -> bool:
        """Whether a page showed anything."""
        return self.shown

    @property
    def state(self) -> dict[str, Any]:
        """What the cursor keeps."""
        return {"lists": list(self.lists), "token": self.token, "shown": self.shown}

    def read(self, listed: Listed) -> Reading:
        """The next page; the place moves on with it."""
        if not self.lists:
            self.lists = yield from _lists(listed)
        begun_anew = False
        while True:
            request = listed.ask(self._asked(listed))
            response = yield request
            assert response is not None
            if self.token and response.status in (400, 404) and not begun_anew:
                self.token, begun_anew = "", True
                continue
            expect(listed.provider, request, response, listed.now)
            found, unreadable = listed.rows(response)
            told, empty = self._told(listed, response), not found and not unreadable
            if not told and self.token and empty and not self._doubted:
                self._doubted = True  # an error that was swallowed looks like the end
                continue
            self._doubted = False
            self.token = told
            self.shown = self.shown or not empty
            if not told:
                self.lists.pop(0)
            return Portion(
                response=response,
                found=found,
                unreadable=unreadable,
                last=not self.lists,
                empty=empty,
            )

    def _asked(self, listed: Listed) -> list[tuple[str, str]]:
        """The parameters of the next page."""
        page, across = self.page, listed.resource.across
        which = [(across.param, self.lists[0])] if across is not None else []
        token = [(page.param, self.token)] if self.token else []
        size = [(page.size_param, str(page.size))] if page.size_param else []
        return [*which, *token, *size]

    def _told(self, listed: Listed, response: Response) -> str:
        told = pluck(listed.provider, response, self.page.next, Any)
        if self.page.rel:
            told = _linked(told, self.page.rel, self.page.param)
        if not isinstance(told, str | None) or (told and told == self.token):
            raise Unreachable(
                f"{listed.provider.name} names no other page behind this one of"
                f" {listed.resource.name}; the pull goes on there later",
                status=response.status,
            )
        return told or ""


def _linked(links: Any, rel: str, param: str) -> str | None:
    """The token in the address of the link of this `rel`; None: there is no such link."""
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == rel:
            asked = dict(parse_qsl(urlsplit(str(link.get("href", ""))).query))
            return asked.get(param)
    return None


def _lists(listed: Listed) -> Generator[Request, Response | None, list[str]]:
    """What there is a list for each of; none of them is doubted. One empty text: there is one."""
    across = listed.resource.across
    if across is None:
        return [""]
    request = call(listed.provider, listed.place, "GET", across.path)
    response = yield request
    assert response is not None
    expect(listed.provider, request, response, listed.now)
    items = pluck(listed.provider, response, across.records, list[dict[str, Any]]) or []
    found = [key for each in items if (key := text_at(each, across.key))]
    if not found:
        raise Unreachable(
            f"{listed.provider.name} shows nothing at {across.path}, for each of which there is a"
            f" list of {listed.resource.name}; it is tried again later",
            status=response.status,
        )
    return found
