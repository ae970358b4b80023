"""Square's OpenAPI document: what it takes, what it answers, and which paths its schemas have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.specs.documents import Document

KEPT = Path(__file__).parent / "square_extract.json"


class Answers(Document):
    """Each operation declares one answer, which holds what was asked for or the errors."""

    def __init__(self, document: Mapping[str, Any]):
        super().__init__(document)
        self.events: Mapping[str, Any] = document["events"]

    def misanswered(self, method: str, path: str, status: int, body: bytes) -> list[str]:
        """Everything in an answer that is not declared; a refusal names its errors."""
        wrong = super().misanswered(method, path, 200, body)
        if status >= 400 and not json.loads(body).get("errors"):
            wrong.append(f"{method} {path} {status}: no errors are named")
        return wrong


@cache
def square() -> Answers:
    """Square's document."""
    return Answers(json.loads(KEPT.read_bytes()))
