"""Accounting simulators with a bridge that is connected to them, for the rows about money."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from landbridge import Landbridge
from landbridge.models.accounting import DocumentStatus, Invoice, Line
from landbridge.store.connections import Connection
from landbridge.testing import freshbooks, quickbooks, xero
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from tests.providers.through import consented
from tests.web.serving import serving


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A provider of accounts: its simulator, its words for contacts and invoices, what a line
    names, and where an invoice is posted."""

    slug: str
    build: Callable[[], Any]
    places: Callable[[str], dict[str, str]]
    client: tuple[str, str]
    contacts: str
    invoices: str
    kept: str
    account: str
    """The parameter of the control plane that names an account."""
    pulled: tuple[str, ...]
    posted: tuple[str, str]
    """By which method, and to which path (a glob), an invoice is posted."""
    currency: str
    words: dict[str, Any]
    """What a line names at this provider."""
    total: Callable[[dict[str, Any]], Decimal]
    """What the provider says that an invoice comes to."""


KINDS = (
    Kind(
        slug="xero",
        build=lambda: xero.Simulator(xero.Settings(limits=xero.Limits(minute=20_000))),
        places=xero.places,
        client=(xero.CLIENT, xero.SECRET),
        contacts="Contacts",
        invoices="Invoices",
        kept="Invoices",
        account="tenant",
        pulled=("Contacts", "TaxRates", "Organisation"),
        posted=("PUT", "*/Invoices"),
        currency="NZD",
        words={"account": "200", "tax": "OUTPUT2"},
        total=lambda found: Decimal(str(found["Total"])),
    ),
    Kind(
        slug="quickbooks",
        build=lambda: quickbooks.Simulator(quickbooks.Settings()),
        places=quickbooks.places,
        client=(quickbooks.CLIENT, quickbooks.SECRET),
        contacts="Customer",
        invoices="Invoice",
        kept="Invoice",
        account="realm",
        pulled=("Customer", "TaxCode", "TaxRate"),
        posted=("POST", "*/invoice"),
        currency="USD",
        words={"item": "1", "tax": "1"},
        total=lambda found: Decimal(str(found["TotalAmt"])),
    ),
    Kind(
        slug="freshbooks",
        build=lambda: freshbooks.Simulator(freshbooks.Settings()),
        places=freshbooks.places,
        client=(freshbooks.CLIENT, freshbooks.SECRET),
        contacts="client",
        invoices="invoice",
        kept="invoices",
        account="account",
        pulled=("client", "tax"),
        posted=("POST", "*/invoices/invoices"),
        currency="CAD",
        words={"item": "Advice", "tax": "HST 13"},
        total=lambda found: Decimal(str(found["amount"]["amount"])),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Books:
    """A bridge with one connection to the books of a simulated company."""

    kind: Kind
    bridge: Landbridge
    connection: Connection
    control: Control
    contact: str

    def there(self) -> dict[str, dict[str, Any]]:
        """The invoices that the provider has, by their keys."""
        named = {self.kind.account: self.connection.account}
        return self.control.objects(self.kind.kept, **named)

    async def fail(self, kind: str, *, method: str = "", **more: Any) -> None:
        """Orders a fault for the next posts of an invoice, or for another method there."""
        posts, path = self.kind.posted
        await asyncio.to_thread(
            lambda: self.control.fault(kind, method=method or posts, path=path, **more)
        )

    def invoice(self, *lines: Line, **more: Any) -> Invoice:
        """An invoice to the contact; without lines, one that is like every other."""
        line = Line(description="Advice", quantity=Decimal(2), unit_price=Decimal("99.95"))
        return Invoice(
            contact=self.contact,
            status=DocumentStatus.OPEN,
            currency=self.kind.currency,
            issued_on=date(2026, 11, 22),
            due_on=date(2026, 12, 22),
            lines=tuple(self.named(one) for one in lines or (line,)),
            **more,
        )

    def named(self, line: Line) -> Line:
        """The line with what this provider's lines name; its amount, where that is exact."""
        words = dict(self.kind.words)
        if line.quantity is not None and line.unit_price is not None:
            minor = line.quantity * line.unit_price * 100
            words |= {"amount": int(minor)} if minor == int(minor) else {}
        return msgspec.structs.replace(line, **words)


@asynccontextmanager
async def books(database_url: str, kind: Kind) -> AsyncIterator[Books]:
    """The simulator, and a bridge over an empty database that is connected to it and has read
    whom an invoice can be to."""
    simulator = kind.build()
    with in_thread(simulator.app) as url, Control(url) as control:
        async with serving(database_url, None) as (bridge, _):
            secret = {"client_id": kind.client[0], "client_secret": kind.client[1]}
            await bridge.set_client(kind.slug, **secret)
            await bridge.enable(kind.slug, writes=[kind.invoices])
            found = await consented(bridge, kind.slug, kind.places(url))
            connection = next(iter(found.values()))
            await bridge.pull(connection, kind.pulled)
            keys = [one.key async for one in bridge.records(connection, kind.contacts)]
            yield Books(
                kind=kind, bridge=bridge, connection=connection, control=control, contact=keys[0]
            )
    simulator.stage.journal.close()
