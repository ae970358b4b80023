"""Where one consents and where tokens are exchanged, with the holes of the page filled."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from landbridge.errors import InvalidInput
from landbridge.spec import Auth, OAuth2
from landbridge.spec.auth import ClientCredentials, JwtBearer

_HOLE = re.compile(r"\{(\w+)\}")
_PART = re.compile(r"[A-Za-z0-9._~-]+")
"""What may fill a hole inside an address: nothing that could lead to another host or path."""
_WHOLE = re.compile(r"https?://[^/\s?#@]+(/[^\s?#]*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Addresses:
    """The addresses of a provider's authorisation server; empty: it has none of that kind."""

    authorize: str
    token: str
    revoke: str


def addresses(auth: Auth, settings: Mapping[str, str]) -> Addresses:
    """The page's addresses for a connection with these settings.

    A setting with the fact's own name (`authorize`, `token`, `revoke`) stands above the page: that
    is how a sandbox or a simulator is reached. InvalidInput names a hole that is empty or is filled
    with what is no part of an address.
    """
    if not isinstance(auth, OAuth2 | ClientCredentials | JwtBearer):
        raise InvalidInput("auth: this provider is connected with a key or a password, not tokens")
    return Addresses(
        authorize=_placed("authorize", getattr(auth, "authorize", ""), settings),
        token=_placed("token", auth.token, settings),
        revoke=_placed("revoke", getattr(auth, "revoke", ""), settings),
    )


def _placed(name: str, template: str, settings: Mapping[str, str]) -> str:
    own = settings.get(name, "").strip()
    if own:
        if not _WHOLE.fullmatch(own):
            raise InvalidInput(f"{name}: not an address such as https://example.com/oauth/{name}")
        return own
    return _HOLE.sub(lambda hole: _filled(hole, settings), template)


def _filled(hole: re.Match[str], settings: Mapping[str, str]) -> str:
    name = hole[1]
    value = settings.get(name, "").strip()
    if not value:
        raise InvalidInput(f"{name}: missing; the provider's address has it in it")
    if hole.start() == 0:
        if not _WHOLE.fullmatch(value):
            raise InvalidInput(f"{name}: not an address such as https://example.com")
        return value.rstrip("/")
    if not _PART.fullmatch(value):
        raise InvalidInput(f"{name}: only letters, digits, dots and dashes may stand in an address")
    return value
