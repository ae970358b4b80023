"""PayPal's REST APIs, with the client id and secret of the merchant's own app.

Held against PayPal's OpenAPI files of February 2024. What they do not say is marked unsure. Orders,
captures, refunds and subscriptions have no list: they are read by id when a webhook names them.
"""

from datetime import timedelta
from functools import partial

from landbridge.providers.paypal import checkout, mapping
from landbridge.spec import (
    Accounts,
    CertifiedRsa,
    ClientCredentials,
    Errors,
    Field,
    InRanges,
    Marked,
    Means,
    NextCursor,
    PageNumber,
    Provider,
    Resource,
    SinceParam,
    Step,
    Webhook,
    Write,
    topics_of,
)

SANDBOX = "https://api-m.sandbox.paypal.com"
FIELDS = [
    Field(name="client_id", label="Client ID", hint="of a REST API app, from Apps & Credentials"),
    Field(name="client_secret", label="Secret", secret=True, hint="of the same app and mode"),
]
numbered = partial(PageNumber, count="total_pages", size_param="page_size")
COUNTED = {"total_required": "true"}
# Kept for 45 days by payments, 72 hours by the catalogue; invoicing knows none.
KEY = "PayPal-Request-Id"
CERTIFICATES = [
    "api.paypal.com",
    "api.sandbox.paypal.com",
    "api-m.paypal.com",
    "api-m.sandbox.paypal.com",
]
SIGNATURE = CertifiedRsa(
    header="PAYPAL-TRANSMISSION-SIG",
    signs="{id}|{timestamp}|{secret}|{crc32}",
    id="PAYPAL-TRANSMISSION-ID",
    timestamp="PAYPAL-TRANSMISSION-TIME",
    tolerance=timedelta(days=3),  # so long it is tried again (unsure)
    certificate="PAYPAL-CERT-URL",
    hosts=CERTIFICATES,
    path="/v1/notifications/certs/",
    subject=".paypal.com",
    when={"PAYPAL-AUTH-ALGO": "SHA256withRSA"},
)
IN_FULL = ["PAID", "MARKED_AS_PAID"]
KINDS = [
    # The event also tells of a part that was paid, and of money that is still on its way.
    *(
        Means(kind="invoice.paid", topics=["INVOICING.INVOICE.PAID"], when={path: IN_FULL})
        for path in ("resource.invoice.status", "resource.status")
    ),
    # A renewal has no invoice at PayPal: it is a payment, and here the bill of its subscription.
    Means(
        kind="invoice.paid",
        topics=["PAYMENT.SALE.COMPLETED"],
        about="resource.billing_agreement_id",
        of="subscription",
    ),
    # No event tells of an invoice that could not be collected; of a renewal this one does.
    Means(kind="invoice.payment_failed", topics=["BILLING.SUBSCRIPTION.PAYMENT.FAILED"]),
    Means(kind="payment.succeeded", topics=["PAYMENT.CAPTURE.COMPLETED", "PAYMENT.SALE.COMPLETED"]),
    Means(
        kind="payment.failed",
        topics=[*topics_of("PAYMENT.CAPTURE", "DENIED DECLINED"), "PAYMENT.SALE.DENIED"],
    ),
    Means(
        kind="payment.refunded",
        topics=[
            *topics_of("PAYMENT.CAPTURE", "REFUNDED REVERSED"),
            *topics_of("PAYMENT.SALE", "REFUNDED REVERSED"),
        ],
    ),
    Means(kind="subscription.created", topics=["BILLING.SUBSCRIPTION.CREATED"]),
    Means(
        kind="subscription.updated",
        topics=topics_of("BILLING.SUBSCRIPTION", "ACTIVATED UPDATED RE-ACTIVATED SUSPENDED"),
    ),
    Means(
        kind="subscription.canceled",
        topics=topics_of("BILLING.SUBSCRIPTION", "CANCELLED EXPIRED"),
    ),
    # An order that is completed may wait for its money; the capture tells when that is there.
    Means(
        kind="checkout.completed",
        topics=["PAYMENT.CAPTURE.COMPLETED"],
        about="resource.supplementary_data.related_ids.order_id",
        of="order",
    ),
    Means(
        kind="checkout.completed",
        topics=["CHECKOUT.ORDER.COMPLETED"],
        when={"resource.purchase_units[].payments.captures[].status": "COMPLETED"},
    ),
    Means(kind="dispute.opened", topics=["CUSTOMER.DISPUTE.CREATED"]),
]
HOOK = Webhook(
    signature=SIGNATURE,
    id="id",
    topic="event_type",
    object_key="resource.id",
    other_keys=[
        "resource.invoice.id",  # unsure: an invoice is told so, or as the others
        "resource.dispute_id",
        "resource.order_id",  # of an approval that was reversed (unsure)
        "resource.batch_header.payout_batch_id",
    ],
    object="resource",
    kinds=KINDS,
    stamp="create_time",
)
QUIET = {"send_to_recipient": "false", "send_to_invoicer": "false"}

# The list tells of no change since a time: all of it is read, and webhooks are faster.
invoice = Resource(
    name="invoice",
    path="/v2/invoicing/invoices",
    records="items",
    key="id",
    page=numbered(size=100),
    query=COUNTED,
    one="/v2/invoicing/invoices/{id}",
    topics=topics_of("INVOICING.INVOICE", "CREATED SENT SCHEDULED UPDATED PAID REFUNDED CANCELLED"),
    create=Write(path="/v2/invoicing/invoices", link="href"),
    update=Write(path="/v2/invoicing/invoices/{id}", method="PUT", query=QUIET),
    delete=Write(path="/v2/invoicing/invoices/{id}", method="DELETE"),  # drafts only
    steps=[
        Step(field="status", to="open", write=Write(path="/v2/invoicing/invoices/{id}/send")),
        Step(field="status", to="void", write=Write(path="/v2/invoicing/invoices/{id}/cancel")),
    ],
    # A note for the merchant's own eyes; how late the search shows it is unsure.
    marker="detail.memo",
    marked=Marked(
        path="/v2/invoicing/search-invoices",
        body={"memo": "{intent}"},
        within=timedelta(minutes=5),
    ),
    maps=mapping.invoice,
)

# A summary; `updated` is only in the product by itself.
product = Resource(
    name="product",
    path="/v1/catalogs/products",
    records="products",
    key="id",
    page=numbered(size=20),
    query=COUNTED,
    one="/v1/catalogs/products/{id}",
    topics=topics_of("CATALOG.PRODUCT", "CREATED UPDATED"),  # unsure
    create=Write(path="/v1/catalogs/products", sends={"type": "SERVICE"}),
    update=Write(path="/v1/catalogs/products/{id}", method="PATCH", patches=True),
    idempotency=KEY,
    maps=mapping.product,
)

plan = Resource(
    name="plan",
    path="/v1/billing/plans",
    records="plans",
    key="id",
    page=numbered(size=20),
    query=COUNTED,
    one="/v1/billing/plans/{id}",
    topics=[
        *topics_of("BILLING.PLAN", "CREATED UPDATED ACTIVATED DEACTIVATED"),  # unsure
        "BILLING.PLAN.PRICING-CHANGE.ACTIVATED",
    ],
    maps=mapping.plan,
)

CANCEL = Write(
    path="/v1/billing/subscriptions/{id}/cancel", sends={"reason": "Canceled by the merchant"}
)
SUSPEND = Write(
    path="/v1/billing/subscriptions/{id}/suspend", sends={"reason": "Paused by the merchant"}
)

ACTIVATE = Write(
    path="/v1/billing/subscriptions/{id}/activate", sends={"reason": "Resumed by the merchant"}
)

subscription = Resource(
    name="subscription",
    path="",
    key="id",
    one="/v1/billing/subscriptions/{id}",
    subject="subscriber.payer_id",
    topics=[
        *topics_of(
            "BILLING.SUBSCRIPTION",
            "CREATED ACTIVATED UPDATED RE-ACTIVATED EXPIRED CANCELLED SUSPENDED",
        ),
        "BILLING.SUBSCRIPTION.PAYMENT.FAILED",
    ],
    create=Write(path="/v1/billing/subscriptions"),
    steps=[
        Step(field="status", to="canceled", write=CANCEL),
        Step(field="status", to="paused", write=SUSPEND),
        # Only of one that was paused: another one begins when its subscriber agrees.
        Step(field="status", to="active", when={"status": "paused"}, write=ACTIVATE),
    ],
    idempotency=KEY,
    maps=mapping.subscription,
)

# The payer approves it on PayPal's page; then it is captured, and nothing is paid before.
order = Resource(
    name="order",
    path="",
    key="id",
    one="/v2/checkout/orders/{id}",
    subject="payer.payer_id",
    # The last: it was approved, and not captured in time.
    topics=[
        *topics_of("CHECKOUT.ORDER", "APPROVED COMPLETED"),
        "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
    ],
    create=Write(
        path="/v2/checkout/orders",
        sends={"intent": "CAPTURE", f"{checkout.SHOWN}.user_action": "PAY_NOW"},
        lists={"purchase_units": "unit"},
    ),
    steps=[Step(field="paid", to="paid", write=Write(path="/v2/checkout/orders/{id}/capture"))],
    idempotency=KEY,
    maps=checkout.checkout,
)

capture = Resource(
    name="capture",
    path="",
    key="id",
    one="/v2/payments/captures/{id}",
    topics=topics_of("PAYMENT.CAPTURE", "COMPLETED DENIED DECLINED PENDING REVERSED"),
    maps=mapping.capture,
)

# What was refunded is told with the refund itself (unsure for old integrations).
refund = Resource(
    name="refund",
    path="",
    key="id",
    one="/v2/payments/refunds/{id}",
    topics=["PAYMENT.CAPTURE.REFUNDED"],
    create=Write(path="/v2/payments/captures/{capture}/refund"),
    idempotency=KEY,
    maps=mapping.refund,
)

# The list is a summary: each is read by itself, which tells of the payment too.
dispute = Resource(
    name="dispute",
    path="/v1/customer/disputes",
    records="items",
    key="dispute_id",
    page=NextCursor(
        param="next_page_token", next="links", rel="next", size_param="page_size", size=50
    ),
    summary=True,
    since=SinceParam(
        param="update_time_after", overlap=timedelta(hours=1), reach=timedelta(days=179)
    ),
    one="/v1/customer/disputes/{id}",
    topics=topics_of("CUSTOMER.DISPUTE", "CREATED UPDATED RESOLVED"),
    maps=mapping.dispute,
)

# The account's movements; a feature of the app that has to be switched on. An id comes back with
# other codes, and what happened may show three hours late.
transaction = Resource(
    name="transaction",
    path="/v1/reporting/transactions",
    records="transaction_details",
    key="{transaction_info.transaction_id}.{transaction_info.transaction_event_code}",
    page=numbered(size=500),
    query={"fields": "transaction_info,payer_info"},
    subject="payer_info.account_id",
    since=InRanges(
        since="start_date",
        until="end_date",
        span=timedelta(days=31),
        reach=timedelta(days=3 * 365),
        overlap=timedelta(hours=6),
        too_many=["RESULTSET_TOO_LARGE"],  # unsure
    ),
    maps=mapping.transaction,
)

# Money sent to many at once: kept raw, with the first thousand of its items.
payout = Resource(
    name="payout",
    path="",
    key="batch_header.payout_batch_id",
    one="/v1/payments/payouts/{id}",
    topics=topics_of("PAYMENT.PAYOUTSBATCH", "PROCESSING SUCCESS DENIED"),
)

NOTES = [
    "An order is approved by its payer at `url`, and captured when you write `paid`.",
    "Before that no money has come, though its page is `complete`. Its lines are its total.",
    "A new subscription is for an e-mail address (`customer`), who has to agree at `url`.",
    "It is paused, resumed and canceled by writing `status`.",
    "Where it has a `success_url` it needs a `cancel_url` too.",
    "A renewal is told twice: `payment.succeeded`, and `invoice.paid` of its subscription.",
    "A capture too: `checkout.completed` of its order. A completed order may still wait for it.",
]

paypal = Provider(
    slug="paypal",
    name="PayPal",
    docs="https://developer.paypal.com/api/rest",
    checked="2026-11-27",
    base="https://api-m.paypal.com",
    sandbox={"base": SANDBOX, "token": f"{SANDBOX}/v1/oauth2/token"},
    # Else a creation is answered with a link, and a plan in the list with its name.
    headers={"Prefer": "return=representation"},
    auth=ClientCredentials(
        token="https://api-m.paypal.com/v1/oauth2/token",  # noqa: S106 - an address
        fields=FIELDS,
        access_lives=timedelta(hours=8),
    ),
    # What may be asked without a further feature of the app does not say whose it is.
    accounts=Accounts(field="client_id"),
    webhook=HOOK,
    notes=NOTES,
    errors=Errors(
        message="message",
        details="details[].description",
        code="name",
        field="details[].field",
        request_id="Paypal-Debug-Id",
        # The latter: the same key is still under way.
        throttled=["RATE_LIMIT_REACHED", "RESOURCE_CONFLICT"],
    ),
    currency_exponents=mapping.EXPONENTS,
    # Orders; for other things it is longer.
    idempotency_kept=timedelta(hours=6),
    resources=[
        invoice,
        product,
        plan,
        subscription,
        order,
        capture,
        refund,
        dispute,
        transaction,
        payout,
    ],
)
