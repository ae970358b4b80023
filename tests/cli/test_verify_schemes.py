"""`landbridge verify` with a scheme as a page has it, for every vendor's way of signing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from landbridge.cli.verify import signature_of
from landbridge.spec import CertifiedRsa
from tests.cli.conftest import Cli
from tests.unit.vendors import PAYPAL_PEM, VECTORS

WRITTEN = {
    "stripe": 'TimestampedHmac(header="Stripe-Signature")',
    "xero": 'hmac_base64("x-xero-signature")',
    "quickbooks": "hmac_base64('intuit-signature')",
    "square": 'hmac_base64("x-square-hmacsha256-signature", signs="{url}{body}")',
    "slack": 'hmac_hex("X-Slack-Signature", prefix="v0=", signs="v0:{timestamp}:{body}",'
    ' timestamp="X-Slack-Request-Timestamp")',
    "hubspot": 'hmac_base64("X-HubSpot-Signature-v3", signs="{method}{url}{body}{timestamp}",'
    ' timestamp="X-HubSpot-Request-Timestamp", unit="ms", unescaped=":/?@!$\'()*,;")',
    "hubspot v1": 'SecretHash(header="X-HubSpot-Signature")',
    "hubspot v2": 'SecretHash(header="X-HubSpot-Signature", signs="{secret}{method}{url}{body}")',
    "paypal, 2016": 'CertifiedRsa(header="PAYPAL-TRANSMISSION-SIG",'
    ' signs="{id}|{timestamp}|{secret}|{crc32}", id="PAYPAL-TRANSMISSION-ID",'
    ' timestamp="PAYPAL-TRANSMISSION-TIME", certificate="PAYPAL-CERT-URL",'
    ' hosts=["api.paypal.com", "api-m.paypal.com", "api.sandbox.paypal.com",'
    ' "api-m.sandbox.paypal.com"], path="/v1/notifications/certs/", subject=".paypal.com",'
    ' when={"PAYPAL-AUTH-ALGO": "SHA256withRSA"})',
    "graph": 'SharedToken(body="clientState", items="value")',
    "google": 'SharedToken(header="X-Goog-Channel-Token")',
    "mailchimp": 'SharedToken(query="secret")',
    "freshbooks": 'hmac_base64("X-FreshBooks-Hmac-SHA256", signs="{form}")',
    "github": 'hmac_hex("X-Hub-Signature-256", prefix="sha256=")',
    "finch": 'StandardWebhooks(id="Finch-Event-Id", timestamp="Finch-Timestamp",'
    ' signature="Finch-Signature")',
    "merge": 'hmac_base64url("X-Merge-Webhook-Signature")',
    "rutter": 'hmac_base64("X-Rutter-Signature", prefix="sha256=")',
    "tray": 'hmac_base64("x-tray-signature", key="base64")',
    "paragon": 'Hmac(header="x-paragon-signature", encodings=["hex", "base64"], prefix="v1=")',
    "teams": 'hmac_base64("Authorization", prefix="HMAC ", key="base64")',
}


def verify(cli: Cli, name: str, cert: Path, *, secret: str = "", url: str = "") -> tuple[int, str]:
    vector = VECTORS[name]
    words = ["--secret", secret or vector.secret, "--at", str(int(vector.at))]
    for header, value in vector.headers.items():
        words += ["--header", f"{header}: {value}"]
    if url or vector.call.url:
        words += ["--url", url or vector.call.url, "--method", vector.call.method.lower()]
    if isinstance(vector.signature, CertifiedRsa):
        words += ["--cert", str(cert)]
    done = cli("verify", WRITTEN[name], *words, stdin=vector.body.decode())
    assert done.err == ""
    assert vector.secret not in done.out
    return done.status, done.out.rstrip("\n")


@pytest.fixture
def cert(tmp_path: Path) -> Path:
    path = tmp_path / "cert.pem"
    path.write_bytes(PAYPAL_PEM)
    return path


def test_every_vendor_has_a_line() -> None:
    left = {name for name in VECTORS if name not in WRITTEN}
    assert left == {"hubspot, another", "paypal, 2015"}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_scheme_is_read_as_the_page_has_it(name: str) -> None:
    fact = VECTORS[name].signature
    if isinstance(fact, CertifiedRsa):  # a span of time cannot be written in a shell
        fact = replace(fact, tolerance=timedelta(minutes=5))
    assert signature_of(WRITTEN[name]) == fact


@pytest.mark.parametrize("name", WRITTEN)
def test_what_the_vendor_signed_is_valid_and_by_another_secret_it_is_not(
    bare_cli: Cli, cert: Path, name: str
) -> None:
    assert verify(bare_cli, name, cert) == (0, "valid")
    status, out = verify(bare_cli, name, cert, secret="YW5vdGhlciBzZWNyZXQ=")
    assert status == 1
    assert out.startswith("wrong ")


@pytest.mark.parametrize("name", ["square", "hubspot", "hubspot v2"])
def test_another_address_is_named(bare_cli: Cli, cert: Path, name: str) -> None:
    url = VECTORS[name].call.url + "/"
    status, out = verify(bare_cli, name, cert, url=url)
    assert status == 1
    assert "for the URL without the slash at its end" in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([WRITTEN["square"]], "this scheme looks at the address: give --url"),
        ([WRITTEN["mailchimp"]], "this scheme looks at the address: give --url"),
        (["hmac_b64('x')"], "'hmac_b64' is no scheme. Did you mean 'hmac_base64'? There are: "),
        (["hmac_hex('x', prefx='')"], "Hmac has no fact 'prefx'. Did you mean 'prefix'?"),
        (["hmac_hex('x', signs='{url')"], "Hmac, signs: "),
        (["hmac_hex()"], "'hmac_hex()' cannot be read"),
        (["hmac_hex('x'"], "\"hmac_hex('x'\" cannot be read"),
        (
            ["hmac_hex(open('/etc/passwd').read())"],
            "\"hmac_hex(open('/etc/passwd').read())\" cannot",
        ),
        (["__import__('os').system('x')"], "\"__import__('os').system('x')\" is no scheme such as"),
        (["exit('x')"], "'exit' is no scheme."),
    ],
)
def test_a_scheme_that_cannot_be_read_is_a_wrong_call(
    bare_cli: Cli, words: list[str], why: str
) -> None:
    done = bare_cli("verify", *words, "--secret", "x", stdin="{}")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"error: {why}")
    assert done.err.count("\n") == 1


def test_a_certificate_that_was_not_given_is_asked_for(bare_cli: Cli, cert: Path) -> None:
    cert.write_bytes(b"")
    status, out = verify(bare_cli, "paypal, 2016", cert)
    assert (status, out) == (
        1,
        "the certificate that PAYPAL-CERT-URL leads to was not given",
    )
