"""Our own webhooks' signature: Standard Webhooks (github.com/standard-webhooks/standard-webhooks).

Headers `webhook-id`, `webhook-timestamp` (unix seconds) and `webhook-signature`, a list of
`<version>,<base64>` parted by blanks; the signed bytes are `<id>.<timestamp>.<body>`. Version `v1`
is HMAC-SHA256 with a secret `whsec_<base64>`; version `v1a` is ed25519, signed with `whsk_<base64>`
and verified with `whpk_<base64>`. Several signatures stand side by side while a secret is rotated.
"""

from __future__ import annotations

import base64
import binascii
import secrets as _secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from landbridge.errors import InvalidInput
from landbridge.signing._scheme import (
    BadHeader,
    Claim,
    accept,
    among,
    mac,
    missing,
    unix_seconds,
)
from landbridge.wire import Headers

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE = timedelta(minutes=5)
_SECRET, _PRIVATE, _PUBLIC = "whsec_", "whsk_", "whpk_"
_SHAPE = "a secret is whsec_ and 24 to 64 bytes in base64"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standard:
    """The rules of Standard Webhooks."""

    tolerance: timedelta = TOLERANCE
    version: str = "v1"

    def read(self, headers: Headers) -> Claim:
        """All three headers; entries of the list that are of another version are passed over."""
        absent = [name for name in (ID, TIMESTAMP, SIGNATURE) if not headers.get(name, "").strip()]
        if absent:
            raise missing(absent, headers)
        at = headers[TIMESTAMP].strip()
        seconds = unix_seconds(at, TIMESTAMP)
        pairs = [entry.partition(",") for entry in headers[SIGNATURE].split()]
        usable = tuple((version, text) for version, comma, text in pairs if comma)
        if not usable:
            raise BadHeader(
                f"{SIGNATURE}: entry 1 is not of the form v1,<base64>", reason="malformed_header"
            )
        if not any(version in {"v1", "v1a"} for version, _ in usable):
            others = ", ".join(sorted({version for version, _ in usable}))
            raise BadHeader(
                f"{SIGNATURE}: no v1 signature; the schemes that came: {others}",
                reason="other_scheme",
            )
        return Claim(at=seconds, before=_signed_part(headers[ID].strip(), at), signatures=usable)

    def made_by(self, secret: str, claim: Claim, body: bytes) -> bool:
        """Whether this secret (`whsec_`) or public key (`whpk_`) fits one of the signatures."""
        if secret.startswith((_PUBLIC, _PRIVATE)):
            return _ed25519_fits(secret, claim.before + body, claim.written("v1a"))
        expected = self.write(mac(self.key(secret), claim, body))
        return among(expected, claim.written("v1"))

    def key(self, secret: str) -> bytes:
        """The bytes in the base64 after `whsec_`; padding and prefix may be left out."""
        key = _decoded(secret.removeprefix(_SECRET))
        if not key:
            raise InvalidInput(f"secret: it is empty; {_SHAPE}")
        return key

    def misread_keys(self, secret: str) -> Iterator[tuple[str, bytes]]:
        """The text itself, whole or without prefix, instead of what its base64 stands for."""
        bare = secret.removeprefix(_SECRET)
        yield "as text, its whsec_ included", (_SECRET + bare).encode()
        yield "as text, without its whsec_", bare.encode()
        try:
            yield "decoded from hexadecimal", bytes.fromhex(bare)
        except ValueError:
            return

    def write(self, digest: bytes) -> str:
        """Base64 with padding."""
        return base64.b64encode(digest).decode()

    def spellings(self, digest: bytes) -> Iterator[tuple[str, str]]:
        """Hexadecimal, URL-safe and unpadded base64 instead of base64."""
        yield "hexadecimal instead of base64", digest.hex()
        yield "base64 without its padding", base64.b64encode(digest).decode().rstrip("=")
        yield "URL-safe base64 instead of base64", base64.urlsafe_b64encode(digest).decode()


def new_secret(rng: Callable[[int], bytes] = _secrets.token_bytes) -> str:
    """A fresh secret: `whsec_` and 32 random bytes in base64. `rng(n)` gives n random bytes."""
    return _SECRET + base64.b64encode(rng(32)).decode()


def sign(
    secret: str, message_id: str, at: datetime, body: bytes, *, also: Sequence[str] = ()
) -> dict[str, str]:
    """The three headers for a message signed at `at` (fractions of a second are cut off).

    `also` holds further secrets whose signatures are added, for the overlap of a rotation. A secret
    `whsk_...` makes a `v1a` signature. `InvalidInput`: the id holds a full stop, a blank or
    something that no header may hold, or a secret is no secret.
    """
    fit = message_id.isascii() and message_id.isprintable()
    if not fit or not message_id or "." in message_id or " " in message_id:
        raise InvalidInput(
            f"message id: {message_id!r} must be visible ASCII without full stops and blanks"
        )
    seconds = str(int(at.timestamp()))
    signed = _signed_part(message_id, seconds)
    claim = Claim(at=int(seconds), before=signed, signatures=())
    signatures = [_signature(each, claim, body) for each in (secret, *also)]
    return {ID: message_id, TIMESTAMP: seconds, SIGNATURE: " ".join(signatures)}


def verify(
    secrets: Sequence[str],
    headers: Headers,
    body: bytes,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> None:
    """Returns if one of `secrets` signed these raw bytes at most `tolerance` from now.

    A secret is `whsec_...`, or a public key `whpk_...` for ed25519. Exactly `tolerance` is still
    in time, before and after. `SignatureError`: nothing to check; `Forged`: no secret of ours fits;
    `TooOld`: the time is outside the window.
    """
    accept(Standard(tolerance=tolerance), secrets, headers, body, now)


def _signed_part(message_id: str, at: str) -> bytes:
    return f"{message_id}.{at}.".encode()


def _signature(secret: str, claim: Claim, body: bytes) -> str:
    if secret.startswith(_PRIVATE):
        made = _private_key(secret).sign(claim.before + body)
        return "v1a," + base64.b64encode(made).decode()
    scheme = Standard()
    return "v1," + scheme.write(mac(scheme.key(secret), claim, body))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"secret: it is not base64; {_SHAPE}") from None


def _private_key(secret: str) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - only v1a needs it

    seed = _decoded(secret.removeprefix(_PRIVATE))
    if len(seed) not in {32, 64}:
        raise InvalidInput("secret: a private key is whsk_ and 32 or 64 bytes in base64")
    return Ed25519PrivateKey.from_private_bytes(seed[:32])


def _ed25519_fits(secret: str, signed: bytes, signatures: Sequence[str]) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only v1a needs it
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    if secret.startswith(_PRIVATE):
        public = _private_key(secret).public_key()
    else:
        raw = _decoded(secret.removeprefix(_PUBLIC))
        if len(raw) != 32:
            raise InvalidInput("secret: a public key is whpk_ and 32 bytes in base64")
        public = Ed25519PublicKey.from_public_bytes(raw)
    for text in signatures:
        try:
            public.verify(base64.b64decode(text, validate=True), signed)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False
