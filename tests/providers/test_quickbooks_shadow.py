"""A shadow of QuickBooks: nothing is written there, and the answers are ones that it could give."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from msgspec.structs import replace

from landbridge.engine.made_up import aim_of
from landbridge.models import read_json
from landbridge.models.accounting import Contact, DocumentStatus, Invoice, Line
from landbridge.providers import get
from landbridge.store import shadow_calls
from landbridge.testing.pytest_plugin import QuickBooksSimulator
from landbridge.wire import Request
from tests.engine.shading import Counted, Shop
from tests.providers.test_quickbooks_bridge import connected, quickbooks_settings
from tests.providers.through import held
from tests.specs.quickbooks.document import quickbooks

__all__ = ["quickbooks_settings"]

JSON = {"Accept": "application/json"}


async def test_writes_to_quickbooks_are_answered_and_sent_later(
    database_url: str, quickbooks_simulator: QuickBooksSimulator
) -> None:
    sim = quickbooks_simulator
    async with connected(database_url, sim) as (bridge, _, books):
        await bridge.pull(books, ["Customer"])
        known = read_json(Contact, (await held(bridge, books, "Customer"))["2"].unified)
        shop = Shop(bridge=bridge, connection=books, door=Counted(sim.simulator.app))
        shadow = await bridge.shadow(books)
        before = len(sim.control.journal(method="POST", path="/v3/*"))
        contact, _ = await shop.push(Contact(name="Shadowed Ltd"), resource="Customer")
        assert contact.state == "shadowed", contact.reason
        line = Line(amount=2_000, unit_price=Decimal(10), quantity=Decimal(2), item="1")
        sale = Invoice(
            contact=contact.key or "",
            status=DocumentStatus.OPEN,
            currency="USD",
            issued_on=date(2026, 11, 27),
            lines=(line,),
        )
        invoice, _ = await shop.push(sale, resource="Invoice")
        renamed, _ = await shop.push(replace(known, first_name="Renamed"), resource="Customer")
        assert (invoice.state, renamed.state) == ("shadowed", "shadowed"), renamed.reason
        sold = (await shop.call("GET", f"/invoice/{invoice.key}", **JSON)).json()["Invoice"]
        assert quickbooks().wrong_object("Invoice", sold) == []
        assert sold["CustomerRef"]["value"] == contact.key
        assert (
            sim.control.objects("Customer", realm=books.account)["2"]["GivenName"]
            == known.first_name
        )
        assert len(sim.control.journal(method="POST", path="/v3/*")) == before
        kept = await shadow_calls.page(bridge.db, environment="test", shadow=shadow.id)
        assert [(one.resource, one.action) for one in kept] == [
            ("Customer", "create"),
            ("Invoice", "create"),
            ("Customer", "update"),
        ]

        await bridge.shadows.promote(shadow.id)
        replayed = await bridge.shadows.replay(shadow.id)
        assert (replayed.sent, replayed.refused, replayed.unknown) == (3, 0, 0)
        there = sim.control.objects("Customer", realm=books.account)
        assert there["2"]["GivenName"] == "Renamed"
        (real,) = (one["id"] for one in there.values() if one["DisplayName"] == "Shadowed Ltd")
        every = sim.control.objects("Invoice", realm=books.account).values()
        assert [one["TotalAmt"] for one in every if one["CustomerRef"]["value"] == real] == [20]


def test_a_write_is_known_by_its_body_and_its_operation() -> None:
    page = get("quickbooks")
    base = page.base.replace("{account}", "1")

    def aim(body: bytes, *query: tuple[str, str]) -> tuple[str, str]:
        asked = Request(method="POST", url=f"{base}/invoice", query=query, body=body)
        found = aim_of(page, base, asked)
        return found.action, found.key

    named = b'{"Id": "7", "SyncToken": "1"}'
    assert aim(b'{"Line": []}', ("requestid", "r")) == ("create", "")
    assert aim(named, ("requestid", "r")) == ("update", "7")
    assert aim(named, ("operation", "delete")) == ("delete", "7")
    assert aim(named, ("operation", "void")) == ("", "")
