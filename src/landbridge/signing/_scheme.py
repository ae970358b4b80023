"""What every way of signing a webhook has in common: a claim in headers, keys, a time window."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from landbridge.errors import Forged, SignatureError, TooOld
from landbridge.wire import Headers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = 14
MILLISECONDS = 100_000_000_000
"""A count of seconds from here on (the year 5138) was meant as milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a webhook's headers claim: when it was signed, and the signatures.

    `at` is in unix seconds, `before` is what stands before the body in the signed bytes, and
    `signatures` are pairs of a version and a signature, as written.
    """

    at: int
    before: bytes
    signatures: tuple[tuple[str, str], ...]

    def written(self, version: str) -> tuple[str, ...]:
        """The signatures of one version."""
        return tuple(text for name, text in self.signatures if name == version)


class BadHeader(SignatureError):
    """The headers hold no claim that could be checked; `.reason` says in a word why."""

    def __init__(
        self, message: str, *, reason: Literal["no_header", "malformed_header", "other_scheme"]
    ):
        super().__init__(message)
        self.reason = reason


class Scheme(Protocol):
    """One way of signing; `standard` and `timestamped` are the two there are."""

    @property
    def tolerance(self) -> timedelta:
        """How far the time of signing may be from now, either way."""
        ...

    def read(self, headers: Headers) -> Claim:
        """The claim that the headers make; `BadHeader` says why there is none."""
        ...

    def made_by(self, secret: str, claim: Claim, body: bytes) -> bool:
        """Whether this secret made one of the signatures; `InvalidInput`: it cannot be a key."""
        ...

    def key(self, secret: str) -> bytes:
        """The HMAC key that the secret stands for; `InvalidInput`: it cannot be one."""
        ...

    def misread_keys(self, secret: str) -> Iterator[tuple[str, bytes]]:
        """Keys that somebody who misread the secret would have used, and how they misread it."""
        ...

    def write(self, digest: bytes) -> str:
        """An HMAC as the header writes it."""
        ...

    def spellings(self, digest: bytes) -> Iterator[tuple[str, str]]:
        """The same HMAC as a mistaken sender would write it, and what that way is called."""
        ...

    @property
    def version(self) -> str:
        """The version whose signatures are HMACs, such as `v1`."""
        ...


def mac(key: bytes, claim: Claim, body: bytes) -> bytes:
    """HMAC-SHA256 over the claim's own part and the body."""
    return hmac.digest(key, claim.before + body, "sha256")


def among(expected: str, written: Sequence[str]) -> bool:
    """Whether one of the written signatures is the expected one, compared in constant time."""
    wanted = expected.encode()
    return any(hmac.compare_digest(wanted, text.encode()) for text in written)


def accept(
    scheme: Scheme, secrets: Sequence[str], headers: Headers, body: bytes, now: datetime
) -> int:
    """The place (from 0) of the secret that signed this webhook, if it is to be believed.

    `SignatureError`: no secret or no claim to check; `Forged`: no secret fits; `TooOld`: signed
    outside the time window.
    """
    if not secrets:
        raise SignatureError("there is no signing secret to check against; set one first")
    claim = scheme.read(headers)
    place = signer(scheme, secrets, claim, body)
    if place is None:
        keys = "the secret" if len(secrets) == 1 else f"any of the {len(secrets)} secrets"
        raise Forged(f"the signature over these {len(body)} bytes was not made by {keys}")
    check_window(claim.at, now, scheme.tolerance)
    return place


def signer(scheme: Scheme, secrets: Sequence[str], claim: Claim, body: bytes) -> int | None:
    """The place (from 0) of the first secret that made one of the signatures; None: none did."""
    for place, secret in enumerate(secrets):
        if scheme.made_by(secret, claim, body):
            return place
    return None


def check_window(at: int, now: datetime, tolerance: timedelta) -> None:
    """Raises `TooOld` if `at` (unix seconds) is more than `tolerance` from now, either way."""
    if abs(now.timestamp() - at) < tolerance.total_seconds() - 1:
        return  # nowhere near an edge, where binary fractions would not do
    age = (now - _EPOCH) - timedelta(seconds=at)
    allowed = f"{tolerance.total_seconds():.0f} s are allowed"
    seconds = age.total_seconds()
    if age > tolerance:
        over = _seconds(age - tolerance)
        raise TooOld(f"too old by {over}: signed {_seconds(age)} ago, {allowed}", seconds=seconds)
    if -age > tolerance:
        over = _seconds(-age - tolerance)
        raise TooOld(
            f"too far in the future by {over}: signed {_seconds(-age)} ahead of now, {allowed}",
            seconds=seconds,
        )


def unix_seconds(text: str, where: str) -> int:
    """The time that a header states; `BadHeader` names where it is not a whole number."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise BadHeader(
            f"{where}: the time is not a whole number of unix seconds such as 1767225600",
            reason="malformed_header",
        )
    return int(text)


def missing(names: Sequence[str], headers: Headers) -> BadHeader:
    """The error for headers that did not come, with the names (never values) of those that did."""
    wanted = " and ".join(names)
    came = ", ".join(sorted(headers)) or "none"
    plural = "s" if len(names) > 1 else ""
    return BadHeader(f"no header{plural} {wanted}; these came: {came}", reason="no_header")


def _seconds(span: timedelta) -> str:
    total = span.total_seconds()
    return f"{total:.0f} s" if total == int(total) else f"{total:.3f} s"
