"""The simulator as an ASGI application: sign-in, quotas, the API, faults, and the journal.

Addresses: `/identity/connect/authorize`, `/connect/token`, `/connect/revocation`, `/connections`,
and the API below `/api.xro/2.0`. What happens behind the API's back is in `control`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from landbridge.testing.asgi import Answer, App, Call, Drop, application
from landbridge.testing.conduct import Conduct
from landbridge.testing.faults import Fault, Outcome, Spoiler
from landbridge.testing.stage import Stage
from landbridge.testing.xero.books import IDS, WRITTEN, Books
from landbridge.testing.xero.control import ControlPlane
from landbridge.testing.xero.identity import Grant, Identity
from landbridge.testing.xero.quotas import Limits, Quotas
from landbridge.testing.xero.seed import Amounts, fill
from landbridge.testing.xero.webhooks import Dispatcher
from landbridge.testing.xero.wire import Invalid, Obj, envelope, gateway, guid, in_cents, refused
from landbridge.wire import Headers, Response

API = "/api.xro/2.0/"
_PAGED = frozenset(IDS) - {"Accounts", "TaxRates", "Items", "Organisations"}
_SCOPES = {
    "Accounts": "accounting.settings",
    "TaxRates": "accounting.settings",
    "Items": "accounting.settings",
    "Organisations": "accounting.settings",
    "Contacts": "accounting.contacts",
    "Invoices": "accounting.invoices",
    "CreditNotes": "accounting.invoices",
    "Payments": "accounting.payments",
    "BankTransactions": "accounting.banktransactions",
    "ManualJournals": "accounting.manualjournals",
}
_EQUAL = re.compile(r'(\w+)=="([^"]*)"')
_KEYS_LIVE = 360
_MOST = 1000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a simulator starts. `base` tells the time in unix seconds (None: the real one)."""

    seed: int = 0
    organisations: tuple[str, ...] = ("Demo Company (NZ)", "Kiwi Coffee")
    amounts: Amounts = field(default_factory=Amounts)
    limits: Limits = field(default_factory=Limits)
    redirects: tuple[str, ...] = ()
    """The registered redirect addresses; none: any."""
    conduct: Conduct = field(default_factory=Conduct)
    """How it behaves badly, whoever calls."""
    journal: Path | None = None
    base: Callable[[], float] | None = None


def places(url: str) -> dict[str, str]:
    """The settings of a connection that lead to a simulator at this address."""
    return {
        "base": f"{url}/api.xro/2.0",
        "authorize": f"{url}/identity/connect/authorize",
        "token": f"{url}/connect/token",
        "revoke": f"{url}/connect/revocation",
        "accounts": url,
    }


class Simulator:
    """One app with its OAuth server, and the organisations that its users can connect."""

    def __init__(self, settings: Settings | None = None):
        settings = settings or Settings()
        self.stage = Stage(journal=settings.journal, base=settings.base, conduct=settings.conduct)
        self.rng = Random(settings.seed)  # noqa: S311 - the same seed, the same world
        now = self.stage.clock.now
        self.dispatcher = Dispatcher(stage=self.stage, rng=self.rng)
        self.books: dict[str, Books] = {}
        for name in settings.organisations:
            books = Books(tenant=guid(self.rng), name=name, rng=self.rng, now=now)
            fill(books, settings.amounts)
            books.on_event = self.dispatcher.tell
            self.books[books.tenant] = books
        self.identity = Identity(
            rng=self.rng,
            now=now,
            organisations={tenant: books.name for tenant, books in self.books.items()},
            redirects=set(settings.redirects),
            conduct=settings.conduct,
        )
        self.quotas = Quotas(now=now, limits=settings.limits)
        self._keys: dict[tuple[str, str], tuple[float, str, Response]] = {}
        self._spoiler = Spoiler(failure=self._failure, emptied=_emptied)
        ControlPlane(self.stage, self.books, self.identity, self.dispatcher, self.quotas)
        self.app: App = application(self._answer, self.dispatcher.running)

    async def _answer(self, call: Call) -> Answer:
        controlled = await self.stage.controlled(call)
        if controlled is not None:
            return controlled
        fault = self.stage.fault(call.method, call.path)
        tenant = call.headers.get("xero-tenant-id", "")
        answer = await self._limited(call, tenant, fault)
        self.stage.note(
            call,
            answer,
            fault,
            tenant=tenant,
            idempotency_key=call.headers.get("idempotency-key"),
            since=call.headers.get("if-modified-since"),
        )
        if not isinstance(answer, Response):
            return answer
        return self.stage.dated(answer, {"Xero-Correlation-Id": guid(self.rng)})

    async def _limited(self, call: Call, tenant: str, fault: Fault | None) -> Answer:
        """The answer, unless a quota is used up."""
        if not call.path.startswith(API):
            outcome = await self._spoiler.carried_out(fault, lambda: self._identity(call))
            return outcome.answer
        grant, refusal = self._signed_in(call, tenant)
        if grant is None:
            return refusal
        met = self.quotas.enter(tenant)
        if met is not None:
            problem, seconds = met
            told = {"X-Rate-Limit-Problem": problem, **self.quotas.headers(tenant)}
            if seconds:
                told["Retry-After"] = str(seconds)
            return Response(status=429, headers=Headers(told))
        try:
            outcome = await self._kept(call, tenant, fault, grant)
        finally:
            self.quotas.leave(tenant)
        answer = outcome.answer
        if isinstance(answer, Drop) or not isinstance(answer, Response):
            return answer
        return replace(answer, headers=answer.headers.having(self.quotas.headers(tenant)))

    def _identity(self, call: Call) -> Response:
        match call.method, call.path:
            case "GET" | "POST", "/identity/connect/authorize":
                return self.identity.authorize(call)
            case "POST", "/connect/token":
                return self.identity.token(call)
            case "POST", "/connect/revocation":
                return self.identity.revoke(call)
        if call.path != "/connections" and not call.path.startswith("/connections/"):
            return Response(status=404)
        grant, why = self.identity.grant_of(call)
        if grant is None:
            return gateway(self.rng, 401, "Unauthorized", why)
        if call.method == "GET":
            return self.identity.connections(grant)
        for tenant, connection in list(grant.connections.items()):
            if call.path == f"/connections/{connection}":
                del grant.connections[tenant]
                return Response(status=204)
        return Response(status=404)

    def _signed_in(self, call: Call, tenant: str) -> tuple[Grant | None, Response]:
        grant, why = self.identity.grant_of(call)
        if grant is None:
            return None, gateway(self.rng, 401, "Unauthorized", why)
        if tenant not in grant.connections:
            return None, gateway(self.rng, 403, "Forbidden", "AuthenticationUnsuccessful")
        return grant, Response(status=200)

    async def _kept(self, call: Call, tenant: str, fault: Fault | None, grant: Grant) -> Outcome:
        """The answer, or what the same idempotency key was answered with some minutes ago."""
        key = call.headers.get("idempotency-key")
        place, said = (tenant, key or ""), f"{call.method} {call.path} {call.body!r}"
        kept = self._keys.get(place) if key and call.method != "GET" else None
        if kept is not None and kept[0] > self.stage.clock.now() - _KEYS_LIVE:
            same = kept[1] == said
            wrong = refused(10, "ValidationException", "The idempotency key was used before")
            return await self._spoiler.carried_out(fault, lambda: kept[2] if same else wrong)
        outcome = await self._spoiler.carried_out(
            fault, lambda: self._serve(call, self.books[tenant], grant)
        )
        if key and call.method != "GET" and outcome.kept is not None and outcome.kept.status < 500:
            self._keys[place] = (self.stage.clock.now(), said, outcome.kept)
        return outcome

    def _serve(self, call: Call, books: Books, grant: Grant) -> Response:
        """The answer; prices have four decimals only for whom asks for them."""
        answer = self._served(call, books, grant)
        if call.args().get("unitdp") == "4" or answer.status != 200:
            return answer
        return replace(answer, body=json.dumps(in_cents(json.loads(answer.body))).encode())

    def _served(self, call: Call, books: Books, grant: Grant) -> Response:
        name, _, key = call.path.removeprefix(API).partition("/")
        kind = "Organisations" if name == "Organisation" else name
        if kind not in IDS:
            return Response(status=404)
        scope = _SCOPES[kind]
        allowed = {scope, f"{scope}.read"} if call.method == "GET" else {scope}
        if not allowed & set(grant.scopes):
            return gateway(self.rng, 401, "Unauthorized", "AuthorizationUnsuccessful")
        if call.method != "GET":
            return self._write(call, books, kind, key or None)
        if key:
            found = books.one(kind, key)
            if found is None:
                return Response(status=404)
            return envelope(self.rng, books.now(), kind, [found])
        return self._list(call, books, kind)

    def _list(self, call: Call, books: Books, kind: str) -> Response:
        asked = call.args()
        since = None
        if "if-modified-since" in call.headers and kind not in ("TaxRates", "Organisations"):
            told = datetime.fromisoformat(call.headers["if-modified-since"])
            since = told.replace(tzinfo=UTC).timestamp()
        archived = asked.get("includeArchived") == "true"
        found = books.listed(kind, since=since, order=asked.get("order", ""), archived=archived)
        if "where" in asked:
            condition = _EQUAL.fullmatch(asked["where"])
            if condition is None:
                message = 'this simulator takes conditions like Type=="ACCREC" only'
                return refused(16, "QueryParseException", message)
            found = [one for one in found if one.get(condition[1]) == condition[2]]
        if kind not in _PAGED or "page" not in asked:
            return envelope(self.rng, books.now(), kind, found)
        page, size = int(asked["page"]), min(int(asked.get("pageSize", 100)), _MOST)
        told_pages = {
            "page": page,
            "pageSize": size,
            "pageCount": -(-len(found) // size),
            "itemCount": len(found),
        }
        shown = found[(page - 1) * size : page * size]
        return envelope(self.rng, books.now(), kind, shown, pagination=told_pages)

    def _write(self, call: Call, books: Books, kind: str, key: str | None) -> Response:
        if kind not in WRITTEN:
            return Response(status=501)
        try:
            body = json.loads(call.body)
            sent: list[Obj] = body[kind] if isinstance(body.get(kind), list) else [body]
        except (ValueError, AttributeError):
            message = "The request body is not valid JSON"
            return refused(17, "PostDataInvalidException", message)
        quiet = call.args().get("summarizeErrors") == "false"
        made: list[Obj] = []
        wrong: list[Obj] = []
        for each in sent:
            try:
                made.append(books.write(kind, key, each))
            except Invalid as error:
                told = [{"Message": problem} for problem in error.problems]
                nobody = {IDS[kind]: "00000000-0000-0000-0000-000000000000"}
                failed = {**nobody, **each, "HasErrors": True, "ValidationErrors": told}
                made.append({**failed, "StatusAttributeString": "ERROR"})
                wrong.append({"ValidationErrors": told})
        if wrong and not quiet:
            message = "A validation exception occurred"
            return refused(10, "ValidationException", message, wrong)
        if quiet:
            made = [{"StatusAttributeString": "OK", **each} for each in made]
        return envelope(self.rng, books.now(), kind, made)

    def _failure(self, fault: Fault) -> Response:
        if fault.status == 429:
            told = {"X-Rate-Limit-Problem": "minute", "Retry-After": "1"}
            return Response(status=429, headers=Headers({**told, **fault.headers}))
        answer = gateway(self.rng, fault.status, "Failure", "ordered by a test")
        return replace(answer, headers=answer.headers.having(fault.headers))


def _emptied(page: Response) -> Response:
    """A list without its records; anything else as it is."""
    read: dict[str, Any] = json.loads(page.body)
    if "pagination" not in read:
        return page
    bare = {name: [] if name in IDS else value for name, value in read.items()}
    bare["pagination"] = {**read["pagination"], "pageCount": 0, "itemCount": 0}
    return replace(page, body=json.dumps(bare).encode())
