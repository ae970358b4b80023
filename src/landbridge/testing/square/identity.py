"""Square's OAuth for an app with a secret: codes, tokens of 30 days, refresh tokens that stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from landbridge.testing import oauth
from landbridge.testing.asgi import Call, as_json
from landbridge.testing.square.wire import Refused, stamp
from landbridge.wire import Response

APPLICATION = "sandbox-sq0idb-landbridge"
SECRET = "sandbox-sq0csb-landbridge-secret"
ACCESS_LIVES = 30 * 86_400.0


@dataclass(kw_only=True)
class Grant(oauth.Grant):
    """What a seller gave the app."""

    refresh: str

    def shown(self) -> dict[str, Any]:
        """As the control plane tells it; never the tokens."""
        return {"scopes": self.scopes, "revoked": self.dead, "access_tokens": len(self.access)}


@dataclass(kw_only=True)
class Identity(oauth.Authority[Grant]):
    """The app's registration, and the seller who is asked."""

    merchant: str
    scopes: frozenset[str]
    """Those that there are."""

    def authorize(self, call: Call) -> Response:
        """Where the browser goes from the consent page."""
        asked = call.args()
        redirect, scopes = asked.get("redirect_uri", ""), asked.get("scope", "").split()
        if asked.get("client_id") != APPLICATION or not redirect:
            raise Refused(400, "BAD_REQUEST", "The application or its redirect is not known.")
        told = {"state": asked["state"]} if "state" in asked else {}
        if self.consent == "deny" or not scopes or not set(scopes) <= self.scopes:
            told |= {"error": "access_denied", "error_description": "user_denied"}
        else:
            grant = Grant(scopes=tuple(scopes), refresh="EQAA" + self._random())
            code = "sandbox-sq0cgb-" + self._random()
            self._codes[code] = oauth.Code(grant=grant, redirect=redirect, at=self.now())
            told |= {"code": code, "response_type": "code"}
        return oauth.sent_back(redirect, told)

    def token(self, call: Call) -> Response:
        """Tokens for a code or a refresh token."""
        asked = call.json()
        if asked.get("client_id") != APPLICATION or asked.get("client_secret") != SECRET:
            raise Refused(401, "UNAUTHORIZED", "Not authorized.")
        match asked.get("grant_type"):
            case "authorization_code":
                grant = self._of_code(asked)
            case "refresh_token":
                grant = self._of_refresh(asked)
            case _:
                raise Refused(400, "BAD_REQUEST", "Unknown grant type.", "grant_type")
        access = "EAAA" + self._random()
        grant.access[access] = self.now() + self.conduct.lives(ACCESS_LIVES)
        self.exchanges += 1
        told = {
            "access_token": access,
            "token_type": "bearer",
            "expires_at": stamp(grant.access[access]),
            "merchant_id": self.merchant,
            "refresh_token": grant.refresh,
            "short_lived": False,
        }
        return as_json(told)

    def _of_code(self, asked: Mapping[str, Any]) -> Grant:
        kept = self._codes.get(str(asked.get("code")))
        fits = kept is not None and not kept.used and kept.redirect == asked.get("redirect_uri")
        if kept is None or not fits or self.now() > kept.at + oauth.CODE_LIVES:
            raise Refused(401, "UNAUTHORIZED", "Authorization code is not valid.")
        kept.used = True
        self.grants.append(kept.grant)
        return kept.grant

    def _of_refresh(self, asked: Mapping[str, Any]) -> Grant:
        token = asked.get("refresh_token")
        grant = next((one for one in self.grants if one.refresh == token), None)
        if grant is None:
            raise Refused(401, "UNAUTHORIZED", "Refresh token is not valid.")
        if grant.dead:
            raise Refused(401, "ACCESS_TOKEN_REVOKED", "The seller took the access back.")
        return grant

    def revoke(self, call: Call) -> Response:
        """Ends all that the seller of a token gave the app."""
        asked = call.json()
        shown = call.headers.get("authorization", "") == f"Client {SECRET}"
        if not shown or asked.get("client_id") != APPLICATION:
            raise Refused(401, "UNAUTHORIZED", "Not authorized.")
        token, merchant = asked.get("access_token"), asked.get("merchant_id")
        if bool(token) == bool(merchant):
            raise Refused(400, "BAD_REQUEST", "Name an access token or a merchant.")
        if merchant != self.merchant and not any(token in one.access for one in self.grants):
            raise Refused(404, "NOT_FOUND", "No such token.")
        self.end()
        return as_json({"success": True})

    def end(self) -> int:
        """The seller's access ends; how many grants that was."""
        live = [one for one in self.grants if not one.dead]
        for grant in live:
            grant.dead = True
        return len(live)

    def grant_of(self, call: Call, needs: str) -> Grant:
        """Whose access token a call carries; `Refused` where it opens nothing."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        grant = next((one for one in self.grants if token in one.access), None)
        if scheme.lower() != "bearer" or grant is None:
            raise Refused(401, "UNAUTHORIZED", "This request could not be authorized.")
        if grant.dead:
            raise Refused(401, "ACCESS_TOKEN_REVOKED", "The access token was revoked.")
        if grant.access[token] <= self.now():
            raise Refused(401, "ACCESS_TOKEN_EXPIRED", "The access token has expired.")
        if needs not in grant.scopes:
            raise Refused(403, "INSUFFICIENT_SCOPES", f"The token lacks the scope {needs}.")
        return grant

    def _random(self) -> str:
        return f"{self.rng.getrandbits(200):050x}"
