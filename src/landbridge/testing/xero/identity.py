"""Xero's OAuth server: consent with PKCE, rotating refresh tokens, revocation, connections.

Refresh tokens rotate. A used one may be sent again for 30 minutes, for an answer that was lost;
later its use ends the grant, as any thief's would. Unused for 60 days it is dead.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from landbridge.testing.asgi import Call, as_json
from landbridge.testing.xero.wire import guid
from landbridge.wire import Headers, Response

CLIENT = "5F1A4B0C9D3E4A8B"
SECRET = "simulated-client-secret-of-xero"
CODE_LIVES = 300
ACCESS_LIVES = 1800
RETRY_WINDOW = 1800
IDLE = 60 * 86_400


@dataclass(kw_only=True)
class Grant:
    """One consent of a person for an app: its organisations, scopes and tokens."""

    id: str
    scopes: tuple[str, ...]
    connections: dict[str, str]
    """The ids of its connections, by organisation."""
    made: float
    dead: bool = False
    access: dict[str, float] = field(default_factory=dict)
    """Until when each access token is good."""
    refresh: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    """When each refresh token was made, and used."""


@dataclass(kw_only=True)
class _Code:
    grant: Grant
    redirect: str
    challenge: str
    at: float
    used: bool = False


@dataclass(kw_only=True)
class Identity:
    """`consent` says what the person does: `page` (shows it), `allow` or `deny` at once."""

    rng: Random
    now: Callable[[], float]
    organisations: Mapping[str, str]
    """Names by tenant id."""
    clients: dict[str, str] = field(default_factory=lambda: {CLIENT: SECRET})
    redirects: set[str] = field(default_factory=set)
    """The registered addresses; empty: any."""
    consent: str = "allow"
    chosen: tuple[str, ...] = ()
    """The organisations that the person chooses; none: all."""
    grants: list[Grant] = field(default_factory=list)
    exchanges: int = 0
    _codes: dict[str, _Code] = field(default_factory=dict)

    def authorize(self, call: Call) -> Response:
        """The consent page, or where the browser goes from it."""
        asked = call.args() if call.method == "GET" else dict(parse_qsl(call.body.decode()))
        redirect, client = asked.get("redirect_uri", ""), asked.get("client_id", "")
        if client not in self.clients:
            return _page("unauthorized_client", 400)
        if not redirect or (self.redirects and redirect not in self.redirects):
            return _page("Invalid redirect_uri", 400)
        problem = self._problem(asked)
        decision = asked.get("decision", self.consent)
        if not problem and decision == "page":
            return self._form(asked)
        if not problem and decision == "deny":
            problem = "access_denied"
        state = {"state": asked["state"]} if "state" in asked else {}
        if problem:
            return _to(redirect, {"error": problem, **state})
        ticked = asked.get("organisations", "").split()
        code = self._code(asked, ticked or list(self.chosen or self.organisations))
        return _to(redirect, {"code": code, "scope": asked["scope"], **state})

    def _problem(self, asked: Mapping[str, str]) -> str:
        if asked.get("response_type") != "code":
            return "unsupported_response_type"
        if not asked.get("code_challenge") or asked.get("code_challenge_method") != "S256":
            return "invalid_request"
        scopes = asked.get("scope", "").split()
        known = (*_SCOPES, *(f"{scope}.read" for scope in _SCOPES))
        return "" if scopes and all(scope in known for scope in scopes) else "invalid_scope"

    def _form(self, asked: Mapping[str, str]) -> Response:
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in asked.items()
        )
        choices = "".join(
            f'<option value="{tenant}">{html.escape(name)}</option>'
            for tenant, name in self.organisations.items()
        )
        return _page(
            f'<form method="post">{hidden}<label>Organisation'
            f'<select name="organisations">{choices}</select></label>'
            '<button name="decision" value="allow">Allow access</button>'
            '<button name="decision" value="deny">Cancel</button></form>',
            200,
        )

    def _code(self, asked: Mapping[str, str], tenants: Sequence[str]) -> str:
        grant = Grant(
            id=guid(self.rng),
            scopes=tuple(asked["scope"].split()),
            connections={tenant: guid(self.rng) for tenant in tenants},
            made=self.now(),
        )
        self.grants.append(grant)
        code = self._random()
        challenge, redirect = asked["code_challenge"], asked["redirect_uri"]
        self._codes[code] = _Code(
            grant=grant, redirect=redirect, challenge=challenge, at=self.now()
        )
        return code

    def token(self, call: Call) -> Response:
        """New tokens for a code or a refresh token."""
        if not self._client(call):
            return as_json({"error": "invalid_client"}, 400)
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
        access = self._random()
        grant.access[access] = self.now() + ACCESS_LIVES
        told = {"access_token": access, "expires_in": ACCESS_LIVES, "token_type": "Bearer"}
        if "offline_access" in grant.scopes:
            told["refresh_token"] = self._random()
            grant.refresh[str(told["refresh_token"])] = (self.now(), None)
        return {**told, "scope": " ".join(grant.scopes)}

    def _of_code(self, asked: Mapping[str, str]) -> Grant | None:
        kept = self._codes.get(asked.get("code", ""))
        if kept is None:
            return None
        if kept.used:
            kept.grant.dead = True
            return None
        kept.used = True
        verifier = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        shown = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        fits = shown == kept.challenge and asked.get("redirect_uri") == kept.redirect
        return kept.grant if fits and self.now() <= kept.at + CODE_LIVES else None

    def _of_refresh(self, token: str) -> Grant | None:
        grant = next((one for one in self.grants if token in one.refresh), None)
        if grant is None or grant.dead:
            return None
        made, used = grant.refresh[token]
        if used is None and self.now() > made + IDLE:
            return None
        if used is not None and self.now() > used + RETRY_WINDOW:
            grant.dead = True
            return None
        grant.refresh[token] = (made, self.now() if used is None else used)
        return grant

    def revoke(self, call: Call) -> Response:
        """Ends the grant of a token, and its connections."""
        if not self._client(call):
            return as_json({"error": "invalid_client"}, 400)
        token = dict(parse_qsl(call.body.decode())).get("token", "")
        for grant in self.grants:
            if token in grant.refresh or token in grant.access:
                grant.dead = True
                grant.connections.clear()
        return Response(status=200)

    def grant_of(self, call: Call) -> tuple[Grant | None, str]:
        """Whose access token a call carries; else why it is not taken."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None, "AuthenticationUnsuccessful"
        for grant in self.grants:
            if token in grant.access and not grant.dead:
                if grant.access[token] > self.now():
                    return grant, ""
                return None, "TokenExpired: token expired"
        return None, "TokenInvalid: token is not valid"

    def connections(self, grant: Grant) -> Response:
        """The organisations of a grant."""
        return as_json(
            [
                {
                    "id": connection,
                    "authEventId": grant.id,
                    "tenantId": tenant,
                    "tenantType": "ORGANISATION",
                    "tenantName": self.organisations[tenant],
                    "createdDateUtc": "2026-01-01T00:00:00.0000000",
                    "updatedDateUtc": "2026-01-01T00:00:00.0000000",
                }
                for tenant, connection in grant.connections.items()
            ]
        )

    def expire(self) -> int:
        """Ends all access tokens, as after half an hour; how many."""
        count = 0
        for grant in self.grants:
            count += len(grant.access)
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


_SCOPES = (
    "openid profile email offline_access accounting.settings accounting.contacts"
    " accounting.invoices accounting.payments accounting.banktransactions"
    " accounting.manualjournals accounting.attachments"
).split()


def _to(redirect: str, query: Mapping[str, str]) -> Response:
    joint = "&" if "?" in redirect else "?"
    return Response(status=302, headers=Headers({"Location": redirect + joint + urlencode(query)}))


def _page(body: str, status: int) -> Response:
    head = Headers({"Content-Type": "text/html; charset=utf-8"})
    return Response(status=status, headers=head, body=f"<!doctype html>{body}".encode())
