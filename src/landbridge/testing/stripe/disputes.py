"""Disputes and payouts: what banks do without being asked by the merchant."""

from __future__ import annotations

from typing import Any

from landbridge.testing.stripe.payments import settle
from landbridge.testing.stripe.problems import missing
from landbridge.testing.stripe.world import Obj, World

_DAY = 86_400


def new_dispute(world: World, charge: Obj, *, created: int, reason: str = "fraudulent") -> Obj:
    """A dispute over all of a charge, not yet added."""
    dispute = world.fresh(
        "disputes",
        amount=charge["amount"],
        charge=charge["id"],
        created=created,
        currency=charge["currency"],
        enhanced_eligibility_types=[],
        is_charge_refundable=False,
        payment_intent=charge["payment_intent"],
        reason=reason,
        status="needs_response",
    )
    dispute["evidence_details"] |= {"due_by": created + 7 * _DAY}
    dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
    charge["disputed"] = True
    return dispute


def dispute(world: World, params: dict[str, Any]) -> Obj:
    """A payer's bank disputes a charge: `{"charge": "ch_..", "reason": "fraudulent"}`."""
    if not params.get("charge"):
        raise missing("charge")
    charge = world.get("charges", params["charge"], "charge", status=400)
    reason = params.get("reason", "fraudulent")
    made = new_dispute(world, charge, created=world.now(), reason=reason)
    return world.add("disputes", made, "charge.dispute.created")


def new_payout(world: World, *, amount: int, currency: str, created: int) -> Obj:
    """A payout with its movement of the balance, not yet added."""
    payout = world.fresh(
        "payouts",
        amount=amount,
        arrival_date=created + 2 * _DAY,
        created=created,
        currency=currency,
    )
    settle(world, payout, amount=-amount, type_="payout", created=created)
    return payout


def pay_out(world: World, params: dict[str, Any]) -> Obj:
    """The account's money goes to the bank: `{"amount": 1000, "currency": "usd"}`."""
    for name in ("amount", "currency"):
        if not params.get(name):
            raise missing(name)
    amount, currency = params["amount"], params["currency"]
    made = new_payout(world, amount=amount, currency=currency, created=world.now())
    return world.add("payouts", made)
