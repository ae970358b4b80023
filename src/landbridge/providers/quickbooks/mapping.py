"""QuickBooks Online's accounting entities in our words, as Intuit's schema of the v3 API has them.

Amounts are decimals in major units. Lines, items and accounts are named by their ids. `CurrencyRef`
may be missing where a company has one currency only (unsure): such a document parks.
"""

from decimal import Decimal
from typing import Any

from landbridge.models.accounting import (
    AccountCategory,
    Bill,
    Contact,
    CreditNote,
    Direction,
    DocumentStatus,
    EntryStatus,
    Expense,
    Invoice,
    Item,
    JournalEntry,
    JournalLine,
    LedgerAccount,
    Line,
    Organisation,
    PaidBy,
    Payment,
    TaxComponent,
    TaxMode,
    TaxRate,
)
from landbridge.models.base import Address
from landbridge.spec import (
    boxed,
    constant,
    currency,
    date,
    decimal,
    first_of,
    flag,
    instant,
    lasting,
    lookup,
    major,
    many,
    map_either,
    map_from,
    map_to,
    nested,
    on_create,
    one_of,
    read_only,
    ref,
    signed,
    text,
    via,
)

CURRENCY = "CurrencyRef.value"
SALE = {"DetailType": ["SalesItemLineDetail"]}
COST = {"DetailType": ["AccountBasedExpenseLineDetail", "ItemBasedExpenseLineDetail"]}
POSTING = {"DetailType": ["JournalEntryLineDetail"]}
# QuickBooks adds the sums by itself and does not take them back.
SUMS = {"DetailType": ["SubTotalLineDetail"]}

key = read_only(text("Id"))
updated = read_only(instant("MetaData.LastUpdatedTime"))
document_currency = on_create(currency(CURRENCY))
tax_mode = one_of(
    "GlobalTaxCalculation",
    {
        "TaxExcluded": TaxMode.EXCLUSIVE,
        "TaxInclusive": TaxMode.INCLUSIVE,
        "NotApplicable": TaxMode.NONE,
    },
)


def standing(record: dict[str, Any]) -> DocumentStatus:
    """Where a document stands: there is no field for it.

    A voided one has no amounts any more and a note that begins with Voided (unsure).
    """
    total = Decimal(str(record.get("TotalAmt", 0)))
    if not total and str(record.get("PrivateNote", "")).startswith("Voided"):
        return DocumentStatus.VOID
    left = Decimal(str(record.get("Balance", total)))
    return DocumentStatus.OPEN if left else DocumentStatus.PAID


def untaxed(record: dict[str, Any]) -> Decimal | None:
    """The percentage of a code that says that it is no tax, as `NON` in the United States."""
    rated = record.get("SalesTaxRateList") or record.get("PurchaseTaxRateList")
    return Decimal(0) if record.get("Taxable") is False and not rated else None


def on_the_amount(detail: dict[str, Any]) -> str | None:
    """The id of a rate; None where it is one of the other tax alone."""
    alone = detail.get("TaxTypeApplicable") == "TaxOnTax"
    return None if alone else str(detail["TaxRateRef"]["value"])


def on_both(detail: dict[str, Any]) -> bool:
    """Whether a rate is one of the amount with the tax before it."""
    return detail.get("TaxTypeApplicable") == "TaxOnAmountPlusTax"


def settled(kind: str) -> Any:
    """Reads the id of the one document of this kind that a payment settles."""

    def read(record: dict[str, Any]) -> str | None:
        linked = [each for line in record.get("Line", ()) for each in line.get("LinkedTxn", ())]
        ids = {each["TxnId"] for each in linked if each.get("TxnType") == kind}
        return str(ids.pop()) if len(ids) == 1 else None

    return read


def settling(kind: str) -> Any:
    """Writes a line that settles one document of this kind with all of the payment's amount."""

    def write(document: str | None, amount: Decimal) -> dict[str, Any]:
        linked = [{"TxnId": document, "TxnType": kind}]
        return {"Line": document and [{"Amount": amount, "LinkedTxn": linked}]}

    return write


def paid_from(record: dict[str, Any]) -> str | None:
    """The account that a bill was paid from: a bank account, or that of a credit card."""
    bank = (record.get("CheckPayment") or {}).get("BankAccountRef") or {}
    card = (record.get("CreditCardPayment") or {}).get("CCAccountRef") or {}
    found = bank.get("value") or card.get("value")
    return None if found is None else str(found)


def from_bank(account: str | None) -> dict[str, Any]:
    """The bank account that a bill is paid from; a credit card would be said in another manner."""
    return {"CheckPayment": account and {"BankAccountRef": {"value": account}}}


def payee(record: dict[str, Any]) -> str | None:
    """Whom the money of a purchase went to."""
    found = (record.get("EntityRef") or {}).get("value")
    return None if found is None else str(found)


def paying(contact: str | None) -> dict[str, Any]:
    """A vendor to whom money goes; an id alone does not say of whom it is."""
    return {"EntityRef": None if contact is None else {"value": contact, "type": "Vendor"}}


status = read_only(via(read=standing, paths=["Balance", "TotalAmt", "PrivateNote"]))

account = map_to(
    LedgerAccount,
    id=key,
    code=text("AcctNum"),
    name=lasting(text("Name")),
    category=read_only(
        one_of("Classification", {each.name.title(): each for each in AccountCategory})
    ),
    type=on_create(text("AccountType")),
    description=text("Description"),
    currency=on_create(currency(CURRENCY)),
    parent=read_only(text("ParentRef.value")),
    tax_rate=read_only(text("TaxCodeRef.value")),
    active=flag("Active"),
    updated_at=updated,
)

# Lines name tax codes. What a code takes is in the rates that it leads to; QuickBooks alone knows
# it of a code without rates (automated sales tax), and of a tax on another tax.
part = map_from(
    TaxComponent,
    name=first_of(text("TaxRateRef.name"), text("TaxRateRef.value")),
    rate=via(read=on_the_amount, paths=["TaxRateRef.value", "TaxTypeApplicable"]),
    compound=via(read=on_both, paths=["TaxTypeApplicable"]),
)
tax_code = map_from(
    TaxRate,
    id=key,
    name=text("Name"),
    code=text("Id"),
    percentage=via(read=untaxed, paths=["Taxable"]),
    sale_components=many("SalesTaxRateList.TaxRateDetail", part),
    purchase_components=many("PurchaseTaxRateList.TaxRateDetail", part),
    active=flag("Active"),
    updated_at=updated,
)
tax_rate = map_from(
    TaxRate,
    id=key,
    name=text("Name"),
    percentage=decimal("RateValue"),
    active=flag("Active"),
    updated_at=updated,
)

preferences = map_from(
    Organisation,
    id=key,
    currency=currency("CurrencyPrefs.HomeCurrency.value"),
    locked_through=date("AccountingInfoPrefs.BookCloseDate"),
)

postal = map_to(
    Address,
    line1=text("Line1"),
    line2=text("Line2"),
    city=text("City"),
    region=text("CountrySubDivisionCode"),
    postal_code=text("PostalCode"),
    country=text("Country"),
)
person = {
    "id": key,
    "name": lasting(text("DisplayName")),
    "first_name": text("GivenName"),
    "last_name": text("FamilyName"),
    "email": text("PrimaryEmailAddr.Address"),
    "phone": text("PrimaryPhone.FreeFormNumber"),
    "billing_address": nested("BillAddr", postal),
    "currency": on_create(currency(CURRENCY)),
    "active": flag("Active"),
    "updated_at": updated,
}

customer = map_to(
    Contact,
    **person,
    delivery_address=nested("ShipAddr", postal),
    tax_number=text("PrimaryTaxIdentifier"),
    is_customer=constant(True),
)
vendor = map_to(
    Contact,
    **person,
    tax_number=text("TaxIdentifier"),
    reference=text("AcctNum"),
    is_supplier=constant(True),
)

# Lines name an item by its id, whatever number the company gave it.
item = map_to(
    Item,
    id=key,
    code=read_only(text("Id")),
    name=lasting(text("Name")),
    description=text("Description"),
    sale_price=decimal("UnitPrice"),
    sale_account=boxed(text("IncomeAccountRef.value")),
    sale_tax=boxed(text("SalesTaxCodeRef.value")),
    purchase_price=decimal("PurchaseCost"),
    purchase_account=boxed(text("ExpenseAccountRef.value")),
    purchase_tax=boxed(text("PurchaseTaxCodeRef.value")),
    quantity=read_only(decimal("QtyOnHand")),
    updated_at=updated,
)

# Amount has to be Qty times UnitPrice; QuickBooks refuses it otherwise.
sale_line = map_to(
    Line,
    id=key,
    description=text("Description"),
    quantity=decimal("SalesItemLineDetail.Qty"),
    unit_price=decimal("SalesItemLineDetail.UnitPrice"),
    amount=major("Amount", currency=f"^{CURRENCY}"),
    tax=boxed(lookup("SalesItemLineDetail.TaxCodeRef.value", table="tax_rates")),
    item=boxed(text("SalesItemLineDetail.ItemRef.value")),
)
# Of what was bought for an account there is only an amount; of an article also its price.
bought = {
    "id": key,
    "description": text("Description"),
    "amount": major("Amount", currency=f"^{CURRENCY}"),
}
item_line = map_to(
    Line,
    **bought,
    quantity=decimal("ItemBasedExpenseLineDetail.Qty"),
    unit_price=decimal("ItemBasedExpenseLineDetail.UnitPrice"),
    tax=boxed(lookup("ItemBasedExpenseLineDetail.TaxCodeRef.value", table="tax_rates")),
    item=boxed(text("ItemBasedExpenseLineDetail.ItemRef.value")),
)
account_line = map_to(
    Line,
    **bought,
    account=boxed(lookup("AccountBasedExpenseLineDetail.AccountRef.value", table="accounts")),
    tax=boxed(lookup("AccountBasedExpenseLineDetail.TaxCodeRef.value", table="tax_rates")),
)
cost_line = map_either(
    "DetailType",
    by="item",
    given={"ItemBasedExpenseLineDetail": item_line},
    otherwise={"AccountBasedExpenseLineDetail": account_line},
)

head = {
    "id": key,
    "number": text("DocNumber"),
    "reference": text("PrivateNote"),
    "status": status,
    "currency": document_currency,
    "exchange_rate": decimal("ExchangeRate"),
    "issued_on": date("TxnDate"),
    "tax_mode": tax_mode,
    "tax": read_only(major("TxnTaxDetail.TotalTax", currency=CURRENCY)),
    "total": read_only(major("TotalAmt", currency=CURRENCY)),
    "updated_at": updated,
}
balance = read_only(major("Balance", currency=CURRENCY))
sale_lines = many("Line", sale_line, key="Id", where=SALE, drops=SUMS)
cost_lines = many("Line", cost_line, key="Id", where=COST, drops=SUMS)

invoice = map_to(
    Invoice,
    **head,
    direction=constant(Direction.SALE),
    contact=ref("CustomerRef.value", to="Customer"),
    due_on=date("DueDate"),
    lines=sale_lines,
    amount_due=balance,
)
credit_memo = map_to(
    CreditNote,
    **head,
    direction=constant(Direction.SALE),
    contact=ref("CustomerRef.value", to="Customer"),
    lines=sale_lines,
    remaining=first_of(
        major("RemainingCredit", currency=CURRENCY), major("Balance", currency=CURRENCY)
    ),
)
bill = map_to(
    Bill,
    **head,
    direction=constant(Direction.PURCHASE),
    contact=ref("VendorRef.value", to="Vendor"),
    due_on=date("DueDate"),
    lines=cost_lines,
    amount_due=balance,
)
vendor_credit = map_to(
    CreditNote,
    **head,
    direction=constant(Direction.PURCHASE),
    contact=ref("VendorRef.value", to="Vendor"),
    lines=cost_lines,
    remaining=balance,
)
purchase = map_to(
    Expense,
    id=key,
    account=lasting(ref("AccountRef.value", to="Account")),
    contact=via(read=payee, write=paying, paths=["EntityRef"]),
    paid_by=on_create(
        one_of(
            "PaymentType",
            {
                "Cash": PaidBy.CASH,
                "Check": PaidBy.CHECK,
                "CreditCard": PaidBy.CARD,
                "Expense": PaidBy.OTHER,
                "Other": PaidBy.OTHER,
            },
        )
    ),
    currency=document_currency,
    spent_on=date("TxnDate"),
    reference=text("DocNumber"),
    tax_mode=tax_mode,
    lines=cost_lines,
    tax=read_only(major("TxnTaxDetail.TotalTax", currency=CURRENCY)),
    total=read_only(major("TotalAmt", currency=CURRENCY)),
    updated_at=updated,
)
# One that settles several invoices names none here; its raw record has them all.
paid = major("TotalAmt", currency=CURRENCY)
payment = map_to(
    Payment,
    id=key,
    invoice=on_create(
        via(
            read=settled("Invoice"),
            write=settling("Invoice"),
            paths=["Line"],
            beside={"amount": paid},
        )
    ),
    contact=on_create(ref("CustomerRef.value", to="Customer")),
    account=on_create(ref("DepositToAccountRef.value", to="Account")),
    currency=document_currency,
    amount=on_create(paid),
    paid_on=on_create(date("TxnDate")),
    reference=on_create(text("PaymentRefNum")),
    updated_at=updated,
)
# One that settles several bills names none here, as above.
bill_payment = map_to(
    Payment,
    id=key,
    bill=on_create(
        via(read=settled("Bill"), write=settling("Bill"), paths=["Line"], beside={"amount": paid})
    ),
    contact=on_create(ref("VendorRef.value", to="Vendor")),
    account=on_create(
        via(read=paid_from, write=from_bank, paths=["CheckPayment", "CreditCardPayment"])
    ),
    currency=document_currency,
    amount=on_create(paid),
    paid_on=on_create(date("TxnDate")),
    reference=on_create(text("DocNumber")),
    updated_at=updated,
)
journal_line = map_to(
    JournalLine,
    id=key,
    account=lookup("JournalEntryLineDetail.AccountRef.value", table="accounts"),
    amount=signed(
        major("Amount", currency=f"^{CURRENCY}"),
        by="JournalEntryLineDetail.PostingType",
        plus="Debit",
        minus="Credit",
    ),
    description=text("Description"),
    tax=boxed(lookup("JournalEntryLineDetail.TaxCodeRef.value", table="tax_rates")),
    contact=read_only(text("JournalEntryLineDetail.Entity.EntityRef.value")),
)
journal_entry = map_to(
    JournalEntry,
    id=key,
    number=text("DocNumber"),
    narration=text("PrivateNote"),
    status=read_only(constant(EntryStatus.POSTED)),
    currency=document_currency,
    posted_on=date("TxnDate"),
    tax_mode=tax_mode,
    lines=many("Line", journal_line, key="Id", where=POSTING, drops=SUMS),
    updated_at=updated,
)
