"""How one signs in to a provider, computed from its page: for tables and documentation."""

from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from landbridge.spec.auth import ApiKey, Basic, ClientCredentials, JwtBearer, OAuth2
from landbridge.spec.provider import Provider

__all__ = [
    "Entry",
    "entry",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """How a connection is let in, in words."""

    by: str
    pkce: str
    """`S256`, or why there is none."""
    accounts: str
    """`one`, or `several` behind one consent."""
    tokens: str
    """How long tokens live and whether refreshing replaces the refresh token."""
    revocation: str
    """`yes`: disconnecting ends the tokens at the provider too."""


def entry(provider: Provider) -> Entry:
    """How one signs in to a provider."""
    auth = provider.auth
    several = provider.accounts is not None and provider.accounts.list is not None
    accounts = "several" if several else "one"
    match auth:
        case ApiKey():
            return _typed("an API key", accounts, "a key lives until it is withdrawn")
        case Basic():
            return _typed("HTTP Basic", accounts, "a password lives until it is changed")
        case ClientCredentials():
            lives = f"access {_words(auth.access_lives)}"
            return _typed("OAuth 2 with the customer's own client", accounts, lives)
        case JwtBearer():
            lives = f"access {_words(auth.access_lives)}"
            return _typed("an assertion that the customer's key signs", accounts, lives)
        case OAuth2():
            return Entry(
                by="OAuth 2 in a browser",
                pkce="S256" if auth.pkce else f"none: {auth.pkce_why}",
                accounts=accounts,
                tokens=_tokens(auth),
                revocation="yes" if auth.revoke else "no address for it",
            )
        case _:
            assert_never(auth)


def _typed(by: str, accounts: str, tokens: str) -> Entry:
    return Entry(
        by=by,
        pkce="not needed: nobody is redirected",
        accounts=accounts,
        tokens=tokens,
        revocation="no: it was typed in",
    )


def _tokens(auth: OAuth2) -> str:
    words = [f"access {_words(auth.access_lives)}"]
    if not auth.refreshes:
        return f"{words[0]}, no refresh"
    lives = f"refresh {_words(auth.refresh_lives)}" if auth.refresh_lives else "refresh for good"
    words.append(f"{lives}, anew with each use" if auth.refresh_idle else lives)
    if auth.refresh_rotates:
        words.append("rotates")
    return ", ".join(words)


def _words(span: timedelta) -> str:
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1))):
        if span >= length and not span % length:
            return f"{span // length} {unit}"
    return f"{span // timedelta(minutes=1)} min"
