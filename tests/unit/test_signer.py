"""Signing with keys made ready once, ed25519 keys, and the receivers' own `verify`."""

import base64
import hashlib
import hmac
import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks
import svix.webhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from landbridge import webhooks
from landbridge.errors import Forged, InvalidInput, SignatureError, TooOld
from landbridge.signing import Standard, diagnose
from landbridge.signing.standard import Signer, new_private_key, new_secret, public_key, sign
from landbridge.wire import Headers

NOW = datetime(2026, 11, 24, 12, 0, 0, 700_000, tzinfo=UTC)
SECRET = new_secret(random.Random(1).randbytes)
OTHER = new_secret(random.Random(2).randbytes)
PRIVATE = new_private_key(random.Random(3).randbytes)
PUBLIC = public_key(PRIVATE)
BODY = '{"type":"invoice.paid","data":{"name":"Zürich"}}'.encode()


@given(key=st.binary(min_size=1, max_size=200), body=st.binary(max_size=3000))
def test_a_signer_makes_the_hmac_of_the_scheme(key: bytes, body: bytes) -> None:
    signer = Signer(["whsec_" + base64.b64encode(key).decode()])
    expected = hmac.digest(key, b"evt_1.1795521600." + body, hashlib.sha256)
    for _ in range(2):  # the keyed state is not used up
        headers = signer.headers("evt_1", NOW, body)
        assert headers == {
            "webhook-id": "evt_1",
            "webhook-timestamp": "1795521600",
            "webhook-signature": "v1," + base64.b64encode(expected).decode(),
        }


@given(st.binary(max_size=3000))
def test_an_ed25519_signature_is_verified_by_the_public_library(body: bytes) -> None:
    headers = Signer([PRIVATE]).headers("evt_1", NOW, body)
    version, _, text = headers["webhook-signature"].partition(",")
    assert version == "v1a"
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(PUBLIC.removeprefix("whpk_")))
    key.verify(base64.b64decode(text), b"evt_1.1795521600." + body)


def test_signatures_stand_in_the_order_of_their_secrets() -> None:
    headers = Signer([SECRET, PRIVATE, OTHER]).headers("evt_1", NOW, BODY)
    assert headers == sign(SECRET, "evt_1", NOW, BODY, also=[PRIVATE, OTHER])
    signatures = headers["webhook-signature"].split(" ")
    assert [each.partition(",")[0] for each in signatures] == ["v1", "v1a", "v1"]
    assert signatures == [
        Signer([each]).headers("evt_1", NOW, BODY)["webhook-signature"]
        for each in (SECRET, PRIVATE, OTHER)
    ]


def test_the_public_libraries_pass_over_signatures_of_another_version() -> None:
    headers = Signer([PRIVATE, OTHER, SECRET]).headers("evt_1", datetime.now(UTC), BODY)
    for held in (SECRET, OTHER):
        standardwebhooks.Webhook(held).verify(BODY, headers)
        svix.webhooks.Webhook(held).verify(BODY, headers)


def test_a_private_key_may_be_written_with_its_public_half() -> None:
    seed = base64.b64decode(PRIVATE.removeprefix("whsk_"))
    own, alien = (
        base64.b64decode(public_key(each).removeprefix("whpk_"))
        for each in (PRIVATE, new_private_key(random.Random(4).randbytes))
    )
    whole = "whsk_" + base64.b64encode(seed + own).decode()
    assert public_key(whole) == PUBLIC
    with pytest.raises(InvalidInput, match="do not belong together"):
        public_key("whsk_" + base64.b64encode(seed + alien).decode())


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ([], "none is given"),
        ([SECRET, "whsec_canary!"], "not base64"),
        (["whsec_"], "it is empty"),
        (["whsk_" + base64.b64encode(b"canary").decode()], "32 or 64 bytes"),
        ([PUBLIC], "a public key"),
    ],
)
def test_a_signer_refuses_what_is_no_secret_and_does_not_repeat_it(
    secrets: list[str], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        Signer(secrets)
    assert "canary" not in str(caught.value)
    assert SECRET[6:] not in repr(Signer([SECRET]))


@pytest.mark.parametrize("message", ["", "evt.1", "evt 1", "evt_é", "evt\n1"])
def test_a_message_id_that_could_be_taken_for_another_is_refused(message: str) -> None:
    with pytest.raises(InvalidInput, match="message id"):
        Signer([SECRET]).headers(message, NOW, BODY)


# --- landbridge.webhooks ---


@pytest.mark.parametrize("held", [SECRET, [OTHER, SECRET], PUBLIC, (PUBLIC, OTHER)])
def test_a_receiver_gets_the_payload(held: Any) -> None:
    headers = sign(SECRET, "evt_1", NOW, BODY, also=[PRIVATE])
    sent = {name.title(): value for name, value in headers.items()}
    assert webhooks.verify(BODY, sent, held, now=NOW) == json.loads(BODY)
    typed = sent | {"Content-Type": "application/json; charset=utf-8"}
    assert webhooks.verify(BODY, typed, held, now=NOW)["type"] == "invoice.paid"


def test_a_body_that_is_not_json_comes_back_as_it_is() -> None:
    headers = {**sign(SECRET, "evt_1", NOW, b"<a/>"), "content-type": "application/xml"}
    assert webhooks.verify(b"<a/>", headers, SECRET, now=NOW) == b"<a/>"


def test_what_is_not_to_be_believed_raises() -> None:
    headers = sign(SECRET, "evt_1", NOW, BODY)
    with pytest.raises(Forged):
        webhooks.verify(BODY + b" ", headers, SECRET, now=NOW)
    with pytest.raises(Forged):
        webhooks.verify(BODY, headers, [OTHER, PUBLIC], now=NOW)
    with pytest.raises(TooOld):
        webhooks.verify(BODY, headers, SECRET, now=NOW + timedelta(minutes=6))
    with pytest.raises(TooOld):
        webhooks.verify(BODY, headers, SECRET)  # the test's time is not the present one
    with pytest.raises(SignatureError, match="no header"):
        webhooks.verify(BODY, {}, SECRET, now=NOW)
    with pytest.raises(SignatureError, match="no signing secret"):
        webhooks.verify(BODY, headers, [], now=NOW)
    with pytest.raises(InvalidInput, match="raw bytes"):
        webhooks.verify(BODY.decode(), headers, SECRET, now=NOW)  # type: ignore[arg-type]


def test_receivers_load_neither_a_database_nor_a_client() -> None:
    code = (
        "import sys; from landbridge.webhooks import verify;"
        "print(*{'sqlalchemy', 'asyncpg', 'aiohttp', 'httpx2', 'asyncio'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# --- why not ---


def test_a_signature_that_the_kind_of_secret_cannot_check_is_told() -> None:
    asymmetric = Headers(sign(PRIVATE, "evt_1", NOW, BODY))
    found = diagnose(Standard(), [SECRET], asymmetric, BODY, NOW)
    assert found.reason == "other_scheme"
    assert "public key whpk_" in found.message
    found = diagnose(Standard(), [PUBLIC], Headers(sign(SECRET, "evt_1", NOW, BODY)), BODY, NOW)
    assert found.reason == "other_scheme"
    assert "secret whsec_" in found.message
    found = diagnose(Standard(), [SECRET, PUBLIC], asymmetric, BODY, NOW)
    assert (found.valid, found.secret) == (True, 2)
    other = public_key(new_private_key(random.Random(5).randbytes))
    assert diagnose(Standard(), [other], asymmetric, BODY, NOW).reason == "wrong_secret"
