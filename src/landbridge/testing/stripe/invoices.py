"""Invoices from draft to paid, with the shape they have since the 2025 versions.

No `paid`, `charge`, `payment_intent`, `subscription` or `tax` on top: the payment hangs on an
`invoice_payment`, the subscription under `parent`, taxes in `total_taxes` and on each line.
"""

from __future__ import annotations

from typing import Any

from landbridge.testing.stripe.catalog import put
from landbridge.testing.stripe.lines import line_of, pending_items, retotal
from landbridge.testing.stripe.payments import DECLINED, capture, declined, new_intent
from landbridge.testing.stripe.problems import Problem, conflict, missing
from landbridge.testing.stripe.world import Obj, World, copied

_DAY = 86_400
_AFTER_FINALIZING = {"metadata", "auto_advance", "default_payment_method", "expand"}
_OWN_RULES = {
    "customer",
    "currency",
    "days_until_due",
    "default_tax_rates",
    "pending_invoice_items_behavior",
    "subscription",
}


def new_invoice(world: World, customer: Obj, *, currency: str, created: int) -> Obj:
    """An empty draft of a customer, not yet added."""
    settings = world.account["settings"]["dashboard"]
    invoice = world.fresh(
        "invoices",
        account_country=world.account["country"],
        account_name=settings["display_name"],
        amount_paid_off_stripe=0,
        created=created,
        currency=currency,
        customer=customer["id"],
        period_start=created,
        period_end=created,
        subtotal=0,
    )
    for ours, theirs in (
        ("customer_address", "address"),
        ("customer_email", "email"),
        ("customer_name", "name"),
        ("customer_phone", "phone"),
        ("customer_shipping", "shipping"),
        ("customer_tax_exempt", "tax_exempt"),
    ):
        invoice[ours] = customer[theirs]
    invoice["lines"] |= {"data": [], "url": f"/v1/invoices/{invoice['id']}/lines"}
    retotal(invoice)
    return invoice


def create_invoice(world: World, params: dict[str, Any]) -> Obj:
    """POST /v1/invoices."""
    if params.get("customer") is None:
        raise missing("customer")
    customer = world.get("customers", params["customer"], "customer", status=400)
    currency = params.get("currency") or customer["currency"]
    currency = currency or world.account["default_currency"]
    invoice = new_invoice(world, customer, currency=currency, created=world.now())
    _put(world, invoice, params)
    if params.get("subscription") is not None:
        subscription = world.get(
            "subscriptions", params["subscription"], "subscription", status=400
        )
        invoice["parent"] = subscription_parent(subscription)
    world.add("invoices", invoice)
    if params.get("pending_invoice_items_behavior") == "include":
        with world.changing(invoice, "invoice.updated"):
            for item in pending_items(world, customer["id"], currency):
                item["invoice"] = invoice["id"]
                invoice["lines"]["data"].append(line_of(world, invoice, item))
            retotal(invoice)
    return invoice


def subscription_parent(subscription: Obj) -> dict[str, Any]:
    """An invoice's `parent` that names its subscription."""
    return {
        "quote_details": None,
        "subscription_details": {
            "metadata": subscription["metadata"],
            "subscription": subscription["id"],
        },
        "type": "subscription_details",
    }


def _put(world: World, invoice: Obj, params: dict[str, Any]) -> None:
    if params.get("default_tax_rates") is not None:
        invoice["default_tax_rates"] = [
            copied(world.get("tax_rates", each, "default_tax_rates", status=400))
            for each in params["default_tax_rates"]
        ]
    put(invoice, {key: value for key, value in params.items() if key not in _OWN_RULES})
    sends = invoice["collection_method"] == "send_invoice"
    due = params.get("due_date") or params.get("days_until_due")
    if due is not None and not sends:
        message = "due_date and days_until_due need collection_method=send_invoice."
        raise Problem(message, param="due_date" if "due_date" in params else "days_until_due")
    if sends and params.get("due_date") is None and "days_until_due" in params:
        invoice["due_date"] = world.now() + params["days_until_due"] * _DAY
    elif sends and invoice["due_date"] is None:
        invoice["due_date"] = world.now() + 30 * _DAY


def update_invoice(world: World, invoice_id: str, params: dict[str, Any]) -> Obj:
    """POST /v1/invoices/{invoice}: drafts only, but for a few fields."""
    invoice = world.get("invoices", invoice_id)
    if invoice["status"] != "draft" and params.keys() - _AFTER_FINALIZING:
        message = "Finalized invoices can't be updated in this way."
        raise conflict(message, "invoice_not_editable")
    tried = copied(invoice)
    _put(world, tried, params)
    with world.changing(invoice, "invoice.updated"):
        invoice.update(tried)
    return invoice


def delete_invoice(world: World, invoice_id: str) -> Obj:
    """DELETE /v1/invoices/{invoice}: drafts only."""
    invoice = world.get("invoices", invoice_id)
    if invoice["status"] != "draft":
        raise conflict("You can only delete draft invoices.", "invoice_not_editable")
    world.collections["invoices"].remove(invoice_id)
    world.event("invoice.deleted", invoice)
    return {"id": invoice_id, "object": "invoice", "deleted": True}


def number_invoice(world: World, invoice: Obj, at: int) -> None:
    """What finalizing writes into an invoice: its number, addresses and stamps."""
    customer = world.collections["customers"].items[invoice["customer"]]
    link = f"https://invoice.stripe.com/i/{world.account['id']}/test_{invoice['id'][3:]}"
    sequence = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] = sequence + 1
    customer["currency"] = customer["currency"] or invoice["currency"]
    invoice |= {
        "status": "open",
        "number": invoice["number"] or f"{customer['invoice_prefix']}-{sequence:04}",
        "effective_at": invoice["effective_at"] or at,
        "hosted_invoice_url": link,
        "invoice_pdf": f"{link}/pdf",
    }
    invoice["status_transitions"] = invoice["status_transitions"] | {"finalized_at": at}


def new_payment(world: World, invoice: Obj, intent: Obj, *, created: int) -> Obj:
    """The invoice payment that ties an open invoice to its payment intent, not yet added."""
    return world.fresh(
        "invoice_payments",
        amount_requested=invoice["amount_due"],
        created=created,
        currency=invoice["currency"],
        invoice=invoice["id"],
        livemode=False,
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
        status="open",
    )


def finalize(world: World, invoice_id: str, params: dict[str, Any]) -> Obj:
    """POST /v1/invoices/{invoice}/finalize. An invoice over nothing is paid at once."""
    invoice = world.get("invoices", invoice_id)
    if invoice["status"] != "draft":
        message = "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        raise conflict(message, "invoice_not_editable")
    now = world.now()
    with world.changing(invoice, "invoice.updated", "invoice.finalized"):
        number_invoice(world, invoice, now)
        if "auto_advance" in params:
            invoice["auto_advance"] = params["auto_advance"]
        if invoice["amount_due"] == 0:
            _mark_paid(invoice, now)
    if invoice["status"] == "paid":
        world.event("invoice.paid", invoice)
        return invoice
    intent = new_intent(
        world,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        created=now,
        description=f"Payment for Invoice {invoice['number']}",
    )
    world.add("payment_intents", intent)
    payment = new_payment(world, invoice, intent, created=now)
    world.collections["invoice_payments"].add(payment)
    return invoice


def _mark_paid(invoice: Obj, at: int) -> None:
    invoice |= {
        "status": "paid",
        "attempted": True,
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
    }
    invoice["status_transitions"] = invoice["status_transitions"] | {"paid_at": at}


def pay(world: World, invoice_id: str, params: dict[str, Any]) -> Obj:
    """POST /v1/invoices/{invoice}/pay, with the customer's or the given method, or out of band."""
    invoice = world.get("invoices", invoice_id)
    if invoice["status"] == "draft" and finalize(world, invoice_id, {})["status"] == "paid":
        return invoice
    if invoice["status"] == "paid":
        raise conflict("Invoice is already paid", "invoice_already_paid")
    if invoice["status"] == "void":
        raise conflict("Invoice is voided and can't be paid.", "invoice_not_editable")
    payment, intent = payment_of(world, invoice)
    if params.get("paid_out_of_band"):
        _pay_out_of_band(world, invoice, payment, intent)
        return invoice
    customer = world.get("customers", invoice["customer"])
    own = customer["invoice_settings"]["default_payment_method"]
    method = params.get("payment_method") or invoice["default_payment_method"] or own
    if method is None:
        message = (
            "There is no default_payment_method set on this Customer or Invoice. Please set one"
            " or pass payment_method."
        )
        raise conflict(message, "invoice_payment_method_missing")
    if method == DECLINED:
        capture(world, intent, method)
        with world.changing(invoice, "invoice.updated", "invoice.payment_failed"):
            invoice |= {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
        error = declined()
        message = error.pop("message")
        raise Problem(message, status=402, kept=True, more=error)
    with world.changing(invoice, "invoice.updated", "invoice.paid", "invoice.payment_succeeded"):
        capture(world, intent, method)
        invoice["attempt_count"] += 1
        _mark_paid(invoice, world.now())
    _settle_payment(world, payment, "paid", invoice["amount_due"])
    return invoice


def _pay_out_of_band(world: World, invoice: Obj, payment: Obj, intent: Obj) -> None:
    with world.changing(invoice, "invoice.updated", "invoice.paid"):
        _mark_paid(invoice, world.now())
        invoice["amount_paid_off_stripe"] = invoice["amount_due"]
    _cancel(world, payment, intent)


def payment_of(world: World, invoice: Obj) -> tuple[Obj, Obj]:
    """The open payment of a finalized invoice and its intent."""
    for payment in world.collections["invoice_payments"].items.values():
        if payment["invoice"] == invoice["id"]:
            intent = world.get("payment_intents", payment["payment"]["payment_intent"])
            return payment, intent
    raise conflict("This invoice has nothing to pay.")


def _settle_payment(world: World, payment: Obj, status: str, amount: int | None) -> None:
    stamp = "paid_at" if status == "paid" else "canceled_at"
    with world.changing(payment, *(["invoice_payment.paid"] if status == "paid" else [])):
        payment |= {"status": status, "amount_paid": amount}
        payment["status_transitions"] = payment["status_transitions"] | {stamp: world.now()}


def _cancel(world: World, payment: Obj, intent: Obj) -> None:
    _settle_payment(world, payment, "canceled", None)
    with world.changing(intent, "payment_intent.canceled"):
        intent |= {
            "status": "canceled",
            "canceled_at": world.now(),
            "cancellation_reason": "void_invoice",
        }


def send(world: World, invoice_id: str) -> Obj:
    """POST /v1/invoices/{invoice}/send; a draft is finalized first."""
    invoice = world.get("invoices", invoice_id)
    if invoice["status"] == "draft":
        finalize(world, invoice_id, {})
    if invoice["status"] not in {"open", "paid"}:
        raise conflict("You can only manually send an open or paid invoice.")
    world.event("invoice.sent", invoice)
    return invoice


def void(world: World, invoice_id: str) -> Obj:
    """POST /v1/invoices/{invoice}/void of an open or uncollectible invoice."""
    return _close(world, invoice_id, "void", "voided_at", "invoice.voided")


def mark_uncollectible(world: World, invoice_id: str) -> Obj:
    """POST /v1/invoices/{invoice}/mark_uncollectible of an open invoice."""
    event = "invoice.marked_uncollectible"
    return _close(world, invoice_id, "uncollectible", "marked_uncollectible_at", event)


def _close(world: World, invoice_id: str, status: str, stamp: str, event: str) -> Obj:
    invoice = world.get("invoices", invoice_id)
    allowed = {"open", "uncollectible"} - {status}
    if invoice["status"] not in allowed:
        message = f"This invoice is {invoice['status']} and can't become {status}."
        raise conflict(message, "invoice_not_editable")
    with world.changing(invoice, "invoice.updated", event):
        invoice["status"] = status
        transitions = invoice["status_transitions"]
        invoice["status_transitions"] = transitions | {stamp: world.now()}
    if status == "void":
        payment, intent = payment_of(world, invoice)
        _cancel(world, payment, intent)
    return invoice
