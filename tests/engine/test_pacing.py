"""Rates of endpoints: kept by all workers together, and by what waits without an attempt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from landbridge.client.sender import Sender
from landbridge.engine.courier import Courier
from landbridge.engine.endpoints import Created
from landbridge.store import health, pacing
from landbridge.store.database import Database
from landbridge.store.pacing import Turns, Want
from landbridge.store.parcels import Parcel
from landbridge.vault import Vault
from tests.client.servers import listening, says
from tests.engine.outbound import LOCAL, Held, Office, Posted

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture
async def office(db: Database, vault: Vault) -> AsyncIterator[Office]:
    async with Sender(LOCAL, deadline=2) as sender:
        yield Office(db=db, vault=vault, sender=sender)


def want(number: int, rate: float, endpoint: str = "end_1") -> Want:
    return Want(environment="test", tenant="acme", endpoint=endpoint, rate=rate, number=number)


async def ask(db: Database, number: int, rate: float = 10.0) -> Turns:
    return (await pacing.reserve(db, [want(number, rate)]))["end_1"]


async def test_turns_follow_each_other_whoever_asks(db: Database) -> None:
    first = await ask(db, 4)
    assert (first.number, first.begins, first.step) == (4, 0.0, 0.1)
    second = await ask(db, 3)
    assert second.number == 3
    assert 0.2 < second.begins <= 0.4
    assert second.after == pytest.approx(second.begins + 0.3)


async def test_no_turn_is_given_beyond_the_horizon(db: Database) -> None:
    first = await ask(db, 100)
    assert first.number == 10
    second = await ask(db, 100)
    assert second.number <= 2, "a tenth of a second may have passed"
    assert second.after > 0.8


async def test_a_slow_rate_gives_one_turn_and_then_none(db: Database) -> None:
    assert (await ask(db, 5, rate=0.1)).number == 1
    later = await ask(db, 5, rate=0.1)
    assert later.number == 0
    assert 9 < later.after <= 10


async def test_many_at_once_get_no_turn_twice(db: Database) -> None:
    given = await asyncio.gather(*(ask(db, 3, rate=30.0) for _ in range(8)))
    begun = sorted(each.begins for each in given if each.number)
    assert sum(each.number for each in given) == pytest.approx(24, abs=1)
    gaps = [later - earlier for earlier, later in pairwise(begun)]
    assert all(gap > -0.001 for gap in gaps)


async def test_nothing_asked_is_nothing_given(db: Database) -> None:
    assert await pacing.reserve(db, []) == {}


async def test_two_couriers_keep_an_endpoint_s_rate_together(office: Office, db: Database) -> None:
    async with listening(says(OK)) as listener:
        made = await office.endpoint(listener.url)
        async with db.transaction() as tx:
            await tx.execute(
                "UPDATE landbridge.endpoint SET rate = 20 WHERE id = $1", made.endpoint.id
            )
        for n in range(30):
            await office.emit({"n": n})
        stop = asyncio.Event()
        began = time.monotonic()
        couriers = [
            asyncio.create_task(Courier(db, name, office.deliveries).run(stop)) for name in "ab"
        ]
        states: set[str] = set()
        while states != {"delivered"}:
            await asyncio.sleep(0.02)
            states = {each.state for each in await office.listed()}
        took = time.monotonic() - began
        stop.set()
        await asyncio.gather(*couriers)
    assert took > 29 / 20, "the thirtieth turn is 29 steps after the first"
    assert {each.attempts for each in await office.listed()} == {1}


async def test_an_endpoint_s_own_concurrency_counts(office: Office, db: Database) -> None:
    async with listening(says(b"", every=60)) as listener:
        made = await office.endpoint(listener.url)
        async with db.transaction() as tx:
            await tx.execute(
                "UPDATE landbridge.endpoint SET concurrency = 2 WHERE id = $1", made.endpoint.id
            )
        for n in range(5):
            await office.emit({"n": n})
        tried = await office.run(await office.claim())
        assert listener.connects == 2
    assert (
        sorted(each.state or "given back" for each in tried) == ["failing"] * 2 + ["given back"] * 3
    )


async def test_two_couriers_keep_an_endpoint_s_concurrency_together(
    db: Database, vault: Vault
) -> None:
    held = Held(3)
    office = Office(db=db, vault=vault, sender=held)
    made = await office.endpoint("http://127.0.0.1:9/")
    await limited(db, made, 3)
    for n in range(12):
        await office.emit({"n": n})
    stop = asyncio.Event()
    couriers = [asyncio.create_task(Courier(db, "a", office.deliveries).run(stop))]
    await asyncio.wait_for(held.full.wait(), 20)
    other = Office(db=db, vault=vault, sender=held)
    couriers.append(asyncio.create_task(Courier(db, "b", other.deliveries).run(stop)))
    await asyncio.sleep(2)  # the others fall due one by one, a third of a second apart
    assert len(held.bodies) == 3
    held.go.set()
    states: set[str] = set()
    async with asyncio.timeout(30):
        while states != {"delivered"}:
            await asyncio.sleep(0.02)
            states = {each.state for each in await office.listed()}
    stop.set()
    await asyncio.gather(*couriers)
    assert {each.attempts for each in await office.listed()} == {1}


async def test_a_place_is_free_once_its_claim_is_settled_or_lost(
    database_url: str, db: Database, vault: Vault
) -> None:
    office = Office(db=db, vault=vault, sender=Posted(lambda _: 0.0))
    made = await office.endpoint("http://127.0.0.1:9/")
    await limited(db, made, 2)
    for n in range(9):
        await office.emit({"n": n})

    async def begun(number: int, of: Office = office) -> list[Parcel]:
        found = await of.deliveries.begin(await of.claim(limit=number))
        waits = {each.error for each in found.ended}
        assert waits <= {"the endpoint has enough posts under way"}
        assert all(each.state is None for each in found.ended)
        return found.ready

    first = await begun(3)
    assert len(first) == 2
    assert await begun(2) == []
    again = await office.deliveries.begin(first)
    assert len(again.ready) == 2, "asked once more, after an answer was lost"
    assert await office.settle([await office.deliveries.attempt(first[0])]) == 1
    assert len(await begun(2)) == 1
    later = await Database.open(database_url, budget=2, offset="16 seconds")
    taken = Office(db=later, vault=vault, sender=office.sender, owner="other")
    assert len(await begun(9, taken)) == 2, "the leases are over, and the places with them"
    await later.close()


async def test_a_place_outlives_the_end_of_failures(db: Database, vault: Vault) -> None:
    office = Office(db=db, vault=vault, sender=Posted(lambda _: 0.0))
    made = await office.endpoint("http://127.0.0.1:9/")
    await limited(db, made, 1)
    for n in range(2):
        await office.emit({"n": n})
    claims = await office.claim()
    assert len((await office.deliveries.begin(claims)).ready) == 1
    await health.reset(db, environment="test", tenant="acme", endpoint=made.endpoint.id)
    waiting = [each for each in claims if each.via is not None][1:]
    assert (await office.deliveries.begin(waiting)).ready == []


async def test_endpoints_without_a_concurrency_cost_nothing(db: Database, vault: Vault) -> None:
    office = Office(db=db, vault=vault, sender=Posted(lambda _: 0.0))
    await office.endpoint("http://127.0.0.1:9/")
    await office.emit()
    assert await office.round() == 1
    async with db.transaction() as tx:
        assert await tx.execute("SELECT FROM landbridge.endpoint_health") == []


async def limited(db: Database, made: Created, most: int) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE landbridge.endpoint SET concurrency = $2 WHERE id = $1", made.endpoint.id, most
        )
