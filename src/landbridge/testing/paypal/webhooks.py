"""Sends events to the app's webhooks, signed as PayPal does, with a certificate of its own.

`PAYPAL-TRANSMISSION-SIG` is the base64 of an RSA signature (PKCS#1 v1.5, SHA-256) over
`<transmission id>|<time>|<webhook id>|<CRC-32 of the raw body>`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from landbridge.testing.asgi import BadCall
from landbridge.testing.paypal.wire import Obj, code_of, stamp
from landbridge.testing.stage import Stage

CERTS = "/v1/notifications/certs/"
FILE = "CERT-360caa42-fca2a594-simulator"
RETRIES = (0.2, 0.5, 1.0, 2.0)
_MODES = ("send", "hold", "lose")
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
class Dispatcher:
    """The queue between events and webhooks. Modes: `send`, `hold` until `release`, `lose`."""

    stage: Stage
    rng: Random
    certificate: Certificate
    certificate_url: str
    retries: tuple[float, ...] = RETRIES
    hooks: dict[str, Obj] = field(default_factory=dict)
    """The registered webhooks by their ids."""
    mode: str = "send"

    def __post_init__(self) -> None:
        self._queue: asyncio.Queue[tuple[str, bytes, int]] = asyncio.Queue()
        self._held: list[tuple[str, bytes, int]] = []
        self._later: set[asyncio.Task[None]] = set()
        self._sending = 0
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sends while the block lasts."""
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            self._session = session
            tasks = [asyncio.ensure_future(self._send_on()) for _ in range(4)]
            try:
                yield
            finally:
                tasks += self._later
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

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
            if self.mode == "lose" or not wanted & {"*", event["event_type"]}:
                continue
            job = (ident, body, 0)
            if self.mode == "hold":
                self._held.append(job)
            else:
                self._queue.put_nowait(job)

    def set_mode(self, mode: str) -> None:
        """`send`, `hold` or `lose` from now on."""
        if mode not in _MODES:
            raise BadCall(f"mode: {mode!r} is none of {', '.join(_MODES)}")
        self.mode = mode

    def release(self, times: int) -> int:
        """Sends what was held, `times` over, and from now on; how many."""
        held = self._held * times
        self._held, self.mode = [], "send"
        for job in held:
            self._queue.put_nowait(job)
        return len(held)

    def waiting(self) -> int:
        """How many tries are held, queued, put off or under way."""
        return len(self._held) + self._queue.qsize() + len(self._later) + self._sending

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

    async def _send_on(self) -> None:
        while True:
            hook, body, tries = await self._queue.get()
            self._sending += 1
            try:
                status = await self._post(hook, body)
            finally:
                self._sending -= 1
            if (status is None or not 200 <= status < 300) and tries < len(self.retries):
                task = asyncio.ensure_future(self._again(hook, body, tries))
                self._later.add(task)
                task.add_done_callback(self._later.discard)

    async def _again(self, hook: str, body: bytes, tries: int) -> None:
        await asyncio.sleep(self.retries[tries])
        self._queue.put_nowait((hook, body, tries + 1))

    async def _post(self, hook: str, body: bytes) -> int | None:
        assert self._session is not None
        url, status = self.hooks[hook]["url"], None
        try:
            async with self._session.post(
                url, data=body, headers=self.headers(hook, body), allow_redirects=False
            ) as answer:
                status = answer.status
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        self.stage.journal.write(
            kind="webhook",
            at=self.stage.clock.now(),
            method="POST",
            path=url,
            status=status,
            body=body.decode(),
        )
        return status
