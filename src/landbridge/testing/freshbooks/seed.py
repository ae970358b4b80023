"""What the books of a business hold at the start: the same seed, the same books."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random

from landbridge.testing.freshbooks.books import Books
from landbridge.testing.freshbooks.wire import Obj, blank, money, zulu

_NAMES = ("Cyanamid", "Shumway", "Tanner", "Bayern", "Milfoil", "Kovalic", "Ochmonek", "Deutsch")
_CATEGORIES = ("Advertising", "Car & Truck Expenses", "Office Supplies", "Rent", "Travel")
_ACCOUNTS = (
    ("Cash", "1000", "asset"),
    ("Accounts Payable", "2000", "liability"),
    ("Owner's Equity", "3000", "equity"),
    ("Sales", "4000", "income"),
    ("Operating Expenses", "5000", "expense"),
)


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much of everything each business has."""

    clients: int = 20
    items: int = 4
    invoices: int = 120
    payments: int = 30
    expenses: int = 15
    credit_notes: int = 4
    bills: int = 6


def fill(books: Books, amounts: Amounts, rng: Random) -> None:
    """Fills the books of a business; nobody is told."""
    today = datetime.fromtimestamp(books.now(), UTC).date()
    code = books.base
    _ground(books)
    for number in range(amounts.clients):
        named = {"organization": f"{_NAMES[number % len(_NAMES)]} {number:03} Ltd"}
        if number % 5 == 4:
            named = {"fname": "Gordon", "lname": f"No {number}"}
        street = {"p_street": f"{number} Huron St", "p_city": "Toronto", "p_country": "Canada"}
        email = {"email": f"c{number}@example.com"}
        books.write("clients", None, {**named, **street, **email}, tell=False)
    for number in range(amounts.items):
        cost = money(f"{9 + number}.50", code)
        tax = next(iter(books.kept["taxes"]))
        books.add("items", {"name": f"Item {number}", "qty": "1", "unit_cost": cost, "tax1": tax})
    clients = [*books.kept["clients"].values()]
    for number in range(amounts.invoices):
        made = books.write("invoices", None, _invoice(books, rng, number, today), tell=False)
        if number % 4:
            books.write("invoices", made["id"], {"status": 2}, tell=False)
    for invoice in [*books.kept["invoices"].values()][: amounts.payments]:
        due = invoice["outstanding"] if rng.random() < 0.6 else money(1, code)
        paid = {"invoiceid": invoice["id"], "amount": due, "date": f"{today}", "type": "Cash"}
        books.write("payments", None, paid, tell=False)
    _buy(books, amounts, f"{today}")
    for number in range(amounts.credit_notes):
        line = {**blank("lines", code), "name": "Returned", "qty": "1", "lineid": str(number)}
        cost = money(10 + number, code)
        note = {"credit_number": f"CN{number}", "amount": cost, "currency_code": code}
        status = {"display_status": "sent", "payment_status": "unpaid", "status": "sent"}
        whose = {"clientid": str(clients[number % len(clients)]["id"]), "create_date": f"{today}"}
        whole = {**line, "amount": cost, "unit_cost": cost}
        books.add("credit_notes", {**note, **status, **whose, "lines": [whole]})


def _ground(books: Books) -> None:
    for name, percent in (("HST", "13"), ("GST", "5"), ("PST", "7")):
        more = {"accounting_systemid": books.account, "number": None, "compound": False}
        books.add("taxes", {"name": name, "amount": percent, **more})
    for number, (name, digits, kind) in enumerate(_ACCOUNTS):
        told = {"account_name": name, "account_number": digits, "account_type": kind}
        books.add("journal_entry_accounts", {**told, "accountid": 500 + number, "balance": 0})
    for name in _CATEGORIES:
        books.add("categories", {"category": name, "created_at": zulu(books.now())})


def _invoice(books: Books, rng: Random, number: int, today: date) -> Obj:
    lines = [
        {
            "type": 0,
            "name": f"Work {number}.{place}",
            "qty": str(rng.randint(1, 9)),
            "unit_cost": money(f"{rng.randint(100, 99_999)}e-2", books.base),
            "taxName1": "HST" if place % 2 == 0 else None,
            "taxAmount1": "13" if place % 2 == 0 else None,
        }
        for place in range(1 + number % 3)
    ]
    begun = today - timedelta(days=number % 60)
    clients = [*books.kept["clients"]]
    dates = {"create_date": f"{begun}", "due_date": f"{begun + timedelta(days=30)}"}
    whose = {"customerid": clients[number % len(clients)], "po_number": f"PO{number}"}
    return {**whose, **dates, "lines": lines}


def _buy(books: Books, amounts: Amounts, today: str) -> None:
    code, categories = books.base, [*books.kept["categories"].values()]
    for number in range(amounts.expenses):
        spent = money(f"{113 + number}", code)
        tax = {"taxName1": "HST", "taxPercent1": "13", "taxAmount1": money(13, code)}
        told = {"amount": spent, "date": today, "vendor": "Staples", "notes": f"Pens {number}"}
        category = categories[number % len(categories)]["categoryid"]
        books.add("expenses", {**told, **tax, "categoryid": category})
    vendor = books.add("bill_vendors", {"vendor_name": "Paper Co", "currency_code": code})
    for number in range(amounts.bills):
        line = {
            **blank("bill_lines", code),
            "description": "Paper",
            "quantity": "2",
            "unit_cost": money(50, code),
            "amount": money(100, code),
            "categoryid": categories[0]["categoryid"],
            "tax_name1": "HST",
            "tax_percent1": "13",
            "tax_amount1": money(13, code),
            "total_amount": money(113, code),
        }
        sums = {"amount": money(100, code), "tax_amount": money(13, code)}
        sums |= {"total_amount": money(113, code), "outstanding": money(113, code)}
        whose = {"vendorid": vendor["vendorid"], "currency_code": code}
        dates = {"issue_date": today, "due_date": today, "created_at": zulu(books.now())}
        head = {"bill_number": f"B{number}", "status": "unpaid"}
        bill = books.add("bills", {**head, **sums, **whose, **dates, "lines": [line]})
        if number == 0:
            paid = {"amount": money(13, code), "billid": bill["id"], "paid_date": today}
            books.add("bill_payments", {**paid, "payment_type": "Cash"})
    for number in range(2):
        entry = {"detailid": 700 + number, "user_entered_date": today, "name": "Sale"}
        side = "debit" if number == 0 else "credit"
        books.add("journal_entry_details", {**entry, side: money(10, code)})
