"""Intuit's OAuth server: consent for one company, rolling refresh tokens, revocation.

A refresh gives a new refresh token when the old one is older than `rotates_after` (0: each time),
and the one before is refused then. Unused for 100 days a refresh token is dead.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from landbridge.testing.asgi import Call, as_json
from landbridge.wire import Headers, Response

CLIENT = "ABsimulatedClientOfIntuit"
SECRET = "simulated-client-secret-of-intuit"
SCOPES = ("com.intuit.quickbooks.accounting", "com.intuit.quickbooks.payment", "openid", "email")
CODE_LIVES = 300
ACCESS_LIVES = 3600
REFRESH_LIVES = 100 * 86_400


@dataclass(kw_only=True)
class Grant:
    """One consent of a person for an app: its company, scopes and tokens."""

    id: str
    scopes: tuple[str, ...]
    realm: str
    dead: bool = False
    access: dict[str, float] = field(default_factory=dict)
    """Until when each access token is good."""
    refresh: str = ""
    born: float = 0.0
    """When the refresh token got its value."""
    used: float = 0.0


@dataclass(kw_only=True)
class _Code:
    grant: Grant
    redirect: str
    at: float
    used: bool = False


@dataclass(kw_only=True)
class Identity:
    """`consent` says what the person does: `page` (shows it), `allow` or `deny` at once."""

    rng: Random
    now: Callable[[], float]
    companies: Mapping[str, str]
    """Names by realm id."""
    clients: dict[str, str] = field(default_factory=lambda: {CLIENT: SECRET})
    redirects: set[str] = field(default_factory=set)
    """The registered addresses; empty: any."""
    rotates_after: float = 0.0
    consent: str = "allow"
    chosen: str = ""
    """The company that the person chooses; empty: the first."""
    grants: list[Grant] = field(default_factory=list)
    exchanges: int = 0
    _codes: dict[str, _Code] = field(default_factory=dict)

    def authorize(self, call: Call) -> Response:
        """The consent page, or where the browser goes from it."""
        asked = call.args() if call.method == "GET" else dict(parse_qsl(call.body.decode()))
        redirect, client = asked.get("redirect_uri", ""), asked.get("client_id", "")
        if client not in self.clients:
            return _page("The client_id is not known", 400)
        if not redirect or (self.redirects and redirect not in self.redirects):
            return _page("The redirect_uri query parameter value is invalid", 400)
        scopes = asked.get("scope", "").split()
        problem = "" if scopes and all(one in SCOPES for one in scopes) else "invalid_scope"
        if asked.get("response_type") != "code" or not asked.get("state"):
            problem = "invalid_request"
        decision = asked.get("decision", self.consent)
        if not problem and decision == "page":
            return self._form(asked)
        if not problem and decision == "deny":
            problem = "access_denied"
        state = {"state": asked["state"]} if "state" in asked else {}
        if problem:
            return _to(redirect, {"error": problem, **state})
        realm = asked.get("company") or self.chosen or next(iter(self.companies))
        grant = Grant(id=self._random()[:16], scopes=tuple(scopes), realm=realm)
        self.grants.append(grant)
        code = self._random()
        self._codes[code] = _Code(grant=grant, redirect=redirect, at=self.now())
        return _to(redirect, {"code": code, "realmId": realm, **state})

    def _form(self, asked: Mapping[str, str]) -> Response:
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in asked.items()
        )
        choices = "".join(
            f'<option value="{realm}">{html.escape(name)}</option>'
            for realm, name in self.companies.items()
        )
        return _page(
            f'<form method="post">{hidden}<label>Company'
            f'<select name="company">{choices}</select></label>'
            '<button name="decision" value="allow">Connect</button>'
            '<button name="decision" value="deny">Cancel</button></form>',
            200,
        )

    def token(self, call: Call) -> Response:
        """New tokens for a code or a refresh token."""
        if not self._client(call):
            return as_json({"error": "invalid_client"}, 401)
        asked = dict(parse_qsl(call.body.decode()))
        match asked.get("grant_type"):
            case "authorization_code":
                grant = self._of_code(asked)
            case "refresh_token":
                grant = self._of_refresh(asked.get("refresh_token", ""))
            case _:
                return as_json({"error": "unsupported_grant_type"}, 400)
        if grant is None:
            return as_json({"error": "invalid_grant"}, 400)
        self.exchanges += 1
        return as_json(self._tokens(grant))

    def _tokens(self, grant: Grant) -> dict[str, Any]:
        now, access = self.now(), self._random()
        grant.access[access] = now + ACCESS_LIVES
        if not grant.refresh or now - grant.born >= self.rotates_after:
            grant.refresh, grant.born = self._random(), now
        grant.used = now
        return {
            "access_token": access,
            "refresh_token": grant.refresh,
            "token_type": "bearer",
            "expires_in": ACCESS_LIVES,
            "x_refresh_token_expires_in": REFRESH_LIVES,
        }

    def _of_code(self, asked: Mapping[str, str]) -> Grant | None:
        kept = self._codes.get(asked.get("code", ""))
        if kept is None or kept.used:
            return None
        kept.used = True
        fits = asked.get("redirect_uri") == kept.redirect
        return kept.grant if fits and self.now() <= kept.at + CODE_LIVES else None

    def _of_refresh(self, token: str) -> Grant | None:
        grant = next((one for one in self.grants if token and one.refresh == token), None)
        alive = grant is not None and not grant.dead
        return grant if grant and alive and self.now() <= grant.used + REFRESH_LIVES else None

    def revoke(self, call: Call) -> Response:
        """Ends the grant of a token, which comes as JSON."""
        if not self._client(call):
            return as_json({"error": "invalid_client"}, 401)
        try:
            token = json.loads(call.body)["token"]
        except (ValueError, LookupError, TypeError):
            return as_json({"error": "invalid_request"}, 400)
        for grant in self.grants:
            if token == grant.refresh or token in grant.access:
                grant.dead = True
                return Response(status=200)
        return as_json({"error": "invalid_token"}, 400)

    def grant_of(self, call: Call) -> Grant | None:
        """Whose access token a call carries; None: nobody's, or of one that is over."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        for grant in self.grants if scheme.lower() == "bearer" else ():
            if not grant.dead and grant.access.get(token, 0.0) > self.now():
                return grant
        return None

    def expire(self) -> int:
        """Ends all access tokens, as after an hour; how many."""
        count = sum(len(grant.access) for grant in self.grants)
        for grant in self.grants:
            grant.access = dict.fromkeys(grant.access, 0.0)
        return count

    def _client(self, call: Call) -> bool:
        scheme, _, rest = call.headers.get("authorization", "").partition(" ")
        try:
            pair = base64.b64decode(rest, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        name, _, secret = (unquote_plus(part) for part in pair.partition(":"))
        return scheme.lower() == "basic" and self.clients.get(name) == secret

    def _random(self) -> str:
        return f"{self.rng.getrandbits(256):064x}"


def _to(redirect: str, query: Mapping[str, str]) -> Response:
    joint = "&" if "?" in redirect else "?"
    return Response(status=302, headers=Headers({"Location": redirect + joint + urlencode(query)}))


def _page(body: str, status: int) -> Response:
    head = Headers({"Content-Type": "text/html; charset=utf-8"})
    return Response(status=status, headers=head, body=f"<!doctype html>{body}".encode())
