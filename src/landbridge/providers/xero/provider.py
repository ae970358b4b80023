"""Xero's accounting API 2.0, by OAuth 2 with granular scopes.

Held against Xero's OpenAPI files 16.1.0. What only other people's pages say is marked unsure. A
list is asked for in the order of its ids, which no change moves: the default is no promise.
"""

from datetime import timedelta
from functools import partial

from landbridge.providers.xero import blank, mapping
from landbridge.spec import (
    Accounts,
    Errors,
    OAuth2,
    PageNumber,
    Provider,
    Quota,
    Resource,
    Rounding,
    SignedPing,
    SinceHeader,
    Unique,
    Webhook,
    Write,
    hmac_base64,
    topics_of,
)

PAGE = PageNumber(count="pagination.pageCount", size_param="pageSize", size=100)
SINCE = SinceHeader()
# Deleted ones stay, marked by their status.
MARKED = ["DELETED"]
listed = partial(Resource, page=PAGE, since=SINCE, unversioned=True)
# Suppliers number what they send as they like.
NUMBERED = Unique(field="number", among={"direction": "sale"})
KEY = "Idempotency-Key"
# Else a list with one wrong element is refused as a whole.
ALONE = {"summarizeErrors": "false"}
PRICES = {"unitdp": "4"}
SETTINGS = frozenset({"accounting.settings.read"})
WRITES_SETTINGS = frozenset({"accounting.settings"})
INVOICES = frozenset({"accounting.invoices.read"})
WRITES_INVOICES = frozenset({"accounting.invoices"})
BANK = frozenset({"accounting.banktransactions.read"})
WRITES_BANK = frozenset({"accounting.banktransactions"})

# They are told apart by their type; a change says it again.
INVOICE_TOLD = topics_of("INVOICE", "CREATE UPDATE")
sale = partial(Write, envelope="Invoices", sends={"Type": "ACCREC"}, needs=WRITES_INVOICES)
purchase = partial(Write, envelope="Invoices", sends={"Type": "ACCPAY"}, needs=WRITES_INVOICES)
spending = partial(Write, envelope="BankTransactions", sends={"Type": "SPEND"}, needs=WRITES_BANK)
REPEATED = ["BankAccount", "LineItems"]


def of(kind: str) -> dict[str, str]:
    """What narrows a list to a type."""
    return {"where": f'Type=="{kind}"'}


# The granular ones, which apps made since March 2026 have (their set is unsure).
SCOPES = {
    "offline_access": "staying connected when nobody is there",
    "accounting.settings.read": "accounts, tax rates, items and the organisation, to read",
    "accounting.settings": "accounts, tax rates and items, to read and write",
    "accounting.contacts.read": "contacts, to read",
    "accounting.contacts": "contacts, to read and write",
    "accounting.invoices.read": "invoices, bills and credit notes, to read",
    "accounting.invoices": "invoices, bills and credit notes, to read and write",
    "accounting.payments.read": "payments, to read",
    "accounting.payments": "payments, to read and write",
    "accounting.banktransactions.read": "bank transactions, to read",
    "accounting.banktransactions": "bank transactions, to read and write",
    "accounting.manualjournals.read": "manual journals, to read",
    "accounting.manualjournals": "manual journals, to read and write",
}
QUOTAS = [
    Quota(limit=60, per="minute", window="fixed", remaining="X-MinLimit-Remaining"),
    # 1,000 in the lowest tier (unsure)
    Quota(limit=5_000, per="day", window="fixed", remaining="X-DayLimit-Remaining"),
    Quota(limit=5),
    Quota(
        limit=10_000,
        per="minute",
        scope="app",
        name="appminute",
        window="fixed",
        remaining="X-AppMinLimit-Remaining",
    ),
]
# Archived, paid and voided ones come as UPDATE; payments are told of by their invoice or bill. No
# event says what happened, so none is of a kind.
HOOK = Webhook(
    signature=hmac_base64("x-xero-signature"),
    id="",  # an event has none; its content tells it apart
    topic="{eventCategory}.{eventType}",
    object_key="resourceId",
    events="events",
    account="tenantId",
    stamp="eventDateUtc",
    refused_status=401,
    handshake=SignedPing(),
)
REFUSALS = Errors(
    message="Message",
    details="Elements[].ValidationErrors[].Message",
    in_record="ValidationErrors[].Message",
    code="Detail",
    request_id="Xero-Correlation-Id",  # unsure
    quota="X-Rate-Limit-Problem",
    dead=["AuthenticationUnsuccessful"],  # the organisation was disconnected
)
# https://developer.xero.com/documentation/api-guides/rounding-in-xero; halves are not told of
ROUNDING = Rounding(per="line", decimals=2, prices=4, unsure=["half"])

NOTES = [
    (
        "Xero keeps an idempotency key for some minutes (unsure). A creation whose answer was lost"
        " is sent again with it within five; later it ends as `unknown`: look there for it."
    ),
    (
        "Prepayments, overpayments and batches are not read. A payment of one of them is parked if"
        " it names its currency elsewhere than an invoice's does (unsure)."
    ),
    "Amounts have two decimals in every currency, unit prices four. Totals are Xero's own.",
    "Nothing is entered in a period that is locked, also not where Xero lets advisers do it.",
]

accounts = Resource(
    name="Accounts",
    path="/Accounts",
    records="Accounts",
    key="AccountID",
    envelope="Accounts",
    unversioned=True,
    one="/Accounts/{id}",
    create=Write(path="/Accounts", method="PUT", needs=WRITES_SETTINGS),
    update=Write(path="/Accounts/{id}", envelope="Accounts", needs=WRITES_SETTINGS),
    idempotency=KEY,
    needs=SETTINGS,
    codes={"accounts": "code"},
    maps=mapping.account,
    blank=blank.ACCOUNT,
)

tax_rates = Resource(
    name="TaxRates",
    path="/TaxRates",
    records="TaxRates",
    key="TaxType",
    envelope="TaxRates",
    unversioned=True,
    one="/TaxRates/{id}",
    deleted="Status",
    deleted_words=MARKED,
    create=Write(path="/TaxRates", method="PUT", envelope="TaxRates", needs=WRITES_SETTINGS),
    update=Write(
        path="/TaxRates",
        envelope="TaxRates",
        key_at="TaxType",
        repeats=["Name"],
        needs=WRITES_SETTINGS,
    ),
    idempotency=KEY,
    needs=SETTINGS,
    codes={"tax_rates": "code"},
    maps=mapping.tax_rate,
    blank=blank.TAX_RATE,
)

contacts = listed(
    name="Contacts",
    path="/Contacts",
    records="Contacts",
    key="ContactID",
    envelope="Contacts",
    query={"order": "ContactID", "includeArchived": "true"},
    one="/Contacts/{id}",
    subject="ContactID",
    topics=topics_of("CONTACT", "CREATE UPDATE"),
    create=Write(
        path="/Contacts",
        method="PUT",
        envelope="Contacts",
        query=ALONE,
        needs=frozenset({"accounting.contacts"}),
    ),
    update=Write(
        path="/Contacts/{id}", envelope="Contacts", needs=frozenset({"accounting.contacts"})
    ),
    idempotency=KEY,
    needs=frozenset({"accounting.contacts.read"}),
    maps=mapping.contact,
    blank=blank.CONTACT,
)

# Stock moves without an UpdatedDateUTC (unsure), and one answer holds them all.
items = Resource(
    name="Items",
    path="/Items",
    records="Items",
    key="ItemID",
    envelope="Items",
    unversioned=True,
    query=PRICES,
    one="/Items/{id}",
    one_query=PRICES,
    create=Write(
        path="/Items",
        method="PUT",
        envelope="Items",
        query={**ALONE, **PRICES},
        needs=WRITES_SETTINGS,
    ),
    update=Write(
        path="/Items/{id}",
        envelope="Items",
        query=PRICES,
        repeats=["Code"],
        needs=WRITES_SETTINGS,
    ),
    idempotency=KEY,
    needs=SETTINGS,
    maps=mapping.item,
    blank=blank.ITEM,
)

# Xero keeps bills among the invoices: an event of the one may be about the other.
among_invoices = partial(
    listed,
    path="/Invoices",
    records="Invoices",
    key="InvoiceID",
    envelope="Invoices",
    one="/Invoices/{id}",
    one_query=PRICES,
    subject="Contact.ContactID",
    deleted="Status",
    deleted_words=MARKED,
    topics=INVOICE_TOLD,
    idempotency=KEY,
    needs=INVOICES,
)

invoices = among_invoices(
    name="Invoices",
    unique=NUMBERED,
    query={**of("ACCREC"), "order": "InvoiceID", "includeArchived": "true", **PRICES},
    only={"Type": ["ACCREC"]},
    create=sale(path="/Invoices", method="PUT", query={**ALONE, **PRICES}),
    update=sale(path="/Invoices/{id}", query=PRICES),
    maps=mapping.invoice,
    blank=blank.INVOICE,
)

bills = among_invoices(
    name="Bills",
    query={**of("ACCPAY"), "order": "InvoiceID", "includeArchived": "true", **PRICES},
    only={"Type": ["ACCPAY"]},
    create=purchase(path="/Invoices", method="PUT", query={**ALONE, **PRICES}),
    update=purchase(path="/Invoices/{id}", query=PRICES),
    maps=mapping.bill,
    blank=blank.BILL,
)

credit_notes = listed(
    name="CreditNotes",
    unique=NUMBERED,
    path="/CreditNotes",
    records="CreditNotes",
    key="CreditNoteID",
    envelope="CreditNotes",
    query={"order": "CreditNoteID", **PRICES},
    one="/CreditNotes/{id}",
    one_query=PRICES,
    subject="Contact.ContactID",
    deleted="Status",
    deleted_words=MARKED,
    topics=topics_of("CREDITNOTE", "CREATE UPDATE"),
    create=Write(
        path="/CreditNotes",
        method="PUT",
        envelope="CreditNotes",
        query={**ALONE, **PRICES},
        needs=WRITES_INVOICES,
    ),
    update=Write(
        path="/CreditNotes/{id}", envelope="CreditNotes", query=PRICES, needs=WRITES_INVOICES
    ),
    idempotency=KEY,
    needs=INVOICES,
    maps=mapping.credit_note,
    blank=blank.CREDIT_NOTE,
)

payments = listed(
    name="Payments",
    path="/Payments",
    records="Payments",
    key="PaymentID",
    envelope="Payments",
    query={"order": "PaymentID"},
    one="/Payments/{id}",
    subject="Invoice.Contact.ContactID",  # a bill's too
    deleted="Status",
    deleted_words=MARKED,
    create=Write(
        path="/Payments",
        method="PUT",
        envelope="Payments",
        query=ALONE,
        needs=frozenset({"accounting.payments"}),
    ),
    delete=Write(
        path="/Payments/{id}",
        sends={"Status": "DELETED"},
        needs=frozenset({"accounting.payments"}),
    ),
    idempotency=KEY,
    needs=frozenset({"accounting.payments.read"}),
    maps=mapping.payment,
    blank=blank.PAYMENT,
)

bank_transactions = listed(
    name="BankTransactions",
    path="/BankTransactions",
    records="BankTransactions",
    key="BankTransactionID",
    envelope="BankTransactions",
    query={"order": "BankTransactionID", **PRICES},
    one="/BankTransactions/{id}",
    one_query=PRICES,
    subject="Contact.ContactID",
    deleted="Status",
    deleted_words=MARKED,
    needs=BANK,
    maps=mapping.bank_transaction,
)

# What is spent at once, by itself: an expense. It is among the bank transactions too.
spend_money = listed(
    name="SpendMoney",
    path="/BankTransactions",
    records="BankTransactions",
    key="BankTransactionID",
    envelope="BankTransactions",
    query={**of("SPEND"), "order": "BankTransactionID", **PRICES},
    only={"Type": ["SPEND"]},
    one="/BankTransactions/{id}",
    one_query=PRICES,
    subject="Contact.ContactID",
    deleted="Status",
    deleted_words=MARKED,
    create=spending(path="/BankTransactions", method="PUT", query={**ALONE, **PRICES}),
    update=spending(path="/BankTransactions/{id}", query=PRICES, repeats=REPEATED),
    delete=Write(
        path="/BankTransactions/{id}",
        envelope="BankTransactions",
        sends={"Type": "SPEND", "Status": "DELETED"},
        repeats=REPEATED,
        needs=WRITES_BANK,
    ),
    idempotency=KEY,
    needs=BANK,
    maps=mapping.expense,
    blank=blank.EXPENSE,
)

manual_journals = listed(
    name="ManualJournals",
    path="/ManualJournals",
    records="ManualJournals",
    key="ManualJournalID",
    envelope="ManualJournals",
    query={"order": "ManualJournalID"},
    one="/ManualJournals/{id}",
    deleted="Status",
    deleted_words=MARKED,
    create=Write(
        path="/ManualJournals",
        method="PUT",
        envelope="ManualJournals",
        query=ALONE,
        needs=frozenset({"accounting.manualjournals"}),
    ),
    update=Write(
        path="/ManualJournals/{id}",
        envelope="ManualJournals",
        repeats=["Narration"],
        needs=frozenset({"accounting.manualjournals"}),
    ),
    idempotency=KEY,
    needs=frozenset({"accounting.manualjournals.read"}),
    maps=mapping.manual_journal,
    blank=blank.MANUAL_JOURNAL,
)

organisation = Resource(
    name="Organisation",
    path="/Organisation",
    records="Organisations",
    key="OrganisationID",
    needs=SETTINGS,
    maps=mapping.organisation,
)

xero = Provider(
    slug="xero",
    name="Xero",
    docs="https://developer.xero.com/documentation/api/accounting/overview",
    checked="2026-11-22",
    base="https://api.xero.com/api.xro/2.0",
    auth=OAuth2(
        authorize="https://login.xero.com/identity/connect/authorize",
        token="https://identity.xero.com/connect/token",  # noqa: S106 - an address
        revoke="https://identity.xero.com/connect/revocation",
        scopes=SCOPES,
        always=frozenset({"offline_access"}),
        access_lives=timedelta(minutes=30),
        refresh_lives=timedelta(days=60),
        refresh_idle=True,
        refresh_rotates=True,
        refresh_retry_window=timedelta(minutes=30),
    ),
    accounts=Accounts(
        base="https://api.xero.com",
        path="/connections",
        list="",
        id="tenantId",
        name="tenantName",
        kind="tenantType",
        kinds=["ORGANISATION"],
        header="Xero-Tenant-Id",
    ),
    quotas=QUOTAS,
    webhook=HOOK,
    errors=REFUSALS,
    rounding=ROUNDING,
    idempotency_kept=timedelta(minutes=5),
    notes=NOTES,
    resources=[
        accounts,
        tax_rates,
        contacts,
        items,
        invoices,
        bills,
        credit_notes,
        payments,
        bank_transactions,
        spend_money,
        manual_journals,
        organisation,
    ],
)
