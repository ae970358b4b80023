"""`/metrics`: the measures in the text format of Prometheus, for whoever knows the token.

https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterator
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from landbridge.measures import CONTRACT, Measure, Measures
from landbridge.web.intake import ASGI, Receive, Scope, Send


class MeasuresCollector(Collector):
    """A collector for a registry of prometheus_client: `REGISTRY.register(...)` shows our measures
    among the application's own."""

    def __init__(self, measures: Measures):
        self._measures = measures

    def describe(self) -> Iterator[Metric]:
        """The contract without values, so that a registry finds names that clash."""
        return map(_family, CONTRACT)

    def collect(self) -> Iterator[Metric]:
        """Every measure of the contract with its values now; one without values has no samples."""
        for each in CONTRACT:
            family = _family(each)
            if isinstance(family, HistogramMetricFamily):
                for labels, (counts, total) in self._measures.histograms(each).items():
                    family.add_metric(labels, _buckets(each, counts), total)
            elif isinstance(family, CounterMetricFamily):
                for labels, value in self._measures.counts(each).items():
                    family.add_metric(labels, value)
            elif isinstance(family, GaugeMetricFamily):
                for labels, value in self._measures.gauges(each).items():
                    family.add_metric(labels, value)
            yield family


def exposition(measures: Measures) -> bytes:
    """The measures as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(MeasuresCollector(measures))
    return generate_latest(registry)


def metrics_app(read: Callable[[], Awaitable[bytes]], *, token: str) -> ASGI:
    """The ASGI app: GET answers with what `read` gives, to those who send `Authorization: Bearer`
    with the token; to everybody if it is empty, for an address that only the host itself reaches.
    """
    wanted = f"Bearer {token}".encode()

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if scope["path"].rpartition("/")[2] != "metrics":
            await _answer(send, 404, b"there is nothing here\n")
        elif token and not hmac.compare_digest(given, wanted):
            await _answer(send, 401, b"this needs the token\n", (b"www-authenticate", b"Bearer"))
        elif scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, b"metrics are read by GET\n", (b"allow", b"GET, HEAD"))
        else:
            body = await read()
            await _answer(send, 200, b"" if scope["method"] == "HEAD" else body)

    return app


def _family(measure: Measure) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    if measure.kind == "histogram":
        return HistogramMetricFamily(measure.name, measure.help, labels=measure.labels)
    if measure.kind == "counter":
        name = measure.name.removesuffix("_total")
        return CounterMetricFamily(name, measure.help, labels=measure.labels)
    return GaugeMetricFamily(measure.name, measure.help, labels=measure.labels)


def _buckets(measure: Measure, counts: list[int]) -> list[tuple[str, float]]:
    bounds = [*map(str, measure.buckets), "+Inf"]
    return list(zip(bounds, accumulate(counts), strict=True))


async def _answer(send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [
        (b"content-type", CONTENT_TYPE_LATEST.encode() if status == 200 else b"text/plain"),
        (b"content-length", str(len(body)).encode()),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
