"""What calls leave in Postgres: breakers that all workers share, and the call log."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from landbridge.client import Client, SignIn
from landbridge.client.breakers import Breakers
from landbridge.client.call_log import CallLog
from landbridge.errors import CircuitOpen, LandbridgeError, Unreachable
from landbridge.store import breakers, calls
from landbridge.store.calls import Call
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from tests.client.shops import SIGNED_IN, Shop, Tokens, calling, connected, open_shop, request
from tests.engine.ailing import At


def signed(client: Client, connection: Connection):  # type: ignore[no-untyped-def]
    return client.signed(SIGNED_IN, SignIn(connection=connection))


async def fail(client: Client, shop: Shop, connection: Connection, times: int) -> None:
    for _ in range(times):
        with pytest.raises(LandbridgeError):
            await signed(client, connection).send(request(shop))


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop(503) as opened:
        yield opened


async def test_a_breaker_opens_for_all_workers_and_one_probe_closes_it(
    db: Database, at: At, shop: Shop
) -> None:
    first, second = Breakers(db, every=0), Breakers(db, every=0)
    con = connected()
    tokens = Tokens()
    async with (
        calling(attempts=1, tokens=tokens, breakers=first) as one,
        calling(attempts=1, tokens=tokens, breakers=second) as two,
    ):
        await fail(one, shop, con, 5)
        await fail(two, shop, con, 3)
        asked = len(shop.asked)
        assert asked == 8
        for client in (one, two):
            with pytest.raises(CircuitOpen, match="landbridge breakers reset con_") as caught:
                await signed(client, con).send(request(shop))
            assert caught.value.retry_at is not None
        assert len(shop.asked) == asked
        # Another connection of the same provider is called as before.
        with pytest.raises(Unreachable):
            await signed(one, connected(id="con_2", tenant="other")).send(request(shop))
    later = await at("1 minute")
    shop.replies = [200]
    async with (
        calling(tokens=tokens, breakers=Breakers(later, every=0)) as one,
        calling(tokens=tokens, breakers=Breakers(later, every=0)) as two,
    ):
        assert (await signed(one, con).send(request(shop))).status == 200
        assert (await signed(two, con).send(request(shop))).status == 200
    held = await breakers.listed(db, environment="test")
    assert [each.place.name for each in held if each.place.name == con.id] == []


async def test_while_one_probes_all_others_wait(db: Database, at: At, shop: Shop) -> None:
    place = breakers.Place("test", "acme", connected().id)
    async with calling(attempts=1, tokens=Tokens(), breakers=Breakers(db)) as client:
        await fail(client, shop, connected(), 8)
    later = await at("1 minute")
    from landbridge.client.breakers import CONNECTION

    assert await breakers.probe(later, place, CONNECTION) is None
    assert await breakers.probe(later, place, CONNECTION) is not None
    async with calling(attempts=1, tokens=Tokens(), breakers=Breakers(later)) as client:
        asked = len(shop.asked)
        with pytest.raises(CircuitOpen):
            await signed(client, connected()).send(request(shop))
        assert len(shop.asked) == asked


async def test_a_provider_opens_when_several_connections_fail(db: Database, shop: Shop) -> None:
    async with calling(attempts=1, tokens=Tokens(), breakers=Breakers(db, every=0)) as client:
        for number in range(6):
            await fail(client, shop, connected(id=f"con_{number}", tenant=f"t{number}"), 6)
        with pytest.raises(CircuitOpen, match="Mill failed too often"):
            await signed(client, connected(id="con_new", tenant="new")).send(request(shop))
    assert await breakers.reset(db, environment="test", name="mill") == 1
    assert await breakers.reset(db, environment="test", name="mill") == 0


async def test_refusals_do_not_open_it(db: Database, shop: Shop) -> None:
    shop.replies = [404]
    async with calling(attempts=1, tokens=Tokens(), breakers=Breakers(db)) as client:
        for _ in range(20):
            assert (await signed(client, connected()).send(request(shop))).status == 404
    assert await breakers.listed(db, environment="test") == []


async def test_a_call_costs_no_statement_while_it_is_closed(db: Database, shop: Shop) -> None:
    shop.replies = [200]
    shared = Breakers(db, every=3600)
    await shared.enter(SIGNED_IN, connected())
    await db.close()
    async with calling(tokens=Tokens(), breakers=shared) as client:
        assert (await signed(client, connected()).send(request(shop))).status == 200


async def logged(db: Database, connection: Connection, **more: bool) -> list[Call]:
    return await calls.of_connection(
        db,
        environment=connection.environment,
        tenant=connection.tenant,
        connection=connection.id,
        **more,
    )


async def test_each_try_is_a_row_without_ids_or_bodies(db: Database, shop: Shop) -> None:
    shop.replies = [503, 200]
    con = connected()
    async with calling(tokens=Tokens(), calls=CallLog(db)) as client:
        await signed(client, con).send(request(shop, body=b"canary", query=(("q", "canary"),)))
    newest, first = await logged(db, con)
    assert (first.method, first.path, first.status, first.outcome, first.attempt) == (
        "GET",
        "/orders/{id}",
        503,
        "retry",
        1,
    )
    assert (newest.status, newest.outcome, newest.attempt, newest.lane) == (
        200,
        "ok",
        2,
        "interactive",
    )
    assert newest.subject == "7"
    assert [each.attempt for each in await logged(db, con, failed=True)] == [1]
    assert await logged(db, connected(tenant="other")) == []


async def test_calls_wait_while_postgres_is_away_and_the_newest_are_kept(
    db: Database, database_url: str, shop: Shop
) -> None:
    shop.replies = [200]
    away = await Database.open(database_url)
    await away.close()
    log = CallLog(away, most=3)
    con = connected()
    async with calling(tokens=Tokens(), calls=log) as client:
        for _ in range(5):
            await signed(client, con).send(request(shop))
        with pytest.raises(LandbridgeError):
            await log.flush()
        log._db = db
    assert len(await logged(db, con)) == 3


async def test_a_line_is_logged_where_it_is_enabled(db: Database, shop: Shop) -> None:
    shop.replies = [200]
    switch = logging.getLogger("landbridge.call")
    before = switch.level
    async with calling(tokens=Tokens(), calls=CallLog(db)) as client:
        with capture_logs() as none:
            await signed(client, connected()).send(request(shop))
        switch.setLevel(logging.INFO)
        try:
            with capture_logs() as lines:
                await signed(client, connected()).send(request(shop))
        finally:
            switch.setLevel(before)
    assert none == []
    (line,) = lines
    assert (line["event"], line["path"], line["status"]) == ("call", "/orders/{id}", 200)
    assert "AT-1" not in str(line)


async def test_each_try_is_a_span(db: Database, shop: Shop) -> None:
    shop.replies = [503, 200]
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("landbridge")
    async with calling(tokens=Tokens(), calls=CallLog(db), tracer=tracer) as client:
        await signed(client, connected()).send(request(shop))
    first, second = kept.get_finished_spans()
    assert (first.name, first.status.is_ok) == ("GET /orders/{id}", False)
    assert second.attributes is not None
    assert second.attributes["http.response.status_code"] == 200
    assert second.attributes["http.request.resend_count"] == 1
