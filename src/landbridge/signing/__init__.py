"""Signing and verifying webhooks: Standard Webhooks for ours, each vendor's way for theirs.

`verify` decides, `diagnose` explains. Both look at the raw bytes of the body, as they arrived.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

from landbridge.signing import _diagnosis
from landbridge.signing._diagnosis import Diagnosis
from landbridge.signing._scheme import POSTED, Call, Scheme, accept
from landbridge.signing.certified import Certified
from landbridge.signing.keyed import Hashed, Keyed
from landbridge.signing.shared import Shared
from landbridge.signing.standard import Standard
from landbridge.signing.timestamped import Timestamped
from landbridge.spec.signature import (
    CertifiedRsa,
    Hmac,
    SecretHash,
    SharedToken,
    Signature,
    StandardWebhooks,
    TimestampedHmac,
)
from landbridge.wire import Headers

__all__ = [
    "POSTED",
    "Call",
    "Certified",
    "Diagnosis",
    "Scheme",
    "Standard",
    "accept",
    "diagnose",
    "scheme_of",
    "verify",
]


def verify(
    signature: Signature | Standard,
    secrets: Sequence[str],
    headers: Headers,
    body: bytes,
    now: datetime,
    call: Call = POSTED,
) -> None:
    """Returns if one of `secrets` signed these raw bytes within the scheme's time window.

    Several secrets are tried, so that both hold while one replaces the other. The window's edge
    itself is in time, before and after now. `call` is what some vendors sign beside the body: the
    method and the address. `SignatureError`: no secret, or nothing that could be checked; `Forged`:
    no secret of ours fits; `TooOld`: outside the window; `InvalidInput`: a secret that cannot be a
    key.
    """
    accept(scheme_of(signature), secrets, headers, body, now, call)


def diagnose(
    signature: Signature | Standard,
    secrets: Sequence[str],
    headers: Headers,
    body: bytes,
    now: datetime,
    call: Call = POSTED,
) -> Diagnosis:
    """Whether `verify` would believe this webhook, and if not, the most telling reason.

    For people who look for a mistake: it tries misread secrets, changed bodies and other addresses,
    which takes longer than `verify` and must never decide whether to believe. No secret is in the
    answer.
    """
    return _diagnosis.diagnose(scheme_of(signature), secrets, headers, body, now, call)


def scheme_of(signature: Signature | Standard) -> Scheme:
    """The rules of a page's signature, to be kept where `accept` is called often."""
    match signature:
        case Standard():
            return signature
        case TimestampedHmac():
            return Timestamped(spec=signature)
        case StandardWebhooks(id=id_, timestamp=at, signature=name, tolerance=tolerance):
            return Standard(tolerance=tolerance, id=id_, timestamp=at, signature=name)
        case Hmac():
            return Keyed(spec=signature)
        case SecretHash():
            return Hashed(spec=signature)
        case SharedToken():
            return Shared(spec=signature)
        case CertifiedRsa():
            return Certified(spec=signature)
        case _:
            assert_never(signature)
