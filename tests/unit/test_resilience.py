from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.errors import (
    Conflict,
    LandbridgeError,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Refused,
    Throttled,
    Unreachable,
)
from landbridge.resilience import (
    Gone,
    Ok,
    Outcome,
    Refresh,
    Refusal,
    Retry,
    Stale,
    Throttle,
    Unknown,
    classify,
    delay,
    expect,
    retry_after,
)
from landbridge.spec import ApiKey, Errors, Field, Provider, Resource
from landbridge.wire import Headers, Request, Response

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ERRORS = Errors(
    message="error.message",
    code="error.code",
    field="error.param",
    request_id="Request-Id",
    retry_hint="Should-Retry",
    throttled=["busy"],
    dead=["key_expired"],
    stale=["old_version"],
    missing=["resource_missing"],
)
ACME = Provider(
    slug="acme",
    name="Acme",
    docs="https://acme.example/docs",
    checked="2026-11-22",
    auth=ApiKey(fields=[Field(name="key", label="Key")]),
    base="https://api.acme.example",
    errors=ERRORS,
    resources=[Resource(name="thing", path="/things", key="id", idempotency="Once")],
)


def request(method: str = "GET", **headers: str) -> Request:
    return Request(
        method=method,
        url="https://api.acme.example/things?token=hidden",
        headers=Headers({name.replace("_", "-"): value for name, value in headers.items()}),
    )


def response(status: int, code: str = "", message: str = "", **headers: str) -> Response:
    body: dict[str, Any] = {"error": {"code": code, "message": message, "param": "amount"}}
    return Response(
        status=status,
        headers=Headers({name.replace("_", "-"): value for name, value in headers.items()}),
        body=msgspec.json.encode(body),
    )


def meaning(asked: Request, answer: Response | None) -> Outcome:
    return classify(ERRORS, asked, answer, NOW, idempotency="Once")


@pytest.mark.parametrize(
    ("asked", "answer", "expected"),
    [
        (request(), response(200), Ok),
        (request("POST"), response(201), Ok),
        (request(), response(207), Ok),
        (request(), response(304), Ok),
        (request(), response(301), Refusal),
        (request(), response(400), Refusal),
        (request(), response(403), Refusal),
        (request(), response(401), Refresh),
        (request(), response(400, "key_expired"), Refresh),
        (request(), response(404, "resource_missing"), Gone),
        (request(), response(404, "no_such_path"), Refusal),
        (request(), response(410), Gone),
        (request("PUT"), response(412), Stale),
        (request("POST"), response(409), Stale),
        (request("POST"), response(400, "old_version"), Stale),
        (request("POST"), response(429), Throttle),
        (request("POST"), response(403, "busy"), Throttle),
        (request("POST"), response(408), Retry),
        (request(), response(500), Retry),
        (request(), response(503), Retry),
        (request(), response(501), Refusal),
        (request("REPORT"), response(507), Refusal),
        (request("PUT"), response(500), Retry),
        (request("DELETE"), response(502), Retry),
        (request("POST"), response(500), Unknown),
        (request("PATCH"), response(503), Unknown),
        (request("POST", Once="i1"), response(500), Retry),
        (request("POST", Once="i1"), response(500, Should_Retry="false"), Unknown),
        (request("GET"), response(500, Should_Retry="false"), Refusal),
        (request("POST", Once="i1"), response(409, Should_Retry="true"), Retry),
        (request("POST"), response(409, Should_Retry="true"), Stale),
        (request(), None, Retry),
        (request("PROPFIND"), None, Retry),
        (request("POST"), None, Unknown),
        (request("POST", Once="i1"), None, Retry),
        (request("POST"), Response(status=500, body=b"<html>"), Unknown),
    ],
)
def test_what_an_answer_means(
    asked: Request, answer: Response | None, expected: type[Outcome]
) -> None:
    outcome = meaning(asked, answer)
    assert type(outcome) is expected
    assert outcome.transient is (expected in (Retry, Throttle))
    assert outcome.credentials_dead is (expected is Refresh)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@given(status=st.integers(500, 599))
def test_a_write_that_cannot_be_repeated_never_is(method: str, status: int) -> None:
    assert not meaning(request(method), response(status)).transient
    assert isinstance(meaning(request(method), None), Unknown)


@pytest.mark.parametrize(
    ("asked", "answer", "error", "sentence"),
    [
        (
            request("POST"),
            response(400, "invalid", "Amount must be\n positive", Request_Id="req_1"),
            Refused,
            "(400 invalid): Amount must be positive [request req_1]",
        ),
        (
            request(),
            response(404, "resource_missing"),
            Refused,
            "Acme knows nothing at GET api.acme.example/things (404 resource_missing)",
        ),
        (
            request(),
            response(401),
            ReconnectRequired,
            "Acme did not accept the credentials for GET api.acme.example/things (401); reconnect",
        ),
        (
            request("PUT"),
            response(412),
            Conflict,
            "Acme did not take PUT api.acme.example/things (412); it was changed there first",
        ),
        (
            request("POST"),
            response(429, Retry_After="30"),
            Throttled,
            "Acme is over its quota for POST api.acme.example/things (429); it is tried again",
        ),
        (
            request(),
            response(503),
            Unreachable,
            "Acme did not serve GET api.acme.example/things (503); it is tried again later",
        ),
        (
            request("POST"),
            response(503),
            OutcomeUnknown,
            "Acme failed at POST api.acme.example/things (503); the write may have happened",
        ),
        (
            request("POST", Once="i1"),
            response(503),
            OutcomeUnknown,
            "Acme failed at POST api.acme.example/things (503); the write may have happened",
        ),
    ],
)
def test_each_meaning_has_one_error_and_one_sentence(
    asked: Request, answer: Response, error: type[LandbridgeError], sentence: str
) -> None:
    with pytest.raises(error) as caught:
        expect(ACME, asked, answer, NOW)
    assert sentence in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_an_error_of_the_provider_says_when_and_whom_to_ask() -> None:
    with pytest.raises(ProviderError) as caught:
        expect(ACME, request(), response(429, Retry_After="30", Request_Id="req_2"), NOW)
    error = caught.value
    assert (error.transient, error.status, error.request_id) == (True, 429, "req_2")
    assert error.retry_at == NOW + timedelta(seconds=30)
    with pytest.raises(Throttled) as without_clock:
        expect(ACME, request(), response(429, Retry_After="30"))
    assert without_clock.value.retry_at is None


def test_a_refusal_names_the_field_at_fault() -> None:
    with pytest.raises(Refused) as caught:
        expect(ACME, request("POST"), response(400, "invalid", "too small"))
    assert caught.value.problems == {"amount": "too small"}
    assert caught.value.code == "invalid"
    assert not caught.value.transient


def test_no_answer_to_a_write_is_said_as_such() -> None:
    outcome = meaning(request("POST"), None)
    with pytest.raises(OutcomeUnknown, match=r"The provider did not answer for POST api.acme.exa"):
        outcome.raise_()
    assert meaning(request(), response(200)).error("Acme") is None
    assert expect(ACME, request(), response(200)).status == 200


def test_a_provider_that_repeats_our_key_does_not_get_it_into_a_message() -> None:
    asked = request(Authorization="Bearer sk_live_verysecret")
    answer = response(400, message="Invalid key sk_live_verysecret " + "x" * 500)
    told = str(meaning(asked, answer).error("Acme"))
    assert "verysecret" not in told
    assert "Invalid key ***" in told
    assert len(told) < 420


@given(st.integers(-1, 2000), st.integers())
def test_waits_are_jittered_and_bounded(attempt: int, seed: int) -> None:
    wait = delay(attempt, Random(seed), first=0.5, longest=60)
    assert 0 <= wait <= min(60, 0.5 * 2 ** min(max(attempt - 1, 0), 50))


def test_waits_grow_and_spread() -> None:
    rng = Random(7)
    means = [sum(delay(attempt, rng) for _ in range(2000)) / 2000 for attempt in (1, 3, 5, 30)]
    assert means == pytest.approx([0.25, 1.0, 4.0, 150.0], rel=0.1)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30),
        (" 0 ", 0),
        ("999999999999", 86_400),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("Mon, 22 Nov 2027 12:00:00 GMT", 86_400),
    ],
)
def test_retry_after_is_read_in_both_forms_and_clamped(header: str, seconds: int) -> None:
    assert retry_after(header, NOW) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "soon",
        "-5",
        "1.5",
        "²",
        "Fri, 01 Jan 99999999999 00:00:00 GMT",
        "Fri, 01 Jan 2027 00:00:00 +9999999999999",
        "Fri, 01 Jan 2027 00:00:00 +2400",
        "Fri, 01 Jan 2027 99999999999999999999:00:00 GMT",
    ],
)
def test_a_retry_after_that_cannot_be_read_is_none(header: str | None) -> None:
    assert retry_after(header, NOW) is None
