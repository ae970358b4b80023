"""Stripe, API version 2026-05-27.dahlia, with a secret or restricted key.

Held against Stripe's OpenAPI file and its Python SDK 16.1.0. Facts that neither of them states are
marked unsure. The quotas are from other people's pages, unsure; a 429 does not say what is left.
"""

from datetime import timedelta
from functools import partial

from landbridge.providers.stripe import blank, mapping
from landbridge.spec import (
    Accounts,
    AfterLast,
    ApiKey,
    Between,
    Continued,
    CreatedSince,
    Errors,
    EventFeed,
    Field,
    Format,
    Means,
    Provider,
    Quota,
    Resource,
    Step,
    Then,
    TimestampedHmac,
    Webhook,
    Write,
    listed_by,
    topics_of,
)

KEY = Field(
    name="key",
    label="Secret or restricted key",
    secret=True,
    hint="rk_live_... from Developers > API keys, with read access to what you sync",
    pattern=r"[sr]k_\S+",  # unsure
)
# Lists come newest first, and say whether there is more.
PAGE = AfterLast(param="starting_after", more="has_more", size_param="limit", size=100)
# Most objects have no time of their last change; events do, and are kept for 30 days.
EVENTS = EventFeed(
    path="/v1/events",
    records="data",
    key="id",
    stamp="created",
    since_param="created[gte]",
    topic="type",
    types_param="types[]",
    types_limit=20,
    object_key="data.object.id",
    page=PAGE,
    reach=timedelta(days=30),
)
MADE = Between(since="created[gte]", until="created[lt]")
NEW = CreatedSince(param="created[gte]", stamp="created")
rate = partial(Quota, name="global-rate", per="second")
ERRORS = Errors(
    message="error.message",
    code="error.code",
    field="error.param",
    request_id="Request-Id",
    retry_hint="Stripe-Should-Retry",
    dead=["api_key_expired"],
    missing=["resource_missing"],
    throttled=["rate_limit", "lock_timeout", "idempotency_key_in_use"],
    quota="Stripe-Rate-Limited-Reason",
)
# Charges of old integrations belong to no payment_intent; those of others are attempts at one.
ALONE = {"data.object.payment_intent": ""}
KINDS = [
    Means(kind="invoice.paid", topics=["invoice.paid"]),
    Means(kind="invoice.payment_failed", topics=["invoice.payment_failed"]),
    Means(kind="payment.succeeded", topics=["payment_intent.succeeded"]),
    Means(
        kind="payment.succeeded",
        topics=["charge.succeeded", "charge.captured"],
        when={**ALONE, "data.object.captured": "true"},
    ),
    Means(kind="payment.failed", topics=["payment_intent.payment_failed"]),
    Means(kind="payment.failed", topics=["charge.failed"], when=ALONE),
    Means(kind="payment.refunded", topics=["charge.refunded"]),
    Means(kind="subscription.created", topics=["customer.subscription.created"]),
    Means(
        kind="subscription.updated",
        topics=topics_of("customer.subscription", "updated paused resumed"),
    ),
    Means(kind="subscription.canceled", topics=["customer.subscription.deleted"]),
    # A page may be completed while the bank still moves the money; how that ends is told later.
    Means(
        kind="checkout.completed",
        topics=["checkout.session.completed"],
        when={"data.object.payment_status": ["paid", "no_payment_required"]},
    ),
    Means(kind="checkout.completed", topics=["checkout.session.async_payment_succeeded"]),
    Means(kind="dispute.opened", topics=["charge.dispute.created"]),
]
NOTES = [
    "A `checkout.session` may be `complete` and unpaid: `checkout.completed` comes with the money.",
    "Pages that others open are seen when they are complete or expired: no event tells before.",
    "Whoever writes `open` into a draft invoice has it sent if it is `sent`, else made final.",
    "A subscription is canceled at once by its `status`; else write `cancels_at_period_end`.",
    "A new invoice's lines have a `price` of Stripe's and a quantity, or an `amount`; they stay.",
    "If Stripe refuses the lines of a new invoice, its empty draft stays there, without effect.",
    "A refund has the currency of its payment; another one is refused, for Stripe is told none.",
    "Payouts are kept raw: what they move is a `balance_transaction`.",
]
listed = partial(Resource, records="data", key="id", page=PAGE, between=MADE)
# A key is kept for 24 hours at least (unsure).
step = partial(Step, field="status")
written = partial(listed, idempotency="Idempotency-Key", marker=f"metadata.{mapping.MARKER}")

customer = written(
    name="customer",
    path="/v1/customers",
    one="/v1/customers/{id}",
    subject="id",
    deleted="deleted",
    since=EVENTS,
    topics=topics_of("customer", "created updated"),
    deletes=["customer.deleted"],
    create=Write(path="/v1/customers"),
    update=Write(path="/v1/customers/{id}"),
    delete=Write(path="/v1/customers/{id}", method="DELETE"),
    maps=mapping.customer,
    blank=blank.CUSTOMER,
)

product = written(
    name="product",
    path="/v1/products",
    one="/v1/products/{id}",
    since=EVENTS,
    topics=topics_of("product", "created updated"),
    deletes=["product.deleted"],
    create=Write(path="/v1/products"),
    update=Write(path="/v1/products/{id}"),
    delete=Write(path="/v1/products/{id}", method="DELETE"),  # without prices only
    maps=mapping.product,
    blank=blank.PRODUCT,
)

price = written(
    name="price",
    path="/v1/prices",
    one="/v1/prices/{id}",
    since=EVENTS,
    topics=topics_of("price", "created updated"),
    deletes=["price.deleted"],
    create=Write(path="/v1/prices"),
    update=Write(path="/v1/prices/{id}"),
    maps=mapping.price,
    blank=blank.PRICE,
)

subscription = written(
    name="subscription",
    path="/v1/subscriptions",
    one="/v1/subscriptions/{id}",
    query={"status": "all"},  # else the canceled ones are left out
    subject="customer",
    since=EVENTS,
    # `deleted` only means canceled: the object stays.
    topics=topics_of(
        "customer.subscription",
        "created updated deleted paused resumed trial_will_end"
        " pending_update_applied pending_update_expired",
    ),
    # How many items come along is unsure.
    continued=[
        Continued(
            path="items.data",
            more="items.has_more",
            at="/v1/subscription_items",
            query={"subscription": "{id}"},
            records="data",
            page=PAGE,
        )
    ],
    create=Write(path="/v1/subscriptions"),
    update=Write(path="/v1/subscriptions/{id}"),
    steps=[step(to="canceled", write=Write(path="/v1/subscriptions/{id}", method="DELETE"))],
    maps=mapping.subscription,
    blank=blank.SUBSCRIPTION,
)

INVOICE = "/v1/invoices/{id}"
INVOICE_STEPS = [
    # Sending makes a document of a draft too; an invoice that is charged cannot be sent (unsure).
    step(to="open", when={"collection": "sent"}, write=Write(path=f"{INVOICE}/send")),
    step(to="open", when={"collection": "automatic"}, write=Write(path=f"{INVOICE}/finalize")),
    step(to="void", write=Write(path=f"{INVOICE}/void")),
    step(to="uncollectible", write=Write(path=f"{INVOICE}/mark_uncollectible")),
]
NEW_INVOICE = Write(path="/v1/invoices", then=Then(path=f"{INVOICE}/add_lines", of="lines"))

invoice = written(
    name="invoice",
    path="/v1/invoices",
    one="/v1/invoices/{id}",
    subject="customer",
    since=EVENTS,
    topics=topics_of(
        "invoice",
        "created updated finalized finalization_failed sent paid payment_succeeded payment_failed"
        " payment_action_required payment_attempt_required overdue overpaid will_be_due"
        " marked_uncollectible voided",
    ),
    deletes=["invoice.deleted"],
    # The first 10 lines come along (unsure).
    continued=[
        Continued(
            path="lines.data",
            more="lines.has_more",
            at="/v1/invoices/{id}/lines",
            records="data",
            page=PAGE,
        )
    ],
    create=NEW_INVOICE,
    update=Write(path="/v1/invoices/{id}"),
    delete=Write(path="/v1/invoices/{id}", method="DELETE"),  # drafts only
    steps=INVOICE_STEPS,
    maps=mapping.invoice,
    blank=blank.INVOICE,
)

payment_intent = listed(
    name="payment_intent",
    path="/v1/payment_intents",
    one="/v1/payment_intents/{id}",
    subject="customer",
    since=EVENTS,
    topics=topics_of(
        "payment_intent",
        "created processing requires_action succeeded payment_failed canceled"
        " amount_capturable_updated partially_funded",
    ),
    maps=mapping.payment_intent,
)

charge = listed(
    name="charge",
    path="/v1/charges",
    one="/v1/charges/{id}",
    subject="customer",
    since=EVENTS,
    topics=topics_of("charge", "pending succeeded failed captured expired refunded updated"),
    maps=mapping.charge,
)

refund = written(
    name="refund",
    path="/v1/refunds",
    one="/v1/refunds/{id}",
    since=EVENTS,
    # The object of charge.refund.updated is the refund.
    topics=[*topics_of("refund", "created updated failed"), "charge.refund.updated"],
    create=Write(path="/v1/refunds"),
    update=Write(path="/v1/refunds/{id}"),
    maps=mapping.refund,
    blank=blank.REFUND,
)

# No event tells of a page that somebody else opened before it is left or over.
checkout_session = written(
    name="checkout.session",
    path="/v1/checkout/sessions",
    one="/v1/checkout/sessions/{id}",
    query={"expand[]": "data.line_items"},  # else they are left out
    one_query={"expand[]": "line_items"},
    subject="customer",
    since=EVENTS,
    topics=topics_of(
        "checkout.session", "completed async_payment_succeeded async_payment_failed expired"
    ),
    # The first 10 lines come along (unsure).
    continued=[
        Continued(
            path="line_items.data",
            more="line_items.has_more",
            at="/v1/checkout/sessions/{id}/line_items",
            records="data",
            page=PAGE,
        )
    ],
    create=Write(path="/v1/checkout/sessions"),
    update=Write(path="/v1/checkout/sessions/{id}"),
    steps=[step(to="expired", write=Write(path="/v1/checkout/sessions/{id}/expire"))],
    maps=mapping.checkout_session,
    blank=blank.CHECKOUT_SESSION,
)

dispute = listed(
    name="dispute",
    path="/v1/disputes",
    one="/v1/disputes/{id}",
    since=EVENTS,
    topics=topics_of("charge.dispute", "created updated closed funds_withdrawn funds_reinstated"),
    maps=mapping.dispute,
)

# Kept raw: what it moves is a balance_transaction.
payout = listed(
    name="payout",
    path="/v1/payouts",
    one="/v1/payouts/{id}",
    since=EVENTS,
    topics=topics_of("payout", "created updated paid failed canceled reconciliation_completed"),
)

# Its status moves from pending to available without an event; no model holds it.
balance_transaction = listed(
    name="balance_transaction",
    path="/v1/balance_transactions",
    one="/v1/balance_transactions/{id}",
    since=NEW,
    maps=mapping.balance_transaction,
)

# Rendered in the API version of their day: kept raw, their objects are read by id.
event = listed(name="event", path="/v1/events", one="/v1/events/{id}", since=NEW)

stripe = Provider(
    slug="stripe",
    name="Stripe",
    docs="https://docs.stripe.com/api",
    checked="2026-11-22",
    base="https://api.stripe.com",
    headers={"Stripe-Version": "2026-05-27.dahlia"},
    body=Format.FORM,
    auth=ApiKey(fields=[KEY]),
    accounts=Accounts(
        path="/v1/account",
        id="id",
        name="settings.dashboard.display_name",
        live_path="/v1/balance",
        live="livemode",
    ),
    quotas=[rate(limit=100), rate(limit=25, environment="test")],
    webhook=Webhook(
        signature=TimestampedHmac(header="Stripe-Signature"),
        id="id",
        topic="type",
        object_key="data.object.id",
        object="data.object",
        account="account",
        subject="data.object.customer",
        kinds=KINDS,
        stamp="created",
        listing=listed_by(EVENTS),
    ),
    errors=ERRORS,
    currency_exponents=mapping.EXPONENTS,
    idempotency_kept=timedelta(hours=24),
    notes=NOTES,
    resources=[
        customer,
        product,
        price,
        subscription,
        invoice,
        payment_intent,
        charge,
        refund,
        checkout_session,
        dispute,
        payout,
        balance_transaction,
        event,
    ],
)
