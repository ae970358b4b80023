"""Moments and spans as people write them: `2h` ago, `3d` ago, or a date; `30s`, `5m`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from landbridge.cli.usage import WrongUsage

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str | None, option: str, now: datetime | None = None) -> datetime | None:
    """The instant that an option names, in UTC; None when it was not given.

    `30m` is that long ago; dates and times are ISO 8601, without a zone in UTC. `WrongUsage` names
    the option.
    """
    if text is None:
        return None
    present = now or datetime.now(UTC)
    try:
        if found := _AGO.fullmatch(text.strip()):
            return present - timedelta(**{_UNITS[found[2]]: int(found[1])})
        named = datetime.fromisoformat(text.strip())
        return named.replace(tzinfo=UTC) if named.tzinfo is None else named.astimezone(UTC)
    except (ValueError, OverflowError):
        raise WrongUsage(
            f"{option}: {text!r} is neither a time such as 2026-11-24T08:00 nor how long ago, such"
            " as 30m, 2h or 3d"
        ) from None


def span(text: str, option: str) -> timedelta:
    """How long `30s`, `5m`, `2h` or `1d` is. `WrongUsage` names the option."""
    found = _AGO.fullmatch(text.strip())
    if not found:
        raise WrongUsage(f"{option}: {text!r} is no span such as 30s, 5m, 2h or 1d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def told(span: timedelta | None) -> str:
    """A span as people write it, in the largest unit that it is whole in."""
    if span is None:
        return ""
    seconds = round(span.total_seconds())
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
