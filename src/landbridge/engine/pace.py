"""How far apart the pulls of a stream are: nearer when changes come, further when it is quiet.

Nothing here asks anybody: what a pull found goes in, the distance to the next one comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from landbridge.errors import InvalidInput
from landbridge.resilience.quota import Rule

SHORTEST = timedelta(seconds=10)
"""Nothing is pulled more often than this: what has to be known at once comes by webhooks."""
LONGEST = timedelta(days=30)

SHARE = 0.5
"""This much of a quota the pulls of a connection may take; the rest is for webhooks, writes and
calls of your own."""

_NEARER = 0.5
_FURTHER = 1.5
_REFUSED = 2.0


def check_bounds(least: timedelta, most: timedelta) -> None:
    """Nothing, or InvalidInput when pulls cannot be so far apart."""
    if least < SHORTEST:
        raise InvalidInput(
            f"every: {_told(least)} is too often; the shortest is {_told(SHORTEST)}, and webhooks"
            " are there for what has to come sooner"
        )
    if most > LONGEST:
        raise InvalidInput(f"every: {_told(most)} is too far apart; the longest is 30 days")
    if most < least:
        raise InvalidInput(
            f"every: between {_told(least)} and {_told(most)} there is nothing; the shorter"
            " distance comes first"
        )


def within(
    every: timedelta | None, least: timedelta | None, most: timedelta | None
) -> timedelta | None:
    """The pace under new bounds: the one before, as far as they allow it. None: no schedule."""
    if least is None or most is None:
        return None
    return min(max(every or least, least), most)


def following(
    every: timedelta,
    *,
    least: timedelta,
    most: timedelta,
    found: bool,
    refused: bool = False,
    floor: timedelta = timedelta(),
) -> timedelta:
    """The distance to the next pull, in whole seconds.

    Half of `every` after a pull that `found` changes, half as much again after one that did not,
    twice as much when a quota had no room for it (`refused`); between `least` and `most`, and
    never below `floor`, whatever the bounds say.
    """
    factor = _REFUSED if refused else _NEARER if found else _FURTHER
    wanted = min(max(every * factor, least), most)
    return timedelta(seconds=round(max(wanted, floor).total_seconds()))


def floor_of(rules: Sequence[Rule], *, calls: int, streams: int) -> timedelta:
    """How near pulls may be at most so that `streams` of one connection, each of which takes
    `calls` calls, stay within `SHARE` of every quota that the connection has for itself.

    Quotas that it shares with others (those of an app) are not reckoned: where they run short, a
    pull is refused its turn.
    """
    own = [rule for rule in rules if rule.quota.scope == "account" and not rule.at_once]
    spans = [rule.period * streams * calls / (rule.quota.limit * SHARE) for rule in own]
    return timedelta(seconds=max(spans, default=0.0))


def _told(span: timedelta) -> str:
    return f"{span.total_seconds():g} s"
