"""FreshBooks's OAuth server: consent, single-use refresh tokens, revocation, and whose they are.

A refresh token counts once, at once and for good; a new consent of the person for the app ends the
one before it. Access tokens live for twelve hours from `created_at`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from landbridge.testing import oauth
from landbridge.testing.asgi import Call, as_json
from landbridge.testing.freshbooks.wire import vendor
from landbridge.wire import Response

CLIENT = "3c7e8f1a0b5d4e6f"
SECRET = "simulated-client-secret-of-freshbooks"
ACCESS_LIVES = 43_200
_OBJECTS = (
    "bill_payments bill_vendors billable_items bills business clients credit_notes estimates"
    " expenses invoices journal_entries notifications online_payments other_income payments profile"
    " projects reports retainers taxes teams time_entries uploads"
).split()
_DESCRIBED = {"invalid_client": "unknown", "invalid_grant": "not valid"}


@dataclass(kw_only=True)
class Grant(oauth.Grant):
    """One consent of the person for the app."""

    refresh: str = ""
    """The one that counts."""


@dataclass(kw_only=True)
class Identity(oauth.OAuthServer[Grant]):
    """FreshBooks's, where a person is in several businesses."""

    UNKNOWN_CLIENT: ClassVar = "unauthorized_client"
    UNKNOWN_REDIRECT: ClassVar = "The redirect uri included is not valid."

    businesses: Mapping[str, tuple[int, str]]
    """Number and name, by account id; the person is also in one without an account."""
    clients: dict[str, str] = field(default_factory=lambda: {CLIENT: SECRET})

    def problem(self, asked: Mapping[str, str]) -> str:
        """The error that the browser is sent back with."""
        if asked.get("response_type") != "code":
            return "unsupported_response_type"
        scopes = asked.get("scope", "").split()
        known = {f"user:{name}:{way}" for name in _OBJECTS for way in ("read", "write")}
        return "" if scopes and set(scopes) <= known else "invalid_scope"

    def form(self, asked: Mapping[str, str]) -> Response:
        """The consent page."""
        return oauth.consent_form(asked, allow="Allow access")

    def allow(self, asked: Mapping[str, str]) -> tuple[Grant, dict[str, str]]:
        """A grant that begins when its code is used."""
        scopes = dict.fromkeys(["user:profile:read", *asked["scope"].split()])
        return Grant(scopes=tuple(scopes)), {}

    def read(self, call: Call) -> dict[str, str]:
        """What a form or a JSON object says."""
        if not call.headers.get("content-type", "").startswith("application/json"):
            return super().read(call)
        try:
            read: Any = json.loads(call.body)
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}

    def shown(self, call: Call) -> bool:
        """Whether the client shows itself rightly: in the body."""
        asked = self.read(call)
        return self.clients.get(asked.get("client_id", "")) == asked.get("client_secret")

    def refusal(self, error: str, status: int) -> Response:
        """The answer to a call for tokens that is refused."""
        if error not in _DESCRIBED:
            return super().refusal(error, status)
        return as_json({"error": error, "error_description": _DESCRIBED[error]}, status)

    def tokens(self, grant: Grant) -> dict[str, Any]:
        """An access token, and a refresh token in the place of the one before."""
        access = self.random()
        lives = self.conduct.lives(ACCESS_LIVES)
        grant.access[access] = self.now() + lives
        grant.refresh = self.random()
        return {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": lives,
            "refresh_token": grant.refresh,
            "scope": " ".join(grant.scopes),
            "created_at": int(self.now()),
        }

    def of_code(self, asked: Mapping[str, str]) -> Grant | None:
        """The grant of a code; the refresh tokens of those before it end."""
        grant = super().of_code(asked)
        if grant is not None:
            for other in self.grants:
                other.refresh = ""
            self.grants.append(grant)
        return grant

    def of_refresh(self, token: str) -> Grant | None:
        """The grant of the one refresh token that counts."""
        live = (one for one in self.grants if one.refresh == token and token and not one.dead)
        return next(live, None)

    def revoke(self, call: Call) -> Response:
        """Ends the grant of a token."""
        token = self.read(call).get("token", "")
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
