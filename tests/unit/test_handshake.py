"""Handshakes: what is echoed, what is not, and what is only a ping."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from landbridge.errors import Forged, InvalidInput, SpecError
from landbridge.signing.handshake import asked_in_body, asked_in_query, is_ping, posted_code
from landbridge.spec import (
    CodeSentBack,
    EchoBody,
    EchoQuery,
    EventList,
    Handshake,
    OnePage,
    SignedPing,
    TimestampedHmac,
    Webhook,
    hmac_base64,
)

GRAPH = EchoQuery(param="validationToken")
META = EchoQuery(
    param="hub.challenge", method="GET", when={"hub.mode": "subscribe"}, token="hub.verify_token"
)
SLACK = EchoBody(challenge="challenge", when={"type": "url_verification"})


def webhook(handshake: Handshake | None = None, **more: object) -> Webhook:
    facts = {"id": "id", "topic": "type", "object_key": "data.id", "events": "events", **more}
    return Webhook(signature=TimestampedHmac(header="S"), handshake=handshake, **facts)  # type: ignore[arg-type]


def test_the_token_is_given_back_decoded() -> None:
    query = b"validationToken=Validation%3a+Testing+reachability%20Request-Id%3A%201a-2b"
    text = "Validation: Testing reachability Request-Id: 1a-2b"
    assert asked_in_query(GRAPH, "POST", query, "a") == text


@pytest.mark.parametrize(
    ("method", "query"),
    [("GET", b"validationToken=x"), ("POST", b""), ("POST", b"other=validationToken")],
)
def test_another_call_is_no_handshake(method: str, query: bytes) -> None:
    assert asked_in_query(GRAPH, method, query, "a") is None


@pytest.mark.parametrize(
    "query",
    [
        b"validationToken=%3Cscript%3Ealert(1)%3C/script%3E",
        b"validationToken=a%26b",
        b"validationToken=a%22b",
        b"validationToken=%00",
        b"validationToken=a%0d%0aSet-Cookie:%20x",
        b"validationToken=%c3%a9",
        b"validationToken=%ff",
        b"validationToken=\xff",
        b"validationToken=",
        b"validationToken=" + b"x" * 1025,
        b"validationToken=a&validationToken=b",
        b"validationToken=a" + b"&x=1" * 40,
    ],
)
def test_what_could_do_harm_is_not_echoed(query: bytes) -> None:
    with pytest.raises(InvalidInput):
        asked_in_query(GRAPH, "POST", query, "a")


def test_the_longest_token_is_echoed() -> None:
    assert asked_in_query(GRAPH, "POST", b"validationToken=" + b"x" * 1024, "a") == "x" * 1024


def test_a_verify_token_must_be_the_address() -> None:
    query = b"hub.mode=subscribe&hub.challenge=1158&hub.verify_token="
    assert asked_in_query(META, "GET", query + b"tok_1", "tok_1") == "1158"
    for wrong in (b"", b"tok_2", b"tok_1%00"):
        with pytest.raises(Forged):
            asked_in_query(META, "GET", query + wrong, "tok_1")
    assert asked_in_query(META, "GET", query.replace(b"=sub", b"=unsub"), "tok_1") is None


def test_a_challenge_in_the_body_is_told_from_events() -> None:
    body = b'{"token": "x", "challenge": "3eZbrw1aB", "type": "url_verification"}'
    assert asked_in_body(SLACK, body) == "3eZbrw1aB"
    for other in (
        b'{"type": "event_callback", "challenge": "3eZ"}',
        b'{"type": "event_callback", "text": "url_verification", "challenge": "3eZ"}',
        b'["url_verification"]',
        b'{"type": "url_verification"',
        b"\xff url_verification",
        b"",
        body + b" " * 9000,
    ):
        assert asked_in_body(SLACK, other) is None


@pytest.mark.parametrize("text", ['"<b>"', "7", "null", '""', '"a\\u0000"'])
def test_a_challenge_that_could_do_harm_is_not_echoed(text: str) -> None:
    body = f'{{"type": "url_verification", "challenge": {text}}}'.encode()
    with pytest.raises(InvalidInput, match="challenge"):
        asked_in_body(SLACK, body)


def test_a_body_without_events_is_a_ping_only_where_the_page_says_so() -> None:
    empty = b'{"events":[],"lastEventSequence": 0,"firstEventSequence": 0,"entropy":"S0m3"}'
    assert is_ping(webhook(SignedPing()), empty)
    assert not is_ping(webhook(SignedPing()), b'{"events":[{"a":[]}]}')
    assert not is_ping(webhook(SignedPing()), b"[" * 5000 + b"[]")
    assert not is_ping(webhook(), empty)


def listing(**more: object) -> EventList:
    facts = {"path": "/e", "records": "data", "page": OnePage(), "since_param": "since", **more}
    return EventList(**{"keeps": timedelta(days=30), **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: EchoQuery(param="x", method="PUT"), "EchoQuery, method: 'PUT' is none of GET"),
        (lambda: EchoBody(challenge="c", when={}), "EchoBody, when: it is empty"),
        (lambda: webhook(SignedPing(), events=""), "needs `events`"),
        (lambda: webhook(refused_status=200), "refused_status: 200 is no refusal"),
        (lambda: webhook(max_body=0), "max_body: 0 lets nothing in"),
        (lambda: webhook(listing=listing()), "listing: it needs `id` and `stamp`"),
        (lambda: listing(lag=timedelta(-1)), "a time below zero"),
        (lambda: listing(keeps=timedelta(minutes=7)), "keeps: it is not longer"),
    ],
)
def test_a_page_that_cannot_be_right_is_refused(make: object, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        make()  # type: ignore[operator]


def test_a_posted_code_is_told_from_an_event() -> None:
    rules = CodeSentBack(
        path="/callbacks", records="all", envelope="callback", object_key="object_id"
    )
    hook = Webhook(
        signature=hmac_base64("X-Sig", signs="{form}"),
        form=True,
        id="",
        topic="name",
        object_key="object_id",
        handshake=rules,
    )
    assert posted_code(hook, rules, b"name=x&object_id=7&verifier=abc") == ("7", "abc")
    for event in (b"name=verifier&object_id=7", b"\xff=verifier", b"verifier" + b"=1&" * 5000):
        assert posted_code(hook, rules, event) is None
    for wrong in (b"verifier=abc", b"verifier=a%20b&object_id=7", b"verifier=abc&object_id=a/b"):
        with pytest.raises(InvalidInput):
            posted_code(hook, rules, wrong)
    in_json = replace(hook, form=False)
    assert posted_code(in_json, rules, b'{"object_id": 7, "verifier": "abc"}') == ("7", "abc")
