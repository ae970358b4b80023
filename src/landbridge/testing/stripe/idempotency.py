"""Idempotency keys: the first answer under a key is the answer, for 24 hours.

Kept once the operation began to run, whatever came of it, a 500 too; not for parameters that were
refused, nor for requests that met another one in progress
(docs.stripe.com/api/idempotent_requests).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from landbridge.testing.stripe.problems import key_in_use, reused_key
from landbridge.wire import Response

_KEPT_SECONDS = 24 * 3600
_LONGEST = 255


@dataclass(kw_only=True)
class _Kept:
    path: str
    params: str
    request_id: str
    at: float
    response: Response | None = None


class Keys:
    """The keys in use and used, of one account."""

    def __init__(self, now: Callable[[], float]):
        self._now = now
        self._kept: dict[str, _Kept] = {}

    def begin(
        self, key: str, path: str, params: dict[str, Any], request_id: str
    ) -> tuple[Response, str] | None:
        """The kept response and its request's id; None for the first use, now in progress."""
        if len(key) > _LONGEST:
            raise reused_key(f"Idempotency keys can have at most {_LONGEST} characters.")
        kept = self._kept.get(key)
        written = json.dumps(params, sort_keys=True)
        if kept is None or kept.at < self._now() - _KEPT_SECONDS:
            self._kept[key] = _Kept(
                path=path, params=written, request_id=request_id, at=self._now()
            )
            return None
        if kept.path != path:
            raise reused_key(
                "Keys for idempotent requests can only be used for the same endpoint they were"
                f" first used for ('{kept.path}' vs '{path}'). Try using a key other than '{key}'"
                " if you meant to execute a different request."
            )
        if kept.params != written:
            raise reused_key(
                "Keys for idempotent requests can only be used with the same parameters they were"
                f" first used with. Try using a key other than '{key}' if you meant to execute a"
                " different request."
            )
        if kept.response is None:
            raise key_in_use(key)
        return kept.response, kept.request_id

    def settle(self, key: str, response: Response | None) -> None:
        """Keeps the response under a key in progress; None forgets the key."""
        if response is None:
            del self._kept[key]
        else:
            self._kept[key].response = response

    def forget(self) -> int:
        """Drops every key, as if 24 hours had passed; returns how many."""
        count = len(self._kept)
        self._kept = {}
        return count
