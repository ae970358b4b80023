"""What one merchant has at Square: the records, how they change, and the rules of writing them."""

from __future__ import annotations

import copy
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from landbridge.testing.square.wire import Obj, Refused, not_found, stamp

KINDS = (
    "location",
    "customer",
    "item",
    "item_variation",
    "subscription_plan",
    "subscription_plan_variation",
    "subscription",
    "order",
    "payment_link",
    "invoice",
    "payment",
    "refund",
    "dispute",
    "payout",
)
VERSIONED = frozenset("customer subscription order payment_link invoice dispute payout".split())
CATALOGUE = frozenset(
    {"item", "item_variation", "subscription_plan", "subscription_plan_variation"}
)
_WRITTEN = frozenset(
    "given_name family_name company_name nickname email_address address phone_number reference_id"
    " note birthday tax_ids".split()
)
_EDITED = ("invoice_number", "title", "description")
_NAMED = ("given_name", "family_name", "company_name", "email_address", "phone_number")
_LETTERS = string.ascii_uppercase + string.digits


def _unheard(_event: Obj) -> None:
    """Nobody listens."""


@dataclass(kw_only=True)
class Shop:
    """One merchant. `changed` tells when each record last did, in unix seconds."""

    merchant: Obj
    rng: Random
    now: Callable[[], float]
    on_event: Callable[[Obj], None] = _unheard
    kept: dict[str, dict[str, Obj]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    changed: dict[tuple[str, str], float] = field(default_factory=dict)

    def put(self, kind: str, obj: Obj, *, at: float | None = None, event: str = "") -> Obj:
        """Keeps a record as it now is: stamped, in a new version, and told of where Square does.

        `event` says what happened, such as `invoice.payment_made`; empty: created or updated, and
        `-`: nothing is told.
        """
        when = self.now() if at is None else at
        key = obj.setdefault("id", self.new_id(22))
        new = key not in self.kept[kind]
        if new:
            obj.setdefault("created_at", stamp(when))
        if kind not in ("location", "subscription"):
            obj["updated_at"] = stamp(when)
        if kind in CATALOGUE:
            obj["version"] = int(when * 1000)
        elif kind in VERSIONED:
            obj["version"] = obj.get("version", 0) + 1 if not new else 1
        self.kept[kind][key] = obj
        self.changed[kind, key] = when
        if event != "-":
            self.tell(kind, obj, event or f"{kind}.{'created' if new else 'updated'}")
        return obj

    def tell(self, kind: str, obj: Obj, event: str, *, deleted: bool = False) -> None:
        """Plans a webhook, with the record as it is at this moment."""
        if kind in CATALOGUE:
            kind, event = "catalog_version", "catalog.version.updated"
            told: Obj = {
                "type": "catalog",
                "id": "",
                "object": {kind: {"updated_at": stamp(self.now())}},
            }
        elif kind == "order":
            told = _told_of_order(obj, event.replace(".", "_"))
        else:
            told = {"type": kind, "id": obj["id"], "object": {kind: copy.deepcopy(obj)}}
        whole: Obj = {
            "merchant_id": self.merchant["id"],
            "type": event,
            "event_id": self.new_uuid(),
            "created_at": stamp(self.now()),
            "data": {**told, **({"deleted": True} if deleted else {})},
        }
        if obj.get("location_id"):
            whole["location_id"] = obj["location_id"]
        self.on_event(whole)

    def one(self, kind: str, key: str) -> Obj:
        """A record by its id; `Refused` when there is none."""
        if key not in self.kept[kind]:
            raise not_found(kind, key)
        return self.kept[kind][key]

    def write_customer(self, key: str | None, sent: Obj) -> Obj:
        """Creates or changes a customer; null takes a field away, an address is merged."""
        unknown = sorted(set(sent) - _WRITTEN - {"idempotency_key", "version"})
        if unknown:
            raise Refused(400, "BAD_REQUEST", f"{unknown[0]} is not known", unknown[0])
        before: Obj = {} if key is None else self.one("customer", key)
        told = sent.get("version", before.get("version"))
        if told != before.get("version"):
            raise Refused(409, "CONFLICT", "The customer has another version by now.", "version")
        obj = {"creation_source": "THIRD_PARTY", **copy.deepcopy(before)}
        obj.setdefault("preferences", {"email_unsubscribed": False})
        for name in _WRITTEN & set(sent):
            value = sent[name]
            if isinstance(value, dict):
                merged = {**obj.get(name, {}), **value}
                value = {inner: each for inner, each in merged.items() if each is not None}
            obj[name] = value
            if value is None:
                del obj[name]
        if not any(obj.get(name) for name in _NAMED):
            detail = "At least one of " + ", ".join(_NAMED) + " is required for a customer."
            raise Refused(400, "BAD_REQUEST", detail)
        return self.put("customer", obj)

    def delete(self, kind: str, key: str) -> None:
        """Takes a record away; an object of the catalogue stays, marked."""
        obj = self.one(kind, key)
        if kind in CATALOGUE:
            self.put(kind, {**obj, "is_deleted": True})
            return
        del self.kept[kind][key]
        self.tell(kind, obj, f"{kind}.deleted", deleted=True)

    def refund(self, sent: Obj) -> Obj:
        """Gives back a part of a payment, or all; it is pending until `settle`."""
        if not sent.get("payment_id"):
            detail = "Missing required parameter."
            raise Refused(400, "MISSING_REQUIRED_PARAMETER", detail, "payment_id")
        payment = self.one("payment", str(sent["payment_id"]))
        money = sent.get("amount_money") or {}
        amount, currency = money.get("amount"), money.get("currency")
        total = payment["total_money"]
        if payment["status"] != "COMPLETED":
            detail = "The payment is not completed."
            raise Refused(400, "REFUND_ERROR_PAYMENT_NEEDS_COMPLETION", detail, "payment_id")
        if currency != total["currency"]:
            raise Refused(400, "CURRENCY_MISMATCH", f"It was paid in {total['currency']}.")
        back = payment.get("refunded_money", {}).get("amount", 0)
        if not isinstance(amount, int) or not 0 < amount <= total["amount"] - back:
            detail = "The requested refund amount exceeds the amount available to refund."
            raise Refused(400, "REFUND_AMOUNT_INVALID", detail, "amount_money.amount")
        made: Obj = {
            "id": f"{payment['id']}_{self.new_id(40)}",
            "status": "PENDING",
            "amount_money": dict(money),
            "payment_id": payment["id"],
            "order_id": self.new_id(22),
            "location_id": payment["location_id"],
        }
        if sent.get("reason"):
            made["reason"] = sent["reason"]
        self.put("refund", made)
        refunded = {"amount": back + amount, "currency": currency}
        ids = [*payment.get("refund_ids", []), made["id"]]
        self.put("payment", {**payment, "refunded_money": refunded, "refund_ids": ids})
        return made

    def settle(self) -> int:
        """Completes the refunds that are pending; how many."""
        waiting = [one for one in self.kept["refund"].values() if one["status"] == "PENDING"]
        for one in waiting:
            self.put("refund", {**one, "status": "COMPLETED"})
        return len(waiting)

    def pay(self, key: str) -> Obj:
        """Pays what an invoice asks for, as its customer would."""
        invoice = copy.deepcopy(self.one("invoice", key))
        for each in invoice["payment_requests"]:
            each["total_completed_amount_money"] = dict(each["computed_amount_money"])
        order = self.kept["order"].get(str(invoice.get("order_id")))
        if order is not None:
            self.put("order", {**order, "closed_at": stamp(self.now()), "state": "COMPLETED"})
        return self.put("invoice", {**invoice, "status": "PAID"}, event="invoice.payment_made")

    def write_invoice(self, key: str, sent: Obj) -> Obj:
        """Changes fields of an invoice; null takes one away."""
        told = sent.get("invoice") or {}
        invoice = self._in_version(key, told.get("version"))
        fixed = sorted(set(told) - {"version", *_EDITED})
        if fixed:
            raise Refused(
                400, "BAD_REQUEST", f"{fixed[0]} cannot be changed", f"invoice.{fixed[0]}"
            )
        made = {**invoice, **{name: told[name] for name in _EDITED if name in told}}
        return self.put("invoice", {name: each for name, each in made.items() if each is not None})

    def publish(self, key: str, sent: Obj) -> Obj:
        """Makes a draft a document, which its customer gets."""
        invoice = self._in_version(key, sent.get("version"))
        if invoice["status"] != "DRAFT":
            raise Refused(400, "BAD_REQUEST", "The invoice was published already.")
        made = {**invoice, "status": "UNPAID", "public_url": f"https://squareup.com/pay/{key}"}
        return self.put("invoice", made, event="invoice.published")

    def cancel(self, key: str, sent: Obj) -> Obj:
        """Calls off an invoice that was published and not paid."""
        invoice = self._in_version(key, sent.get("version"))
        if invoice["status"] not in ("UNPAID", "SCHEDULED", "PARTIALLY_PAID"):
            raise Refused(400, "BAD_REQUEST", f"It cannot be canceled: {invoice['status']}.")
        return self.put("invoice", {**invoice, "status": "CANCELED"}, event="invoice.canceled")

    def delete_invoice(self, key: str) -> None:
        """Takes a draft away."""
        if self.one("invoice", key)["status"] != "DRAFT":
            raise Refused(400, "BAD_REQUEST", "Only drafts can be deleted; cancel it.")
        self.delete("invoice", key)

    def _in_version(self, key: str, version: object) -> Obj:
        invoice = self.one("invoice", key)
        if version != invoice["version"]:
            raise Refused(409, "CONFLICT", "The invoice has another version by now.", "version")
        return copy.deepcopy(invoice)

    def new_id(self, length: int) -> str:
        """An id as Square's look."""
        return "".join(self.rng.choices(_LETTERS, k=length))

    def new_uuid(self) -> str:
        """An id of an event."""
        whole = f"{self.rng.getrandbits(128):032x}"
        return "-".join((whole[:8], whole[8:12], whole[12:16], whole[16:20], whole[20:]))


def _told_of_order(order: Obj, name: str) -> Obj:
    """What an event says of an order: how it stands, not what is in it."""
    known = ("location_id", "state", "version", "created_at", "updated_at")
    inner = {"order_id": order["id"], **{each: order[each] for each in known if each in order}}
    return {"type": name, "id": order["id"], "object": {name: inner}}
