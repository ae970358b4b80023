"""What a test or a demonstration does behind the API's back, under `/_sim/`.

| call | does |
|---|---|
| `GET /_sim/objects/{kind}` | all records of a kind |
| `POST /_sim/objects/{kind} {..}` | makes one: invoice, capture, subscription, dispute, payout |
| `POST /_sim/invoices/{id}/pay {"amount": "1.00"}` | the customer pays it, or a part |
| `POST /_sim/orders/{id}/approve {"email": ".."}` | the payer approves it on PayPal's page |
| `POST /_sim/subscriptions/{id}/approve {"email": ".."}` | the customer agrees to it there |
| `POST /_sim/subscriptions/{id}/bill {"fails": true}` | PayPal takes a period's price, or not |
| `POST /_sim/captures/{id}/refund {..}` | the merchant refunds it on PayPal's pages |
| `POST /_sim/disputes/{id}/resolve {"outcome": ".."}` | PayPal decides it |
| `POST /_sim/churn {"count": 20, "seed": 1}` | ordinary changes; which |
| `POST /_sim/tokens/expire` | all access tokens are over |
| `GET /_sim/webhooks` | the webhooks, the mode, tries still waiting |
| `POST /_sim/webhooks/register {"url": ".."}` | a webhook for all events; its id |
| `POST /_sim/webhooks/mode {"mode": "send"}`, `.../release {"times": 2}` | see `webhooks` |

Beside these there is what every simulator has (`stage`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from random import Random

from landbridge.testing.asgi import Answer, BadCall, Call, Route, as_json
from landbridge.testing.paypal import billing, disputes, invoices, orders, payments
from landbridge.testing.paypal.account import KINDS, Account
from landbridge.testing.paypal.webhooks import Dispatcher
from landbridge.testing.paypal.wire import Obj, Problem, money
from landbridge.testing.planes import WebhookCalls
from landbridge.testing.stage import Stage, among, whole


class ControlPlane(WebhookCalls[Dispatcher]):
    """The routes of the table above, added to the stage's."""

    def __init__(
        self, stage: Stage, account: Account, dispatcher: Dispatcher, tokens: dict[str, float]
    ):
        self._account = account
        self._dispatcher = dispatcher
        self._tokens = tokens
        for method, path, route in (
            ("GET", "/_sim/objects/{kind}", self._objects),
            ("POST", "/_sim/objects/{kind}", self._create),
            ("POST", "/_sim/invoices/{id}/pay", self._pay),
            ("POST", "/_sim/orders/{id}/approve", self._approve(orders.approve)),
            ("POST", "/_sim/subscriptions/{id}/approve", self._approve(billing.approve)),
            ("POST", "/_sim/subscriptions/{id}/bill", self._bill),
            ("POST", "/_sim/captures/{id}/refund", self._refund),
            ("POST", "/_sim/disputes/{id}/resolve", self._resolve),
            ("POST", "/_sim/churn", self._churn),
            ("POST", "/_sim/tokens/expire", self._expire),
            ("GET", "/_sim/webhooks", self._webhooks),
            ("POST", "/_sim/webhooks/register", self._register),
            ("POST", "/_sim/webhooks/mode", self._mode),
            ("POST", "/_sim/webhooks/release", self._release),
        ):
            stage.control.add(method, path, route)

    def _objects(self, call: Call) -> Answer:
        """Every record of a kind."""
        kind = among("kind", call.place["kind"], KINDS)
        return as_json({"objects": [*self._account.kept[kind].values()]})

    def _create(self, call: Call) -> Answer:
        """Makes a record by the other side."""
        kind, asked = call.place["kind"], call.json()
        if kind == "invoice":
            return _tried(lambda: invoices.create(self._account, asked))
        if kind == "capture":
            paid, code = _amount(asked, "10.00"), str(asked.get("currency", "USD"))
            return _tried(lambda: payments.capture(self._account, paid, code))
        if kind == "subscription":
            plan = asked.get("plan") or next(iter(self._account.kept["plan"]))
            email = str(asked.get("email", "new@example.com"))
            return _tried(lambda: billing.subscribe(self._account, plan, email))
        if kind == "dispute":
            capture = asked.get("capture") or next(iter(self._account.kept["capture"]))
            return _tried(lambda: disputes.open_one(self._account, capture))
        if kind == "payout":
            amount = money(_amount(asked, "10.00"), str(asked.get("currency", "USD")))
            return _tried(lambda: disputes.pay_out(self._account, amount))
        known = "invoice, capture, subscription, dispute, payout"
        raise BadCall(f"kind: {kind!r} is none of {known}")

    def _pay(self, call: Call) -> Answer:
        """The customer pays an invoice."""
        asked = call.json()
        part = _amount(asked, "") if "amount" in asked else None
        return _tried(lambda: invoices.pay(self._account, call.place["id"], part))

    def _approve(self, approve: Callable[[Account, str, str], Obj]) -> Route:
        """Somebody agrees to what is asked on PayPal's page."""

        def route(call: Call) -> Answer:
            email = str(call.json().get("email", "payer@example.com"))
            return _tried(lambda: approve(self._account, call.place["id"], email))

        return route

    def _bill(self, call: Call) -> Answer:
        """PayPal takes what a period of a subscription costs, or fails to."""
        fails = bool(call.json().get("fails"))
        return _tried(lambda: billing.bill(self._account, call.place["id"], fails=fails))

    def _refund(self, call: Call) -> Answer:
        """The merchant refunds a capture."""
        asked = call.json()
        return _tried(lambda: payments.refund(self._account, call.place["id"], asked))

    def _resolve(self, call: Call) -> Answer:
        """PayPal decides a dispute."""
        outcome = str(call.json().get("outcome", "RESOLVED_SELLER_FAVOUR"))
        return _tried(lambda: disputes.resolve(self._account, call.place["id"], outcome))

    def _churn(self, call: Call) -> Answer:
        """Ordinary changes of invoices, captures and subscriptions."""
        asked = call.json()
        rng = Random(whole(asked, "seed", 0))  # noqa: S311 - the same seed, the same changes
        count = whole(asked, "count", 10)
        return as_json({"done": [_change(self._account, rng) for _ in range(count)]})

    def _expire(self, _: Call) -> Answer:
        """Ends all access tokens."""
        count = len(self._tokens)
        self._tokens.clear()
        return as_json({"expired": count})

    def _register(self, call: Call) -> Answer:
        """A webhook for all events."""
        url = call.json().get("url")
        if not url:
            raise BadCall("url: it is needed")
        return as_json(self._dispatcher.register(str(url), ["*"]))


def _tried(make: Callable[[], Obj]) -> Answer:
    try:
        return as_json(make())
    except Problem as problem:
        raise BadCall(f"{problem}: {problem.details}") from None


def _amount(asked: Obj, default: str) -> Decimal:
    try:
        return Decimal(str(asked.get("amount", default)))
    except InvalidOperation:
        raise BadCall(f"amount: {asked.get('amount')!r} is no amount like 12.30") from None


def _change(account: Account, rng: Random) -> str:
    """One ordinary change; what it was."""
    drafts = [one for one in account.kept["invoice"].values() if one["status"] == "DRAFT"]
    due = [one for one in account.kept["invoice"].values() if one["status"] == "SENT"]
    what = rng.choice(["send", "pay", "capture", "cancel"])
    if what == "send" and drafts:
        return f"send {invoices.send(account, rng.choice(drafts)['id'])['id']}"
    if what == "pay" and due:
        return f"pay {invoices.pay(account, rng.choice(due)['id'])['id']}"
    if what == "cancel" and due:
        return f"cancel {invoices.cancel(account, rng.choice(due)['id'])['id']}"
    return f"capture {payments.capture(account, Decimal(rng.randrange(1, 500)), 'EUR')['id']}"
