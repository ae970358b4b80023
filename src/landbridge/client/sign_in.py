"""Puts a connection's credentials on a request, as its provider's page says."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from landbridge.spec import ApiKey, Provider
from landbridge.store.connections import Connection


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """Whose credentials a call carries: those of a connection, or some that are being tried."""

    connection: Connection | None = None
    credentials: Mapping[str, str] | None = field(default=None, repr=False)


def authorization(provider: Provider, credentials: Mapping[str, str]) -> dict[str, str]:
    """The header that signs a call in: an API key or HTTP Basic (RFC 7617, in UTF-8)."""
    auth = provider.auth
    if isinstance(auth, ApiKey):
        key = credentials[auth.key]
        return {auth.header: f"{auth.scheme} {key}" if auth.scheme else key}
    pair = f"{credentials[auth.username]}:{credentials[auth.password]}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
