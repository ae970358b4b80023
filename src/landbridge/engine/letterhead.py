"""Which headers of a webhook are stored with it: what says whose it is, when and how it was signed,
and nothing that opens a door."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

import msgspec

from landbridge.wire import Headers

WITHHELD = "(not kept)"
"""What is stored in place of a value."""

_SECRET = re.compile(
    r"token|secret|passw|passphrase|passcode|auth(?!-algo)|cookie|credential|session|bearer|jwt"
    r"|csrf|xsrf|private|(^|[-_])(api|access|app|shared|client)?-?_?(key|pin|otp|sid)([-_]|$)"
)
_TELLS = re.compile(
    r"(^|[-_])("
    r"accept|agent|algo|algorithm|alg|app|attempt|channel|connection|content|count|date|delivery"
    r"|digest|domain|encoding|environment|event|expiration|expires|hmac|hmacsha\d+|hook|host|id"
    r"|length|livemode|message|mode|number|object|request|resource|retries|retry"
    r"|sequence|sha\d*|shop|sig|signature|signatures|source|state|svix|test|time|timestamp|topic"
    r"|trace|traceparent|triggered|tries|type|version|via|webhook|webhooks"
    r")([-_]|$)"
)


def stored_headers(
    headers: Headers, secrets: Sequence[str], secret_headers: AbstractSet[str] = frozenset()
) -> bytes:
    """The headers as JSON pairs in the order they came, for the webhook that they belong to.

    A value is kept where the header's name is a usual one for facts about a message, the signature
    among them, and no word in it speaks of a secret; and never where it is one of `secret_headers`
    (in small letters) or holds one of `secrets`, by which the webhook was believed. Of all others
    the name is kept.
    """
    pairs = headers.pairs()
    kept = [pair if _keeps(pair[0]) else (pair[0], WITHHELD) for pair in pairs]
    if secret_headers:
        kept = [
            (name, WITHHELD if name.lower() in secret_headers else value) for name, value in kept
        ]
    values = "\n".join([value for _, value in kept])
    for secret in secrets:
        if secret in values:
            kept = [(name, WITHHELD if secret in value else value) for name, value in kept]
    return msgspec.json.encode(kept)


@lru_cache(maxsize=1024)
def _keeps(name: str) -> bool:
    lowered = name.lower()
    return _SECRET.search(lowered) is None and _TELLS.search(lowered) is not None
