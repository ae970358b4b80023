"""Believe a webhook of a Landbridge, or not: for those who receive what others send with it.

    from landbridge.webhooks import verify

    event = verify(raw_body, request.headers, "whsec_...")

Needs nothing of the rest, neither a database nor a setting. Any library of Standard Webhooks does
the same for `whsec_` secrets; this one also checks ed25519 signatures with a `whpk_` public key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from landbridge.errors import Forged, InvalidInput, SignatureError, TooOld
from landbridge.signing.standard import TOLERANCE
from landbridge.signing.standard import verify as _verify
from landbridge.wire import Headers

__all__ = ["Forged", "InvalidInput", "SignatureError", "TooOld", "verify"]


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance: timedelta = TOLERANCE,
    now: datetime | None = None,
) -> Any:
    """The payload of a webhook that is to be believed: its JSON, decoded.

    `body` is the raw body as it arrived, before anything parsed it. `secrets` is the endpoint's
    `whsec_...` or its public key `whpk_...`; several are tried, so that the old and the new one
    hold while one replaces the other. A body that its content type does not call JSON is given back
    as it is. The same webhook may come twice: keep its `webhook-id` and pass over a second one.

    `SignatureError`: a header is missing or malformed, or no secret is given; `Forged`: no secret
    made the signature; `TooOld`: signed more than `tolerance` before or after now; `InvalidInput`:
    a secret that is none, or a body that is not bytes.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise InvalidInput(
            f"body: it is {type(body).__name__}; the signature is over the raw bytes as they came"
        )
    raw, given = bytes(body), Headers(dict(headers))
    held = [secrets] if isinstance(secrets, str) else list(secrets)
    _verify(held, given, raw, now or datetime.now(UTC), tolerance)
    return json.loads(raw) if "json" in given.get("content-type", "json").lower() else raw
