"""The operations of the simulated API, by method and path."""

from __future__ import annotations

import json
from typing import Any

from landbridge.testing.asgi import Answer, Call, Router, as_json
from landbridge.testing.paypal import billing, disputes, invoices, orders, payments, reporting
from landbridge.testing.paypal.account import Account
from landbridge.testing.paypal.webhooks import Dispatcher
from landbridge.testing.paypal.wire import Obj, empty, link, malformed, missing
from landbridge.wire import Response

_INVOICE = f"{invoices.PATH}/{{id}}"
_PRODUCT = "/v1/catalogs/products/{id}"
_SUMMARY = ("id", "name", "description", "create_time", "links")


class Api:
    """Answers calls that are signed in. `minimal`: new invoices are answered with their link;
    `rows`: how many a range of the report may have."""

    def __init__(self, account: Account, dispatcher: Dispatcher, *, minimal: bool, rows: int):
        self._account = account
        self._dispatcher = dispatcher
        self._minimal = minimal
        self._rows = rows
        self._router = Router()
        for method, path, route in (
            ("GET", invoices.PATH, self._invoices),
            ("POST", invoices.PATH, self._draft),
            ("POST", "/v2/invoicing/search-invoices", self._search),
            ("GET", _INVOICE, self._invoice),
            ("PUT", _INVOICE, self._replace),
            ("DELETE", _INVOICE, self._delete),
            ("POST", f"{_INVOICE}/send", self._send),
            ("POST", f"{_INVOICE}/cancel", self._cancel),
            ("POST", orders.PATH, self._order),
            ("GET", f"{orders.PATH}/{{id}}", self._one("order")),
            ("POST", f"{orders.PATH}/{{id}}/capture", self._capture),
            ("GET", "/v2/payments/captures/{id}", self._one("capture")),
            ("POST", "/v2/payments/captures/{id}/refund", self._refund),
            ("GET", "/v2/payments/refunds/{id}", self._one("refund")),
            ("GET", "/v1/catalogs/products", self._products),
            ("POST", "/v1/catalogs/products", self._new_product),
            ("GET", _PRODUCT, self._one("product")),
            ("PATCH", _PRODUCT, self._patch),
            ("GET", "/v1/billing/plans", self._plans),
            ("GET", "/v1/billing/plans/{id}", self._one("plan")),
            ("POST", "/v1/billing/subscriptions", self._subscribe),
            ("GET", "/v1/billing/subscriptions/{id}", self._one("subscription")),
            ("POST", "/v1/billing/subscriptions/{id}/{how}", self._move),
            ("GET", disputes.PATH, self._disputes),
            ("GET", f"{disputes.PATH}/{{id}}", self._one("dispute")),
            ("GET", reporting.PATH, self._report),
            ("GET", "/v1/payments/payouts/{id}", self._one("payout")),
            ("POST", "/v1/notifications/webhooks", self._register),
            ("GET", "/v1/notifications/webhooks", self._hooks),
        ):
            self._router.add(method, path, route)

    def answer(self, call: Call) -> Response:
        """The answer; a `Problem` says why there is none."""
        found = self._router.find(call.method, call.path)
        if found is None:
            raise missing("path")
        route, _, place = found
        told = route(
            Call(
                method=call.method,
                path=call.path,
                query=call.query,
                headers=call.headers,
                body=call.body,
                place=place,
            )
        )
        assert isinstance(told, Response)
        return told

    def latest(self, before: Response) -> Response:
        """What a repeated call is answered: the record of the first one, as it is now."""
        key = json.loads(before.body or b"{}").get("id")
        for records in self._account.kept.values():
            if key in records:
                return as_json(records[key], before.status)
        return before

    def _one(self, kind: str) -> Any:
        def route(call: Call) -> Answer:
            record = self._account.kept[kind].get(call.place["id"])
            if record is None:
                raise missing("id")
            return as_json(record)

        return route

    def _invoices(self, call: Call) -> Answer:
        return self._page(call, "items", invoices.listed(self._account), most=100)

    def _draft(self, call: Call) -> Answer:
        made = invoices.create(self._account, call.json())
        if self._minimal or call.headers.get("prefer") != "return=representation":
            return as_json(link(self._account.url, f"{invoices.PATH}/{made['id']}"), 201)
        return as_json(made, 201)

    def _search(self, call: Call) -> Answer:
        found = invoices.found(self._account, call.json())
        return self._page(call, "items", found, most=100)

    def _invoice(self, call: Call) -> Answer:
        return as_json(invoices.one(self._account, call.place["id"]))

    def _replace(self, call: Call) -> Answer:
        return as_json(invoices.replace(self._account, call.place["id"], call.json()))

    def _delete(self, call: Call) -> Answer:
        invoices.delete(self._account, call.place["id"])
        return empty()

    def _send(self, call: Call) -> Answer:
        made = invoices.send(self._account, call.place["id"])
        shown = link(self._account.url, f"{invoices.PATH}/{made['id']}")
        return as_json(shown, 202 if made["status"] == "SCHEDULED" else 200)

    def _cancel(self, call: Call) -> Answer:
        invoices.cancel(self._account, call.place["id"])
        return empty()

    def _refund(self, call: Call) -> Answer:
        made = payments.refund(self._account, call.place["id"], call.json())
        return self._shown(call, made)

    def _order(self, call: Call) -> Answer:
        made = orders.create(self._account, call.json(), call.headers.get("paypal-request-id"))
        return self._shown(call, made)

    def _capture(self, call: Call) -> Answer:
        return self._shown(call, orders.capture(self._account, call.place["id"]))

    def _subscribe(self, call: Call) -> Answer:
        return self._shown(call, billing.create_subscription(self._account, call.json()))

    @staticmethod
    def _shown(call: Call, made: Obj) -> Answer:
        """A new record; in short for those who do not ask for more."""
        if call.headers.get("prefer") != "return=representation":
            made = {name: made[name] for name in ("id", "status", "links")}
        return as_json(made, 201)

    def _products(self, call: Call) -> Answer:
        whole = self._account.kept["product"].values()
        short = [{name: each[name] for name in _SUMMARY if name in each} for each in whole]
        return self._page(call, "products", short, most=20)

    def _new_product(self, call: Call) -> Answer:
        return as_json(billing.create_product(self._account, call.json()), 201)

    def _patch(self, call: Call) -> Answer:
        billing.patch_product(self._account, call.place["id"], json.loads(call.body))
        return empty()

    def _plans(self, call: Call) -> Answer:
        plans = [*self._account.kept["plan"].values()]
        if call.headers.get("prefer") != "return=representation":
            shown = ("id", "product_id", "name", "status", "create_time", "links")
            plans = [{name: each[name] for name in shown} for each in plans]
        return self._page(call, "plans", plans, most=20)

    def _move(self, call: Call) -> Answer:
        how = call.place["how"]
        if how not in ("cancel", "suspend", "activate"):
            raise missing("path")
        billing.move(self._account, call.place["id"], how, call.json())
        return empty()

    def _disputes(self, call: Call) -> Answer:
        return as_json(disputes.listed(self._account, call.args()))

    def _report(self, call: Call) -> Answer:
        return as_json(reporting.listed(self._account, call.args(), self._rows))

    def _register(self, call: Call) -> Answer:
        asked = call.json()
        url, types = asked.get("url"), asked.get("event_types")
        if not isinstance(url, str) or not isinstance(types, list):
            raise malformed("/url", "A required field is missing.")
        made = self._dispatcher.register(url, [each["name"] for each in types])
        return as_json(made, 201)

    def _hooks(self, _: Call) -> Answer:
        return as_json({"webhooks": [*self._dispatcher.hooks.values()]})

    def _page(self, call: Call, name: str, records: list[Obj], *, most: int) -> Answer:
        """One page of a list; how many there are is told to those who ask."""
        args = call.args()
        try:
            number, size = int(args.get("page", 1)), int(args.get("page_size", 10))
        except ValueError:
            raise malformed("/page", "A whole number is needed.") from None
        if not 1 <= size <= most or not 1 <= number <= 1000:
            raise malformed("/page_size", f"A page_size of 1 to {most} is needed.")
        shown = records[(number - 1) * size : number * size]
        told: Obj = {name: shown, "links": [link(self._account.url, call.path)]}
        if args.get("total_required") == "true":
            told |= {"total_items": len(records), "total_pages": -(-len(records) // size)}
        return as_json(told)
