"""Quotas as numbers, held against the plainest counting there is."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.errors import SpecError
from landbridge.resilience.quota import (
    Rule,
    Turns,
    blamed,
    blocked_for,
    remaining,
    resets_in,
    rules_of,
    told_wait,
)
from landbridge.spec import ApiKey, Errors, Field, Provider, Quota, Resource
from landbridge.wire import Headers

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = Quota(limit=60, per="minute", remaining="X-Min-Left", name="Minute")
DAY = Quota(limit=5000, per="day", remaining="X-Day-Left", resets="X-Day-Reset")
AT_ONCE = Quota(limit=5)
RULES = [Rule.of(each) for each in (DAY, MINUTE, AT_ONCE)]

periods = st.sampled_from(["second", "minute", "hour", "day"])


@given(
    limit=st.integers(1, 300),
    lane=st.integers(0, 3),
    asks=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 40)), max_size=60),
    start=st.floats(0, 0.999),
)
def test_no_rolling_period_holds_more_calls_than_the_limit(
    limit: int, lane: int, asks: list[tuple[int, int]], start: float
) -> None:
    rule = Rule.of(Quota(limit=limit, per="minute"))
    used = [0] * rule.span
    tick, calls = 0, list[float]()
    for steps, wanted in asks:
        used = ([0] * min(steps, rule.span) + used)[: rule.span]
        tick += steps
        for _ in range(wanted):
            if rule.opens_in(used, lane, rule.step):
                break
            used[0] += 1
            # The worst that may be: as early in the step, or as late, as the provider dislikes it.
            calls.append((tick + (0.999 if len(calls) % 2 else start * 0.5)) * rule.step)
    calls.sort()
    most = max((sum(at <= call < at + rule.period for call in calls) for at in calls), default=0)
    assert most <= rule.rooms[lane] <= limit


@given(
    quota=st.builds(
        Quota, limit=st.integers(1, 1000), per=periods, window=st.sampled_from(["rolling", "fixed"])
    ),
    lane=st.integers(0, 3),
    share=st.floats(0.001, 1),
    data=st.data(),
)
def test_a_full_window_opens_when_it_says_and_not_a_step_earlier(
    quota: Quota, lane: int, share: float, data: st.DataObject
) -> None:
    rule = Rule.of(quota)
    used = data.draw(st.lists(st.integers(0, quota.limit), min_size=rule.span, max_size=rule.span))
    left = share * rule.step
    wait = rule.opens_in(used, lane, left)

    def later(steps: int) -> list[int]:
        return ([0] * steps + used)[: rule.span]

    if wait == 0:
        assert sum(used) < rule.rooms[lane]
        return
    steps = 1 + round((wait - left) / rule.step)
    assert rule.opens_in(later(steps), lane, rule.step) == 0
    assert steps == 1 or sum(later(steps - 1)) >= rule.rooms[lane]


@given(quota=st.builds(Quota, limit=st.integers(1, 10_000), per=periods))
def test_lanes_further_back_leave_room_for_those_before_them(quota: Quota) -> None:
    rule = Rule.of(quota)
    assert all(front >= back >= 1 for front, back in pairwise(rule.rooms))
    assert rule.rooms[0] == quota.limit
    short = quota.per in ("second", "minute")
    assert quota.limit < 10 or rule.rooms[3] <= quota.limit * (0.9 if short else 0.75)
    assert rule.pace * rule.span >= rule.rooms[3]
    # What a backfill gets of a full period is within a tenth of its room.
    lost = rule.rooms[3] - min(rule.pace, rule.rooms[3]) * rule.period / rule.step
    assert not short or lost <= max(1, rule.rooms[3] / 10)
    assert rule.step * (rule.span - 1) == pytest.approx(rule.period)


@given(
    waits=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from("abcdefgh"), st.booleans()), max_size=80
    )
)
def test_tenants_of_a_lane_take_turns(waits: list[tuple[int, str, bool]]) -> None:
    turns = Turns()
    waiting = sorted((turns.ticket(lane, tenant), tenant) for lane, tenant, _ in waits)
    lanes = [ticket[0] for ticket, _ in waiting]
    assert lanes == sorted(lanes)
    for lane in range(4):
        order = [tenant for ticket, tenant in waiting if ticket[0] == lane]
        for place in range(len(order)):
            served = {each: order[:place].count(each) for each in set(order[place:])}
            # Nobody who still waits is two turns behind another.
            assert not served or max(served.values()) - min(served.values()) <= 1


def test_whoever_comes_late_waits_like_the_others() -> None:
    turns = Turns()
    flood = [turns.ticket(3, "flood") for _ in range(50)]
    for ticket in flood[:30]:
        turns.served(ticket)
    late = [turns.ticket(3, "late") for _ in range(2)]
    order = sorted([*flood[30:], *late])
    assert [order.index(each) for each in late] == [0, 2] or [
        order.index(each) for each in late
    ] == [1, 3]


def test_an_environments_own_quota_takes_the_place_of_the_one_for_all() -> None:
    own = Quota(limit=25, per="second", environment="test")
    page = [own, Quota(limit=100, per="second"), Quota(limit=9, per="second", scope="app")]
    assert [rule.quota.limit for rule in rules_of(page, "test")] == [25, 9]
    assert [rule.quota.limit for rule in rules_of(page, "live")] == [100, 9]


@pytest.mark.parametrize(
    ("headers", "place", "sure"),
    [
        ({"X-Problem": "day"}, 0, True),
        ({"X-Problem": " MINUTE"}, 1, True),
        ({"X-Problem": "concurrent"}, 2, True),
        ({"X-Problem": "else", "X-Day-Left": "0", "X-Min-Left": "3"}, 0, True),
        ({"X-Problem": "else"}, 1, False),
        ({}, 1, False),
    ],
)
def test_a_refusal_is_about_the_quota_that_it_names(
    headers: dict[str, str], place: int, sure: bool
) -> None:
    assert blamed(RULES, "X-Problem", Headers(headers)) == (place, sure)
    assert blamed([], "X-Problem", Headers(headers)) is None


@given(
    told=st.none() | st.floats(-1e6, 1e12),
    again=st.integers(1, 100),
    place=st.integers(0, 2),
    sure=st.booleans(),
)
def test_no_lie_makes_a_wait_vanish_or_last_for_ever(
    told: float | None, again: int, place: int, sure: bool
) -> None:
    wait = blocked_for(RULES, place, told, again=again, sure=sure)
    longest = max((RULES[place].period or 60.0) if sure else 86_400.0, 60.0)
    assert 0 < wait <= longest
    assert wait >= blocked_for(RULES, place, told, again=max(1, again - 1), sure=sure)
    if told is not None and wait > 0 and 0 <= told <= (RULES[place].period or 60.0):
        assert wait >= told


def test_a_refusal_that_says_nothing_doubles_the_wait() -> None:
    waits = [blocked_for(RULES, 1, None, again=again, sure=True) for again in (1, 2, 3, 9)]
    assert waits == [3.0, 6.0, 12.0, 60.0]
    # Guessed, it may be the day's.
    assert blocked_for(RULES, 1, None, again=9, sure=False) == 3.0 * 2**8


def test_the_wait_is_read_from_retry_after_and_the_quotas_header() -> None:
    assert told_wait(RULES[0], Headers({}), NOW) is None
    assert told_wait(RULES[0], Headers({"Retry-After": "7"}), NOW) == 7
    assert told_wait(RULES[0], Headers({"Retry-After": "7", "X-Day-Reset": "90"}), NOW) == 90
    assert told_wait(RULES[1], Headers({"Retry-After": "soon", "X-Day-Reset": "90"}), NOW) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("1.5", 1.5),
        ("-4", 0),
        (str(int((NOW + timedelta(minutes=2)).timestamp())), 120),
        (str(int((NOW + timedelta(minutes=2)).timestamp() * 1000)), 120),
        ("2026-11-22T12:00:10Z", 10),
        (format_datetime(NOW + timedelta(hours=1), usegmt=True), 3600),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), 0),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("midnight", None),
    ],
)
def test_a_reset_is_read_however_it_is_written(text: str, seconds: float | None) -> None:
    assert resets_in(text, NOW) == (None if seconds is None else pytest.approx(seconds))


@given(text=st.text(max_size=40))
def test_no_header_breaks_the_reading(text: str) -> None:
    found = resets_in(text, NOW)
    assert found is None or found >= 0
    left = remaining(Headers({"x-min-left": text}), MINUTE)
    assert left is None or left >= 0


def test_what_is_left_is_read_only_where_the_page_names_a_header() -> None:
    assert remaining(Headers({"X-Min-Left": " 12 "}), MINUTE) == 12
    assert remaining(Headers({"X-Min-Left": "lots"}), MINUTE) is None
    assert remaining(Headers({"X-Min-Left": "12"}), AT_ONCE) is None


def test_two_quotas_of_one_name_are_refused() -> None:
    with pytest.raises(SpecError, match="two of the same scope are called 'minute'; name them"):
        Provider(
            slug="acme",
            name="Acme",
            docs="https://acme.example/docs",
            checked="2026-11-22",
            auth=ApiKey(fields=[Field(name="key", label="Key")]),
            base="https://api.acme.example",
            errors=Errors(quota="X-Problem"),
            resources=[Resource(name="thing", path="/things", key="id")],
            quotas=[Quota(limit=60, per="minute"), Quota(limit=50, per="minute")],
        )
    with pytest.raises(SpecError, match="Quota, window: 'sliding' is none of rolling, fixed"):
        Quota(limit=60, per="minute", window="sliding")
