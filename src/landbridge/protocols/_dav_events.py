"""The events of calendars, pulled: what changed since a token, calendar by calendar.

The cursor holds a sync token for each calendar (`calendars: {key: {token}}`), for servers without
sync-collection the calendar's ctag, and while everything is listed the id of that listing. A page
that lists `members` is answered with the keys that are worth fetching, so a full listing after an
expired token, like one that was broken off, fetches only what differs.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from landbridge.errors import RecordError, Unreachable
from landbridge.formats import codec, dav, icalendar
from landbridge.formats.canonical import canonical
from landbridge.formats.dav import DAV, Multistatus
from landbridge.protocols import _dav_calls as calls
from landbridge.protocols._dav_calls import Collection, Homes, Talk
from landbridge.protocols.values import Fetched, Page, Unreadable
from landbridge.resilience import Gone, classify, expect
from landbridge.spec import Provider, Resource, SyncToken
from landbridge.wire import Request

_NO_REPORT = frozenset({405, 415, 501})
_ABSENT = frozenset({404, 410})
_ROOM = 60_000
"""Bytes of the cursor for the states of calendars."""
_OTHERS = frozenset({"VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY"})


@dataclass(kw_only=True)
class Pull:
    """One pull of the events of an account; `states` is what the cursor keeps of each calendar."""

    provider: Provider
    resource: Resource
    homes: Homes
    now: datetime
    states: dict[str, dict[str, str]] = field(default_factory=dict)

    def run(self) -> Generator[Request | Page, Any, None]:
        """All calendars, one after the other; those that are gone last."""
        found = yield from calls.calendars(self.provider, self.homes)
        for collection in found:
            yield from self._calendar(collection)
        for key in sorted(self.states.keys() - {collection.key for collection in found}):
            yield from self._vanished(key)

    def _calendar(self, collection: Collection) -> Generator[Request | Page, Any, None]:
        if not collection.syncs:
            yield from self._by_versions(collection)
            return
        state = self.states.get(collection.key, {})
        token, listing = state.get("token", ""), state.get("listing")
        if token and token == collection.token and not listing:
            return
        while True:
            if not token:
                listing = self._new_listing()
            answer = yield from self._changes(collection, token)
            if answer is None and not token:
                yield from self._by_versions(collection)
                return
            if answer is None:
                # The server has forgotten the token: everything is listed again, and merged.
                token = ""
                continue
            step = self._step(collection, answer, first=not token)
            if step.token == token and not step.versions and not step.gone and not listing:
                return
            state = {"token": step.token}
            if listing and step.partial:
                state["listing"] = listing
            yield from self._members(collection, step, listing=listing, then=state)
            if not step.partial or step.token == token:
                return
            token = step.token

    def _changes(self, collection: Collection, token: str) -> Talk[Multistatus | None]:
        """The answer of sync-collection; None: not from this token, or not at all without one.

        An expired token is told by the element DAV:valid-sync-token, whatever the status (RFC 6578
        section 3.2; servers send 403, 409 and 412), or by 410 alone.
        """
        body = dav.sync_collection(token, dav.ETAG)
        url = self.homes.url(collection.key)
        asked = calls.request(self.provider, "REPORT", url, body, {"Depth": "0"})
        response = yield asked
        if 400 <= response.status < 600:
            failed = dav.preconditions(response.body)
            if token and (dav.VALID_SYNC_TOKEN in failed or response.status == 410):
                return None
            if not token and (response.status in _NO_REPORT or f"{DAV}supported-report" in failed):
                return None
        answer = calls.multistatus(self.provider, asked, response, self.homes.root)
        if not answer.token:
            raise Unreachable(
                f"{self.provider.name} answered a sync without a token; it is tried again later"
            )
        return answer

    def _step(self, collection: Collection, answer: Multistatus, *, first: bool) -> _Step:
        """What an answer says about the calendar's members, as far as they are on our hosts."""
        inside = [
            member
            for member in answer.members
            if member.key != collection.key and self.homes.holds(member.key)
        ]
        return _Step(
            versions={
                member.key: member.text(dav.ETAG)
                for member in inside
                if member.status == 200 and not member.key.endswith("/")
            },
            # A first answer must name no removed members; one that does names some we never had.
            gone=() if first else tuple(m.key for m in inside if m.status in _ABSENT),
            token=answer.token or "",
            partial=any(m.status == 507 and m.key == collection.key for m in answer.members),
        )

    def _by_versions(self, collection: Collection) -> Generator[Request | Page, Any, None]:
        """All members and their ETags, if anything changed; for servers without sync-collection."""
        ctag = collection.ctag
        if ctag and self.states.get(collection.key, {}).get("ctag") == ctag:
            return
        url = self.homes.url(collection.key)
        answer = yield from calls.properties(
            self.provider, url, 1, dav.ETAG, dav.RESOURCE_TYPE, root=self.homes.root
        )
        step = self._step(collection, answer, first=True)
        then = {"ctag": ctag} if not step.partial else {}
        yield from self._members(collection, step, listing=self._new_listing(), then=then)

    def _members(
        self, collection: Collection, step: _Step, *, listing: str | None, then: dict[str, str]
    ) -> Generator[Request | Page, Any, None]:
        """Fetches what is worth it, page by page; only the last page moves the cursor on."""
        wanted: Iterable[str] | None = None
        if step.versions:
            wanted = yield self._page(collection, listing=listing, members=step.versions)
        keys = sorted(step.versions if wanted is None else wanted)
        since = self.resource.since
        size = since.multiget if isinstance(since, SyncToken) else 50
        chunks = [keys[start : start + size] for start in range(0, len(keys), size)]
        for chunk in chunks[:-1]:
            found = yield from self._fetch_all(collection, chunk, step.versions)
            yield self._page(collection, listing=listing, found=found)
        last = _Found()
        if chunks:
            last = yield from self._fetch_all(collection, chunks[-1], step.versions)
        self.states[collection.key] = then
        yield self._page(
            collection,
            listing=listing,
            found=last,
            gone=step.gone,
            listed_all=listing is not None and not step.partial,
        )

    def _fetch_all(
        self, collection: Collection, keys: list[str], versions: Mapping[str, str]
    ) -> Talk[_Found]:
        """The members with these keys; those that are gone by now are passed over."""
        found = _Found()
        alone = list(keys)
        answer = yield from self._multiget(collection, keys)
        for member in answer.members if answer else ():
            if member.key not in alone:
                continue
            data = member.found.get(dav.CALENDAR_DATA)
            if member.status in _ABSENT:
                alone.remove(member.key)
            elif data is not None:
                alone.remove(member.key)
                version = member.text(dav.ETAG) or versions.get(member.key, "")
                one = read_member(self.resource, member.key, version, data.text or "")
                found.add(one, member.key)
        for key in alone:
            one = yield from fetch_member(self.provider, self.resource, self.homes, key)
            if one is not None:
                found.add(one, key)
        return found

    def _multiget(self, collection: Collection, keys: list[str]) -> Talk[Multistatus | None]:
        """Many members at once; None where that fails: one damaged member can spoil all."""
        hrefs = [calls.href_of(self.homes.url(key), self.homes.root) for key in keys]
        body = dav.multiget(hrefs, dav.ETAG, dav.CALENDAR_DATA)
        url = self.homes.url(collection.key)
        asked = calls.request(self.provider, "REPORT", url, body, {"Depth": "1"})
        response = yield asked
        if response.status in _NO_REPORT | {403}:
            return None
        expect(self.provider, asked, response)
        try:
            return dav.parse(response.body, url, self.homes.root)
        except ValueError:
            return None

    def _vanished(self, key: str) -> Generator[Request | Page, Any, None]:
        """A calendar that the home no longer lists: its events are missing if it is gone."""
        if (yield from calls.one_calendar(self.provider, self.homes, key)) is not None:
            return
        del self.states[key]
        yield Page(
            records=(),
            cursor=self._cursor(key),
            scope=key,
            listing=self._new_listing(),
            listed_all=True,
        )

    def _page(
        self,
        collection: Collection,
        *,
        listing: str | None,
        found: _Found | None = None,
        members: Mapping[str, str] | None = None,
        gone: Iterable[str] = (),
        listed_all: bool = False,
    ) -> Page:
        found = found or _Found()
        return Page(
            records=tuple(found.records),
            unreadable=tuple(found.unreadable),
            gone=(*gone, *found.no_events),
            cursor=self._cursor(collection.key),
            listing=listing,
            listed_all=listed_all,
            scope=collection.key,
            members=members,
        )

    def _cursor(self, current: str) -> dict[str, Any]:
        """What the cursor keeps. Where the tokens of very many calendars are too long for it, the
        last ones are left out: those calendars are compared by their members' versions each time.
        """
        kept = {key: dict(state) for key, state in self.states.items()}
        size = len(canonical(kept))
        for key in sorted(kept, reverse=True):
            if size <= _ROOM:
                break
            if key != current:
                size -= len(canonical(kept[key]))
                kept[key] = {}
        return {"calendars": kept}

    def _new_listing(self) -> str:
        return f"{self.now:%Y%m%dT%H%M%S.%f}"


@dataclass(frozen=True, kw_only=True)
class _Step:
    """What one answer says about the members of a calendar."""

    versions: Mapping[str, str]
    gone: tuple[str, ...]
    token: str
    partial: bool
    """The server cut the list (507): the rest comes with the next token."""


@dataclass(kw_only=True)
class _Found:
    records: list[Fetched] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    no_events: list[str] = field(default_factory=list)

    def add(self, one: Fetched | Unreadable | None, key: str) -> None:
        """Takes note of a member; None: it holds no event, or no longer."""
        if isinstance(one, Fetched):
            self.records.append(one)
        elif isinstance(one, Unreadable):
            self.unreadable.append(one)
        else:
            self.no_events.append(key)


def raw_member(key: str, version: str, text: str) -> bytes:
    """A calendar object as it is stored: with its href, ETag and calendar, line ends as CR LF."""
    return canonical(
        {
            "href": key,
            "etag": version,
            "calendar": dav.collection_of(key),
            "data": icalendar.normalized(text),
        }
    )


def read_member(
    resource: Resource, key: str, version: str, text: str
) -> Fetched | Unreadable | None:
    """A calendar object as a record; None if it holds tasks or notes, and no event."""
    raw = raw_member(key, version, text)
    kinds = icalendar.kinds(text)
    if "VEVENT" not in kinds and kinds & _OTHERS:
        return None
    try:
        value = codec(resource.format).parse(raw)
    except RecordError as error:
        return Unreadable(key=key, raw=raw, reason=str(error), field=error.field)
    return Fetched(
        key=key, raw=raw, parsed=value, version=version or None, scope=dav.collection_of(key)
    )


def fetch_member(
    provider: Provider, resource: Resource, homes: Homes, key: str
) -> Talk[Fetched | Unreadable | None]:
    """One calendar object by itself; None if it is gone or holds no event."""
    asked = calls.request(provider, "GET", homes.url(key))
    response = yield asked
    if isinstance(classify(provider.errors, asked, response, None), Gone):
        return None
    expect(provider, asked, response)
    version = response.headers.get("etag", "").strip()
    try:
        text = response.body.decode("utf-8")
    except UnicodeDecodeError:
        return Unreadable(
            key=key, raw=response.body, reason="VEVENT: the text is not UTF-8", field=None
        )
    return read_member(resource, key, version, text)
