"""Disputes about captures (v1), in a list by tokens that shows summaries, and payouts."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from landbridge.testing.paypal.account import Account
from landbridge.testing.paypal.wire import Obj, code_of, link, malformed, missing, stamp

PATH = "/v1/customer/disputes"
_SHOWN = (
    "dispute_id",
    "create_time",
    "update_time",
    "reason",
    "status",
    "dispute_state",
    "dispute_amount",
    "dispute_life_cycle_stage",
    "dispute_channel",
    "seller_response_due_date",
    "links",
)
_MOST = 50


def open_one(account: Account, capture: str, *, tell: bool = True) -> Obj:
    """What a customer does: wants a payment back."""
    held = account.kept["capture"].get(capture)
    if held is None:
        raise missing("disputed_transaction_id")
    ident, at = f"PP-D-{account.rng.randrange(10**8, 10**9)}", stamp(account.now())
    made = {
        "dispute_id": ident,
        "create_time": at,
        "update_time": at,
        "disputed_transactions": [
            {"seller_transaction_id": capture, "gross_amount": held["amount"]}
        ],
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "status": "WAITING_FOR_SELLER_RESPONSE",
        "dispute_amount": held["amount"],
        "dispute_life_cycle_stage": "CHARGEBACK",
        "dispute_channel": "INTERNAL",
        "seller_response_due_date": stamp(account.now() + 10 * 86_400),
        "links": [link(account.url, f"{PATH}/{ident}")],
    }
    return account.put("dispute", "CUSTOMER.DISPUTE.CREATED", made, tell=tell)


def resolve(account: Account, key: str, outcome: str, *, tell: bool = True) -> Obj:
    """What PayPal does: decides it."""
    held = account.kept["dispute"].get(key)
    if held is None:
        raise missing("id")
    kept = {name: value for name, value in held.items() if name != "seller_response_due_date"}
    made = {
        **kept,
        "status": "RESOLVED",
        "update_time": stamp(account.now()),
        "dispute_outcome": {"outcome_code": outcome, "amount_refunded": held["dispute_amount"]},
    }
    return account.put("dispute", "CUSTOMER.DISPUTE.RESOLVED", made, tell=tell)


def listed(account: Account, args: dict[str, str]) -> Obj:
    """One page of summaries. Without a time, those since now: none."""
    size = int(args.get("page_size", 10))
    if not 1 <= size <= _MOST:
        raise malformed("/page_size", f"A page_size of 1 to {_MOST} is needed.")
    begin = _time(args, "update_time_after")
    if begin is None:
        begin = _time(args, "start_time")
    if begin is None:
        begin = account.now()
    if begin < account.now() - 180 * 86_400:
        raise malformed("/update_time_after", "It must be within the last 180 days.")
    found = [
        each
        for each in reversed(account.kept["dispute"].values())
        if datetime.fromisoformat(each["update_time"]).timestamp() >= begin
    ]
    start = _place(args.get("next_page_token", ""))
    shown = [
        {name: each[name] for name in _SHOWN if name in each}
        for each in found[start : start + size]
    ]
    links = [link(account.url, PATH)]
    if start + size < len(found):
        token = base64.b64encode(str(start + size).encode()).decode()
        links.append(link(account.url, f"{PATH}?page_size={size}&next_page_token={token}", "next"))
    return {"items": shown, "links": links}


def pay_out(account: Account, amount: Obj, *, tell: bool = True) -> Obj:
    """A batch of payouts that went through."""
    ident, at = code_of(account.rng, 13), stamp(account.now())
    told = {"currency": amount["currency_code"], "value": amount["value"]}
    header = {
        "payout_batch_id": ident,
        "batch_status": "SUCCESS",
        "time_created": at,
        "time_completed": at,
        "sender_batch_header": {"sender_batch_id": f"batch {ident}"},
        "amount": told,
        "fees": {**told, "value": "0.25"},
    }
    links = [link(account.url, f"/v1/payments/payouts/{ident}")]
    made = {"batch_header": header, "items": [], "links": links}
    account.kept["payout"][ident] = made
    if tell:
        account.tell("payout", "PAYMENT.PAYOUTSBATCH.SUCCESS", made)
    return made


def _time(args: dict[str, str], name: str) -> float | None:
    if name not in args:
        return None
    try:
        moment = datetime.fromisoformat(args[name])
    except ValueError:
        raise malformed(f"/{name}", "An instant such as 2026-11-27T12:00:00Z is needed.") from None
    return moment.timestamp()


def _place(token: str) -> Any:
    try:
        return int(base64.b64decode(token, validate=True)) if token else 0
    except (ValueError, binascii.Error):
        raise malformed("/next_page_token", "The token is not valid.") from None
