"""OAuth 2 as pure rules: PKCE, the address of a consent, and conversations about tokens.

A conversation is a generator that yields requests and receives responses (RFC 6749, 7009, 7523).
It does no I/O, and its values show no secret.
"""

from landbridge.oauth.addresses import Addresses, addresses
from landbridge.oauth.assertion import assertion
from landbridge.oauth.authorize import authorize_url
from landbridge.oauth.pkce import Pkce, make_pkce
from landbridge.oauth.tokens import (
    client_credentials,
    exchange,
    jwt_bearer,
    refresh,
    revoke,
)
from landbridge.oauth.values import AppClient, Revocation, Tokens

__all__ = [
    "Addresses",
    "AppClient",
    "Pkce",
    "Revocation",
    "Tokens",
    "addresses",
    "assertion",
    "authorize_url",
    "client_credentials",
    "exchange",
    "jwt_bearer",
    "make_pkce",
    "refresh",
    "revoke",
]
