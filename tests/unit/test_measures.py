"""The measures: what is counted, under which labels, and how both are shown."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from landbridge import measures
from landbridge.measures import (
    ATTEMPT_SECONDS,
    ATTEMPTS,
    CONTRACT,
    IN_FLIGHT,
    MOST_SERIES,
    WEBHOOKS_ACCEPTED,
    WEBHOOKS_UNAVAILABLE,
    Measure,
    Measures,
)
from landbridge.web.metrics import exposition

FEW = {"environment", "provider", "reason", "kind", "lane", "outcome", "status", "table"} | {
    "by",
    "resource",
}


@pytest.mark.parametrize("each", CONTRACT, ids=lambda each: each.name)
def test_the_contract_says_what_a_reader_needs(each: Measure) -> None:
    assert re.fullmatch(r"landbridge_[a-z_]+", each.name)
    assert each.name.endswith("_total") == (each.kind == "counter")
    assert set(each.labels) <= FEW, "labels take few values, and none names a customer"
    assert each.help.endswith(".")
    assert bool(each.buckets) == (each.kind == "histogram")
    assert list(each.buckets) == sorted(set(each.buckets))
    if each.unit == "seconds":
        assert each.name.endswith("_seconds")


def test_a_name_occurs_once() -> None:
    named = [value for value in vars(measures).values() if isinstance(value, Measure)]
    assert sorted(named, key=id) == sorted(CONTRACT, key=id)
    assert len({each.name for each in CONTRACT}) == len(CONTRACT)


def test_what_is_counted_is_shown() -> None:
    numbers = Measures()
    numbers.count(ATTEMPTS, "live", "deliver", "delivered", "2xx")
    numbers.count(ATTEMPTS, "live", "deliver", "delivered", "2xx", n=2)
    numbers.count(ATTEMPTS, "test", "retry", "failing", "none")
    shown = _samples(numbers)
    labels = _labels(environment="live", lane="deliver", outcome="delivered", status="2xx")
    assert shown["landbridge_attempts_total", labels] == 3
    assert sum(numbers.counts(ATTEMPTS).values()) == 4


def test_a_counter_without_labels_is_there_before_it_counts() -> None:
    assert _samples(Measures())["landbridge_webhooks_unavailable_total", _labels()] == 0


def test_a_value_on_a_bound_belongs_below_it() -> None:
    numbers = Measures()
    numbers.observe_many(ATTEMPT_SECONDS, [0.005, 0.006, 31.0, -1.0], "delivered")
    shown = _samples(numbers)

    def bucket(bound: str) -> float:
        labels = _labels(outcome="delivered", le=bound)
        return shown["landbridge_attempt_seconds_bucket", labels]

    assert (bucket("0.005"), bucket("0.01"), bucket("30.0"), bucket("+Inf")) == (2, 3, 3, 4)
    total = shown["landbridge_attempt_seconds_sum", _labels(outcome="delivered")]
    assert total == pytest.approx(31.011)
    assert shown["landbridge_attempt_seconds_count", _labels(outcome="delivered")] == 4


def test_too_many_combinations_of_labels_become_one() -> None:
    numbers = Measures()
    for number in range(MOST_SERIES + 50):
        numbers.count(WEBHOOKS_ACCEPTED, f"environment {number}", "stripe")
    counts = numbers.counts(WEBHOOKS_ACCEPTED)
    assert len(counts) == MOST_SERIES + 1
    assert counts["other", "other"] == 50


def test_gauges_are_asked_when_somebody_looks_and_added_up() -> None:
    numbers = Measures()
    assert numbers.gauges(IN_FLIGHT) == {}
    busy: dict[tuple[str, ...], float] = {("deliver",): 3.0, ("retry",): 1.0}
    undo = numbers.gauge(IN_FLIGHT, lambda: busy)
    numbers.gauge(IN_FLIGHT, lambda: {("deliver",): 4.0})
    assert numbers.gauges(IN_FLIGHT) == {("deliver",): 7.0, ("retry",): 1.0}
    busy["deliver",] = 0.0
    assert _samples(numbers)["landbridge_in_flight", _labels(lane="deliver")] == 4
    undo()
    undo()
    assert numbers.gauges(IN_FLIGHT) == {("deliver",): 4.0}


def _mistakes() -> Iterator[tuple[str, str]]:
    yield "too few labels", "count(ATTEMPTS, 'live')"
    yield "a histogram is not counted", "count(ATTEMPT_SECONDS, 'delivered')"
    yield "a counter observes nothing", "observe(ATTEMPTS, 1.0)"
    yield "too many labels", "observe(ATTEMPT_SECONDS, 1.0, 'delivered', 'live')"
    yield "a counter is no gauge", "gauge(ATTEMPTS, dict)"
    yield "not of the contract", "count(Measure(name='x', kind='counter', help=''))"


@pytest.mark.parametrize("call", [call for _, call in _mistakes()], ids=[n for n, _ in _mistakes()])
def test_a_call_that_does_not_fit_the_contract_is_refused(call: str) -> None:
    numbers = Measures()
    with pytest.raises(TypeError):
        eval(f"numbers.{call}", dict(vars(measures)), {"numbers": numbers})  # noqa: S307


def test_observed_values_can_be_handed_on() -> None:
    numbers, seen = Measures(), list[tuple[str, float, tuple[str, ...]]]()
    numbers.forward(lambda measure, value, labels: seen.append((measure.name, value, labels)))
    numbers.observe(ATTEMPT_SECONDS, 0.25, "failing")
    numbers.forward(None)
    numbers.observe(ATTEMPT_SECONDS, 0.5, "failing")
    assert seen == [("landbridge_attempt_seconds", 0.25, ("failing",))]


def test_two_processes_numbers_are_apart() -> None:
    one, other = Measures(), Measures()
    one.count(WEBHOOKS_UNAVAILABLE)
    assert other.counts(WEBHOOKS_UNAVAILABLE) == {(): 0}


def _labels(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def _samples(numbers: Measures) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(exposition(numbers).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
