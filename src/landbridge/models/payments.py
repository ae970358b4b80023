"""Unified models of payment services: customers, what they buy, and the money they pay.

Totals are whole minor units of the model's `currency`, with ISO 4217's number of decimals whatever
the provider does (1230 with EUR is 12.30; 500 with JPY is 500). Unit prices and quantities are
decimals, prices in major units. Currencies are upper-case ISO 4217 codes. Instants are in UTC.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from landbridge.models.base import Address, Model, Part


class Interval(StrEnum):
    """A span of time that something recurs in."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class TaxBehavior(StrEnum):
    """Whether a price contains its tax."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"
    UNSPECIFIED = "unspecified"


class SubscriptionStatus(StrEnum):
    """Where a subscription stands."""

    PENDING = "pending"
    """Its first payment is still to be made."""
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    """A renewal was not paid, and the provider keeps trying."""
    UNPAID = "unpaid"
    """A renewal was not paid, and the provider gave up."""
    PAUSED = "paused"
    CANCELED = "canceled"
    EXPIRED = "expired"
    """Its first payment was never made."""


class InvoiceStatus(StrEnum):
    """Where an invoice stands."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"


class Collection(StrEnum):
    """How an invoice gets paid."""

    AUTOMATIC = "automatic"
    """The customer's saved payment method is charged."""
    SENT = "sent"
    """The invoice is sent, and the customer pays it."""


class PaymentStatus(StrEnum):
    """Where a payment stands. Only `succeeded` means that the money is taken."""

    PENDING = "pending"
    """Nothing was tried yet."""
    NEEDS_ACTION = "needs_action"
    """The payer has to do something, such as confirm at the bank."""
    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    """Reserved, to be captured."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class RefundStatus(StrEnum):
    """Where a refund stands."""

    PENDING = "pending"
    NEEDS_ACTION = "needs_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class DisputeStatus(StrEnum):
    """Where a dispute stands."""

    NEEDS_RESPONSE = "needs_response"
    """The merchant has to say something, before `Dispute.respond_by`."""
    UNDER_REVIEW = "under_review"
    """Somebody else has to: the payer, the bank, the provider."""
    WON = "won"
    """It was decided for the merchant, or taken back."""
    LOST = "lost"
    """The payer got the money, as decided or as the merchant accepted."""
    CLOSED = "closed"
    """It is over, and the provider does not say for whom."""


class CheckoutStatus(StrEnum):
    """Where a hosted payment page stands."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class CheckoutMode(StrEnum):
    """What a hosted payment page is for."""

    PAYMENT = "payment"
    SUBSCRIPTION = "subscription"
    SETUP = "setup"
    """Saves a payment method for later."""


class CheckoutPayment(StrEnum):
    """Whether a hosted payment page has brought its money."""

    UNPAID = "unpaid"
    PAID = "paid"
    NOT_NEEDED = "not_needed"


class Customer(Model, frozen=True, kw_only=True):
    """A person or a company that pays."""

    kind: ClassVar[str] = "payments.customer"

    name: str | None = None
    """Full name of the person or company."""
    email: str | None = None
    """Where invoices and receipts go."""
    phone: str | None = None
    """Telephone number, as the provider writes it."""
    description: str | None = None
    """A note for the merchant's own eyes."""
    address: Address | None = None
    """Billing address."""
    currency: str | None = None
    """The currency that the customer is billed in; None: not yet settled."""
    balance: int | None = None
    """What the customer owes (positive) or has as credit (negative), in minor units."""
    delinquent: bool | None = None
    """Whether the latest invoice is overdue; None: the provider does not say."""
    created_at: datetime | None = None
    """When the provider made the record."""
    updated_at: datetime | None = None
    """When it last changed; None: the provider does not say."""


class Product(Model, frozen=True, kw_only=True):
    """Something that is sold; its prices are records of their own."""

    kind: ClassVar[str] = "payments.product"

    name: str
    """What customers see."""
    description: str | None = None
    """A longer text that customers may see."""
    active: bool = True
    """Whether it can still be bought."""
    unit_label: str | None = None
    """What one unit is called, such as `seat`."""
    tax_code: str | None = None
    """The provider's code for how it is taxed."""
    created_at: datetime | None = None
    """When the provider made the record."""
    updated_at: datetime | None = None
    """When it last changed; None: the provider does not say."""


class Recurrence(Part, frozen=True, kw_only=True):
    """How often a price is charged: every `count` intervals."""

    interval: Interval
    """The unit of the span."""
    count: int = 1
    """How many units make one span; 3 with month is a quarter."""
    metered: bool = False
    """Whether the quantity is what was used (True) or what was ordered (False)."""


class Price(Model, frozen=True, kw_only=True):
    """What one unit of a product costs."""

    kind: ClassVar[str] = "payments.price"

    product: str
    """Id of the product."""
    currency: str
    """ISO 4217 code."""
    name: str | None = None
    """A short name that customers do not see."""
    unit_price: Decimal | None = None
    """Price of one unit in major units; None: it depends on the quantity (tiers)."""
    tax: TaxBehavior = TaxBehavior.UNSPECIFIED
    """Whether `unit_price` contains the tax."""
    recurrence: Recurrence | None = None
    """How often it is charged; None: once."""
    active: bool = True
    """Whether it can still be used for new purchases."""
    created_at: datetime | None = None
    """When the provider made the record."""


class SubscriptionItem(Part, frozen=True, kw_only=True):
    """One price within a subscription."""

    id: str | None = None
    """The provider's id of the item."""
    price: str
    """Id of the price."""
    quantity: Decimal | None = None
    """How many units; None: metered, it is known at the end of the period."""
    period_start: datetime | None = None
    """Begin of the period that is paid for now."""
    period_end: datetime | None = None
    """End of that period, exclusive."""


class Subscription(Model, frozen=True, kw_only=True):
    """A standing order of a customer."""

    kind: ClassVar[str] = "payments.subscription"

    customer: str
    """Id of the customer."""
    status: SubscriptionStatus
    """Where it stands."""
    currency: str | None = None
    """The currency that it is billed in."""
    items: tuple[SubscriptionItem, ...] = ()
    """What is ordered."""
    description: str | None = None
    """A text that customers may see."""
    collection: Collection | None = None
    """How its invoices get paid."""
    due_days: int | None = None
    """How many days its invoices may be paid in, where they are sent."""
    latest_invoice: str | None = None
    """Id of the newest invoice that it made."""
    started_at: datetime | None = None
    """When it began; it may be before `created_at`."""
    trial_ends_at: datetime | None = None
    """End of the trial, also when that lies in the past; None: there is none."""
    cancel_at: datetime | None = None
    """When it is going to end; None: it goes on."""
    cancels_at_period_end: bool = False
    """Whether it ends with the period that is paid for now."""
    canceled_at: datetime | None = None
    """When somebody canceled it, even if it runs on to the period's end."""
    ended_at: datetime | None = None
    """When it ended."""
    url: str | None = None
    """A page on which the customer has to agree to it; None: no more, or not at all."""
    success_url: str | None = None
    """Where the customer is sent who agreed."""
    cancel_url: str | None = None
    """Where the customer is sent who turns back."""
    location: str | None = None
    """Id of the place of business that sells; None: there is none, or for new ones the main one."""
    created_at: datetime | None = None
    """When the provider made the record."""


class Tax(Part, frozen=True, kw_only=True):
    """A tax on a line or on a whole invoice."""

    amount: int
    """The tax, in minor units."""
    inclusive: bool | None = None
    """Whether the price contains it; None: the provider does not say."""
    taxable: int | None = None
    """What it is reckoned on, in minor units."""
    rate: str | None = None
    """Id of the tax rate."""


class InvoiceLine(Part, frozen=True, kw_only=True):
    """One line of an invoice."""

    id: str | None = None
    """The provider's id of the line."""
    description: str | None = None
    """What the customer reads."""
    amount: int | None = None
    """Total of the line before `taxes` that are not inclusive, in minor units; may be negative.
    None: of a new line, which the provider reckons by its price."""
    quantity: Decimal | None = None
    """How many units."""
    unit_price: Decimal | None = None
    """Price of one unit in major units."""
    price: str | None = None
    """Id of the price."""
    product: str | None = None
    """Id of the product."""
    period_start: datetime | None = None
    """Begin of the time that the line pays for."""
    period_end: datetime | None = None
    """End of that time, exclusive."""
    taxes: tuple[Tax, ...] = ()
    """Taxes on this line."""


class Invoice(Model, frozen=True, kw_only=True):
    """A demand for money that a payment service makes and collects."""

    kind: ClassVar[str] = "payments.invoice"

    number: str | None = None
    """The number on the document; None while it is a draft."""
    customer: str | None = None
    """Id of the customer."""
    subscription: str | None = None
    """Id of the subscription that made it; None: it stands alone."""
    status: InvoiceStatus
    """Where it stands."""
    currency: str
    """ISO 4217 code."""
    collection: Collection | None = None
    """How it gets paid."""
    issued_on: date | None = None
    """The date on the document."""
    due_on: date | None = None
    """The last day to pay."""
    description: str | None = None
    """A text above the lines, which the customer reads (a memo)."""
    footer: str | None = None
    """A text below the lines."""
    lines: tuple[InvoiceLine, ...] = ()
    """What is billed. A provider may send only the first lines of a long invoice."""
    taxes: tuple[Tax, ...] = ()
    """Taxes on the whole."""
    subtotal: int | None = None
    """Sum of the lines before discounts and exclusive taxes, in minor units."""
    total: int | None = None
    """What is billed after discounts and taxes, in minor units."""
    amount_due: int | None = None
    """What is to be paid after the customer's balance was applied, in minor units."""
    amount_paid: int | None = None
    """What was paid, in minor units."""
    amount_remaining: int | None = None
    """What is still to be paid, in minor units."""
    period_start: datetime | None = None
    """Begin of the time in which usage was added to it."""
    period_end: datetime | None = None
    """End of that time, exclusive."""
    location: str | None = None
    """Id of the place of business that sells; None: there is none, or for new ones the main one."""
    url: str | None = None
    """A page on which the customer can see and pay it."""
    pdf_url: str | None = None
    """Where the document can be fetched as PDF."""
    finalized_at: datetime | None = None
    """When the draft became a document."""
    paid_at: datetime | None = None
    """When it was paid in full."""
    voided_at: datetime | None = None
    """When it was voided."""
    created_at: datetime | None = None
    """When the provider made the record."""


class Payment(Model, frozen=True, kw_only=True):
    """Money that a customer pays, or one attempt at it (see `attempt_of`)."""

    kind: ClassVar[str] = "payments.payment"

    customer: str | None = None
    """Id of the customer; None: a guest."""
    status: PaymentStatus
    """Where it stands."""
    currency: str
    """ISO 4217 code."""
    amount: int
    """What is to be paid, in minor units."""
    amount_received: int | None = None
    """What was taken so far, in minor units."""
    amount_refunded: int | None = None
    """What was given back so far, in minor units; None: the provider does not say it here."""
    attempt_of: str | None = None
    """Id of the payment that this is one attempt at; None: it stands for itself."""
    description: str | None = None
    """A text for the payer or the merchant."""
    statement_descriptor: str | None = None
    """What the payer's bank statement says."""
    receipt_email: str | None = None
    """Where the receipt goes."""
    method: str | None = None
    """Kind of the payment method in the provider's word, such as `card`."""
    failure_code: str | None = None
    """Why the latest attempt failed, in the provider's code."""
    failure_message: str | None = None
    """Why the latest attempt failed, in words."""
    canceled_at: datetime | None = None
    """When it was canceled."""
    created_at: datetime | None = None
    """When the provider made the record."""


class Refund(Model, frozen=True, kw_only=True):
    """Money given back to a customer."""

    kind: ClassVar[str] = "payments.refund"

    payment: str | None = None
    """Id of the payment that is given back."""
    attempt: str | None = None
    """Id of the successful attempt at that payment, where attempts are records of their own."""
    status: RefundStatus | None = None
    """Where it stands."""
    currency: str
    """ISO 4217 code."""
    amount: int
    """What is given back, in minor units."""
    reason: str | None = None
    """Why, in the provider's word."""
    failure_reason: str | None = None
    """Why it failed, in the provider's word."""
    created_at: datetime | None = None
    """When the provider made the record."""


class Dispute(Model, frozen=True, kw_only=True):
    """A payer, or the payer's bank, wants a payment back."""

    kind: ClassVar[str] = "payments.dispute"

    payment: str | None = None
    """Id of the payment; None: the provider does not say it here."""
    status: DisputeStatus
    """Where it stands."""
    currency: str
    """ISO 4217 code."""
    amount: int
    """What is disputed, in minor units."""
    reason: str | None = None
    """Why, in the provider's word."""
    respond_by: datetime | None = None
    """Until when the merchant can say something."""
    created_at: datetime | None = None
    """When it was opened."""
    updated_at: datetime | None = None
    """When it last changed; None: the provider does not say."""


class CheckoutLine(Part, frozen=True, kw_only=True):
    """What is bought on a hosted payment page: so many of a price, or of what has only a name and a
    price for this once."""

    id: str | None = None
    """The provider's id of the line."""
    price: str | None = None
    """Id of the price; a new line has this, or `name` and `unit_price`."""
    name: str | None = None
    """What the payer reads."""
    unit_price: Decimal | None = None
    """Price of one unit in major units."""
    quantity: Decimal | None = None
    """How many units."""
    product: str | None = None
    """Id of the product."""
    amount: int | None = None
    """Total of the line with its taxes and discounts, in minor units."""


class Checkout(Model, frozen=True, kw_only=True):
    """A hosted page on which a customer pays once."""

    kind: ClassVar[str] = "payments.checkout"

    status: CheckoutStatus | None = None
    """Where it stands."""
    paid: CheckoutPayment | None = None
    """Whether the money has come; None: the provider does not say it here. A page may be complete
    before that."""
    mode: CheckoutMode = CheckoutMode.PAYMENT
    """What it is for."""
    lines: tuple[CheckoutLine, ...] = ()
    """What is bought. A provider may send only the first lines of a long list."""
    success_url: str | None = None
    """Where the payer is sent when the page is complete."""
    cancel_url: str | None = None
    """Where the payer is sent who turns back."""
    email: str | None = None
    """The payer's address, where it is known before."""
    customer: str | None = None
    """Id of the customer."""
    payment: str | None = None
    """Id of the payment it led to."""
    subscription: str | None = None
    """Id of the subscription it led to."""
    invoice: str | None = None
    """Id of the invoice it led to."""
    reference: str | None = None
    """The merchant's own id of the order."""
    order: str | None = None
    """The provider's id of the order that it made, where payments name that and not the page."""
    location: str | None = None
    """Id of the place of business that sells; None: there is none, or for new ones the main one."""
    currency: str | None = None
    """ISO 4217 code."""
    total: int | None = None
    """What is to be paid, in minor units."""
    url: str | None = None
    """The page's address while it is open."""
    expires_at: datetime | None = None
    """When the page closes."""
    created_at: datetime | None = None
    """When the provider made the record."""


class BalanceEntry(Model, frozen=True, kw_only=True):
    """A movement of the merchant's balance at the payment service; it never changes."""

    kind: ClassVar[str] = "payments.balance_entry"

    type: str
    """What moved the money, in the provider's word, such as `charge` or `payout`."""
    source: str | None = None
    """Id of the record that caused it."""
    currency: str
    """ISO 4217 code."""
    amount: int
    """What moved before fees, in minor units; negative: out of the balance."""
    fee: int = 0
    """What the provider kept, in minor units."""
    net: int
    """What moved after fees, in minor units."""
    description: str | None = None
    """A text for the merchant."""
    available_at: datetime | None = None
    """When the money can be paid out."""
    created_at: datetime | None = None
    """When it happened."""
