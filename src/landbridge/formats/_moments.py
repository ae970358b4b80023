"""Dates, times and durations of calendar objects, as JSON values and as content lines.

A moment is a text: `2026-01-31` for a day, `2026-01-31T09:00:00[Europe/Vienna]` for a time in a
zone (`[UTC]` included), and without brackets for a time that floats. RFC 5545 sections 3.3.4-3.3.6.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from landbridge.formats._contentlines import Line
from landbridge.formats.zones import Zones, is_iana

_VALUE = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z)?)?")
_DURATION = re.compile(
    r"([+-]?)P(?:(\d{1,6})W|(?:(\d{1,7})D)?(?:T(?:(\d{1,8})H)?(?:(\d{1,9})M)?(?:(\d{1,10})S)?)?)"
)


def read_moment(line: Line, value: str, zones: Zones, *, repeats: bool = False) -> str:
    """The moment that one value of a line states; ValueError says what is wrong with it.

    A time in a zone that no IANA zone equals is given in UTC, unless it starts a series
    (`repeats`): that would drift when the clocks change.
    """
    found = _VALUE.fullmatch(value.strip())
    if not found:
        raise ValueError(f"{line.name}: {value[:40]!r} is no date or time like 20260131T090000")
    year, month, day = (int(part) for part in found.groups()[:3])
    try:
        if found[4] is None:
            return date(year, month, day).isoformat()
        # A leap second (60) counts as the second before it (RFC 5545 section 3.3.12).
        clock = time(int(found[4]), int(found[5]), min(int(found[6]), 59))
        local = datetime.combine(date(year, month, day), clock)
    except ValueError:
        raise ValueError(f"{line.name}: there is no {value[:40]!r} in the calendar") from None
    tzid = line.parameter("TZID")
    if found[7] or not tzid:
        return _moment(local, "UTC" if found[7] else "")
    try:
        zone = zones.name(tzid, local)
        if zone is None and not repeats:
            return _moment(zones.in_utc(tzid, local), "UTC")
    except ValueError as error:
        raise ValueError(f"{line.name}: {error}") from None
    if zone is None:
        raise ValueError(f"{line.name}: no IANA zone has the rules that the object gives {tzid!r}")
    return _moment(local, zone)


def moment_line(name: str, moment: str, zones: Zones) -> Line:
    """The content line that states a moment; a VTIMEZONE is added where its zone needs one."""
    if is_day(moment):
        return Line.of(name, f"{date.fromisoformat(moment):%Y%m%d}", {"VALUE": "DATE"})
    local, zone = _parted(moment)
    written = f"{local:%Y%m%dT%H%M%S}"
    if zone in ("", "UTC"):
        return Line.of(name, written + ("Z" if zone else ""))
    if not is_iana(zone):
        raise ValueError(f"{name}: {zone!r} is not an IANA time zone like Europe/Vienna")
    return Line.of(name, written, {"TZID": zones.label(zone, local)})


def is_day(moment: str) -> bool:
    """Whether a moment is a whole day."""
    return "T" not in moment


def later(moment: str, days: timedelta, exact: timedelta) -> str:
    """The moment a duration later: days by the calendar, then exact time (section 3.3.6)."""
    if is_day(moment):
        return (date.fromisoformat(moment) + days + exact).isoformat()
    local, zone = _parted(moment)
    local += days
    if not zone:
        return _moment(local + exact, "")
    there = ZoneInfo(zone)
    end = (local.replace(tzinfo=there).astimezone(UTC) + exact).astimezone(there)
    return _moment(end.replace(tzinfo=None), zone)


def _moment(local: datetime, zone: str) -> str:
    return local.isoformat() + (f"[{zone}]" if zone else "")


def _parted(moment: str) -> tuple[datetime, str]:
    local, _, zone = moment.partition("[")
    return datetime.fromisoformat(local), zone.removesuffix("]")


def read_instant(line: Line | None) -> str | None:
    """The instant of a UTC stamp as ISO 8601; None for one that is absent or makes no sense.

    CREATED and LAST-MODIFIED are notes of the program that wrote them, and some write the year 0.
    """
    found = _VALUE.fullmatch(line.value.strip()) if line else None
    if not found:
        return None
    numbers = [int(part or 0) for part in found.groups()[:6]]
    try:
        return datetime(*numbers, tzinfo=UTC).isoformat().replace("+00:00", "Z")  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def instant_line(name: str, iso: str) -> Line:
    """The content line that states an instant, in UTC."""
    return Line.of(name, f"{datetime.fromisoformat(iso).astimezone(UTC):%Y%m%dT%H%M%SZ}")


def read_duration(line: Line) -> tuple[timedelta, timedelta]:
    """The duration that a line states, as days and exact time; ValueError: it states none."""
    found = _DURATION.fullmatch(line.value.strip().upper())
    if not found or not any(found.groups()[1:]):
        raise ValueError(f"{line.name}: {line.value[:40]!r} is no duration like PT1H30M")
    sign, *numbers = found.groups()
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in numbers)
    factor = -1 if sign == "-" else 1
    return (
        factor * timedelta(weeks=weeks, days=days),
        factor * timedelta(hours=hours, minutes=minutes, seconds=seconds),
    )
