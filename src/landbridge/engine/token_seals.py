"""Seals and opens what a grant's row holds: its credential, and its access token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from landbridge.oauth import Tokens
from landbridge.store.grants import Grant, access_place, secret_place
from landbridge.vault import Kind, Vault


async def open_credential(vault: Vault, grant: Grant) -> Mapping[str, str]:
    """A grant's refresh token (`refresh_token`), or what was typed in to get tokens by; the key
    provider is asked.

    Empty where the grant has none.
    """
    if grant.secret is None:
        return {}
    opened = await vault.open(
        Kind.CREDENTIAL,
        environment=grant.environment,
        tenant=grant.tenant,
        place=secret_place(grant.id, grant.secret_version),
        envelope=grant.secret,
    )
    return msgspec.json.decode(opened, type=dict[str, str])


async def open_access(vault: Vault, grant: Grant) -> str:
    """A grant's access token, or its typed keys as JSON."""
    assert grant.access is not None
    opened = await vault.open(
        Kind.ACCESS,
        environment=grant.environment,
        tenant=grant.tenant,
        place=access_place(grant.id, grant.version),
        envelope=grant.access,
    )
    return opened.decode()


async def seal_credential(
    vault: Vault,
    *,
    environment: str,
    tenant: str,
    grant: str,
    credential: Mapping[str, str],
    version: int = 1,
) -> bytes:
    """The sealed credential of a version of the grant with this id: what `open_credential` gives.

    An envelope opens at its own version only: an older one that is put back does not.
    """
    return await vault.seal(
        Kind.CREDENTIAL,
        environment=environment,
        tenant=tenant,
        place=secret_place(grant, version),
        secret=msgspec.json.encode(dict(credential)),
    )


async def seal_access(
    vault: Vault, *, environment: str, tenant: str, grant: str, token: str, version: int = 1
) -> bytes:
    """The sealed access token of a version of the grant with this id, or its typed keys."""
    return await vault.seal(
        Kind.ACCESS,
        environment=environment,
        tenant=tenant,
        place=access_place(grant, version),
        secret=token.encode(),
    )


async def seal_tokens(
    vault: Vault, *, environment: str, tenant: str, grant: str, tokens: Tokens, version: int = 1
) -> tuple[bytes | None, bytes | None]:
    """The sealed refresh token and the sealed access token; None for one that did not come."""
    whose: dict[str, Any] = {
        "environment": environment,
        "tenant": tenant,
        "grant": grant,
        "version": version,
    }
    secret = access = None
    if tokens.refresh is not None:
        kept = {"refresh_token": tokens.refresh}
        secret = await seal_credential(vault, **whose, credential=kept)
    if tokens.access:
        access = await seal_access(vault, **whose, token=tokens.access)
    return secret, access
