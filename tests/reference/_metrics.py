"""docs/reference/metrics.md: what is measured, under which names and labels."""

from __future__ import annotations

from collections.abc import Iterator

from landbridge.measures import CONTRACT, MOST_SERIES, Measure
from tests.reference._markdown import code, page, table

_HEAD = f"""
These names are a contract: they change as our other public names do, with a line in the
changelog. Prometheus reads them at `/metrics`; OpenTelemetry gets the same, without `_total`, if
its SDK was configured before the bridge was opened. [How to monitor](../howto/monitor.md) has the
settings, rules for alarms and a dashboard.

No label names a tenant, an endpoint, a connection or an address. A measure keeps {MOST_SERIES}
combinations of labels; what comes after them is counted under `other`.
"""
_PROCESS = """
Of this process alone: add them up over processes. Counters begin with 0 when it starts.
"""
_DATABASE = """
Read from the database when somebody looks, at most once in five seconds. Every process shows the
same: take the `max` over processes. While the database is away they are missing.
"""
_HISTOGRAMS = """
Upper bounds of their buckets:
"""


def metrics_page() -> str:
    """The page."""
    timed = [[code(each.name), ", ".join(f"{x:g}" for x in each.buckets)] for each in CONTRACT]
    return page(
        "Metrics",
        _HEAD,
        "## Of the process",
        _PROCESS,
        table(["name", "type", "labels", "what"], _rows("process")),
        "## Of the database",
        _DATABASE,
        table(["name", "type", "labels", "what"], _rows("database")),
        "## Histograms",
        _HISTOGRAMS,
        table(["name", "buckets"], [row for row in timed if row[1]]),
    )


def _rows(scope: str) -> Iterator[list[str]]:
    for each in CONTRACT:
        if each.scope == scope:
            yield [code(each.name), each.kind, _labels(each), each.help]


def _labels(measure: Measure) -> str:
    return ", ".join(map(code, measure.labels))
