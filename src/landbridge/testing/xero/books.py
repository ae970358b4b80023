"""The books of one organisation: its records, their changes, and the rules of writing them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

from landbridge.testing.xero.wire import Invalid, Obj, at_of, day, guid, stamp

IDS = {
    "Accounts": "AccountID",
    "TaxRates": "TaxType",
    "Contacts": "ContactID",
    "Items": "ItemID",
    "Invoices": "InvoiceID",
    "CreditNotes": "CreditNoteID",
    "Payments": "PaymentID",
    "BankTransactions": "BankTransactionID",
    "ManualJournals": "ManualJournalID",
    "Organisations": "OrganisationID",
}
WRITTEN = frozenset(
    "Contacts Invoices CreditNotes Payments BankTransactions Items Accounts ManualJournals"
    " TaxRates".split()
)
"""The collections that can be written here."""

TOLD = {"Contacts": "CONTACT", "Invoices": "INVOICE", "CreditNotes": "CREDITNOTE"}
"""The collections that webhooks tell of, by the category of their events."""

_CLASSES = {
    **dict.fromkeys(("BANK", "CURRENT", "FIXED", "INVENTORY", "NONCURRENT", "PREPAYMENT"), "ASSET"),
    **dict.fromkeys(("CURRLIAB", "LIABILITY", "TERMLIAB"), "LIABILITY"),
    **dict.fromkeys(("REVENUE", "SALES", "OTHERINCOME"), "REVENUE"),
    "EQUITY": "EQUITY",
}
"""The class of an account by its type; those of the others are expenses."""

_NEXT = {
    "DRAFT": {"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"},
    "SUBMITTED": {"SUBMITTED", "DRAFT", "AUTHORISED", "DELETED"},
    "AUTHORISED": {"AUTHORISED", "VOIDED"},
}


def _unheard(_tenant: str, _event: Obj) -> None:
    """Nobody listens."""


@dataclass(kw_only=True)
class Books:
    """One organisation. `changed` tells when each record last did, in unix seconds."""

    tenant: str
    name: str
    rng: Random
    now: Callable[[], float]
    base: str = "NZD"
    on_event: Callable[[str, Obj], None] = _unheard
    kept: dict[str, dict[str, Obj]] = field(default_factory=lambda: {name: {} for name in IDS})
    changed: dict[tuple[str, str], float] = field(default_factory=dict)
    numbers: int = 0

    def put(self, kind: str, obj: Obj, *, tell: bool = True) -> Obj:
        """Keeps a record as it now is: stamped, and told of by a webhook where Xero does."""
        key = obj.setdefault(IDS[kind], guid(self.rng))
        new = key not in self.kept[kind]
        if kind not in ("TaxRates", "Organisations"):
            obj["UpdatedDateUTC"] = stamp(self.now())
        self.kept[kind][key] = obj
        self.changed[kind, key] = self.now()
        if tell and kind in TOLD:
            more: Obj = {}
            if kind == "CreditNotes":
                more = {"data": {"Type": obj["Type"], "Status": obj["Status"]}}
            event = {"resourceId": key, "eventCategory": TOLD[kind]}
            kind_of = {"eventType": "CREATE" if new else "UPDATE"}
            self.on_event(self.tenant, {**event, **kind_of, **more})
        return obj

    def one(self, kind: str, key: str) -> Obj | None:
        """A record by its id, or as Xero also takes it, by its number."""
        found = self.kept[kind].get(key)
        number = {"Invoices": "InvoiceNumber", "Contacts": "ContactNumber"}.get(kind)
        if found is None and number:
            found = next((o for o in self.kept[kind].values() if o.get(number) == key), None)
        return found

    def listed(self, kind: str, *, since: float | None, order: str, archived: bool) -> list[Obj]:
        """The records that changed since an instant, in the order of a field or of their ids."""
        key = IDS[kind]
        found = [
            obj
            for obj in self.kept[kind].values()
            if since is None or self.changed[kind, obj[key]] >= since
        ]
        if kind == "Contacts" and not archived:
            found = [obj for obj in found if obj["ContactStatus"] == "ACTIVE"]
        by, _, way = order.partition(" ")
        by = by or key
        if by == "UpdatedDateUTC":
            found.sort(key=lambda obj: self.changed[kind, obj[key]])
        else:
            found.sort(key=lambda obj: str(obj.get(by, "")))
        return found[::-1] if way.upper() == "DESC" else found

    def write(self, kind: str, key: str | None, sent: Obj, *, tell: bool = True) -> Obj:
        """Creates a record, or changes one, by the rules of its kind; `Invalid` says why not."""
        rules: dict[str, Callable[[Obj, Obj], Obj]] = {
            "Contacts": self._contact,
            "Invoices": self._invoice,
            "CreditNotes": self._credit_note,
            "Items": self._item,
            "Accounts": self._account,
            "ManualJournals": self._journal,
            "TaxRates": self._tax_rate,
            "Payments": self._payment,
            "BankTransactions": self._bank_transaction,
        }
        before: Obj = {}
        key = key or sent.get(IDS[kind])
        if key is not None:
            found = self.one(kind, key)
            if found is None:
                raise Invalid(f"No {kind} with the id {key}")
            before = found
        sent = {name: value for name, value in sent.items() if value is not None or before}
        return self.put(kind, rules[kind](copy.deepcopy(before), sent), tell=tell)

    def _contact(self, obj: Obj, sent: Obj) -> Obj:
        plain = {
            "Addresses": [],
            "Phones": [],
            "ContactGroups": [],
            "ContactPersons": [],
            "IsSupplier": False,
            "IsCustomer": False,
            "HasAttachments": False,
            "HasValidationErrors": False,
            "ContactStatus": "ACTIVE",
        }
        made = without_nulls({**plain, **obj, **sent})
        name = made.get("Name")
        if not name:
            raise Invalid("The contact name must be specified.")
        for other in self.kept["Contacts"].values():
            same = other.get("ContactID") != made.get("ContactID") and other["Name"] == name
            if same and other["ContactStatus"] == "ACTIVE":
                raise Invalid(
                    f"The contact name {name} is already assigned to another contact. The contact"
                    " name must be unique across all active contacts."
                )
        if "@" not in made.get("EmailAddress", "@"):
            raise Invalid("Email address must be valid.")
        return made

    def _invoice(self, obj: Obj, sent: Obj) -> Obj:
        status = obj.get("Status")
        wanted = sent.get("Status") or status or "DRAFT"
        if status and wanted not in _NEXT.get(status, set()):
            raise Invalid("Invoice not of valid status for modification")
        if wanted == "VOIDED" and obj.get("AmountPaid"):
            raise Invalid("This document cannot be voided as it has payments")
        plain = {
            "Type": "ACCREC",
            "LineAmountTypes": "Exclusive",
            "CurrencyCode": self.base,
            "CurrencyRate": 1.0,
            "LineItems": [],
            "Payments": [],
            "AmountPaid": 0.0,
            "AmountCredited": 0.0,
            "HasErrors": False,
        }
        made = without_nulls({**plain, **obj, **sent, "Status": wanted})
        made["Contact"] = self._named_contact(made)
        for name in ("Date", "DueDate"):
            if name in made:
                made[name] = day(made[name])
        self._numbered("Invoices", "InvoiceNumber", obj, made)
        made.setdefault("Date", stamp(self.now() // 86_400 * 86_400))
        if wanted == "AUTHORISED" and not made["LineItems"]:
            raise Invalid("One or more line items must be specified")
        if wanted == "AUTHORISED" and "DueDate" not in made:
            raise Invalid("The due date must be specified")
        self._open(obj, made)
        if not made.get("InvoiceNumber"):
            self.numbers += 1
            made["InvoiceNumber"] = f"INV-{self.numbers:04}"
        mode = made["LineAmountTypes"]
        made["LineItems"] = [self._line(line, mode) for line in made["LineItems"]]
        return reckoned(made)

    def _credit_note(self, obj: Obj, sent: Obj) -> Obj:
        status = obj.get("Status")
        wanted = sent.get("Status") or status or "DRAFT"
        if status and wanted not in _NEXT.get(status, set()):
            raise Invalid("Credit note not of valid status for modification")
        plain = {"LineAmountTypes": "Exclusive", "CurrencyCode": self.base, "CurrencyRate": 1.0}
        made = without_nulls({**plain, "LineItems": [], **obj, **sent, "Status": wanted})
        if made.get("Type") not in ("ACCRECCREDIT", "ACCPAYCREDIT"):
            raise Invalid("Credit note type must be specified")
        made["Contact"] = self._named_contact(made)
        made["Date"] = day(made.get("Date") or stamp(self.now() // 86_400 * 86_400))
        self._numbered("CreditNotes", "CreditNoteNumber", obj, made)
        self._open(obj, made)
        if not made.get("CreditNoteNumber"):
            self.numbers += 1
            made["CreditNoteNumber"] = f"CN-{self.numbers:04}"
        mode = made["LineAmountTypes"]
        made["LineItems"] = [self._line(line, mode) for line in made["LineItems"]]
        made = reckoned({**made, "AmountPaid": 0, "AmountCredited": 0})
        made["RemainingCredit"] = made["AmountDue"]
        for name in ("AmountPaid", "AmountCredited", "AmountDue"):
            del made[name]
        return made

    def _bank_transaction(self, obj: Obj, sent: Obj) -> Obj:
        if obj.get("Status") in ("DELETED", "VOIDED") or obj.get("IsReconciled"):
            raise Invalid("This Bank Transaction cannot be edited as it is deleted or reconciled")
        plain = {"LineAmountTypes": "Exclusive", "CurrencyCode": self.base, "CurrencyRate": 1.0}
        plain |= {"Status": "AUTHORISED", "IsReconciled": False, "HasAttachments": False}
        made = without_nulls({**plain, **obj, **sent})
        if made.get("Type") not in ("SPEND", "RECEIVE") or made["Type"] != obj.get(
            "Type", made["Type"]
        ):
            raise Invalid("The type of this bank transaction is not one that can be written")
        made["Contact"] = self._named_contact(made)
        account = self.kept["Accounts"].get((made.get("BankAccount") or {}).get("AccountID", ""))
        if account is None or account["Type"] != "BANK":
            raise Invalid("The BankAccount must be a bank account of the organisation")
        made["BankAccount"] = {name: account[name] for name in ("AccountID", "Code", "Name")}
        made["Date"] = day(made.get("Date") or stamp(self.now() // 86_400 * 86_400))
        mode = made["LineAmountTypes"]
        made["LineItems"] = [self._line(line, mode) for line in made.get("LineItems") or ()]
        if not made["LineItems"]:
            raise Invalid("One or more line items must be specified")
        made = reckoned({**made, "AmountPaid": 0, "AmountCredited": 0})
        return {
            name: value
            for name, value in made.items()
            if name not in ("AmountPaid", "AmountCredited", "AmountDue")
        } | {"Status": sent.get("Status") or made["Status"]}

    def _item(self, obj: Obj, sent: Obj) -> Obj:
        made = without_nulls({"IsSold": True, "IsPurchased": True, **obj, **sent})
        for name in ("SalesDetails", "PurchaseDetails"):
            if isinstance(sent.get(name), dict):
                made[name] = without_nulls({**obj.get(name, {}), **sent[name]})
        self._unique("Items", made, "Item code")
        return made

    def _account(self, obj: Obj, sent: Obj) -> Obj:
        made = without_nulls({"Status": "ACTIVE", "TaxType": "NONE", **obj, **sent})
        for name in ("Name", "Type"):
            if not made.get(name):
                raise Invalid(f"Account {name} must be specified")
        if obj and made["Type"] != obj["Type"]:
            raise Invalid("The type of this account cannot be changed here")
        if made["Status"] == "ARCHIVED" and obj.get("SystemAccount"):
            raise Invalid("A system account cannot be archived")
        self._unique("Accounts", made, "Account code")
        made["Class"] = _CLASSES.get(made["Type"], "EXPENSE")
        return made

    def _journal(self, obj: Obj, sent: Obj) -> Obj:
        if obj.get("Status") in ("VOIDED", "DELETED"):
            raise Invalid("Manual journal not of valid status for modification")
        plain = {"Status": "DRAFT", "LineAmountTypes": "NoTax", "JournalLines": []}
        made = without_nulls({**plain, **obj, **sent})
        if not made.get("Narration"):
            raise Invalid("A narration must be specified")
        made["Date"] = day(made.get("Date") or stamp(self.now() // 86_400 * 86_400))
        made["JournalLines"] = [without_nulls(line) for line in made["JournalLines"]]
        self._open(obj, made)
        for line in made["JournalLines"]:
            self._account_of(line)
        if sum((exact(line["LineAmount"]) for line in made["JournalLines"]), Decimal(0)):
            raise Invalid("The total debits must equal total credits")
        return made

    def _tax_rate(self, obj: Obj, sent: Obj) -> Obj:
        made = without_nulls({"Status": "ACTIVE", "TaxComponents": [], **obj, **sent})
        if not made.get("Name"):
            raise Invalid("A tax rate name must be specified")
        for other in self.kept["TaxRates"].values():
            if other["Name"] == made["Name"] and other["TaxType"] != made.get("TaxType"):
                raise Invalid(f"A tax rate named '{made['Name']}' exists already")
        if not made["TaxComponents"]:
            raise Invalid("A tax rate needs at least one component")
        parts = [{"IsCompound": False, **part} for part in made["TaxComponents"]]
        plain = sum((exact(part["Rate"]) for part in parts if not part["IsCompound"]), Decimal(0))
        whole = plain
        for part in parts:
            if part["IsCompound"]:
                whole += (100 + plain) * exact(part["Rate"]) / 100
        count = sum(1 for key in self.kept["TaxRates"] if key.startswith("TAX"))
        made.setdefault("TaxType", f"TAX{count + 1:03}")
        rates = {"EffectiveRate": float(whole), "DisplayTaxRate": float(whole)}
        return {**made, **rates, "TaxComponents": parts}

    def _account_of(self, line: Obj) -> None:
        code = line.get("AccountCode")
        found = [one for one in self.kept["Accounts"].values() if one.get("Code") == code]
        if not found:
            raise Invalid(f"Account code '{code}' is not a valid code for this document.")
        if found[0]["Status"] != "ACTIVE":
            raise Invalid(f"Account code '{code}' has been archived.")

    def _numbered(self, kind: str, name: str, obj: Obj, made: Obj) -> None:
        """Demands of what goes to customers a number that nothing else has."""
        number = made.get(name)
        if not number or number == obj.get(name) or not made["Type"].startswith("ACCREC"):
            return
        for other in self.kept[kind].values():
            void = other["Status"] in ("VOIDED", "DELETED")
            if other.get(name) == number and other["Type"] == made["Type"] and not void:
                raise Invalid(f"{name} '{number}' must be unique.")

    def _open(self, obj: Obj, made: Obj) -> None:
        """Demands that what is posted is in no period that the organisation has locked."""
        (books,) = self.kept["Organisations"].values() or ({},)
        locks = [books.get("PeriodLockDate"), books.get("EndOfYearLockDate")]
        days = [day(one["Date"]) for one in (obj, made) if one.get("Date")]
        posted = made["Status"] in ("AUTHORISED", "POSTED", "PAID")
        if posted and any(at_of(each) <= at_of(lock) for each in days for lock in locks if lock):
            raise Invalid("The document date cannot be within a locked period")

    def _unique(self, kind: str, made: Obj, what: str) -> None:
        key, code = IDS[kind], made.get("Code")
        if not code and kind == "Items":
            raise Invalid(f"{what} must be specified")
        for other in self.kept[kind].values():
            if code and other.get("Code") == code and other[key] != made.get(key):
                raise Invalid(f"{what} '{code}' already exists")

    def _named_contact(self, made: Obj) -> Obj:
        named = (made.get("Contact") or {}).get("ContactID", "")
        contact = self.kept["Contacts"].get(named)
        if contact is None:
            raise Invalid("A Contact must be specified for this type of transaction")
        return {"ContactID": contact["ContactID"], "Name": contact["Name"]}

    def _line(self, sent: Obj, mode: str = "Exclusive") -> Obj:
        line = without_nulls({"Quantity": 1, "UnitAmount": 0, "Tracking": [], **sent})
        if line.get("AccountCode"):
            self._account_of(line)
        if line.get("TaxType", "NONE") not in {"NONE", *self.kept["TaxRates"]}:
            raise Invalid(f"TaxType code '{line['TaxType']}' does not exist or cannot be used here")
        price = exact(line["Quantity"]) * exact(line["UnitAmount"])
        amount = cents(price * (100 - exact(line.get("DiscountRate", 0))) / 100)
        if "LineAmount" in sent and not obj_equal(sent["LineAmount"], amount):
            raise Invalid("The line total does not match the expected line total")
        rate = exact(self.kept["TaxRates"].get(line.get("TaxType", ""), {}).get("EffectiveRate", 0))
        parts = {"Exclusive": rate / 100, "Inclusive": rate / (100 + rate), "NoTax": Decimal(0)}
        tax = cents(amount * parts[mode])
        line["LineItemID"] = line.get("LineItemID") or guid(self.rng)
        return {**line, "LineAmount": float(amount), "TaxAmount": float(tax)}

    def _payment(self, obj: Obj, sent: Obj) -> Obj:
        if obj:
            if sent != {"Status": "DELETED"} or obj["Status"] == "DELETED":
                raise Invalid("A payment can only be deleted, and only once")
            self._pay(obj["Invoice"]["InvoiceID"], -exact(obj["Amount"]))
            return {**obj, "Status": "DELETED"}
        invoice = self.kept["Invoices"].get((sent.get("Invoice") or {}).get("InvoiceID", ""))
        if invoice is None or invoice["Status"] != "AUTHORISED":
            raise Invalid("Payments can only be made against Authorised documents")
        account = self._paying(sent.get("Account") or {})
        amount = exact(sent.get("Amount") or 0)
        if amount <= 0:
            raise Invalid("Payment amount must be greater than zero")
        if amount > exact(invoice["AmountDue"]):
            raise Invalid("Payment amount exceeds the amount outstanding on this document")
        names = ("Type", "InvoiceID", "InvoiceNumber", "Contact", "CurrencyCode")
        made = without_nulls(
            {
                "PaymentType": f"{invoice['Type']}PAYMENT",
                "Status": "AUTHORISED",
                "IsReconciled": False,
                "HasAccount": True,
                "CurrencyRate": 1.0,
                **sent,
                "Date": day(sent.get("Date") or stamp(self.now())),
                "Amount": float(amount),
                "Account": {"AccountID": account["AccountID"], "Code": account.get("Code", "")},
                "Invoice": {name: invoice[name] for name in names},
            }
        )
        self._pay(invoice["InvoiceID"], amount)
        return made

    def _paying(self, named: Obj) -> Obj:
        for account in self.kept["Accounts"].values():
            same = {name: account.get(name) for name in named} == named
            if named and same and (account["Type"] == "BANK" or account["EnablePaymentsToAccount"]):
                return account
        raise Invalid("The account type is invalid for payments")

    def _pay(self, key: str, amount: Decimal) -> None:
        invoice = copy.deepcopy(self.kept["Invoices"][key])
        invoice["AmountPaid"] = float(exact(invoice["AmountPaid"]) + amount)
        self.put("Invoices", reckoned(invoice))


def reckoned(obj: Obj) -> Obj:
    """A document with its totals, and its status, as its lines and payments make them."""
    lines = obj["LineItems"]
    amounts = sum((exact(line["LineAmount"]) for line in lines), Decimal(0))
    tax = sum((exact(line["TaxAmount"]) for line in lines), Decimal(0))
    if obj["LineAmountTypes"] == "NoTax":
        tax = Decimal(0)
    inclusive = obj["LineAmountTypes"] == "Inclusive"
    net = amounts - tax if inclusive else amounts
    due = net + tax - exact(obj["AmountPaid"]) - exact(obj["AmountCredited"])
    if obj["Status"] in ("AUTHORISED", "PAID"):
        obj["Status"] = "PAID" if due == 0 and net + tax > 0 else "AUTHORISED"
    counts = obj["Status"] not in ("VOIDED", "DELETED")
    told = {"SubTotal": net, "TotalTax": tax, "Total": net + tax, "AmountDue": due * counts}
    return {**obj, **{name: float(value) for name, value in told.items()}}


def exact(value: Any) -> Decimal:
    """A number of JSON, exact; `Invalid` unless it is one."""
    try:
        return Decimal(str(value))
    except ArithmeticError:
        raise Invalid(f"{value!r} is not a number") from None


def cents(value: Decimal) -> Decimal:
    """The amount with two places."""
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)


def obj_equal(sent: Any, amount: Decimal) -> bool:
    """Whether an amount that was sent is the one that was reckoned."""
    return sent is None or cents(exact(sent)) == amount


def without_nulls(obj: Obj) -> Obj:
    """The object without fields that were cleared."""
    return {name: value for name, value in obj.items() if value is not None}
