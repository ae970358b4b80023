"""Dates and instants in the forms that providers write; a `Fault` says what is wrong with one."""

import datetime as dt
import re
from typing import Any
from zoneinfo import ZoneInfo

from landbridge.spec._scope import Fault, shape

_DOTNET = re.compile(r"/Date\((-?\d{1,17})([+-]\d{4})?\)/")


def as_date(found: Any) -> dt.date:
    """A date from ISO text; what stands behind its day does not count."""
    if type(found) is str:
        try:
            return dt.date.fromisoformat(found[:10])
        except ValueError:
            pass
    raise Fault(f"expected a date like 2026-11-22 at {{path}}, found {shape(found)}")


def as_unix(found: Any) -> dt.datetime:
    """An instant from whole unix seconds."""
    if type(found) is int:
        try:
            return dt.datetime.fromtimestamp(found, dt.UTC)
        except (OverflowError, ValueError, OSError):
            raise Fault("the instant at {path} is out of range") from None
    raise Fault(f"expected unix seconds at {{path}}, found {shape(found)}")


def as_dotnet(found: Any) -> dt.datetime | None:
    """The instant that .NET's JSON writes as `/Date(ms+hhmm)/`; None: it is not in that form."""
    form = _DOTNET.fullmatch(found) if type(found) is str else None
    if form is None:
        return None
    try:
        return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=int(form[1]))
    except OverflowError:
        raise Fault("the instant at {path} is out of range") from None


def as_instant(found: Any, local: str) -> dt.datetime:
    """An instant from ISO 8601 text; without an offset it is in the zone `local`."""
    if type(found) is str:
        try:
            moment = dt.datetime.fromisoformat(found)
        except ValueError:
            raise Fault("expected an ISO 8601 instant at {path}") from None
        if moment.tzinfo is not None:
            return moment.astimezone(dt.UTC)
        if local:
            there = dt.UTC if local == "UTC" else ZoneInfo(local)
            return moment.replace(tzinfo=there).astimezone(dt.UTC)
        raise Fault("the instant at {path} has no offset from UTC")
    raise Fault(f"expected an ISO 8601 instant at {{path}}, found {shape(found)}")


def iso(ours: dt.datetime) -> str:
    """The instant in UTC, as ISO 8601 text."""
    return ours.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
