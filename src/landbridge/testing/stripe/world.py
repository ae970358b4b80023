"""One Stripe account as it stands: objects by collection, newest first, and their events."""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from landbridge.testing.stage import SimClock
from landbridge.testing.stripe.problems import no_such
from landbridge.testing.stripe.vendor import api_version, plain

Obj = dict[str, Any]
_Rank = tuple[int, int, str]
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
EVENT_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a collection holds: `invoices` holds `invoice` objects named `in_...`."""

    object: str
    prefix: str
    length: int = 24
    keeps_deleted: bool = False
    """Whether a deleted object can still be retrieved, as `{id, object, deleted}`."""
    path: str = ""
    """Where it is under `/v1/`, if not under the collection's name."""


KINDS = {
    "balance_transactions": Kind(object="balance_transaction", prefix="txn"),
    "charges": Kind(object="charge", prefix="ch"),
    "checkout_sessions": Kind(
        object="checkout.session", prefix="cs_test", length=58, path="checkout/sessions"
    ),
    "customers": Kind(object="customer", prefix="cus", length=14, keeps_deleted=True),
    "disputes": Kind(object="dispute", prefix="dp"),
    "events": Kind(object="event", prefix="evt"),
    "invoice_payments": Kind(object="invoice_payment", prefix="inpay"),
    "invoiceitems": Kind(object="invoiceitem", prefix="ii"),
    "invoices": Kind(object="invoice", prefix="in"),
    "payment_intents": Kind(object="payment_intent", prefix="pi"),
    "payouts": Kind(object="payout", prefix="po"),
    "prices": Kind(object="price", prefix="price"),
    "products": Kind(object="product", prefix="prod", length=14),
    "refunds": Kind(object="refund", prefix="re"),
    "subscriptions": Kind(object="subscription", prefix="sub"),
    "tax_rates": Kind(object="tax_rate", prefix="txr"),
    "webhook_endpoints": Kind(object="webhook_endpoint", prefix="we"),
}
BY_PREFIX = {kind.prefix.split("_")[0]: name for name, kind in KINDS.items()}
_NOUNS = {"payment_intent": "payment_intent", "tax_rate": "tax rate"}


class Collection:
    """Objects of one kind, in the order of `created` and, within a second, of arrival."""

    def __init__(self, kind: Kind):
        self.kind = kind
        self.items: dict[str, Obj] = {}
        self.gone: dict[str, Obj] = {}
        """What was deleted, as it last stood."""
        self._ranks: list[_Rank] = []
        self._rank_of: dict[str, _Rank] = {}
        self._arrived = 0

    def add(self, obj: Obj) -> None:
        """Takes a new object."""
        self._arrived += 1
        rank = (int(obj["created" if "created" in obj else "date"]), self._arrived, obj["id"])
        self.items[obj["id"]] = obj
        self._rank_of[obj["id"]] = rank
        insort(self._ranks, rank)

    def remove(self, object_id: str) -> Obj:
        """Deletes; the object keeps its place as a cursor and in `gone`."""
        obj = self.items.pop(object_id)
        self.gone[object_id] = obj
        self._ranks.pop(bisect_left(self._ranks, self._rank_of[object_id]))
        return obj

    def restore(self, object_id: str) -> Obj:
        """Brings a deleted object back to its old place."""
        obj = self.gone.pop(object_id)
        self.items[object_id] = obj
        insort(self._ranks, self._rank_of[object_id])
        return obj

    def backdate(self, object_id: str, created: int) -> None:
        """Puts an object where it would stand had it been created then: a late commit."""
        obj = self.items[object_id]
        old = self._rank_of[object_id]
        self._ranks.pop(bisect_left(self._ranks, old))
        obj["created"] = created
        self._rank_of[object_id] = (created, old[1], object_id)
        insort(self._ranks, self._rank_of[object_id])

    def newest_first(self, *, after: str | None = None, before: str | None = None) -> Iterator[Obj]:
        """From the newest on, or from just after one object; `before` walks towards the newest."""
        if before is not None:
            start = bisect_left(self._ranks, self._rank_of[before])
            found = start < len(self._ranks) and self._ranks[start][2] == before
            for index in range(start + found, len(self._ranks)):
                yield self.items[self._ranks[index][2]]
            return
        end = len(self._ranks)
        if after is not None:
            end = bisect_left(self._ranks, self._rank_of[after])
        for index in range(end - 1, -1, -1):
            yield self.items[self._ranks[index][2]]

    def knows(self, object_id: str) -> bool:
        """Whether an object with this id is or was here, so that it can be a cursor."""
        return object_id in self._rank_of


@dataclass(frozen=True, kw_only=True)
class Cause:
    """The API request that caused an event; both None for what the other side did by itself."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass
class World:
    """The account. Everything in it changes through the functions that also make the events."""

    clock: SimClock
    seed: int = 0
    collections: dict[str, Collection] = field(
        default_factory=lambda: {name: Collection(kind) for name, kind in KINDS.items()}
    )
    pending_webhooks: Callable[[str], int] = lambda _: 0
    """How many endpoints want an event of a type."""
    on_event: Callable[[Obj], None] = lambda _: None
    address: str = "https://checkout.stripe.com"
    """Where it was last called, which pages to pay on lead to."""
    items_of: dict[str, list[Obj]] = field(default_factory=dict)
    """What is bought, by checkout session."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - ids and amounts to test with
        self.account = plain("account") | {
            "id": self.new_id("acct", 16),
            "charges_enabled": True,
            "payouts_enabled": True,
            "details_submitted": True,
        }
        for name in ("kana", "kanji"):
            del self.account["settings"]["payments"][f"statement_descriptor_prefix_{name}"]
        self._cause = Cause()

    def now(self) -> int:
        """The present in whole unix seconds."""
        return int(self.clock.now())

    def new_id(self, prefix: str, length: int = 24) -> str:
        """An id like the vendor's; the same seed gives the same ids in the same order."""
        return f"{prefix}_{self.letters(length)}"

    def letters(self, length: int) -> str:
        """Random letters and digits."""
        return "".join(self.random.choices(_ALPHABET, k=length))

    def fresh(self, name: str, /, **fields: Any) -> Obj:
        """A new plain object of a collection with an id; not yet in it."""
        kind = KINDS[name]
        return plain(kind.object) | {"id": self.new_id(kind.prefix, kind.length)} | fields

    def get(self, name: str, object_id: str, param: str = "id", *, status: int = 404) -> Obj:
        """The object, or the vendor's refusal; `status` is 400 for ids in parameters."""
        found = self.collections[name].items.get(object_id)
        if found is None:
            noun = KINDS[name].object
            raise no_such(_NOUNS.get(noun, noun), object_id, param, status=status)
        return found

    def find(self, object_id: str) -> Obj | None:
        """The object with this id in whichever collection; a deleted one as it is retrieved."""
        name = BY_PREFIX.get(object_id.split("_", maxsplit=1)[0])
        if name is None:
            return None
        collection = self.collections[name]
        if object_id in collection.gone and collection.kind.keeps_deleted:
            return deleted(collection.kind, object_id)
        return collection.items.get(object_id)

    def add(self, name: str, obj: Obj, event: str | None = None) -> Obj:
        """Takes a new object and says so by an event, `<object>.created` unless named."""
        self.collections[name].add(obj)
        self.event(event or f"{KINDS[name].object}.created", obj)
        return obj

    @contextmanager
    def caused_by(self, cause: Cause) -> Iterator[None]:
        """Events made in this block name the request that caused them."""
        before, self._cause = self._cause, cause
        try:
            yield
        finally:
            self._cause = before

    @contextmanager
    def changing(self, obj: Obj, *events: str) -> Iterator[None]:
        """Makes the events after the block, if it changed the object, with the former values."""
        before = copied(obj)
        yield
        previous = difference(before, obj)
        if previous:
            if "updated" in obj:
                obj["updated"] = self.now()
            for event in events:
                self.event(event, obj, previous if event.endswith(".updated") else None)

    def event(
        self, type_: str, obj: Obj, previous: Obj | None = None, at: int | None = None
    ) -> Obj:
        """A new event with a snapshot of the object, told to whoever listens."""
        kept = {"object": copied(obj)}
        if previous is not None:
            kept["previous_attributes"] = previous
        cause = {
            "id": self._cause.request_id,
            "idempotency_key": self._cause.idempotency_key,
        }
        event = self.fresh(
            "events",
            api_version=api_version(),
            created=self.now() if at is None else at,
            data=kept,
            pending_webhooks=self.pending_webhooks(type_),
            request=cause,
            type=type_,
        )
        self.collections["events"].add(event)
        self.on_event(event)
        return event


def deleted(kind: Kind, object_id: str) -> Obj:
    """What stands for an object that was deleted."""
    return {"id": object_id, "object": kind.object, "deleted": True}


def copied(obj: Obj) -> Obj:
    """A deep copy."""
    copy: Obj = msgspec.json.decode(msgspec.json.encode(obj))
    return copy


def difference(before: Obj, after: Obj) -> Obj:
    """The former values of what changed, as in an event's `previous_attributes`."""
    out: Obj = {}
    for key, now in after.items():
        was = before.get(key)
        if was == now and key in before:
            continue
        both = isinstance(was, dict) and isinstance(now, dict) and "object" not in now
        out[key] = difference(was, now) if both and was is not None else was
    for key in before.keys() - after.keys():
        out[key] = before[key]
    return out
