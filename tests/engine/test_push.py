"""Pushes: one effect per intent, refusals with the provider's words, both against real answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime

import httpx2
import pytest

from landbridge.client import Client
from landbridge.engine import push
from landbridge.engine.connect import base_of, connect
from landbridge.engine.pull import Puller, stream_of
from landbridge.engine.push import Pusher
from landbridge.errors import InvalidInput, OutcomeUnknown
from landbridge.models import Model, read_json
from landbridge.models.calendar import Event, Moment
from landbridge.models.payments import Customer, Invoice, InvoiceStatus, Refund
from landbridge.providers import get
from landbridge.store import connections, intents, records
from landbridge.store.bind import bind
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.intents import Intent
from landbridge.store.sql import Sql
from landbridge.testing.caldav import Settings as CalendarSettings
from landbridge.testing.caldav import Simulator as CalendarSimulator
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.testing.stripe import KEY, Amounts, Settings, Simulator
from landbridge.vault import Vault
from tests.engine.conftest import free

SUBJECT = Sql(
    "tests.subject",
    "SELECT subject FROM lb.intent WHERE id = :id",
    across="A test looks at one row by its id.",
)
AMOUNTS = Amounts(
    customers=2, products=3, subscriptions=0, invoices=2, refunds=0, payment_intents=2
)


@pytest.fixture
def stripe() -> Iterator[Control]:
    with in_thread(Simulator(Settings(seed=7, amounts=AMOUNTS)).app) as url, Control(url) as sim:
        yield sim


@pytest.fixture
async def shop(db: Database, vault: Vault, client: Client, stripe: Control) -> Connection:
    joined = await connect(
        db,
        vault,
        client,
        get("stripe"),
        environment="test",
        tenant="acme",
        credentials={"key": KEY},
        settings={"base": stripe.url},
    )
    return joined.connection


@pytest.fixture
def pusher(db: Database, client: Client) -> Pusher:
    return Pusher(
        db,
        client,
        provider=get,
        base=lambda provider, connection: base_of(provider, connection.settings),
    )


async def promise(
    db: Database,
    to: Connection,
    document: Model,
    action: str | None = None,
    subject: str | None = None,
) -> Intent:
    async with db.transaction() as tx:
        bound = bind(tx, db.schema)
        made = await push.promise(
            bound, get(to.provider), document, to=to, action=action, subject=subject
        )
    intent = await intents.one(db, environment=to.environment, tenant=to.tenant, id=made)
    assert intent is not None
    return intent


async def again(db: Database, intent: Intent) -> Intent:
    found = await intents.one(
        db, environment=intent.environment, tenant=intent.tenant, id=intent.id
    )
    assert found is not None
    return found


def customers(stripe: Control) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = stripe.get("objects/customers")["objects"]
    return listed


async def subject_of(db: Database, intent: Intent) -> str | None:
    found: str | None = await db.value(SUBJECT, id=intent.id)
    return found


async def test_an_intent_names_the_person_it_is_about(db: Database, shop: Connection) -> None:
    known = await promise(db, shop, Customer(id="cus_1", name="Ada"))
    assert await subject_of(db, known) == "cus_1"
    invoice = Invoice(customer="cus_2", currency="EUR", status=InvoiceStatus.DRAFT)
    assert await subject_of(db, await promise(db, shop, invoice)) == "cus_2"
    assert await subject_of(db, await promise(db, shop, Customer(name="Ada"))) is None
    named = await promise(db, shop, Customer(name="Ada"), subject="user-17")
    assert await subject_of(db, named) == "user-17"


async def test_a_document_without_an_id_is_created_and_read_back(
    db: Database, shop: Connection, pusher: Pusher, stripe: Control
) -> None:
    intent = await promise(db, shop, Customer(name="Ada", email="ada@example.com"))
    done = await pusher.run(intent, hold=free)
    assert done.state == "done"
    (made,) = [one for one in customers(stripe) if one["name"] == "Ada"]
    held = await records.one(db, stream_of(shop, "customer"), done.key or "")
    assert made["id"] == done.key
    assert held is not None
    assert held.unified is not None
    assert held.unified["email"] == "ada@example.com"


async def test_a_lost_answer_is_asked_for_again_and_makes_one_object(
    db: Database, shop: Connection, pusher: Pusher, stripe: Control
) -> None:
    intent = await promise(db, shop, Customer(name="Ada"))
    stripe.post("faults", kind="drop", method="POST", path="/v1/customers", after=True, times=None)
    with pytest.raises(OutcomeUnknown):
        await pusher.run(intent, hold=free)
    assert (await again(db, intent)).state == "waiting"
    stripe.delete("faults")
    done = await pusher.run(await again(db, intent), hold=free)
    assert done.state == "done"
    assert len([one for one in customers(stripe) if one["name"] == "Ada"]) == 1


async def test_a_settled_intent_is_not_sent_again(
    db: Database, shop: Connection, pusher: Pusher, stripe: Control
) -> None:
    intent = await promise(db, shop, Customer(name="Ada"))
    await pusher.run(intent, hold=free)
    before = len(customers(stripe))
    assert (await pusher.run(await again(db, intent), hold=free)).state == "done"
    assert len(customers(stripe)) == before


async def test_two_intents_with_equal_contents_make_two_objects(
    db: Database, shop: Connection, pusher: Pusher, stripe: Control
) -> None:
    for _ in range(2):
        await pusher.run(await promise(db, shop, Customer(name="Twin")), hold=free)
    assert len([one for one in customers(stripe) if one["name"] == "Twin"]) == 2


async def test_an_update_sends_only_what_differs(
    db: Database, shop: Connection, pusher: Pusher, puller: Puller, stripe: Control
) -> None:
    await puller.run(shop, "customer", hold=free)
    first = customers(stripe)[0]
    held = await records.one(db, stream_of(shop, "customer"), str(first["id"]))
    assert held is not None
    changed = {**(held.unified or {}), "name": "Renamed"}
    intent = await promise(db, shop, read_json(Customer, changed))
    assert (await pusher.run(intent, hold=free)).state == "done"
    (after,) = [one for one in customers(stripe) if one["id"] == first["id"]]
    assert after["name"] == "Renamed"
    assert after["email"] == first["email"]
    sent = [
        one
        for one in stripe.get("journal")["entries"]
        if one["method"] == "POST" and one["path"].startswith("/v1/customers/")
    ]
    assert [sorted(one["params"]) for one in sent] == [["metadata", "name"]]  # and our mark


async def test_a_refusal_ends_the_intent_with_the_provider_s_words(
    db: Database, shop: Connection, pusher: Pusher
) -> None:
    refund = Refund(amount=100, currency="USD", attempt="ch_nobody")
    done = await pusher.run(await promise(db, shop, refund), hold=free)
    assert done.state == "refused"
    intent = await again(db, await promise(db, shop, refund))
    await pusher.run(intent, hold=free)
    assert "ch_nobody" in (await again(db, intent)).reason


async def test_nothing_is_sent_over_a_connection_that_was_disconnected(
    db: Database, shop: Connection, pusher: Pusher, stripe: Control
) -> None:
    intent = await promise(db, shop, Customer(name="Ada"))
    await connections.set_state(db, shop, "revoked", "by the tenant")
    before = len(customers(stripe))
    assert (await pusher.run(intent, hold=free)).state == "refused"
    assert (await again(db, intent)).reason == "the connection was disconnected"
    assert len(customers(stripe)) == before


async def test_what_cannot_be_written_is_refused_when_it_is_promised(
    db: Database, shop: Connection
) -> None:
    for document, action, sentence in [
        (
            Event(title="x", start=Moment(day=date(2026, 1, 1))),
            None,
            "nothing to create from calendar.event",
        ),
        (Customer(name="x"), "delete", "has none; set the provider's id"),
        (Customer(name="x"), "upsert", "is none of create, update, delete"),
    ]:
        with pytest.raises(InvalidInput, match=sentence):
            await promise(db, shop, document, action)


async def test_an_intent_that_was_rolled_back_is_no_intent(db: Database, shop: Connection) -> None:
    made: list[str] = []

    async def fails() -> None:
        async with db.transaction() as tx:
            made.append(
                await push.promise(
                    bind(tx, db.schema), get("stripe"), Customer(name="Ghost"), to=shop
                )
            )
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    assert await intents.one(db, environment="test", tenant="acme", id=made[0]) is None


@pytest.fixture
def calendars() -> Iterator[Control]:
    simulator = CalendarSimulator(CalendarSettings(seed=3, events=5))
    with in_thread(simulator.app) as url, Control(url) as sim:
        yield sim


@pytest.fixture
async def diary(
    db: Database, vault: Vault, client: Client, puller: Puller, calendars: Control
) -> Connection:
    joined = await connect(
        db,
        vault,
        client,
        get("caldav"),
        environment="test",
        tenant="acme",
        credentials={"username": "user", "password": "password", "url": calendars.url},
        settings={},
    )
    for resource in ("calendar", "VEVENT"):
        await puller.run(joined.connection, resource, hold=free)
    return joined.connection


async def test_an_event_lives_from_its_creation_to_its_deletion(
    db: Database, diary: Connection, pusher: Pusher, puller: Puller
) -> None:
    stream = stream_of(diary, "VEVENT")
    (calendar,) = await records.read(db, stream_of(diary, "calendar"))
    nine = datetime(2026, 3, 28, 9, 0)  # noqa: DTZ001 - a wall clock's time, its zone beside it
    at = Moment(local=nine, zone="Europe/Berlin")
    event = Event(title="Launch", start=at, uid="launch@example.com", calendar=calendar.key)
    made = await pusher.run(await promise(db, diary, event), hold=free)
    assert made.state == "done"
    held = await records.one(db, stream, made.key or "")
    assert held is not None
    stored = read_json(Event, held.unified or {})
    assert (stored.title, stored.start) == ("Launch", at)
    renamed = read_json(Event, {**(held.unified or {}), "title": "Lift-off"})
    assert (await pusher.run(await promise(db, diary, renamed), hold=free)).state == "done"
    held = await records.one(db, stream, made.key or "")
    assert held is not None
    assert (held.unified or {})["title"] == "Lift-off"
    assert (await puller.run(diary, "VEVENT", hold=free)).changed == 0
    gone = await pusher.run(await promise(db, diary, stored, "delete"), hold=free)
    assert gone.state == "done"
    held = await records.one(db, stream, made.key or "")
    assert held is not None
    assert held.deleted_at is not None


def text_at(calendars: Control, href: str) -> str:
    (found,) = [one for one in calendars.get("objects/calendar")["objects"] if one["href"] == href]
    text: str = found["text"]
    return text


async def test_an_event_that_changed_there_first_is_a_conflict_and_is_not_overwritten(
    db: Database, diary: Connection, pusher: Pusher, calendars: Control
) -> None:
    held, *_ = await records.read(db, stream_of(diary, "VEVENT"))
    ours = read_json(Event, {**(held.unified or {}), "title": "Ours"})
    intent = await promise(db, diary, ours)
    theirs = re.sub(r"SUMMARY:[^\r\n]*", "SUMMARY:Theirs", text_at(calendars, held.key))
    name = held.key.rsplit("/", 1)[-1]
    httpx2.put(f"{calendars.url}/_sim/objects/calendar/{name}", json={"text": theirs})
    assert (await pusher.run(intent, hold=free)).state == "conflict"
    assert "changed there first" in (await again(db, intent)).reason
    assert "SUMMARY:Theirs" in text_at(calendars, held.key)
