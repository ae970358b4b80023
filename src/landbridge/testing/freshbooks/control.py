"""What a test or a demonstration does behind the API's back, under `/_sim/`.

| call | does |
|---|---|
| `GET /_sim/businesses` | account ids with names |
| `GET /_sim/objects/{kind}?account=ID` | all records of a kind (default: the first business) |
| `POST /_sim/objects/{kind}?account=ID {..}` | creates by the other side |
| `PATCH /_sim/objects/{kind}/{id}?account=ID[&event=false]` | `{"set": {..}}` |
| `POST /_sim/churn {"count": 50, "seed": 1, "account": ID}` | ordinary changes; which |
| `POST /_sim/consent {"mode": "allow"}` | what the person will do: `allow`, `deny`, `page` |
| `POST /_sim/tokens/expire` | all access tokens are over |
| `GET /_sim/grants` | grants with their scopes, never the tokens |
| `POST /_sim/limits {"minute": 60}` | calls a minute and business |
| `GET /_sim/webhooks` | callbacks, mode, tries still waiting |
| `POST /_sim/webhooks/mode {"mode": "send"}`, `.../release {"times": 2}` | see `webhooks` |

Beside these there is what every simulator has (`stage`).
"""

from __future__ import annotations

import copy
from random import Random
from typing import TYPE_CHECKING

from landbridge.testing.asgi import Answer, BadCall, Call, as_json
from landbridge.testing.freshbooks.books import KINDS, Books
from landbridge.testing.freshbooks.identity import Identity
from landbridge.testing.freshbooks.webhooks import Dispatcher
from landbridge.testing.freshbooks.wire import Invalid, money
from landbridge.testing.planes import GrantCalls, WebhookCalls
from landbridge.testing.stage import among, whole

if TYPE_CHECKING:
    from landbridge.testing.freshbooks.app import Simulator


class ControlPlane(GrantCalls[Identity], WebhookCalls[Dispatcher]):
    """The routes of the table above, added to the stage's."""

    def __init__(self, simulator: Simulator):
        self._simulator = simulator
        self._identity = simulator.identity
        self._dispatcher = simulator.dispatcher
        for method, path, route in (
            ("GET", "/_sim/businesses", self._businesses),
            ("GET", "/_sim/objects/{kind}", self._objects),
            ("POST", "/_sim/objects/{kind}", self._create),
            ("PATCH", "/_sim/objects/{kind}/{id}", self._patch),
            ("POST", "/_sim/churn", self._churn),
            ("POST", "/_sim/consent", self._consent),
            ("POST", "/_sim/tokens/expire", self._expire),
            ("GET", "/_sim/grants", self._grants),
            ("POST", "/_sim/limits", self._limits),
            ("GET", "/_sim/webhooks", self._webhooks),
            ("POST", "/_sim/webhooks/mode", self._mode),
            ("POST", "/_sim/webhooks/release", self._release),
        ):
            simulator.stage.control.add(method, path, route)

    def _of(self, account: str | None) -> Books:
        every = self._simulator.books
        if not account:
            return next(iter(every.values()))
        if account not in every:
            raise BadCall(f"account: there is no business {account!r}")
        return every[account]

    def _kind(self, call: Call) -> str:
        return among("kind", call.place["kind"], KINDS)

    def _businesses(self, _: Call) -> Answer:
        """The businesses' names by account id."""
        return as_json({key: books.name for key, books in self._simulator.books.items()})

    def _objects(self, call: Call) -> Answer:
        """Every record of a kind, deleted ones too."""
        kind = self._kind(call)
        found = self._of(call.args().get("account")).kept[kind]
        return as_json({"objects": [{**one, "id": key} for key, one in found.items()]})

    def _create(self, call: Call) -> Answer:
        """Creates a record by the other side."""
        try:
            books = self._of(call.args().get("account"))
            return as_json(books.write(self._kind(call), None, call.json()))
        except Invalid as error:
            raise BadCall(str(error)) from None

    def _patch(self, call: Call) -> Answer:
        """Sets fields of a record, whatever the rules say."""
        kind, asked, args = self._kind(call), call.json(), call.args()
        books = self._of(args.get("account"))
        found = books.kept[kind].get(int(call.place["id"]))
        if found is None:
            raise BadCall(f"id: there is no {kind} {call.place['id']!r}")
        made = {**copy.deepcopy(found), **asked.get("set", {})}
        gone = made.get("vis_state") == 1 and found.get("vis_state") != 1
        told = args.get("event") != "false"
        return as_json(books.put(kind, made, verb="delete" if gone else "", tell=told))

    def _churn(self, call: Call) -> Answer:
        """Ordinary changes of clients, invoices and payments."""
        asked = call.json()
        books = self._of(asked.get("account"))
        rng = Random(whole(asked, "seed", 0))  # noqa: S311 - the same seed, the same changes
        done = [_change(books, rng, number) for number in range(whole(asked, "count", 10))]
        return as_json({"done": done})

    def _limits(self, call: Call) -> Answer:
        """Sets how many calls a minute there are."""
        self._simulator.minute = whole(call.json(), "minute", self._simulator.minute)
        return as_json({"minute": self._simulator.minute})


def _change(books: Books, rng: Random, number: int) -> str:
    """One ordinary change; what it was."""
    live = [one for one in books.kept["invoices"].values() if one["vis_state"] == 0]
    client = rng.choice([one for one in books.kept["clients"].values() if one["vis_state"] == 0])
    invoice = rng.choice(live) if live else None
    what = rng.choice(["client", "rename", "pay", "invoice", "delete"])
    if what == "client" or invoice is None:
        name = {"organization": f"New {number} {rng.randrange(10**9)} Ltd"}
        return f"client {books.write('clients', None, name)['id']}"
    if what == "rename":
        name = {"fname": f"Refirst {rng.randrange(1000)}"}
        return f"rename {books.write('clients', client['id'], name)['id']}"
    today = invoice["create_date"]
    if what == "pay" and float(invoice["outstanding"]["amount"]) > 0:
        paid = {"invoiceid": invoice["id"], "amount": invoice["outstanding"], "date": today}
        return f"pay {books.write('payments', None, paid)['id']}"
    if what == "delete" and float(invoice["paid"]["amount"]) == 0:
        return f"delete {books.write('invoices', invoice['id'], {'vis_state': 1})['id']}"
    cost = money(f"{rng.randrange(1, 9999)}e-2", books.base)
    lines = [{"name": "Churned", "qty": "1", "unit_cost": cost}]
    sent = {"customerid": client["id"], "create_date": today, "lines": lines}
    return f"invoice {books.write('invoices', None, sent)['id']}"
