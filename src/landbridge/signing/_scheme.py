"""What every way of signing a webhook has in common: a claim in headers, keys, a time window."""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from landbridge.errors import Forged, SignatureError, TooOld
from landbridge.wire import Headers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = 14
Unclaimed = Literal["no_header", "malformed_header", "other_scheme", "no_url", "no_certificate"]
MILLISECONDS = 100_000_000_000
"""A count of seconds from here on (the year 5138) was meant as milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """What belongs to a webhook beside its headers and body, where the scheme asks for it.

    `url` is the whole address as the vendor was told, with its query; `certificate` is the PEM at
    the URL that `Scheme.certificate_url` names.
    """

    method: str = "POST"
    url: str = ""
    certificate: bytes = b""


POSTED = Call()
"""A call of which no scheme but a plain one needs to know more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a webhook's headers claim: when it was signed, and the signatures.

    `at` is in unix seconds (None: it does not say), `before` and `after` are what stands around the
    body in the signed bytes, and `signatures` are pairs of a version and a signature, as written.
    """

    at: float | None
    before: bytes = b""
    after: bytes = b""
    signatures: tuple[tuple[str, str], ...] = ()

    def written(self, version: str) -> tuple[str, ...]:
        """The signatures of one version."""
        return tuple(text for name, text in self.signatures if name == version)


class NoClaim(SignatureError):
    """Nothing came that could be checked; `.reason` says in a word why."""

    def __init__(self, message: str, *, reason: Unclaimed):
        super().__init__(message)
        self.reason = reason


class Scheme(ABC):
    """One way of knowing a vendor's webhooks: its rules, without any secret."""

    __slots__ = ()

    @property
    @abstractmethod
    def tolerance(self) -> timedelta | None:
        """How far the time of signing may be from now, either way; None: no time is signed."""

    @property
    def needs_call(self) -> bool:
        """Whether the method or the address counts, so that `read` has to be given them."""
        return False

    @property
    def secret_headers(self) -> frozenset[str]:
        """Headers, in small letters, that hold the secret itself and must not be kept."""
        return frozenset()

    def certificate_url(self, headers: Headers) -> str:
        """Where the certificate is that `read` has to be given; empty: none is needed.

        `SignatureError`: the headers name none that may be asked for.
        """
        del headers
        return ""

    @abstractmethod
    def read(self, headers: Headers, call: Call) -> Claim:
        """The claim that a webhook makes; `NoClaim` says why there is none."""

    @abstractmethod
    def check(self, secret: str) -> None:
        """Returns if the secret can be one of this scheme; `InvalidInput` says why not."""

    @abstractmethod
    def made_by(self, secret: str, claim: Claim, body: bytes) -> bool:
        """Whether this secret made one of the signatures; `InvalidInput`: it cannot be one."""

    def signer(self, secrets: Sequence[str], claim: Claim, body: bytes) -> int | None:
        """The place (from 0) of the first secret that made a signature; None: none did."""
        for place, secret in enumerate(secrets):
            if self.made_by(secret, claim, body):
                return place
        return None

    def unmet(self, secrets: Sequence[str], claim: Claim) -> str | None:
        """What is wrong where no secret is of a kind that could check what came; None: one is."""
        del secrets, claim
        return None


class MacScheme(Scheme):
    """A scheme whose signatures are digests under a key that both sides know."""

    __slots__ = ()

    @property
    @abstractmethod
    def version(self) -> str:
        """The version whose signatures are such digests, such as `v1`."""

    @abstractmethod
    def key(self, secret: str) -> bytes:
        """The key that the secret stands for; `InvalidInput`: it cannot be one."""

    @abstractmethod
    def misread_keys(self, secret: str) -> Iterator[tuple[str, bytes]]:
        """Keys that somebody who misread the secret would have used, and how they misread it."""

    @abstractmethod
    def write(self, digest: bytes) -> Sequence[str]:
        """A digest in each way in which the header may write it."""

    @abstractmethod
    def spellings(self, digest: bytes) -> Iterator[tuple[str, str]]:
        """The same digest as a mistaken sender would write it, and what that way is called."""

    def digest(self, key: bytes, claim: Claim, body: bytes) -> bytes:
        """HMAC-SHA256 over the claim's own parts and the body between them."""
        return hmac.digest(key, claim.before + body + claim.after, "sha256")

    def check(self, secret: str) -> None:
        """Returns if the secret can be a key."""
        self.key(secret)

    def made_by(self, secret: str, claim: Claim, body: bytes) -> bool:
        """Whether the digest under this secret is one of those that came."""
        return self.made_with(self.key(secret), claim, body)

    def made_with(self, key: bytes, claim: Claim, body: bytes) -> bool:
        """As `made_by`, by the key itself."""
        written = claim.written(self.version)
        return any(among(text, written) for text in self.write(self.digest(key, claim, body)))


def among(expected: str, written: Sequence[str]) -> bool:
    """Whether one of the written signatures is the expected one, compared in constant time."""
    wanted = expected.encode()
    return any(hmac.compare_digest(wanted, text.encode()) for text in written)


def accept(
    scheme: Scheme,
    secrets: Sequence[str],
    headers: Headers,
    body: bytes,
    now: datetime,
    call: Call = POSTED,
) -> int:
    """The place (from 0) of the secret that signed this webhook, if it is to be believed.

    `SignatureError`: no secret or no claim to check; `Forged`: no secret fits; `TooOld`: signed
    outside the time window.
    """
    if not secrets:
        raise SignatureError("there is no signing secret to check against; set one first")
    claim = scheme.read(headers, call)
    place = scheme.signer(secrets, claim, body)
    if place is None:
        keys = "the secret" if len(secrets) == 1 else f"any of the {len(secrets)} secrets"
        raise Forged(f"the signature over these {len(body)} bytes was not made by {keys}")
    tolerance = scheme.tolerance
    if tolerance is not None and claim.at is not None:
        check_window(claim.at, now, tolerance)
    return place


def check_window(at: float, now: datetime, tolerance: timedelta) -> None:
    """Raises `TooOld` if `at` (unix seconds) is more than `tolerance` from now, either way."""
    seconds, most = now.timestamp() - at, tolerance.total_seconds()
    if abs(seconds) < most - 1:
        return
    if abs(seconds) < most + 1:  # near an edge binary fractions would not do
        age = (now - _EPOCH) - timedelta(seconds=at)
        if abs(age) <= tolerance:
            return
        seconds = age.total_seconds()
    over, apart, allowed = (_seconds(each) for each in (abs(seconds) - most, abs(seconds), most))
    if seconds > 0:
        message = f"too old by {over}: signed {apart} ago, {allowed} are allowed"
    else:
        message = f"too far in the future by {over}: signed {apart} ahead of now"
        message += f", {allowed} are allowed"
    raise TooOld(message, seconds=seconds)


def instant(text: str, unit: str, where: str) -> float:
    """The unix seconds that a header states in seconds `s`, milliseconds `ms` or ISO 8601 `iso`."""
    if unit == "s":
        return unix_seconds(text, where)
    if unit == "ms":
        if text.isascii() and text.isdigit() and len(text) <= _DIGITS + 3:
            return int(text) / 1000
        wanted = "a whole number of unix milliseconds such as 1767225600000"
    else:
        try:
            at = datetime.fromisoformat(text)
            if at.tzinfo is not None:
                return at.timestamp()
        except (ValueError, OverflowError):
            pass
        wanted = "a time with its zone such as 2026-01-01T00:00:00Z"
    raise NoClaim(f"{where}: the time is not {wanted}", reason="malformed_header")


def unix_seconds(text: str, where: str) -> int:
    """The time that a header states; `NoClaim` names where it is not a whole number."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise NoClaim(
            f"{where}: the time is not a whole number of unix seconds such as 1767225600",
            reason="malformed_header",
        )
    return int(text)


def one(headers: Headers, name: str) -> str:
    """A header's value without blanks around it; `NoClaim`: it did not come, or came twice.

    Of two equal headers one was added on the way, and which of them is checked must not matter.
    """
    value: str = headers.get(name, "").strip()
    if not value:
        raise missing([name], headers)
    return alone(headers, name, value)


def alone(headers: Headers, name: str, value: str) -> str:
    """The value; `NoClaim` if its header came more than once."""
    if len(headers) != len(headers.pairs()) and len(headers.all(name)) > 1:
        raise NoClaim(f"{name}: the header came more than once", reason="malformed_header")
    return value


def missing(names: Sequence[str], headers: Headers) -> NoClaim:
    """The error for headers that did not come, with the names (never values) of those that did."""
    wanted = " and ".join(names)
    came = ", ".join(sorted(headers)) or "none"
    plural = "s" if len(names) > 1 else ""
    return NoClaim(f"no header{plural} {wanted}; these came: {came}", reason="no_header")


def _seconds(total: float) -> str:
    total = round(total, 3)
    return f"{total:.0f} s" if total == int(total) else f"{total:.3f} s"
