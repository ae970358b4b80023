"""The books of one business: its records, their changes, and the rules of writing them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from landbridge.testing.freshbooks.rules import (
    bill,
    bill_payment,
    bill_vendor,
    credit_note,
    expense,
    item,
    tax,
)
from landbridge.testing.freshbooks.wire import (
    Invalid,
    Obj,
    blank,
    cents,
    day,
    eastern,
    exact,
    money,
    vendor,
    zulu,
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a collection is addressed. `one` is the word around one record."""

    path: str
    one: str
    key: str = "id"
    noun: str = ""
    """What its events are about; empty: there are none."""
    scope: str = ""
    stamp: str = "updated"
    filters: bool = True
    """Whether it takes `search[updated_min]`."""


KINDS = {
    "clients": Kind(path="users/clients", one="client", noun="client", scope="clients"),
    "invoices": Kind(path="invoices/invoices", one="invoice", noun="invoice", scope="invoices"),
    "payments": Kind(path="payments/payments", one="payment", noun="payment", scope="payments"),
    "expenses": Kind(path="expenses/expenses", one="expense", noun="expense", scope="expenses"),
    "categories": Kind(
        path="expenses/categories",
        one="category",
        key="categoryid",
        scope="expenses",
        stamp="updated_at",
    ),
    "taxes": Kind(path="taxes/taxes", one="tax", noun="tax", scope="taxes", filters=False),
    "items": Kind(
        path="items/items", one="item", noun="item", scope="billable_items", filters=False
    ),
    "credit_notes": Kind(
        path="credit_notes/credit_notes",
        one="credit_notes",  # as the SDK has it
        noun="credit_note",
        scope="credit_notes",
        stamp="",
    ),
    "bills": Kind(path="bills/bills", one="bill", noun="bill", scope="bills", stamp="updated_at"),
    "bill_vendors": Kind(
        path="bill_vendors/bill_vendors",
        one="bill_vendor",
        key="vendorid",
        noun="bill_vendor",
        scope="bill_vendors",
        stamp="updated_at",
    ),
    "bill_payments": Kind(
        path="bill_payments/bill_payments", one="bill_payment", scope="bill_payments", stamp=""
    ),
    "journal_entry_accounts": Kind(
        path="journal_entry_accounts/journal_entry_accounts",
        one="journal_entry_account",
        key="accountid",
        scope="journal_entries",
        stamp="",
    ),
    "journal_entry_details": Kind(
        path="journal_entries/journal_entry_details",
        one="journal_entry_detail",
        key="detailid",
        scope="journal_entries",
        stamp="",
    ),
}
_ALSO = {"clients": "userid", "invoices": "invoiceid", "expenses": "expenseid", "taxes": "taxid"}
"""Where the id stands a second time."""
_LATER = ("bills", "bill_vendors", "categories")
"""Those whose instants are in UTC."""


def _unheard(_account: str, _name: str, _key: int) -> None:
    """Nobody listens."""


@dataclass(kw_only=True)
class Books:
    """One business. `changed` tells when each record last did, in unix seconds."""

    account: str
    business: int
    name: str
    now: Callable[[], float]
    base: str = "CAD"
    on_event: Callable[[str, str, int], None] = _unheard
    kept: dict[str, dict[int, Obj]] = field(default_factory=lambda: {name: {} for name in KINDS})
    changed: dict[tuple[str, int], float] = field(default_factory=dict)
    numbers: int = 1000

    def put(self, name: str, obj: Obj, *, verb: str = "", tell: bool = True) -> Obj:
        """Keeps a record as it now is: stamped, and told of where somebody listens."""
        kind = KINDS[name]
        key = obj.get(kind.key)
        if not key or key not in self.kept[name]:
            key, verb = key or self.number(), verb or "create"
        obj[kind.key] = key
        obj["id"] = key
        if name in _ALSO:
            obj[_ALSO[name]] = key
        if kind.stamp:
            obj[kind.stamp] = (zulu if name in _LATER else eastern)(self.now())
        self.kept[name][key] = obj
        self.changed[name, key] = self.now()
        if tell and kind.noun:
            self.on_event(self.account, f"{kind.noun}.{verb or 'update'}", key)
        return obj

    def number(self) -> int:
        """A fresh id."""
        self.numbers += 1
        return self.numbers

    def add(self, name: str, fields: Obj) -> Obj:
        """A record of the seed: the vendor's fields with these in them; nobody is told."""
        return self.put(name, {**blank(name, self.base), **fields}, tell=False)

    def listed(self, name: str, *, state: int, since: str) -> list[Obj]:
        """The records in a state that changed on a day (of New York) or later, newest first."""
        found = [
            obj
            for key, obj in self.kept[name].items()
            if obj.get("vis_state", 0) == state
            and (not since or eastern(self.changed[name, key])[:10] >= since)
        ]
        return sorted(found, key=lambda obj: -obj[KINDS[name].key])

    def write(self, name: str, key: int | None, sent: Obj, *, tell: bool = True) -> Obj:
        """Creates a record, or changes a part of it; `Invalid` says why not."""
        bought = {"expenses": expense, "bills": bill, "bill_payments": bill_payment}
        others = {"items": item, "taxes": tax, "credit_notes": credit_note}
        rules: dict[str, Callable[[Obj, Obj], Obj]] = {
            "clients": self._client,
            "invoices": self._invoice,
            "payments": self._payment,
            "bill_vendors": partial(bill_vendor, self),
            **{each: partial(rule, self) for each, rule in (bought | others).items()},
        }
        if name not in rules:
            raise Invalid(1038, "", f"{name} cannot be written here", 403)
        before: Obj = {}
        if key is not None:
            found = self.kept[name].get(key)
            if found is None:
                raise Invalid(1012, KINDS[name].key, f"{KINDS[name].one} not found.", 404)
            before = found
        gone = sent.get("vis_state") == 1 and before.get("vis_state") != 1
        made = rules[name](copy.deepcopy(before), copy.deepcopy(sent))
        return self.put(name, made, verb="delete" if gone else "", tell=tell)

    def remove(self, name: str, key: int) -> None:
        """Takes a record away for good; `Invalid` if there is none."""
        if self.kept[name].pop(key, None) is None:
            raise Invalid(1012, KINDS[name].key, f"{KINDS[name].one} not found.", 404)
        self.on_event(self.account, f"{KINDS[name].noun}.delete", key)

    def _client(self, obj: Obj, sent: Obj) -> Obj:
        fresh = {**vendor()["client"], **_emptied(vendor()["client"])}
        made = {**(obj or fresh), **sent}
        if not any(made.get(name) for name in ("email", "organization", "fname", "lname")):
            raise Invalid(1001, "email", "One of email, organization and name is required.")
        if made.get("email") and "@" not in made["email"]:
            raise Invalid(1004, "email", "email is not valid")
        made["currency_code"] = made.get("currency_code") or self.base
        return made

    def _invoice(self, obj: Obj, sent: Obj) -> Obj:
        code = sent.get("currency_code") or obj.get("currency_code") or self.base
        made = {**(obj or blank("invoices", code)), **sent, "currency_code": code}
        for needed in ("customerid", "create_date"):
            if not made.get(needed):
                raise Invalid(1001, needed, f"{needed} is required")
        client = self.kept["clients"].get(int(made["customerid"]))
        if client is None or client["vis_state"] == 1:
            raise Invalid(1012, "customerid", "Client not found.")
        made["customerid"] = client["id"]
        made["create_date"] = day(made["create_date"], "create_date")
        made["due_date"] = day(made.get("due_date") or made["create_date"], "due_date")
        if not made["invoice_number"]:
            made["invoice_number"] = f"{self.number():07}"
        for other in self.kept["invoices"].values():
            same = other["invoice_number"] == made["invoice_number"]
            if same and other["id"] != made["id"]:
                raise Invalid(1029, "invoice_number", "That invoice number is already used.")
        marked = made.pop("action_mark_as_sent", False) or sent.get("status") == 2
        if sent.get("status") not in (None, 1, 2):
            raise Invalid(1004, "status", "an invoice is paid by a payment")
        if not obj:
            made.update(v3_status="draft", display_status="draft")
            made["status"] = 2 if marked else 1
            made.update(payment_status="unpaid", accountid=self.account, organization="")
            made["paid"] = money(0, code)
        made["lines"] = [self.line(line, code, place) for place, line in enumerate(made["lines"])]
        return reckoned(made)

    def line(self, sent: Obj, code: str, place: int) -> Obj:
        """A line of an invoice or a credit note, with what it comes to."""
        made = {**blank("lines", code), **sent}
        if not made["name"]:
            raise Invalid(1001, f"lines[{place}].name", "name is required")
        if made["taxName1"] and made["taxName1"] == made["taxName2"]:
            raise Invalid(1019, f"lines[{place}].taxName2", "a tax twice on one line")
        for name in ("taxAmount1", "taxAmount2"):
            made[name] = None if made[name] is None else f"{exact(made[name], name):f}"
        price = exact(made["unit_cost"], "unit_cost") * exact(made["qty"] or 0, "qty")
        made["unit_cost"] = {
            "amount": f"{exact(made['unit_cost'], 'unit_cost'):f}",
            "code": code,
        }
        made["qty"] = f"{exact(made['qty'] or 0, 'qty'):f}"
        made["amount"] = money(price, code)
        made["lineid"] = str(made["lineid"] or self.number())
        made["updated"] = eastern(self.now())
        return made

    def _payment(self, obj: Obj, sent: Obj) -> Obj:
        if obj and "amount" in sent:
            raise Invalid(1038, "amount", "this simulator does not change amounts")
        made = {**(obj or blank("payments", self.base)), **sent}
        for needed in ("invoiceid", "date"):
            if not made.get(needed):
                raise Invalid(1001, needed, f"{needed} is required")
        invoice = self.kept["invoices"].get(int(made["invoiceid"]))
        if invoice is None or invoice["vis_state"] == 1:
            raise Invalid(1012, "invoiceid", "Invoice not found.")
        amount = exact(made["amount"], "amount")
        if amount <= 0:
            raise Invalid(1025, "amount", "amount must be positive")
        made["amount"] = {"amount": f"{cents(amount):f}", "code": invoice["currency_code"]}
        made["date"] = day(str(made["date"])[:10], "date")
        made["type"] = made["type"] or "Other"
        made["invoiceid"] = str(invoice["id"])
        made["clientid"] = str(invoice["customerid"])
        counted = amount if obj and obj["vis_state"] != 1 else Decimal(0)
        counts = amount if made["vis_state"] != 1 else Decimal(0)
        if counts != counted:
            self._pay(invoice, counts - counted)
        return made

    def _pay(self, invoice: Obj, amount: Decimal) -> None:
        made = copy.deepcopy(invoice)
        paid = exact(made["paid"], "paid") + amount
        made["paid"] = money(paid, made["currency_code"])
        self.put("invoices", reckoned(made))


def reckoned(obj: Obj) -> Obj:
    """An invoice with its totals, and its status, as its lines and payments make them."""
    code, total = obj["currency_code"], Decimal(0)
    for line in obj["lines"]:
        net = exact(line["amount"], "amount")
        total += net
        for name in ("taxAmount1", "taxAmount2"):
            total += cents(net * exact(line[name] or 0, name) / 100)
    paid = exact(obj["paid"], "paid")
    obj["amount"], obj["outstanding"] = money(total, code), money(total - paid, code)
    if paid:
        whole = paid >= total
        obj["payment_status"] = "paid" if whole else "partial"
        obj["v3_status"] = obj["payment_status"]
        obj["status"] = 4 if whole else 8
    elif obj["payment_status"] != "unpaid":
        obj.update(payment_status="unpaid", v3_status="sent", status=2)
    elif obj["status"] == 2:
        obj.update(v3_status="sent", display_status="sent")
    return obj


def _emptied(client: Any) -> Obj:
    """The fixture's client with nothing of its own."""
    kept: Obj = {"vis_state": 0, "language": "en", "role": "client"}
    for name, value in client.items():
        if name not in kept:
            fresh: Any = "" if isinstance(value, str) else 0 if type(value) is int else value
            kept[name] = [] if isinstance(value, list) else fresh
    return {**kept, "outstanding_balance": [], "note": None}
