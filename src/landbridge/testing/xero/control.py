"""What a test or a demonstration does behind the API's back, under `/_sim/`.

| call | does |
|---|---|
| `GET /_sim/organisations` | tenant ids with names |
| `GET /_sim/objects/{kind}?tenant=ID` | all records of a kind (default: the first organisation) |
| `POST /_sim/objects/{kind}?tenant=ID {..}` | creates by the other side |
| `PATCH /_sim/objects/{kind}/{id}?tenant=ID[&event=false]` | `{"set": {..}, "unset": [..]}` |
| `POST /_sim/churn {"count": 50, "seed": 1, "tenant": ID}` | ordinary changes; which |
| `POST /_sim/consent {"mode": "allow", "organisations": [ID]}` | what the person will do |
| `POST /_sim/tokens/expire` | all access tokens are over |
| `GET /_sim/grants` | grants with counts of tokens, never the tokens |
| `POST /_sim/limits {"minute": 60, ...}` | new quotas |
| `GET /_sim/webhooks` | address, state, mode, tries still waiting |
| `POST /_sim/webhooks/register {"url": "..", "key": ".."}` | sets it; asks for the intent |
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
from landbridge.testing.stage import Stage, among, whole
from landbridge.testing.xero.books import IDS, Books
from landbridge.testing.xero.identity import Identity
from landbridge.testing.xero.quotas import Limits, Quotas
from landbridge.testing.xero.webhooks import Dispatcher
from landbridge.testing.xero.wire import Invalid, Obj


class ControlPlane(GrantCalls[Identity], WebhookCalls[Dispatcher]):
    """The routes of the table above, added to the stage's."""

    def __init__(
        self,
        stage: Stage,
        books: Mapping[str, Books],
        identity: Identity,
        dispatcher: Dispatcher,
        quotas: Quotas,
    ):
        self._books = books
        self._identity = identity
        self._dispatcher = dispatcher
        self._quotas = quotas
        for method, path, route in (
            ("GET", "/_sim/organisations", self._organisations),
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
            stage.control.add(method, path, route)
        stage.control.add("POST", "/_sim/webhooks/register", self._register)

    def _of(self, tenant: str | None) -> Books:
        if not tenant:
            return next(iter(self._books.values()))
        if tenant not in self._books:
            raise BadCall(f"tenant: there is no organisation {tenant!r}")
        return self._books[tenant]

    def _kind(self, call: Call) -> str:
        return among("kind", call.place["kind"], IDS)

    def _organisations(self, _: Call) -> Answer:
        """The organisations' names by tenant id."""
        return as_json({tenant: books.name for tenant, books in self._books.items()})

    def _objects(self, call: Call) -> Answer:
        """Every record of a kind, each with its `id`."""
        kind = self._kind(call)
        found = self._of(call.args().get("tenant")).kept[kind].values()
        return as_json({"objects": [{"id": one[IDS[kind]], **one} for one in found]})

    def _create(self, call: Call) -> Answer:
        """Creates a record by the other side."""
        try:
            books = self._of(call.args().get("tenant"))
            return as_json(books.write(self._kind(call), None, call.json()))
        except Invalid as error:
            raise BadCall(str(error)) from None

    def _patch(self, call: Call) -> Answer:
        """Sets and unsets fields of a record, whatever the rules say."""
        kind, asked, args = self._kind(call), call.json(), call.args()
        books = self._of(args.get("tenant"))
        found = books.one(kind, call.place["id"])
        if found is None:
            raise BadCall(f"id: there is no {kind} {call.place['id']!r}")
        made = {**copy.deepcopy(found), **asked.get("set", {})}
        for name in asked.get("unset", []):
            made.pop(name, None)
        return as_json(books.put(kind, made, tell=args.get("event") != "false"))

    def _churn(self, call: Call) -> Answer:
        """Ordinary changes of contacts, invoices and payments."""
        asked = call.json()
        books = self._of(asked.get("tenant"))
        rng = Random(whole(asked, "seed", 0))  # noqa: S311 - the same seed, the same changes
        done = [_change(books, rng, number) for number in range(whole(asked, "count", 10))]
        return as_json({"done": done})

    def _consent(self, call: Call) -> Answer:
        """What the person does at the next consents."""
        answer = super()._consent(call)
        self._identity.chosen = tuple(
            self._of(tenant).tenant for tenant in call.json().get("organisations", [])
        )
        return answer

    def _limits(self, call: Call) -> Answer:
        """Sets quotas; those that are not named stay."""
        asked = {name: whole(call.json(), name, 0) for name in call.json()}
        unknown = set(asked) - set(Limits.__dataclass_fields__)
        if unknown:
            raise BadCall(f"{min(unknown)}: there is no such limit")
        self._quotas.limits = Limits(**{**asdict(self._quotas.limits), **asked})
        return as_json({**asdict(self._quotas.limits), "refused": self._quotas.refused})

    async def _register(self, call: Call) -> Answer:
        """Sets the address and asks for its intent to receive."""
        asked = call.json()
        if not asked.get("url") or not asked.get("key"):
            raise BadCall("url, key: both are needed")
        return as_json(await self._dispatcher.register(asked["url"], asked["key"]))


def _change(books: Books, rng: Random, number: int) -> str:
    """One ordinary change; what it was."""
    invoices = [one for one in books.kept["Invoices"].values() if one["Status"] == "AUTHORISED"]
    contact = rng.choice(list(books.kept["Contacts"].values()))
    what = rng.choice(["contact", "rename", "pay", "invoice", "void"])
    if what == "contact" or not invoices:
        name = f"New {number} {rng.randrange(10**9)} Ltd"
        return "contact " + str(books.write("Contacts", None, {"Name": name})["ContactID"])
    if what == "rename":
        first = {"FirstName": f"Refirst {rng.randrange(1000)}"}
        return "rename " + str(books.write("Contacts", contact["ContactID"], first)["ContactID"])
    invoice = rng.choice(invoices)
    if what == "pay":
        bank = next(one for one in books.kept["Accounts"].values() if one["Type"] == "BANK")
        due = invoice["AmountDue"]
        named: Obj = {"Invoice": {"InvoiceID": invoice["InvoiceID"]}, "Amount": due}
        sent = {**named, "Account": {"AccountID": bank["AccountID"]}}
        return "pay " + str(books.write("Payments", None, sent)["PaymentID"])
    if what == "void" and not invoice["AmountPaid"]:
        key = str(invoice["InvoiceID"])
        return "void " + str(books.write("Invoices", key, {"Status": "VOIDED"})["InvoiceID"])
    line = {"Description": "Churned", "Quantity": 1, "UnitAmount": rng.randrange(1, 9999) / 100}
    lines = [{**line, "AccountCode": "200", "TaxType": "OUTPUT2"}]
    at: Obj = {"Contact": {"ContactID": contact["ContactID"]}, "LineItems": lines}
    return "invoice " + str(books.write("Invoices", None, at)["InvoiceID"])
