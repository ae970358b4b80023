"""The simulator as an ASGI application: sign-in, limits, the API, faults, and the journal.

Addresses: `/oauth/authorize`, `/auth/oauth/token`, `/auth/oauth/revoke`, `/auth/api/v1/users/me`,
and for each account `/accounting/account/{id}/...` and `/events/account/{id}/events/callbacks`.
What happens behind the API's back is in `control`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

from landbridge.testing.asgi import Answer, App, Call, application, as_json
from landbridge.testing.conduct import Conduct
from landbridge.testing.faults import Fault, Spoiler
from landbridge.testing.freshbooks.books import KINDS, Books
from landbridge.testing.freshbooks.control import ControlPlane
from landbridge.testing.freshbooks.identity import Grant, Identity
from landbridge.testing.freshbooks.seed import Amounts, fill
from landbridge.testing.freshbooks.webhooks import Dispatcher
from landbridge.testing.freshbooks.wire import Invalid, Obj, refused, result, told_off
from landbridge.testing.stage import Stage
from landbridge.wire import Response

_ACCOUNTING = re.compile(r"/accounting/account/([^/]+)/(\w+/\w+)(?:/(\d+))?")
_CALLBACKS = re.compile(r"/events/account/([^/]+)/events/callbacks(?:/(\d+))?")
_BY_PATH = {kind.path: name for name, kind in KINDS.items()}
_MOST = 100
_LINED = {"invoices", "credit_notes", "bills"}
_FILTERS = ("search[updated_min]", "search[vis_state]")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a simulator starts. `base` tells the time in unix seconds (None: the real one)."""

    seed: int = 0
    businesses: tuple[str, ...] = ("Commonwealth of Independent Systems", "Bayern Corporation")
    amounts: Amounts = field(default_factory=Amounts)
    minute: int = 600
    """Calls a minute and business."""
    unknown_filter: str = "refuse"
    """What a list does with a filter that it does not know: `refuse` or `ignore` it."""
    redirects: tuple[str, ...] = ()
    """The registered redirect addresses; none: any."""
    conduct: Conduct = field(default_factory=Conduct)
    """How it behaves badly, whoever calls."""
    journal: Path | None = None
    base: Callable[[], float] | None = None


def places(url: str) -> dict[str, str]:
    """The settings of a connection that lead to a simulator at this address."""
    return {
        "base": f"{url}/accounting/account/{{account}}",
        "authorize": f"{url}/oauth/authorize",
        "token": f"{url}/auth/oauth/token",
        "revoke": f"{url}/auth/oauth/revoke",
        "accounts": url,
    }


class Simulator:
    """One app with its OAuth server, and the businesses that its user can connect."""

    def __init__(self, settings: Settings | None = None):
        settings = settings or Settings()
        self.settings = settings
        self.stage = Stage(journal=settings.journal, base=settings.base, conduct=settings.conduct)
        self.rng = Random(settings.seed)  # noqa: S311 - the same seed, the same world
        now = self.stage.clock.now
        self.books: dict[str, Books] = {}
        for number, name in enumerate(settings.businesses):
            account = f"{'ABCDEF'[number % 6]}{self.rng.randrange(10**5):05}"
            books = Books(account=account, business=439_000 + number, name=name, now=now)
            fill(books, settings.amounts, self.rng)
            self.books[account] = books
        self.dispatcher = Dispatcher(
            stage=self.stage,
            rng=self.rng,
            businesses={account: books.business for account, books in self.books.items()},
        )
        for books in self.books.values():
            books.on_event = self.dispatcher.tell
        self.identity = Identity(
            rng=self.rng,
            now=now,
            businesses={key: (books.business, books.name) for key, books in self.books.items()},
            redirects=set(settings.redirects),
            conduct=settings.conduct,
        )
        self.minute = settings.minute
        self._called: dict[tuple[str, int], int] = {}
        self._spoiler = Spoiler(failure=_failure, emptied=_emptied)
        ControlPlane(self)
        self.app: App = application(self._answer, self.dispatcher.running)

    async def _answer(self, call: Call) -> Answer:
        controlled = await self.stage.controlled(call)
        if controlled is not None:
            return controlled
        fault = self.stage.fault(call.method, call.path)
        outcome = await self._spoiler.carried_out(fault, lambda: self._serve(call))
        answer = outcome.answer
        self.stage.note(call, answer, fault)
        if not isinstance(answer, Response):
            return answer
        return self.stage.dated(answer, {})

    def _serve(self, call: Call) -> Response:
        match call.method, call.path:
            case "GET" | "POST", "/oauth/authorize":
                return self.identity.authorize(call)
            case "POST", "/auth/oauth/token":
                return self.identity.token(call)
            case "POST", "/auth/oauth/revoke":
                return self.identity.revoke(call)
        grant = self.identity.grant_of(call)
        if grant is None:
            told = "This action requires authentication to continue."
            return as_json({"error": "unauthenticated", "error_description": told}, 401)
        if (call.method, call.path) == ("GET", "/auth/api/v1/users/me"):
            return self.identity.me()
        events = _CALLBACKS.fullmatch(call.path)
        if events and events[1] in self.books:
            return self._events(call, grant, events[1], events[2])
        found = _ACCOUNTING.fullmatch(call.path)
        if not found or found[1] not in self.books or found[2] not in _BY_PATH:
            return refused(1012, "", "Not found.", 404)
        return self._limited(call, grant, self.books[found[1]], _BY_PATH[found[2]], found[3])

    def _limited(
        self, call: Call, grant: Grant, books: Books, name: str, key: str | None
    ) -> Response:
        """The answer, unless this minute's calls are used up."""
        now = self.stage.clock.now()
        place = (books.account, int(now // 60))
        count = self._called[place] = self._called.get(place, 0) + 1
        left, ends = max(0, self.minute - count), (place[1] + 1) * 60
        head = {
            "X-RateLimit-Limit": str(self.minute),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str(ends),
        }
        if count > self.minute:
            answer = refused(429, "", "Too many requests.", 429)
            head["Retry-After"] = str(ceil(ends - now))
        else:
            answer = self._accounting(call, grant, books, name, key)
        return replace(answer, headers=answer.headers.having(head))

    def _accounting(
        self, call: Call, grant: Grant, books: Books, name: str, key: str | None
    ) -> Response:
        kind = KINDS[name]
        way = "read" if call.method == "GET" else "write"
        if f"user:{kind.scope}:{way}" not in grant.scopes:
            return refused(1003, "", f"missing scope user:{kind.scope}:{way}", 403, kind.one)
        if call.method == "GET" and key is None:
            return self._list(call, books, name)
        if call.method == "GET":
            found = books.kept[name].get(int(key or 0))
            if found is None:
                return refused(1012, kind.key, f"{kind.one} not found.", 404, kind.one)
            return result({kind.one: _shown(call, name, found)})
        return self._write(call, books, name, None if key is None else int(key))

    def _write(self, call: Call, books: Books, name: str, key: int | None) -> Response:
        kind, removes = KINDS[name], (call.method, name) == ("DELETE", "taxes")
        ways = {"POST": key is None, "PUT": key is not None, "DELETE": removes and key is not None}
        if not ways.get(call.method):
            return Response(status=405)
        try:
            if removes:
                books.remove(name, key or 0)
                return Response(status=204)
            made = books.write(name, key, json.loads(call.body)[kind.one])
        except Invalid as error:
            return refused(error.errno, error.field, error.message, error.status, kind.one)
        except (ValueError, KeyError, TypeError):
            return refused(1005, "", "The request could not be parsed.", 400, kind.one)
        return result({kind.one: _shown(call, name, made)})

    def _list(self, call: Call, books: Books, name: str) -> Response:
        asked = call.args()
        for each in asked:
            known = each == _FILTERS[1] or (each == _FILTERS[0] and KINDS[name].filters)
            if each.startswith("search[") and not known:
                if self.settings.unknown_filter == "refuse":
                    return refused(1023, each, f"{each} is not a filter", 422, KINDS[name].one)
                asked = {**asked, each: ""}
        found = books.listed(
            name, state=int(asked.get(_FILTERS[1]) or 0), since=asked.get(_FILTERS[0], "")
        )
        page, size = int(asked.get("page", 1)), min(int(asked.get("per_page", 15)), _MOST)
        shown = [_shown(call, name, one) for one in found[(page - 1) * size : page * size]]
        told = {"page": page, "pages": -(-len(found) // size), "per_page": size}
        return result({name: shown, **told, "total": len(found)})

    def _events(self, call: Call, grant: Grant, account: str, key: str | None) -> Response:
        it = self.dispatcher
        sent: Obj = {}
        if call.body:
            sent = json.loads(call.body).get("callback", {})
        noun = str(sent.get("event", "")).split(".")[0]
        if call.method == "POST":
            kinds = [kind for kind in KINDS.values() if kind.noun == noun]
            if kinds and f"user:{kinds[0].scope}:read" not in grant.scopes:
                return told_off(403, f"missing scope user:{kinds[0].scope}:read")
            return it.create(account, sent)
        mine = {one.id: one for one in it.callbacks.values() if one.account == account}
        if key is None:
            told = {"page": 1, "pages": 1, "per_page": 100, "total": len(mine)}
            return result({"callbacks": [one.shown() for one in mine.values()], **told})
        found = mine.get(int(key))
        if found is None:
            return told_off(404, "Requested resource could not be found.")
        if call.method == "PUT":
            return it.change(found, sent)
        if call.method == "DELETE":
            del it.callbacks[found.id]
            return Response(status=204)
        return result({"callback": found.shown()})


def _shown(call: Call, name: str, obj: Obj) -> Obj:
    """A record as it is answered: its lines only where they are asked for."""
    if name not in _LINED or "lines" in call.args().get("include[]", ""):
        return obj
    return {field: value for field, value in obj.items() if field != "lines"}


def _failure(fault: Fault) -> Response:
    head = {"Retry-After": "1"} if fault.status == 429 else {}
    answer = refused(fault.status, "", "ordered by a test", fault.status)
    return replace(answer, headers=answer.headers.having({**head, **fault.headers}))


def _emptied(page: Response) -> Response:
    """A list without its records; anything else as it is."""
    read: dict[str, Any] = json.loads(page.body)
    content = read.get("response", {}).get("result", {})
    if "pages" not in content:
        return page
    bare = {name: [] if isinstance(value, list) else value for name, value in content.items()}
    return replace(page, body=json.dumps({"response": {"result": {**bare, "pages": 0}}}).encode())
