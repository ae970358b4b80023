"""Square, Square-Version 2025-08-20, by OAuth 2 with a client secret.

Held against Square's OpenAPI file of that version and its Python SDK 46. What neither of them
states is marked unsure. Square publishes no quotas, and no header says what is left of them.
"""

from datetime import timedelta
from functools import partial

from landbridge.providers.square import mapping
from landbridge.spec import (
    Accounts,
    Across,
    Errors,
    First,
    LookedUp,
    Means,
    NextCursor,
    OAuth2,
    Provider,
    Resource,
    SinceParam,
    Step,
    Sweep,
    Webhook,
    Write,
    hmac_base64,
    topics_of,
)

SITE = "https://connect.squareup.com"
SANDBOX = "https://connect.squareupsandbox.com"
PAGE = NextCursor(size_param="limit")
SEARCH = NextCursor(size_param="limit", posts=True)
# Lists of payments, invoices and payouts show one location; without a time, those of one year.
PLACES = Across(path="/v2/locations", records="locations", param="location_id")
ALL_TIMES = {"begin_time": "2009-01-01T00:00:00Z"}
IN_ORDER = {**ALL_TIMES, "sort_field": "UPDATED_AT", "sort_order": "ASC"}
# Orders are searched by their locations.
SHOPS = Across(path="/v2/locations", records="locations", param="location_ids[]")
MAIN = partial(LookedUp, path="/v2/merchants/me", found="merchant.main_location_id")
CHANGED = SinceParam(param="updated_at_begin_time", overlap=timedelta(minutes=5))
KEY = "idempotency_key"
SCOPES = {
    "MERCHANT_PROFILE_READ": "the business and its locations, to read",
    "CUSTOMERS_READ": "customers, to read",
    "CUSTOMERS_WRITE": "customers, to write",
    "ITEMS_READ": "the catalogue, to read",
    "SUBSCRIPTIONS_READ": "subscriptions, to read",
    "SUBSCRIPTIONS_WRITE": "subscriptions, to make and cancel",
    "INVOICES_READ": "invoices, to read",
    "INVOICES_WRITE": "invoices, to make, change, send and cancel",
    "ORDERS_READ": "orders, to read",
    "ORDERS_WRITE": "what invoices are made of, to write",
    "PAYMENTS_READ": "payments and refunds, to read",
    "PAYMENTS_WRITE": "refunds, to write; also to let customers pay",
    "DISPUTES_READ": "disputes, to read",
    "PAYOUTS_READ": "payouts, to read",
}
READS = {scope: frozenset({scope}) for scope in SCOPES}
PAID, REFUND = "data.object.payment.status", "data.object.refund.status"
INVOICE, SUBSCRIPTION = "data.object.invoice.status", "data.object.subscription.status"
ENDED = ["CANCELED", "DEACTIVATED"]
PAYMENTS = topics_of("payment", "created updated")
REFUNDS = topics_of("refund", "created updated")
KINDS = [
    Means(kind="invoice.paid", topics=["invoice.payment_made"], when={INVOICE: "PAID"}),
    Means(kind="invoice.payment_failed", topics=["invoice.scheduled_charge_failed"]),
    # Square has no event for it: a payment that is through changes again, with its fee.
    Means(kind="payment.succeeded", topics=PAYMENTS, when={PAID: "COMPLETED"}),
    Means(kind="payment.failed", topics=PAYMENTS, when={PAID: "FAILED"}),
    Means(kind="payment.refunded", topics=REFUNDS, when={REFUND: "COMPLETED"}),
    Means(kind="subscription.created", topics=["subscription.created"]),
    Means(
        kind="subscription.canceled", topics=["subscription.updated"], when={SUBSCRIPTION: ENDED}
    ),
    Means(kind="subscription.updated", topics=["subscription.updated"]),
    Means(kind="dispute.opened", topics=["dispute.created"]),
    # No event names a payment link, but the payment names the order that the link made.
    Means(
        kind="checkout.completed",
        topics=PAYMENTS,
        when={PAID: "COMPLETED"},
        about="data.object.payment.order_id",
        of="payment_link",
        by="order",
    ),
]
AUTH = OAuth2(
    authorize=f"{SITE}/oauth2/authorize",
    token=f"{SITE}/oauth2/token",
    revoke=f"{SITE}/oauth2/revoke",
    revoke_body="access",
    scopes=SCOPES,
    always=READS["MERCHANT_PROFILE_READ"],
    pkce=False,
    pkce_why="Square has it for apps without a secret; their refresh tokens end after 90 days",
    client="post",
    body="json",
    expires_at="expires_at",
    error_at=["errors[].code", "type", "error"],  # unsure which
    dead=["ACCESS_TOKEN_REVOKED", "invalid_grant"],  # unsure
    access_lives=timedelta(days=30),
)
HOOK = Webhook(
    signature=hmac_base64("x-square-hmacsha256-signature", signs="{url}{body}"),
    id="event_id",
    topic="type",
    object_key="data.id",
    account="merchant_id",
    object="data.object.{data.type}",
    subject="data.object.payment.customer_id",
    kinds=KINDS,
    stamp="created_at",
)
ERRORS = Errors(
    message="errors[].detail",
    code="errors[].code",
    field="errors[].field",
    throttled=["RATE_LIMITED"],
    dead=["ACCESS_TOKEN_EXPIRED", "ACCESS_TOKEN_REVOKED"],
    stale=["CONFLICT", "VERSION_MISMATCH"],  # the second is unsure
)
read = partial(Resource, key="id")

customer = read(
    name="customer",
    path="/v2/customers/search",
    records="customers",
    page=SEARCH,
    query={"query.sort.field": "CREATED_AT", "query.sort.order": "ASC"},
    # New ones come into the search with a delay (unsure).
    since=SinceParam(param="query.filter.updated_at.start_at", overlap=timedelta(minutes=15)),
    one="/v2/customers/{id}",
    envelope="customer",
    subject="id",
    version="version",
    topics=topics_of("customer", "created updated"),
    deletes=["customer.deleted"],
    sweep=Sweep(),  # for those whose webhook never came
    needs=READS["CUSTOMERS_READ"],
    create=Write(path="/v2/customers", needs=READS["CUSTOMERS_WRITE"]),
    update=Write(
        path="/v2/customers/{id}",
        method="PUT",
        partial=True,
        version_at="version",
        needs=READS["CUSTOMERS_WRITE"],
    ),
    delete=Write(path="/v2/customers/{id}", method="DELETE", needs=READS["CUSTOMERS_WRITE"]),
    idempotency=KEY,
    idempotency_in="body",
    maps=mapping.customer,
)

catalogue = partial(
    read,
    path="/v2/catalog/search",
    records="objects",
    page=SEARCH,
    since=SinceParam(param="begin_time"),
    one="/v2/catalog/object/{id}",
    envelope="object",
    version="version",
    deleted="is_deleted",
    needs=READS["ITEMS_READ"],
)
WITH_DELETED = {"include_deleted_objects": "true"}

item = catalogue(
    name="item",
    query={**WITH_DELETED, "object_types[]": "ITEM"},
    maps=mapping.item,
)

# Kept raw: many have no price but the one that is typed in at the till.
item_variation = catalogue(
    name="item_variation", query={**WITH_DELETED, "object_types[]": "ITEM_VARIATION"}
)

plan = catalogue(
    name="subscription_plan",
    query={**WITH_DELETED, "object_types[]": "SUBSCRIPTION_PLAN"},
    maps=mapping.plan,
)

# One whose price is a discount on what is ordered has no currency, and is parked.
plan_variation = catalogue(
    name="subscription_plan_variation",
    query={**WITH_DELETED, "object_types[]": "SUBSCRIPTION_PLAN_VARIATION"},
    maps=mapping.plan_variation,
)

SUBSCRIBING = frozenset(
    {
        "SUBSCRIPTIONS_WRITE",
        "CUSTOMERS_READ",
        "PAYMENTS_WRITE",
        "ITEMS_READ",
        "ORDERS_WRITE",
        "INVOICES_WRITE",
    }
)

subscription = read(
    name="subscription",
    path="/v2/subscriptions/search",
    records="subscriptions",
    page=SEARCH,
    one="/v2/subscriptions/{id}",
    envelope="subscription",
    subject="customer_id",
    version="version",
    topics=topics_of("subscription", "created updated"),
    needs=READS["SUBSCRIPTIONS_READ"],
    create=Write(path="/v2/subscriptions", looked_up=[MAIN(at="location_id")], needs=SUBSCRIBING),
    steps=[
        Step(
            field="cancels_at_period_end",
            to="True",
            write=Write(
                path="/v2/subscriptions/{id}/cancel",
                keyed=False,
                bare=True,
                needs=READS["SUBSCRIPTIONS_WRITE"],
            ),
        )
    ],
    idempotency=KEY,
    idempotency_in="body",
    maps=mapping.subscription,
)

# Kept raw: what is in them differs from seller to seller.
order = read(
    name="order",
    path="/v2/orders/search",
    records="orders",
    page=SEARCH,
    query={"query.sort.sort_field": "UPDATED_AT", "query.sort.sort_order": "ASC"},
    across=SHOPS,
    since=SinceParam(
        param="query.filter.date_time_filter.updated_at.start_at", overlap=timedelta(minutes=5)
    ),
    one="/v2/orders/{id}",
    envelope="order",
    subject="customer_id",
    version="version",
    topics=topics_of("order", "created updated fulfillment.updated"),
    needs=READS["ORDERS_READ"],
    create=Write(
        path="/v2/orders",
        envelope="order",
        listed=False,
        looked_up=[MAIN(at="location_id")],
        needs=READS["ORDERS_WRITE"],
    ),
    idempotency=KEY,
    idempotency_in="body",
)

# No event names one: that it was paid is told of its order.
payment_link = read(
    name="payment_link",
    path="/v2/online-checkout/payment-links",
    records="payment_links",
    page=PAGE,
    one="/v2/online-checkout/payment-links/{id}",
    envelope="payment_link",
    version="version",
    needs=READS["ORDERS_READ"],
    create=Write(
        path="/v2/online-checkout/payment-links",
        looked_up=[MAIN(at="order.location_id")],
        needs=frozenset({"PAYMENTS_WRITE", "ORDERS_READ", "ORDERS_WRITE"}),
    ),
    delete=Write(
        path="/v2/online-checkout/payment-links/{id}",
        method="DELETE",
        needs=frozenset({"ORDERS_READ", "ORDERS_WRITE"}),
    ),
    idempotency=KEY,
    idempotency_in="body",
    maps=mapping.checkout,
)

BILLING = frozenset({"INVOICES_WRITE", "ORDERS_WRITE"})
billing = partial(Write, partial=True, version_at="version", needs=BILLING)

draft = Write(
    path="/v2/invoices",
    envelope="invoice",
    listed=False,
    sends={"delivery_method": "EMAIL", "accepted_payment_methods.card": True},
    lists={"payment_requests": "payment_request"},
    first=First(
        resource="order",
        of="order",
        key_at="order_id",
        shares={
            "customer_id": "primary_recipient.customer_id",
            "location_id": "location_id",
        },
    ),
    needs=BILLING,
)

invoice = read(
    name="invoice",
    path="/v2/invoices",
    records="invoices",
    page=PAGE,
    across=PLACES,
    one="/v2/invoices/{id}",
    envelope="invoice",
    subject="primary_recipient.customer_id",
    version="version",
    topics=topics_of(
        "invoice",
        "created published updated payment_made scheduled_charge_failed canceled refunded",
    ),
    deletes=["invoice.deleted"],
    needs=READS["INVOICES_READ"],
    create=draft,
    update=billing(path="/v2/invoices/{id}", method="PUT", envelope="invoice", listed=False),
    delete=Write(path="/v2/invoices/{id}", method="DELETE", needs=BILLING),  # drafts only
    steps=[
        Step(field="status", to="open", write=billing(path="/v2/invoices/{id}/publish")),
        Step(
            field="status", to="void", write=billing(path="/v2/invoices/{id}/cancel", keyed=False)
        ),
    ],
    idempotency=KEY,
    idempotency_in="body",
    maps=mapping.invoice,
)

payment = read(
    name="payment",
    path="/v2/payments",
    records="payments",
    page=PAGE,
    query=IN_ORDER,
    across=PLACES,
    since=CHANGED,
    one="/v2/payments/{id}",
    envelope="payment",
    subject="customer_id",
    topics=PAYMENTS,
    needs=READS["PAYMENTS_READ"],
    maps=mapping.payment,
)

refund = read(
    name="refund",
    path="/v2/refunds",
    records="refunds",
    page=PAGE,
    query=IN_ORDER,
    since=CHANGED,
    one="/v2/refunds/{id}",
    envelope="refund",
    topics=REFUNDS,
    needs=READS["PAYMENTS_READ"],
    create=Write(path="/v2/refunds", needs=READS["PAYMENTS_WRITE"]),
    idempotency=KEY,
    idempotency_in="body",
    maps=mapping.refund,
)

dispute = read(
    name="dispute",
    path="/v2/disputes",
    records="disputes",
    page=NextCursor(),
    one="/v2/disputes/{id}",
    envelope="dispute",
    version="version",
    topics=topics_of("dispute", "created state.updated evidence.created evidence.deleted"),
    needs=READS["DISPUTES_READ"],
    maps=mapping.dispute,
)

payout = read(
    name="payout",
    path="/v2/payouts",
    records="payouts",
    page=PAGE,
    query={**ALL_TIMES, "sort_order": "ASC"},
    across=PLACES,
    one="/v2/payouts/{id}",
    envelope="payout",
    version="version",
    topics=topics_of("payout", "sent paid failed"),
    needs=READS["PAYOUTS_READ"],
    maps=mapping.payout,
)

NOTES = [
    "An invoice is created with an order of its lines, at `location` or else the main one.",
    "Its lines are read back in its `order` alone.",
    "It goes out by e-mail and takes cards. Lines with taxes are refused: they are not written.",
    "If Square refuses the invoice, its order stays there, without effect.",
    "To cancel a subscription write `cancels_at_period_end`: it ends with what is paid.",
    "A plan whose price is a discount on what is ordered names no currency, and is parked.",
    "`checkout.completed` is told by the payment of a link's `order`, of links that are held here:",
    "made or pulled before. Whether a link that subscribes keeps its order is unsure.",
    "A subscription is paused and resumed at Square alone: there it counts from the next period.",
]

square = Provider(
    slug="square",
    name="Square",
    docs="https://developer.squareup.com/reference/square",
    checked="2026-11-27",
    base=SITE,
    headers={"Square-Version": "2025-08-20"},
    auth=AUTH,
    accounts=Accounts(
        path="/v2/merchants/me",
        id="merchant.id",
        name="merchant.business_name",
        token_id="merchant_id",  # noqa: S106 - a path
    ),
    webhook=HOOK,
    errors=ERRORS,
    notes=NOTES,
    sandbox={
        "base": SANDBOX,
        "authorize": f"{SANDBOX}/oauth2/authorize",
        "token": f"{SANDBOX}/oauth2/token",
        "revoke": f"{SANDBOX}/oauth2/revoke",
    },
    resources=[
        customer,
        item,
        item_variation,
        plan,
        plan_variation,
        subscription,
        order,
        payment_link,
        invoice,
        payment,
        refund,
        dispute,
        payout,
    ],
)
