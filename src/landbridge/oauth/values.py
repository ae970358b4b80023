"""What conversations about tokens begin and end with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class AppClient:
    """Our registration at the provider: a client id and, unless it is public, a secret."""

    id: str
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """What a token's answer holds. No repr shows a token."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    """None: none was given; after a refresh the old one stays valid, unless the page rotates."""
    expires_in: timedelta
    """From the moment of the answer; what the page says where the answer does not."""
    scopes: tuple[str, ...]
    """What was granted; empty: the answer does not say, so it is what was asked for."""
    answer: Mapping[str, Any] = field(repr=False)
    """The whole answer, for what else it says, such as whose account it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Revocation:
    """What a provider did when it was asked to revoke a token."""

    state: str
    """`revoked`, `unknown_token` (it was not valid any more) or `no_way` (it cannot revoke)."""
    detail: str
    """A sentence for a report."""
