"""Code as users write it. Lines that a type checker must refuse say so with the error's code."""

from collections.abc import Sequence
from datetime import timedelta
from typing import assert_type

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from landbridge import (
    Change,
    Connection,
    EventType,
    Landbridge,
    LandbridgeError,
    Settings,
    Tx,
    Version,
)
from landbridge.errors import ProviderError, Refused
from landbridge.ids import EventId, IntentId
from landbridge.models.calendar import Event
from landbridge.models.payments import Customer, Invoice, InvoiceStatus
from landbridge.spec import (
    AfterLast,
    ApiKey,
    Field,
    Provider,
    Resource,
    map_to,
    read_only,
    text,
)

bridge = Landbridge.from_env(environment="test", pool=5)
assert_type(bridge.settings, Settings)


# Handlers get the model that they were registered for.


@bridge.on(Invoice)
async def invoice_changed(change: Change[Invoice], tx: Tx) -> None:
    assert_type(change.before, Invoice | None)
    assert_type(change.after, Invoice | None)
    if change.after is not None:
        assert_type(change.after.status, InvoiceStatus)
        await tx.execute("UPDATE invoices SET status = $1", change.after.status)
    str(change.after.status)  # expect: union-attr
    change.key = "another"  # expect: misc


@bridge.on(Event, name="events", timeout=5.0, attempts=3)
async def event_changed(change: Change[Event], tx: Tx) -> None:
    async with tx.session() as session:
        assert_type(session, AsyncSession)


@bridge.on(Customer)  # expect: arg-type
async def takes_another_model(change: Change[Invoice], tx: Tx) -> None: ...


@bridge.on(Customer)  # expect: arg-type
def is_not_async(change: Change[Customer], tx: Tx) -> None: ...


@bridge.on(str)  # expect: type-var, arg-type
async def is_no_model(change: Change[Customer], tx: Tx) -> None: ...


# What is emitted and promised is awaited on async sessions, and done at once on the others.


async def emitted(
    tx: Tx, session: AsyncSession, connection: AsyncConnection, invoice: Invoice, to: Connection
) -> None:
    assert_type(await bridge.emit(tx, "invoice.paid", invoice, tenant="acme"), EventId)
    assert_type(await bridge.emit(session, "invoice.paid", {"id": 1}, tenant="acme"), EventId)
    assert_type(await bridge.emit(connection, "invoice.paid", [1], tenant="acme"), EventId)
    assert_type(await bridge.push(session, invoice, to=to), IntentId)
    await bridge.emit(session, "invoice.paid", {}, tenant="acme", idempotency_key="paid-17")
    assert_type(await bridge.emit("invoice.paid", {"id": 1}, tenant="acme"), EventId)
    await bridge.emit("invoice.paid", invoice, tenant="acme", by_reference=True, subject="ann")
    await bridge.emit(session, "invoice.paid", {})  # expect: call-overload
    await bridge.emit("invoice.paid", tenant="acme")  # expect: call-overload
    await bridge.emit("invoice.paid", {}, tenant="acme", idempotency="x")  # expect: call-overload
    await bridge.push(session, {"number": "17"}, to=to)  # expect: call-overload


def emitted_by_a_blocking_session(session: Session, invoice: Invoice, to: Connection) -> None:
    assert_type(bridge.emit(session, "invoice.paid", invoice, tenant="acme"), EventId)
    assert_type(bridge.push(session, invoice, to=to, action="update"), IntentId)


# The catalogue of events.


def before(paid: Invoice) -> dict[str, str]:
    return {"number": paid.number or ""}


paid = EventType(
    type="invoice.paid",
    description="An invoice was paid.",
    model=Invoice,
    since="2026-02-01",
    older=[Version(since="2026-01-01", model=dict[str, str], down=before)],
    schedule=[timedelta(minutes=1)],
)
bridge.declare(paid)
assert_type(Landbridge.from_env(events=[paid]), Landbridge)
EventType(type="invoice.paid", descripton="An invoice was paid.")  # expect: call-arg
EventType(type="invoice.paid")  # expect: call-arg
Version(since="2026-01-01", model=Invoice)  # expect: call-arg
paid.type = "invoice.sent"  # expect: misc


async def in_our_own_transaction() -> None:
    async with bridge.transaction() as tx:
        assert_type(tx, Tx)


# Connections, records, errors.


async def connected() -> Sequence[Connection]:
    made = await bridge.connect(
        "stripe", tenant="acme", credentials={"key": "sk_test_1"}, every=timedelta(minutes=1)
    )
    assert_type(made.connection, Connection)
    assert_type(made.new, bool)
    await bridge.connect("stripe", tenant="acme")  # expect: call-arg
    await bridge.connect("stripe", tenant="acme", credentials="sk_test_1")  # expect: arg-type
    async for record in bridge.records(made.connection, "invoice"):
        assert_type(record.raw, bytes)
    return await bridge.connections(tenant="acme")


def told(error: LandbridgeError) -> str:
    if isinstance(error, Refused):
        return ", ".join(f"{name}: {why}" for name, why in error.problems.items())
    if isinstance(error, ProviderError) and error.transient:
        assert_type(error.request_id, str | None)
    return str(error)


# Models are frozen and know their fields.

invoice = Invoice(number="17", currency="EUR", status=InvoiceStatus.OPEN)
invoice.number = "18"  # expect: misc
str(invoice.nummer)  # expect: attr-defined
Invoice(numbre="17", currency="EUR", status=InvoiceStatus.OPEN)  # expect: call-arg
Invoice(number="17", currency="EUR", status="open")  # expect: arg-type


# A provider's page: a misspelt or missing fact is found by the checker already.

shop = Provider(
    slug="shop",
    name="Shop",
    docs="https://shop.example/docs",
    checked="2026-11-22",
    auth=ApiKey(fields=[Field(name="key", label="API key", secret=True)]),
    base="https://shop.example",
    resources=[
        Resource(
            name="customer",
            path="/customers",
            key="id",
            records="data",
            page=AfterLast(param="after", more="more"),
            maps=map_to(Customer, id=read_only(text("id")), name=text("name")),
        )
    ],
)
assert_type(Landbridge.from_env(providers=[shop]), Landbridge)
Resource(name="customer", path="/customers", kee="id")  # expect: call-arg
Resource(name="customer", path="/customers")  # expect: call-arg
Field("key", "API key")  # expect: call-arg
AfterLast(param="after", more=True)  # expect: arg-type
map_to(str, id=text("id"))  # expect: type-var
