"""What an endpoint asks for is what its deliveries do: headers, version, schedule, order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from landbridge.client.sender import Sender
from landbridge.engine.catalogue import Catalogue, EventType, Version
from landbridge.engine.endpoints import Created
from landbridge.store import deliveries, event_types
from landbridge.store.database import Database
from landbridge.store.parcels import Try
from landbridge.vault import Vault
from tests.client.servers import Listener, listening, says
from tests.engine.outbound import LOCAL, Office


class Paid(msgspec.Struct, kw_only=True):
    total: int
    currency: str


class PaidBefore(msgspec.Struct, kw_only=True):
    amount: str


def _before(paid: Paid) -> object:
    return {"amount": f"{paid.total} {paid.currency}"}


PAID = EventType(
    type="invoice.paid",
    description="An invoice was paid.",
    model=Paid,
    examples=[{"total": 100, "currency": "EUR"}],
    since="2026-06-01",
    older=[Version(since="2025-01-01", model=PaidBefore, down=_before)],
    schedule=[timedelta(minutes=1), timedelta(minutes=2)],
)


@pytest.fixture
async def office(db: Database, vault: Vault) -> AsyncIterator[Office]:
    async with Sender(LOCAL, deadline=2) as sender:
        yield Office(db=db, vault=vault, sender=sender)


def answering(status: int) -> AbstractAsyncContextManager[Listener]:
    return listening(says(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode()))


async def made(office: Office, url: str, **settings: Any) -> Created:
    return await office.endpoints.create(environment="test", tenant="acme", url=url, **settings)


async def tried(office: Office) -> Sequence[Try]:
    tries = await office.run(await office.claim())
    assert await office.settle(tries) == len(tries)
    return tries


async def test_its_own_headers_go_along(office: Office) -> None:
    async with answering(200) as listener:
        await made(office, listener.url, headers={"Authorization": "Bearer own", "X-Shop": "7"})
        await office.emit()
        await office.round()
    (request,) = listener.requests
    head = request.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nauthorization: bearer own" in head
    assert b"\r\nx-shop: 7" in head
    assert b"\r\nwebhook-signature: v1," in head


async def test_each_endpoint_gets_the_body_of_its_version_on_every_try(
    office: Office, database_url: str
) -> None:
    later = await Database.open(database_url, budget=2, offset="10 minutes")
    async with answering(500) as newest, answering(500) as older, answering(500) as oldest:
        await made(office, newest.url)
        await made(office, older.url, api_version="2026-05-31")
        await made(office, oldest.url, api_version="2024-01-01")
        await office.emit({"total": 100, "currency": "EUR"}, catalogue=Catalogue([PAID]))
        await office.round()
        again = Office(db=later, vault=office.vault, sender=office.sender)
        await again.round()
        await later.close()
    bodies = [
        [request.partition(b"\r\n\r\n")[2] for request in listener.requests]
        for listener in (newest, older, oldest)
    ]
    assert all(first == second for first, second in bodies)
    found = [msgspec.json.decode(first)["data"] for first, _ in bodies]
    old = {"amount": "100 EUR"}
    assert found == [{"total": 100, "currency": "EUR"}, old, old]
    assert b"webhook-api-version: 2026-05-31" in older.requests[0].lower()
    assert b"webhook-api-version" not in newest.requests[0].lower()


async def test_its_own_schedule_goes_before_the_type_s_and_that_before_the_default(
    office: Office, db: Database
) -> None:
    await event_types.sync(db, Catalogue([PAID]).stored())
    async with answering(500) as listener:
        await made(office, listener.url, schedule=[timedelta(seconds=7)], description="own")
        await made(office, listener.url)
        await office.emit({"total": 1, "currency": "EUR"})
        waits = sorted(each.after for each in await tried(office))
    assert waits == [timedelta(seconds=7), timedelta(minutes=1)]


async def test_the_last_try_of_a_short_schedule_abandons(office: Office, database_url: str) -> None:
    later = await Database.open(database_url, budget=2, offset="1 minute")
    async with answering(500) as listener:
        await made(office, listener.url, schedule=[timedelta(seconds=7)])
        await office.emit()
        await office.round()
        (last,) = await tried(Office(db=later, vault=office.vault, sender=office.sender))
        await later.close()
    assert (last.state, last.error) == ("abandoned", "HTTP 500; given up after 2 tries")


async def test_a_line_goes_one_after_the_other(office: Office) -> None:
    async with answering(200) as listener:
        await made(office, listener.url, ordered=True)
        for n in range(3):
            await office.emit({"n": n}, ordering_key="order 1")
        await office.emit({"n": "loose"})
        rounds = [len(await tried(office)) for _ in range(4)]
    assert rounds == [2, 1, 1, 0]
    bodies = [msgspec.json.decode(each.partition(b"\r\n\r\n")[2]) for each in listener.requests]
    assert [each["data"]["n"] for each in bodies if each["data"]["n"] != "loose"] == [0, 1, 2]


async def test_the_head_of_a_line_steps_aside_after_so_many_tries(
    office: Office, database_url: str
) -> None:
    later = await Database.open(database_url, budget=2, offset="1 minute")
    late = Office(db=later, vault=office.vault, sender=office.sender)
    async with answering(500) as listener:
        await made(office, listener.url, ordered=True, skip_after=2)
        for n in range(2):
            await office.emit({"n": n}, ordering_key="order 1")
        (first,) = await tried(office)
        assert not first.aside
        assert await office.claim() == []
        (head,) = await tried(late)
        assert (head.parcel.id, head.aside) == (first.parcel.id, True)
        assert head.error == "HTTP 500; it stepped out of its line"
        (second,) = await tried(late)
        assert second.parcel.id != first.parcel.id
    assert len(listener.requests) == 3
    listed = await deliveries.every(
        later, environment="test", since=first.parcel.created_at - timedelta(days=1)
    )
    assert {each.state for each in listed} == {"failing"}
    await later.close()


async def test_an_open_breaker_gives_back_without_an_attempt(office: Office, db: Database) -> None:
    async with answering(200) as listener:
        created = await made(office, listener.url)
        async with db.transaction() as tx:
            await tx.execute(
                """INSERT INTO landbridge.endpoint_health
                       (environment, tenant, endpoint, failing_since, failures, opened, open_until)
                   VALUES ('test', 'acme', $1, landbridge.now(), 9, 1,
                           landbridge.now() + interval '1 minute')""",
                created.endpoint.id,
            )
        await office.emit()
        (back,) = await tried(office)
        assert listener.connects == 0
    assert back.state is None
    assert back.error is not None
    assert "spared" in back.error
    assert timedelta(seconds=50) < back.after < timedelta(minutes=2)
