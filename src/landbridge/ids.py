"""Typed ids: a short prefix that names the type, then a UUIDv7 in 26 Crockford base32 characters.

Ids sort by the millisecond in which they were made (compare them bytewise, collation "C"), so an
id's range is a time range: partitions of the append-only tables are cut by `bound`. UUIDv7 is
RFC 9562 section 5.7; the base32 alphabet is Crockford's, lower case.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import NewType

AppId = NewType("AppId", str)
GrantId = NewType("GrantId", str)
ConnectionId = NewType("ConnectionId", str)
SyncId = NewType("SyncId", str)
RunId = NewType("RunId", str)
ChangeId = NewType("ChangeId", str)
ArrivalId = NewType("ArrivalId", str)
InboxEventId = NewType("InboxEventId", str)
EventId = NewType("EventId", str)
EndpointId = NewType("EndpointId", str)
DueId = NewType("DueId", str)
AttemptId = NewType("AttemptId", str)
IntentId = NewType("IntentId", str)
ParkedId = NewType("ParkedId", str)
ReplayId = NewType("ReplayId", str)
ErasureId = NewType("ErasureId", str)
CallId = NewType("CallId", str)
ShadowId = NewType("ShadowId", str)
ShadowCallId = NewType("ShadowCallId", str)
DrillId = NewType("DrillId", str)
LinkId = NewType("LinkId", str)
ConflictId = NewType("ConflictId", str)

PREFIXES = {
    "app": "app",
    "grant": "grt",
    "connection": "con",
    "sync": "syn",
    "run": "run",
    "change": "chg",
    "arrival": "arr",
    "inbox_event": "inb",
    "event": "evt",
    "endpoint": "end",
    "due": "due",
    "delivery": "dlv",
    "attempt": "att",
    "intent": "int",
    "parked": "prk",
    "replay": "rpl",
    "erasure": "era",
    "call": "cal",
    "shadow": "shd",
    "shadow_call": "shc",
    "drill": "drl",
    "link": "lnk",
    "conflict": "cfl",
}
"""What the letters before the underscore mean."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_LENGTH = 26


def new(prefix: str) -> str:
    """A fresh id such as `evt_01kb3v8p2mf0r8qj4x6n9d5c7a`; no two calls return the same one."""
    return make(prefix, time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), "big"))


def make(prefix: str, milliseconds: int, random_bits: int) -> str:
    """The id with these parts: `milliseconds` since 1970, and 80 bits of which 74 are used."""
    value = (
        (milliseconds & 0xFFFF_FFFF_FFFF) << 80
        | 0x7 << 76
        | (random_bits >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | random_bits & 0x3FFF_FFFF_FFFF_FFFF
    )
    return f"{prefix}_{_encode(value)}"


def many(prefix: str, number: int) -> list[str]:
    """That many fresh ids of this moment, cheaper together than one by one."""
    moment = bound(prefix, datetime.now(UTC))[: len(prefix) + 11]
    letters = os.urandom(8 * number).hex()
    return [moment + letters[place : place + 16] for place in range(0, 16 * number, 16)]


def bound(prefix: str, at: datetime) -> str:
    """The smallest id that may be made at `at` or later: a partition's or a range query's edge."""
    milliseconds = int(at.timestamp() * 1000)
    return f"{prefix}_{_encode(milliseconds << 80)}"


def made_at(identifier: str) -> datetime:
    """When an id was made, in UTC, to the millisecond; ValueError if it is not one of ours."""
    prefix, _, body = identifier.rpartition("_")
    if not prefix or len(body) != _LENGTH or any(letter not in _VALUES for letter in body):
        raise ValueError(f"{identifier!r} is not a Landbridge id such as {new('evt')!r}")
    value = 0
    for letter in body:
        value = value << 5 | _VALUES[letter]
    return datetime.fromtimestamp((value >> 80) / 1000, tz=UTC)


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` has the form of an id with this prefix."""
    head, _, body = text.rpartition("_")
    return head == prefix and len(body) == _LENGTH and all(letter in _VALUES for letter in body)


def _encode(value: int) -> str:
    pairs = _PAIRS
    return "".join([pairs[value >> shift & 0x3FF] for shift in range(120, -1, -10)])
