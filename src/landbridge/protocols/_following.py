"""What changed since the last pull: by the provider's event list, by creation time, by a header
or a parameter.

Whatever the list's order (events and creations come newest first), the time up to which everything
is read (`since`) moves on only with the last page, to the provider's time at the first one; until
then the cursor keeps that time (`until`) and the place in the list. The next pull asks again for
the last minutes (`overlap`), as events may appear late; those that were acted on are in `seen`.

An answer that shows nothing at all may be a swallowed error: it moves `since` only up to a day ago,
so that what it hid is in the next answer that shows something.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec

from landbridge.errors import Refused
from landbridge.protocols._calls import fetch
from landbridge.protocols._listing import (
    DOUBT,
    Reached,
    place_of,
    provider_time,
    whole,
    written,
)
from landbridge.protocols._places import Listed, Portion
from landbridge.protocols.values import Fetched, Page, Place, Unreadable
from landbridge.spec import (
    ChangedSince,
    CreatedSince,
    EventFeed,
    Provider,
    Resource,
    SinceHeader,
    SinceParam,
    find,
    topic_matches,
)
from landbridge.wire import Request, Response

_REMEMBERED = 500
_LONGEST_KEY = 64
"""Letters of a key that is remembered as it is; of a longer one, a digest is."""
_MARGIN = timedelta(hours=1)


def too_old(cursor: dict[str, Any], feed: EventFeed | ChangedSince, now: datetime) -> bool:
    """Whether the provider may have forgotten events, or changes, that we have not read."""
    oldest = now - feed.reach + _MARGIN + feed.overlap
    return bool(cursor["since"] < oldest.timestamp())


def follow_events(
    provider: Provider, resource: Resource, place: Place, cursor: dict[str, Any], now: datetime
) -> Generator[Request | Page, Response | None, None]:
    """Every object that an event since the cursor names, as it is now, or as gone.

    Each object is read once a pull, whatever number of events name it, and newest events come
    first, so an older event never brings back an older state. An object that the provider refuses
    to show is unreadable, with its event as the raw record.
    """
    feed = resource.since
    assert isinstance(feed, EventFeed)
    walk = _Walk.of(cursor, feed.overlap, now)
    topics = (*resource.topics, *resource.deletes)
    named: list[tuple[str, str]] = []
    if feed.types_param and len(topics) <= feed.types_limit and not _has_stars(topics):
        named = [(feed.types_param, topic) for topic in topics]
    listed = Listed(
        provider=provider,
        resource=_feed_resource(resource, feed),
        place=place,
        now=now,
        query=[(feed.since_param, str(walk.start)), *named],
    )
    reached = place_of(feed.page, cursor)
    done: set[str] = set()
    while True:
        portion = yield from walk.read(reached, listed)
        new = [event for event in portion.found if walk.meets(event, feed.stamp)]
        found, gone, refused = yield from _objects(provider, resource, place, new, done)
        yield Page(
            records=tuple(found),
            gone=tuple(gone),
            unreadable=(*portion.unreadable, *refused),
            cursor=walk.turn(portion, reached, feed.stamp),
        )
        if portion.last:
            return


def follow_created(
    provider: Provider, resource: Resource, place: Place, cursor: dict[str, Any], now: datetime
) -> Generator[Request | Page, Response | None, None]:
    """Every record made since the cursor."""
    since = resource.since
    assert isinstance(since, CreatedSince)
    walk = _Walk.of(cursor, since.overlap, now)
    listed = Listed(
        provider=provider,
        resource=resource,
        place=place,
        now=now,
        query=[*resource.query.items(), (since.param, str(walk.start))],
    )
    reached = place_of(resource.page, cursor)
    while True:
        portion = yield from walk.read(reached, listed)
        new = [
            _stamped(one, one, since.stamp) for one in portion.found if walk.meets(one, since.stamp)
        ]
        yield Page(
            records=tuple(new),
            unreadable=tuple(portion.unreadable),
            cursor=walk.turn(portion, reached, since.stamp),
        )
        if portion.last:
            return


def follow_header(
    provider: Provider, resource: Resource, place: Place, cursor: dict[str, Any], now: datetime
) -> Generator[Request | Page, Response | None, None]:
    """Every record that changed since the cursor; those of the overlap come again, unchanged."""
    since = resource.since
    assert isinstance(since, SinceHeader)
    walk = _Walk.of(cursor, since.overlap, now)
    asked = datetime.fromtimestamp(walk.start, UTC)
    listed = Listed(
        provider=provider,
        resource=resource,
        place=place,
        now=now,
        query=[*resource.query.items()],
        headers={since.header: f"{asked:%Y-%m-%dT%H:%M:%S}"},
    )
    reached = place_of(resource.page, cursor)
    while True:
        portion = yield from walk.read(reached, listed)
        yield Page(
            records=tuple(portion.found),
            unreadable=tuple(portion.unreadable),
            cursor=walk.turn(portion, reached, ""),
        )
        if portion.last:
            return


def follow_param(
    provider: Provider, resource: Resource, place: Place, cursor: dict[str, Any], now: datetime
) -> Generator[Request | Page, Response | None, None]:
    """Every record that changed since the cursor, list by list: the ordinary one, then the page's
    `also`. Those that were never read are read whole first."""
    since = resource.since
    assert isinstance(since, SinceParam)
    walk = _Walk.of(cursor, since.overlap, now)
    known = int(cursor.get("also", 0))
    lists: list[Mapping[str, str]] = [{}, *since.also]
    for number in range(int(cursor.get("list", 0)), len(lists)):
        asked = {} if number > known else {since.param: written(walk.start, since.form)}
        listed = Listed(
            provider=provider,
            resource=resource,
            place=place,
            now=now,
            query=[*{**resource.query, **lists[number], **asked}.items()],
        )
        reached = place_of(resource.page, cursor)
        yield from _read_list(walk, reached, listed, known, number, len(lists))
        cursor = {}


def _read_list(
    walk: "_Walk", reached: Reached, listed: Listed, known: int, number: int, count: int
) -> Generator[Request | Page, Response | None, None]:
    """One of several lists; only behind the last page of the last one time moves on."""
    over = number == count - 1
    while True:
        portion = yield from walk.read(reached, listed)
        state = walk.turn(portion, reached, "", over=over)
        if count > 1 and portion.last and over:
            state |= {"also": number}
        elif count > 1:
            state |= {"also": known, "list": number + 1 if portion.last else number}
        found = yield from whole(listed, portion.found)
        yield Page(records=tuple(found), unreadable=tuple(portion.unreadable), cursor=state)
        if portion.last:
            return


@dataclass(kw_only=True)
class _Walk:
    """How far one reading of what is new has come."""

    now: datetime
    since: int
    overlap: int
    until: int | None
    """The provider's time when the first page was read."""
    seen: dict[str, int]
    """The stamps of what was acted on, by key."""
    begun: bool = False
    _quiet: bool = True
    """Whether no page showed anything."""

    @classmethod
    def of(cls, cursor: dict[str, Any], overlap: timedelta, now: datetime) -> "_Walk":
        since = min(int(cursor["since"]), int((now + overlap).timestamp()))
        return cls(
            now=now,
            since=since,
            overlap=int(overlap.total_seconds()),
            until=cursor.get("until"),
            seen=dict(cursor.get("seen", {})),
        )

    @property
    def start(self) -> int:
        """The earliest stamp asked for."""
        return max(self.since - self.overlap, 0)

    def read(
        self, reached: Reached, listed: Listed
    ) -> Generator[Request | Page, Response | None, Portion]:
        """The next page; where a list went quiet in its middle, all is asked for again later."""
        self.begun = reached.begun
        portion = yield from reached.read(listed)
        if portion.lost:
            yield Page(records=(), cursor=self._cursor(self.since))
            raise portion.lost
        return portion

    def meets(self, item: Fetched, stamp: str) -> bool:
        """Takes note of an item; whether it is new."""
        key = _short(item.key)
        if key in self.seen:
            return False
        at = find(item.value, stamp)
        self.seen[key] = at if isinstance(at, int) else self.since
        return True

    def turn(
        self, portion: Portion, reached: Reached, stamp: str, *, over: bool = True
    ) -> dict[str, Any]:
        """The cursor behind the page that was just read; `stamp` leads to an item's instant. Time
        moves on behind the last page, if the reading is `over` with it."""
        if self.until is None:
            self.until = self._told(portion, stamp)
        self._quiet = self._quiet and portion.empty and not self.begun
        if portion.last and not over:
            return {**self._cursor(self.since), "until": self.until}
        if not portion.last:
            return {**self._cursor(self.since), "until": self.until, **reached.state}
        until = self.until
        if self._quiet:
            until -= DOUBT
        return self._cursor(max(self.since, until))

    def _told(self, portion: Portion, stamp: str) -> int:
        """The provider's time; one that names none is known by the newest stamp that it shows."""
        ours = provider_time(portion.response, self.now)
        if portion.response.dated is not None or not stamp:
            return ours
        stamps = [find(item.value, stamp) for item in portion.found]
        newest = max((each for each in stamps if isinstance(each, int)), default=ours)
        return max(newest, ours)

    def _cursor(self, since: int) -> dict[str, Any]:
        seen = self._remembered(since)
        return {"since": since, "seen": seen} if seen else {"since": since}

    def _remembered(self, since: int) -> dict[str, int]:
        """What the next question will bring again, the newest of it; the rest is forgotten."""
        again = [(at, key) for key, at in self.seen.items() if at >= since - self.overlap]
        self.seen = {key: at for at, key in sorted(again, reverse=True)[:_REMEMBERED]}
        return dict(self.seen)


def _short(key: str) -> str:
    """The key as it is remembered."""
    if len(key) <= _LONGEST_KEY:
        return key
    return f"digest:{blake2b(key.encode(), digest_size=16).hexdigest()}"


def _objects(
    provider: Provider, resource: Resource, place: Place, events: list[Fetched], done: set[str]
) -> Generator[Request, Response | None, tuple[list[Fetched], list[str], list[Unreadable]]]:
    """The objects that events name, as they are now: there, gone, or refused."""
    feed = resource.since
    assert isinstance(feed, EventFeed)
    found: list[Fetched] = []
    gone: list[str] = []
    refused: list[Unreadable] = []
    for event in events:
        key, deleted = _object_of(resource, event)
        if key is None or key in done:
            continue
        done.add(key)
        fetched = None
        if not deleted:
            try:
                fetched = yield from fetch(provider, resource, place, key)
            except Refused as error:
                refused.append(Unreadable(key=key, raw=event.raw, reason=str(error), field=None))
                continue
        if fetched is None or fetched.key != key:
            gone.append(key)  # another record stands in its place: they were merged
        if fetched is not None:
            found.append(_stamped(fetched, event, feed.stamp))
    return found, gone, refused


def _stamped(record: Fetched, by: Fetched, path: str) -> Fetched:
    """The record with the instant at which, as `by` has it, it changed."""
    at = find(by.value, path)
    return msgspec.structs.replace(record, stamp=at) if isinstance(at, int) else record


def _feed_resource(resource: Resource, feed: EventFeed) -> Resource:
    """The event list as a resource of its own, for reading its pages."""
    return Resource(
        name=f"event about {resource.name}",
        path=feed.path,
        key=feed.key,
        records=feed.records,
        page=feed.page,
    )


def _object_of(resource: Resource, event: Fetched) -> tuple[str | None, bool]:
    """The key of the object that an event is about, and whether it was deleted."""
    feed = resource.since
    assert isinstance(feed, EventFeed)
    topic = find(event.value, feed.topic)
    key = find(event.value, feed.object_key)
    if not isinstance(topic, str) or not isinstance(key, str):
        return None, False
    deleted = any(topic_matches(pattern, topic) for pattern in resource.deletes)
    about = deleted or any(topic_matches(pattern, topic) for pattern in resource.topics)
    return (key if about else None), deleted


def _has_stars(topics: tuple[str, ...]) -> bool:
    return any("*" in topic for topic in topics)
