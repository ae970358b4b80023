"""Payment intents, charges, balance transactions and refunds."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from landbridge.testing.stripe.catalog import put
from landbridge.testing.stripe.problems import Problem, conflict
from landbridge.testing.stripe.world import Obj, World

DECLINED = "pm_card_chargeDeclined"
"""The vendor's test payment method that every charge fails with."""

_DECIMALS = {"jpy": 0, "krw": 0, "bhd": 3, "jod": 3, "kwd": 3, "omr": 3, "tnd": 3}
_IN_USD = {"jpy": Decimal("0.0067"), "kwd": Decimal("3.2516"), "chf": Decimal("1.1234")}
_BRANDS = (("visa", "4242"), ("mastercard", "4444"), ("amex", "0005"))


def rounded(amount: Decimal, currency: str) -> int:
    """To an amount that can be charged, halves away from zero."""
    step = _step(currency)
    return int((amount / step).quantize(Decimal(1), ROUND_HALF_UP)) * step


def _step(currency: str) -> int:
    """Amounts of three-decimal currencies end in 0 (docs.stripe.com/currencies)."""
    return 10 if _DECIMALS.get(currency) == 3 else 1


def check_amount(amount: int, currency: str, param: str = "amount") -> None:
    """Refuses an amount that the currency does not have."""
    if amount % _step(currency):
        message = f"Invalid amount: the last digit of an amount in {currency} must be 0."
        raise Problem(message, param=param)


def new_intent(
    world: World,
    *,
    amount: int,
    currency: str,
    customer: str | None,
    created: int,
    status: str = "requires_payment_method",
    **fields: Any,
) -> Obj:
    """A payment intent, not yet added."""
    intent = world.fresh(
        "payment_intents",
        amount=amount,
        currency=currency,
        customer=customer,
        created=created,
        status=status,
        **fields,
    )
    intent["client_secret"] = f"{intent['id']}_secret_{world.letters(25)}"
    return intent


def new_charge(world: World, intent: Obj, *, created: int, failed: bool = False) -> Obj:
    """The charge of an intent, captured or failed, not yet added."""
    customer = world.collections["customers"].items.get(intent["customer"] or "", {})
    paid = not failed
    charge = world.fresh(
        "charges",
        amount=intent["amount"],
        amount_captured=intent["amount"] if paid else 0,
        captured=paid,
        created=created,
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        paid=paid,
        payment_intent=intent["id"],
        payment_method=intent["payment_method"],
        status="succeeded" if paid else "failed",
        failure_code="card_declined" if failed else None,
        failure_message="Your card was declined." if failed else None,
    )
    named = {each: customer.get(each) for each in ("email", "name", "phone")}
    charge["billing_details"] |= named
    _fill_card(world, charge, failed=failed)
    return charge


def _fill_card(world: World, charge: Obj, *, failed: bool) -> None:
    brand, last4 = world.random.choice(_BRANDS)
    card = charge["payment_method_details"]["card"]
    card |= {
        "amount_authorized": charge["amount"],
        "brand": brand,
        "network": brand,
        "last4": last4,
        "installments": None,
        "three_d_secure": None,
        "wallet": None,
    }
    card["overcapture"]["maximum_amount_capturable"] = charge["amount"]
    charge["outcome"] |= {
        "network_status": "declined_by_network" if failed else "approved_by_network",
        "reason": "generic_decline" if failed else None,
        "risk_level": "normal",
        "seller_message": "The bank declined the payment." if failed else "Payment complete.",
        "type": "issuer_declined" if failed else "authorized",
    }


def new_balance_transaction(
    world: World,
    source: Obj,
    *,
    amount: int,
    created: int,
    type_: str,
) -> Obj:
    """The movement on the account's balance; foreign currencies settle in US dollars."""
    currency, rate = source["currency"], _IN_USD.get(source["currency"])
    if rate is not None:
        whole = Decimal(amount).scaleb(2 - _DECIMALS.get(currency, 2))
        amount, currency = rounded(whole * rate, "usd"), "usd"
    fee = rounded(Decimal(amount) * Decimal("0.029"), currency) + 30 if type_ == "charge" else 0
    details = {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": "Stripe processing fees",
        "type": "stripe_fee",
    }
    return world.fresh(
        "balance_transactions",
        amount=amount,
        available_on=created + 2 * 86_400,
        created=created,
        currency=currency,
        description=source.get("description"),
        exchange_rate=None if rate is None else float(rate),
        fee=fee,
        fee_details=[details] if fee else [],
        net=amount - fee,
        reporting_category=type_,
        source=source["id"],
        status="pending" if created > world.now() - 2 * 86_400 else "available",
        type=type_,
    )


def capture(world: World, intent: Obj, payment_method: str) -> Obj:
    """Charges an intent now: the charge, succeeded or failed, with all events."""
    failed = payment_method == DECLINED
    now = world.now()
    with world.changing(
        intent, "payment_intent.payment_failed" if failed else "payment_intent.succeeded"
    ):
        intent["payment_method"] = payment_method
        charge = new_charge(world, intent, created=now, failed=failed)
        intent["latest_charge"] = charge["id"]
        if failed:
            intent["payment_method"] = None
            intent["last_payment_error"] = declined()
        else:
            intent |= {
                "status": "succeeded",
                "amount_received": intent["amount"],
                "last_payment_error": None,
            }
            settle(world, charge, amount=charge["amount"], type_="charge")
        world.add("charges", charge, "charge.failed" if failed else "charge.succeeded")
    return charge


def declined() -> dict[str, Any]:
    """The error of a declined card."""
    return {
        "code": "card_declined",
        "decline_code": "generic_decline",
        "doc_url": "https://stripe.com/docs/error-codes/card-declined",
        "message": "Your card was declined.",
        "type": "card_error",
    }


def settle(
    world: World, source: Obj, *, amount: int, type_: str, created: int | None = None
) -> Obj:
    """Adds the balance transaction of a charge or refund (the vendor has no event for it)."""
    at = world.now() if created is None else created
    moved = new_balance_transaction(world, source, amount=amount, created=at, type_=type_)
    world.collections["balance_transactions"].add(moved)
    source["balance_transaction"] = moved["id"]
    return moved


def create_refund(world: World, params: dict[str, Any]) -> Obj:
    """POST /v1/refunds of a charge or of a payment intent's latest charge."""
    charge = _refunded_charge(world, params)
    left = charge["amount"] - charge["amount_refunded"]
    amount = params.get("amount", left)
    if left == 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise conflict(message, "charge_already_refunded")
    if not charge["captured"] or charge["status"] != "succeeded":
        raise conflict(f"Charge {charge['id']} is not captured and cannot be refunded.")
    if amount < 1:
        message = "This value must be greater than or equal to 1."
        raise Problem(message, code="parameter_invalid_integer", param="amount")
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount ({left}) on charge"
        raise conflict(message, param="amount")
    check_amount(amount, charge["currency"])
    refund = new_refund(world, charge, amount=amount, created=world.now())
    fields = ("charge", "payment_intent", "amount", "reason")
    refund["reason"] = params.get("reason")
    put(refund, {key: value for key, value in params.items() if key not in fields})
    world.add("refunds", refund, "refund.created")
    with world.changing(charge, "charge.refunded"):
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    return refund


def _refunded_charge(world: World, params: dict[str, Any]) -> Obj:
    if params.get("charge") is not None:
        return world.get("charges", params["charge"], "charge", status=400)
    if params.get("payment_intent") is None:
        message = "One of the following params should be provided for this request: "
        raise Problem(
            message + "payment_intent or charge.", code="parameter_missing", param="charge"
        )
    intent = world.get("payment_intents", params["payment_intent"], "payment_intent", status=400)
    if intent["latest_charge"] is None:
        message = (
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        )
        raise conflict(message, "payment_intent_unexpected_state", "payment_intent")
    return world.get("charges", intent["latest_charge"])


def new_refund(world: World, charge: Obj, *, amount: int, created: int) -> Obj:
    """A succeeded refund with its balance transaction, not yet added."""
    refund = world.fresh(
        "refunds",
        amount=amount,
        charge=charge["id"],
        created=created,
        currency=charge["currency"],
        payment_intent=charge["payment_intent"],
    )
    refund["destination_details"]["card"] |= {
        "reference": world.letters(12),
        "reference_status": "available",
        "reference_type": "acquirer_reference_number",
    }
    settle(world, refund, amount=-amount, type_="refund", created=created)
    return refund
