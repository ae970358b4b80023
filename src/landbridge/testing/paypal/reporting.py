"""The report of transactions (v1): ranges of 31 days at most, of the last three years, by pages."""

from __future__ import annotations

from datetime import datetime

from landbridge.testing.paypal.account import Account
from landbridge.testing.paypal.wire import Obj, Problem, link, malformed, stamp

PATH = "/v1/reporting/transactions"
_LONGEST = 31 * 86_400
_REACH = 3 * 366 * 86_400
_MOST = 500


def listed(account: Account, args: dict[str, str], rows: int) -> Obj:
    """One page of a range; a range with more than `rows` is refused."""
    begin, end = _time(args, "start_date"), _time(args, "end_date")
    if not 0 <= end - begin <= _LONGEST:
        raise malformed("/end_date", "Date range is greater than 31 days, or runs backwards.")
    if begin < account.now() - _REACH:
        raise malformed("/start_date", "Data for the given start date is not available.")
    try:
        number, size = int(args.get("page", 1)), int(args.get("page_size", 100))
    except ValueError:
        raise malformed("/page", "A whole number is needed.") from None
    if not 1 <= size <= _MOST or number < 1:
        raise malformed("/page_size", f"A page_size of 1 to {_MOST} is needed.")
    found = [each for each in account.report if begin <= _when(each) <= end]
    if len(found) > rows:
        words = "Result set size is greater than the maximum limit. Change the filter criteria."
        raise Problem(400, "RESULTSET_TOO_LARGE", words)
    wanted = args.get("fields", "transaction_info").split(",")
    shown = [
        {name: value for name, value in each.items() if name in wanted or wanted == ["all"]}
        for each in found[(number - 1) * size : number * size]
    ]
    return {
        **({"transaction_details": shown} if shown else {}),
        "account_number": "XZXSPECPDZHZU",
        "start_date": stamp(begin),
        "end_date": stamp(end),
        "last_refreshed_datetime": stamp(account.now()),
        "page": number,
        "total_items": len(found),
        "total_pages": -(-len(found) // size),
        "links": [link(account.url, PATH)],
    }


def _when(each: Obj) -> float:
    told: str = each["transaction_info"]["transaction_initiation_date"]
    return datetime.fromisoformat(told).timestamp()


def _time(args: dict[str, str], name: str) -> float:
    try:
        moment = datetime.fromisoformat(args[name])
    except (KeyError, ValueError):
        raise malformed(f"/{name}", "An instant such as 2026-11-27T12:00:00Z is needed.") from None
    return moment.timestamp()
