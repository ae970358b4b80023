"""How far apart pulls are: nearer with changes, further without, and never above a quota's room."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.engine.pace import SHARE, SHORTEST, check_bounds, floor_of, following
from landbridge.errors import InvalidInput
from landbridge.resilience.quota import rules_of
from landbridge.spec import Quota

SPANS = st.integers(10, 86_400).map(lambda each: timedelta(seconds=each))


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


@pytest.mark.parametrize(
    ("least", "most", "said"),
    [
        (9, 60, "9 s is too often; the shortest is 10 s"),
        (60, 30, "the shorter distance comes first"),
        (60, 31 * 86_400, "too far apart"),
    ],
)
def test_bounds_that_cannot_be_say_why(least: int, most: int, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        check_bounds(seconds(least), seconds(most))
    check_bounds(SHORTEST, SHORTEST)


@given(SPANS, SPANS, SPANS, st.booleans(), st.booleans())
def test_it_stays_within_its_bounds(
    one: timedelta, other: timedelta, every: timedelta, found: bool, refused: bool
) -> None:
    least, most = min(one, other), max(one, other)
    after = following(every, least=least, most=most, found=found, refused=refused)
    assert least <= after <= most


@given(SPANS, SPANS)
def test_changes_bring_the_shortest_distance_and_quiet_the_longest(
    one: timedelta, other: timedelta
) -> None:
    least, most = min(one, other), max(one, other)
    every = most
    for _ in range(40):
        every = following(every, least=least, most=most, found=True)
    assert every == least
    for _ in range(40):
        every = following(every, least=least, most=most, found=False)
    assert every == most


def test_a_refused_turn_doubles_the_distance_even_where_changes_come() -> None:
    after = following(seconds(30), least=seconds(10), most=seconds(600), found=True, refused=True)
    assert after == seconds(60)


def test_what_the_account_may_call_stands_above_the_bounds() -> None:
    daily = Quota(limit=5000, per="day")
    minutely = Quota(limit=60, per="minute")
    apps = Quota(limit=10, per="minute", scope="app", name="app")
    rules = rules_of([daily, minutely, apps, Quota(limit=5)], "test")
    floor = floor_of(rules, calls=1, streams=10)
    calls_a_day = 10 * 86_400 / floor.total_seconds()
    assert calls_a_day == pytest.approx(5000 * SHARE)
    after = following(seconds(10), least=seconds(10), most=seconds(60), found=True, floor=floor)
    assert after == seconds(346)


def test_without_quotas_there_is_no_floor() -> None:
    assert floor_of([], calls=100, streams=10) == timedelta()
