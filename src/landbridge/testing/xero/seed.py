"""What an organisation's books hold at the start: the same seed, the same books."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from landbridge.testing.xero.books import Books, reckoned
from landbridge.testing.xero.wire import stamp

_ACCOUNTS = (
    ("090", "Business Bank Account", "BANK", "ASSET"),
    ("200", "Sales", "REVENUE", "REVENUE"),
    ("310", "Cost of Goods Sold", "DIRECTCOSTS", "EXPENSE"),
    ("400", "Advertising", "OVERHEADS", "EXPENSE"),
    ("610", "Accounts Receivable", "CURRENT", "ASSET"),
    ("820", "GST", "CURRLIAB", "LIABILITY"),
    ("960", "Retained Earnings", "EQUITY", "EQUITY"),
)
_RATES = (("OUTPUT2", "15% GST on Income", 15), ("INPUT2", "15% GST on Expenses", 15))
_NAMES = ("Ridgeway", "Boom FM", "Marine", "City Limousines", "Bayside", "Gable", "Hamilton", "Rex")
_DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much of everything each organisation has."""

    contacts: int = 25
    items: int = 5
    invoices: int = 130
    credit_notes: int = 6
    payments: int = 40
    bank_transactions: int = 12
    manual_journals: int = 4


def fill(books: Books, amounts: Amounts) -> None:
    """Fills the books of an organisation; no webhook tells of it."""
    begun = books.now() // _DAY * _DAY
    _ground(books)
    for number in range(amounts.contacts):
        name = f"{_NAMES[number % len(_NAMES)]} {number:03} Ltd"
        books.write("Contacts", None, _contact(name, number), tell=False)
    for number in range(amounts.items):
        item = {"Code": f"I-{number:03}", "Name": f"Item {number}", "IsSold": True}
        prices = {"UnitPrice": 9.5 + number, "AccountCode": "200", "TaxType": "OUTPUT2"}
        books.put("Items", {**item, "IsPurchased": False, "SalesDetails": prices})
    for number in range(amounts.invoices):
        books.write("Invoices", None, _invoice(books, number, begun), tell=False)
    open_ones = [one for one in books.kept["Invoices"].values() if one["Status"] == "AUTHORISED"]
    bank = _by_code(books, "090")
    for invoice in open_ones[: amounts.payments]:
        part = invoice["AmountDue"] if books.rng.random() < 0.6 else 10.0
        sent = {"Invoice": {"InvoiceID": invoice["InvoiceID"]}, "Amount": part}
        named = {"AccountID": bank["AccountID"]}
        books.write("Payments", None, {**sent, "Account": named, "Date": stamp(begun)}, tell=False)
    for number in range(amounts.credit_notes):
        document = _document(books, number, begun)
        note = {**document, "Type": "ACCRECCREDIT", "CreditNoteNumber": f"CN-{number:04}"}
        note = reckoned({**note, "AmountPaid": 0, "AmountCredited": 0})
        note["RemainingCredit"] = note["Total"]
        for name in ("AmountPaid", "AmountCredited", "AmountDue"):
            del note[name]
        books.put("CreditNotes", note, tell=False)
    for number in range(amounts.bank_transactions):
        document = _document(books, number, begun)
        kind = {"Type": "SPEND" if number % 3 else "RECEIVE", "IsReconciled": number % 2 == 0}
        at = {"BankAccount": {"AccountID": bank["AccountID"], "Code": "090"}}
        whole = reckoned({**document, **kind, **at, "AmountPaid": 0, "AmountCredited": 0})
        for name in ("AmountPaid", "AmountCredited", "AmountDue"):
            del whole[name]
        books.put("BankTransactions", whole)
    for number in range(amounts.manual_journals):
        sides = [(100.0 + number, "400"), (-100.0 - number, "200")]
        lines = [{"LineAmount": amount, "AccountCode": code} for amount, code in sides]
        journal = {"Narration": f"Accrual {number}", "JournalLines": lines, "Status": "POSTED"}
        books.put("ManualJournals", {**journal, "Date": stamp(begun), "LineAmountTypes": "NoTax"})


def _ground(books: Books) -> None:
    for code, name, kind, group in _ACCOUNTS:
        more = {"BankAccountType": "BANK", "CurrencyCode": books.base} if kind == "BANK" else {}
        account = {"Code": code, "Name": name, "Type": kind, "Class": group, "Status": "ACTIVE"}
        flags = {"EnablePaymentsToAccount": False, "ShowInExpenseClaims": False}
        books.put("Accounts", {**account, **more, **flags, "TaxType": "NONE"})
    for code, name, rate in _RATES:
        part = {"Name": "GST", "Rate": rate, "IsCompound": False, "IsNonRecoverable": False}
        told = {"TaxType": code, "Name": name, "EffectiveRate": rate, "DisplayTaxRate": rate}
        books.put("TaxRates", {**told, "Status": "ACTIVE", "TaxComponents": [part]})
    organisation = {
        "OrganisationID": books.tenant,
        "Name": books.name,
        "LegalName": f"{books.name} Limited",
        "BaseCurrency": books.base,
        "CountryCode": "NZ",
        "IsDemoCompany": False,
        "FinancialYearEndDay": 31,
        "FinancialYearEndMonth": 3,
    }
    books.put("Organisations", organisation)


def _contact(name: str, number: int) -> dict[str, Any]:
    street = {
        "AddressType": "STREET",
        "AddressLine1": f"{number} Main Street",
        "City": "Wellington",
    }
    post = {"AddressType": "POBOX", "AddressLine1": f"PO Box {number}", "PostalCode": "6011"}
    phone = {"PhoneType": "DEFAULT", "PhoneNumber": f"555-{number:04}"}
    person = {"FirstName": "Ann", "LastName": f"No {number}"}
    more = {"EmailAddress": f"c{number}@example.com", "AccountNumber": f"A{number:05}"}
    return {"Name": name, **person, **more, "Addresses": [street, post], "Phones": [phone]}


def _invoice(books: Books, number: int, begun: float) -> dict[str, Any]:
    document = _document(books, number, begun)
    for line in document["LineItems"]:
        del line["LineAmount"], line["TaxAmount"], line["LineItemID"]
    status = books.rng.choice(["DRAFT", "AUTHORISED", "AUTHORISED", "AUTHORISED"])
    kind = "ACCPAY" if number % 5 == 4 else "ACCREC"
    due = stamp(begun + 20 * _DAY)
    return {**document, "Type": kind, "Status": status, "DueDate": due}


def _document(books: Books, number: int, begun: float) -> dict[str, Any]:
    contacts = list(books.kept["Contacts"].values())
    contact = contacts[number % len(contacts)]
    lines = [
        books._line(  # noqa: SLF001 - the seed is a part of the books
            {
                "Description": f"Work {number}.{place}",
                "Quantity": books.rng.randint(1, 9),
                "UnitAmount": books.rng.randint(100, 99_999) / 100,
                "AccountCode": "200",
                "TaxType": "OUTPUT2",
            }
        )
        for place in range(1 + number % 3)
    ]
    return {
        "Contact": {"ContactID": contact["ContactID"], "Name": contact["Name"]},
        "LineItems": lines,
        "LineAmountTypes": "Exclusive",
        "CurrencyCode": books.base,
        "CurrencyRate": 1.0,
        "Status": "AUTHORISED",
        "Reference": f"R{number}",
        "Date": stamp(begun - (number % 60) * _DAY),
    }


def _by_code(books: Books, code: str) -> dict[str, Any]:
    return next(one for one in books.kept["Accounts"].values() if one.get("Code") == code)
