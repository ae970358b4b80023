"""Stripe's objects in our words, in the shape of API version 2026-05-27.dahlia.

https://docs.stripe.com/api has the fields. Amounts are minor units; prices are decimals of them.
"""

from decimal import Decimal
from functools import partial
from typing import Any

from landbridge.models.base import Address
from landbridge.models.payments import (
    BalanceEntry,
    Checkout,
    CheckoutLine,
    CheckoutMode,
    CheckoutPayment,
    CheckoutStatus,
    Collection,
    Customer,
    Dispute,
    DisputeStatus,
    Interval,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Payment,
    PaymentStatus,
    Price,
    Product,
    Recurrence,
    Refund,
    RefundStatus,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
    Tax,
    TaxBehavior,
)
from landbridge.spec import (
    alongside,
    currency,
    date,
    decimal,
    entries,
    first_of,
    flag,
    instant,
    integer,
    lasting,
    many,
    map_from,
    map_to,
    minor,
    minor_price,
    nested,
    on_create,
    one_of,
    priced,
    read_only,
    ref,
    sent,
    text,
    via,
)

EXPONENTS = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Where Stripe leaves ISO 4217: https://docs.stripe.com/currencies (UGX is unsure)."""
MARKER = "landbridge"
"""The key in an object's metadata that names our write."""

amount = partial(minor, currency="currency", exponents=EXPONENTS)
amount_of_invoice = partial(minor, currency="^currency", exponents=EXPONENTS)
price_of_unit = partial(minor_price, currency="currency", exponents=EXPONENTS)
code = currency("currency", lower=True)
created = read_only(instant("created", unix=True))
metadata = entries("metadata", without=[MARKER])
collection = lasting(
    one_of(
        "collection_method",
        {"charge_automatically": Collection.AUTOMATIC, "send_invoice": Collection.SENT},
    )
)

customer = map_to(
    Customer,
    id=read_only(text("id")),
    name=text("name"),
    email=text("email"),
    phone=text("phone"),
    description=text("description"),
    address=nested(
        "address",
        map_to(
            Address,
            line1=text("line1"),
            line2=text("line2"),
            city=text("city"),
            region=text("state"),
            postal_code=text("postal_code"),
            country=text("country"),
        ),
    ),
    currency=read_only(code),
    balance=read_only(amount("balance")),
    delinquent=read_only(flag("delinquent")),
    created_at=created,
    extra=metadata,
)

product = map_to(
    Product,
    id=read_only(text("id")),
    name=lasting(text("name")),
    description=text("description"),
    active=flag("active"),
    unit_label=text("unit_label"),
    tax_code=text("tax_code"),
    created_at=created,
    updated_at=read_only(instant("updated", unix=True)),
    extra=metadata,
)

price = map_to(
    Price,
    id=read_only(text("id")),
    product=on_create(ref("product", to="product")),
    currency=on_create(code),
    name=text("nickname"),
    unit_price=on_create(price_of_unit("unit_amount_decimal")),
    tax=lasting(  # once it is said, it stays so
        one_of(
            "tax_behavior",
            {
                "inclusive": TaxBehavior.INCLUSIVE,
                "exclusive": TaxBehavior.EXCLUSIVE,
                "unspecified": TaxBehavior.UNSPECIFIED,
            },
        )
    ),
    recurrence=on_create(
        nested(
            "recurring",
            map_to(
                Recurrence,
                interval=one_of("interval", {interval.value: interval for interval in Interval}),
                count=integer("interval_count"),
                metered=one_of("usage_type", {"licensed": False, "metered": True}),
            ),
        )
    ),
    active=flag("active"),
    created_at=created,
    extra=metadata,
)

subscription = map_to(
    Subscription,
    id=read_only(text("id")),
    customer=on_create(ref("customer", to="customer")),
    status=read_only(
        one_of(
            "status",
            {
                "incomplete": SubscriptionStatus.PENDING,
                "incomplete_expired": SubscriptionStatus.EXPIRED,
                "trialing": SubscriptionStatus.TRIALING,
                "active": SubscriptionStatus.ACTIVE,
                "past_due": SubscriptionStatus.PAST_DUE,
                "unpaid": SubscriptionStatus.UNPAID,
                "paused": SubscriptionStatus.PAUSED,
                "canceled": SubscriptionStatus.CANCELED,
            },
        )
    ),
    currency=on_create(code),
    items=sent(
        many(
            "items.data",
            map_to(
                SubscriptionItem,
                id=read_only(text("id")),
                price=sent(ref("price.id", to="price"), at="price"),
                quantity=decimal("quantity"),
                period_start=read_only(instant("current_period_start", unix=True)),
                period_end=read_only(instant("current_period_end", unix=True)),
            ),
            key="id",
        ),
        at="items",
        gone={"deleted": True},
    ),
    description=text("description"),
    collection=collection,
    due_days=lasting(integer("days_until_due")),
    latest_invoice=read_only(ref("latest_invoice", to="invoice")),
    started_at=read_only(instant("start_date", unix=True)),
    trial_ends_at=lasting(instant("trial_end", unix=True)),
    cancel_at=instant("cancel_at", unix=True),
    cancels_at_period_end=flag("cancel_at_period_end"),
    canceled_at=read_only(instant("canceled_at", unix=True)),
    ended_at=read_only(instant("ended_at", unix=True)),
    created_at=created,
    extra=metadata,
)

tax = map_from(
    Tax,
    amount=amount_of_invoice("amount"),
    inclusive=one_of("tax_behavior", {"inclusive": True, "exclusive": False}),
    taxable=amount_of_invoice("taxable_amount"),
    rate=text("tax_rate_details.tax_rate"),
)


def units(line: dict[str, Any]) -> Decimal | None:
    """The quantity of a line, which older ones have as a whole number only."""
    told = line.get("quantity_decimal") or line.get("quantity")
    return None if told is None else Decimal(str(told))


def ordered(quantity: Decimal | None) -> dict[str, Any]:
    """The quantity of a new line."""
    return {"quantity_decimal": None if quantity is None else f"{quantity:f}"}


# A line has a price of Stripe's and a quantity, or an amount.
invoice_line = map_to(
    InvoiceLine,
    id=read_only(text("id")),
    description=text("description"),
    amount=sent(amount_of_invoice("amount"), at="amount", unless="price"),
    quantity=alongside(
        via(read=units, write=ordered, paths=["quantity_decimal", "quantity"]), "price"
    ),
    unit_price=read_only(price_of_unit("pricing.unit_amount_decimal")),
    price=sent(ref("pricing.price_details.price", to="price"), at="pricing.price"),
    product=read_only(ref("pricing.price_details.product", to="product")),
    period_start=read_only(instant("period.start", unix=True)),
    period_end=read_only(instant("period.end", unix=True)),
    taxes=read_only(many("taxes", tax)),
)

invoice = map_to(
    Invoice,
    id=read_only(text("id")),
    number=text("number"),
    customer=on_create(ref("customer", to="customer")),
    subscription=read_only(ref("parent.subscription_details.subscription", to="subscription")),
    status=read_only(one_of("status", {status.value: status for status in InvoiceStatus})),
    currency=on_create(code),
    collection=collection,
    issued_on=date("effective_at", unix=True),
    due_on=lasting(date("due_date", unix=True, at_end=True)),
    description=text("description"),
    footer=text("footer"),
    lines=sent(on_create(many("lines.data", invoice_line)), at="lines"),
    taxes=read_only(many("total_taxes", tax)),
    subtotal=read_only(amount("subtotal")),
    total=read_only(amount("total")),
    amount_due=read_only(amount("amount_due")),
    amount_paid=read_only(amount("amount_paid")),
    amount_remaining=read_only(amount("amount_remaining")),
    period_start=read_only(instant("period_start", unix=True)),
    period_end=read_only(instant("period_end", unix=True)),
    url=read_only(text("hosted_invoice_url")),
    pdf_url=read_only(text("invoice_pdf")),
    finalized_at=read_only(instant("status_transitions.finalized_at", unix=True)),
    paid_at=read_only(instant("status_transitions.paid_at", unix=True)),
    voided_at=read_only(instant("status_transitions.voided_at", unix=True)),
    created_at=created,
    extra=metadata,
)

payment_intent = map_from(
    Payment,
    id=text("id"),
    customer=ref("customer", to="customer"),
    status=one_of(
        "status",
        {
            "requires_payment_method": PaymentStatus.PENDING,
            "requires_confirmation": PaymentStatus.PENDING,
            "requires_action": PaymentStatus.NEEDS_ACTION,
            "processing": PaymentStatus.PROCESSING,
            "requires_capture": PaymentStatus.AUTHORIZED,
            "succeeded": PaymentStatus.SUCCEEDED,
            "canceled": PaymentStatus.CANCELED,
        },
        never=[PaymentStatus.FAILED],
    ),
    currency=code,
    amount=amount("amount"),
    amount_received=amount("amount_received"),
    description=text("description"),
    statement_descriptor=text("statement_descriptor"),
    receipt_email=text("receipt_email"),
    failure_code=text("last_payment_error.code"),
    failure_message=text("last_payment_error.message"),
    canceled_at=instant("canceled_at", unix=True),
    created_at=created,
    extra=metadata,
)


def charge_status(record: dict[str, Any]) -> PaymentStatus:
    """A charge that succeeded without being captured has only reserved the money."""
    words = {
        "pending": PaymentStatus.PROCESSING,
        "failed": PaymentStatus.FAILED,
        "succeeded": PaymentStatus.SUCCEEDED,
    }
    status = words[record["status"]]
    reserved = status is PaymentStatus.SUCCEEDED and record["captured"] is False
    return PaymentStatus.AUTHORIZED if reserved else status


charge = map_from(
    Payment,
    id=text("id"),
    customer=ref("customer", to="customer"),
    status=via(read=charge_status, paths=["status", "captured"]),
    currency=code,
    amount=amount("amount"),
    amount_received=amount("amount_captured"),
    amount_refunded=amount("amount_refunded"),
    attempt_of=ref("payment_intent", to="payment_intent"),
    description=text("description"),
    statement_descriptor=text("statement_descriptor"),
    receipt_email=text("receipt_email"),
    method=text("payment_method_details.type"),
    failure_code=text("failure_code"),
    failure_message=text("failure_message"),
    created_at=created,
    extra=metadata,
)

refund = map_to(
    Refund,
    id=read_only(text("id")),
    payment=on_create(ref("payment_intent", to="payment_intent")),
    attempt=on_create(ref("charge", to="charge")),
    status=read_only(
        one_of(
            "status",
            {
                "pending": RefundStatus.PENDING,
                "requires_action": RefundStatus.NEEDS_ACTION,
                "succeeded": RefundStatus.SUCCEEDED,
                "failed": RefundStatus.FAILED,
                "canceled": RefundStatus.CANCELED,
            },
        )
    ),
    currency=read_only(code),
    amount=on_create(amount("amount")),
    reason=on_create(text("reason")),
    failure_reason=read_only(text("failure_reason")),
    created_at=created,
    extra=metadata,
)

checkout_line = map_to(
    CheckoutLine,
    id=read_only(text("id")),
    price=sent(ref("price.id", to="price"), at="price"),
    name=sent(text("description"), at="price_data.product_data.name", unless="price"),
    unit_price=sent(
        priced(
            "price",
            currency="^currency",
            value="unit_amount_decimal",
            code="currency",
            exponents=EXPONENTS,
            lower=True,
        ),
        at="price_data",
        unless="price",
    ),
    quantity=decimal("quantity"),
    product=read_only(ref("price.product", to="product")),
    amount=read_only(amount("amount_total")),
)

checkout_session = map_to(
    Checkout,
    id=read_only(text("id")),
    status=read_only(one_of("status", {status.value: status for status in CheckoutStatus})),
    paid=read_only(
        one_of(
            "payment_status",
            {
                "unpaid": CheckoutPayment.UNPAID,
                "paid": CheckoutPayment.PAID,
                "no_payment_required": CheckoutPayment.NOT_NEEDED,
            },
        )
    ),
    mode=on_create(one_of("mode", {mode.value: mode for mode in CheckoutMode})),
    lines=sent(on_create(many("line_items.data", checkout_line)), at="line_items"),
    success_url=on_create(text("success_url")),
    cancel_url=on_create(text("cancel_url")),
    email=on_create(text("customer_email")),
    customer=on_create(ref("customer", to="customer")),
    payment=read_only(ref("payment_intent", to="payment_intent")),
    subscription=read_only(ref("subscription", to="subscription")),
    invoice=read_only(ref("invoice", to="invoice")),
    reference=on_create(text("client_reference_id")),
    currency=read_only(code),  # the prices say it
    total=read_only(amount("amount_total")),
    url=read_only(text("url")),
    expires_at=on_create(instant("expires_at", unix=True)),
    created_at=created,
    extra=metadata,
)

dispute = map_from(
    Dispute,
    id=text("id"),
    # Charges of old integrations have no payment intent.
    payment=first_of(ref("payment_intent", to="payment_intent"), ref("charge", to="charge")),
    status=one_of(
        "status",
        {
            "warning_needs_response": DisputeStatus.NEEDS_RESPONSE,
            "needs_response": DisputeStatus.NEEDS_RESPONSE,
            "warning_under_review": DisputeStatus.UNDER_REVIEW,
            "under_review": DisputeStatus.UNDER_REVIEW,
            "warning_closed": DisputeStatus.CLOSED,
            "prevented": DisputeStatus.CLOSED,
            "won": DisputeStatus.WON,
            "lost": DisputeStatus.LOST,
        },
    ),
    currency=code,
    amount=amount("amount"),
    reason=text("reason"),
    respond_by=instant("evidence_details.due_by", unix=True),
    created_at=created,
)

balance_transaction = map_from(
    BalanceEntry,
    id=text("id"),
    type=text("type"),
    source=text("source"),
    currency=code,
    amount=amount("amount"),
    fee=amount("fee"),
    net=amount("net"),
    description=text("description"),
    available_at=instant("available_on", unix=True),
    created_at=created,
)
