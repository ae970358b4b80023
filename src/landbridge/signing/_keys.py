"""Secrets of Standard Webhooks: `whsec_` (HMAC), `whsk_` and `whpk_` (ed25519, private, public).

Each is its prefix and base64 (github.com/standard-webhooks/standard-webhooks, "Signature scheme").
A private key is its 32-byte seed, or seed and public key together as some libraries write it.
"""

from __future__ import annotations

import base64
import binascii
import secrets as _secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from landbridge.errors import InvalidInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SECRET, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
_SHAPE = "a secret is whsec_ and 24 to 64 bytes in base64"
_SEED = 32


def new_secret(rng: Callable[[int], bytes] = _secrets.token_bytes) -> str:
    """A fresh secret: `whsec_` and 32 random bytes in base64. `rng(n)` gives n random bytes."""
    return SECRET + base64.b64encode(rng(32)).decode()


def new_private_key(rng: Callable[[int], bytes] = _secrets.token_bytes) -> str:
    """A fresh ed25519 key: `whsk_` and 32 random bytes in base64; `public_key` is for receivers."""
    return PRIVATE + base64.b64encode(rng(_SEED)).decode()


def public_key(private: str) -> str:
    """The `whpk_...` that verifies what the private key `whsk_...` signs."""
    raw = private_key_of(private).public_key().public_bytes_raw()
    return PUBLIC + base64.b64encode(raw).decode()


def hmac_key(secret: str) -> bytes:
    """The bytes in the base64 after `whsec_`; padding and prefix may be left out."""
    key = _decoded(secret.removeprefix(SECRET))
    if not key:
        raise InvalidInput(f"secret: it is empty; {_SHAPE}")
    return key


def private_key_of(secret: str) -> Ed25519PrivateKey:
    """The key that signs; a `whsk_` whose second half is another seed's public key is refused."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - only v1a needs it

    raw = _decoded(secret.removeprefix(PRIVATE))
    if len(raw) not in {_SEED, 2 * _SEED}:
        raise InvalidInput("secret: a private key is whsk_ and 32 or 64 bytes in base64")
    key = Ed25519PrivateKey.from_private_bytes(raw[:_SEED])
    if raw[_SEED:] not in {b"", key.public_key().public_bytes_raw()}:
        raise InvalidInput("secret: the halves of this private key do not belong together")
    return key


def public_key_of(text: str) -> Ed25519PublicKey:
    """The key that verifies, from `whpk_...`, or from the private one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - only v1a needs it

    if text.startswith(PRIVATE):
        return private_key_of(text).public_key()
    raw = _decoded(text.removeprefix(PUBLIC))
    if len(raw) != _SEED:
        raise InvalidInput("secret: a public key is whpk_ and 32 bytes in base64")
    return Ed25519PublicKey.from_public_bytes(raw)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"secret: it is not base64; {_SHAPE}") from None
