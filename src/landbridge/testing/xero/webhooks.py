"""Sends events to the app's webhook address, signed as Xero does, after an intent to receive.

`x-xero-signature` is the base64 of HMAC-SHA256 over the raw body, keyed with the signing key as it
is written. The address counts only once it answered correctly and wrongly signed bodies rightly.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, ClassVar

from landbridge.testing.sending import Post, Sender
from landbridge.testing.xero.wire import Obj


@dataclass(kw_only=True)
class Dispatcher(Sender[bytes]):
    """The queue between events and the address."""

    TAKEN: ClassVar = {200}

    rng: Random
    url: str = ""
    key: str = ""
    active: bool = False
    sequence: int = 0

    async def register(self, url: str, key: str) -> dict[str, Any]:
        """Sets the address and asks for its intent to receive; what each body was answered."""
        self.url, self.key, self.active = url, key, False
        answers = []
        for right in (True, False, True, False):
            post = self._signed(self._body([]), key if right else "not-the-key", "intent")
            answers.append({"right": right, "status": await self.answered(post)})
        wanted = {True: 200, False: 401}
        self.active = all(each["status"] == wanted[bool(each["right"])] for each in answers)
        return {"active": self.active, "answers": answers}

    def tell(self, tenant: str, event: Obj) -> None:
        """Plans the first try for an event."""
        if not self.active or self.mode == "lose":
            return
        at = datetime.fromtimestamp(self.stage.clock.now(), UTC)
        path = {"CONTACT": "Contacts", "INVOICE": "Invoices", "CREDITNOTE": "CreditNotes"}
        where = path[event["eventCategory"]]
        whole = {
            "resourceUrl": f"https://api.xero.com/api.xro/2.0/{where}/{event['resourceId']}",
            **event,
            "tenantId": tenant,
            "tenantType": "ORGANISATION",
            "eventDateUtc": at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
        }
        self.plan(self._body([whole]))

    def addressed(self) -> dict[str, Any]:
        """Where events go."""
        return {"url": self.url, "active": self.active}

    def post(self, job: bytes, _: int, /) -> Post:
        """The body, signed for the address as it is now."""
        return self._signed(job, self.key, "event")

    def _body(self, events: list[Obj]) -> bytes:
        """The bytes that are signed and sent; with uneven spaces, as Xero sends an intent."""
        first = self.sequence + 1 if events else 0
        self.sequence += len(events)
        entropy = "".join(self.rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(20))
        last = self.sequence if events else 0
        return (
            f'{{"events":{json.dumps(events)},"lastEventSequence": {last},'
            f'"firstEventSequence": {first},"entropy":"{entropy}"}}'
        ).encode()

    def _signed(self, body: bytes, key: str, what: str) -> Post:
        head = {"Content-Type": "application/json", "x-xero-signature": sign(body, key)}
        noted = {"what": what, "body": body.decode()}
        return Post(url=self.url, body=body, headers=head, noted=noted)


def sign(body: bytes, key: str) -> str:
    """The `x-xero-signature` of a body."""
    return base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()
