"""The rules of writing what is bought and what lines name: each makes a record of what was sent."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from landbridge.testing.freshbooks.wire import Invalid, Obj, blank, cents, day, exact, money

if TYPE_CHECKING:
    from landbridge.testing.freshbooks.books import Books


def expense(books: Books, obj: Obj, sent: Obj) -> Obj:
    """Money spent at once; its taxes are in it."""
    made = {**(obj or blank("expenses", books.base)), **sent}
    _demand(made, "amount", "categoryid", "staffid", "date")
    _known(books, "categories", made, "categoryid")
    made["amount"] = _money(made["amount"], "amount", books.base)
    made["date"] = day(str(made["date"])[:10], "date")
    percent = exact(made["taxPercent1"] or 0, "taxPercent1") if made["taxName1"] else Decimal(0)
    whole = exact(made["amount"], "amount")
    code = made["amount"]["code"]
    made["taxAmount1"] = money(whole * percent / (100 + percent), code) if percent else None
    return made


def item(books: Books, obj: Obj, sent: Obj) -> Obj:
    """What lines name by its name."""
    made = {**(obj or {**blank("items", books.base), "qty": "1"}), **sent}
    _demand(made, "name")
    made["unit_cost"] = _money(made["unit_cost"], "unit_cost", books.base)
    for place in ("tax1", "tax2"):
        if made[place]:
            _known(books, "taxes", made, place)
    return made


def tax(books: Books, obj: Obj, sent: Obj) -> Obj:
    """A name with a percentage; the name is there once."""
    more = {"accounting_systemid": books.account, "number": None, "compound": False}
    made = {**(obj or {**blank("taxes"), **more}), **sent}
    _demand(made, "name", "amount")
    for other in books.kept["taxes"].values():
        if other["name"] == made["name"] and other["id"] != made.get("id"):
            raise Invalid(1026, "name", "A tax of that name exists already.")
    if not 0 <= exact(made["amount"], "amount") <= 100:
        raise Invalid(1018, "amount", "amount must be a percentage")
    made["amount"] = f"{exact(made['amount'], 'amount'):f}"
    return made


def credit_note(books: Books, obj: Obj, sent: Obj) -> Obj:
    """What takes an invoice back."""
    code = sent.get("currency_code") or obj.get("currency_code") or books.base
    made = {**(obj or blank("credit_notes", code)), **sent, "currency_code": code}
    _demand(made, "clientid", "create_date")
    _known(books, "clients", made, "clientid")
    made["clientid"] = str(made["clientid"])
    made["create_date"] = day(made["create_date"], "create_date")
    made["credit_number"] = made["credit_number"] or f"{books.number():07}"
    made["lines"] = [books.line(line, code, place) for place, line in enumerate(made["lines"])]
    for name, word in (("display_status", "created"), ("payment_status", "unpaid")):
        made[name] = made[name] or word
    made["status"] = made["display_status"]
    made["credit_type"] = made["credit_type"] or "goodwill"
    total = sum((exact(one["amount"], "amount") for one in made["lines"]), Decimal(0))
    for line in made["lines"]:
        for name in ("taxAmount1", "taxAmount2"):
            net = exact(line["amount"], "amount")
            total += cents(net * exact(line[name] or 0, name) / 100)
    made["amount"] = money(total, code)
    return made


def bill(books: Books, obj: Obj, sent: Obj) -> Obj:
    """A supplier's demand, whose lines are of categories."""
    if obj and set(sent) != {"vis_state"}:
        raise Invalid(1038, "", "this simulator does not change bills", 403)
    code = sent.get("currency_code") or obj.get("currency_code") or books.base
    made = {**(obj or blank("bills", code)), **sent, "currency_code": code}
    _demand(made, "vendorid", "issue_date")
    _known(books, "bill_vendors", made, "vendorid")
    made["vendorid"] = int(made["vendorid"])
    for name in ("issue_date", "due_date"):
        made[name] = day(made[name] or made["issue_date"], name)
    made["lines"] = [_bill_line(books, line, code) for line in made["lines"]]
    net = sum((exact(one["amount"], "amount") for one in made["lines"]), Decimal(0))
    taxes = sum((exact(one["tax_amount1"], "tax") for one in made["lines"]), Decimal(0))
    made |= {"amount": money(net, code), "tax_amount": money(taxes, code)}
    made["total_amount"] = money(net + taxes, code)
    made["created_at"] = made["created_at"] or f"{made['issue_date']} 00:00:00"
    return _standing(made)


def bill_vendor(books: Books, obj: Obj, sent: Obj) -> Obj:
    """Whom one buys from."""
    made = {**(obj or blank("bill_vendors", books.base)), **sent}
    _demand(made, "vendor_name")
    made["currency_code"] = made["currency_code"] or books.base
    return made


def bill_payment(books: Books, obj: Obj, sent: Obj) -> Obj:
    """What settles a bill, or a part of it."""
    made = {**(obj or blank("bill_payments", books.base)), **sent}
    _demand(made, "billid", "amount", "paid_date", "payment_type")
    owed = _known(books, "bills", made, "billid")
    made["billid"] = owed["id"]
    made["amount"] = _money(made["amount"], "amount", owed["currency_code"])
    made["paid_date"] = day(str(made["paid_date"])[:10], "paid_date")
    counted = exact(obj["amount"], "amount") if obj and obj["vis_state"] != 1 else Decimal(0)
    counts = exact(made["amount"], "amount") if made["vis_state"] != 1 else Decimal(0)
    if counts != counted:
        paid = exact(owed["paid"], "paid") + counts - counted
        code = owed["currency_code"]
        books.put("bills", _standing({**owed, "paid": money(paid, code)}))
    return made


def _bill_line(books: Books, sent: Obj, code: str) -> Obj:
    made = {**blank("bill_lines", code), **sent}
    _known(books, "categories", made, "categoryid")
    cost, quantity = exact(made["unit_cost"], "unit_cost"), exact(made["quantity"], "quantity")
    net = cents(cost * quantity)
    percent = exact(made["tax_percent1"] or 0, "tax_percent1")
    part = cents(net * percent / 100)
    made |= {"amount": money(net, code), "tax_amount1": money(part, code)}
    return {**made, "quantity": f"{quantity:f}", "total_amount": money(net + part, code)}


def _standing(made: Obj) -> Obj:
    """A bill with what is left of it."""
    total, paid = exact(made["total_amount"], "total"), exact(made["paid"], "paid")
    made["outstanding"] = money(total - paid, made["currency_code"])
    made["status"] = "unpaid" if not paid else "paid" if paid >= total else "partial"
    return made


def _demand(made: Obj, *names: str) -> None:
    for name in names:
        if not made.get(name):
            raise Invalid(1001, name, f"{name} is required")


def _known(books: Books, kind: str, made: Obj, name: str) -> Obj:
    """The record that is named there; `Invalid` if there is none, or it is deleted."""
    found = books.kept[kind].get(int(made[name] or 0))
    if found is None or found.get("vis_state") == 1:
        raise Invalid(1012, name, f"{name}: not found.")
    return found


def _money(told: object, field: str, code: str) -> Obj:
    """An amount that was sent; without a currency, in that of the business."""
    amount = exact(told, field)
    if amount < 0:
        raise Invalid(1025, field, f"{field} must not be negative")
    named = told.get("code") if isinstance(told, dict) else None
    return {"amount": f"{amount:f}", "code": named or code}
