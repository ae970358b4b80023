"""Time zones of calendar objects: what a TZID means, and the VTIMEZONE that a zone needs.

A TZID is only a label for the VTIMEZONE of the same object (RFC 5545 section 3.8.3.1). It is taken
for an IANA zone where it names one: plainly, behind a vendor's prefix, as a Windows name, in the
block's X-LIC-LOCATION, or because the block's rules are that zone's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from icalendar import Timezone
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from landbridge.formats._contentlines import Component, Line, write

_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
_FIRST_YEAR = 1900
_LAST_YEAR = 2037
_SAMPLE = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - a time on the wall
_STRIDE = timedelta(days=7)
"""No zone changes its clock twice within it."""
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def is_iana(name: str) -> bool:
    """Whether the machine's time zone database has a zone of this name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return name not in _NO_ZONES


def iana_name(tzid: str, block: Component | None = None) -> str | None:
    """The IANA zone that a TZID names, by itself or in its VTIMEZONE; None: it names none."""
    names = [tzid, WINDOWS_TO_OLSON.get(tzid, ""), *_suffixes(tzid)]
    location = block.line("X-LIC-LOCATION") if block else None
    if location:
        names.append(location.text.strip())
    return next((name for name in names if name and is_iana(name)), None)


class Zones:
    """The zones of one calendar object; a VTIMEZONE is added to it for each zone that is new."""

    def __init__(self, calendar: Component):
        self._calendar = calendar
        self._blocks = {
            line.text.strip(): block
            for block in calendar.called("VTIMEZONE")
            if (line := block.line("TZID"))
        }
        self._names: dict[tuple[str, int], str | None] = {}

    def name(self, tzid: str, local: datetime) -> str | None:
        """The IANA zone of a TZID, for times from `local` on; None: no zone has its rules.

        ValueError: the name means nothing and the object has no VTIMEZONE for it.
        """
        key = (tzid, local.year)
        if key not in self._names:
            block = self._blocks.get(tzid)
            name = iana_name(tzid, block)
            if name is None:
                name = _same_rules(_rules(tzid, block), local.year)
            self._names[key] = name
        return self._names[key]

    def in_utc(self, tzid: str, local: datetime) -> datetime:
        """A local time in UTC, without its zone, by the rules of the object's VTIMEZONE."""
        rules = _rules(tzid, self._blocks.get(tzid))
        return local.replace(tzinfo=rules).astimezone(UTC).replace(tzinfo=None)

    def label(self, name: str, local: datetime) -> str:
        """The TZID to write for an IANA zone; its VTIMEZONE is added if the object has none."""
        for tzid, block in self._blocks.items():
            if iana_name(tzid, block) == name:
                return tzid
        block = vtimezone(name, local.year)
        others = [
            place
            for place, item in enumerate(self._calendar.items)
            if isinstance(item, Component) and item.name != "VTIMEZONE"
        ]
        place = others[0] if others else len(self._calendar.items)
        self._calendar.items.insert(place, block)
        self._blocks[name] = block
        return name


def vtimezone(name: str, year: int) -> Component:
    """The VTIMEZONE of an IANA zone for the given year and later, by yearly rules where it has any.

    Rules that no longer hold end with UNTIL; what follows no yearly rule is listed date by date up
    to 2037, where the time zone database itself ends.
    """
    block = Component("VTIMEZONE", [Line.of("TZID", name)])
    zone = ZoneInfo(name)
    first = datetime(max(min(year, _LAST_YEAR - 10) - 1, _FIRST_YEAR), 1, 1, tzinfo=zone)
    changes = list(_changes(zone, first.year))
    offset = first.utcoffset() or timedelta()
    block.items.append(
        _observance(first.tzname() or name, first, offset, offset, bool(first.dst()), [])
    )
    for run in _runs(changes):
        head = run[0]
        block.items.append(
            _observance(head.name, head.local, head.before, head.after, head.summer, _repeats(run))
        )
    return block


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    """One change of the clock: `local` is the time on the wall before it."""

    local: datetime
    before: timedelta
    after: timedelta
    name: str
    summer: bool

    @property
    def kind(self) -> tuple[timedelta, timedelta, str, bool]:
        return (self.before, self.after, self.name, self.summer)


def _changes(zone: ZoneInfo, year: int) -> Iterator[_Change]:
    at = datetime(year, 1, 1, tzinfo=UTC)
    end = datetime(_LAST_YEAR + 1, 1, 1, tzinfo=UTC)
    before = _seen(zone, at)
    while at < end:
        later = at + _STRIDE
        after = _seen(zone, later)
        if after != before:
            exact = _turn(zone, at, later)
            offset = before[0]
            yield _Change(
                local=(exact + offset).replace(tzinfo=None),
                before=offset,
                after=after[0],
                name=after[1],
                summer=after[2],
            )
        at, before = later, after


def _seen(zone: ZoneInfo, at: datetime) -> tuple[timedelta, str, bool]:
    there = at.astimezone(zone)
    return (there.utcoffset() or timedelta(), there.tzname() or zone.key, bool(there.dst()))


def _turn(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    start = _seen(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if _seen(zone, middle) == start:
            low = middle
        else:
            high = middle
    return high


def _runs(changes: Sequence[_Change]) -> Iterator[list[_Change]]:
    """The changes of one kind that follow each other from year to year, in order of their start."""
    open_runs: dict[tuple[timedelta, timedelta, str, bool], list[_Change]] = {}
    done: list[list[_Change]] = []
    for change in changes:
        run = open_runs.get(change.kind)
        if run and _continues(run, change):
            run.append(change)
        else:
            if run:
                done.append(run)
            open_runs[change.kind] = [change]
    done.extend(open_runs.values())
    yield from sorted(done, key=lambda run: run[0].local)


def _continues(run: list[_Change], change: _Change) -> bool:
    if change.local.year != run[-1].local.year + 1:
        return False
    return _rule([*run, change]) is not None


def _rule(run: Sequence[_Change]) -> str | None:
    """The yearly rule that gives exactly these days; None: there is none."""
    first = run[0].local
    if any((c.local.month, c.local.time()) != (first.month, first.time()) for c in run):
        return None
    if any(c.local.weekday() != first.weekday() for c in run):
        return None
    weekday = _DAYS[first.weekday()]
    days = [c.local.day for c in run]
    if all((c.local + timedelta(days=7)).month != first.month for c in run):
        by = f"BYDAY=-1{weekday}"
    elif len({(day - 1) // 7 for day in days}) == 1:
        by = f"BYDAY={(days[0] - 1) // 7 + 1}{weekday}"
    elif max(days) - min(days) < 7:
        window = ",".join(str(day) for day in range(min(days), min(days) + 7))
        by = f"BYDAY={weekday};BYMONTHDAY={window}"
    else:
        return None
    return f"FREQ=YEARLY;BYMONTH={first.month};{by}"


def _repeats(run: Sequence[_Change]) -> list[Line]:
    if len(run) == 1:
        return []
    rule = _rule(run)
    last = run[-1]
    if last.local.year < _LAST_YEAR:
        # A day later, because some readers compare UNTIL with the time on the wall.
        until = last.local - last.before + timedelta(days=1)
        rule = f"{rule};UNTIL={until:%Y%m%dT%H%M%SZ}"
    return [Line.of("RRULE", str(rule))]


def _observance(
    name: str,
    start: datetime,
    before: timedelta,
    after: timedelta,
    summer: bool,
    repeats: Sequence[Line],
) -> Component:
    return Component(
        "DAYLIGHT" if summer else "STANDARD",
        [
            Line.of("TZNAME", name),
            Line.of("TZOFFSETFROM", _offset(before)),
            Line.of("TZOFFSETTO", _offset(after)),
            Line.of("DTSTART", f"{start:%Y%m%dT%H%M%S}"),
            *repeats,
        ],
    )


def _offset(offset: timedelta) -> str:
    seconds = int(offset.total_seconds())
    hours, rest = divmod(abs(seconds), 3600)
    minutes, odd = divmod(rest, 60)
    sign = "-" if seconds < 0 else "+"
    return f"{sign}{hours:02}{minutes:02}" + (f"{odd:02}" if odd else "")


def _suffixes(tzid: str) -> Iterator[str]:
    parts = tzid.strip().strip("/").split("/")
    for first in range(1, len(parts)):
        yield "/".join(parts[first:])


def _rules(tzid: str, block: Component | None) -> tzinfo:
    if block is None:
        raise ValueError(f"the zone {tzid!r} is unknown and has no VTIMEZONE beside it")
    for part in block.components:
        for rule in part.lines("RRULE"):
            if "FREQ=YEARLY" not in rule.value.upper():
                raise ValueError(f"the VTIMEZONE of {tzid!r} has a rule that is not yearly")
    try:
        made = Timezone.from_ical(write(block))
        rules: tzinfo = made.to_tz(lookup_tzid=False)  # type: ignore[attr-defined]
        rules.utcoffset(_SAMPLE)
    except Exception as error:  # noqa: BLE001 - what the library raises is not documented
        raise ValueError(f"the VTIMEZONE of {tzid!r} cannot be read: {error}") from None
    return rules


def _same_rules(rules: tzinfo, year: int) -> str | None:
    noons = [_SAMPLE.replace(year=year) + timedelta(weeks=week) for week in range(157)]
    wanted = [rules.utcoffset(noon) for noon in noons]
    hours = [f"Etc/GMT{-hour:+}" for hour in range(-12, 15)]
    for name in [*sorted(set(WINDOWS_TO_OLSON.values())), *hours]:
        if is_iana(name):
            zone = ZoneInfo(name)
            if all(
                zone.utcoffset(noon) == offset for noon, offset in zip(noons, wanted, strict=True)
            ):
                return name
    return None
