"""The simulator as an ASGI application: keys, versions, idempotency, faults, and the journal.

Accepts `Authorization: Bearer KEY` and Basic with the key as user name. One simulator is one
account; a `Stripe-Account` header must name it. Lists show what the vendor's do: newest first,
subscriptions without the canceled ones, events of the last 30 days, ten lines per invoice.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from landbridge.testing.asgi import Answer, App, Call, Drop, Router, application
from landbridge.testing.conduct import Conduct
from landbridge.testing.faults import Fault, Outcome, Spoiler
from landbridge.testing.sending import RETRIES
from landbridge.testing.stage import Stage
from landbridge.testing.stripe.api import Operation, create_endpoint, operations
from landbridge.testing.stripe.checkout_page import CheckoutPage
from landbridge.testing.stripe.control import ControlPlane
from landbridge.testing.stripe.form import decoded, typed
from landbridge.testing.stripe.idempotency import Keys
from landbridge.testing.stripe.listing import expanded
from landbridge.testing.stripe.problems import Problem, unauthorised
from landbridge.testing.stripe.seed import Amounts, fill
from landbridge.testing.stripe.vendor import api_version
from landbridge.testing.stripe.vendor import operations as shapes
from landbridge.testing.stripe.webhooks import Dispatcher
from landbridge.testing.stripe.world import Cause, World
from landbridge.wire import Headers, Response

KEY = "sk_test_landbridge_simulator"
"""The secret key that is accepted unless others are named."""

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a simulator starts. `base` tells the time in unix seconds (None: the real one)."""

    seed: int = 0
    amounts: Amounts = field(default_factory=Amounts)
    keys: tuple[str, ...] = (KEY,)
    conduct: Conduct = field(default_factory=Conduct)
    """How it behaves badly, whoever calls."""
    journal: Path | None = None
    base: Callable[[], float] | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = None
    webhook_retries: tuple[float, ...] = RETRIES


def places(url: str) -> dict[str, str]:
    """The settings of a connection that lead to a simulator at this address."""
    return {"base": url}


class Simulator:
    """One simulated account with its API (`.app`) and control plane."""

    def __init__(self, settings: Settings | None = None):
        settings = settings or Settings()
        self.stage = Stage(journal=settings.journal, base=settings.base, conduct=settings.conduct)
        self.world = World(clock=self.stage.clock, seed=settings.seed)
        fill(self.world, settings.amounts)
        self.dispatcher = Dispatcher(
            world=self.world, stage=self.stage, retries=settings.webhook_retries
        )
        self.keys = Keys(self.stage.clock.now)
        self.accepted = set(settings.keys)
        self._spoiler = Spoiler(failure=_failure, emptied=_emptied)
        self._router = Router()
        self._operations: dict[str, tuple[Operation, dict[str, Any]]] = {}
        for name, operation in operations(self.world, self.dispatcher).items():
            method, path = name.split(" ")
            self._router.add(method, path, _unrouted)
            self._operations[name] = (operation, shapes()[name])
        CheckoutPage(self.stage, self.world)
        ControlPlane(self.stage, self.world, self.dispatcher, self.keys, self.accepted)
        if settings.webhook_url is not None:
            asked = {"url": settings.webhook_url, "enabled_events": ["*"]}
            create_endpoint(self.world, self.dispatcher, asked, settings.webhook_secret)
        self.app: App = application(self._answer, self.dispatcher.running)

    async def _answer(self, call: Call) -> Answer:
        controlled = await self.stage.controlled(call)
        if controlled is not None:
            return controlled
        self.world.address = f"http://{call.headers.get('host', 'localhost')}"
        request_id = f"req_{self.world.letters(14)}"
        fault = self.stage.fault(call.method, call.path)
        noted: dict[str, Any] = {"params": {}, "replayed": False}
        try:
            outcome = await self._respond(call, request_id, fault, noted)
        except Problem as problem:
            outcome = Outcome(answer=_refusal(problem), kept=None)
        answer = outcome.answer
        status = None if isinstance(answer, Drop) else _plain(answer).status
        self.stage.journal.write(
            kind="request",
            at=self.stage.clock.now(),
            method=call.method,
            path=call.path,
            params=noted["params"],
            status=status,
            request_id=request_id,
            idempotency_key=call.headers.get("idempotency-key"),
            replayed=noted["replayed"],
            fault=None if fault is None else fault.kind,
            api_version=call.headers.get("stripe-version"),
        )
        if isinstance(answer, Drop):
            return answer
        return _headed(_plain(answer), call, request_id)

    async def _respond(
        self, call: Call, request_id: str, fault: Fault | None, noted: dict[str, Any]
    ) -> Outcome:
        params = self._params(call)
        noted["params"] = params
        self._authenticate(call)
        operation, shape, object_id = self._operation(call)
        values = typed(shape, params)
        key = call.headers.get("idempotency-key") if call.method == "POST" else None
        cause = Cause(request_id=request_id, idempotency_key=key)

        def work() -> Response:
            with self.world.caused_by(cause):
                return self._run(operation, object_id, values)

        if not key:
            return await self._spoiler.carried_out(fault, work)
        stored = self.keys.begin(key, call.path, params, request_id)
        if stored is not None:
            noted["replayed"] = True
            return await self._spoiler.carried_out(fault, lambda: _replayed(*stored))
        outcome = None
        try:
            outcome = await self._spoiler.carried_out(fault, work)
        finally:
            self.keys.settle(key, None if outcome is None else outcome.kept)
        return outcome

    def _run(self, operation: Operation, object_id: str, values: dict[str, Any]) -> Response:
        """The operation's response; a refusal that is kept is a response too."""
        try:
            obj = operation(object_id, values)
            if values.get("expand"):
                obj = expanded(self.world, obj, values["expand"])
        except Problem as problem:
            if not problem.kept:
                raise
            return _refusal(problem)
        return Response(status=200, body=msgspec.json.encode(obj))

    def _params(self, call: Call) -> dict[str, Any]:
        if "json" in call.headers.get("content-type", "") and call.body:
            raise Problem(
                "Invalid request (check that your POST content type is"
                " application/x-www-form-urlencoded). If you have any questions, we can help at"
                " https://support.stripe.com/."
            )
        try:
            form = call.body.decode()
        except UnicodeDecodeError:
            raise Problem("Invalid request: the body is not UTF-8.") from None
        return decoded(call.query) | decoded(form)

    def _operation(self, call: Call) -> tuple[Operation, dict[str, Any], str]:
        found = self._router.find(call.method, call.path.rstrip("/"))
        if found is None:
            raise Problem(
                f"Unrecognized request URL ({call.method}: {call.path}). Please see"
                " https://stripe.com/docs or we can help at https://support.stripe.com/.",
                status=404,
            )
        _, pattern, place = found
        operation, shape = self._operations[f"{call.method} {pattern}"]
        return operation, shape, next(iter(place.values()), "")

    def _authenticate(self, call: Call) -> None:
        key = _key_of(call.headers.get("authorization", ""))
        if key is None:
            raise unauthorised(
                "You did not provide an API key. You need to provide your API key in the"
                " Authorization header, using Bearer auth (e.g. 'Authorization: Bearer"
                " YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details."
            )
        if key not in self.accepted:
            raise unauthorised(f"Invalid API Key provided: {key[:8]}{'*' * 8}{key[-4:]}")
        account = call.headers.get("stripe-account", self.world.account["id"])
        if account != self.world.account["id"]:
            raise Problem(
                f"The provided key does not have access to account '{account}' (or that account"
                " does not exist). Application access may have been revoked.",
                status=403,
                code="account_invalid",
            )
        version = call.headers.get("stripe-version", api_version())
        if not _VERSION.fullmatch(version):
            raise Problem(f"Invalid Stripe API version: {version}")


def _unrouted(_: Call) -> Answer:
    raise AssertionError("operations are looked up by their pattern")


def _key_of(authorization: str) -> str | None:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        user = base64.b64decode(rest, validate=True).decode().split(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user or None


def _plain(answer: Answer) -> Response:
    assert isinstance(answer, Response)
    return answer


def _refusal(problem: Problem) -> Response:
    retry = {} if problem.retry is None else {"Stripe-Should-Retry": str(problem.retry).lower()}
    head = {"WWW-Authenticate": 'Basic realm="Stripe"'} if problem.status == 401 else {}
    body = msgspec.json.encode(problem.body())
    return Response(status=problem.status, headers=Headers(head | retry), body=body)


def _replayed(response: Response, first_request: str) -> Response:
    more = {"Idempotent-Replayed": "true", "Original-Request": first_request}
    return replace(response, headers=response.headers.having(more))


def _headed(response: Response, call: Call, request_id: str) -> Response:
    more = {
        "Content-Type": "application/json",
        "Request-Id": request_id,
        "Stripe-Version": call.headers.get("stripe-version", api_version()),
    }
    if "idempotency-key" in call.headers:
        more["Idempotency-Key"] = call.headers["idempotency-key"]
    return replace(response, headers=response.headers.having(more))


def _emptied(page: Response) -> Response:
    """A list page without its records; anything else as it is."""
    read = msgspec.json.decode(page.body)
    if read.get("object") != "list":
        return page
    return replace(page, body=msgspec.json.encode(read | {"data": [], "has_more": False}))


def _failure(fault: Fault) -> Response:
    reason: dict[str, str] = {}
    if fault.status == 429:
        message = "Request rate limit exceeded. Learn more about rate limits at stripe.com/docs."
        problem = Problem(message, status=429, code="rate_limit")
        reason = {"Stripe-Rate-Limited-Reason": "global-rate"}
    elif fault.status >= 500:
        message = "An unknown error occurred."
        problem = Problem(message, status=fault.status, type="api_error")
    else:
        problem = Problem("This request was refused on purpose.", status=fault.status)
    refused = _refusal(problem)
    return replace(refused, headers=refused.headers.having(reason | fault.headers))
