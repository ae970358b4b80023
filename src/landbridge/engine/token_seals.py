"""Opens and seals what a grant's row holds, for those who speak with a token's address."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from landbridge.oauth import Tokens
from landbridge.store.grants import Grant
from landbridge.vault import Kind, Vault


async def open_credential(vault: Vault, grant: Grant) -> Mapping[str, str]:
    """A grant's refresh token (`refresh_token`), or what was typed in; the key provider is asked.

    Empty where the grant has none.
    """
    if grant.secret is None:
        return {}
    opened = await vault.open(
        Kind.CREDENTIAL,
        environment=grant.environment,
        tenant=grant.tenant,
        place=f"grant/{grant.id}/secret",
        envelope=grant.secret,
    )
    return msgspec.json.decode(opened, type=dict[str, str])


async def open_access(vault: Vault, grant: Grant) -> str:
    """A grant's access token."""
    assert grant.access is not None
    opened = await vault.open(
        Kind.ACCESS,
        environment=grant.environment,
        tenant=grant.tenant,
        place=f"grant/{grant.id}/access",
        envelope=grant.access,
    )
    return opened.decode()


async def seal_tokens(vault: Vault, grant: Grant, tokens: Tokens) -> tuple[bytes | None, bytes]:
    """The sealed credential and the sealed access token of a grant that was refreshed.

    The credential stays as it is where no new refresh token was given.
    """
    whose = {"environment": grant.environment, "tenant": grant.tenant}
    secret = grant.secret
    if tokens.refresh is not None:
        secret = await vault.seal(
            Kind.CREDENTIAL,
            **whose,
            place=f"grant/{grant.id}/secret",
            secret=msgspec.json.encode({"refresh_token": tokens.refresh}),
        )
    access = await vault.seal(
        Kind.ACCESS, **whose, place=f"grant/{grant.id}/access", secret=tokens.access.encode()
    )
    return secret, access
