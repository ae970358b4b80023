"""Ordinary business on the vendor's side: what changes in an account while nobody looks."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from landbridge.testing.stripe import catalog, invoices, lines, payments
from landbridge.testing.stripe.problems import Problem
from landbridge.testing.stripe.world import Obj, World

_Step = Callable[[World, random.Random, int], "Obj | None"]


def churn(world: World, *, count: int, seed: int) -> list[dict[str, Any]]:
    """Makes `count` changes; each as `{"did", "object", "id"}`. The same seed does the same."""
    rng = random.Random(seed)  # noqa: S311 - changes to test with
    done: list[dict[str, Any]] = []
    tries = 0
    while len(done) < count and tries < count * 20:
        tries += 1
        name, step = rng.choice(_STEPS)
        try:
            obj = step(world, rng, tries)
        except Problem:
            continue
        if obj is not None:
            done.append({"did": name, "object": obj["object"], "id": obj["id"]})
    return done


def _one(world: World, rng: random.Random, name: str, status: str | None = None) -> Obj | None:
    found = [
        each
        for each in world.collections[name].items.values()
        if status is None or each["status"] == status
    ]
    return rng.choice(found) if found else None


def _new_customer(world: World, rng: random.Random, index: int) -> Obj:
    asked = {"name": f"Newcomer {index}", "email": f"new{rng.randrange(10**6)}@example.com"}
    return catalog.create_customer(world, asked)


def _change_customer(world: World, rng: random.Random, _: int) -> Obj | None:
    customer = _one(world, rng, "customers")
    if customer is None:
        return None
    stamp = str(rng.randrange(10**6))
    asked: dict[str, Any] = rng.choice(
        (
            {"email": f"changed{stamp}@example.com"},
            {"phone": f"+4930{stamp}"},
            {"metadata": {"touched": stamp}},
            {"address": {"line1": f"{stamp} New Street", "country": "FR"}},
        )
    )
    return catalog.update(world, "customers", customer["id"], asked)


def _delete_customer(world: World, rng: random.Random, _: int) -> Obj | None:
    customer = _one(world, rng, "customers")
    if customer is None or len(world.collections["customers"].items) < 3:
        return None
    return catalog.delete_customer(world, customer["id"])


def _rename_product(world: World, rng: random.Random, index: int) -> Obj | None:
    product = _one(world, rng, "products")
    if product is None:
        return None
    return catalog.update(world, "products", product["id"], {"name": f"Renamed {index}"})


def _bill(world: World, rng: random.Random, index: int) -> Obj | None:
    customer = _one(world, rng, "customers")
    if customer is None:
        return None
    draft = invoices.create_invoice(world, {"customer": customer["id"]})
    asked = {"invoice": draft["id"], "amount": rng.randrange(1, 900) * 10}
    lines.create_item(world, asked | {"description": f"Work {index}"})
    return draft if rng.random() < 0.2 else invoices.finalize(world, draft["id"], {})


def _pay(world: World, rng: random.Random, _: int) -> Obj | None:
    invoice = _one(world, rng, "invoices", "open")
    if invoice is None:
        return None
    asked: dict[str, Any] = {"payment_method": "pm_card_visa"}
    return invoices.pay(world, invoice["id"], asked)


def _void(world: World, rng: random.Random, _: int) -> Obj | None:
    invoice = _one(world, rng, "invoices", "open")
    return None if invoice is None else invoices.void(world, invoice["id"])


def _drop_draft(world: World, rng: random.Random, _: int) -> Obj | None:
    invoice = _one(world, rng, "invoices", "draft")
    return None if invoice is None else invoices.delete_invoice(world, invoice["id"])


def _refund(world: World, rng: random.Random, _: int) -> Obj | None:
    charge = _one(world, rng, "charges", "succeeded")
    if charge is None:
        return None
    return payments.create_refund(world, {"charge": charge["id"]})


def _cancel(world: World, rng: random.Random, _: int) -> Obj | None:
    subscription = _one(world, rng, "subscriptions", "active")
    if subscription is not None:
        catalog.cancel_subscription(world, subscription)
    return subscription


_STEPS: tuple[tuple[str, _Step], ...] = (
    ("customer created", _new_customer),
    ("customer changed", _change_customer),
    ("customer changed", _change_customer),
    ("customer deleted", _delete_customer),
    ("product renamed", _rename_product),
    ("invoice written", _bill),
    ("invoice written", _bill),
    ("invoice paid", _pay),
    ("invoice paid", _pay),
    ("invoice voided", _void),
    ("draft deleted", _drop_draft),
    ("charge refunded", _refund),
    ("subscription canceled", _cancel),
)
