"""What a browser keeps of a consent under way: who it is, and where to go on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

_LIVES = 600


@dataclass(frozen=True, kw_only=True)
class Held:
    """`secret` is the session's token while the browser is at the provider, and then the token of
    the choice."""

    browser_token: str = field(repr=False)
    secret: str = field(repr=False)


def choice_of(token: str) -> str:
    """The key of a session's cookie between a consent and the choice of accounts."""
    return f"choice/{token}"


def kept(public: str, key: str, held: Held) -> str:
    """The header that keeps it for ten minutes, below `/connect` of the public address alone.

    `Lax`: the provider sends the whole window back, so that it comes along, and no third party's
    frame ever needs it.
    """
    return _cookie(public, key, f"{held.browser_token}~{held.secret}", _LIVES)


def gone(public: str, key: str) -> str:
    """The header that ends it."""
    return _cookie(public, key, "", 0)


def held(header: str, key: str) -> Held:
    """What the browser sent back; empty if it did not."""
    try:
        found = SimpleCookie(header).get(_name(key))
    except CookieError:
        found = None
    browser_token, _, secret = (found.value if found else "").partition("~")
    return Held(browser_token=browser_token, secret=secret)


def _cookie(public: str, key: str, value: str, lives: int) -> str:
    at = urlsplit(public)
    secure = "; Secure" if at.scheme == "https" else ""
    return (
        f"{_name(key)}={value}; Path={at.path.rstrip('/')}/connect/; Max-Age={lives};"
        f" HttpOnly; SameSite=Lax{secure}"
    )


def _name(key: str) -> str:
    return f"landbridge_{hashlib.sha256(key.encode()).hexdigest()[:16]}"
