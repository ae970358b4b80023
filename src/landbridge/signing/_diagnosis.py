"""Why a signature does not hold, found by trying what usually goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from landbridge.errors import InvalidInput, TooOld
from landbridge.signing._bodies import variants
from landbridge.signing._scheme import (
    MILLISECONDS,
    BadHeader,
    Claim,
    Scheme,
    among,
    check_window,
    mac,
    signer,
)
from landbridge.signing.standard import Standard
from landbridge.wire import Headers

Reason = Literal[
    "valid",
    "no_secret",
    "bad_secret",
    "no_header",
    "malformed_header",
    "other_scheme",
    "too_old",
    "in_the_future",
    "milliseconds",
    "misread_secret",
    "misspelt_signature",
    "changed_body",
    "wrong_secret",
]

_API_KEYS = ("sk_", "rk_", "pk_")
_QUOTES = "\"'`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """Whether a webhook is to be believed, and if not, why; nothing in it is secret.

    `secret` is the place (from 1) of the given secret that made the signature, if one did;
    `seconds` is how long ago the webhook claims to have been signed (negative: ahead of now).
    """

    reason: Reason
    message: str
    secret: int | None = None
    seconds: float | None = None

    @property
    def valid(self) -> bool:
        """Whether the webhook is to be believed."""
        return self.reason == "valid"


def diagnose(
    scheme: Scheme, secrets: Sequence[str], headers: Headers, body: bytes, now: datetime
) -> Diagnosis:
    """Says `valid`, or the most telling reason why not."""
    if not secrets:
        return Diagnosis(reason="no_secret", message="there is no signing secret to check against")
    try:
        claim = scheme.read(headers)
    except BadHeader as error:
        return Diagnosis(reason=error.reason, message=str(error))
    unusable = _unusable(scheme, secrets)
    if unusable:
        return unusable
    place = signer(scheme, secrets, claim, body)
    if place is not None:
        return _in_time(scheme, claim, now, place, len(secrets))
    return (
        _unmet(scheme, secrets, claim)
        or _misread_secret(scheme, secrets, claim, body)
        or _misspelt(scheme, secrets, claim, body)
        or _changed_body(scheme, secrets, claim, body)
        or _wrong(secrets, body)
    )


def _unusable(scheme: Scheme, secrets: Sequence[str]) -> Diagnosis | None:
    for place, secret in enumerate(secrets, start=1):
        trimmed, how = _trimmed(secret)
        nothing = Claim(at=0, before=b"", signatures=())
        try:
            scheme.made_by(secret, nothing, b"")
        except InvalidInput as error:
            which = _which(place, len(secrets))
            if trimmed and how:
                return Diagnosis(
                    reason="bad_secret", message=f"{which} has {how} around it; remove them"
                )
            said = str(error).removeprefix("secret: ")
            return Diagnosis(reason="bad_secret", message=f"{which} cannot be used: {said}")
    return None


def _unmet(scheme: Scheme, secrets: Sequence[str], claim: Claim) -> Diagnosis | None:
    message = scheme.unmet(secrets, claim) if isinstance(scheme, Standard) else None
    return Diagnosis(reason="other_scheme", message=message) if message else None


def _in_time(scheme: Scheme, claim: Claim, now: datetime, place: int, count: int) -> Diagnosis:
    try:
        check_window(claim.at, now, scheme.tolerance)
    except TooOld as error:
        if claim.at >= MILLISECONDS:
            return Diagnosis(
                reason="milliseconds",
                message="the time is in milliseconds (or finer); the scheme has whole seconds",
                secret=place + 1,
            )
        return Diagnosis(
            reason="too_old" if error.seconds > 0 else "in_the_future",
            message=str(error),
            secret=place + 1,
            seconds=error.seconds,
        )
    by = f", by secret {place + 1} of {count}" if count > 1 else ""
    seconds = now.timestamp() - claim.at
    return Diagnosis(reason="valid", message=f"valid{by}", secret=place + 1, seconds=seconds)


def _misread_secret(
    scheme: Scheme, secrets: Sequence[str], claim: Claim, body: bytes
) -> Diagnosis | None:
    for place, secret in enumerate(secrets, start=1):
        which = _which(place, len(secrets))
        trimmed, how = _trimmed(secret)
        if how and _fits(scheme, trimmed, claim, body):
            return Diagnosis(
                reason="misread_secret",
                message=f"{which} fits without the {how} around it; remove them",
                secret=place,
            )
        for words, key in scheme.misread_keys(trimmed):
            if _hmac_fits(scheme, key, claim, body):
                return Diagnosis(
                    reason="misread_secret",
                    message=f"{which} fits only {words}: the two sides read the secret in"
                    " different ways",
                    secret=place,
                )
    return None


def _misspelt(
    scheme: Scheme, secrets: Sequence[str], claim: Claim, body: bytes
) -> Diagnosis | None:
    for place, key in _keys(scheme, secrets):
        for words, text in scheme.spellings(mac(key, claim, body)):
            if among(text, claim.written(scheme.version)):
                return Diagnosis(
                    reason="misspelt_signature",
                    message=f"the signature is right, but written as {words}",
                    secret=place,
                )
    return None


def _changed_body(
    scheme: Scheme, secrets: Sequence[str], claim: Claim, body: bytes
) -> Diagnosis | None:
    keys = list(_keys(scheme, secrets))
    for words, other in variants(body):
        for place, key in keys:
            if _hmac_fits(scheme, key, claim, other):
                return Diagnosis(
                    reason="changed_body",
                    message=f"the body was changed after it was signed: the signature fits it"
                    f" {words}; verify the raw bytes as they arrived, before anything parses them",
                    secret=place,
                )
    return None


def _wrong(secrets: Sequence[str], body: bytes) -> Diagnosis:
    if not body:
        return Diagnosis(
            reason="changed_body",
            message="the body is empty and the signature does not fit an empty body; pass the raw"
            " body as it arrived",
        )
    for place, secret in enumerate(secrets, start=1):
        prefix = next((known for known in _API_KEYS if _trimmed(secret)[0].startswith(known)), "")
        if prefix:
            return Diagnosis(
                reason="wrong_secret",
                message=f"{_which(place, len(secrets))} begins with {prefix} and looks like an API"
                " key; a webhook is signed with its endpoint's own signing secret",
            )
    none = "the secret" if len(secrets) == 1 else f"none of the {len(secrets)} secrets"
    verb = "did not make" if len(secrets) == 1 else "made"
    return Diagnosis(
        reason="wrong_secret",
        message=f"wrong secret: {none} {verb} this signature over these {len(body)} bytes; each"
        " endpoint has a secret of its own, test and live have different ones, and a body that"
        " was cut or edited fails the same way",
    )


def _keys(scheme: Scheme, secrets: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    for place, secret in enumerate(secrets, start=1):
        try:
            yield place, scheme.key(secret)
        except InvalidInput:
            continue


def _fits(scheme: Scheme, secret: str, claim: Claim, body: bytes) -> bool:
    try:
        return scheme.made_by(secret, claim, body)
    except InvalidInput:
        return False


def _hmac_fits(scheme: Scheme, key: bytes, claim: Claim, body: bytes) -> bool:
    return among(scheme.write(mac(key, claim, body)), claim.written(scheme.version))


def _trimmed(secret: str) -> tuple[str, str]:
    bare = secret.strip()
    blanks = bare != secret
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in _QUOTES:
        return bare[1:-1].strip(), "quotes"
    return bare, "blanks" if blanks else ""


def _which(place: int, count: int) -> str:
    return "the secret" if count == 1 else f"secret {place} of {count}"
