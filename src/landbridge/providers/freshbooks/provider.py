"""FreshBooks's accounting API, by OAuth 2 with scopes for each kind of object.

Held against the field lists of its official SDKs and the text of its collection; FreshBooks has no
OpenAPI file. What only other people's pages say is marked unsure. There is no sandbox.

It knows neither idempotency keys nor versions. A creation carries its intent in a note (the `note`
of clients, vendors and payments, the `notes` of invoices, credit notes and expenses), an item's in
its `sku`; those of invoices and credit notes are seen by the customer, and no field is known that
is not and could be searched. Bills and taxes have none: where an answer is lost, nobody knows
whether one was made, and it is not sent again.
"""

from datetime import timedelta
from functools import partial

from landbridge.providers.freshbooks import blank, mapping
from landbridge.spec import (
    Accounts,
    CodeSentBack,
    Errors,
    Marked,
    Means,
    OAuth2,
    PageNumber,
    Provider,
    Quota,
    Resource,
    Rounding,
    SinceParam,
    Sweep,
    Unique,
    Webhook,
    Write,
    hmac_base64,
    topics_of,
)

RESULT = "response.result"
PAGE = PageNumber(count=f"{RESULT}.pages", size_param="per_page", size=100)
# By days of New York. Lists show what is active; deleted (1) and archived (2) are asked for. Which
# lists take it beside clients, invoices and expenses is unsure: the others are listed if refused.
CHANGED = SinceParam(
    param="search[updated_min]",
    form="day",
    overlap=timedelta(days=1),
    also=[{"search[vis_state]": "1"}, {"search[vis_state]": "2"}],
    unsure=True,
)
LINES = {"include[]": "lines"}
listed = partial(
    Resource,
    page=PAGE,
    since=CHANGED,
    key="id",
    deleted="vis_state",
    deleted_words=["1"],
    unversioned=True,
)
few = partial(Resource, page=PAGE, unversioned=True)
VERBS = "create update delete"
# How late a list shows what is new, nobody says (unsure).
FOUND = Marked(query={"search[updated_min]": "{day}"}, within=timedelta(minutes=5))

# The words for what is asked.
SCOPES = {
    "user:profile:read": "whose businesses these are",
    "user:clients:read": "clients, to read",
    "user:clients:write": "clients, to write",
    "user:invoices:read": "invoices, to read",
    "user:invoices:write": "invoices, to write",
    "user:payments:read": "payments, to read",
    "user:payments:write": "payments, to write",
    "user:expenses:read": "expenses and their categories, to read",
    "user:expenses:write": "expenses, to write",
    "user:taxes:read": "taxes, to read",
    "user:taxes:write": "taxes, to write",
    "user:billable_items:read": "items, to read",
    "user:billable_items:write": "items, to write",
    "user:credit_notes:read": "credit notes, to read",
    "user:credit_notes:write": "credit notes, to write",
    "user:bills:read": "bills, to read",
    "user:bills:write": "bills, to write",
    "user:bill_vendors:read": "vendors, to read",
    "user:bill_vendors:write": "vendors, to write",
    "user:bill_payments:read": "payments of bills, to read",
    "user:bill_payments:write": "payments of bills, to write",
    "user:journal_entries:read": "the chart of accounts and journal entries, to read",
}


# A part of a record is enough, and a deletion only marks it.
create = partial(Write, listed=False)
update = partial(Write, method="PUT", listed=False, partial=True)
delete = partial(Write, method="PUT", listed=False, sends={"vis_state": 1})
OWNERS = {"staffid": 1}  # an expense is somebody's; that is the owner (unsure)
GOODWILL = {"credit_type": "goodwill"}
OTHERWISE = {"payment_type": "Other"}


def writes(kind: str) -> frozenset[str]:
    """The scope that writing these takes."""
    return frozenset({f"user:{kind}:write"})


CLIENTS, INVOICES, PAYMENTS = writes("clients"), writes("invoices"), writes("payments")
EXPENSES, ITEMS, TAXES = writes("expenses"), writes("billable_items"), writes("taxes")
CREDITS, BILLS = writes("credit_notes"), writes("bills")
VENDORS, BILL_PAYMENTS = writes("bill_vendors"), writes("bill_payments")

# The numbers are not published; the headers tell (unsure).
QUOTA = Quota(
    limit=300, per="minute", remaining="X-RateLimit-Remaining", resets="X-RateLimit-Reset"
)
# Where taxes and halves are rounded, and how many decimals other currencies have, nobody says.
ROUNDING = Rounding(per="line", decimals=2, unsure=["per", "half", "decimals"])
NOTES = [
    (
        "A new bill or tax has no field for its intent: where an answer is lost, the intent ends as"
        " `unknown` and is not sent again. Look there, and push it anew if it is missing."
    ),
    "The intent of an invoice or a credit note is in `notes`, which the customer sees.",
    (
        "Amounts are read without their tax, those of expenses with it. Lines take no discount and"
        " one tax; what is sold has no ledger account."
    ),
    (
        "Journal entries are read as they come and not written. They and the chart of accounts need"
        " a plan with advanced accounting (unsure); bills and expenses name categories."
    ),
    "A new consent of the same person ends the tokens of the one before (unsure).",
]
HOOK = Webhook(
    signature=hmac_base64("X-FreshBooks-Hmac-SHA256", signs="{form}"),
    form=True,
    id="",  # an event has none, and two of one record are equal: it is read again each time
    topic="name",
    object_key="object_id",
    account="account_id",
    handshake=CodeSentBack(
        path="/events/account/{account}/events/callbacks",
        records=f"{RESULT}.callbacks",
        query={"per_page": "100"},
        envelope="callback",
        object_key="object_id",
    ),
    # It is entered when the money is there. Nothing says that an invoice is paid.
    kinds=[Means(kind="payment.succeeded", topics=["payment.create"])],
)

client = listed(
    name="client",
    path="/users/clients",
    records=f"{RESULT}.clients",
    envelope=f"{RESULT}.client",
    one="/users/clients/{id}",
    subject="id",
    topics=topics_of("client", VERBS),
    sweep=Sweep(calls=48),
    create=create(path="/users/clients", envelope="client", needs=CLIENTS),
    update=update(path="/users/clients/{id}", envelope="client", needs=CLIENTS),
    delete=delete(path="/users/clients/{id}", envelope="client", needs=CLIENTS),
    marker="note",
    marked=FOUND,
    needs=frozenset({"user:clients:read"}),
    maps=mapping.client,
    blank=blank.CLIENT,
)

invoice = listed(
    name="invoice",
    path="/invoices/invoices",
    records=f"{RESULT}.invoices",
    envelope=f"{RESULT}.invoice",
    one="/invoices/invoices/{id}",
    one_query=LINES,
    query=LINES,
    subject="customerid",
    unique=Unique(field="number"),
    topics=topics_of("invoice", f"{VERBS} sendByEmail"),
    sweep=Sweep(calls=48),
    create=create(path="/invoices/invoices", envelope="invoice", needs=INVOICES),
    update=update(path="/invoices/invoices/{id}", envelope="invoice", needs=INVOICES),
    delete=delete(path="/invoices/invoices/{id}", envelope="invoice", needs=INVOICES),
    marker="notes",
    marked=FOUND,
    needs=frozenset({"user:invoices:read"}),
    maps=mapping.invoice,
    blank=blank.INVOICE,
)

payment = listed(
    name="payment",
    path="/payments/payments",
    records=f"{RESULT}.payments",
    envelope=f"{RESULT}.payment",
    one="/payments/payments/{id}",
    subject="clientid",
    topics=topics_of("payment", VERBS),
    sweep=Sweep(calls=48),
    create=create(path="/payments/payments", envelope="payment", needs=PAYMENTS),
    update=update(path="/payments/payments/{id}", envelope="payment", needs=PAYMENTS),
    delete=delete(path="/payments/payments/{id}", envelope="payment", needs=PAYMENTS),
    marker="note",
    marked=FOUND,
    needs=frozenset({"user:payments:read"}),
    maps=mapping.payment,
    blank=blank.PAYMENT,
)

expense = listed(
    name="expense",
    path="/expenses/expenses",
    records=f"{RESULT}.expenses",
    envelope=f"{RESULT}.expense",
    one="/expenses/expenses/{id}",
    subject="clientid",
    topics=topics_of("expense", VERBS),
    sweep=Sweep(calls=48),
    create=create(path="/expenses/expenses", envelope="expense", sends=OWNERS, needs=EXPENSES),
    update=update(path="/expenses/expenses/{id}", envelope="expense", needs=EXPENSES),
    delete=delete(path="/expenses/expenses/{id}", envelope="expense", needs=EXPENSES),
    marker="notes",
    marked=FOUND,
    needs=frozenset({"user:expenses:read"}),
    maps=mapping.expense,
    blank=blank.EXPENSE,
)

item = listed(
    name="item",
    path="/items/items",
    records=f"{RESULT}.items",
    envelope=f"{RESULT}.item",
    one="/items/items/{id}",
    topics=topics_of("item", VERBS),
    sweep=Sweep(calls=24),
    create=create(path="/items/items", envelope="item", needs=ITEMS),
    update=update(path="/items/items/{id}", envelope="item", needs=ITEMS),
    delete=delete(path="/items/items/{id}", envelope="item", needs=ITEMS),
    marker="sku",
    marked=FOUND,
    needs=frozenset({"user:billable_items:read"}),
    maps=mapping.item,
    blank=blank.ITEM,
)

tax = few(
    name="tax",
    path="/taxes/taxes",
    records=f"{RESULT}.taxes",
    key="id",
    envelope=f"{RESULT}.tax",
    one="/taxes/taxes/{id}",
    topics=topics_of("tax", VERBS),
    create=create(path="/taxes/taxes", envelope="tax", needs=TAXES),
    update=update(path="/taxes/taxes/{id}", envelope="tax", needs=TAXES),
    delete=Write(path="/taxes/taxes/{id}", method="DELETE", needs=TAXES),
    needs=frozenset({"user:taxes:read"}),
    codes={"tax_rates": "code"},
    maps=mapping.tax,
    blank=blank.TAX,
)

# The SDK has the word for many around a single one, others have that for one (unsure): both are
# read, the SDK's is sent.
credit_note = listed(
    name="credit_note",
    path="/credit_notes/credit_notes",
    records=f"{RESULT}.credit_notes",
    envelope=f"{RESULT}.credit_notes",
    or_envelope=f"{RESULT}.credit_note",
    one="/credit_notes/credit_notes/{id}",
    one_query=LINES,
    query=LINES,
    topics=topics_of("credit_note", VERBS),
    sweep=Sweep(calls=24),
    subject="clientid",
    create=create(
        path="/credit_notes/credit_notes", envelope="credit_notes", sends=GOODWILL, needs=CREDITS
    ),
    update=update(path="/credit_notes/credit_notes/{id}", envelope="credit_notes", needs=CREDITS),
    delete=delete(path="/credit_notes/credit_notes/{id}", envelope="credit_notes", needs=CREDITS),
    marker="notes",
    marked=FOUND,
    needs=frozenset({"user:credit_notes:read"}),
    maps=mapping.credit_note,
    blank=blank.CREDIT_NOTE,
)

# What was entered is not changed (unsure whether it could be); it is deleted and entered anew.
bill = listed(
    name="bill",
    path="/bills/bills",
    records=f"{RESULT}.bills",
    envelope=f"{RESULT}.bill",
    one="/bills/bills/{id}",
    one_query=LINES,
    query=LINES,
    topics=topics_of("bill", VERBS),
    sweep=Sweep(calls=24),
    create=create(path="/bills/bills", envelope="bill", makes={"status": "open"}, needs=BILLS),
    delete=delete(path="/bills/bills/{id}", envelope="bill", needs=BILLS),
    needs=frozenset({"user:bills:read"}),
    maps=mapping.bill,
    blank=blank.BILL,
)

bill_vendor = listed(
    name="bill_vendor",
    path="/bill_vendors/bill_vendors",
    records=f"{RESULT}.bill_vendors",
    key="vendorid",
    envelope=f"{RESULT}.bill_vendor",
    one="/bill_vendors/bill_vendors/{id}",
    subject="vendorid",
    topics=topics_of("bill_vendor", VERBS),
    sweep=Sweep(calls=24),
    create=create(path="/bill_vendors/bill_vendors", envelope="bill_vendor", needs=VENDORS),
    update=update(path="/bill_vendors/bill_vendors/{id}", envelope="bill_vendor", needs=VENDORS),
    delete=delete(path="/bill_vendors/bill_vendors/{id}", envelope="bill_vendor", needs=VENDORS),
    marker="note",
    marked=FOUND,
    needs=frozenset({"user:bill_vendors:read"}),
    maps=mapping.vendor,
    blank=blank.BILL_VENDOR,
)

bill_payment = listed(
    name="bill_payment",
    path="/bill_payments/bill_payments",
    records=f"{RESULT}.bill_payments",
    envelope=f"{RESULT}.bill_payment",
    one="/bill_payments/bill_payments/{id}",
    topics=topics_of("bill_payment", VERBS),
    sweep=Sweep(calls=24),
    create=create(
        path="/bill_payments/bill_payments",
        envelope="bill_payment",
        sends=OTHERWISE,
        needs=BILL_PAYMENTS,
    ),
    update=update(
        path="/bill_payments/bill_payments/{id}", envelope="bill_payment", needs=BILL_PAYMENTS
    ),
    delete=delete(
        path="/bill_payments/bill_payments/{id}", envelope="bill_payment", needs=BILL_PAYMENTS
    ),
    marker="note",
    marked=FOUND,
    needs=frozenset({"user:bill_payments:read"}),
    maps=mapping.bill_payment,
    blank=blank.BILL_PAYMENT,
)

category = few(
    name="category",
    path="/expenses/categories",
    records=f"{RESULT}.categories",
    key="categoryid",
    envelope=f"{RESULT}.category",
    one="/expenses/categories/{id}",
    topics=topics_of("category", VERBS),
    needs=frozenset({"user:expenses:read"}),
    codes={"accounts": "code"},
    maps=mapping.category,
)

# Both need a plan with advanced accounting (unsure). An entry comes as its lines, kept raw.
journal_entry_account = few(
    name="journal_entry_account",
    path="/journal_entry_accounts/journal_entry_accounts",
    records=f"{RESULT}.journal_entry_accounts",
    key="accountid",
    needs=frozenset({"user:journal_entries:read"}),
    maps=mapping.account,
)
journal_entry_detail = few(
    name="journal_entry_detail",
    path="/journal_entries/journal_entry_details",
    records=f"{RESULT}.journal_entry_details",
    key="detailid",
    needs=frozenset({"user:journal_entries:read"}),
)

freshbooks = Provider(
    slug="freshbooks",
    name="FreshBooks",
    docs="https://www.freshbooks.com/api/start",
    checked="2026-11-27",
    base="https://api.freshbooks.com/accounting/account/{account}",
    auth=OAuth2(
        authorize="https://auth.freshbooks.com/oauth/authorize",
        token="https://api.freshbooks.com/auth/oauth/token",  # noqa: S106 - an address
        revoke="https://api.freshbooks.com/auth/oauth/revoke",  # unsure
        scopes=SCOPES,
        always=frozenset({"user:profile:read"}),
        client="post",
        access_lives=timedelta(hours=12),
        refresh_rotates=True,  # a new consent of the same person ends the token before it (unsure)
    ),
    accounts=Accounts(
        base="https://api.freshbooks.com",
        path="/auth/api/v1/users/me",
        list="response.business_memberships",
        id="business.account_id",
        name="business.name",
    ),
    quotas=[QUOTA],
    webhook=HOOK,
    errors=Errors(
        message="message",
        details="response.errors[].message",
        code="response.errors[].errno",
        field="response.errors[].field",
        throttled=["429"],
    ),
    rounding=ROUNDING,
    notes=NOTES,
    resources=[
        client,
        invoice,
        payment,
        expense,
        item,
        tax,
        credit_note,
        bill,
        bill_vendor,
        bill_payment,
        category,
        journal_entry_account,
        journal_entry_detail,
    ],
)
