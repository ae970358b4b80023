"""How FreshBooks writes: envelopes, refusals, times and money; and the fields of its objects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from landbridge.testing.asgi import as_json
from landbridge.wire import Response

Obj = dict[str, Any]

_OBJECTS = frozenset(
    "object Owner BillVendors ExpenseCategory Entry JournalEntryAccount SubAccount".split()
)
_EASTERN = ZoneInfo("America/New_York")


class Invalid(Exception):
    """A write that is not taken; `errno` and `field` say why."""

    def __init__(self, errno: int, field: str, message: str, status: int = 422):
        super().__init__(message)
        self.errno, self.field, self.message, self.status = errno, field, message, status


@cache
def vendor() -> Mapping[str, Any]:
    """The vendor's own field lists and fixtures (SOURCE.txt)."""
    raw = files("landbridge.testing.freshbooks").joinpath("vendor.json").read_bytes()
    read: Mapping[str, Any] = msgspec.json.decode(raw)
    return read


def blank(kind: str, code: str = "CAD") -> Obj:
    """An object of this kind with every field that the vendor lists, and nothing in them."""
    made: Obj = {}
    for name, told in vendor()["fields"][kind].items():
        if told.startswith("Nullable"):
            made[name] = None
        elif told == "Money":
            made[name] = money(0, code)
        elif told == "boolean":
            made[name] = False
        elif told.endswith("[]") or told.startswith("Array"):
            made[name] = []
        elif told in _OBJECTS:
            made[name] = {}
        else:
            made[name] = 0 if told in ("number", "VisState", "LineType", "ExpenseStatus") else ""
    return made


def money(amount: Decimal | int | str, code: str) -> Obj:
    """An amount as FreshBooks has it, with two places."""
    return {"amount": f"{cents(Decimal(str(amount))):f}", "code": code}


def exact(told: Any, field: str) -> Decimal:
    """The number in a text, a number or money; `Invalid` unless it is one."""
    found = told.get("amount") if isinstance(told, Mapping) else told
    try:
        return Decimal(str(found))
    except ArithmeticError:
        raise Invalid(1004, field, f"{field} is not a number") from None


def cents(amount: Decimal) -> Decimal:
    """The amount with two places."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def eastern(unix: float) -> str:
    """An instant as most objects have it: the local time of New York, without an offset."""
    return f"{datetime.fromtimestamp(unix, _EASTERN):%Y-%m-%d %H:%M:%S}"


def zulu(unix: float) -> str:
    """An instant as the newer objects have it."""
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%dT%H:%M:%SZ}"


def day(told: Any, field: str) -> str:
    """A date that was sent; `Invalid` unless it is one."""
    try:
        return date.fromisoformat(str(told)).isoformat()
    except ValueError:
        raise Invalid(1004, field, f"{field} is not a date") from None


def result(content: Obj, status: int = 200) -> Response:
    """An answer of the accounting or events API."""
    return as_json({"response": {"result": content}}, status)


def refused(errno: int, field: str, message: str, status: int, object_: str = "") -> Response:
    """A refusal of the accounting API."""
    error = {"errno": errno, "field": field, "message": message, "object": object_, "value": ""}
    return as_json({"response": {"errors": [error]}}, status)


def told_off(errno: int, message: str, *details: str) -> Response:
    """A refusal of the events API."""
    return as_json({"errno": errno, "message": message, "details": list(details)}, errno)
