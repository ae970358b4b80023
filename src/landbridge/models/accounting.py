"""Unified models of bookkeeping: accounts, contacts, documents and journal entries.

Totals are whole minor units of the document's `currency`, with ISO 4217's number of decimals
(1230 with EUR is 12.30). Unit prices, quantities and rates are decimals, prices in major units.
The dates on documents are plain dates and are never converted between zones.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from landbridge.models.base import Address, Model, Part


class AccountCategory(StrEnum):
    """The five kinds of ledger accounts."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    REVENUE = "revenue"
    EXPENSE = "expense"


class DocumentStatus(StrEnum):
    """Where an invoice, a bill or a credit note stands."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    """Settled in full; a credit note: used up."""
    VOID = "void"
    """Voided or deleted: it counts no more."""


class Direction(StrEnum):
    """Which way a document goes."""

    SALE = "sale"
    """To a customer: accounts receivable."""
    PURCHASE = "purchase"
    """From a supplier: accounts payable."""


class Flow(StrEnum):
    """Which way money goes."""

    IN = "in"
    OUT = "out"


class PaymentStatus(StrEnum):
    """Whether a payment counts."""

    ACTIVE = "active"
    VOID = "void"


class PaidBy(StrEnum):
    """What money was spent with."""

    CASH = "cash"
    """Cash, or straight from a bank account."""
    CHECK = "check"
    CARD = "card"
    OTHER = "other"


class EntryStatus(StrEnum):
    """Where a journal entry stands."""

    DRAFT = "draft"
    POSTED = "posted"
    VOID = "void"


class TaxMode(StrEnum):
    """How the amounts on a document's lines are to be read."""

    EXCLUSIVE = "exclusive"
    INCLUSIVE = "inclusive"
    NONE = "none"
    """The document bears no tax."""


class LedgerAccount(Model, frozen=True, kw_only=True):
    """An account of the ledger (one line of the chart of accounts)."""

    kind: ClassVar[str] = "accounting.ledger_account"

    code: str | None = None
    """The number that bookkeepers use; some accounts have none."""
    name: str
    """What it is called."""
    category: AccountCategory | None = None
    """Which of the five kinds; None: the provider's type does not tell."""
    type: str | None = None
    """The provider's finer word, such as `BANK` or `Other Current Asset`."""
    description: str | None = None
    """What belongs there."""
    currency: str | None = None
    """ISO 4217 code; None: the organisation's own currency."""
    parent: str | None = None
    """Id of the account above it."""
    tax_rate: str | None = None
    """The tax code that its lines bear unless they say otherwise."""
    active: bool = True
    """Whether lines can still be booked there."""
    updated_at: datetime | None = None
    """When it last changed."""


class TaxComponent(Part, frozen=True, kw_only=True):
    """One of the taxes that a rate is made of."""

    name: str
    """What it is called."""
    percentage: Decimal | None = None
    """5 means five percent; None: that of `rate`."""
    rate: str | None = None
    """Id of the tax rate that has the percentage, where the provider keeps them apart; None beside
    no percentage: nobody knows it before."""
    compound: bool = False
    """Whether it is reckoned on the amount with the other taxes on it."""


class TaxRate(Model, frozen=True, kw_only=True):
    """A tax that lines can bear."""

    kind: ClassVar[str] = "accounting.tax_rate"

    name: str
    """What it is called."""
    code: str | None = None
    """The code by which lines name it; None: they name its id."""
    percentage: Decimal | None = None
    """The whole rate: 20 means twenty percent."""
    inclusive: bool | None = None
    """Whether prices contain it; None: the document says so."""
    components: tuple[TaxComponent, ...] = ()
    """What it is made of."""
    sale_components: tuple[TaxComponent, ...] = ()
    """What it is made of on sales, where that is not the same on purchases."""
    purchase_components: tuple[TaxComponent, ...] = ()
    """What it is made of on purchases, where that is not the same on sales."""
    country: str | None = None
    """ISO 3166-1 code of two letters."""
    active: bool = True
    """Whether new lines can bear it."""
    updated_at: datetime | None = None
    """When it last changed."""


class Organisation(Model, frozen=True, kw_only=True):
    """Whose books these are."""

    kind: ClassVar[str] = "accounting.organisation"

    name: str | None = None
    """What it is called; None: its settings do not say it, the connection's account name does."""
    legal_name: str | None = None
    """What it is called on documents."""
    currency: str
    """ISO 4217 code of its own currency."""
    country: str | None = None
    """ISO 3166-1 code of two letters."""
    tax_number: str | None = None
    """VAT number, ABN, GST number."""
    year_end_month: int | None = None
    """Month in which its financial year ends."""
    year_end_day: int | None = None
    """Day of that month."""
    locked_through: date | None = None
    """Last day on which nothing can be booked any more."""


class Item(Model, frozen=True, kw_only=True):
    """An article or a service that lines can name. Prices are in major units."""

    kind: ClassVar[str] = "accounting.item"

    code: str
    """The code by which lines name it."""
    name: str | None = None
    """What it is called."""
    description: str | None = None
    """What stands on the lines of sales."""
    sale_price: Decimal | None = None
    """Price of one unit when it is sold, in the organisation's own currency."""
    sale_account: str | None = None
    """Code of the ledger account of sales."""
    sale_tax: str | None = None
    """Code of the tax rate of sales."""
    purchase_price: Decimal | None = None
    """Price of one unit when it is bought, in the organisation's own currency."""
    purchase_account: str | None = None
    """Code of the ledger account of purchases."""
    purchase_tax: str | None = None
    """Code of the tax rate of purchases."""
    sold: bool = True
    """Whether it is sold."""
    purchased: bool = True
    """Whether it is bought."""
    quantity: Decimal | None = None
    """How much of it is in stock; None: nobody counts."""
    updated_at: datetime | None = None
    """When it last changed."""


class Contact(Model, frozen=True, kw_only=True):
    """A person or a company that one sells to or buys from."""

    kind: ClassVar[str] = "accounting.contact"

    name: str
    """The name in the books, often unique there."""
    first_name: str | None = None
    """Given name of the person to talk to."""
    last_name: str | None = None
    """Family name of the person to talk to."""
    email: str | None = None
    """Where documents go."""
    phone: str | None = None
    """Telephone number, as the provider writes it."""
    billing_address: Address | None = None
    """Where invoices go."""
    delivery_address: Address | None = None
    """Where goods go."""
    tax_number: str | None = None
    """VAT number, ABN, GST number."""
    reference: str | None = None
    """The organisation's own number for it."""
    currency: str | None = None
    """ISO 4217 code that its documents are in unless they say otherwise."""
    is_customer: bool | None = None
    """Whether one sells to it; None: the provider does not say."""
    is_supplier: bool | None = None
    """Whether one buys from it; None: the provider does not say."""
    active: bool = True
    """Whether new documents can name it."""
    updated_at: datetime | None = None
    """When it last changed."""


class Line(Part, frozen=True, kw_only=True):
    """One line of an invoice, a bill, a credit note or an expense."""

    id: str | None = None
    """The provider's id of the line."""
    description: str | None = None
    """What it is for."""
    quantity: Decimal | None = None
    """How many units; None: the line has only an amount."""
    unit_price: Decimal | None = None
    """Price of one unit in major units."""
    discount: Decimal | None = None
    """Percent taken off: 10 means ten percent."""
    amount: int | None = None
    """Total of the line in minor units, read as the document's `tax_mode` says."""
    account: str | None = None
    """Code of the ledger account."""
    tax: str | None = None
    """Code of the tax rate."""
    tax_amount: int | None = None
    """The tax on it, in minor units."""
    item: str | None = None
    """Code of the article."""


class Document(Model, frozen=True, kw_only=True):
    """What invoices, bills and credit notes have in common."""

    direction: Direction = Direction.SALE
    """Sale or purchase, where the provider keeps both in one collection."""
    number: str | None = None
    """The number on the document."""
    reference: str | None = None
    """A text of one's own, such as an order number."""
    contact: str
    """Id of the contact on the other side."""
    status: DocumentStatus
    """Where it stands."""
    currency: str
    """ISO 4217 code."""
    exchange_rate: Decimal | None = None
    """What one unit of `currency` is worth in the organisation's own currency."""
    issued_on: date
    """The date on the document."""
    tax_mode: TaxMode | None = None
    """How the lines' amounts are to be read."""
    lines: tuple[Line, ...] = ()
    """What it is made of."""
    subtotal: int | None = None
    """Sum without tax, in minor units."""
    tax: int | None = None
    """Sum of the taxes, in minor units."""
    total: int | None = None
    """Sum with tax, in minor units."""
    updated_at: datetime | None = None
    """When it last changed."""


class Invoice(Document, frozen=True, kw_only=True):
    """A demand for money from a customer; also a supplier's, if `direction` says `purchase`."""

    kind: ClassVar[str] = "accounting.invoice"

    due_on: date | None = None
    """The last day to pay."""
    amount_paid: int | None = None
    """What was paid, in minor units."""
    amount_due: int | None = None
    """What is still to be paid, in minor units."""


class CreditNote(Document, frozen=True, kw_only=True):
    """What takes back an invoice, or a part of it."""

    kind: ClassVar[str] = "accounting.credit_note"

    remaining: int | None = None
    """What of it is not used yet, in minor units."""


class Bill(Document, frozen=True, kw_only=True):
    """A supplier's demand for money (accounts payable)."""

    kind: ClassVar[str] = "accounting.bill"

    due_on: date | None = None
    """The last day to pay."""
    amount_paid: int | None = None
    """What was paid, in minor units."""
    amount_due: int | None = None
    """What is still to be paid, in minor units."""


class Expense(Model, frozen=True, kw_only=True):
    """Money spent at once, without a bill before it."""

    kind: ClassVar[str] = "accounting.expense"

    account: str | None = None
    """Id of the ledger account that paid (a bank account, a credit card); None: the provider does
    not say."""
    contact: str | None = None
    """Id of the contact that got the money."""
    paid_by: PaidBy | None = None
    """What it was paid with; None: the provider does not say."""
    status: PaymentStatus = PaymentStatus.ACTIVE
    """Whether it counts."""
    currency: str
    """ISO 4217 code."""
    spent_on: date
    """The day of the purchase."""
    reference: str | None = None
    """A text of one's own, such as a receipt's number."""
    tax_mode: TaxMode | None = None
    """How the lines' amounts are to be read."""
    lines: tuple[Line, ...] = ()
    """What was bought."""
    tax: int | None = None
    """Sum of the taxes, in minor units."""
    total: int | None = None
    """Sum with tax, in minor units."""
    updated_at: datetime | None = None
    """When it last changed."""


class Payment(Model, frozen=True, kw_only=True):
    """Money that settles a document, in the books."""

    kind: ClassVar[str] = "accounting.payment"

    invoice: str | None = None
    """Id of the invoice it settles."""
    bill: str | None = None
    """Id of the bill it settles."""
    contact: str | None = None
    """Id of the contact on the other side."""
    account: str | None = None
    """Id of the ledger account that the money went to or came from."""
    status: PaymentStatus = PaymentStatus.ACTIVE
    """Whether it counts."""
    currency: str
    """ISO 4217 code."""
    amount: int
    """How much, in minor units."""
    paid_on: date
    """The day of the payment."""
    reference: str | None = None
    """A text of one's own."""
    updated_at: datetime | None = None
    """When it last changed."""


class BankTransaction(Model, frozen=True, kw_only=True):
    """Money spent or received on a bank account, without a document before it."""

    kind: ClassVar[str] = "accounting.bank_transaction"

    flow: Flow
    """Whether it was received or spent."""
    type: str | None = None
    """The provider's finer word, such as `SPEND-PREPAYMENT`."""
    account: str
    """Id of the bank account."""
    contact: str | None = None
    """Id of the contact on the other side."""
    status: PaymentStatus = PaymentStatus.ACTIVE
    """Whether it counts."""
    reconciled: bool | None = None
    """Whether it was matched with the bank's statement."""
    currency: str
    """ISO 4217 code."""
    booked_on: date
    """The day of the transaction."""
    reference: str | None = None
    """A text of one's own."""
    tax_mode: TaxMode | None = None
    """How the lines' amounts are to be read."""
    lines: tuple[Line, ...] = ()
    """What it was for."""
    tax: int | None = None
    """Sum of the taxes, in minor units."""
    total: int | None = None
    """Sum with tax, in minor units."""
    updated_at: datetime | None = None
    """When it last changed."""


class JournalLine(Part, frozen=True, kw_only=True):
    """One line of a journal entry."""

    id: str | None = None
    """The provider's id of the line."""
    account: str
    """Code of the ledger account."""
    amount: int
    """Minor units; positive is a debit, negative a credit."""
    description: str | None = None
    """What it is for."""
    tax: str | None = None
    """Code of the tax rate."""
    contact: str | None = None
    """Id of the contact it concerns."""


class JournalEntry(Model, frozen=True, kw_only=True):
    """A booking between accounts; its lines sum up to nothing."""

    kind: ClassVar[str] = "accounting.journal_entry"

    number: str | None = None
    """The number in the journal."""
    narration: str | None = None
    """What it is for."""
    status: EntryStatus
    """Where it stands."""
    currency: str | None = None
    """ISO 4217 code; None: the organisation's own currency, and amounts are hundredths of it."""
    posted_on: date
    """The day it counts from."""
    tax_mode: TaxMode | None = None
    """How the lines' amounts are to be read."""
    lines: tuple[JournalLine, ...] = ()
    """What is debited and credited."""
    updated_at: datetime | None = None
    """When it last changed."""
