"""Xero's accounting objects in our words, as its OpenAPI file 16.1.0 has them.

https://developer.xero.com/documentation/api/accounting/overview has the fields. Amounts are
decimals in major units, with two places (unit prices with four: `unitdp=4`).
"""

from decimal import Decimal
from typing import Any

from landbridge.models.accounting import (
    AccountCategory,
    BankTransaction,
    Bill,
    Contact,
    CreditNote,
    Direction,
    DocumentStatus,
    EntryStatus,
    Expense,
    Flow,
    Invoice,
    Item,
    JournalEntry,
    JournalLine,
    LedgerAccount,
    Line,
    Organisation,
    Payment,
    PaymentStatus,
    TaxComponent,
    TaxMode,
    TaxRate,
)
from landbridge.models.base import Address
from landbridge.spec import (
    constant,
    currency,
    date,
    decimal,
    flag,
    hundredths,
    instant,
    integer,
    lasting,
    latest,
    lookup,
    major,
    many,
    map_from,
    map_to,
    on_create,
    one_of,
    picked,
    read_only,
    ref,
    text,
    via,
    when,
)

updated = read_only(instant("UpdatedDateUTC", dotnet=True))
tax_mode = one_of(
    "LineAmountTypes",
    {"Exclusive": TaxMode.EXCLUSIVE, "Inclusive": TaxMode.INCLUSIVE, "NoTax": TaxMode.NONE},
)
# Xero alone makes a document PAID. A draft that goes is DELETED, one that counted is VOIDED.
document_status = one_of(
    "Status",
    {
        "DRAFT": DocumentStatus.DRAFT,
        "SUBMITTED": DocumentStatus.DRAFT,
        "AUTHORISED": DocumentStatus.OPEN,
        "PAID": DocumentStatus.PAID,
        "VOIDED": DocumentStatus.VOID,
        "DELETED": DocumentStatus.VOID,
    },
)


def rate(record: dict[str, Any]) -> Decimal | None:
    """What one unit of the document's currency is worth; Xero says how many of it one is worth."""
    told = record.get("CurrencyRate")
    worth = round(1 / Decimal(str(told)), 10) if told else None
    return Decimal(f"{worth:f}".rstrip("0").rstrip(".")) if worth else None


def rated(worth: Decimal | None) -> dict[str, Any]:
    """The same, as Xero has it; without one it takes its own of that day."""
    return {"CurrencyRate": 1 / worth if worth else None}


exchange_rate = via(read=rate, write=rated, paths=["CurrencyRate"])

account = map_to(
    LedgerAccount,
    id=read_only(text("AccountID")),
    code=lasting(text("Code")),
    name=lasting(text("Name")),
    category=read_only(one_of("Class", {category.name: category for category in AccountCategory})),
    type=on_create(text("Type")),
    description=text("Description"),
    currency=on_create(currency("CurrencyCode")),
    tax_rate=text("TaxType"),
    active=one_of("Status", {"ACTIVE": True, "ARCHIVED": False, "DELETED": False}),
    updated_at=updated,
)

tax_rate = map_to(
    TaxRate,
    id=read_only(text("TaxType")),
    name=lasting(text("Name")),
    code=read_only(text("TaxType")),
    percentage=read_only(decimal("EffectiveRate")),
    components=many(
        "TaxComponents",
        map_to(
            TaxComponent,
            name=text("Name"),
            percentage=decimal("Rate"),
            compound=flag("IsCompound"),
        ),
    ),
    active=one_of(
        "Status", {"ACTIVE": True, "DELETED": False, "ARCHIVED": False, "PENDING": False}
    ),
)

organisation = map_from(
    Organisation,
    id=text("OrganisationID"),
    name=text("Name"),
    legal_name=text("LegalName"),
    currency=currency("BaseCurrency"),
    country=text("CountryCode"),
    tax_number=text("TaxNumber"),
    year_end_month=integer("FinancialYearEndMonth"),
    year_end_day=integer("FinancialYearEndDay"),
    # The one is for all but advisers, the other for everybody.
    locked_through=latest(
        date("PeriodLockDate", dotnet=True), date("EndOfYearLockDate", dotnet=True)
    ),
)

postal = map_from(
    Address,
    line1=text("AddressLine1"),
    line2=text("AddressLine2"),
    city=text("City"),
    region=text("Region"),
    postal_code=text("PostalCode"),
    country=text("Country"),
)

contact = map_to(
    Contact,
    id=read_only(text("ContactID")),
    name=lasting(text("Name")),
    first_name=text("FirstName"),
    last_name=text("LastName"),
    email=text("EmailAddress"),
    phone=picked("Phones", {"PhoneType": "DEFAULT"}, text("PhoneNumber")),
    billing_address=picked("Addresses", {"AddressType": "POBOX"}, postal),
    delivery_address=picked("Addresses", {"AddressType": "STREET"}, postal),
    tax_number=text("TaxNumber"),
    reference=text("AccountNumber"),
    currency=currency("DefaultCurrency"),
    is_customer=read_only(flag("IsCustomer")),
    is_supplier=read_only(flag("IsSupplier")),
    active=one_of("ContactStatus", {"ACTIVE": True, "ARCHIVED": False, "GDPRREQUEST": False}),
    updated_at=updated,
)

item = map_to(
    Item,
    id=read_only(text("ItemID")),
    code=text("Code"),
    name=text("Name"),
    description=text("Description"),
    sale_price=decimal("SalesDetails.UnitPrice"),
    sale_account=text("SalesDetails.AccountCode"),
    sale_tax=text("SalesDetails.TaxType"),
    purchase_price=decimal("PurchaseDetails.UnitPrice"),
    purchase_account=text("PurchaseDetails.AccountCode"),
    purchase_tax=text("PurchaseDetails.TaxType"),
    sold=flag("IsSold"),
    purchased=flag("IsPurchased"),
    quantity=read_only(decimal("QuantityOnHand")),
    updated_at=updated,
)

# Xero reckons LineAmount and TaxAmount anew; an amount that does not fit is refused.
line = map_to(
    Line,
    id=read_only(text("LineItemID")),
    description=text("Description"),
    quantity=decimal("Quantity"),
    unit_price=decimal("UnitAmount"),
    discount=decimal("DiscountRate"),
    amount=read_only(major("LineAmount", currency="^CurrencyCode")),
    account=lookup("AccountCode", table="accounts"),
    tax=lookup("TaxType", table="tax_rates"),
    tax_amount=read_only(major("TaxAmount", currency="^CurrencyCode")),
    item=text("ItemCode"),
)
lines = many("LineItems", line, key="LineItemID")
total = major("Total", currency="CurrencyCode")
tax = major("TotalTax", currency="CurrencyCode")
subtotal = major("SubTotal", currency="CurrencyCode")
issued = date("Date", dotnet=True)

document = {
    "id": read_only(text("InvoiceID")),
    "number": text("InvoiceNumber"),
    "reference": text("Reference"),
    "contact": ref("Contact.ContactID", to="Contacts"),
    "status": document_status,
    "currency": on_create(currency("CurrencyCode")),
    "exchange_rate": exchange_rate,
    "issued_on": issued,
    "due_on": date("DueDate", dotnet=True),
    "tax_mode": tax_mode,
    "lines": lines,
    "subtotal": read_only(subtotal),
    "tax": read_only(tax),
    "total": read_only(total),
    "amount_paid": read_only(major("AmountPaid", currency="CurrencyCode")),
    "amount_due": read_only(major("AmountDue", currency="CurrencyCode")),
    "updated_at": updated,
}
# An invoice of ours that is a purchase is refused: it is a bill here.
sale = one_of("Type", {"ACCREC": Direction.SALE}, never=[Direction.PURCHASE])
invoice = map_to(Invoice, **document, direction=on_create(sale))
bill = map_to(Bill, **document, direction=constant(Direction.PURCHASE))

credit_note = map_to(
    CreditNote,
    id=read_only(text("CreditNoteID")),
    direction=on_create(
        one_of("Type", {"ACCRECCREDIT": Direction.SALE, "ACCPAYCREDIT": Direction.PURCHASE})
    ),
    number=text("CreditNoteNumber"),
    reference=text("Reference"),
    contact=ref("Contact.ContactID", to="Contacts"),
    status=document_status,
    currency=on_create(currency("CurrencyCode")),
    exchange_rate=exchange_rate,
    issued_on=issued,
    tax_mode=tax_mode,
    lines=lines,
    subtotal=read_only(subtotal),
    tax=read_only(tax),
    total=read_only(total),
    remaining=read_only(major("RemainingCredit", currency="CurrencyCode")),
    updated_at=updated,
)

SETTLED = "Invoice.InvoiceID"
# A payment of an overpayment or a prepayment may name its currency elsewhere (unsure): it parks.
payment = map_to(
    Payment,
    id=read_only(text("PaymentID")),
    invoice=when("PaymentType", "ACCRECPAYMENT", on_create(ref(SETTLED, to="Invoices"))),
    bill=when("PaymentType", "ACCPAYPAYMENT", on_create(ref(SETTLED, to="Bills"))),
    contact=read_only(ref("Invoice.Contact.ContactID", to="Contacts")),
    account=on_create(ref("Account.AccountID", to="Accounts")),
    status=read_only(
        one_of("Status", {"AUTHORISED": PaymentStatus.ACTIVE, "DELETED": PaymentStatus.VOID})
    ),
    currency=read_only(currency("Invoice.CurrencyCode")),
    amount=on_create(major("Amount", currency="Invoice.CurrencyCode")),
    paid_on=on_create(issued),
    reference=on_create(text("Reference")),
    updated_at=updated,
)

moved = {
    "currency": on_create(currency("CurrencyCode")),
    "reference": text("Reference"),
    "tax_mode": tax_mode,
    "lines": lines,
    "tax": read_only(tax),
    "total": read_only(total),
    "updated_at": updated,
}
counts = one_of(
    "Status",
    {
        "AUTHORISED": PaymentStatus.ACTIVE,
        "DELETED": PaymentStatus.VOID,
        "VOIDED": PaymentStatus.VOID,
    },
)
bank_transaction = map_from(
    BankTransaction,
    **moved,
    id=text("BankTransactionID"),
    flow=one_of(
        "Type",
        {
            "RECEIVE": Flow.IN,
            "RECEIVE-OVERPAYMENT": Flow.IN,
            "RECEIVE-PREPAYMENT": Flow.IN,
            "RECEIVE-TRANSFER": Flow.IN,
            "SPEND": Flow.OUT,
            "SPEND-OVERPAYMENT": Flow.OUT,
            "SPEND-PREPAYMENT": Flow.OUT,
            "SPEND-TRANSFER": Flow.OUT,
        },
    ),
    type=text("Type"),
    account=ref("BankAccount.AccountID", to="Accounts"),
    contact=ref("Contact.ContactID", to="Contacts"),
    status=counts,
    reconciled=flag("IsReconciled"),
    booked_on=issued,
)
expense = map_to(
    Expense,
    **moved,
    id=read_only(text("BankTransactionID")),
    account=on_create(ref("BankAccount.AccountID", to="Accounts")),
    contact=on_create(ref("Contact.ContactID", to="Contacts")),
    status=counts,
    spent_on=issued,
)

manual_journal = map_to(
    JournalEntry,
    id=read_only(text("ManualJournalID")),
    narration=lasting(text("Narration")),
    status=one_of(
        "Status",
        {
            "DRAFT": EntryStatus.DRAFT,
            "POSTED": EntryStatus.POSTED,
            "VOIDED": EntryStatus.VOID,
            "DELETED": EntryStatus.VOID,
            "ARCHIVED": EntryStatus.VOID,
        },
    ),
    posted_on=issued,
    tax_mode=tax_mode,
    lines=many(
        "JournalLines",
        map_to(
            JournalLine,
            account=lookup("AccountCode", table="accounts"),
            amount=hundredths("LineAmount"),
            description=text("Description"),
            tax=lookup("TaxType", table="tax_rates"),
        ),
    ),
    updated_at=updated,
)
