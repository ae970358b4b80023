"""The simulator as an ASGI application: sign-in, quotas, the API, faults, and the journal.

Addresses: `/connect/oauth2`, `/oauth2/v1/tokens/bearer`, `/v2/oauth2/tokens/revoke`, and the API
below `/v3/company/{realm}`. What happens behind the API's back is in `control`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from landbridge.testing.asgi import Answer, App, Call, application, as_json
from landbridge.testing.conduct import Conduct
from landbridge.testing.faults import Fault, Outcome, Spoiler
from landbridge.testing.quickbooks.books import KINDS, UNTOLD, Books
from landbridge.testing.quickbooks.control import ControlPlane
from landbridge.testing.quickbooks.identity import SCOPES, Identity
from landbridge.testing.quickbooks.query import parsed
from landbridge.testing.quickbooks.quotas import Limits, Quotas
from landbridge.testing.quickbooks.seed import Amounts, fill
from landbridge.testing.quickbooks.webhooks import Dispatcher
from landbridge.testing.quickbooks.wire import (
    Invalid,
    Obj,
    entity,
    fault,
    gateway,
    instant,
    stamp,
)
from landbridge.testing.stage import Stage
from landbridge.wire import Headers, Response

API = "/v3/company/"
LOOK_BACK = 30 * 86_400
_BY_PATH = {kind.lower(): kind for kind in KINDS}
_LONGEST_ID = 50


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a simulator starts. `base` tells the time in unix seconds (None: the real one).

    `ids` says how ids are put in order: as `number` or as `text`. `changes` is how many entities an
    answer of the list of changes holds at most.
    """

    seed: int = 0
    companies: tuple[str, ...] = ("Sandbox Company_US_1", "Craig's Landscaping")
    amounts: Amounts = field(default_factory=Amounts)
    limits: Limits = field(default_factory=Limits)
    redirects: tuple[str, ...] = ()
    """The registered redirect addresses; none: any."""
    rotates_after: float = 0.0
    """Seconds after which a refresh gives a new refresh token."""
    ids: str = "number"
    changes: int = 1000
    rounds: str = "document"
    """Where taxes are rounded: per `line`, or once for each rate of a `document`."""
    automated: Decimal | None = None
    """The percentage of automated sales tax, which no tax rate tells; None: there is none."""
    conduct: Conduct = field(default_factory=Conduct)
    """How it behaves badly, whoever calls."""
    journal: Path | None = None
    base: Callable[[], float] | None = None


def places(url: str) -> dict[str, str]:
    """The settings of a connection that lead to a simulator at this address."""
    return {
        "base": f"{url}/v3/company/{{account}}",
        "authorize": f"{url}/connect/oauth2",
        "token": f"{url}/oauth2/v1/tokens/bearer",
        "revoke": f"{url}/v2/oauth2/tokens/revoke",
    }


class Simulator:
    """One app with its OAuth server, and the companies that its users can connect."""

    def __init__(self, settings: Settings | None = None):
        settings = settings or Settings()
        self.settings = settings
        self.stage = Stage(journal=settings.journal, base=settings.base, conduct=settings.conduct)
        self.rng = Random(settings.seed)  # noqa: S311 - the same seed, the same world
        now = self.stage.clock.now
        self.dispatcher = Dispatcher(stage=self.stage, rng=self.rng)
        self.books: dict[str, Books] = {}
        for name in settings.companies:
            realm = f"934145{self.rng.randrange(10**10):010}"
            books = Books(
                realm=realm,
                name=name,
                rng=self.rng,
                now=now,
                rounds=settings.rounds,
                automated=settings.automated,
            )
            fill(books, settings.amounts)
            books.on_event = self.dispatcher.tell
            self.books[realm] = books
        self.identity = Identity(
            rng=self.rng,
            now=now,
            companies={realm: books.name for realm, books in self.books.items()},
            redirects=set(settings.redirects),
            conduct=settings.conduct,
            rotates_after=settings.rotates_after,
        )
        self.quotas = Quotas(now=now, limits=settings.limits)
        self._answered: dict[tuple[str, str], Response] = {}
        self._spoiler = Spoiler(failure=self._failure, emptied=_emptied)
        self._control = ControlPlane(
            self.stage, self.books, self.identity, self.dispatcher, self.quotas
        )
        self.app: App = application(self._answer, self.dispatcher.running)

    async def _answer(self, call: Call) -> Answer:
        controlled = await self.stage.controlled(call)
        if controlled is not None:
            return controlled
        ordered = self.stage.fault(call.method, call.path)
        realm = call.path.removeprefix(API).partition("/")[0] if call.path.startswith(API) else ""
        answer = await self._limited(call, realm, ordered)
        asked = call.args()
        self.stage.note(
            call,
            answer,
            ordered,
            query=asked,
            realm=realm,
            requestid=asked.get("requestid"),
            body=call.body.decode() if realm else None,
        )
        if not isinstance(answer, Response):
            return answer
        trace = f"1-{self.rng.getrandbits(32):08x}-{uuid.UUID(int=self.rng.getrandbits(128)).hex}"
        return self.stage.dated(answer, {"intuit_tid": trace[:35]})

    async def _limited(self, call: Call, realm: str, ordered: Fault | None) -> Answer:
        """The answer, unless the token is not good or a quota is used up."""
        if not realm:
            outcome = await self._spoiler.carried_out(ordered, lambda: self._identity(call))
            return outcome.answer
        now, grant = self.stage.clock.now(), self.identity.grant_of(call)
        if grant is None:
            return gateway(401, "3200", "AuthenticationFailed", "AUTHENTICATION", now)
        if grant.realm != realm or SCOPES[0] not in grant.scopes:
            return gateway(403, "3100", "ApplicationAuthorizationFailed", "AUTHORIZATION", now)
        if self.quotas.enter(realm):
            return self._throttled()
        try:
            return (await self._kept(call, realm, ordered)).answer
        finally:
            self.quotas.leave(realm)

    def _identity(self, call: Call) -> Response:
        match call.method, call.path:
            case "GET" | "POST", "/connect/oauth2":
                return self.identity.authorize(call)
            case "POST", "/oauth2/v1/tokens/bearer":
                return self.identity.token(call)
            case "POST", "/v2/oauth2/tokens/revoke":
                return self.identity.revoke(call)
        return Response(status=404)

    async def _kept(self, call: Call, realm: str, ordered: Fault | None) -> Outcome:
        """The answer, or what the same `requestid` of this company was answered with."""
        once = call.args().get("requestid", "") if call.method == "POST" else ""
        kept = self._answered.get((realm, once))
        if kept is not None:
            return await self._spoiler.carried_out(ordered, lambda: kept)
        outcome = await self._spoiler.carried_out(ordered, lambda: self._serve(call, realm))
        stands = outcome.kept
        if once and stands is not None and stands.status < 500:
            self._answered[realm, once] = stands
        return outcome

    def _serve(self, call: Call, realm: str) -> Response:
        books, now = self.books[realm], self.stage.clock.now()
        if call.headers.get("accept") != "application/json":
            return Response(
                status=200,
                headers=Headers({"Content-Type": "application/xml"}),
                body=b"<IntuitResponse/>",
            )
        try:
            return self._asked(call, books)
        except Invalid as error:
            return fault(error, now, status=self._control.fault_status)

    def _asked(self, call: Call, books: Books) -> Response:
        name, _, key = call.path.removeprefix(f"{API}{books.realm}/").partition("/")
        asked, now = call.args(), self.stage.clock.now()
        if len(asked.get("requestid", "")) > _LONGEST_ID:
            raise Invalid("2050", "String length is either shorter or longer", "requestid")
        if name == "query":
            text = call.body.decode() if call.method == "POST" else asked.get("query", "")
            return self._query(books, text)
        if name == "cdc" and call.method == "GET":
            return self._changes(books, asked)
        if name == "companyinfo" and key == books.realm:
            about = {"CompanyName": books.name, "LegalName": books.name, "Country": "US"}
            return entity("CompanyInfo", {"Id": "1", "SyncToken": "4", **about}, now)
        kind = _BY_PATH.get(name)
        if kind is None:
            raise Invalid("500", "Unsupported Operation", f"Operation {name} is not supported")
        if call.method == "GET":
            return entity(kind, books.one(kind, key), now)
        return entity(kind, self._write(call, books, kind, asked.get("operation", "")), now)

    def _write(self, call: Call, books: Books, kind: str, operation: str) -> Obj:
        if kind in UNTOLD or operation not in ("", "update", "delete", "void"):
            raise Invalid("500", "Unsupported Operation", f"Operation {operation} of {kind}")
        if not call.headers.get("content-type", "").startswith("application/json"):
            raise Invalid("2010", "Request has invalid or unsupported property", "Content-Type")
        try:
            sent: Any = json.loads(call.body)
        except ValueError:
            sent = None
        if not isinstance(sent, dict):
            raise Invalid("2010", "Request has invalid or unsupported property", "JSON parsing")
        if operation == "delete":
            return books.delete(kind, sent)
        return books.void(kind, sent) if operation == "void" else books.write(kind, sent)

    def _query(self, books: Books, text: str) -> Response:
        query, now = parsed(text), self.stage.clock.now()
        if query.kind not in KINDS:
            raise Invalid("4000", "Error parsing query", f"QueryValidationError: {query.kind}")
        by_id = str if self.settings.ids == "text" else _number
        rows = query.rows(books.kept[query.kind].values(), lambda obj: by_id(obj["Id"]))
        found: Obj = {}
        if query.count:
            found = {"totalCount": len(rows)}
        elif shown := query.page(rows):
            place = {"startPosition": query.start, "maxResults": len(shown)}
            found = {query.kind: shown, **place}
        return as_json({"QueryResponse": found, "time": stamp(now)})

    def _changes(self, books: Books, asked: dict[str, str]) -> Response:
        now, since = self.stage.clock.now(), instant(asked.get("changedSince", ""))
        if since < now - LOOK_BACK:
            raise Invalid("2010", "Request has invalid or unsupported property", "changedSince")
        answers, left = [], self.settings.changes
        for kind in asked.get("entities", "").split(","):
            if kind not in KINDS or kind in UNTOLD:
                raise Invalid("2010", "Request has invalid or unsupported property", kind)
            shown = books.changes(kind, since)[:left]
            left -= len(shown)
            place = {"startPosition": 1, "maxResults": len(shown)}
            answers.append({kind: shown, **place} if shown else {})
        return as_json({"CDCResponse": [{"QueryResponse": answers}], "time": stamp(now)})

    def _throttled(self) -> Response:
        told = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
        error = Invalid("3001", told, "You have exceeded the limit of calls; try again later")
        now = self.stage.clock.now()
        return fault(error, now, kind="ThrottleFault", status=429)

    def _failure(self, ordered: Fault) -> Response:
        if ordered.status == 429:
            answer = self._throttled()
        else:
            error = Invalid("10000", "An application error has occurred", "ordered by a test")
            now = self.stage.clock.now()
            answer = fault(error, now, kind="SystemFault", status=ordered.status)
        return replace(answer, headers=answer.headers.having(ordered.headers))


def _number(key: str) -> int:
    """The order of ids by number; those that are words (`TAX`) come first."""
    return int(key) if key.isdecimal() else 0


def _emptied(page: Response) -> Response:
    """A list without its entities; anything else as it is."""
    read: dict[str, Any] = json.loads(page.body)
    if "QueryResponse" in read:
        read["QueryResponse"] = {}
    elif "CDCResponse" in read:
        read["CDCResponse"] = [{"QueryResponse": [{}]}]
    return replace(page, body=json.dumps(read).encode())
