"""RSA signatures of a vendor whose certificate lies at a URL that the webhook names (PayPal).

The URL is written by whoever calls, so it is believed only if it leads to the vendor's own hosts by
https, or to where the connection's own calls go. Source: PayPal, "Webhooks", message signature: RSA
(PKCS#1 v1.5) with SHA-256 over `<transmission id>|<time>|<webhook id>|<CRC-32 of the body>`.
"""

from __future__ import annotations

import base64
import re
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from landbridge.errors import InvalidInput, SignatureError
from landbridge.signing._scheme import Call, Claim, NoClaim, Scheme, instant, one
from landbridge.spec.signature import CertifiedRsa
from landbridge.wire import Headers

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_FILE = re.compile(r"[A-Za-z0-9_.-]{1,200}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CertifiedClaim(Claim):
    """What the headers say, with the certificate that has to have signed it."""

    signature: bytes
    id: str
    timestamp: str
    certificate: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Certified(Scheme):
    """The rules of a `CertifiedRsa` fact."""

    spec: CertifiedRsa
    also: str = ""
    """The origin of the connection's own API where it is not the vendor's, such as
    `http://127.0.0.1:8712` of a simulator: who gets its credentials may sign, too. Empty: none."""

    @property
    def tolerance(self) -> timedelta | None:
        """The window that the vendor's page states, if it signs a time."""
        return self.spec.window

    def certificate_url(self, headers: Headers) -> str:
        """The URL in the headers; `NoClaim` unless it is one of the vendor's certificates, or lies
        at the connection's own API."""
        url = one(headers, self.spec.certificate)
        try:
            parts = urlsplit(url)
            origin = f"{parts.scheme}://{parts.netloc}"
            fits = (
                origin in {self.also, *(f"https://{host}" for host in self.spec.hosts)}
                and parts.path.startswith(self.spec.path)
                and _FILE.fullmatch(parts.path.removeprefix(self.spec.path)) is not None
                and url == f"{origin}{parts.path}"
            )
        except ValueError:
            fits = False
        if not fits:
            raise NoClaim(
                f"{self.spec.certificate}: it leads to no certificate of the vendor's, which are"
                f" below {self.spec.path} at {', '.join(self.spec.hosts)}",
                reason="malformed_header",
            )
        return url

    def read(self, headers: Headers, call: Call) -> CertifiedClaim:
        """What is signed, of headers that each came once, and the certificate of the call."""
        spec = self.spec
        for name, want in spec.when.items():
            if one(headers, name) != want:
                raise NoClaim(f"{name}: it is not {want}", reason="other_scheme")
        written = one(headers, spec.header)
        try:
            signature = base64.b64decode(written, validate=True)
        except ValueError:
            raise NoClaim(f"{spec.header}: it is not base64", reason="malformed_header") from None
        told = {
            name: one(headers, header)
            for name, header in (("id", spec.id), ("timestamp", spec.timestamp))
            if header
        }
        at = instant(told["timestamp"], spec.unit, spec.timestamp) if spec.timestamp else None
        self.certificate_url(headers)
        if not call.certificate:
            raise NoClaim(
                f"the certificate that {spec.certificate} leads to was not given",
                reason="no_certificate",
            )
        _loaded(call.certificate)
        return CertifiedClaim(
            at=at,
            signature=signature,
            id=told.get("id", ""),
            timestamp=told.get("timestamp", ""),
            certificate=call.certificate,
        )

    def check(self, secret: str) -> None:
        """Returns for any text but an empty one."""
        if not secret.strip():
            raise InvalidInput("secret: it is empty; it is the id that the vendor gave the webhook")

    def made_by(self, secret: str, claim: Claim, body: bytes) -> bool:
        """Whether the certificate's owner signed this body for the endpoint with this id."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only this one needs it
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

        self.check(secret)
        assert isinstance(claim, CertifiedClaim)
        key = _loaded(claim.certificate).public_key()
        if not isinstance(key, RSAPublicKey):
            return False
        try:
            key.verify(claim.signature, self._signed(secret, claim, body), PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    def vet(self, certificate: bytes, now: datetime) -> None:
        """Returns if this is the vendor's certificate and in date; `SignatureError` says why not.

        That it came from the vendor is for whoever fetched it to know, by TLS.
        """
        from cryptography.x509.oid import NameOID  # noqa: PLC0415 - only this one needs it

        loaded = _loaded(certificate)
        names = [
            str(one.value) for one in loaded.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ]
        if len(names) != 1 or not names[0].endswith(self.spec.subject):
            raise SignatureError(
                f"the certificate is not for a name that ends in {self.spec.subject}"
            )
        if not loaded.not_valid_before_utc <= now <= loaded.not_valid_after_utc:
            raise SignatureError("the certificate is out of date")

    def _signed(self, secret: str, claim: CertifiedClaim, body: bytes) -> bytes:
        word = "crc32" if "{crc32}" in self.spec.signs else "body"
        before, _, after = self.spec.signs.partition("{" + word + "}")
        middle = str(zlib.crc32(body)).encode() if word == "crc32" else body
        told = {"id": claim.id, "timestamp": claim.timestamp, "secret": secret}
        return before.format(**told).encode() + middle + after.format(**told).encode()


def _loaded(pem: bytes) -> Certificate:
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - only this one needs it

    try:
        return load_pem_x509_certificate(pem)
    except ValueError:
        raise NoClaim(
            "the certificate cannot be read: it is no PEM", reason="no_certificate"
        ) from None
