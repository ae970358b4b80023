"""What a merchant's account holds, and the events that tell of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from landbridge.testing.paypal.wire import Obj, code_of, stamp

KINDS = {
    "invoice": "id",
    "product": "id",
    "plan": "id",
    "subscription": "id",
    "order": "id",
    "capture": "id",
    "refund": "id",
    "dispute": "dispute_id",
    "payout": "id",
}
"""Every kind of record, and where its id is."""
_TYPES = {
    "invoice": ("invoices", "2.0"),
    "product": ("product", "2.0"),
    "plan": ("plan", "2.0"),
    "subscription": ("subscription", "2.0"),
    "order": ("checkout-order", "2.0"),
    "capture": ("capture", "2.0"),
    "refund": ("refund", "2.0"),
    "sale": ("sale", "1.0"),
    "dispute": ("dispute", "1.0"),
    "payout": ("payouts", "1.0"),
}


@dataclass(kw_only=True)
class Account:
    """The records of one merchant, by kind and id, in the order in which they were made.

    `wrapped`: an event tells of an invoice as `resource.invoice`, not as `resource`.
    """

    rng: Random
    now: Callable[[], float]
    url: str = "https://api.sandbox.paypal.com"
    wrapped: bool = True
    on_event: Callable[[Obj], None] = lambda _: None
    report: list[Obj] = field(default_factory=list)
    """Movements of the balance, as the report has them, in the order in which they show."""
    kept: dict[str, dict[str, Obj]] = field(default_factory=lambda: {name: {} for name in KINDS})
    events: list[Obj] = field(default_factory=list)
    _numbers: int = 0

    def next_number(self) -> int:
        """The number of the next invoice that is given none."""
        self._numbers += 1
        return self._numbers

    def put(self, kind: str, topic: str, record: Obj, *, tell: bool = True) -> Obj:
        """Keeps a record, and tells of it by an event."""
        self.kept[kind][record[KINDS[kind]]] = record
        if tell:
            self.tell(kind, topic, record)
        return record

    def moved(
        self,
        code: str,
        ident: str,
        amount: Obj,
        fee: Obj | None,
        about: str = "",
        at: float | None = None,
    ) -> None:
        """Writes a movement of the balance into the report; `at`: not now, but then."""
        when = stamp(self.now() if at is None else at)
        told: Obj = {
            "transaction_id": ident,
            "transaction_event_code": code,
            "transaction_initiation_date": when,
            "transaction_updated_date": when,
            "transaction_amount": amount,
            "transaction_status": "S",
        }
        if fee is not None:
            told["fee_amount"] = fee
        if about:
            told |= {"paypal_reference_id": about, "paypal_reference_id_type": "TXN"}
        self.report.append({"transaction_info": told, "payer_info": {"account_id": "QM5AJBWB9Q"}})

    def tell(self, kind: str, topic: str, record: Obj) -> Obj:
        """The event about a record, sent on its way."""
        type_, version = _TYPES[kind]
        ident = f"WH-{code_of(self.rng)}-{code_of(self.rng)}"
        event = {
            "id": ident,
            "event_version": "1.0",
            "create_time": stamp(self.now()),
            "resource_type": type_,
            "resource_version": version,
            "event_type": topic,
            "summary": f"A {kind} changed",
            "resource": {"invoice": record} if kind == "invoice" and self.wrapped else record,
            "links": [
                {
                    "href": f"{self.url}/v1/notifications/webhooks-events/{ident}",
                    "rel": "self",
                    "method": "GET",
                }
            ],
        }
        self.events.append(event)
        self.on_event(event)
        return event
