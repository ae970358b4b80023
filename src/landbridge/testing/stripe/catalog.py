"""Customers, products, prices, tax rates: what is created and changed field by field."""

from __future__ import annotations

from typing import Any

from landbridge.testing.stripe.problems import Problem, conflict, missing, not_simulated
from landbridge.testing.stripe.world import Obj, World, copied

_SETTABLE = {
    "customer": (
        "address balance business_name description email individual_name invoice_prefix"
        " invoice_settings name next_invoice_sequence phone preferred_locales shipping tax_exempt"
    ).split(),
    "product": (
        "active default_price description images marketing_features name package_dimensions"
        " shippable statement_descriptor tax_code unit_label url"
    ).split(),
    "price": "active lookup_key nickname tax_behavior".split(),
    "tax_rate": (
        "active country description display_name inclusive jurisdiction percentage state tax_type"
    ).split(),
    "invoice": (
        "account_tax_ids auto_advance automatically_finalizes_at collection_method custom_fields"
        " default_payment_method default_source description due_date effective_at footer issuer"
        " number statement_descriptor"
    ).split(),
    "refund": [],
    "checkout.session": "cancel_url client_reference_id customer_email success_url".split(),
    "subscription": ("collection_method days_until_due default_payment_method description").split(),
}
_EMPTY: dict[str, Any] = {
    "images": [],
    "marketing_features": [],
    "preferred_locales": [],
    "tax_exempt": "none",
    "account_tax_ids": None,
}
_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
_SHIPPING = dict.fromkeys(("address", "carrier", "name", "phone", "tracking_number"))


def put(obj: Obj, params: dict[str, Any]) -> None:
    """Writes parameters of the same name into the object; an unset one becomes null or empty."""
    settable = _SETTABLE[obj["object"]]
    for name, value in params.items():
        if name == "expand":
            continue
        if name == "metadata":
            obj["metadata"] = merged(obj["metadata"], value)
        elif name not in settable:
            raise not_simulated(name)
        elif value is None:
            _unset(obj, name)
        elif name == "address":
            obj[name] = _ADDRESS | (obj[name] or {}) | value
        elif name == "shipping":
            address = _ADDRESS | value.get("address", {})
            obj[name] = _SHIPPING | (obj[name] or {}) | value | {"address": address}
        elif isinstance(value, dict) and isinstance(obj.get(name), dict):
            obj[name] = obj[name] | value
        else:
            obj[name] = value


def _unset(obj: Obj, name: str) -> None:
    if name in {"business_name", "individual_name"}:
        obj.pop(name, None)
    elif name == "name" and obj["object"] == "product":
        message = "You passed an empty string for 'name', which cannot be unset."
        raise Problem(message, code="parameter_invalid_empty", param="name")
    else:
        obj[name] = _EMPTY.get(name)


def merged(metadata: dict[str, str], changes: dict[str, str] | None) -> dict[str, str]:
    """Metadata after an update: keys are added or replaced, an empty value removes its key."""
    if changes is None:
        return {}
    return {key: value for key, value in (metadata | changes).items() if value != ""}


def new_customer(world: World, params: dict[str, Any], created: int) -> Obj:
    """A customer, not yet added."""
    prefix = world.letters(8).upper()
    customer = world.fresh("customers", created=created, currency=None, invoice_prefix=prefix)
    put(customer, params)
    return customer


def create_customer(world: World, params: dict[str, Any]) -> Obj:
    """POST /v1/customers."""
    return world.add("customers", new_customer(world, params, world.now()))


def delete_customer(world: World, customer_id: str) -> Obj:
    """DELETE /v1/customers/{customer}: cancels the customer's subscriptions too."""
    customer = world.get("customers", customer_id)
    for subscription in list(world.collections["subscriptions"].items.values()):
        if subscription["customer"] == customer_id and subscription["status"] != "canceled":
            cancel_subscription(world, subscription)
    world.collections["customers"].remove(customer_id)
    world.event("customer.deleted", customer)
    return {"id": customer_id, "object": "customer", "deleted": True}


def cancel_subscription(world: World, subscription: Obj) -> None:
    """Ends a subscription now."""
    now = world.now()
    subscription |= {"status": "canceled", "canceled_at": now, "ended_at": now}
    world.event("customer.subscription.deleted", subscription)


def new_product(world: World, params: dict[str, Any], created: int) -> Obj:
    """A product, not yet added. The caller may choose its id, as with the real service."""
    params = dict(params)
    chosen = params.pop("id", None)
    product = world.fresh(
        "products",
        created=created,
        updated=created,
        description=None,
        active=True,
        default_price=None,
        name=params["name"],
    )
    if chosen is not None:
        if world.collections["products"].knows(chosen):
            raise Problem(
                f"Product already exists. {chosen}", code="resource_already_exists", param="id"
            )
        product["id"] = chosen
    put(product, params)
    return product


def create_product(world: World, params: dict[str, Any]) -> Obj:
    """POST /v1/products, with `default_price_data` also a first price."""
    params = dict(params)
    price_data = params.pop("default_price_data", None)
    product = world.add("products", new_product(world, params, world.now()))
    if price_data is not None:
        price = create_price(world, {**price_data, "product": product["id"]})
        with world.changing(product, "product.updated"):
            product["default_price"] = price["id"]
    return product


def delete_product(world: World, product_id: str) -> Obj:
    """DELETE /v1/products/{id}; refused while it has prices."""
    product = world.get("products", product_id)
    prices = world.collections["prices"].items.values()
    if any(price["product"] == product_id for price in prices):
        message = "This product cannot be deleted because it has one or more user-created prices."
        raise conflict(message)
    world.collections["products"].remove(product_id)
    world.event("product.deleted", product)
    return {"id": product_id, "object": "product", "deleted": True}


def new_price(world: World, params: dict[str, Any], created: int) -> Obj:
    """A price of an existing product, not yet added."""
    params = dict(params)
    currency, product = params.pop("currency"), params.pop("product")
    minor, exact = params.pop("unit_amount", None), params.pop("unit_amount_decimal", None)
    recurring = params.pop("recurring", None)
    if (minor is None) == (exact is None):
        message = "Provide exactly one of unit_amount and unit_amount_decimal."
        raise Problem(message, code="parameter_missing", param="unit_amount")
    exact = str(minor) if exact is None else exact
    price = world.fresh(
        "prices",
        created=created,
        currency=currency,
        product=product,
        unit_amount=int(exact) if exact.isdigit() else None,
        unit_amount_decimal=exact,
        type="one_time" if recurring is None else "recurring",
        recurring=_recurring(recurring),
    )
    put(price, params)
    return price


def _recurring(asked: dict[str, Any] | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    shown = {key: value for key, value in asked.items() if key != "trial_period_days"}
    return {"interval_count": 1, "meter": None, "usage_type": "licensed"} | shown


def create_price(world: World, params: dict[str, Any]) -> Obj:
    """POST /v1/prices, for a product or with `product_data` for a new one."""
    params = dict(params)
    product_data = params.pop("product_data", None)
    if product_data is not None:
        params["product"] = create_product(world, product_data)["id"]
    if params.get("product") is None:
        raise missing("product")
    world.get("products", params["product"], "product", status=400)
    return world.add("prices", new_price(world, params, world.now()))


def new_tax_rate(world: World, params: dict[str, Any], created: int) -> Obj:
    """A tax rate in percent, not yet added."""
    rate = world.fresh(
        "tax_rates",
        created=created,
        percentage=params["percentage"],
        effective_percentage=params["percentage"],
    )
    put(rate, {"country": None, "jurisdiction": None, "description": None, **params})
    return rate


def create_tax_rate(world: World, params: dict[str, Any]) -> Obj:
    """POST /v1/tax_rates."""
    return world.add("tax_rates", new_tax_rate(world, params, world.now()))


def update(world: World, name: str, object_id: str, params: dict[str, Any]) -> Obj:
    """POST /v1/{collection}/{id}: an event with the former values, if anything changed."""
    obj = world.get(name, object_id)
    tried = copied(obj)
    put(tried, params)
    with world.changing(obj, f"{obj['object']}.updated"):
        obj.clear()
        obj.update(tried)
    return obj
