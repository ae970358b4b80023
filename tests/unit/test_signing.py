"""Signatures hold for exactly what was signed, as the public libraries see it; failures explain."""

import base64
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks
import stripe
import svix.webhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from landbridge.errors import Forged, InvalidInput, SignatureError, TooOld
from landbridge.signing import Diagnosis, Standard, diagnose, standard, verify
from landbridge.spec import TimestampedHmac
from landbridge.wire import Headers

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
STRIPE = TimestampedHmac(header="Stripe-Signature")
OWN = Standard()
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
BODY = b'{"id": "evt_1", "amount": 12.50, "name": "Z\xc3\xbcrich & Co"}'


def stripe_headers(
    body: bytes = BODY, secret: str = SECRET, at: datetime = NOW, *, more: str = ""
) -> Headers:
    signed = stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret, int(at.timestamp())
    )
    return Headers({"Stripe-Signature": signed + more})


def own_headers(body: bytes = BODY, secret: str = SECRET, at: datetime = NOW) -> Headers:
    return Headers(standard.sign(secret, "msg_1", at, body))


def why(signature: Any, secrets: list[str], headers: Headers, body: bytes = BODY) -> Diagnosis:
    found = diagnose(signature, secrets, headers, body, NOW)
    if not found.valid:
        with pytest.raises((SignatureError, InvalidInput)):
            verify(signature, secrets, headers, body, NOW)
    for secret in secrets:
        assert secret.strip("\"' ")[8:] not in found.message
    return found


# --- Standard Webhooks, against the public libraries ---


@given(body=st.text(), secret=st.binary(min_size=24, max_size=64))
def test_what_we_sign_the_public_libraries_verify(body: str, secret: bytes) -> None:
    text = "whsec_" + base64.b64encode(secret).decode()
    now = datetime.now(UTC)
    headers = standard.sign(text, "msg_1", now, body.encode())
    standardwebhooks.Webhook(text).verify(body, headers, json_parse=False)
    svix.webhooks.Webhook(text).verify(body, headers)


@given(body=st.text(), secret=st.binary(min_size=1, max_size=64))
def test_what_the_public_library_signs_we_verify(body: str, secret: bytes) -> None:
    text = base64.b64encode(secret).decode()
    headers = Headers(
        {
            "Webhook-Id": "msg_1",
            "Webhook-Timestamp": str(int(NOW.timestamp())),
            "Webhook-Signature": standardwebhooks.Webhook(text).sign("msg_1", NOW, body),
        }
    )
    for form in (text, f"whsec_{text}", text.rstrip("=")):
        standard.verify([form], headers, body.encode(), NOW)


def test_the_published_example_of_the_scheme() -> None:
    # https://github.com/standard-webhooks/standard-webhooks, libraries' common test vector.
    headers = standard.sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary())
def test_any_bytes_can_be_signed(body: bytes) -> None:
    standard.verify([SECRET], own_headers(body), body, NOW)
    with pytest.raises(Forged):
        standard.verify([SECRET], own_headers(body), body + b" ", NOW)


@pytest.mark.parametrize("signature", [OWN, STRIPE])
@pytest.mark.parametrize(
    ("seconds", "late"), [(300, False), (301, True), (-300, False), (-301, True), (0, False)]
)
def test_the_edge_of_the_window_is_exact_both_ways(
    signature: Any, seconds: int, late: bool
) -> None:
    at = NOW - timedelta(seconds=seconds)
    headers = own_headers(at=at) if signature is OWN else stripe_headers(at=at)
    if not late:
        verify(signature, [SECRET], headers, BODY, NOW)
        return
    with pytest.raises(TooOld) as caught:
        verify(signature, [SECRET], headers, BODY, NOW)
    assert caught.value.seconds == seconds
    assert "by 1 s" in str(caught.value)


def test_a_fraction_of_a_second_over_the_edge_is_over_it() -> None:
    with pytest.raises(TooOld, match=r"0\.500 s"):
        verify(OWN, [SECRET], own_headers(), BODY, NOW + timedelta(seconds=300.5))


def test_both_secrets_hold_while_one_replaces_the_other() -> None:
    both = Headers(standard.sign(SECRET, "msg_1", NOW, BODY, also=[OTHER]))
    for held in ([SECRET], [OTHER], [OTHER, SECRET]):
        standard.verify(held, both, BODY, NOW)
    standard.verify([OTHER, SECRET], own_headers(), BODY, NOW)
    assert why(OWN, [OTHER, SECRET], own_headers()).secret == 2
    assert why(OWN, [OTHER, SECRET], own_headers()).message == "valid, by secret 2 of 2"


def test_ed25519_and_hmac_signatures_stand_side_by_side() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = private.public_key().public_bytes_raw()
    secret_key = "whsk_" + base64.b64encode(bytes(range(32))).decode()
    public_key = "whpk_" + base64.b64encode(public).decode()
    mixed = standard.sign(SECRET, "msg_1", NOW, BODY, also=[secret_key])
    assert [part.partition(",")[0] for part in mixed["webhook-signature"].split()] == ["v1", "v1a"]
    for held in (SECRET, public_key, secret_key):
        standard.verify([held], Headers(mixed), BODY, NOW)
    with pytest.raises(Forged):
        standard.verify([public_key], own_headers(), BODY, NOW)
    with pytest.raises(Forged):
        standard.verify([public_key], Headers(mixed), BODY + b"\n", NOW)


def test_a_new_secret_is_fresh_and_follows_its_source_of_randomness() -> None:
    assert standard.new_secret() != standard.new_secret()
    made = standard.new_secret(random.Random(7).randbytes)
    assert made == standard.new_secret(random.Random(7).randbytes)
    assert len(base64.b64decode(made.removeprefix("whsec_"))) == 32


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a\r\nX: y", "ü"])
def test_an_id_that_no_header_may_hold_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="message id"):
        standard.sign(SECRET, name, NOW, BODY)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_ä", "whsec_a b", "whpk_AAAA", "whsk_AAAA"])
def test_a_text_that_is_no_secret_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(InvalidInput, match="secret: ") as caught:
        standard.verify([secret], own_headers(), BODY, NOW)
    assert not secret[6:] or secret[6:] not in str(caught.value)


def test_nothing_is_believed_without_a_secret() -> None:
    with pytest.raises(SignatureError, match="no signing secret"):
        verify(OWN, [], own_headers(), BODY, NOW)
    for blank in ("", " \n"):
        with pytest.raises(InvalidInput, match="empty"):
            verify(STRIPE, [blank], stripe_headers(secret=SECRET), BODY, NOW)


# --- Stripe, against its own library ---


@given(body=st.text(min_size=1), secret=st.text(min_size=1, max_size=80).filter(str.strip))
def test_what_stripe_signs_we_verify(body: str, secret: str) -> None:
    headers = stripe_headers(body.encode(), secret)
    verify(STRIPE, [secret], headers, body.encode(), NOW)
    stripe.WebhookSignature.verify_header(body, headers["stripe-signature"], secret)
    with pytest.raises(Forged):
        verify(STRIPE, [secret + "x"], headers, body.encode(), NOW)


@given(
    parts=st.lists(
        st.tuples(st.sampled_from(["t", "v0", "v1", "", "x"]), st.text(max_size=12)), max_size=5
    )
)
def test_a_header_that_stripe_refuses_we_refuse(parts: list[tuple[str, str]]) -> None:
    header = ",".join(f"{name}={text}" for name, text in parts)
    with pytest.raises(SignatureError):
        verify(STRIPE, [SECRET], Headers({"Stripe-Signature": header}), BODY, NOW)


def test_several_signatures_in_one_stripe_header_and_unknown_schemes() -> None:
    other = stripe_headers(secret=OTHER)["stripe-signature"].partition(",")[2]
    headers = stripe_headers(more=f",{other},v0={'0' * 64},v2=x")
    for secret in (SECRET, OTHER):
        verify(STRIPE, [secret], headers, BODY, NOW)


# --- why not ---


def test_no_header_tells_the_names_that_came_and_no_value() -> None:
    found = why(STRIPE, [SECRET], Headers({"Authorization": "Bearer canary", "Date": "x"}))
    assert found.reason == "no_header"
    assert found.message == "no header Stripe-Signature; these came: authorization, date"
    found = why(OWN, [SECRET], Headers({"webhook-id": "msg_1"}))
    assert found.message.startswith("no headers webhook-timestamp and webhook-signature;")


@pytest.mark.parametrize(
    ("header", "reason", "words"),
    [
        ("t=1,v1", "malformed_header", "item 2 is not of the form name=value"),
        ("v1=00", "malformed_header", "no time, t=<unix seconds>"),
        ("t=soon,v1=00", "malformed_header", "not a whole number of unix seconds"),
        ("t=1", "malformed_header", "no v1 signature"),
        ("t=1,v0=00", "other_scheme", "no v1 signature; the schemes that came: v0"),
    ],
)
def test_a_malformed_stripe_header_tells_where(header: str, reason: str, words: str) -> None:
    found = why(STRIPE, [SECRET], Headers({"Stripe-Signature": header}))
    assert found.reason == reason
    assert words in found.message


@pytest.mark.parametrize(
    ("name", "value", "reason", "words"),
    [
        ("webhook-timestamp", "1.5", "malformed_header", "webhook-timestamp: the time is not"),
        ("webhook-timestamp", "-1", "malformed_header", "webhook-timestamp: the time is not"),
        ("webhook-signature", "abc", "malformed_header", "entry 1 is not of the form"),
        ("webhook-signature", "v9,abc", "other_scheme", "the schemes that came: v9"),
    ],
)
def test_a_malformed_standard_header_tells_where(
    name: str, value: str, reason: str, words: str
) -> None:
    found = why(OWN, [SECRET], own_headers().having({name: value}))
    assert found.reason == reason
    assert words in found.message


def test_malformed_entries_beside_a_good_one_do_no_harm() -> None:
    good = own_headers()["webhook-signature"]
    headers = own_headers().having({"webhook-signature": f"junk v1,ä {good} v2,x"})
    verify(OWN, [SECRET], headers, BODY, NOW)


def test_too_old_and_ahead_of_time_say_by_how_much() -> None:
    found = why(STRIPE, [SECRET], stripe_headers(at=NOW - timedelta(seconds=312)))
    assert (found.reason, found.seconds) == ("too_old", 312)
    assert found.message == "too old by 12 s: signed 312 s ago, 300 s are allowed"
    found = why(OWN, [SECRET], own_headers(at=NOW + timedelta(seconds=301)))
    assert found.reason == "in_the_future"
    assert found.message.startswith("too far in the future by 1 s:")


def test_milliseconds_are_recognised() -> None:
    at = int(NOW.timestamp() * 1000)
    header = stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET, at)
    assert why(STRIPE, [SECRET], Headers({"Stripe-Signature": header})).reason == "milliseconds"


def test_the_wrong_secret_is_said_without_showing_it() -> None:
    found = why(STRIPE, [OTHER], stripe_headers())
    assert found.reason == "wrong_secret"
    assert found.message.startswith("wrong secret: the secret did not make this signature")
    assert "none of the 2 secrets" in why(OWN, [OTHER, OTHER], own_headers()).message


def test_an_api_key_is_no_signing_secret() -> None:
    found = why(STRIPE, ["sk_test_canary123"], stripe_headers())
    assert found.reason == "wrong_secret"
    assert "begins with sk_ and looks like an API key" in found.message


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (f" {SECRET}\n", "without the blanks around it"),
        (f'"{SECRET}"', "without the quotes around it"),
        (SECRET.removeprefix("whsec_"), "fits only with whsec_ before it"),
    ],
)
def test_a_stripe_secret_that_was_copied_wrongly(wrong: str, words: str) -> None:
    found = why(STRIPE, [wrong], stripe_headers())
    assert found.reason == "misread_secret"
    assert words in found.message


@pytest.mark.parametrize("wrong", [f" {SECRET}", f"'{SECRET}'"])
def test_a_standard_secret_that_was_copied_wrongly(wrong: str) -> None:
    found = why(OWN, [wrong], own_headers())
    assert found.reason == "bad_secret"
    assert "around it; remove them" in found.message


def test_a_sender_that_read_the_secret_in_another_way() -> None:
    decoded = base64.b64decode(SECRET.removeprefix("whsec_"))
    header = stripe_headers(secret=SECRET.removeprefix("whsec_"))
    assert "fits only without its whsec_" in why(STRIPE, [SECRET], header).message
    as_text = "whsec_" + base64.b64encode(SECRET.encode()).decode()
    found = why(OWN, [SECRET], own_headers(secret=as_text))
    assert "fits only as text, its whsec_ included" in found.message
    hexadecimal = "whsec_" + decoded.hex()
    found = why(OWN, [hexadecimal], own_headers(secret=SECRET))
    assert "fits only decoded from hexadecimal" in found.message


@pytest.mark.parametrize(
    ("spelt", "words"),
    [
        (lambda mac: mac.hex(), "written as hexadecimal instead of base64"),
        (
            lambda mac: base64.b64encode(mac).decode().rstrip("="),
            "written as base64 without its padding",
        ),
    ],
)
def test_a_right_signature_in_the_wrong_spelling(spelt: Any, words: str) -> None:
    right = base64.b64decode(own_headers()["webhook-signature"].removeprefix("v1,"))
    headers = own_headers().having({"webhook-signature": f"v1,{spelt(right)}"})
    found = why(OWN, [SECRET], headers)
    assert found.reason == "misspelt_signature"
    assert words in found.message


def test_a_stripe_signature_in_capitals() -> None:
    header = stripe_headers()["stripe-signature"]
    at, _, signature = header.partition(",v1=")
    found = why(STRIPE, [SECRET], Headers({"Stripe-Signature": f"{at},v1={signature.upper()}"}))
    assert "written as upper-case hexadecimal" in found.message


DOCUMENT: dict[str, Any] = {
    "b": [1, 2.5, None, True, {}],
    "a": {"url": "https://x/<y>", "ü": "Z\u00fcrich & Co"},
}


@pytest.mark.parametrize("signature", [OWN, STRIPE])
@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (json.dumps(DOCUMENT), "with a blank after each comma and colon"),
        (json.dumps(DOCUMENT, indent=2, ensure_ascii=False), "indented by 2;"),
        (json.dumps(DOCUMENT, indent=4), "indented by 4, other letters than ASCII escaped"),
        (json.dumps(DOCUMENT, separators=(",", ":"), sort_keys=True), "its keys sorted"),
        (json.dumps(DOCUMENT, separators=(",", ":")), "without blanks, other letters than ASCII"),
        (
            json.dumps(DOCUMENT, separators=(",", ":")).replace("/", "\\/"),
            "letters and slashes escaped",
        ),
        (json.dumps(DOCUMENT, indent=2) + "\n", "with a newline at the end"),
    ],
)
def test_a_body_that_was_serialised_again_tells_how_it_was(
    signature: Any, sent: str, words: str
) -> None:
    headers = (stripe_headers if signature is STRIPE else own_headers)(sent.encode())
    arrived = json.dumps(DOCUMENT, indent=3, ensure_ascii=False).encode()
    found = why(signature, [OTHER, SECRET], headers, arrived)
    assert (found.reason, found.secret) == ("changed_body", 2)
    assert words in found.message
    assert "verify the raw bytes as they arrived" in found.message


@pytest.mark.parametrize(
    ("sent", "arrived", "words"),
    [
        (b"a\n", b"a", "with a newline at the end"),
        (b"a", b"a\n", "without the newline at the end"),
        (b"a", b"a\r\n", "without the newline at the end"),
        (b"a\r\nb", b"a\nb", "with CR LF line ends instead of LF"),
        (b"a\nb", b"a\r\nb", "with LF line ends instead of CR LF"),
        (b"a", b"\xef\xbb\xbfa", "without the byte order mark"),
        (b"\xef\xbb\xbfa", b"a", "with a byte order mark before it"),
        ("ü".encode(), "ü".encode().decode("latin-1").encode(), "encoded as UTF-8 a second time"),
        (b'{"a": "<&>"}', b'{"a": "\\u003c\\u0026\\u003e"}', "with a blank after each comma"),
        (b'{"a":"\\u003c\\u0026\\u003e"}', b'{"a": "<&>"}', "<, > and & escaped"),
        (b'{"a":1.50}', b'{ "a": 1.50 }', "without blanks"),
    ],
)
def test_bytes_that_changed_on_the_way(sent: bytes, arrived: bytes, words: str) -> None:
    found = why(OWN, [SECRET], own_headers(sent), arrived)
    assert found.reason == "changed_body"
    assert words in found.message


def test_an_empty_body_is_named() -> None:
    assert "the body is empty" in why(STRIPE, [SECRET], stripe_headers(), b"").message


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_a_diagnosis_is_valid_exactly_when_verify_believes(sent: bytes, arrived: bytes) -> None:
    found = diagnose(OWN, [SECRET], own_headers(sent), arrived, NOW)
    assert found.valid == (sent == arrived)


def test_deeply_nested_json_does_no_harm() -> None:
    deep = b"[" * 100_000
    assert why(OWN, [SECRET], own_headers(b"x"), deep).reason == "wrong_secret"


def test_a_secret_in_letters_beyond_ascii_is_a_wrong_secret() -> None:
    headers = Headers({"Stripe-Signature": f"t=1700000000,v1={'a' * 64}"})
    at = datetime.fromtimestamp(1_700_000_001, tz=UTC)
    scheme = TimestampedHmac(header="Stripe-Signature")
    assert diagnose(scheme, ["ключ"], headers, b"{}", at).reason == "wrong_secret"
