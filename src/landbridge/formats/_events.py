"""One VEVENT as a dict of its properties, and changes of that dict put onto its lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from icalendar import vRecur

from landbridge.formats._contentlines import Component, Line, escape, split_list
from landbridge.formats._moments import (
    instant_line,
    is_day,
    later,
    moment_line,
    read_duration,
    read_instant,
    read_moment,
)
from landbridge.formats.zones import Zones
from landbridge.spec.calendar_rows import write_duration

_CLASSES = frozenset({"PUBLIC", "PRIVATE", "CONFIDENTIAL"})
_ROLES = frozenset({"OPT-PARTICIPANT", "NON-PARTICIPANT"})
_THINGS = frozenset({"ROOM", "RESOURCE"})
_ANSWERS = frozenset({"ACCEPTED", "DECLINED", "TENTATIVE"})
_ALARMS = {"DISPLAY": "DISPLAY", "AUDIO": "DISPLAY", "EMAIL": "EMAIL"}
_SIGNIFICANT = frozenset({"DTSTART", "DTEND", "recurrence", "STATUS"})

Reader = Callable[[Component, Zones], Any]
Writer = Callable[[Component, Any, Zones], None]


def read_event(event: Component, zones: Zones) -> dict[str, Any]:
    """The properties that an event has, by name; ValueError names the one that cannot be read."""
    found = ((name, reader(event, zones)) for name, (reader, _) in PROPERTIES.items())
    return {name: value for name, value in found if value is not None}


def change_event(
    event: Component, before: Mapping[str, Any], after: Mapping[str, Any], zones: Zones
) -> None:
    """Makes an event that read as `before` read as `after`; equal properties are not touched.

    Its SEQUENCE goes up where a revision calls for it (RFC 5545 section 3.8.7.4).
    """
    changed = {name for name in PROPERTIES if before.get(name) != after.get(name)}
    if "DTSTART" in changed and event.line("DURATION"):
        changed.add("DTEND")
    for name in PROPERTIES:
        if name in changed:
            PROPERTIES[name][1](event, after.get(name), zones)
    if before and changed & _SIGNIFICANT and "SEQUENCE" not in changed:
        _write_sequence(event, int(before.get("SEQUENCE", 0)) + 1, zones)
    _check(after)


def _check(event: Mapping[str, Any]) -> None:
    start, end = event.get("DTSTART"), event.get("DTEND")
    if start is None:
        raise ValueError("DTSTART: an event needs a start")
    if end is None:
        return
    if is_day(start) != is_day(end):
        raise ValueError("DTEND: it must be a day if DTSTART is one, and a time if it is a time")
    same_zone = start.partition("[")[2] == end.partition("[")[2]
    if same_zone and end < start:
        raise ValueError("DTEND: it lies before DTSTART")


def _text(name: str) -> tuple[Reader, Writer]:
    def reader(event: Component, _zones: Zones) -> str | None:
        line = event.line(name)
        return None if line is None else line.text

    def writer(event: Component, value: Any, _zones: Zones) -> None:
        _replace_one(event, name, None if value is None else escape(value), "ALTREP")

    return reader, writer


def _raw(name: str) -> tuple[Reader, Writer]:
    def reader(event: Component, _zones: Zones) -> str | None:
        line = event.line(name)
        return None if line is None else line.value.strip()

    def writer(event: Component, value: Any, _zones: Zones) -> None:
        _replace_one(event, name, None if value is None else "".join(value.split()))

    return reader, writer


def _word(name: str, default: str) -> tuple[Reader, Writer]:
    reader, writer = _raw(name)

    def upper(event: Component, zones: Zones) -> str:
        return (reader(event, zones) or default).upper()

    return upper, writer


def _instant(name: str) -> tuple[Reader, Writer]:
    def reader(event: Component, _zones: Zones) -> str | None:
        return read_instant(event.line(name))

    def writer(event: Component, value: Any, _zones: Zones) -> None:
        event.replace(name, [] if value is None else [instant_line(name, value)])

    return reader, writer


def _moment(name: str) -> tuple[Reader, Writer]:
    def reader(event: Component, zones: Zones) -> str | None:
        line = event.line(name)
        repeats = bool(event.line("RRULE")) or name == "RECURRENCE-ID"
        return None if line is None else read_moment(line, line.value, zones, repeats=repeats)

    def writer(event: Component, value: Any, zones: Zones) -> None:
        _replace_moment(event, name, value, zones)

    return reader, writer


def _replace_moment(event: Component, name: str, moment: str | None, zones: Zones) -> None:
    """Sets the line of a moment, keeping the parameters that do not belong to its value."""
    old, lines = event.line(name), []
    if moment is not None:
        new = moment_line(name, moment, zones)
        own = {"VALUE": "", "TZID": "", **{key: one[0] for key, one in new.parameters.items()}}
        lines = [old.having(new.value, own) if old else new]
    event.replace(name, lines)


def _replace_one(event: Component, name: str, value: str | None, *stale: str) -> None:
    """Sets the first line of this name, keeping its parameters except the stale ones."""
    old = event.line(name)
    if value is None:
        event.replace(name, [])
    elif old is None:
        event.replace(name, [Line.of(name, value)])
    else:
        event.replace(name, [old.having(value, dict.fromkeys(stale, ""))])


def _read_end(event: Component, zones: Zones) -> str | None:
    end, length, start = event.line("DTEND"), event.line("DURATION"), event.line("DTSTART")
    if end is not None:
        return read_moment(end, end.value, zones, repeats=bool(event.line("RRULE")))
    if length is None or start is None:
        return None
    begin = read_moment(start, start.value, zones, repeats=bool(event.line("RRULE")))
    return later(begin, *read_duration(length))


def _write_end(event: Component, value: Any, zones: Zones) -> None:
    event.replace("DURATION", [])
    _replace_moment(event, "DTEND", value, zones)


def _read_class(event: Component, _zones: Zones) -> str:
    line = event.line("CLASS")
    word = line.value.strip().upper() if line else ""
    if not word:
        return "DEFAULT"
    # Words that are not known mean PRIVATE (RFC 5545 section 3.8.1.3).
    return word if word in _CLASSES else "PRIVATE"


def _write_class(event: Component, value: Any, _zones: Zones) -> None:
    _replace_one(event, "CLASS", None if value == "DEFAULT" else value)


def _read_sequence(event: Component, _zones: Zones) -> int | None:
    line = event.line("SEQUENCE")
    text = line.value.strip() if line else ""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _write_sequence(event: Component, value: Any, _zones: Zones) -> None:
    _replace_one(event, "SEQUENCE", None if value is None else str(value))


def _read_categories(event: Component, _zones: Zones) -> list[str] | None:
    words = [word.strip() for line in event.lines("CATEGORIES") for word in split_list(line.value)]
    return [word for word in words if word] or None


def _write_categories(event: Component, value: Any, _zones: Zones) -> None:
    written = ",".join(escape(word) for word in value or ())
    event.replace("CATEGORIES", [Line.of("CATEGORIES", written)] if written else [])


def _read_recurrence(event: Component, zones: Zones) -> dict[str, list[str]] | None:
    if event.line("EXRULE"):
        raise ValueError("EXRULE: RFC 5545 has dropped it; use EXDATE")
    repeats = bool(event.line("RRULE"))
    found = {
        "RRULE": [line.value.strip() for line in event.lines("RRULE")],
        "RDATE": [
            read_moment(line, value.partition("/")[0], zones, repeats=repeats)
            for line in event.lines("RDATE")
            for value in line.value.split(",")
            if value.strip()
        ],
        "EXDATE": [
            read_moment(line, value, zones, repeats=repeats)
            for line in event.lines("EXDATE")
            for value in line.value.split(",")
            if value.strip()
        ],
    }
    return {name: values for name, values in found.items() if values} or None


def _write_recurrence(event: Component, value: Any, zones: Zones) -> None:
    wanted = value or {}
    now = _read_recurrence(event, zones) or {}
    if wanted.get("RRULE") != now.get("RRULE"):
        start = event.line("DTSTART")
        day = start is not None and "T" not in start.value
        rules = [Line.of("RRULE", _rule(rule, day=day)) for rule in wanted.get("RRULE") or ()]
        event.replace("RRULE", rules)
    for name in ("RDATE", "EXDATE"):
        if wanted.get(name) != now.get(name):
            lines = [moment_line(name, moment, zones) for moment in wanted.get(name) or ()]
            event.replace(name, lines)


def _rule(text: str, *, day: bool) -> str:
    try:
        rule = vRecur.from_ical(text)
    except ValueError:
        rule = {}
    if "FREQ" not in rule:
        raise ValueError(f"RRULE: {text[:60]!r} is no rule like FREQ=WEEKLY;BYDAY=MO")
    if "UNTIL" in rule and "COUNT" in rule:
        raise ValueError("RRULE: it has both COUNT and UNTIL; keep one")
    until = next((part[6:] for part in text.upper().split(";") if part.startswith("UNTIL=")), "")
    if until and ("T" not in until) != day:
        raise ValueError("RRULE: UNTIL must be a day if DTSTART is one, and a time if it is a time")
    return text.strip()


def _person(line: Line) -> dict[str, str]:
    address = line.value.strip()
    email = address[7:] if address[:7].lower() == "mailto:" else line.parameter("EMAIL")
    return {key: value for key, value in (("email", email), ("CN", line.parameter("CN"))) if value}


def _attendee(line: Line) -> dict[str, str]:
    thing = line.parameter("CUTYPE").upper() in _THINGS
    # Roles and answers that are not known count as the default (sections 3.2.12 and 3.2.16).
    role = line.parameter("ROLE").upper()
    role = role if role in _ROLES else "REQ-PARTICIPANT"
    answer = line.parameter("PARTSTAT").upper()
    return {
        **_person(line),
        "ROLE": "RESOURCE" if thing else role,
        "PARTSTAT": answer if answer in _ANSWERS else "NEEDS-ACTION",
    }


def _read_organizer(event: Component, _zones: Zones) -> dict[str, str] | None:
    line = event.line("ORGANIZER")
    return _person(line) if line else None


def _write_organizer(event: Component, value: Any, _zones: Zones) -> None:
    old = event.line("ORGANIZER")
    person = value and {"email": None, "CN": None, **value}
    event.replace("ORGANIZER", [_invited("ORGANIZER", person, old)] if person else [])


def _read_attendees(event: Component, _zones: Zones) -> list[dict[str, str]] | None:
    return [_attendee(line) for line in event.lines("ATTENDEE")] or None


def _write_attendees(event: Component, value: Any, _zones: Zones) -> None:
    left = event.lines("ATTENDEE")
    lines: list[Line] = []
    for person in value or ():
        old = next((line for line in left if _same_person(_attendee(line), person)), None)
        if old is not None:
            left.remove(old)
        lines.append(_invited("ATTENDEE", person, old))
    event.replace("ATTENDEE", lines)


def _same_person(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    email = one.get("email", "").lower()
    if email != (other.get("email") or "").lower():
        return False
    return bool(email) or one.get("CN") == other.get("CN")


def _invited(name: str, person: Mapping[str, Any], old: Line | None) -> Line:
    """The line of a person; where `old` is theirs, what is equal in it stays."""
    before = {} if old is None else _attendee(old) if name == "ATTENDEE" else _person(old)
    changes = {key: value for key, value in person.items() if before.get(key) != value}
    if old is not None and not changes:
        return old
    parameters: dict[str, str] = {}
    if "CN" in changes:
        parameters["CN"] = changes["CN"] or ""
    if "ROLE" in changes:
        thing = changes["ROLE"] == "RESOURCE"
        parameters["ROLE"] = "" if thing else changes["ROLE"]
        if thing or before.get("ROLE") == "RESOURCE":
            parameters["CUTYPE"] = "RESOURCE" if thing else ""
    if "PARTSTAT" in changes:
        parameters["PARTSTAT"] = changes["PARTSTAT"]
    if old is not None and "email" not in changes:
        return old.having(old.value, parameters)
    email = person.get("email")
    if not email or "@" not in email or any(letter.isspace() for letter in email):
        raise ValueError(f"{name}: a person needs an e-mail address like jo@example.com")
    address = f"mailto:{email}"
    return Line.of(name, address, parameters) if old is None else old.having(address, parameters)


def _alarm(block: Component) -> dict[str, str] | None:
    """What is shown of an alarm; None: it hangs on something else than the event's start."""
    trigger, action = block.line("TRIGGER"), block.line("ACTION")
    kind = _ALARMS.get(action.value.strip().upper()) if action else None
    if trigger is None or kind is None or trigger.parameter("RELATED").upper() == "END":
        return None
    if trigger.parameter("VALUE").upper() == "DATE-TIME":
        return None
    try:
        span = sum(read_duration(trigger), timedelta())
    except ValueError:
        return None
    return {"TRIGGER": write_duration(span), "ACTION": kind}


def _read_alarms(event: Component, _zones: Zones) -> list[dict[str, str]] | None:
    alarms = [_alarm(block) for block in event.called("VALARM")]
    return [alarm for alarm in alarms if alarm] or None


def _write_alarms(event: Component, value: Any, _zones: Zones) -> None:
    left = [(block, shown) for block in event.called("VALARM") if (shown := _alarm(block))]
    kept: list[Component] = []
    for alarm in value or ():
        old = next((pair for pair in left if pair[1] == alarm), None)
        if old is not None:
            left.remove(old)
        kept.append(old[0] if old else _new_alarm(event, alarm))
    blocks = [block for block in event.called("VALARM") if _alarm(block)]
    others = [item for item in event.items if not any(item is block for block in blocks)]
    event.items = [*others, *kept]


def _new_alarm(event: Component, alarm: Mapping[str, Any]) -> Component:
    title = event.line("SUMMARY")
    words = title.value if title and title.value else "Reminder"
    lines = [
        Line.of("ACTION", alarm.get("ACTION") or "DISPLAY"),
        Line.of("TRIGGER", alarm["TRIGGER"]),
        Line.of("DESCRIPTION", words),
    ]
    if alarm.get("ACTION") == "EMAIL":
        lines.append(Line.of("SUMMARY", words))
        organizer = event.line("ORGANIZER")
        to = [organizer] if organizer else event.lines("ATTENDEE")
        lines += [Line.of("ATTENDEE", line.value) for line in to]
    return Component("VALARM", list(lines))


PROPERTIES: Mapping[str, tuple[Reader, Writer]] = {
    "UID": _text("UID"),
    "DTSTAMP": _instant("DTSTAMP"),
    "RECURRENCE-ID": _moment("RECURRENCE-ID"),
    "DTSTART": _moment("DTSTART"),
    "DTEND": (_read_end, _write_end),
    "SUMMARY": _text("SUMMARY"),
    "DESCRIPTION": _text("DESCRIPTION"),
    "LOCATION": _text("LOCATION"),
    "URL": _raw("URL"),
    "STATUS": _word("STATUS", "CONFIRMED"),
    "TRANSP": _word("TRANSP", "OPAQUE"),
    "CLASS": (_read_class, _write_class),
    "CATEGORIES": (_read_categories, _write_categories),
    "ORGANIZER": (_read_organizer, _write_organizer),
    "ATTENDEE": (_read_attendees, _write_attendees),
    "recurrence": (_read_recurrence, _write_recurrence),
    "SEQUENCE": (_read_sequence, _write_sequence),
    "CREATED": _instant("CREATED"),
    "LAST-MODIFIED": _instant("LAST-MODIFIED"),
    "VALARM": (_read_alarms, _write_alarms),
}
"""Every property that is shown, in the order in which a new event has them, with its two ways."""
