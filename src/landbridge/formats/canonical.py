"""One way to write a JSON-like value, so that equal values have equal digests."""

import hashlib
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")


def canonical(value: Any) -> bytes:
    """The value as JSON with sorted keys and no spaces; numbers keep the digits they came with."""
    return _ENCODER.encode(value)


def digest(value: Any) -> bytes:
    """16 bytes that stand for the value: equal for values that differ only in the order of keys."""
    return hashlib.blake2b(_ENCODER.encode(value), digest_size=16).digest()


def mark(raw: bytes) -> bytes:
    """16 bytes that stand for bytes as they were sent; cheaper than `digest`, and other ones when a
    key moved."""
    return hashlib.sha256(raw).digest()[:16]
