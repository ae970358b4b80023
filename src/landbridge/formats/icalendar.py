"""Calendar objects (RFC 5545) as addressable values, and changes written back onto their text.

`parse` gives a dict with the properties of the object's event by name, and the instances that
differ under `overrides`. `render` puts changes of that dict onto the text they came from: lines
and blocks that no change touches stay byte for byte as they were, unknown ones included.

The dict is close to the text, with these differences. Moments are texts (`2026-01-31`,
`2026-01-31T09:00:00[Europe/Vienna]`); `DTEND` is also there when the text has a DURATION; RRULE,
RDATE and EXDATE stand together under `recurrence`; a missing STATUS is `CONFIRMED`, TRANSP `OPAQUE`
and CLASS `DEFAULT`; unknown words of CLASS, ROLE and PARTSTAT are what the RFC says to take them
for; `VALARM` holds the alarms that hang on the start. An object that has only changed instances of
a series (an invitation to one of them) is read as its first instance, with the series' UID under
`series`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from landbridge.errors import RecordError
from landbridge.formats._contentlines import Component, Line, normalize, read, write
from landbridge.formats._events import PROPERTIES, change_event, read_event
from landbridge.formats.zones import Zones, iana_name

CONTENT_TYPE = "text/calendar; charset=utf-8"
_BEGIN = re.compile(r"^BEGIN:([A-Za-z0-9-]+)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
_EPOCH = "1970-01-01T00:00:00Z"
_PRODUCT = "-//Landbridge//Landbridge//EN"


def parse(text: str) -> dict[str, Any]:
    """The event of a calendar object, or of a bare VEVENT.

    `RecordError` names the property at fault, or says what is wrong with the object: no VEVENT in
    it, several events that are not one series, a text that is cut off.
    """
    try:
        calendar = _calendar(text)
        main, overrides = _split(calendar)
        zones = Zones(calendar)
        event = read_event(main, zones)
        if "RECURRENCE-ID" in event:
            event["series"] = event.get("UID")
        if overrides:
            event["overrides"] = [read_event(override, zones) for override in overrides]
    except ValueError as error:
        raise _record_error(error) from None
    return event


def kinds(text: str) -> frozenset[str]:
    """The names of all blocks in a text, readable or not: VCALENDAR, VEVENT, VTODO..."""
    return frozenset(name.upper() for name in _BEGIN.findall(text))


def normalized(text: str) -> str:
    """The text with the line ends that RFC 5545 wants, which XML and some servers change."""
    return normalize(text)


def zone_of(text: str) -> str | None:
    """The IANA zone that a calendar object's (first) VTIMEZONE stands for; None: it has none."""
    try:
        blocks = read(text).called("VTIMEZONE")
    except ValueError:
        return None
    tzid = blocks[0].line("TZID") if blocks else None
    return iana_name(tzid.text.strip(), blocks[0]) if tzid else None


def render(changes: Mapping[str, Any], base: str | None) -> str:
    """The calendar object that `base` becomes by these changes; without a base a new one.

    Changes are laid over what `parse` gives for the base: None takes a property away, lists are
    whole. Items of `overrides` are matched by RECURRENCE-ID, attendees by their address, alarms by
    what they do; what is not shown of a matched one stays. A new event without UID gets one made
    from its content, one without DTSTAMP that of its last change, else 1970. `RecordError` names
    the property that cannot be written.
    """
    try:
        calendar = _calendar(base) if base else _new_calendar()
        main, overrides = _split(calendar)
        zones = Zones(calendar)
        before = read_event(main, zones) if base else {}
        after = _merged(before, changes)
        if not base:
            after.setdefault("UID", _made_up_uid(changes))
            _stamp(after)
        change_event(main, before, after, zones)
        if "overrides" in changes:
            _change_overrides(calendar, overrides, changes["overrides"] or (), after, zones)
    except ValueError as error:
        raise _record_error(error) from None
    return write(calendar)


def _calendar(text: str) -> Component:
    outer = read(text)
    if outer.name == "VEVENT":
        return Component("VCALENDAR", [*_head(), outer])
    if outer.name != "VCALENDAR":
        raise ValueError(f"expected a VCALENDAR or a VEVENT, found {outer.name}")
    return outer


def _new_calendar() -> Component:
    return Component("VCALENDAR", [*_head(), Component("VEVENT")])


def _head() -> list[Line]:
    return [Line.of("VERSION", "2.0"), Line.of("PRODID", _PRODUCT)]


def _split(calendar: Component) -> tuple[Component, list[Component]]:
    """The event that the others belong to, and those others."""
    events = calendar.called("VEVENT")
    if not events:
        raise ValueError("there is no VEVENT in it")
    uids = {line.text for event in events if (line := event.line("UID"))}
    if len(uids) > 1:
        raise ValueError(
            f"it holds events with {len(uids)} different UIDs; one object is one event"
        )
    masters = [event for event in events if not event.line("RECURRENCE-ID")]
    if len(masters) > 1:
        raise ValueError(f"it holds {len(masters)} VEVENTs without RECURRENCE-ID; expected one")
    main = masters[0] if masters else events[0]
    return main, [event for event in events if event is not main]


def _merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    after = dict(before)
    for name, change in changes.items():
        if name in PROPERTIES:
            after[name] = _laid_over(after.get(name), change)
    return {name: value for name, value in after.items() if value not in (None, {}, [])}


def _laid_over(value: Any, change: Any) -> Any:
    if not isinstance(change, Mapping):
        return change
    inner = {**(value or {}), **change}
    return {key: one for key, one in inner.items() if one is not None}


def _made_up_uid(changes: Mapping[str, Any]) -> str:
    content = json.dumps(changes, sort_keys=True, default=str)
    return f"{hashlib.sha256(content.encode()).hexdigest()[:32]}@landbridge"


def _stamp(event: dict[str, Any]) -> None:
    event.setdefault("DTSTAMP", event.get("LAST-MODIFIED") or event.get("CREATED") or _EPOCH)


def _change_overrides(
    calendar: Component,
    overrides: list[Component],
    wanted: Any,
    main: Mapping[str, Any],
    zones: Zones,
) -> None:
    known = {str(read_event(each, zones).get("RECURRENCE-ID")): each for each in overrides}
    kept: list[Component] = []
    for item in wanted:
        original = item.get("RECURRENCE-ID")
        if not original:
            raise ValueError("RECURRENCE-ID: a changed instance needs its original start")
        event = known.pop(original, None)
        fresh = event is None
        event = event or Component("VEVENT")
        before = {} if fresh else read_event(event, zones)
        after = _merged(before, item)
        if fresh:
            after["UID"] = main["UID"]
            after.setdefault("DTSTAMP", main.get("DTSTAMP") or _EPOCH)
        change_event(event, before, after, zones)
        kept.append(event)
    gone = [event for event in overrides if not any(event is each for each in kept)]
    new = [event for event in kept if not any(event is each for each in overrides)]
    items = [item for item in calendar.items if not any(item is event for event in gone)]
    calendar.items = [*items, *new]


def _record_error(error: ValueError) -> RecordError:
    sentence = str(error)
    name, colon, _ = sentence.partition(": ")
    known = bool(colon) and (name in PROPERTIES or name.isupper())
    where = f"VEVENT.{sentence}" if known else f"VEVENT: {sentence}"
    return RecordError(where, field=name if known else None)
