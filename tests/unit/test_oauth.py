"""OAuth as rules: PKCE, the address of a consent, and what answers of a token's address mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from landbridge.errors import (
    InvalidInput,
    LandbridgeError,
    OutcomeUnknown,
    Throttled,
    TokenRefused,
    Unreachable,
)
from landbridge.oauth import (
    AppClient,
    Tokens,
    addresses,
    assertion,
    authorize_url,
    client_credentials,
    exchange,
    jwt_bearer,
    make_pkce,
    refresh,
    revoke,
)
from landbridge.spec import ClientCredentials, Field, JwtBearer, OAuth2
from landbridge.wire import Headers, Request, Response

R = TypeVar("R")
SECRET = "client-secret-canary"
CLIENT = AppClient(id="our:app", secret=SECRET)
NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def page(**more: object) -> OAuth2:
    facts: dict[str, object] = {
        "authorize": "https://id.example/authorize",
        "token": "https://id.example/token",
        "revoke": "https://id.example/revoke",
        "scopes": {"read": "reads", "write": "writes", "offline": "stays"},
        "access_lives": timedelta(minutes=30),
        "refresh_rotates": True,
    }
    return OAuth2(**{**facts, **more})  # type: ignore[arg-type]


def lead(conversation: Generator[Request, Response, R], answer: Response) -> tuple[Request, R]:
    """The one request of a conversation, and what the answer made of it."""
    request = next(conversation)
    try:
        conversation.send(answer)
    except StopIteration as end:
        return request, end.value
    raise AssertionError("it asked a second time")


def told(status: int = 200, **body: object) -> Response:
    return Response(status=status, body=json.dumps(body).encode())


def form(request: Request) -> Mapping[str, str]:
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def test_pkce_is_what_rfc_7636_appendix_b_computes() -> None:
    octets = base64.b64decode("dBjftJeZ4CVP+mB92K27uhbUJU1p1r/wW1gFWFOEjXk=")
    made = make_pkce(lambda count: octets[:count])
    assert made.verifier == "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert made.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert made.verifier not in repr(made)


def test_a_consent_says_who_asks_for_what_and_where_to_go_back() -> None:
    url = authorize_url(
        page(params={"access_type": "offline"}),
        client_id="our:app",
        redirect_uri="https://app.example/back?x=1",
        scopes=["read", "offline"],
        state="st at&e",
        challenge="E9",
    )
    assert url.startswith("https://id.example/authorize?")
    assert dict(parse_qsl(urlsplit(url).query)) == {
        "access_type": "offline",
        "response_type": "code",
        "client_id": "our:app",
        "redirect_uri": "https://app.example/back?x=1",
        "scope": "read offline",
        "state": "st at&e",
        "code_challenge": "E9",
        "code_challenge_method": "S256",
    }


def test_a_consent_has_no_challenge_only_where_the_page_says_so() -> None:
    asked = {"client_id": "a", "redirect_uri": "https://b.example", "state": "s", "scopes": []}
    without = page(pkce=False, pkce_why="https://docs.example: no parameter for it")
    assert "code_challenge" not in authorize_url(without, **asked)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="challenge"):
        authorize_url(page(), **asked)  # type: ignore[arg-type]


def test_holes_take_a_name_and_nothing_that_leads_elsewhere() -> None:
    shop = page(token="https://{shop}.example/token", revoke="")
    assert addresses(shop, {"shop": "acme-1"}).token == "https://acme-1.example/token"
    for evil in ("evil.test/", "evil.test#", "a@evil.test", "a?b", "", "a b", "..\\x"):
        with pytest.raises(InvalidInput, match="shop"):
            addresses(shop, {"shop": evil})


def test_a_whole_address_may_fill_the_hole_at_the_start_or_stand_above_the_page() -> None:
    own = page(token="{url}/token")
    assert addresses(own, {"url": "http://127.0.0.1:9/a/"}).token == "http://127.0.0.1:9/a/token"
    assert addresses(page(), {"token": "http://127.0.0.1:9/t"}).token == "http://127.0.0.1:9/t"
    for evil in ("ftp://x", "https://u:p@x.example", "https://x.example?a"):
        with pytest.raises(InvalidInput, match="url"):
            addresses(own, {"url": evil})
        with pytest.raises(InvalidInput, match="token"):
            addresses(page(), {"token": evil})


@pytest.mark.parametrize("shows", ["basic", "post", "none"])
def test_a_code_is_exchanged_with_its_verifier_and_the_same_redirect(shows: str) -> None:
    asked = exchange(
        page(client=shows), CLIENT, code="c0de", redirect_uri="https://b.example", verifier="v"
    )
    request, tokens = lead(
        asked,
        told(access_token="AT", refresh_token="RT", expires_in=1800, scope="read offline", org="7"),
    )
    assert (request.method, request.url) == ("POST", "https://id.example/token")
    sent = dict(form(request))
    pair = base64.b64encode(b"our%3Aapp:client-secret-canary").decode()
    assert request.headers.get("authorization") == (f"Basic {pair}" if shows == "basic" else None)
    assert sent.pop("client_secret", None) == (SECRET if shows == "post" else None)
    assert sent.pop("client_id", None) == (None if shows == "basic" else "our:app")
    assert sent == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": "https://b.example",
        "code_verifier": "v",
    }
    assert (tokens.access, tokens.refresh) == ("AT", "RT")
    assert tokens.expires_in == timedelta(minutes=30)
    assert tokens.scopes == ("read", "offline")
    assert tokens.answer["org"] == "7"


def test_nothing_shows_a_secret() -> None:
    asked = refresh(page(client="post"), CLIENT, "RT-canary")
    request, tokens = lead(asked, told(access_token="AT-canary", refresh_token="R2-canary"))
    shown = repr((request, tokens, CLIENT, request.headers))
    assert "canary" not in shown


def test_a_secret_that_is_missing_is_said_before_anything_is_sent() -> None:
    with pytest.raises(InvalidInput, match="client_secret"):
        next(refresh(page(), AppClient(id="a"), "RT"))


@pytest.mark.parametrize(
    ("given", "lives"),
    [("900", 900), (900.5, 900.5), (None, 1800), (0, 1800), (-5, 1800), (True, 1800), ("x", 1800)],
)
def test_a_time_of_life_that_is_none_is_the_pages(given: object, lives: float) -> None:
    _, tokens = lead(refresh(page(), CLIENT, "RT"), told(access_token="AT", expires_in=given))
    assert tokens.expires_in == timedelta(seconds=lives)
    assert tokens.refresh is None


def test_tokens_are_found_where_the_page_says_and_scopes_parted_by_commas() -> None:
    slack = page(access_at="authed_user.access_token", separator=",")
    answer = told(ok=True, authed_user={"access_token": "xoxp"}, scope="read,write")
    _, tokens = lead(exchange(slack, CLIENT, code="c", redirect_uri="r", verifier="v"), answer)
    assert (tokens.access, tokens.scopes) == ("xoxp", ("read", "write"))


@pytest.mark.parametrize(
    ("answer", "error", "code", "dead"),
    [
        (told(400, error="invalid_grant"), TokenRefused, "invalid_grant", True),
        (told(401, error="invalid_client"), TokenRefused, "invalid_client", False),
        (told(200, ok=False, error="invalid_code"), TokenRefused, "invalid_code", False),
        (told(400, error="x\ny"), TokenRefused, "", False),
        (Response(status=403, body=b"<html>no</html>"), TokenRefused, "", False),
        (Response(status=302), TokenRefused, "", False),
        (told(429, error="slow"), Throttled, None, None),
        (told(503, error="temporarily_unavailable"), Unreachable, None, None),
        (told(400, error="temporarily_unavailable"), Unreachable, None, None),
        (Response(status=408), OutcomeUnknown, None, None),
        (Response(status=500), OutcomeUnknown, None, None),
        (told(500, error="server_error"), OutcomeUnknown, None, None),
        (told(500, error="invalid_grant"), OutcomeUnknown, None, None),
        (Response(status=200, body=b'{"access_tok'), OutcomeUnknown, None, None),
        (Response(status=200, body=b"\xff"), OutcomeUnknown, None, None),
        (told(200, access_token=""), OutcomeUnknown, None, None),
        (told(200, access_token=["AT"]), OutcomeUnknown, None, None),
    ],
)
def test_an_answer_without_a_token_means_one_thing(
    answer: Response, error: type[LandbridgeError], code: str | None, dead: bool | None
) -> None:
    with pytest.raises(error) as caught:
        lead(refresh(page(), CLIENT, "RT-canary"), answer)
    assert type(caught.value) is error
    if isinstance(caught.value, TokenRefused):
        assert (caught.value.code, caught.value.dead) == (code, dead)
        assert not caught.value.transient
    assert "canary" not in str(caught.value)


def test_where_nothing_is_used_up_a_broken_answer_is_only_unreachable() -> None:
    with pytest.raises(Unreachable):
        lead(refresh(page(refresh_rotates=False), CLIENT, "RT"), Response(status=502))


def test_a_revocation_says_what_the_provider_did() -> None:
    request, done = lead(revoke(page(), CLIENT, "RT"), Response(status=200))
    assert request.url == "https://id.example/revoke"
    assert form(request) == {"token": "RT", "token_type_hint": "refresh_token"}
    assert done.state == "revoked"
    _, done = lead(revoke(page(), CLIENT, "RT"), told(400, error="invalid_token"))
    assert done.state == "unknown_token"
    _, done = lead(revoke(page(), CLIENT, "RT"), told(400, error="unsupported_token_type"))
    assert (done.state, "no refresh token" in done.detail) == ("no_way", True)
    with pytest.raises(TokenRefused):
        lead(revoke(page(), CLIENT, "RT"), told(401, error="invalid_client"))
    with pytest.raises(Unreachable):
        lead(revoke(page(), CLIENT, "RT"), Response(status=500))
    with pytest.raises(StopIteration) as end:
        next(revoke(page(revoke=""), CLIENT, "RT"))
    assert end.value.value.state == "no_way"


def test_a_clients_own_credentials_give_a_token() -> None:
    auth = ClientCredentials(
        token="https://id.example/token",
        fields=[Field(name="client_id", label="Id"), Field(name="client_secret", label="Secret")],
        scopes={"read": "reads", "write": "writes"},
        access_lives=timedelta(hours=1),
    )
    typed = {"client_id": "us", "client_secret": "s"}
    request, tokens = lead(client_credentials(auth, typed), told(access_token="AT"))
    assert form(request) == {"grant_type": "client_credentials", "scope": "read write"}
    assert (tokens.access, tokens.refresh, tokens.expires_in) == ("AT", None, timedelta(hours=1))
    with pytest.raises(TokenRefused) as caught:
        lead(client_credentials(auth, typed), told(401, error="invalid_client"))
    assert caught.value.dead


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _bearer(algorithm: str = "RS256") -> JwtBearer:
    return JwtBearer(
        token="https://id.example/token",
        fields=[Field(name=name, label=name) for name in ("client_id", "user", "private_key")],
        subject="user",
        algorithm=algorithm,
        scopes={"read": "reads"},
        scope_claim="scope",
        access_lives=timedelta(hours=1),
    )


def _parts(signed: str) -> tuple[dict[str, object], dict[str, object], bytes, bytes]:
    head, claims, signature = signed.split(".")

    def raw(part: str) -> bytes:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    return (
        json.loads(raw(head)),
        json.loads(raw(claims)),
        f"{head}.{claims}".encode(),
        raw(signature),
    )


@pytest.mark.parametrize("pasted", [False, True])
def test_an_assertion_is_signed_with_the_tenants_rsa_key(pasted: bool) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = _pem(key).replace("\n", "\\n") if pasted else _pem(key)
    typed = {"client_id": "us", "user": "ann@example.com", "private_key": pem}
    request, tokens = lead(jwt_bearer(_bearer(), typed, NOW), told(access_token="AT"))
    sent = form(request)
    assert sent["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claims, signed, signature = _parts(sent["assertion"])
    key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    assert head == {"alg": "RS256", "typ": "JWT"}
    assert claims == {
        "iss": "us",
        "sub": "ann@example.com",
        "aud": "https://id.example/token",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 300,
        "scope": "read",
    }
    assert tokens.access == "AT"


def test_an_assertion_is_signed_with_the_tenants_curve_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    typed = {"client_id": "us", "user": "ann", "private_key": _pem(key)}
    signed = assertion(_bearer("ES256"), typed, NOW, audience="https://a.example")
    _, claims, text, signature = _parts(signed)
    pair = utils.encode_dss_signature(
        int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    )
    key.public_key().verify(pair, text, ec.ECDSA(hashes.SHA256()))
    assert claims["aud"] == "https://a.example"


def test_a_key_that_does_not_sign_is_named_and_not_shown() -> None:
    curve = _pem(ec.generate_private_key(ec.SECP256R1()))
    for pem in ("canary", curve):
        with pytest.raises(InvalidInput, match="private_key") as caught:
            assertion(
                _bearer(), {"client_id": "a", "user": "b", "private_key": pem}, NOW, audience="c"
            )
        assert pem not in str(caught.value)


def test_scopes_of_an_answer_that_is_silent_are_none() -> None:
    _, tokens = lead(refresh(page(), CLIENT, "RT"), told(access_token="AT"))
    assert isinstance(tokens, Tokens)
    assert tokens.scopes == ()


def test_a_vendor_that_takes_json_tells_an_instant_and_lists_its_errors_is_understood() -> None:
    auth = page(
        client="post",
        body="json",
        expires_at="expires_at",
        error_at=["errors[].code", "type"],
        dead=["GONE"],
        revoke_body="access",
    )
    served = Headers({"Date": "Fri, 27 Nov 2026 12:00:00 GMT"})
    answer = replace(told(access_token="a", expires_at="2026-12-27T12:00:00Z"), headers=served)
    request, tokens = lead(refresh(auth, CLIENT, "r"), answer)
    assert request.headers["content-type"] == "application/json"
    sent = {"grant_type": "refresh_token", "refresh_token": "r", "client_id": CLIENT.id}
    assert json.loads(request.body) == {**sent, "client_secret": SECRET}
    assert tokens.expires_in == timedelta(days=30)
    silent = told(access_token="a", expires_at="2026-12-27T12:00:00Z")  # by whose clock?
    assert lead(refresh(auth, CLIENT, "r"), silent)[1].expires_in == timedelta(minutes=30)
    for body, code, dead in (
        ({"errors": [{"code": "GONE", "detail": SECRET}]}, "GONE", True),
        ({"message": "no", "type": "unauthorized"}, "unauthorized", False),
    ):
        with pytest.raises(TokenRefused) as caught:
            lead(refresh(auth, CLIENT, "r"), told(401, **body))
        assert (caught.value.code, caught.value.dead) == (code, dead)
        assert SECRET not in str(caught.value)
    request, done = lead(revoke(auth, CLIENT, "access", hint="access_token"), told(success=True))
    assert request.headers["authorization"] == f"Client {SECRET}"
    assert json.loads(request.body) == {"client_id": CLIENT.id, "access_token": "access"}
    assert done.state == "revoked"
