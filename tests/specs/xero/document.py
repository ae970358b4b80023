"""Xero's OpenAPI document: what it takes, what it answers, and which paths its schemas have."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from landbridge.spec import Resource
from tests.specs.documents import Document

KEPT = Path(__file__).parent / "xero_extract.json"


@cache
def xero() -> Document:
    """Xero's document."""
    return Document(json.loads(KEPT.read_bytes()))


def shown(resource: Resource) -> list[Any]:
    """The examples in Xero's document of a resource's records."""
    found = xero().examples[resource.records.replace("Organisations", "Organisation")]
    return [one for one in found if resource.has(one)]
