"""Asks a provider to take back what a connection was granted, and says what it did."""

from __future__ import annotations

from dataclasses import dataclass

from landbridge.client import Client
from landbridge.client.asking import ask
from landbridge.engine.app_client import of, open_client
from landbridge.engine.consent_input import texts_of
from landbridge.engine.token_seals import open_access, open_credential
from landbridge.errors import LandbridgeError
from landbridge.oauth import addresses, revoke
from landbridge.spec import OAuth2, Provider
from landbridge.store import connections, grants
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.grants import Grant
from landbridge.vault import Vault


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """What became of a grant at the provider."""

    state: str
    """`revoked`; `unknown_token` (it was not valid any more); `no_way` (it has no way to do it);
    `kept` (other connections live by it); `forgotten` (we had no token left); `failed` (the
    provider did not do it: the customer should take the access back there)."""
    detail: str
    """A sentence for a report, without any secret."""


async def withdraw(
    db: Database, vault: Vault, client: Client, provider: Provider, connection: Connection
) -> Withdrawn:
    """Revokes the tokens of a connection's grant, unless another connection lives by it.

    Nothing of ours changes, and nothing is raised for what the provider does: forget the grant
    afterwards. A refresh that ends meanwhile leaves newer tokens: those are revoked too.
    """
    auth = provider.auth
    if not isinstance(auth, OAuth2):
        return Withdrawn(
            state="no_way",
            detail=f"what was typed in stays valid at {provider.name} until it is withdrawn there",
        )
    grant = await _grant(db, connection)
    if grant is None:
        return Withdrawn(state="forgotten", detail="its tokens were forgotten before")
    beside = await connections.of_grant(
        db,
        environment=grant.environment,
        tenant=grant.tenant,
        access_grant=grant.id,
    )
    others = [one for one in beside if one.id != connection.id and one.state != "revoked"]
    if others:
        return Withdrawn(
            state="kept",
            detail=f"the consent is kept at {provider.name}: {len(others)} other"
            f" connection{'s live' if len(others) > 1 else ' lives'} by it",
        )
    settings = texts_of(connection.settings)
    try:
        if not addresses(auth, settings).revoke:
            return Withdrawn(
                state="no_way",
                detail=f"{provider.name} has no address for it; the access ends there when the"
                " customer takes it back",
            )
        app = await open_client(vault, await of(db, environment=grant.environment, id=grant.app))
        while True:
            hint, token = await _token(vault, grant, access=auth.revoke_body == "access")
            if not token:
                return Withdrawn(state="forgotten", detail="there was no token left to revoke")
            done = await ask(client, revoke(auth, app, token, hint=hint, settings=settings))
            later = await _grant(db, connection)
            if later is None or later.version == grant.version:
                return Withdrawn(state=done.state, detail=done.detail)
            grant = later
    except LandbridgeError as error:
        return Withdrawn(
            state="failed",
            detail=f"{provider.name} did not take it back ({error}); the customer should do it",
        )


async def _grant(db: Database, connection: Connection) -> Grant | None:
    return await grants.one(
        db,
        environment=connection.environment,
        tenant=connection.tenant,
        id=connection.access_grant,
    )


async def _token(vault: Vault, grant: Grant, *, access: bool) -> tuple[str, str]:
    """What kind of token there is to revoke, and the token; the refresh token if there is one,
    unless the provider asks for the access token."""
    if not access and (token := (await open_credential(vault, grant)).get("refresh_token")):
        return "refresh_token", token
    if grant.access is not None:
        return "access_token", await open_access(vault, grant)
    return "", ""
