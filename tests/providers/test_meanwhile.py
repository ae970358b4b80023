"""What somebody else changed is not overwritten, also at a provider that knows no versions: the
record is read again before it is changed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from landbridge import Landbridge
from landbridge.errors import Conflict
from landbridge.models.accounting import Contact, DocumentStatus, Invoice, Line
from landbridge.testing import freshbooks, xero
from landbridge.testing.pytest_plugin import FreshBooksSimulator, XeroSimulator
from landbridge.vault import new_key
from tests.plain import PLAIN
from tests.providers.test_xero_held import NONE
from tests.providers.through import connected

KEY = new_key()


@pytest.fixture
def xero_settings() -> xero.Settings:
    return xero.Settings(amounts=NONE, limits=xero.Limits(minute=2_000))


@pytest.fixture
def freshbooks_settings() -> freshbooks.Settings:
    return freshbooks.Settings(amounts=freshbooks.Amounts(invoices=1, payments=1, clients=1))


def opened(database_url: str) -> Landbridge:
    return Landbridge.from_env(database_url=database_url, key=KEY, allow_networks="127.0.0.0/8")


async def test_xero_keeps_what_somebody_else_changed(
    database_url: str, xero_simulator: XeroSimulator
) -> None:
    sim = xero_simulator
    async with opened(database_url) as bridge:
        to = (await connected(bridge, "xero", sim, writes=["Contacts", "Invoices"]))[
            "Demo Company (NZ)"
        ]
        await bridge.pull(to, ["Contacts", "TaxRates"])
        api = bridge.api(to)
        books = sim.simulator.books[to.account]
        first = [one async for one in api.records(Contact)][0]  # noqa: RUF015  # all are read
        assert first.id is not None

        # Another field is left as it is by now, the same one is a conflict.
        books.write("Contacts", first.id, {"FirstName": "Theirs"})
        changed = await api.update(replace(first, name="Ours", email="ours@example.com"))
        there = books.kept["Contacts"][first.id]
        assert (there["Name"], there["FirstName"], changed.first_name) == (
            "Ours",
            "Theirs",
            "Theirs",
        )
        books.write("Contacts", first.id, {"Name": "Theirs"})
        with pytest.raises(Conflict, match="name was changed at the provider meanwhile"):
            await api.update(replace(changed, name="Ours again"))
        assert books.kept["Contacts"][first.id]["Name"] == "Theirs"
        # Who wanted the same has it.
        assert (await api.update(replace(changed, name="Theirs"))).name == "Theirs"

        # Lines are one value; a price keeps its decimals in what is read back.
        line = Line(
            description="x",
            unit_price=Decimal("1.2345"),
            account="200",
            tax="OUTPUT2",
            quantity=Decimal(3),
        )
        head: dict[str, Any] = {"contact": first.id, "status": DocumentStatus.DRAFT}
        made = await api.create(
            Invoice(**head, currency="NZD", issued_on=date(2026, 11, 27), lines=(line,))
        )
        assert made.id is not None
        assert made.lines[0].unit_price == Decimal("1.2345")
        (kept,) = books.kept["Invoices"][made.id]["LineItems"]
        theirs = {"Description": "theirs", "Quantity": 1, "UnitAmount": 5, "AccountCode": "200"}
        books.write("Invoices", made.id, {"LineItems": [kept, theirs]})
        with pytest.raises(Conflict, match="lines was changed"):
            await api.update(replace(made, lines=(*made.lines, line)))
        assert len(books.kept["Invoices"][made.id]["LineItems"]) == 2
        renamed = await api.update(replace(made, reference="r"))
        assert [one.description for one in renamed.lines] == ["x", "theirs"]
        # An answer that is lost is no change by somebody else.
        sim.control.fault("status", status=503, path="*/Invoices/*", method="POST", after=True)
        again = await api.update(replace(renamed, reference="s"))
        assert again.reference == "s"


async def test_freshbooks_keeps_what_somebody_else_changed(
    database_url: str, freshbooks_simulator: FreshBooksSimulator
) -> None:
    sim = freshbooks_simulator
    async with opened(database_url) as bridge:
        found = await connected(bridge, "freshbooks", sim, writes=["client"])
        to = found["Commonwealth of Independent Systems"]
        await bridge.pull(to, ["client"])
        api = bridge.api(to)
        (client,) = [one async for one in api.records(Contact, resource="client")]
        async with httpx2.AsyncClient(base_url=sim.url, trust_env=False, verify=PLAIN) as http:
            path = f"/_sim/objects/clients/{client.id}?account={to.account}"
            await http.patch(path, json={"set": {"organization": "Theirs", "fname": "Theirs"}})
        with pytest.raises(Conflict, match="name was changed at the provider meanwhile"):
            await api.update(replace(client, name="Ours"), resource="client")
        mended = await api.update(replace(client, email="a@example.com"), resource="client")
        assert (mended.name, mended.first_name, mended.email) == (
            "Theirs",
            "Theirs",
            "a@example.com",
        )
