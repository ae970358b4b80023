"""Signatures of the form `t=<unix>,v1=<hex>[,v1=<hex>...]`, as Stripe writes them.

The signed bytes are the time as written, a full stop, and the raw body. The key is the whole text
of the secret, `whsec_` included. Source: stripe-python 16.1, `_webhook.py`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from landbridge.errors import InvalidInput
from landbridge.signing._scheme import Call, Claim, MacScheme, NoClaim, one, unix_seconds
from landbridge.spec.signature import TimestampedHmac
from landbridge.wire import Headers


@dataclass(frozen=True, kw_only=True, slots=True)
class Timestamped(MacScheme):
    """The rules of a `TimestampedHmac` fact."""

    spec: TimestampedHmac

    @property
    def tolerance(self) -> timedelta:
        """The window that the vendor's page states."""
        return self.spec.tolerance

    @property
    def version(self) -> str:
        """The only version that counts; others, such as Stripe's `v0`, never do."""
        return self.spec.scheme

    def read(self, headers: Headers, call: Call) -> Claim:
        """Items part at commas, then at the first `=`; unknown items are passed over."""
        del call
        name = self.spec.header
        header = one(headers, name)
        at: str | None = None
        signatures: list[tuple[str, str]] = []
        for place, item in enumerate(header.split(","), start=1):
            label, equals, text = item.strip().partition("=")
            if not equals:
                raise NoClaim(
                    f"{name}: item {place} is not of the form name=value", reason="malformed_header"
                )
            if label == self.spec.timestamp:
                at = text
            else:
                signatures.append((label, text))
        if at is None:
            raise NoClaim(
                f"{name}: no time, {self.spec.timestamp}=<unix seconds>", reason="malformed_header"
            )
        seconds = unix_seconds(at, f"{name}, {self.spec.timestamp}")
        if not any(label == self.version for label, _ in signatures):
            others = ", ".join(sorted({label for label, _ in signatures})) or "none"
            raise NoClaim(
                f"{name}: no {self.version} signature; the schemes that came: {others}",
                reason="other_scheme" if signatures else "malformed_header",
            )
        return Claim(at=seconds, before=f"{at}.".encode(), signatures=tuple(signatures))

    def key(self, secret: str) -> bytes:
        """The whole text, as bytes."""
        if not secret.strip():
            raise InvalidInput("secret: it is empty")
        return secret.encode()

    def misread_keys(self, secret: str) -> Iterator[tuple[str, bytes]]:
        """The whole text with or without its prefix, or its base64 decoded."""
        bare = secret.removeprefix("whsec_")
        if bare != secret:
            yield "without its whsec_", bare.encode()
        else:
            yield "with whsec_ before it", b"whsec_" + secret.encode()
        try:
            yield "decoded from base64", base64.b64decode(bare + "=" * (-len(bare) % 4))
        except ValueError:  # binascii.Error, and text that is not ASCII
            return

    def write(self, digest: bytes) -> tuple[str]:
        """Lower-case hexadecimal."""
        return (digest.hex(),)

    def spellings(self, digest: bytes) -> Iterator[tuple[str, str]]:
        """Upper case and base64 instead of lower-case hexadecimal."""
        yield "upper-case hexadecimal instead of lower-case", digest.hex().upper()
        yield "base64 instead of hexadecimal", base64.b64encode(digest).decode()
