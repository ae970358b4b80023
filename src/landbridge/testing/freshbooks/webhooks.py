"""Callbacks: where events are posted, how an address is made sure of, and how a post is signed.

A new callback's address is posted a code at once (`verifier`); nothing else goes there until the
code was sent back. It is then the key of the signature `X-FreshBooks-Hmac-SHA256`: the base64 of
HMAC-SHA256 over the form's fields as JSON with blanks after comma and colon.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from landbridge.testing.freshbooks.wire import Obj, result, told_off, zulu
from landbridge.testing.sending import Post, Sender
from landbridge.wire import Response

EVENTS = frozenset(
    f"{noun}.{verb}"
    for noun in (
        "invoice payment client expense estimate credit_note bill bill_vendor bill_payment item"
        " project recurring service tax time_entry category"
    ).split()
    for verb in ("create", "update", "delete")
) | {"invoice.sendByEmail", "estimate.sendByEmail"}


@dataclass(kw_only=True)
class Callback:
    """One event (or all of a noun) for one address."""

    id: int
    account: str
    event: str
    uri: str
    code: str
    verified: bool = False
    at: float = 0.0

    def shown(self) -> Obj:
        """As the API has it; never with its code."""
        told = {"callbackid": self.id, "verified": self.verified, "uri": self.uri}
        return {**told, "event": self.event, "updated_at": zulu(self.at)}

    def hears(self, account: str, name: str) -> bool:
        """Whether it is told of this event."""
        about = name == self.event or name.startswith(f"{self.event}.")
        return self.verified and account == self.account and about


@dataclass(kw_only=True)
class Dispatcher(Sender[tuple[Callback, dict[str, str]]]):
    """The queue between events and addresses; a job is a form's fields for a callback."""

    TAKEN: ClassVar = {200}

    rng: Random
    businesses: Mapping[str, int]
    callbacks: dict[int, Callback] = field(default_factory=dict)

    def create(self, account: str, sent: Obj) -> Response:
        """A callback that is not verified yet; its address is posted the code."""
        problems = []
        event, uri = str(sent.get("event", "")), str(sent.get("uri", ""))
        if event not in EVENTS and event not in {name.split(".")[0] for name in EVENTS}:
            problems.append("event: Value error, Unrecognized event.")
        if not urlsplit(uri).scheme.startswith("http"):
            problems.append("uri: Input should be a valid URL, relative URL without a base")
        mine = [one for one in self.callbacks.values() if one.account == account]
        if any((one.event, one.uri) == (event, uri) for one in mine):
            problems.append("event: there is a callback for this event and address")
        if problems:
            return told_off(
                422, "The request was well-formed but could not be followed.", *problems
            )
        made = Callback(
            id=7_000 + len(self.callbacks),
            account=account,
            event=event,
            uri=uri,
            code=f"{self.rng.getrandbits(160):040x}",
            at=self.stage.clock.now(),
        )
        self.callbacks[made.id] = made
        self._ask(made)
        return result({"callback": made.shown()})

    def change(self, callback: Callback, sent: Obj) -> Response:
        """The code that was sent back, or a wish to have it posted again."""
        if sent.get("resend"):
            self._ask(callback)
        elif sent.get("verifier") == callback.code:
            callback.verified, callback.at = True, self.stage.clock.now()
        else:
            return told_off(422, "The verifier does not match.", "verifier: wrong")
        return result({"callback": callback.shown()})

    def _ask(self, callback: Callback) -> None:
        fields = {**self._head(callback, "callback.verify", callback.id), "verifier": callback.code}
        self.plan_now((callback, fields))

    def tell(self, account: str, name: str, key: int) -> None:
        """Plans the first try for an event at every callback that hears it."""
        for callback in [*self.callbacks.values()]:
            if callback.hears(account, name):
                self.plan((callback, self._head(callback, name, key)))

    def _head(self, callback: Callback, name: str, key: int) -> dict[str, str]:
        return {
            "name": name,
            "object_id": str(key),
            "account_id": callback.account,
            "business_id": str(self.businesses[callback.account]),
            "identity_id": "12345",
            "user_id": "1",
        }

    def addressed(self) -> dict[str, Any]:
        """Where events go."""
        return {"callbacks": [one.shown() for one in self.callbacks.values()]}

    def post(self, job: tuple[Callback, dict[str, str]], _: int, /) -> Post:
        """The form, signed by the callback's code unless it is what tells the code."""
        callback, fields = job
        head = {"Content-Type": "application/x-www-form-urlencoded"}
        if "verifier" not in fields:
            head["X-FreshBooks-Hmac-SHA256"] = sign(fields, callback.code)
        noted = {"what": fields["name"], "object_id": fields["object_id"]}
        body = urlencode(fields).encode()
        return Post(url=callback.uri, body=body, headers=head, noted=noted)


def sign(fields: Mapping[str, str], code: str) -> str:
    """The signature of a post with these fields in this order."""
    digest = hmac.new(code.encode(), json.dumps(dict(fields)).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
