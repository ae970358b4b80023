"""Is a delivery what its sender signed? By the public `standardwebhooks` package where it is
installed, else by the few lines below; neither knows how Landbridge signs.

Scheme: HMAC-SHA256 over `id.timestamp.body`, header `webhook-signature: v1,<base64>`, several
separated by spaces; secret `whsec_` + base64; five minutes either way (standardwebhooks.com).
A secret `whpk_` + base64 is an ed25519 public key, for signatures `v1a,`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from landbridge.errors import SettingsError
from landbridge.wire import Headers

_TOLERANCE = 300
NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")

Verify = Callable[[bytes, Headers, float], str | None]
"""From body, headers and the time to why it is not genuine; None where it is."""


def own(secret: str) -> Verify:
    """Our own reading of the scheme, for shared secrets and for public keys."""
    check = _public(secret) if secret.startswith("whpk_") else _shared(secret)

    def verify(body: bytes, headers: Headers, now: float) -> str | None:
        absent = [name for name in NAMES if not headers.get(name)]
        if absent:
            return f"no {absent[0]} header"
        message, sent, signatures = (headers[name] for name in NAMES)
        if not sent.isdecimal() or abs(now - int(sent)) > _TOLERANCE:
            return "the timestamp is no number within five minutes of now"
        signed = f"{message}.{sent}.".encode() + body
        genuine = any(check(each, signed) for each in signatures.split(" "))
        return None if genuine else "no signature matches"

    return verify


def _shared(secret: str) -> Callable[[str, bytes], bool]:
    key = _key(secret, "whsec_")

    def check(signature: str, signed: bytes) -> bool:
        mark = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return hmac.compare_digest(signature.encode(), f"v1,{mark}".encode())

    return check


def _public(secret: str) -> Callable[[str, bytes], bool]:
    key = Ed25519PublicKey.from_public_bytes(_key(secret, "whpk_"))

    def check(signature: str, signed: bytes) -> bool:
        version, _, mark = signature.partition(",")
        try:
            key.verify(base64.b64decode(mark), signed)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return version == "v1a"

    return check


def _key(secret: str, prefix: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(prefix), validate=True)
    except binascii.Error:
        message = f"the secret is not {prefix} followed by base64"
        raise SettingsError(message) from None


def public_package(secret: str) -> Verify | None:
    """By `standardwebhooks`; None if it is not installed, or cannot check this kind of secret."""
    try:
        import standardwebhooks  # noqa: PLC0415 - a test dependency
    except ImportError:
        return None
    if secret.startswith("whpk_"):
        return None
    _key(secret, "whsec_")
    webhook = standardwebhooks.Webhook(secret)

    def verify(body: bytes, headers: Headers, _: float) -> str | None:
        try:
            webhook.verify(body, {name: headers.get(name, "") for name in NAMES})
        except (standardwebhooks.WebhookVerificationError, ValueError) as error:
            return str(error) or type(error).__name__
        return None

    return verify
