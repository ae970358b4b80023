"""How long to wait before the next try."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from random import Random

FIRST = 0.5
"""Seconds: the longest wait before the second try."""
LONGEST = 300.0
"""Seconds: no wait is longer, whatever the attempt."""


def delay(attempt: int, rng: Random, *, first: float = FIRST, longest: float = LONGEST) -> float:
    """Seconds to wait after the `attempt`-th try failed (1 is the first): full jitter.

    Anything between nothing and `first * 2 ** (attempt - 1)`, at most `longest`, so that callers
    that failed together do not come back together.
    """
    return rng.uniform(0.0, min(longest, first * 2 ** min(max(attempt, 1) - 1, 60)))


def retry_after(
    value: str | None, now: datetime, *, longest: timedelta = timedelta(hours=24)
) -> datetime | None:
    """When a Retry-After header (RFC 9110 section 10.2.3: seconds or a date) allows the next try.

    Not before `now` and not later than `longest` from it; None without a header that can be read.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return now + min(timedelta(seconds=min(int(text[:9]), 10**9)), longest)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError):  # a year or a zone that no date has
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(at, now), now + longest)
