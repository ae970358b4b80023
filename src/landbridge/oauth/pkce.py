"""PKCE (RFC 7636): what makes a stolen code worthless."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

_BYTES = 32
"""Of randomness in a verifier, as RFC 7636 section 4.1 recommends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pkce:
    """A verifier, which is kept secret until the code is exchanged, and its challenge (S256)."""

    verifier: str = field(repr=False)
    challenge: str


def make_pkce(random: Callable[[int], bytes]) -> Pkce:
    """A fresh pair. `random` gives that many unguessable bytes (`secrets.token_bytes`)."""
    verifier = _base64url(random(_BYTES))
    return Pkce(verifier=verifier, challenge=_base64url(sha256(verifier.encode()).digest()))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
