"""How a provider signs its webhooks, or by what else it is known.

Each is one line of a page: `signature=hmac_base64("x-xero-signature")`. All that is signed is meant
as raw bytes, as they came. Header names match in any case.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from typing import TypedDict, Unpack

from landbridge.errors import SpecError
from landbridge.spec._check import Path, among, did_you_mean, fact

__all__ = [
    "CertifiedRsa",
    "Hmac",
    "SecretHash",
    "SharedToken",
    "Signature",
    "StandardWebhooks",
    "TimestampedHmac",
    "hmac_base64",
    "hmac_base64url",
    "hmac_hex",
]

WINDOW = timedelta(minutes=5)
ENCODINGS = ("hex", "base64", "base64url")
BODIES = ("body", "form", "crc32")
"""The words for the body in a template: as it came, its form fields as JSON, its checksum."""

_WORD = re.compile(r"\{([^{}]*)\}")


@fact
class TimestampedHmac:
    """`t=<unix>,v1=<hex>`: HMAC-SHA256 over `<t>.<raw body>`, keyed by the whole secret text."""

    header: str
    timestamp: str = "t"
    scheme: str = "v1"
    tolerance: timedelta = WINDOW

    @property
    def place(self) -> str:
        """Where a webhook holds it."""
        return self.header

    @property
    def window(self) -> timedelta | None:
        """How far the time of signing may be from now."""
        return self.tolerance


@fact
class StandardWebhooks:
    """Standard Webhooks, or its arithmetic under other names of the headers (Finch).

    HMAC-SHA256 over `<id>.<timestamp>.<raw body>`, keyed by the bytes in the secret's base64; the
    header lists `v1,<base64>`, parted by blanks.
    """

    id: str = "webhook-id"
    timestamp: str = "webhook-timestamp"
    signature: str = "webhook-signature"
    tolerance: timedelta = WINDOW

    @property
    def place(self) -> str:
        """Where a webhook holds it."""
        return self.signature

    @property
    def window(self) -> timedelta | None:
        """How far the time of signing may be from now."""
        return self.tolerance


@fact
class Hmac:
    """HMAC-SHA256 in a header: most vendors. `hmac_hex`, `hmac_base64`, `hmac_base64url` make it.

    `signs` is what is signed, text with words in braces: `{body}`, or `{form}` for the body's form
    fields in their order as JSON with blanks after comma and colon (FreshBooks); `{method}`;
    `{url}`, the whole address as the vendor was told; `{timestamp}` and `{id}`, headers as written.
    """

    header: str
    encodings: Sequence[str] = ("hex",)
    """hex, base64 or base64url (its padding does not count); more than one where that is unsure."""
    prefix: str = ""
    """What stands before the signature in its header, such as `sha256=`."""
    signs: str = "{body}"
    timestamp: str = ""
    """The header with the time of signing; empty: there is none, so an old webhook is believed."""
    unit: str = "s"
    """How the time is written: unix seconds `s`, milliseconds `ms`, or ISO 8601 `iso`."""
    tolerance: timedelta = WINDOW
    id: str = ""
    """The header with the id that is signed."""
    key: str = "text"
    """What the key is: the secret's `text`, or the bytes in its `base64`."""
    unescaped: str = ""
    """The characters that the vendor decodes in the URL before it signs, where it escaped them."""

    def __post_init__(self) -> None:
        """Refuses a template with words that mean nothing, and facts that it does not sign."""
        for one in self.encodings:
            among(one, ENCODINGS, "Hmac, encodings")
        if not self.encodings:
            raise SpecError(f"Hmac, encodings: none; one of {', '.join(ENCODINGS)}")
        among(self.key, ("text", "base64"), "Hmac, key")
        among(self.unit, ("s", "ms", "iso"), "Hmac, unit")
        told = {"timestamp": self.timestamp, "id": self.id}
        _check_template("Hmac", self.signs, ("body", "form"), ("method", "url"), told)
        if self.unescaped and "{url}" not in self.signs:
            raise SpecError("Hmac, unescaped: it is about a URL, which `signs` does not have")

    @property
    def place(self) -> str:
        """Where a webhook holds it."""
        return self.header

    @property
    def window(self) -> timedelta | None:
        """How far the time of signing may be from now; None: no time is signed."""
        return self.tolerance if self.timestamp else None


class _More(TypedDict, total=False):
    prefix: str
    signs: str
    timestamp: str
    unit: str
    tolerance: timedelta
    id: str
    key: str
    unescaped: str


def hmac_hex(header: str, **more: Unpack[_More]) -> Hmac:
    """HMAC-SHA256 in lower-case hexadecimal (Slack, GitHub, Meta); `more` is that of `Hmac`."""
    return Hmac(header=header, encodings=("hex",), **more)


def hmac_base64(header: str, **more: Unpack[_More]) -> Hmac:
    """HMAC-SHA256 in base64 with padding (Xero, QuickBooks, Square); `more` is that of `Hmac`."""
    return Hmac(header=header, encodings=("base64",), **more)


def hmac_base64url(header: str, **more: Unpack[_More]) -> Hmac:
    """HMAC-SHA256 in URL-safe base64, padded or not (Merge); `more` is that of `Hmac`."""
    return Hmac(header=header, encodings=("base64url",), **more)


@fact
class SecretHash:
    """A plain SHA-256, in hexadecimal, of text that the secret stands in (HubSpot v1 and v2).

    It is weaker than an HMAC, and has no time: for vendors that have nothing better.
    """

    header: str
    signs: str = "{secret}{body}"
    """Text with `{secret}`, `{body}`, `{method}` and `{url}`."""

    def __post_init__(self) -> None:
        """Refuses a hash that everybody could make."""
        if "{secret}" not in self.signs.partition("{body}")[0]:
            raise SpecError("SecretHash, signs: {secret} has to stand before {body}")
        _check_template("SecretHash", self.signs, ("body",), ("secret", "method", "url"), {})

    @property
    def place(self) -> str:
        """Where a webhook holds it."""
        return self.header

    @property
    def window(self) -> timedelta | None:
        """No time is signed."""
        return None


@fact
class SharedToken:
    """Nothing is signed: each webhook repeats a secret text that the vendor was told.

    Exactly one of the places is named.
    """

    header: str = ""
    """Google (`X-Goog-Channel-Token`). It is not stored with the webhook."""
    query: str = ""
    """A parameter of the address (Mailchimp, Salesforce)."""
    body: Path = ""
    """A field of the JSON body, or of each of its `items` (Microsoft Graph, `clientState`)."""
    items: Path = ""
    """Path to a list in the body; every one of them has to repeat the token."""

    def __post_init__(self) -> None:
        """Refuses none and several places."""
        if sum(map(bool, (self.header, self.query, self.body))) != 1:
            raise SpecError("SharedToken: name one of header, query and body, where the token is")
        if self.items and not self.body:
            raise SpecError("SharedToken, items: they are in the body; name its field by `body`")

    @property
    def place(self) -> str:
        """Where a webhook holds it."""
        if self.body:
            return f"{self.items}[].{self.body} of the body" if self.items else f"{self.body}"
        return self.header or f"the parameter {self.query}"

    @property
    def window(self) -> timedelta | None:
        """No time is signed."""
        return None


@fact
class CertifiedRsa:
    """RSA (PKCS#1 v1.5, SHA-256) in base64, by a certificate that a header says where to get.

    What the app keeps as its secret is what the vendor calls the endpoint's id (PayPal).
    """

    header: str
    signs: str
    """Text with `{id}`, `{timestamp}`, `{secret}` and `{body}` or `{crc32}`, its decimal CRC-32."""
    id: str = ""
    timestamp: str = ""
    unit: str = "iso"
    tolerance: timedelta = WINDOW
    certificate: str
    """The header with the URL of the certificate."""
    hosts: Sequence[str]
    """The hosts it may be got from, by https; nothing else is asked."""
    path: str
    """How its path begins, such as `/v1/certs/`."""
    subject: str
    """How the common name in the certificate ends, such as `.vendor.com`."""
    when: Mapping[str, str] = field(default_factory=dict)
    """Headers that must have these values, such as the algorithm."""

    def __post_init__(self) -> None:
        """Refuses a certificate from anywhere, and a template that leaves something out."""
        among(self.unit, ("s", "ms", "iso"), "CertifiedRsa, unit")
        told = {"timestamp": self.timestamp, "id": self.id}
        _check_template("CertifiedRsa", self.signs, ("body", "crc32"), ("secret",), told)
        if not self.hosts or not self.subject:
            raise SpecError("CertifiedRsa, hosts and subject: say whose certificate is believed")
        if not (self.path.startswith("/") and self.path.endswith("/")):
            raise SpecError(f"CertifiedRsa, path: {self.path!r} does not begin and end with /")

    @property
    def place(self) -> str:
        """Where a webhook holds it."""
        return self.header

    @property
    def window(self) -> timedelta | None:
        """How far the time of signing may be from now; None: no time is signed."""
        return self.tolerance if self.timestamp else None


Signature = TimestampedHmac | StandardWebhooks | Hmac | SecretHash | SharedToken | CertifiedRsa


def _check_template(
    label: str, signs: str, bodies: Sequence[str], words: Sequence[str], told: Mapping[str, str]
) -> None:
    """Raises `SpecError` unless the template has one body, known words, and every header told."""
    used: list[str] = _WORD.findall(signs)
    known = [*bodies, *words, *told]
    for word in used:
        if word not in known:
            raise SpecError(f"{label}, signs: no word {word!r}.{did_you_mean(word, known)}")
    if "{" in _WORD.sub("", signs) or "}" in _WORD.sub("", signs):
        raise SpecError(f"{label}, signs: {signs!r} has a brace that is not closed")
    if len([word for word in used if word in bodies]) != 1:
        raise SpecError(f"{label}, signs: it needs {' or '.join(bodies)} in braces, once")
    for word, header in told.items():
        if bool(header) != (word in used):
            raise SpecError(
                f"{label}, {word}: name the header, and sign it by {{{word}}} in `signs`; what is"
                " not signed proves nothing"
            )
