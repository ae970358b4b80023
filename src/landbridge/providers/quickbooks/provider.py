"""QuickBooks Online's accounting API v3, of minor version 75, by OAuth 2.

Held against Intuit's XML schema of the API (July 2026) and its PHP SDK. What neither says is marked
unsure. A list is asked for in the order of its ids; whether these are sorted as numbers or as text
makes no difference to how it is read.
"""

from datetime import timedelta
from functools import partial

from landbridge.providers.quickbooks import blank, mapping
from landbridge.spec import (
    Accounts,
    Body,
    ChangedSince,
    Errors,
    Means,
    OAuth2,
    OnePage,
    Provider,
    Quota,
    Resource,
    Rounding,
    Statement,
    Step,
    Unique,
    Webhook,
    Write,
    hmac_base64,
)

SCOPE = "com.intuit.quickbooks.accounting"
NEEDS = frozenset({SCOPE})
# A list shows inactive entries only to whom asks for them (unsure: asking does no harm).
ALL = " WHERE Active IN (true, false)"
PAGED = " STARTPOSITION {start} MAXRESULTS {size}"


def paged(name: str, condition: str = "") -> Statement:
    """All entities of this name, page by page."""
    return Statement(param="query", text=f"SELECT * FROM {name}{condition} ORDERBY Id{PAGED}")


def changes(name: str) -> ChangedSince:
    """What changed of them, with what was deleted."""
    return ChangedSince(
        path="/cdc",
        query={"entities": name},
        param="changedSince",
        records=f"CDCResponse[].QueryResponse[].{name}",
        reach=timedelta(days=30),
    )


def told(name: str) -> list[str]:
    """What webhooks call whatever happens to an entity: as CloudEvents, and in the older form."""
    return [f"qbo.{name.lower()}.*.v1", f"{name}.*"]


def gone(name: str) -> list[str]:
    """What they call its deletion."""
    return [f"qbo.{name.lower()}.deleted.v1", f"{name}.Delete"]


entity = partial(
    Resource,
    path="/query",
    key="Id",
    version="SyncToken",
    deleted="status",
    deleted_words=["Deleted"],
    idempotency="requestid",
    idempotency_in="query",
    needs=NEEDS,
)
# Nested objects may be replaced whole by what is sent, as lists are (unsure), so all of them is.
change = partial(
    Write, key_at="Id", version_at="SyncToken", sends={"sparse": True}, partial=True, needs=NEEDS
)
removal = partial(
    Write, key_at="Id", version_at="SyncToken", query={"operation": "delete"}, needs=NEEDS
)
# There are no drafts: what is entered counts at once.
OPEN = {"status": "open"}
voided = Step(
    field="status",
    to="void",
    write=Write(
        path="/invoice",
        query={"operation": "void"},
        key_at="Id",
        version_at="SyncToken",
        needs=NEEDS,
    ),
)
QUOTAS = [Quota(limit=500, per="minute"), Quota(limit=10)]  # a realm and app
ERRORS = Errors(
    message="Fault.Error[].Message",
    details="Fault.Error[].Detail",
    code="Fault.Error[].code",
    field="Fault.Error[].element",
    in_ok="Fault",
    request_id="intuit_tid",
    throttled=["003001", "3001"],
    stale=["5010"],
    missing=["610"],
    missing_status=400,
)
# Nothing of Intuit's says where taxes and halves are rounded; its answers have tax by the rate.
ROUNDING = Rounding(per="document", decimals=2, unsure=["per", "half", "split"])
# A setting of the company decides whether a number may be there twice (unsure).
NUMBERED = Unique(field="number", unsure=True)
NOTES = [
    "There are no drafts: what is entered counts at once.",
    "A line of a sale names an article, which has the ledger account; lines take no discount.",
    "Documents without `CurrencyRef` are parked: companies of one currency may have such (unsure).",
    "A voided document is known by its note, which begins with Voided, and amounts of 0 (unsure).",
    "A payment of several documents names none in our words; its raw record has them all.",
    "Taxes in the United States may be reckoned by QuickBooks alone: a preview says so.",
]
HOOK = Webhook(
    signature=hmac_base64("intuit-signature"),
    id="id",
    topic="type",
    object_key="intuitentityid",
    account="intuitaccountid",
    stamp="time",
    # Until July 2026 the only form; it may still come (unsure).
    others=[
        Body(
            events="eventNotifications[].dataChangeEvent.entities[]",
            topic="{name}.{operation}",
            object_key="id",
            account="realmId",
            stamp="lastUpdated",
        )
    ],
    refused_status=401,
    # It is entered when the money is there. Nothing says that an invoice is paid.
    kinds=[Means(kind="payment.succeeded", topics=["qbo.payment.created.v1", "Payment.Create"])],
)

customer = entity(
    name="Customer",
    records="QueryResponse.Customer",
    envelope="Customer",
    page=paged("Customer", ALL),
    since=changes("Customer"),
    one="/customer/{id}",
    subject="Id",
    topics=told("Customer"),
    create=Write(path="/customer", needs=NEEDS),
    update=change(path="/customer"),
    maps=mapping.customer,
    blank=blank.CUSTOMER,
)
account = entity(
    name="Account",
    records="QueryResponse.Account",
    envelope="Account",
    page=paged("Account", ALL),
    since=changes("Account"),
    one="/account/{id}",
    topics=told("Account"),
    codes={"accounts": "id"},
    create=Write(path="/account", needs=NEEDS),
    update=change(path="/account"),
    maps=mapping.account,
    blank=blank.ACCOUNT,
)
item = entity(
    name="Item",
    records="QueryResponse.Item",
    envelope="Item",
    page=paged("Item", ALL),
    since=changes("Item"),
    one="/item/{id}",
    topics=told("Item"),
    # Other types need accounts that the model does not name.
    create=Write(path="/item", sends={"Type": "Service"}, needs=NEEDS),
    update=change(path="/item"),
    maps=mapping.item,
    blank=blank.ITEM,
)
# Neither changes nor webhooks tell of tax codes and rates; one answer holds them all.
tax_code = Resource(
    name="TaxCode",
    path="/query",
    query={"query": f"SELECT * FROM TaxCode{ALL} MAXRESULTS 1000"},
    records="QueryResponse.TaxCode",
    key="Id",
    envelope="TaxCode",
    page=OnePage(),
    one="/taxcode/{id}",
    codes={"tax_rates": "id"},
    needs=NEEDS,
    maps=mapping.tax_code,
)
tax_rate = Resource(
    name="TaxRate",
    path="/query",
    query={"query": f"SELECT * FROM TaxRate{ALL} MAXRESULTS 1000"},
    records="QueryResponse.TaxRate",
    key="Id",
    envelope="TaxRate",
    page=OnePage(),
    one="/taxrate/{id}",
    needs=NEEDS,
    maps=mapping.tax_rate,
)
# The company's settings: its own currency, and through which day its books are closed.
preferences = Resource(
    name="Preferences",
    path="/query",
    query={"query": "SELECT * FROM Preferences"},
    records="QueryResponse.Preferences",
    key="Id",
    envelope="Preferences",
    page=OnePage(),
    needs=NEEDS,
    maps=mapping.preferences,
)
invoice = entity(
    name="Invoice",
    records="QueryResponse.Invoice",
    envelope="Invoice",
    page=paged("Invoice"),
    since=changes("Invoice"),
    one="/invoice/{id}",
    subject="CustomerRef.value",
    topics=told("Invoice"),
    deletes=gone("Invoice"),
    create=Write(path="/invoice", makes=OPEN, needs=NEEDS),
    update=change(path="/invoice"),
    delete=removal(path="/invoice"),
    steps=[voided],
    unique=NUMBERED,
    maps=mapping.invoice,
    blank=blank.INVOICE,
)
payment = entity(
    name="Payment",
    records="QueryResponse.Payment",
    envelope="Payment",
    page=paged("Payment"),
    since=changes("Payment"),
    one="/payment/{id}",
    subject="CustomerRef.value",
    topics=told("Payment"),
    deletes=gone("Payment"),
    create=Write(path="/payment", needs=NEEDS),
    delete=removal(path="/payment"),
    maps=mapping.payment,
    blank=blank.PAYMENT,
)
vendor = entity(
    name="Vendor",
    records="QueryResponse.Vendor",
    envelope="Vendor",
    page=paged("Vendor", ALL),
    since=changes("Vendor"),
    one="/vendor/{id}",
    subject="Id",
    topics=told("Vendor"),
    create=Write(path="/vendor", needs=NEEDS),
    update=change(path="/vendor"),
    maps=mapping.vendor,
    blank=blank.VENDOR,
)
credit_memo = entity(
    name="CreditMemo",
    records="QueryResponse.CreditMemo",
    envelope="CreditMemo",
    page=paged("CreditMemo"),
    since=changes("CreditMemo"),
    one="/creditmemo/{id}",
    subject="CustomerRef.value",
    topics=told("CreditMemo"),
    deletes=gone("CreditMemo"),
    create=Write(path="/creditmemo", makes=OPEN, needs=NEEDS),
    update=change(path="/creditmemo"),
    delete=removal(path="/creditmemo"),
    unique=NUMBERED,
    maps=mapping.credit_memo,
    blank=blank.CREDIT_MEMO,
)
bill = entity(
    name="Bill",
    records="QueryResponse.Bill",
    envelope="Bill",
    page=paged("Bill"),
    since=changes("Bill"),
    one="/bill/{id}",
    subject="VendorRef.value",
    topics=told("Bill"),
    deletes=gone("Bill"),
    create=Write(path="/bill", makes=OPEN, needs=NEEDS),
    update=change(path="/bill"),
    delete=removal(path="/bill"),
    maps=mapping.bill,
    blank=blank.BILL,
)
vendor_credit = entity(
    name="VendorCredit",
    records="QueryResponse.VendorCredit",
    envelope="VendorCredit",
    page=paged("VendorCredit"),
    since=changes("VendorCredit"),
    one="/vendorcredit/{id}",
    subject="VendorRef.value",
    topics=told("VendorCredit"),
    deletes=gone("VendorCredit"),
    create=Write(path="/vendorcredit", makes=OPEN, needs=NEEDS),
    update=change(path="/vendorcredit"),
    delete=removal(path="/vendorcredit"),
    maps=mapping.vendor_credit,
    blank=blank.VENDOR_CREDIT,
)
bill_payment = entity(
    name="BillPayment",
    records="QueryResponse.BillPayment",
    envelope="BillPayment",
    page=paged("BillPayment"),
    since=changes("BillPayment"),
    one="/billpayment/{id}",
    subject="VendorRef.value",
    topics=told("BillPayment"),
    deletes=gone("BillPayment"),
    # From a bank account; the model does not say what else it was paid with.
    create=Write(path="/billpayment", sends={"PayType": "Check"}, needs=NEEDS),
    delete=removal(path="/billpayment"),
    maps=mapping.bill_payment,
    blank=blank.BILL_PAYMENT,
)
purchase = entity(
    name="Purchase",
    records="QueryResponse.Purchase",
    envelope="Purchase",
    page=paged("Purchase"),
    since=changes("Purchase"),
    one="/purchase/{id}",
    subject="EntityRef.value",
    topics=told("Purchase"),
    deletes=gone("Purchase"),
    # Where nobody says what was paid with: that of a bank account, not of a credit card.
    create=Write(path="/purchase", sends={"PaymentType": "Cash"}, needs=NEEDS),
    update=change(path="/purchase", repeats=["PaymentType"]),
    delete=removal(path="/purchase"),
    maps=mapping.purchase,
    blank=blank.PURCHASE,
)
journal_entry = entity(
    name="JournalEntry",
    records="QueryResponse.JournalEntry",
    envelope="JournalEntry",
    page=paged("JournalEntry"),
    since=changes("JournalEntry"),
    one="/journalentry/{id}",
    topics=told("JournalEntry"),
    deletes=gone("JournalEntry"),
    create=Write(path="/journalentry", needs=NEEDS),
    update=change(path="/journalentry"),
    delete=removal(path="/journalentry"),
    maps=mapping.journal_entry,
    blank=blank.JOURNAL_ENTRY,
)

quickbooks = Provider(
    slug="quickbooks",
    name="QuickBooks Online",
    docs="https://developer.intuit.com/app/developer/qbo/docs/api/accounting/all-entities",
    checked="2026-11-27",
    base="https://quickbooks.api.intuit.com/v3/company/{account}",
    sandbox={"base": "https://sandbox-quickbooks.api.intuit.com/v3/company/{account}"},
    auth=OAuth2(
        authorize="https://appcenter.intuit.com/connect/oauth2",
        token="https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",  # noqa: S106
        revoke="https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
        revoke_body="json",
        scopes={SCOPE: "the company's books, to read and write"},
        always=NEEDS,
        pkce=False,
        pkce_why="Intuit's own clients send none, and its discovery document names none (unsure)",
        access_lives=timedelta(hours=1),
        refresh_lives=timedelta(days=100),  # and five years at most
        refresh_idle=True,
        refresh_rotates=True,  # its value changes about once a day (unsure)
        # If it did not change, it is taken again; if it did, it is refused: nothing is lost by it.
        refresh_retry_window=timedelta(hours=1),
        account_param="realmId",
    ),
    accounts=Accounts(
        path="/companyinfo/{account}", id="CompanyInfo.Id", name="CompanyInfo.CompanyName"
    ),
    quotas=QUOTAS,
    webhook=HOOK,
    errors=ERRORS,
    rounding=ROUNDING,
    notes=NOTES,
    resources=[
        customer,
        account,
        item,
        tax_code,
        tax_rate,
        preferences,
        invoice,
        payment,
        vendor,
        credit_memo,
        bill,
        vendor_credit,
        bill_payment,
        purchase,
        journal_entry,
    ],
)
