"""Quotas as numbers: what a window still holds, who may take of it, how long a refusal lasts.

A window is counted in steps of its period, the newest first. A rolling period is cut into `STEPS`
and one more is looked at, so that no period of that length, wherever it begins, holds more calls
than the limit. A fixed period is one step, by the UTC clock. Calls in lanes further back leave
room for those before them. In periods up to a minute the last lane also spreads its calls; of a
longer one it may take its part as fast as it can, and leaves more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from landbridge.resilience.backoff import retry_after
from landbridge.spec import Quota
from landbridge.wire import Headers

STEPS = 20
"""Steps that a rolling period is cut into: a twentieth of it is the price of exact counting."""
STEPS_OF_A_SECOND = 10
"""Those of a second: a shorter step would be over before a leased chunk has come."""
SHARES = (1.0, 0.98, 0.95, 0.9)
"""How much of a quota may be in use for a call of each lane to be let through, the first lane
first: the last tenth is never taken by a backfill."""
LONG_SHARES = (1.0, 0.95, 0.9, 0.75)
"""The same for periods longer than a minute, and for calls at once. A backfill may spend its part
in the first hour of a day: the last quarter has to do for all others until the evening."""
_LONG = 60.0
PERIODS: Mapping[str, float] = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86_400.0,
    "": 0.0,
}
"""Seconds of each word for a period; none is a limit of calls at once."""
_FIRST = 0.5
"""Seconds for which a limit of calls at once is left alone after its first refusal."""
_LONGEST_AT_ONCE = 60.0
_INSTANT = 1_000_000_000
"""A number from here on is no wait in seconds but an instant: 2001-09-09 as Unix time."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A quota in numbers. `step` is in seconds, 0 for a limit of calls at once; `rooms` are the
    calls that may be counted for each lane to go on; `pace` is what the last lane may find in the
    step under way."""

    quota: Quota
    period: float
    step: float
    span: int
    rooms: tuple[int, int, int, int]
    pace: int

    @classmethod
    def of(cls, quota: Quota) -> Rule:
        """The numbers of a page's quota."""
        period = PERIODS[quota.per]
        shares = SHARES if 0 < period <= _LONG else LONG_SHARES
        rooms = [max(1, math.floor(quota.limit * share)) for share in shares]
        pace = quota.limit
        if not period or quota.window == "fixed":
            step, span = period, 1
        else:
            steps = STEPS if period > 1 else STEPS_OF_A_SECOND
            step, span = period / steps, steps + 1
            if period <= _LONG:
                pace = math.ceil(rooms[-1] / span)
        return cls(
            quota=quota,
            period=period,
            step=step,
            span=span,
            rooms=(rooms[0], rooms[1], rooms[2], rooms[3]),
            pace=pace,
        )

    @property
    def at_once(self) -> bool:
        """Whether it limits calls at once, and not calls per period."""
        return not self.period

    def opens_in(self, used: Sequence[int], lane: int, left: float) -> float:
        """Seconds until a call of that lane finds room: `used` are the counts of the steps, the
        newest first, and `left` is what is left of the step under way."""
        total = sum(used)
        if total < self.rooms[lane]:
            paced = lane == len(self.rooms) - 1 and used[0] >= self.pace
            return left if paced else 0.0
        for place, calls in enumerate(reversed(used)):
            total -= calls
            if total < self.rooms[lane]:
                return left + place * self.step
        return left + self.span * self.step


def rules_of(quotas: Iterable[Quota], environment: str) -> list[Rule]:
    """What holds in an environment: its own quotas, in place of those for all of that name."""
    chosen: dict[tuple[str, str], Quota] = {}
    for quota in sorted(quotas, key=lambda each: bool(each.environment)):
        if quota.environment in ("", environment):
            chosen[quota.scope, quota.called] = quota
    return [Rule.of(quota) for quota in chosen.values()]


def blamed(rules: Sequence[Rule], header: str, headers: Headers) -> tuple[int, bool] | None:
    """Which of the rules a refusal is about, and whether the answer says so; None without rules.

    The page's `header` names it, or one says that nothing is left; else the shortest is guessed.
    """
    if not rules:
        return None
    named = headers.get(header, "").strip().lower() if header else ""
    for place, rule in enumerate(rules):
        if named and rule.quota.called.lower() == named:
            return place, True
    for place, rule in enumerate(rules):
        if rule.quota.remaining and remaining(headers, rule.quota) == 0:
            return place, True
    timed = [place for place, rule in enumerate(rules) if not rule.at_once]
    guessed = min(timed or range(len(rules)), key=lambda place: rules[place].period)
    return guessed, False


def blocked_for(
    rules: Sequence[Rule], place: int, told: float | None, *, again: int, sure: bool
) -> float:
    """Seconds for which calls wait after a refusal: what was told, within reason.

    `again` is how many refusals came in a row (1 is the first): each doubles the least wait, which
    begins with a step of the period, so that a wait of nothing, or none at all, does no harm. No
    wait is longer than the period, or than the longest period where the quota was guessed.
    """
    rule = rules[place]
    longest = rule.period or _LONGEST_AT_ONCE
    if not sure:
        longest = max(longest, *(each.period for each in rules))
    least = rule.period / STEPS if rule.period else _FIRST
    floor = min(least * 2.0 ** min(again - 1, 40), longest)
    return max(floor, min(told or 0.0, longest))


def told_wait(rule: Rule, headers: Headers, now: datetime) -> float | None:
    """The wait in seconds that a refusal asks for: by Retry-After or the quota's own header, the
    longer one; None when neither says anything."""
    waits = []
    at = retry_after(headers.get("retry-after"), now)
    if at is not None:
        waits.append((at - now).total_seconds())
    if rule.quota.resets and (found := resets_in(headers.get(rule.quota.resets, ""), now)):
        waits.append(found)
    return max(waits, default=None)


def remaining(headers: Headers, quota: Quota) -> int | None:
    """How many calls are left, as the quota's header says; None: it does not."""
    text = headers.get(quota.remaining, "").strip() if quota.remaining else ""
    return int(text[:18]) if text.isascii() and text.isdigit() else None


def resets_in(text: str, now: datetime) -> float | None:
    """Seconds until the instant that a header names: in seconds from now, as Unix time (in
    seconds or milliseconds), as ISO 8601 or as a date of HTTP. Not below 0; None: unreadable."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        at = _date(text)
        return None if at is None else max(0.0, (at - now).total_seconds())
    if not math.isfinite(number):
        return None
    if number >= _INSTANT * 1000:
        number /= 1000
    return max(0.0, number - now.timestamp() if number >= _INSTANT else number)


def _date(text: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = read(text)
        except (ValueError, OverflowError, TypeError):
            continue
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    return None


Ticket = tuple[int, float, int]
"""Who is next, the lowest first: the lane, the tenant's turn in it, and who came first."""


class Turns:
    """Gives each waiting call its place: lanes one after the other, and in a lane the tenants in
    turns, however many calls one of them has waiting (start-time fair queueing)."""

    __slots__ = ("_ends", "_given", "_now")

    def __init__(self, lanes: int = len(SHARES)):
        self._now = [0.0] * lanes
        self._ends: list[dict[str, float]] = [{} for _ in range(lanes)]
        self._given = 0

    def ticket(self, lane: int, tenant: str, cost: int = 1) -> Ticket:
        """The place of one call."""
        ends = self._ends[lane]
        start = max(self._now[lane], ends.get(tenant, 0.0))
        ends[tenant] = start + cost
        self._given += 1
        return lane, start, self._given

    def served(self, ticket: Ticket) -> None:
        """Moves on: a tenant that comes later is not put before those who waited."""
        lane, start, _ = ticket
        if start > self._now[lane]:
            self._now[lane] = start
            # Whoever had no turn left is as good as new.
            ends = self._ends[lane]
            if len(ends) > 1000:
                self._ends[lane] = {who: end for who, end in ends.items() if end > start}
