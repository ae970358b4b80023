"""What changed since the last pull: by the provider's event list, by creation time, by a header.

Whatever the list's order (events and creations come newest first), the time up to which everything
is read (`since`) moves on only with the last page, to the provider's time at the first one; until
then the cursor keeps that time (`until`) and the place (`after`). The next pull asks again for the
last minutes (`overlap`), as events may appear late; those that were acted on are in `seen`.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from landbridge.errors import Refused
from landbridge.protocols._answers import records
from landbridge.protocols._calls import call, fetch, page_query
from landbridge.protocols._listing import next_after, provider_time
from landbridge.protocols.values import Fetched, Page, Place, Unreadable
from landbridge.resilience import expect
from landbridge.spec import (
    CreatedSince,
    EventFeed,
    Provider,
    Resource,
    SinceHeader,
    find,
    topic_matches,
)
from landbridge.wire import Request, Response

_REMEMBERED = 500
_MARGIN = timedelta(hours=1)


def too_old(cursor: dict[str, Any], feed: EventFeed, now: datetime) -> bool:
    """Whether the provider may have forgotten events that we have not read."""
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
    listed = _feed_resource(resource, feed)
    topics = (*resource.topics, *resource.deletes)
    done: set[str] = set()
    while True:
        query = [(feed.since_param, str(walk.start)), *page_query(feed.page, walk.after)]
        if feed.types_param and len(topics) <= feed.types_limit and not _has_stars(topics):
            query += [(feed.types_param, topic) for topic in topics]
        request = call(provider, place, "GET", feed.path, query=query)
        response = yield request
        assert response is not None
        if walk.begins_anew(response):
            continue
        expect(provider, request, response, now)
        events, unreadable = records(provider, listed, response, feed.records)
        new = [event for event in events if walk.meets(event, feed.stamp)]
        found, gone, refused = yield from _objects(provider, resource, place, new, done)
        after = next_after(provider, listed, response, events, walk.after)
        yield Page(
            records=tuple(found),
            gone=tuple(gone),
            unreadable=(*unreadable, *refused),
            cursor=walk.turn(response, now, after),
        )
        if walk.after is None:
            return


def follow_created(
    provider: Provider, resource: Resource, place: Place, cursor: dict[str, Any], now: datetime
) -> Generator[Request | Page, Response | None, None]:
    """Every record made since the cursor."""
    since = resource.since
    assert isinstance(since, CreatedSince)
    walk = _Walk.of(cursor, since.overlap, now)
    while True:
        query = [
            *resource.query.items(),
            (since.param, str(walk.start)),
            *page_query(resource.page, walk.after),
        ]
        request = call(provider, place, "GET", resource.path, query=query)
        response = yield request
        assert response is not None
        if walk.begins_anew(response):
            continue
        expect(provider, request, response, now)
        found, unreadable = records(provider, resource, response, resource.records)
        new = [_stamped(one, one, since.stamp) for one in found if walk.meets(one, since.stamp)]
        after = next_after(provider, resource, response, found, walk.after)
        yield Page(
            records=tuple(new),
            unreadable=tuple(unreadable),
            cursor=walk.turn(response, now, after),
        )
        if walk.after is None:
            return


def follow_header(
    provider: Provider, resource: Resource, place: Place, cursor: dict[str, Any], now: datetime
) -> Generator[Request | Page, Response | None, None]:
    """Every record that changed since the cursor; those of the overlap come again, unchanged."""
    since = resource.since
    assert isinstance(since, SinceHeader)
    walk = _Walk.of(cursor, since.overlap, now)
    asked = datetime.fromtimestamp(max(walk.since - walk.overlap, 0), UTC)
    headers = {since.header: f"{asked:%Y-%m-%dT%H:%M:%S}"}
    while True:
        query = [*resource.query.items(), *page_query(resource.page, walk.after)]
        request = call(provider, place, "GET", resource.path, query=query, headers=headers)
        response = yield request
        assert response is not None
        if walk.begins_anew(response):
            continue
        expect(provider, request, response, now)
        if response.status == 304:
            yield Page(records=(), cursor=walk.turn(response, now, None))
            return
        found, unreadable = records(provider, resource, response, resource.records)
        after = next_after(provider, resource, response, found, walk.after)
        yield Page(
            records=tuple(found),
            unreadable=tuple(unreadable),
            cursor=walk.turn(response, now, after),
        )
        if walk.after is None:
            return


@dataclass(kw_only=True)
class _Walk:
    """How far one reading of a newest-first list has come."""

    since: int
    overlap: int
    floor: int
    until: int | None
    """The provider's time when the first page was read."""
    after: str | None
    seen: dict[str, int]
    """The stamps of what was acted on, by key."""
    anew: bool = False

    @classmethod
    def of(cls, cursor: dict[str, Any], overlap: timedelta, now: datetime) -> "_Walk":
        since = min(int(cursor["since"]), int((now + overlap).timestamp()))
        return cls(
            since=since,
            overlap=int(overlap.total_seconds()),
            floor=int(cursor.get("floor", 0)),
            until=cursor.get("until"),
            after=cursor.get("after"),
            seen=dict(cursor.get("seen", {})),
        )

    @property
    def start(self) -> int:
        """The earliest stamp asked for."""
        return max(self.since - self.overlap, self.floor)

    def begins_anew(self, response: Response) -> bool:
        """Whether the place we wanted to go on from is gone; then the first page comes next."""
        if self.after is None or self.anew or response.status not in (400, 404):
            return False
        self.after, self.until, self.anew = None, None, True
        return True

    def meets(self, item: Fetched, stamp: str) -> bool:
        """Takes note of an item; whether it is new."""
        at = find(item.value, stamp)
        if item.key in self.seen:
            return False
        self.seen[item.key] = at if isinstance(at, int) else self.since
        return True

    def turn(self, response: Response, now: datetime, after: str | None) -> dict[str, Any]:
        """The cursor behind the page that was just read, `after` being where the next begins."""
        if self.until is None:
            self.until = provider_time(response, now)
        self.after = after
        if after is None:
            since = max(self.since, self.until)
            return {"since": since, "floor": self.floor, "seen": self._remembered(since)}
        return {
            "since": self.since,
            "floor": self.floor,
            "until": self.until,
            "after": after,
            "seen": self._remembered(self.since),
        }

    def _remembered(self, since: int) -> dict[str, int]:
        """What the next question will bring again, the newest of it; the rest is forgotten."""
        again = [(at, key) for key, at in self.seen.items() if at >= since - self.overlap]
        self.seen = {key: at for at, key in sorted(again, reverse=True)[:_REMEMBERED]}
        return dict(self.seen)


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
        if fetched is None:
            gone.append(key)
        else:
            found.append(_stamped(fetched, event, feed.stamp))
    return found, gone, refused


def _stamped(record: Fetched, by: Fetched, path: str) -> Fetched:
    """The record with the instant at which, as `by` has it, it changed."""
    at = find(by.value, path)
    return replace(record, stamp=at) if isinstance(at, int) else record


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
