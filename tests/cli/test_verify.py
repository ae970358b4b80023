"""`landbridge verify`: valid, or why not, in a sentence and without a secret."""

import base64
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import standardwebhooks
import stripe

from landbridge.signing import standard
from tests.cli.conftest import Cli

AT = 1_767_225_600
NOW = datetime.fromtimestamp(AT, UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
BODY = '{"id": "evt_1", "object": "event"}'


def stripe_header(secret: str = SECRET, at: int = AT, body: str = BODY) -> str:
    signed = stripe.WebhookSignature.generate_signature_header(body, secret, at)
    return f"Stripe-Signature: {signed}"


def verify(cli: Cli, *words: str, body: str = BODY, at: int = AT) -> tuple[int, str]:
    done = cli("verify", *words, "--at", str(at), stdin=body)
    assert done.err == ""
    for secret in (SECRET, OTHER):
        assert secret[6:] not in done.out
    return done.status, done.out.rstrip("\n")


def test_a_signature_of_stripe_holds(bare_cli: Cli) -> None:
    words = ("stripe", "--secret", SECRET, "--header", stripe_header())
    assert verify(bare_cli, *words) == (0, "valid")
    assert verify(bare_cli, *words, at=AT + 300) == (0, "valid")
    assert verify(bare_cli, *words, at=AT - 300) == (0, "valid")


def test_a_signature_of_our_own_holds(bare_cli: Cli) -> None:
    made = standardwebhooks.Webhook(SECRET).sign("msg_1", NOW, BODY)
    headers = ["webhook-id:msg_1", f"Webhook-Timestamp: {AT}", f"webhook-signature: {made}"]
    words = [word for header in headers for word in ("--header", header)]
    assert verify(bare_cli, "standard", "--secret", SECRET, *words) == (0, "valid")


def test_one_of_several_secrets_is_named_by_its_place(bare_cli: Cli) -> None:
    words = ("stripe", "--secret", OTHER, "--secret", SECRET, "--header", stripe_header())
    assert verify(bare_cli, *words) == (0, "valid, by secret 2 of 2")


def test_the_secret_need_not_stand_in_the_shells_history(bare_cli: Cli) -> None:
    words = ("verify", "stripe", "--header", stripe_header(), "--at", str(AT))
    assert bare_cli(*words, stdin=BODY, LANDBRIDGE_VERIFY_SECRET=SECRET).out == "valid\n"
    both = f"{OTHER} {SECRET}"
    assert bare_cli(*words, stdin=BODY, LANDBRIDGE_VERIFY_SECRET=both).status == 0


@pytest.mark.parametrize(
    ("words", "body", "at", "why"),
    [
        (["--secret", SECRET], BODY, AT, "no header Stripe-Signature; these came: none"),
        (
            ["--secret", SECRET, "--header", "Date: x"],
            BODY,
            AT,
            "no header Stripe-Signature; these came: date",
        ),
        (["--secret", OTHER, "--header", stripe_header()], BODY, AT, "wrong secret:"),
        (
            ["--secret", SECRET, "--header", stripe_header()],
            BODY.replace(" ", ""),
            AT,
            "the body was changed after it was signed: the signature fits it as JSON with a blank",
        ),
        (["--secret", SECRET, "--header", stripe_header()], BODY, AT + 301, "too old by 1 s:"),
        (
            ["--secret", SECRET, "--header", stripe_header()],
            BODY,
            AT - 302,
            "too far in the future by 2 s:",
        ),
        (
            ["--secret", SECRET, "--header", "Stripe-Signature: t=1,v0=00"],
            BODY,
            AT,
            "Stripe-Signature: no v1 signature; the schemes that came: v0",
        ),
        (["--secret", "sk_test_1", "--header", stripe_header()], BODY, AT, "the secret begins"),
        (["--secret", SECRET, "--header", stripe_header()], "", AT, "the body is empty"),
    ],
)
def test_why_not(bare_cli: Cli, words: list[str], body: str, at: int, why: str) -> None:
    status, out = verify(bare_cli, "stripe", *words, body=body, at=at)
    assert status == 1
    assert out.startswith(why)
    assert "\n" not in out


def test_a_late_capture_is_told_how_to_be_checked(bare_cli: Cli) -> None:
    done = bare_cli("verify", "stripe", "--secret", SECRET, "--header", stripe_header(), stdin=BODY)
    assert done.status == 1
    assert done.out.endswith("check an old capture as of its own time with --at\n")


def test_json_says_the_same_to_a_program(bare_cli: Cli) -> None:
    words = ("verify", "stripe", "--secret", SECRET, "--header", stripe_header(), "--json")
    good = bare_cli(*words, "--at", str(AT + 5), stdin=BODY)
    assert good.status == 0
    assert good.json == {
        "valid": True,
        "reason": "valid",
        "message": "valid",
        "secret": 1,
        "seconds": 5.0,
    }
    late = bare_cli(*words, "--at", str(AT + 400), stdin=BODY)
    assert late.status == 1
    assert (late.json["valid"], late.json["reason"], late.json["seconds"]) == (
        False,
        "too_old",
        400,
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["stirpe", "--secret", "x"], "'stirpe' is no provider. Did you mean 'stripe'? There are:"),
        (["caldav", "--secret", "x"], "caldav sends no webhooks, so there is nothing to verify"),
        (["stripe"], "no signing secret: give --secret, or set LANDBRIDGE_VERIFY_SECRET"),
        (["stripe", "--secret", "x", "--header", "canary"], "--header number 1 has no name and"),
        (["stripe", "--secret", "x", "--at", "noon"], "Invalid value for"),
        (["stripe", "--secret", "x", "--cert", "/nowhere.pem"], "Invalid value for"),
        ([], "Missing argument"),
    ],
)
def test_a_wrong_call_ends_with_status_2(bare_cli: Cli, words: list[str], why: str) -> None:
    done = bare_cli("verify", *words, stdin=BODY)
    assert done.status == 2
    assert done.out == ""
    assert done.err.startswith(f"error: {why}")
    assert done.err.count("\n") == 1
    assert "canary" not in done.err
    told = bare_cli("verify", *words, "--json", stdin=BODY)
    assert told.status == 2
    assert told.json["error"]["type"] == "WrongUsage"


def test_every_option_is_taken_for_every_provider(bare_cli: Cli, tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"
    cert.write_text("-----BEGIN CERTIFICATE-----", encoding="utf-8")
    more = ("--url", "https://x/in/1", "--method", "POST", "--cert", str(cert))
    words = ("stripe", "--secret", SECRET, "--header", stripe_header())
    assert verify(bare_cli, *words, *more) == (0, "valid")


def test_any_bytes_are_taken_as_they_are() -> None:
    body = b"\xff\x00\r\n"
    headers = standard.sign(SECRET, "m", NOW, body)
    words = [word for name in headers for word in ("--header", f"{name}: {headers[name]}")]
    done = subprocess.run(
        [sys.executable, "-m", "landbridge.cli", "verify", "standard", "--at", str(AT), *words],
        input=body,
        capture_output=True,
        env={"LANDBRIDGE_VERIFY_SECRET": SECRET, "PATH": ""},
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"valid\n"), done.stderr
