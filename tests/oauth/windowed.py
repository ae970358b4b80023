"""An authorisation server made with Authlib whose used refresh tokens are taken for a while.

Refresh tokens rotate. Within the window a used one gives a new pair, as long as none that came of
it was used; after that it ends its whole family.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import TokenMixin, grants
from flask import Flask
from werkzeug.serving import make_server

from tests.oauth.authlib_server import CLIENT_ID, CLIENT_SECRET, Client

_METHODS = ("client_secret_basic", "client_secret_post")


@dataclass
class Family(TokenMixin):  # type: ignore[misc]
    """All tokens of one consent: those that are good, and since when others were used."""

    good: set[str] = field(default_factory=set)
    used: dict[str, float] = field(default_factory=dict)
    presented: str = ""
    ended: bool = False

    def check_client(self, client: Client) -> bool:
        return client.client_id == CLIENT_ID

    def get_scope(self) -> str:
        return "api"


@dataclass
class Windowed:
    """The server, with what it counted."""

    window: float
    url: str = ""
    families: list[Family] = field(default_factory=list)
    exchanged: int = 0
    refused: int = 0

    async def mint(self, number: int) -> list[str]:
        """That many refresh tokens, as if so many people had consented."""
        tokens = [secrets.token_urlsafe(32) for _ in range(number)]
        self.families += [Family(good={token}) for token in tokens]
        return tokens

    async def counts(self) -> dict[str, int]:
        """What it did: `exchanged` refresh tokens, `refused`, families `ended`."""
        ended = sum(family.ended for family in self.families)
        return {"exchanged": self.exchanged, "refused": self.refused, "ended": ended}

    async def alive(self, token: str) -> bool:
        """Whether it would take this refresh token as its newest."""
        return any(token in family.good and not family.ended for family in self.families)

    def find(self, token: str) -> Family | None:
        """The family that the token may be exchanged in; ends one whose token was stolen."""
        for family in self.families:
            if family.ended or token not in family.good | family.used.keys():
                continue
            since = family.used.get(token)
            if since is None or time.monotonic() - since < self.window:
                family.presented = token
                return family
            family.ended = True
        self.refused += 1
        return None


def _app(peer: Windowed) -> Flask:
    app = Flask(__name__)
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
    app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"refresh_token": 1800}
    known = {CLIENT_ID: Client(CLIENT_ID, CLIENT_SECRET)}

    class ByRefresh(grants.RefreshTokenGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = _METHODS
        INCLUDE_NEW_REFRESH_TOKEN = True

        def authenticate_refresh_token(self, refresh_token: str) -> Family | None:
            return peer.find(refresh_token)

        def authenticate_user(self, refresh_token: Family) -> str:
            return "ann"

        def revoke_old_credential(self, refresh_token: Family) -> None:
            used = refresh_token.presented
            refresh_token.good.discard(used)
            refresh_token.used.setdefault(used, time.monotonic())

    def save(token: dict[str, Any], asking: Any) -> None:
        peer.exchanged += 1
        asking.refresh_token.good.add(token["refresh_token"])

    server = AuthorizationServer(app, query_client=known.get, save_token=save)
    server.register_grant(ByRefresh)

    @app.post("/token")
    def _token() -> Any:
        return server.create_token_response()

    return app


@asynccontextmanager
async def windowed_server(window: float) -> AsyncIterator[Windowed]:
    """The server on a port of its own, until the end of the block."""
    peer = Windowed(window=window)
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    listener = make_server("127.0.0.1", 0, _app(peer), threaded=False)
    peer.url = f"http://127.0.0.1:{listener.server_port}"
    serving = threading.Thread(target=listener.serve_forever, daemon=True)
    serving.start()
    try:
        yield peer
    finally:
        await asyncio.to_thread(listener.shutdown)
        serving.join()
        listener.server_close()
