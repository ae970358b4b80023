"""Deliveries: signed as receivers check it, tried again as the schedule says, never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import standardwebhooks
import svix.webhooks

from landbridge import ids
from landbridge.client.guard import Guard
from landbridge.client.sender import Sender
from landbridge.clock import FakeClock
from landbridge.engine.courier import Courier
from landbridge.engine.posting import LONGEST_RETRY_AFTER, SCHEDULE, next_wait
from landbridge.store import deliveries, endpoints
from landbridge.store.database import Database
from landbridge.testing.receiver import Receiver, Settings
from landbridge.testing.running import in_thread
from landbridge.vault import LocalKey, Vault, new_key
from tests.client.servers import Listener, listening, says
from tests.engine.outbound import LEASE, LOCAL, Office

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    async with Sender(LOCAL, deadline=2) as ready:
        yield ready


@pytest.fixture
def office(db: Database, vault: Vault, sender: Sender) -> Office:
    return Office(db=db, vault=vault, sender=sender)


def answering(status: int, *headers: str) -> Any:
    head = "".join(f"{each}\r\n" for each in headers)
    return listening(says(f"HTTP/1.1 {status} X\r\n{head}content-length: 0\r\n\r\n".encode()))


def received(listener: Listener, place: int = -1) -> tuple[dict[str, str], bytes]:
    head, _, body = listener.requests[place].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


async def only(office: Office) -> deliveries.Delivery:
    (delivery,) = await office.listed()
    return delivery


# What is sent


async def test_receivers_with_the_public_libraries_accept_it(office: Office) -> None:
    async with answering(200) as listener:
        made = await office.endpoint(f"{listener.url}/hook")
        event = await office.emit({"n": 1, "text": "Grüße"})
        assert await office.round() == 1
    headers, body = received(listener)
    standardwebhooks.Webhook(made.secret).verify(body, headers)
    svix.webhooks.Webhook(made.secret).verify(body, headers)
    assert headers["webhook-id"] == event
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "Landbridge-Webhooks"
    delivery = await only(office)
    assert (delivery.state, delivery.attempts, delivery.status) == ("delivered", 1, 200)
    assert (delivery.event, delivery.endpoint) == (event, made.endpoint.id)
    assert (delivery.type, delivery.next_at) == ("invoice.paid", None)


async def test_where_nothing_is_due_nothing_begins(office: Office) -> None:
    assert await office.round() == 0


async def test_a_retry_sends_the_same_bytes_under_the_same_id(
    database_url: str, office: Office
) -> None:
    async with answering(503) as listener:
        made = await office.endpoint(listener.url)
        await office.emit({"n": 1})
        await office.round()
        later = await Database.open(database_url, budget=2, offset="1 minute")
        assert await replace(office, db=later).round() == 1
        await later.close()
    (first, body), (second, again) = received(listener, 0), received(listener, 1)
    assert body == again
    assert first["webhook-id"] == second["webhook-id"]
    standardwebhooks.Webhook(made.secret).verify(again, second)


async def test_bytes_go_out_under_their_content_type(office: Office) -> None:
    async with answering(200) as listener:
        await office.endpoint(listener.url)
        await office.emit(b"a;b\xff\x00", content_type="text/csv; charset=latin-1")
        await office.round()
    headers, body = received(listener)
    assert (headers["content-type"], body) == ("text/csv; charset=latin-1", b"a;b\xff\x00")


async def test_while_a_secret_is_rotated_receivers_with_either_accept(
    db: Database, vault: Vault, sender: Sender
) -> None:
    clock = FakeClock(datetime.now(UTC).replace(microsecond=0))
    office = Office(db=db, vault=vault, sender=sender, clock=clock)
    async with answering(200) as listener:
        made = await office.endpoint(listener.url)
        named = {"environment": "test", "tenant": "acme"}
        fresh = await office.endpoints.rotate_secret(
            made.endpoint.id, **named, overlap=timedelta(minutes=1)
        )
        for advance in (0, 59, 1):
            clock.advance(timedelta(seconds=advance))
            await office.emit()
            await office.round()
    for place in (0, 1):
        headers, body = received(listener, place)
        for secret in (made.secret, fresh):
            standardwebhooks.Webhook(secret).verify(body, headers)
    headers, body = received(listener, 2)
    standardwebhooks.Webhook(fresh).verify(body, headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(made.secret).verify(body, headers)


async def test_secrets_end_by_the_database_s_clock_and_signatures_are_of_the_time_outside(
    database_url: str, office: Office
) -> None:
    async with answering(200) as listener:
        made = await office.endpoint(listener.url)
        named = {"environment": "test", "tenant": "acme"}
        fresh = await office.endpoints.rotate_secret(
            made.endpoint.id, **named, overlap=timedelta(minutes=20)
        )
        for minutes in (0, 10, 20):
            moved = await Database.open(database_url, budget=2, offset=f"{minutes} minutes")
            later = replace(office, db=moved)
            await later.emit()
            await later.round()
            assert (await later.endpoints.ping(made.endpoint.id, **named)).delivered
            await moved.close()
    for place in range(6):  # the library allows five minutes of this machine's clock
        headers, body = received(listener, place)
        standardwebhooks.Webhook(fresh).verify(body, headers)
        signatures = 1 if place >= 4 else 2
        assert headers["webhook-signature"].count("v1,") == signatures


async def test_a_worker_delivers_all_there_is_to_a_receiver_that_verifies(
    office: Office, db: Database
) -> None:
    receiver = Receiver(Settings(endpoints=("shop",)))
    hook = receiver.hooks()["shop"]
    with in_thread(receiver.app) as url:
        await office.endpoints.create(
            environment="test", tenant="acme", url=url + hook["path"], secret=hook["secret"]
        )
        made = {await office.emit({"n": n}) for n in range(50)}
        stop = asyncio.Event()
        courier = Courier(db, "w", office.deliveries, {"deliver": 20, "retry": 5})
        working = asyncio.create_task(courier.run(stop))
        states: set[str] = set()
        while states != {"delivered"}:  # the receiver has it before we know
            await asyncio.sleep(0.02)
            states = {each.state for each in await office.listed()}
        stop.set()
        await working
    entries = receiver.stage.journal.entries
    assert all(entry["verified"] for entry in entries)
    assert {entry["webhook_id"] for entry in entries} == made
    assert {each.state for each in await office.listed()} == {"delivered"}


# When it is tried again


def test_the_schedule_has_ten_tries_over_75_hours() -> None:
    assert len(SCHEDULE) + 1 == 10
    assert sum(SCHEDULE, timedelta()) == timedelta(hours=75)
    assert list(SCHEDULE) == sorted(SCHEDULE)


async def test_ten_tries_are_made_at_their_times_and_the_last_abandons(
    database_url: str, vault: Vault, sender: Sender
) -> None:
    margin = timedelta(seconds=2)  # the test's own time between two rounds
    offset = timedelta()
    tries: list[deliveries.Attempt] = []
    async with answering(500) as listener:
        for number, wait in enumerate((timedelta(), *SCHEDULE), 1):
            offset += wait
            if wait > margin:
                early = await Database.open(
                    database_url, budget=1, offset=f"{(offset - margin).total_seconds()} seconds"
                )
                assert await Office(db=early, vault=vault, sender=sender).claim() == []
                await early.close()
            now = await Database.open(
                database_url, budget=2, offset=f"{offset.total_seconds() + 0.01 * number} seconds"
            )
            office = Office(db=now, vault=vault, sender=sender)
            if number == 1:
                await office.endpoint(listener.url)
                await office.emit()
            assert await office.round() == 1
            delivery = await only(office)
            tries = await office.attempts(delivery.id)
            await now.close()
            assert delivery.attempts == number == len(listener.requests)
    assert [each.number for each in tries] == list(range(1, 11))
    assert [each.outcome for each in tries] == ["failing"] * 9 + ["abandoned"]
    assert {each.status for each in tries} == {500}
    assert tries[-1].error == "HTTP 500; given up after 10 tries"


@pytest.mark.parametrize("before", range(9))
def test_each_wait_is_spread_by_a_tenth(before: int) -> None:
    step = SCHEDULE[before]
    assert next_wait(before, 0.0, None, NOW) == step * 0.9
    assert next_wait(before, 0.5, None, NOW) == step
    assert next_wait(before, 1.0, None, NOW) == step * 1.1


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("120", timedelta(seconds=120)),
        ("0", SCHEDULE[0]),
        ("1", SCHEDULE[0]),
        (format_datetime(NOW + timedelta(hours=1), usegmt=True), timedelta(hours=1)),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), SCHEDULE[0]),
        ("315360000", LONGEST_RETRY_AFTER),
        (format_datetime(NOW + timedelta(days=3650), usegmt=True), LONGEST_RETRY_AFTER),
        ("-5", SCHEDULE[0]),
        ("soon", SCHEDULE[0]),
        ("", SCHEDULE[0]),
        ("9" * 400, LONGEST_RETRY_AFTER),
        (None, SCHEDULE[0]),
    ],
)
def test_retry_after_lengthens_a_wait_up_to_six_hours(asked: str | None, wait: timedelta) -> None:
    assert next_wait(0, 0.5, asked, NOW) == wait


def test_retry_after_never_shortens_a_wait() -> None:
    assert next_wait(8, 0.5, "60", NOW) == SCHEDULE[8]


async def test_what_a_receiver_asks_for_is_kept_to(office: Office) -> None:
    async with answering(429, "retry-after: 3600") as listener:
        await office.endpoint(listener.url)
        await office.emit()
        await office.round()
    delivery = await only(office)
    assert (delivery.state, delivery.error) == ("failing", "HTTP 429")
    (tried,) = await office.attempts(delivery.id)
    assert tried.retry_at is not None
    assert tried.retry_at - tried.at == timedelta(hours=1)
    assert delivery.next_at == tried.retry_at


# How it fails


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, "HTTP 302: redirects are not followed"),
        (308, "HTTP 308: redirects are not followed"),
        (400, "HTTP 400"),
        (404, "HTTP 404"),
        (503, "HTTP 503"),
    ],
)
async def test_what_is_no_2xx_is_a_failure(office: Office, status: int, error: str) -> None:
    async with answering(status, "location: http://127.0.0.1:1/") as listener:
        await office.endpoint(listener.url)
        await office.emit()
        await office.round()
        assert listener.connects == 1
    delivery = await only(office)
    assert (delivery.state, delivery.error) == ("failing", error)
    (tried,) = await office.attempts(delivery.id)
    assert (tried.outcome, tried.status, tried.error) == ("failing", status, error)


async def test_no_answer_is_a_failure_without_a_status(office: Office) -> None:
    async with listening() as listener:
        await office.endpoint(listener.url)
    await office.emit()
    await office.round()
    (tried,) = await office.attempts((await only(office)).id)
    assert (tried.outcome, tried.status) == ("failing", None)
    assert tried.error is not None
    assert "no connection" in tried.error


async def test_an_address_that_became_private_is_not_posted_to(
    office: Office, db: Database, vault: Vault
) -> None:
    async with listening() as listener:
        await office.endpoint(listener.url)
        await office.emit()
        async with Sender(Guard()) as strict:
            await Office(db=db, vault=vault, sender=strict).round()
        assert listener.connects == 0
    delivery = await only(office)
    assert delivery.state == "failing"
    assert "which is loopback" in (delivery.error or "")


async def test_410_disables_the_endpoint_and_ends_its_deliveries(office: Office) -> None:
    async with answering(410) as listener:
        made = await office.endpoint(listener.url)
        await office.emit({"n": 1})
        await office.emit({"n": 2})
        (first, second) = await office.claim()
        assert await office.settle(await office.run([first])) == 1
        assert await office.settle(await office.run([second])) == 1
        assert listener.connects == 1
        await office.emit({"n": 3})
    found = await office.endpoints.get(made.endpoint.id, environment="test", tenant="acme")
    assert (found.state, found.reason) == ("disabled", "it answered 410 Gone")
    listed = await office.listed()
    assert {each.state for each in listed} == {"abandoned"}
    assert {each.error for each in listed} == {
        "HTTP 410: the endpoint is gone",
        "the endpoint is disabled: it answered 410 Gone",
    }


async def test_410_does_not_disable_an_endpoint_that_moved_meanwhile(office: Office) -> None:
    named = {"environment": "test", "tenant": "acme"}
    async with answering(410) as old, answering(200) as new:
        made = await office.endpoint(old.url)
        await office.emit()
        claims = await office.claim()
        (tried,) = await office.run(claims)
        await office.endpoints.update(
            made.endpoint.id, environment="test", tenant="acme", url=new.url
        )
        await office.settle([tried])
    assert (tried.state, tried.gone) == ("abandoned", True)
    assert (await office.endpoints.get(made.endpoint.id, **named)).state == "enabled"


@pytest.mark.parametrize("what", ["disabled", "deleted"])
async def test_deliveries_of_an_endpoint_that_is_off_are_abandoned_with_the_reason(
    office: Office, what: str
) -> None:
    named = {"environment": "test", "tenant": "acme"}
    async with answering(200) as listener:
        made = await office.endpoint(listener.url)
        await office.emit()
        if what == "disabled":
            await office.endpoints.disable(made.endpoint.id, **named, reason="too slow")
        else:
            await office.endpoints.delete(made.endpoint.id, **named)
        await office.round()
        assert listener.connects == 0
    delivery = await only(office)
    reason = {
        "disabled": "the endpoint is disabled: too slow",
        "deleted": "the endpoint was deleted",
    }
    assert (delivery.state, delivery.error, delivery.status) == ("abandoned", reason[what], None)


async def test_a_delivery_whose_event_is_no_longer_kept_is_abandoned(office: Office) -> None:
    async with answering(200) as listener:
        await office.endpoint(listener.url)
        await office.emit()
        async with office.db.transaction() as tx:
            await tx.execute("DELETE FROM landbridge.event")
        await office.round()
        assert listener.connects == 0
    delivery = await only(office)
    assert (delivery.state, delivery.error) == ("abandoned", "the event is no longer kept")


async def test_while_the_vault_does_not_open_no_attempt_is_spent(
    office: Office, db: Database, sender: Sender
) -> None:
    async with answering(200) as listener:
        await office.endpoint(listener.url)
        await office.emit()
        sealed = Vault(db, LocalKey.from_text(new_key()))
        await Office(db=db, vault=sealed, sender=sender).round()
        assert listener.connects == 0
    delivery = await only(office)
    assert (delivery.state, delivery.attempts) == ("waiting", 0)
    assert "another key" in (delivery.error or "")
    assert await office.attempts(delivery.id) == []


# Who may settle


async def test_a_worker_that_lost_its_lease_settles_nothing(
    database_url: str, office: Office, vault: Vault, sender: Sender
) -> None:
    async with answering(200) as listener:
        await office.endpoint(listener.url)
        await office.emit()
        slow = await office.claim(owner="slow")
        ended = await office.run(slow)
        db = await Database.open(database_url, budget=2, offset="16 seconds")
        other = Office(db=db, vault=vault, sender=sender, owner="other")
        assert await other.round() == 1
        assert await office.deliveries.settle("slow", ended) == {ended[0].parcel.id}
        await db.close()
        assert len(listener.requests) == 2
    (tried,) = await office.attempts((await only(office)).id)
    assert (tried.number, tried.outcome) == (1, "delivered")


async def test_a_settle_holds_only_for_its_own_fence(
    database_url: str, office: Office, vault: Vault, sender: Sender
) -> None:
    """The same owner, which had lost the row and claimed it again."""
    async with answering(500) as listener:
        await office.endpoint(listener.url)
        await office.emit()
        before = await office.run(await office.claim())
        db = await Database.open(database_url, budget=2, offset="16 seconds")
        again = Office(db=db, vault=vault, sender=sender)
        claims = await again.claim()
        assert await again.settle(before) == 0
        assert await again.settle(await again.run(claims)) == 1
        await db.close()
    assert len(await office.attempts((await only(office)).id)) == 1


async def test_a_settle_that_is_repeated_counts_once(office: Office) -> None:
    """As after a connection that broke before the answer to the first came."""
    async with answering(500) as bad, answering(200) as good:
        await office.endpoint(bad.url)
        await office.endpoint(good.url)
        await office.emit()
        ended = await office.run(await office.claim())
        assert await office.settle(ended) == 2
        assert await office.settle(ended) == 0
    for delivery in await office.listed():
        assert [each.number for each in await office.attempts(delivery.id)] == [1]


async def test_one_batch_settles_every_outcome(office: Office) -> None:
    async with answering(200) as good, answering(500) as bad, answering(410) as gone:
        for listener in (good, bad, gone):
            await office.endpoint(listener.url)
        await office.emit()
        assert await office.round() == 3
    states = sorted((each.state, each.attempts) for each in await office.listed())
    assert states == [("abandoned", 1), ("delivered", 1), ("failing", 1)]
    for state in ("abandoned", "delivered", "failing"):
        (one,) = await office.listed(state=state)
        assert one.state == state
    assert await office.listed(state="waiting") == []


# Endpoints that are slow


async def test_what_is_over_an_endpoint_s_share_waits_its_turn_without_an_attempt(
    db: Database, vault: Vault, sender: Sender
) -> None:
    office = Office(db=db, vault=vault, sender=sender, each=2)
    async with listening(says(b"", every=60)) as hanging, answering(200) as good:
        await office.endpoint(hanging.url)
        for n in range(5):
            await office.emit({"n": n})
        await office.endpoint(good.url, tenant="other")
        for n in range(2):
            await office.emit({"n": n}, tenant="other")
        ended = await office.run(await office.claim())
        assert (hanging.connects, len(good.requests)) == (2, 2)
    waiting = [each for each in ended if each.state is None]
    assert len(waiting) == 3
    turns = [each.after for each in waiting]
    assert turns == sorted(turns)
    assert timedelta() < turns[0] < turns[2] <= timedelta(seconds=60)
    await office.settle(ended)
    states = [each.attempts for each in await office.listed(tenant="acme")]
    assert sorted(states) == [0, 0, 0, 1, 1]


async def test_a_turn_is_given_back_however_a_post_ends(
    db: Database, vault: Vault, sender: Sender
) -> None:
    office = Office(db=db, vault=vault, sender=sender, each=1)
    async with answering(500) as listener:
        await office.endpoint(listener.url)
        for n in range(3):
            await office.emit({"n": n})
        for claim in await office.claim():
            (ended,) = await office.run([claim])
            assert ended.state == "failing"
    assert len(listener.requests) == 3


# Deliveries as people see and repeat them


async def redeliver(office: Office, delivery: str, *, tenant: str = "acme") -> bool:
    async with office.db.transaction() as tx:
        return await deliveries.redeliver(tx, environment="test", tenant=tenant, id=delivery)


async def test_a_delivery_that_ended_is_begun_anew_with_all_its_tries(
    database_url: str, office: Office, vault: Vault, sender: Sender
) -> None:
    async with answering(200) as listener:
        await office.endpoint(listener.url)
        await office.emit()
        await office.round()
        delivery = await only(office)
        assert await redeliver(office, delivery.id)
        begun = await only(office)
        assert (begun.state, begun.attempts) == ("waiting", 1)
        await office.round()
        assert len(listener.requests) == 2
    tries = await office.attempts(delivery.id)
    assert [(each.number, each.outcome) for each in tries] == [(1, "delivered"), (2, "delivered")]
    again = await only(office)
    assert (again.id, again.state, again.attempts) == (delivery.id, "delivered", 2)
    assert await redeliver(office, delivery.id)
    await office.round()  # now nobody listens: the schedule begins from its first step
    tries = await office.attempts(delivery.id)
    assert (tries[2].number, tries[2].outcome) == (3, "failing")
    assert tries[2].retry_at is not None
    assert tries[2].retry_at - tries[2].at == SCHEDULE[0]


async def test_a_waiting_delivery_is_brought_forward_and_one_under_way_left_alone(
    office: Office,
) -> None:
    async with answering(500) as listener:
        await office.endpoint(listener.url)
        await office.emit()
        await office.round()
        assert await office.claim() == []
        delivery = await only(office)
        assert await redeliver(office, delivery.id)
        (claim,) = await office.claim()
        assert await redeliver(office, delivery.id)
        assert await office.claim() == []
        await office.settle(await office.run([claim]))
    assert [each.number for each in await office.attempts(delivery.id)] == [1, 2]


async def test_a_delivery_of_another_tenant_or_of_nobody_is_not_begun(office: Office) -> None:
    async with answering(200) as listener:
        await office.endpoint(listener.url)
        await office.emit()
        await office.round()
    delivery = await only(office)
    assert not await redeliver(office, delivery.id, tenant="other")
    assert not await redeliver(office, ids.new("dlv"))
    assert not await redeliver(office, "dlv_nonsense")
    assert (await only(office)).state == "delivered"


async def test_deliveries_are_found_by_id_tenant_event_endpoint_and_state(office: Office) -> None:
    async with answering(200) as listener:
        first = await office.endpoint(listener.url)
        second = await office.endpoint(listener.url)
        event = await office.emit({"n": 1})
        await office.round()
        other = await office.emit({"n": 2})
    listed = await office.listed()
    assert [each.event for each in listed] == [other, other, event, event]
    assert {each.state for each in await office.listed(event=other)} == {"waiting"}
    assert {each.endpoint for each in await office.listed(endpoint=first.endpoint.id)} == {
        first.endpoint.id
    }
    assert len(await office.listed(state="delivered", endpoint=second.endpoint.id)) == 1
    assert await office.listed(tenant="other") == []
    assert await office.listed(environment="live") == []
    assert len(await office.listed(most=3)) == 3
    for each in listed:
        assert await deliveries.by_id(office.db, environment="test", id=each.id) == each
    assert await deliveries.by_id(office.db, environment="live", id=listed[0].id) is None
    assert await deliveries.by_id(office.db, environment="test", id="dlv_x") is None


async def test_a_claim_is_for_a_lease_that_others_respect(office: Office) -> None:
    async with answering(200) as listener:
        await office.endpoint(listener.url)
        await office.emit()
        (claim,) = await office.claim()
        async with office.db.transaction() as tx:
            (row,) = await tx.execute("SELECT due_at FROM landbridge.due")
        assert row["due_at"] - claim.claimed_at == LEASE
        assert await office.claim(owner="other") == []
        assert listener.connects == 0


async def test_no_secret_and_no_url_is_in_a_parcel_s_repr(office: Office) -> None:
    async with answering(200) as listener:
        made = await office.endpoint(f"{listener.url}/canary-path")
        await office.emit({"canary": "canary"})
        claims = await office.claim()
        begun = await office.deliveries.begin(claims)
    found = await endpoints.one(office.db, environment="test", tenant="acme", id=made.endpoint.id)
    for shown in (repr(begun), repr(begun.ready[0].to), repr(found), repr(made)):
        assert "canary" not in shown
        assert made.secret not in shown
