"""Digests in a header of their own: the HMAC-SHA256 of most vendors, and HubSpot's plain hash.

Each is a template of what is signed, a key, and a way to write the digest. Sources, by vendor:
Xero, QuickBooks, GitHub and Meta (raw body), Square (URL and body), Slack (`v0:<time>:<body>`),
HubSpot ("Validating requests": v1, v2, v3), FreshBooks ("Webhook callbacks": the form's fields as
JSON), Merge, Rutter, Tray (raw body).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, quote

from landbridge.errors import InvalidInput
from landbridge.signing._scheme import Call, Claim, MacScheme, NoClaim, instant, one
from landbridge.spec.signature import Hmac, SecretHash
from landbridge.wire import Headers

_WRITTEN: Mapping[str, Callable[[bytes], str]] = {
    "hex": lambda digest: digest.hex(),
    "base64": lambda digest: base64.b64encode(digest).decode(),
    "base64url": lambda digest: base64.urlsafe_b64encode(digest).decode().rstrip("="),
}
_NAMES = {"hex": "hexadecimal", "base64": "base64", "base64url": "URL-safe base64"}
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_MOST_FIELDS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Keyed(MacScheme):
    """The rules of an `Hmac` fact."""

    spec: Hmac

    @property
    def tolerance(self) -> timedelta | None:
        """The window that the vendor's page states, if it signs a time."""
        return self.spec.window

    @property
    def needs_call(self) -> bool:
        """Whether the method or the address is signed."""
        return "{url}" in self.spec.signs or "{method}" in self.spec.signs

    @property
    def version(self) -> str:
        """What stands before the signature, if anything does."""
        return self.spec.prefix

    def read(self, headers: Headers, call: Call) -> Claim:
        """The signature behind its prefix, and the template filled with what came."""
        spec = self.spec
        names = [name for name in (spec.header, spec.timestamp, spec.id) if name]
        told = [one(headers, name) for name in names]
        values = dict(zip(names, told, strict=True))
        at = None
        if spec.timestamp:
            at = instant(values[spec.timestamp], spec.unit, spec.timestamp)
        written = [bare(told[0], spec.prefix, spec.header)]
        if "base64url" in spec.encodings:
            written.append(written[0].rstrip("="))
        before, after = filled(
            spec.signs,
            "form" if "{form}" in spec.signs else "body",
            timestamp=values.get(spec.timestamp, ""),
            id=values.get(spec.id, ""),
            **called(call, spec.signs, spec.unescaped),
        )
        signatures = tuple((spec.prefix, each) for each in written)
        return Claim(at=at, before=before, after=after, signatures=signatures)

    def digest(self, key: bytes, claim: Claim, body: bytes) -> bytes:
        """HMAC-SHA256, over the form's fields as JSON where the vendor signs these."""
        signed = form_json(body) if "{form}" in self.spec.signs else body
        return MacScheme.digest(self, key, claim, signed)

    def key(self, secret: str) -> bytes:
        """The text, or the bytes in its base64."""
        if self.spec.key == "base64":
            return _decoded(secret)
        return _encoded(secret)

    def misread_keys(self, secret: str) -> Iterator[tuple[str, bytes]]:
        """The text instead of its base64, and the other way round; or hexadecimal."""
        if self.spec.key == "base64":
            yield "as text, not decoded from base64", secret.encode()
        else:
            with suppress(InvalidInput):
                yield "decoded from base64", _decoded(secret)
        try:
            yield "decoded from hexadecimal", bytes.fromhex(secret)
        except ValueError:
            return

    def write(self, digest: bytes) -> tuple[str, ...]:
        """As the page's encodings say."""
        return tuple(_WRITTEN[each](digest) for each in self.spec.encodings)

    def spellings(self, digest: bytes) -> Iterator[tuple[str, str]]:
        """The other encodings, and capitals."""
        yield from other_spellings(digest, self.spec.encodings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hashed(MacScheme):
    """The rules of a `SecretHash` fact."""

    spec: SecretHash

    @property
    def tolerance(self) -> timedelta | None:
        """None: there is no time."""
        return None

    @property
    def needs_call(self) -> bool:
        """Whether the method or the address is hashed."""
        return "{url}" in self.spec.signs or "{method}" in self.spec.signs

    @property
    def version(self) -> str:
        """There is one only."""
        return ""

    def read(self, headers: Headers, call: Call) -> Claim:
        """The hash, and what stands between secret and body."""
        written = one(headers, self.spec.header)
        _, _, rest = self.spec.signs.partition("{secret}")
        before, after = filled(rest, "body", **called(call, rest))
        return Claim(at=None, before=before, after=after, signatures=(("", written),))

    def digest(self, key: bytes, claim: Claim, body: bytes) -> bytes:
        """SHA-256 of what stands before the secret, the secret, and the rest."""
        first = self.spec.signs.partition("{secret}")[0].encode()
        return hashlib.sha256(first + key + claim.before + body + claim.after).digest()

    def key(self, secret: str) -> bytes:
        """The text."""
        return _encoded(secret)

    def misread_keys(self, secret: str) -> Iterator[tuple[str, bytes]]:
        """None: a text can be read in one way only."""
        del secret
        return iter(())

    def write(self, digest: bytes) -> tuple[str, ...]:
        """Lower-case hexadecimal."""
        return (digest.hex(),)

    def spellings(self, digest: bytes) -> Iterator[tuple[str, str]]:
        """The other encodings, and capitals."""
        yield from other_spellings(digest, ("hex",))


def bare(text: str, prefix: str, name: str) -> str:
    """The signature without its prefix; `NoClaim` if that does not stand there."""
    if not text.startswith(prefix):
        raise NoClaim(f"{name}: it does not begin with {prefix}", reason="malformed_header")
    return text[len(prefix) :]


def filled(template: str, body: str, **values: str) -> tuple[bytes, bytes]:
    """What stands before and after the body; a value is never taken for a part of the template."""
    before, _, after = template.partition("{" + body + "}")
    return (
        before.format(**values).encode("utf-8", "surrogateescape"),
        after.format(**values).encode("utf-8", "surrogateescape"),
    )


def called(call: Call, template: str, unescaped: str = "") -> dict[str, str]:
    """The words for a call in a template; `NoClaim` if the address is needed and not known."""
    if "{url}" not in template:
        return {"method": call.method, "url": ""}
    if not call.url:
        raise NoClaim(
            "the address is signed too, and it is not known: give the URL that was called, as the"
            " vendor has it",
            reason="no_url",
        )
    return {"method": call.method, "url": unescape(call.url, unescaped)}


def unescape(url: str, letters: str) -> str:
    """The URL with these characters decoded where they were escaped; all else stays as it is."""
    if not letters or "%" not in url:
        return url
    plain = {quote(letter, safe="").upper(): letter for letter in letters}
    plain |= {f"%{ord(letter):02X}": letter for letter in letters}
    return _ESCAPE.sub(lambda found: plain.get(found[0].upper(), found[0]), url)


def form_json(body: bytes) -> bytes:
    """A form's fields in their order, all as text, written as Python's `json.dumps` writes them.

    What is no form, or has a field twice, stays as it is: nobody signed it, and it must not pass
    for another form.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        return body
    fields = dict(pairs)
    return json.dumps(fields).encode() if len(fields) == len(pairs) else body


def other_spellings(digest: bytes, encodings: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The digest in other ways than the right ones, and what each is called."""
    right = _NAMES[encodings[0]]
    for name, write in _WRITTEN.items():
        if name not in encodings:
            yield f"{_NAMES[name]} instead of {right}", write(digest)
    if "hex" in encodings:
        yield "upper-case hexadecimal instead of lower-case", digest.hex().upper()
    if "base64" in encodings:
        yield "base64 without its padding", base64.b64encode(digest).decode().rstrip("=")


def _encoded(secret: str) -> bytes:
    if not secret.strip():
        raise InvalidInput("secret: it is empty")
    return secret.encode()


def _decoded(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret + "=" * (-len(secret) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("secret: it is not base64, as this vendor's secrets are") from None
    if not key:
        raise InvalidInput("secret: it is empty")
    return key
