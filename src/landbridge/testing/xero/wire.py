"""How Xero writes: dates, envelopes, problems."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, date, datetime
from random import Random
from typing import Any

from landbridge.testing.asgi import as_json
from landbridge.wire import Response

Obj = dict[str, Any]

_PRICES = ("UnitAmount", "UnitPrice")
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(T.*)?")
_DOTNET = re.compile(r"/Date\((-?\d+)([+-]\d{4})?\)/")


class Invalid(Exception):
    """An element that is not taken; the sentences say why."""

    def __init__(self, *problems: str):
        super().__init__("; ".join(problems))
        self.problems = problems


def stamp(unix: float) -> str:
    """An instant as Xero's JSON has it."""
    return f"/Date({int(unix * 1000)}+0000)/"


def day(told: str) -> str:
    """A date that was sent, as Xero's JSON has it; `Invalid` unless it is one."""
    if _DOTNET.fullmatch(told):
        return told
    found = _DAY.fullmatch(told)
    try:
        parsed = date.fromisoformat(found[1]) if found else None
    except ValueError:
        parsed = None
    if parsed is None:
        raise Invalid(f"The date {told!r} is not valid")
    return stamp(datetime(parsed.year, parsed.month, parsed.day, tzinfo=UTC).timestamp())


def at_of(told: str) -> int:
    """When a date is that Xero's JSON has, to compare it."""
    found = _DOTNET.fullmatch(day(told))
    assert found is not None
    return int(found[1])


def guid(rng: Random) -> str:
    """A GUID of this world."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def envelope(rng: Random, now: float, name: str, found: list[Obj], **more: Any) -> Response:
    """An answer of the API: the list under its name, with what stands around it."""
    head = {
        "Id": guid(rng),
        "Status": "OK",
        "ProviderName": "Landbridge simulator",
        "DateTimeUTC": stamp(now),
    }
    return as_json({**head, **more, name: found})


def gateway(rng: Random, status: int, title: str, detail: str) -> Response:
    """A refusal of the gateway before the API."""
    body = {"Type": None, "Title": title, "Status": status, "Detail": detail}
    return as_json({**body, "Instance": guid(rng), "Extensions": {}}, status)


def refused(number: int, kind: str, message: str, elements: list[Obj] | None = None) -> Response:
    """A refusal of the API."""
    more = {"Elements": elements} if elements else {}
    return as_json({"ErrorNumber": number, "Type": kind, "Message": message, **more}, 400)


def in_cents(value: Any) -> Any:
    """What is shown where four decimals of prices were not asked for."""
    if isinstance(value, list):
        return [in_cents(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: round(each, 2) if name in _PRICES and isinstance(each, float) else in_cents(each)
        for name, each in value.items()
    }
