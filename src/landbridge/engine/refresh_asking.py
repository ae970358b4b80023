"""What is said to a token's address for a grant, by its provider's way of signing in."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from landbridge import oauth
from landbridge.client import Client
from landbridge.client.asking import ask
from landbridge.clock import Clock
from landbridge.engine.app_client import open_client
from landbridge.engine.consent_input import texts_of
from landbridge.engine.token_seals import open_credential
from landbridge.errors import InvalidInput
from landbridge.oauth import Tokens
from landbridge.spec import Auth, ClientCredentials, JwtBearer, OAuth2
from landbridge.store.apps import App
from landbridge.store.grants import Grant
from landbridge.vault import Vault
from landbridge.wire import Request, Response

Asked = Callable[[], Generator[Request, Response, Tokens]]


async def conversation(
    auth: Auth, app: App, vault: Vault, grant: Grant, settings: Mapping[str, Any], clock: Clock
) -> Asked:
    """What begins a conversation that gives new tokens for the grant; each call begins one anew."""
    placed = texts_of(settings)
    if isinstance(auth, OAuth2):
        client = await open_client(vault, app)
        token = (await open_credential(vault, grant))["refresh_token"]
        return lambda: oauth.refresh(auth, client, token, settings=placed)
    if isinstance(auth, ClientCredentials):
        typed = await open_credential(vault, grant)
        return lambda: oauth.client_credentials(auth, typed, scopes=grant.scopes, settings=placed)
    if isinstance(auth, JwtBearer):
        key = await open_credential(vault, grant)
        return lambda: oauth.jwt_bearer(
            auth, key, clock.now(), scopes=grant.scopes, settings=placed
        )
    raise InvalidInput("auth: this provider is connected with a key or a password, not tokens")


async def give_back(
    client: Client, auth: Auth, app: App, vault: Vault, tokens: Tokens, settings: Mapping[str, Any]
) -> None:
    """Revokes tokens that came for a grant which was forgotten meanwhile, where one can."""
    if isinstance(auth, OAuth2) and auth.revoke:
        shown = await open_client(vault, app)
        token, hint = tokens.refresh or tokens.access, "refresh_token"
        if tokens.refresh is None or auth.revoke_body == "access":
            token, hint = tokens.access, "access_token"
        await ask(client, oauth.revoke(auth, shown, token, hint=hint, settings=texts_of(settings)))
