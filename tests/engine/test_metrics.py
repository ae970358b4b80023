"""What a running bridge shows of itself, to Prometheus and to OpenTelemetry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import psycopg
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from landbridge import Landbridge
from landbridge.app.metrics import KEPT, Gauges, export
from landbridge.errors import InvalidInput
from landbridge.measures import (
    ATTEMPT_SECONDS,
    ATTEMPTS,
    CONTRACT,
    DATABASE_AWAY,
    DUE_OLDEST,
    DUE_ROWS,
    OUTBOX_ROWS,
    PARTITION_STRAYS,
    Measures,
)
from landbridge.store.database import Database
from landbridge.vault import new_key
from landbridge.web import MeasuresCollector, metrics_app

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
async def bridge(database_url: str) -> AsyncIterator[Landbridge]:
    made = Landbridge.from_env(
        database_url=database_url, key=new_key(), metrics_token="wise", pool=4
    )
    async with made:
        yield made


def _samples(text: bytes) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def _key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


async def _ask(app: Any, path: str, method: str = "GET", token: str = "") -> tuple[int, bytes]:
    told: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        told.append(message)

    headers = [(b"authorization", token.encode())] if token else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    await app(scope, None, send)
    return told[0]["status"], told[1]["body"]


async def test_what_waits_is_shown_with_its_age(bridge: Landbridge) -> None:
    async with bridge.transaction() as tx:
        await bridge.emit(tx, "order.placed", {"number": 1}, tenant="acme")
        await tx.execute(
            "INSERT INTO landbridge.due (environment, tenant, id, lane, kind, shard, due_at)"
            " VALUES ('test', 'acme', 'due_1', 'deliver', 'deliver', 3, now() - interval '90 s')"
        )
        await tx.execute(
            "INSERT INTO landbridge.parked (environment, tenant, id, what, place, key, reason)"
            " VALUES ('test', 'acme', 'prk_1', 'record', 'con_1', 'k', 'r')"
        )
        await tx.execute(
            "INSERT INTO landbridge.endpoint_health (environment, tenant, endpoint, open_until)"
            " VALUES ('test', 'acme', 'end_1', now() + interval '1 h'),"
            " ('test', 'acme', 'end_2', now() - interval '1 h')"
        )
    shown = _samples(await bridge.metrics())
    assert shown[_key("landbridge_emits_total", environment="test")] == 1
    assert shown[_key("landbridge_http_connections")] == 0
    assert shown[_key("landbridge_outbox_rows")] == 1
    assert shown[_key("landbridge_due_rows", lane="deliver")] == 1
    assert shown[_key("landbridge_due_rows", lane="retry")] == 0
    assert 90 <= shown[_key("landbridge_due_oldest_seconds", lane="deliver")] < 120
    assert shown[_key("landbridge_parked_rows", kind="record")] == 1
    assert shown[_key("landbridge_breakers_open", environment="test")] == 1
    assert shown[_key("landbridge_database_away_seconds")] == 0
    assert not [name for name, _ in shown if name == "landbridge_partition_strays"]


async def test_an_emit_is_counted_once_it_is_written(bridge: Landbridge, database_url: str) -> None:
    async def counted() -> float:
        shown = _samples(await bridge.metrics())
        return shown.get(_key("landbridge_emits_total", environment="test"), 0)

    with pytest.raises(InvalidInput, match=r"session: builtins\.int is not known"):
        bridge.emit(7, "order.placed", {}, tenant="acme")
    connection = await asyncpg.connect(database_url)
    with pytest.raises(InvalidInput, match="not in a transaction"):
        await bridge.emit(connection, "order.placed", {}, tenant="acme")
    blocking = psycopg.connect(database_url, autocommit=True)
    with pytest.raises(InvalidInput, match="not in a transaction"):
        bridge.emit(blocking, "order.placed", {}, tenant="acme")
    assert await counted() == 0
    async with connection.transaction():
        await bridge.emit(connection, "order.placed", {}, tenant="acme")
    assert await counted() == 1
    with blocking.transaction():
        bridge.emit(blocking, "order.placed", {}, tenant="acme")
    assert await counted() == 2
    await bridge.emit("order.placed", {}, tenant="acme")
    assert await counted() == 3
    blocking.close()
    await connection.close()


async def test_the_metrics_are_for_those_with_the_token(bridge: Landbridge) -> None:
    app = bridge.asgi()
    assert (await _ask(app, "/metrics"))[0] == 401
    assert (await _ask(app, "/metrics", token="Bearer wisE"))[0] == 401
    assert (await _ask(app, "/metrics", "POST", token="Bearer wise"))[0] == 405
    assert await _ask(app, "/metrics", "HEAD", token="Bearer wise") == (200, b"")
    status, body = await _ask(app, "/metrics", token="Bearer wise")
    assert status == 200
    assert b"landbridge_due_rows" in body


async def test_without_a_token_there_are_no_metrics(database_url: str) -> None:
    async with Landbridge.from_env(database_url=database_url, key=new_key(), pool=4) as bridge:
        assert (await _ask(bridge.asgi(), "/metrics"))[0] == 404


async def test_an_address_of_the_host_alone_needs_no_token(bridge: Landbridge) -> None:
    app = metrics_app(bridge.metrics, token="")
    assert (await _ask(app, "/metrics"))[0] == 200
    assert (await _ask(app, "/elsewhere"))[0] == 404


class Watch:
    at = 100.0

    def __call__(self) -> float:
        return self.at


async def test_however_many_look_the_database_is_read_once_in_a_while(database_url: str) -> None:
    measures, watch = Measures(), Watch()
    db = await Database.open(database_url, budget=2)
    gauges = Gauges(db, measures, monotonic=watch)
    await asyncio.gather(*(gauges.refresh() for _ in range(20)))
    other = await asyncpg.connect(database_url)
    await other.execute(_EMIT)
    await gauges.refresh()
    assert measures.gauges(OUTBOX_ROWS) == {(): 0}
    watch.at += KEPT.total_seconds()
    await gauges.refresh()
    assert measures.gauges(OUTBOX_ROWS) == {(): 1}
    gauges.close()
    assert measures.gauges(OUTBOX_ROWS) == {}
    await other.close()
    await db.close()


_EMIT = """
    INSERT INTO landbridge.emitted (environment, tenant, id, type, payload)
    VALUES ('test', 'acme', 'evt_1', 'order.placed', '{}')"""


async def test_while_the_database_is_away_its_numbers_are_missing_and_not_old(
    database_url: str,
) -> None:
    measures, watch = Measures(), Watch()
    db = await Database.open(database_url, budget=2)
    gauges = Gauges(db, measures, monotonic=watch)
    await gauges.refresh()
    assert measures.gauges(DUE_ROWS)
    await db.close()
    watch.at += 30
    await gauges.refresh()
    assert measures.gauges(DUE_ROWS) == {}
    assert measures.gauges(DUE_OLDEST) == {}
    assert measures.gauges(DATABASE_AWAY) == {(): 30}


async def test_strays_are_an_alarm(database_url: str) -> None:
    measures = Measures()
    db = await Database.open(database_url, budget=2)
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO landbridge.attempt (environment, tenant, id, delivery, event, endpoint,"
            " number, outcome, took_ms) VALUES ('test', 'acme', 'att_zzz', 'd', 'e', 'p', 1,"
            " 'delivered', 1)"
        )
    gauges = Gauges(db, measures)
    await gauges.refresh()
    assert measures.gauges(PARTITION_STRAYS) == {("attempt",): 1}
    await db.close()


def test_the_measures_stand_among_the_applications_own() -> None:
    registry, measures = CollectorRegistry(), Measures()
    registry.register(MeasuresCollector(measures))
    measures.count(ATTEMPTS, "live", "deliver", "delivered", "2xx")
    assert b"landbridge_attempts_total{" in generate_latest(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(MeasuresCollector(Measures()))


def test_without_an_sdk_nothing_is_exported() -> None:
    assert export(Measures()) is None


def test_opentelemetry_gets_the_same_numbers() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    measures = Measures()
    stop = export(measures, provider)
    assert stop is not None
    measures.count(ATTEMPTS, "live", "deliver", "delivered", "2xx", n=3)
    measures.observe(ATTEMPT_SECONDS, 0.02, "delivered")
    measures.gauge(DUE_ROWS, lambda: {("deliver",): 7.0})
    found = _exported(reader)
    assert {each.name.removesuffix("_total") for each in CONTRACT} >= set(found)
    (point,) = found["landbridge_attempts"].data.data_points
    assert (point.value, point.attributes["outcome"]) == (3, "delivered")
    (timed,) = found["landbridge_attempt_seconds"].data.data_points
    assert (timed.count, timed.sum, tuple(timed.explicit_bounds)) == (
        1,
        0.02,
        ATTEMPT_SECONDS.buckets,
    )
    assert found["landbridge_attempt_seconds"].unit == "s"
    (gauge,) = found["landbridge_due_rows"].data.data_points
    assert (gauge.value, dict(gauge.attributes)) == (7.0, {"lane": "deliver"})
    stop()
    measures.observe(ATTEMPT_SECONDS, 0.02, "delivered")
    assert "landbridge_due_rows" not in _exported(reader)
    provider.shutdown()


def _exported(reader: InMemoryMetricReader) -> dict[str, Any]:
    found = reader.get_metrics_data()
    if found is None:
        return {}
    return {
        metric.name: metric
        for resource in found.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
