"""Seeds what an account sells and to whom: products, prices, customers, subscriptions."""

from __future__ import annotations

from typing import Any

from landbridge.testing.stripe.catalog import (
    new_customer,
    new_price,
    new_product,
    new_tax_rate,
)
from landbridge.testing.stripe.seed_ground import CURRENCIES, DAY, Ground
from landbridge.testing.stripe.world import Obj, copied

_WEIGHTS = (50, 25, 10, 8, 4, 3)
_SCALE = {"jpy": 100, "kwd": 300}
_FIRST = "Ada Bjørn Chloé Dmitri Emeka Fatima Grace Hiroshi Inés Jürgen Kofi Łucja Mei".split()
_LAST = "Lovelace Ångström O'Brien Müller Okafor 山田 Novák Silva d'Arc Nguyễn Smith".split()
_COUNTRIES = ("US", "DE", "GB", "JP", "KW", "CH", "FR")
_THINGS = "Seat,Storage,Support,Onboarding,Audit,Workshop,Archive,Sandbox,Gateway".split(",")
_SUBSCRIPTION_STATUS = (
    "active active active active trialing past_due canceled incomplete incomplete_expired"
    " unpaid paused"
).split()


def tax_rates(ground: Ground) -> None:
    """Three: on top, inside, and with decimals."""
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
        rate = new_tax_rate(ground.world, asked, ground.now - 720 * DAY)
        ground.rates.append(ground.add("tax_rates", rate))


def products(ground: Ground, count: int) -> None:
    """Products with a price in every currency, and an odd one."""
    for index, created in enumerate(ground.moments(count, 720)):
        thing = _THINGS[index % len(_THINGS)]
        kind = "recurring" if index % 2 == 0 else "one_time"
        asked: dict[str, Any] = {
            "name": f"{thing} {index + 1}",
            "description": None if index % 3 == 0 else f"{thing} for everyone",
            "active": index % 7 != 6,
            "unit_label": "seat" if kind == "recurring" else None,
            "metadata": {"sku": f"LB-{index:04}"} if index % 2 else {},
        }
        product = ground.add("products", new_product(ground.world, asked, created))
        for currency in CURRENCIES:
            price = _price(ground, product, kind, currency, index)
            ground.prices.setdefault((kind, currency), []).append(price)
            product["default_price"] = product["default_price"] or price["id"]
        _odd_price(ground, product, index)


def _price(ground: Ground, product: Obj, kind: str, currency: str, index: int) -> Obj:
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
    return ground.add("prices", new_price(ground.world, asked, product["created"]))


def _odd_price(ground: Ground, product: Obj, index: int) -> None:
    """A price below a cent, or in tiers: neither has a whole unit amount."""
    asked = {
        "currency": "usd",
        "product": product["id"],
        "unit_amount_decimal": "0.125",
        "lookup_key": f"metered_{index}",
    }
    price = new_price(ground.world, asked, product["created"])
    if index % 2:
        price |= {
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "unit_amount_decimal": None,
            "lookup_key": None,
        }
    ground.add("prices", price)


def customers(ground: Ground, count: int) -> None:
    """Customers with all, some or hardly any of their fields."""
    for index, created in enumerate(ground.moments(count, 700)):
        name = f"{ground.random.choice(_FIRST)} {ground.random.choice(_LAST)}"
        country = ground.random.choice(_COUNTRIES)
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
        customer = new_customer(ground.world, asked, created)
        customer["currency"] = ground.random.choices(CURRENCIES, _WEIGHTS)[0]
        if index % 5:
            method = ground.world.new_id("pm")
            customer["invoice_settings"]["default_payment_method"] = method
        ground.add("customers", customer)
        ground.customers.append(customer["id"])


def subscriptions(ground: Ground, count: int) -> None:
    """Subscriptions in every status."""
    for index in range(count):
        customer = ground.some_customer()
        latest = max(ground.now - customer["created"] - 3600, 1)
        created = customer["created"] + ground.random.randrange(latest)
        status = _SUBSCRIPTION_STATUS[index % len(_SUBSCRIPTION_STATUS)]
        subscription = ground.world.fresh(
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
        _fill_subscription(ground, subscription, index)
        ground.by_customer.setdefault(customer["id"], []).append(subscription)
        ground.add("subscriptions", subscription, "customer.subscription.created")


def _fill_subscription(ground: Ground, subscription: Obj, index: int) -> None:
    created, status = subscription["created"], subscription["status"]
    subscription["payment_settings"]["payment_method_options"] = None
    if status == "canceled":
        ended = min(created + 30 * DAY, ground.now)
        subscription |= {"canceled_at": ended, "ended_at": ended}
    elif status == "trialing":
        subscription |= {"trial_start": created, "trial_end": ground.now + 14 * DAY}
    elif status == "active" and index % 3 == 0:
        subscription |= {"cancel_at_period_end": True, "canceled_at": ground.now - 60}
    elif status == "paused":
        subscription["pause_collection"] = {"behavior": "void", "resumes_at": None}
    choices = ground.prices["recurring", subscription["currency"]]
    template = subscription["items"]["data"][0]
    subscription["items"] |= {
        "url": f"/v1/subscription_items?subscription={subscription['id']}",
        "data": [
            _subscription_item(ground, template, subscription, price, index)
            for price in ground.random.sample(choices, min(1 + index % 2, len(choices)))
        ],
    }


def _subscription_item(
    ground: Ground, template: Obj, subscription: Obj, price: Obj, index: int
) -> Obj:
    since = ground.now - subscription["created"]
    start = ground.now - since % (30 * DAY)
    item = copied(template) | {
        "id": ground.world.new_id("si", 14),
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
