"""Sends events to the app's webhook address, signed as Intuit does.

A body is a JSON array of CloudEvents; `intuit-signature` is the base64 of HMAC-SHA256 over the raw
body, keyed with the verifier token as it is written.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, ClassVar

from landbridge.testing.quickbooks.wire import Obj
from landbridge.testing.sending import Post, Sender


@dataclass(kw_only=True)
class Dispatcher(Sender[list[Obj]]):
    """The queue between events and the address; a job is the events of one body."""

    TAKEN: ClassVar = {200}

    rng: Random
    url: str = ""
    token: str = ""

    def register(self, url: str, token: str) -> None:
        """Sets the address and the verifier token, as the developer portal does."""
        self.url, self.token = url, token

    def tell(self, realm: str, event: Obj) -> None:
        """Plans the first try for an event."""
        if not self.url or self.mode == "lose":
            return
        at = datetime.fromtimestamp(self.stage.clock.now(), UTC)
        whole = {
            "specversion": "1.0",
            "id": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)),
            "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
            "type": event["type"],
            "datacontenttype": "application/json",
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "intuitentityid": event["intuitentityid"],
            "intuitaccountid": realm,
            "data": {},
        }
        self.plan([whole])

    def release(self, times: int) -> int:
        """Sends what was held, in one body, `times` over; how many events."""
        held = [event for job in self._held for event in job]
        self._held = [held] if held else []
        super().release(times)
        return len(held) * times

    def addressed(self) -> dict[str, Any]:
        """Where events go."""
        return {"url": self.url}

    def post(self, job: list[Obj], _: int, /) -> Post:
        """The events in one body, signed for the address as it is now."""
        body = json.dumps(job).encode()
        signature = sign(body, self.token)
        head = {"Content-Type": "application/json", "intuit-signature": signature}
        noted = {"body": body.decode(), "signature": signature}
        return Post(url=self.url, body=body, headers=head, noted=noted)


def sign(body: bytes, token: str) -> str:
    """The `intuit-signature` of a body."""
    return base64.b64encode(hmac.new(token.encode(), body, hashlib.sha256).digest()).decode()
