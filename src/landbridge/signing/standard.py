"""Our own webhooks' signature: Standard Webhooks (github.com/standard-webhooks/standard-webhooks).

Headers `webhook-id`, `webhook-timestamp` (unix seconds) and `webhook-signature`, a list of
`<version>,<base64>` parted by blanks; the signed bytes are `<id>.<timestamp>.<body>`. Version `v1`
is HMAC-SHA256 with a secret `whsec_<base64>`; version `v1a` is ed25519, signed with `whsk_<base64>`
and verified with `whpk_<base64>`. Several signatures stand side by side while a secret is rotated.
"""

from __future__ import annotations

import base64
import hashlib
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from landbridge.errors import InvalidInput
from landbridge.signing._keys import (
    PRIVATE,
    PUBLIC,
    SECRET,
    hmac_key,
    new_private_key,
    new_secret,
    private_key_of,
    public_key,
    public_key_of,
)
from landbridge.signing._scheme import (
    Call,
    Claim,
    MacScheme,
    NoClaim,
    accept,
    alone,
    missing,
    unix_seconds,
)
from landbridge.wire import Headers

__all__ = [
    "ID",
    "SIGNATURE",
    "TIMESTAMP",
    "TOLERANCE",
    "Signer",
    "Standard",
    "new_private_key",
    "new_secret",
    "public_key",
    "sign",
    "verify",
]

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE = timedelta(minutes=5)
_BLOCK = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Standard(MacScheme):
    """The rules of Standard Webhooks; the names of the three headers may be others."""

    tolerance: timedelta = TOLERANCE
    version: str = "v1"
    id: str = ID
    timestamp: str = TIMESTAMP
    signature: str = SIGNATURE

    def read(self, headers: Headers, call: Call) -> Claim:
        """All three headers; entries of the list that are of another version are passed over."""
        del call
        names = (self.id, self.timestamp, self.signature)
        absent = [name for name in names if not headers.get(name, "").strip()]
        if absent:
            raise missing(absent, headers)
        message, at, listed = (alone(headers, name, headers[name].strip()) for name in names)
        seconds = unix_seconds(at, self.timestamp)
        pairs = [entry.partition(",") for entry in listed.split()]
        usable = tuple((version, text) for version, comma, text in pairs if comma)
        if not usable:
            raise NoClaim(
                f"{self.signature}: entry 1 is not of the form v1,<base64>",
                reason="malformed_header",
            )
        if not any(version in {"v1", "v1a"} for version, _ in usable):
            others = ", ".join(sorted({version for version, _ in usable}))
            raise NoClaim(
                f"{self.signature}: no v1 signature; the schemes that came: {others}",
                reason="other_scheme",
            )
        return Claim(at=seconds, before=_signed_part(message, at), signatures=usable)

    def made_by(self, secret: str, claim: Claim, body: bytes) -> bool:
        """Whether this secret (`whsec_`) or public key (`whpk_`) fits one of the signatures."""
        if secret.startswith((PUBLIC, PRIVATE)):
            return _ed25519_fits(secret, claim.before + body, claim.written("v1a"))
        return self.made_with(self.key(secret), claim, body)

    def check(self, secret: str) -> None:
        """Returns for a `whsec_`, `whsk_` or `whpk_`."""
        if secret.startswith((PUBLIC, PRIVATE)):
            public_key_of(secret)
        else:
            self.key(secret)

    def unmet(self, secrets: Sequence[str], claim: Claim) -> str | None:
        """What is wrong where no secret is of the kind that could check what came; None: some is.

        A receiver who holds a `whsec_` cannot check `v1a`, nor one with a `whpk_` a `v1`.
        """
        came = {version for version, _ in claim.signatures} & {"v1", "v1a"}
        wanted = {"v1a" if each.startswith((PUBLIC, PRIVATE)) else "v1" for each in secrets}
        if came & wanted:
            return None
        if "v1a" in came:
            return (
                "only v1a signatures (ed25519) came: they are verified with the endpoint's public"
                " key whpk_..., not with a secret whsec_..."
            )
        return (
            "only v1 signatures (HMAC) came: they are verified with the endpoint's secret"
            " whsec_..., not with a public key whpk_..."
        )

    def key(self, secret: str) -> bytes:
        """The bytes in the base64 after `whsec_`; padding and prefix may be left out."""
        return hmac_key(secret)

    def misread_keys(self, secret: str) -> Iterator[tuple[str, bytes]]:
        """The text itself, whole or without prefix, instead of what its base64 stands for."""
        bare = secret.removeprefix(SECRET)
        yield "as text, its whsec_ included", (SECRET + bare).encode()
        yield "as text, without its whsec_", bare.encode()
        try:
            yield "decoded from hexadecimal", bytes.fromhex(bare)
        except ValueError:
            return

    def write(self, digest: bytes) -> tuple[str]:
        """Base64 with padding."""
        return (base64.b64encode(digest).decode(),)

    def spellings(self, digest: bytes) -> Iterator[tuple[str, str]]:
        """Hexadecimal, URL-safe and unpadded base64 instead of base64."""
        yield "hexadecimal instead of base64", digest.hex()
        yield "base64 without its padding", base64.b64encode(digest).decode().rstrip("=")
        yield "URL-safe base64 instead of base64", base64.urlsafe_b64encode(digest).decode()


class Signer:
    """Signs with one or several secrets whose keys were made ready once: for who signs much.

    `whsec_...` makes a `v1` signature, `whsk_...` a `v1a` one; they stand in the order given, as
    for the overlap of a rotation. InvalidInput: no secret is given, or one is no secret.
    """

    __slots__ = ("_makers",)

    def __init__(self, secrets: Sequence[str]):
        if not secrets:
            raise InvalidInput("secrets: none is given; a message is signed with at least one")
        self._makers = [_maker(each) for each in secrets]

    def __repr__(self) -> str:
        return f"Signer({len(self._makers)} secrets)"

    def headers(self, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
        """The three headers for a message signed at `at` (fractions of a second are cut off).

        InvalidInput: the id holds a full stop, a blank or something that no header may hold.
        """
        return self.stamped(message_id, int(at.timestamp()), body)

    def stamped(self, message_id: str, at: int, body: bytes) -> dict[str, str]:
        """The same from a moment in unix seconds."""
        fit = message_id.isascii() and message_id.isprintable()
        if not fit or not message_id or "." in message_id or " " in message_id:
            raise InvalidInput(
                f"message id: {message_id!r} must be visible ASCII without full stops and blanks"
            )
        seconds = str(at)
        signed = _signed_part(message_id, seconds) + body
        makers = self._makers
        if len(makers) == 1:
            signature = makers[0](signed)
        else:
            signature = " ".join([make(signed) for make in makers])
        return {ID: message_id, TIMESTAMP: seconds, SIGNATURE: signature}


def sign(
    secret: str, message_id: str, at: datetime, body: bytes, *, also: Sequence[str] = ()
) -> dict[str, str]:
    """The three headers for one message, as `Signer.headers`.

    `also` holds further secrets whose signatures are added, for the overlap of a rotation.
    """
    return Signer((secret, *also)).headers(message_id, at, body)


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


def _maker(secret: str) -> Callable[[bytes], str]:
    """From signed bytes to the signature as the header writes it."""
    if secret.startswith(PUBLIC):
        raise InvalidInput("secret: a public key (whpk_) signs nothing; give its whsk_")
    if secret.startswith(PRIVATE):
        make = private_key_of(secret).sign
        return lambda signed: "v1a," + b2a_base64(make(signed), newline=False).decode()
    inner, outer = _keyed(hmac_key(secret))

    def made(signed: bytes) -> str:
        first, second = inner.copy(), outer.copy()  # the key's own blocks are hashed already
        first.update(signed)
        second.update(first.digest())
        return "v1," + b2a_base64(second.digest(), newline=False).decode()

    return made


def _keyed(key: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The two hashes of HMAC (RFC 2104 section 2) that have taken in the key; `hmac` copies both
    through the library's context for a MAC, at twice the cost."""
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    padded = key.ljust(_BLOCK, b"\0")
    return (
        hashlib.sha256(bytes(each ^ 0x36 for each in padded)),
        hashlib.sha256(bytes(each ^ 0x5C for each in padded)),
    )


def _ed25519_fits(secret: str, signed: bytes, signatures: Sequence[str]) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only v1a needs it

    public = public_key_of(secret)
    for text in signatures:
        try:
            public.verify(base64.b64decode(text, validate=True), signed)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False
