"""Sends events to the account's webhook endpoints, signed; badly where that is asked for.

Signature: `Stripe-Signature: t=<unix>,v1=<hex hmac-sha256 of "t.body">`, one `v1` per secret while
a secret is being rolled (docs.stripe.com/webhooks). Every try is signed anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import aiohttp
import msgspec

from landbridge.testing.asgi import BadCall
from landbridge.testing.stage import Stage
from landbridge.testing.stripe.world import Obj, World

RETRIES = (0.2, 0.5, 1.0, 2.0)
_SECONDS = 10.0
Mode = Literal["send", "hold", "lose"]
_MODES: dict[str, Mode] = {"send": "send", "hold": "hold", "lose": "lose"}


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
    tries: int = 0


@dataclass
class Dispatcher:
    """The queue between events and endpoints.

    `mode` `hold` keeps what is due until `release`, `lose` forgets it: the event exists, the
    webhook never comes. `retries` are the pauses in seconds after a try that got no 2xx.
    """

    world: World
    stage: Stage
    retries: tuple[float, ...] = RETRIES
    senders: int = 4
    mode: Mode = "send"
    secrets: dict[str, list[str]] = field(default_factory=dict)
    """By endpoint: the current secret, then one that is being rolled out."""

    def __post_init__(self) -> None:
        self._queue: asyncio.Queue[_Job] = asyncio.Queue()
        self._held: list[_Job] = []
        self._later: set[asyncio.Task[None]] = set()
        self._sending = 0
        self._session: aiohttp.ClientSession | None = None
        self.world.pending_webhooks = lambda type_: len(self._wanting(type_))
        self.world.on_event = self.enqueue

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sends while the block lasts."""
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            self._session = session
            tasks = [asyncio.ensure_future(self._send_on()) for _ in range(self.senders)]
            try:
                yield
            finally:
                tasks += self._later
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

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
            job = _Job(
                endpoint=endpoint["id"], event=event["id"], type=event["type"], body=body_of(event)
            )
            if self.mode == "hold":
                self._held.append(job)
            elif self.mode == "send":
                self._queue.put_nowait(job)

    def _wanting(self, type_: str) -> list[Obj]:
        return [
            each
            for each in self.world.collections["webhook_endpoints"].items.values()
            if each["status"] == "enabled"
            and (type_ in each["enabled_events"] or "*" in each["enabled_events"])
        ]

    def set_mode(self, mode: str) -> None:
        """`send`, `hold` or `lose` from now on."""
        if mode not in _MODES:
            raise BadCall(f"mode: {mode!r} is none of {', '.join(_MODES)}")
        self.mode = _MODES[mode]

    def release(self, order: str, times: int, seed: int) -> int:
        """Sends what was held, `times` over, `created`, `reversed` or `shuffled`."""
        held = self._held * times
        if order == "reversed":
            held.reverse()
        elif order == "shuffled":
            random.Random(seed).shuffle(held)  # noqa: S311 - an order to test with
        elif order != "created":
            raise BadCall(f"order: {order!r} is none of created, reversed, shuffled")
        self._held = []
        self.mode = "send"
        for job in held:
            self._queue.put_nowait(job)
        return len(held)

    def waiting(self) -> int:
        """How many tries are held, queued, put off or under way."""
        return len(self._held) + self._queue.qsize() + len(self._later) + self._sending

    async def _send_on(self) -> None:
        while True:
            job = await self._queue.get()
            secrets = self.secrets.get(job.endpoint)
            if secrets is None:
                continue
            at = int(self.stage.clock.now())
            self._sending += 1
            status = await self._post(job, {"Stripe-Signature": sign(job.body, secrets, at)})
            self._sending -= 1
            if status is not None and 200 <= status < 300:
                self._settle(job)
            elif job.tries < len(self.retries):
                task = asyncio.ensure_future(self._again(job))
                self._later.add(task)
                task.add_done_callback(self._later.discard)

    async def _again(self, job: _Job) -> None:
        await asyncio.sleep(self.retries[job.tries])
        self._queue.put_nowait(replace(job, tries=job.tries + 1))

    def _settle(self, job: _Job) -> None:
        event = self.world.collections["events"].items.get(job.event)
        if event is not None and event["pending_webhooks"] > 0:
            event["pending_webhooks"] -= 1

    async def _post(self, job: _Job, headers: dict[str, str]) -> int | None:
        assert self._session is not None
        endpoint = self.world.collections["webhook_endpoints"].items.get(job.endpoint)
        if endpoint is None:
            return None
        status, error = None, None
        ordinary = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            async with self._session.post(
                endpoint["url"],
                data=job.body,
                headers=ordinary | headers,
                allow_redirects=False,
            ) as answer:
                status = answer.status
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            error = type(failure).__name__
        self.stage.journal.write(
            kind="webhook",
            at=self.stage.clock.now(),
            method="POST",
            path=endpoint["url"],
            event=job.event,
            type=job.type,
            endpoint=job.endpoint,
            tries=job.tries + 1,
            status=status,
            error=error,
            signed="Stripe-Signature" in headers,
            body_sha256=hashlib.sha256(job.body).hexdigest(),
        )
        return status

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
                status = await self._post(job, headers)
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
