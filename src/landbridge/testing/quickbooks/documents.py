"""The rules of documents: lines, taxes and totals, what pays them, and that journals balance."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from landbridge.testing.quickbooks.wire import Invalid, Obj, cents, day, exact

if TYPE_CHECKING:
    from landbridge.testing.quickbooks.books import Books

_SALES = ("Invoice", "CreditMemo")
PAYMENTS = ("Payment", "BillPayment")
"""What settles documents of others."""
_PARTIES = {
    "Invoice": ("CustomerRef", "Customer"),
    "CreditMemo": ("CustomerRef", "Customer"),
    "Payment": ("CustomerRef", "Customer"),
    "Bill": ("VendorRef", "Vendor"),
    "BillPayment": ("VendorRef", "Vendor"),
    "VendorCredit": ("VendorRef", "Vendor"),
    "Purchase": ("AccountRef", "Account"),
}
_NAMED = {
    "AccountBasedExpenseLineDetail": "AccountRef",
    "ItemBasedExpenseLineDetail": "ItemRef",
}
"""What a line of its kind has to name."""
_LONGEST = 21


class Documents:
    """Reckons the documents of one company."""

    def __init__(self, books: Books):
        self._books = books

    def ruled(self, kind: str, made: Obj, before: Obj) -> Obj:
        """The document as it is kept; `Invalid` says why it is not taken."""
        books = self._books
        made.setdefault("TxnDate", day(books.now()))
        made.setdefault("CurrencyRef", books.currency())
        if kind in _PARTIES:
            name, of = _PARTIES[kind]
            if name not in made:
                raise Invalid("2020", "Required param missing", f"{name} is missing", name)
            made[name] = books.referred(made, name, of)
        if kind == "Purchase":
            self._paid_from(made)
        if self._closed(made) or (before and self._closed(before)):
            raise Invalid("6210", "Account Period Closed, Cannot Update Through Services Error")
        self._numbered(kind, made)
        if kind == "BillPayment":
            self._drawn_on(made)
        if kind in PAYMENTS:
            return self._payment(kind, made, before)
        if kind == "JournalEntry":
            return self._journal(made)
        return self._reckoned(kind, made)

    def _closed(self, made: Obj) -> bool:
        told = [one["AccountingInfoPrefs"] for one in self._books.kept["Preferences"].values()]
        return any(made["TxnDate"] <= each.get("BookCloseDate", "") for each in told)

    def _paid_from(self, made: Obj) -> None:
        """Demands an account that pays in this manner, and a payee with a type."""
        sort = self._books.kept["Account"][made["AccountRef"]["value"]]["AccountType"]
        wanted = {"Cash": "Bank", "Check": "Bank", "CreditCard": "Credit Card"}
        if "PaymentType" not in made:
            raise Invalid("2020", "Required param missing", "PaymentType is missing", "PaymentType")
        if wanted.get(made["PaymentType"], sort) != sort:
            raise Invalid("6000", "A business validation error has occurred", "another account")
        if "EntityRef" in made:
            if "type" not in made["EntityRef"]:
                raise Invalid("2020", "Required param missing", "EntityRef.type is missing")
            found = self._books.referred(made, "EntityRef", made["EntityRef"]["type"])
            made["EntityRef"] = {**found, "type": made["EntityRef"]["type"]}

    def _drawn_on(self, made: Obj) -> None:
        """Demands the account that pays a bill, of the kind that the manner of paying says."""
        ways = {
            "Check": ("CheckPayment", "BankAccountRef", "Bank"),
            "CreditCard": ("CreditCardPayment", "CCAccountRef", "Credit Card"),
        }
        if made.get("PayType") not in ways:
            raise Invalid("2020", "Required param missing", "PayType is missing", "PayType")
        inside, name, wanted = ways[made["PayType"]]
        if name not in made.get(inside, {}):
            raise Invalid("2020", "Required param missing", f"{inside}.{name} is missing", name)
        found = self._books.referred(made[inside], name, "Account")
        if self._books.kept["Account"][found["value"]]["AccountType"] != wanted:
            raise Invalid("6000", "A business validation error has occurred", "another account")
        made[inside] = {**made[inside], name: found}

    def _numbered(self, kind: str, made: Obj) -> None:
        books = self._books
        number = made.get("DocNumber")
        if not number and kind in _SALES:
            books.numbers["DocNumber"] += 1
            number = made["DocNumber"] = str(1000 + books.numbers["DocNumber"])
        if number and len(number) > _LONGEST:
            raise Invalid("2050", "String length is either shorter or longer", "DocNumber")
        for other in books.kept[kind].values() if number and kind in _SALES else ():
            if other.get("DocNumber") == number and other["Id"] != made.get("Id"):
                detail = f"Duplicate Document Number Error : DocNumber={number}"
                raise Invalid("6140", "Duplicate Document Number Error", detail)

    def _reckoned(self, kind: str, made: Obj) -> Obj:
        lines = [self._line(line) for line in made.get("Line", [])]
        if not lines:
            raise Invalid("2020", "Required param missing", "Required parameter Line is missing")
        own = [line for line in lines if line["DetailType"] != "DiscountLineDetail"]
        discount = sum(
            (exact(one["Amount"]) for one in lines if one not in own and "Amount" in one),
            Decimal(0),
        )
        subtotal = sum((exact(line.get("Amount", 0)) for line in own), Decimal(0))
        mode = made.setdefault("GlobalTaxCalculation", "TaxExcluded")
        taxes = self._taxes(kind, own, mode)
        total = subtotal - discount + (taxes if mode == "TaxExcluded" else 0)
        made["Line"] = lines
        if kind in _SALES:
            sums = {"Amount": float(subtotal), "DetailType": "SubTotalLineDetail"}
            made["Line"] = [*lines, {**sums, "SubTotalLineDetail": {}}]
        made["TxnTaxDetail"] = {"TotalTax": float(taxes)}
        made["TotalAmt"] = float(total)
        if kind == "CreditMemo":
            made["RemainingCredit"] = float(total)
        if kind != "Purchase":
            left = total - exact(self._paid(kind, made))
            if left < 0:
                raise Invalid("6000", "A business validation error has occurred", "it is paid")
            made["Balance"] = float(left)
        return made

    def _paid(self, kind: str, made: Obj) -> Decimal:
        """What payments have settled of a document."""
        key = made.get("Id")
        paid = Decimal(0)
        every = [one for each in PAYMENTS for one in self._books.kept[each].values()]
        for payment in every if key else ():
            for line in payment.get("Line", []):
                if {"TxnId": key, "TxnType": kind} in line.get("LinkedTxn", []):
                    paid += exact(line["Amount"])
        return paid

    def _taxes(self, kind: str, lines: list[Obj], mode: str) -> Decimal:
        """All taxes, each rate of them rounded by itself: per line, or for all lines together."""
        if mode == "NotApplicable":
            return Decimal(0)
        books, sums = self._books, dict[tuple[int, str, int], Decimal]()
        for place, line in enumerate(lines):
            detail = line.get(line["DetailType"], {})
            code = str((detail.get("TaxCodeRef") or {}).get("value", ""))
            rates = books.rates(code, bought=kind not in _SALES)
            base = 100 + sum(rates) if mode == "TaxInclusive" else 100
            for number, rate in enumerate(rates):
                at = (place if books.rounds == "line" else -1, code, number)
                tax = exact(line.get("Amount", 0)) * rate / base
                sums[at] = sums.get(at, Decimal(0)) + tax
        return sum((cents(each) for each in sums.values()), Decimal(0))

    def _line(self, sent: Obj) -> Obj:
        books, line = self._books, copy.deepcopy(sent)
        kind = line.get("DetailType")
        if not kind:
            raise Invalid("2020", "Required param missing", "Line.DetailType is missing")
        if kind == "SubTotalLineDetail":
            raise Invalid(
                "2010", "Request has invalid or unsupported property", "SubTotalLineDetail"
            )
        if "Amount" not in line and kind != "DescriptionOnly":
            raise Invalid("2020", "Required param missing", "Line.Amount is missing", "Amount")
        detail = line.get(kind) or {}
        if kind in _NAMED and _NAMED[kind] not in detail:
            raise Invalid("2020", "Required param missing", f"{_NAMED[kind]} is missing")
        for name, of in (("ItemRef", "Item"), ("AccountRef", "Account"), ("TaxCodeRef", "TaxCode")):
            # Those of the United States are there without a list of them.
            known = of == "TaxCode" and detail.get(name) in (
                None,
                {"value": "TAX"},
                {"value": "NON"},
            )
            if name in detail and not known:
                detail[name] = books.referred(detail, name, of)
        if {"Qty", "UnitPrice"} <= set(detail):
            wanted = cents(exact(detail["Qty"]) * exact(detail["UnitPrice"]))
            if wanted != cents(exact(line["Amount"])):
                detail_text = f"Amount is not equal to UnitPrice * Qty. Supplied value:{wanted}"
                raise Invalid("6070", "Amount calculation incorrect in the request", detail_text)
        if int(line.get("Id", 0) or 0) <= 0:
            books.numbers["Line"] += 1
            line["Id"] = str(books.numbers["Line"])
        return line

    def _journal(self, made: Obj) -> Obj:
        lines = [self._line(line) for line in made.get("Line", [])]
        balance = Decimal(0)
        for line in lines:
            detail = line.get("JournalEntryLineDetail") or {}
            if detail.get("PostingType") not in ("Debit", "Credit") or "AccountRef" not in detail:
                raise Invalid("2020", "Required param missing", "PostingType or AccountRef")
            sign = 1 if detail["PostingType"] == "Debit" else -1
            balance += sign * exact(line["Amount"])
        if balance or not lines:
            detail_text = "Total of debits must equal total of credits"
            raise Invalid("6000", "A business validation error has occurred", detail_text)
        return {**made, "Line": lines}

    def _payment(self, kind: str, made: Obj, before: Obj) -> Obj:
        if "TotalAmt" not in made:
            raise Invalid("2020", "Required param missing", "TotalAmt is missing", "TotalAmt")
        settled = [line for line in made.get("Line", []) if line.get("LinkedTxn")]
        left = exact(made["TotalAmt"]) - sum((exact(one["Amount"]) for one in settled), Decimal(0))
        if left < 0:
            raise Invalid("6000", "A business validation error has occurred", "more than TotalAmt")
        if before:
            self.unpay(before)
        for line in settled:
            self._pay(line["LinkedTxn"][0], exact(line["Amount"]))
        if kind == "BillPayment":
            if left or not settled:
                raise Invalid("6000", "A business validation error has occurred", "TotalAmt")
            return made
        return {**made, "UnappliedAmt": float(left)}

    def unpay(self, payment: Obj) -> None:
        """Takes back what a payment settled."""
        for line in payment.get("Line", []):
            for linked in line.get("LinkedTxn", []):
                self._pay(linked, -exact(line["Amount"]))

    def _pay(self, linked: dict[str, Any], amount: Decimal) -> None:
        books = self._books
        document = copy.deepcopy(books.one(linked["TxnType"], str(linked["TxnId"])))
        left = exact(document["Balance"]) - amount
        if left < 0:
            raise Invalid("6000", "A business validation error has occurred", "it is paid already")
        books.put(linked["TxnType"], {**document, "Balance": float(left)})
