"""FreshBooks's accounting objects in our words, as its official SDKs have their fields.

https://www.freshbooks.com/api/start has the pages. Amounts are texts in major units beside their
currency. Ids are whole numbers, now and then as text. `updated` is the local time of New York.
"""

from typing import Any

from landbridge.models.accounting import (
    AccountCategory,
    Bill,
    Contact,
    CreditNote,
    Direction,
    DocumentStatus,
    Expense,
    Invoice,
    Item,
    LedgerAccount,
    Line,
    Payment,
    PaymentStatus,
    TaxMode,
    TaxRate,
)
from landbridge.models.base import Address
from landbridge.spec import (
    constant,
    copied,
    currency,
    date,
    decimal,
    instant,
    itself,
    lasting,
    lookup,
    major,
    many,
    map_from,
    map_to,
    on_create,
    one_of,
    priced,
    read_only,
    ref,
    spread,
    text,
    via,
)

key = read_only(text("id", number=True))
updated = read_only(instant("updated", zone="America/New_York"))
# 1 is deleted; 0 and 2 count, and 2 (archived) is kept out of the way.
counts = {0: PaymentStatus.ACTIVE, 2: PaymentStatus.ACTIVE, 1: PaymentStatus.VOID}
money = currency("currency_code")
total = read_only(major("amount.amount", currency="amount.code", as_text=True))
paid = read_only(major("paid.amount", currency="paid.code", as_text=True))
outstanding = read_only(major("outstanding.amount", currency="outstanding.code", as_text=True))


def name_of(client: dict[str, Any]) -> str:
    """The organisation; without one the person, the address of the mails, or the number."""
    person = " ".join(filter(None, (client.get("fname"), client.get("lname"))))
    named = client.get("organization") or person or client.get("email")
    return str(named or f"Client {client.get('id')}")


def postal(prefix: str) -> Any:
    """The address whose fields begin so."""
    return map_to(
        Address,
        line1=text(f"{prefix}street", blank=True),
        line2=text(f"{prefix}street2", blank=True),
        city=text(f"{prefix}city", blank=True),
        region=text(f"{prefix}province", blank=True),
        postal_code=text(f"{prefix}code", blank=True),
        country=text(f"{prefix}country", blank=True),
    )


client = map_to(
    Contact,
    id=key,
    name=via(read=name_of, write=lambda name: {"organization": name or ""}, paths=["organization"]),
    first_name=text("fname", blank=True),
    last_name=text("lname", blank=True),
    email=text("email", blank=True),
    phone=text("bus_phone", blank=True),
    billing_address=spread(postal("p_")),
    delivery_address=spread(postal("s_")),
    tax_number=text("vat_number", blank=True),
    currency=money,
    is_customer=constant(True),
    active=read_only(one_of("vis_state", {0: True, 2: False, 1: False})),
    updated_at=updated,
)

vendor = map_to(
    Contact,
    id=read_only(text("vendorid", number=True)),
    name=lasting(text("vendor_name")),
    first_name=text("primary_contact_first_name", blank=True),
    last_name=text("primary_contact_last_name", blank=True),
    email=text("primary_contact_email", blank=True),
    phone=text("phone", blank=True),
    billing_address=spread(
        map_to(
            Address,
            line1=text("street", blank=True),
            line2=text("street2", blank=True),
            city=text("city", blank=True),
            region=text("province", blank=True),
            postal_code=text("postal_code", blank=True),
            country=text("country", blank=True),
        )
    ),
    reference=text("account_number", blank=True),
    currency=money,
    is_supplier=constant(True),
    active=read_only(one_of("vis_state", {0: True, 2: False, 1: False})),
    updated_at=read_only(instant("updated_at", assume_utc=True)),
)

# The code is made of both: whoever changes one of them has lines that name another tax.
tax = map_to(
    TaxRate,
    id=key,
    name=lasting(text("name")),
    code=read_only(copied("name", "amount")),
    percentage=lasting(decimal("amount", as_text=True)),
    updated_at=updated,
)

# Lines name an item by its name. A price is sent without its currency, which the model does not
# have: that of the business is meant (unsure).
item = map_to(
    Item,
    id=key,
    code=lasting(text("name")),
    name=read_only(text("name")),
    description=text("description", blank=True),
    sale_price=decimal("unit_cost.amount", as_text=True),
    sale_tax=text("tax1", number=True),
    quantity=read_only(decimal("inventory")),
    updated_at=updated,
)

# Lines copy a name and a percentage of up to two taxes; the second one is left as it is.
line = map_to(
    Line,
    id=read_only(text("lineid", number=True)),
    item=text("name", blank=True),
    description=text("description", blank=True),
    quantity=decimal("qty", as_text=True),
    unit_price=priced("unit_cost", currency="^currency_code"),
    amount=read_only(major("amount.amount", currency="amount.code", as_text=True)),
    tax=copied("taxName1", "taxAmount1", table="tax_rates"),
)
lines = many("lines", line, key="lineid")
STANDS = {
    "draft": DocumentStatus.DRAFT,
    **dict.fromkeys(("paid", "autopaid", "auto-paid", "success"), DocumentStatus.PAID),
    **dict.fromkeys(
        (
            "created sent viewed outstanding failed retry partial disputed resolved overdue"
            " declined pending deposit-partial deposit-paid unpaid"
        ).split(),
        DocumentStatus.OPEN,
    ),
}

# A new one is a draft until it is marked as sent; FreshBooks alone makes it paid.
MADE = {DocumentStatus.DRAFT: 1, DocumentStatus.OPEN: 2, DocumentStatus.PAID: 4}

invoice = map_to(
    Invoice,
    id=key,
    direction=constant(Direction.SALE),
    number=text("invoice_number", blank=True),
    reference=text("po_number", blank=True),
    contact=ref("customerid", to="client", number=True),
    status=one_of("v3_status", STANDS, never=[DocumentStatus.VOID], sent_at="status", sent_as=MADE),
    currency=on_create(money),
    issued_on=date("create_date"),
    due_on=date("due_date"),
    tax_mode=constant(TaxMode.EXCLUSIVE),
    lines=lines,
    total=total,
    amount_paid=paid,
    amount_due=outstanding,
    updated_at=updated,
)


def credit_status(note: dict[str, Any]) -> DocumentStatus:
    """Whether a credit note is a draft, used up, or neither."""
    if note.get("display_status") == "draft":
        return DocumentStatus.DRAFT
    return DocumentStatus.PAID if note.get("payment_status") == "paid" else DocumentStatus.OPEN


credit_note = map_to(
    CreditNote,
    id=key,
    direction=constant(Direction.SALE),
    number=text("credit_number", blank=True),
    contact=ref("clientid", to="client", number=True),
    status=read_only(via(read=credit_status, paths=["display_status", "payment_status"])),
    currency=on_create(money),
    issued_on=date("create_date"),
    tax_mode=constant(TaxMode.EXCLUSIVE),
    lines=lines,
    total=total,
)

payment = map_to(
    Payment,
    id=key,
    invoice=on_create(ref("invoiceid", to="invoice", number=True)),
    contact=read_only(ref("clientid", to="client", number=True)),
    status=read_only(one_of("vis_state", counts)),
    currency=on_create(currency("amount.code")),
    amount=on_create(major("amount.amount", currency="amount.code", as_text=True)),
    paid_on=date("date"),
    reference=read_only(text("note", blank=True)),
    updated_at=updated,
)

# What an expense comes to has its taxes in it (unsure). Categories stand for ledger accounts. What
# it is for is in the note, which carries the intent where it was made here.
expense = map_to(
    Expense,
    id=key,
    account=read_only(text("accountid", number=True)),
    status=read_only(one_of("vis_state", counts)),
    currency=on_create(currency("amount.code")),
    spent_on=date("date"),
    reference=text("vendor", blank=True),
    tax_mode=constant(TaxMode.INCLUSIVE),
    lines=itself(
        map_to(
            Line,
            description=read_only(text("notes", blank=True)),
            amount=major("amount.amount", currency="^amount.code", as_text=True),
            account=lookup("categoryid", table="accounts", number=True),
            tax=copied("taxName1", "taxPercent1", table="tax_rates"),
            tax_amount=read_only(major("taxAmount1.amount", currency="taxAmount1.code")),
        ),
        changes=True,
    ),
    total=total,
    updated_at=updated,
)

bill = map_to(
    Bill,
    id=key,
    direction=constant(Direction.PURCHASE),
    number=on_create(text("bill_number", blank=True)),
    contact=on_create(ref("vendorid", to="bill_vendor", number=True)),
    status=read_only(one_of("status", STANDS, never=[DocumentStatus.VOID])),
    currency=on_create(money),
    issued_on=on_create(date("issue_date")),
    due_on=on_create(date("due_date")),
    tax_mode=constant(TaxMode.EXCLUSIVE),
    lines=on_create(
        many(
            "lines",
            map_to(
                Line,
                description=text("description", blank=True),
                quantity=decimal("quantity", as_text=True),
                unit_price=priced("unit_cost", currency="^currency_code"),
                amount=total,
                account=lookup("categoryid", table="accounts", number=True),
                tax=copied("tax_name1", "tax_percent1", table="tax_rates"),
                tax_amount=read_only(major("tax_amount1.amount", currency="tax_amount1.code")),
            ),
        )
    ),
    subtotal=total,
    tax=read_only(major("tax_amount.amount", currency="tax_amount.code")),
    total=read_only(major("total_amount.amount", currency="total_amount.code")),
    amount_paid=paid,
    amount_due=outstanding,
    updated_at=read_only(instant("updated_at", assume_utc=True)),
)

bill_payment = map_to(
    Payment,
    id=key,
    bill=on_create(ref("billid", to="bill", number=True)),
    status=read_only(one_of("vis_state", counts)),
    currency=on_create(currency("amount.code")),
    amount=on_create(major("amount.amount", currency="amount.code", as_text=True)),
    paid_on=date("paid_date"),
    reference=read_only(text("note", blank=True)),
)

category = map_from(
    LedgerAccount,
    id=text("categoryid", number=True),
    code=text("categoryid", number=True),
    name=text("category"),
    category=constant(AccountCategory.EXPENSE),
    parent=text("parentid", number=True),
    active=one_of("vis_state", {0: True, 2: False, 1: False}),
    updated_at=instant("updated_at", assume_utc=True),
)

account = map_from(
    LedgerAccount,
    id=text("accountid", number=True),
    code=text("account_number", blank=True),
    name=text("account_name"),
    category=one_of(
        "account_type",
        {
            "asset": AccountCategory.ASSET,
            "liability": AccountCategory.LIABILITY,
            "equity": AccountCategory.EQUITY,
            "income": AccountCategory.REVENUE,
            "revenue": AccountCategory.REVENUE,
            "expense": AccountCategory.EXPENSE,
        },
    ),
    type=text("account_type"),
    currency=money,
)
