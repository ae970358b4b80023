"""A connection's API in the user's hands: raw calls, records as models, one effect per intent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from landbridge import ids
from landbridge.app.bridge import Landbridge
from landbridge.client.http import KEPT
from landbridge.errors import InvalidInput, OutcomeUnknown, ReconnectRequired, Refused
from landbridge.models.payments import Customer, Refund
from landbridge.store.connections import Connection
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.testing.stripe import KEY, Amounts, Settings, Simulator
from landbridge.vault import new_key

AMOUNTS = Amounts(
    customers=3, products=3, subscriptions=0, invoices=1, refunds=0, payment_intents=1
)
SEAL = new_key()


@pytest.fixture
def stripe() -> Iterator[Control]:
    with in_thread(Simulator(Settings(seed=7, amounts=AMOUNTS)).app) as url, Control(url) as sim:
        yield sim


def bridge_on(url: str, offset: str = "") -> Landbridge:
    return Landbridge.from_env(
        database_url=url, key=SEAL, allow_networks="127.0.0.0/8", clock_offset=offset
    )


@pytest.fixture
async def bridge(database_url: str) -> AsyncIterator[Landbridge]:
    opened = bridge_on(database_url)
    async with opened:
        yield opened


@pytest.fixture
async def shop(bridge: Landbridge, stripe: Control) -> Connection:
    joined = await bridge.connect(
        "stripe", tenant="acme", credentials={"key": KEY}, settings={"base": stripe.url}, every=None
    )
    return joined.connection


def named(stripe: Control, name: str) -> list[dict[str, object]]:
    return [one for one in stripe.get("objects/customers")["objects"] if one["name"] == name]


async def test_raw_calls_are_signed_in_and_say_what_the_answer_means(
    bridge: Landbridge, shop: Connection, stripe: Control
) -> None:
    api = bridge.api(shop)
    listed = (await api.get("/v1/customers", query={"limit": "1"})).json()
    assert len(listed["data"]) == 1
    made = await api.post("/v1/customers", form={"name": "Grace"}, key="int_grace")
    again = await api.post("/v1/customers", form={"name": "Grace"}, key="int_grace")
    assert made.json()["id"] == again.json()["id"]
    assert len(named(stripe, "Grace")) == 1
    await api.delete(f"/v1/customers/{made.json()['id']}")
    with pytest.raises(Refused):
        await api.get("/v1/customers/cus_none")
    with pytest.raises(InvalidInput, match="not a path such as"):
        await api.get("https://elsewhere.example/v1/customers")
    with pytest.raises(InvalidInput, match="one body"):
        await api.post("/v1/customers", form={}, json={})


async def test_a_lost_answer_of_a_raw_write_is_asked_for_again_under_the_same_key(
    bridge: Landbridge, shop: Connection, stripe: Control
) -> None:
    stripe.post("faults", kind="drop", method="POST", path="/v1/customers", after=True, times=1)
    await bridge.api(shop).post("/v1/customers", form={"name": "Grace"})
    assert len(named(stripe, "Grace")) == 1


async def test_records_are_created_updated_and_deleted_as_models(
    bridge: Landbridge, shop: Connection, stripe: Control
) -> None:
    api = bridge.api(shop)
    ada = await api.create(Customer(name="Ada"))
    assert (ada.name, bool(ada.id)) == ("Ada", True)
    renamed = await api.update(Customer(id=ada.id, name="Ada Lovelace"))
    assert renamed.name == "Ada Lovelace"
    assert [one.id async for one in api.records(Customer)] == [ada.id]
    live = [one.name async for one in api.records(Customer, live=True)]
    assert len(live) == 4
    assert "Ada Lovelace" in live
    await api.delete(renamed)
    assert named(stripe, "Ada Lovelace") == []
    assert [one async for one in api.records(Customer)] == []


async def test_a_refusal_is_raised_in_the_providers_words(
    bridge: Landbridge, shop: Connection
) -> None:
    with pytest.raises(Refused, match="ch_nobody"):
        await bridge.api(shop).create(Refund(amount=100, currency="USD", attempt="ch_nobody"))
    with pytest.raises(Refused, match="cus_none does not exist"):
        await bridge.api(shop).update(Customer(id="cus_none", name="Ada"))
    with pytest.raises(InvalidInput, match="intent: 'x' is not an id"):
        await bridge.api(shop).create(Customer(name="Ada"), intent="x")


async def test_an_unknown_outcome_goes_on_under_the_same_key(
    bridge: Landbridge, shop: Connection, stripe: Control
) -> None:
    stripe.post("faults", kind="drop", method="POST", path="/v1/customers", after=True, times=None)
    intent = ids.new("int")
    with pytest.raises(OutcomeUnknown):
        await bridge.api(shop).create(Customer(name="Ada"), intent=intent)
    stripe.delete("faults")
    first = await bridge.api(shop).create(Customer(name="Ada"), intent=intent)
    second = await bridge.api(shop).create(Customer(name="Ada"), intent=intent)
    assert first.id == second.id
    assert len(named(stripe, "Ada")) == 1


async def test_after_a_kill_the_same_intent_sends_the_same_key(
    bridge: Landbridge, shop: Connection, stripe: Control, database_url: str
) -> None:
    stripe.post(
        "faults", kind="delay", method="POST", path="/v1/customers", after=True, seconds=4.0
    )
    intent = ids.new("int")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.engine.dying", database_url, SEAL, shop.id, intent
    )
    for _ in range(600):
        if named(stripe, "Ada") or child.returncode is not None:
            break
        await asyncio.sleep(0.05)
    assert child.returncode is None
    child.kill()
    await child.wait()
    assert len(named(stripe, "Ada")) == 1
    stripe.delete("faults")
    await asyncio.sleep(4)  # until then the simulator, as Stripe does, says the key is in use
    later = bridge_on(database_url, "1 minute")
    async with later:
        ada = await later.api(shop).create(Customer(name="Ada"), intent=intent)
        # The control: a fresh intent has another key, and makes another one.
        other = await later.api(shop).create(Customer(name="Ada"))
    made = {str(one["id"]) for one in named(stripe, "Ada")}
    assert made == {ada.id, other.id}
    assert ada.id != other.id


async def test_a_connection_that_is_made_again_elsewhere_goes_on_with_its_new_key(
    bridge: Landbridge, shop: Connection, stripe: Control, database_url: str
) -> None:
    api = bridge.api(shop)
    await api.get("/v1/customers")
    stripe.post("keys", accept=["sk_test_newer"])
    async with bridge_on(database_url) as elsewhere:
        await elsewhere.connect(
            "stripe",
            tenant="acme",
            credentials={"key": "sk_test_newer"},
            settings={"base": stripe.url},
            every=None,
        )
    assert (await api.get("/v1/customers")).status == 200
    stripe.post("keys", accept=["sk_test_another"])
    with pytest.raises(ReconnectRequired, match="no longer accepts"):
        await api.get("/v1/customers")


async def test_what_is_disconnected_elsewhere_is_called_for_a_moment_at_most(
    bridge: Landbridge, shop: Connection, database_url: str
) -> None:
    api = bridge.api(shop)
    await api.get("/v1/customers")
    async with bridge_on(database_url) as elsewhere:
        await elsewhere.disconnect(shop)
    refused = None
    for _ in range(100):
        try:
            await api.get("/v1/customers")
        except ReconnectRequired as error:
            refused = error
            break
        await asyncio.sleep(KEPT / 20)
    assert "were forgotten" in str(refused)


async def test_what_is_disconnected_here_is_not_called_any_more(
    bridge: Landbridge, shop: Connection
) -> None:
    api = bridge.api(shop)
    await api.get("/v1/customers")
    await bridge.disconnect(shop)
    with pytest.raises(ReconnectRequired, match="were forgotten"):
        await api.get("/v1/customers")
