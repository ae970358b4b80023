"""Puts a connection's credentials on a request, as its provider's page says."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from landbridge.spec import ApiKey, Basic, Provider
from landbridge.store.connections import Connection
from landbridge.wire import Headers, Response

ACCESS_TOKEN = "access_token"

_SHORTEST = 6
"""Letters; a shorter secret would black out ordinary words, and is none."""


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """Whose credentials a call carries: those of a connection, or some that are being tried."""

    connection: Connection | None = None
    credentials: Mapping[str, str] | None = field(default=None, repr=False)


def authorization(provider: Provider, credentials: Mapping[str, str]) -> dict[str, str]:
    """The header that signs a call in: an API key, HTTP Basic (RFC 7617, in UTF-8), or a bearer
    token (RFC 6750), which is the credential `access_token`."""
    auth = provider.auth
    if isinstance(auth, ApiKey):
        key = credentials[auth.key]
        return {auth.header: f"{auth.scheme} {key}" if auth.scheme else key}
    if isinstance(auth, Basic):
        pair = f"{credentials[auth.username]}:{credentials[auth.password]}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {"Authorization": f"Bearer {credentials[ACCESS_TOKEN]}"}


def account_header(provider: Provider, sign_in: SignIn) -> dict[str, str]:
    """The header that names the connection's account, where the page has one; else none."""
    header = provider.accounts.header if provider.accounts else ""
    connection = sign_in.connection
    return {header: connection.account} if header and connection else {}


def hushed(provider: Provider, credentials: Mapping[str, str], response: Response) -> Response:
    """The answer without the credentials of its request, which some servers say back in errors.

    An answer of success is given as it is: it is the provider's record, kept byte for byte.
    """
    if 200 <= response.status < 300:
        return response
    declared = {field.name for field in provider.auth.fields if field.secret}
    secrets = {credentials[name] for name in declared & set(credentials)}
    for value in authorization(provider, credentials).values():
        secrets.update(value.split())
    body, pairs = response.body, list(response.headers.pairs())
    for secret in sorted(filter(_is_long, secrets), key=len, reverse=True):
        for form in {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}:
            body = body.replace(form.encode(), b"***")
            pairs = [(name, value.replace(form, "***")) for name, value in pairs]
    return replace(response, body=body, headers=Headers(pairs))


def _is_long(secret: str) -> bool:
    return len(secret) >= _SHORTEST
