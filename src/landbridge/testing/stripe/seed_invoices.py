"""Seeds what was billed and paid: invoices in every status, their payments, refunds."""

from __future__ import annotations

from typing import Any

from landbridge.testing.stripe.invoices import (
    new_invoice,
    new_payment,
    number_invoice,
    subscription_parent,
)
from landbridge.testing.stripe.lines import line_of, new_item, new_line, retotal
from landbridge.testing.stripe.payments import (
    declined,
    new_charge,
    new_intent,
    new_refund,
    settle,
)
from landbridge.testing.stripe.seed_ground import CURRENCIES, DAY, Ground
from landbridge.testing.stripe.world import Obj, copied

_INVOICE_STATUS = ("paid", "open", "draft", "void", "uncollectible")
_INTENT_STATUS = (
    "requires_payment_method requires_confirmation requires_action processing"
    " requires_capture canceled"
).split()


def invoices(ground: Ground, count: int) -> None:
    """Invoices in every status with what belongs to them."""
    for index, moment in enumerate(ground.moments(count, 400)):
        customer = ground.some_customer()
        created = max(moment, customer["created"])
        status = ground.random.choices(_INVOICE_STATUS, (60, 15, 10, 8, 7))[0]
        invoice = new_invoice(
            ground.world, customer, currency=customer["currency"], created=created
        )
        _occasion(ground, invoice, customer, index)
        _bill(ground, invoice, index)
        ground.add("invoices", invoice)
        if status != "draft":
            _advance(ground, invoice, status, index)


def _occasion(ground: Ground, invoice: Obj, customer: Obj, index: int) -> None:
    """Why there is this invoice: a subscription, or somebody wrote it."""
    invoice["payment_settings"]["payment_method_options"] = None
    if index % 4 == 0:
        invoice["metadata"] = {"order id": f"O-{index}"}
    subscriptions = ground.by_customer.get(customer["id"], [])
    if subscriptions and index % 2:
        subscription = ground.random.choice(subscriptions)
        invoice |= {
            "billing_reason": "subscription_cycle",
            "parent": subscription_parent(subscription),
            "auto_advance": True,
        }
        subscription["latest_invoice"] = invoice["id"]
    elif index % 3 == 0:
        invoice |= {
            "collection_method": "send_invoice",
            "due_date": invoice["created"] + 30 * DAY,
            "description": "Thank you for your order",
        }


def _bill(ground: Ground, invoice: Obj, index: int) -> None:
    count = 12 if index % 40 == 39 else ground.random.randint(1, 4)
    rates = [ground.rates[index % len(ground.rates)]] if index % 5 < 2 else []
    invoice["default_tax_rates"] = [copied(each) for each in rates]
    choices = ground.prices["one_time", invoice["currency"]]
    for each in range(count):
        price = ground.random.choice(choices)
        quantity = ground.random.randint(1, 5)
        free = index % 50 == 49
        charged = {
            "amount": 0 if free else price["unit_amount"] * quantity,
            "currency": invoice["currency"],
            "price": price,
            "quantity": quantity,
            "unit": "0" if free else price["unit_amount_decimal"],
        }
        description = f"{quantity} of item {each + 1}"
        line = _line(ground, invoice, charged, description, rates)
        invoice["lines"]["data"].append(line)
    retotal(invoice)


def _line(
    ground: Ground, invoice: Obj, charged: dict[str, Any], description: str, rates: list[Obj]
) -> Obj:
    """A line of a subscription's invoice names its item, any other its invoice item."""
    details = (invoice["parent"] or {}).get("subscription_details")
    if details is None:
        item = new_item(
            ground.world,
            {"description": description, "tax_rates": [each["id"] for each in rates]},
            charged,
            customer=invoice["customer"],
            invoice=invoice,
            at=invoice["created"],
        )
        return line_of(ground.world, invoice, ground.add("invoiceitems", item))
    subscription = ground.world.collections["subscriptions"].items[details["subscription"]]
    parent = {
        "invoice_item": None,
        "proration": False,
        "proration_details": None,
        "subscription": subscription["id"],
        "subscription_item": subscription["items"]["data"][0]["id"],
    }
    return new_line(
        ground.world,
        invoice,
        amount=charged["amount"],
        description=description,
        rates=rates,
        price=charged["price"],
        quantity=charged["quantity"],
        unit=charged["unit"],
        parent={
            "invoice_item_details": None,
            "subscription_item_details": parent,
            "type": "subscription_item_details",
        },
    )


def _advance(ground: Ground, invoice: Obj, status: str, index: int) -> None:
    at = min(invoice["created"] + 3600, ground.now)
    number_invoice(ground.world, invoice, at)
    ground.happened.append((at, "invoice.finalized", invoice))
    later = min(at + ground.random.randrange(1, 5 * DAY), ground.now)
    if invoice["amount_due"] == 0:
        _paid(ground, invoice, at)
        return
    intent = new_intent(
        ground.world,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        created=at,
        description=f"Payment for Invoice {invoice['number']}",
    )
    payment = new_payment(ground.world, invoice, intent, created=at)
    ground.add("payment_intents", intent)
    ground.world.collections["invoice_payments"].add(payment)
    if status == "paid" and index % 10 == 9:
        _paid(ground, invoice, later)
        invoice["amount_paid_off_stripe"] = invoice["amount_due"]
        _canceled(payment, intent, later)
    elif status == "paid":
        _charged(ground, payment, intent, later)
        _paid(ground, invoice, later)
        invoice["attempt_count"] = 1
    elif status == "open":
        if index % 3 == 0:
            _declined(ground, invoice, intent, later)
    else:
        _closed(ground, invoice, status, later)
        if status == "void":
            _canceled(payment, intent, later)


def _paid(ground: Ground, invoice: Obj, at: int) -> None:
    invoice |= {
        "status": "paid",
        "attempted": True,
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
    }
    invoice["status_transitions"]["paid_at"] = at
    ground.happened.append((at, "invoice.paid", invoice))


def _closed(ground: Ground, invoice: Obj, status: str, at: int) -> None:
    stamp = "voided_at" if status == "void" else "marked_uncollectible_at"
    invoice["status"] = status
    invoice["status_transitions"][stamp] = at
    event = "voided" if status == "void" else "marked_uncollectible"
    ground.happened.append((at, f"invoice.{event}", invoice))


def _canceled(payment: Obj, intent: Obj, at: int) -> None:
    payment["status"] = "canceled"
    payment["status_transitions"]["canceled_at"] = at
    intent |= {
        "status": "canceled",
        "canceled_at": at,
        "cancellation_reason": "void_invoice",
    }


def _charged(ground: Ground, payment: Obj, intent: Obj, at: int) -> None:
    intent["payment_method"] = ground.world.new_id("pm")
    charge = new_charge(ground.world, intent, created=at)
    settle(ground.world, charge, amount=charge["amount"], type_="charge", created=at)
    intent |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "latest_charge": charge["id"],
    }
    payment |= {"status": "paid", "amount_paid": intent["amount"]}
    payment["status_transitions"]["paid_at"] = at
    ground.add("charges", charge, "charge.succeeded")


def _declined(ground: Ground, invoice: Obj, intent: Obj, at: int) -> None:
    intent["payment_method"] = ground.world.new_id("pm")
    charge = new_charge(ground.world, intent, created=at, failed=True)
    intent |= {
        "payment_method": None,
        "latest_charge": charge["id"],
        "last_payment_error": declined(),
    }
    invoice |= {"attempted": True, "attempt_count": 1}
    ground.add("charges", charge, "charge.failed")


def refunds(ground: Ground, count: int) -> None:
    """Refunds of paid charges: a third in full, the others in part."""
    charges = [each for each in ground.world.collections["charges"].items.values() if each["paid"]]
    for index, charge in enumerate(ground.random.sample(charges, min(count, len(charges)))):
        whole = index % 3 == 0
        amount = charge["amount"] if whole else max(charge["amount"] // 30 * 10, 1)
        at = min(charge["created"] + DAY, ground.now)
        refund = new_refund(ground.world, charge, amount=amount, created=at)
        refund["reason"] = None if index % 2 else "requested_by_customer"
        charge |= {"amount_refunded": amount, "refunded": amount == charge["amount"]}
        ground.add("refunds", refund)


def intents(ground: Ground, count: int) -> None:
    """Payments without an invoice, not finished or given up."""
    for index, created in enumerate(ground.moments(count, 60)):
        status = _INTENT_STATUS[index % len(_INTENT_STATUS)]
        intent = new_intent(
            ground.world,
            amount=1_000 + index * 10,
            currency=CURRENCIES[index % len(CURRENCIES)],
            customer=None,
            created=created,
            status=status,
            description=None if index % 2 else "Donation",
        )
        if status == "canceled":
            intent |= {"canceled_at": created + 60, "cancellation_reason": "abandoned"}
        if status == "requires_capture":
            intent |= {
                "amount_capturable": intent["amount"],
                "capture_method": "manual",
                "payment_method": ground.world.new_id("pm"),
            }
        ground.add("payment_intents", intent)


def departed(ground: Ground, count: int) -> None:
    """Customers that were deleted later; what they paid stays."""
    customers = ground.world.collections["customers"]
    charges = ground.world.collections["charges"].items.values()
    payers = sorted({each["customer"] for each in charges})
    for customer_id in ground.random.sample(payers, min(count, len(payers))):
        customer = customers.remove(customer_id)
        for subscription in ground.by_customer.get(customer_id, []):
            ended = {"canceled_at": ground.now - 60, "ended_at": ground.now - 60}
            subscription.update(ended, status="canceled")
        ground.happened.append((ground.now - 60, "customer.deleted", customer))
