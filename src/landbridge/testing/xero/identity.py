"""Xero's OAuth server: consent with PKCE, rotating refresh tokens, revocation, connections.

Refresh tokens rotate. A used one may be sent again for 30 minutes, for an answer that was lost;
later its use ends the grant, as any thief's would. Unused for 60 days it is dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from landbridge.testing import oauth
from landbridge.testing.asgi import Call, as_json
from landbridge.testing.xero.wire import guid
from landbridge.wire import Response

CLIENT = "5F1A4B0C9D3E4A8B"
SECRET = "simulated-client-secret-of-xero"
ACCESS_LIVES = 1800
RETRY_WINDOW = 1800
IDLE = 60 * 86_400


@dataclass(kw_only=True)
class Grant(oauth.Grant):
    """One consent of a person for an app: its organisations, scopes and tokens."""

    id: str
    connections: dict[str, str]
    """The ids of its connections, by organisation."""
    refresh: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    """When each refresh token was made, and used."""

    def shown(self) -> dict[str, Any]:
        """As the control plane tells it; never the tokens."""
        more = {"organisations": list(self.connections), "refresh_tokens": len(self.refresh)}
        return {"id": self.id, **super().shown(), **more}


@dataclass(kw_only=True)
class Identity(oauth.OAuthServer[Grant]):
    """Xero's, where the person chooses organisations."""

    UNKNOWN_CLIENT: ClassVar = "unauthorized_client"
    UNKNOWN_REDIRECT: ClassVar = "Invalid redirect_uri"
    CLIENT_STATUS: ClassVar = 400

    organisations: Mapping[str, str]
    """Names by tenant id."""
    clients: dict[str, str] = field(default_factory=lambda: {CLIENT: SECRET})
    chosen: tuple[str, ...] = ()
    """The organisations that the person chooses; none: all."""

    def problem(self, asked: Mapping[str, str]) -> str:
        """The error that the browser is sent back with."""
        if asked.get("response_type") != "code":
            return "unsupported_response_type"
        if not asked.get("code_challenge") or asked.get("code_challenge_method") != "S256":
            return "invalid_request"
        scopes = asked.get("scope", "").split()
        known = (*_SCOPES, *(f"{scope}.read" for scope in _SCOPES))
        return "" if scopes and all(scope in known for scope in scopes) else "invalid_scope"

    def form(self, asked: Mapping[str, str]) -> Response:
        """The consent page."""
        choices = oauth.choice("Organisation", "organisations", self.organisations)
        return oauth.consent_form(asked, choices=choices, allow="Allow access")

    def allow(self, asked: Mapping[str, str]) -> tuple[Grant, dict[str, str]]:
        """A grant of the organisations that are ticked, chosen, or there."""
        ticked = asked.get("organisations", "").split()
        tenants = ticked or self.chosen or self.organisations
        grant = Grant(
            id=guid(self.rng),
            scopes=tuple(asked["scope"].split()),
            connections={tenant: guid(self.rng) for tenant in tenants},
        )
        self.grants.append(grant)
        return grant, {"scope": asked["scope"]}

    def tokens(self, grant: Grant) -> dict[str, Any]:
        """An access token, and a refresh token where the scopes have it."""
        access = self.random()
        lives = self.conduct.lives(ACCESS_LIVES)
        grant.access[access] = self.now() + lives
        told = {"access_token": access, "expires_in": lives, "token_type": "Bearer"}
        if "offline_access" in grant.scopes:
            told["refresh_token"] = self.random()
            grant.refresh[str(told["refresh_token"])] = (self.now(), None)
        return {**told, "scope": " ".join(grant.scopes)}

    def used_twice(self, grant: Grant) -> None:
        """A code that is sent again ends its grant."""
        grant.dead = True

    def of_refresh(self, token: str) -> Grant | None:
        """The grant of a refresh token; one that was used too long ago ends it."""
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
        if not self.shown(call):
            return self.refusal("invalid_client", self.CLIENT_STATUS)
        token = self.read(call).get("token", "")
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


_SCOPES = (
    "openid profile email offline_access accounting.settings accounting.contacts"
    " accounting.invoices accounting.payments accounting.banktransactions"
    " accounting.manualjournals accounting.attachments"
).split()
