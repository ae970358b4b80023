"""What a tenant added at its provider: pulled, told, written, and only for those it is set for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from landbridge.app.bridge import Landbridge
from landbridge.client import Client
from landbridge.engine import push
from landbridge.engine.connect import connect
from landbridge.engine.custom import Custom
from landbridge.engine.overlay import page_of
from landbridge.engine.pull import Puller, stream_of
from landbridge.engine.push import Pusher
from landbridge.engine.remap import Remapping
from landbridge.errors import InvalidInput, NotFound
from landbridge.models.custom import CustomRecord
from landbridge.models.payments import Customer
from landbridge.providers import get
from landbridge.spec import Provider, lookup, map_to, read_only, text
from landbridge.store import connections, due, intents, parked, records, syncs
from landbridge.store.bind import bind
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.testing.stripe import KEY, Amounts, Settings, Simulator
from landbridge.vault import Vault, new_key
from tests.engine.conftest import free
from tests.engine.test_pull import join
from tests.engine.test_push import promise, pusher

__all__ = ["pusher"]

AMOUNTS = Amounts(
    customers=20, products=3, subscriptions=0, invoices=0, refunds=0, payment_intents=0
)


@pytest.fixture
def stripe() -> Iterator[Control]:
    with in_thread(Simulator(Settings(seed=7, amounts=AMOUNTS)).app) as url, Control(url) as sim:
        yield sim


@pytest.fixture
async def shop(
    db: Database, vault: Vault, client: Client, stripe: Control, puller: Puller
) -> Connection:
    connection = (await join(db, vault, client, stripe.url)).connection
    await puller.run(connection, "customer", hold=free)
    return connection


@pytest.fixture
def custom(db: Database) -> Custom:
    return Custom(db, provider=get)


async def fresh(db: Database, connection: Connection) -> Connection:
    found = await connections.one(
        db, environment=connection.environment, tenant=connection.tenant, id=connection.id
    )
    assert found is not None
    return found


async def extras(db: Database, connection: Connection, resource: str) -> dict[str, dict[str, Any]]:
    held = await records.read(db, stream_of(connection, resource), most=1000)
    return {one.key: (one.unified or {}).get("extra", {}) for one in held}


async def due_now(db: Database, kind: str) -> list[tuple[str | None, str]]:
    claims = await due.claim(
        db, owner="t", lanes=["system", "pull"], limit=99, per_shard=99, lease=timedelta(minutes=1)
    )
    await due.settle(db, "t", done=[one for one in claims if one.kind == kind])
    return [(one.target, one.args["resource"]) for one in claims if one.kind == kind]


async def test_a_field_is_read_from_what_is_stored_and_from_then_on(
    db: Database, shop: Connection, custom: Custom, puller: Puller, stripe: Control
) -> None:
    prefixes = {
        one["id"]: one["invoice_prefix"] for one in stripe.get("objects/customers")["objects"]
    }
    done = await custom.set_field(shop, "customer", "prefix", path="invoice_prefix", access="read")
    assert (done.tried, done.seen, done.parked) == (len(prefixes), len(prefixes), 0)
    assert await due_now(db, "remap") == [(shop.id, "customer")]
    now = await fresh(db, shop)
    await Remapping(db, provider=get).run(now, "customer", hold=free)
    told = await extras(db, shop, "customer")
    assert {key: extra["prefix"] for key, extra in told.items()} == prefixes
    key = min(prefixes)
    stripe.patch(f"objects/customers/{key}", set={"invoice_prefix": "NEW"})
    await puller.run(now, "customer", hold=free)
    assert (await extras(db, shop, "customer"))[key]["prefix"] == "NEW"
    assert await due_now(db, "remap") == []

    await custom.remove_field(shop, "customer", "prefix")
    assert await due_now(db, "remap") == [(shop.id, "customer")]
    await Remapping(db, provider=get).run(await fresh(db, shop), "customer", hold=free)
    assert all("prefix" not in extra for extra in (await extras(db, shop, "customer")).values())


async def test_a_field_is_written_alone(
    db: Database, shop: Connection, custom: Custom, pusher: Pusher, stripe: Control
) -> None:
    await custom.set_field(shop, "customer", "footer", path="invoice_settings.footer", anyway=True)
    key = min(await extras(db, shop, "customer"))
    intent = await promise(db, shop, Customer(id=key, extra={"footer": "Thanks"}), "update")
    assert (await pusher.run(intent, hold=free)).state == "done"
    (there,) = [one for one in stripe.get("objects/customers")["objects"] if one["id"] == key]
    assert there["invoice_settings"]["footer"] == "Thanks"
    assert (await extras(db, shop, "customer"))[key]["footer"] == "Thanks"


async def test_what_does_not_fit_is_refused_and_nothing_is_set(
    db: Database, shop: Connection, custom: Custom
) -> None:
    refused: list[tuple[str, dict[str, Any], type[Exception], str]] = [
        ("custmer", {"path": "x"}, NotFound, "Did you mean 'customer'"),
        ("customer", {"pth": "x"}, InvalidInput, "Did you mean 'path'"),
        ("customer", {"path": "invoice_prefx"}, InvalidInput, "Did you mean 'invoice_prefix'"),
        ("customer", {"path": "email"}, InvalidInput, "written by Customer's own mapping"),
        (
            "customer",
            {"path": "invoice_prefix", "word": "integer"},
            InvalidInput,
            "stored records would be parked: expected a whole number at invoice_prefix",
        ),
    ]
    for resource, facts, error, said in refused:
        with pytest.raises(error, match=said):
            await custom.set_field(shop, resource, "own", **facts)
    assert await custom.list(shop) == ()
    with pytest.raises(NotFound, match="There are: none"):
        await custom.remove_field(shop, "customer", "own")
    await custom.set_field(
        shop, "customer", "own", path="invoice_prefix", word="integer", anyway=True
    )
    done = await Remapping(db, provider=get).run(await fresh(db, shop), "customer", hold=free)
    assert done.parked == 20
    held = await parked.every(db, environment="test")
    assert held[0].field == "extra.own"


async def test_it_holds_for_one_connection_or_for_all_of_its_tenant(
    db: Database,
    vault: Vault,
    client: Client,
    shop: Connection,
    custom: Custom,
    stripe: Control,
) -> None:
    joined = await connect(
        db,
        vault,
        client,
        get("stripe"),
        environment="test",
        tenant="acme",
        credentials={"key": KEY},
        settings={"base": stripe.url},
        label="second",
    )
    second = joined.connection
    await custom.set_field(
        shop, "customer", "one", path="invoice_prefix", access="read", whole=True
    )
    await custom.set_field(second, "customer", "two", path="phone", access="read", anyway=True)
    listed = [(row.field, row.whole) for row in await custom.list(second)]
    assert [row.field for row in await custom.list(shop)] == ["one"]
    assert listed == [("one", True), ("two", False)]
    foreign = replace(second, tenant="other")
    with pytest.raises(NotFound):
        await custom.list(foreign)
    with pytest.raises(InvalidInput, match="all connections of acme to stripe"):
        await custom.remove_field(second, "customer", "one")
    with pytest.raises(InvalidInput, match="alone: remove it there"):
        await custom.remove_field(second, "customer", "two", whole=True)
    await custom.remove_field(second, "customer", "one", whole=True)
    assert [row.field for row in await custom.list(second)] == ["two"]


async def test_an_object_is_pulled_and_written_as_what_it_is_like(
    db: Database,
    shop: Connection,
    custom: Custom,
    puller: Puller,
    pusher: Pusher,
    stripe: Control,
) -> None:
    await custom.set_object(shop, "ware", path="/v1/products", like="customer", free="metadata")
    await custom.set_field(shop, "ware", "title", path="name")
    now = await fresh(db, shop)
    await puller.run(now, "ware", hold=free)
    names = {one["id"]: one["name"] for one in stripe.get("objects/products")["objects"]}
    told = await extras(db, shop, "ware")
    assert {key: extra["title"] for key, extra in told.items()} == names
    key = min(names)
    document = CustomRecord(id=key, object="ware", extra={"title": "Boat", "shelf": "4"})
    async with db.transaction() as tx:
        made = await push.promise(bind(tx, db.schema), page_of(get, now), document, to=now)
    intent = await intents.one(db, environment="test", tenant="acme", id=made)
    assert intent is not None
    assert (await pusher.run(intent, hold=free)).state == "done"
    (there,) = [one for one in stripe.get("objects/products")["objects"] if one["id"] == key]
    assert (there["name"], there["metadata"]["shelf"]) == ("Boat", "4")

    stripe.delete(f"objects/products/{key}")
    await puller.run(now, "ware", hold=free)
    assert ("ware", key) in [
        (one.args["resource"], one.args["key"])
        for one in await due.claim(
            db, owner="t", lanes=["pull"], limit=99, per_shard=99, lease=timedelta(minutes=1)
        )
        if one.kind == "fetch"
    ]
    await puller.one(now, "ware", key, hold=free)
    assert key not in await extras(db, shop, "ware")

    await custom.remove_object(shop, "ware")
    assert await custom.list(shop) == ()
    pulled = [
        name
        for name, _ in await syncs.every(db, environment="test", tenant="acme", connection=shop.id)
    ]
    assert "ware" not in pulled


def by_currency(_slug: str) -> Provider:
    """Stripe, the currency of its customers through a code table."""
    stripe = get("stripe")
    maps = map_to(
        Customer, id=read_only(text("id")), currency=lookup("currency", table="currencies")
    )
    those = [
        replace(one, maps=maps, create=None) if one.name == "customer" else one
        for one in stripe.resources
    ]
    return replace(stripe, resources=those)


async def test_a_code_table_holds_for_what_is_stored_and_a_line_lets_records_out_of_the_park(
    db: Database, shop: Connection, stripe: Control
) -> None:
    custom = Custom(db, provider=by_currency)
    codes = {one["id"]: one["currency"] for one in stripe.get("objects/customers")["objects"]}
    one, *others = sorted({code for code in codes.values() if code})
    first = {one: one.upper()}
    with pytest.raises(InvalidInput, match="Did you mean 'currencies'"):
        await custom.set_codes(shop, "curencies", first)
    assert others
    with pytest.raises(InvalidInput, match=f"codes without a line: {', '.join(others)}"):
        await custom.set_codes(shop, "currencies", first)
    assert await custom.set_codes(shop, "currencies", first, anyway=True) == 1
    assert await due_now(db, "remap") == [(shop.id, "customer")]
    remapping = Remapping(db, provider=by_currency)
    done = await remapping.run(await fresh(db, shop), "customer", hold=free)
    assert done.parked == sum(code in others for code in codes.values())

    rest = {code: code.upper() for code in others}
    assert await custom.set_codes(shop, "currencies", {**rest, "zzz": "Z"}) == len(others) + 2
    done = await remapping.run(await fresh(db, shop), "customer", hold=free)
    assert await parked.every(db, environment="test") == []
    held = await records.read(db, stream_of(shop, "customer"), most=1000)
    told = {one.key: (one.unified or {}).get("currency") for one in held}
    assert told == {key: code and code.upper() for key, code in codes.items()}

    with pytest.raises(NotFound, match="Did you mean 'zzz'"):
        await custom.remove_codes(shop, "currencies", ["zzx"])
    assert await custom.remove_codes(shop, "currencies", ["zzz"]) == len(others) + 1
    assert await custom.remove_codes(shop, "currencies") == 0
    assert await custom.list(shop) == ()


async def test_a_connection_that_was_looked_up_before_is_pulled_and_remapped_by_the_present_fields(
    database_url: str, stripe: Control
) -> None:
    made = Landbridge.from_env(
        database_url=database_url, key=new_key(), allow_networks="127.0.0.0/8"
    )
    async with made as bridge:
        joined = await bridge.connect(
            "stripe", tenant="acme", credentials={"key": KEY}, settings={"base": stripe.url}
        )
        connection = joined.connection
        await bridge.pull(connection, ["customer"])
        await bridge.custom.set_field(
            connection, "customer", "prefix", path="invoice_prefix", access="read"
        )
        await bridge.remap(connection, ["customer"])
        assert all(
            extra["prefix"] for extra in (await extras(bridge.db, connection, "customer")).values()
        )
        key = min(await extras(bridge.db, connection, "customer"))
        stripe.patch(f"objects/customers/{key}", set={"invoice_prefix": "NEW"})
        await bridge.pull(connection, ["customer"])
        assert (await extras(bridge.db, connection, "customer"))[key]["prefix"] == "NEW"
        await bridge.custom.set_object(connection, "ware", path="/v1/products", like="customer")
        assert (await bridge.pull(connection, ["ware"]))["ware"].changed == 3
        assert len([one async for one in bridge.records(connection, "ware")]) == 3
