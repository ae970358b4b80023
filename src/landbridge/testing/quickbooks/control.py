"""What a test or a demonstration does behind the API's back, under `/_sim/`.

| call | does |
|---|---|
| `GET /_sim/companies` | realm ids with names |
| `GET /_sim/objects/{kind}?realm=ID` | all entities of a kind (default: the first company) |
| `POST /_sim/objects/{kind}?realm=ID {..}` | creates by the other side |
| `PATCH /_sim/objects/{kind}/{id}?realm=ID[&event=false]` | `{"set": {..}, "unset": [..]}` |
| `DELETE /_sim/objects/{kind}/{id}?realm=ID` | deletes a transaction |
| `POST /_sim/churn {"count": 50, "seed": 1, "realm": ID}` | ordinary changes; which |
| `POST /_sim/consent {"mode": "allow", "company": ID}` | what the person will do |
| `POST /_sim/tokens/expire` | all access tokens are over |
| `GET /_sim/grants` | grants, never their tokens |
| `POST /_sim/limits {"minute": 500, ...}` | new quotas |
| `POST /_sim/faults/status {"status": 200}` | the status under which faults are answered |
| `GET /_sim/webhooks` | address, mode, tries still waiting |
| `POST /_sim/webhooks/register {"url": "..", "token": ".."}` | sets it |
| `POST /_sim/webhooks/mode {"mode": "send"}`, `.../release {"times": 2}` | see `webhooks` |

Beside these there is what every simulator has (`stage`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from random import Random

from landbridge.testing.asgi import Answer, BadCall, Call, as_json
from landbridge.testing.planes import GrantCalls, WebhookCalls
from landbridge.testing.quickbooks.books import KINDS, Books
from landbridge.testing.quickbooks.identity import Identity
from landbridge.testing.quickbooks.quotas import Limits, Quotas
from landbridge.testing.quickbooks.webhooks import Dispatcher
from landbridge.testing.quickbooks.wire import Invalid, Obj
from landbridge.testing.stage import Stage, whole


class ControlPlane(GrantCalls[Identity], WebhookCalls[Dispatcher]):
    """The routes of the table above, added to the stage's. `fault_status` is 0 where each fault has
    the status of its own."""

    def __init__(
        self,
        stage: Stage,
        books: Mapping[str, Books],
        identity: Identity,
        dispatcher: Dispatcher,
        quotas: Quotas,
    ):
        self.fault_status = 0
        self._books = books
        self._identity = identity
        self._dispatcher = dispatcher
        self._quotas = quotas
        for method, path, route in (
            ("GET", "/_sim/companies", self._companies),
            ("GET", "/_sim/objects/{kind}", self._objects),
            ("POST", "/_sim/objects/{kind}", self._create),
            ("PATCH", "/_sim/objects/{kind}/{id}", self._patch),
            ("DELETE", "/_sim/objects/{kind}/{id}", self._delete),
            ("POST", "/_sim/churn", self._churn),
            ("POST", "/_sim/consent", self._consent),
            ("POST", "/_sim/tokens/expire", self._expire),
            ("GET", "/_sim/grants", self._grants),
            ("POST", "/_sim/limits", self._limits),
            ("POST", "/_sim/faults/status", self._status),
            ("GET", "/_sim/webhooks", self._webhooks),
            ("POST", "/_sim/webhooks/register", self._register),
            ("POST", "/_sim/webhooks/mode", self._mode),
            ("POST", "/_sim/webhooks/release", self._release),
        ):
            stage.control.add(method, path, route)

    def _of(self, realm: str | None) -> Books:
        if not realm:
            return next(iter(self._books.values()))
        if realm not in self._books:
            raise BadCall(f"realm: there is no company {realm!r}")
        return self._books[realm]

    def _kind(self, call: Call) -> tuple[Books, str]:
        kind = call.place["kind"]
        if kind not in KINDS:
            raise BadCall(f"{kind!r} is none of {', '.join(KINDS)}")
        return self._of(call.args().get("realm")), kind

    def _companies(self, _: Call) -> Answer:
        """The companies by realm id."""
        return as_json({realm: books.name for realm, books in self._books.items()})

    def _objects(self, call: Call) -> Answer:
        """All entities of a kind."""
        books, kind = self._kind(call)
        return as_json({"objects": [{"id": key, **one} for key, one in books.kept[kind].items()]})

    def _create(self, call: Call) -> Answer:
        """Creates by the other side."""
        books, kind = self._kind(call)
        return self._done(lambda: books.write(kind, call.json()))

    def _patch(self, call: Call) -> Answer:
        """Changes an entity by the other side, whatever the rules."""
        books, kind = self._kind(call)
        if call.place["id"] not in books.kept[kind]:
            raise BadCall(f"there is no {kind} {call.place['id']!r}")
        asked, found = call.json(), copy.deepcopy(books.kept[kind][call.place["id"]])
        found.update(asked.get("set", {}))
        for name in asked.get("unset", []):
            found.pop(name, None)
        tell = call.args().get("event", "true") != "false"
        return as_json(books.put(kind, found, tell=tell))

    def _delete(self, call: Call) -> Answer:
        """Deletes a transaction by the other side."""
        books, kind = self._kind(call)
        found = books.kept[kind].get(call.place["id"])
        if found is None:
            raise BadCall(f"there is no {kind} {call.place['id']!r}")
        return self._done(lambda: books.delete(kind, found))

    def _done(self, work: object) -> Answer:
        assert callable(work)
        try:
            return as_json(work())
        except Invalid as error:
            raise BadCall(str(error)) from None

    def _churn(self, call: Call) -> Answer:
        """Ordinary changes of one company."""
        asked = call.json()
        books = self._of(asked.get("realm"))
        rng = Random(whole(asked, "seed", 1))  # noqa: S311 - the same seed, the same changes
        done = [_change(books, rng, number) for number in range(whole(asked, "count", 50))]
        return as_json({"done": done})

    def _consent(self, call: Call) -> Answer:
        """What the person does at the next consents."""
        answer = super()._consent(call)
        self._identity.chosen = self._of(call.json().get("company")).realm
        return answer

    def _limits(self, call: Call) -> Answer:
        """Sets quotas; those that are not named stay."""
        asked = {name: whole(call.json(), name, 0) for name in call.json()}
        unknown = set(asked) - set(Limits.__dataclass_fields__)
        if unknown:
            raise BadCall(f"{min(unknown)}: there is no such limit")
        self._quotas.limits = Limits(**{**asdict(self._quotas.limits), **asked})
        return as_json({**asdict(self._quotas.limits), "refused": self._quotas.refused})

    def _status(self, call: Call) -> Answer:
        """Sets the status of faults; 0: each its own."""
        self.fault_status = whole(call.json(), "status", 0)
        return as_json({"status": self.fault_status})

    def _register(self, call: Call) -> Answer:
        """Sets the address and the verifier token."""
        asked = call.json()
        if not asked.get("url") or not asked.get("token"):
            raise BadCall("url, token: both are needed")
        self._dispatcher.register(asked["url"], asked["token"])
        return self._webhooks(call)


def _change(books: Books, rng: Random, number: int) -> str:
    """One ordinary change; what it was."""
    kept = books.kept
    customer = rng.choice([one for one in kept["Customer"].values() if one["Active"]])
    unpaid = [one for one in kept["Invoice"].values() if one["Balance"] == one["TotalAmt"] > 0]
    what = rng.choice(["customer", "rename", "pay", "invoice", "delete", "void"])
    if what == "customer" or (what != "rename" and not unpaid):
        name = f"New {number} {rng.randrange(10**9)}"
        return "customer " + str(books.write("Customer", {"DisplayName": name})["Id"])
    if what == "rename":
        named: Obj = {"Id": customer["Id"], "SyncToken": customer["SyncToken"], "sparse": True}
        return "rename " + str(books.write("Customer", {**named, "GivenName": str(number)})["Id"])
    invoice = rng.choice(unpaid)
    if what == "pay":
        linked = [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]
        lines = [{"Amount": invoice["Balance"], "LinkedTxn": linked}]
        paid: Obj = {"CustomerRef": invoice["CustomerRef"], "TotalAmt": invoice["Balance"]}
        return "pay " + str(books.write("Payment", {**paid, "Line": lines})["Id"])
    if what == "delete":
        return "delete " + str(books.delete("Invoice", invoice)["Id"])
    if what == "void":
        return "void " + str(books.void("Invoice", invoice)["Id"])
    detail = {"ItemRef": {"value": next(iter(kept["Item"]))}, "TaxCodeRef": {"value": "1"}}
    line: Obj = {"Amount": rng.randrange(1, 9999) / 100, "DetailType": "SalesItemLineDetail"}
    lines = [{**line, "SalesItemLineDetail": detail}]
    sold: Obj = {"CustomerRef": {"value": customer["Id"]}, "Line": lines}
    return "invoice " + str(books.write("Invoice", sold)["Id"])
