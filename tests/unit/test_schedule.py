"""When a repeating row is due next."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from landbridge.errors import InvalidInput
from landbridge.store.schedule import check_repeat, next_time

SUNDAY = datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("repeat", "wait"),
    [
        ("every 1s", timedelta(seconds=1)),
        ("every 300s", timedelta(minutes=5)),
        ("every 5m", timedelta(minutes=5)),
        ("every 12h", timedelta(hours=12)),
        ("every 30d", timedelta(days=30)),
        ("* * * * *", timedelta(seconds=30)),
        ("0 1 * * *", timedelta(seconds=30)),
        ("0 0 * * 1", timedelta(hours=23, seconds=30)),
        ("15 3 1 * *", datetime(2026, 4, 1, 3, 15, tzinfo=UTC) - SUNDAY),
    ],
)
def test_the_next_time(repeat: str, wait: timedelta) -> None:
    assert next_time(repeat, SUNDAY) == SUNDAY + wait


def test_a_line_that_names_this_very_moment_means_the_next_one() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert next_time("0 12 * * *", noon) == noon + timedelta(days=1)


def test_hours_are_utc_where_europe_changes_its_clocks_too() -> None:
    berlin = SUNDAY.astimezone(timezone(timedelta(hours=1)))
    assert next_time("30 1 * * *", berlin) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "repeat",
    [
        "",
        "every",
        "every 5",
        "every 0s",
        "every -5s",
        "every 1.5h",
        "every 5 minutes",
        "Every 5m",
        "* * * *",
        "61 * * * *",
        "0 0 30 2 *",
        "@daily",
    ],
)
def test_what_is_not_understood_says_what_is(repeat: str) -> None:
    with pytest.raises(InvalidInput, match='use "every 300s"'):
        check_repeat(repeat)
