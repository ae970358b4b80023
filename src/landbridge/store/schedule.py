"""When a repeating row is due next: `every 300s` or a cron line, always in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

from landbridge.errors import InvalidInput

_EVERY = re.compile(r"every ([1-9][0-9]{0,8})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SHAPE = 'use "every 300s" (s, m, h or d) or a cron line such as "15 3 * * *", which is in UTC'


def check_repeat(repeat: str) -> None:
    """Nothing, or InvalidInput with the shapes that are understood."""
    next_time(repeat, datetime(2026, 1, 1, tzinfo=UTC))


def next_time(repeat: str, after: datetime) -> datetime:
    """The first moment strictly after `after` that the repetition names.

    What was missed while nobody worked is not made up for: a row that is late runs once, and is
    counted on from there. A cron line that names no day at all (`0 0 30 2 *`) is InvalidInput.
    """
    every = _interval(repeat)
    if every is not None:
        return after + every
    try:
        return next(CronSim(repeat, after.astimezone(UTC)))
    except StopIteration:
        raise InvalidInput(f"repeat: {repeat!r} names no day that ever comes; {_SHAPE}") from None
    except CronSimError as error:
        raise InvalidInput(f"repeat: {repeat!r} is not understood ({error}); {_SHAPE}") from None


@lru_cache(maxsize=256)
def _interval(repeat: str) -> timedelta | None:
    match = _EVERY.fullmatch(repeat)
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
