"""The dashboard, the alarms and the page about them name only measures and labels that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from landbridge.measures import CONTRACT, Measure
from tests.docs_run import blocks

_DOCS = Path(__file__).parents[2] / "docs"
_NAME = re.compile(r"\blandbridge_[a-z_]+\b")
_BY = re.compile(r"by \(([a-z_, ]+)\)")
_MATCH = re.compile(r"(landbridge_[a-z_]+)\{([^}]*)\}")
_SEEN = re.compile(r"\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}")


def _names(measure: Measure) -> set[str]:
    if measure.kind == "histogram":
        return {f"{measure.name}_{end}" for end in ("bucket", "sum", "count")}
    return {measure.name}


KNOWN = {name: each for each in CONTRACT for name in _names(each)}


def _queries() -> Iterator[tuple[str, str]]:
    """(query, legend) of every target of the dashboard and every rule."""
    dashboard = json.loads((_DOCS / "operations/grafana.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"], target["legendFormat"]
    rules = (_DOCS / "operations/alerts.yml").read_text().split("- alert:")[1:]
    for rule in rules:
        yield rule.partition("expr:")[2].partition("labels:")[0], rule.partition("summary:")[2]


QUERIES = list(_queries())


@pytest.mark.parametrize(
    ("query", "legend"), QUERIES, ids=[query.strip()[:60] for query, _ in QUERIES]
)
def test_a_query_asks_for_what_is_measured(query: str, legend: str) -> None:
    used = set(_NAME.findall(query))
    assert used
    assert used <= KNOWN.keys()
    labels = set.intersection(*({*KNOWN[name].labels, "le"} for name in used))
    grouped = {word for found in _BY.findall(query) for word in found.split(", ")}
    assert grouped <= labels
    assert set(_SEEN.findall(legend)) <= grouped
    for name, matched in _MATCH.findall(query):
        wanted = {part.partition("=")[0].rstrip("~!") for part in matched.split(",")}
        assert wanted <= {*KNOWN[name].labels, "le"}


def test_a_bucket_that_is_asked_for_is_there() -> None:
    asked = {
        (name, bound)
        for query, _ in QUERIES
        for name, matched in _MATCH.findall(query)
        for bound in re.findall(r'le="([^"]*)"', matched)
    }
    assert asked
    assert all(bound in map(str, KNOWN[name].buckets) for name, bound in asked)


def test_everything_is_on_the_dashboard() -> None:
    text = (_DOCS / "operations/grafana.json").read_text()
    shown = {KNOWN[name] for name in _NAME.findall(text) if name in KNOWN}
    assert [each.name for each in CONTRACT if each not in shown] == []


def test_the_page_names_what_is_measured() -> None:
    page = (_DOCS / "howto/monitor.md").read_text()
    assert list(blocks(page))
    exact = {each.name for each in CONTRACT}
    assert set(_NAME.findall(page)) <= exact
