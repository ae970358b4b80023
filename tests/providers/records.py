"""Records of every resource that a provider maps: made from the vendor's spec, and its examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from random import Random
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from landbridge.formats import codec
from landbridge.formats.canonical import canonical
from landbridge.spec import Provider, Resource
from tests.specs import openapi
from tests.specs.freshbooks import document as freshbooks
from tests.specs.generate import Records
from tests.specs.paypal import document as paypal
from tests.specs.quickbooks import document as quickbooks
from tests.specs.square import document as square
from tests.specs.xero import document as xero

FIXTURES = openapi.STRIPE.parent / "fixtures3.json"
# What Stripe's document leaves open. The status is a refund's: the others are enumerations.
WORDS: Mapping[str, list[Any]] = {
    "currency": ["usd", "eur", "jpy", "kwd", "isk", "mga"],
    "status": ["pending", "requires_action", "succeeded", "failed", "canceled"],
}


# Amounts are of a currency, and what is bought on a page has a price.
STRIPE_NEEDED = ["currency", "line_items.data[].price.id"]


def records(provider: Provider, resource: Resource) -> st.SearchStrategy[Any]:
    """Values that the resource's mapping reads."""
    return st.integers(0, 2**32).map(lambda seed: MAKERS[provider.slug](resource, seed))


def _stripe(resource: Resource, seed: int) -> Any:
    assert resource.maps is not None
    if seed % 10 == 0:
        made = _examples()[resource.name]
    else:
        made = _document().make(
            resource.name,
            seed,
            owned=resource.maps.owned_paths,
            needed=[*resource.maps.needed_paths, *STRIPE_NEEDED],
        )
    return codec(resource.format).parse(canonical(made))


@cache
def _document() -> Records:
    return Records(json.loads(openapi.STRIPE.read_bytes()), WORDS)


@cache
def _examples() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(FIXTURES.read_bytes())["resources"]
    return found


def _caldav(resource: Resource, seed: int) -> Any:
    rng = Random(seed)
    if resource.name == "calendar":
        made: dict[str, Any] = {
            "href": f"/dav/{seed}/",
            "displayname": rng.choice(["Work", "Häusliches 😀", ""]),
            "calendar-description": rng.choice([None, "all of it"]),
            "calendar-color": rng.choice([None, "#ff0000"]),
            "zone": rng.choice([None, "Europe/Vienna"]),
            "writable": rng.random() < 0.5,
            "sync-token": "s1",
        }
        return made
    stored = {
        "href": f"/dav/office/{seed}.ics",
        "etag": f'"{seed}"',
        "calendar": "/dav/office/",
        "data": _calendar_object(rng, f"u{seed}@example.com"),
    }
    return codec(resource.format).parse(canonical(stored))


def _calendar_object(rng: Random, uid: str) -> str:
    """A calendar object with some of everything that RFC 5545 knows of events."""
    day = rng.randint(1, 28)
    zoned = [f";TZID=Europe/Vienna:202603{day:02}T023000", f";TZID=Europe/Vienna:202603{day:02}T05"]
    starts, ends = rng.choice(
        [
            (zoned[0], zoned[1] + "0000"),
            (f":202603{day:02}T080000Z", f":202603{day:02}T093000Z"),
            (f":202603{day:02}T080000", f":202603{day:02}T093000"),
            (f";VALUE=DATE:202603{day:02}", f";VALUE=DATE:202604{day:02}"),
        ]
    )
    lines = [f"UID:{uid}", "DTSTAMP:20260101T000000Z", f"DTSTART{starts}"]
    repeats = rng.random() < 0.5
    if repeats:
        lines += [f"RRULE:FREQ=DAILY;COUNT={rng.randint(3, 9)}"]
    optional = [
        f"DTEND{ends}",
        "SUMMARY:Tee\\, Kuchen\\; und mehr\\n😀",
        "DESCRIPTION:long " * 20,
        "LOCATION:Graz",
        "URL:https://example.com/a?b=c",
        "STATUS:" + rng.choice(["CONFIRMED", "TENTATIVE", "CANCELLED"]),
        "TRANSP:" + rng.choice(["OPAQUE", "TRANSPARENT"]),
        "CLASS:" + rng.choice(["PUBLIC", "PRIVATE", "CONFIDENTIAL", "X-ODD"]),
        "CATEGORIES:a,b\\,c",
        "SEQUENCE:3",
        "CREATED:20260101T000000Z",
        "LAST-MODIFIED:20260102T000000Z",
        "ORGANIZER;CN=Ann:mailto:ann@example.com",
        'ATTENDEE;CN="B; C";ROLE=OPT-PARTICIPANT;PARTSTAT=ACCEPTED:mailto:bob@example.com',
        "ATTENDEE;X-OWN=1;CUTYPE=ROOM;ROLE=NON-PARTICIPANT:mailto:room@example.com",
        "X-UNKNOWN;X-P=1:kept",
        "BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT15M\r\nX-SNOOZE:1\r\nEND:VALARM",
    ]
    lines += [line for line in optional if rng.random() < 0.6]
    event = ["BEGIN:VEVENT", *lines, "END:VEVENT"]
    if repeats and rng.random() < 0.5:
        event += ["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", f"DTSTART{starts}"]
        event += [f"RECURRENCE-ID{starts}", "SUMMARY:moved", "X-OWN:2", "END:VEVENT"]
    head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//y//EN", "X-WR-CALNAME:w"]
    return "\r\n".join([*head, *event, "END:VCALENDAR", ""])


def _xero(resource: Resource, seed: int) -> Any:
    assert resource.maps is not None
    shown = xero.shown(resource)
    if shown and seed % 10 == 0:
        made = shown[seed // 10 % len(shown)]
    else:
        needed = [*resource.maps.needed_paths, resource.key, *XERO_NEEDED.get(resource.name, ())]
        made = _xero_document().make(
            XERO_SCHEMAS[resource.name], seed, owned=resource.maps.owned_paths, needed=needed
        )
        made |= {name: words[0] for name, words in resource.only.items()}
        if resource.name == "SpendMoney" and not made.get("LineItems"):
            made["LineItems"] = [{"LineItemID": str(UUID(int=seed)), "Description": "Paper"}]
    return codec(resource.format).parse(canonical(made))


XERO_SCHEMAS = {
    "Accounts": "Account",
    "TaxRates": "TaxRate",
    "Contacts": "Contact",
    "Items": "Item",
    "Invoices": "Invoice",
    "Bills": "Invoice",
    "CreditNotes": "CreditNote",
    "Payments": "Payment",
    "BankTransactions": "BankTransaction",
    "SpendMoney": "BankTransaction",
    "ManualJournals": "ManualJournal",
    "Organisation": "Organisation",
}
XERO_NEEDED: dict[str, tuple[str, ...]] = dict.fromkeys(
    ["Invoices", "Bills", "CreditNotes", "BankTransactions", "SpendMoney"],
    ("CurrencyCode", "LineItems[].LineItemID"),
)
XERO_NEEDED["SpendMoney"] = (*XERO_NEEDED["SpendMoney"], "BankAccount.AccountID")
"""What Xero always sends, though its document does not say so."""
_DAYS = ["/Date(1518652800000+0000)/", "/Date(1543449600000+0000)/", "2019-03-11T00:00:00"]
XERO_WORDS: Mapping[str, list[Any]] = {
    "Date": _DAYS,
    "DueDate": _DAYS,
    "PeriodLockDate": _DAYS,
    "EndOfYearLockDate": _DAYS,
    "UpdatedDateUTC": ["/Date(1541176592690+0000)/", "/Date(1551399323399)/"],
}


@cache
def _xero_document() -> Records:
    document = json.loads(xero.KEPT.read_bytes())
    # Xero keeps two decimals of every currency, and its document does not say so.
    document["components"]["schemas"]["CurrencyCode"]["enum"] = ["NZD", "EUR", "USD", "GBP"]
    return Records(document, XERO_WORDS)


def _paypal(resource: Resource, seed: int) -> Any:
    assert resource.maps is not None
    made = _paypal_document().make(
        paypal.SCHEMAS[resource.name],
        seed,
        owned=resource.maps.owned_paths,
        needed=[*resource.maps.needed_paths, *PAYPAL_NEEDED.get(resource.name, [resource.key])],
    )
    if resource.name == "plan":  # a plan has a regular price, as PayPal's prose says
        unit = Random(seed).choice(["DAY", "WEEK", "MONTH", "YEAR"])
        price = {"currency_code": "USD", "value": "12.345"}
        cycle = {"frequency": {"interval_unit": unit}, "tenure_type": "REGULAR", "sequence": 1}
        made["billing_cycles"] = [
            *(each for each in made.get("billing_cycles", ()) if each["tenure_type"] == "TRIAL"),
            {**cycle, "pricing_scheme": {"fixed_price": price}},
        ]
    return codec(resource.format).parse(canonical(made))


PAYPAL_NEEDED = {
    "order": ["id", "status", "purchase_units[].amount.currency_code"],
    "subscription": ["id", "plan_id"],
    "invoice": ["id", "items[].id"],
    "transaction": ["transaction_info.transaction_id", "transaction_info.transaction_event_code"],
}
_PAYPAL_TIMES = ["2026-03-01T09:30:00Z", "2026-11-27T12:00:00.123Z", "2025-12-31T23:59:59-07:00"]
PAYPAL_WORDS: Mapping[str, list[Any]] = {
    "id": [f"ID{number}" for number in range(100_000)],
    "email_address": ["ada@example.com", "bob@example.org"],
    "currency_code": ["USD", "EUR", "JPY", "HUF"],
    "value": ["0", "12", "2500"],  # whole ones, which every currency has
    "quantity": ["1", "2.5", "300"],
    "ppaas_date_time_v3": _PAYPAL_TIMES,
    "ppaas_date_notime_v2": ["2026-02-28", "2026-11-30"],
    "start_time": _PAYPAL_TIMES,
    "create_time": _PAYPAL_TIMES,
    "next_billing_time": _PAYPAL_TIMES,
    "href": ["https://api.paypal.com/v2/payments/captures/7TK53561YB803214S"],
    "rel": ["up", "self"],
}


def _freshbooks(resource: Resource, seed: int) -> Any:
    assert resource.maps is not None
    model = FRESHBOOKS_MODELS[resource.name]
    amounts = ("currency_code", "lines[].unit_cost", "v3_status")
    needed = [*resource.maps.needed_paths, resource.key, *amounts]
    made = _freshbooks_document().make(model, seed, owned=resource.maps.owned_paths, needed=needed)
    if resource.name == "client" and seed % 10 == 0:
        shown = freshbooks.freshbooks().examples["list_clients_response"]["response"]["result"]
        made = shown["clients"][seed // 10 % len(shown["clients"])]
    for place, line in enumerate(made.get("lines", [])):
        if resource.name != "bill":
            line["lineid"] = str(seed + place)
    return codec(resource.format).parse(canonical(made))


FRESHBOOKS_MODELS = {
    "client": "Client",
    "invoice": "Invoice",
    "payment": "Payment",
    "expense": "Expense",
    "item": "Item",
    "tax": "Tax",
    "credit_note": "CreditNote",
    "bill": "Bills",
    "bill_vendor": "BillVendors",
    "bill_payment": "BillPayments",
    "category": "ExpenseCategory",
    "journal_entry_account": "JournalEntryAccount",
    "journal_entry_detail": "JournalEntryDetail",
}
FRESHBOOKS_WORDS: Mapping[str, list[Any]] = {
    **{
        name: ["2026-03-01", "2026-12-24 00:00:00", "2020-02-29"]
        for name in ("date", "create_date", "due_date", "issue_date", "paid_date")
    },
    "updated": ["2026-03-08 02:30:00", "2026-11-01 01:30:00", "2020-10-17 06:25:34"],
    "updated_at": ["2023-04-27T14:33:48.841075Z", "2020-06-03T17:08:32Z"],
    "money": ["0.00", "12.30", "1000", "99999.99", "7.5"],
    "code": ["CAD", "USD", "EUR"],
    "currency_code": ["CAD", "USD", "EUR"],
    "vis_state": [0, 1, 2],
    "account_type": ["asset", "liability", "equity", "income", "expense"],
    "taxName1": ["HST", "GST at home", "", None],
    "tax_name1": ["HST", "GST at home", "", None],
    "taxPercent1": ["13", "9.975", None],
    "inventory": ["12", "0", None],
}


@cache
def _paypal_document() -> Records:
    document = json.loads(paypal.KEPT.read_bytes())
    for name, schema in document["components"]["schemas"].items():
        if name.endswith(".money"):  # amounts in one record are of one currency
            schema["properties"]["currency_code"] = {"enum": ["USD"]}
    return Records(document, PAYPAL_WORDS)


@cache
def _freshbooks_document() -> Records:
    return Records(freshbooks.freshbooks().schemas(), FRESHBOOKS_WORDS)


SQUARE_SCHEMAS = {
    "customer": "Customer",
    "item": "CatalogObject",
    "subscription_plan": "CatalogObject",
    "subscription_plan_variation": "CatalogObject",
    "subscription": "Subscription",
    "payment_link": "PaymentLink",
    "invoice": "Invoice",
    "payment": "Payment",
    "refund": "PaymentRefund",
    "dispute": "Dispute",
    "payout": "Payout",
}
SQUARE_NEEDED = {
    "item": ("item_data.name",),
    "subscription_plan": ("subscription_plan_data.name",),
    "subscription_plan_variation": tuple(
        f"subscription_plan_variation_data.{path}"
        for path in (
            "name",
            "subscription_plan_id",
            "phases[].cadence",
            "phases[].pricing.price_money.amount",
            "phases[].pricing.price_money.currency",
        )
    ),
    "payment": (
        "total_money.amount",
        "total_money.currency",
        "refunded_money.amount",
        "refunded_money.currency",
    ),
    "refund": ("amount_money.currency", "amount_money.amount"),
    "dispute": ("state", "amount_money.currency", "amount_money.amount"),
    "payout": ("amount_money.currency", "amount_money.amount"),
    "invoice": tuple(
        f"payment_requests[].{name}.{part}"
        for name in ("computed_amount_money", "total_completed_amount_money")
        for part in ("amount", "currency")
    ),
}
"""What Square always sends, though its document does not say so."""
SQUARE_STATUS = {
    "payment": ["PENDING", "APPROVED", "COMPLETED", "CANCELED", "FAILED"],
    "refund": ["PENDING", "COMPLETED", "REJECTED", "FAILED"],
}


def _square(resource: Resource, seed: int) -> Any:
    assert resource.maps is not None
    shown = square.square().examples.get(resource.name)
    if seed % 10 == 0 and shown:
        made = shown
    else:
        needed = [*resource.maps.needed_paths, *SQUARE_NEEDED.get(resource.name, ())]
        made = _square_document(resource.name).make(
            SQUARE_SCHEMAS[resource.name], seed, owned=resource.maps.owned_paths, needed=needed
        )
    if resource.name == "payout" and seed % 10 == 0:  # the example names another field
        made = {**made, "amount_money": {"amount": -103, "currency": "USD"}}
    if resource.name == "subscription_plan_variation":
        money = {"amount": 1500, "currency": "USD"}
        last = {"cadence": "QUARTERLY", "pricing": {"type": "STATIC", "price_money": money}}
        made["subscription_plan_variation_data"].setdefault("phases", []).append(last)
    if resource.name == "invoice" and not made.get("payment_requests"):
        made = {**made, "payment_requests": square.square().examples["invoice"]["payment_requests"]}
    return codec(resource.format).parse(canonical(made))


@cache
def _square_document(name: str) -> Records:
    document = json.loads(square.KEPT.read_bytes())
    document["components"]["schemas"]["Currency"]["enum"] = ["USD", "EUR", "JPY", "KWD"]
    moments = ["2021-10-13T19:59:05.073Z", "2026-02-28T23:59:59Z"]
    words: dict[str, list[Any]] = {
        "created_at": moments,
        "updated_at": moments,
        "due_at": moments,
        "due_date": ["2026-02-28", "2030-01-24"],
        "country": ["US", "FR"],
    }
    if name in SQUARE_STATUS:
        words["status"] = SQUARE_STATUS[name]
    return Records(document, words)


def _quickbooks(resource: Resource, seed: int) -> Any:
    assert resource.maps is not None
    kinds = QUICKBOOKS_LINES.get(resource.name, ["DescriptionOnly"])
    words = {**QUICKBOOKS_WORDS, "DetailType": [*kinds, "SubTotalLineDetail", "DescriptionOnly"]}
    needed = [*resource.maps.needed_paths, "Id", "CurrencyRef.value", "Line[].Id"]
    needed += ["AccountRef.value"] if resource.name == "Purchase" else []
    made = Records(_quickbooks_document(), words).make(
        resource.name, seed, owned=resource.maps.owned_paths, needed=needed
    )
    return codec(resource.format).parse(canonical(made))


QUICKBOOKS_LINES = {
    "Invoice": ["SalesItemLineDetail"],
    "CreditMemo": ["SalesItemLineDetail"],
    "Bill": ["AccountBasedExpenseLineDetail", "ItemBasedExpenseLineDetail"],
    "VendorCredit": ["AccountBasedExpenseLineDetail", "ItemBasedExpenseLineDetail"],
    "Purchase": ["AccountBasedExpenseLineDetail", "ItemBasedExpenseLineDetail"],
    "JournalEntry": ["JournalEntryLineDetail"],
}
QUICKBOOKS_WORDS: Mapping[str, list[Any]] = {
    "Id": [str(number) for number in range(1, 100_000)],
    "value": ["USD", "EUR", "GBP", "CAD"],
    "TxnType": ["Invoice", "CreditMemo", "Bill"],
    "PrivateNote": ["Voided", "Voided - by hand", "mine"],
    "date": ["2026-03-01", "2019-12-31"],
    "date-time": ["2026-03-01T09:30:00-08:00", "2026-07-01T00:00:00-07:00"],
}


@cache
def _quickbooks_document() -> Any:
    return json.loads(quickbooks.KEPT.read_bytes())


MAKERS: Mapping[str, Callable[[Resource, int], Any]] = {
    "stripe": _stripe,
    "caldav": _caldav,
    "paypal": _paypal,
    "xero": _xero,
    "freshbooks": _freshbooks,
    "square": _square,
    "quickbooks": _quickbooks,
}
