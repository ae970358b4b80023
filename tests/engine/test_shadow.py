"""Shadows: nothing is sent, what is answered is valid and stays true, and it is sent once later."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from landbridge.app.bridge import Landbridge
from landbridge.errors import Conflict, InvalidInput, NotFound, OutcomeUnknown
from landbridge.models.payments import Customer, Invoice, InvoiceStatus
from landbridge.store import records, shadow_calls
from landbridge.store.shadow_calls import Kept
from landbridge.store.sql import Sql
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.testing.stripe import KEY, Amounts, Settings, Simulator
from landbridge.vault import new_key
from tests.engine.shading import Counted, Shop
from tests.specs import openapi

AMOUNTS = Amounts(
    customers=3, products=3, subscriptions=0, invoices=2, refunds=0, payment_intents=2
)
WAITING = Sql(
    "tests.waiting",
    """
    UPDATE lb.intent SET state = 'waiting'
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)
DIED = Sql(
    "tests.died",
    """
    UPDATE lb.shadow_call SET state = 'sending', tried_at = lb.now() - :ago::text::interval
    WHERE environment = :environment AND tenant = :tenant AND state IN ('recorded', 'sending')
    """,
)
SPEC = openapi.OpenApi(json.loads(openapi.STRIPE.read_bytes()), strict=False)


@pytest.fixture
def door() -> Counted:
    return Counted(Simulator(Settings(seed=7, amounts=AMOUNTS)).app)


@pytest.fixture
def stripe(door: Counted) -> Iterator[Control]:
    with in_thread(door) as url, Control(url) as sim:
        yield sim


@pytest.fixture
async def bridge(database_url: str) -> AsyncIterator[Landbridge]:
    made = Landbridge.from_env(
        database_url=database_url, key=new_key(), environment="test", allow_networks="127.0.0.0/8"
    )
    async with made:
        yield made


@pytest.fixture
async def shop(bridge: Landbridge, stripe: Control, door: Counted) -> Shop:
    return await connected(bridge, stripe, door, "acme")


async def connected(bridge: Landbridge, stripe: Control, door: Counted, tenant: str) -> Shop:
    joined = await bridge.connect(
        "stripe", tenant=tenant, credentials={"key": KEY}, settings={"base": stripe.url}
    )
    return Shop(bridge=bridge, connection=joined.connection, door=door)


def customers(stripe: Control) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = stripe.get("objects/customers")["objects"]
    return listed


async def kept(shop: Shop, shadow: str) -> list[Kept]:
    return await shadow_calls.page(shop.bridge.db, environment="test", shadow=shadow)


async def test_nothing_is_sent_and_reads_go_out(shop: Shop, stripe: Control) -> None:
    known = customers(stripe)[0]["id"]
    shadow = await shop.bridge.shadow(shop.connection)
    assert (shadow.kind, shadow.state) == ("connection", "running")
    reads = shop.door.methods["GET"]
    made, _ = await shop.push(Customer(name="Ada", email="ada@example.com"))
    changed, _ = await shop.push(Customer(id=known, name="Grace"))
    gone, _ = await shop.push(Customer(id=known), action="delete")
    raw = await shop.call("POST", "/v1/customers", "name=Bob&metadata[a]=1")
    strange = await shop.call("POST", "/v1/never/heard/of", "a=1")
    assert shop.door.writes == 0
    assert shop.door.methods["GET"] > reads
    assert [each.state for each in (made, changed, gone)] == ["shadowed"] * 3
    assert shadow.id in made.reason
    assert (raw.status, strange.status) == (200, 200)
    assert raw.headers["landbridge-shadow"] == shadow.id
    assert [(each.action, each.resource) for each in await kept(shop, shadow.id)] == [
        ("create", "customer"),
        ("update", "customer"),
        ("delete", "customer"),
        ("create", "customer"),
        ("create", ""),
    ]
    await shop.bridge.shadows.stop(shadow.id)
    await shop.push(Customer(name="Ada"))
    assert shop.door.writes == 1


async def test_what_is_kept_is_exact_and_says_what_would_change(
    shop: Shop, stripe: Control
) -> None:
    known = customers(stripe)[0]
    shadow = await shop.bridge.shadow(shop.connection.id)
    await shop.call(
        "POST", f"/v1/customers/{known['id']}", "name=Grace", Authorization=f"Bearer {KEY}"
    )
    made, _ = await shop.push(Customer(name="Ada"))
    update, create = await kept(shop, shadow.id)
    assert (update.request.method, update.request.body) == ("POST", b"name=Grace")
    assert update.request.url == f"{stripe.url}/v1/customers/{known['id']}"
    assert update.request.headers["idempotency-key"] == update.id
    assert update.diff == [{"path": "name", "before": known["name"], "after": "Grace"}]
    assert create.request.headers["idempotency-key"] == create.intent == made.id
    assert create.request.body.startswith(b"name=Ada&metadata%5Blandbridge%5D=") or (
        f"metadata[landbridge]={made.id}".encode() in create.request.body
    )
    assert KEY not in repr(create.request.headers.pairs()) + repr(update.request.headers.pairs())


async def test_answers_are_valid_by_the_vendors_document(shop: Shop, stripe: Control) -> None:
    known = customers(stripe)[0]["id"]
    await shop.bridge.shadow(shop.connection)
    bill = f"customer={known}&currency=eur&due_date=1800000000&collection_method=send_invoice"
    calls = [
        ("POST", "/v1/customers", "name=Ada&address[city]=Turin&metadata[a]=1&balance=20"),
        ("POST", f"/v1/customers/{known}", "name=&metadata[a]=2&metadata[b]="),
        ("POST", "/v1/invoices", bill + "&auto_advance=false"),
        ("POST", "/v1/refunds", "charge=ch_1&amount=500&reason=duplicate"),
        ("DELETE", f"/v1/customers/{known}", ""),
    ]
    for method, path, body in calls:
        answer = await shop.call(method, path, body)
        assert SPEC.check(method, path, answer.status, answer.body) == []
    made = json.loads((await shop.call(*calls[0])).body)
    assert (made["name"], made["address"], made["balance"]) == ("Ada", {"city": "Turin"}, 20)
    assert made["email"] is None
    missing = await shop.call("POST", "/v1/customers/cus_nobody", "name=x")
    assert missing.status == 404
    assert SPEC.check("POST", "/v1/customers/cus_nobody", 404, missing.body) == []


async def test_a_made_up_id_resolves_in_its_shadow_only(shop: Shop, stripe: Control) -> None:
    shadow = await shop.bridge.shadow(shop.connection)
    made, done = await shop.push(Customer(name="Ada"))
    key = done.key or ""
    assert key.startswith("cus_")
    assert made.key == key
    read = json.loads((await shop.call("GET", f"/v1/customers/{key}")).body)
    assert (read["id"], read["name"]) == (key, "Ada")
    again, _ = await shop.push(Customer(id=key, name="Countess"))
    assert again.state == "shadowed"
    assert json.loads((await shop.call("GET", f"/v1/customers/{key}")).body)["name"] == "Countess"
    bill = Invoice(customer=key, currency="EUR", status=InvoiceStatus.DRAFT)
    billed, _ = await shop.push(bill)
    assert billed.state == "shadowed"
    await shop.push(Customer(id=key), action="delete")
    deleted = json.loads((await shop.call("GET", f"/v1/customers/{key}")).body)
    assert deleted["deleted"] is True
    refused, _ = await shop.push(Customer(id=key, name="Ghost"))
    assert refused.state == "refused"
    assert shop.door.writes == 0
    stream = {"environment": "test", "tenant": "acme", "connection": shop.connection.id}
    assert await records.counts(shop.bridge.db, **stream) == {}  # ours stays as it was
    await shop.bridge.shadows.stop(shadow.id)
    assert (await shop.call("GET", f"/v1/customers/{key}")).status == 404


async def test_the_same_intent_is_kept_once_also_after_a_crash(shop: Shop) -> None:
    shadow = await shop.bridge.shadow(shop.connection)
    intent, first = await shop.push(Customer(name="Ada"))
    await shop.bridge.db.run(WAITING, id=intent.id, environment="test", tenant="acme")
    _, second = await shop.run(intent.id)
    assert second.key == first.key
    assert len(await kept(shop, shadow.id)) == 1


async def test_replay_sends_each_once_with_the_providers_keys(shop: Shop, stripe: Control) -> None:
    shadow = await shop.bridge.shadow(shop.connection)
    made, done = await shop.push(Customer(name="Ada"))
    await shop.push(Customer(id=done.key or "", name="Countess"))
    billed, _ = await shop.push(
        Invoice(customer=done.key or "", currency="EUR", status=InvoiceStatus.DRAFT)
    )
    with pytest.raises(InvalidInput, match="first: landbridge shadow promote"):
        await shop.bridge.shadows.replay(shadow.id)
    await shop.bridge.shadows.promote(shadow.id)
    replayed = await shop.bridge.shadows.replay(shadow.id)
    assert (replayed.sent, replayed.refused, replayed.unknown) == (3, 0, 0)
    (ada,) = [one for one in customers(stripe) if one["name"] == "Countess"]
    assert (await shop.intent(made.id)).state == "done"
    assert (await shop.intent(made.id)).key == ada["id"]
    invoices = stripe.get("objects/invoices")["objects"]
    assert [one["id"] for one in invoices if one["customer"] == ada["id"]] == [
        (await shop.intent(billed.id)).key
    ]
    assert shop.door.writes == 3
    assert (await shop.bridge.shadows.replay(shadow.id)).sent == 0
    assert shop.door.writes == 3


async def test_a_replay_that_was_cut_off_goes_on_and_makes_one_object(
    shop: Shop, stripe: Control
) -> None:
    shadow = await shop.bridge.shadow(shop.connection)
    await shop.push(Customer(name="Ada"))
    await shop.push(Customer(name="Bob"))
    await shop.bridge.shadows.promote(shadow.id)
    stripe.post("faults", kind="drop", method="POST", path="/v1/customers", after=True, times=None)
    with pytest.raises(OutcomeUnknown):
        await shop.bridge.shadows.replay(shadow.id)
    stripe.delete("faults")
    assert (await shop.bridge.shadows.replay(shadow.id)).sent == 2
    assert sorted(one["name"] for one in customers(stripe) if one["name"] in ("Ada", "Bob")) == [
        "Ada",
        "Bob",
    ]


async def test_a_replayer_that_died_leaves_its_write_to_the_next(
    shop: Shop, stripe: Control
) -> None:
    shadow = await shop.bridge.shadow(shop.connection)
    await shop.push(Customer(name="Ada"))
    await shop.call("POST", "/v1/never/heard/of", "a=1")
    await shop.bridge.shadows.promote(shadow.id)
    await shop.bridge.db.run(DIED, environment="test", tenant="acme", ago="1 second")
    assert (await shop.bridge.shadows.replay(shadow.id)).sent == 0  # its holder may live
    await shop.bridge.db.run(DIED, environment="test", tenant="acme", ago="1 hour")
    replayed = await shop.bridge.shadows.replay(shadow.id)
    assert (replayed.sent, replayed.unknown) == (1, 1)  # the second has no key to repeat it by
    assert len([one for one in customers(stripe) if one["name"] == "Ada"]) == 1


async def test_what_was_discarded_is_never_sent_nor_what_names_it(
    shop: Shop, stripe: Control
) -> None:
    shadow = await shop.bridge.shadow(shop.connection)
    _, done = await shop.push(Customer(name="Ada"))
    await shop.push(Customer(id=done.key or "", name="Countess"))
    await shop.push(Customer(name="Bob"))
    first, *_ = await kept(shop, shadow.id)
    await shop.bridge.shadows.stop(shadow.id)
    assert await shop.bridge.shadows.discard(shadow.id, calls=[first.id]) == 1
    replayed = await shop.bridge.shadows.replay(shadow.id)
    assert (replayed.sent, replayed.refused) == (1, 1)
    assert {one["name"] for one in customers(stripe)} & {"Ada", "Countess", "Bob"} == {"Bob"}
    states = [each.state for each in await kept(shop, shadow.id)]
    assert states == ["discarded", "refused", "sent"]


async def test_two_shadows_do_not_know_each_other(
    shop: Shop, bridge: Landbridge, stripe: Control, door: Counted
) -> None:
    other = await connected(bridge, stripe, door, "zeta")
    whole = await bridge.shadow("stripe")
    own = await bridge.shadow(shop.connection)
    _, mine = await shop.push(Customer(name="Ada"))
    _, theirs = await other.push(Customer(name="Bob"))
    assert [each.key for each in await kept(shop, own.id)] == [mine.key]
    assert [each.key for each in await kept(shop, whole.id)] == [theirs.key]
    assert (await shop.call("GET", f"/v1/customers/{theirs.key}")).status == 404
    with pytest.raises(InvalidInput, match="has a shadow already"):
        await bridge.shadow(shop.connection)
    await bridge.shadows.promote(own.id)
    with pytest.raises(Conflict, match=whole.id):
        await bridge.shadows.replay(own.id)
    late, _ = await shop.push(Customer(name="Late"))
    assert late.state == "shadowed"  # the provider's shadow holds on
    assert door.writes == 0
    await bridge.shadows.stop(whole.id)
    await bridge.shadows.replay(own.id)
    assert door.writes == 1


async def test_what_cannot_be_shadowed_is_said(bridge: Landbridge, shop: Shop) -> None:
    with pytest.raises(NotFound, match="is no connection"):
        await bridge.shadow("con_none")
    with pytest.raises(NotFound):
        await bridge.shadow("strip")
    with pytest.raises(InvalidInput, match="hours"):
        await bridge.shadow(shop.connection, hours=0)
    with pytest.raises(InvalidInput, match="threshold"):
        await bridge.shadow(shop.connection, threshold=5)
    with pytest.raises(InvalidInput, match="no handler of this bridge"):
        await bridge.shadow(print)
    shadow = await bridge.shadow(shop.connection)
    await bridge.shadows.stop(shadow.id)
    with pytest.raises(InvalidInput, match="is stopped already"):
        await bridge.shadows.promote(shadow.id)
