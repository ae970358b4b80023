"""Pulls against the Stripe simulator: whole, incremental, resumed, unread, deleted, refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from landbridge.client import Client
from landbridge.engine.connect import Connected, connect
from landbridge.engine.missing import GUARD_LEAST
from landbridge.engine.now import pull_now
from landbridge.engine.pull import Puller, stream_of
from landbridge.engine.replay import discard, replay
from landbridge.errors import InvalidInput, ReconnectRequired, Unreachable
from landbridge.providers import get
from landbridge.store import connections, due, parked, records, syncs
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from landbridge.store.sql import Sql
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.testing.stripe import KEY, Amounts, Settings, Simulator
from landbridge.vault import Vault
from tests.engine.conftest import free

AMOUNTS = Amounts(
    customers=250, products=3, subscriptions=3, invoices=30, refunds=2, payment_intents=2
)
WRITES = Sql(
    "tests.record_versions",
    "SELECT key, xmin::text FROM lb.record ORDER BY key",
    across="A test looks at everything.",
)


@pytest.fixture
def stripe() -> Iterator[Control]:
    with in_thread(Simulator(Settings(seed=7, amounts=AMOUNTS)).app) as url, Control(url) as sim:
        yield sim


async def join(
    db: Database,
    vault: Vault,
    client: Client,
    url: str,
    *,
    key: str = KEY,
    environment: str = "test",
) -> Connected:
    return await connect(
        db,
        vault,
        client,
        get("stripe"),
        environment=environment,
        tenant="acme",
        credentials={"key": key},
        settings={"base": url},
    )


@pytest.fixture
async def joined(db: Database, vault: Vault, client: Client, stripe: Control) -> Connected:
    return await join(db, vault, client, stripe.url)


async def present(db: Database, joined: Connected, resource: str) -> dict[str, object]:
    stream = stream_of(joined.connection, resource)
    held = await records.read(db, stream, most=10_000)
    return {record.key: record.unified for record in held}


async def ordered(db: Database) -> list[Claimed]:
    """The look-ups that are due."""
    claims = await due.claim(
        db, owner="t", lanes=["pull"], limit=999, per_shard=999, lease=timedelta(minutes=1)
    )
    return [claim for claim in claims if claim.kind == "fetch"]


def there(stripe: Control, collection: str) -> set[str]:
    return {one["id"] for one in stripe.get(f"objects/{collection}")["objects"]}


async def test_everything_is_pulled_and_the_second_pull_writes_nothing(
    db: Database, puller: Puller, joined: Connected, stripe: Control
) -> None:
    totals = await puller.run(joined.connection, "customer", hold=free)
    assert set(await present(db, joined, "customer")) == there(stripe, "customers")
    assert totals.changed == len(there(stripe, "customers"))
    before = await db.fetch(WRITES)
    again = await puller.run(joined.connection, "customer", hold=free)
    assert (again.changed, again.gone) == (0, 0)
    assert await db.fetch(WRITES) == before


async def test_what_changed_there_is_followed(
    db: Database, puller: Puller, joined: Connected, stripe: Control
) -> None:
    await puller.run(joined.connection, "customer", hold=free)
    first, second, *_ = sorted(there(stripe, "customers"))
    stripe.patch(f"objects/customers/{first}", set={"name": "Ada Lovelace"})
    stripe.delete(f"objects/customers/{second}")
    stripe.post("objects/customers", name="New", email="new@example.com")
    totals = await puller.run(joined.connection, "customer", hold=free)
    held = await present(db, joined, "customer")
    assert set(held) == there(stripe, "customers")
    assert held[first]["name"] == "Ada Lovelace"  # type: ignore[index]
    assert totals.changed == 2
    assert totals.gone == 1


async def test_a_pull_that_dies_goes_on_behind_its_last_page(
    db: Database, puller: Puller, joined: Connected, stripe: Control
) -> None:
    pages = 0

    async def dies(_tx: Tx) -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await puller.run(joined.connection, "customer", hold=dies)
    kept = await present(db, joined, "customer")
    assert 0 < len(kept) < len(there(stripe, "customers"))
    totals = await puller.run(joined.connection, "customer", hold=free)
    assert set(await present(db, joined, "customer")) == there(stripe, "customers")
    assert totals.changed == len(there(stripe, "customers")) - len(kept)
    runs = await syncs.runs(db, environment="test", tenant="acme", connection=joined.connection.id)
    assert [run.state for run in runs] == ["done", "cancelled"]


async def test_a_record_that_cannot_be_read_is_parked_and_the_rest_goes_on(
    db: Database, puller: Puller, joined: Connected, stripe: Control
) -> None:
    bad, *_ = sorted(there(stripe, "invoices"))
    undo = stripe.patch(f"objects/invoices/{bad}", set={"currency": None}, event=False)
    totals = await puller.run(joined.connection, "invoice", hold=free)
    assert totals.parked == 1
    assert set(await present(db, joined, "invoice")) == there(stripe, "invoices") - {bad}
    (held,) = await parked.every(db, environment="test")
    assert held.key == bad
    assert "currency" in held.reason
    assert held.raw is not None
    still = await puller.replay(held, hold=free)
    assert still.parked == 1
    currency = undo["before"]["currency"]
    stripe.patch(f"objects/invoices/{bad}", set={"currency": currency}, event=False)
    assert (await puller.replay(held, hold=free)).changed == 1
    assert await parked.every(db, environment="test") == []
    assert set(await present(db, joined, "invoice")) == there(stripe, "invoices")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}},
        {"kind": "status", "status": 500},
        {"kind": "drop"},
    ],
)
async def test_a_passing_failure_is_passed_over(
    db: Database, puller: Puller, joined: Connected, stripe: Control, fault: dict[str, object]
) -> None:
    stripe.post("faults", path="/v1/customers*", times=2, skip=1, **fault)
    await puller.run(joined.connection, "customer", hold=free)
    assert set(await present(db, joined, "customer")) == there(stripe, "customers")


async def test_a_failure_that_stays_ends_the_run_with_its_reason_and_keeps_the_pages(
    db: Database, puller: Puller, joined: Connected, stripe: Control
) -> None:
    stripe.post("faults", kind="status", path="/v1/customers*", times=None, skip=2)
    with pytest.raises(Unreachable):
        await puller.run(joined.connection, "customer", hold=free)
    (run,) = await syncs.runs(
        db, environment="test", tenant="acme", connection=joined.connection.id
    )
    assert run.state == "failed"
    assert "500" in run.reason
    assert len(await present(db, joined, "customer")) == 200


async def test_half_an_answer_changes_nothing(
    db: Database, puller: Puller, joined: Connected, stripe: Control
) -> None:
    stripe.post("faults", kind="truncate", path="/v1/customers*", times=None)
    with pytest.raises(Exception, match=r"JSON|answer"):
        await puller.run(joined.connection, "customer", hold=free)
    assert await present(db, joined, "customer") == {}


async def test_a_key_that_was_withdrawn_asks_for_reconnecting(
    db: Database, vault: Vault, client: Client, puller: Puller, joined: Connected, stripe: Control
) -> None:
    stripe.post("keys", accept=["sk_test_other"])
    with pytest.raises(ReconnectRequired):
        await puller.run(joined.connection, "customer", hold=free)
    held = await connections.by_id(db, environment="test", id=joined.connection.id)
    assert held is not None
    assert held.state == "needs_reauth"
    again = await join(db, vault, client, stripe.url, key="sk_test_other")
    assert (again.new, again.connection.id) == (False, joined.connection.id)
    assert again.connection.state == "active"
    await puller.run(again.connection, "customer", hold=free)


async def test_a_pull_that_finds_nothing_new_waits_for_nobody_who_stores(
    db: Database, puller: Puller, joined: Connected
) -> None:
    first = await puller.run(joined.connection, "product", hold=free)
    stream = stream_of(joined.connection, "product")
    async with db.transaction() as tx:
        await tx.execute("UPDATE landbridge.sync SET cursor = '{}'")
    async with db.transaction() as storing:
        await records.turn(storing, stream)
        run = puller.run(joined.connection, "product", hold=free)
        again = await asyncio.wait_for(run, 30)
    assert (again.seen, again.changed) == (first.seen, 0)


async def test_an_empty_listing_deletes_nothing_by_itself(
    db: Database, puller: Puller, joined: Connected, stripe: Control
) -> None:
    await puller.run(joined.connection, "customer", hold=free)
    stream = stream_of(joined.connection, "customer")
    async with db.transaction() as tx:
        await syncs.step(tx, stream, "", cursor={}, reading="")
        await tx.execute("UPDATE landbridge.sync SET cursor = NULL")
    stripe.post("faults", kind="empty", path="/v1/customers*", times=None)
    totals = await puller.run(joined.connection, "customer", hold=free)
    assert totals.missing == ()
    assert len(there(stripe, "customers")) > GUARD_LEAST
    assert set(await present(db, joined, "customer")) == there(stripe, "customers")
    (held,) = await parked.every(db, environment="test", what="listing")
    assert "missing from a full listing" in held.reason
    gone, *_ = sorted(there(stripe, "customers"))
    stripe.delete("faults")
    stripe.delete(f"objects/customers/{gone}", event="false")
    told = await replay(db, puller, [], held)
    assert told == f"{len(there(stripe, 'customers')) + 1} records are looked up one by one"
    for claim in await ordered(db):
        await puller.one(joined.connection, "customer", claim.args["key"], hold=free)
    assert set(await present(db, joined, "customer")) == there(stripe, "customers")
    assert await parked.every(db, environment="test") == []


async def test_a_listing_that_is_not_believed_can_be_dismissed(
    db: Database, puller: Puller, joined: Connected, stripe: Control
) -> None:
    await puller.run(joined.connection, "customer", hold=free)
    async with db.transaction() as tx:
        await tx.execute("UPDATE landbridge.sync SET cursor = NULL")
    stripe.post("faults", kind="empty", path="/v1/customers*", times=None)
    await puller.run(joined.connection, "customer", hold=free)
    (held,) = await parked.every(db, environment="test", what="listing")
    await discard(db, held)
    assert await parked.every(db, environment="test") == []
    assert await ordered(db) == []
    assert set(await present(db, joined, "customer")) == there(stripe, "customers")


async def test_a_few_missing_ones_are_asked_for_before_they_are_deleted(
    db: Database, puller: Puller, joined: Connected, stripe: Control
) -> None:
    await puller.run(joined.connection, "customer", hold=free)
    gone, *_ = sorted(there(stripe, "customers"))
    stripe.delete(f"objects/customers/{gone}", event="false")
    async with db.transaction() as tx:
        await tx.execute("UPDATE landbridge.sync SET cursor = NULL")
    totals = await puller.run(joined.connection, "customer", hold=free)
    assert totals.missing == (gone,)
    assert gone in await present(db, joined, "customer")
    (claim,) = await ordered(db)
    await puller.one(joined.connection, claim.args["resource"], claim.args["key"], hold=free)
    assert set(await present(db, joined, "customer")) == there(stripe, "customers")


async def test_two_pulls_at_once_take_turns(
    db: Database, puller: Puller, joined: Connected, stripe: Control
) -> None:
    done = await asyncio.gather(
        *[
            pull_now(db, puller, joined.connection, "customer", on_page=lambda _: None)
            for _ in range(3)
        ]
    )
    assert sorted(totals.changed for totals in done)[:2] == [0, 0]
    assert set(await present(db, joined, "customer")) == there(stripe, "customers")


async def test_connecting_with_a_wrong_key_stores_nothing(
    db: Database, vault: Vault, client: Client, stripe: Control
) -> None:
    with pytest.raises(ReconnectRequired, match="does not accept these credentials"):
        await join(db, vault, client, stripe.url, key="sk_test_wrong")
    assert await connections.every(db, environment="test") == []


@pytest.mark.parametrize(
    ("credentials", "sentence"),
    [
        ({}, "key: .* is missing"),
        ({"key": "pk_test_1"}, "key: this is not"),
        ({"kee": KEY}, "Did you mean 'key'"),
        ({"key": KEY, "password": "x"}, "password: Stripe has no such field"),
    ],
)
async def test_misshapen_credentials_are_refused_by_name(
    db: Database,
    vault: Vault,
    client: Client,
    credentials: dict[str, str],
    sentence: str,
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        await connect(
            db,
            vault,
            client,
            get("stripe"),
            environment="test",
            tenant="acme",
            credentials=credentials,
            settings={},
        )


async def test_test_credentials_do_not_enter_the_live_environment(
    db: Database, vault: Vault, client: Client, stripe: Control
) -> None:
    with pytest.raises(InvalidInput, match="these are test credentials"):
        await join(db, vault, client, stripe.url, environment="live")


async def test_a_resource_that_does_not_exist_is_named(puller: Puller, joined: Connected) -> None:
    with pytest.raises(Exception, match=r"no resource 'invoise'\. Did you mean 'invoice'"):
        await puller.run(joined.connection, "invoise", hold=free)
