"""Invoices (invoicing v2): drafts, sent ones, what they come to, and what was paid of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from landbridge.testing.paypal.account import Account
from landbridge.testing.paypal.wire import (
    Obj,
    code_of,
    link,
    malformed,
    missing,
    money,
    stamp,
    wrong,
)

PATH = "/v2/invoicing/invoices"
_OPEN = ("SENT", "SCHEDULED", "UNPAID", "PARTIALLY_PAID", "PAYMENT_PENDING")
_TERMS = {"NET_10": 10, "NET_15": 15, "NET_30": 30, "NET_45": 45, "NET_60": 60, "NET_90": 90}
_CENT = Decimal("0.01")


def create(account: Account, asked: Obj, *, tell: bool = True) -> Obj:
    """A new draft."""
    detail = asked.get("detail") or {}
    if not isinstance(detail.get("currency_code"), str):
        raise malformed("/detail/currency_code", "A required field is missing.")
    number = detail.get("invoice_number") or f"{account.next_number():04d}"
    _unused(account, number)
    at = stamp(account.now())
    made = {
        **_written(account, asked),
        "id": f"INV2-{code_of(account.rng, 16)}",
        "status": "DRAFT",
    }
    made["detail"] = {
        "invoice_date": at[:10],
        **made["detail"],
        "invoice_number": number,
        "metadata": {"create_time": at, "created_by_flow": "REGULAR_SINGLE"},
    }
    return account.put("invoice", "INVOICING.INVOICE.CREATED", reckoned(account, made), tell=tell)


def replace(account: Account, key: str, asked: Obj) -> Obj:
    """The whole invoice anew; what PayPal keeps by itself stays."""
    held = one(account, key)
    if held["status"] in ("PAID", "CANCELLED", "REFUNDED", "MARKED_AS_PAID"):
        raise wrong("", "INVALID_INVOICE_STATUS", "This invoice cannot be changed any more.")
    made = {**_written(account, asked), "id": key, "status": held["status"]}
    number = made["detail"].get("invoice_number") or held["detail"]["invoice_number"]
    if number != held["detail"]["invoice_number"]:
        _unused(account, number)
    if made["detail"]["currency_code"] != held["detail"]["currency_code"]:
        raise wrong("/detail/currency_code", "CURRENCY_MISMATCH", "The currency stays as it is.")
    made["detail"] = {
        **made["detail"],
        "invoice_number": number,
        "metadata": {**held["detail"]["metadata"], "last_update_time": stamp(account.now())},
    }
    for name in ("payments", "refunds"):
        if name in held:
            made[name] = held[name]
    return account.put("invoice", "INVOICING.INVOICE.UPDATED", reckoned(account, made))


def delete(account: Account, key: str) -> None:
    """Takes a draft away."""
    if one(account, key)["status"] not in ("DRAFT", "SCHEDULED", "CANCELLED"):
        raise wrong("", "INVALID_INVOICE_STATUS", "Only drafts can be deleted.")
    del account.kept["invoice"][key]


def send(account: Account, key: str, *, tell: bool = True) -> Obj:
    """Sends a draft, or plans it for its date; sending again has no effect."""
    held = one(account, key)
    if held["status"] in _OPEN:
        return held
    if held["status"] != "DRAFT":
        raise wrong("", "INVALID_INVOICE_STATUS", "Only drafts can be sent.")
    if not held.get("items") or not held.get("primary_recipients"):
        raise wrong("/items", "MISSING_REQUIRED_PARAMETER", "Items and a recipient are needed.")
    at = stamp(account.now())
    later = held["detail"]["invoice_date"] > at[:10]
    shown = f"https://www.sandbox.paypal.com/invoice/p/#{key.removeprefix('INV2-')}"
    metadata = {**held["detail"]["metadata"], "recipient_view_url": shown}
    if not later:
        metadata |= {"first_sent_time": at, "last_sent_time": at}
    detail = {**held["detail"], "metadata": metadata}
    made = {**held, "detail": detail, "status": "SCHEDULED" if later else "SENT"}
    event = "INVOICING.INVOICE.SCHEDULED" if later else "INVOICING.INVOICE.UPDATED"
    return account.put("invoice", event, made, tell=tell)


def cancel(account: Account, key: str, *, tell: bool = True) -> Obj:
    """Takes a sent invoice back."""
    held = one(account, key)
    if held["status"] not in _OPEN or held.get("payments"):
        raise wrong("", "CANCEL_NOT_ALLOWED", "Only sent invoices without payments are canceled.")
    metadata = {**held["detail"]["metadata"], "cancel_time": stamp(account.now())}
    made = {**held, "detail": {**held["detail"], "metadata": metadata}, "status": "CANCELLED"}
    made["due_amount"] = money(Decimal(0), made["detail"]["currency_code"])
    return account.put("invoice", "INVOICING.INVOICE.CANCELLED", made, tell=tell)


def pay(account: Account, key: str, part: Decimal | None = None, *, tell: bool = True) -> Obj:
    """What the customer does: pays all that is due, or a part."""
    held = one(account, key)
    code = held["detail"]["currency_code"]
    due = Decimal(held["due_amount"]["value"])
    paid = due if part is None else min(part, due)
    payments = held.get("payments") or {"transactions": []}
    at = stamp(account.now())
    transaction = {
        "type": "PAYPAL",
        "payment_id": code_of(account.rng),
        "payment_date": at[:10],
        "method": "PAYPAL",
        "amount": money(paid, code),
    }
    before = Decimal((payments.get("paid_amount") or {"value": "0"})["value"])
    made = {
        **held,
        "payments": {
            "paid_amount": money(before + paid, code),
            "transactions": [*payments["transactions"], transaction],
        },
        "due_amount": money(due - paid, code),
        "status": "PAID" if paid == due else "PARTIALLY_PAID",
    }
    return account.put("invoice", "INVOICING.INVOICE.PAID", made, tell=tell)


def one(account: Account, key: str) -> Obj:
    """The invoice; a `Problem` if there is none."""
    if key not in account.kept["invoice"]:
        raise missing("invoice_id")
    return account.kept["invoice"][key]


def found(account: Account, asked: Obj) -> list[Obj]:
    """The invoices that a search means, newest first."""
    known = {"memo", "reference", "invoice_number", "status", "currency_code", "recipient_email"}
    for name in asked:
        if name not in known:
            raise malformed(f"/{name}", "The simulator does not search by this.")
    return [each for each in listed(account) if _fits(each, asked)]


def listed(account: Account) -> list[Obj]:
    """All invoices, newest first."""
    return [*reversed(account.kept["invoice"].values())]


def _fits(invoice: Obj, asked: Obj) -> bool:
    detail = invoice["detail"]
    for name in ("memo", "reference", "invoice_number", "currency_code"):
        if name in asked and asked[name] not in detail.get(name, ""):
            return False
    if "status" in asked and invoice["status"] not in asked["status"]:
        return False
    wanted = asked.get("recipient_email")
    return wanted is None or wanted in str(invoice.get("primary_recipients"))


def _written(account: Account, asked: Obj) -> Obj:
    """What a request says of an invoice, without what only PayPal writes."""
    kept = (
        "invoicer",
        "primary_recipients",
        "additional_recipients",
        "items",
        "configuration",
        "amount",
    )
    made = {name: asked[name] for name in kept if asked.get(name) is not None}
    detail = dict(asked.get("detail") or {})
    detail.pop("metadata", None)
    made["detail"] = detail
    items: list[Any] = made.get("items", [])
    for place, item in enumerate(items):
        _checked(item, place, detail.get("currency_code"))
    made["items"] = [{"id": f"ITEM-{code_of(account.rng)}", **item} for item in items]
    return made


def _checked(item: Any, place: int, code: Any) -> None:
    at = f"/items/{place}"
    if not isinstance(item, dict) or not item.get("name"):
        raise malformed(f"{at}/name", "A required field is missing.")
    try:
        Decimal(item["quantity"])
        Decimal(item["unit_amount"]["value"])
    except (KeyError, TypeError, InvalidOperation):
        raise malformed(f"{at}/unit_amount", "A quantity and a unit_amount are needed.") from None
    if item["unit_amount"].get("currency_code") != code:
        raise wrong(f"{at}/unit_amount", "CURRENCY_MISMATCH", "One invoice has one currency.")


def reckoned(account: Account, invoice: Obj) -> Obj:
    """The invoice with what its items come to, and its links."""
    code = invoice["detail"]["currency_code"]
    whole, taxes = Decimal(0), Decimal(0)
    items = []
    for item in invoice.get("items", []):
        net = Decimal(item["quantity"]) * Decimal(item["unit_amount"]["value"])
        net = net.quantize(_CENT, ROUND_HALF_UP)
        whole += net
        if "tax" in item:
            tax = (net * Decimal(item["tax"]["percent"]) / 100).quantize(_CENT, ROUND_HALF_UP)
            taxes += tax
            item = {**item, "tax": {**item["tax"], "amount": money(tax, code)}}  # noqa: PLW2901
        items.append(item)
    breakdown = {"item_total": money(whole, code), "tax_total": money(taxes, code)}
    total = money(whole + taxes, code)
    paid = Decimal((invoice.get("payments") or {}).get("paid_amount", {"value": "0"})["value"])
    return {
        **invoice,
        "items": items,
        "detail": {**_termed(invoice["detail"])},
        "amount": {"breakdown": breakdown, **total},
        "due_amount": money(whole + taxes - paid, code),
        "links": [link(account.url, f"{PATH}/{invoice['id']}")],
    }


def _termed(detail: Obj) -> Obj:
    """The detail with the due date that its term leads to."""
    term = detail.get("payment_term") or {}
    days = _TERMS.get(term.get("term_type", ""))
    if days is None or "invoice_date" not in detail:
        return detail
    begin = date.fromisoformat(detail["invoice_date"])
    due = datetime.fromordinal(begin.toordinal() + days).replace(tzinfo=UTC).date().isoformat()
    return {**detail, "payment_term": {**term, "due_date": due}}


def _unused(account: Account, number: str) -> None:
    taken = {each["detail"]["invoice_number"] for each in account.kept["invoice"].values()}
    if number in taken:
        words = "Invoice number already exists."
        raise wrong("/detail/invoice_number", "DUPLICATE_INVOICE_NUMBER", words)
