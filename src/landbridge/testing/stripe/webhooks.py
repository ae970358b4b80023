"""Sends events to the account's webhook endpoints, signed; badly where that is asked for.

Signature: `Stripe-Signature: t=<unix>,v1=<hex hmac-sha256 of "t.body">`, one `v1` per secret while
a secret is being rolled (docs.stripe.com/webhooks). Every try is signed anew.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import msgspec

from landbridge.testing.asgi import BadCall
from landbridge.testing.sending import Post, Sender
from landbridge.testing.stage import among
from landbridge.testing.stripe.world import Obj, World


class Special(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One webhook sent by hand: `POST /_sim/webhooks/send`.

    `event` names a stored event, else `payload` is sent. `age` is how many seconds ago it was
    signed. `reserialised` and `tampered` bodies are changed after they were signed.
    """

    event: str | None = None
    payload: dict[str, Any] | None = None
    endpoint: str | None = None
    times: int = 1
    age: float = 0.0
    signature: Literal["valid", "forged", "missing", "malformed", "v0"] = "valid"
    body: Literal["as_sent", "reserialised", "tampered"] = "as_sent"


@dataclass(frozen=True, kw_only=True)
class _Job:
    endpoint: str
    event: str
    type: str
    body: bytes


@dataclass(kw_only=True)
class Dispatcher(Sender[_Job]):
    """The queue between events and endpoints."""

    SECONDS: ClassVar = 10

    world: World
    secrets: dict[str, list[str]] = field(default_factory=dict)
    """By endpoint: the current secret, then one that is being rolled out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.world.pending_webhooks = lambda type_: len(self._wanting(type_))
        self.world.on_event = self.enqueue

    def register(self, endpoint: Obj, secret: str) -> None:
        """Signs what goes to this endpoint by this secret."""
        self.secrets[endpoint["id"]] = [secret]

    def roll(self, endpoint_id: str) -> str:
        """The new secret of an endpoint; the old one goes on signing too until `retire`."""
        secret = f"whsec_{self.world.letters(32)}"
        self.secrets[endpoint_id] = [secret, self.secrets[endpoint_id][0]]
        return secret

    def retire(self, endpoint_id: str) -> None:
        """Ends a roll: only the newest secret signs."""
        del self.secrets[endpoint_id][1:]

    def enqueue(self, event: Obj) -> None:
        """Plans the first try for every endpoint that wants this event."""
        for endpoint in self._wanting(event["type"]):
            self.plan(
                _Job(
                    endpoint=endpoint["id"],
                    event=event["id"],
                    type=event["type"],
                    body=body_of(event),
                )
            )

    def _wanting(self, type_: str) -> list[Obj]:
        return [
            each
            for each in self.world.collections["webhook_endpoints"].items.values()
            if each["status"] == "enabled"
            and (type_ in each["enabled_events"] or "*" in each["enabled_events"])
        ]

    def release_in(self, order: str, times: int, seed: int) -> int:
        """Sends what was held, `times` over, `created`, `reversed` or `shuffled`."""
        among("order", order, ("created", "reversed", "shuffled"))
        self._held *= times
        if order == "reversed":
            self._held.reverse()
        elif order == "shuffled":
            random.Random(seed).shuffle(self._held)  # noqa: S311 - an order to test with
        return self.release(1)

    def post(self, job: _Job, tries: int, /) -> Post | None:
        """The event, signed now; None where the endpoint is gone."""
        secrets = self.secrets.get(job.endpoint)
        if secrets is None:
            return None
        signature = sign(job.body, secrets, int(self.stage.clock.now()))
        return self._headed(job, {"Stripe-Signature": signature}, tries)

    def settle(self, job: _Job) -> None:
        """One webhook less is pending for the event."""
        event = self.world.collections["events"].items.get(job.event)
        if event is not None and event["pending_webhooks"] > 0:
            event["pending_webhooks"] -= 1

    def _headed(self, job: _Job, headers: dict[str, str], tries: int) -> Post | None:
        endpoint = self.world.collections["webhook_endpoints"].items.get(job.endpoint)
        if endpoint is None:
            return None
        ordinary = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        noted = {
            "event": job.event,
            "type": job.type,
            "endpoint": job.endpoint,
            "tries": tries + 1,
            "signed": "Stripe-Signature" in headers,
            "body_sha256": hashlib.sha256(job.body).hexdigest(),
        }
        return Post(url=endpoint["url"], body=job.body, headers=ordinary | headers, noted=noted)

    async def send(self, special: Special) -> list[dict[str, Any]]:
        """Sends one webhook by hand, as often as asked; what each try was answered."""
        event = self._special_event(special)
        signed = body_of(event)
        sent = _changed(signed, event, special.body)
        answers = []
        for endpoint_id in self._special_endpoints(special.endpoint):
            for _ in range(special.times):
                at = int(self.stage.clock.now() - special.age)
                headers = _special_headers(signed, self.secrets[endpoint_id], at, special)
                job = _Job(endpoint=endpoint_id, event=event["id"], type=event["type"], body=sent)
                post = self._headed(job, headers, 0)
                status = None if post is None else await self.answered(post)
                answers.append({"endpoint": endpoint_id, "event": event["id"], "status": status})
        return answers

    def _special_event(self, special: Special) -> Obj:
        if special.event is None:
            made_up = {"id": self.world.new_id("evt"), "object": "event", "type": "made.up"}
            return made_up | (special.payload or {})
        event = self.world.collections["events"].items.get(special.event)
        if event is None:
            raise BadCall(f"event: there is no event {special.event!r}")
        return event

    def _special_endpoints(self, endpoint: str | None) -> list[str]:
        if endpoint is None:
            return list(self.secrets)
        if endpoint not in self.secrets:
            raise BadCall(f"endpoint: there is no webhook endpoint {endpoint!r}")
        return [endpoint]


def body_of(event: Obj) -> bytes:
    """The bytes that are signed and sent: indented JSON, as the real service sends it."""
    return json.dumps(event, indent=2).encode()


def _changed(body: bytes, event: Obj, how: str) -> bytes:
    if how == "reserialised":
        return json.dumps(event, sort_keys=True, separators=(",", ":")).encode()
    if how == "tampered":
        return json.dumps(event | {"livemode": True}, indent=2).encode()
    return body


def sign(body: bytes, secrets: list[str], at: int) -> str:
    """The `Stripe-Signature` header of a body signed at a unix time."""
    marks = [f"v1={digest(body, secret, at)}" for secret in secrets]
    return ",".join([f"t={at}", *marks])


def digest(body: bytes, secret: str, at: int) -> str:
    """The hex HMAC-SHA256 of `at.body`, keyed with the whole secret."""
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()


def _special_headers(body: bytes, secrets: list[str], at: int, special: Special) -> dict[str, str]:
    match special.signature:
        case "missing":
            return {}
        case "malformed":
            return {"Stripe-Signature": "v1=;;t"}
        case "forged":
            return {"Stripe-Signature": sign(body, ["whsec_not_the_secret"], at)}
        case "v0":
            return {"Stripe-Signature": f"t={at},v0={digest(body, secrets[0], at)}"}
        case "valid":
            return {"Stripe-Signature": sign(body, secrets, at)}
