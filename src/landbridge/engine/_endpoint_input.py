"""What may be set of an endpoint, and what is said when it may not."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any, Final, Literal

from landbridge.client.post import check_headers
from landbridge.engine import filters
from landbridge.errors import InvalidInput
from landbridge.signing.standard import public_key


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
"""Leaves a setting as it is, where None would clear it."""

Scheme = Literal["v1", "v1a", "both"]
SCHEMES: Mapping[str, tuple[str, ...]] = {"v1": ("v1",), "v1a": ("v1a",), "both": ("v1", "v1a")}

LONGEST_SCHEDULE = timedelta(days=14)
LONGEST_OVERLAP = timedelta(days=90)
_MOST_TRIES = 20
_TYPE = re.compile(r"\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?")
_MOST_TYPES = 100
_API_VERSION = re.compile(r"[A-Za-z0-9._-]{0,64}")
_LONGEST_DESCRIPTION = 500
_MOST_HEADERS = 20
_HEADER_BYTES = 8192
_OURS = frozenset(
    "accept-encoding connection content-encoding content-length content-type expect host"
    " keep-alive te trailer transfer-encoding upgrade user-agent".split()
)
_OUR_PREFIXES = ("webhook-", "proxy-")


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by column, as they are stored; those that are `UNCHANGED` are left out.

    Headers are not among them: they are sealed.
    """
    return {name: _CHECKS[name](value) for name, value in given.items() if value is not UNCHANGED}


def types(given: Sequence[str]) -> list[str]:
    """The types, each once."""
    if isinstance(given, str) or not given:
        raise InvalidInput("types: give a list of event types such as ['invoice.*'], or ['*']")
    if len(given) > _MOST_TYPES:
        raise InvalidInput(f"types: {len(given)} are given, {_MOST_TYPES} are the most; use ['*']")
    for each in given:
        if not _TYPE.fullmatch(each) or len(each) > 255:
            raise InvalidInput(
                f"types: {each!r} is not an event type such as invoice.paid, nor invoice.* or *"
            )
    return sorted(set(given))


def headers(given: Mapping[str, str]) -> dict[str, str]:
    """The headers, without blanks around their values."""
    found = {name: value.strip(" \t") for name, value in given.items()}
    check_headers(found)
    lower = [name.lower() for name in found]
    for name in lower:
        if name in _OURS or name.startswith(_OUR_PREFIXES):
            raise InvalidInput(f"headers: {name} is set by the sender itself; leave it out")
        if lower.count(name) > 1:
            raise InvalidInput(f"headers: {name} is given twice, in different spellings; keep one")
    size = sum(len(name) + len(value.encode()) + 4 for name, value in found.items())
    if len(found) > _MOST_HEADERS or size > _HEADER_BYTES:
        raise InvalidInput(
            f"headers: {len(found)} of {size} bytes; {_MOST_HEADERS} of {_HEADER_BYTES} bytes"
            " together are the most"
        )
    return found


def scheme(given: str) -> tuple[str, ...]:
    """The versions of signatures that a scheme stands for."""
    if given not in SCHEMES:
        raise InvalidInput(f"scheme: {given!r} is none of v1, v1a and both")
    return SCHEMES[given]


def secret(given: str) -> str:
    """A `whsec_`."""
    prefix, _, body = given.partition("_")
    try:
        key = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        raise InvalidInput("secret: it is not whsec_ and base64 of 24 to 64 bytes; or give none")
    return given


def private_key(given: str) -> str:
    """A `whsk_`."""
    message = "private_key: it is not whsk_ and base64 of an ed25519 key's 32 bytes; or give none"
    if not given.startswith("whsk_"):
        raise InvalidInput(message)
    try:
        public_key(given)
    except InvalidInput:
        raise InvalidInput(message) from None
    return given


def overlap(given: timedelta) -> timedelta:
    """How long a secret lives beside its successor."""
    if not timedelta() <= given <= LONGEST_OVERLAP:
        raise InvalidInput(
            f"overlap: {given.total_seconds():g} s is not from 0 to {LONGEST_OVERLAP.days} days"
        )
    return given


def steps_aside(*, ordered: bool, skip_after: int | None) -> None:
    """InvalidInput where `skip_after` would mean nothing."""
    if skip_after is not None and not ordered:
        raise InvalidInput(
            "skip_after: this endpoint is not ordered, so nothing waits behind a delivery; give"
            " ordered=True with it, or leave it out"
        )


def _description(given: str) -> str:
    if len(given) > _LONGEST_DESCRIPTION or "\x00" in given:
        raise InvalidInput(
            f"description: it has {len(given)} characters, {_LONGEST_DESCRIPTION} are the most, and"
            " none may be NUL"
        )
    return given


def _filter(given: Mapping[str, Any] | str | None) -> str | None:
    return None if given is None else filters.compiled(given)


def _api_version(given: str) -> str:
    if not _API_VERSION.fullmatch(given):
        raise InvalidInput(
            f"api_version: {given!r} is not a version such as 2026-11-24: up to 64 letters, digits,"
            " dots and hyphens"
        )
    return given


def _schedule(given: Sequence[Any] | None) -> list[timedelta] | None:
    if given is None:
        return None
    waits = list(given)
    if len(waits) >= _MOST_TRIES:
        raise InvalidInput(
            f"schedule: {len(waits)} waits make {len(waits) + 1} tries, {_MOST_TRIES} are the most"
        )
    for place, each in enumerate(waits):
        if not isinstance(each, timedelta) or each <= timedelta():
            raise InvalidInput(
                f"schedule[{place}]: {each!r} is no wait; give times above zero, such as 30 s"
            )
    total = sum(waits, timedelta())
    if total > LONGEST_SCHEDULE:
        raise InvalidInput(
            f"schedule: its waits come to {total.total_seconds() / 86400:.1f} days,"
            f" {LONGEST_SCHEDULE.days} are the most"
        )
    return waits


def _whole(name: str, low: int, high: int, given: Any) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
        raise InvalidInput(f"{name}: {given!r} is not a whole number from {low} to {high}")
    return int(given)


def _rate(given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0.01 <= given <= 10_000:
        raise InvalidInput(f"rate: {given!r} is not from 0.01 to 10000 posts a second")
    return float(given)


_CHECKS: Mapping[str, Any] = {
    "url": str,
    "types": types,
    "description": _description,
    "filter": _filter,
    "api_version": _api_version,
    "schedule": _schedule,
    "concurrency": lambda given: _whole("concurrency", 1, 1000, given),
    "rate": _rate,
    "ordered": bool,
    "skip_after": lambda given: _whole("skip_after", 1, _MOST_TRIES, given),
}
