"""What a test or a demonstration does behind the API's back, under `/_sim/`.

| call | does |
|---|---|
| `GET /_sim/merchant` | the merchant, with its locations |
| `GET /_sim/objects/{kind}` | all records of a kind |
| `PATCH /_sim/objects/{kind}/{id}[?event=false]` | `{"set": {..}, "unset": [..]}` |
| `DELETE /_sim/objects/{kind}/{id}` | the seller deletes it |
| `POST /_sim/invoices/{id}/pay`, `POST /_sim/refunds/settle` | as the customer, and the bank |
| `POST /_sim/payment_links/{id}/pay` | the customer pays on that page |
| `POST /_sim/subscriptions/{id}/end` | the day of the end has come |
| `POST /_sim/churn {"count": 50, "seed": 1}` | ordinary changes; which |
| `POST /_sim/consent {"mode": "allow"}` | what the seller will do: `allow` or `deny` |
| `POST /_sim/tokens/expire`, `POST /_sim/tokens/revoke` | access tokens, or all access, end |
| `GET /_sim/grants` | grants with counts of tokens, never the tokens |
| `GET /_sim/webhooks` | address, mode, tries still waiting |
| `POST /_sim/webhooks/register {"url": "..", "key": ".."}` | where events go, and how signed |
| `POST /_sim/webhooks/mode {"mode": "send"}`, `.../release {"times": 2}`, `.../forge` | |

Beside these there is what every simulator has (`stage`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random

from landbridge.testing.asgi import Answer, BadCall, Call, as_json
from landbridge.testing.planes import GrantCalls, WebhookCalls
from landbridge.testing.square import selling
from landbridge.testing.square.identity import Identity
from landbridge.testing.square.seed import example
from landbridge.testing.square.shop import KINDS, Shop
from landbridge.testing.square.webhooks import Dispatcher
from landbridge.testing.square.wire import Obj, Refused
from landbridge.testing.stage import Stage, among, whole


class ControlPlane(GrantCalls[Identity], WebhookCalls[Dispatcher]):
    """The routes of the table above, added to the stage's."""

    def __init__(self, stage: Stage, shop: Shop, identity: Identity, dispatcher: Dispatcher):
        self._shop = shop
        self._identity = identity
        self._dispatcher = dispatcher
        for method, path, route in (
            ("GET", "/_sim/merchant", self._merchant),
            ("GET", "/_sim/objects/{kind}", self._objects),
            ("PATCH", "/_sim/objects/{kind}/{id}", self._patch),
            ("DELETE", "/_sim/objects/{kind}/{id}", self._delete),
            ("POST", "/_sim/invoices/{id}/pay", self._pay),
            ("POST", "/_sim/payment_links/{id}/pay", self._pay_link),
            ("POST", "/_sim/subscriptions/{id}/end", self._end),
            ("POST", "/_sim/refunds/settle", self._settle),
            ("POST", "/_sim/churn", self._churn),
            ("POST", "/_sim/consent", self._consent),
            ("POST", "/_sim/tokens/expire", self._expire),
            ("POST", "/_sim/tokens/revoke", self._revoke),
            ("GET", "/_sim/grants", self._grants),
            ("GET", "/_sim/webhooks", self._webhooks),
            ("POST", "/_sim/webhooks/register", self._register),
            ("POST", "/_sim/webhooks/mode", self._mode),
            ("POST", "/_sim/webhooks/release", self._release),
        ):
            stage.control.add(method, path, route)
        stage.control.add("POST", "/_sim/webhooks/forge", self._forge)

    def _kind(self, call: Call) -> str:
        return among("kind", call.place["kind"], KINDS)

    def _merchant(self, _: Call) -> Answer:
        """The merchant, with its locations."""
        return as_json({**self._shop.merchant, "locations": list(self._shop.kept["location"])})

    def _objects(self, call: Call) -> Answer:
        """Every record of a kind."""
        return as_json({"objects": list(self._shop.kept[self._kind(call)].values())})

    def _patch(self, call: Call) -> Answer:
        """Sets and unsets fields of a record, whatever the rules say."""
        kind, asked = self._kind(call), call.json()
        try:
            made = {**copy.deepcopy(self._shop.one(kind, call.place["id"])), **asked.get("set", {})}
        except Refused as error:
            raise BadCall(error.detail) from None
        for name in asked.get("unset", []):
            made.pop(name, None)
        quiet = call.args().get("event") == "false"
        return as_json(self._shop.put(kind, made, event="-" if quiet else ""))

    def _delete(self, call: Call) -> Answer:
        """Deletes a record as the seller does."""
        try:
            self._shop.delete(self._kind(call), call.place["id"])
        except Refused as error:
            raise BadCall(error.detail) from None
        return as_json({"deleted": call.place["id"]})

    def _pay(self, call: Call) -> Answer:
        """Pays an invoice as its customer does."""
        return _tried(lambda: self._shop.pay(call.place["id"]))

    def _pay_link(self, call: Call) -> Answer:
        """Pays for the order of a payment link."""
        payment = example("payment")
        return _tried(lambda: selling.pay_link(self._shop, call.place["id"], payment))

    def _end(self, call: Call) -> Answer:
        """Ends a subscription that was canceled."""
        return _tried(lambda: selling.end_subscription(self._shop, call.place["id"]))

    def _settle(self, _: Call) -> Answer:
        """Completes pending refunds."""
        return as_json({"settled": self._shop.settle()})

    def _churn(self, call: Call) -> Answer:
        """Ordinary changes of customers, payments, refunds and invoices."""
        asked = call.json()
        rng = Random(whole(asked, "seed", 0))  # noqa: S311 - the same seed, the same changes
        count = whole(asked, "count", 10)
        return as_json({"done": [_change(self._shop, rng, number) for number in range(count)]})

    def _revoke(self, _: Call) -> Answer:
        """The seller takes all access back."""
        return as_json({"revoked": self._identity.end()})

    def _register(self, call: Call) -> Answer:
        """Sets the address and the key that signs."""
        asked = call.json()
        if not asked.get("url") or not asked.get("key"):
            raise BadCall("url, key: both are needed")
        self._dispatcher.url, self._dispatcher.key = asked["url"], asked["key"]
        return self._webhooks(call)

    async def _forge(self, _: Call) -> Answer:
        """Sends a body that is signed by another key."""
        return as_json({"status": await self._dispatcher.forge()})


def _tried(make: Callable[[], Obj]) -> Answer:
    try:
        return as_json(make())
    except Refused as error:
        raise BadCall(error.detail) from None


def _change(shop: Shop, rng: Random, number: int) -> str:
    """One ordinary change; what it was."""
    what = rng.choice(["join", "edit", "leave", "capture", "refund", "pay", "rename"])
    customers, kept = list(shop.kept["customer"]), shop.kept
    if what == "join":
        made = shop.write_customer(None, {"given_name": "New", "family_name": f"No {number}"})
        return f"join {made['id']}"
    if what in ("edit", "leave"):
        key = rng.choice(customers)
        if what == "leave":
            shop.delete("customer", key)
        else:
            shop.write_customer(key, {"note": f"said {rng.randrange(1000)}"})
        return f"{what} {key}"
    if what == "rename":
        item = copy.deepcopy(rng.choice(list(kept["item"].values())))
        item["item_data"]["name"] = f"Tea again {number}"
        return f"rename {shop.put('item', item)['id']}"
    if what == "pay":
        open_ones = [key for key, one in kept["invoice"].items() if one["status"] == "UNPAID"]
        return f"pay {shop.pay(rng.choice(open_ones))['id']}" if open_ones else "pay nothing"
    wanted = "APPROVED" if what == "capture" else "COMPLETED"
    payment = rng.choice([one for one in kept["payment"].values() if one["status"] == wanted])
    if what == "capture":
        return f"capture {shop.put('payment', {**payment, 'status': 'COMPLETED'})['id']}"
    money = {"amount": 1, "currency": payment["total_money"]["currency"]}
    return f"refund {shop.refund({'payment_id': payment['id'], 'amount_money': money})['id']}"
