"""The simulator as an ASGI application: sign-in, the API, idempotency, faults, and the journal.

Addresses: `/oauth2/authorize`, `/oauth2/token`, `/oauth2/revoke`, and the API below `/v2`. What
happens behind the API's back is in `control`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from landbridge.testing.asgi import Answer, App, BadCall, Call, application, as_json
from landbridge.testing.conduct import Conduct
from landbridge.testing.faults import Fault, Spoiler
from landbridge.testing.square import selling
from landbridge.testing.square.control import ControlPlane
from landbridge.testing.square.identity import Identity
from landbridge.testing.square.listing import NAMES, listed
from landbridge.testing.square.seed import Amounts, fill, vendor
from landbridge.testing.square.shop import CATALOGUE, Shop
from landbridge.testing.square.webhooks import Dispatcher
from landbridge.testing.square.wire import Obj, Refused, not_found
from landbridge.testing.stage import Stage
from landbridge.wire import Response

VERSION = "2025-08-20"
_FAMILIES = {
    "merchants": "MERCHANT_PROFILE",
    "locations": "MERCHANT_PROFILE",
    "customers": "CUSTOMERS",
    "catalog": "ITEMS",
    "subscriptions": "SUBSCRIPTIONS",
    "orders": "ORDERS",
    "online-checkout": "ORDERS",
    "invoices": "INVOICES",
    "payments": "PAYMENTS",
    "refunds": "PAYMENTS",
    "disputes": "DISPUTES",
    "payouts": "PAYOUTS",
}
_APART = ("merchants", "locations", "catalog", "online-checkout")
_ONE = {name: name[:-1] for name in _FAMILIES if name not in _APART}
_ALSO = {
    "online-checkout": ["ORDERS_READ", "PAYMENTS_WRITE"],
    "invoices": ["ORDERS_WRITE"],
    "subscriptions": "CUSTOMERS_READ PAYMENTS_WRITE ITEMS_READ ORDERS_WRITE INVOICES_WRITE".split(),
}
"""What writing takes beside the scope of its own."""
_KEY = 45
"""Letters that the idempotency key of a refund may have."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a simulator starts. `base` tells the time in unix seconds (None: the real one)."""

    seed: int = 0
    amounts: Amounts = field(default_factory=Amounts)
    conduct: Conduct = field(default_factory=Conduct)
    """How it behaves badly, whoever calls."""
    journal: Path | None = None
    base: Callable[[], float] | None = None


def places(url: str) -> dict[str, str]:
    """The settings of a connection that lead to a simulator at this address."""
    return {
        "base": url,
        "authorize": f"{url}/oauth2/authorize",
        "token": f"{url}/oauth2/token",
        "revoke": f"{url}/oauth2/revoke",
    }


class Simulator:
    """One app with its OAuth server, and the merchant who can connect it."""

    def __init__(self, settings: Settings | None = None):
        self.settings = settings = settings or Settings()
        self.stage = Stage(journal=settings.journal, base=settings.base, conduct=settings.conduct)
        rng = Random(settings.seed)  # noqa: S311 - the same seed, the same world
        self.shop = Shop(merchant=dict(vendor()["merchant"]), rng=rng, now=self.stage.clock.now)
        fill(self.shop, settings.amounts)
        self.dispatcher = Dispatcher(stage=self.stage)
        self.shop.on_event = self.dispatcher.tell
        families = {*_FAMILIES.values(), "ORDERS"}
        scopes = {f"{one}_{word}" for one in families for word in ("READ", "WRITE")}
        self.identity = Identity(
            rng=rng,
            now=self.stage.clock.now,
            merchant=self.shop.merchant["id"],
            scopes=frozenset(scopes),
            conduct=settings.conduct,
        )
        self._keys: dict[tuple[str, str], tuple[Obj, Response]] = {}
        self._spoiler = Spoiler(failure=_failure, emptied=_emptied)
        ControlPlane(self.stage, self.shop, self.identity, self.dispatcher)
        self.app: App = application(self._answer, self.dispatcher.running)

    async def _answer(self, call: Call) -> Answer:
        controlled = await self.stage.controlled(call)
        if controlled is not None:
            return controlled
        fault = self.stage.fault(call.method, call.path)
        outcome = await self._spoiler.carried_out(fault, lambda: self._done(call))
        answer = outcome.answer
        self.stage.note(
            call,
            answer,
            fault,
            idempotency_key=_read(call).get("idempotency_key"),
        )
        if not isinstance(answer, Response):
            return answer
        return self.stage.dated(answer, {"Square-Version": VERSION})

    def _done(self, call: Call) -> Response:
        """The answer to a call, once it is done."""
        try:
            if call.path.startswith("/oauth2/"):
                return self._identity(call)
            return self._api(call)
        except Refused as refusal:
            return refusal.answer()
        except BadCall as error:
            return Refused(400, "EXPECTED_JSON_BODY", str(error)).answer()

    def _identity(self, call: Call) -> Response:
        match call.method, call.path:
            case "GET", "/oauth2/authorize":
                return self.identity.authorize(call)
            case "POST", "/oauth2/token":
                return self.identity.token(call)
            case "POST", "/oauth2/revoke":
                return self.identity.revoke(call)
        raise Refused(404, "NOT_FOUND", "Resource not found.")

    def _api(self, call: Call) -> Response:
        _, version, name, *rest = [*call.path.split("/"), "", ""]
        if version != "v2" or name not in _FAMILIES:
            raise Refused(404, "NOT_FOUND", "Resource not found.")
        key = "/".join(part for part in rest if part)
        reads = call.method == "GET" or key == "search"
        needs = [f"{_FAMILIES[name]}_{'READ' if reads else 'WRITE'}"]
        for scope in needs if reads or key.endswith("/cancel") else [*needs, *_ALSO.get(name, ())]:
            self.identity.grant_of(call, scope)
        if call.path in NAMES and reads:
            asked: Obj = call.args() if call.method == "GET" else call.json()
            return as_json(listed(self.shop, call.path, asked))
        if call.method == "GET" and key:
            return as_json(self._shown(name, key))
        if name == "invoices":
            return self._invoice(call, *key.split("/"))
        if name in ("orders", "online-checkout", "subscriptions"):
            return self._sell(call, name, key)
        return self._write(call, name, key)

    def _write(self, call: Call, name: str, key: str) -> Response:
        """A customer or a refund as it was written."""
        match call.method, name, key:
            case "POST", "customers", "":
                return self._once(
                    call, "customer", lambda sent: self.shop.write_customer(None, sent)
                )
            case "PUT", "customers", _:
                return as_json({"customer": self.shop.write_customer(key, call.json())})
            case "DELETE", "customers", _:
                self.shop.delete("customer", key)
                return as_json({})
            case "POST", "refunds", "":
                return self._once(call, "refund", self._refund)
        raise Refused(405, "METHOD_NOT_ALLOWED", "Method not allowed.")

    def _sell(self, call: Call, name: str, key: str) -> Response:
        """An order, a payment link or a subscription as it was made or called off."""
        match call.method, name, key:
            case "POST", "orders", "":
                return self._once(call, "order", self._order)
            case "POST", "subscriptions", "":
                return self._once(call, "subscription", partial(selling.subscribe, self.shop))
            case "POST", "subscriptions", _ if key.endswith("/cancel"):
                held = selling.cancel_subscription(self.shop, key.removesuffix("/cancel"))
                return as_json({"subscription": held})
            case "POST", "online-checkout", "payment-links":
                return self._once(call, "payment_link", partial(selling.create_link, self.shop))
            case "DELETE", "online-checkout", _:
                return as_json(selling.delete_link(self.shop, key.removeprefix("payment-links/")))
        raise Refused(405, "METHOD_NOT_ALLOWED", "Method not allowed.")

    def _invoice(self, call: Call, key: str, step: str = "") -> Response:
        """An invoice as it was made, changed, published or canceled; or a draft that is deleted."""
        match call.method, step:
            case "POST", "" if not key:
                return self._once(call, "invoice", partial(selling.create_invoice, self.shop))
            case "PUT", "":
                return as_json({"invoice": self.shop.write_invoice(key, call.json())})
            case "DELETE", "":
                self.shop.delete_invoice(key)
                return as_json({})
            case "POST", "publish":
                return self._once(call, "invoice", lambda sent: self.shop.publish(key, sent))
            case "POST", "cancel":
                if set(call.json()) - {"version"}:
                    raise Refused(400, "BAD_REQUEST", "Only the version is taken.")
                return as_json({"invoice": self.shop.cancel(key, call.json())})
        raise Refused(405, "METHOD_NOT_ALLOWED", "Method not allowed.")

    def _shown(self, name: str, key: str) -> Obj:
        """One record by itself."""
        if name == "merchants" and key in ("me", self.shop.merchant["id"]):
            return {"merchant": self.shop.merchant}
        if name == "catalog":
            key = key.removeprefix("object/")
            for kind in sorted(CATALOGUE):
                found = self.shop.kept[kind].get(key)
                if found is not None and not found["is_deleted"]:
                    return {"object": found}
        if name == "online-checkout":
            link = self.shop.one("payment_link", key.removeprefix("payment-links/"))
            return {"payment_link": link}
        if name not in _ONE:
            raise not_found(name, key)
        return {_ONE[name]: self.shop.one(_ONE[name], key)}

    def _order(self, sent: Obj) -> Obj:
        return selling.create_order(self.shop, selling.demanded(sent, "order"))

    def _refund(self, sent: Obj) -> Obj:
        key = str(sent.get("idempotency_key") or "")
        if not key:
            detail = "Missing required parameter."
            raise Refused(400, "MISSING_REQUIRED_PARAMETER", detail, "idempotency_key")
        if len(key) > _KEY:
            detail = f"Must not be longer than {_KEY} characters."
            raise Refused(400, "VALUE_TOO_LONG", detail, "idempotency_key")
        return self.shop.refund(sent)

    def _once(self, call: Call, name: str, work: Callable[[Obj], Obj]) -> Response:
        """What is made, or what was made by the same key; kept also where its answer was lost."""
        sent = call.json()
        key = str(sent.get("idempotency_key") or "")
        kept = self._keys.get((call.path, key)) if key else None
        if kept is not None:
            if kept[0] != sent:
                detail = "The idempotency key was used with other parameters."
                raise Refused(400, "IDEMPOTENCY_KEY_REUSED", detail, "idempotency_key")
            return kept[1]
        answer = as_json({name: work(copy.deepcopy(sent))})
        if key:
            self._keys[call.path, key] = sent, answer
        return answer


def _read(call: Call) -> dict[str, Any]:
    try:
        return call.json()
    except BadCall:
        return {}


def _failure(fault: Fault) -> Response:
    code = {429: "RATE_LIMITED", 500: "INTERNAL_SERVER_ERROR", 503: "SERVICE_UNAVAILABLE"}
    refusal = Refused(fault.status, code.get(fault.status, "BAD_REQUEST"), "ordered by a test")
    answer = refusal.answer()
    return replace(answer, headers=answer.headers.having(fault.headers))


def _emptied(page: Response) -> Response:
    """A list without its records, and without more of them; anything else as it is."""
    read: dict[str, Any] = json.loads(page.body)
    lists = [name for name, value in read.items() if isinstance(value, list)]
    if page.status != 200 or not lists:
        return page
    bare = {name: each for name, each in read.items() if name not in (*lists, "cursor")}
    return replace(page, body=json.dumps(bare).encode())
