"""An authorisation server made with Authlib: PKCE required, refresh tokens rotate, and a small API.

It consents by itself, or declines, as the test says; what it was asked is kept in `asked`.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

from authlib.integrations.flask_oauth2 import (
    AuthorizationServer,
    ResourceProtector,
    current_token,
)
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc6749.models import AuthorizationCodeMixin
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7523 import JWTBearerGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask, Response, jsonify, request
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

CLIENT_ID = "our-app"
CLIENT_SECRET = "our-app-secret-canary"
_PAGE = """<!doctype html><html lang="en"><title>Ledger</title>
<h1>Acme Books wants access to your Ledger</h1>
<a href="{here}&amp;agreed=yes">Allow</a> <a href="{here}&amp;agreed=no">Decline</a>"""
_METHODS = ("client_secret_basic", "client_secret_post")


@dataclass
class Client(ClientMixin):  # type: ignore[misc]
    """A registration at the server."""

    client_id: str
    secret: str
    redirects: tuple[str, ...] = ()
    public_key: str = ""

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.redirects[0]

    def get_allowed_scope(self, scope: str) -> str:
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirects

    def check_client_secret(self, client_secret: str) -> bool:
        return secrets.compare_digest(self.secret, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in ("client_secret_basic", "client_secret_post")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return True


@dataclass
class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    """A code, which the server takes once."""

    code: str
    client_id: str
    redirect_uri: str
    scope: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass
class Token(TokenMixin):  # type: ignore[misc]
    """A pair of tokens."""

    client_id: str
    access_token: str
    refresh_token: str | None
    scope: str
    expires_in: int
    issued_at: float = field(default_factory=time.time)
    revoked: bool = False
    rotated: bool = False

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id

    def get_scope(self) -> str:
        return self.scope

    def get_expires_in(self) -> int:
        return self.expires_in

    def is_expired(self) -> bool:
        return time.time() > self.issued_at + self.expires_in

    def is_revoked(self) -> bool:
        return self.revoked


@dataclass
class Peer:
    """The server as a test steers it."""

    url: str = ""
    accounts: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": "org-1", "name": "Acme Ltd", "type": "ORGANISATION"}]
    )
    declines: bool = False
    shows: bool = False
    """Whether it shows a page that asks, with a link to allow it and one to decline."""
    broken: str = ""
    """A path whose answers are 500 from now on."""
    lives: int = 1800
    rotates: bool = True
    clients: dict[str, Client] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    tokens: list[Token] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def counted(self, path: str) -> int:
        """How many requests came to a path."""
        return sum(1 for one, _ in self.asked if one == path)

    def live(self) -> list[Token]:
        """The tokens that are not revoked."""
        return [token for token in self.tokens if not token.revoked]


def _register(server: AuthorizationServer, peer: Peer) -> None:
    class ByCode(grants.AuthorizationCodeGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = _METHODS

        def save_authorization_code(self, code: str, asking: Any) -> None:
            peer.codes[code] = Code(
                code=code,
                client_id=asking.client.client_id,
                redirect_uri=asking.payload.redirect_uri,
                scope=asking.payload.scope,
                code_challenge=asking.payload.data.get("code_challenge"),
                code_challenge_method=asking.payload.data.get("code_challenge_method"),
            )

        def query_authorization_code(self, code: str, client: Client) -> Code | None:
            found = peer.codes.get(code)
            return found if found and found.client_id == client.client_id else None

        def delete_authorization_code(self, authorization_code: Code) -> None:
            peer.codes.pop(authorization_code.code, None)

        def authenticate_user(self, authorization_code: Code) -> str:
            return "ann"

    server.register_grant(ByCode, [CodeChallenge(required=True)])
    server.register_grant(_by_refresh(peer))
    for grant in _without_a_person(peer):
        server.register_grant(grant)
    server.register_endpoint(_revoking(peer))


def _by_refresh(peer: Peer) -> type:
    class ByRefresh(grants.RefreshTokenGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = _METHODS

        @property
        def INCLUDE_NEW_REFRESH_TOKEN(self) -> bool:  # noqa: N802 - Authlib's name
            return peer.rotates

        def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
            for token in peer.live():
                if token.refresh_token == refresh_token and not token.rotated:
                    return token
            return None

        def authenticate_user(self, refresh_token: Token) -> str:
            return "ann"

        def revoke_old_credential(self, refresh_token: Token) -> None:
            refresh_token.rotated = peer.rotates

    return ByRefresh


def _without_a_person(peer: Peer) -> tuple[type, type]:
    class Ours(grants.ClientCredentialsGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = _METHODS

    class ByAssertion(JWTBearerGrant):  # type: ignore[misc]
        def resolve_issuer_client(self, issuer: str) -> Client | None:
            return peer.clients.get(issuer)

        def get_audiences(self) -> list[str]:
            return [f"{peer.url}/token"]

        def resolve_client_public_key(self, client: Client) -> RSAKey:
            return RSAKey.import_key(client.public_key)

        def authenticate_user(self, subject: str) -> str:
            return subject

        def has_granted_permission(self, client: Client, user: str) -> bool:
            return True

    return Ours, ByAssertion


def _revoking(peer: Peer) -> type:
    class Revoking(RevocationEndpoint):  # type: ignore[misc]
        CLIENT_AUTH_METHODS = _METHODS

        def query_token(self, token_string: str, token_type_hint: str) -> Token | None:
            for token in peer.tokens:
                if token_string in (token.refresh_token, token.access_token):
                    return token
            return None

        def revoke_token(self, token: Token, asking: Any) -> None:
            token.revoked = True

    return Revoking


def _bearer(peer: Peer) -> BearerTokenValidator:
    class Bearer(BearerTokenValidator):  # type: ignore[misc]
        def authenticate_token(self, token_string: str) -> Token | None:
            return next((one for one in peer.tokens if one.access_token == token_string), None)

    return Bearer()


def _app(peer: Peer) -> Flask:
    app = Flask(__name__)
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
    app.config["OAUTH2_TOKEN_EXPIRES_IN"] = dict.fromkeys(
        ("authorization_code", "client_credentials", "refresh_token"), peer.lives
    )

    def save(token: dict[str, Any], asking: Any) -> None:
        peer.tokens.append(
            Token(
                client_id=asking.client.client_id,
                access_token=token["access_token"],
                refresh_token=token.get("refresh_token"),
                scope=token.get("scope", ""),
                expires_in=token["expires_in"],
            )
        )

    server = AuthorizationServer(app, query_client=peer.clients.get, save_token=save)

    _register(server, peer)
    needs = ResourceProtector()
    needs.register_token_validator(_bearer(peer))
    _serve(app, server, needs, peer)
    return app


def _serve(app: Flask, server: AuthorizationServer, needs: ResourceProtector, peer: Peer) -> None:
    @app.before_request
    def _noted() -> Response | None:
        peer.asked.append((request.path, {**request.args.to_dict(), **request.form.to_dict()}))
        return Response("broken", status=500) if request.path == peer.broken else None

    @app.get("/authorize")
    def _authorize() -> Any:
        try:
            grant = server.get_consent_grant(end_user="ann")
        except OAuth2Error as error:
            return Response(str(error), status=400)
        if peer.shows and "agreed" not in request.args:
            return _PAGE.format(here=escape(request.full_path))
        declined = peer.declines or request.args.get("agreed") == "no"
        agreed = None if declined else "ann"
        return server.create_authorization_response(grant_user=agreed, grant=grant)

    @app.post("/token")
    def _token() -> Any:
        return server.create_token_response()

    @app.post("/revoke")
    def _revoke() -> Any:
        return server.create_endpoint_response("revocation")

    @app.get("/connections")
    @needs()  # type: ignore[untyped-decorator]
    def _connections() -> Any:
        return jsonify(peer.accounts)

    @app.get("/me")
    @needs()  # type: ignore[untyped-decorator]
    def _me() -> Any:
        return jsonify({"id": current_token.client_id, "name": "The client's own"})

    @app.get("/customers")
    @needs()  # type: ignore[untyped-decorator]
    def _customers() -> Any:
        return jsonify({"data": [{"id": "cus_1", "name": "Ann"}], "more": False})


@contextmanager
def authlib_server(*redirects: str, lives: int = 1800) -> Iterator[Peer]:
    """The server on a port of its own, until the end of the block."""
    peer = Peer(lives=lives)
    peer.clients[CLIENT_ID] = Client(CLIENT_ID, CLIENT_SECRET, tuple(redirects))
    with _insecure():
        listener = make_server("127.0.0.1", 0, _app(peer), threaded=True)
        peer.url = f"http://127.0.0.1:{listener.server_port}"
        serving = threading.Thread(target=listener.serve_forever, daemon=True)
        serving.start()
        try:
            yield peer
        finally:
            listener.shutdown()
            serving.join()
            listener.server_close()


@contextmanager
def _insecure() -> Iterator[None]:
    """Authlib refuses plain HTTP unless it is told that this is a test."""
    import os

    before = os.environ.get("AUTHLIB_INSECURE_TRANSPORT")
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["AUTHLIB_INSECURE_TRANSPORT"]
        else:
            os.environ["AUTHLIB_INSECURE_TRANSPORT"] = before
