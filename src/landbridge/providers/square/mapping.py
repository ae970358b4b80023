"""Square's objects in our words, in the shape of Square-Version 2025-08-20.

https://developer.squareup.com/reference/square has the fields. Amounts are whole numbers of the
currency's smallest unit, each with its currency beside it.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from landbridge.errors import RecordError
from landbridge.models.base import Address
from landbridge.models.payments import (
    BalanceEntry,
    Checkout,
    CheckoutLine,
    CheckoutMode,
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
)
from landbridge.spec import (
    Row,
    constant,
    currency,
    decimal,
    first_of,
    instant,
    itself,
    many,
    map_from,
    map_to,
    minor,
    minor_priced,
    nested,
    on_create,
    one_of,
    picked,
    read_only,
    ref,
    text,
    via,
)

created = read_only(instant("created_at"))
ASKED = "payment_requests"


def money(path: str) -> Row:
    """The amount of a `Money` object."""
    return minor(f"{path}.amount", currency=f"{path}.currency")


def full_name(record: Mapping[str, Any]) -> str | None:
    """A person's name, which is in two parts; else the company's."""
    parts = [record.get("given_name"), record.get("family_name")]
    return " ".join(part for part in parts if part) or record.get("company_name") or None


def parted_name(name: str | None) -> dict[str, Any]:
    """A name in its two parts, the last word being the second."""
    given, _, family = (name or "").rpartition(" ")
    both = bool(given and family)
    return {"given_name": given if both else name, "family_name": family if both else None}


customer = map_to(
    Customer,
    id=read_only(text("id")),
    # Which part a changed name belongs to, nobody knows: it is written on creation alone.
    name=on_create(
        via(
            read=full_name,
            write=parted_name,
            paths=["given_name", "family_name", "company_name"],
        )
    ),
    email=text("email_address"),
    phone=text("phone_number"),
    description=text("note"),
    address=nested(
        "address",
        map_to(
            Address,
            line1=text("address_line_1"),
            line2=text("address_line_2"),
            city=text("locality"),
            region=text("administrative_district_level_1"),
            postal_code=text("postal_code"),
            country=text("country"),
        ),
    ),
    created_at=created,
    updated_at=read_only(instant("updated_at")),
)


def still_sold(record: Mapping[str, Any]) -> bool:
    """An item that was put into the archive cannot be bought any more."""
    return not (record.get("item_data") or {}).get("is_archived")


item = map_from(
    Product,
    id=text("id"),
    name=text("item_data.name"),
    description=first_of(text("item_data.description_plaintext"), text("item_data.description")),
    active=via(read=still_sold, paths=["item_data.is_archived"]),
    updated_at=instant("updated_at"),
)

plan = map_from(
    Product,
    id=text("id"),
    name=text("subscription_plan_data.name"),
    updated_at=instant("updated_at"),
)

VARIATION = "subscription_plan_variation_data"
CADENCES = {
    "DAILY": (Interval.DAY, 1),
    "WEEKLY": (Interval.WEEK, 1),
    "EVERY_TWO_WEEKS": (Interval.WEEK, 2),
    "THIRTY_DAYS": (Interval.DAY, 30),
    "SIXTY_DAYS": (Interval.DAY, 60),
    "NINETY_DAYS": (Interval.DAY, 90),
    "MONTHLY": (Interval.MONTH, 1),
    "EVERY_TWO_MONTHS": (Interval.MONTH, 2),
    "QUARTERLY": (Interval.MONTH, 3),
    "EVERY_FOUR_MONTHS": (Interval.MONTH, 4),
    "EVERY_SIX_MONTHS": (Interval.MONTH, 6),
    "ANNUAL": (Interval.YEAR, 1),
    "EVERY_TWO_YEARS": (Interval.YEAR, 2),
}
# The last phase goes on; those before it are trials.
phase = partial(picked, f"{VARIATION}.phases", {}, last=True)

plan_variation = map_from(
    Price,
    id=text("id"),
    product=ref(f"{VARIATION}.subscription_plan_id", to="subscription_plan"),
    name=text(f"{VARIATION}.name"),
    currency=first_of(
        phase(currency("pricing.price_money.currency")),
        phase(currency("recurring_price_money.currency")),
    ),
    unit_price=first_of(
        phase(minor_priced("pricing.price_money", currency="pricing.price_money.currency")),
        phase(minor_priced("recurring_price_money", currency="recurring_price_money.currency")),
    ),
    recurrence=phase(
        map_from(
            Recurrence,
            interval=one_of("cadence", {word: span for word, (span, _) in CADENCES.items()}),
            count=one_of("cadence", {word: count for word, (_, count) in CADENCES.items()}),
        )
    ),
)


def for_one(quantity: Decimal | None) -> dict[str, Any]:
    """Refuses more than one, rather than bill one where several are ordered."""
    if quantity not in (None, 1):
        raise RecordError(
            "Subscription.items.quantity: Square subscribes to one of a plan variation; have one"
            " with the price of all, or make several subscriptions",
            field="items.quantity",
        )
    return {}


subscription = map_to(
    Subscription,
    id=read_only(text("id")),
    customer=on_create(ref("customer_id", to="customer")),
    status=read_only(
        one_of(
            "status",
            {
                "PENDING": SubscriptionStatus.PENDING,
                "ACTIVE": SubscriptionStatus.ACTIVE,
                "PAUSED": SubscriptionStatus.PAUSED,
                "CANCELED": SubscriptionStatus.CANCELED,
                "DEACTIVATED": SubscriptionStatus.UNPAID,  # unsure
            },
            never=[
                SubscriptionStatus.TRIALING,
                SubscriptionStatus.PAST_DUE,
                SubscriptionStatus.EXPIRED,
            ],
        )
    ),
    items=itself(
        map_to(
            SubscriptionItem,
            price=ref("plan_variation_id", to="subscription_plan_variation"),
            quantity=via(read=lambda _item: None, write=for_one, paths=["quantity"]),
        )
    ),
    location=on_create(text("location_id")),
    # A cancellation is for the end of what is paid; the status says so on that day.
    cancels_at_period_end=via(
        read=lambda record: record.get("canceled_date") is not None, paths=["canceled_date"]
    ),
    created_at=created,
)


def requests(record: Mapping[str, Any], name: str) -> Iterator[Any]:
    """What each payment request of an invoice has under a name."""
    for each in record.get(ASKED) or ():
        if each.get(name) is not None:
            yield each[name]


def invoiced_in(record: Mapping[str, Any]) -> str | None:
    """The currency of an invoice, which is that of its location."""
    amounts = [*requests(record, "computed_amount_money"), record.get("next_payment_amount_money")]
    return next((each["currency"] for each in amounts if each and each.get("currency")), None)


def summed(name: str, record: Mapping[str, Any]) -> int | None:
    """What an amount of the payment requests is together; None: none of them has it."""
    amounts = [each["amount"] for each in requests(record, name)]
    return sum(amounts) if amounts else None


def still_due(record: Mapping[str, Any]) -> int | None:
    """What is still to be paid; nothing of an invoice that was called off."""
    total = summed("computed_amount_money", record)
    if total is None or record.get("status") in ("CANCELED", "FAILED"):
        return None if total is None else 0
    return max(total - (summed("total_completed_amount_money", record) or 0), 0)


def collected(record: Mapping[str, Any]) -> Collection | None:
    """Whether a card or an account on file is charged, or the customer pays."""
    sources = [*requests(record, "automatic_payment_source")]
    if not sources:
        return None
    return Collection.SENT if set(sources) == {"NONE"} else Collection.AUTOMATIC


def last_day(record: Mapping[str, Any]) -> Any:
    """The day on which the last payment request is due."""
    return max(map(date.fromisoformat, requests(record, "due_date")), default=None)


def to_be_paid(day: date | None, *, collection: str | None) -> dict[str, Any]:
    """The one request for payment of a new invoice, which asks for all of it."""
    told = {"request_type": "BALANCE", "due_date": day.isoformat() if day else None}
    return {"payment_request": {**told, "automatic_payment_source": collection or "NONE"}}


def untaxed(_taxes: Any) -> dict[str, Any]:
    """Refuses taxes of a line, rather than bill less than the document says."""
    raise RecordError(
        "Invoice.lines.taxes: Square adds taxes by its own rates, which are not written; leave them"
        " out, or draft this invoice at Square",
        field="lines.taxes",
    )


order_line = map_to(
    InvoiceLine,
    id=read_only(text("uid")),
    description=text("name"),
    amount=read_only(money("gross_sales_money")),
    quantity=decimal("quantity", as_text=True),
    unit_price=minor_priced("base_price_money", currency="^"),
    price=ref("catalog_object_id", to="item_variation"),
    taxes=via(read=lambda _line: (), write=untaxed, paths=["applied_taxes"]),
)

invoice = map_to(
    Invoice,
    id=read_only(text("id")),
    number=text("invoice_number"),
    customer=on_create(ref("primary_recipient.customer_id", to="customer")),
    subscription=read_only(ref("subscription_id", to="subscription")),
    status=read_only(
        one_of(
            "status",
            {
                "DRAFT": InvoiceStatus.DRAFT,
                "UNPAID": InvoiceStatus.OPEN,
                "SCHEDULED": InvoiceStatus.OPEN,
                "PAYMENT_PENDING": InvoiceStatus.OPEN,
                "PARTIALLY_PAID": InvoiceStatus.OPEN,
                "PAID": InvoiceStatus.PAID,
                "PARTIALLY_REFUNDED": InvoiceStatus.PAID,
                "REFUNDED": InvoiceStatus.PAID,
                "CANCELED": InvoiceStatus.VOID,
                "FAILED": InvoiceStatus.VOID,  # Square called it off (unsure)
            },
            never=[InvoiceStatus.UNCOLLECTIBLE],
        )
    ),
    currency=via(read=invoiced_in, paths=[ASKED, "next_payment_amount_money"]),
    collection=via(read=collected, paths=[ASKED]),
    due_on=on_create(
        via(
            read=last_day,
            write=to_be_paid,
            paths=["payment_request"],
            beside={
                # A card on file has to be named too, which the model cannot: Square refuses it.
                "collection": one_of(
                    "automatic_payment_source",
                    {"NONE": Collection.SENT, "CARD_ON_FILE": Collection.AUTOMATIC},
                )
            },
        )
    ),
    description=text("description"),
    location=on_create(text("location_id")),
    # They make its order, and are read there alone.
    lines=on_create(many("order.line_items", order_line)),
    total=via(read=partial(summed, "computed_amount_money"), paths=[ASKED]),
    amount_paid=via(read=partial(summed, "total_completed_amount_money"), paths=[ASKED]),
    amount_remaining=via(read=still_due, paths=[ASKED, "status"]),
    url=read_only(text("public_url")),
    created_at=created,
)

checkout_line = map_to(
    CheckoutLine,
    id=read_only(text("uid")),
    price=ref("catalog_object_id", to="item_variation"),
    name=text("name"),
    unit_price=minor_priced("base_price_money", currency="^"),
    quantity=decimal("quantity", as_text=True),
    amount=read_only(money("total_money")),
)


def sells(record: Mapping[str, Any]) -> CheckoutMode:
    """Whether the page also subscribes to a plan."""
    plan = (record.get("checkout_options") or {}).get("subscription_plan_id")
    return CheckoutMode.SUBSCRIPTION if plan else CheckoutMode.PAYMENT


# What is bought makes an order; that, not the page, says what of it is paid.
checkout = map_to(
    Checkout,
    id=read_only(text("id")),
    mode=via(read=sells, paths=["checkout_options.subscription_plan_id"]),
    lines=on_create(many("order.line_items", checkout_line)),
    customer=on_create(ref("order.customer_id", to="customer")),
    reference=on_create(text("order.reference_id")),
    order=read_only(ref("order_id", to="order")),
    location=on_create(text("order.location_id")),
    email=on_create(text("pre_populated_data.buyer_email")),
    success_url=on_create(text("checkout_options.redirect_url")),
    url=read_only(text("url")),
    created_at=created,
)

payment = map_from(
    Payment,
    id=text("id"),
    customer=ref("customer_id", to="customer"),
    status=one_of(
        "status",
        {
            "PENDING": PaymentStatus.PROCESSING,
            "APPROVED": PaymentStatus.AUTHORIZED,
            "COMPLETED": PaymentStatus.SUCCEEDED,
            "CANCELED": PaymentStatus.CANCELED,
            "FAILED": PaymentStatus.FAILED,
        },
        never=[PaymentStatus.PENDING, PaymentStatus.NEEDS_ACTION],
    ),
    currency=currency("total_money.currency"),
    amount=money("total_money"),  # with the tip
    amount_refunded=money("refunded_money"),
    description=text("note"),
    statement_descriptor=text("statement_description_identifier"),
    receipt_email=text("buyer_email_address"),
    method=text("source_type"),
    failure_code=picked("card_details.errors", {}, text("code")),
    failure_message=picked("card_details.errors", {}, text("detail")),
    created_at=created,
)

refund = map_to(
    Refund,
    id=read_only(text("id")),
    payment=on_create(ref("payment_id", to="payment")),
    status=read_only(
        one_of(
            "status",
            {
                "PENDING": RefundStatus.PENDING,
                "APPROVED": RefundStatus.PENDING,
                "COMPLETED": RefundStatus.SUCCEEDED,
                "REJECTED": RefundStatus.FAILED,
                "FAILED": RefundStatus.FAILED,
            },
            never=[RefundStatus.NEEDS_ACTION, RefundStatus.CANCELED],
        )
    ),
    currency=on_create(currency("amount_money.currency")),
    amount=on_create(money("amount_money")),
    reason=on_create(text("reason")),
    created_at=created,
)

dispute = map_from(
    Dispute,
    id=text("id"),
    payment=ref("disputed_payment.payment_id", to="payment"),
    status=one_of(
        "state",
        {
            "INQUIRY_EVIDENCE_REQUIRED": DisputeStatus.NEEDS_RESPONSE,
            "EVIDENCE_REQUIRED": DisputeStatus.NEEDS_RESPONSE,
            "INQUIRY_PROCESSING": DisputeStatus.UNDER_REVIEW,
            "PROCESSING": DisputeStatus.UNDER_REVIEW,
            "INQUIRY_CLOSED": DisputeStatus.CLOSED,
            "WON": DisputeStatus.WON,
            "LOST": DisputeStatus.LOST,
            "ACCEPTED": DisputeStatus.LOST,
        },
    ),
    currency=currency("amount_money.currency"),
    amount=money("amount_money"),
    reason=text("reason"),
    respond_by=instant("due_at"),
    created_at=instant("created_at"),
    updated_at=instant("updated_at"),
)


def paid_out(record: Mapping[str, Any]) -> int:
    """What left the balance for the bank, so below zero; above it when the bank paid in."""
    return -int(record["amount_money"]["amount"])


def fees(record: Mapping[str, Any]) -> int:
    """What Square kept for sending it."""
    each = [fee.get("amount_money") or {} for fee in record.get("payout_fee") or ()]
    return sum(money.get("amount") or 0 for money in each)


payout = map_from(
    BalanceEntry,
    id=text("id"),
    type=constant("payout"),
    currency=currency("amount_money.currency"),
    amount=via(read=paid_out, paths=["amount_money.amount"]),
    fee=via(read=fees, paths=["payout_fee"]),
    net=via(
        read=lambda record: paid_out(record) - fees(record),
        paths=["amount_money.amount", "payout_fee"],
    ),
    created_at=instant("created_at"),
)
