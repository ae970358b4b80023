"""Which deliveries a receiver fails on purpose, and how: `tries=2,answer=503,every=10`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from landbridge.errors import SettingsError
from landbridge.testing.asgi import Answer, Drop, Trickle, as_json
from landbridge.wire import Headers, Response

_KINDS = ("hang", "slow", "drop")
_HANG = 30.0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The first `tries` deliveries of each selected message are answered by `answer`.

    `answer` is a status (`302` names a `location`), `hang` (`seconds` of silence, then the
    connection closes), `slow` (200, the body spread over `seconds`) or `drop`. Selected is one
    message in `every`, by a digest of its id, of a `type` and an `endpoint` (globs).
    """

    tries: int = 1
    answer: str = "500"
    every: int = 1
    type: str = "*"
    endpoint: str = "*"
    seconds: float = _HANG
    retry_after: str | None = None
    location: str = "http://127.0.0.1:9/"

    def selects(self, message: str, type_: str, endpoint: str) -> bool:
        """Whether this message is one that fails; the same message always, in every process."""
        drawn = int.from_bytes(hashlib.sha256(message.encode()).digest()[:4], "big")
        return (
            drawn % self.every == 0
            and fnmatchcase(type_, self.type)
            and fnmatchcase(endpoint, self.endpoint)
        )

    def carried_out(self) -> tuple[int | None, Answer]:
        """The status that goes into the journal (None: no answer) and the answer itself."""
        body = {"failed": "on purpose"}
        if self.answer == "hang":
            return None, Drop(seconds=self.seconds)
        if self.answer == "drop":
            return None, Drop()
        if self.answer == "slow":
            return 200, Trickle(response=as_json(body), seconds=self.seconds)
        status = int(self.answer)
        head = {"content-type": "application/json"}
        if self.retry_after is not None:
            head["retry-after"] = self.retry_after
        if 300 <= status < 400:
            head["location"] = self.location
        response = Response(status=status, headers=Headers(head), body=msgspec.json.encode(body))
        return status, response


def rule(asked: dict[str, Any]) -> Rule:
    """The rule of these values; `SettingsError` names the one that is wrong."""
    try:
        made = msgspec.convert(asked, Rule, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"fail-first: {error}") from None
    unknown = asked.keys() - Rule.__dataclass_fields__.keys()
    if unknown:
        known = ", ".join(Rule.__dataclass_fields__)
        raise SettingsError(f"fail-first: {min(unknown)!r} is none of {known}")
    if made.answer not in _KINDS and not (made.answer.isdecimal() and len(made.answer) == 3):
        raise SettingsError(f"fail-first: answer {made.answer!r} is no status, hang, slow or drop")
    if made.every < 1:
        raise SettingsError(f"fail-first: every {made.every} is less than 1")
    return made


def parsed(text: str) -> Rule:
    """The rule that a command line gives, like `tries=2,answer=503,retry-after=1`."""
    asked: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals:
            raise SettingsError(f"fail-first: {part!r} is not NAME=VALUE, like tries=2")
        asked[name.strip().replace("-", "_")] = value.strip()
    return rule(asked)
