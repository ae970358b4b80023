"""How PayPal writes: instants, money, links, refusals."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from random import Random
from typing import Any

from landbridge.testing.asgi import as_json
from landbridge.wire import Headers, Response

Obj = dict[str, Any]

_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_WHOLE = ("HUF", "JPY", "TWD")
"""Currencies of which PayPal takes no decimals."""


class Problem(Exception):
    """A refusal: its status, the name of its kind, and what is wrong (field, issue, words)."""

    def __init__(self, status: int, name: str, message: str, *details: tuple[str, str, str]):
        super().__init__(message)
        self.status = status
        self.name = name
        self.details = details

    def response(self, debug_id: str) -> Response:
        """The answer that says so."""
        told = [
            {"field": field, "location": "body", "issue": issue, "description": words}
            for field, issue, words in self.details
        ]
        body = {"name": self.name, "message": str(self), "debug_id": debug_id}
        return as_json({**body, "details": told, "links": []}, self.status)


def missing(what: str) -> Problem:
    """There is no such thing."""
    words = "The specified resource does not exist."
    return Problem(404, "RESOURCE_NOT_FOUND", words, (what, "INVALID_RESOURCE_ID", words))


def wrong(field: str, issue: str, words: str) -> Problem:
    """The request is well formed, and cannot be done."""
    message = "The requested action could not be performed, semantically incorrect, or failed"
    return Problem(
        422, "UNPROCESSABLE_ENTITY", f"{message} business validation.", (field, issue, words)
    )


def malformed(field: str, words: str) -> Problem:
    """The request is not well formed."""
    message = "Request is not well-formed, syntactically incorrect, or violates schema."
    return Problem(400, "INVALID_REQUEST", message, (field, "INVALID_PARAMETER_SYNTAX", words))


def stamp(unix: float) -> str:
    """An instant as PayPal writes it."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def money(amount: Decimal, code: str) -> Obj:
    """An amount with its currency."""
    digits = Decimal(1) if code in _WHOLE else Decimal("0.01")
    return {"currency_code": code, "value": format(amount.quantize(digits), "f")}


def amount_of(told: object, field: str) -> Decimal:
    """An amount that was sent; a `Problem` names the field otherwise."""
    try:
        assert isinstance(told, dict)
        amount = Decimal(told["value"])
    except (AssertionError, KeyError, TypeError, InvalidOperation):
        raise malformed(field, "An amount needs a currency_code and a value.") from None
    if told.get("currency_code") in _WHOLE and amount != amount.to_integral_value():
        raise wrong(field, "DECIMALS_NOT_SUPPORTED", "Currency does not support decimals.")
    return amount


def code_of(rng: Random, length: int = 17) -> str:
    """Letters and digits, as PayPal's ids have them."""
    return "".join(rng.choice(_LETTERS) for _ in range(length))


def link(base: str, path: str, rel: str = "self", method: str = "GET") -> Obj:
    """One link of a record."""
    return {"href": f"{base}{path}", "rel": rel, "method": method}


def empty(status: int = 204) -> Response:
    """An answer without a body."""
    return Response(status=status, headers=Headers({}))
