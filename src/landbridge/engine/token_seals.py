"""Seals and opens what a grant's row holds: its credential, and its access token."""

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
        place=_secret_of(grant.id),
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
        place=_access_of(grant.id),
        envelope=grant.access,
    )
    return opened.decode()


async def seal_credential(
    vault: Vault, *, environment: str, tenant: str, grant: str, credential: Mapping[str, str]
) -> bytes:
    """The sealed credential of the grant with this id: what `open_credential` gives."""
    return await vault.seal(
        Kind.CREDENTIAL,
        environment=environment,
        tenant=tenant,
        place=_secret_of(grant),
        secret=msgspec.json.encode(dict(credential)),
    )


async def seal_access(
    vault: Vault, *, environment: str, tenant: str, grant: str, token: str
) -> bytes:
    """The sealed access token of the grant with this id."""
    return await vault.seal(
        Kind.ACCESS,
        environment=environment,
        tenant=tenant,
        place=_access_of(grant),
        secret=token.encode(),
    )


async def seal_tokens(
    vault: Vault, *, environment: str, tenant: str, grant: str, tokens: Tokens
) -> tuple[bytes | None, bytes | None]:
    """The sealed refresh token and the sealed access token; None for one that did not come."""
    whose = {"environment": environment, "tenant": tenant, "grant": grant}
    secret = access = None
    if tokens.refresh is not None:
        kept = {"refresh_token": tokens.refresh}
        secret = await seal_credential(vault, **whose, credential=kept)
    if tokens.access:
        access = await seal_access(vault, **whose, token=tokens.access)
    return secret, access


def _secret_of(grant: str) -> str:
    return f"grant/{grant}/secret"


def _access_of(grant: str) -> str:
    return f"grant/{grant}/access"
