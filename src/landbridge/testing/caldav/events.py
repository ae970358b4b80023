"""Varied events as iCalendar text: the same seed gives the same objects, relative to a day.

UTC, zoned (with their VTIMEZONE), floating and all-day events; series with COUNT, UNTIL and
EXDATE; series with a moved and a cancelled instance; long, folded, escaped and non-ASCII text.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_BERLIN = """BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:20201025T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
TZNAME:CET
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:20210328T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
TZNAME:CEST
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE"""
_SUMMARIES = (
    "Stand-up",
    "Brückenbau: Planung",
    "Review; part two, with commas",
    "山田さんと会議",
    "A summary that is so long that it has to be folded twice before it fits into a line of 75",
    "Dinner",
)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One calendar object: its file name and its text, with CRLF line ends, folded."""

    name: str
    text: str


def events(count: int, *, seed: int = 0, day: datetime | None = None) -> list[Item]:
    """`count` objects, one UID each, within 200 days around `day` (default: 1 January 2026)."""
    rng = random.Random(seed)  # noqa: S311 - events to test with
    middle = day or datetime(2026, 1, 1, tzinfo=UTC)
    return [_item(index, rng, middle) for index in range(count)]


def _item(index: int, rng: random.Random, middle: datetime) -> Item:
    uid = f"landbridge-{index:05}-{rng.getrandbits(48):012x}@example.com"
    start = (middle + timedelta(days=rng.randrange(-100, 100))).replace(
        hour=rng.randrange(7, 19), minute=rng.choice((0, 15, 30)), second=0, microsecond=0
    )
    form = _FORMS[index % len(_FORMS)]
    return Item(name=f"{uid.partition('@')[0]}.ics", text=calendar(form(uid, start, index)))


def calendar(components: list[str]) -> str:
    """A VCALENDAR around components that are written with plain newlines and unfolded."""
    head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Landbridge//testing//EN"]
    lines = [*head, *"\n".join(components).split("\n"), "END:VCALENDAR"]
    return "".join(f"{folded(line)}\r\n" for line in lines)


def folded(line: str) -> str:
    """A content line in parts of at most 75 octets (RFC 5545 section 3.1)."""
    parts: list[bytes] = []
    part = b""
    for letter in line:
        octets = letter.encode()
        if len(part) + len(octets) > (75 if not parts else 74):
            parts.append(part)
            part = b""
        part += octets
    return "\r\n ".join(each.decode() for each in [*parts, part])


def utc(moment: datetime) -> str:
    """`20260101T090000Z`."""
    return moment.strftime("%Y%m%dT%H%M%SZ")


def _local(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S")


def event(uid: str, index: int, *lines: str) -> str:
    """A VEVENT with a summary chosen by `index` and these further lines."""
    summary = _SUMMARIES[index % len(_SUMMARIES)].replace(";", "\\;").replace(",", "\\,")
    stamp = "DTSTAMP:20260101T000000Z"
    body = ["BEGIN:VEVENT", f"UID:{uid}", stamp, f"SUMMARY:{summary}", *lines, "END:VEVENT"]
    return "\n".join(body)


def _plain(uid: str, start: datetime, index: int) -> list[str]:
    end = start + timedelta(minutes=30 * (index % 4 + 1))
    return [event(uid, index, f"DTSTART:{utc(start)}", f"DTEND:{utc(end)}")]


def _zoned(uid: str, start: datetime, index: int) -> list[str]:
    lines = [
        f"DTSTART;TZID=Europe/Berlin:{_local(start)}",
        "DURATION:PT45M",
        "LOCATION:Hafenstraße 1\\, Hamburg",
        "DESCRIPTION:First line\\nsecond line\\; third",
    ]
    return [_BERLIN, event(uid, index, *lines)]


def _all_day(uid: str, start: datetime, index: int) -> list[str]:
    end = start + timedelta(days=1 + index % 3)
    lines = [f"DTSTART;VALUE=DATE:{start:%Y%m%d}", f"DTEND;VALUE=DATE:{end:%Y%m%d}"]
    return [event(uid, index, *lines, "TRANSP:TRANSPARENT")]


def _floating(uid: str, start: datetime, index: int) -> list[str]:
    return [event(uid, index, f"DTSTART:{_local(start)}", "DURATION:PT1H", "CLASS:PRIVATE")]


def _series(uid: str, start: datetime, index: int) -> list[str]:
    skipped = start + timedelta(days=7)
    lines = [
        f"DTSTART;TZID=Europe/Berlin:{_local(start)}",
        f"DTEND;TZID=Europe/Berlin:{_local(start + timedelta(hours=1))}",
        f"RRULE:FREQ=WEEKLY;COUNT={8 + index % 30}",
        f"EXDATE;TZID=Europe/Berlin:{_local(skipped)}",
    ]
    return [_BERLIN, event(uid, index, *lines)]


def _daily(uid: str, start: datetime, index: int) -> list[str]:
    until = start + timedelta(days=10)
    lines = [
        f"DTSTART;VALUE=DATE:{start:%Y%m%d}",
        f"RRULE:FREQ=DAILY;INTERVAL=2;UNTIL={until:%Y%m%d}",
    ]
    return [event(uid, index, *lines)]


def _overridden(uid: str, start: datetime, index: int) -> list[str]:
    """A series whose second instance is moved by an hour and whose third is cancelled."""
    second, third = start + timedelta(days=7), start + timedelta(days=14)
    moved = second + timedelta(hours=1)
    zone = ";TZID=Europe/Berlin:"
    return [
        _BERLIN,
        event(
            uid,
            index,
            f"DTSTART{zone}{_local(start)}",
            "DURATION:PT1H",
            "RRULE:FREQ=WEEKLY;COUNT=6",
        ),
        event(
            uid,
            index,
            f"RECURRENCE-ID{zone}{_local(second)}",
            f"DTSTART{zone}{_local(moved)}",
            "DURATION:PT1H",
            "SEQUENCE:1",
        ),
        event(
            uid,
            index,
            f"RECURRENCE-ID{zone}{_local(third)}",
            f"DTSTART{zone}{_local(third)}",
            "DURATION:PT1H",
            "STATUS:CANCELLED",
        ),
    ]


def _meeting(uid: str, start: datetime, index: int) -> list[str]:
    lines = [
        f"DTSTART:{utc(start)}",
        f"DTEND:{utc(start + timedelta(hours=1))}",
        "ORGANIZER;CN=Ada Lovelace:mailto:ada@example.com",
        'ATTENDEE;CN="Bond, James";PARTSTAT=ACCEPTED:mailto:james@example.com',
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:grace@example.com",
        "STATUS:TENTATIVE",
        "X-LANDBRIDGE-COLOUR:blue",
    ]
    return [event(uid, index, *lines)]


_FORMS = (_plain, _zoned, _all_day, _series, _meeting, _overridden, _floating, _daily)
