"""How QuickBooks writes: times, references, answers, faults."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from landbridge.testing.asgi import as_json
from landbridge.wire import Response

Obj = dict[str, Any]

_PACIFIC = timezone(timedelta(hours=-8))
_STATUS = {"AuthenticationFault": 401, "AuthorizationFault": 403, "SystemFault": 500}


class Invalid(Exception):
    """An entity or a question that is not taken; answered as a fault."""

    def __init__(self, code: str, message: str, detail: str = "", element: str = ""):
        super().__init__(f"{code} {message}")
        self.code, self.message = code, message
        self.detail, self.element = detail or message, element


def stamp(unix: float) -> str:
    """An instant as the API has it: with the offset of the Pacific."""
    return datetime.fromtimestamp(int(unix), _PACIFIC).isoformat()


def instant(told: str) -> float:
    """Unix seconds of an instant that was sent; `Invalid` unless it is one."""
    try:
        found = datetime.fromisoformat(told)
    except ValueError:
        raise Invalid("2010", "Request has invalid or unsupported property", told) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def day(unix: float) -> str:
    """The date of an instant."""
    return datetime.fromtimestamp(unix, UTC).date().isoformat()


def entity(kind: str, obj: Obj, now: float) -> Response:
    """An answer with one entity."""
    return as_json({kind: obj, "time": stamp(now)})


def fault(
    error: Invalid, now: float, *, kind: str = "ValidationFault", status: int = 0
) -> Response:
    """A refusal of the API."""
    told = {"Message": error.message, "Detail": error.detail, "code": error.code}
    if error.element:
        told["element"] = error.element
    body = {"Fault": {"Error": [told], "type": kind}, "time": stamp(now)}
    return as_json(body, status or _STATUS.get(kind, 400))


def gateway(status: int, code: str, message: str, kind: str, now: float) -> Response:
    """A refusal of the gateway before the API, which writes the same words in lower case."""
    told = f"message={message}; errorCode=00{code}; statusCode={status}"
    error = {"message": told, "detail": message, "code": code, "element": None}
    return as_json({"fault": {"error": [error], "type": kind}, "time": int(now * 1000)}, status)


def exact(value: Any) -> Decimal:
    """A number of JSON, exact; `Invalid` unless it is one."""
    try:
        return Decimal(str(value))
    except ArithmeticError:
        raise Invalid("2010", "Request has invalid or unsupported property", str(value)) from None


def cents(value: Decimal) -> Decimal:
    """The amount with two places."""
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)
