"""Who may be posted to at this moment, and what one post leads to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from landbridge.resilience import retry_after
from landbridge.signing.standard import Signer
from landbridge.store.parcels import Destination, Parcel, Try

SCHEDULE = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=10),
    timedelta(hours=24),
    timedelta(hours=35, minutes=47, seconds=25),
)
"""The waits between ten tries, 75 hours together; each is spread by a tenth either way."""

LONGEST_RETRY_AFTER = timedelta(hours=6)
"""What a receiver may ask for with Retry-After; together with the schedule under five days."""

_SPREAD = 0.1
_LONGEST_TURN = 60.0
_HANGS = 2.0


class Target:
    """An endpoint as this process posts to it: how many posts are under way, and how they went.

    `each` is how many may be, unless the endpoint says so itself.
    """

    __slots__ = (
        "__weakref__",
        "_busy",
        "_each",
        "_last",
        "_monotonic",
        "_progressed",
        "_queued",
        "headers",
        "signer",
        "to",
    )

    def __init__(
        self, to: Destination, *, each: int, monotonic: Callable[[], float] = time.monotonic
    ):
        self.to = to
        self.signer: Signer | None = None
        self.headers: Mapping[str, str] = {}
        self._each = each
        self._monotonic = monotonic
        self._busy = 0
        self._last = 1.0
        self._queued = 0.0
        self._progressed = 0.0

    def sign(self, parcel: Parcel, body: bytes, seconds: int) -> dict[str, str]:
        """The headers of a post of this body at this moment of unix time."""
        assert self.signer is not None
        headers = self.signer.stamped(parcel.event, seconds, body)
        headers["content-type"] = parcel.content_type
        if self.headers:
            headers.update(self.headers)
        if parcel.to is not None and parcel.to.api_version:
            headers["webhook-api-version"] = parcel.to.api_version
        return headers

    def begin(self) -> bool:
        """Whether a post may begin; then `end` must follow."""
        if self._busy >= (self.to.concurrency or self._each):
            return False
        if not self._busy:
            self._progressed = self._monotonic()
        self._busy += 1
        return True

    def end(self, took: float) -> None:
        """Gives the turn back."""
        self._busy -= 1
        self._progressed = self._monotonic()
        self._last += 0.2 * (took - self._last)
        if not self._busy:
            self._queued = 0.0

    def postponed(self, parcel: Parcel) -> Try:
        """The parcel given back until its turn may come.

        Those who wait are lined up behind each other at the pace of the posts before. While none
        has ended for a while they wait in the lane of the slow ones, so that they crowd no other.
        """
        now = self._monotonic()
        stalled = now - self._progressed if self._busy else 0.0
        pace = max(self._last, stalled, 0.001) / (self.to.concurrency or self._each)
        self._queued = min(max(self._queued, now) + pace, now + _LONGEST_TURN)
        return Try(
            parcel=parcel,
            state=None,
            error="the endpoint has enough posts under way",
            after=timedelta(seconds=self._queued - now),
            lane="slow" if stalled > _HANGS else None,
        )


def failed(
    parcel: Parcel,
    error: str,
    schedule: Sequence[timedelta],
    *,
    took: float,
    chance: float,
    now: datetime,
    status: int | None = None,
    asked: str | None = None,
) -> Try:
    """A try that failed: the parcel waits for its next one, or is abandoned after the last.

    An ordered endpoint that says so lets the parcel step out of its line after some tries.
    """
    to = parcel.to
    tries = parcel.tries
    if tries >= len(schedule):
        return Try(
            parcel=parcel,
            state="abandoned",
            status=status,
            error=f"{error}; given up after {tries + 1} tries",
            took=took,
        )
    skip = to.skip_after if to is not None and parcel.line is not None else None
    aside = skip is not None and tries + 1 >= skip
    return Try(
        parcel=parcel,
        state="failing",
        status=status,
        error=f"{error}; it stepped out of its line" if aside else error,
        took=took,
        after=next_wait(tries, chance, asked, now, schedule),
        lane="slow" if to is not None and to.slow else "retry",
        aside=aside,
    )


def next_wait(
    before: int,
    chance: float,
    asked: str | None,
    now: datetime,
    schedule: Sequence[timedelta] = SCHEDULE,
) -> timedelta:
    """The wait after a try that failed, `before` others having failed before it.

    `chance` from 0 to 1 spreads it. A Retry-After (`asked`) makes it longer, never shorter, and
    counts up to `LONGEST_RETRY_AFTER`; one that cannot be read counts as none.
    """
    step = schedule[min(before, len(schedule) - 1)] * (1 + _SPREAD * (2 * chance - 1))
    allowed = retry_after(asked, now, longest=LONGEST_RETRY_AFTER)
    return step if allowed is None else max(step, allowed - now)
