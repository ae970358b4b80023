"""Intuit's OAuth server: consent for one company, rolling refresh tokens, revocation.

A refresh gives a new refresh token when the old one is older than `rotates_after` (0: each time),
and the one before is refused then. Unused for 100 days a refresh token is dead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from landbridge.testing import oauth
from landbridge.testing.asgi import Call, as_json
from landbridge.wire import Response

CLIENT = "ABsimulatedClientOfIntuit"
SECRET = "simulated-client-secret-of-intuit"
SCOPES = ("com.intuit.quickbooks.accounting", "com.intuit.quickbooks.payment", "openid", "email")
ACCESS_LIVES = 3600
REFRESH_LIVES = 100 * 86_400


@dataclass(kw_only=True)
class Grant(oauth.Grant):
    """One consent of a person for an app: its company, scopes and tokens."""

    id: str
    realm: str
    refresh: str = ""
    born: float = 0.0
    """When the refresh token got its value."""
    used: float = 0.0

    def shown(self) -> dict[str, Any]:
        """As the control plane tells it; never the tokens."""
        return {"id": self.id, **super().shown(), "realm": self.realm}


@dataclass(kw_only=True)
class Identity(oauth.OAuthServer[Grant]):
    """Intuit's, where the person chooses one company."""

    UNKNOWN_CLIENT: ClassVar = "The client_id is not known"
    UNKNOWN_REDIRECT: ClassVar = "The redirect_uri query parameter value is invalid"
    PKCE: ClassVar = False

    companies: Mapping[str, str]
    """Names by realm id."""
    clients: dict[str, str] = field(default_factory=lambda: {CLIENT: SECRET})
    rotates_after: float = 0.0
    chosen: str = ""
    """The company that the person chooses; empty: the first."""

    def problem(self, asked: Mapping[str, str]) -> str:
        """The error that the browser is sent back with."""
        if asked.get("response_type") != "code" or not asked.get("state"):
            return "invalid_request"
        scopes = asked.get("scope", "").split()
        return "" if scopes and all(one in SCOPES for one in scopes) else "invalid_scope"

    def form(self, asked: Mapping[str, str]) -> Response:
        """The consent page."""
        choices = oauth.choice("Company", "company", self.companies)
        return oauth.consent_form(asked, choices=choices, allow="Connect")

    def allow(self, asked: Mapping[str, str]) -> tuple[Grant, dict[str, str]]:
        """A grant of the company that is picked, chosen, or the first."""
        realm = asked.get("company") or self.chosen or next(iter(self.companies))
        scopes = tuple(asked["scope"].split())
        grant = Grant(id=self.random()[:16], scopes=scopes, realm=realm)
        self.grants.append(grant)
        return grant, {"realmId": realm}

    def tokens(self, grant: Grant) -> dict[str, Any]:
        """An access token, and the refresh token, which is new when it is its time."""
        now, access = self.now(), self.random()
        lives = self.conduct.lives(ACCESS_LIVES)
        grant.access[access] = now + lives
        if not grant.refresh or now - grant.born >= self.rotates_after:
            grant.refresh, grant.born = self.random(), now
        grant.used = now
        return {
            "access_token": access,
            "refresh_token": grant.refresh,
            "token_type": "bearer",
            "expires_in": lives,
            "x_refresh_token_expires_in": REFRESH_LIVES,
        }

    def of_refresh(self, token: str) -> Grant | None:
        """The grant of a refresh token that is the newest and in use."""
        grant = next((one for one in self.grants if token and one.refresh == token), None)
        alive = grant is not None and not grant.dead
        return grant if grant and alive and self.now() <= grant.used + REFRESH_LIVES else None

    def revoke(self, call: Call) -> Response:
        """Ends the grant of a token, which comes as JSON."""
        if not self.shown(call):
            return self.refusal("invalid_client", self.CLIENT_STATUS)
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
