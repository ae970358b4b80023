"""Everything with QuickBooks through the bridge, against its simulator: consent, pull, webhook,
write. Each request that the simulator saw is held against Intuit's schema at the end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from landbridge import Landbridge
from landbridge.engine.receive import set_app_secrets
from landbridge.errors import ReconnectRequired, Unreachable
from landbridge.models import read_json
from landbridge.models.accounting import Contact, DocumentStatus, Invoice, Item, Line, Payment
from landbridge.store import apps, intents
from landbridge.store.connections import Connection
from landbridge.testing import quickbooks as simulated
from landbridge.testing.pytest_plugin import QuickBooksSimulator
from tests.plain import PLAIN
from tests.providers import through
from tests.providers.through import consented, held, until, working
from tests.specs.quickbooks.document import ENTITIES, READ_ONLY, quickbooks
from tests.web.serving import serving

WRITES = ["Customer", "Invoice", "Item", "Payment"]
FOLLOWED = sorted(set(ENTITIES) - set(READ_ONLY))


@pytest.fixture
def quickbooks_settings() -> simulated.Settings:
    """Enough calls for a hurried test, and ids in the order that is harder to read in."""
    return simulated.Settings(limits=simulated.Limits(minute=5_000), ids="text")


@asynccontextmanager
async def connected(
    database_url: str, sim: QuickBooksSimulator
) -> AsyncIterator[tuple[Landbridge, str, Connection]]:
    async with serving(database_url, None) as (bridge, url):
        found = await through.connected(bridge, "quickbooks", sim, writes=WRITES)
        (connection,) = found.values()
        yield bridge, url, connection
        held_to_the_schema(sim)


def held_to_the_schema(sim: QuickBooksSimulator) -> None:
    """Every call of the API is one that Intuit's schema knows."""
    document = quickbooks()
    asked = [one for one in sim.control.journal(path="/v3/*") if one["status"] != 401]
    assert asked
    for one in asked:
        path = "/" + one["path"].split("/", 4)[4]
        wrong = document.refused(one["method"], path, one["query"], one["body"].encode())
        assert wrong == [], one


async def same(bridge: Landbridge, sim: QuickBooksSimulator, connection: Connection) -> None:
    """What we hold is what is there, to the version."""
    for kind in ENTITIES:
        mine = await held(bridge, connection, kind)
        theirs = sim.control.objects(kind, realm=connection.account)
        assert set(mine) == set(theirs), kind
        for key, one in mine.items():
            assert json.loads(one.raw)["SyncToken"] == theirs[key]["SyncToken"], (kind, key)


async def test_everything_is_read_followed_and_deleted(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    sim = quickbooks_simulator
    async with connected(database_url, sim) as (bridge, _, books):
        assert (books.account_name, books.account) == (
            "Sandbox Company_US_1",
            next(iter(sim.simulator.books)),
        )
        totals = await bridge.pull(books)
        assert {name: one.parked for name, one in totals.items() if one.parked} == {}
        assert (totals["Invoice"].changed, totals["Customer"].changed) == (60, 25)
        await same(bridge, sim, books)

        # Changes come by one call each, also after the access token is over.
        sim.control.advance(120)
        sim.control.post("tokens/expire")
        done = sim.control.post("churn", count=30, seed=5)["done"]
        assert {one.split()[0] for one in done} >= {"delete", "void", "pay", "customer"}
        before = len(sim.control.journal())
        again = await bridge.pull(books)
        assert sum(one.gone for one in again.values()) >= 1
        assert sim.control.get("grants")["exchanges"] == 2
        calls = [one for one in sim.control.journal(after=before) if one["status"] == 200]
        asked = [one["query"].get("entities") for one in calls if one["path"].endswith("/cdc")]
        assert sorted(asked) == FOLLOWED
        await same(bridge, sim, books)
        mine = await held(bridge, books, "Invoice")
        there = sim.control.objects("Invoice", realm=books.account)
        void = [key for key, one in there.items() if one.get("PrivateNote") == "Voided"]
        assert {mine[key].unified["status"] for key in void} == {"void"}

        # A page that is cut off ends the pull; a grant that is dead waits for a new consent.
        sim.control.fault("truncate", path="*/cdc")
        with pytest.raises(Unreachable):
            await bridge.pull(books, ["Bill"])
        for grant in sim.simulator.identity.grants:
            grant.dead = True
        with pytest.raises(ReconnectRequired):
            await bridge.pull(books, ["Customer"])
        dead = await bridge.connection(books.id)
        found = await consented(bridge, "quickbooks", sim.settings, connection=dead)
        (anew,) = found.values()
        assert anew.id == books.id
        await bridge.pull(anew, ["Customer"])


async def test_a_signed_webhook_has_its_entity_read(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    sim = quickbooks_simulator
    async with connected(database_url, sim) as (bridge, url, books):
        await bridge.pull(books, ["Customer", "Invoice"])
        app = await apps.ensure(bridge.db, environment="test", provider="quickbooks")
        await set_app_secrets(bridge.db, bridge.vault, app, ["the-verifier"])
        address = f"{url}/in/{app.token}"
        sim.control.post("webhooks/register", url=address, token="the-verifier")
        sim.control.post("webhooks/mode", mode="hold")
        sim.control.patch("objects/Customer/7", set={"GivenName": "Told by a webhook"})
        sim.control.delete("objects/Invoice/60")
        before = len(sim.control.journal())
        sim.control.post("webhooks/release", times=2)

        async def seen() -> bool:
            unified = (await held(bridge, books, "Customer"))["7"].unified
            gone = "60" not in await held(bridge, books, "Invoice")
            return "Told by a webhook" in str(unified) and gone

        async with working(bridge):
            await until(seen)
        asked = sim.control.journal(after=before, method="GET")
        assert [
            one["path"] for one in asked if "/cdc" in one["path"] or "/query" in one["path"]
        ] == []
        posted = [one["status"] for one in sim.control.journal() if one["kind"] == "webhook"]
        assert set(posted) == {200}
        async with httpx2.AsyncClient(trust_env=False, verify=PLAIN) as http:
            wrong = await http.post(address, content=b"[]", headers={"intuit-signature": "eA=="})
        assert wrong.status_code == 401


async def test_writes_have_one_effect_and_overwrite_nobody(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    sim = quickbooks_simulator
    async with connected(database_url, sim) as (bridge, _, books), working(bridge):
        await bridge.pull(books, ["Customer", "Invoice"])

        async def pushed(model: Any, resource: str, **more: Any) -> Any:
            async with bridge.transaction() as tx:
                intent = await bridge.push(tx, model, to=books, resource=resource, **more)

            async def settled() -> Any:
                found = await intents.one(bridge.db, environment="test", tenant="acme", id=intent)
                assert found is not None
                return found if found.state != "waiting" else None

            return await until(settled)

        async def invoice(key: str) -> Invoice:
            return read_json(Invoice, (await held(bridge, books, "Invoice"))[key].unified)

        # The answer to a creation is lost after the commit: it is asked again with the same key.
        sim.control.fault("status", status=503, path="*/customer", after=True, times=1)
        written = await pushed(Contact(name="Written by us", email="us@example.com"), "Customer")
        made = [
            key
            for key, one in sim.control.objects("Customer", realm=books.account).items()
            if one["DisplayName"] == "Written by us"
        ]
        assert (written.state, [written.key]) == ("done", made)
        sent = sim.control.journal(method="POST", path="*/customer")
        assert len(sent) >= 2
        assert len({one["requestid"] for one in sent}) == 1

        line = Line(
            description="Advice",
            quantity=Decimal(2),
            unit_price=Decimal("99.95"),
            amount=19_990,
            tax="1",
            item="1",
        )
        sale = Invoice(
            contact=written.key,
            status=DocumentStatus.OPEN,
            currency="USD",
            issued_on=date(2026, 11, 22),
            due_on=date(2026, 12, 22),
            lines=(line,),
        )
        key = (await pushed(sale, "Invoice")).key
        theirs = sim.control.objects("Invoice", realm=books.account)[key]
        assert (theirs["TotalAmt"], theirs["CustomerRef"]["value"]) == (239.88, written.key)

        # A change of the lines leaves what we do not read where it is, and sends no sums back.
        off = {"Amount": 1.0, "DetailType": "DiscountLineDetail", "DiscountLineDetail": {}}
        sim.control.patch(f"objects/Invoice/{key}", set={"Line": [*theirs["Line"], off]})
        await bridge.pull(books, ["Invoice"])
        ours = await invoice(key)
        more = replace(ours, lines=(*ours.lines, line), due_on=date(2027, 1, 1))
        assert (await pushed(more, "Invoice")).state == "done"
        now = sim.control.objects("Invoice", realm=books.account)[key]
        kinds = [one["DetailType"].removesuffix("LineDetail") for one in now["Line"]]
        assert kinds == ["SalesItem", "SalesItem", "Discount", "SubTotal"]
        assert (now["DueDate"], now["TotalAmt"]) == ("2027-01-01", 478.76)

        await a_payment_settles_it_and_goes(pushed, sim, books, key)

        # What somebody else changed meanwhile is not overwritten.
        stale = replace(await invoice(key), number="NEW-1")
        sim.control.patch(f"objects/Invoice/{key}", set={"DocNumber": "THEIRS"})
        refused = await pushed(stale, "Invoice")
        assert refused.state == "conflict", refused
        assert sim.control.objects("Invoice", realm=books.account)[key]["DocNumber"] == "THEIRS"

        # A fault is one under status 200 too, and says what is wrong.
        sim.control.post("faults/status", status=200)
        twice = await pushed(Contact(name="Written by us"), "Customer")
        assert (twice.state, "Duplicate Name" in twice.reason) == ("refused", True)
        await bridge.pull(books, ["Invoice"])
        void = replace(await invoice(key), status=DocumentStatus.VOID)
        sim.control.post("faults/status", status=0)
        assert (await pushed(void, "Invoice")).state == "done"
        assert sim.control.objects("Invoice", realm=books.account)[key]["PrivateNote"] == "Voided"
        assert (await invoice(key)).status is DocumentStatus.VOID
        assert (await pushed(await invoice(key), "Invoice", action="delete")).state == "done"
        assert key not in sim.control.objects("Invoice", realm=books.account)
        assert key not in await held(bridge, books, "Invoice")


async def a_payment_settles_it_and_goes(
    pushed: Callable[..., Awaitable[Any]], sim: QuickBooksSimulator, books: Connection, key: str
) -> None:
    there = sim.control.objects("Invoice", realm=books.account)[key]
    paid = Payment(
        invoice=key,
        contact=there["CustomerRef"]["value"],
        account="3",
        currency="USD",
        amount=int(there["TotalAmt"] * 100),
        paid_on=date(2026, 11, 27),
    )
    done = await pushed(paid, "Payment")
    assert done.state == "done", done
    assert sim.control.objects("Invoice", realm=books.account)[key]["Balance"] == 0
    assert sim.control.objects("Payment", realm=books.account)[done.key]["UnappliedAmt"] == 0
    gone = replace(paid, id=done.key)
    assert (await pushed(gone, "Payment", action="delete")).state == "done"
    assert sim.control.objects("Invoice", realm=books.account)[key]["Balance"] == there["TotalAmt"]
    item = Item(code="", name="Consulting", sale_price=Decimal("120.5"), sale_account="5")
    written = await pushed(item, "Item")
    made = sim.control.objects("Item", realm=books.account)[written.key]
    assert (made["Type"], made["UnitPrice"]) == ("Service", 120.5)
