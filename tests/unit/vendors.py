"""How each vendor signs, as a page would say it in one line, with a webhook that it signed.

`published`: the vendor's own documentation, kit or delivery has it. The others were computed by
openssl or by the standard library from the vendor's rule, never by Landbridge.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl

from landbridge.signing import Call
from landbridge.spec import (
    CertifiedRsa,
    SecretHash,
    SharedToken,
    Signature,
    StandardWebhooks,
    TimestampedHmac,
    hmac_base64,
    hmac_base64url,
    hmac_hex,
)
from landbridge.spec.signature import Hmac

_FILES = Path(__file__).parent / "vectors"

STRIPE = TimestampedHmac(header="Stripe-Signature")
XERO = hmac_base64("x-xero-signature")
QUICKBOOKS = hmac_base64("intuit-signature")
SQUARE = hmac_base64("x-square-hmacsha256-signature", signs="{url}{body}")
SLACK = hmac_hex(
    "X-Slack-Signature",
    prefix="v0=",
    signs="v0:{timestamp}:{body}",
    timestamp="X-Slack-Request-Timestamp",
)
HUBSPOT = hmac_base64(
    "X-HubSpot-Signature-v3",
    signs="{method}{url}{body}{timestamp}",
    timestamp="X-HubSpot-Request-Timestamp",
    unit="ms",
    unescaped=":/?@!$'()*,;",
)
HUBSPOT_V1 = SecretHash(header="X-HubSpot-Signature")
HUBSPOT_V2 = SecretHash(header="X-HubSpot-Signature", signs="{secret}{method}{url}{body}")
PAYPAL = CertifiedRsa(
    header="PAYPAL-TRANSMISSION-SIG",
    signs="{id}|{timestamp}|{secret}|{crc32}",
    id="PAYPAL-TRANSMISSION-ID",
    timestamp="PAYPAL-TRANSMISSION-TIME",
    tolerance=timedelta(days=3),  # as long as it repeats a delivery
    certificate="PAYPAL-CERT-URL",
    hosts=[
        "api.paypal.com",
        "api-m.paypal.com",
        "api.sandbox.paypal.com",
        "api-m.sandbox.paypal.com",
    ],
    path="/v1/notifications/certs/",
    subject=".paypal.com",
    when={"PAYPAL-AUTH-ALGO": "SHA256withRSA"},
)
GRAPH = SharedToken(body="clientState", items="value")
GOOGLE = SharedToken(header="X-Goog-Channel-Token")
MAILCHIMP = SharedToken(query="secret")
FRESHBOOKS = hmac_base64("X-FreshBooks-Hmac-SHA256", signs="{form}")
META = hmac_hex("X-Hub-Signature-256", prefix="sha256=")  # and GitHub
FINCH = StandardWebhooks(
    id="Finch-Event-Id", timestamp="Finch-Timestamp", signature="Finch-Signature"
)
MERGE = hmac_base64url("X-Merge-Webhook-Signature")
RUTTER = hmac_base64("X-Rutter-Signature", prefix="sha256=")
TRAY = hmac_base64("x-tray-signature", key="base64")
PARAGON = Hmac(header="x-paragon-signature", encodings=["hex", "base64"], prefix="v1=")
TEAMS = hmac_base64("Authorization", prefix="HMAC ", key="base64")


@dataclass(frozen=True, kw_only=True)
class Vector:
    """A webhook that the vendor signed at `at` (unix seconds)."""

    signature: Signature
    secret: str
    headers: Mapping[str, str]
    body: bytes
    at: float = 1_767_225_600
    call: Call = field(default_factory=Call)
    published: bool = False


_SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
    b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
    b"&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
    b"%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
_HUBSPOT_BODY = (
    b'[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,'
    b'"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,'
    b'"changeSource":"CRM","changeFlag":"NEW","appId":54321}]'
)
_HUBSPOT_SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
_HUBSPOT_CALL = Call(method="POST", url="https://www.example.com/webhook_uri")
_PAYPAL_HEADERS = {
    "Paypal-Cert-Url": "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594"
    "-a5cafa77",
    "Paypal-Auth-Algo": "SHA256withRSA",
}
PAYPAL_PEM = (_FILES / "paypal.pem").read_bytes()


def base64_mac(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def graph(*states: object) -> bytes:
    return json.dumps(
        {"value": [{"clientState": each, "changeType": "updated"} for each in states]}
    ).encode()


PING = b'{"events":[],"lastEventSequence": 0,"firstEventSequence": 0,"entropy":"S0m3"}'
_NOTICE = b'{"eventNotifications": [{"realmId": "1185883450"}]}'
_FORM = (
    b"name=invoice.create&object_id=1234567&account_id=6BApk&business_id=6543"
    b"&identity_id=1234user&user_id=1&note=Z%C3%BCrich+%26+%22Co%22&empty="
)
_FORM_SIGNED = (
    b'{"name": "invoice.create", "object_id": "1234567", "account_id": "6BApk", "business_id":'
    b' "6543", "identity_id": "1234user", "user_id": "1", "note": "Z\\u00fcrich & \\"Co\\"",'
    b' "empty": ""}'
)

VECTORS: Mapping[str, Vector] = {
    "stripe": Vector(
        signature=STRIPE,
        secret="whsec_test",
        headers={
            "Stripe-Signature": "t=1767225600,v1="
            + hmac.new(b"whsec_test", b'1767225600.{"id": 1}', hashlib.sha256).hexdigest()
        },
        body=b'{"id": 1}',
    ),
    "xero": Vector(
        signature=XERO,
        secret="c2VjcmV0LXRoYXQtbG9va3MtbGlrZS1iYXNlNjQ=",
        headers={"x-xero-signature": base64_mac(b"c2VjcmV0LXRoYXQtbG9va3MtbGlrZS1iYXNlNjQ=", PING)},
        body=PING,
    ),
    "quickbooks": Vector(
        signature=QUICKBOOKS,
        secret="58a1b9f1-verifier",
        headers={"intuit-signature": base64_mac(b"58a1b9f1-verifier", _NOTICE)},
        body=_NOTICE,
    ),
    "square": Vector(
        signature=SQUARE,
        secret="asdf1234",
        headers={"x-square-hmacsha256-signature": "2kRE5qRU2tR+tBGlDwMEw2avJ7QM4ikPYD/PJ3bd9Og="},
        body=b'{"hello":"world"}',
        call=Call(url="https://example.com/webhook"),
        published=True,
    ),
    "slack": Vector(
        signature=SLACK,
        secret="8f742231b10e8888abcd99yyyzzz85a5",
        headers={
            "X-Slack-Signature": "v0="
            "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            "X-Slack-Request-Timestamp": "1531420618",
        },
        body=_SLACK_BODY,
        at=1_531_420_618,
        published=True,
    ),
    "hubspot": Vector(
        signature=HUBSPOT,
        secret=_HUBSPOT_SECRET,
        headers={
            "X-HubSpot-Signature-v3": "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=",
            "X-HubSpot-Request-Timestamp": "1693657560000",
        },
        body=b"{'example_field':'example_value'}",
        at=1_693_657_560,
        call=_HUBSPOT_CALL,
        published=True,
    ),
    "hubspot, another": Vector(
        signature=HUBSPOT,
        secret=_HUBSPOT_SECRET,
        headers={
            "X-HubSpot-Signature-v3": "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw=",
            "X-HubSpot-Request-Timestamp": "1700000300000",
        },
        body=b"{'example_field':'example_value'}",
        at=1_700_000_300,
        call=_HUBSPOT_CALL,
        published=True,
    ),
    "hubspot v1": Vector(
        signature=HUBSPOT_V1,
        secret=_HUBSPOT_SECRET,
        headers={
            "X-HubSpot-Signature": "232db2615f3d666fe21a8ec971ac7b54"
            "02d33b9a925784df3ca654d05f4817de"
        },
        body=_HUBSPOT_BODY,
        published=True,
    ),
    "hubspot v2": Vector(
        signature=HUBSPOT_V2,
        secret=_HUBSPOT_SECRET,
        headers={
            "X-HubSpot-Signature": "9569219f8ba981ffa6f6f16aa0f48637"
            "d35d728c7e4d93d0d52efaa512af7900"
        },
        body=b'{"example_field":"example_value"}',
        call=_HUBSPOT_CALL,
        published=True,
    ),
    "paypal, 2015": Vector(
        signature=PAYPAL,
        secret="4JH86294D6297924G",
        headers={
            **_PAYPAL_HEADERS,
            "Paypal-Transmission-Id": "dfb3be50-fd74-11e4-8bf3-77339302725b",
            "Paypal-Transmission-Time": "2015-05-18T15:45:13Z",
            "Paypal-Transmission-Sig": "thy4/U002quzxFavHPwbfJGcc46E8rc5jzgyeafWm5mICTBdY/8rl7WJpn8"
            "JA0GKA+oDTPsSruqusw+XXg5RLAP7ip53Euh9Xu3UbUhQFX7UgwzE2FeYoY6lyRMiiiQLzy9BvHfIzNIVhPad4"
            "KnC339dr6y2l+mN8ALgI4GCdIh3/SoJO5wE64Bh/ueWtt8EVuvsvXfda2Le5a2TrOI9vLEzsm9GS79hAR/5oLe"
            "xNz8UiZr045Mr5ObroH4w4oNfmkTaDk9Rj0G19uvISs5QzgmBpauKr7Nw++JI0pr/v5mFctQkoWJSGfBGzPRXa"
            "wrvIIVHQ9Wer48GR2g9ZiApWg==",
        },
        body=(_FILES / "paypal-2015.json").read_bytes(),
        at=1_431_963_913,
        call=Call(certificate=PAYPAL_PEM),
        published=True,
    ),
    "paypal, 2016": Vector(
        signature=PAYPAL,
        secret="9XL90610J3647323C",
        headers={
            **_PAYPAL_HEADERS,
            "Paypal-Transmission-Id": "d938e770-8046-11e6-8103-6b62a8a99ac4",
            "Paypal-Transmission-Time": "2016-09-21T22:00:46Z",
            "Paypal-Transmission-Sig": "eDOnWUj9FXOnr2naQnrdL7bhgejVSTwRbwbJ0kuk5wAtm2ZYkr7w5BSUDO7"
            "e5ZOsqLwN3sPn3RV85Jd9pjHuTlpuXDLYk+l5qiViPbaaC0tLV+8C/zbDjg2WCfvtf2NmFT8CHgPPQAByUqiiT"
            "Y+RJZPPQC5np7j7WuxcegsJLeWStRAofsDLiSKrzYV3CKZYtNoNnRvYmSFMkYp/5vk4xGcQLeYNV1CC2PyqraZ"
            "j8HGG6Y+KV4trhreV9VZDn+rPtLDZTbzUohie1LpEy31k2dg+1szpWaGYOz+MRb40U04oD7fD69vghCrDTYs5A"
            "suFM2+WZtsMDmYGI0pxLjn2yw==",
        },
        body=(_FILES / "paypal-2016.json").read_bytes(),
        at=1_474_495_246,
        call=Call(certificate=PAYPAL_PEM),
        published=True,
    ),
    "graph": Vector(
        signature=GRAPH, secret="state-1", headers={}, body=graph("state-1", "state-1")
    ),
    "google": Vector(
        signature=GOOGLE,
        secret="told-to-google",
        headers={"X-Goog-Channel-Token": "told-to-google"},
        body=b"",
    ),
    "mailchimp": Vector(
        signature=MAILCHIMP,
        secret="a b&c",
        headers={},
        body=b"type=subscribe",
        call=Call(url="https://x.example/in/1?secret=a+b%26c"),
    ),
    "freshbooks": Vector(
        signature=FRESHBOOKS,
        secret="scADVVi5QuKuj5qTjVkbJNYQe7V7USpGd",
        headers={
            "X-FreshBooks-Hmac-SHA256": base64_mac(
                b"scADVVi5QuKuj5qTjVkbJNYQe7V7USpGd", _FORM_SIGNED
            )
        },
        body=_FORM,
    ),
    "github": Vector(
        signature=META,
        secret="It's a Secret to Everybody",
        headers={
            "X-Hub-Signature-256": "sha256="
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        },
        body=b"Hello, World!",
        published=True,
    ),
    "finch": Vector(
        signature=FINCH,
        secret="MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        headers={
            "Finch-Event-Id": "evt_1",
            "Finch-Timestamp": "1700000000",
            "Finch-Signature": "v1,zHpaHWFW+ZQkVlMbjdlCHG66zNojExXDzeDLayeQ7IY=",
        },
        body=b'{"connection_id":"c1","event_type":"directory.created","data":{"individual_id":"i1"}}',
        at=1_700_000_000,
        published=True,
    ),
    "merge": Vector(
        signature=MERGE,
        secret="signature_key",
        headers={"X-Merge-Webhook-Signature": "uVSCrp2UG41ixx43QIsji1f_wc2G741RokezuTygHEs="},
        body=b'{"hook":{"event":"Invoice.changed"}}',
    ),
    "rutter": Vector(
        signature=RUTTER,
        secret="client_secret",
        headers={"X-Rutter-Signature": "sha256=T1HQg6kkPw1E5BE78LybiGRnz6AIE3nZdoiv0h84HSw="},
        body=b'{"type":"CONNECTION","code":"INITIAL_UPDATE","connection_id":"c1","access_token":"a1"}',
    ),
    "tray": Vector(
        signature=TRAY,
        secret="dHJheS1zaWduaW5nLWtleQ==",
        headers={"x-tray-signature": "8qm0tY4NuUiOrzeWb3/WgS/tx0iTz/PwN/lRC9lRe98="},
        body=b'{"id":"1"}',
    ),
    "paragon": Vector(
        signature=PARAGON,
        secret="paragon-secret",
        headers={
            "x-paragon-signature": "v1="
            + hmac.new(b"paragon-secret", b'{"eventId": "1"}', hashlib.sha256).hexdigest()
        },
        body=b'{"eventId": "1"}',
    ),
    "teams": Vector(
        signature=TEAMS,
        secret=base64.b64encode(bytes(range(32))).decode(),
        headers={"Authorization": "HMAC " + base64_mac(bytes(range(32)), b'{"type": "message"}')},
        body=b'{"type": "message"}',
    ),
}

Made = tuple[dict[str, str], Call]


def _xero(key: str, body: bytes, _at: int) -> Made:
    return {"x-xero-signature": base64_mac(key.encode(), body)}, Call()


def _square(key: str, body: bytes, _at: int) -> Made:
    url = "https://example.com/in/app/con?x=%2F"
    return {"X-Square-HmacSha256-Signature": base64_mac(key.encode(), url.encode() + body)}, Call(
        url=url
    )


def _slack(key: str, body: bytes, at: int) -> Made:
    base = b"v0:" + str(at).encode() + b":" + body
    mark = "v0=" + hmac.new(key.encode(), base, hashlib.sha256).hexdigest()
    return {"X-Slack-Signature": mark, "X-Slack-Request-Timestamp": str(at)}, Call()


def _hubspot(key: str, body: bytes, at: int) -> Made:
    told, signed = "https://x.example/a%3ab%20c?d=%2F%3F%40", "https://x.example/a:b%20c?d=/?@"
    base = b"PUT" + signed.encode() + body + str(at * 1000).encode()
    headers = {
        "X-HubSpot-Signature-v3": base64_mac(key.encode(), base),
        "X-HubSpot-Request-Timestamp": str(at * 1000),
    }
    return headers, Call(method="PUT", url=told)


def _freshbooks(key: str, body: bytes, _at: int) -> Made:
    signed = json.dumps(dict(parse_qsl(body.decode(), keep_blank_values=True))).encode()
    return {"X-FreshBooks-Hmac-SHA256": base64_mac(key.encode(), signed)}, Call()


def _merge(key: str, body: bytes, _at: int) -> Made:
    digest = hmac.new(key.encode(), body, hashlib.sha256).digest()
    unpadded = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return {"X-Merge-Webhook-Signature": unpadded}, Call()


def _meta(key: str, body: bytes, _at: int) -> Made:
    mark = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={mark}"}, Call()


def _hashed(key: str, body: bytes, _at: int) -> Made:
    return {"X-HubSpot-Signature": hashlib.sha256(key.encode() + body).hexdigest()}, Call()


SIGNERS: Mapping[str, tuple[Signature, Callable[[str, bytes, int], Made]]] = {
    "xero": (XERO, _xero),
    "square": (SQUARE, _square),
    "slack": (SLACK, _slack),
    "hubspot": (HUBSPOT, _hubspot),
    "hubspot v1": (HUBSPOT_V1, _hashed),
    "freshbooks": (FRESHBOOKS, _freshbooks),
    "merge": (MERGE, _merge),
    "meta": (META, _meta),
}
"""Each vendor's rule, written by hand from its documentation: headers and call for a body."""
