"""The REPORTs: sync-collection (RFC 6578), calendar-multiget and calendar-query (RFC 4791)."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

import icalendar
import recurring_ical_events

from landbridge.testing.caldav.calendars import Calendar, Object
from landbridge.testing.caldav.properties import member, props_of, response
from landbridge.testing.caldav.xml import c, d, element, gone, multistatus

_FAR = {
    "start": datetime(1970, 1, 1, tzinfo=UTC),
    "end": datetime(2100, 1, 1, tzinfo=UTC),
}


class Failed(Exception):
    """A report that is refused: with a DAV:error of one element, or plainly."""

    def __init__(self, status: int, precondition: str | None = None):
        super().__init__(status, precondition)
        self.status = status
        self.precondition = precondition


def sync_collection(owner: str, calendar: Calendar, body: Element) -> Element:
    """What changed since the token in the body, and the new token."""
    level = body.findtext(d("sync-level"))
    if calendar.dialect.needs_sync_level and level != "1":
        raise Failed(400)
    changes = calendar.since((body.findtext(d("sync-token")) or "").strip())
    if changes is None:
        raise Failed(calendar.dialect.stale_token, d("valid-sync-token"))
    changed, removed = changes
    responses = [gone(calendar.path + name) for name in removed]
    for each in changed:
        own = member(owner, each)
        if not calendar.dialect.sync_gives_data:
            del own[c("calendar-data")]
        responses.append(response(calendar.path + each.name, own, props_of(body)))
    token = element(d("sync-token"), text=calendar.token())
    below = [*responses, token] if calendar.dialect.token_last else [token, *responses]
    return multistatus(*below)


def multiget(owner: str, calendar: Calendar, body: Element) -> Element:
    """The named objects; a name that is not there has the bare status 404."""
    wanted = props_of(body)
    missing, there = [], []
    for href in body.findall(d("href")):
        path = unquote(urlsplit(href.text or "").path)
        one = calendar.objects.get(path.removeprefix(calendar.path))
        if one is None or not path.startswith(calendar.path):
            missing.append(gone(path))
        else:
            there.append(response(path, member(owner, one), wanted))
    return multistatus(*missing, *there)


def query(owner: str, calendar: Calendar, body: Element) -> Element:
    """The objects that the filter selects: by component, property text and time range."""
    outer = body.find(f"{c('filter')}/{c('comp-filter')}")
    inner = None if outer is None else outer.find(c("comp-filter"))
    matching = [
        each for each in calendar.objects.values() if inner is None or _matches(each, inner)
    ]
    wanted = props_of(body)
    return multistatus(
        *(response(calendar.path + one.name, member(owner, one), wanted) for one in matching)
    )


def _matches(one: Object, component: Element) -> bool:
    if component.get("name", "").upper() != one.kind:
        return False
    try:
        read = icalendar.Calendar.from_ical(one.text)
    except ValueError:
        return False
    parts = list(read.walk(one.kind))
    for wanted in component.findall(c("prop-filter")):
        if not any(_has(part, wanted) for part in parts):
            return False
    span = component.find(c("time-range"))
    return span is None or _overlaps(read, span)


def _has(part: icalendar.Component, wanted: Element) -> bool:
    name = wanted.get("name", "")
    if wanted.find(c("is-not-defined")) is not None:
        return name not in part
    text = wanted.find(c("text-match"))
    if text is None or name not in part:
        return name in part
    contained = (text.text or "").casefold() in str(part[name]).casefold()
    return contained != (text.get("negate-condition") == "yes")


def _overlaps(read: icalendar.Calendar, span: Element) -> bool:
    start, end = (_moment(span.get(name), name) for name in ("start", "end"))
    try:
        return bool(recurring_ical_events.of(read).between(start, end))
    except (ValueError, AttributeError, KeyError):
        return False


def _moment(text: str | None, name: str) -> datetime:
    if text is None:
        return _FAR[name]
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Failed(400) from None


REPORTS = {
    d("sync-collection"): sync_collection,
    c("calendar-multiget"): multiget,
    c("calendar-query"): query,
}
