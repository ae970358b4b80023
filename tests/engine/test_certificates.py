"""A vendor's certificate is got from the vendor alone, kept, and asked for seldom."""

from __future__ import annotations

import asyncio
import base64
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from landbridge.client import Client
from landbridge.client.guard import Guard
from landbridge.clock import FakeClock
from landbridge.engine.certificates import Certificates
from landbridge.engine.receive import Intake, set_app_secrets
from landbridge.errors import SignatureError, Unreachable
from landbridge.signing import Certified
from landbridge.store.database import Database
from landbridge.vault import Vault
from landbridge.wire import Headers
from tests.client.servers import Answer, Listener, certificate, listening, says
from tests.engine.conftest import SHOP, Scene
from tests.unit import vendors

PATH = "/v1/notifications/certs/"
BODY = b'{"id": "evt_1", "type": "customer.updated", "account": "acct_1", "data": {"id": "cus_1"}}'


def answer(body: bytes, status: str = "200 OK") -> Answer:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n"
    return says(head.encode() + body)


class Vendor:
    """A vendor with a key, a certificate for it, and a server that has the certificate."""

    def __init__(self, name: str, begin: datetime):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )
        self.pem = made.public_bytes(serialization.Encoding.PEM)

    def sign(self, url: str, at: datetime, body: bytes = BODY) -> dict[str, str]:
        written = at.isoformat()
        signed = f"id-1|{written}|hook-1|{zlib.crc32(body)}".encode()
        mark = self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return {
            "PAYPAL-TRANSMISSION-ID": "id-1",
            "PAYPAL-TRANSMISSION-TIME": written,
            "PAYPAL-TRANSMISSION-SIG": base64.b64encode(mark).decode(),
            "PAYPAL-CERT-URL": url,
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        }


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def vendor(clock: FakeClock) -> Vendor:
    return Vendor("hooks.paypal.com", clock.now() - timedelta(hours=12))


@pytest.fixture
async def trusting(
    db: Database, vault: Vault, clock: FakeClock, tmp_path: Path
) -> AsyncIterator[tuple[ssl.SSLContext, Client]]:
    """What a server at localhost needs for TLS, and a client that believes it."""
    server, trusted = certificate(tmp_path, "localhost")
    client = Client(db, vault, Guard(allow=["127.0.0.0/8", "::1/128"]), clock=clock, tls=trusted)
    yield server, client
    await client.close()


def page(listener: Listener) -> Certified:
    """PayPal's way of signing, with a host of ours."""
    spec = replace(vendors.PAYPAL, hosts=[f"localhost:{listener.port}"])
    return Certified(spec=spec)


def named(listener: Listener, file: str = "CERT-1") -> Headers:
    return Headers({"PAYPAL-CERT-URL": f"https://localhost:{listener.port}{PATH}{file}"})


async def test_a_certificate_is_got_once_and_again_after_an_hour(
    trusting: tuple[ssl.SSLContext, Client], clock: FakeClock, vendor: Vendor
) -> None:
    server, client = trusting
    seconds = [0.0]
    kept = Certificates(client, clock=clock, monotonic=lambda: seconds[0])
    async with listening(answer(vendor.pem), tls=server) as listener:
        scheme = page(listener)
        found = await asyncio.gather(*[kept.of(scheme, named(listener)) for _ in range(20)])
        assert set(found) == {vendor.pem}
        assert len(listener.requests) == 1
        seconds[0] = 3599
        await kept.of(scheme, named(listener))
        assert len(listener.requests) == 1
        seconds[0] = 3601
        await kept.of(scheme, named(listener))
        assert len(listener.requests) == 2


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"nothing", "404 Not Found", SignatureError),
        (b"", "302 Found", SignatureError),
        (b"no certificate", "200 OK", SignatureError),
        (b"x" * 100_000, "200 OK", Unreachable),
        (b"", "503 Service Unavailable", Unreachable),
        (b"", "429 Too Many Requests", Unreachable),
    ],
)
async def test_what_is_no_certificate_is_refused_or_tried_later(
    trusting: tuple[ssl.SSLContext, Client],
    clock: FakeClock,
    body: bytes,
    status: str,
    error: type[Exception],
) -> None:
    server, client = trusting
    seconds = [0.0]
    kept = Certificates(client, clock=clock, monotonic=lambda: seconds[0])
    async with listening(answer(body, status), tls=server) as listener:
        for _ in range(3):
            with pytest.raises(error):
                await kept.of(page(listener), named(listener))
        assert len(listener.requests) == (1 if error is SignatureError else 3)
        seconds[0] = 61
        with pytest.raises(error):
            await kept.of(page(listener), named(listener))
        assert len(listener.requests) == (2 if error is SignatureError else 4)


async def test_whoever_names_ever_new_files_has_few_of_them_asked_for(
    trusting: tuple[ssl.SSLContext, Client], clock: FakeClock, vendor: Vendor
) -> None:
    server, client = trusting
    seconds = [0.0]
    kept = Certificates(client, clock=clock, monotonic=lambda: seconds[0], rate=5)
    async with listening(answer(b"", "404 Not Found"), tls=server) as listener:
        scheme, late = page(listener), 0
        for number in range(50):
            with pytest.raises((SignatureError, Unreachable)) as caught:
                await kept.of(scheme, named(listener, f"CERT-{number}"))
            late += isinstance(caught.value, Unreachable)
        assert (len(listener.requests), late) == (5, 45)
    async with listening(answer(vendor.pem), tls=server) as listener:
        seconds[0] = 61
        assert await kept.of(page(listener), named(listener)) == vendor.pem


async def test_nobody_is_asked_whom_the_page_does_not_name(
    trusting: tuple[ssl.SSLContext, Client], clock: FakeClock, vendor: Vendor
) -> None:
    server, client = trusting
    kept = Certificates(client, clock=clock)
    async with listening(answer(vendor.pem), tls=server) as listener:
        with pytest.raises(SignatureError, match="leads to no certificate"):
            await kept.of(Certified(spec=vendors.PAYPAL), named(listener))
        assert listener.connects == 0


async def test_a_server_that_proves_no_name_is_not_believed(
    db: Database, vault: Vault, clock: FakeClock, tmp_path: Path, vendor: Vendor
) -> None:
    server, _ = certificate(tmp_path, "localhost")
    client = Client(db, vault, Guard(allow=["127.0.0.0/8", "::1/128"]), clock=clock)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        listener = await stack.enter_async_context(listening(answer(vendor.pem), tls=server))
        with pytest.raises(Unreachable, match="cannot be got"):
            await Certificates(client, clock=clock).of(page(listener), named(listener))
        assert listener.requests == []


async def test_a_webhook_is_believed_by_the_certificate_that_it_names(
    trusting: tuple[ssl.SSLContext, Client],
    db: Database,
    vault: Vault,
    scene: Scene,
    clock: FakeClock,
    vendor: Vendor,
) -> None:
    server, client = trusting
    await set_app_secrets(db, vault, scene.app, ["hook-1"])
    assert SHOP.webhook is not None
    async with listening(answer(vendor.pem), tls=server) as listener:
        signature = page(listener).spec
        shop = replace(SHOP, webhook=replace(SHOP.webhook, signature=signature))
        intake = Intake(
            db,
            vault,
            provider=lambda _slug: shop,
            clock=clock,
            certificates=Certificates(client, clock=clock),
        )
        url = named(listener)["paypal-cert-url"]
        headers = vendor.sign(url, clock.now().astimezone(UTC))

        async def status(body: bytes = BODY, **other: str) -> int:
            names = {name.replace("_", "-"): value for name, value in other.items()}
            told = Headers({**headers, **names})
            return (await intake.accept(scene.app.token, "", told, body)).status

        assert await status() == 200
        assert await status(BODY + b" ") == 400
        assert await status(PAYPAL_TRANSMISSION_ID="id-2") == 400
        assert await status(PAYPAL_CERT_URL="https://evil.example/x") == 400
        assert len(listener.requests) == 1
        gone = url.replace("CERT-1", "CERT-2")
    assert await status(PAYPAL_CERT_URL=gone) == 503
    await intake.settle()
