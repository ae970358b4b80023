"""Sends events to the app's notification address, signed as Square does.

`x-square-hmacsha256-signature` is the base64 of HMAC-SHA256 over the address, as it was registered,
and the raw body, keyed with the signature key as it is written.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from landbridge.testing.sending import Post, Sender
from landbridge.testing.square.wire import Obj

HEADER = "x-square-hmacsha256-signature"


@dataclass(kw_only=True)
class Dispatcher(Sender[bytes]):
    """The queue between events and the address."""

    SECONDS: ClassVar = 10

    url: str = ""
    key: str = ""

    def tell(self, event: Obj) -> None:
        """Plans the first try for an event."""
        if self.url:
            self.plan(json.dumps(event, separators=(",", ":")).encode())

    async def forge(self) -> int | None:
        """What the address answers to a body that another key has signed."""
        body = json.dumps({"type": "payment.updated", "event_id": "forged"}).encode()
        return await self.answered(self._signed(body, "not-the-key", 0))

    def addressed(self) -> dict[str, Any]:
        """Where events go."""
        return {"url": self.url}

    def post(self, job: bytes, tries: int, /) -> Post:
        """The body, signed for the address as it is now."""
        return self._signed(job, self.key, tries)

    def _signed(self, body: bytes, key: str, tries: int) -> Post:
        at = datetime.fromtimestamp(self.stage.clock.now(), UTC)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Square Connect v2",
            HEADER: sign(self.url, body, key),
            "square-environment": "Sandbox",
            "square-initial-delivery-timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        }
        if tries:
            headers |= {"square-retry-number": str(tries), "square-retry-reason": "http_error"}
        told = json.loads(body)
        noted = {"event": told["event_id"], "type": told["type"], "tries": tries + 1}
        return Post(url=self.url, body=body, headers=headers, noted=noted)


def sign(url: str, body: bytes, key: str) -> str:
    """The signature of a body that is sent to this address."""
    digest = hmac.new(key.encode(), url.encode() + body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
