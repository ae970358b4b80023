"""The simulator as an ASGI application: tokens, the API, idempotency, faults, and the journal.

One simulator is one merchant with one app. What happens behind the API's back is in `control`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from landbridge.testing.asgi import Answer, App, Call, Drop, application, as_json
from landbridge.testing.conduct import Conduct
from landbridge.testing.faults import Fault, Outcome, Spoiler
from landbridge.testing.oauth import basic, form_of
from landbridge.testing.paypal.account import Account
from landbridge.testing.paypal.api import Api
from landbridge.testing.paypal.control import ControlPlane
from landbridge.testing.paypal.seed import Amounts, fill
from landbridge.testing.paypal.webhooks import CERTS, FILE, Certificate, Dispatcher
from landbridge.testing.paypal.wire import Problem, code_of, malformed
from landbridge.testing.stage import Stage
from landbridge.wire import Headers, Response

CLIENT = "AYSimulatedClientIdOfPayPal0123456789"
SECRET = "EKSimulatedClientSecretOfPayPal0123456789"
TOKEN_LIVES = 28_800
_SCOPES = (
    "https://uri.paypal.com/services/invoicing"
    " https://uri.paypal.com/services/payments/payment/authcapture"
    " https://uri.paypal.com/services/payments/refund"
    " https://uri.paypal.com/services/reporting/search/read"
    " https://uri.paypal.com/services/subscriptions"
    " https://uri.paypal.com/services/disputes/read-seller"
    " https://uri.paypal.com/services/applications/webhooks"
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a simulator starts. `base` tells the time in unix seconds (None: the real one)."""

    seed: int = 0
    amounts: Amounts = field(default_factory=Amounts)
    clients: tuple[tuple[str, str], ...] = ((CLIENT, SECRET),)
    certificate_url: str = ""
    """Where webhooks say that their certificate is. Empty: at the simulator itself, by the address
    at which it was called first; only a connection to that address should believe it."""
    wrapped: bool = True
    """Whether an event of an invoice holds it as `resource.invoice`, not as `resource`."""
    minimal: bool = False
    """Whether a new invoice is answered with its link, whatever the call prefers."""
    rows: int = 10_000
    """How many rows a range of the report may have."""
    conduct: Conduct = field(default_factory=Conduct)
    """How it behaves badly, whoever calls."""
    journal: Path | None = None
    base: Callable[[], float] | None = None


def places(url: str) -> dict[str, str]:
    """The settings of a connection that lead to a simulator at this address."""
    return {"base": url, "token": f"{url}/v1/oauth2/token"}


class Simulator:
    """One merchant's account with its API (`.app`) and control plane."""

    def __init__(self, settings: Settings | None = None):
        self._settings = settings = settings or Settings()
        self.stage = Stage(journal=settings.journal, base=settings.base, conduct=settings.conduct)
        self.rng = Random(settings.seed)  # noqa: S311 - the same seed, the same world
        now = self.stage.clock.now
        self.account = Account(rng=self.rng, now=now, wrapped=settings.wrapped)
        fill(self.account, settings.amounts)
        self.certificate = Certificate(now())
        self.dispatcher = Dispatcher(
            stage=self.stage,
            rng=self.rng,
            certificate=self.certificate,
            certificate_url=settings.certificate_url,
        )
        self.account.on_event = self.dispatcher.tell
        self.tokens: dict[str, float] = {}
        self._api = Api(self.account, self.dispatcher, minimal=settings.minimal, rows=settings.rows)
        self._kept: dict[tuple[str, str], Response] = {}
        self._spoiler = Spoiler(failure=self._failure, emptied=_emptied)
        ControlPlane(self.stage, self.account, self.dispatcher, self.tokens)
        self.app: App = application(self._answer, self.dispatcher.running)

    async def _answer(self, call: Call) -> Answer:
        if not self.dispatcher.certificate_url:
            here = call.headers.get("host", "")
            self.dispatcher.certificate_url = f"http://{here}{CERTS}{FILE}"
        controlled = await self.stage.controlled(call)
        if controlled is not None:
            return controlled
        fault = self.stage.fault(call.method, call.path)
        outcome = await self._spoiler.carried_out(fault, lambda: self._respond(call))
        answer = outcome.answer
        key = call.headers.get("paypal-request-id")
        kept = outcome.kept
        if key and call.method == "POST" and kept is not None and kept.status < 400:
            self._kept.setdefault((call.path, key), kept)
        self._note(call, fault, outcome)
        if isinstance(answer, Drop) or not isinstance(answer, Response):
            return answer
        return self.stage.dated(answer, {"Paypal-Debug-Id": self._debug_id()})

    def _note(self, call: Call, fault: Fault | None, outcome: Outcome) -> None:
        answer = outcome.answer
        self.stage.note(
            call,
            answer,
            fault,
            body="" if call.path.startswith("/v1/oauth2") else call.body.decode(),
            answer=answer.body.decode() if isinstance(answer, Response) else None,
            idempotency_key=call.headers.get("paypal-request-id"),
        )

    def _respond(self, call: Call) -> Response:
        if call.path == f"{CERTS}{FILE}":
            head = Headers({"content-type": "application/x-pem-file"})
            return Response(status=200, headers=head, body=self.certificate.pem)
        if call.path == "/v1/oauth2/token":
            return self._token(call)
        try:
            self._signed_in(call)
            key = call.headers.get("paypal-request-id")
            before = self._kept.get((call.path, key or "")) if call.method == "POST" else None
            if before is not None:
                return self._api.latest(before)
            return self._api.answer(call)
        except Problem as problem:
            return problem.response(self._debug_id())

    def _token(self, call: Call) -> Response:
        if basic(call) not in self._settings.clients:
            told = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            return as_json(told, 401)
        if form_of(call).get("grant_type") != "client_credentials":
            return as_json({"error": "unsupported_grant_type"}, 400)
        lives = self._settings.conduct.lives(TOKEN_LIVES)
        token = f"A21AA{code_of(self.rng, 60)}"
        self.tokens[token] = self.stage.clock.now() + lives
        return as_json(
            {
                "scope": _SCOPES,
                "access_token": token,
                "token_type": "Bearer",
                "app_id": "APP-80W284485P519543T",
                "expires_in": lives,
                "nonce": f"2026{code_of(self.rng, 20)}",
            }
        )

    def _signed_in(self, call: Call) -> None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self.tokens.get(token, 0.0) <= self.stage.clock.now():
            words = "Authentication failed due to invalid authentication credentials."
            raise Problem(401, "AUTHENTICATION_FAILURE", words)
        if call.method in ("POST", "PUT", "PATCH"):
            if not call.headers.get("content-type", "").startswith("application/json"):
                words = "The server does not support the request payload's media type."
                raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", words)
            try:
                json.loads(call.body or b"{}")
            except ValueError:
                raise malformed("", "The body is not JSON.") from None

    def _debug_id(self) -> str:
        return f"{self.rng.getrandbits(48):012x}"

    def _failure(self, fault: Fault) -> Response:
        names = {429: "RATE_LIMIT_REACHED", 500: "INTERNAL_SERVER_ERROR"}
        name = names.get(fault.status, "SERVICE_UNAVAILABLE")
        failed = Problem(fault.status, name, "Ordered by a test.").response(self._debug_id())
        return replace(failed, headers=failed.headers.having(fault.headers))


def _emptied(page: Response) -> Response:
    """A list without its records; anything else as it is."""
    read: dict[str, Any] = json.loads(page.body or b"{}")
    if "total_pages" not in read:
        return page
    bare = {name: [] if isinstance(value, list) else value for name, value in read.items()}
    return replace(page, body=json.dumps({**bare, "total_pages": 0, "total_items": 0}).encode())
