"""What the account holds at the start: the same seed, the same account. No webhook tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from landbridge.testing.paypal import billing, disputes, invoices, payments
from landbridge.testing.paypal.account import Account
from landbridge.testing.paypal.wire import Obj, code_of, money

_CODES = ("USD", "EUR", "JPY", "HUF")
_UNITS = ("MONTH", "YEAR", "WEEK", "DAY")


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much of everything there is."""

    invoices: int = 120
    products: int = 25
    plans: int = 12
    subscriptions: int = 5
    captures: int = 10
    refunds: int = 3
    disputes: int = 4
    movements: int = 60
    """Movements of the balance in the past, two days apart; those of captures come to them."""


def fill(account: Account, amounts: Amounts) -> None:
    """Makes the records, in every status that they can have."""
    products = [
        billing.create_product(account, _product(number), tell=False)
        for number in range(amounts.products)
    ]
    plans = [
        billing.create_plan(
            account,
            products[number % len(products)]["id"],
            f"Plan {number}",
            money(Decimal(5 + number), _CODES[number % 2]),
            _UNITS[number % 4],
        )
        for number in range(amounts.plans if products else 0)
    ]
    for number in range(amounts.subscriptions if plans else 0):
        plan = plans[number % len(plans)]["id"]
        billing.subscribe(account, plan, f"sub{number}@example.com", tell=False)
    for number in range(amounts.invoices):
        _invoice(account, number)
    for number in range(amounts.movements):
        at = account.now() - 2 * 86_400 * (amounts.movements - number)
        gross, fee = money(Decimal(100 + number), "USD"), money(Decimal("-3.20"), "USD")
        ident = code_of(account.rng)
        account.moved("T0006", ident, gross, fee, at=at)
        if number % 10 == 0:  # another event of the same transaction
            account.moved("T1107", ident, money(Decimal(-1), "USD"), None, ident, at=at)
    made = [
        payments.capture(account, Decimal(20 + number), _CODES[number % 3], tell=False)
        for number in range(amounts.captures)
    ]
    for each in made[: amounts.disputes]:
        disputes.open_one(account, each["id"], tell=False)
    for number, each in enumerate(made[: amounts.refunds]):
        part = {"amount": money(Decimal(5), each["amount"]["currency_code"])}
        payments.refund(account, each["id"], part if number else {}, tell=False)


def _product(number: int) -> Obj:
    made = {"name": f"Product {number}", "type": ("SERVICE", "PHYSICAL", "DIGITAL")[number % 3]}
    return {**made, "description": f"What it is, {number}"} if number % 2 else made


def _invoice(account: Account, number: int) -> None:
    code = _CODES[number % 4]
    price = Decimal(account.rng.randrange(100, 99_999))
    unit = money(price if code in ("JPY", "HUF") else price / 100, code)
    item: Obj = {"name": f"Work {number}", "quantity": str(1 + number % 3), "unit_amount": unit}
    if number % 3 == 0:
        item["tax"] = {"name": "VAT", "percent": "20"}
    asked = {
        "detail": {"currency_code": code, "payment_term": {"term_type": "NET_30"}, "note": "Hello"},
        "primary_recipients": [{"billing_info": {"email_address": f"c{number}@example.com"}}],
        "items": [item],
    }
    key = invoices.create(account, asked, tell=False)["id"]
    if number % 5:
        invoices.send(account, key, tell=False)
    if number % 5 == 2:
        invoices.pay(account, key, tell=False)
    elif number % 5 == 3:
        invoices.pay(account, key, Decimal(1), tell=False)
    elif number % 5 == 4 and number % 2:
        invoices.cancel(account, key, tell=False)
