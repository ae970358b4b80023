"""The receiver as an ASGI application.

`/raw/{name}?first=503,500` checks nothing: it keeps headers and body of whatever comes and
answers by these statuses in turn, then 200. It serves to look at other senders.

Every delivery is in the journal, durably, before it is answered: endpoint, webhook_id, type,
verified, reason, tries (of this message at this endpoint), status, body_sha256, received_at. A
receiver that starts on an existing journal goes on counting from it.

| call | does |
|---|---|
| `POST /_sim/endpoints {"name": "shop", "secret": "whsec_.."}` | adds or replaces an endpoint |
| `POST /_sim/failures {"tries": 2, "answer": "503", ..}` | fails messages (`failing.Rule`) |
| `DELETE /_sim/failures` | fails no more |
| `GET /_sim/stats` | deliveries, messages, duplicates, refused, failed |
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from landbridge.errors import SettingsError
from landbridge.testing.asgi import Answer, App, BadCall, Call, application, as_json
from landbridge.testing.receiver.failing import Rule, parsed, rule
from landbridge.testing.receiver.verify import Verify, own, public_package
from landbridge.testing.stage import Stage


class _Envelope(msgspec.Struct):
    type: str = ""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`endpoints` as `NAME` or `NAME=whsec_...`, `fail_first` as `tries=2,answer=503`."""

    endpoints: tuple[str, ...] = ()
    fail_first: tuple[str, ...] = ()
    journal: Path | None = None
    base: Callable[[], float] | None = None


class Receiver:
    """Endpoints under `/hook/{name}`, each with its own secret."""

    def __init__(self, settings: Settings | None = None):
        settings = settings or Settings()
        self.stage = Stage(journal=settings.journal, base=settings.base)
        self._secrets: dict[str, str] = {}
        self._verifiers: dict[str, Verify] = {}
        self._rules: list[Rule] = [parsed(each) for each in settings.fail_first]
        self._tries: Counter[tuple[str, str]] = Counter()
        self._accepted: Counter[tuple[str, str]] = Counter()
        self._recorded: Counter[str] = Counter()
        for entry in self.stage.journal.entries:
            if entry["kind"] == "delivery":
                self._count(entry)
            else:
                self._recorded[entry["path"]] += 1
        for each in settings.endpoints:
            name, _, secret = each.partition("=")
            self.add(name, secret or None)
        for method, path, route in (
            ("GET", "/_sim/endpoints", self._endpoints),
            ("POST", "/_sim/endpoints", self._add),
            ("POST", "/_sim/failures", self._fail),
            ("DELETE", "/_sim/failures", self._recover),
            ("GET", "/_sim/stats", self._stats),
        ):
            self.stage.control.add(method, path, route)
        self.app: App = application(self._answer)

    def add(self, name: str, secret: str | None = None) -> str:
        """The secret of an endpoint, new or given; a known name gets a new secret."""
        if not name or "/" in name:
            raise SettingsError(f"endpoint: {name!r} is no name for one segment of a path")
        secret = secret or f"whsec_{base64.b64encode(os.urandom(24)).decode()}"
        self._secrets[name] = secret
        self._verifiers[name] = public_package(secret) or own(secret)
        return secret

    def hooks(self) -> dict[str, dict[str, str]]:
        """By name: the path and the secret of each endpoint."""
        return {
            name: {"path": f"/hook/{name}", "secret": secret}
            for name, secret in self._secrets.items()
        }

    async def _answer(self, call: Call) -> Answer:
        controlled = await self.stage.controlled(call)
        if controlled is not None:
            return controlled
        hook, _, name = call.path.removeprefix("/").partition("/")
        if call.method == "POST" and hook == "hook":
            return self._receive(call, name)
        if call.method == "POST" and hook == "raw":
            return self._record(call)
        return as_json({"error": "deliveries are POSTed to /hook/{name} or /raw/{name}"}, 404)

    def _record(self, call: Call) -> Answer:
        """Keeps a request as it is; answers by the statuses of `?first=`, in turn, then 200."""
        first = [each for each in call.args().get("first", "").split(",") if each]
        before = self._recorded[call.path]
        status = int(first[before]) if before < len(first) else 200
        self._recorded[call.path] += 1
        self.stage.journal.write(
            kind="raw",
            received_at=self.stage.clock.now(),
            method=call.method,
            path=call.path,
            headers=dict(call.headers),
            body=call.body.decode(errors="replace"),
            status=status,
        )
        return as_json({"recorded": True}, status)

    def _receive(self, call: Call, name: str) -> Answer:
        now = self.stage.clock.now()
        message = call.headers.get("webhook-id", "")
        type_ = _type_of(call.body)
        verifier = self._verifiers.get(name)
        reason = "no such endpoint" if verifier is None else verifier(call.body, call.headers, now)
        chosen = self._chosen(message, type_, name) if reason is None else None
        if chosen is None:
            status, answer = _ordinary(reason, known=verifier is not None)
        else:
            status, answer = chosen.carried_out()
        entry = {
            "received_at": now,
            "endpoint": name,
            "webhook_id": message,
            "type": type_,
            "verified": reason is None,
            "reason": reason,
            "tries": self._tries[name, message] + 1,
            "status": status,
            "failed": None if chosen is None else chosen.answer,
            "bytes": len(call.body),
            "body_sha256": hashlib.sha256(call.body).hexdigest(),
        }
        self._count(entry)
        self.stage.journal.write(kind="delivery", method=call.method, path=call.path, **entry)
        return answer

    def _chosen(self, message: str, type_: str, name: str) -> Rule | None:
        """The first rule that selects the message and is not yet satisfied."""
        for each in self._rules:
            if each.selects(message, type_, name):
                return each if self._tries[name, message] < each.tries else None
        return None

    def _count(self, entry: dict[str, Any]) -> None:
        key = (entry["endpoint"], entry["webhook_id"])
        if entry["verified"]:
            self._tries[key] += 1
        if entry["verified"] and 200 <= (entry["status"] or 0) < 300:
            self._accepted[key] += 1

    def _endpoints(self, _: Call) -> Answer:
        """Every endpoint with its path and secret."""
        return as_json({"endpoints": self.hooks()})

    def _add(self, call: Call) -> Answer:
        """Adds an endpoint, or gives a known one another secret."""
        asked = call.json()
        try:
            secret = self.add(str(asked.get("name") or ""), asked.get("secret"))
        except SettingsError as error:
            raise BadCall(str(error)) from None
        return as_json({"path": f"/hook/{asked['name']}", "secret": secret})

    def _fail(self, call: Call) -> Answer:
        """Fails the first tries of selected messages."""
        try:
            self._rules.append(rule(call.json()))
        except SettingsError as error:
            raise BadCall(str(error)) from None
        return as_json({"rules": len(self._rules)})

    def _recover(self, _: Call) -> Answer:
        """Fails no more."""
        cleared, self._rules = len(self._rules), []
        return as_json({"cleared": cleared})

    def _stats(self, _: Call) -> Answer:
        """What arrived, counted; `messages` were accepted at least once, per endpoint."""
        entries = [each for each in self.stage.journal.entries if each["kind"] == "delivery"]
        return as_json(
            {
                "deliveries": len(entries),
                "messages": len(self._accepted),
                "duplicates": self._accepted.total() - len(self._accepted),
                "refused": sum(not each["verified"] for each in entries),
                "failed": sum(each["failed"] is not None for each in entries),
                "by_endpoint": dict(Counter(name for name, _ in self._accepted)),
                "verified_by": "standardwebhooks" if _has_package() else "landbridge.testing",
            }
        )


def _has_package() -> bool:
    return public_package("whsec_" + base64.b64encode(b"probe").decode()) is not None


def _ordinary(reason: str | None, *, known: bool) -> tuple[int | None, Answer]:
    if reason is None:
        return 200, as_json({"received": True})
    status = 400 if known else 404
    return status, as_json({"error": reason}, status)


def _type_of(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Envelope).type
    except msgspec.MsgspecError:
        return ""
