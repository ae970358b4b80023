"""Sends events to the app's webhooks, signed as PayPal does, with a certificate of its own.

`PAYPAL-TRANSMISSION-SIG` is the base64 of an RSA signature (PKCS#1 v1.5, SHA-256) over
`<transmission id>|<time>|<webhook id>|<CRC-32 of the raw body>`.
"""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from landbridge.testing.paypal.wire import Obj, code_of, stamp
from landbridge.testing.sending import Post, Sender

CERTS = "/v1/notifications/certs/"
FILE = "CERT-360caa42-fca2a594-simulator"
_NAME = "messageverificationcerts.sandbox.paypal.com"


class Certificate:
    """A key, and the certificate by which its signatures are known."""

    def __init__(self, now: float, name: str = _NAME):
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        begin = datetime.fromtimestamp(now, UTC) - timedelta(days=1)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=365))
            .sign(self._key, hashes.SHA256())
        )
        self.pem = made.public_bytes(serialization.Encoding.PEM)

    def sign(self, text: str) -> str:
        """The signature of a text, in base64."""
        signed = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signed).decode()


@dataclass(kw_only=True)
class Dispatcher(Sender[tuple[str, bytes]]):
    """The queue between events and webhooks; a job is a body for the webhook of this id."""

    rng: Random
    certificate: Certificate
    certificate_url: str
    hooks: dict[str, Obj] = field(default_factory=dict)
    """The registered webhooks by their ids."""

    def register(self, url: str, topics: list[str]) -> Obj:
        """A new webhook for these events (`*`: all), with the id that its signatures need."""
        made = {
            "id": code_of(self.rng),
            "url": url,
            "event_types": [{"name": topic} for topic in topics],
        }
        self.hooks[str(made["id"])] = made
        return made

    def tell(self, event: Obj) -> None:
        """Plans the first tries for an event."""
        body = json.dumps(event).encode()
        for ident, hook in self.hooks.items():
            wanted = {each["name"] for each in hook["event_types"]}
            if wanted & {"*", event["event_type"]}:
                self.plan((ident, body))

    def headers(self, hook: str, body: bytes) -> dict[str, str]:
        """What stands beside a body that is signed for a webhook."""
        ident = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        at = stamp(self.stage.clock.now())
        return {
            "Content-Type": "application/json",
            "PAYPAL-TRANSMISSION-ID": ident,
            "PAYPAL-TRANSMISSION-TIME": at,
            "PAYPAL-TRANSMISSION-SIG": self.certificate.sign(
                f"{ident}|{at}|{hook}|{zlib.crc32(body)}"
            ),
            "PAYPAL-CERT-URL": self.certificate_url,
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "PAYPAL-AUTH-VERSION": "v2",
        }

    def addressed(self) -> dict[str, Any]:
        """Where events go."""
        return {"webhooks": [*self.hooks.values()]}

    def post(self, job: tuple[str, bytes], _: int, /) -> Post:
        """The body, signed for the webhook."""
        hook, body = job
        return Post(
            url=self.hooks[hook]["url"],
            body=body,
            headers=self.headers(hook, body),
            noted={"body": body.decode()},
        )
