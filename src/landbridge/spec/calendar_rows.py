"""Rows for calendars: moments, lists of moments, and how long before an event something comes.

A moment is written `2026-01-31` for a day, `2026-01-31T09:00:00[Europe/Vienna]` for a time in a
zone (`[UTC]` included), and without brackets for a time that floats.
"""

import datetime as dt
import re
from functools import partial
from typing import Any

from landbridge.spec._scope import Fault, shape
from landbridge.spec.rows import Row, scalar

_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


def moment(path: str, part: type[Any]) -> Row:
    """A day, or a local time with or without a zone: a `part` with `day`, `local` and `zone`."""
    return scalar("moment", path, (part,), partial(_read, part), _write)


def moments(path: str, part: type[Any]) -> Row:
    """A list of moments, each a `part`."""
    read = partial(_read_all, part)
    return scalar("moments", path, (tuple,), read, lambda ours: [_write(one) for one in ours])


def lead(path: str) -> Row:
    """How long before something else, from a duration that counts towards it: `-PT15M`."""
    return scalar("lead", path, (dt.timedelta,), _read_lead, lambda ours: write_duration(-ours))


def write_duration(span: dt.timedelta) -> str:
    """A duration as RFC 5545 section 3.3.6 writes it: `-PT15M`, `P1D`, `PT0S`; in whole seconds."""
    days, rest = divmod(int(abs(span).total_seconds()), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    units = ((hours, "H"), (minutes, "M"), (seconds, "S"))
    time = "".join(f"{number}{unit}" for number, unit in units if number)
    body = (f"{days}D" if days else "") + (f"T{time}" if time else "")
    return ("-" if span < dt.timedelta() and body else "") + "P" + (body or "T0S")


def _read(part: type[Any], found: Any) -> Any:
    if type(found) is not str:
        raise Fault(f"expected a date or time at {{path}}, found {shape(found)}")
    local, _, zone = found.partition("[")
    try:
        if "T" not in local:
            return part(day=dt.date.fromisoformat(local))
        at = dt.datetime.fromisoformat(local)
    except ValueError:
        raise Fault("expected a date or time like 2026-01-31T09:00:00 at {path}") from None
    return part(local=at, zone=zone.removesuffix("]") or None)


def _write(ours: Any) -> str:
    if ours.local is None:
        return str(ours.day)
    at = ours.local.replace(microsecond=0).isoformat()
    return f"{at}[{ours.zone}]" if ours.zone else at


def _read_all(part: type[Any], found: Any) -> tuple[Any, ...]:
    if type(found) is not list:
        raise Fault(f"expected a list of dates or times at {{path}}, found {shape(found)}")
    return tuple([_read(part, one) for one in found])


def _read_lead(found: Any) -> dt.timedelta:
    matched = _DURATION.fullmatch(found) if type(found) is str else None
    if not matched:
        raise Fault(f"expected a duration like -PT15M at {{path}}, found {shape(found)}")
    days, hours, minutes, seconds = (int(number or 0) for number in matched.groups()[1:])
    span = dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return span if matched[1] else -span
