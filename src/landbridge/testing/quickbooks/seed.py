"""What a company's books hold at the start: the same seed, the same books."""

from __future__ import annotations

from dataclasses import dataclass

from landbridge.testing.quickbooks.books import Books
from landbridge.testing.quickbooks.wire import Obj, day, stamp

_ACCOUNTS = (
    ("Checking", "Bank", "Checking", "1000"),
    ("Accounts Receivable (A/R)", "Accounts Receivable", "AccountsReceivable", "1200"),
    ("Undeposited Funds", "Other Current Asset", "UndepositedFunds", "1499"),
    ("Accounts Payable (A/P)", "Accounts Payable", "AccountsPayable", "2000"),
    ("Sales of Product Income", "Income", "SalesOfProductIncome", "4000"),
    ("Cost of Goods Sold", "Cost of Goods Sold", "SuppliesMaterialsCogs", "5000"),
    ("Advertising", "Expense", "AdvertisingPromotional", "6000"),
    ("Travel", "Expense", "Travel", ""),
    ("Visa", "Credit Card", "CreditCard", "2100"),
)
_RATES = (("Standard 20%", 20), ("Reduced 5%", 5), ("Zero", 0))
_NAMES = ("Amy's Bird Sanctuary", "Cool Cars", "Diego Rodriguez", "Freeman Sporting", "Kookies")
_DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much of everything each company has."""

    customers: int = 25
    vendors: int = 8
    items: int = 5
    invoices: int = 60
    payments: int = 20
    credit_memos: int = 4
    bills: int = 6
    vendor_credits: int = 3
    bill_payments: int = 2
    purchases: int = 6
    journal_entries: int = 4


def fill(books: Books, amounts: Amounts) -> None:
    """Fills the books of a company; no webhook tells of it."""
    begun = books.now() // _DAY * _DAY
    _ground(books)
    for kind, count in (("Customer", amounts.customers), ("Vendor", amounts.vendors)):
        for number in range(count):
            books.write(kind, _person(kind, number), tell=False)
    for number in range(amounts.items):
        sort: Obj = {"Type": "Service" if number % 2 else "NonInventory", "Active": number != 3}
        prices: Obj = {"UnitPrice": 9.5 + number, "IncomeAccountRef": _ref(books, "Account", 4)}
        named = {"Name": f"Item {number}", "FullyQualifiedName": f"Item {number}"}
        books.put("Item", {**named, **sort, **prices, "Taxable": True}, tell=False)
    for number in range(amounts.invoices):
        books.write("Invoice", _sale(books, number, begun), tell=False)
    open_ones = list(books.kept["Invoice"].values())[: amounts.payments]
    for number, invoice in enumerate(open_ones):
        part = invoice["Balance"] if number % 3 else 1.0
        linked = {"TxnId": invoice["Id"], "TxnType": "Invoice"}
        paid = {"CustomerRef": invoice["CustomerRef"], "TotalAmt": part, "TxnDate": day(begun)}
        lines = [{"Amount": part, "LinkedTxn": [linked]}]
        into = {"DepositToAccountRef": _ref(books, "Account", 2), "PaymentRefNum": f"P{number}"}
        books.write("Payment", {**paid, **into, "Line": lines}, tell=False)
    for number in range(amounts.credit_memos):
        books.write("CreditMemo", _sale(books, number, begun), tell=False)
    _spend(books, amounts, begun)
    for number in range(amounts.journal_entries):
        books.write("JournalEntry", _journal(books, number, begun), tell=False)


def _ground(books: Books) -> None:
    home = {"HomeCurrency": {"value": books.base}, "MultiCurrencyEnabled": True}
    prefs = {"AccountingInfoPrefs": {"FirstMonthOfFiscalYear": "January"}, "CurrencyPrefs": home}
    books.put("Preferences", prefs, tell=False)
    for name, kind, finer, number in _ACCOUNTS:
        account = {"Name": name, "AccountType": kind, "AccountSubType": finer}
        numbered = {"AcctNum": number} if number else {}
        books.write("Account", {**account, **numbered}, tell=False)
    for name, rate in _RATES:
        agency = {"AgencyRef": {"value": "1"}, "SpecialTaxType": "NONE"}
        told = {"Name": name, "Active": True, "RateValue": rate, **agency}
        made = books.put("TaxRate", told, tell=False)
        detail = {"TaxRateRef": {"value": made["Id"], "name": name}, "TaxOrder": 0}
        details = [{**detail, "TaxTypeApplicable": "TaxOnAmount"}]
        code = {"Name": name, "Active": True, "Taxable": True, "TaxGroup": True}
        lists = ("SalesTaxRateList", "PurchaseTaxRateList")
        rated = {each: {"TaxRateDetail": details} for each in lists}
        books.put("TaxCode", {**code, **rated}, tell=False)
    # Those of the United States, where QuickBooks reckons the tax by itself.
    for name, taxable in (("TAX", True), ("NON", False)) if books.automated is not None else ():
        us: Obj = {"Id": name, "Name": name, "MetaData": {"CreateTime": stamp(books.now())}}
        more: Obj = {"Active": True, "Taxable": taxable, "TaxGroup": False}
        books.put("TaxCode", {**us, **more}, tell=False)


def _spend(books: Books, amounts: Amounts, begun: float) -> None:
    for number in range(amounts.bills):
        vendor = {"VendorRef": _ref(books, "Vendor", number), "DueDate": day(begun + 20 * _DAY)}
        books.write("Bill", {**vendor, **_cost(books, number, begun)}, tell=False)
    for number in range(amounts.vendor_credits):
        vendor = {"VendorRef": _ref(books, "Vendor", number)}
        books.write("VendorCredit", {**vendor, **_cost(books, number, begun)}, tell=False)
    for number, bill in enumerate(list(books.kept["Bill"].values())[: amounts.bill_payments]):
        part = bill["Balance"] if number % 2 else 1.0
        lines = [{"Amount": part, "LinkedTxn": [{"TxnId": bill["Id"], "TxnType": "Bill"}]}]
        bank = {"CheckPayment": {"BankAccountRef": _ref(books, "Account", 0)}, "PayType": "Check"}
        paid = {"VendorRef": bill["VendorRef"], "TotalAmt": part, "TxnDate": day(begun)}
        books.write("BillPayment", {**paid, **bank, "Line": lines}, tell=False)
    for number in range(amounts.purchases):
        paid = {"AccountRef": _ref(books, "Account", 0), "PaymentType": "Cash"}
        whom = {"EntityRef": {**_ref(books, "Vendor", number), "type": "Vendor"}}
        books.write("Purchase", {**paid, **whom, **_cost(books, number, begun)}, tell=False)


def _person(kind: str, number: int) -> Obj:
    name = f"{_NAMES[number % len(_NAMES)]} {kind[0]}{number:03}"
    address = {"Line1": f"{number} Main Street", "City": "Bayshore", "PostalCode": "94326"}
    region = {"CountrySubDivisionCode": "CA", "Country": "USA"}
    person = {"GivenName": "Ann", "FamilyName": f"No {number}", "CompanyName": name}
    more = {"PrimaryEmailAddr": {"Address": f"c{number}@example.com"}, "Active": number % 9 != 4}
    phone = {"PrimaryPhone": {"FreeFormNumber": f"(555) 555-{number:04}"}}
    return {"DisplayName": name, **person, **more, **phone, "BillAddr": {**address, **region}}


def _sale(books: Books, number: int, begun: float) -> Obj:
    lines = []
    for place in range(1 + number % 3):
        count, price = books.rng.randint(1, 9), books.rng.randint(100, 99_999)
        detail = {"Qty": count, "UnitPrice": price / 100, "ItemRef": _ref(books, "Item", place)}
        detail["TaxCodeRef"] = {"value": str(1 + number % len(_RATES))}
        told = {"Description": f"Work {number}.{place}", "Amount": round(count * price / 100, 2)}
        lines.append({**told, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail})
    if number % 7 == 6:
        half = {"PercentBased": False}
        off = {"Amount": 1.0, "DetailType": "DiscountLineDetail", "DiscountLineDetail": half}
        lines.append(off)
    at = begun - (number % 60) * _DAY
    dates = {"TxnDate": day(at), "DueDate": day(at + 30 * _DAY)}
    mode = ("TaxExcluded", "TaxInclusive")[number % 5 == 4]
    head = {"CustomerRef": _ref(books, "Customer", number), "GlobalTaxCalculation": mode}
    return {**head, **dates, "Line": lines, "PrivateNote": f"R{number}"}


def _cost(books: Books, number: int, begun: float) -> Obj:
    account = {"AccountRef": _ref(books, "Account", 6 + number % 2)}
    first = {"DetailType": "AccountBasedExpenseLineDetail", "Amount": 10.25 + number}
    item = {"ItemRef": _ref(books, "Item", number), "Qty": 2, "UnitPrice": 5.5}
    second = {"DetailType": "ItemBasedExpenseLineDetail", "Amount": 11.0}
    lines: list[Obj] = [
        {**first, "Description": "Posters", "AccountBasedExpenseLineDetail": account},
        {**second, "ItemBasedExpenseLineDetail": item},
    ]
    return {"TxnDate": day(begun - number * _DAY), "DocNumber": f"D{number}", "Line": lines}


def _journal(books: Books, number: int, begun: float) -> Obj:
    lines = []
    for side, account in (("Debit", 6), ("Credit", 0)):
        detail = {"PostingType": side, "AccountRef": _ref(books, "Account", account)}
        named = {"DetailType": "JournalEntryLineDetail", "Amount": 100.5 + number}
        lines.append({**named, "JournalEntryLineDetail": detail})
    return {"TxnDate": day(begun), "PrivateNote": f"Accrual {number}", "Line": lines}


def _ref(books: Books, kind: str, place: int) -> Obj:
    """A reference to an entity of the kind, by its place."""
    return {"value": list(books.kept[kind])[place % len(books.kept[kind])]}
