"""Xero's OpenAPI document: what it takes, what it answers, and which paths its schemas have."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from tests.specs.documents import Document

KEPT = Path(__file__).parent / "xero_extract.json"


@cache
def xero() -> Document:
    """Xero's document."""
    return Document(json.loads(KEPT.read_bytes()))
