"""How a job ended, and what an exception means."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from landbridge.errors import (
    CircuitOpen,
    DatabaseUnavailable,
    InvalidInput,
    Throttled,
    Unreachable,
)
from landbridge.jobs import Retry, Snooze, full_jitter, new_owner
from landbridge.jobs.outcome import of_exception, sentence, where

CAP = timedelta(minutes=15)


@pytest.mark.parametrize(
    ("attempt", "most"),
    [(0, 2), (1, 4), (2, 8), (8, 512), (9, 900), (10, 900), (5000, 900)],
)
def test_the_wait_doubles_up_to_the_cap(attempt: int, most: int) -> None:
    assert full_jitter(attempt, lambda: 1.0) == timedelta(seconds=most)
    assert full_jitter(attempt, lambda: 0.0) == timedelta()


def test_who_failed_together_comes_back_apart() -> None:
    chance = random.Random(1).random
    waits = {full_jitter(9, chance) for _ in range(100)}
    assert len(waits) == 100
    assert min(waits) < CAP / 10
    assert max(waits) > CAP * 0.9


def test_what_an_exception_means() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    told = Throttled("over quota", retry_at=at, status=429)
    assert of_exception(told) == Retry(error="over quota", at=at)
    assert of_exception(Throttled("over quota")) == Retry(error="over quota")
    assert of_exception(Unreachable("no answer")) == Retry(error="no answer")
    assert of_exception(InvalidInput("amount: wrong")) == Retry(error="amount: wrong")
    assert of_exception(ValueError("a secret")) == Retry(error="ValueError")
    away = of_exception(DatabaseUnavailable("away"))
    assert isinstance(away, Snooze)
    assert away.after > timedelta()


def test_a_call_that_was_not_made_spends_no_attempt() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for error in (CircuitOpen("left alone", retry_at=at), Throttled("left alone", retry_at=at)):
        assert of_exception(error) == Snooze(error="left alone", at=at)


def test_a_sentence_is_one_short_line() -> None:
    assert sentence("a\n  b\tc\0 d") == "a b c d"
    assert sentence("x" * 500) == "x" * 500
    assert sentence("x" * 501) == "x" * 497 + "..."


def test_the_place_of_a_failure_has_no_values() -> None:
    def fail(secret: str) -> None:
        raise ValueError(secret)

    with pytest.raises(ValueError, match="canary") as caught:
        fail("canary")
    module, _, line = where(caught.value).rpartition(":")
    assert module == __name__
    assert line.isdecimal()
    assert where(ValueError()) == ""


def test_no_two_workers_have_one_name() -> None:
    assert len({new_owner() for _ in range(100)}) == 100
