"""The books of one company: its entities, their changes, and the rules of writing them."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from landbridge.testing.quickbooks.documents import PAYMENTS, Documents
from landbridge.testing.quickbooks.wire import Invalid, Obj, exact, stamp

KINDS = (
    "Account",
    "Bill",
    "BillPayment",
    "CreditMemo",
    "Customer",
    "Invoice",
    "Item",
    "JournalEntry",
    "Payment",
    "Preferences",
    "Purchase",
    "TaxCode",
    "TaxRate",
    "Vendor",
    "VendorCredit",
)
UNTOLD = frozenset({"Preferences", "TaxCode", "TaxRate"})
"""Of these neither webhooks nor the list of changes tell."""
LASTING = UNTOLD | {"Account", "Customer", "Item", "Vendor"}
"""They are never deleted, only made inactive."""
_OWN = frozenset({"Id", "SyncToken", "MetaData", "domain", "sparse"})
_CLASSES = {
    "Bank": "Asset",
    "Accounts Receivable": "Asset",
    "Other Current Asset": "Asset",
    "Fixed Asset": "Asset",
    "Other Asset": "Asset",
    "Accounts Payable": "Liability",
    "Credit Card": "Liability",
    "Other Current Liability": "Liability",
    "Long Term Liability": "Liability",
    "Equity": "Equity",
    "Income": "Revenue",
    "Other Income": "Revenue",
    "Cost of Goods Sold": "Expense",
    "Expense": "Expense",
    "Other Expense": "Expense",
}


def _unheard(_realm: str, _event: Obj) -> None:
    """Nobody listens."""


@dataclass(kw_only=True)
class Books:
    """One company. `changed` tells when each entity last did, in unix seconds, deleted ones too.

    Taxes are rounded per `line` or once for each rate of the `document` (`rounds`). `automated` is
    the percentage that is reckoned for whatever is taxable (`TAX`), which no rate tells.
    """

    realm: str
    name: str
    rng: Random
    now: Callable[[], float]
    base: str = "USD"
    rounds: str = "document"
    automated: Decimal | None = None
    on_event: Callable[[str, Obj], None] = _unheard
    kept: dict[str, dict[str, Obj]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    changed: dict[tuple[str, str], float] = field(default_factory=dict)
    gone: dict[tuple[str, str], Obj] = field(default_factory=dict)
    numbers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._documents = Documents(self)

    def put(self, kind: str, obj: Obj, *, tell: bool = True, what: str = "updated") -> Obj:
        """Keeps an entity as it now is: with a new version, stamped, and told of by a webhook."""
        at = stamp(self.now())
        if "Id" not in obj:
            self.numbers[kind] += 1
            obj["Id"], what = str(self.numbers[kind]), "created"
            obj["MetaData"] = {"CreateTime": at}
        version = str(int(obj.get("SyncToken", "-1")) + 1)
        times = {**obj["MetaData"], "LastUpdatedTime": at}
        whole = {**obj, "SyncToken": version, "domain": "QBO", "sparse": False, "MetaData": times}
        self.kept[kind][obj["Id"]] = whole
        self.changed[kind, obj["Id"]] = self.now()
        if tell:
            self._tell(kind, obj["Id"], what)
        return whole

    def one(self, kind: str, key: str) -> Obj:
        """An entity by its id; `Invalid` (610) without one."""
        found = self.kept[kind].get(key)
        if found is None:
            raise Invalid("610", "Object Not Found", f"Object Not Found : {kind} {key}")
        return found

    def referred(self, obj: Obj, name: str, kind: str) -> Obj:
        """The reference with the name of what it leads to; `Invalid` (2500) if it leads nowhere."""
        key = str((obj.get(name) or {}).get("value", ""))
        found = self.kept[kind].get(key)
        if found is None:
            detail = f"Invalid Reference Id : {name} {key}"
            raise Invalid("2500", "Invalid Reference Id", detail, name)
        if kind == "Account" and not found["Active"]:
            detail = f"Something you're trying to use has been made inactive: {name} {key}"
            raise Invalid("610", "Object Not Found", detail)
        return {"value": key, "name": found.get("DisplayName") or found.get("Name", "")}

    def changes(self, kind: str, since: float) -> list[Obj]:
        """What changed since an instant; deleted entities as their ids alone."""
        found = [
            self.kept[kind].get(key) or self.gone[each, key]
            for (each, key), when in self.changed.items()
            if each == kind and when >= since
        ]
        return sorted(found, key=lambda obj: str(obj["MetaData"]["LastUpdatedTime"]))

    def write(self, kind: str, sent: Obj, *, tell: bool = True) -> Obj:
        """Creates an entity, or changes one, by the rules of its kind; `Invalid` says why not."""
        before: Obj = {}
        if "Id" in sent:
            before = self._in_version(kind, sent)
        fresh = {name: value for name, value in sent.items() if name not in _OWN}
        kept = before if sent.get("sparse") or not before else self._system(before)
        made = {**copy.deepcopy(kept), **copy.deepcopy(fresh)}
        made = {name: value for name, value in made.items() if value not in (None, "")}
        return self.put(kind, self._ruled(kind, made, before), tell=tell)

    def delete(self, kind: str, sent: Obj, *, tell: bool = True) -> Obj:
        """Deletes a transaction; what is answered."""
        if kind in LASTING:
            raise Invalid("500", "Unsupported Operation", f"Operation delete of {kind}")
        found = self._in_version(kind, sent)
        if kind in PAYMENTS:
            self._documents.unpay(found)
        del self.kept[kind][found["Id"]]
        at = {"LastUpdatedTime": stamp(self.now())}
        self.gone[kind, found["Id"]] = {"Id": found["Id"], "status": "Deleted", "MetaData": at}
        self.changed[kind, found["Id"]] = self.now()
        if tell:
            self._tell(kind, found["Id"], "deleted")
        return {"domain": "QBO", "status": "Deleted", "Id": found["Id"]}

    def void(self, kind: str, sent: Obj, *, tell: bool = True) -> Obj:
        """Voids a document: its amounts become nothing."""
        found = copy.deepcopy(self._in_version(kind, sent))
        for line in found["Line"]:
            line["Amount"] = 0
        nothing = {"TotalAmt": 0, "Balance": 0, "PrivateNote": "Voided"}
        return self.put(kind, {**found, **nothing}, tell=tell, what="voided")

    def _in_version(self, kind: str, sent: Obj) -> Obj:
        found = self.one(kind, str(sent.get("Id", "")))
        if "SyncToken" not in sent:
            raise Invalid(
                "2020", "Required param missing", "Required parameter SyncToken is missing"
            )
        if str(sent["SyncToken"]) != found["SyncToken"]:
            raise Invalid("5010", "Stale Object Error", "You and someone were working on this")
        return found

    def _system(self, before: Obj) -> Obj:
        """What stays of an entity that is sent as a whole."""
        return {name: before[name] for name in (*sorted(_OWN), "Active") if name in before}

    def _ruled(self, kind: str, made: Obj, before: Obj) -> Obj:
        if kind in ("Customer", "Vendor"):
            return self._person(kind, made)
        if kind == "Account":
            return self._account(made)
        if kind == "Item":
            return self._item(made)
        if kind not in UNTOLD:
            return self._documents.ruled(kind, made, before)
        return made

    def _person(self, kind: str, made: Obj) -> Obj:
        made = {"Active": True, "Balance": 0, "CurrencyRef": self.currency(), **made}
        self._named(kind, made, "DisplayName", ("Customer", "Vendor"), 500)
        if "@" not in (made.get("PrimaryEmailAddr") or {}).get("Address", "@"):
            raise Invalid("2210", "Email Address does not conform to valid format")
        return {**made, "FullyQualifiedName": made["DisplayName"]}

    def _account(self, made: Obj) -> Obj:
        made = {"Active": True, "SubAccount": False, "CurrentBalance": 0, **made}
        made.setdefault("CurrencyRef", self.currency())
        self._named("Account", made, "Name", ("Account",), 100)
        group = _CLASSES.get(made.get("AccountType", ""))
        if group is None:
            raise Invalid("2020", "Required param missing", "AccountType is missing or unknown")
        return {**made, "FullyQualifiedName": made["Name"], "Classification": group}

    def _item(self, made: Obj) -> Obj:
        made = {"Active": True, **made}
        self._named("Item", made, "Name", ("Item",), 100)
        if made.get("Type") == "Service" and "IncomeAccountRef" not in made:
            raise Invalid(
                "6000", "A business validation error has occurred", "an account is missing"
            )
        for name in ("IncomeAccountRef", "ExpenseAccountRef"):
            if name in made:
                made[name] = self.referred(made, name, "Account")
        return {**made, "FullyQualifiedName": made["Name"]}

    def _named(
        self, kind: str, made: Obj, field_name: str, kinds: tuple[str, ...], most: int
    ) -> None:
        """Demands a name that nobody else has."""
        name = made.get(field_name, "")
        if not name:
            raise Invalid("2020", "Required param missing", f"{field_name} is missing", field_name)
        if ":" in name or len(name) > most:
            raise Invalid("2040", "Invalid String", f"{field_name} is not allowed", field_name)
        for each in kinds:
            for other in self.kept[each].values():
                same = each == kind and other["Id"] == made.get("Id")
                if other[field_name] == name and other["Active"] and not same:
                    raise Invalid("6240", "Duplicate Name Exists Error", "The name is taken")

    def currency(self) -> Obj:
        """The reference to the company's own currency."""
        return {"value": self.base, "name": "United States Dollar"}

    def rates(self, code: str, *, bought: bool = False) -> list[Decimal]:
        """What a tax code takes, in percent, rate by rate."""
        if code == "TAX" and self.automated is not None:
            return [self.automated]
        named = "PurchaseTaxRateList" if bought else "SalesTaxRateList"
        found = self.kept["TaxCode"].get(code)
        details = (found or {}).get(named, {}).get("TaxRateDetail", [])
        rates: list[Decimal] = []
        for each in sorted(details, key=lambda one: int(one["TaxOrder"])):
            rate = exact(self.kept["TaxRate"][each["TaxRateRef"]["value"]]["RateValue"])
            on = {"TaxOnAmountPlusTax": 100 + sum(rates), "TaxOnTax": sum(rates)}
            rates.append(rate * on.get(each["TaxTypeApplicable"], Decimal(100)) / 100)
        return rates

    def _tell(self, kind: str, key: str, what: str) -> None:
        if kind not in UNTOLD:
            event = {"type": f"qbo.{kind.lower()}.{what}.v1", "intuitentityid": key}
            self.on_event(self.realm, event)
