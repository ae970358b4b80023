"""FreshBooks's OAuth server: consent, single-use refresh tokens, revocation, and whose they are.

A refresh token counts once, at once and for good; a new consent of the person for the app ends the
one before it. Access tokens live for twelve hours from `created_at`.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode

from landbridge.testing.asgi import Call, as_json
from landbridge.testing.freshbooks.wire import vendor
from landbridge.wire import Headers, Response

CLIENT = "3c7e8f1a0b5d4e6f"
SECRET = "simulated-client-secret-of-freshbooks"
CODE_LIVES = 300
ACCESS_LIVES = 43_200
_OBJECTS = (
    "bill_payments bill_vendors billable_items bills business clients credit_notes estimates"
    " expenses invoices journal_entries notifications online_payments other_income payments profile"
    " projects reports retainers taxes teams time_entries uploads"
).split()


@dataclass(kw_only=True)
class Grant:
    """One consent of the person for the app."""

    scopes: tuple[str, ...]
    dead: bool = False
    access: dict[str, float] = field(default_factory=dict)
    """Until when each access token is good."""
    refresh: str = ""
    """The one that counts."""


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
    businesses: Mapping[str, tuple[int, str]]
    """Number and name, by account id; the person is also in one without an account."""
    clients: dict[str, str] = field(default_factory=lambda: {CLIENT: SECRET})
    redirects: set[str] = field(default_factory=set)
    """The registered addresses; empty: any."""
    consent: str = "allow"
    grants: list[Grant] = field(default_factory=list)
    exchanges: int = 0
    _codes: dict[str, _Code] = field(default_factory=dict)

    def authorize(self, call: Call) -> Response:
        """The consent page, or where the browser goes from it."""
        asked = call.args() if call.method == "GET" else dict(parse_qsl(call.body.decode()))
        redirect = asked.get("redirect_uri", "")
        if asked.get("client_id") not in self.clients:
            return _page("unauthorized_client", 400)
        if not redirect or (self.redirects and redirect not in self.redirects):
            return _page("The redirect uri included is not valid.", 400)
        state = {"state": asked["state"]} if "state" in asked else {}
        scopes = asked.get("scope", "").split()
        known = {f"user:{name}:{way}" for name in _OBJECTS for way in ("read", "write")}
        if asked.get("response_type") != "code":
            return _to(redirect, {"error": "unsupported_response_type", **state})
        if not scopes or not set(scopes) <= known:
            return _to(redirect, {"error": "invalid_scope", **state})
        decision = asked.get("decision", self.consent)
        if decision == "page":
            return self._form(asked)
        if decision == "deny":
            return _to(redirect, {"error": "access_denied", **state})
        grant = Grant(scopes=tuple(dict.fromkeys(["user:profile:read", *scopes])))
        code = self._random()
        challenge = asked.get("code_challenge", "")
        self._codes[code] = _Code(
            grant=grant, redirect=redirect, challenge=challenge, at=self.now()
        )
        return _to(redirect, {"code": code, **state})

    def _form(self, asked: Mapping[str, str]) -> Response:
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in asked.items()
        )
        return _page(
            f'<form method="post">{hidden}<button name="decision" value="allow">Allow access'
            '</button><button name="decision" value="deny">Cancel</button></form>',
            200,
        )

    def token(self, call: Call) -> Response:
        """New tokens for a code or a refresh token; the client shows itself in the body."""
        asked = _body(call)
        if self.clients.get(asked.get("client_id", "")) != asked.get("client_secret"):
            return as_json({"error": "invalid_client", "error_description": "unknown"}, 401)
        match asked.get("grant_type"):
            case "authorization_code":
                grant = self._of_code(asked)
            case "refresh_token":
                grant = self._of_refresh(asked.get("refresh_token", ""))
            case _:
                return as_json({"error": "unsupported_grant_type"}, 400)
        if grant is None:
            return as_json({"error": "invalid_grant", "error_description": "not valid"}, 400)
        self.exchanges += 1
        access = self._random()
        grant.access[access] = self.now() + ACCESS_LIVES
        grant.refresh = self._random()
        return as_json(
            {
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": ACCESS_LIVES,
                "refresh_token": grant.refresh,
                "scope": " ".join(grant.scopes),
                "created_at": int(self.now()),
            }
        )

    def _of_code(self, asked: Mapping[str, str]) -> Grant | None:
        kept = self._codes.get(asked.get("code", ""))
        if kept is None or kept.used:
            return None
        kept.used = True
        if kept.challenge:
            verifier = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(verifier).rstrip(b"=").decode() != kept.challenge:
                return None
        if asked.get("redirect_uri") != kept.redirect or self.now() > kept.at + CODE_LIVES:
            return None
        for other in self.grants:
            other.refresh = ""
        self.grants.append(kept.grant)
        return kept.grant

    def _of_refresh(self, token: str) -> Grant | None:
        live = (one for one in self.grants if one.refresh == token and token and not one.dead)
        return next(live, None)

    def revoke(self, call: Call) -> Response:
        """Ends the grant of a token."""
        token = _body(call).get("token", "")
        for grant in self.grants:
            grant.dead |= token == grant.refresh or token in grant.access
        return as_json({})

    def grant_of(self, call: Call) -> Grant | None:
        """Whose access token a call carries."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        for grant in self.grants:
            if scheme == "Bearer" and not grant.dead and grant.access.get(token, 0) > self.now():
                return grant
        return None

    def me(self) -> Response:
        """The person, with their businesses."""
        person = copy.deepcopy(vendor()["me"])
        (like, other), members = person["business_memberships"], []
        for number, (account, (business, name)) in enumerate(self.businesses.items()):
            own = {"id": business, "name": name, "account_id": account}
            member = {**like, "id": 900 + number, "business": {**like["business"], **own}}
            members.append(member)
        bare = {**other["business"], "account_id": None}
        members.append({**other, "business": bare})
        return as_json({"response": {**person, "business_memberships": members}})

    def expire(self) -> int:
        """Ends all access tokens, as after twelve hours; how many."""
        count = sum(len(grant.access) for grant in self.grants)
        for grant in self.grants:
            grant.access = dict.fromkeys(grant.access, 0.0)
        return count

    def _random(self) -> str:
        return f"{self.rng.getrandbits(256):064x}"


def _body(call: Call) -> dict[str, str]:
    """What a form or a JSON object says."""
    if call.headers.get("content-type", "").startswith("application/json"):
        try:
            read: Any = json.loads(call.body)
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}
    return dict(parse_qsl(call.body.decode()))


def _to(redirect: str, query: Mapping[str, str]) -> Response:
    joint = "&" if "?" in redirect else "?"
    return Response(status=302, headers=Headers({"Location": redirect + joint + urlencode(query)}))


def _page(body: str, status: int) -> Response:
    head = Headers({"Content-Type": "text/html; charset=utf-8"})
    return Response(status=status, headers=head, body=f"<!doctype html>{body}".encode())
