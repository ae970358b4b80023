"""Stripe's page led against the simulator over real HTTP: pulled, changed and pulled, written."""

from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx2
import msgspec
import pytest

from landbridge.errors import Refused
from landbridge.models.payments import Collection, Customer, Invoice, Refund
from landbridge.protocols import Fetched, Page, Place, fetch, identify, pull, write
from landbridge.providers.stripe import stripe
from landbridge.spec import Mapped
from landbridge.testing.pytest_plugin import StripeSimulator
from landbridge.testing.stripe import Amounts, Settings
from landbridge.wire import Headers, Request, Response
from tests.plain import PLAIN
from tests.specs import requests

COLLECTIONS = {
    "customer": "customers",
    "product": "products",
    "price": "prices",
    "subscription": "subscriptions",
    "invoice": "invoices",
    "payment_intent": "payment_intents",
    "charge": "charges",
    "refund": "refunds",
    "checkout.session": "checkout_sessions",
    "dispute": "disputes",
    "payout": "payouts",
    "balance_transaction": "balance_transactions",
    "event": "events",
}


class Wire:
    """Leads conversations over HTTP with the simulator's key; checks each request on its way."""

    def __init__(self, simulator: StripeSimulator):
        self.place = Place(base=simulator.url)
        self.control = simulator.control
        self.sent = 0
        self._http = httpx2.Client(
            trust_env=False,
            verify=PLAIN,
            timeout=30,
            headers={"Authorization": f"Bearer {simulator.key}"},
        )

    def close(self) -> None:
        self._http.close()

    def send(self, request: Request) -> Response:
        assert requests.stripe().wrong(request) == []
        self.sent += 1
        answer = self._http.request(
            request.method,
            request.full_url,
            headers=list(request.headers.pairs()),
            content=request.body or None,
        )
        return Response(
            status=answer.status_code,
            headers=Headers(answer.headers.multi_items()),
            body=answer.content,
        )

    def lead(self, conversation: Generator[Request, Response, Any]) -> Any:
        request = next(conversation)
        while True:
            try:
                request = conversation.send(self.send(request))
            except StopIteration as end:
                return end.value

    def pull(self, name: str, held: dict[str, Any], cursor: dict[str, Any] | None) -> Any:
        """Pulls one resource into `held`; the cursor behind it."""
        resource = stripe.resource(name)
        conversation = pull(stripe, resource, self.place, cursor, datetime.now(UTC))
        step = next(conversation)
        while True:
            reply = None
            if isinstance(step, Page):
                cursor = step.cursor
                assert step.unreadable == ()
                held |= {record.key: record for record in step.records}
                for key in step.gone:
                    held.pop(key, None)
            else:
                reply = self.send(step)
            try:
                step = conversation.send(reply)
            except StopIteration:
                return cursor


@pytest.fixture
def stripe_settings() -> Settings:
    return Settings(amounts=Amounts(customers=120, invoices=200))


@pytest.fixture
def wire(stripe_simulator: StripeSimulator) -> Iterator[Wire]:
    wire = Wire(stripe_simulator)
    yield wire
    wire.close()


def mapped(name: str) -> Mapped[Any]:
    maps = stripe.resource(name).maps
    assert maps is not None
    return maps


def exact(value: Any) -> Any:
    """JSON values as our codec reads them."""
    return msgspec.json.Decoder(float_hook=Decimal).decode(msgspec.json.encode(value))


def shown(record: Any) -> Any:
    """An object without what a list inside it says about itself, and without a counter that moves
    without an event."""
    found = {name: value for name, value in record.items() if name != "next_invoice_sequence"}
    found.pop("line_items", None)
    for name in ("lines", "items"):
        if name in found:
            found[name] = found[name]["data"]
    return found


def held_equals_simulator(wire: Wire, name: str, held: dict[str, Fetched]) -> bool:
    theirs = {
        key: shown(exact(one)) for key, one in wire.control.objects(COLLECTIONS[name]).items()
    }
    return {key: shown(one.value) for key, one in held.items()} == theirs


def test_every_object_is_pulled_whole_and_can_be_read(wire: Wire) -> None:
    for name in COLLECTIONS:
        held: dict[str, Fetched] = {}
        wire.pull(name, held, None)
        assert held
        assert held_equals_simulator(wire, name, held), name
        if stripe.resource(name).maps:
            assert all(mapped(name).read(one.value).id == key for key, one in held.items())


def test_what_changes_is_pulled_by_events_alone(wire: Wire) -> None:
    held: dict[str, dict[str, Fetched]] = {name: {} for name in COLLECTIONS}
    cursors = {name: wire.pull(name, held[name], None) for name in COLLECTIONS}
    for seed in range(3):
        wire.control.advance(3600)
        wire.control.post("churn", count=60, seed=seed)
        for name in COLLECTIONS:
            cursors[name] = wire.pull(name, held[name], cursors[name])
            if name != "balance_transaction":  # they change without an event
                assert held_equals_simulator(wire, name, held[name]), name
        theirs = wire.control.objects("balance_transactions")
        assert sorted(held["balance_transaction"]) == sorted(theirs)
    before = wire.sent
    for name in COLLECTIONS:
        wire.pull(name, held[name], cursors[name])
    assert wire.sent - before <= 2 * len(COLLECTIONS)


def test_the_account_is_identified(wire: Wire) -> None:
    account = wire.lead(identify(stripe, wire.place))
    assert account.id.startswith("acct_")
    assert account.live is False


def test_a_customer_is_made_changed_and_deleted(wire: Wire) -> None:
    resource, maps = stripe.resource("customer"), mapped("customer")
    asked = Customer(name="Jörg & Co", email="j@example.com", extra={"plan & more": "b"})
    made = wire.lead(
        write(stripe, resource, wire.place, "create", "", maps.write(asked), None, "int_1")
    )
    again = wire.lead(
        write(stripe, resource, wire.place, "create", "", maps.write(asked), None, "int_1")
    )
    assert again.key == made.key
    base = maps.read(wire.lead(fetch(stripe, resource, wire.place, made.key)).value)
    assert (base.name, base.email, base.extra) == (asked.name, asked.email, asked.extra)
    wanted = msgspec.structs.replace(base, name="Jörg", email=None, extra={"c": "d"})
    changes = maps.write(wanted, base=base)
    wire.lead(write(stripe, resource, wire.place, "update", made.key, changes, None, "int_2"))
    stored = wire.control.objects("customers")[made.key]
    assert stored["metadata"] == {"c": "d", "landbridge": "int_2"}
    after = wire.lead(fetch(stripe, resource, wire.place, made.key))
    assert maps.read(after.value) == wanted
    for intent in ("int_3", "int_4"):
        wire.lead(write(stripe, resource, wire.place, "delete", made.key, {}, None, intent))
    assert wire.lead(fetch(stripe, resource, wire.place, made.key)) is None


def test_an_invoice_is_made_and_its_due_date_moved(wire: Wire) -> None:
    resource, maps = stripe.resource("invoice"), mapped("invoice")
    customer = next(iter(wire.control.objects("customers")))
    draft = {"customer": customer, "currency": "EUR", "collection": Collection.SENT}
    asked = mapped("invoice").read({"status": "draft", "currency": "eur"})
    assert isinstance(asked, Invoice)
    asked = msgspec.structs.replace(
        asked, **draft, due_on=datetime(2030, 3, 31, tzinfo=UTC).date(), description="Thank you"
    )
    made = wire.lead(
        write(stripe, resource, wire.place, "create", "", maps.write(asked), None, "int_1")
    )
    base = maps.read(wire.lead(fetch(stripe, resource, wire.place, made.key)).value)
    assert (base.due_on, base.description, base.customer) == (asked.due_on, "Thank you", customer)
    later = msgspec.structs.replace(base, due_on=datetime(2030, 4, 30, tzinfo=UTC).date())
    changes = maps.write(later, base=base)
    assert list(changes) == ["due_date"]
    wire.lead(write(stripe, resource, wire.place, "update", made.key, changes, None, "int_2"))
    assert maps.read(wire.lead(fetch(stripe, resource, wire.place, made.key)).value) == later


def test_a_refund_is_made_and_a_second_one_refused(wire: Wire) -> None:
    resource, maps = stripe.resource("refund"), mapped("refund")
    charges = wire.control.objects("charges").values()
    paid = [one for one in charges if one["status"] == "succeeded" and one["captured"]]
    charge = next(one for one in paid if one["amount"] > 0 and not one["amount_refunded"])
    asked = Refund(
        attempt=charge["id"], currency=charge["currency"].upper(), amount=charge["amount"]
    )
    made = wire.lead(
        write(stripe, resource, wire.place, "create", "", maps.write(asked), None, "int_1")
    )
    found = maps.read(wire.lead(fetch(stripe, resource, wire.place, made.key)).value)
    assert (found.amount, found.currency, found.attempt) == (
        asked.amount,
        asked.currency,
        charge["id"],
    )
    with pytest.raises(Refused) as caught:
        wire.lead(
            write(stripe, resource, wire.place, "create", "", maps.write(asked), None, "int_2")
        )
    assert caught.value.code == "charge_already_refunded"
    assert caught.value.request_id
