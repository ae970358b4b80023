"""An app that talks to a simulator by itself: consent with PKCE, code, tokens."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2

from tests.plain import PLAIN
from tests.providers.through import Simulated

VERIFIER = "v" * 50
REDIRECT = "https://app.example/back"


class Visitor:
    """The app, which asks for `scopes` at the address `authorize`; a simulator's own says how a
    token is asked for."""

    authorize: str
    scopes: str

    def __init__(self, sim: Simulated):
        self.http = httpx2.Client(base_url=sim.url, trust_env=False, verify=PLAIN)
        self.tokens: dict[str, Any] = {}
        self.client = (sim.client_id, sim.client_secret)

    def consent(self, **more: str) -> dict[str, str]:
        """The parameters with which the browser comes back."""
        challenge = hashlib.sha256(VERIFIER.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.client[0],
            "redirect_uri": REDIRECT,
            "scope": self.scopes,
            "state": "s1",
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **more,
        }
        answer = self.http.get(self.authorize, params=asked)
        assert answer.status_code == 302, answer.text
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    def token(self, **form: str) -> httpx2.Response:
        """The answer to a request for tokens, with the app's client and secret."""
        raise NotImplementedError

    def exchange(self, code: str, verifier: str = VERIFIER) -> httpx2.Response:
        """The answer to a code."""
        return self.token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=REDIRECT,
            code_verifier=verifier,
        )

    def refresh(self, token: str) -> httpx2.Response:
        """The answer to a refresh token."""
        return self.token(grant_type="refresh_token", refresh_token=token)

    def connect(self, **more: str) -> None:
        """Goes on with the tokens of a new consent."""
        answer = self.exchange(self.consent(**more)["code"])
        assert answer.status_code == 200, answer.text
        self.tokens = answer.json()

    @property
    def bearer(self) -> dict[str, str]:
        """The header of a call."""
        return {"Authorization": f"Bearer {self.tokens.get('access_token', '')}"}
