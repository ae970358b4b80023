"""What QuickBooks' new records look like before anything is written into them.

A shadow answers a creation with these. They hold what QuickBooks' answers have and the mappings
read, and are checked against Intuit's schema; amounts are nothing: QuickBooks reckons them.
"""

from typing import Any, Final

_BEGIN: Final = "2026-01-01T00:00:00-08:00"
_ALL: Final = {
    "Id": "0",
    "SyncToken": "0",
    "domain": "QBO",
    "sparse": False,
    "MetaData": {"CreateTime": _BEGIN, "LastUpdatedTime": _BEGIN},
}
_DOCUMENT: Final = {
    **_ALL,
    "TxnDate": "2026-01-01",
    "CurrencyRef": {"value": "USD"},
    "CustomerRef": {"value": "0"},
    "Line": [],
    "TotalAmt": 0,
    "Balance": 0,
}

CUSTOMER: Final[dict[str, Any]] = {**_ALL, "DisplayName": "", "Active": True, "Balance": 0}
VENDOR: Final[dict[str, Any]] = CUSTOMER
ACCOUNT: Final[dict[str, Any]] = {**_ALL, "Name": "", "Active": True, "CurrentBalance": 0}
ITEM: Final[dict[str, Any]] = {**_ALL, "Name": "", "Active": True, "Type": "Service"}
INVOICE: Final[dict[str, Any]] = {**_DOCUMENT, "EmailStatus": "NotSet"}
CREDIT_MEMO: Final[dict[str, Any]] = {**_DOCUMENT, "RemainingCredit": 0}
_BOUGHT: Final = {name: value for name, value in _DOCUMENT.items() if name != "CustomerRef"}
BILL: Final[dict[str, Any]] = {**_BOUGHT, "VendorRef": {"value": "0"}}
VENDOR_CREDIT: Final[dict[str, Any]] = BILL
PURCHASE: Final[dict[str, Any]] = {
    **{name: value for name, value in _BOUGHT.items() if name != "Balance"},
    "AccountRef": {"value": "0"},
    "PaymentType": "Cash",
}
PAYMENT: Final[dict[str, Any]] = {
    **_ALL,
    "TxnDate": "2026-01-01",
    "CurrencyRef": {"value": "USD"},
    "CustomerRef": {"value": "0"},
    "Line": [],
    "TotalAmt": 0,
    "UnappliedAmt": 0,
}
BILL_PAYMENT: Final[dict[str, Any]] = {
    **_ALL,
    "TxnDate": "2026-01-01",
    "CurrencyRef": {"value": "USD"},
    "VendorRef": {"value": "0"},
    "PayType": "Check",
    "Line": [],
    "TotalAmt": 0,
}
JOURNAL_ENTRY: Final[dict[str, Any]] = {
    **_ALL,
    "TxnDate": "2026-01-01",
    "CurrencyRef": {"value": "USD"},
    "Line": [],
}
