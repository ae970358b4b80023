"""How Square writes: instants, answers, refusals."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from landbridge.testing.asgi import as_json
from landbridge.wire import Response

Obj = dict[str, Any]

_CATEGORIES = {
    401: "AUTHENTICATION_ERROR",
    403: "AUTHENTICATION_ERROR",
    429: "RATE_LIMIT_ERROR",
}


class Refused(Exception):
    """A call that is refused: its status, Square's code, and what is said of it."""

    def __init__(self, status: int, code: str, detail: str, field: str = ""):
        super().__init__(detail)
        self.status, self.code, self.detail, self.field = status, code, detail, field

    def answer(self) -> Response:
        """The refusal as Square sends it."""
        ordinary = "API_ERROR" if self.status >= 500 else "INVALID_REQUEST_ERROR"
        told = {"category": _CATEGORIES.get(self.status, ordinary), "code": self.code}
        told |= {"detail": self.detail} | ({"field": self.field} if self.field else {})
        return as_json({"errors": [told]}, self.status)


def stamp(unix: float) -> str:
    """An instant, in RFC 3339 with milliseconds."""
    moment = datetime.fromtimestamp(unix, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def unix_of(told: object, field: str) -> float:
    """The unix time of an instant that was sent; `Refused` unless it is one."""
    try:
        moment = datetime.fromisoformat(str(told))
    except ValueError:
        raise Refused(400, "INVALID_TIME", f"{told!r} is no RFC 3339 timestamp", field) from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def not_found(kind: str, key: str) -> Refused:
    """The refusal of a record that is not there."""
    return Refused(404, "NOT_FOUND", f"{kind} with ID {key!r} not found.")
