"""The loop that delivers: everything once, nothing forgotten when it ends or something breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from landbridge.client.lean import LeanSender
from landbridge.client.post import Posts
from landbridge.engine.courier import Courier
from landbridge.engine.deliver import Begun, Deliveries
from landbridge.errors import DatabaseUnavailable
from landbridge.store.database import Database
from landbridge.store.parcels import Parcel, Try
from landbridge.vault import Vault
from tests.engine.outbound import LOCAL, Held, Office, Posted

AT_FIRST = 64
"""How many posts are under way before the receiver turns out to be slow."""


async def forever(_seconds: float) -> None:
    await asyncio.Event().wait()


async def briefly(_seconds: float) -> None:
    await asyncio.sleep(0.05)


def busy() -> float:
    """A processor that has time for nothing more, so that no more posts are begun at once."""
    return 2 * time.monotonic()


def office_of(db: Database, vault: Vault, sender: Posts, each: int = 50) -> Office:
    return Office(db=db, vault=vault, sender=sender, each=each)


async def filled(office: Office, number: int, *, endpoints: int = 1) -> None:
    for place in range(endpoints):
        await office.endpoint("http://127.0.0.1:9/", tenant=f"tenant {place}")
    for n in range(number):
        await office.emit({"n": n}, tenant=f"tenant {n % endpoints}")


@asynccontextmanager
async def running(courier: Courier) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(courier.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await task


async def until(wanted: Mapping[str, int], office: Office) -> None:
    counts: dict[str, int] = {}
    async with asyncio.timeout(20):
        while counts != wanted:
            await asyncio.sleep(0.02)
            counts = {}
            for each in await office.listed(most=5000):
                counts[each.state] = counts.get(each.state, 0) + 1


async def test_two_couriers_deliver_each_once(db: Database, vault: Vault) -> None:
    sender = Posted(lambda _: 0.001)
    office = office_of(db, vault, sender)
    await filled(office, 300, endpoints=7)
    async with (
        running(Courier(db, "a", office.deliveries)),
        running(Courier(db, "b", office.deliveries)),
    ):
        await until({"delivered": 300}, office)
    assert len(sender.bodies) == len(set(sender.bodies)) == 300


async def test_a_bug_in_one_delivery_is_not_the_others_matter(db: Database, vault: Vault) -> None:
    sender = Posted(lambda body: RuntimeError("secret") if b'"n":3' in body else 0.0)
    office = office_of(db, vault, sender)
    await filled(office, 5)
    async with running(Courier(db, "a", office.deliveries)):
        await until({"delivered": 4, "failing": 1}, office)
    (broken,) = await office.listed(state="failing")
    assert broken.error == "RuntimeError"


async def test_what_is_under_way_ends_and_what_waits_is_given_back(
    db: Database, vault: Vault
) -> None:
    sender = Posted(lambda _: 0.3)
    office = office_of(db, vault, sender, each=2)
    await filled(office, 6)
    async with running(Courier(db, "a", office.deliveries)) as stop:
        await sender.two.wait()
        stop.set()
    listed = await office.listed()
    assert sorted(each.state for each in listed) == ["delivered"] * 2 + ["waiting"] * 4
    async with db.transaction() as tx:
        (held,) = await tx.execute("SELECT count(*) FROM landbridge.due WHERE owner IS NOT NULL")
    assert held[0] == 0


async def test_what_does_not_end_in_time_is_given_back_at_no_attempt_s_cost(
    db: Database, vault: Vault
) -> None:
    sender = Posted(lambda _: 60.0)
    office = office_of(db, vault, sender)
    await filled(office, 2)
    courier = Courier(db, "a", office.deliveries, drain=timedelta(milliseconds=100))
    async with running(courier) as stop:
        await sender.two.wait()
        stop.set()
    assert {(each.state, each.attempts) for each in await office.listed()} == {("waiting", 0)}
    assert len(await office.claim()) == 2


async def test_a_post_that_outlasts_the_lease_is_not_made_twice(db: Database, vault: Vault) -> None:
    sender = Posted(lambda _: 1.5)
    office = office_of(db, vault, sender)
    await filled(office, 3)
    lease = timedelta(milliseconds=400)
    async with (
        running(Courier(db, "a", office.deliveries, lease=lease)),
        running(Courier(db, "b", office.deliveries, lease=lease)),
    ):
        await until({"delivered": 3}, office)
    assert len(sender.bodies) == 3


async def test_one_that_wakes_past_its_leases_begins_nothing(db: Database, vault: Vault) -> None:
    """Its process stands still while another delivers: nothing renews, nothing is posted."""
    sender = Posted(lambda _: 0.0)
    office = office_of(db, vault, sender, each=1000)
    await filled(office, 390)
    first = Held(AT_FIRST)
    lease = timedelta(milliseconds=400)
    stuck = Courier(
        db, "a", Deliveries(db, vault, first, each=1000), lease=lease, sleep=forever, cpu=busy
    )
    async with running(stuck):
        await asyncio.wait_for(first.full.wait(), 20)
        async with running(Courier(db, "b", office.deliveries, lease=lease)):
            await until({"delivered": 390}, office)
        first.go.set()
    assert len(first.bodies) == AT_FIRST, "those that were under way"
    assert len(sender.bodies) == 390
    assert {each.attempts for each in await office.listed(most=5000)} == {1}


async def test_what_was_lost_while_it_waits_is_not_begun(db: Database, vault: Vault) -> None:
    """Deliveries that are cancelled are left out, though their leases would last."""
    sender = Held(AT_FIRST)
    office = office_of(db, vault, sender, each=1000)
    await filled(office, 210)
    lease = timedelta(seconds=3)  # renewed at every look, after half a second at the earliest
    courier = Courier(db, "a", office.deliveries, lease=lease, cpu=busy, sleep=briefly)
    async with running(courier):
        await asyncio.wait_for(sender.full.wait(), 20)
        async with db.transaction() as tx:
            await tx.execute("DELETE FROM landbridge.due WHERE kind = 'deliver'")
        await asyncio.sleep(1.0)
        sender.go.set()
    assert len(sender.bodies) == AT_FIRST


async def test_more_posts_are_under_way_where_the_receiver_takes_its_time(
    db: Database, vault: Vault
) -> None:
    sender = Posted(lambda _: 0.5)
    office = office_of(db, vault, sender, each=1000)
    await filled(office, 500)
    async with running(Courier(db, "a", office.deliveries)):
        await until({"delivered": 500}, office)
    assert sender.peak > 250


async def test_a_lane_holds_no_more_than_its_room(db: Database, vault: Vault) -> None:
    sender = Posted(lambda _: 0.05)
    office = office_of(db, vault, sender)
    await filled(office, 40)
    async with running(Courier(db, "a", office.deliveries, {"deliver": 5, "retry": 5})):
        await until({"delivered": 40}, office)
    assert sender.peak <= 5


class Faltering(Deliveries):
    """The database is away at some of the moments in which it is needed."""

    def __init__(self, *given: object, faults: Sequence[str]):
        super().__init__(*given)  # type: ignore[arg-type]
        self.faults = list(faults)

    def _falter(self, moment: str) -> None:
        if moment in self.faults:
            self.faults.remove(moment)
            raise DatabaseUnavailable("away")

    async def begin(self, fresh: Sequence[Parcel]) -> Begun:
        self._falter("begin")
        return await super().begin(fresh)

    async def settle(self, owner: str, tries: Sequence[Try]) -> set[str]:
        self._falter("settle")
        return await super().settle(owner, tries)


@pytest.mark.parametrize("moment", ["begin", "settle"])
async def test_while_the_database_is_away_it_waits(db: Database, vault: Vault, moment: str) -> None:
    sender = Posted(lambda _: 0.0)
    office = office_of(db, vault, sender)
    await filled(office, 3)
    faltering = Faltering(db, vault, sender, faults=[moment] * 3)
    async with running(Courier(db, "a", faltering)):
        await until({"delivered": 3}, office)
    assert faltering.faults == []
    assert len(sender.bodies) == 3


async def test_endpoints_it_no_longer_remembers_are_posted_to(db: Database, vault: Vault) -> None:
    sender = Held(1)
    office = office_of(db, vault, sender)
    await filled(office, 8, endpoints=4)
    deliveries = Deliveries(db, vault, sender, each=1, most=2)
    claims = sorted(await office.claim(), key=lambda each: each.endpoint)
    first, second = claims[::2], claims[1::2]
    begun = (await deliveries.begin(first)).ready
    under_way = asyncio.create_task(deliveries.attempt(begun[0]))
    await asyncio.wait_for(sender.full.wait(), 20)
    for each in second:
        begun += (await deliveries.begin([each])).ready
    assert len(begun) == 8
    async with asyncio.timeout(5):
        held_up = await deliveries.attempt(begun[4])
    assert held_up.error == "the endpoint has enough posts under way"
    sender.go.set()
    ended = [await under_way, *[await deliveries.attempt(each) for each in begun[1:]]]
    assert {each.state for each in ended} == {"delivered"}


async def test_the_lean_sender_delivers_the_same(db: Database, vault: Vault) -> None:
    async with LeanSender(LOCAL, deadline=2) as sender:
        office = Office(db=db, vault=vault, sender=sender)
        await filled(office, 2)  # nobody listens at the port
        async with running(Courier(db, "a", office.deliveries)):
            await until({"failing": 2}, office)
    assert all("no connection" in (each.error or "") for each in await office.listed())
