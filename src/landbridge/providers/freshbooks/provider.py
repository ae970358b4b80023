"""FreshBooks's accounting API, by OAuth 2 with scopes for each kind of object.

Held against the field lists of its official SDKs and the text of its collection; FreshBooks has no
OpenAPI file. What only other people's pages say is marked unsure. There is no sandbox.

It knows neither idempotency keys nor versions. A creation carries its intent in a note, which the
customer may see: the client's `note`, the invoice's `notes`, the payment's `note`.
"""

from datetime import timedelta
from functools import partial

from landbridge.providers.freshbooks import mapping
from landbridge.spec import (
    Accounts,
    CodeSentBack,
    Errors,
    Marked,
    OAuth2,
    PageNumber,
    Provider,
    Quota,
    Resource,
    SinceParam,
    Sweep,
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
    Resource, page=PAGE, since=CHANGED, key="id", deleted="vis_state", deleted_words=["1"]
)
few = partial(Resource, page=PAGE)
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
    "user:taxes:read": "taxes, to read",
    "user:billable_items:read": "items, to read",
    "user:credit_notes:read": "credit notes, to read",
    "user:bills:read": "bills, to read",
    "user:bill_vendors:read": "vendors, to read",
    "user:bill_payments:read": "payments of bills, to read",
    "user:journal_entries:read": "the chart of accounts and journal entries, to read",
}


# A part of a record is enough, and a deletion only marks it.
create = partial(Write, listed=False)
update = partial(Write, method="PUT", listed=False, partial=True)
delete = partial(Write, method="PUT", listed=False, sends={"vis_state": 1})
CLIENTS = frozenset({"user:clients:write"})
INVOICES = frozenset({"user:invoices:write"})
PAYMENTS = frozenset({"user:payments:write"})

# The numbers are not published; the headers tell (unsure).
QUOTA = Quota(
    limit=300, per="minute", remaining="X-RateLimit-Remaining", resets="X-RateLimit-Reset"
)
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
    topics=topics_of("invoice", f"{VERBS} sendByEmail"),
    sweep=Sweep(calls=48),
    create=create(path="/invoices/invoices", envelope="invoice", needs=INVOICES),
    update=update(path="/invoices/invoices/{id}", envelope="invoice", needs=INVOICES),
    delete=delete(path="/invoices/invoices/{id}", envelope="invoice", needs=INVOICES),
    marker="notes",
    marked=FOUND,
    needs=frozenset({"user:invoices:read"}),
    maps=mapping.invoice,
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
    needs=frozenset({"user:expenses:read"}),
    maps=mapping.expense,
)

item = listed(
    name="item",
    path="/items/items",
    records=f"{RESULT}.items",
    envelope=f"{RESULT}.item",
    one="/items/items/{id}",
    topics=topics_of("item", VERBS),
    sweep=Sweep(calls=24),
    needs=frozenset({"user:billable_items:read"}),
    maps=mapping.item,
)

tax = few(
    name="tax",
    path="/taxes/taxes",
    records=f"{RESULT}.taxes",
    key="id",
    envelope=f"{RESULT}.tax",
    one="/taxes/taxes/{id}",
    topics=topics_of("tax", VERBS),
    needs=frozenset({"user:taxes:read"}),
    codes={"tax_rates": "code"},
    maps=mapping.tax,
)

# The name around a single one is unsure, so none is read by itself.
credit_note = listed(
    name="credit_note",
    path="/credit_notes/credit_notes",
    records=f"{RESULT}.credit_notes",
    query=LINES,
    subject="clientid",
    needs=frozenset({"user:credit_notes:read"}),
    maps=mapping.credit_note,
)

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
    needs=frozenset({"user:bills:read"}),
    maps=mapping.bill,
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
    needs=frozenset({"user:bill_vendors:read"}),
    maps=mapping.vendor,
)

bill_payment = listed(
    name="bill_payment",
    path="/bill_payments/bill_payments",
    records=f"{RESULT}.bill_payments",
    envelope=f"{RESULT}.bill_payment",
    one="/bill_payments/bill_payments/{id}",
    topics=topics_of("bill_payment", VERBS),
    sweep=Sweep(calls=24),
    needs=frozenset({"user:bill_payments:read"}),
    maps=mapping.bill_payment,
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
