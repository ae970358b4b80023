"""What is delivered in the measurements: the same events, whoever delivers them."""

from __future__ import annotations

import secrets
from typing import Any

ENDPOINTS = 100
BODY = 1024
"""Bytes of a delivery's body, within a few."""

CALLERS = 64
"""How many at a time have their message stored, where each is emitted by itself."""

_FRAME = 110


def messages(number: int) -> list[tuple[int, dict[str, Any]]]:
    """(endpoint, data) of that many events, over all endpoints in turn; their bodies are 1 KB."""
    text = secrets.token_hex((BODY - _FRAME) // 2)
    return [(place % ENDPOINTS, {"n": place, "text": text}) for place in range(number)]
