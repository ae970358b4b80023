"""Fills an account with varied objects that agree with each other.

Six currencies (JPY without decimals, KWD with three), invoices in every status, over nothing, with
more lines than an invoice shows, with taxes on top and inside, paid out of band, refunds in part
and in full, customers deleted after they paid. The same seed gives the same account, relative to
the moment it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from landbridge.errors import SettingsError
from landbridge.testing.stripe.catalog import (
    new_customer,
    new_price,
    new_product,
    new_tax_rate,
)
from landbridge.testing.stripe.invoices import (
    new_invoice,
    new_payment,
    number_invoice,
    subscription_parent,
)
from landbridge.testing.stripe.lines import line_of, new_item, new_line, retotal
from landbridge.testing.stripe.payments import (
    declined,
    new_charge,
    new_intent,
    new_refund,
    settle,
)
from landbridge.testing.stripe.world import EVENT_DAYS, KINDS, Obj, World, copied

DAY = 86_400
_CURRENCIES = ("usd", "eur", "gbp", "jpy", "kwd", "chf")
_WEIGHTS = (50, 25, 10, 8, 4, 3)
_SCALE = {"jpy": 100, "kwd": 300}
_FIRST = "Ada Bjørn Chloé Dmitri Emeka Fatima Grace Hiroshi Inés Jürgen Kofi Łucja Mei".split()
_LAST = "Lovelace Ångström O'Brien Müller Okafor 山田 Novák Silva d'Arc Nguyễn Smith".split()
_COUNTRIES = ("US", "DE", "GB", "JP", "KW", "CH", "FR")
_THINGS = "Seat,Storage,Support,Onboarding,Audit,Workshop,Archive,Sandbox,Gateway".split(",")
_INVOICE_STATUS = ("paid", "open", "draft", "void", "uncollectible")
_SUBSCRIPTION_STATUS = (
    "active active active active trialing past_due canceled incomplete incomplete_expired"
    " unpaid paused"
).split()
_INTENT_STATUS = (
    "requires_payment_method requires_confirmation requires_action processing"
    " requires_capture canceled"
).split()


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How many objects to begin with; charges and payments follow from the invoices."""

    customers: int = 60
    products: int = 8
    subscriptions: int = 25
    invoices: int = 120
    refunds: int = 12
    payment_intents: int = 12

    def __post_init__(self) -> None:
        if self.customers == 0 and (self.invoices or self.subscriptions):
            raise SettingsError("customers: 0, but invoices and subscriptions need some")
        if self.products == 0 and (self.invoices or self.subscriptions):
            raise SettingsError("products: 0, but invoices and subscriptions need some")


def fill(world: World, amounts: Amounts) -> None:
    """Makes the objects and, for what is younger than 30 days, their events."""
    seeding = _Seeding(world)
    seeding.tax_rates()
    seeding.products(amounts.products)
    seeding.customers(amounts.customers)
    seeding.subscriptions(amounts.subscriptions)
    seeding.invoices(amounts.invoices)
    seeding.refunds(amounts.refunds)
    seeding.intents(amounts.payment_intents)
    seeding.departed(amounts.customers // 60)
    seeding.events()


class _Seeding:
    def __init__(self, world: World):
        self.world = world
        self.random = world.random
        self.now = world.now()
        self.rates: list[Obj] = []
        self.prices: dict[tuple[str, str], list[Obj]] = {}
        self.by_customer: dict[str, list[Obj]] = {}
        self.happened: list[tuple[int, str, Obj]] = []

    def _add(self, name: str, obj: Obj, event: str | None = None) -> Obj:
        self.world.collections[name].add(obj)
        created = obj["created" if "created" in obj else "date"]
        self.happened.append((created, event or f"{KINDS[name].object}.created", obj))
        return obj

    def _moments(self, count: int, days: int) -> list[int]:
        """Times in the last `days`, oldest first; some of them equal."""
        start = self.now - days * DAY
        return sorted(
            start + self.random.randrange(days * DAY - 7200) // 60 * 60 for _ in range(count)
        )

    def tax_rates(self) -> None:
        for name, percentage, inclusive, country, kind in (
            ("VAT", 20.0, False, "GB", "vat"),
            ("MwSt", 19.0, True, "DE", "vat"),
            ("Sales tax", 8.875, False, "US", "sales_tax"),
        ):
            asked = {
                "display_name": name,
                "percentage": percentage,
                "inclusive": inclusive,
                "country": country,
                "tax_type": kind,
            }
            rate = new_tax_rate(self.world, asked, self.now - 720 * DAY)
            self.rates.append(self._add("tax_rates", rate))

    def products(self, count: int) -> None:
        for index, created in enumerate(self._moments(count, 720)):
            thing = _THINGS[index % len(_THINGS)]
            kind = "recurring" if index % 2 == 0 else "one_time"
            asked: dict[str, Any] = {
                "name": f"{thing} {index + 1}",
                "description": None if index % 3 == 0 else f"{thing} for everyone",
                "active": index % 7 != 6,
                "unit_label": "seat" if kind == "recurring" else None,
                "metadata": {"sku": f"LB-{index:04}"} if index % 2 else {},
            }
            product = self._add("products", new_product(self.world, asked, created))
            for currency in _CURRENCIES:
                price = self._price(product, kind, currency, index)
                self.prices.setdefault((kind, currency), []).append(price)
                product["default_price"] = product["default_price"] or price["id"]
            self._odd_price(product, index)

    def _price(self, product: Obj, kind: str, currency: str, index: int) -> Obj:
        minor = (index % 9 + 1) * 10 * _SCALE.get(currency, 99)
        asked: dict[str, Any] = {
            "currency": currency,
            "product": product["id"],
            "unit_amount": minor,
            "nickname": None if index % 2 else f"{currency.upper()} list price",
            "active": product["active"],
        }
        if kind == "recurring":
            interval = "year" if index % 3 == 2 else "month"
            asked["recurring"] = {"interval": interval, "interval_count": 1 + index // 2 % 2 * 2}
        return self._add("prices", new_price(self.world, asked, product["created"]))

    def _odd_price(self, product: Obj, index: int) -> None:
        """A price below a cent, or in tiers: neither has a whole unit amount."""
        asked = {
            "currency": "usd",
            "product": product["id"],
            "unit_amount_decimal": "0.125",
            "lookup_key": f"metered_{index}",
        }
        price = new_price(self.world, asked, product["created"])
        if index % 2:
            price |= {
                "billing_scheme": "tiered",
                "tiers_mode": "graduated",
                "unit_amount_decimal": None,
                "lookup_key": None,
            }
        self._add("prices", price)

    def customers(self, count: int) -> None:
        for index, created in enumerate(self._moments(count, 700)):
            name = f"{self.random.choice(_FIRST)} {self.random.choice(_LAST)}"
            country = self.random.choice(_COUNTRIES)
            address = {
                "line1": f"{index + 1} Bridge Street",
                "city": "Zürich" if country == "CH" else "Harbour",
                "country": country,
                "postal_code": f"{10_000 + index}",
            }
            asked: dict[str, Any] = {
                "name": None if index % 17 == 16 else name,
                "email": None if index % 11 == 10 else f"customer{index}@example.com",
                "phone": f"+1555{index:07}" if index % 3 == 0 else None,
                "address": address if index % 4 else None,
                "description": f"Account {index}" if index % 5 == 0 else None,
                "metadata": {"crm id": f"C-{index}"} if index % 2 else {},
                "tax_exempt": "reverse" if index % 23 == 22 else "none",
                "preferred_locales": ["de"] if country in {"DE", "CH"} else [],
            }
            if index % 6 == 0:
                asked["shipping"] = {"name": name, "address": address}
            customer = new_customer(self.world, asked, created)
            customer["currency"] = self.random.choices(_CURRENCIES, _WEIGHTS)[0]
            if index % 5:
                method = self.world.new_id("pm")
                customer["invoice_settings"]["default_payment_method"] = method
            self._add("customers", customer)

    def _some_customer(self) -> Obj:
        items = self.world.collections["customers"].items
        if not self.by_customer:
            self.by_customer = {each: [] for each in items}
            self.ids = list(items)
        return items[self.random.choice(self.ids)]

    def subscriptions(self, count: int) -> None:
        for index in range(count):
            customer = self._some_customer()
            latest = max(self.now - customer["created"] - 3600, 1)
            created = customer["created"] + self.random.randrange(latest)
            status = _SUBSCRIPTION_STATUS[index % len(_SUBSCRIPTION_STATUS)]
            subscription = self.world.fresh(
                "subscriptions",
                created=created,
                currency=customer["currency"],
                customer=customer["id"],
                status=status,
                start_date=created,
                billing_cycle_anchor=created,
                default_payment_method=customer["invoice_settings"]["default_payment_method"],
                metadata={"plan": "team"} if index % 2 else {},
            )
            self._fill_subscription(subscription, index)
            self.by_customer[customer["id"]].append(subscription)
            self._add("subscriptions", subscription, "customer.subscription.created")

    def _fill_subscription(self, subscription: Obj, index: int) -> None:
        created, status = subscription["created"], subscription["status"]
        subscription["payment_settings"]["payment_method_options"] = None
        if status == "canceled":
            ended = min(created + 30 * DAY, self.now)
            subscription |= {"canceled_at": ended, "ended_at": ended}
        elif status == "trialing":
            subscription |= {"trial_start": created, "trial_end": self.now + 14 * DAY}
        elif status == "active" and index % 3 == 0:
            subscription |= {"cancel_at_period_end": True, "canceled_at": self.now - 60}
        elif status == "paused":
            subscription["pause_collection"] = {"behavior": "void", "resumes_at": None}
        choices = self.prices["recurring", subscription["currency"]]
        template = subscription["items"]["data"][0]
        subscription["items"] |= {
            "url": f"/v1/subscription_items?subscription={subscription['id']}",
            "data": [
                self._subscription_item(template, subscription, price, index)
                for price in self.random.sample(choices, min(1 + index % 2, len(choices)))
            ],
        }

    def _subscription_item(self, template: Obj, subscription: Obj, price: Obj, index: int) -> Obj:
        since = self.now - subscription["created"]
        start = self.now - since % (30 * DAY)
        item = copied(template) | {
            "id": self.world.new_id("si", 14),
            "billing_thresholds": None,
            "created": subscription["created"],
            "current_period_start": start,
            "current_period_end": start + 30 * DAY,
            "price": copied(price),
            "quantity": 1 + index % 5,
            "subscription": subscription["id"],
        }
        del item["plan"]
        return item

    def invoices(self, count: int) -> None:
        for index, moment in enumerate(self._moments(count, 400)):
            customer = self._some_customer()
            created = max(moment, customer["created"])
            status = self.random.choices(_INVOICE_STATUS, (60, 15, 10, 8, 7))[0]
            invoice = new_invoice(
                self.world, customer, currency=customer["currency"], created=created
            )
            self._occasion(invoice, customer, index)
            self._bill(invoice, index)
            self._add("invoices", invoice)
            if status != "draft":
                self._advance(invoice, status, index)

    def _occasion(self, invoice: Obj, customer: Obj, index: int) -> None:
        """Why there is this invoice: a subscription, or somebody wrote it."""
        invoice["payment_settings"]["payment_method_options"] = None
        if index % 4 == 0:
            invoice["metadata"] = {"order id": f"O-{index}"}
        subscriptions = self.by_customer[customer["id"]]
        if subscriptions and index % 2:
            subscription = self.random.choice(subscriptions)
            invoice |= {
                "billing_reason": "subscription_cycle",
                "parent": subscription_parent(subscription),
                "auto_advance": True,
            }
            subscription["latest_invoice"] = invoice["id"]
        elif index % 3 == 0:
            invoice |= {
                "collection_method": "send_invoice",
                "due_date": invoice["created"] + 30 * DAY,
                "description": "Thank you for your order",
            }

    def _bill(self, invoice: Obj, index: int) -> None:
        count = 12 if index % 40 == 39 else self.random.randint(1, 4)
        rates = [self.rates[index % len(self.rates)]] if index % 5 < 2 else []
        invoice["default_tax_rates"] = [copied(each) for each in rates]
        choices = self.prices["one_time", invoice["currency"]]
        for each in range(count):
            price = self.random.choice(choices)
            quantity = self.random.randint(1, 5)
            free = index % 50 == 49
            charged = {
                "amount": 0 if free else price["unit_amount"] * quantity,
                "currency": invoice["currency"],
                "price": price,
                "quantity": quantity,
                "unit": "0" if free else price["unit_amount_decimal"],
            }
            description = f"{quantity} of item {each + 1}"
            line = self._line(invoice, charged, description, rates)
            invoice["lines"]["data"].append(line)
        retotal(invoice)

    def _line(
        self, invoice: Obj, charged: dict[str, Any], description: str, rates: list[Obj]
    ) -> Obj:
        """A line of a subscription's invoice names its item, any other its invoice item."""
        details = (invoice["parent"] or {}).get("subscription_details")
        if details is None:
            item = new_item(
                self.world,
                {"description": description, "tax_rates": [each["id"] for each in rates]},
                charged,
                customer=invoice["customer"],
                invoice=invoice,
                at=invoice["created"],
            )
            return line_of(self.world, invoice, self._add("invoiceitems", item))
        subscription = self.world.collections["subscriptions"].items[details["subscription"]]
        parent = {
            "invoice_item": None,
            "proration": False,
            "proration_details": None,
            "subscription": subscription["id"],
            "subscription_item": subscription["items"]["data"][0]["id"],
        }
        return new_line(
            self.world,
            invoice,
            amount=charged["amount"],
            description=description,
            rates=rates,
            price=charged["price"],
            quantity=charged["quantity"],
            unit=charged["unit"],
            parent={
                "invoice_item_details": None,
                "subscription_item_details": parent,
                "type": "subscription_item_details",
            },
        )

    def _advance(self, invoice: Obj, status: str, index: int) -> None:
        at = min(invoice["created"] + 3600, self.now)
        number_invoice(self.world, invoice, at)
        self.happened.append((at, "invoice.finalized", invoice))
        later = min(at + self.random.randrange(1, 5 * DAY), self.now)
        if invoice["amount_due"] == 0:
            self._paid(invoice, at)
            return
        intent = new_intent(
            self.world,
            amount=invoice["amount_due"],
            currency=invoice["currency"],
            customer=invoice["customer"],
            created=at,
            description=f"Payment for Invoice {invoice['number']}",
        )
        payment = new_payment(self.world, invoice, intent, created=at)
        self._add("payment_intents", intent)
        self.world.collections["invoice_payments"].add(payment)
        if status == "paid" and index % 10 == 9:
            self._paid(invoice, later)
            invoice["amount_paid_off_stripe"] = invoice["amount_due"]
            self._canceled(payment, intent, later)
        elif status == "paid":
            self._charged(payment, intent, later)
            self._paid(invoice, later)
            invoice["attempt_count"] = 1
        elif status == "open":
            if index % 3 == 0:
                self._declined(invoice, intent, later)
        else:
            self._closed(invoice, status, later)
            if status == "void":
                self._canceled(payment, intent, later)

    def _paid(self, invoice: Obj, at: int) -> None:
        invoice |= {
            "status": "paid",
            "attempted": True,
            "amount_paid": invoice["amount_due"],
            "amount_remaining": 0,
        }
        invoice["status_transitions"]["paid_at"] = at
        self.happened.append((at, "invoice.paid", invoice))

    def _closed(self, invoice: Obj, status: str, at: int) -> None:
        stamp = "voided_at" if status == "void" else "marked_uncollectible_at"
        invoice["status"] = status
        invoice["status_transitions"][stamp] = at
        event = "voided" if status == "void" else "marked_uncollectible"
        self.happened.append((at, f"invoice.{event}", invoice))

    def _canceled(self, payment: Obj, intent: Obj, at: int) -> None:
        payment["status"] = "canceled"
        payment["status_transitions"]["canceled_at"] = at
        intent |= {
            "status": "canceled",
            "canceled_at": at,
            "cancellation_reason": "void_invoice",
        }

    def _charged(self, payment: Obj, intent: Obj, at: int) -> None:
        intent["payment_method"] = self.world.new_id("pm")
        charge = new_charge(self.world, intent, created=at)
        settle(self.world, charge, amount=charge["amount"], type_="charge", created=at)
        intent |= {
            "status": "succeeded",
            "amount_received": intent["amount"],
            "latest_charge": charge["id"],
        }
        payment |= {"status": "paid", "amount_paid": intent["amount"]}
        payment["status_transitions"]["paid_at"] = at
        self._add("charges", charge, "charge.succeeded")

    def _declined(self, invoice: Obj, intent: Obj, at: int) -> None:
        intent["payment_method"] = self.world.new_id("pm")
        charge = new_charge(self.world, intent, created=at, failed=True)
        intent |= {
            "payment_method": None,
            "latest_charge": charge["id"],
            "last_payment_error": declined(),
        }
        invoice |= {"attempted": True, "attempt_count": 1}
        self._add("charges", charge, "charge.failed")

    def refunds(self, count: int) -> None:
        charges = [
            each for each in self.world.collections["charges"].items.values() if each["paid"]
        ]
        for index, charge in enumerate(self.random.sample(charges, min(count, len(charges)))):
            whole = index % 3 == 0
            amount = charge["amount"] if whole else max(charge["amount"] // 30 * 10, 1)
            at = min(charge["created"] + DAY, self.now)
            refund = new_refund(self.world, charge, amount=amount, created=at)
            refund["reason"] = None if index % 2 else "requested_by_customer"
            charge |= {"amount_refunded": amount, "refunded": amount == charge["amount"]}
            self._add("refunds", refund)

    def intents(self, count: int) -> None:
        """Payments without an invoice, not finished or given up."""
        for index, created in enumerate(self._moments(count, 60)):
            status = _INTENT_STATUS[index % len(_INTENT_STATUS)]
            intent = new_intent(
                self.world,
                amount=1_000 + index * 10,
                currency=_CURRENCIES[index % len(_CURRENCIES)],
                customer=None,
                created=created,
                status=status,
                description=None if index % 2 else "Donation",
            )
            if status == "canceled":
                intent |= {"canceled_at": created + 60, "cancellation_reason": "abandoned"}
            if status == "requires_capture":
                intent |= {
                    "amount_capturable": intent["amount"],
                    "capture_method": "manual",
                    "payment_method": self.world.new_id("pm"),
                }
            self._add("payment_intents", intent)

    def departed(self, count: int) -> None:
        """Customers that were deleted later; what they paid stays."""
        customers = self.world.collections["customers"]
        for customer_id in self.random.sample(list(customers.items), count):
            customer = customers.remove(customer_id)
            for subscription in self.by_customer.get(customer_id, []):
                ended = {"canceled_at": self.now - 60, "ended_at": self.now - 60}
                subscription.update(ended, status="canceled")
            self.happened.append((self.now - 60, "customer.deleted", customer))

    def events(self) -> None:
        oldest = self.now - EVENT_DAYS * DAY
        recent = [each for each in self.happened if each[0] >= oldest]
        for at, type_, obj in sorted(recent, key=lambda each: each[0]):
            self.world.event(type_, obj, at=at)
