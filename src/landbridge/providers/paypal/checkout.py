"""PayPal's orders (checkout v2) as pages to pay on: one purchase unit, captured when approved.

The payer pays with a PayPal account; return and cancel address are those of that experience.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from landbridge.errors import RecordError
from landbridge.models.payments import (
    Checkout,
    CheckoutLine,
    CheckoutMode,
    CheckoutPayment,
    CheckoutStatus,
)
from landbridge.providers.paypal.mapping import amount, approved, created
from landbridge.spec import (
    constant,
    decimal,
    first_of,
    major_price,
    many,
    map_from,
    map_to,
    on_create,
    one_of,
    picked,
    read_only,
    text,
    via,
)


def sold_in(record: dict[str, Any]) -> str | None:
    """The currency of an order."""
    units = record.get("purchase_units") or [{}]
    code: str | None = (units[0].get("amount") or {}).get("currency_code")
    return code


def to_unit(
    code: str | None,
    *,
    lines: Sequence[CheckoutLine],
    total: str | None,
    reference: str | None,
) -> dict[str, Any]:
    """What a new order sells. Where it has lines, they are its total, unless that is given."""

    def priced_at(value: str) -> dict[str, Any]:
        return {"currency_code": code, "value": value}

    told: dict[str, Any] = {"custom_id": reference} if reference else {}
    if not lines:
        return {"unit": {**told, "amount": priced_at(total or "0")}}
    if any(each.unit_price is None or not each.name for each in lines):
        raise RecordError(
            "lines: at PayPal each has a name and a unit_price; prices of a catalogue it does not"
            " take here",
            field="lines",
        )
    counted = [(each, each.quantity or Decimal(1), each.unit_price or Decimal(0)) for each in lines]
    told["items"] = [
        {
            "name": each.name,
            "quantity": format(count, "f"),
            "unit_amount": priced_at(format(price, "f")),
        }
        for each, count, price in counted
    ]
    whole = sum((count * price for _, count, price in counted), Decimal(0))
    summed = {"breakdown": {"item_total": priced_at(format(whole, "f"))}}
    told["amount"] = {**priced_at(total or format(whole, "f")), **summed}
    return {"unit": told}


def paid_for(record: dict[str, Any]) -> CheckoutPayment:
    """Whether the money of an order is taken; one that is through may wait for it yet."""
    for unit in record.get("purchase_units") or ():
        for each in (unit.get("payments") or {}).get("captures") or ():
            if each.get("status") in ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"):
                return CheckoutPayment.PAID
    return CheckoutPayment.UNPAID


sold = partial(picked, "purchase_units", {})
SHOWN = "payment_source.paypal.experience_context"
item = map_from(
    CheckoutLine,
    name=text("name"),
    unit_price=major_price("unit_amount.value", currency="unit_amount.currency_code"),
    quantity=decimal("quantity"),
)

checkout = map_to(
    Checkout,
    id=read_only(text("id")),
    status=read_only(
        one_of(
            "status",
            {
                "CREATED": CheckoutStatus.OPEN,
                "SAVED": CheckoutStatus.OPEN,
                "PAYER_ACTION_REQUIRED": CheckoutStatus.OPEN,
                "APPROVED": CheckoutStatus.COMPLETE,  # to be captured
                "COMPLETED": CheckoutStatus.COMPLETE,
                "VOIDED": CheckoutStatus.EXPIRED,
            },
        )
    ),
    paid=via(read=paid_for, paths=["purchase_units"]),
    mode=constant(CheckoutMode.PAYMENT),
    # With it goes all that is sold, which PayPal keeps in a list of one.
    currency=on_create(
        via(
            read=sold_in,
            write=to_unit,
            paths=["unit"],
            beside={
                "lines": many("items", item),
                "total": amount("value", currency="^"),
                "reference": text("custom_id"),
            },
        )
    ),
    lines=sold(many("items", item)),
    total=sold(read_only(amount("amount.value", currency="amount.currency_code"))),
    reference=sold(text("custom_id")),
    payment=sold(picked("payments.captures", {}, text("id"))),
    customer=first_of(text("payment_source.paypal.account_id"), text("payer.payer_id")),
    email=on_create(text("payment_source.paypal.email_address")),
    # Which of the two there is, is unsure.
    url=first_of(approved(), picked("links", {"rel": "payer-action"}, text("href"))),
    success_url=on_create(text(f"{SHOWN}.return_url")),
    cancel_url=on_create(text(f"{SHOWN}.cancel_url")),
    created_at=created,
)
