"""Reading what is stored again after the mapping changed: all of it, once, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from landbridge.client import Client
from landbridge.clock import SystemClock
from landbridge.engine.connect import Connected, base_of
from landbridge.engine.pull import Puller, stream_of
from landbridge.engine.remap import Remapped, Remapping
from landbridge.errors import NotFound
from landbridge.models.payments import Customer
from landbridge.providers import get
from landbridge.spec import Mapped, Provider, map_from, text
from landbridge.store import due, parked, records
from landbridge.store.database import Database, Tx
from landbridge.store.due import LeaseLost
from landbridge.store.sql import Sql
from landbridge.testing.control import Control
from tests.engine.conftest import free
from tests.engine.test_pull import join, joined, stripe, there

__all__ = ["join", "joined", "stripe"]

CHANGES = Sql(
    "tests.changes",
    "SELECT key, before::text, after::text FROM lb.change ORDER BY id",
    across="A test looks at everything.",
)
BY_EMAIL = map_from(Customer, id=text("id"), name=text("email"))
PLAIN = map_from(Customer, id=text("id"), name=text("name"))


def page(maps: Mapped[Customer]) -> Callable[[str], Provider]:
    """Stripe, its customers read by another mapping."""
    stripe = get("stripe")
    those = [
        replace(one, maps=maps, create=None, update=None) if one.name == "customer" else one
        for one in stripe.resources
    ]
    read = replace(stripe, resources=those)
    return lambda _slug: read


def pulling(db: Database, client: Client, provider: Callable[[str], Provider]) -> Puller:
    return Puller(
        db,
        client,
        provider=provider,
        base=lambda provider, connection: base_of(provider, connection.settings),
        clock=SystemClock(),
    )


@pytest.fixture
async def pulled(db: Database, client: Client, joined: Connected) -> Connected:
    await pulling(db, client, page(PLAIN)).run(joined.connection, "customer", hold=free)
    return joined


async def names(db: Database, joined: Connected) -> dict[str, str | None]:
    held = await records.read(db, stream_of(joined.connection, "customer"), most=10_000)
    return {one.key: (one.unified or {}).get("name") for one in held}


async def told(db: Database) -> list[str]:
    return [row["key"] for row in await db.fetch(CHANGES)]


async def ordered(db: Database) -> int:
    """How many orders to read something again are due; they are taken."""
    claims = await due.claim(
        db, owner="t", lanes=["system"], limit=99, per_shard=99, lease=timedelta(minutes=1)
    )
    gone = [claim for claim in claims if claim.kind == "remap"]
    await due.settle(db, "t", done=gone)
    return len(gone)


async def test_a_pull_by_another_mapping_orders_it_and_only_then(
    db: Database, client: Client, pulled: Connected
) -> None:
    await pulling(db, client, page(PLAIN)).run(pulled.connection, "customer", hold=free)
    assert await ordered(db) == 0
    await pulling(db, client, page(BY_EMAIL)).run(pulled.connection, "customer", hold=free)
    assert await ordered(db) == 1
    await Remapping(db, provider=page(BY_EMAIL)).run(pulled.connection, "customer", hold=free)
    await pulling(db, client, page(BY_EMAIL)).run(pulled.connection, "customer", hold=free)
    assert await ordered(db) == 0


async def test_every_record_is_read_and_those_that_differ_are_told(
    db: Database, pulled: Connected, stripe: Control
) -> None:
    emails = {one["id"]: one["email"] for one in stripe.get("objects/customers")["objects"]}
    before, changes = await names(db, pulled), len(await told(db))
    remapping = Remapping(db, provider=page(BY_EMAIL), part=40)
    done = await remapping.run(pulled.connection, "customer", hold=free)
    assert await names(db, pulled) == emails
    differing = [key for key, email in emails.items() if before[key] != email]
    assert sorted((await told(db))[changes:]) == sorted(differing)
    assert done == Remapped(read=len(emails), changed=len(differing))
    assert await remapping.run(pulled.connection, "customer", hold=free) == Remapped()
    again = await remapping.now(pulled.connection, "customer")
    assert again == Remapped(read=len(emails))
    assert len(await told(db)) == changes + len(differing)


async def test_one_that_dies_goes_on_behind_its_last_part_and_tells_nothing_twice(
    db: Database, pulled: Connected, stripe: Control
) -> None:
    parts = 0

    async def dies(_tx: Tx) -> None:
        nonlocal parts
        parts += 1
        if parts == 3:
            raise asyncio.CancelledError

    changes = len(await told(db))
    remapping = Remapping(db, provider=page(BY_EMAIL), part=40)
    with pytest.raises(asyncio.CancelledError):
        await remapping.run(pulled.connection, "customer", hold=dies)
    done = await remapping.run(pulled.connection, "customer", hold=free)
    assert done.read == len(there(stripe, "customers")) - 80
    keys = (await told(db))[changes:]
    assert len(keys) == len(set(keys)) > 0


async def test_who_lost_the_lease_writes_nothing(db: Database, pulled: Connected) -> None:
    async def lost(_tx: Tx) -> None:
        raise LeaseLost("another has it")

    before, changes = await names(db, pulled), await told(db)
    with pytest.raises(LeaseLost):
        await Remapping(db, provider=page(BY_EMAIL)).run(pulled.connection, "customer", hold=lost)
    assert (await names(db, pulled), await told(db)) == (before, changes)


async def test_what_an_old_process_stores_meanwhile_is_read_again_too(
    db: Database, client: Client, pulled: Connected, stripe: Control
) -> None:
    first = min(there(stripe, "customers"))

    def stops(_done: Remapped) -> None:
        raise asyncio.CancelledError

    remapping = Remapping(db, provider=page(BY_EMAIL), part=40)
    with pytest.raises(asyncio.CancelledError):
        await remapping.run(pulled.connection, "customer", hold=free, on_part=stops)
    stripe.patch(f"objects/customers/{first}", set={"name": "Old", "email": "new@example.com"})
    old = pulling(db, client, page(PLAIN))
    await old.one(pulled.connection, "customer", first, hold=free)
    assert (await names(db, pulled))[first] == "Old"
    assert await ordered(db) == 1
    await remapping.run(pulled.connection, "customer", hold=free)
    assert (await names(db, pulled))[first] == "new@example.com"


async def test_records_enter_and_leave_the_park(
    db: Database, client: Client, pulled: Connected, stripe: Control
) -> None:
    first, second, *_ = sorted(there(stripe, "customers"))
    for key in (first, second):
        stripe.patch(f"objects/customers/{key}", set={"email": 7, "name": "Seven"})
    await pulling(db, client, page(PLAIN)).run(pulled.connection, "customer", hold=free)
    by_email = Remapping(db, provider=page(BY_EMAIL))
    done = await by_email.run(pulled.connection, "customer", hold=free)
    assert done.parked == 2
    held = await parked.every(db, environment="test")
    assert {one.key for one in held} == {first, second}
    assert "email" in held[0].reason
    assert (await names(db, pulled))[first] == "Seven"  # what could be read stays

    # A newer content that could not be read either waits only in the park.
    stripe.patch(f"objects/customers/{first}", set={"name": "Newer"})
    await pulling(db, client, page(BY_EMAIL)).run(pulled.connection, "customer", hold=free)
    done = await Remapping(db, provider=page(PLAIN)).run(pulled.connection, "customer", hold=free)
    assert done.left == 2
    assert await parked.every(db, environment="test") == []
    now = await names(db, pulled)
    assert (now[first], now[second]) == ("Newer", "Seven")
    raw = await records.one(db, stream_of(pulled.connection, "customer"), first)
    assert raw is not None
    assert b"Newer" in raw.raw


async def test_what_is_deleted_stays_as_it_was(
    db: Database, client: Client, pulled: Connected, stripe: Control
) -> None:
    key = min(there(stripe, "customers"))
    stripe.delete(f"objects/customers/{key}")
    await pulling(db, client, page(PLAIN)).run(pulled.connection, "customer", hold=free)
    changes = len(await told(db))
    await Remapping(db, provider=page(BY_EMAIL)).run(pulled.connection, "customer", hold=free)
    assert key not in await names(db, pulled)
    assert key not in (await told(db))[changes:]


async def test_a_resource_that_is_not_pulled_is_refused(db: Database, pulled: Connected) -> None:
    other = replace(pulled.connection, id="con_other")
    with pytest.raises(NotFound, match="does not pull customer"):
        await Remapping(db, provider=page(PLAIN)).now(other, "customer")
