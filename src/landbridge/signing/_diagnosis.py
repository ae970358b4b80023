"""Why a signature does not hold, found by trying what usually goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from landbridge.errors import InvalidInput, TooOld
from landbridge.signing._bodies import variants
from landbridge.signing._calls import other_calls
from landbridge.signing._scheme import (
    MILLISECONDS,
    Call,
    Claim,
    MacScheme,
    NoClaim,
    Scheme,
    among,
    check_window,
)
from landbridge.signing.shared import Shared
from landbridge.wire import Headers

Reason = Literal[
    "valid",
    "no_secret",
    "bad_secret",
    "no_header",
    "malformed_header",
    "other_scheme",
    "no_url",
    "no_certificate",
    "too_old",
    "in_the_future",
    "milliseconds",
    "misread_secret",
    "misspelt_signature",
    "changed_body",
    "other_call",
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
    scheme: Scheme, secrets: Sequence[str], headers: Headers, body: bytes, now: datetime, call: Call
) -> Diagnosis:
    """Says `valid`, or the most telling reason why not."""
    if not secrets:
        return Diagnosis(reason="no_secret", message="there is no signing secret to check against")
    try:
        claim = scheme.read(headers, call)
    except NoClaim as error:
        return Diagnosis(reason=error.reason, message=str(error))
    unusable = _unusable(scheme, secrets)
    if unusable:
        return unusable
    place = scheme.signer(secrets, claim, body)
    if place is not None:
        return _in_time(scheme, claim, now, place, len(secrets))
    return (
        _unmet(scheme, secrets, claim)
        or _misread_secret(scheme, secrets, claim, body)
        or _misspelt(scheme, secrets, claim, body)
        or _changed_body(scheme, secrets, claim, body)
        or _other_call(scheme, secrets, headers, body, call)
        or _wrong(scheme, secrets, body)
    )


def _unusable(scheme: Scheme, secrets: Sequence[str]) -> Diagnosis | None:
    for place, secret in enumerate(secrets, start=1):
        trimmed, how = _trimmed(secret)
        try:
            scheme.check(secret)
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
    message = scheme.unmet(secrets, claim)
    return Diagnosis(reason="other_scheme", message=message) if message else None


def _in_time(scheme: Scheme, claim: Claim, now: datetime, place: int, count: int) -> Diagnosis:
    at, tolerance = claim.at, scheme.tolerance
    by = f", by secret {place + 1} of {count}" if count > 1 else ""
    if at is None or tolerance is None:
        return Diagnosis(reason="valid", message=f"valid{by}", secret=place + 1)
    try:
        check_window(at, now, tolerance)
    except TooOld as error:
        if at >= MILLISECONDS:
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
    seconds = now.timestamp() - at
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
        if not isinstance(scheme, MacScheme):
            continue
        for words, key in scheme.misread_keys(trimmed):
            if scheme.made_with(key, claim, body):
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
    if not isinstance(scheme, MacScheme):
        return None
    came = claim.written(scheme.version)
    for place, key in _keys(scheme, secrets):
        digest = scheme.digest(key, claim, body)
        for words, text in scheme.spellings(digest):
            if among(text, came):
                return Diagnosis(
                    reason="misspelt_signature",
                    message=f"the signature is right, but written as {words}",
                    secret=place,
                )
        for text in scheme.write(digest):
            cut = next((part for part in came if len(part) > 7 and text.startswith(part)), None)
            if cut is not None:
                return Diagnosis(
                    reason="misspelt_signature",
                    message="the signature is right as far as it goes, but was cut:"
                    f" {len(cut)} of {len(text)} characters came",
                    secret=place,
                )
    return None


def _changed_body(
    scheme: Scheme, secrets: Sequence[str], claim: Claim, body: bytes
) -> Diagnosis | None:
    if isinstance(scheme, Shared):
        return None
    for words, other in variants(body):
        for place, secret in enumerate(secrets, start=1):
            if _fits(scheme, secret, claim, other):
                return Diagnosis(
                    reason="changed_body",
                    message=f"the body was changed after it was signed: the signature fits it"
                    f" {words}; verify the raw bytes as they arrived, before anything parses them",
                    secret=place,
                )
    return None


def _other_call(
    scheme: Scheme, secrets: Sequence[str], headers: Headers, body: bytes, call: Call
) -> Diagnosis | None:
    if not scheme.needs_call or isinstance(scheme, Shared):
        return None
    for words, other in other_calls(call):
        claim = scheme.read(headers, other)
        for place, secret in enumerate(secrets, start=1):
            if _fits(scheme, secret, claim, body):
                return Diagnosis(
                    reason="other_call",
                    message=f"how it was called is signed too, and the signature is {words}; the"
                    " address has to be told to the vendor exactly as it is used",
                    secret=place,
                )
    return None


def _wrong(scheme: Scheme, secrets: Sequence[str], body: bytes) -> Diagnosis:
    none = "the secret" if len(secrets) == 1 else f"none of the {len(secrets)} secrets"
    if isinstance(scheme, Shared):
        verb = "is not" if len(secrets) == 1 else "is"
        return Diagnosis(
            reason="wrong_secret",
            message=f"wrong token: {none} {verb} what came in {scheme.spec.place}; this vendor"
            " signs nothing, it repeats the text that it was told when the webhook was ordered",
        )
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
    verb = "did not make" if len(secrets) == 1 else "made"
    address = ", the address included" if scheme.needs_call else ""
    return Diagnosis(
        reason="wrong_secret",
        message=f"wrong secret: {none} {verb} this signature over these {len(body)} bytes{address};"
        " each endpoint has a secret of its own, test and live have different ones, and a body that"
        " was cut or edited fails the same way",
    )


def _keys(scheme: MacScheme, secrets: Sequence[str]) -> Iterator[tuple[int, bytes]]:
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


def _trimmed(secret: str) -> tuple[str, str]:
    bare = secret.strip()
    blanks = bare != secret
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in _QUOTES:
        return bare[1:-1].strip(), "quotes"
    return bare, "blanks" if blanks else ""


def _which(place: int, count: int) -> str:
    return "the secret" if count == 1 else f"secret {place} of {count}"
