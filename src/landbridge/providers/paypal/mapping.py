"""PayPal's objects in our words: invoicing v2, payments v2, catalogue and billing v1.

https://developer.paypal.com/api/rest has the fields. Amounts are decimals as text, each with its
currency. PayPal has no customers: a payer is known by an e-mail address or a payer id.
"""

from datetime import date as day
from functools import partial
from typing import Any

from landbridge.errors import RecordError
from landbridge.models.payments import (
    BalanceEntry,
    Collection,
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
    Row,
    added,
    constant,
    currency,
    date,
    decimal,
    first_of,
    instant,
    integer,
    itself,
    linked,
    lone,
    major,
    major_price,
    many,
    map_from,
    map_to,
    negated,
    on_create,
    one_of,
    picked,
    priced,
    read_only,
    ref,
    text,
    times,
    via,
)

EXPONENTS = {"HUF": 0, "TWD": 0}
"""Where PayPal takes fewer decimals than ISO 4217 has."""

amount = partial(major, as_text=True, exponents=EXPONENTS)
created = read_only(instant("create_time"))


def money(path: str) -> Row:
    """What the provider says with its own currency."""
    return read_only(amount(f"{path}.value", currency=f"{path}.currency_code"))


def total(path: str) -> Row:
    """An amount of an invoice, all of which is in one currency."""
    return read_only(amount(f"{path}.value", currency="detail.currency_code"))


def recipient(record: dict[str, Any]) -> str | None:
    """The e-mail address that an invoice goes to; the first of several."""
    for each in record.get("primary_recipients") or ():
        address = (each.get("billing_info") or {}).get("email_address")
        if isinstance(address, str):
            return address
    return None


def an_address(told: str | None) -> str | None:
    """Whom an invoice is for: PayPal is told an e-mail address, and no id."""
    if told and "@" not in told:
        raise RecordError(
            "customer: PayPal is told the e-mail address of a payer, and this is none",
            field="customer",
        )
    return told


def to_recipient(address: str | None) -> dict[str, Any]:
    """The recipients of an invoice: the one of this address, or none."""
    found = [{"billing_info": {"email_address": an_address(address)}}] if address else None
    return {"primary_recipients": found}


def last_day(record: dict[str, Any]) -> Any:
    """The day on which an invoice is due, as it was set or as its term comes to."""
    told = ((record.get("detail") or {}).get("payment_term") or {}).get("due_date")
    return day.fromisoformat(told) if told else None


def to_term(due: day | None) -> dict[str, Any]:
    """The term of an invoice that is due on a day."""
    term = {"term_type": "DUE_ON_DATE_SPECIFIED", "due_date": due.isoformat()} if due else {}
    return {"detail": {"payment_term": term or {"term_type": None, "due_date": None}}}


invoice_line = map_to(
    InvoiceLine,
    id=read_only(text("id")),
    description=text("name"),
    amount=times("unit_amount.value", "quantity", currency="^detail.currency_code"),
    quantity=decimal("quantity", as_text=True),
    unit_price=priced(
        "unit_amount", currency="^detail.currency_code", value="value", code="currency_code"
    ),
    taxes=lone(
        "tax",
        map_from(
            Tax,
            amount=first_of(money("amount"), constant(0)),
            rate=text("name"),
        ),
    ),
)

invoice = map_to(
    Invoice,
    id=read_only(text("id")),
    number=text("detail.invoice_number"),
    customer=via(read=recipient, write=to_recipient, paths=["primary_recipients"]),
    status=read_only(
        one_of(
            "status",
            {
                "DRAFT": InvoiceStatus.DRAFT,
                "SENT": InvoiceStatus.OPEN,
                "SCHEDULED": InvoiceStatus.OPEN,
                "UNPAID": InvoiceStatus.OPEN,
                "PAYMENT_PENDING": InvoiceStatus.OPEN,
                "PARTIALLY_PAID": InvoiceStatus.OPEN,
                "PAID": InvoiceStatus.PAID,
                "MARKED_AS_PAID": InvoiceStatus.PAID,
                "REFUNDED": InvoiceStatus.PAID,
                "MARKED_AS_REFUNDED": InvoiceStatus.PAID,
                "PARTIALLY_REFUNDED": InvoiceStatus.PAID,
                "CANCELLED": InvoiceStatus.VOID,
            },
            never=[InvoiceStatus.UNCOLLECTIBLE],
        )
    ),
    currency=on_create(currency("detail.currency_code")),
    collection=constant(Collection.SENT),
    issued_on=date("detail.invoice_date"),
    due_on=via(
        read=last_day,
        write=to_term,
        paths=["detail.payment_term.term_type", "detail.payment_term.due_date"],
    ),
    description=text("detail.note"),
    footer=text("detail.terms_and_conditions"),
    lines=many("items", invoice_line, key="id"),
    subtotal=total("amount.breakdown.item_total"),
    total=total("amount"),
    amount_due=total("amount"),
    amount_paid=total("payments.paid_amount"),
    amount_remaining=total("due_amount"),
    url=read_only(text("detail.metadata.recipient_view_url")),
    finalized_at=read_only(instant("detail.metadata.first_sent_time")),
    voided_at=read_only(instant("detail.metadata.cancel_time")),
    created_at=read_only(instant("detail.metadata.create_time")),
)

capture = map_from(
    Payment,
    id=text("id"),
    status=one_of(
        "status",
        {
            "COMPLETED": PaymentStatus.SUCCEEDED,
            "PARTIALLY_REFUNDED": PaymentStatus.SUCCEEDED,
            "REFUNDED": PaymentStatus.SUCCEEDED,
            "PENDING": PaymentStatus.PROCESSING,
            "DECLINED": PaymentStatus.FAILED,
            "FAILED": PaymentStatus.FAILED,
        },
        never=[
            PaymentStatus.PENDING,
            PaymentStatus.NEEDS_ACTION,
            PaymentStatus.AUTHORIZED,
            PaymentStatus.CANCELED,
        ],
    ),
    currency=currency("amount.currency_code"),
    amount=money("amount"),
    description=text("custom_id"),
    failure_code=text("status_details.reason"),
    created_at=created,
)

refund = map_to(
    Refund,
    id=read_only(text("id")),
    payment=linked("links", rel="up", to="capture", hole="capture"),
    status=read_only(
        one_of(
            "status",
            {
                "PENDING": RefundStatus.PENDING,
                "COMPLETED": RefundStatus.SUCCEEDED,
                "FAILED": RefundStatus.FAILED,
                "CANCELLED": RefundStatus.CANCELED,
            },
            never=[RefundStatus.NEEDS_ACTION],
        )
    ),
    currency=on_create(currency("amount.currency_code")),
    amount=on_create(amount("amount.value", currency="amount.currency_code")),
    reason=on_create(text("note_to_payer")),
    failure_reason=read_only(text("status_details.reason")),
    created_at=created,
)

product = map_to(
    Product,
    id=read_only(text("id")),
    name=on_create(text("name")),
    description=text("description"),
    created_at=created,
)

REGULAR = {"tenure_type": "REGULAR"}
FIXED = "pricing_scheme.fixed_price"
INTERVALS = {interval.name: interval for interval in Interval}


def tax_of_plan(record: dict[str, Any]) -> TaxBehavior | None:
    """Whether a plan's prices contain its tax, where it has one."""
    inclusive = (record.get("taxes") or {}).get("inclusive")
    if inclusive is None:
        return None
    return TaxBehavior.INCLUSIVE if inclusive else TaxBehavior.EXCLUSIVE


plan = map_from(
    Price,
    id=text("id"),
    product=ref("product_id", to="product"),
    # Tiers tell it too, where there is no one price.
    currency=first_of(
        picked("billing_cycles", REGULAR, currency(f"{FIXED}.currency_code")),
        picked(
            "billing_cycles",
            REGULAR,
            picked("pricing_scheme.tiers", {}, currency("amount.currency_code")),
        ),
    ),
    name=text("name"),
    unit_price=picked(
        "billing_cycles",
        REGULAR,
        major_price(f"{FIXED}.value", currency=f"{FIXED}.currency_code"),
    ),
    tax=via(read=tax_of_plan, paths=["taxes.inclusive"]),
    recurrence=picked(
        "billing_cycles",
        REGULAR,
        map_from(
            Recurrence,
            interval=one_of("frequency.interval_unit", INTERVALS),
            count=integer("frequency.interval_count"),
        ),
    ),
    active=one_of("status", {"ACTIVE": True, "INACTIVE": False, "CREATED": False}),
    created_at=created,
)


def subscriber(record: dict[str, Any]) -> str | None:
    """Who subscribes: the payer, or the address until PayPal knows whose it is."""
    told = record.get("subscriber") or {}
    found: str | None = told.get("payer_id") or told.get("email_address")
    return found


approved = partial(picked, "links", {"rel": "approve"}, text("href"))

subscription = map_to(
    Subscription,
    id=read_only(text("id")),
    # A new one is for an e-mail address.
    customer=on_create(
        via(
            read=subscriber,
            write=lambda email: {"subscriber": {"email_address": email}},
            paths=["subscriber.payer_id", "subscriber.email_address"],
        )
    ),
    status=read_only(
        one_of(
            "status",
            {
                "APPROVAL_PENDING": SubscriptionStatus.PENDING,
                "APPROVED": SubscriptionStatus.PENDING,
                "ACTIVE": SubscriptionStatus.ACTIVE,
                "SUSPENDED": SubscriptionStatus.PAUSED,
                "CANCELLED": SubscriptionStatus.CANCELED,
                "EXPIRED": SubscriptionStatus.CANCELED,  # all its cycles are over
            },
            never=[
                SubscriptionStatus.TRIALING,
                SubscriptionStatus.PAST_DUE,
                SubscriptionStatus.UNPAID,
                SubscriptionStatus.EXPIRED,
            ],
        )
    ),
    currency=read_only(currency("billing_info.outstanding_balance.currency_code")),
    items=itself(
        map_to(
            SubscriptionItem,
            price=ref("plan_id", to="plan"),
            quantity=decimal("quantity", as_text=True),
            period_end=read_only(instant("billing_info.next_billing_time")),
        ),
    ),
    description=on_create(text("custom_id")),
    collection=constant(Collection.AUTOMATIC),
    started_at=read_only(instant("start_time")),
    url=approved(),
    success_url=on_create(text("application_context.return_url")),
    cancel_url=on_create(text("application_context.cancel_url")),
    created_at=created,
)


def dispute_status(record: dict[str, Any]) -> DisputeStatus:
    """Where a dispute stands; one that is resolved, for whom."""
    words = {
        "OPEN": DisputeStatus.UNDER_REVIEW,
        "WAITING_FOR_BUYER_RESPONSE": DisputeStatus.UNDER_REVIEW,
        "WAITING_FOR_SELLER_RESPONSE": DisputeStatus.NEEDS_RESPONSE,
        "UNDER_REVIEW": DisputeStatus.UNDER_REVIEW,
        "OTHER": DisputeStatus.UNDER_REVIEW,
        "RESOLVED": DisputeStatus.CLOSED,
    }
    outcomes = {
        "RESOLVED_BUYER_FAVOUR": DisputeStatus.LOST,
        "ACCEPTED": DisputeStatus.LOST,
        "RESOLVED_SELLER_FAVOUR": DisputeStatus.WON,
        "CANCELED_BY_BUYER": DisputeStatus.WON,
        "DENIED": DisputeStatus.WON,
    }
    status = words[record["status"]]
    if status is not DisputeStatus.CLOSED:
        return status
    return outcomes.get((record.get("dispute_outcome") or {}).get("outcome_code", ""), status)


dispute = map_from(
    Dispute,
    id=text("dispute_id"),
    payment=picked("disputed_transactions", {}, text("seller_transaction_id")),
    status=via(read=dispute_status, paths=["status", "dispute_outcome.outcome_code"]),
    currency=currency("dispute_amount.currency_code"),
    amount=money("dispute_amount"),
    reason=text("reason"),
    respond_by=instant("seller_response_due_date"),
    created_at=created,
    updated_at=instant("update_time"),
)


def key_of_transaction(record: dict[str, Any]) -> str:
    """What tells a movement apart: the id of its transaction comes back with other codes."""
    told = record["transaction_info"]
    return f"{told['transaction_id']}.{told['transaction_event_code']}"


transaction = map_from(
    BalanceEntry,
    id=via(
        read=key_of_transaction,
        paths=["transaction_info.transaction_id", "transaction_info.transaction_event_code"],
    ),
    type=text("transaction_info.transaction_event_code"),
    source=text("transaction_info.paypal_reference_id"),
    currency=currency("transaction_info.transaction_amount.currency_code"),
    amount=money("transaction_info.transaction_amount"),
    fee=negated(money("transaction_info.fee_amount")),
    net=added(money("transaction_info.transaction_amount"), money("transaction_info.fee_amount")),
    description=text("transaction_info.transaction_subject"),
    created_at=instant("transaction_info.transaction_initiation_date"),
)
