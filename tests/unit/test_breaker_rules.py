"""The circuit breaker and the budget of retries as values."""

from datetime import UTC, datetime, timedelta

from landbridge.client.paths import Paths
from landbridge.providers import get
from landbridge.resilience import Breaker, Budget, Position, Rule

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULE = Rule(after=3, first=timedelta(seconds=5), longest=timedelta(seconds=18))


def seconds(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def test_it_opens_after_so_many_failures() -> None:
    twice = Breaker().failed(RULE, 2, NOW)
    assert twice.position(NOW) is Position.CLOSED
    assert twice.waits_until(NOW) is None
    thrice = twice.failed(RULE, 1, NOW)
    assert thrice.position(NOW) is Position.OPEN
    assert thrice.waits_until(NOW) == seconds(5)


def test_failures_of_calls_under_way_do_not_prolong_it() -> None:
    held = Breaker().failed(RULE, 3, NOW)
    later = held.failed(RULE, 40, seconds(1))
    assert (later.open_until, later.opened, later.failures) == (seconds(5), 1, 43)


def test_half_open_lets_one_probe_at_a_time() -> None:
    held = Breaker().failed(RULE, 3, NOW)
    assert held.position(seconds(5)) is Position.HALF_OPEN
    assert held.waits_until(seconds(5)) is None
    probed = held.probing(RULE, seconds(5))
    assert probed.waits_until(seconds(6)) == seconds(65)
    assert probed.waits_until(seconds(65)) is None


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_the_longest() -> None:
    held, waits = Breaker().failed(RULE, 3, NOW), []
    for _ in range(4):
        assert held.open_until is not None
        at = held.open_until
        held = held.probing(RULE, at).failed(RULE, 1, at)
        assert held.open_until is not None
        assert held.probing_until is None
        waits.append((held.open_until - at) / timedelta(seconds=1))
    assert waits == [10, 18, 18, 18]


def test_the_budget_allows_a_reserve_and_then_a_fifth() -> None:
    budget = Budget()
    assert sum(budget.take() for _ in range(100)) == 10
    made = 0
    for _ in range(1000):
        budget.called()
        made += budget.take()
    assert 198 <= made <= 200


def test_paths_are_told_as_the_page_writes_them() -> None:
    stripe = Paths(get("stripe"))
    base = "https://api.stripe.com"
    assert stripe.template(f"{base}/v1/customers/cus_9?limit=1", base) == (
        "/v1/customers/{id}",
        "cus_9",
    )
    assert stripe.template(f"{base}/v1/customers", base) == ("/v1/customers", None)
    assert stripe.template(f"{base}/v1/invoices/in_1", base) == ("/v1/invoices/{id}", None)
    told = stripe.template(f"{base}/v1/payouts/po_1A/reverse", base)
    assert told == ("/v1/payouts/{id}/reverse", None)
    assert stripe.template(base, base) == ("/", None)


def test_a_calendars_path_names_nobody() -> None:
    caldav = Paths(get("caldav"))
    told, person = caldav.template("https://dav.example.com/dav/ada/work/a.ics")
    assert told == "/{id}/{id}/{id}/{id}"
    assert person is None
