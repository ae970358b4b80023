"""What Xero's new records look like before anything is written into them.

A shadow answers a creation with these. They hold what Xero's answers always have and the mappings
read, and are checked against its OpenAPI file; amounts are nothing: Xero reckons them.
"""

from typing import Any, Final

_NONE: Final = "00000000-0000-0000-0000-000000000000"
_BEGIN: Final = "/Date(0+0000)/"
_ALL: Final = {"HasValidationErrors": False, "UpdatedDateUTC": _BEGIN}

CONTACT: Final[dict[str, Any]] = {
    **_ALL,
    "ContactID": _NONE,
    "ContactStatus": "ACTIVE",
    "Name": "",
    "FirstName": "",
    "LastName": "",
    "EmailAddress": "",
    "BankAccountDetails": "",
    "Addresses": [],
    "Phones": [],
    "IsSupplier": False,
    "IsCustomer": False,
    "HasAttachments": False,
}

INVOICE: Final[dict[str, Any]] = {
    "UpdatedDateUTC": _BEGIN,
    "Type": "ACCREC",
    "InvoiceID": _NONE,
    "InvoiceNumber": "",
    "Reference": "",
    "Contact": {"ContactID": _NONE},
    "Status": "DRAFT",
    "LineAmountTypes": "Exclusive",
    "LineItems": [],
    "Date": _BEGIN,
    "SubTotal": 0,
    "TotalTax": 0,
    "Total": 0,
    "AmountDue": 0,
    "AmountPaid": 0,
    "AmountCredited": 0,
    "CurrencyRate": 1,
    "Payments": [],
    "CreditNotes": [],
    "HasAttachments": False,
    "HasErrors": False,
    "SentToContact": False,
}

BILL: Final[dict[str, Any]] = {**INVOICE, "Type": "ACCPAY"}

EXPENSE: Final[dict[str, Any]] = {
    "BankTransactionID": _NONE,
    "Type": "SPEND",
    "BankAccount": {"AccountID": _NONE},
    "Status": "AUTHORISED",
    "LineAmountTypes": "Exclusive",
    "LineItems": [],
    "Date": _BEGIN,
    "SubTotal": 0,
    "TotalTax": 0,
    "Total": 0,
    "CurrencyRate": 1,
    "IsReconciled": False,
    "HasAttachments": False,
    "UpdatedDateUTC": _BEGIN,
}

PAYMENT: Final[dict[str, Any]] = {
    **_ALL,
    "PaymentID": _NONE,
    "PaymentType": "ACCRECPAYMENT",
    "Status": "AUTHORISED",
    "Date": _BEGIN,
    "Amount": 0,
    "CurrencyRate": 1,
    "IsReconciled": False,
    "HasAccount": True,
    "Account": {"AccountID": _NONE},
    "Invoice": {"InvoiceID": _NONE},
}

ACCOUNT: Final[dict[str, Any]] = {
    "AccountID": _NONE,
    "Name": "",
    "Status": "ACTIVE",
    "Type": "EXPENSE",
    "TaxType": "NONE",
    "Class": "EXPENSE",
    "EnablePaymentsToAccount": False,
    "ShowInExpenseClaims": False,
    "HasAttachments": False,
    "UpdatedDateUTC": _BEGIN,
}

ITEM: Final[dict[str, Any]] = {
    "ItemID": _NONE,
    "Code": "",
    "IsSold": True,
    "IsPurchased": True,
    "IsTrackedAsInventory": False,
    "UpdatedDateUTC": _BEGIN,
}

CREDIT_NOTE: Final[dict[str, Any]] = {
    "UpdatedDateUTC": _BEGIN,
    "Type": "ACCRECCREDIT",
    "CreditNoteID": _NONE,
    "CreditNoteNumber": "",
    "Contact": {"ContactID": _NONE},
    "Status": "DRAFT",
    "LineAmountTypes": "Exclusive",
    "LineItems": [],
    "Date": _BEGIN,
    "SubTotal": 0,
    "TotalTax": 0,
    "Total": 0,
    "RemainingCredit": 0,
    "CurrencyRate": 1,
    "Allocations": [],
    "HasAttachments": False,
    "HasErrors": False,
    "SentToContact": False,
}

MANUAL_JOURNAL: Final[dict[str, Any]] = {
    "ManualJournalID": _NONE,
    "Narration": "",
    "Status": "DRAFT",
    "LineAmountTypes": "NoTax",
    "JournalLines": [],
    "Date": _BEGIN,
    "ShowOnCashBasisReports": True,
    "HasAttachments": False,
    "UpdatedDateUTC": _BEGIN,
}

TAX_RATE: Final[dict[str, Any]] = {
    "TaxType": "TAX001",
    "Name": "",
    "Status": "ACTIVE",
    "TaxComponents": [],
    "DisplayTaxRate": 0,
    "EffectiveRate": 0,
}
