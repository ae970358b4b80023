"""The operations of the simulated API, by the names that the vendor's spec gives their paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from landbridge.testing.stripe import (
    catalog,
    checkout,
    disputes,
    invoices,
    lines,
    payments,
    subscriptions,
)
from landbridge.testing.stripe.listing import listed, listed_items, listed_lines, presented
from landbridge.testing.stripe.problems import Problem, conflict
from landbridge.testing.stripe.vendor import plain
from landbridge.testing.stripe.webhooks import Dispatcher
from landbridge.testing.stripe.world import KINDS, Obj, World, deleted

Params = dict[str, Any]
Operation = Callable[[str, Params], Obj]
"""What an operation does with the id in its path (empty: there is none) and its parameters."""

PLACES = {
    "balance_transactions": "id",
    "charges": "charge",
    "checkout_sessions": "session",
    "customers": "customer",
    "disputes": "dispute",
    "events": "id",
    "invoice_payments": "invoice_payment",
    "invoiceitems": "invoiceitem",
    "invoices": "invoice",
    "payment_intents": "intent",
    "payouts": "payout",
    "prices": "price",
    "products": "id",
    "refunds": "refund",
    "subscriptions": "subscription_exposed_id",
    "tax_rates": "tax_rate",
    "webhook_endpoints": "webhook_endpoint",
}
_MOST_ENDPOINTS = 16


def operations(world: World, dispatcher: Dispatcher) -> dict[str, Operation]:
    """Every operation by `METHOD /path/{name}`."""
    table: dict[str, Operation] = {
        "GET /v1/account": lambda _, __: world.account,
        "GET /v1/balance": lambda _, __: plain("balance"),
    }
    for name, place in PLACES.items():
        path = KINDS[name].path or name
        table[f"GET /v1/{path}"] = _list(world, name)
        table[f"GET /v1/{path}/{{{place}}}"] = _retrieve(world, name)
    for name, create in creators(world, dispatcher).items():
        table[f"POST /v1/{KINDS[name].path or name}"] = _creating(create)
    for name in ("customers", "products", "prices", "refunds"):
        table[f"POST /v1/{name}/{{{PLACES[name]}}}"] = _updating(world, name)
    table |= _deletes(world, dispatcher) | _invoice_steps(world)
    return table | _subscription_steps(world) | _session_steps(world)


def creators(world: World, dispatcher: Dispatcher) -> dict[str, Callable[[Params], Obj]]:
    """By collection, what creates an object from its parameters."""
    return {
        "checkout_sessions": lambda params: checkout.create_session(world, params),
        "customers": lambda params: catalog.create_customer(world, params),
        "invoiceitems": lambda params: lines.create_item(world, params),
        "invoices": lambda params: invoices.create_invoice(world, params),
        "prices": lambda params: catalog.create_price(world, params),
        "products": lambda params: catalog.create_product(world, params),
        "refunds": lambda params: payments.create_refund(world, params),
        "subscriptions": lambda params: subscriptions.create_subscription(world, params),
        "tax_rates": lambda params: catalog.create_tax_rate(world, params),
        "webhook_endpoints": lambda params: create_endpoint(world, dispatcher, params),
    }


def others_creators(world: World) -> dict[str, Callable[[Params], Obj]]:
    """By collection, what makes an object that no call of the API makes."""
    return {
        "disputes": lambda params: disputes.dispute(world, params),
        "payouts": lambda params: disputes.pay_out(world, params),
    }


def _subscription_steps(world: World) -> dict[str, Operation]:
    one = "/v1/subscriptions/{subscription_exposed_id}"
    return {
        f"POST {one}": lambda id_, params: subscriptions.update_subscription(world, id_, params),
        f"DELETE {one}": lambda id_, _: subscriptions.cancel(world, id_),
    }


def _session_steps(world: World) -> dict[str, Operation]:
    one = "/v1/checkout/sessions/{session}"

    def items(session_id: str, params: Params) -> Obj:
        return listed_items(world, world.get("checkout_sessions", session_id), params)

    return {
        f"POST {one}": lambda id_, params: checkout.update_session(world, id_, params),
        f"POST {one}/expire": lambda id_, _: checkout.expire(world, id_),
        f"GET {one}/line_items": items,
    }


def _deletes(world: World, dispatcher: Dispatcher) -> dict[str, Operation]:
    return {
        "DELETE /v1/customers/{customer}": lambda id_, _: catalog.delete_customer(world, id_),
        "DELETE /v1/products/{id}": lambda id_, _: catalog.delete_product(world, id_),
        "DELETE /v1/invoices/{invoice}": lambda id_, _: invoices.delete_invoice(world, id_),
        "DELETE /v1/invoiceitems/{invoiceitem}": lambda id_, _: lines.delete_item(world, id_),
        "DELETE /v1/webhook_endpoints/{webhook_endpoint}": lambda id_, _: delete_endpoint(
            world, dispatcher, id_
        ),
    }


def _invoice_steps(world: World) -> dict[str, Operation]:
    one = "/v1/invoices/{invoice}"
    return {
        f"POST {one}": lambda id_, params: invoices.update_invoice(world, id_, params),
        f"GET {one}/lines": lambda id_, params: listed_lines(world.get("invoices", id_), params),
        f"POST {one}/add_lines": lambda id_, params: lines.add_lines(world, id_, params),
        f"POST {one}/finalize": lambda id_, params: invoices.finalize(world, id_, params),
        f"POST {one}/pay": lambda id_, params: invoices.pay(world, id_, params),
        f"POST {one}/send": lambda id_, _: invoices.send(world, id_),
        f"POST {one}/void": lambda id_, _: invoices.void(world, id_),
        f"POST {one}/mark_uncollectible": lambda id_, _: invoices.mark_uncollectible(world, id_),
    }


def _list(world: World, name: str) -> Operation:
    return lambda _, params: listed(world, name, params)


def _retrieve(world: World, name: str) -> Operation:
    def retrieve(object_id: str, _: Params) -> Obj:
        collection = world.collections[name]
        if object_id in collection.gone and collection.kind.keeps_deleted:
            return deleted(collection.kind, object_id)
        return presented(world.get(name, object_id))

    return retrieve


def _creating(create: Callable[[Params], Obj]) -> Operation:
    return lambda _, params: create(params)


def _updating(world: World, name: str) -> Operation:
    return lambda object_id, params: catalog.update(world, name, object_id, params)


def create_endpoint(
    world: World, dispatcher: Dispatcher, params: Params, secret: str | None = None
) -> Obj:
    """POST /v1/webhook_endpoints: the answer alone shows the secret."""
    collection = world.collections["webhook_endpoints"]
    if len(collection.items) >= _MOST_ENDPOINTS:
        raise conflict(f"You have reached the maximum of {_MOST_ENDPOINTS} webhook endpoints.")
    if not str(params["url"]).startswith(("http://", "https://")):
        message = "Invalid URL: An explicit scheme (such as https) must be provided."
        raise Problem(message, code="url_invalid", param="url")
    endpoint = world.fresh(
        "webhook_endpoints",
        created=world.now(),
        url=params["url"],
        enabled_events=params["enabled_events"],
        description=params.get("description"),
        api_version=params.get("api_version"),
        metadata=params.get("metadata") or {},
        status="enabled",
    )
    collection.add(endpoint)
    secret = secret or f"whsec_{world.letters(32)}"
    dispatcher.register(endpoint, secret)
    return endpoint | {"secret": secret}


def delete_endpoint(world: World, dispatcher: Dispatcher, endpoint_id: str) -> Obj:
    """DELETE /v1/webhook_endpoints/{webhook_endpoint}: what is queued for it is dropped."""
    world.get("webhook_endpoints", endpoint_id)
    world.collections["webhook_endpoints"].remove(endpoint_id)
    del dispatcher.secrets[endpoint_id]
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}
