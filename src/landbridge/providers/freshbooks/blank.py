"""What FreshBooks's new records look like before anything is written into them.

A shadow answers a creation with these. They hold what FreshBooks's answers have and the mappings
read, and are checked against the SDK's fields; amounts are nothing: FreshBooks reckons them.
"""

from typing import Any, Final

_BEGIN: Final = "2026-01-01 00:00:00"
_NOTHING: Final = {"amount": "0.00", "code": "USD"}
_ALL: Final = {"id": 0, "vis_state": 0, "updated": _BEGIN}
_LATER: Final = {"vis_state": 0, "created_at": _BEGIN, "updated_at": _BEGIN}

CLIENT: Final[dict[str, Any]] = {
    **_ALL,
    "userid": 0,
    "organization": "",
    "fname": "",
    "lname": "",
    "email": "",
    "note": None,
    "currency_code": "USD",
    "language": "en",
}

INVOICE: Final[dict[str, Any]] = {
    **_ALL,
    "invoiceid": 0,
    "invoice_number": "",
    "customerid": 0,
    "create_date": "2026-01-01",
    "due_date": "2026-01-01",
    "currency_code": "USD",
    "v3_status": "draft",
    "display_status": "draft",
    "payment_status": "unpaid",
    "notes": "",
    "lines": [],
    "amount": _NOTHING,
    "paid": _NOTHING,
    "outstanding": _NOTHING,
}

PAYMENT: Final[dict[str, Any]] = {
    **_ALL,
    "invoiceid": 0,
    "amount": _NOTHING,
    "date": "2026-01-01",
    "type": "Other",
    "note": "",
    "from_credit": False,
}

EXPENSE: Final[dict[str, Any]] = {
    **_ALL,
    "expenseid": 0,
    "categoryid": 0,
    "staffid": 1,
    "amount": _NOTHING,
    "date": "2026-01-01",
    "vendor": "",
    "notes": "",
    "status": 0,
    "has_receipt": False,
}

ITEM: Final[dict[str, Any]] = {
    **_ALL,
    "name": "",
    "description": "",
    "sku": "",
    "qty": "1",
    "unit_cost": _NOTHING,
    "tax1": 0,
    "tax2": 0,
}

TAX: Final[dict[str, Any]] = {
    "id": 0,
    "taxid": 0,
    "updated": _BEGIN,
    "name": "",
    "amount": "0",
    "compound": False,
}

CREDIT_NOTE: Final[dict[str, Any]] = {
    "id": 0,
    "creditid": 0,
    "vis_state": 0,
    "credit_number": "",
    "credit_type": "goodwill",
    "clientid": "0",
    "create_date": "2026-01-01",
    "currency_code": "USD",
    "display_status": "created",
    "payment_status": "unpaid",
    "notes": "",
    "lines": [],
    "amount": _NOTHING,
    "paid": _NOTHING,
}

BILL: Final[dict[str, Any]] = {
    **_LATER,
    "id": 0,
    "bill_number": "",
    "vendorid": 0,
    "issue_date": "2026-01-01",
    "due_date": "2026-01-01",
    "currency_code": "USD",
    "status": "unpaid",
    "lines": [],
    "amount": _NOTHING,
    "tax_amount": _NOTHING,
    "total_amount": _NOTHING,
    "paid": _NOTHING,
    "outstanding": _NOTHING,
}

BILL_VENDOR: Final[dict[str, Any]] = {
    **_LATER,
    "vendorid": 0,
    "vendor_name": "",
    "currency_code": "USD",
    "note": "",
    "is_1099": False,
}

BILL_PAYMENT: Final[dict[str, Any]] = {
    "id": 0,
    "vis_state": 0,
    "billid": 0,
    "amount": _NOTHING,
    "paid_date": "2026-01-01",
    "payment_type": "Other",
    "note": "",
}
